//! `estd token`: the API tokens of operators.

use std::io::Write;

use hyper::Method;
use serde_json::json;

use super::client::segment;
use super::{Server, fields};
use crate::cli::CliError;

/// What `estd token` can do.
#[derive(Debug, clap::Subcommand)]
pub(in crate::cli) enum Command {
    /// List the tokens
    List,
    /// Make a token; it is shown this once
    Create {
        /// What people call it by; stands in the audit
        #[arg(long)]
        name: String,
        /// admin, auditor, tenant-admin, tenant-operator or tenant-auditor
        #[arg(long)]
        role: String,
        /// The tenant, for a role of one
        #[arg(long)]
        tenant: Option<String>,
        /// How long it lasts
        #[arg(long, default_value_t = 90)]
        days: u32,
    },
    /// Revoke a token: it opens nothing from then on
    Revoke {
        /// The token's id: what stands between the first two underscores
        id: String,
    },
}

const COLUMNS: [(&str, &str); 6] = [
    ("ID", "id"),
    ("NAME", "name"),
    ("ROLE", "role"),
    ("TENANT", "tenant"),
    ("EXPIRES", "expires_at"),
    ("BY", "created_by"),
];

impl Command {
    pub(in crate::cli) fn run(&self, server: &Server, out: &mut dyn Write) -> Result<(), CliError> {
        let client = server.client()?;
        let answer = match self {
            Self::List => return server.list(&client.whole("/tokens")?, &COLUMNS, out),
            Self::Create { name, role, tenant, days } => {
                let body = json!({ "name": name, "role": role, "days": days }).to_string().into_bytes();
                let path = tenant.as_ref().map_or_else(String::new, |tenant| format!("/tenants/{}", segment(tenant)));
                client.post(&format!("{path}/tokens"), Some(("application/json", body)))?
            }
            Self::Revoke { id } => client.call(&Method::DELETE, &format!("/tokens/{}", segment(id)), None)?,
        };
        server.show(&answer, out, fields)
    }
}
