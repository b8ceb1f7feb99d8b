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
}

impl Published {
    /// A document that was just made.
    pub fn new(der: Vec<u8>, this_update: DateTime<Utc>, next_update: Option<DateTime<Utc>>) -> Self {
        let tag = format!("\"{}\"", &hex(&sha256(&[&der]))[..2 * TAG_OCTETS]);
        Self { der: der.into(), tag, this_update, next_update }
    }
}
