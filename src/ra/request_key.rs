//! When two requests are the same request.

use super::label::LabelContext;
use crate::pki::digest::sha256;
use crate::policy::{Grant, Proof};
use crate::store::RequestKey;

/// The same peer certificate, credentials, label, names and key, to be certified by the same CA under the same profile. The bytes of
/// the PKCS#10 are left out on purpose: a client that retries signs again, and an ECDSA signature has a twin anybody can
/// make. `key` is the SubjectPublicKeyInfo, or what stands for one that is yet to be made.
pub(super) fn request_key(label: &LabelContext, proof: &Proof<'_>, grant: &Grant, key: &[u8]) -> RequestKey {
    let names = estd_asn1::general_name::encode_general_names(grant.subject_alt_names());
    let profile = &label.rules.profile;
    let (fingerprint, issuer) = (proof.peer().map(|peer| peer.fingerprint()), label.authority.issuer_id());
    let validity = profile.validity.num_seconds().to_be_bytes();
    let mut fields: Vec<&[u8]> = vec![
        label.tenant.as_bytes(),
        label.label.as_str().as_bytes(),
        fingerprint.as_ref().map_or(&[], <[u8; 32]>::as_slice),
        grant.subject().der(),
        &names,
        key,
        // A CA or a profile that was exchanged meanwhile gives another certificate.
        &issuer,
        profile.name.as_bytes(),
        &validity,
    ];
    fields.extend(proof.credentials().iter().map(|identity| identity.credential().as_str().as_bytes()));
    // Each field is led by its length, so that no two lists of fields run together to the same octets.
    let lengths: Vec<_> = fields.iter().map(|field| (field.len() as u64).to_be_bytes()).collect();
    let parts: Vec<&[u8]> = lengths.iter().zip(fields).flat_map(|(length, field)| [length.as_slice(), field]).collect();
    RequestKey(sha256(&parts))
}
