//! The optional path segment that names a CA (RFC 7030 section 3.2.2).

use std::fmt;

use super::operation::Operation;

/// Longest label, in octets.
pub const MAX_LABEL_OCTETS: usize = 64;

/// A CA label: one path segment of unreserved characters, never equal to the name of an operation.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Label(Box<str>);

/// Why a text is no label.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LabelError {
    /// Empty or too long.
    #[error("a label has 1 to {MAX_LABEL_OCTETS} characters, this one has {0}")]
    Length(usize),
    /// A character that would need percent-encoding, or a leading dot.
    #[error("a label is made of letters, digits, '-', '_' and '.', and does not start with '.'")]
    Character,
    /// RFC 7030 section 3.2.2: "MUST NOT be the same as any defined path segment".
    #[error("a label must not be the name of an operation")]
    OperationName,
}

/// The host names of a tenant that has its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TenantHosts {
    /// The tenant.
    pub tenant: String,
    /// DNS names, in lower case.
    pub hosts: Vec<String>,
    /// What the path without a label stands for there.
    pub default_label: Label,
}

impl Label {
    /// Parses one path segment, as sent: nothing is percent-decoded, so no two spellings name one label.
    ///
    /// # Errors
    /// When the text is not a label; see [`LabelError`].
    pub fn parse(text: &str) -> Result<Self, LabelError> {
        if text.is_empty() || text.len() > MAX_LABEL_OCTETS {
            return Err(LabelError::Length(text.len()));
        }
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
        if text.starts_with('.') || !text.bytes().all(allowed) {
            return Err(LabelError::Character);
        }
        // RFC 7030 §3.2.2: compared without regard to case, so that no label looks like an operation.
        if Operation::RESERVED_SEGMENTS.iter().any(|name| name.eq_ignore_ascii_case(text)) {
            return Err(LabelError::OperationName);
        }
        Ok(Self(text.into()))
    }

    /// The segment as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Label {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_is_one_segment_that_is_spelled_one_way() {
        let longest = "x".repeat(MAX_LABEL_OCTETS);
        for text in ["a", "A", "acme-1", "x.y_z", "cacerts2", &longest] {
            assert_eq!(Label::parse(text).unwrap().as_str(), text);
        }
        assert_ne!(Label::parse("a"), Label::parse("A"), "compared exactly");
        for text in ["", &format!("{longest}x")] {
            assert_eq!(Label::parse(text), Err(LabelError::Length(text.len())));
        }
        for text in [".", "..", ".x", "a/b", "a%41", "a b", "a~b", "é", "a\r\n"] {
            assert_eq!(Label::parse(text), Err(LabelError::Character), "{text:?}");
        }
        for text in Operation::RESERVED_SEGMENTS.into_iter().chain(["CsrAttrs", "FULLCMC"]) {
            assert_eq!(Label::parse(text), Err(LabelError::OperationName), "{text}");
        }
    }
}
