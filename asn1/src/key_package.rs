//! AsymmetricKeyPackage (RFC 5958): private keys on their way to their owner.

use zeroize::Zeroizing;

use crate::der::{self, tag};

/// Packs one private key.
///
/// ```asn1
/// AsymmetricKeyPackage ::= SEQUENCE SIZE (1..MAX) OF OneAsymmetricKey
/// ```
///
/// `private_key_info` is the key as generators give it out, in version 1, of which RFC 5958 says:
///
/// ```asn1
/// PrivateKeyInfo ::= OneAsymmetricKey
/// ```
pub fn encode(private_key_info: &[u8]) -> Zeroizing<Vec<u8>> {
    der::wrap_secret(tag::SEQUENCE, &[private_key_info])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_package_is_a_sequence_of_one_key() {
        let key = include_bytes!("../tests/vectors/rfc9148-A3-skg-resp-pkcs8.der");
        let package = encode(key);
        der::check(&package).unwrap();
        assert_eq!(der::parts(&package), Some((tag::SEQUENCE, key.as_slice())));
    }
}
