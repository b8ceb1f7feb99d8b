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
    /// When to renew a certificate (draft-ietf-lamps-est-renewal-info).
    RenewalInfo,
}

impl Operation {
    /// Every operation served.
    pub const ALL: [Self; 7] = [
        Self::CaCerts,
        Self::SimpleEnroll,
        Self::SimpleReenroll,
        Self::CsrAttrs,
        Self::ServerKeyGen,
        Self::FullCmc,
        Self::RenewalInfo,
    ];

    /// Every path segment that EST (RFC 7030), its extensions (RFC 8295, draft-ietf-lamps-est-renewal-info) and BRSKI (RFC
    /// 8995) define, served or not: no label may be one of them.
    pub const RESERVED_SEGMENTS: [&'static str; 20] = [
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
        "renewal-info",
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
            Self::RenewalInfo => "renewal-info",
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
        Self::parse_with_identifier(path).map(|(target, _)| target)
    }

    /// The same, with the segment that names a certificate, which renewal-info has and no other operation. It is not looked
    /// at yet, but that it is one and not empty.
    pub fn parse_with_identifier(path: &str) -> Option<(Self, Option<&str>)> {
        let rest = path.strip_prefix(Self::PREFIX)?;
        let (first, others) = rest.split_once('/').map_or((rest, None), |(first, others)| (first, Some(others)));
        let find = |segment: &str| Operation::ALL.into_iter().find(|operation| operation.segment() == segment);
        // No label is the name of an operation.
        let (label, operation, behind) = match (find(first), others) {
            (Some(operation), behind) => (None, operation, behind),
            (None, Some(others)) => {
                let (segment, behind) = others.split_once('/').map_or((others, None), |(it, rest)| (it, Some(rest)));
                (Some(Label::parse(first).ok()?), find(segment)?, behind)
            }
            (None, None) => return None,
        };
        let is_whole = match behind {
            None => operation != Operation::RenewalInfo,
            Some(identifier) => {
                operation == Operation::RenewalInfo && !identifier.is_empty() && !identifier.contains('/')
            }
        };
        is_whole.then_some((Self { label, operation }, behind))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_names_one_operation_at_one_label() {
        for operation in Operation::ALL {
            let identifier = (operation == Operation::RenewalInfo).then_some("AQ.AQ");
            let behind = identifier.map(|identifier| format!("/{identifier}")).unwrap_or_default();
            let plain = format!("/.well-known/est/{}{behind}", operation.segment());
            let target = EstTarget { label: None, operation };
            assert_eq!(EstTarget::parse_with_identifier(&plain), Some((target, identifier)));
            let labelled = format!("/.well-known/est/acme-1.x/{}{behind}", operation.segment());
            let target = EstTarget { label: Some(Label::parse("acme-1.x").unwrap()), operation };
            assert_eq!(EstTarget::parse_with_identifier(&labelled), Some((target, identifier)));
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
            "/.well-known/est/cacerts/AQ.AQ",
            "/.well-known/est/label/cacerts/AQ.AQ",
            "/.well-known/est/renewal-info",
            "/.well-known/est/renewal-info/",
            "/.well-known/est/renewal-info/AQ.AQ/",
            "/.well-known/est/renewal-info/AQ/AQ",
            "/.well-known/est/label/renewal-info",
            "/.well-known/est/label/renewal-info/",
            "/.well-known/est/label/renewal-info/AQ.AQ/",
            "/.well-known/est/renewal-info/renewal-info/AQ.AQ",
            "/.well-known/est/FullCMC",
            "//.well-known/est/cacerts",
            ".well-known/est/cacerts",
            "/est/cacerts",
        ] {
            assert_eq!(EstTarget::parse(path), None, "{path}");
        }
    }
}
