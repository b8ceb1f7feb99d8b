//! SHA-256, the one hash of the core, bare or keyed, through the crypto backend.

use std::fmt;
use std::str::FromStr;

use aws_lc_rs::digest::{Context, SHA256};
use aws_lc_rs::hmac;
use zeroize::Zeroizing;

/// SHA-256 of the concatenation of `parts`.
///
/// Nothing marks where a part ends: where the parts have no fixed length, the caller puts lengths between them.
pub fn sha256(parts: &[&[u8]]) -> [u8; 32] {
    let mut hasher = Sha256Hasher::new();
    for part in parts {
        hasher.update(part);
    }
    hasher.finish()
}

/// SHA-256 over input that comes piece by piece.
#[derive(Clone)]
pub struct Sha256Hasher(Context);

impl Sha256Hasher {
    /// A hasher that has seen nothing.
    pub fn new() -> Self {
        Self(Context::new(&SHA256))
    }

    /// Takes in the next octets.
    pub fn update(&mut self, octets: &[u8]) {
        self.0.update(octets);
    }

    /// The digest of all that was taken in.
    pub fn finish(self) -> [u8; 32] {
        let mut digest = [0; 32];
        digest.copy_from_slice(self.0.finish().as_ref());
        digest
    }
}

impl Default for Sha256Hasher {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Sha256Hasher {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Sha256Hasher")
    }
}

/// A key of HMAC-SHA-256 (RFC 2104).
pub struct MacKey(hmac::Key);

impl MacKey {
    /// Takes over random octets as key.
    pub fn new(octets: &[u8; 32]) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, octets))
    }

    /// Takes over a key as it is; one of 32 octets or more serves best (RFC 2104 section 3).
    #[cfg(feature = "server")]
    pub(crate) fn of_any_length(octets: &[u8]) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, octets))
    }

    /// The tag over the concatenation of `parts`; the caller sees to it that no two lists run together.
    pub fn tag(&self, parts: &[&[u8]]) -> [u8; 32] {
        let mut context = hmac::Context::with_key(&self.0);
        for part in parts {
            context.update(part);
        }
        let mut tag = [0; 32];
        tag.copy_from_slice(context.sign().as_ref());
        tag
    }
}

impl fmt::Debug for MacKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("MacKey")
    }
}

/// A SHA-256 digest as people read it: 64 hexadecimal digits, written in lower case, read in either.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Fingerprint(pub [u8; 32]);

/// The text is not 64 hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a fingerprint has 64 hexadecimal digits")]
pub struct FingerprintError;

impl fmt::Display for Fingerprint {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_hex(formatter, &self.0)
    }
}

impl FromStr for Fingerprint {
    type Err = FingerprintError;

    fn from_str(text: &str) -> Result<Self, FingerprintError> {
        let mut digest = [0; 32];
        if text.len() != 2 * digest.len() {
            return Err(FingerprintError);
        }
        for (octet, pair) in digest.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
            *octet = hex_digit(pair[0])? << 4 | hex_digit(pair[1])?;
        }
        Ok(Self(digest))
    }
}

/// Writes octets as lower-case hexadecimal digits.
pub(crate) fn write_hex(target: &mut impl fmt::Write, octets: &[u8]) -> fmt::Result {
    octets.iter().try_for_each(|octet| write!(target, "{octet:02x}"))
}

/// Octets as lower-case hexadecimal digits.
pub(crate) fn hex(octets: &[u8]) -> String {
    octets.iter().map(|octet| format!("{octet:02x}")).collect()
}

/// The octets of hexadecimal digits, at least one; wiped when dropped, since some are keys.
pub fn unhex(text: &str) -> Option<Zeroizing<Vec<u8>>> {
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    if pairs.is_empty() || !rest.is_empty() {
        return None;
    }
    let mut octets = Zeroizing::new(Vec::with_capacity(pairs.len()));
    for [high, low] in pairs {
        octets.push(hex_digit(*high).ok()? << 4 | hex_digit(*low).ok()?);
    }
    Some(octets)
}

fn hex_digit(character: u8) -> Result<u8, FingerprintError> {
    match character {
        b'0'..=b'9' => Ok(character - b'0'),
        b'a'..=b'f' => Ok(character - b'a' + 10),
        b'A'..=b'F' => Ok(character - b'A' + 10),
        _ => Err(FingerprintError),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_digest_is_that_of_fips_180_and_of_the_concatenation() {
        let expected = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(Fingerprint(sha256(&[b"a", b"", b"bc"])).to_string(), expected);
    }

    #[test]
    fn a_fingerprint_reads_what_it_writes_and_nothing_shorter_longer_or_else() {
        let fingerprint = Fingerprint(sha256(&[]));
        let text = fingerprint.to_string();
        assert_eq!(text.parse(), Ok(fingerprint));
        assert_eq!(text.to_uppercase().parse(), Ok(fingerprint));
        for wrong in [&text[1..], &format!("{text}0"), &format!("+{}", &text[1..]), ""] {
            assert_eq!(wrong.parse::<Fingerprint>(), Err(FingerprintError));
        }
    }
}
