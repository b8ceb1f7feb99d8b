//! Where a credential is presented.

/// A label of a tenant: two tenants may each have a label of one name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place<'a> {
    /// The tenant.
    pub tenant: &'a str,
    /// The label.
    pub label: &'a str,
}

impl Place<'_> {
    /// Octets that are no other place's, and that none begins with but those of this one.
    pub(super) fn octets(self) -> Vec<u8> {
        let text = |text: &str| [&(text.len() as u64).to_be_bytes()[..], text.as_bytes()].concat();
        [text(self.tenant), text(self.label)].concat()
    }
}
