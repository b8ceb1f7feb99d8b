//! When a certificate of a label is to be renewed (draft-ietf-lamps-est-renewal-info).

use super::RegistrationAuthority;
use super::label::LabelContext;
use super::refusal::{Fault, Refusal};
use crate::est::{EstResponse, Rejection, RejectionCode, RenewalIdentifier, ResponseBody};
use crate::policy::Renewable;
use crate::store::{CertificateId, CertificateStatus};

impl RegistrationAuthority {
    /// The suggested window of a certificate, to whoever names it. The draft asks nobody who it is, and a certificate that
    /// has ended, or was revoked, could not prove it. To name it is to hold it: the serial number is random, and one that
    /// is not of this label is answered as one that never was.
    ///
    /// # Errors
    /// When this label issued no such certificate, or the store cannot tell.
    pub fn renewal_info(&self, label: &LabelContext, named: &RenewalIdentifier) -> Result<EstResponse, Refusal> {
        let unknown = || {
            let reason = "this label issued no such certificate";
            Refusal::from(Rejection::new(RejectionCode::NotFound, "draft-ietf-lamps-est-renewal-info 3.1", reason))
        };
        let issuer = label.authorities().find(|ca| ca.key_identifier() == named.key_identifier).ok_or_else(unknown)?;
        let id = CertificateId { issuer: issuer.issuer_id(), serial: named.serial.clone() };
        let store = self.ports.store.as_ref();
        let record = store.certificate(&id).map_err(Fault::from)?.ok_or_else(unknown)?;
        if record.tenant != label.tenant || record.label != label.label.as_str() {
            return Err(unknown());
        }
        let revoked_at = match store.status(&id).map_err(Fault::from)? {
            CertificateStatus::Revoked(revocation) => Some(revocation.at),
            CertificateStatus::Good { .. } | CertificateStatus::Unknown => None,
        };
        let info = label.renewal.info(&Renewable {
            issuer: &id.issuer,
            serial: &id.serial,
            issued_at: record.issued_at,
            not_after: record.not_after,
            revoked_at,
        });
        Ok(EstResponse { body: ResponseBody::RenewalInfo(info) })
    }
}
