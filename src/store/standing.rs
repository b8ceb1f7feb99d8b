//! How the standing of certificates changes: revoked, put on hold, released.

use minicbor::{Decode, Encode};

use super::{CertificateId, CertificateRecord, FactKey, FactKind, Revocation};

/// A change of one certificate's standing; the last one counts.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
pub struct StandingChange {
    /// Which certificate.
    #[n(0)]
    pub id: CertificateId,
    /// Since when and why it is revoked; `None` when it is no longer.
    #[n(1)]
    pub revocation: Option<Revocation>,
    /// Its notAfter, in seconds since 1970: some time after it a list need not have it any more. Records of earlier versions
    /// have none.
    #[n(2)]
    pub not_after: Option<i64>,
}

impl StandingChange {
    /// The change that a certificate is revoked, or is no longer.
    pub fn of(record: &CertificateRecord, revocation: Option<Revocation>) -> Self {
        Self { id: record.id.clone(), revocation, not_after: Some(record.not_after.timestamp()) }
    }

    /// What is held from looking at a standing to recording its change: one change of any standing at a time.
    pub fn key() -> FactKey {
        FactKey::new(FactKind::Standing, "", b"")
    }
}

/// Changes as they were recorded together, those of one issuer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoggedStanding {
    /// The number of their record; records are numbered from 1 without a gap.
    pub sequence: u64,
    /// What changed.
    pub changes: Vec<StandingChange>,
}
