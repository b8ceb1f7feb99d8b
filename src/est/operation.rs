//! The operations of EST and the paths they live at (RFC 7030 section 3.2.2).

use super::label::Label;

/// An operation estd serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Operation {
    /// Distribution of CA certificates (RFC 7030 section 4.1).
    CaCerts,
    /// Enrollment of a new client (RFC 7030 section 4.2).
    SimpleEnroll,
    /// Renewal or rekey of a current certificate (RFC 7030 section 4.2.2).
    SimpleReenroll,
    /// What a request should carry (RFC 7030 section 4.5, RFC 9908).
    CsrAttrs,
    /// Enrollment with a key that the server makes (RFC 7030 section 4.4).
    ServerKeyGen,
    /// Full CMC (RFC 7030 section 4.3).
    FullCmc,
}

impl Operation {
    /// Every operation served.
    pub const ALL: [Self; 6] =
        [Self::CaCerts, Self::SimpleEnroll, Self::SimpleReenroll, Self::CsrAttrs, Self::ServerKeyGen, Self::FullCmc];

    /// Every path segment that EST (RFC 7030), its extensions (RFC 8295) and BRSKI (RFC 8995) define, served or not: no
    /// label may be one of them.
    pub const RESERVED_SEGMENTS: [&'static str; 19] = [
        "cacerts",
        "simpleenroll",
        "simplereenroll",
        "fullcmc",
        "serverkeygen",
        "csrattrs",
        "pal",
        "cacrls",
        "crls",
        "symmetrickeys",
        "symmetrickeys.return",
        "firmware",
        "firmware.return",
        "tamp",
        "tampresponse",
        "requestvoucher",
        "voucher_status",
        "requestauditlog",
        "enrollstatus",
    ];

    /// The path segment, matched exactly and in lower case.
    pub const fn segment(self) -> &'static str {
        match self {
            Self::CaCerts => "cacerts",
            Self::SimpleEnroll => "simpleenroll",
            Self::SimpleReenroll => "simplereenroll",
            Self::CsrAttrs => "csrattrs",
            Self::ServerKeyGen => "serverkeygen",
            Self::FullCmc => "fullcmc",
        }
    }
}

/// What a path names: an operation, at a label or at the default one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EstTarget {
    /// `None` is the path without a label, which always works.
    pub label: Option<Label>,
    /// The operation.
    pub operation: Operation,
}

impl EstTarget {
    /// The prefix of every EST path (RFC 7030 section 3.2.2, RFC 8615).
    pub const PREFIX: &'static str = "/.well-known/est/";

    /// Parses the path of a request target, byte for byte: no percent-decoding, no dot segments, no empty segments, no
    /// trailing slash. Whatever is not exactly an EST path is `None`.
    pub fn parse(path: &str) -> Option<Self> {
        let rest = path.strip_prefix(Self::PREFIX)?;
        let (label, segment) = match rest.split_once('/') {
            Some((label, segment)) => (Some(Label::parse(label).ok()?), segment),
            None => (None, rest),
        };
        let operation = Operation::ALL.into_iter().find(|operation| operation.segment() == segment)?;
        Some(Self { label, operation })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_names_one_operation_at_one_label() {
        for operation in Operation::ALL {
            let plain = format!("/.well-known/est/{}", operation.segment());
            assert_eq!(EstTarget::parse(&plain), Some(EstTarget { label: None, operation }));
            let labelled = format!("/.well-known/est/acme-1.x/{}", operation.segment());
            let label = Some(Label::parse("acme-1.x").unwrap());
            assert_eq!(EstTarget::parse(&labelled), Some(EstTarget { label, operation }));
        }
    }

    #[test]
    fn no_other_spelling_names_anything() {
        for path in [
            "",
            "/",
            "/.well-known/est",
            "/.well-known/est/",
            "/.well-known/est/label",
            "/.well-known/est/label/",
            "/.well-known/est//cacerts",
            "/.well-known/est/cacerts/",
            "/.well-known/est/label/cacerts/",
            "/.well-known/est/a/b/cacerts",
            "/.well-known/est/CACERTS",
            "/.well-known/EST/cacerts",
            "/.well-known/est/%63acerts",
            "/.well-known/est/./cacerts",
            "/.well-known/est/../cacerts",
            "/.well-known/est/%2e%2e/cacerts",
            "/.well-known/est/a%2Fb/cacerts",
            "/.well-known/est/a\0b/cacerts",
            "/.well-known/est/a;x=y/cacerts",
            "/.well-known/est/cacerts/cacerts",
            "/.well-known/est/FullCMC",
            "//.well-known/est/cacerts",
            ".well-known/est/cacerts",
            "/est/cacerts",
        ] {
            assert_eq!(EstTarget::parse(path), None, "{path}");
        }
    }
}
