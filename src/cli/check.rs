//! `estd check`: a configuration judged whole.

use std::io::Write;
use std::path::PathBuf;

use super::{CliError, show};
use crate::clock::{Clock as _, SystemClock};
use crate::config::{CertificateSource, Config, LabelSettings};
use crate::policy::KeyGenerationRules;

/// What `estd check` is told.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// The configuration file
    #[arg(long)]
    config: PathBuf,
}

pub(super) fn run(arguments: &Arguments, out: &mut dyn Write) -> Result<(), CliError> {
    let config = Config::load(&arguments.config, SystemClock.now())?;
    for warning in &config.warnings {
        writeln!(out, "warning: {warning}")?;
    }
    writeln!(out, "{}: ok", arguments.config.display())?;
    let server = &config.server;
    let listen: Vec<_> = server.listen.iter().map(ToString::to_string).collect();
    writeln!(out, "  listens on {}; status on {}", listen.join(", "), server.status_listen)?;
    writeln!(out, "  data in {}", server.data_dir.display())?;
    match &server.tls.certificate {
        CertificateSource::Own { issuer, .. } => {
            writeln!(out, "  server certificate from {}", issuer.certificate().subject())?;
        }
        CertificateSource::Files(certificate) => {
            let leaf = certificate.leaf();
            let until = show::time(leaf.validity().not_after);
            writeln!(out, "  server certificate {}, until {until}", leaf.subject())?;
        }
    }
    for authority in &config.authorities {
        let ca = &authority.authority;
        let until = show::time(ca.certificate().validity().not_after);
        writeln!(out, "  authority {}: {}, until {until}", authority.path(), ca.certificate().subject())?;
        writeln!(out, "    root {}", ca.root().subject())?;
        writeln!(out, "    root SHA-256 {}", show::fingerprint(&ca.root_fingerprint()))?;
        if let Some(rollover) = &authority.rollover {
            let phase = rollover.phase().as_str();
            writeln!(out, "    {phase}: successor {}", rollover.successor().certificate().subject())?;
            let fingerprint = show::fingerprint(&rollover.successor().root_fingerprint());
            writeln!(out, "    successor's root SHA-256 {fingerprint}")?;
        }
    }
    for label in &config.labels {
        let is_shared = config.hosts.iter().all(|hosts| hosts.tenant != label.tenant);
        let default = if is_shared && server.default_label.as_ref() == Some(&label.label) { " (default)" } else { "" };
        writeln!(out, "  label {}{default}: {}", label.label, described(label))?;
    }
    for hosts in &config.hosts {
        writeln!(
            out,
            "  tenant {} at {}, label {} (default)",
            hosts.tenant,
            hosts.hosts.join(", "),
            hosts.default_label
        )?;
    }
    Ok(())
}

fn described(label: &LabelSettings) -> String {
    let profile = &label.rules.profile;
    let anchors = label.anchors.implicit().len();
    let keys = match label.key_generation.as_deref() {
        None => "",
        Some(KeyGenerationRules { plaintext: false, .. }) => ", makes keys, encrypted alone",
        Some(KeyGenerationRules { plaintext: true, .. }) => ", makes keys, unencrypted ones too",
    };
    let cmc = if label.full_cmc { ", takes full cmc" } else { "" };
    let authentication = label.authentication.as_str();
    let asks = label.authorization_webhook.as_ref();
    let asks = asks.map(|webhook| format!(", asks {}", webhook.receiver.endpoint)).unwrap_or_default();
    format!(
        "tenant {}, profile {}, {} days, signed by {}, {anchors} manufacturers' CA certificates, by {authentication}{keys}{cmc}{asks}",
        label.tenant,
        profile.name,
        profile.validity.num_days(),
        label.authority.certificate().subject(),
    )
}
