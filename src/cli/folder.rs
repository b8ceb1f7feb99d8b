//! A server's folder, made from nothing: a root, an issuing CA and a configuration that checks.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use chrono::TimeDelta;

use super::{CliError, files};
use crate::ca::{CertificateAuthority, Signer as _, SoftwareSigner, ceremony};
use crate::clock::{Clock as _, Entropy as _, SystemClock, SystemEntropy};
use crate::pki::serial::Serial;
use estd_asn1::{AttributeTypeAndValue, Name, Oid, Validity, oid};

/// How long a root is valid, and an issuing CA under it.
const ROOT_YEARS: i64 = 25;
const ISSUING_YEARS: i64 = 10;
/// How far notBefore lies in the past, for clocks that are behind.
pub(super) const BACKDATE: TimeDelta = TimeDelta::hours(1);

/// What a new folder is for.
pub(super) struct Blueprint<'a> {
    pub(super) tenant: &'a str,
    pub(super) label: &'a str,
    /// DNS names and IP addresses of the server.
    pub(super) names: &'a [String],
    pub(super) listen: &'a str,
    /// Relative to the folder, or not.
    pub(super) data_dir: &'a str,
    /// `None` for the default.
    pub(super) status_listen: Option<&'a str>,
}

/// The files of a folder.
pub(super) struct Folder(PathBuf);

impl Folder {
    pub(super) fn at(path: &Path) -> Self {
        Self(path.to_owned())
    }

    pub(super) fn config(&self) -> PathBuf {
        self.0.join("config.toml")
    }

    pub(super) fn root(&self) -> PathBuf {
        self.0.join("ca/root.pem")
    }

    pub(super) fn root_key(&self) -> PathBuf {
        self.0.join("ca/root.key")
    }

    pub(super) fn manufacturers(&self) -> PathBuf {
        self.0.join("manufacturers")
    }

    /// Makes everything but the configuration file, which marks a folder as complete.
    pub(super) fn make_authorities(&self, blueprint: &Blueprint<'_>) -> Result<(), CliError> {
        files::folder(&self.0.join("ca"))?;
        files::folder(&self.manufacturers())?;
        files::private_folder(&self.0.join(blueprint.data_dir))?;
        let root = self_signed(&format!("{} Root CA", blueprint.tenant), ROOT_YEARS, &self.root(), &self.root_key())?;
        let key = files::new_key(&self.0.join("ca/issuing.key"))?;
        let issuing = ceremony::subordinate_ca(
            &root,
            &name(&[(oid::AT_COMMON_NAME, &format!("{} Issuing CA", blueprint.tenant))])?,
            key.public_key(),
            validity(ISSUING_YEARS),
            Some(0),
            &serial()?,
        )?;
        files::certificates(&self.0.join("ca/issuing.pem"), &[&issuing])
    }

    pub(super) fn write_config(&self, blueprint: &Blueprint<'_>) -> Result<(), CliError> {
        files::public(&self.config(), &config_text(blueprint))
    }
}

/// A self-signed CA with its key, both in new files.
pub(super) fn self_signed(
    common_name: &str,
    years: i64,
    certificate: &Path,
    key: &Path,
) -> Result<CertificateAuthority, CliError> {
    let signer: SoftwareSigner = files::new_key(key)?;
    let subject = name(&[(oid::AT_COMMON_NAME, common_name)])?;
    let root = ceremony::self_signed_ca(&signer, &subject, validity(years), None, &serial()?)?;
    files::certificates(certificate, &[&root])?;
    Ok(CertificateAuthority::new(root, Vec::new(), Arc::new(signer))?)
}

/// From a little before now, for so many years.
pub(super) fn validity(years: i64) -> Validity {
    let now = SystemClock.now();
    Validity { not_before: now - BACKDATE, not_after: now + TimeDelta::days(365 * years) }
}

/// A fresh serial number.
pub(super) fn serial() -> Result<Serial, CliError> {
    let mut random = [0; 20];
    SystemEntropy.fill(&mut random)?;
    Ok(Serial::from_entropy(random))
}

/// A name of one attribute an RDN.
pub(super) fn name(attributes: &[(Oid, &str)]) -> Result<Name, CliError> {
    let rdn = |(oid, text): &(Oid, &str)| Ok(vec![AttributeTypeAndValue::from_text(oid.clone(), text)?]);
    let rdns: Vec<_> = attributes.iter().map(rdn).collect::<Result<_, CliError>>()?;
    Ok(Name::from_rdns(&rdns))
}

fn config_text(blueprint: &Blueprint<'_>) -> String {
    let Blueprint { tenant, label, names, listen, data_dir, status_listen } = blueprint;
    let quoted = |text: &str| toml::Value::from(text).to_string();
    let data_dir = quoted(data_dir);
    let names: Vec<_> = names.iter().map(|name| quoted(name)).collect();
    let names = names.join(", ");
    let status_listen = match status_listen {
        Some(address) => format!("status_listen = {}", quoted(address)),
        None => "# status_listen = \"127.0.0.1:9443\"".to_owned(),
    };
    format!(
        r#"# Made by estd. Every key with its meaning and default: config.example.toml in the source of estd.
# After a change: `estd check --config FILE`, then send the server SIGHUP.

[server]
listen = ["{listen}"]
# /healthz and /metrics, for this machine alone.
{status_listen}
data_dir = {data_dir}
default_label = "{label}"

[server.tls]
issued_by = "{tenant}/issuing"
# What devices know this server by: DNS names and IP addresses.
names = [{names}]

[[tenant]]
name = "{tenant}"

[[tenant.authority]]
name = "issuing"
certificate = "ca/issuing.pem"
key = "ca/issuing.key"
chain = ["ca/root.pem"]

[[tenant.profile]]
name = "device"
validity = "398d"
subject = ["CN={{device_id}}", "O={tenant}"]

[[tenant.label]]
name = "{label}"
authority = "issuing"
profile = "device"
# The CA certificates of the manufacturers whose devices may enroll: every *.pem, *.crt and *.cer file in this folder.
birth_anchors = ["manufacturers"]
# Where the device id stands in a birth certificate.
identity = "subject-serial-number"
"#
    )
}
