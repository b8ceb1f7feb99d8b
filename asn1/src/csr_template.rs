//! CertificationRequestInfoTemplate (RFC 9908 section 3.4): a certification request with what the client fills in left out.

use crate::der::{self, tag};
use crate::{AlgorithmIdentifier, Attribute, Oid, oid};

/// What a request should look like.
///
/// ```asn1
/// CertificationRequestInfoTemplate ::= SEQUENCE {
///     version       INTEGER { v1(0) } (v1, ... ),
///     subject       NameTemplate OPTIONAL,
///     subjectPKInfo [0] SubjectPublicKeyInfoTemplate
///                               {{ PKInfoAlgorithms }} OPTIONAL,
///     attributes    [1] Attributes{{ CRIAttributes }}
/// }
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CertificationRequestInfoTemplate {
    /// subject: the one attribute of each RDN, in order; `None` when nothing is required of it.
    pub subject: Option<Vec<SingleAttributeTemplate>>,
    /// subjectPKInfo; `None` when nothing is required of the key.
    pub public_key: Option<SubjectPublicKeyInfoTemplate>,
    /// attributes
    pub attributes: Vec<Attribute>,
}

/// An attribute of a subject.
///
/// ```asn1
/// SingleAttributeTemplate{ATTRIBUTE:AttrSet} ::= SEQUENCE {
///     type      ATTRIBUTE.&id({AttrSet}),
///     value     ATTRIBUTE.&Type({AttrSet}{@type}) OPTIONAL
/// }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SingleAttributeTemplate {
    /// type
    pub oid: Oid,
    /// TLV of the value; `None` when the client fills it in.
    pub value: Option<Vec<u8>>,
}

/// A key.
///
/// ```asn1
/// SubjectPublicKeyInfoTemplate{PUBLIC-KEY:IOSet} ::= SEQUENCE {
///     algorithm        AlgorithmIdentifier{PUBLIC-KEY, {IOSet}},
///     subjectPublicKey BIT STRING OPTIONAL
/// }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SubjectPublicKeyInfoTemplate {
    /// algorithm
    pub algorithm: AlgorithmIdentifier,
    /// Content of subjectPublicKey: a key that says of which size the client's shall be, and stands for nothing else.
    pub placeholder: Option<Vec<u8>>,
}

/// An extension asked for.
///
/// ```asn1
/// ExtensionTemplate{EXTENSION:ExtensionSet} ::= SEQUENCE {
///     extnID    EXTENSION.&id({ExtensionSet}),
///     critical  BOOLEAN
///   --                   (EXTENSION.&Critical({ExtensionSet}{@extnID}))
///                      DEFAULT FALSE,
///     extnValue OCTET STRING (CONTAINING
///               EXTENSION.&ExtnType({ExtensionSet}{@extnID})) OPTIONAL
///               --  contains the DER encoding of the ASN.1 value
///               --  corresponding to the extension type identified
///               --  by extnID when present
/// }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExtensionTemplate {
    /// extnID
    pub oid: Oid,
    /// critical
    pub critical: bool,
    /// extnValue; `None` when the client fills it in.
    pub value: Option<Vec<u8>>,
}

impl CertificationRequestInfoTemplate {
    /// Encodes it as the attribute that stands in CsrAttrs.
    pub fn to_attribute(&self) -> Attribute {
        Attribute { oid: oid::CERTIFICATION_REQUEST_INFO_TEMPLATE, values: vec![self.encode()] }
    }

    /// Encodes it.
    pub fn encode(&self) -> Vec<u8> {
        let mut content = der::wrap(tag::INTEGER, &[0]);
        if let Some(subject) = &self.subject {
            let rdns: Vec<u8> = subject.iter().flat_map(|attribute| der::wrap(tag::SET, &attribute.encode())).collect();
            content.extend(der::wrap(tag::SEQUENCE, &rdns));
        }
        if let Some(public_key) = &self.public_key {
            content.extend(der::wrap(tag::CONTEXT_0, &public_key.encode_content()));
        }
        let mut attributes: Vec<_> = self.attributes.iter().map(Attribute::encode).collect();
        // X.690 §11.6
        attributes.sort();
        content.extend(der::wrap(tag::CONTEXT_1, &attributes.concat()));
        der::wrap(tag::SEQUENCE, &content)
    }
}

impl SingleAttributeTemplate {
    fn encode(&self) -> Vec<u8> {
        let value = self.value.as_deref().unwrap_or_default();
        der::wrap(tag::SEQUENCE, &[&self.oid.encode(), value].concat())
    }
}

impl SubjectPublicKeyInfoTemplate {
    /// What stands under the implicit tag.
    fn encode_content(&self) -> Vec<u8> {
        let mut content = self.algorithm.der().to_vec();
        if let Some(placeholder) = &self.placeholder {
            // No unused bits.
            content.extend(der::wrap(tag::BIT_STRING, &[&[0], placeholder.as_slice()].concat()));
        }
        content
    }
}

/// The RSAPublicKey (RFC 8017 appendix A.1.1) of a modulus of so many bits that is nobody's.
pub fn rsa_placeholder(bits: u32) -> Vec<u8> {
    let octets = bits.div_ceil(8).max(1) as usize;
    let mut modulus = vec![0; octets];
    modulus[0] = 1 << ((bits.max(1) - 1) % 8);
    modulus[octets - 1] |= 1;
    // An INTEGER of DER is signed.
    let sign: &[u8] = if modulus[0] & 0x80 == 0 { &[] } else { &[0] };
    let modulus = der::wrap(tag::INTEGER, &[sign, &modulus].concat());
    let exponent = der::wrap(tag::INTEGER, &[1, 0, 1]);
    der::wrap(tag::SEQUENCE, &[modulus, exponent].concat())
}

/// The attribute that asks for extensions of which some have no value yet.
///
/// ```asn1
/// ExtensionTemplates{EXTENSION:ExtensionSet} ::=
///     SEQUENCE SIZE (1..MAX) OF ExtensionTemplate{{ExtensionSet}}
/// ```
pub fn extension_req_template(extensions: &[ExtensionTemplate]) -> Attribute {
    let encode = |extension: &ExtensionTemplate| {
        let mut content = extension.oid.encode();
        if extension.critical {
            content.extend(der::wrap(tag::BOOLEAN, &[0xff]));
        }
        if let Some(value) = &extension.value {
            content.extend(der::wrap(tag::OCTET_STRING, value));
        }
        der::wrap(tag::SEQUENCE, &content)
    };
    let extensions: Vec<u8> = extensions.iter().flat_map(encode).collect();
    Attribute { oid: oid::EXTENSION_REQ_TEMPLATE, values: vec![der::wrap(tag::SEQUENCE, &extensions)] }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::csr_attrs::{self, AttrOrOid};
    use crate::{AttributeTypeAndValue, KeyUsage};

    /// RFC 9908 section 3.4: a common name and an IP address to be filled in, the rest given.
    fn example() -> CertificationRequestInfoTemplate {
        let unit = |text| AttributeTypeAndValue::from_text(oid::AT_ORGANIZATIONAL_UNIT_NAME, text).unwrap();
        let given = |attribute: AttributeTypeAndValue| SingleAttributeTemplate {
            oid: attribute.oid,
            value: Some(attribute.value),
        };
        let alt_names = [&b"\x30\x14\x82\x10www.myServer.com\x87\x00"[..]].concat();
        let usage = KeyUsage::DIGITAL_SIGNATURE.union(KeyUsage::KEY_AGREEMENT).encode();
        let extension = |oid, critical, value| ExtensionTemplate { oid, critical, value };
        CertificationRequestInfoTemplate {
            subject: Some(vec![
                SingleAttributeTemplate { oid: oid::AT_COMMON_NAME, value: None },
                given(unit("myDept")),
                given(unit("myGroup")),
            ]),
            public_key: Some(SubjectPublicKeyInfoTemplate {
                algorithm: AlgorithmIdentifier::new(oid::EC_PUBLIC_KEY, Some(&oid::SECP256R1.encode())),
                placeholder: None,
            }),
            attributes: vec![extension_req_template(&[
                extension(oid::SUBJECT_ALT_NAME, false, Some(alt_names)),
                extension(oid::KEY_USAGE, true, Some(usage)),
                extension(oid::EXT_KEY_USAGE, false, None),
            ])],
        }
    }

    #[test]
    fn the_example_of_the_rfc_comes_out_to_the_octet() {
        let attribute = AttrOrOid::Attribute(example().to_attribute());
        let vector = include_bytes!("../tests/vectors/constructed/csrattrs-critemplate-rfc9908-3.4.der");
        assert_eq!(csr_attrs::encode(std::slice::from_ref(&attribute)), vector);
        // RFC 9908 section 4: beside the list.
        let curve = Attribute { oid: oid::EC_PUBLIC_KEY, values: vec![oid::SECP256R1.encode()] };
        let both = [
            AttrOrOid::Oid(oid::CHALLENGE_PASSWORD),
            AttrOrOid::Attribute(curve),
            AttrOrOid::Oid(oid::ECDSA_WITH_SHA256),
            attribute,
        ];
        let vector = include_bytes!("../tests/vectors/constructed/csrattrs-coexist-legacy+template.der");
        assert_eq!(csr_attrs::encode(&both), vector);
    }

    #[test]
    fn nothing_required_is_the_version_and_no_attributes() {
        assert_eq!(CertificationRequestInfoTemplate::default().encode(), [0x30, 5, 2, 1, 0, 0xa1, 0]);
    }

    #[test]
    fn a_placeholder_has_exactly_the_bits_asked_for() {
        for (bits, start) in
            [(2048, &[0x02, 0x82, 0x01, 0x01, 0x00, 0x80][..]), (2047, &[0x02, 0x82, 0x01, 0x00, 0x40])]
        {
            let key = rsa_placeholder(bits);
            assert_eq!(der::check(&key), Ok(()));
            assert_eq!(&key[4..4 + start.len()], start, "{bits}");
            assert_eq!(key[key.len() - 6..], [1, 2, 3, 1, 0, 1]);
        }
    }
}
