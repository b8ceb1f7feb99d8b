//! `estd stats`: figures of a tenant, or of the whole server.

use std::io::Write;

use serde_json::{Value, json};

use super::Within;
use super::client::{Client, query};
use crate::cli::CliError;

/// What `estd stats` can do.
#[derive(Debug, clap::Subcommand)]
pub(in crate::cli) enum Command {
    /// Show what happened, step after step
    Activity(Which),
    /// Show why requests were refused, and how often
    Refusals(Which),
    /// Show how many certificates end on which day; revoked and renewed ones are among them
    Expiry {
        /// Days from today on
        #[arg(long, default_value_t = 90)]
        days: u16,
        /// Of all tenants together
        #[arg(long)]
        all: bool,
    },
}

/// Over which time.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Which {
    /// How long each step is: day or hour
    #[arg(long, default_value = "day")]
    by: String,
    /// From this time (RFC 3339) on; 30 days or 48 hours without it
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
    /// To this time (RFC 3339)
    #[arg(long, value_name = "TIME")]
    until: Option<String>,
    /// At this label
    #[arg(long)]
    label: Option<String>,
    /// Of all tenants together
    #[arg(long)]
    all: bool,
}

const ACTIVITY: [(&str, &str); 8] = [
    ("FROM", "start"),
    ("ISSUED", "issued"),
    ("REPEATED", "repeated"),
    ("REFUSED", "refused"),
    ("DEFERRED", "deferred"),
    ("FAILED", "failed"),
    ("REVOKED", "revoked"),
    ("RELEASED", "released"),
];

impl Command {
    pub(in crate::cli) fn run(&self, within: &Within, out: &mut dyn Write) -> Result<(), CliError> {
        match self {
            Self::Activity(which) => {
                let found = which.fetch(within)?;
                within.server.list(rows(&found, "steps"), &ACTIVITY, out)
            }
            Self::Refusals(which) => {
                let found = which.fetch(within)?;
                let refusals = found.get("refusals").and_then(Value::as_object);
                let mut rows: Vec<_> = refusals.into_iter().flatten().collect();
                rows.sort_by_key(|(_, count)| std::cmp::Reverse(count.as_u64()));
                let rows: Vec<_> = rows.iter().map(|(code, count)| json!({ "code": code, "count": count })).collect();
                within.server.list(&rows, &[("CODE", "code"), ("COUNT", "count")], out)
            }
            Self::Expiry { days, all } => {
                let (client, base) = reach(within, *all)?;
                let found =
                    client.get(&format!("{base}/statistics/expiry?{}", query(&[("days", days.to_string())])))?;
                let mut days = rows(&found, "days").to_vec();
                if !within.server.json {
                    days.push(json!({ "start": "later", "certificates": found.get("later") }));
                }
                within.server.list(&days, &[("DAY", "start"), ("CERTIFICATES", "certificates")], out)
            }
        }
    }
}

impl Which {
    fn fetch(&self, within: &Within) -> Result<Value, CliError> {
        let (client, base) = reach(within, self.all)?;
        let given = [("since", &self.since), ("until", &self.until), ("label", &self.label)];
        let mut parameters = vec![("by", self.by.clone())];
        parameters.extend(given.into_iter().filter_map(|(name, value)| Some((name, value.clone()?))));
        client.get(&format!("{base}/statistics?{}", query(&parameters)))
    }
}

fn reach(within: &Within, all: bool) -> Result<(Client, String), CliError> {
    if all { Ok((within.server.client()?, String::new())) } else { within.client() }
}

fn rows<'a>(found: &'a Value, key: &str) -> &'a [Value] {
    found.get(key).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}
