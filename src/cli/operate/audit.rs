//! `estd audit`: what happened.

use std::io::Write;

use hyper::Method;
use serde_json::Value;

use super::client::{query, segment};
use super::device::EVENT_COLUMNS;
use super::{Amount, Server};
use crate::cli::CliError;

/// What `estd audit` can do.
#[derive(Debug, clap::Subcommand)]
pub(in crate::cli) enum Command {
    /// Show events, the last first
    List {
        /// issued, repeated, refused, deferred, failed, revoked, released, changed or alarm
        #[arg(long)]
        kind: Option<String>,
        /// Refusals and alarms with this code
        #[arg(long)]
        code: Option<String>,
        /// At this label
        #[arg(long)]
        label: Option<String>,
        /// Of this operator
        #[arg(long)]
        actor: Option<String>,
        /// Of the request with this id, which the answer to a device tells
        #[arg(long)]
        request: Option<String>,
        /// Not earlier than this time (RFC 3339)
        #[arg(long, value_name = "TIME")]
        since: Option<String>,
        /// Earlier than this time (RFC 3339)
        #[arg(long, value_name = "TIME")]
        until: Option<String>,
        /// The first one first
        #[arg(long)]
        oldest: bool,
        #[command(flatten)]
        amount: Amount,
    },
    /// Write the audit trail to standard output, the first event first, as far as it goes now
    Export {
        /// ndjson, cef, syslog (RFC 5424, a line each) or syslog-counted (RFC 6587 section 3.4.1)
        #[arg(long, default_value = "ndjson")]
        format: String,
        /// Of this tenant alone
        #[arg(long)]
        tenant: Option<String>,
        /// Only what comes after this sequence number
        #[arg(long, value_name = "SEQUENCE")]
        after: Option<u64>,
        /// Not earlier than this time (RFC 3339)
        #[arg(long, value_name = "TIME")]
        since: Option<String>,
        /// Earlier than this time (RFC 3339)
        #[arg(long, value_name = "TIME")]
        until: Option<String>,
        /// issued, repeated, refused, deferred, failed, revoked, released, changed or alarm
        #[arg(long)]
        kind: Option<String>,
        /// Of this operator
        #[arg(long)]
        actor: Option<String>,
    },
    /// Write the last signed checkpoints of the journal, a line each, to be kept elsewhere; see `estd journal verify`
    Checkpoints {
        /// Checkpoints at most, up to 1000
        #[arg(long, default_value_t = 100)]
        limit: u16,
        /// Write the public key (PEM) instead
        #[arg(long)]
        key: bool,
    },
}

impl Command {
    pub(in crate::cli) fn run(&self, server: &Server, out: &mut dyn Write) -> Result<(), CliError> {
        match self {
            Self::List { kind, code, label, actor, request, since, until, oldest, amount } => {
                let mut parameters = given([
                    ("kind", kind),
                    ("code", code),
                    ("label", label),
                    ("actor", actor),
                    ("request", request),
                    ("since", since),
                    ("until", until),
                ]);
                parameters.push(("order", if *oldest { "oldest" } else { "newest" }.to_owned()));
                let rows = server.client()?.list("/events", &parameters, amount.limit)?;
                server.list(&rows, &EVENT_COLUMNS, out)
            }
            Self::Export { format, tenant, after, since, until, kind, actor } => {
                let mut parameters = given([("since", since), ("until", until), ("kind", kind), ("actor", actor)]);
                parameters.push(("format", format.clone()));
                parameters.extend(after.map(|after| ("after", after.to_string())));
                let within = tenant.as_ref().map_or_else(String::new, |tenant| format!("/tenants/{}", segment(tenant)));
                let path = format!("{within}/events/export?{}", query(&parameters));
                server.client()?.stream(&Method::GET, &path, out, &mut |_, _| ())
            }
            Self::Checkpoints { limit, key } => {
                let answer = server.client()?.get(&format!("/checkpoints?limit={limit}"))?;
                if *key {
                    let key = answer.get("public_key").and_then(Value::as_str).unwrap_or_default();
                    return Ok(write!(out, "{key}")?);
                }
                let items = answer.get("items").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
                if server.json {
                    return server.list(items, &[], out);
                }
                let lines = items.iter().rev().filter_map(|item| item.get("line")?.as_str());
                Ok(lines.into_iter().try_for_each(|line| writeln!(out, "{line}"))?)
            }
        }
    }
}

/// The parameters that were given.
fn given<const N: usize>(options: [(&'static str, &Option<String>); N]) -> Vec<(&'static str, String)> {
    options.into_iter().filter_map(|(name, value)| value.clone().map(|value| (name, value))).collect()
}
