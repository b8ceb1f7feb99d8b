//! The resources, one file each.

pub(super) mod backup;
pub(super) mod certificates;
pub(super) mod checkpoints;
pub(super) mod codes;
pub(super) mod crls;
pub(super) mod devices;
pub(super) mod events;
pub(super) mod explain;
pub(super) mod export;
pub(super) mod former;
mod import;
pub(super) mod issuance;
pub(super) mod requests;
pub(super) mod server;
pub(super) mod statistics;
pub(super) mod tenants;
pub(super) mod tokens;
pub(super) mod webhooks;

use chrono::{DateTime, SecondsFormat, Utc};

use crate::pki::digest::unhex;

/// A time as it stands in answers (RFC 3339).
fn time(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Secs, true)
}

/// The octets of hexadecimal digits; colons between them are as openssl writes them.
fn octets(digits: &str) -> Option<Vec<u8>> {
    unhex(&digits.replace(':', "")).map(|octets| octets.to_vec())
}

/// A SHA-256 in hexadecimal digits.
fn digest(digits: &str) -> Option<[u8; 32]> {
    octets(digits)?.try_into().ok()
}
