//! PEM as files carry it (RFC 7468): certificates and public keys written.

use der::pem::LineEnding;

/// A certificate between its armour, 64 columns, LF.
pub fn certificate(der: &[u8]) -> String {
    armoured("CERTIFICATE", der)
}

/// A SubjectPublicKeyInfo between its armour, 64 columns, LF.
pub fn public_key(der: &[u8]) -> String {
    armoured("PUBLIC KEY", der)
}

fn armoured(label: &str, der: &[u8]) -> String {
    // Unwrap safety: fails for lengths beyond `usize` and labels that are no PEM labels; these are fixed.
    #[expect(clippy::expect_used, reason = "cannot fail, see above")]
    der::pem::encode_string(label, LineEnding::LF, der).expect("what is in memory has a PEM form")
}
