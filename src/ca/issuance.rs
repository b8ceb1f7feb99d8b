//! From an authorized enrollment to a certificate: prepare (serial drawn, contents fixed), then sign.

use chrono::{DateTime, Utc};

use super::authority::CertificateAuthority;
use super::signer::SignerError;
use crate::clock::{Entropy, EntropyFailure};
use crate::pki::certificate::{self, CertificateError, EndEntity};
use crate::pki::serial::Serial;
use crate::pki::signature::{self, SignatureError};
use crate::policy::AuthorizedEnrollment;
use crate::store::{CertificateId, ClaimGuard};
use estd_asn1::{Certificate, DecodeError, Validity};

/// Why an authorized enrollment did not become a certificate: our failure, never the client's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IssuanceFault {
    /// No randomness for the serial number.
    #[error(transparent)]
    Entropy(#[from] EntropyFailure),
    /// The contents cannot be composed, for instance because the CA has expired.
    #[error(transparent)]
    Certificate(#[from] CertificateError),
    /// The profile is one of CAs, and the CA may certify none, or none with so many below it.
    #[error("the ca certificate does not allow a ca below it with path length {path_len}")]
    PathLength {
        /// CAs that may follow the new one.
        path_len: u32,
    },
    /// The signer failed.
    #[error(transparent)]
    Signer(#[from] SignerError),
    /// The signer's signature does not verify under the CA's key.
    #[error("the signer returned a signature that does not verify: {0}")]
    BadSignature(#[source] SignatureError),
    /// What was composed cannot be read back.
    #[error("the contents of the certificate do not decode: {0}")]
    Outline(#[source] DecodeError),
}

/// A certificate about to be signed: everything in it is fixed, and the claim on its request is held. Signing it
/// consumes it, so nothing can be signed twice.
pub struct PreparedCertificate<'store> {
    enrollment: AuthorizedEnrollment,
    claim: ClaimGuard<'store>,
    serial: Serial,
    validity: Validity,
    tbs: Vec<u8>,
}

/// A signed certificate that has not been recorded: it must not leave the process yet.
pub struct SignedCertificate<'store> {
    /// What was authorized.
    pub enrollment: AuthorizedEnrollment,
    /// The claim, to be given to the store with the record.
    pub claim: ClaimGuard<'store>,
    /// Issuer and serial number.
    pub id: CertificateId,
    /// When it is valid.
    pub validity: Validity,
    /// The certificate, DER.
    pub der: Vec<u8>,
}

impl CertificateAuthority {
    /// Fixes the contents of the certificate for `enrollment`: names and key from it, validity from its profile and
    /// the CA's own, a fresh random serial number.
    ///
    /// # Errors
    /// When there is no randomness, or the CA cannot certify now; see [`IssuanceFault`].
    pub fn prepare<'store>(
        &self,
        enrollment: AuthorizedEnrollment,
        claim: ClaimGuard<'store>,
        entropy: &dyn Entropy,
        now: DateTime<Utc>,
    ) -> Result<PreparedCertificate<'store>, IssuanceFault> {
        let mut random = [0; 20];
        entropy.fill(&mut random)?;
        let serial = Serial::from_entropy(random);
        let (validity, tbs) = self.contents(&enrollment, &serial, now)?;
        Ok(PreparedCertificate { enrollment, claim, serial, validity, tbs })
    }

    /// What the certificate for `enrollment` would say. It has no signature, and its serial number stands for one yet to be
    /// drawn: it is to be looked at, and of no use otherwise.
    ///
    /// # Errors
    /// When the CA cannot certify now; see [`IssuanceFault`].
    pub fn outline(&self, enrollment: &AuthorizedEnrollment, now: DateTime<Utc>) -> Result<Certificate, IssuanceFault> {
        let (_, tbs) = self.contents(enrollment, &Serial::from_entropy([0; 20]), now)?;
        let algorithm = self.signer().algorithm().identifier();
        let unsigned = estd_asn1::certificate::encode_certificate(&tbs, algorithm, &[]);
        Certificate::decode(&unsigned).map_err(IssuanceFault::Outline)
    }

    fn contents(
        &self,
        enrollment: &AuthorizedEnrollment,
        serial: &Serial,
        now: DateTime<Utc>,
    ) -> Result<(Validity, Vec<u8>), IssuanceFault> {
        let profile = enrollment.profile();
        if let Some(path_len) = profile.ca_path_len.filter(|path_len| !self.may_certify_ca(*path_len)) {
            return Err(IssuanceFault::PathLength { path_len });
        }
        let validity = certificate::clamp_validity(now, profile.backdate, profile.validity, self.certificate())?;
        let locations = self.publication().map(|publication| publication.locations(serial.octets()));
        let tbs = certificate::end_entity_tbs(&EndEntity {
            serial,
            signature: self.signer().algorithm(),
            issuer: self.certificate().subject(),
            issuer_key_identifier: self.key_identifier(),
            validity,
            subject: enrollment.subject(),
            subject_alt_names: enrollment.subject_alt_names(),
            key: enrollment.key(),
            locations: &locations.unwrap_or_default(),
            profile,
        })?;
        Ok((validity, tbs))
    }

    /// Signs; what an external signer returns is verified before anybody can see it.
    ///
    /// # Errors
    /// When the signer fails or its signature does not verify; the claim is dropped and nothing is recorded.
    pub fn sign<'store>(
        &self,
        prepared: PreparedCertificate<'store>,
    ) -> Result<SignedCertificate<'store>, IssuanceFault> {
        let PreparedCertificate { enrollment, claim, serial, validity, tbs } = prepared;
        let algorithm = self.signer().algorithm();
        let signature = self.signer().sign(&tbs)?;
        if self.signer().is_external() {
            signature::verify(self.key(), algorithm, &tbs, &signature).map_err(IssuanceFault::BadSignature)?;
        }
        let der = estd_asn1::certificate::encode_certificate(&tbs, algorithm.identifier(), &signature);
        let id = CertificateId { issuer: self.issuer_id(), serial: serial.octets().to_vec() };
        Ok(SignedCertificate { enrollment, claim, id, validity, der })
    }
}
