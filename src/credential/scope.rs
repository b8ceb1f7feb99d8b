//! The devices that a credential speaks for.

use crate::pki::device_identity::{DeviceId, IdentityError};

/// Exact device ids and prefixes; never empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeviceScope(Vec<Pattern>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Pattern {
    Exact(DeviceId),
    /// `SN-7*` without its star.
    Prefix(String),
}

/// Why patterns are no scope.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ScopeError {
    /// A credential for nobody.
    #[error("expected at least one device id or pattern such as \"SN-7*\"")]
    Empty,
    /// A star that is not the last character.
    #[error("{pattern:?}: a pattern has one '*', at its end")]
    Star {
        /// The pattern.
        pattern: String,
    },
    /// No device can have that id.
    #[error("{pattern:?}: {source}")]
    Unfit {
        /// The pattern.
        pattern: String,
        /// Why.
        source: IdentityError,
    },
}

impl DeviceScope {
    /// Reads device ids and patterns with one trailing `*`.
    ///
    /// # Errors
    /// When there is none, or one that is neither; see [`ScopeError`].
    pub fn parse(patterns: &[String]) -> Result<Self, ScopeError> {
        let patterns: Vec<_> = patterns.iter().map(|pattern| Pattern::parse(pattern)).collect::<Result<_, _>>()?;
        if patterns.is_empty() { Err(ScopeError::Empty) } else { Ok(Self(patterns)) }
    }

    /// One device alone.
    pub fn only(device: DeviceId) -> Self {
        Self(vec![Pattern::Exact(device)])
    }

    /// The device, when it is one alone.
    pub fn device(&self) -> Option<&DeviceId> {
        match self.0.as_slice() {
            [Pattern::Exact(device)] => Some(device),
            [] | [Pattern::Prefix(_)] | [_, _, ..] => None,
        }
    }

    /// Whether `device` is one of them; compared octet by octet.
    pub fn contains(&self, device: &str) -> bool {
        self.0.iter().any(|pattern| match pattern {
            Pattern::Exact(exact) => exact.as_str() == device,
            Pattern::Prefix(prefix) => device.starts_with(prefix),
        })
    }
}

impl Pattern {
    fn parse(pattern: &str) -> Result<Self, ScopeError> {
        let unfit = |source| ScopeError::Unfit { pattern: pattern.to_owned(), source };
        let star = || ScopeError::Star { pattern: pattern.to_owned() };
        match pattern.strip_suffix('*') {
            Some(prefix) if prefix.contains('*') => Err(star()),
            Some("") => Ok(Self::Prefix(String::new())),
            Some(prefix) => DeviceId::parse(prefix).map(|_| Self::Prefix(prefix.to_owned())).map_err(unfit),
            None if pattern.contains('*') => Err(star()),
            None => DeviceId::parse(pattern).map(Self::Exact).map_err(unfit),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scope(patterns: &[&str]) -> Result<DeviceScope, ScopeError> {
        DeviceScope::parse(&patterns.iter().map(|&pattern| pattern.to_owned()).collect::<Vec<_>>())
    }

    #[test]
    fn a_scope_is_ids_and_prefixes() {
        let id = |text: &str| DeviceId::parse(text).unwrap();
        let mixed = scope(&["SN-1", "AX-*"]).unwrap();
        for (device, inside) in
            [("SN-1", true), ("SN-10", false), ("sn-1", false), ("AX-", true), ("AX-9", true), ("AX", false)]
        {
            assert_eq!(mixed.contains(device), inside, "{device}");
        }
        assert_eq!(mixed.device(), None);
        assert_eq!(scope(&["SN-1"]).unwrap().device(), Some(&id("SN-1")));
        assert_eq!(scope(&["SN-1*"]).unwrap().device(), None);
        assert!(scope(&["*"]).unwrap().contains("anything"));
        assert_eq!(scope(&[]), Err(ScopeError::Empty));
        for pattern in ["*x", "a*b", "a**"] {
            assert_eq!(scope(&[pattern]), Err(ScopeError::Star { pattern: pattern.to_owned() }));
        }
        assert!(matches!(scope(&["a\nb"]), Err(ScopeError::Unfit { .. })));
    }
}
