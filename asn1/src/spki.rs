//! SubjectPublicKeyInfo and AlgorithmIdentifier (RFC 5280 sections 4.1.1.2 and 4.1.2.7), kept with their exact encoding.

use rasn::prelude::*;

use crate::{DecodeError, Oid, der};

/// AlgorithmIdentifier with its exact DER.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AlgorithmIdentifier {
    der: Vec<u8>,
    oid: Oid,
    parameters: Option<Vec<u8>>,
}

impl AlgorithmIdentifier {
    /// Strictly decodes the TLV.
    ///
    /// # Errors
    /// When the bytes are not the DER of one AlgorithmIdentifier.
    pub fn decode(der: &[u8]) -> Result<Self, DecodeError> {
        der::check(der)?;
        Self::decode_checked(der)
    }

    pub(crate) fn decode_checked(der: &[u8]) -> Result<Self, DecodeError> {
        let wire: AlgorithmIdentifierWire = der::decode_checked("AlgorithmIdentifier", der)?;
        let oid = Oid::from_wire(&wire.algorithm);
        Ok(Self { der: der.to_vec(), oid, parameters: wire.parameters.map(Any::into_bytes) })
    }

    /// Builds one; `parameters` is a whole TLV (NULL is `[5, 0]`) or absent.
    pub fn new(oid: Oid, parameters: Option<&[u8]>) -> Self {
        let parameters = parameters.map(<[u8]>::to_vec);
        let wire = AlgorithmIdentifierWire { algorithm: oid.to_wire(), parameters: parameters.clone().map(Any::new) };
        Self { der: der::encode(&wire), oid, parameters }
    }

    /// The algorithm.
    pub fn oid(&self) -> &Oid {
        &self.oid
    }

    /// The TLV of the parameters.
    pub fn parameters(&self) -> Option<&[u8]> {
        self.parameters.as_deref()
    }

    /// The exact DER.
    pub fn der(&self) -> &[u8] {
        &self.der
    }
}

/// SubjectPublicKeyInfo with its exact DER.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SubjectPublicKeyInfo {
    der: Vec<u8>,
    algorithm: AlgorithmIdentifier,
    key: Vec<u8>,
}

impl SubjectPublicKeyInfo {
    /// Strictly decodes the TLV; the key itself is not looked at.
    ///
    /// # Errors
    /// When the bytes are not the DER of one SubjectPublicKeyInfo whose key is a whole number of octets.
    pub fn decode(der: &[u8]) -> Result<Self, DecodeError> {
        der::check(der)?;
        Self::decode_checked(der)
    }

    pub(crate) fn decode_checked(der: &[u8]) -> Result<Self, DecodeError> {
        let wire: SubjectPublicKeyInfoWire = der::decode_checked("SubjectPublicKeyInfo", der)?;
        let algorithm = AlgorithmIdentifier::decode_checked(wire.algorithm.as_bytes())?;
        let key = whole_octets(wire.subject_public_key, "subjectPublicKey")?;
        Ok(Self { der: der.to_vec(), algorithm, key })
    }

    /// Builds one from the algorithm and the content of the BIT STRING.
    pub fn new(algorithm: AlgorithmIdentifier, key: &[u8]) -> Self {
        let wire = SubjectPublicKeyInfoWire {
            algorithm: Any::new(algorithm.der.clone()),
            subject_public_key: BitString::from_slice(key),
        };
        Self { der: der::encode(&wire), algorithm, key: key.to_vec() }
    }

    /// The algorithm of the key.
    pub fn algorithm(&self) -> &AlgorithmIdentifier {
        &self.algorithm
    }

    /// Content of the BIT STRING; it has no unused bits.
    pub fn key(&self) -> &[u8] {
        &self.key
    }

    /// The exact DER.
    pub fn der(&self) -> &[u8] {
        &self.der
    }
}

/// The octets of a BIT STRING that must not have unused bits: keys and signatures.
pub(crate) fn whole_octets(bits: BitString, what: &'static str) -> Result<Vec<u8>, DecodeError> {
    if bits.len().is_multiple_of(8) { Ok(bits.into_vec()) } else { Err(DecodeError::Malformed { what }) }
}

/// ```asn1
/// AlgorithmIdentifier{ALGORITHM-TYPE, ALGORITHM-TYPE:AlgorithmSet} ::=
///         SEQUENCE {
///             algorithm   ALGORITHM-TYPE.&id({AlgorithmSet}),
///             parameters  ALGORITHM-TYPE.
///                    &Params({AlgorithmSet}{@algorithm}) OPTIONAL
///         }
/// ```
#[derive(AsnType, Decode, Encode)]
struct AlgorithmIdentifierWire {
    algorithm: ObjectIdentifier,
    parameters: Option<Any>,
}

/// ```asn1
/// SubjectPublicKeyInfo  ::=  SEQUENCE  {
///     algorithm            AlgorithmIdentifier{PUBLIC-KEY,
///                              {PublicKeyAlgorithms}},
///     subjectPublicKey     BIT STRING  }
/// ```
#[derive(AsnType, Decode, Encode)]
struct SubjectPublicKeyInfoWire {
    algorithm: Any,
    subject_public_key: BitString,
}
