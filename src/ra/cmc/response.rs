//! What a PKIResponse says of an outcome (RFC 5272 sections 4.2 and 6.1).

use estd_asn1::cmc::{self, CmcFailInfo, CmcStatusInfoV2, Control};
use estd_asn1::oid;

use super::message::Echo;
use crate::est::RejectionCode;

/// Octets of a nonce of ours.
pub(super) const NONCE_OCTETS: usize = 16;

/// A PKIResponse with one status, and what is echoed.
pub(super) fn encode(status: &CmcStatusInfoV2, echo: &Echo, nonce: &[u8; NONCE_OCTETS]) -> Vec<u8> {
    let mut controls = vec![Control::encode(1, &oid::CMC_STATUS_INFO_V2, status.encode())];
    if let Some(transaction) = &echo.transaction {
        controls.push(Control::encode(2, &oid::CMC_TRANSACTION_ID, transaction.clone()));
    }
    // RFC 5272 §6.6: the sender's nonce comes back as recipientNonce, with one of ours beside it.
    if let Some(sender_nonce) = &echo.sender_nonce {
        controls.push(Control::encode_octets(3, &oid::CMC_SENDER_NONCE, nonce));
        controls.push(Control::encode_octets(4, &oid::CMC_RECIPIENT_NONCE, sender_nonce));
    }
    // RFC 5272 §6.4: it comes back as it came.
    if let Some(data) = &echo.data_return {
        controls.push(Control::encode_octets(5, &oid::CMC_DATA_RETURN, data));
    }
    cmc::encode_pki_response(&controls, &[])
}

/// The failInfo of each refusal (RFC 5272 section 6.1.4).
pub(super) const fn fail_info(code: RejectionCode) -> CmcFailInfo {
    match code {
        RejectionCode::NotFound
        | RejectionCode::Misdirected
        | RejectionCode::MethodNotAllowed
        | RejectionCode::UnsupportedMediaType
        | RejectionCode::BadRequest
        | RejectionCode::HeaderTooLarge
        | RejectionCode::BodyTooLarge
        | RejectionCode::BodyTimeout
        | RejectionCode::BadEncoding
        | RejectionCode::BadRequestSyntax
        | RejectionCode::BadName
        | RejectionCode::BadCmc
        | RejectionCode::CmcControl
        | RejectionCode::NotRenewable
        | RejectionCode::NameChange
        | RejectionCode::KeyGenerationDenied
        | RejectionCode::EncryptionRequired
        | RejectionCode::CipherTooWeak
        | RejectionCode::DecryptKeyUnknown
        | RejectionCode::DecryptKeyUnfit
        | RejectionCode::NoCommonAlgorithm => CmcFailInfo::BadRequest,
        RejectionCode::CmcSignature => CmcFailInfo::BadMessageCheck,
        RejectionCode::SignatureAlgorithm | RejectionCode::WeakKey | RejectionCode::KeyNotAllowed => {
            CmcFailInfo::BadAlg
        }
        RejectionCode::PossessionMissing => CmcFailInfo::PopRequired,
        RejectionCode::PossessionInvalid | RejectionCode::IdentityLinking => CmcFailInfo::PopFailed,
        RejectionCode::KeyCompromised | RejectionCode::KeyInUse => CmcFailInfo::NoKeyReuse,
        RejectionCode::ExtensionNotAllowed => CmcFailInfo::UnsupportedExt,
        RejectionCode::NotInValidity => CmcFailInfo::BadTime,
        RejectionCode::AuthMissing
        | RejectionCode::Untrusted
        | RejectionCode::CertificateUsage
        | RejectionCode::Revoked
        | RejectionCode::CrossTenant
        | RejectionCode::IdentityMissing
        | RejectionCode::IdentityMismatch
        | RejectionCode::SubjectMismatch
        | RejectionCode::SubjectAltNameMismatch
        | RejectionCode::Superseded
        | RejectionCode::DeviceNotListed
        | RejectionCode::DeviceSuspended
        | RejectionCode::DeviceRevoked
        | RejectionCode::IdentityConflict
        | RejectionCode::CloneSuspected
        | RejectionCode::NotApproved
        | RejectionCode::AuthorizationDenied
        | RejectionCode::RaScope
        | RejectionCode::AuthRequired
        | RejectionCode::AuthFailed
        | RejectionCode::NonceStale
        | RejectionCode::CodeUsed => CmcFailInfo::BadIdentity,
        RejectionCode::TooManyRequests
        | RejectionCode::LockedOut
        | RejectionCode::Overloaded
        | RejectionCode::RateLimited
        | RejectionCode::QuotaExceeded => CmcFailInfo::TryLater,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// CMC-07: RFC 5272 section 6.1.4. What no refusal here means is never said: badCertId, mustArchiveKeys, authDataFail;
    /// what a fault means is said elsewhere.
    #[test]
    fn every_refusal_has_its_fail_info() {
        let said: Vec<_> = RejectionCode::ALL.iter().map(|code| fail_info(*code)).collect();
        for (code, info) in [
            (RejectionCode::SignatureAlgorithm, CmcFailInfo::BadAlg),
            (RejectionCode::CmcSignature, CmcFailInfo::BadMessageCheck),
            (RejectionCode::BadCmc, CmcFailInfo::BadRequest),
            (RejectionCode::NotInValidity, CmcFailInfo::BadTime),
            (RejectionCode::ExtensionNotAllowed, CmcFailInfo::UnsupportedExt),
            (RejectionCode::IdentityMismatch, CmcFailInfo::BadIdentity),
            (RejectionCode::PossessionMissing, CmcFailInfo::PopRequired),
            (RejectionCode::PossessionInvalid, CmcFailInfo::PopFailed),
            (RejectionCode::KeyInUse, CmcFailInfo::NoKeyReuse),
            (RejectionCode::TooManyRequests, CmcFailInfo::TryLater),
        ] {
            assert_eq!(fail_info(code), info);
        }
        for never in [CmcFailInfo::BadCertId, CmcFailInfo::MustArchiveKeys, CmcFailInfo::AuthDataFail] {
            assert!(!said.contains(&never));
        }
    }
}
