//! A document as it is handed out, with what caches need to know of it.

use std::sync::Arc;

use chrono::{DateTime, Utc};

use crate::pki::digest::{hex, sha256};

/// Octets of the digest that tells one version of a document from another.
const TAG_OCTETS: usize = 16;

/// A document.
#[derive(Debug, Clone)]
pub struct Published {
    /// DER.
    pub der: Arc<[u8]>,
    /// The value of ETag, with its quotes.
    pub tag: String,
    /// When it became so.
    pub this_update: DateTime<Utc>,
    /// When another one is there at the latest; `None` when it does not change.
    pub next_update: Option<DateTime<Utc>>,
    /// What is in it, of a list.
    pub list: Option<ListContents>,
}

/// What is in a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ListContents {
    /// CRL number (RFC 5280 section 5.2.3).
    pub number: u64,
    /// Certificates it names.
    pub entries: usize,
}

impl Published {
    /// A document that was just made.
    pub fn new(der: Vec<u8>, this_update: DateTime<Utc>, next_update: Option<DateTime<Utc>>) -> Self {
        let tag = format!("\"{}\"", &hex(&sha256(&[&der]))[..2 * TAG_OCTETS]);
        Self { der: der.into(), tag, this_update, next_update, list: None }
    }

    /// The same, as a list.
    #[must_use]
    pub fn of_list(self, contents: ListContents) -> Self {
        Self { list: Some(contents), ..self }
    }
}
