//! The keys of the index.

use std::ops::Bound;

use crate::store::event::EventEntry;
use crate::store::journal::Place;
use crate::store::{CertificateId, ExpiryPlace, FactKey, RequestKey, Span};

/// Every so many records the index knows where one starts, so that any of them is found.
pub(super) const MILESTONE_EVERY: u64 = 64;

/// The keys of the tree, told apart by their first octet. Its values: a [`Place`] for certificates and requests, the
/// device for key holders, the value of a fact, CBOR for revocations, changes of standing and the marker.
pub(super) enum Key<'a> {
    Certificate(&'a CertificateId),
    Request(&'a RequestKey),
    Holder(&'a [u8; 32], &'a str),
    Revocation(&'a CertificateId),
    Fact(&'a FactKey),
    Milestone(u64),
    Marker,
}

/// The first octet of the keys of facts.
const FACT: u8 = b'f';

impl Key<'_> {
    /// The octets of the key.
    pub(super) fn octets(&self) -> Vec<u8> {
        match self {
            Self::Certificate(id) => [b"c", &id.issuer[..], &id.serial].concat(),
            Self::Request(request) => [b"q", &request.0[..]].concat(),
            Self::Holder(spki_sha256, tenant) => [b"k", &spki_sha256[..], tenant.as_bytes()].concat(),
            Self::Revocation(id) => [b"r", &id.issuer[..], &id.serial].concat(),
            Self::Fact(key) => [&[FACT], key.octets()].concat(),
            Self::Milestone(sequence) => [b"s", &sequence.to_be_bytes()[..]].concat(),
            Self::Marker => b"m".to_vec(),
        }
    }
}

/// What the keys of a tenant's certificates in the order of [`ExpiryPlace`] begin with. The length before a name keeps the
/// keys of two names apart.
pub(super) fn expiry_prefix(tenant: &str) -> Vec<u8> {
    [b"e", &(tenant.len() as u32).to_be_bytes()[..], tenant.as_bytes()].concat()
}

/// What the keys of a device's records begin with; their sequence numbers follow.
pub(super) fn timeline_prefix(tenant: &str, device: &str) -> Vec<u8> {
    let device = device.to_lowercase();
    let length = |name: &str| (name.len() as u32).to_be_bytes();
    [b"t", &length(tenant)[..], tenant.as_bytes(), &length(&device), device.as_bytes()].concat()
}

/// What the keys of a device's certificates begin with; the sequence numbers of their records follow.
pub(super) fn device_certificates_prefix(tenant: &str, device: &str) -> Vec<u8> {
    let mut prefix = timeline_prefix(tenant, device);
    prefix[0] = b'd';
    prefix
}

/// What the keys of the changes of standing of an issuer's certificates begin with; the sequence numbers of their records
/// follow.
pub(super) fn standings_prefix(issuer: &[u8; 32]) -> Vec<u8> {
    [b"x", &issuer[..]].concat()
}

/// [`timeline_prefix`] of the device that an event is about.
pub(super) fn timeline_of(event: &EventEntry<'_>) -> Option<Vec<u8>> {
    event.device.as_deref().map(|device| timeline_prefix(&event.tenant, device))
}

/// The octets of a place, in the same order: the sign turned, as negative numbers come first.
pub(super) fn expiry_place(place: ExpiryPlace) -> [u8; 16] {
    let mut octets = [0; 16];
    octets[..8].copy_from_slice(&(place.not_after ^ i64::MIN).to_be_bytes());
    octets[8..].copy_from_slice(&place.sequence.to_be_bytes());
    octets
}

/// See [`expiry_place`].
pub(super) fn decode_expiry_place(octets: &[u8; 16]) -> ExpiryPlace {
    let octets = u128::from_be_bytes(*octets);
    ExpiryPlace { not_after: ((octets >> 64) as i64) ^ i64::MIN, sequence: octets as u64 }
}

/// The keys that begin with `under` and whose places lie within a span.
pub(super) fn bounds<T, const N: usize>(
    under: &[u8],
    span: &Span<T>,
    octets: impl Fn(&T) -> [u8; N],
) -> (Bound<Vec<u8>>, Bound<Vec<u8>>) {
    let key = |place: &T| [under, &octets(place)].concat();
    let from = span.after.as_ref().map_or_else(|| Bound::Included(under.to_vec()), |after| Bound::Excluded(key(after)));
    // No place has more octets than all ones.
    let last = || Bound::Included([under, &[u8::MAX; N]].concat());
    (from, span.before.as_ref().map_or_else(last, |before| Bound::Excluded(key(before))))
}

/// Whether the index knows where this record starts; the first one it always does.
pub(super) const fn is_milestone(sequence: u64) -> bool {
    sequence == 1 || sequence.is_multiple_of(MILESTONE_EVERY)
}

/// A [`Place`] as it is kept.
pub(super) fn encode_place(place: Place) -> [u8; 12] {
    let mut octets = [0; 12];
    octets[..8].copy_from_slice(&place.offset.to_be_bytes());
    octets[8..].copy_from_slice(&place.octets.to_be_bytes());
    octets
}

/// See [`encode_place`].
pub(super) fn decode_place(octets: &[u8]) -> Option<Place> {
    let (offset, octets) = octets.split_first_chunk()?;
    let octets = u32::from_be_bytes(octets.try_into().ok()?);
    Some(Place { offset: u64::from_be_bytes(*offset), octets })
}
