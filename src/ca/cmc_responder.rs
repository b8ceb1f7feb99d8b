//! The CMC responder: signs what is answered to Full PKI Requests (RFC 7030 section 4.3.2).
//!
//! RFC 6402 section 2.10 marks who may speak for a CA in CMC by id-kp-cmcCA.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use estd_asn1::{Certificate, oid, signed_data};

use super::appointee::{Appointee, AppointmentFault};
use super::authority::CertificateAuthority;
use crate::clock::Entropy;
use crate::pki::certificate::Appointment;
use crate::pki::serial::Serial;

/// Signs PKIResponses under the certificate of one authority.
pub struct CmcResponder(Appointee);

/// A Full PKI Response.
pub struct SignedResponse {
    /// ContentInfo over SignedData over PKIResponse, DER.
    pub der: Vec<u8>,
    /// The serial number of the responder's certificate, when it had to be issued for this.
    pub appointed: Option<Serial>,
}

impl CmcResponder {
    /// A responder that `authority` certifies once it is needed.
    pub fn new(authority: Arc<CertificateAuthority>) -> Self {
        Self(Appointee::new(authority, Appointment::CmcResponder))
    }

    /// Signs a PKIResponse; `issued` is sent along.
    ///
    /// # Errors
    /// When the authority does not certify the responder, or the crypto backend or the random source fails.
    pub fn respond(
        &self,
        pki_response: &[u8],
        issued: Option<&Certificate>,
        entropy: &dyn Entropy,
        now: DateTime<Utc>,
    ) -> Result<SignedResponse, AppointmentFault> {
        let signed = self.0.sign(oid::PKI_RESPONSE, pki_response, issued.as_slice(), entropy, now)?;
        Ok(SignedResponse { der: signed_data::content_info(&signed.signed_data), appointed: signed.appointed })
    }
}
