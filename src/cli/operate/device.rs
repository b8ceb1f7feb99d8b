//! `estd device`: the registry.

use std::io::Write;
use std::path::{Path, PathBuf};

use hyper::Method;
use serde_json::json;

use super::client::{query, segment};
use super::{Amount, Within, fields};
use crate::cli::CliError;

/// What `estd device` can do.
#[derive(Debug, clap::Subcommand)]
pub(in crate::cli) enum Command {
    /// List devices in the order of their ids
    List {
        /// Ids that begin with it
        #[arg(long, default_value = "")]
        prefix: String,
        /// In this state: listed, active, suspended or revoked
        #[arg(long)]
        state: Option<String>,
        /// With this tag
        #[arg(long)]
        tag: Option<String>,
        #[command(flatten)]
        amount: Amount,
    },
    /// Show a device
    Show {
        /// The device
        id: String,
    },
    /// Show what happened to a device, the last first: enrollments, refusals with their reasons, what operators did
    Events {
        /// The device
        id: String,
        #[command(flatten)]
        amount: Amount,
    },
    /// List devices that may enroll, all of a file or none: .csv (id,tags), .json or .ndjson
    Import {
        /// The file
        file: PathBuf,
        /// Check everything and change nothing
        #[arg(long)]
        dry_run: bool,
    },
    /// Keep a device out until it is resumed
    Suspend {
        /// The device
        id: String,
    },
    /// Let a suspended device in again
    Resume {
        /// The device
        id: String,
    },
    /// Forget the birth certificate and the certificates of a device, so that it may enroll anew: it was repaired
    Reset {
        /// The device
        id: String,
    },
    /// Revoke a device for good, with all its certificates
    Revoke {
        /// The device
        id: String,
        /// Why: unspecified, keyCompromise, superseded, cessationOfOperation, privilegeWithdrawn ...
        #[arg(long, default_value = "unspecified")]
        reason: String,
    },
    /// Give a device other tags
    Tag {
        /// The device
        id: String,
        /// Its tags from now on
        tags: Vec<String>,
    },
    /// Take a device off the list that never came
    Remove {
        /// The device
        id: String,
    },
}

const COLUMNS: [(&str, &str); 4] =
    [("ID", "id"), ("STATE", "state"), ("REGISTERED", "registered_at"), ("TAGS", "tags")];

pub(super) const EVENT_COLUMNS: [(&str, &str); 7] = [
    ("TIME", "at"),
    ("KIND", "kind"),
    ("DEVICE", "device"),
    ("LABEL", "label"),
    ("CODE", "code"),
    ("BY", "actor"),
    ("WHAT", "what"),
];

impl Command {
    pub(in crate::cli) fn run(&self, within: &Within, out: &mut dyn Write) -> Result<(), CliError> {
        let (client, base) = within.client()?;
        let server = &within.server;
        let at = |id: &str| format!("{base}/devices/{}", segment(id));
        let answer = match self {
            Self::List { prefix, state, tag, amount } => {
                let mut parameters = vec![("prefix", prefix.clone())];
                parameters.extend(state.clone().map(|state| ("state", state)));
                parameters.extend(tag.clone().map(|tag| ("tag", tag)));
                let rows = client.list(&format!("{base}/devices"), &parameters, amount.limit)?;
                return server.list(&rows, &COLUMNS, out);
            }
            Self::Events { id, amount } => {
                let rows = client.list(&format!("{}/events", at(id)), &[], amount.limit)?;
                return server.list(&rows, &EVENT_COLUMNS, out);
            }
            Self::Import { file, dry_run } => {
                let body = (media_type(file), std::fs::read(file).map_err(CliError::file("read", file))?);
                let path = format!("{base}/devices?{}", query(&[("dry_run", dry_run.to_string())]));
                client.import(&path, body)?
            }
            Self::Show { id } => client.get(&at(id))?,
            Self::Suspend { id } => client.post(&format!("{}/suspend", at(id)), None)?,
            Self::Resume { id } => client.post(&format!("{}/resume", at(id)), None)?,
            Self::Reset { id } => client.post(&format!("{}/reset", at(id)), None)?,
            Self::Revoke { id, reason } => {
                let body = json!({ "reason": reason }).to_string().into_bytes();
                client.post(&format!("{}/revoke", at(id)), Some(("application/json", body)))?
            }
            Self::Tag { id, tags } => {
                let body = json!({ "tags": tags }).to_string().into_bytes();
                client.call(&Method::PATCH, &at(id), Some(("application/json", body)))?
            }
            Self::Remove { id } => client.call(&Method::DELETE, &at(id), None)?,
        };
        server.show(&answer, out, fields)
    }
}

/// By the ending of the file; what has another is taken for CSV.
fn media_type(file: &Path) -> &'static str {
    match file.extension().and_then(|ending| ending.to_str()) {
        Some("json") => "application/json",
        Some("ndjson" | "jsonl") => "application/x-ndjson",
        Some(_) | None => "text/csv",
    }
}
