//! Request ids: what ties an answer to its log lines and its audit event.

use std::sync::atomic::{AtomicU32, Ordering};

/// Makes ids of 96 bits: 64 random ones for each start of the server, then a counter.
#[derive(Debug)]
pub(crate) struct RequestIds {
    start: u64,
    count: AtomicU32,
}

impl RequestIds {
    pub(crate) fn new(start: [u8; 8]) -> Self {
        Self { start: u64::from_be_bytes(start), count: AtomicU32::new(0) }
    }

    /// The next id, 24 hexadecimal digits.
    pub(crate) fn next(&self) -> String {
        format!("{:016x}{:08x}", self.start, self.count.fetch_add(1, Ordering::Relaxed))
    }
}
