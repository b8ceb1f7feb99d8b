//! What a client is told of when to renew a certificate, and how it names that (draft-ietf-lamps-est-renewal-info).
//!
//! The draft takes the place of draft-yusef-lamps-rfc7030-renewal-recommendation; both borrow the form from RFC 9773.

use chrono::{DateTime, Utc};

use super::transfer;

/// Longest keyIdentifier of an issuer that is looked for, in octets: RFC 5280 section 4.2.1.2 makes 20, SHA-512 makes 64.
const MAX_KEY_IDENTIFIER_OCTETS: usize = 64;
/// Longest serial number (RFC 5280 section 4.1.2.2), in octets.
const MAX_SERIAL_OCTETS: usize = 20;

/// Names a certificate by its issuer's key and its serial number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RenewalIdentifier {
    /// keyIdentifier of its authorityKeyIdentifier.
    pub key_identifier: Vec<u8>,
    /// Content octets of its serial number, big endian, minimal.
    pub serial: Vec<u8>,
}

/// Why a text names no certificate.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RenewalIdentifierError {
    /// Not two parts.
    #[error(
        "expected base64url of the authorityKeyIdentifier's keyIdentifier, a '.', and base64url of the serial number"
    )]
    Parts,
    /// Not base64url, padded, or with stray bits.
    #[error("the {0} is not base64url without padding")]
    Encoding(&'static str),
    /// Empty or too long.
    #[error("the {part} has 1 to {most} octets, this one has {found}")]
    Length {
        /// Which part.
        part: &'static str,
        /// The limit.
        most: usize,
        /// What came.
        found: usize,
    },
    /// Not the content of a DER INTEGER above zero.
    #[error("the serial number is a positive integer as DER has it, in as few octets as possible")]
    Serial,
}

/// When a certificate should be renewed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RenewalInfo {
    /// suggestedWindow, start.
    pub start: DateTime<Utc>,
    /// suggestedWindow, end; later than `start`.
    pub end: DateTime<Utc>,
    /// After how many seconds the client asks again.
    pub retry_after: u32,
}

impl RenewalIdentifier {
    /// Reads the path segment that names a certificate, byte for byte: one certificate has one spelling.
    ///
    /// # Errors
    /// When it is none; see [`RenewalIdentifierError`].
    pub fn parse(text: &str) -> Result<Self, RenewalIdentifierError> {
        let (key_identifier, serial) = text.split_once('.').ok_or(RenewalIdentifierError::Parts)?;
        let key_identifier = octets("keyIdentifier", key_identifier, MAX_KEY_IDENTIFIER_OCTETS)?;
        let serial = octets("serial number", serial, MAX_SERIAL_OCTETS)?;
        // X.690 §8.3.2: the first nine bits are not all equal. RFC 5280 §4.1.2.2: above zero.
        let is_minimal = match serial.as_slice() {
            [0] => false,
            [0, next, ..] => next & 0x80 != 0,
            [first, ..] => first & 0x80 == 0,
            [] => false,
        };
        is_minimal.then_some(Self { key_identifier, serial }).ok_or(RenewalIdentifierError::Serial)
    }
}

fn octets(part: &'static str, text: &str, most: usize) -> Result<Vec<u8>, RenewalIdentifierError> {
    // Decoding looks at no more than a head can hold.
    let octets = transfer::decode_base64url(text).ok_or(RenewalIdentifierError::Encoding(part))?;
    if octets.is_empty() || octets.len() > most {
        return Err(RenewalIdentifierError::Length { part, most, found: octets.len() });
    }
    Ok(octets)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_is_named_in_one_spelling() {
        // The example of RFC 9773 section 4.1.
        let named = RenewalIdentifier::parse("aYhba4dGQEHhs3uEe6CuLN4ByNQ.AIdlQyE").unwrap();
        assert_eq!(named.key_identifier[..4], [0x69, 0x88, 0x5b, 0x6b]);
        assert_eq!(named.serial, [0x00, 0x87, 0x65, 0x43, 0x21]);

        let longest = format!("{}.{}", transfer::encode_base64url(&[1; 64]), transfer::encode_base64url(&[1; 20]));
        assert!(RenewalIdentifier::parse(&longest).is_ok());
        let length = |part, most, found| RenewalIdentifierError::Length { part, most, found };
        for (text, error) in [
            ("", RenewalIdentifierError::Parts),
            ("AQ", RenewalIdentifierError::Parts),
            (".", length("keyIdentifier", 64, 0)),
            ("AQ.", length("serial number", 20, 0)),
            ("AQ==.AQ", RenewalIdentifierError::Encoding("keyIdentifier")),
            ("AQ.AQ==", RenewalIdentifierError::Encoding("serial number")),
            ("AQ.AR", RenewalIdentifierError::Encoding("serial number")),
            ("AQ.A+", RenewalIdentifierError::Encoding("serial number")),
            ("AQ.AQ.AQ", RenewalIdentifierError::Encoding("serial number")),
            ("AQ.AQ;", RenewalIdentifierError::Encoding("serial number")),
            ("AQ.AA", RenewalIdentifierError::Serial),
            ("AQ.AAE", RenewalIdentifierError::Serial),
            ("AQ.gA", RenewalIdentifierError::Serial),
        ] {
            assert_eq!(RenewalIdentifier::parse(text), Err(error), "{text}");
        }
        let too_long = |key: usize, serial: usize| {
            let part = |octets| transfer::encode_base64url(&vec![1; octets]);
            RenewalIdentifier::parse(&format!("{}.{}", part(key), part(serial)))
        };
        assert_eq!(too_long(65, 1), Err(length("keyIdentifier", 64, 65)));
        assert_eq!(too_long(1, 21), Err(length("serial number", 20, 21)));
    }
}
