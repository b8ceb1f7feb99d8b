//! PEM as files carry it (RFC 7468): certificates read, and written as public keys are.

use der::pem::LineEnding;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;

/// Why a text is no chain of certificates.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PemError {
    /// None is in it, or something else is between the lines.
    #[error("expected certificates in PEM, each between BEGIN CERTIFICATE and END CERTIFICATE")]
    Malformed,
    /// Too many.
    #[error("at most {0} certificates are looked at")]
    TooMany(usize),
}

/// The certificates of a text, DER, as they come: at least one, and at most `limit`. What else is in it is left alone.
///
/// # Errors
/// When there is none, one is cut off, or there are more than `limit`.
pub fn certificates(text: &str, limit: usize) -> Result<Vec<Vec<u8>>, PemError> {
    let mut found = Vec::new();
    for certificate in CertificateDer::pem_slice_iter(text.as_bytes()) {
        let certificate = certificate.map_err(|_| PemError::Malformed)?;
        if found.len() == limit {
            return Err(PemError::TooMany(limit));
        }
        found.push(certificate.to_vec());
    }
    if found.is_empty() { Err(PemError::Malformed) } else { Ok(found) }
}

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn certificates_are_read_as_they_were_written_up_to_the_limit() {
        let (one, two) = (vec![0x30, 0x00], vec![0x30, 0x01, 0x05]);
        let text = format!("a comment\n{}{}", certificate(&one), certificate(&two));
        assert_eq!(certificates(&text, 2), Ok(vec![one, two]));
        assert_eq!(certificates(&text, 1), Err(PemError::TooMany(1)));
        for text in ["", "MIIB", "-----BEGIN CERTIFICATE-----\nMIIB\n"] {
            assert_eq!(certificates(text, 2), Err(PemError::Malformed), "{text}");
        }
    }
}
