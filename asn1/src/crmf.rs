//! CertReqMsg (RFC 4211, module of RFC 5912), as CMC carries it: a request in another form than PKCS#10.

use rasn::prelude::*;

use crate::der::{self, tag};
use crate::pkcs10::{Attribute, RequestLimits, RequestTemplate};
use crate::spki::whole_octets;
use crate::{
    AlgorithmIdentifier, AttributeTypeAndValue, CertificationRequest, DecodeError, Extension, Name,
    SubjectPublicKeyInfo, extension,
};

/// A decoded CRMF request. No signature has been verified.
///
/// ```asn1
/// CertReqMsg ::= SEQUENCE {
///     certReq   CertRequest,
///     popo       ProofOfPossession  OPTIONAL,
///     -- content depends upon key type
///     regInfo   SEQUENCE SIZE(1..MAX) OF
///         SingleAttribute{{RegInfoSet}} OPTIONAL }
/// ```
#[derive(Debug, Clone)]
pub struct CertReqMsg {
    /// certReqId
    pub id: u32,
    /// popo with what it is for.
    pub possession: ProofOfPossession,
}

/// How possession of the private key is proven, if it is.
///
/// ```asn1
/// ProofOfPossession ::= CHOICE {
///     raVerified        [0] NULL,
///     -- used if the RA has already verified that the requester is in
///     -- possession of the private key
///     signature         [1] POPOSigningKey,
///     keyEncipherment   [2] POPOPrivKey,
///     keyAgreement      [3] POPOPrivKey }
/// ```
#[derive(Debug, Clone)]
#[expect(clippy::large_enum_variant, reason = "the large one is the common one, on the stack for a moment")]
pub enum ProofOfPossession {
    /// There is no popo.
    Absent,
    /// raVerified: somebody else says that it was proven.
    RaVerified,
    /// signature; the request it is over, in the form of a PKCS#10.
    Signature(CertificationRequest),
    /// keyEncipherment or keyAgreement, which need a further exchange.
    Other,
}

/// The tags of CertTemplate.
mod template {
    pub(super) const SUBJECT: u8 = 0xa5;
    pub(super) const PUBLIC_KEY: u8 = 0xa6;
    pub(super) const EXTENSIONS: u8 = 0xa9;
    /// All that a requester can name and the CA decides: version, serialNumber, signingAlg, issuer, validity, and the two
    /// unique identifiers.
    pub(super) const LEFT_TO_THE_CA: [u8; 7] = [0x80, 0x81, 0xa2, 0xa3, 0xa4, 0x87, 0x88];
}

/// The tags of ProofOfPossession.
mod popo {
    pub(super) const RA_VERIFIED: u8 = 0x80;
    pub(super) const SIGNATURE: u8 = 0xa1;
    pub(super) const KEY_ENCIPHERMENT: u8 = 0xa2;
    pub(super) const KEY_AGREEMENT: u8 = 0xa3;
}

impl CertReqMsg {
    /// Decodes a value that the door has let in.
    pub(crate) fn decode_checked(der: &[u8], limits: &RequestLimits) -> Result<Self, DecodeError> {
        let what = "CertReqMsg";
        // RFC 5272 §3.2.1.2.2: "The regInfo field MUST NOT be used": a third element is one too many.
        let fields = der::elements(what, der, 2)?;
        let mut fields = fields.iter().map(|field| field.as_bytes());
        let request = fields.next().unwrap_or_default();
        let wire: CertRequestWire = der::decode_checked("CertRequest", request)?;
        let possession = match fields.next().map(der::parts) {
            None => ProofOfPossession::Absent,
            Some(Some((popo::RA_VERIFIED, []))) => ProofOfPossession::RaVerified,
            Some(Some((popo::KEY_ENCIPHERMENT | popo::KEY_AGREEMENT, _))) => ProofOfPossession::Other,
            Some(Some((popo::SIGNATURE, signing_key))) => {
                // Implicitly tagged: the SEQUENCE gets its own tag back.
                let proof = der::wrap(tag::SEQUENCE, signing_key);
                ProofOfPossession::Signature(signed_request(request, &wire, &proof, limits)?)
            }
            Some(_) => return Err(DecodeError::Malformed { what: "ProofOfPossession" }),
        };
        Ok(Self { id: wire.cert_req_id, possession })
    }
}

fn signed_request(
    request: &[u8],
    wire: &CertRequestWire,
    proof: &[u8],
    limits: &RequestLimits,
) -> Result<CertificationRequest, DecodeError> {
    let what = "POPOSigningKey";
    // RFC 5272 §3.2.1.2.2: "Since the subject and publicKeyValues are always present, the POPOSigningKeyInput MUST NOT be
    // used".
    let proof: PopoSigningKeyWire = der::decode_checked(what, proof)?;
    let CertTemplate { subject, public_key, extensions } = CertTemplate::decode(&wire.cert_template)?;
    let (Some(subject), Some(public_key)) = (subject, public_key) else {
        return Err(DecodeError::Malformed { what: "CertTemplate with subject and publicKey" });
    };
    let controls = wire.controls.iter().flatten().map(|control| control_attribute(control.as_bytes()));
    let template = RequestTemplate { subject, public_key, extensions, attributes: controls.collect::<Result<_, _>>()? };
    // RFC 4211 §4.1: "If poposkInput is absent, the signature is computed over the DER-encoded value of certReq."
    CertificationRequest::from_template(
        request.to_vec(),
        template,
        limits,
        AlgorithmIdentifier::decode_checked(proof.algorithm_identifier.as_bytes())?,
        whole_octets(proof.signature, "signature")?,
    )
}

/// A control of a CRMF request is an attribute with one value (RFC 6402 section 2.8 for changeSubjectName).
fn control_attribute(der: &[u8]) -> Result<Attribute, DecodeError> {
    let wire: SingleAttributeWire = der::decode_unordered("SingleAttribute", der)?;
    Ok(Attribute { oid: crate::Oid::from_wire(&wire.r#type), values: vec![wire.value.into_bytes()] })
}

/// What a template asks for; an RA modifies a request by one (RFC 5272 section 6.5.1).
///
/// ```asn1
/// CertTemplate ::= SEQUENCE {
///     version      [0] Version               OPTIONAL,
///     serialNumber [1] INTEGER               OPTIONAL,
///     signingAlg   [2] AlgorithmIdentifier{SIGNATURE-ALGORITHM,
///                          {SignatureAlgorithms}}   OPTIONAL,
///     issuer       [3] Name                  OPTIONAL,
///     validity     [4] OptionalValidity      OPTIONAL,
///     subject      [5] Name                  OPTIONAL,
///     publicKey    [6] SubjectPublicKeyInfo  OPTIONAL,
///     issuerUID    [7] UniqueIdentifier      OPTIONAL,
///     subjectUID   [8] UniqueIdentifier      OPTIONAL,
///     extensions   [9] Extensions{{CertExtensions}}  OPTIONAL }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertTemplate {
    /// subject
    pub subject: Option<Name>,
    /// publicKey
    pub public_key: Option<SubjectPublicKeyInfo>,
    /// The TLV of extensions.
    pub extensions: Option<Vec<u8>>,
}

impl CertTemplate {
    /// The fields in their order, none twice. The fields that are the CA's to decide are passed over.
    pub(crate) fn decode(fields: &SequenceOf<Any>) -> Result<Self, DecodeError> {
        let what = "CertTemplate";
        let malformed = DecodeError::Malformed { what };
        let mut template = Self { subject: None, public_key: None, extensions: None };
        let mut last = None;
        for field in fields {
            let (identifier, content) = der::parts(field.as_bytes()).ok_or(malformed.clone())?;
            let number = Some(identifier & 0x1f);
            if last >= number {
                return Err(malformed);
            }
            last = number;
            match identifier {
                // Name is a CHOICE: its tag is explicit.
                template::SUBJECT => template.subject = Some(Name::decode(content)?),
                template::PUBLIC_KEY => {
                    let spki = der::wrap(tag::SEQUENCE, content);
                    template.public_key = Some(SubjectPublicKeyInfo::decode_checked(&spki)?);
                }
                template::EXTENSIONS => template.extensions = Some(der::wrap(tag::SEQUENCE, content)),
                known if template::LEFT_TO_THE_CA.contains(&known) => {}
                _ => return Err(malformed),
            }
        }
        Ok(template)
    }

    /// Encodes it, for the side of the client or the RA.
    pub fn encode(&self) -> Vec<u8> {
        let retag = |identifier, tlv: &[u8]| der::parts(tlv).map(|(_, content)| der::wrap(identifier, content));
        let fields = [
            self.subject.as_ref().map(|subject| der::wrap(template::SUBJECT, subject.der())),
            self.public_key.as_ref().and_then(|key| retag(template::PUBLIC_KEY, key.der())),
            self.extensions.as_ref().and_then(|extensions| retag(template::EXTENSIONS, extensions)),
        ];
        der::wrap(tag::SEQUENCE, &fields.into_iter().flatten().collect::<Vec<_>>().concat())
    }
}

/// Encodes a CertRequest for the client side: what is to be signed.
///
/// ```asn1
/// CertRequest ::= SEQUENCE {
///     certReqId     INTEGER,
///     -- ID for matching request and reply
///     certTemplate  CertTemplate,
///     -- Selected fields of cert to be issued
///     controls      Controls OPTIONAL }
///     -- Attributes affecting issuance
///
/// Controls  ::= SEQUENCE SIZE(1..MAX) OF SingleAttribute
///                   {{RegControlSet}}
/// ```
pub fn encode_cert_request(
    id: u32,
    subject: &Name,
    public_key: &SubjectPublicKeyInfo,
    extensions: &[Extension],
    controls: &[AttributeTypeAndValue],
) -> Vec<u8> {
    let template = CertTemplate {
        subject: Some(subject.clone()),
        public_key: Some(public_key.clone()),
        extensions: (!extensions.is_empty()).then(|| extension::encode_extensions(extensions)),
    };
    let control = |control: &AttributeTypeAndValue| {
        let wire = SingleAttributeWire { r#type: control.oid.to_wire(), value: Any::new(control.value.clone()) };
        der::encode(&wire)
    };
    let controls: Vec<u8> = controls.iter().flat_map(control).collect();
    let controls = if controls.is_empty() { Vec::new() } else { der::wrap(tag::SEQUENCE, &controls) };
    der::wrap(tag::SEQUENCE, &[der::encode(&id), template.encode(), controls].concat())
}

/// Encodes a CertReqMsg with a signature over `cert_request`, which is copied.
pub fn encode_cert_req_msg(cert_request: &[u8], algorithm: &AlgorithmIdentifier, signature: &[u8]) -> Vec<u8> {
    let proof = der::encode(&PopoSigningKeyWire {
        algorithm_identifier: Any::new(algorithm.der().to_vec()),
        signature: BitString::from_slice(signature),
    });
    let content = der::parts(&proof).map_or(&[][..], |(_, content)| content);
    der::wrap(tag::SEQUENCE, &[cert_request, &der::wrap(popo::SIGNATURE, content)].concat())
}

#[derive(AsnType, Decode, Encode)]
struct CertRequestWire {
    cert_req_id: u32,
    cert_template: SequenceOf<Any>,
    controls: Option<SequenceOf<Any>>,
}

/// ```asn1
/// POPOSigningKey ::= SEQUENCE {
///     poposkInput           [0] POPOSigningKeyInput OPTIONAL,
///     algorithmIdentifier   AlgorithmIdentifier{SIGNATURE-ALGORITHM,
///                               {SignatureAlgorithms}},
///     signature             BIT STRING }
/// ```
#[derive(AsnType, Decode, Encode)]
struct PopoSigningKeyWire {
    algorithm_identifier: Any,
    signature: BitString,
}

#[derive(AsnType, Decode, Encode)]
struct SingleAttributeWire {
    r#type: ObjectIdentifier,
    value: Any,
}
