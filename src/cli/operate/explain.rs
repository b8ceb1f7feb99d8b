//! `estd explain`: what would come of a request, and why.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use super::{Server, fields, request_text, table};
use crate::cli::CliError;
use crate::est::printable::escaped;

/// The request, and what the device would show with it.
#[derive(Debug, clap::Args)]
#[command(group(clap::ArgGroup::new("place").required(true).args(["label", "path"])))]
pub(in crate::cli) struct Arguments {
    #[command(flatten)]
    server: Server,
    /// The label that the request would come to
    #[arg(long)]
    label: Option<String>,
    /// The label's tenant, where several have one of that name
    #[arg(long, requires = "label")]
    tenant: Option<String>,
    /// simpleenroll, simplereenroll or serverkeygen
    #[arg(long, requires = "label", value_parser = ["simpleenroll", "simplereenroll", "serverkeygen"])]
    operation: Option<String>,
    /// The path of the device's URL, instead of a label
    #[arg(long)]
    path: Option<String>,
    /// The host of the device's URL, where tenants have their own
    #[arg(long, requires = "path")]
    host: Option<String>,
    /// The request: a PKCS#10 in PEM, DER, or base64 of that
    #[arg(long, value_name = "FILE")]
    csr: PathBuf,
    /// The certificates that the device presents, its own first: PEM
    #[arg(long, value_name = "FILE")]
    certificate: Option<PathBuf>,
    /// A credential taken as presented, as events name it: user/NAME, token/NAME, issuer/NAME or code/HASH
    #[arg(long)]
    credential: Option<String>,
    /// The device that the credential was made out to: of an issuer's JWT always
    #[arg(long, requires = "credential")]
    credential_device: Option<String>,
}

const COLUMNS: [(&str, &str); 5] =
    [("OUTCOME", "outcome"), ("RULE", "rule"), ("EXPECTED", "expected"), ("GOT", "got"), ("CLAUSE", "clause")];

impl Arguments {
    pub(in crate::cli) fn run(&self, out: &mut dyn Write) -> Result<(), CliError> {
        let certificates = self.certificate.as_deref().map(text).transpose()?;
        let given = [
            ("label", self.label.clone()),
            ("tenant", self.tenant.clone()),
            ("operation", self.operation.clone()),
            ("path", self.path.clone()),
            ("host", self.host.clone()),
            ("csr", Some(request_text(&self.csr)?)),
            ("certificates", certificates),
            ("credential", self.credential.clone()),
            ("credential_device", self.credential_device.clone()),
        ];
        let body = given.into_iter().filter_map(|(key, value)| Some((key.to_owned(), Value::String(value?))));
        let body = Value::Object(body.collect::<Map<_, _>>()).to_string().into_bytes();
        let answer = self.server.client()?.post("/explain", Some(("application/json", body)))?;
        self.server.show(&answer, out, shown)
    }
}

/// The verdict and what goes with it, then the rules as a table, then the certificate.
fn shown(answer: &Value, out: &mut dyn Write) -> io::Result<()> {
    let mut head = answer.as_object().cloned().unwrap_or_default();
    let steps = head.remove("steps");
    let certificate = head.remove("certificate");
    let generates = head.remove("generates");
    let text = |value: &Value, key: &str| value.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
    let verdict = text(answer, "verdict");
    match head.remove("refusal") {
        Some(refusal) => {
            let (code, sentence, clause) =
                (text(&refusal, "code"), text(&refusal, "sentence"), text(&refusal, "clause"));
            writeln!(out, "{verdict}: {code}: {} ({clause})", escaped(&sentence))?;
        }
        None => writeln!(out, "{verdict}")?,
    }
    head.retain(|key, _| key != "verdict" && key != "would_issue");
    fields(&Value::Object(head), out)?;
    let steps = steps.as_ref().and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    if let Some(key) = &generates {
        let encrypted = key.get("encrypted").and_then(Value::as_bool).unwrap_or_default();
        writeln!(out, "generates: {}, {}", text(key, "key"), if encrypted { "encrypted" } else { "plain" })?;
    }
    writeln!(out)?;
    table::rows(steps, &COLUMNS, out)?;
    if let Some(certificate) = certificate {
        writeln!(out)?;
        fields(&certificate, out)?;
    }
    Ok(())
}

fn text(path: &Path) -> Result<String, CliError> {
    std::fs::read_to_string(path).map_err(CliError::file("read", path))
}
