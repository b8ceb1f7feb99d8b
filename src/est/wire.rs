//! The shapes that answers have for the clients that are known.

use super::leniency::Tolerance;
use super::transfer::LineWrapping;

/// The shape of a label's answers; `docs/clients.md` tells which client needs which.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum WireShape {
    /// RFC 8951, in the one shape that most clients read.
    #[default]
    Rfc8951,
    /// Cisco's libest, and what was built on it.
    Libest,
    /// strongSwan up to 5.9.10, which cannot skip line breaks.
    StrongSwan598,
    /// Azure IoT Edge's certificate service, which takes nothing but 200 for an answer.
    Aziot,
}

impl WireShape {
    /// Every shape.
    pub const ALL: [Self; 4] = [Self::Rfc8951, Self::Libest, Self::StrongSwan598, Self::Aziot];

    /// The name used in configuration.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Rfc8951 => "rfc8951",
            Self::Libest => "libest",
            Self::StrongSwan598 => "strongswan-5.9.8",
            Self::Aziot => "aziot",
        }
    }

    /// The shape of a name, older names included.
    pub fn parse(name: &str) -> Option<Self> {
        match name {
            "lines" => Some(Self::Rfc8951),
            "single-line" => Some(Self::StrongSwan598),
            name => Self::ALL.into_iter().find(|shape| shape.as_str() == name),
        }
    }

    /// How base64 is laid out.
    pub const fn wrapping(self) -> LineWrapping {
        match self {
            Self::Rfc8951 | Self::Libest => LineWrapping::Lines64,
            Self::StrongSwan598 => LineWrapping::SingleLine,
            // It puts a PEM header and footer around the body and has OpenSSL read that: each line must end, and be short.
            Self::Aziot => LineWrapping::PemLines,
        }
    }

    /// Whether csrattrs says something where there is nothing to say: libest's enrollment ends at a 204, and asks again for
    /// ever upon an empty list (RFC 7030 section 4.5.2 allows both).
    pub const fn always_has_csr_attrs(self) -> bool {
        match self {
            Self::Libest => true,
            Self::Rfc8951 | Self::StrongSwan598 | Self::Aziot => false,
        }
    }

    /// Whether two roots of one name may stand in cacerts. libest looks for the issuer of each certificate by name alone: of a
    /// rollover it is given what leads to the new root (RFC 7030 section 4.1.3 has the others as SHOULD).
    pub const fn takes_two_roots_of_one_name(self) -> bool {
        match self {
            Self::Libest => false,
            Self::Rfc8951 | Self::StrongSwan598 | Self::Aziot => true,
        }
    }

    /// Whether the client leaves out attributes of RFC 7894 that it does not know, or sends them right. libest sends every
    /// attribute that it does not know, with an empty value.
    pub const fn knows_rfc_7894(self) -> bool {
        match self {
            Self::Libest => false,
            Self::Rfc8951 | Self::StrongSwan598 | Self::Aziot => true,
        }
    }

    /// Whether the client takes 202 for an answer, and comes again.
    pub const fn takes_deferral(self) -> bool {
        match self {
            Self::Aziot => false,
            Self::Rfc8951 | Self::Libest | Self::StrongSwan598 => true,
        }
    }
}

/// In which form csrattrs says what is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum CsrAttrsForm {
    /// The list of RFC 8951 section 4, as RFC 9908 section 3.2 makes it precise.
    #[default]
    List,
    /// One CertificationRequestInfoTemplate (RFC 9908 section 3.4).
    Template,
    /// Both (RFC 9908 section 4): who knows the template ignores the list.
    Both,
}

impl CsrAttrsForm {
    /// Every form.
    pub const ALL: [Self; 3] = [Self::List, Self::Template, Self::Both];

    /// The name used in configuration.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::List => "list",
            Self::Template => "template",
            Self::Both => "both",
        }
    }
}

/// How a label speaks with its clients.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct WireRules {
    /// The shape of its answers.
    pub shape: WireShape,
    /// Whether it takes what the standards do not allow.
    pub tolerance: Tolerance,
    /// The form of its csrattrs.
    pub csr_attrs: CsrAttrsForm,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_shape_has_its_name_and_old_names_go_on() {
        for shape in WireShape::ALL {
            assert_eq!(WireShape::parse(shape.as_str()), Some(shape));
        }
        assert_eq!(WireShape::parse("lines"), Some(WireShape::Rfc8951));
        assert_eq!(WireShape::parse("single-line"), Some(WireShape::StrongSwan598));
        assert_eq!(WireShape::parse("RFC8951"), None);
    }
}
