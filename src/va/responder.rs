//! Who signs OCSP answers: a key in the memory of this process, certified by the CA for this alone, anew when that is due.

use std::sync::{Arc, Mutex, PoisonError};

use chrono::{DateTime, TimeDelta, Utc};
use estd_asn1::Certificate;

use super::Ports;
use super::ocsp::ResponderFault;
use crate::audit::{AuditEvent, AuditOutcome};
use crate::ca::{CertificateAuthority, Signer as _, SoftwareSigner, ceremony};
use crate::pki::cert_id::key_hash;
use crate::pki::certificate::Appointment;
use crate::pki::serial::Serial;

/// Whom answers are signed as.
pub(super) struct Identity {
    pub(super) signer: SoftwareSigner,
    pub(super) certificate: Certificate,
    /// SHA-1 of the key, by which answers name the responder.
    pub(super) key_hash: [u8; 20],
    renew_at: DateTime<Utc>,
}

/// The responder of one CA.
#[derive(Default)]
pub(super) struct Responder(Mutex<Option<Arc<Identity>>>);

impl Responder {
    /// Who signs now; somebody new when half of the certificate's life is over, so that no answer outlives it. Blocks: it
    /// signs, and the record of that is durable before it is used.
    pub(super) fn identity(
        &self,
        authority: &CertificateAuthority,
        name: &str,
        life: TimeDelta,
        ports: &Ports,
    ) -> Result<Arc<Identity>, ResponderFault> {
        let now = ports.clock.now();
        let mut current = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let usable =
            |identity: &&Arc<Identity>| (identity.certificate.validity().not_before..identity.renew_at).contains(&now);
        if let Some(identity) = current.as_ref().filter(usable) {
            return Ok(Arc::clone(identity));
        }
        // Whoever verifies the CA's signatures verifies those of a key of the same kind.
        let (signer, _) = SoftwareSigner::generate(authority.key().key_type())?;
        let mut random = [0; 20];
        ports.entropy.fill(&mut random)?;
        let serial = Serial::from_entropy(random);
        let validity = ceremony::validity(now, life, authority.certificate())?;
        let certificate = ceremony::appointed_certificate(
            authority,
            Appointment::OcspResponder,
            signer.public_key(),
            validity,
            &serial,
        )?;
        ports.store.record_facts(Vec::new(), event(name, &serial, now))?.wait()?;
        let identity = Arc::new(Identity {
            key_hash: key_hash(certificate.public_key().key()),
            signer,
            certificate,
            renew_at: now + (validity.not_after - now) / 2,
        });
        *current = Some(Arc::clone(&identity));
        Ok(identity)
    }
}

fn event(name: &str, serial: &Serial, at: DateTime<Utc>) -> AuditEvent {
    let tenant = name.split('/').next().unwrap_or_default().to_owned();
    let outcome = AuditOutcome::Issued { serial: serial.octets().to_vec(), repeated: false, generated_key: None };
    AuditEvent { tenant, ..AuditEvent::of_server(at, "ocsp-responder", outcome) }
}
