//! Why a certificate is revoked (RFC 5280 section 5.3.1).

use std::fmt;
use std::str::FromStr;

use estd_asn1::CrlReason;

/// A reason to revoke a certificate: those of [`CrlReason`] but removeFromCRL, which takes a revocation back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RevocationReason {
    /// Nothing is said.
    Unspecified,
    /// Somebody else has the key.
    KeyCompromise,
    /// Somebody else has the key of the CA that is certified.
    CaCompromise,
    /// The names in it are no longer true.
    AffiliationChanged,
    /// Another certificate took its place.
    Superseded,
    /// It is no longer needed.
    CessationOfOperation,
    /// Not to be relied on for now: the one reason that can be lifted.
    CertificateHold,
    /// Its holder may no longer do what it is for.
    PrivilegeWithdrawn,
    /// Somebody else has the key of the attribute authority that is certified.
    AaCompromise,
}

/// The text names no reason.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected one of {}, found {found:?}", RevocationReason::names())]
pub struct UnknownReason {
    /// The text.
    pub found: String,
}

impl RevocationReason {
    /// Every reason.
    pub const ALL: [Self; 9] = [
        Self::Unspecified,
        Self::KeyCompromise,
        Self::CaCompromise,
        Self::AffiliationChanged,
        Self::Superseded,
        Self::CessationOfOperation,
        Self::CertificateHold,
        Self::PrivilegeWithdrawn,
        Self::AaCompromise,
    ];

    /// As it stands on the wire.
    pub const fn crl_reason(self) -> CrlReason {
        match self {
            Self::Unspecified => CrlReason::Unspecified,
            Self::KeyCompromise => CrlReason::KeyCompromise,
            Self::CaCompromise => CrlReason::CaCompromise,
            Self::AffiliationChanged => CrlReason::AffiliationChanged,
            Self::Superseded => CrlReason::Superseded,
            Self::CessationOfOperation => CrlReason::CessationOfOperation,
            Self::CertificateHold => CrlReason::CertificateHold,
            Self::PrivilegeWithdrawn => CrlReason::PrivilegeWithdrawn,
            Self::AaCompromise => CrlReason::AaCompromise,
        }
    }

    /// The number of the ENUMERATED.
    pub const fn code(self) -> u8 {
        self.crl_reason().code()
    }

    /// The reason of this number.
    pub fn from_code(code: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|reason| reason.code() == code)
    }

    /// Its name in RFC 5280.
    pub const fn as_str(self) -> &'static str {
        self.crl_reason().as_str()
    }

    /// Whether somebody else has the key: it is never to be certified again.
    pub const fn is_compromise(self) -> bool {
        match self {
            Self::KeyCompromise | Self::CaCompromise | Self::AaCompromise => true,
            Self::Unspecified
            | Self::AffiliationChanged
            | Self::Superseded
            | Self::CessationOfOperation
            | Self::CertificateHold
            | Self::PrivilegeWithdrawn => false,
        }
    }

    /// Whether it can be lifted: RFC 5280 section 5.3.1 and removeFromCRL know of the hold alone.
    pub fn is_hold(self) -> bool {
        self == Self::CertificateHold
    }

    /// What a revocation for this reason becomes when it is asked for again with another one; `None` when it stands. A hold
    /// becomes final, and what is known to be in the wrong hands is told so.
    pub fn revised(self, asked: Self) -> Option<Self> {
        let worse = asked.is_compromise() && !self.is_compromise();
        (worse || (self.is_hold() && !asked.is_hold())).then_some(asked)
    }

    fn names() -> String {
        Self::ALL.map(Self::as_str).join(", ")
    }
}

impl fmt::Display for RevocationReason {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

impl FromStr for RevocationReason {
    type Err = UnknownReason;

    fn from_str(text: &str) -> Result<Self, UnknownReason> {
        let found = || UnknownReason { found: text.to_owned() };
        Self::ALL.into_iter().find(|reason| reason.as_str() == text).ok_or_else(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hold_becomes_final_and_a_compromise_is_told_of_whatever_stood_before() {
        use RevocationReason::{CaCompromise, CertificateHold, KeyCompromise, Superseded, Unspecified};
        for (stands, asked, becomes) in [
            (CertificateHold, Unspecified, Some(Unspecified)),
            (CertificateHold, CertificateHold, None),
            (Superseded, CertificateHold, None),
            (Superseded, Unspecified, None),
            (Superseded, KeyCompromise, Some(KeyCompromise)),
            (KeyCompromise, CaCompromise, None),
            (KeyCompromise, Superseded, None),
        ] {
            assert_eq!(stands.revised(asked), becomes, "{stands} {asked}");
        }
    }

    #[test]
    fn reasons_have_the_numbers_and_names_of_rfc_5280() {
        assert_eq!(RevocationReason::ALL.map(RevocationReason::code), [0, 1, 2, 3, 4, 5, 6, 9, 10]);
        for reason in RevocationReason::ALL {
            assert_eq!(RevocationReason::from_code(reason.code()), Some(reason));
            assert_eq!(reason.to_string().parse(), Ok(reason));
        }
        for code in [7, 8, 11, 255] {
            assert_eq!(RevocationReason::from_code(code), None, "{code}");
        }
        assert!("removeFromCRL".parse::<RevocationReason>().is_err());
        assert!("KeyCompromise".parse::<RevocationReason>().is_err());
    }
}
