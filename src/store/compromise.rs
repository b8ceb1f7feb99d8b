//! Keys that are known to be in the wrong hands, one fact each: they are never certified again.

use super::{CertificateRecord, CertificateStore, Fact, FactKey, FactKind, StoreFault};
use crate::pki::revocation::RevocationReason;

/// The facts that come with a revocation for `reason` of a certificate.
pub fn facts_of_revocation(record: &CertificateRecord, reason: RevocationReason) -> Vec<Fact> {
    let compromised = || Fact { key: key(&record.spki_sha256), value: Some(Vec::new()) };
    reason.is_compromise().then(compromised).into_iter().collect()
}

/// Whether a certificate over this key was revoked because somebody else has the key.
///
/// # Errors
/// When the index cannot be read.
pub fn is_compromised(store: &dyn CertificateStore, spki_sha256: &[u8; 32]) -> Result<bool, StoreFault> {
    Ok(store.fact(&key(spki_sha256))?.is_some())
}

/// Whoever had it: a key is compromised for everybody.
fn key(spki_sha256: &[u8; 32]) -> FactKey {
    FactKey::new(FactKind::CompromisedKey, "", spki_sha256)
}
