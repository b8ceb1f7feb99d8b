//! The names that keyUsage bits and extended key usages go by in a configuration.

use estd_asn1::{KeyUsage, Oid};

/// keyUsage (RFC 5280 section 4.2.1.3) by name; the two that make a CA are not to be had.
const KEY_USAGES: [(&str, KeyUsage); 7] = [
    ("digitalSignature", KeyUsage::DIGITAL_SIGNATURE),
    ("nonRepudiation", KeyUsage::NON_REPUDIATION),
    ("keyEncipherment", KeyUsage::KEY_ENCIPHERMENT),
    ("dataEncipherment", KeyUsage::DATA_ENCIPHERMENT),
    ("keyAgreement", KeyUsage::KEY_AGREEMENT),
    ("encipherOnly", KeyUsage::ENCIPHER_ONLY),
    ("decipherOnly", KeyUsage::DECIPHER_ONLY),
];

/// Extended key usages (RFC 5280 section 4.2.1.12 and others) by name.
const EXT_KEY_USAGES: [(&str, &[u32]); 11] = [
    ("serverAuth", &[1, 3, 6, 1, 5, 5, 7, 3, 1]),
    ("clientAuth", &[1, 3, 6, 1, 5, 5, 7, 3, 2]),
    ("codeSigning", &[1, 3, 6, 1, 5, 5, 7, 3, 3]),
    ("emailProtection", &[1, 3, 6, 1, 5, 5, 7, 3, 4]),
    ("timeStamping", &[1, 3, 6, 1, 5, 5, 7, 3, 8]),
    ("eapOverPPP", &[1, 3, 6, 1, 5, 5, 7, 3, 13]),
    ("eapOverLAN", &[1, 3, 6, 1, 5, 5, 7, 3, 14]),
    ("ipsecIKE", &[1, 3, 6, 1, 5, 5, 7, 3, 17]),
    ("cmcRA", &[1, 3, 6, 1, 5, 5, 7, 3, 28]),
    ("documentSigning", &[1, 3, 6, 1, 5, 5, 7, 3, 36]),
    ("smartcardLogon", &[1, 3, 6, 1, 4, 1, 311, 20, 2, 2]),
];

/// The keyUsage that a name stands for.
pub(super) fn key_usage(name: &str) -> Option<KeyUsage> {
    KEY_USAGES.iter().find(|(known, _)| *known == name).map(|(_, usage)| *usage)
}

/// What may stand in `key_usage`.
pub(super) fn key_usage_names() -> String {
    KEY_USAGES.map(|(name, _)| name).join(", ")
}

/// The usage that a name or an OID stands for.
pub(super) fn ext_key_usage(text: &str) -> Option<Oid> {
    let known = EXT_KEY_USAGES.iter().find(|(name, _)| *name == text).map(|(_, arcs)| Oid::new_static(arcs));
    known.or_else(|| Oid::parse(text))
}

/// What may stand in `ext_key_usage`.
pub(super) fn ext_key_usage_names() -> String {
    format!("{}, or an OID", EXT_KEY_USAGES.map(|(name, _)| name).join(", "))
}
