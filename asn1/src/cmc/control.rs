//! Controls: what a CMC message asks for besides certificates (RFC 5272 section 6, RFC 6402).

use rasn::prelude::*;

use super::ra_control::{AddExtensions, LraPopWitness, ModCertTemplate};
use super::{BodyPartId, CmcStatusInfoV2};
use crate::der::{self, tag};
use crate::signed_message::IssuerAndSerialNumber;
use crate::{AlgorithmIdentifier, DecodeError, Name, Oid, oid};

/// Most body parts that one control names.
pub const MAX_BODY_PARTS: usize = 256;

/// A control.
///
/// ```asn1
/// TaggedAttribute ::= SEQUENCE {
///     bodyPartID         BodyPartID,
///     attrType           CMC-CONTROL.&id({Cmc-Control-Set}),
///     attrValues         SET OF CMC-CONTROL.
///                            &Type({Cmc-Control-Set}{@attrType})
/// }
/// ```
#[derive(Debug, Clone)]
pub struct Control {
    /// bodyPartID
    pub id: BodyPartId,
    /// attrType
    pub kind: Oid,
    /// Its one value, or why that does not decode.
    pub value: Result<ControlValue, DecodeError>,
}

/// What a control says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ControlValue {
    /// statusInfoV2: of a client, whether it takes a certificate.
    StatusInfo(CmcStatusInfoV2),
    /// identification
    Identification(String),
    /// identityProof or identityProofV2. The first is made with SHA-1.
    IdentityProof(Option<IdentityProofV2>),
    /// dataReturn
    DataReturn(Vec<u8>),
    /// transactionId, its TLV.
    TransactionId(Vec<u8>),
    /// senderNonce
    SenderNonce(Vec<u8>),
    /// recipientNonce
    RecipientNonce(Vec<u8>),
    /// addExtensions
    AddExtensions(AddExtensions),
    /// lraPOPWitness
    LraPopWitness(LraPopWitness),
    /// revokeRequest
    RevokeRequest(RevokeRequest),
    /// regInfo
    RegInfo(Vec<u8>),
    /// queryPending
    QueryPending(Vec<u8>),
    /// popLinkRandom
    PopLinkRandom(Vec<u8>),
    /// confirmCertAcceptance
    ConfirmCertAcceptance(IssuerAndSerialNumber),
    /// trustedAnchors
    PublishTrustAnchors(PublishTrustAnchors),
    /// batchRequests
    BatchRequests(Vec<BodyPartId>),
    /// batchResponses
    BatchResponses(Vec<BodyPartId>),
    /// modCertTemplate
    ModCertTemplate(ModCertTemplate),
    /// controlProcessed
    ControlProcessed(Vec<BodyPartReference>),
    /// raIdentityWitness
    RaIdentityWitness(Vec<BodyPartId>),
    /// One that nobody here knows.
    Unknown,
}

/// An element of this message, or of one inside it.
///
/// ```asn1
/// BodyPartReference ::= CHOICE {
///    bodyPartID           BodyPartID,
///    bodyPartPath         BodyPartPath
/// }
///
/// BodyPartPath ::= SEQUENCE SIZE (1..MAX) OF BodyPartID
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BodyPartReference {
    /// bodyPartID
    Id(BodyPartId),
    /// bodyPartPath, outermost first.
    Path(Vec<BodyPartId>),
}

/// A proof that a shared secret is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdentityProofV2 {
    /// proofAlgID, the hash that makes a key of the secret.
    pub hash: AlgorithmIdentifier,
    /// macAlgId
    pub mac: AlgorithmIdentifier,
    /// witness
    pub witness: Vec<u8>,
}

/// A certificate to be revoked. The passphrase and the comment are not kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RevokeRequest {
    /// issuerName and serialNumber
    pub certificate: IssuerAndSerialNumber,
    /// reason: the number of a CRLReason.
    pub reason: u8,
    /// Whether there is a passphrase, which stands for a signature.
    pub by_passphrase: bool,
}

/// Trust anchors, by their hashes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublishTrustAnchors {
    /// seqNumber
    pub sequence: u64,
    /// hashAlgorithm
    pub hash: AlgorithmIdentifier,
    /// anchorHashes
    pub anchors: Vec<Vec<u8>>,
}

impl Control {
    /// Decodes a value that the door has let in.
    pub(crate) fn decode(der: &[u8]) -> Result<Self, DecodeError> {
        let wire: TaggedAttributeWire = der::decode_unordered("TaggedAttribute", der)?;
        let kind = Oid::from_wire(&wire.attr_type);
        // RFC 5272 §6: each control defined there has one value.
        let value = match wire.attr_values.to_vec().as_slice() {
            [value] => ControlValue::decode(&kind, value.as_bytes()),
            _ => Err(DecodeError::Malformed { what: "control with one value" }),
        };
        Ok(Self { id: wire.body_part_id, kind, value })
    }

    /// Encodes a control; `value` is a whole TLV.
    pub fn encode(id: BodyPartId, kind: &Oid, value: Vec<u8>) -> Vec<u8> {
        der::encode(&TaggedAttributeWire {
            body_part_id: id,
            attr_type: kind.to_wire(),
            attr_values: vec![Any::new(value)].into(),
        })
    }

    /// Encodes a control whose value is an OCTET STRING, such as a nonce.
    pub fn encode_octets(id: BodyPartId, kind: &Oid, value: &[u8]) -> Vec<u8> {
        Self::encode(id, kind, der::wrap(tag::OCTET_STRING, value))
    }
}

impl ControlValue {
    fn decode(kind: &Oid, der: &[u8]) -> Result<Self, DecodeError> {
        let octets = || der::decode_checked::<OctetString>("control", der).map(|octets| octets.to_vec());
        type Read = fn(&[u8]) -> Result<ControlValue, DecodeError>;
        let structures: [(Oid, Read); 12] = [
            (oid::CMC_STATUS_INFO_V2, |der| CmcStatusInfoV2::decode_checked(der).map(Self::StatusInfo)),
            (oid::CMC_IDENTIFICATION, |der| der::decode_checked("identification", der).map(Self::Identification)),
            (oid::CMC_IDENTITY_PROOF_V2, |der| {
                IdentityProofV2::decode(der).map(|proof| Self::IdentityProof(Some(proof)))
            }),
            (oid::CMC_TRANSACTION_ID, |der| {
                der::decode_checked::<Integer>("transactionId", der).map(|_| Self::TransactionId(der.to_vec()))
            }),
            (oid::CMC_ADD_EXTENSIONS, |der| AddExtensions::decode(der).map(Self::AddExtensions)),
            (oid::CMC_LRA_POP_WITNESS, |der| LraPopWitness::decode(der).map(Self::LraPopWitness)),
            (oid::CMC_REVOKE_REQUEST, |der| RevokeRequest::decode(der).map(Self::RevokeRequest)),
            (oid::CMC_CONFIRM_CERT_ACCEPTANCE, |der| {
                IssuerAndSerialNumber::decode_checked(der).map(Self::ConfirmCertAcceptance)
            }),
            (oid::CMC_TRUSTED_ANCHORS, |der| PublishTrustAnchors::decode(der).map(Self::PublishTrustAnchors)),
            (oid::CMC_MOD_CERT_TEMPLATE, |der| ModCertTemplate::decode(der).map(Self::ModCertTemplate)),
            (oid::CMC_CONTROL_PROCESSED, |der| decode_processed(der).map(Self::ControlProcessed)),
            (oid::CMC_RA_IDENTITY_WITNESS, |der| body_parts(der).map(Self::RaIdentityWitness)),
        ];
        if let Some((_, read)) = structures.iter().find(|(known, _)| known == kind) {
            return read(der);
        }
        type Take = fn(Vec<u8>) -> ControlValue;
        let octet_strings: [(Oid, Take); 6] = [
            (oid::CMC_DATA_RETURN, Self::DataReturn),
            (oid::CMC_SENDER_NONCE, Self::SenderNonce),
            (oid::CMC_RECIPIENT_NONCE, Self::RecipientNonce),
            (oid::CMC_REG_INFO, Self::RegInfo),
            (oid::CMC_QUERY_PENDING, Self::QueryPending),
            (oid::CMC_POP_LINK_RANDOM, Self::PopLinkRandom),
        ];
        if let Some((_, of)) = octet_strings.iter().find(|(known, _)| known == kind) {
            return octets().map(of);
        }
        match kind {
            kind if *kind == oid::CMC_IDENTITY_PROOF => octets().map(|_| Self::IdentityProof(None)),
            kind if *kind == oid::CMC_BATCH_REQUESTS => body_parts(der).map(Self::BatchRequests),
            kind if *kind == oid::CMC_BATCH_RESPONSES => body_parts(der).map(Self::BatchResponses),
            _ => Ok(Self::Unknown),
        }
    }
}

impl BodyPartReference {
    /// Decodes a SEQUENCE OF them that the door has let in.
    pub(super) fn decode_list(der: &[u8]) -> Result<Vec<Self>, DecodeError> {
        let reference = |any: &Any| match any.as_bytes().first() {
            Some(&tag::SEQUENCE) => body_parts(any.as_bytes()).map(Self::Path),
            _ => der::decode_checked("BodyPartReference", any.as_bytes()).map(Self::Id),
        };
        der::elements("body part references", der, MAX_BODY_PARTS)?.iter().map(reference).collect()
    }

    fn encode(&self) -> Vec<u8> {
        match self {
            Self::Id(id) => der::encode(id),
            Self::Path(path) => encode_body_parts(path),
        }
    }
}

/// Encodes a SEQUENCE OF BodyPartReference.
pub(super) fn encode_references(references: &[BodyPartReference]) -> Vec<u8> {
    let references: Vec<u8> = references.iter().flat_map(BodyPartReference::encode).collect();
    der::wrap(tag::SEQUENCE, &references)
}

/// Encodes a BodyPartList or BodyPartPath.
///
/// ```asn1
/// BodyPartList ::= SEQUENCE SIZE (1..MAX) OF BodyPartID
/// ```
pub fn encode_body_parts(ids: &[BodyPartId]) -> Vec<u8> {
    der::encode(&ids.to_vec())
}

pub(super) fn body_parts(der: &[u8]) -> Result<Vec<BodyPartId>, DecodeError> {
    let id = |any: &Any| der::decode_checked("BodyPartID", any.as_bytes());
    der::elements("body parts", der, MAX_BODY_PARTS)?.iter().map(id).collect()
}

/// ```asn1
/// ControlsProcessed ::= SEQUENCE {
///     bodyList              SEQUENCE SIZE(1..MAX) OF BodyPartReference
/// }
/// ```
fn decode_processed(der: &[u8]) -> Result<Vec<BodyPartReference>, DecodeError> {
    let what = "ControlsProcessed";
    match der::elements(what, der, 1)?.as_slice() {
        [list] => BodyPartReference::decode_list(list.as_bytes()),
        _ => Err(DecodeError::Malformed { what }),
    }
}

impl IdentityProofV2 {
    fn decode(der: &[u8]) -> Result<Self, DecodeError> {
        let wire: IdentityProofV2Wire = der::decode_checked("IdentityProofV2", der)?;
        Ok(Self {
            hash: AlgorithmIdentifier::decode_checked(wire.proof_alg_id.as_bytes())?,
            mac: AlgorithmIdentifier::decode_checked(wire.mac_alg_id.as_bytes())?,
            witness: wire.witness.to_vec(),
        })
    }

    /// Encodes it.
    pub fn encode(&self) -> Vec<u8> {
        der::encode(&IdentityProofV2Wire {
            proof_alg_id: Any::new(self.hash.der().to_vec()),
            mac_alg_id: Any::new(self.mac.der().to_vec()),
            witness: OctetString::from(self.witness.clone()),
        })
    }
}

/// Identifier octet of an ENUMERATED.
const ENUMERATED: u8 = 0x0a;

impl RevokeRequest {
    /// ```asn1
    /// RevokeRequest ::= SEQUENCE {
    ///     issuerName            Name,
    ///     serialNumber          INTEGER,
    ///     reason                CRLReason,
    ///     invalidityDate         GeneralizedTime OPTIONAL,
    ///     passphrase            OCTET STRING OPTIONAL,
    ///     comment               UTF8String OPTIONAL }
    /// ```
    fn decode(der: &[u8]) -> Result<Self, DecodeError> {
        let malformed = DecodeError::Malformed { what: "RevokeRequest" };
        let fields = der::elements("RevokeRequest", der, 6)?;
        let fields: Vec<_> = fields.iter().filter_map(|field| Some((field, der::parts(field.as_bytes())?))).collect();
        let [(issuer, _), (_, (tag::INTEGER, serial)), (_, (ENUMERATED, [reason])), rest @ ..] = fields.as_slice()
        else {
            return Err(malformed);
        };
        let order = [tag::GENERALIZED_TIME, tag::OCTET_STRING, tag::UTF8_STRING];
        let places: Option<Vec<usize>> =
            rest.iter().map(|(_, (identifier, _))| order.iter().position(|known| known == identifier)).collect();
        let places = places.filter(|places| places.is_sorted_by(|left, right| left < right)).ok_or(malformed)?;
        Ok(Self {
            certificate: IssuerAndSerialNumber {
                issuer: Name::decode_checked(issuer.as_bytes())?,
                serial: serial.to_vec(),
            },
            reason: *reason,
            by_passphrase: places.contains(&1),
        })
    }

    /// Encodes it, without any of its optional fields.
    pub fn encode(&self) -> Vec<u8> {
        let IssuerAndSerialNumber { issuer, serial } = &self.certificate;
        let fields = [issuer.der(), &der::wrap(tag::INTEGER, serial), &der::wrap(ENUMERATED, &[self.reason])];
        der::wrap(tag::SEQUENCE, &fields.concat())
    }
}

impl PublishTrustAnchors {
    fn decode(der: &[u8]) -> Result<Self, DecodeError> {
        let wire: PublishTrustAnchorsWire = der::decode_checked("PublishTrustAnchors", der)?;
        Ok(Self {
            sequence: wire.seq_number,
            hash: AlgorithmIdentifier::decode_checked(wire.hash_algorithm.as_bytes())?,
            anchors: wire.anchor_hashes.iter().map(|hash| hash.to_vec()).collect(),
        })
    }

    /// Encodes it.
    pub fn encode(&self) -> Vec<u8> {
        der::encode(&PublishTrustAnchorsWire {
            seq_number: self.sequence,
            hash_algorithm: Any::new(self.hash.der().to_vec()),
            anchor_hashes: self.anchors.iter().cloned().map(OctetString::from).collect(),
        })
    }
}

#[derive(AsnType, Decode, Encode)]
struct TaggedAttributeWire {
    body_part_id: u32,
    attr_type: ObjectIdentifier,
    attr_values: SetOf<Any>,
}

/// ```asn1
/// IdentityProofV2 ::= SEQUENCE {
///     proofAlgID       AlgorithmIdentifier{DIGEST-ALGORITHM,
///                          {WitnessAlgs}},
///     macAlgId         AlgorithmIdentifier{MAC-ALGORITHM, {POPAlgs}},
///     witness          OCTET STRING
/// }
/// ```
#[derive(AsnType, Decode, Encode)]
struct IdentityProofV2Wire {
    proof_alg_id: Any,
    mac_alg_id: Any,
    witness: OctetString,
}

/// ```asn1
/// PublishTrustAnchors ::= SEQUENCE {
///     seqNumber      INTEGER,
///     hashAlgorithm  AlgorithmIdentifier{DIGEST-ALGORITHM,
///                        {HashAlgorithms}},
///     anchorHashes   SEQUENCE OF OCTET STRING
/// }
/// ```
#[derive(AsnType, Decode, Encode)]
struct PublishTrustAnchorsWire {
    seq_number: u64,
    hash_algorithm: Any,
    anchor_hashes: SequenceOf<OctetString>,
}
