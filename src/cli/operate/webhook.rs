//! `estd webhook`: the receivers of events.

use std::io::Write;

use super::client::segment;
use super::{Amount, Server, fields};
use crate::cli::CliError;

/// What `estd webhook` can do.
#[derive(Debug, clap::Subcommand)]
pub(in crate::cli) enum Command {
    /// List the webhooks, and how they are doing
    List,
    /// List the events that a webhook gave up on
    DeadLetters {
        /// The webhook
        webhook: String,
        #[command(flatten)]
        amount: Amount,
    },
    /// Try an event again that a webhook gave up on, or all of them
    #[command(arg_required_else_help = true)]
    Redeliver {
        /// The webhook
        webhook: String,
        /// The number of the event's record
        #[arg(required_unless_present = "all", conflicts_with = "all")]
        sequence: Option<u64>,
        /// All that were given up
        #[arg(long)]
        all: bool,
    },
}

const COLUMNS: [(&str, &str); 6] = [
    ("NAME", "name"),
    ("URL", "url"),
    ("CURSOR", "cursor"),
    ("ATTEMPTS", "attempts"),
    ("DEAD", "dead_letters"),
    ("ERROR", "last_error"),
];

const LETTER_COLUMNS: [(&str, &str); 4] =
    [("SEQUENCE", "sequence"), ("GIVEN UP", "at"), ("ATTEMPTS", "attempts"), ("ERROR", "error")];

impl Command {
    pub(in crate::cli) fn run(&self, server: &Server, out: &mut dyn Write) -> Result<(), CliError> {
        let client = server.client()?;
        let answer = match self {
            Self::List => return server.list(&client.whole("/webhooks")?, &COLUMNS, out),
            Self::DeadLetters { webhook, amount } => {
                let path = format!("/webhooks/{}/dead-letters", segment(webhook));
                return server.list(&client.list(&path, &[], amount.limit)?, &LETTER_COLUMNS, out);
            }
            Self::Redeliver { webhook, sequence: Some(sequence), .. } => {
                client.post(&format!("/webhooks/{}/dead-letters/{sequence}/redeliver", segment(webhook)), None)?
            }
            Self::Redeliver { webhook, sequence: None, .. } => {
                client.post(&format!("/webhooks/{}/redeliver", segment(webhook)), None)?
            }
        };
        server.show(&answer, out, fields)
    }
}
