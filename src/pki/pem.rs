//! PEM as files carry it (RFC 7468): certificates written.

use der::pem::LineEnding;

/// A certificate between its armour, 64 columns, LF.
pub fn certificate(der: &[u8]) -> String {
    // Unwrap safety: fails for lengths beyond `usize` and labels that are no PEM labels; this one is fixed.
    #[expect(clippy::expect_used, reason = "cannot fail, see above")]
    der::pem::encode_string("CERTIFICATE", LineEnding::LF, der).expect("a certificate in memory has a PEM form")
}
