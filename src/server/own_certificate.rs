//! The server's own certificate: kept with its key in the data folder, issued anew when it is due or does not fit.

use std::io;
use std::path::{Path, PathBuf};

use chrono::{DateTime, TimeDelta, Utc};
use zeroize::Zeroizing;

use crate::audit::{AuditEvent, AuditOutcome};
use crate::ca::ceremony::{self, CeremonyError};
use crate::ca::{CertificateAuthority, Rollover, Signer as _, SignerError, SoftwareSigner};
use crate::clock::EntropyFailure;
use crate::config::{self, CertificateSource};
use crate::durable_file;
use crate::pki::certificate::{self, CertificateError};
use crate::pki::pem;
use crate::pki::public_key::KeyType;
use crate::pki::serial::Serial;
use crate::ra::Ports;
use crate::tls::{ServerCertificate, ServerCertificateError};
use estd_asn1::{Certificate, GeneralName};

/// Key, leaf and chain in one file: replacing it is one rename.
const FILE: &str = "server-certificate.pem";
/// It holds the key.
const FILE_MODE: u32 = 0o600;
/// How far notBefore lies in the past, for devices whose clocks are behind.
const BACKDATE: TimeDelta = TimeDelta::hours(1);
/// Entries a kept certificate may have in its subjectAltName.
const MAX_NAMES: usize = 256;

/// Why there is no server certificate.
#[derive(Debug, thiserror::Error)]
pub enum OwnCertificateError {
    /// The file cannot be written.
    #[error("cannot write {}: {source}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The key cannot be made.
    #[error("cannot make a key: {0}")]
    Key(#[from] SignerError),
    /// The authority does not issue it.
    #[error("cannot be issued: {0}")]
    Issue(#[from] CeremonyError),
    /// No randomness.
    #[error(transparent)]
    Entropy(#[from] EntropyFailure),
    /// It would be valid at no time.
    #[error("cannot be issued: {0}")]
    Validity(#[from] CertificateError),
    /// Clients would refuse it.
    #[error(transparent)]
    Unfit(#[from] ServerCertificateError),
}

/// What the server shows.
pub(super) struct Presented {
    /// Leaf and intermediates with the key.
    pub(super) certificate: ServerCertificate,
    /// When it must be replaced; `None` when that is not ours to do.
    pub(super) renew_at: Option<DateTime<Utc>>,
}

/// The certificate from files, or our own: the one kept in `data_dir` while it fits, else a new one.
pub(super) fn obtain(
    source: &CertificateSource,
    data_dir: &Path,
    ports: &Ports,
) -> Result<Presented, OwnCertificateError> {
    match source {
        CertificateSource::Files(certificate) => {
            Ok(Presented { certificate: certificate.as_ref().clone(), renew_at: None })
        }
        CertificateSource::Own { issuer, rollover, names, validity } => {
            let bridge = rollover.as_deref().and_then(Rollover::bridge);
            let order = Order { issuer, bridge, names, validity: *validity };
            match order.kept(data_dir, ports.clock.now()) {
                Some(presented) => Ok(presented),
                None => order.issue(data_dir, ports),
            }
        }
    }
}

/// What our own certificate should be.
struct Order<'a> {
    issuer: &'a CertificateAuthority,
    /// What leads from another root of the issuer's to the present one.
    bridge: Option<&'a Certificate>,
    names: &'a [GeneralName],
    validity: TimeDelta,
}

impl Order<'_> {
    /// The kept certificate, unless it is missing, unreadable, due, or not what is ordered.
    fn kept(&self, data_dir: &Path, now: DateTime<Utc>) -> Option<Presented> {
        let text = config::secret(&data_dir.join(FILE)).ok()?;
        let certificate = ServerCertificate::from_pem(text.as_bytes(), text.as_bytes()).ok()?;
        let leaf = certificate.leaf();
        let renew_at = self.renew_at(leaf);
        let fits = leaf.subject_alt_names(MAX_NAMES).ok()? == self.names
            && self.issuer.has_issued(leaf)
            && certificate.chain().eq(self.chain(leaf).map(Certificate::der))
            && (leaf.validity().not_before..renew_at).contains(&now);
        fits.then_some(Presented { certificate, renew_at: Some(renew_at) })
    }

    fn issue(&self, data_dir: &Path, ports: &Ports) -> Result<Presented, OwnCertificateError> {
        let now = ports.clock.now();
        let (signer, key) = SoftwareSigner::generate(KeyType::P256)?;
        let mut random = [0; 20];
        ports.entropy.fill(&mut random)?;
        let serial = Serial::from_entropy(random);
        let validity = certificate::clamp_validity(now, BACKDATE, self.validity, self.issuer.certificate())?;
        let leaf = ceremony::server_certificate(self.issuer, self.names, signer.public_key(), validity, &serial)?;
        let chain: String = self.chain(&leaf).map(|certificate| pem::certificate(certificate.der())).collect();
        let text = Zeroizing::new([key.as_str(), &chain].concat());
        let certificate = ServerCertificate::from_pem(text.as_bytes(), text.as_bytes())?;
        durable_file::replace(&data_dir.join(FILE), FILE_MODE, text.as_bytes())
            .map_err(|source| OwnCertificateError::Write { path: data_dir.join(FILE), source })?;
        ports.store.record_event(self.event(&serial, now));
        let renew_at = self.renew_at(&leaf);
        tracing::info!(%serial, until = %leaf.validity().not_after, renewal = %renew_at, "issued the server certificate");
        Ok(Presented { certificate, renew_at: Some(renew_at) })
    }

    /// After two thirds of its life, or of the life that is configured now if that is shorter.
    fn renew_at(&self, leaf: &Certificate) -> DateTime<Utc> {
        let life = leaf.validity().not_after - leaf.validity().not_before;
        leaf.validity().not_before + life.min(self.validity) * 2 / 3
    }

    /// RFC 8446 §4.4.2: leaf first, each certifying the one before; the root, which the peer must hold, left out. A peer
    /// that holds the root before it, or the one after, finds the way from that to this.
    fn chain<'c>(&'c self, leaf: &'c Certificate) -> impl Iterator<Item = &'c Certificate> {
        std::iter::once(leaf).chain(self.issuer.below_root()).chain(self.bridge)
    }

    fn event(&self, serial: &Serial, at: DateTime<Utc>) -> AuditEvent {
        AuditEvent::of_server(
            at,
            "server-certificate",
            AuditOutcome::Issued { serial: serial.octets().to_vec(), repeated: false, generated_key: None },
        )
    }
}
