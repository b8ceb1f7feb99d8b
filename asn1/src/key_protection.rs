//! What a request says of how the private key made for it is to be protected (RFC 7030 section 4.4.1).

use rasn::types::OctetString;

use crate::{AlgorithmIdentifier, Attribute, DecodeError, der, oid, pkcs10};

/// Longest identifier of a decryption key, in octets.
pub const MAX_KEY_IDENTIFIER: usize = 64;

/// Most algorithms in SMIMECapabilities.
pub const MAX_CAPABILITIES: usize = 64;

/// The key that a private key is to be encrypted to.
///
/// ```asn1
/// DecryptKeyIdentifier ::= OCTET STRING
///
/// AsymmetricDecryptKeyIdentifier ::= OCTET STRING
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DecryptKey {
    /// DecryptKeyIdentifier (RFC 4108 section 2.2.5): of a key that both sides hold.
    Symmetric(Vec<u8>),
    /// AsymmetricDecryptKeyIdentifier (RFC 7030 section 4.4.1.2): of a key of which the server holds the public half.
    Asymmetric(Vec<u8>),
}

/// The attributes of a request that concern the protection of its private key.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct KeyProtection {
    /// The key to encrypt to; `None` when no encryption beside that of TLS is asked for.
    pub decrypt_key: Option<DecryptKey>,
    /// The algorithms that the client is willing to use, in order of preference; `None` when it names none.
    ///
    /// ```asn1
    /// SMIMECapabilities { SMIME-CAPS:CapabilitySet } ::=
    ///         SEQUENCE SIZE (1..MAX) OF SMIMECapability{{CapabilitySet} }
    ///
    /// SMIMECapability{SMIME-CAPS:CapabilitySet} ::= SEQUENCE {
    ///     capabilityID        SMIME-CAPS.&id({CapabilitySet}),
    ///     parameters          SMIME-CAPS.&Type({CapabilitySet}
    ///                             {@capabilityID}) OPTIONAL
    /// }
    /// ```
    ///
    /// A capability has the form of an AlgorithmIdentifier, and says the same.
    pub capabilities: Option<Vec<AlgorithmIdentifier>>,
}

impl KeyProtection {
    /// Reads the attributes of a request that was let in; others are passed over.
    ///
    /// # Errors
    /// When one of the attributes is malformed, has more than one value or is beyond a limit, or when both name a key.
    pub fn read(attributes: &[Attribute]) -> Result<Self, DecodeError> {
        let value = |oid, what| {
            let attribute = attributes.iter().find(|attribute| attribute.oid == oid);
            attribute.map(|attribute| pkcs10::single_value(attribute, what)).transpose()
        };
        let symmetric = value(oid::DECRYPT_KEY_IDENTIFIER, "DecryptKeyIdentifier value")?;
        let asymmetric = value(oid::ASYMM_DECRYPT_KEY_IDENTIFIER, "AsymmetricDecryptKeyIdentifier value")?;
        let decrypt_key = match (symmetric, asymmetric) {
            (Some(value), None) => Some(DecryptKey::Symmetric(decode_identifier("DecryptKeyIdentifier", value)?)),
            (None, Some(value)) => {
                Some(DecryptKey::Asymmetric(decode_identifier("AsymmetricDecryptKeyIdentifier", value)?))
            }
            (None, None) => None,
            // RFC 7030 §4.4.1 has one key to encrypt to; which of two counts would be a guess.
            (Some(_), Some(_)) => return Err(DecodeError::Duplicate { what: "identifier of a decryption key" }),
        };
        let capabilities = value(oid::SMIME_CAPABILITIES, "SMIMECapabilities value")?;
        Ok(Self { decrypt_key, capabilities: capabilities.map(decode_capabilities).transpose()? })
    }
}

fn decode_identifier(what: &'static str, value: &[u8]) -> Result<Vec<u8>, DecodeError> {
    let identifier: OctetString = der::decode_checked(what, value)?;
    if (1..=MAX_KEY_IDENTIFIER).contains(&identifier.len()) {
        Ok(identifier.to_vec())
    } else {
        Err(DecodeError::Text { what })
    }
}

fn decode_capabilities(value: &[u8]) -> Result<Vec<AlgorithmIdentifier>, DecodeError> {
    let capabilities = der::elements("SMIMECapabilities", value, MAX_CAPABILITIES)?;
    capabilities.iter().map(|one| AlgorithmIdentifier::decode_checked(one.as_bytes())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pkcs10::{CertificationRequest, RequestLimits};
    use crate::{Oid, der::tag};

    fn read(der: &[u8]) -> Result<KeyProtection, DecodeError> {
        let request = CertificationRequest::decode(der, &RequestLimits::default()).unwrap();
        KeyProtection::read(request.attributes())
    }

    fn attribute(oid: Oid, values: &[Vec<u8>]) -> Attribute {
        Attribute { oid, values: values.to_vec() }
    }

    fn octets(length: usize) -> Vec<u8> {
        der::wrap(tag::OCTET_STRING, &vec![7; length])
    }

    fn algorithm(oid: Oid) -> AlgorithmIdentifier {
        AlgorithmIdentifier::new(oid, None)
    }

    #[test]
    fn the_vectors_name_a_key_and_algorithms() {
        let protection = read(include_bytes!("../tests/vectors/constructed/csr-skg-decryptKeyIdentifier.der")).unwrap();
        assert_eq!(protection.decrypt_key, Some(DecryptKey::Symmetric(b"psk-id-0001".to_vec())));
        assert_eq!(protection.capabilities, Some(vec![algorithm(oid::AES256_WRAP)]));
        let protection = read(include_bytes!("../tests/vectors/constructed/csr-skg-asymmDecryptKeyID.der")).unwrap();
        assert!(matches!(protection.decrypt_key, Some(DecryptKey::Asymmetric(identifier)) if identifier.len() == 20));
        let listed = vec![algorithm(oid::AES256_WRAP), algorithm(oid::RSA_ENCRYPTION)];
        assert_eq!(protection.capabilities, Some(listed));
        let bare = read(include_bytes!("../tests/vectors/constructed/csr-skg-decryptkey-no-smimecaps.der")).unwrap();
        assert!(bare.decrypt_key.is_some() && bare.capabilities.is_none());
        let none = read(include_bytes!("../tests/vectors/rfc7030-A4-serverkeygen-req-csr.der")).unwrap();
        assert_eq!(none, KeyProtection::default());
    }

    #[test]
    fn an_identifier_stands_once_and_within_its_limit() {
        let read = |attributes: &[Attribute]| KeyProtection::read(attributes);
        for oid in [oid::DECRYPT_KEY_IDENTIFIER, oid::ASYMM_DECRYPT_KEY_IDENTIFIER] {
            for length in [1, MAX_KEY_IDENTIFIER] {
                assert!(read(&[attribute(oid.clone(), &[octets(length)])]).unwrap().decrypt_key.is_some());
            }
            for length in [0, MAX_KEY_IDENTIFIER + 1] {
                let refused = read(&[attribute(oid.clone(), &[octets(length)])]);
                assert!(matches!(refused, Err(DecodeError::Text { .. })), "{length}");
            }
            let twice = read(&[attribute(oid.clone(), &[octets(1), octets(2)])]);
            assert!(matches!(twice, Err(DecodeError::Duplicate { .. })));
            // What libest writes for an attribute it does not know.
            assert!(matches!(read(&[attribute(oid, &[vec![0x13, 0]])]), Err(DecodeError::Malformed { .. })));
        }
        let symmetric = attribute(oid::DECRYPT_KEY_IDENTIFIER, &[octets(1)]);
        let asymmetric = attribute(oid::ASYMM_DECRYPT_KEY_IDENTIFIER, &[octets(1)]);
        let both = Err(DecodeError::Duplicate { what: "identifier of a decryption key" });
        assert_eq!(read(&[symmetric, asymmetric]), both);
    }

    #[test]
    fn capabilities_are_some_and_not_too_many() {
        let read = |capabilities: &[u8]| {
            let value = der::wrap(tag::SEQUENCE, capabilities);
            KeyProtection::read(&[attribute(oid::SMIME_CAPABILITIES, &[value])])
        };
        let one = algorithm(oid::AES128_WRAP).der().to_vec();
        assert_eq!(read(&one.repeat(MAX_CAPABILITIES)).unwrap().capabilities.unwrap().len(), MAX_CAPABILITIES);
        let too_many = Err(DecodeError::TooMany { what: "SMIMECapabilities", limit: MAX_CAPABILITIES });
        assert_eq!(read(&one.repeat(MAX_CAPABILITIES + 1)), too_many);
        for malformed in [&[][..], &[0x05, 0x00], &[0x30, 0x00]] {
            assert!(matches!(read(malformed), Err(DecodeError::Malformed { .. })), "{malformed:02x?}");
        }
    }
}
