//! A key that lives in the memory of this process alone, certified by the CA to sign messages of one kind.
//!
//! A CA's key signs certificates, and nothing else. What else is to be signed in its name is signed by an appointee: the CA
//! certifies a fresh key for that one purpose, and another one when that is due or the process starts anew.

use std::sync::{Arc, Mutex, PoisonError};

use chrono::{DateTime, TimeDelta, Utc};
use estd_asn1::signed_data::{self, SignedAttributes, SignerInfo};
use estd_asn1::{AlgorithmIdentifier, Certificate, Oid, oid};
use zeroize::Zeroizing;

use super::authority::CertificateAuthority;
use super::ceremony::{self, CeremonyError};
use super::signer::{Signer as _, SignerError};
use super::software_signer::SoftwareSigner;
use crate::clock::{Entropy, EntropyFailure};
use crate::pki::certificate::Appointment;
use crate::pki::digest::sha256;
use crate::pki::public_key::KeyType;
use crate::pki::serial::Serial;

/// How long a certificate of an appointee is valid.
const LIFE: TimeDelta = TimeDelta::days(30);

/// Why there is no signature: our failure, never the client's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AppointmentFault {
    /// The appointee has no key to sign with, or did not sign.
    #[error("the appointee: {0}")]
    Signer(#[from] SignerError),
    /// The authority does not certify the appointee.
    #[error("the certificate of the appointee cannot be issued: {0}")]
    Certificate(#[from] CeremonyError),
    /// No randomness for a serial number.
    #[error(transparent)]
    Entropy(#[from] EntropyFailure),
}

/// Signs messages of one kind under the certificate of one authority.
pub(super) struct Appointee {
    authority: Arc<CertificateAuthority>,
    appointment: Appointment,
    current: Mutex<Option<Arc<Identity>>>,
}

/// Whom it signs as.
struct Identity {
    signer: SoftwareSigner,
    certificate: Certificate,
    renew_at: DateTime<Utc>,
}

/// A signed message.
pub(super) struct SignedByAppointee {
    /// SignedData, DER.
    pub(super) signed_data: Zeroizing<Vec<u8>>,
    /// The serial number of the appointee's certificate, when it had to be issued for this.
    pub(super) appointed: Option<Serial>,
}

impl Appointee {
    /// An appointee that `authority` certifies once it is needed.
    pub(super) fn new(authority: Arc<CertificateAuthority>, appointment: Appointment) -> Self {
        Self { authority, appointment, current: Mutex::default() }
    }

    /// Signs a content. `others` are sent along, beside what leads from the appointee to a root.
    ///
    /// # Errors
    /// When the authority does not certify the appointee, or the crypto backend or the random source fails.
    pub(super) fn sign(
        &self,
        content_type: Oid,
        content: &[u8],
        others: &[&Certificate],
        entropy: &dyn Entropy,
        now: DateTime<Utc>,
    ) -> Result<SignedByAppointee, AppointmentFault> {
        let (identity, appointed) = self.identity(entropy, now)?;
        let attributes = SignedAttributes::new(content_type, &sha256(&[content]));
        let signature = identity.signer.sign(attributes.to_be_signed())?;
        let signer = SignerInfo {
            certificate: &identity.certificate,
            // RFC 5754 §2.2: the parameters are absent.
            digest_algorithm: &AlgorithmIdentifier::new(oid::SHA256, None),
            attributes: &attributes,
            signature_algorithm: identity.signer.algorithm().identifier(),
            signature: &signature,
        };
        let own = std::iter::once(&identity.certificate).chain(self.authority.below_root());
        let certificates: Vec<&Certificate> = own.chain(others.iter().copied()).collect();
        Ok(SignedByAppointee { signed_data: signed_data::encode(content, &certificates, &signer), appointed })
    }

    /// Who signs now; a new one when there is none, or when two thirds of its life are over.
    fn identity(
        &self,
        entropy: &dyn Entropy,
        now: DateTime<Utc>,
    ) -> Result<(Arc<Identity>, Option<Serial>), AppointmentFault> {
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        let usable =
            |identity: &&Arc<Identity>| (identity.certificate.validity().not_before..identity.renew_at).contains(&now);
        if let Some(identity) = current.as_ref().filter(usable) {
            return Ok((Arc::clone(identity), None));
        }
        let (signer, _) = SoftwareSigner::generate(KeyType::P256)?;
        let mut random = [0; 20];
        entropy.fill(&mut random)?;
        let serial = Serial::from_entropy(random);
        let validity = ceremony::validity(now, LIFE, self.authority.certificate())?;
        let key = signer.public_key();
        let certificate = ceremony::appointed_certificate(&self.authority, self.appointment, key, validity, &serial)?;
        let renew_at = validity.not_before + (validity.not_after - validity.not_before) * 2 / 3;
        let identity = Arc::new(Identity { signer, certificate, renew_at });
        *current = Some(Arc::clone(&identity));
        Ok((identity, Some(serial)))
    }
}
