//! `estd admin`: the first operator.

use std::io::Write;

use serde_json::{Value, json};

use super::{OperateError, Server, fields};
use crate::cli::CliError;

/// What `estd admin` can do.
#[derive(Debug, clap::Subcommand)]
pub(in crate::cli) enum Command {
    /// Make the first admin's token; it is shown this once. Refused when there is an admin's token already
    Bootstrap {
        /// What people call the admin by; stands in the audit
        #[arg(long, default_value = "admin")]
        name: String,
        /// How long the token lasts
        #[arg(long, default_value_t = 90)]
        days: u32,
    },
}

impl Command {
    pub(in crate::cli) fn run(&self, server: &Server, out: &mut dyn Write) -> Result<(), CliError> {
        let Self::Bootstrap { name, days } = self;
        let client = server.client()?;
        let is_admin = |token: &Value| token.get("role").and_then(Value::as_str) == Some("admin");
        if client.whole("/tokens")?.iter().any(is_admin) {
            let refused = "there is an admin's token already; make another with estd token create".to_owned();
            return Err(OperateError::Refused(refused).into());
        }
        let body = json!({ "name": name, "role": "admin", "days": days }).to_string().into_bytes();
        server.show(&client.post("/tokens", Some(("application/json", body)))?, out, fields)
    }
}
