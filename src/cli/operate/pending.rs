//! `estd pending`: requests that wait for an operator.

use std::io::Write;

use serde_json::json;

use super::client::segment;
use super::{Amount, Within, fields};
use crate::cli::CliError;

/// What `estd pending` can do.
#[derive(Debug, clap::Subcommand)]
pub(in crate::cli) enum Command {
    /// List the requests that wait, or were decided and did not come again
    List {
        #[command(flatten)]
        amount: Amount,
    },
    /// Show a request
    Show {
        /// The request
        id: String,
    },
    /// Approve a request: it is answered with a certificate when it comes again
    Approve {
        /// The request
        id: String,
    },
    /// Deny a request: it is refused when it comes again
    Deny {
        /// The request
        id: String,
        /// What the device is told
        #[arg(long)]
        reason: String,
    },
}

const COLUMNS: [(&str, &str); 6] = [
    ("ID", "id"),
    ("DEVICE", "device"),
    ("LABEL", "label"),
    ("SUBJECT", "subject"),
    ("SINCE", "requested_at"),
    ("DECISION", "decision"),
];

impl Command {
    pub(in crate::cli) fn run(&self, within: &Within, out: &mut dyn Write) -> Result<(), CliError> {
        let (client, base) = within.client()?;
        let at = |id: &str| format!("{base}/requests/{}", segment(id));
        let answer = match self {
            Self::List { amount } => {
                let rows = client.list(&format!("{base}/requests"), &[], amount.limit)?;
                return within.server.list(&rows, &COLUMNS, out);
            }
            Self::Show { id } => client.get(&at(id))?,
            Self::Approve { id } => client.post(&format!("{}/approve", at(id)), None)?,
            Self::Deny { id, reason } => {
                let body = json!({ "reason": reason }).to_string().into_bytes();
                client.post(&format!("{}/deny", at(id)), Some(("application/json", body)))?
            }
        };
        within.server.show(&answer, out, fields)
    }
}
