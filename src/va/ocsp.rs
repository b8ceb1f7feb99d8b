//! OCSP (RFC 6960, RFC 9919): what is asked of one CA's certificates, looked up, signed and answered.

use std::sync::Arc;

use chrono::{DateTime, SubsecRound as _, Utc};
use estd_asn1::ocsp_request::{CertId, OcspRequest};
use estd_asn1::ocsp_response::{self, CertStatus, OcspResponseStatus, SingleResponse};

use super::Ports;
use super::answers::Held;
use super::issuer::Issuer;
use super::published::Published;
use super::responder::Identity;
use crate::ca::ceremony::CeremonyError;
use crate::ca::{Signer as _, SignerError};
use crate::clock::EntropyFailure;
use crate::pki::revocation::RevocationReason;
use crate::store::former::FormerCertificate;
use crate::store::{CertificateId, CertificateStatus, StoreFault};

/// Why there is no answer: our failure.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ResponderFault {
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreFault),
    /// The responder has no key, or did not sign.
    #[error("the ocsp responder: {0}")]
    Signer(#[from] SignerError),
    /// The CA does not certify the responder.
    #[error("the certificate of the ocsp responder cannot be issued: {0}")]
    Certificate(#[from] CeremonyError),
    /// No randomness for a serial number.
    #[error(transparent)]
    Entropy(#[from] EntropyFailure),
}

/// An answer to a request.
#[derive(Debug, Clone)]
pub struct OcspAnswer {
    /// OCSPResponse.
    pub response: Arc<Published>,
    /// Whether it answers the same question of others as well, until its nextUpdate.
    pub is_shared: bool,
    /// What it says, by the names of the standard: a status for each certificate, or the one error.
    pub says: Vec<&'static str>,
    /// What went wrong here, for the log.
    pub fault: Option<ResponderFault>,
}

impl OcspAnswer {
    /// The answer that there is none; it is not signed.
    pub fn error(status: OcspResponseStatus, now: DateTime<Utc>) -> Self {
        let says = match status {
            OcspResponseStatus::Successful => "successful",
            OcspResponseStatus::MalformedRequest => "malformedRequest",
            OcspResponseStatus::InternalError => "internalError",
            OcspResponseStatus::TryLater => "tryLater",
            OcspResponseStatus::SigRequired => "sigRequired",
            OcspResponseStatus::Unauthorized => "unauthorized",
        };
        let response = Arc::new(Published::new(ocsp_response::encode_error(status), now, None));
        Self { response, is_shared: false, says: vec![says], fault: None }
    }
}

impl Issuer {
    /// Answers a request. Blocks: it may sign, and when the responder is new it waits for the disk.
    pub fn answer(&self, request: &[u8], ports: &Ports) -> OcspAnswer {
        let now = ports.clock.now();
        let Ok(request) = OcspRequest::decode(request, self.publication().rules.ocsp_max_certificates) else {
            return OcspAnswer::error(OcspResponseStatus::MalformedRequest, now);
        };
        // RFC 9919 §3.2.3 and RFC 6960 §2.3: unauthorized, when it cannot answer for any of them.
        if !request.certificates.iter().any(|certificate| self.digests.match_issuer_of(certificate)) {
            return OcspAnswer::error(OcspResponseStatus::Unauthorized, now);
        }
        self.decide(&request, now, ports).unwrap_or_else(|fault| {
            let status = match fault {
                ResponderFault::Store(_) => OcspResponseStatus::TryLater,
                ResponderFault::Signer(_) | ResponderFault::Certificate(_) | ResponderFault::Entropy(_) => {
                    OcspResponseStatus::InternalError
                }
            };
            OcspAnswer { fault: Some(fault), ..OcspAnswer::error(status, now) }
        })
    }

    fn decide(&self, request: &OcspRequest, now: DateTime<Utc>, ports: &Ports) -> Result<OcspAnswer, ResponderFault> {
        let statuses = request.certificates.iter().map(|certificate| self.status(certificate, ports));
        let statuses: Vec<CertStatus> = statuses.collect::<Result<_, _>>()?;
        let says = statuses.iter().map(said).collect();
        let rules = &self.publication().rules;
        // RFC 9919 §3.1.2: one certificate, no nonce: an answer that was made before will do, while it is young and true.
        let single = match (request.certificates.as_slice(), statuses.as_slice(), &request.nonce) {
            ([certificate], [status], None) => Some((certificate, *status)),
            _ => None,
        };
        let is_young =
            |held: &Held| held.answer.this_update <= now && now - held.answer.this_update < rules.ocsp_lifetime / 2;
        if let Some((certificate, status)) = single
            && let Some(held) = self.answers.get(certificate).filter(|held| held.status == status && is_young(held))
        {
            return Ok(OcspAnswer { response: held.answer, is_shared: true, says, fault: None });
        }
        let identity = self.responder.identity(self.authority(), self.name(), rules.responder_lifetime, ports)?;
        let response = Arc::new(self.sign_answer(request, &statuses, &identity, now)?);
        if let Some((certificate, status)) = single {
            self.answers.put(certificate.clone(), Held { status, answer: Arc::clone(&response) });
        }
        Ok(OcspAnswer { response, is_shared: request.nonce.is_none(), says, fault: None })
    }

    /// What is known of a certificate. One that was never issued is unknown, never good (RFC 6960 section 2.2).
    fn status(&self, certificate: &CertId, ports: &Ports) -> Result<CertStatus, StoreFault> {
        if !self.digests.match_issuer_of(certificate) {
            return Ok(CertStatus::Unknown);
        }
        let id = CertificateId { issuer: self.authority().issuer_id(), serial: certificate.serial().to_vec() };
        Ok(match ports.store.status(&id)? {
            CertificateStatus::Unknown if FormerCertificate::find(ports.store.as_ref(), &id)?.is_some() => {
                CertStatus::Good
            }
            CertificateStatus::Unknown => CertStatus::Unknown,
            CertificateStatus::Good { .. } => CertStatus::Good,
            CertificateStatus::Revoked(revocation) => {
                let reason = RevocationReason::from_code(revocation.reason).unwrap_or(RevocationReason::Unspecified);
                CertStatus::Revoked { at: revocation.at, reason: reason.crl_reason() }
            }
        })
    }

    fn sign_answer(
        &self,
        request: &OcspRequest,
        statuses: &[CertStatus],
        identity: &Identity,
        now: DateTime<Utc>,
    ) -> Result<Published, SignerError> {
        let this_update = now.trunc_subsecs(0);
        let next_update = this_update + self.publication().rules.ocsp_lifetime;
        let single = |(certificate, status): (_, &CertStatus)| SingleResponse {
            certificate,
            status: *status,
            this_update,
            next_update,
        };
        let responses: Vec<_> = request.certificates.iter().zip(statuses).map(single).collect();
        // RFC 9654 §2.1: the nonce of the request is repeated.
        let nonce = request.nonce.as_deref();
        let data = ocsp_response::encode_response_data(&identity.key_hash, this_update, &responses, nonce);
        let signature = identity.signer.sign(&data)?;
        let algorithm = identity.signer.algorithm().identifier();
        let der = ocsp_response::encode_response(&data, algorithm, &signature, identity.certificate.der());
        Ok(Published::new(der, this_update, Some(next_update)))
    }
}

fn said(status: &CertStatus) -> &'static str {
    match status {
        CertStatus::Good => "good",
        CertStatus::Revoked { .. } => "revoked",
        CertStatus::Unknown => "unknown",
    }
}
