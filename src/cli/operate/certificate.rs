//! `estd cert`: the certificates that were issued.

use std::io::Write;
use std::path::PathBuf;

use hyper::Method;
use serde_json::{Value, json};

use super::client::{Client, query, segment};
use super::{Amount, OperateError, Within, fields, request_text};
use crate::cli::CliError;

/// What `estd cert` can do.
#[derive(Debug, clap::Subcommand)]
pub(in crate::cli) enum Command {
    /// List certificates in the order in which they end
    List {
        /// Issued at this label
        #[arg(long)]
        label: Option<String>,
        /// Of devices whose ids contain it
        #[arg(long)]
        device: Option<String>,
        /// Over this key: SHA-256 of its SubjectPublicKeyInfo, hexadecimal
        #[arg(long)]
        key: Option<String>,
        /// Only those that are revoked
        #[arg(long, conflicts_with = "good")]
        revoked: bool,
        /// Only those that are not revoked
        #[arg(long)]
        good: bool,
        /// That end at this time (RFC 3339) or later
        #[arg(long, value_name = "TIME")]
        ends_after: Option<String>,
        /// That end before this time (RFC 3339)
        #[arg(long, value_name = "TIME")]
        ends_before: Option<String>,
        #[command(flatten)]
        amount: Amount,
    },
    /// Show a certificate
    Show {
        /// The serial number, hexadecimal
        serial: String,
    },
    /// Revoke a certificate, or put it on hold: it neither renews nor enrolls from then on
    Revoke {
        /// The serial number, hexadecimal
        serial: String,
        /// Why: unspecified, keyCompromise, superseded, cessationOfOperation, certificateHold, privilegeWithdrawn ...
        #[arg(long, default_value = "unspecified")]
        reason: String,
    },
    /// Lift the hold on a certificate
    Release {
        /// The serial number, hexadecimal
        serial: String,
    },
    /// Issue a first certificate to a device, for a certification request in a file; it is written to standard output with
    /// its CAs
    Issue {
        /// The label
        #[arg(long)]
        label: String,
        /// The device; its names come from the profile
        #[arg(long)]
        device: String,
        /// The certification request (PKCS#10), PEM or DER
        request: PathBuf,
    },
    /// Write a certificate to standard output: PEM, DER, or PEM with its CAs
    Get {
        /// The serial number, hexadecimal
        serial: String,
        /// pem, der or chain
        #[arg(long, default_value = "pem")]
        form: String,
    },
}

const COLUMNS: [(&str, &str); 5] =
    [("SERIAL", "serial"), ("DEVICE", "device"), ("LABEL", "label"), ("ENDS", "not_after"), ("STATUS", "status")];

impl Command {
    pub(in crate::cli) fn run(&self, within: &Within, out: &mut dyn Write) -> Result<(), CliError> {
        let (client, tenant) = within.client()?;
        let base = format!("{tenant}/certificates");
        match self {
            Self::List { label, device, key, revoked, good, ends_after, ends_before, amount } => {
                let given = [
                    ("label", label.clone()),
                    ("device", device.clone()),
                    ("key", key.clone()),
                    ("revoked", (*revoked || *good).then(|| revoked.to_string())),
                    ("ends_after", ends_after.clone()),
                    ("ends_before", ends_before.clone()),
                ];
                let parameters: Vec<_> =
                    given.into_iter().filter_map(|(name, value)| value.map(|value| (name, value))).collect();
                let rows = client.list(&base, &parameters, amount.limit)?;
                within.server.list(&rows, &COLUMNS, out)
            }
            Self::Show { serial } => within.server.show(&find(&client, &base, serial)?, out, fields),
            Self::Revoke { serial, reason } => {
                let body = json!({ "reason": reason }).to_string().into_bytes();
                let path = format!("{}/revoke", address(&base, &find(&client, &base, serial)?));
                within.server.show(&client.post(&path, Some(("application/json", body)))?, out, fields)
            }
            Self::Release { serial } => {
                let path = format!("{}/release", address(&base, &find(&client, &base, serial)?));
                within.server.show(&client.post(&path, None)?, out, fields)
            }
            Self::Issue { label, device, request } => {
                let body = json!({ "device": device, "request": request_text(request)? });
                let path = format!("{tenant}/labels/{}/certificates", segment(label));
                let answer = client.post(&path, Some(("application/json", body.to_string().into_bytes())))?;
                within.server.show(&answer, out, |answer, out| {
                    let text = |key: &str| answer.get(key).and_then(Value::as_str).unwrap_or_default();
                    match text("certificate") {
                        "" => fields(answer, out),
                        certificate => write!(out, "{certificate}{}", text("chain")),
                    }
                })
            }
            Self::Get { serial, form } => {
                let at = address(&base, &find(&client, &base, serial)?);
                let path = format!("{at}/file?{}", query(&[("form", form.clone())]));
                Ok(out.write_all(&client.octets(&Method::GET, &path, None)?)?)
            }
        }
    }
}

fn address(base: &str, certificate: &Value) -> String {
    let text = |key: &str| certificate.get(key).and_then(Value::as_str).unwrap_or_default();
    format!("{base}/{}/{}", text("issuer"), text("serial"))
}

/// The certificate with a serial number. That two authorities chose the same one of at least 120 random bits does not
/// happen; the first is shown then.
fn find(client: &Client, base: &str, serial: &str) -> Result<Value, CliError> {
    let found = client.list(base, &[("serial", serial.to_owned())], 1)?;
    let missing = || OperateError::Refused(format!("there is no certificate {serial}"));
    Ok(found.into_iter().next().ok_or_else(missing)?)
}
