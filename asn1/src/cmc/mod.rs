//! PKIData and PKIResponse, the messages of CMC (RFC 5272 sections 3.2 and 4.2, module of RFC 6402).

pub mod control;
pub mod ra_control;
pub mod status;

use rasn::prelude::*;

use crate::DecodeError;
use crate::crmf::CertReqMsg;
use crate::der::{self, tag};
use crate::pkcs10::RequestLimits;

pub use control::{BodyPartReference, Control, ControlValue};
pub use ra_control::{AddExtensions, LraPopWitness, ModCertTemplate};
pub use status::{CmcFailInfo, CmcStatus, CmcStatusInfoV2, OtherStatusInfo, PendInfo};

/// Names an element of a PKIData or a PKIResponse; 0 is the whole of it.
///
/// ```asn1
/// BodyPartID ::= INTEGER(0..4294967295)
/// ```
pub type BodyPartId = u32;

/// The body part that is the message itself (RFC 5272 section 3.2.2).
pub const WHOLE_MESSAGE: BodyPartId = 0;

/// Bounds on counts inside a PKIData.
#[derive(Debug, Clone, Copy)]
pub struct PkiDataLimits {
    /// Controls.
    pub max_controls: usize,
    /// Certification requests.
    pub max_requests: usize,
    /// Nested messages.
    pub max_contents: usize,
    /// Bounds inside a certification request of either form.
    pub request: RequestLimits,
}

/// Most elements of otherMsgSequence. They are ignored (RFC 5272 section 3.2.1.4: no control refers to them).
pub const MAX_OTHER_MESSAGES: usize = 16;

/// A request message. Nothing in it has been verified.
///
/// ```asn1
/// PKIData ::= SEQUENCE {
///     controlSequence    SEQUENCE SIZE(0..MAX) OF TaggedAttribute,
///     reqSequence        SEQUENCE SIZE(0..MAX) OF TaggedRequest,
///     cmsSequence        SEQUENCE SIZE(0..MAX) OF TaggedContentInfo,
///     otherMsgSequence   SEQUENCE SIZE(0..MAX) OF OtherMsg
/// }
/// ```
#[derive(Debug, Clone)]
pub struct PkiData {
    /// controlSequence
    pub controls: Vec<Control>,
    /// reqSequence
    pub requests: Vec<TaggedRequest>,
    /// cmsSequence
    pub contents: Vec<TaggedContentInfo>,
    request_sequence: Vec<u8>,
}

/// A certification request with its body part.
#[derive(Debug, Clone)]
pub struct TaggedRequest {
    /// bodyPartID, or certReqId.
    pub id: BodyPartId,
    /// The request.
    pub body: RequestBody,
    /// Its TLV, as it came.
    pub der: Vec<u8>,
}

/// A certification request in one of its forms.
///
/// ```asn1
/// TaggedRequest ::= CHOICE {
///     tcr               [0] TaggedCertificationRequest,
///     crm               [1] CertReqMsg,
///     orm               [2] SEQUENCE {
///         bodyPartID            BodyPartID,
///         requestMessageType    OTHER-REQUEST.&id({OtherRequests}),
///         requestMessageValue   OTHER-REQUEST.&Type({OtherRequests}
///                                   {@.requestMessageType})
///     }
/// }
/// ```
#[derive(Debug, Clone)]
#[expect(clippy::large_enum_variant, reason = "the large ones are the common ones, and few")]
pub enum RequestBody {
    /// tcr: the TLV of a PKCS #10.
    Pkcs10(Vec<u8>),
    /// crm, or why it does not decode.
    Crmf(Result<CertReqMsg, DecodeError>),
    /// orm
    Other,
}

/// A nested message.
///
/// ```asn1
/// TaggedContentInfo ::= SEQUENCE {
///     bodyPartID              BodyPartID,
///     contentInfo             ContentInfo
/// }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaggedContentInfo {
    /// bodyPartID
    pub id: BodyPartId,
    /// The TLV of contentInfo.
    pub content_info: Vec<u8>,
}

impl PkiData {
    /// Strictly decodes a PKIData. A control or a CRMF request that does not decode does not keep the others from being
    /// read, so that an answer can name it.
    ///
    /// # Errors
    /// When the bytes are not the DER of one, counts are beyond `limits`, or a body part stands twice or is 0.
    pub fn decode(der: &[u8], limits: &PkiDataLimits) -> Result<Self, DecodeError> {
        let wire: PkiDataWire = der::decode("PKIData", der)?;
        let (controls, requests) = (wire.control_sequence, wire.req_sequence);
        let contents = wire.cms_sequence;
        for (what, count, limit) in [
            ("controls", controls.len(), limits.max_controls),
            ("certification requests", requests.len(), limits.max_requests),
            ("nested messages", contents.len(), limits.max_contents),
            ("other messages", wire.other_msg_sequence.len(), MAX_OTHER_MESSAGES),
        ] {
            if count > limit {
                return Err(DecodeError::TooMany { what, limit });
            }
        }
        let request_sequence = der::encode(&requests);
        let data = Self {
            controls: controls.iter().map(|control| Control::decode(control.as_bytes())).collect::<Result<_, _>>()?,
            requests: requests
                .iter()
                .map(|request| TaggedRequest::decode_checked(request.as_bytes(), &limits.request))
                .collect::<Result<_, _>>()?,
            contents: contents.iter().map(TaggedContentInfo::decode).collect::<Result<_, _>>()?,
            request_sequence,
        };
        data.with_distinct_body_parts(&wire.other_msg_sequence)
    }

    /// The TLV of reqSequence, which the witness of an identity proof is over (RFC 5272 section 6.2.1).
    pub fn request_sequence(&self) -> &[u8] {
        &self.request_sequence
    }

    /// RFC 5272 §3.2.2: "The body part identifier MUST be unique within a single PKIData", and 0 is reserved.
    fn with_distinct_body_parts(self, others: &[Any]) -> Result<Self, DecodeError> {
        let mut ids: Vec<BodyPartId> = self.controls.iter().map(|control| control.id).collect();
        ids.extend(self.requests.iter().map(|request| request.id));
        ids.extend(self.contents.iter().map(|content| content.id));
        for other in others {
            ids.push(der::decode_unordered::<OtherMsgWire>("OtherMsg", other.as_bytes())?.body_part_id);
        }
        ids.sort_unstable();
        if ids.first() == Some(&WHOLE_MESSAGE) {
            return Err(DecodeError::Malformed { what: "bodyPartID other than 0" });
        }
        if ids.windows(2).any(|pair| pair[0] == pair[1]) {
            return Err(DecodeError::Duplicate { what: "element with one bodyPartID" });
        }
        Ok(self)
    }
}

impl TaggedRequest {
    /// Decodes one that was kept as it came.
    ///
    /// # Errors
    /// When the bytes are not the DER of one.
    pub fn decode(der: &[u8], limits: &RequestLimits) -> Result<Self, DecodeError> {
        der::check(der)?;
        Self::decode_checked(der, limits)
    }

    /// Decodes a value that the door has let in.
    fn decode_checked(der: &[u8], limits: &RequestLimits) -> Result<Self, DecodeError> {
        let malformed = || DecodeError::Malformed { what: "TaggedRequest" };
        let (identifier, content) = der::parts(der).ok_or_else(malformed)?;
        let tagged = |id, body| Ok(Self { id, body, der: der.to_vec() });
        // Implicitly tagged: the SEQUENCE gets its own tag back.
        let sequence = der::wrap(tag::SEQUENCE, content);
        match identifier {
            TCR => {
                let wire: TaggedCertificationRequestWire =
                    der::decode_unordered("TaggedCertificationRequest", &sequence)?;
                let body = RequestBody::Pkcs10(wire.certification_request.into_bytes());
                tagged(wire.body_part_id, body)
            }
            CRM => {
                let id = certificate_request_id(&sequence).ok_or_else(malformed)?;
                tagged(id, RequestBody::Crmf(CertReqMsg::decode_checked(&sequence, limits)))
            }
            ORM => {
                let wire: OtherMsgWire = der::decode_unordered("OtherRequest", &sequence)?;
                tagged(wire.body_part_id, RequestBody::Other)
            }
            _ => Err(malformed()),
        }
    }

    /// Encodes a PKCS #10 as one, for the client side.
    pub fn encode_pkcs10(id: BodyPartId, request: &[u8]) -> Vec<u8> {
        der::wrap(TCR, &[&der::encode(&id), request].concat())
    }

    /// Encodes a CertReqMsg as one, for the client side.
    pub fn encode_crmf(message: &[u8]) -> Vec<u8> {
        der::wrap(CRM, der::parts(message).map_or(&[][..], |(_, content)| content))
    }
}

/// RFC 5272 section 3.2.2: the certReqId stands for the body part, also of a request that is wrong elsewhere.
fn certificate_request_id(message: &[u8]) -> Option<BodyPartId> {
    let (_, fields) = der::parts(message)?;
    let (request, _) = der::split(fields)?;
    let (_, fields) = der::parts(request)?;
    let (id, _) = der::split(fields)?;
    der::decode_checked("certReqId", id).ok()
}

impl TaggedContentInfo {
    fn decode(content: &Any) -> Result<Self, DecodeError> {
        let wire: TaggedContentInfoWire = der::decode_unordered("TaggedContentInfo", content.as_bytes())?;
        Ok(Self { id: wire.body_part_id, content_info: wire.content_info.into_bytes() })
    }

    /// Encodes it.
    pub fn encode(&self) -> Vec<u8> {
        der::wrap(tag::SEQUENCE, &[der::encode(&self.id), self.content_info.clone()].concat())
    }
}

/// Encodes a PKIData for the client side, of elements that are encoded.
pub fn encode_pki_data(controls: &[Vec<u8>], requests: &[Vec<u8>], contents: &[Vec<u8>]) -> Vec<u8> {
    let sequences = [controls, requests, contents, &[]].map(sequence);
    der::wrap(tag::SEQUENCE, &sequences.concat())
}

/// A response message, as a client reads it.
///
/// ```asn1
/// PKIResponse ::= SEQUENCE {
///     controlSequence   SEQUENCE SIZE(0..MAX) OF TaggedAttribute,
///     cmsSequence       SEQUENCE SIZE(0..MAX) OF TaggedContentInfo,
///     otherMsgSequence  SEQUENCE SIZE(0..MAX) OF OtherMsg
/// }
/// ```
#[derive(Debug, Clone)]
pub struct PkiResponse {
    /// controlSequence
    pub controls: Vec<Control>,
    /// cmsSequence
    pub contents: Vec<TaggedContentInfo>,
}

impl PkiResponse {
    /// Decodes one; at most `limit` controls and as many nested messages.
    ///
    /// # Errors
    /// When the bytes are not the DER of one.
    pub fn decode(der: &[u8], limit: usize) -> Result<Self, DecodeError> {
        let wire: PkiResponseWire = der::decode("PKIResponse", der)?;
        let (controls, contents) = (wire.control_sequence, wire.cms_sequence);
        if controls.len().max(contents.len()) > limit {
            return Err(DecodeError::TooMany { what: "elements of a PKIResponse", limit });
        }
        Ok(Self {
            controls: controls.iter().map(|control| Control::decode(control.as_bytes())).collect::<Result<_, _>>()?,
            contents: contents.iter().map(TaggedContentInfo::decode).collect::<Result<_, _>>()?,
        })
    }
}

/// Encodes a PKIResponse of controls and nested messages that are encoded.
pub fn encode_pki_response(controls: &[Vec<u8>], contents: &[Vec<u8>]) -> Vec<u8> {
    let sequences = [controls, contents, &[]].map(sequence);
    der::wrap(tag::SEQUENCE, &sequences.concat())
}

fn sequence(elements: &[Vec<u8>]) -> Vec<u8> {
    der::wrap(tag::SEQUENCE, &elements.concat())
}

/// Identifier octets of the alternatives of TaggedRequest.
const TCR: u8 = 0xa0;
const CRM: u8 = 0xa1;
const ORM: u8 = 0xa2;

#[derive(AsnType, Decode, Encode)]
struct PkiDataWire {
    control_sequence: SequenceOf<Any>,
    req_sequence: SequenceOf<Any>,
    cms_sequence: SequenceOf<Any>,
    other_msg_sequence: SequenceOf<Any>,
}

#[derive(AsnType, Decode, Encode)]
struct PkiResponseWire {
    control_sequence: SequenceOf<Any>,
    cms_sequence: SequenceOf<Any>,
    other_msg_sequence: SequenceOf<Any>,
}

/// ```asn1
/// TaggedCertificationRequest ::= SEQUENCE {
///     bodyPartID            BodyPartID,
///     certificationRequest  CertificationRequest
/// }
/// ```
#[derive(AsnType, Decode, Encode)]
struct TaggedCertificationRequestWire {
    body_part_id: u32,
    certification_request: Any,
}

#[derive(AsnType, Decode, Encode)]
struct TaggedContentInfoWire {
    body_part_id: u32,
    content_info: Any,
}

/// Of the same form as the orm of a TaggedRequest.
///
/// ```asn1
/// OtherMsg ::= SEQUENCE {
///     bodyPartID        BodyPartID,
///     otherMsgType      OTHER-MSG.&id({OtherMsgSet}),
///     otherMsgValue     OTHER-MSG.&Type({OtherMsgSet}{@otherMsgType}) }
/// ```
#[derive(AsnType, Decode, Encode)]
struct OtherMsgWire {
    body_part_id: u32,
    other_msg_type: ObjectIdentifier,
    other_msg_value: Any,
}
