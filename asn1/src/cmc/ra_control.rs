//! Controls by which an RA vouches for requests, or changes them (RFC 5272 sections 6.5 and 6.8).

use rasn::prelude::*;

use super::BodyPartId;
use super::control::{body_parts, encode_body_parts};
use crate::crmf::CertTemplate;
use crate::der::{self, tag};
use crate::{DecodeError, Extension, extension};

/// Most extensions that one control adds.
pub const MAX_ADDED_EXTENSIONS: usize = 32;

/// Extensions that an RA adds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AddExtensions {
    /// pkiDataReference
    pub data: BodyPartId,
    /// certReferences
    pub requests: Vec<BodyPartId>,
    /// extensions
    pub extensions: Vec<Extension>,
}

/// What an RA changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModCertTemplate {
    /// pkiDataReference
    pub data: Vec<BodyPartId>,
    /// certReferences
    pub requests: Vec<BodyPartId>,
    /// replace: whether fields are replaced, or removed.
    pub replace: bool,
    /// certTemplate
    pub template: CertTemplate,
}

/// Requests whose possession an RA verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LraPopWitness {
    /// pkiDataBodyid
    pub data: BodyPartId,
    /// bodyIds
    pub requests: Vec<BodyPartId>,
}

impl AddExtensions {
    pub(super) fn decode(der: &[u8]) -> Result<Self, DecodeError> {
        let wire: AddExtensionsWire = der::decode_checked("AddExtensions", der)?;
        Ok(Self {
            data: wire.pki_data_reference,
            requests: body_parts(wire.cert_references.as_bytes())?,
            extensions: extension::decode_extensions(wire.extensions.as_bytes(), MAX_ADDED_EXTENSIONS)?,
        })
    }

    /// Encodes it.
    pub fn encode(&self) -> Vec<u8> {
        der::encode(&AddExtensionsWire {
            pki_data_reference: self.data,
            cert_references: Any::new(encode_body_parts(&self.requests)),
            extensions: Any::new(extension::encode_extensions(&self.extensions)),
        })
    }
}

impl ModCertTemplate {
    pub(super) fn decode(der: &[u8]) -> Result<Self, DecodeError> {
        let wire: ModCertTemplateWire = der::decode_checked("ModCertTemplate", der)?;
        Ok(Self {
            data: body_parts(wire.pki_data_reference.as_bytes())?,
            requests: body_parts(wire.cert_references.as_bytes())?,
            replace: wire.replace,
            template: CertTemplate::decode(&wire.cert_template)?,
        })
    }

    /// Encodes it.
    pub fn encode(&self) -> Vec<u8> {
        let template = self.template.encode();
        let replace = if self.replace { Vec::new() } else { der::encode(&false) };
        let fields = [encode_body_parts(&self.data), encode_body_parts(&self.requests), replace, template];
        der::wrap(tag::SEQUENCE, &fields.concat())
    }
}

impl LraPopWitness {
    pub(super) fn decode(der: &[u8]) -> Result<Self, DecodeError> {
        let wire: LraPopWitnessWire = der::decode_checked("LraPopWitness", der)?;
        Ok(Self { data: wire.pki_data_bodyid, requests: body_parts(wire.body_ids.as_bytes())? })
    }

    /// Encodes it.
    pub fn encode(&self) -> Vec<u8> {
        let body_ids = Any::new(encode_body_parts(&self.requests));
        der::encode(&LraPopWitnessWire { pki_data_bodyid: self.data, body_ids })
    }
}

/// ```asn1
/// AddExtensions ::= SEQUENCE {
///     pkiDataReference    BodyPartID,
///     certReferences      SEQUENCE OF BodyPartID,
///     extensions          SEQUENCE OF Extension{{CertExtensions}}
/// }
/// ```
#[derive(AsnType, Decode, Encode)]
struct AddExtensionsWire {
    pki_data_reference: u32,
    cert_references: Any,
    extensions: Any,
}

/// ```asn1
/// ModCertTemplate ::= SEQUENCE {
///     pkiDataReference             BodyPartPath,
///     certReferences               BodyPartList,
///     replace                      BOOLEAN DEFAULT TRUE,
///     certTemplate                 CertTemplate
/// }
/// ```
#[derive(AsnType, Decode, Encode)]
struct ModCertTemplateWire {
    pki_data_reference: Any,
    cert_references: Any,
    #[rasn(default = "by_default_replace")]
    replace: bool,
    cert_template: SequenceOf<Any>,
}

fn by_default_replace() -> bool {
    true
}

/// ```asn1
/// LraPopWitness ::= SEQUENCE {
///     pkiDataBodyid   BodyPartID,
///     bodyIds         SEQUENCE OF BodyPartID
/// }
/// ```
#[derive(AsnType, Decode, Encode)]
struct LraPopWitnessWire {
    pki_data_bodyid: u32,
    body_ids: Any,
}
