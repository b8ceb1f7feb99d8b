//! How many renewals are expected in each slot of a label's time, and which certificates have another slot than their own.

use minicbor::{Decode, Encode};

use super::{CertificateId, CertificateStore, Fact, FactKey, FactKind, StoreFault};

/// Renewals that are expected in a slot, one fact for each slot that anybody has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
#[cbor(transparent)]
pub struct SlotLoad(#[n(0)] pub u32);

/// The slot of a certificate whose own was full, in seconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
pub struct MovedTo {
    /// When it begins.
    #[n(0)]
    pub start: i64,
    /// When it ends.
    #[n(1)]
    pub end: i64,
}

impl SlotLoad {
    /// The key of the slot that begins at `start`. Those of a label stand in the order of time.
    pub fn key(tenant: &str, label: &str, start: i64) -> FactKey {
        FactKey::new(FactKind::RenewalSlot, tenant, &[&name(label)[..], &ordered(start)].concat())
    }

    /// What is expected in a slot.
    ///
    /// # Errors
    /// When the index cannot be read, or what it holds does not decode.
    pub fn of(store: &dyn CertificateStore, key: &FactKey) -> Result<Self, StoreFault> {
        store.fact(key)?.map_or(Ok(Self(0)), |value| decoded(&value))
    }

    /// The fact that one more is expected.
    pub fn once_more(self, key: FactKey) -> Fact {
        Fact { key, value: Some(super::fact::encoded(&Self(self.0.saturating_add(1)))) }
    }

    /// The oldest slot of a label, when it began before `moment`: nobody looks at it any more.
    ///
    /// # Errors
    /// When the index cannot be read.
    pub fn past(
        store: &dyn CertificateStore,
        tenant: &str,
        label: &str,
        moment: i64,
    ) -> Result<Option<Fact>, StoreFault> {
        let prefix = FactKey::new(FactKind::RenewalSlot, tenant, &name(label));
        let oldest = store.facts(&prefix, None, 1)?.pop().map(|(key, _)| key);
        let before = Self::key(tenant, label, moment);
        Ok(oldest.filter(|key| *key < before).map(|key| Fact { key, value: None }))
    }
}

impl MovedTo {
    fn key(id: &CertificateId) -> FactKey {
        FactKey::new(FactKind::MovedRenewal, "", &[&id.issuer[..], &id.serial].concat())
    }

    /// Where a certificate was moved to, if it was.
    ///
    /// # Errors
    /// When the index cannot be read, or what it holds does not decode.
    pub fn of(store: &dyn CertificateStore, id: &CertificateId) -> Result<Option<Self>, StoreFault> {
        store.fact(&Self::key(id))?.map(|value| decoded(&value)).transpose()
    }

    /// The fact that a certificate is there.
    pub fn to_fact(self, id: &CertificateId) -> Fact {
        Fact { key: Self::key(id), value: Some(super::fact::encoded(&self)) }
    }
}

/// The length before a name keeps the slots of two labels apart.
fn name(label: &str) -> Vec<u8> {
    [&u32::try_from(label.len()).unwrap_or(u32::MAX).to_be_bytes()[..], label.as_bytes()].concat()
}

/// In the order of the numbers: the sign turned, as negative ones come first.
fn ordered(seconds: i64) -> [u8; 8] {
    (seconds ^ i64::MIN).to_be_bytes()
}

fn decoded<'b, T: Decode<'b, ()>>(value: &'b [u8]) -> Result<T, StoreFault> {
    minicbor::decode(value).map_err(|error| StoreFault::Corrupt(error.to_string()))
}
