//! `estd audit`: what happened.

use std::io::Write;

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
}

impl Command {
    pub(in crate::cli) fn run(&self, server: &Server, out: &mut dyn Write) -> Result<(), CliError> {
        let Self::List { kind, code, label, actor, since, until, oldest, amount } = self;
        let given =
            [("kind", kind), ("code", code), ("label", label), ("actor", actor), ("since", since), ("until", until)];
        let mut parameters: Vec<_> =
            given.into_iter().filter_map(|(name, value)| value.clone().map(|value| (name, value))).collect();
        parameters.push(("order", if *oldest { "oldest" } else { "newest" }.to_owned()));
        let rows = server.client()?.list("/events", &parameters, amount.limit)?;
        server.list(&rows, &EVENT_COLUMNS, out)
    }
}
