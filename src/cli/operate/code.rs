//! `estd code`: one-time enrollment codes.

use std::io::Write;

use hyper::Method;
use serde_json::{Value, json};

use super::client::segment;
use super::{Amount, Within, fields};
use crate::cli::CliError;

/// What `estd code` can do.
#[derive(Debug, clap::Subcommand)]
pub(in crate::cli) enum Command {
    /// List the codes that operators made
    List {
        /// good, used, revoked or expired
        #[arg(long)]
        state: Option<String>,
        #[command(flatten)]
        amount: Amount,
    },
    /// Make codes; they are shown this once
    Create {
        /// A device, or a pattern such as "SN-7*"; may be repeated, and each gets codes of its own
        #[arg(long = "device", required = true, value_name = "ID")]
        devices: Vec<String>,
        /// How many codes each gets
        #[arg(long, default_value_t = 1)]
        count: u16,
        /// How many certificates a code is good for
        #[arg(long, default_value_t = 1)]
        uses: u32,
        /// How long a code lasts
        #[arg(long, default_value_t = 30)]
        days: u32,
    },
    /// Revoke a code: it opens nothing from then on
    Revoke {
        /// The code's id
        id: String,
    },
}

const COLUMNS: [(&str, &str); 7] = [
    ("ID", "id"),
    ("DEVICES", "devices"),
    ("STATE", "state"),
    ("USED", "used"),
    ("OF", "uses"),
    ("EXPIRES", "expires_at"),
    ("BY", "created_by"),
];

const MADE: [(&str, &str); 4] = [("CODE", "code"), ("DEVICES", "devices"), ("ID", "id"), ("EXPIRES", "expires_at")];

impl Command {
    pub(in crate::cli) fn run(&self, within: &Within, out: &mut dyn Write) -> Result<(), CliError> {
        let (client, base) = within.client()?;
        let base = format!("{base}/codes");
        match self {
            Self::List { state, amount } => {
                let parameters: Vec<_> = state.iter().map(|state| ("state", state.clone())).collect();
                within.server.list(&client.list(&base, &parameters, amount.limit)?, &COLUMNS, out)
            }
            Self::Create { devices, count, uses, days } => {
                let body = json!({ "devices": devices, "count": count, "uses": uses, "days": days });
                let body = body.to_string().into_bytes();
                let made = client.post(&base, Some(("application/json", body)))?;
                let items = made.get("items").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
                within.server.list(items, &MADE, out)
            }
            Self::Revoke { id } => {
                let answer = client.call(&Method::DELETE, &format!("{base}/{}", segment(id)), None)?;
                within.server.show(&answer, out, fields)
            }
        }
    }
}
