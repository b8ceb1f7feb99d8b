//! CertificationRequest (RFC 2986, module of RFC 5912) and the attributes EST gives meaning to.

use std::fmt;

use rasn::prelude::*;

use crate::change_subject_name::ChangeSubjectName;
use crate::der::{self, tag};
use crate::spki::whole_octets;
use crate::{AlgorithmIdentifier, DecodeError, Extension, GeneralName, Name, Oid, SubjectPublicKeyInfo};
use crate::{extension, general_name, name, oid};

/// Most values of one attribute.
pub const MAX_ATTRIBUTE_VALUES: usize = 32;

/// Longest challengePassword, in characters (RFC 2985 section 5.4.1, pkcs-9-ub-challengePassword).
pub const MAX_CHALLENGE_PASSWORD: usize = 255;

/// An attribute; its values are whole TLVs in the order received.
///
/// ```asn1
/// Attribute { ATTRIBUTE:IOSet } ::= SEQUENCE {
///    type    ATTRIBUTE.&id({IOSet}),
///    values  SET SIZE(1..MAX) OF ATTRIBUTE.&Type({IOSet}{@type})
/// }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attribute {
    /// type
    pub oid: Oid,
    /// values
    pub values: Vec<Vec<u8>>,
}

impl Attribute {
    /// Decodes a value that the door has let in. The order of the values is not judged: unsorted ones are common, and the
    /// signature is verified over the octets received.
    pub(crate) fn decode_checked(der: &[u8]) -> Result<Self, DecodeError> {
        let wire: AttributeWire = der::decode_unordered("Attribute", der)?;
        if wire.values.len() > MAX_ATTRIBUTE_VALUES {
            return Err(DecodeError::TooMany { what: "values of an attribute", limit: MAX_ATTRIBUTE_VALUES });
        }
        let values = wire.values.into_vec().into_iter().map(Any::into_bytes).collect();
        Ok(Self { oid: Oid::from_wire(&wire.r#type), values })
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        let values: Vec<Any> = self.values.iter().cloned().map(Any::new).collect();
        der::encode(&AttributeWire { r#type: self.oid.to_wire(), values: values.into() })
    }
}

#[derive(AsnType, Decode, Encode)]
struct AttributeWire {
    r#type: ObjectIdentifier,
    values: SetOf<Any>,
}

/// Bounds on counts inside a request.
#[derive(Debug, Clone, Copy)]
pub struct RequestLimits {
    /// Attributes.
    pub max_attributes: usize,
    /// Extensions asked for.
    pub max_extensions: usize,
    /// RDNs in the subject; never more than [`name::MAX_RDNS`].
    pub max_rdns: usize,
    /// Names in the subjectAltName asked for.
    pub max_subject_alt_names: usize,
}

impl Default for RequestLimits {
    fn default() -> Self {
        Self { max_attributes: 32, max_extensions: 32, max_rdns: 32, max_subject_alt_names: 32 }
    }
}

/// What a request has although no standard allows it. It is read nevertheless: clients in the field send it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deviation {
    /// The attributes field is left out; RFC 2986 section 4.1 does not make it optional.
    OmittedAttributes,
    /// Attributes, or the values of one, are not in the order of DER (X.690 section 11.6).
    UnsortedSet,
    /// A challenge is an IA5String, no DirectoryString (RFC 2985 section 5.4.1).
    Ia5Challenge,
    /// The extensions asked for stand under Microsoft's identifier, not that of RFC 2985 section 5.4.2.
    MicrosoftExtensionRequest,
}

/// A decoded PKCS #10 request. The signature has NOT been verified.
///
/// ```asn1
/// CertificationRequest ::= SEQUENCE {
///    certificationRequestInfo  CertificationRequestInfo,
///    signatureAlgorithm        AlgorithmIdentifier{SIGNATURE-ALGORITHM,
///                                  { SignatureAlgorithms }},
///    signature                 BIT STRING
/// }
/// ```
#[derive(Clone)]
pub struct CertificationRequest {
    info_der: Vec<u8>,
    subject: Name,
    public_key: SubjectPublicKeyInfo,
    attributes: RequestAttributes,
    signature_algorithm: AlgorithmIdentifier,
    signature: Vec<u8>,
}

impl CertificationRequest {
    /// Strictly decodes one request: version v1(0), nothing after it, no attribute, single value or extension twice, and
    /// all counts within `limits`. What is tolerated is told by [`Self::deviations`].
    ///
    /// # Errors
    /// When the bytes break one of the rules above.
    pub fn decode(der: &[u8], limits: &RequestLimits) -> Result<Self, DecodeError> {
        let outer: CertificationRequestWire = der::decode("CertificationRequest", der)?;
        let info_der = outer.certification_request_info.into_bytes();
        let info: CertificationRequestInfoWire = der::decode_checked("CertificationRequestInfo", &info_der)?;
        // RFC 2986 §4.1: "It shall be 0 for this version of the standard."
        if info.version != 0 {
            return Err(DecodeError::Version { what: "CertificationRequest" });
        }
        let subject = Name::decode_checked(info.subject.as_bytes())?;
        if subject.rdns().len() > limits.max_rdns {
            return Err(DecodeError::TooMany { what: "RDNs in the subject", limit: limits.max_rdns });
        }
        let attributes = match info.attributes {
            Some(attributes) => RequestAttributes::decode_checked(&attributes, limits)?,
            // RFC 2986 §4.1: the field is not OPTIONAL.
            None => {
                RequestAttributes { deviations: vec![Deviation::OmittedAttributes], ..RequestAttributes::default() }
            }
        };
        Ok(Self {
            subject,
            public_key: SubjectPublicKeyInfo::decode_checked(info.subject_pk_info.as_bytes())?,
            attributes,
            signature_algorithm: AlgorithmIdentifier::decode_checked(outer.signature_algorithm.as_bytes())?,
            signature: whole_octets(outer.signature, "signature")?,
            info_der,
        })
    }

    /// The same request in another form (RFC 4211): what its signature is over, what it asks for, and who signed.
    pub(crate) fn from_template(
        info_der: Vec<u8>,
        template: RequestTemplate,
        limits: &RequestLimits,
        signature_algorithm: AlgorithmIdentifier,
        signature: Vec<u8>,
    ) -> Result<Self, DecodeError> {
        let RequestTemplate { subject, public_key, extensions, attributes } = template;
        if subject.rdns().len() > limits.max_rdns {
            return Err(DecodeError::TooMany { what: "RDNs in the subject", limit: limits.max_rdns });
        }
        let mut read = RequestAttributes::default();
        if let Some(extensions) = extensions {
            read.read_extensions(&extensions, limits)?;
        }
        read.take_in(attributes.into_iter().map(Ok), limits)?;
        Ok(Self { info_der, subject, public_key, attributes: read, signature_algorithm, signature })
    }

    /// The exact CertificationRequestInfo, over which the signature stands; of a CRMF request, the exact CertRequest.
    pub fn info_der(&self) -> &[u8] {
        &self.info_der
    }

    /// subject
    pub fn subject(&self) -> &Name {
        &self.subject
    }

    /// subjectPKInfo
    pub fn public_key(&self) -> &SubjectPublicKeyInfo {
        &self.public_key
    }

    /// All attributes, in the order received.
    pub fn attributes(&self) -> &[Attribute] {
        &self.attributes.all
    }

    /// The extensions asked for (RFC 2985 section 5.4.2, or Microsoft's alias); empty when there are none.
    pub fn extension_request(&self) -> &[Extension] {
        &self.attributes.extensions
    }

    /// The names in the subjectAltName asked for; empty when none is.
    pub fn subject_alt_names(&self) -> &[GeneralName] {
        &self.attributes.subject_alt_names
    }

    /// challengePassword, of 1 to [`MAX_CHALLENGE_PASSWORD`] characters.
    pub fn challenge_password(&self) -> Option<&str> {
        self.attributes.challenge_password.as_deref()
    }

    /// estIdentityLinking (RFC 7894 section 3.3), of 1 to [`MAX_CHALLENGE_PASSWORD`] characters.
    pub fn est_identity_linking(&self) -> Option<&str> {
        self.attributes.est_identity_linking.as_deref()
    }

    /// otpChallenge (RFC 7894 section 3.1), of 1 to [`MAX_CHALLENGE_PASSWORD`] characters. Read only when asked for: to
    /// whoever takes no one-time passwords it is an attribute like others, and libest sends it empty.
    ///
    /// # Errors
    /// When it is there and is something else.
    pub fn otp_challenge(&self) -> Result<Option<String>, DecodeError> {
        let attribute = self.attributes.all.iter().find(|attribute| attribute.oid == oid::OTP_CHALLENGE);
        let decode = |attribute| decode_challenge("otpChallenge", single_value(attribute, "otpChallenge value")?);
        attribute.map(decode).transpose()
    }

    /// changeSubjectName (RFC 6402 section 2.8).
    pub fn change_subject_name(&self) -> Option<&ChangeSubjectName> {
        self.attributes.change_subject_name.as_ref()
    }

    /// What it has that no standard allows.
    pub fn deviations(&self) -> &[Deviation] {
        &self.attributes.deviations
    }

    /// signatureAlgorithm
    pub fn signature_algorithm(&self) -> &AlgorithmIdentifier {
        &self.signature_algorithm
    }

    /// Content of the signature; it has no unused bits.
    pub fn signature(&self) -> &[u8] {
        &self.signature
    }
}

/// The attributes may hold a secret (challengePassword), so they are not shown.
impl fmt::Debug for CertificationRequest {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("CertificationRequest").field("subject", &self.subject).finish_non_exhaustive()
    }
}

/// What a request asks for, whatever form it came in.
pub(crate) struct RequestTemplate {
    pub(crate) subject: Name,
    pub(crate) public_key: SubjectPublicKeyInfo,
    /// The TLV of the extensions.
    pub(crate) extensions: Option<Vec<u8>>,
    pub(crate) attributes: Vec<Attribute>,
}

/// The attributes of a request, and what those that EST knows say.
#[derive(Clone, Default)]
struct RequestAttributes {
    all: Vec<Attribute>,
    extensions: Vec<Extension>,
    subject_alt_names: Vec<GeneralName>,
    challenge_password: Option<String>,
    est_identity_linking: Option<String>,
    change_subject_name: Option<ChangeSubjectName>,
    deviations: Vec<Deviation>,
}

impl RequestAttributes {
    fn decode_checked(attributes: &[Any], limits: &RequestLimits) -> Result<Self, DecodeError> {
        let mut decoded = Self::default();
        let received = attributes.iter().map(|attribute| Attribute::decode_checked(attribute.as_bytes()));
        decoded.take_in(received, limits)?;
        let in_order = attributes.is_sorted_by_key(Any::as_bytes);
        if !in_order || decoded.all.iter().zip(attributes).any(|(read, sent)| read.encode() != sent.as_bytes()) {
            decoded.deviations.push(Deviation::UnsortedSet);
        }
        Ok(decoded)
    }

    fn take_in(
        &mut self,
        attributes: impl ExactSizeIterator<Item = Result<Attribute, DecodeError>>,
        limits: &RequestLimits,
    ) -> Result<(), DecodeError> {
        if attributes.len() > limits.max_attributes {
            return Err(DecodeError::TooMany { what: "attributes", limit: limits.max_attributes });
        }
        for attribute in attributes {
            let attribute = attribute?;
            // RFC 2986 §4.1: SET SIZE (1..MAX) OF.
            if attribute.values.is_empty() {
                return Err(DecodeError::Malformed { what: "Attribute" });
            }
            // X.501 §8.2: a type stands once in a set of attributes. `max_attributes` bounds the search.
            if self.all.iter().any(|earlier| earlier.oid == attribute.oid) {
                return Err(DecodeError::Duplicate { what: "attribute of one type" });
            }
            self.read(&attribute, limits)?;
            self.all.push(attribute);
        }
        Ok(())
    }

    fn read(&mut self, attribute: &Attribute, limits: &RequestLimits) -> Result<(), DecodeError> {
        if [oid::EXTENSION_REQUEST, oid::MS_EXTENSION_REQUEST].contains(&attribute.oid) {
            // Asking twice, by both names, would leave open which one counts.
            if attribute.oid == oid::MS_EXTENSION_REQUEST {
                self.deviations.push(Deviation::MicrosoftExtensionRequest);
            }
            let value = single_value(attribute, "extensionRequest value")?;
            if !self.extensions.is_empty() {
                return Err(DecodeError::Duplicate { what: "extensionRequest" });
            }
            self.read_extensions(value, limits)?;
        }
        if attribute.oid == oid::CHALLENGE_PASSWORD {
            let value = single_value(attribute, "challengePassword value")?;
            self.challenge_password = Some(decode_challenge("challengePassword", value)?);
            self.deviations.extend(is_ia5(value).then_some(Deviation::Ia5Challenge));
        }
        if attribute.oid == oid::EST_IDENTITY_LINKING {
            let value = single_value(attribute, "estIdentityLinking value")?;
            self.est_identity_linking = Some(decode_challenge("estIdentityLinking", value)?);
            self.deviations.extend(is_ia5(value).then_some(Deviation::Ia5Challenge));
        }
        if attribute.oid == oid::CMC_CHANGE_SUBJECT_NAME {
            let value = single_value(attribute, "changeSubjectName value")?;
            self.change_subject_name = Some(ChangeSubjectName::decode(value, limits)?);
        }
        Ok(())
    }

    fn read_extensions(&mut self, value: &[u8], limits: &RequestLimits) -> Result<(), DecodeError> {
        self.extensions = extension::decode_extensions(value, limits.max_extensions)?;
        let subject_alt_name = self.extensions.iter().find(|extension| extension.oid == oid::SUBJECT_ALT_NAME);
        if let Some(extension) = subject_alt_name {
            self.subject_alt_names =
                general_name::decode_general_names(&extension.value, limits.max_subject_alt_names)?;
        }
        Ok(())
    }
}

/// RFC 2985 section 5.4, RFC 7894 section 3: SINGLE VALUE TRUE.
pub(crate) fn single_value<'a>(attribute: &'a Attribute, what: &'static str) -> Result<&'a [u8], DecodeError> {
    match attribute.values.as_slice() {
        [value] => Ok(value),
        _ => Err(DecodeError::Duplicate { what }),
    }
}

/// RFC 2985 section 5.4.1, RFC 7894 section 3: a DirectoryString of at most 255 characters.
fn decode_challenge(what: &'static str, value: &[u8]) -> Result<String, DecodeError> {
    const DIRECTORY_STRING: &[u8] =
        &[tag::TELETEX_STRING, tag::PRINTABLE_STRING, tag::UNIVERSAL_STRING, tag::UTF8_STRING, tag::BMP_STRING];
    let is_text = value.first().is_some_and(|identifier| DIRECTORY_STRING.contains(identifier));
    // Also seen, though it is no DirectoryString.
    if !is_text && !is_ia5(value) {
        return Err(DecodeError::Malformed { what });
    }
    match name::decode_text(value) {
        Some(text) if (1..=MAX_CHALLENGE_PASSWORD).contains(&text.chars().count()) => Ok(text),
        _ => Err(DecodeError::Text { what }),
    }
}

fn is_ia5(value: &[u8]) -> bool {
    value.first() == Some(&tag::IA5_STRING)
}

/// Encodes a CertificationRequestInfo for the client side, with one extensionRequest when extensions are given.
pub fn encode_certification_request_info(subject: &Name, spki_der: &[u8], extensions: &[Extension]) -> Vec<u8> {
    let extension_request =
        Attribute { oid: oid::EXTENSION_REQUEST, values: vec![extension::encode_extensions(extensions)] };
    let attributes = if extensions.is_empty() { Vec::new() } else { vec![extension_request] };
    encode_certification_request_info_with(subject, spki_der, &attributes)
}

/// Encodes a CertificationRequestInfo with attributes of one's own, in the order given.
///
/// ```asn1
/// CertificationRequestInfo ::= SEQUENCE {
///    version       INTEGER { v1(0) } (v1, ... ),
///    subject       Name,
///    subjectPKInfo SubjectPublicKeyInfo{{ PKInfoAlgorithms }},
///    attributes    [0] Attributes{{ CRIAttributes }}
/// }
/// ```
pub fn encode_certification_request_info_with(subject: &Name, spki_der: &[u8], attributes: &[Attribute]) -> Vec<u8> {
    let attributes = attributes.iter().map(|attribute| Any::new(attribute.encode())).collect();
    der::encode(&CertificationRequestInfoWire {
        version: 0,
        subject: Any::new(subject.der().to_vec()),
        subject_pk_info: Any::new(spki_der.to_vec()),
        attributes: Some(attributes),
    })
}

/// Encodes the outer CertificationRequest; `info_der` is copied, never re-encoded.
pub fn encode_certification_request(info_der: &[u8], algorithm: &AlgorithmIdentifier, signature: &[u8]) -> Vec<u8> {
    der::encode(&CertificationRequestWire {
        certification_request_info: Any::new(info_der.to_vec()),
        signature_algorithm: Any::new(algorithm.der().to_vec()),
        signature: BitString::from_slice(signature),
    })
}

#[derive(AsnType, Decode, Encode)]
struct CertificationRequestWire {
    certification_request_info: Any,
    signature_algorithm: Any,
    signature: BitString,
}

#[derive(AsnType, Decode, Encode)]
struct CertificationRequestInfoWire {
    version: u64,
    subject: Any,
    subject_pk_info: Any,
    #[rasn(tag(0))]
    attributes: Option<SequenceOf<Any>>,
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A value of at most 65,535 octets.
    fn tlv(identifier: u8, content: &[u8]) -> Vec<u8> {
        let length = u16::try_from(content.len()).unwrap_or_default();
        let [high, low] = length.to_be_bytes();
        match length {
            0..=127 => [&[identifier, low], content].concat(),
            128..=255 => [&[identifier, 0x81, low], content].concat(),
            256.. => [&[identifier, 0x82, high, low], content].concat(),
        }
    }

    /// POP-08: each kind of DirectoryString, of 1 to 255 characters, however many octets those take.
    #[test]
    fn a_challenge_password_is_any_directory_string_of_1_to_255_characters() {
        let texts: [(u8, &[u8]); 7] = [
            (tag::TELETEX_STRING, b"a"),
            (tag::PRINTABLE_STRING, b"a"),
            (tag::UNIVERSAL_STRING, &[0, 0, 0, b'a']),
            (tag::UTF8_STRING, b"a"),
            (tag::UTF8_STRING, "\u{20ac}".as_bytes()),
            (tag::BMP_STRING, &[0x20, 0xac]),
            (tag::IA5_STRING, b"a"),
        ];
        for (identifier, character) in texts {
            let decoded = |characters| decode_challenge("it", &tlv(identifier, &character.repeat(characters)));
            assert_eq!(decoded(1).unwrap().chars().count(), 1, "{identifier}");
            assert_eq!(decoded(255).unwrap().chars().count(), 255, "{identifier}");
            for characters in [0, 256] {
                assert_eq!(decoded(characters), Err(DecodeError::Text { what: "it" }), "{identifier} {characters}");
            }
        }
        assert_eq!(decode_challenge("it", &tlv(tag::OCTET_STRING, b"a")), Err(DecodeError::Malformed { what: "it" }));
        assert_eq!(decode_challenge("it", &[]), Err(DecodeError::Malformed { what: "it" }));
    }
}
