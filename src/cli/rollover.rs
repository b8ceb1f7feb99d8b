//! `estd ca rollover`: the successor of an authority, made in a folder of its own; the configuration says when it counts.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::folder::{BACKDATE, serial};
use super::{CliError, ca, files, show};
use crate::ca::{
    CertificateAuthority, CrossCertificates, Rollover, RolloverPhase, Signer as _, SoftwareSigner, ceremony,
};
use crate::clock::{Clock as _, SystemClock};
use crate::config;
use estd_asn1::{Certificate, Validity};

/// What `estd ca rollover` is told.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// The configuration file
    #[arg(long)]
    config: PathBuf,
    /// The authority whose place is taken; needed when there are several
    #[arg(long, value_name = "TENANT/NAME")]
    authority: Option<String>,
    /// The key of its root, unless it is a root itself; it is read, and need not stay on this machine
    #[arg(long, value_name = "FILE")]
    root_key: Option<PathBuf>,
    /// The folder to make: missing or empty; ca/NAME-YYYYMMDD beside the configuration when it is not told
    #[arg(long, value_name = "FOLDER")]
    out: Option<PathBuf>,
}

pub(super) fn run(arguments: &Arguments, out: &mut dyn Write) -> Result<(), CliError> {
    let config = ca::load(&arguments.config)?;
    let authority = ca::chosen(&config, arguments.authority.as_deref())?;
    if authority.rollover.is_some() {
        let expected = "one that has no successor yet; see estd ca status".to_owned();
        return Err(CliError::Argument { what: "--authority", given: authority.path(), expected });
    }
    let base = arguments.config.parent().unwrap_or(Path::new(""));
    let day = SystemClock.now().format("%Y%m%d");
    let folder = arguments.out.clone().unwrap_or_else(|| base.join("ca").join(format!("{}-{day}", authority.name)));
    let old = &authority.authority;
    let old_root = root(old, arguments.root_key.as_deref())?;
    if !files::is_vacant(&folder)? {
        return Err(CliError::Exists { path: folder });
    }
    files::folder(&folder)?;
    let made = Made::new(&folder, old, &old_root)?;
    writeln!(out, "made the successor of {} in {}", authority.path(), folder.display())?;
    writeln!(out, "  root SHA-256 {}", show::fingerprint(&made.root_fingerprint))?;
    if let Some(root_key) = &made.root_key {
        writeln!(out, "  move {} to a safe place: the server never needs it", root_key.display())?;
    }
    writeln!(out, "put this into {}, after the keys of authority {}:", arguments.config.display(), authority.name)?;
    writeln!(out)?;
    write!(out, "{}", made.table(base))?;
    writeln!(out)?;
    writeln!(out, "then")?;
    writeln!(out, "  estd check --config {}", show::shell_word(&arguments.config))?;
    writeln!(out, "and send the server SIGHUP. How many devices know the new CA is told by")?;
    writeln!(out, "  estd ca status --config {}", show::shell_word(&arguments.config))?;
    Ok(())
}

/// The root of the authority, able to sign.
fn root(old: &Arc<CertificateAuthority>, key: Option<&Path>) -> Result<Arc<CertificateAuthority>, CliError> {
    let argument =
        |what, given: String, expected: &str| CliError::Argument { what, given, expected: expected.to_owned() };
    match (old.chain(), key) {
        ([], None) => Ok(Arc::clone(old)),
        ([], Some(key)) => {
            let expected = "nothing: the authority is a root itself";
            Err(argument("--root-key", key.display().to_string(), expected))
        }
        ([root], Some(path)) => {
            let pem = config::secret(path).map_err(|problem| argument("--root-key", problem.to_string(), "a key"))?;
            let signer = SoftwareSigner::from_pem(&pem)?;
            Ok(Arc::new(CertificateAuthority::new(root.clone(), Vec::new(), Arc::new(signer))?))
        }
        ([root], None) => {
            let expected = format!("the file with the key of {}", root.subject());
            Err(argument("--root-key", String::new(), &expected))
        }
        (_, _) => {
            let expected = "a root, or an authority right below one; docs/rollover.md tells what others need";
            Err(argument("--authority", old.certificate().subject().to_string(), expected))
        }
    }
}

/// What was made, and where it is.
struct Made {
    certificate: PathBuf,
    key: PathBuf,
    /// `None` when the authority is its own root.
    root: Option<PathBuf>,
    root_key: Option<PathBuf>,
    old_with_new: PathBuf,
    new_with_old: PathBuf,
    root_fingerprint: [u8; 32],
}

impl Made {
    fn new(folder: &Path, old: &Arc<CertificateAuthority>, old_root: &CertificateAuthority) -> Result<Self, CliError> {
        let at = |name: &str| folder.join(name);
        let is_root = old.chain().is_empty();
        let (root_file, root_key) = if is_root { ("ca.pem", "ca.key") } else { ("root.pem", "root.key") };
        let new_root = Arc::new(new_root(old_root, &at(root_file), &at(root_key))?);
        let new = if is_root {
            Arc::clone(&new_root)
        } else {
            Arc::new(below(&new_root, old, &at("issuing.pem"), &at("issuing.key"))?)
        };
        let made = Self {
            certificate: at(if is_root { root_file } else { "issuing.pem" }),
            key: at(if is_root { root_key } else { "issuing.key" }),
            root: (!is_root).then(|| at(root_file)),
            root_key: (!is_root).then(|| at(root_key)),
            old_with_new: at("old-with-new.pem"),
            new_with_old: at("new-with-old.pem"),
            root_fingerprint: new_root.root_fingerprint(),
        };
        let cross = cross(old_root, &new_root)?;
        files::certificates(&made.old_with_new, &[&cross.old_with_new])?;
        files::certificates(&made.new_with_old, &[&cross.new_with_old])?;
        Rollover::new(Arc::clone(old), new, Some(cross), RolloverPhase::Announce)?;
        Ok(made)
    }

    /// As it goes into the configuration, whose folder is `base`.
    fn table(&self, base: &Path) -> String {
        let quoted = |path: &Path| {
            let path = path.strip_prefix(base).unwrap_or(path);
            toml::Value::from(path.display().to_string()).to_string()
        };
        let chain = self.root.iter().map(|root| quoted(root)).collect::<String>();
        format!(
            "[tenant.authority.successor]\nphase = \"announce\"\ncertificate = {}\nkey = {}\nchain = [{chain}]\n\
             old_with_new = {}\nnew_with_old = {}\n",
            quoted(&self.certificate),
            quoted(&self.key),
            quoted(&self.old_with_new),
            quoted(&self.new_with_old),
        )
    }
}

/// NewWithNew: a root of the same name and as long a life, with another key of the same kind.
fn new_root(old: &CertificateAuthority, certificate: &Path, key: &Path) -> Result<CertificateAuthority, CliError> {
    let signer = files::new_key_of(old.key().key_type(), key)?;
    let path_len = old.certificate().basic_constraints()?.unwrap_or_default().path_len;
    let validity = as_long_as(old.certificate());
    let root = ceremony::self_signed_ca(&signer, old.certificate().subject(), validity, path_len, &serial()?)?;
    files::certificates(certificate, &[&root])?;
    Ok(CertificateAuthority::new(root, Vec::new(), Arc::new(signer))?)
}

/// The CA below the new root, as the old one stands below the old root.
fn below(
    root: &CertificateAuthority,
    old: &CertificateAuthority,
    certificate: &Path,
    key: &Path,
) -> Result<CertificateAuthority, CliError> {
    let signer = files::new_key_of(old.key().key_type(), key)?;
    let path_len = old.certificate().basic_constraints()?.unwrap_or_default().path_len;
    let Validity { not_before, not_after } = as_long_as(old.certificate());
    let validity = Validity { not_before, not_after: not_after.min(root.certificate().validity().not_after) };
    let subject = old.certificate().subject();
    let issuing = ceremony::subordinate_ca(root, subject, signer.public_key(), validity, path_len, &serial()?)?;
    files::certificates(certificate, &[&issuing])?;
    Ok(CertificateAuthority::new(issuing, vec![root.certificate().clone()], Arc::new(signer))?)
}

/// RFC 4210 section 4.4.1: OldWithNew is valid for as long as the old root is, NewWithOld from when the new key was made
/// until the old root ends.
fn cross(old: &CertificateAuthority, new: &CertificateAuthority) -> Result<CrossCertificates, CliError> {
    let whole = old.certificate().validity();
    let overlap = Validity { not_before: new.certificate().validity().not_before.max(whole.not_before), ..whole };
    Ok(CrossCertificates {
        old_with_new: ceremony::cross_certificate(new, old.certificate(), whole, &serial()?)?,
        new_with_old: ceremony::cross_certificate(old, new.certificate(), overlap, &serial()?)?,
    })
}

/// From now, and from a little before it, for as long as `certificate` is valid.
fn as_long_as(certificate: &Certificate) -> Validity {
    let now = SystemClock.now();
    let Validity { not_before, not_after } = certificate.validity();
    Validity { not_before: now - BACKDATE, not_after: now + (not_after - not_before) }
}
