//! Full PKI Requests as clients sign them, and their answers as clients read them.

#![allow(dead_code, reason = "each of those that include it uses its part")]

use estd::ca::Signer;
use estd::pki::digest::sha256;
use estd::pki::message_signature::SignedContent;
use estd_asn1::cmc::{CmcFailInfo, CmcStatus, CmcStatusInfoV2, ControlValue, OtherStatusInfo, PkiResponse};
use estd_asn1::signed_data::SignedAttributes;
use estd_asn1::signed_message::{IssuerAndSerialNumber, MessageLimits, SignedMessage};
use estd_asn1::{AlgorithmIdentifier, Certificate, Oid, oid};

/// Who signs a message, and how it is named.
pub(crate) enum By<'a> {
    Certificate(&'a dyn Signer, &'a [u8]),
    /// By a subjectKeyIdentifier that nobody else has.
    Key(&'a dyn Signer),
}

/// A message as a client signs it.
pub(crate) fn signed(by: &By<'_>, content: &[u8]) -> Vec<u8> {
    signed_as(by, &oid::PKI_DATA, content)
}

pub(crate) fn signed_as(by: &By<'_>, content_type: &Oid, content: &[u8]) -> Vec<u8> {
    let attributes = SignedAttributes::new(content_type.clone(), &sha256(&[content]));
    let (signer, version, name, certificates) = match by {
        By::Certificate(signer, certificate) => {
            let decoded = Certificate::decode(certificate).unwrap();
            let name = IssuerAndSerialNumber { issuer: decoded.issuer().clone(), serial: decoded.serial().to_vec() };
            (*signer, 1, name.encode(), tlv(0xa0, &[certificate]))
        }
        By::Key(signer) => (*signer, 3, tlv(0x80, &[&sha256(&[signer.public_key().der()])[..20]]), Vec::new()),
    };
    let digest = AlgorithmIdentifier::new(oid::SHA256, None);
    let mut signed_attributes = attributes.to_be_signed().to_vec();
    signed_attributes[0] = 0xa0;
    let signature = tlv(0x04, &[&signer.sign(attributes.to_be_signed()).unwrap()]);
    let algorithm = signer.algorithm().identifier().der().to_vec();
    let info = tlv(0x30, &[&[2, 1, version], &name, digest.der(), &signed_attributes, &algorithm, &signature]);
    let content = tlv(0xa0, &[&tlv(0x04, &[content])]);
    let encapsulated = tlv(0x30, &[&content_type.encode(), &content]);
    let digests = tlv(0x31, &[digest.der()]);
    let signed_data = tlv(0x30, &[&[2, 1, 3], &digests, &encapsulated, &certificates, &tlv(0x31, &[&info])]);
    tlv(0x30, &[&oid::SIGNED_DATA.encode(), &tlv(0xa0, &[&signed_data])])
}

pub(crate) fn tlv(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let content = parts.concat();
    let length = content.len();
    let head = match length {
        0..0x80 => vec![tag, length as u8],
        0x80..0x100 => vec![tag, 0x81, length as u8],
        0x100..0x1_0000 => vec![tag, 0x82, (length >> 8) as u8, length as u8],
        _ => vec![tag, 0x83, (length >> 16) as u8, (length >> 8) as u8, length as u8],
    };
    [head, content].concat()
}

/// An answer, its signature verified.
pub(crate) struct Response {
    pub(crate) status: CmcStatusInfoV2,
    pub(crate) controls: Vec<ControlValue>,
    /// Of devices.
    pub(crate) certificates: Vec<Certificate>,
    pub(crate) responder: Certificate,
}

impl Response {
    pub(crate) fn read(der: &[u8]) -> Self {
        let message = SignedMessage::decode(der, &MessageLimits { max_certificates: 9 }).unwrap();
        assert_eq!(message.content_type, oid::PKI_RESPONSE);
        let all: Vec<_> = message.certificates.iter().map(|der| Certificate::decode(der).unwrap()).collect();
        let speaks = |certificate: &Certificate| {
            certificate.ext_key_usage().unwrap().is_some_and(|usages| usages == [oid::KP_CMC_CA])
        };
        let responder = all.iter().find(|certificate| speaks(certificate)).unwrap().clone();
        SignedContent::verify(&message, responder.public_key()).unwrap();
        let response = PkiResponse::decode(&message.content, 9).unwrap();
        let mut controls: Vec<_> = response.controls.into_iter().map(|control| control.value.unwrap()).collect();
        let ControlValue::StatusInfo(status) = controls.remove(0) else { panic!("no status") };
        let of_a_device = |certificate: &Certificate| {
            !speaks(certificate) && !certificate.basic_constraints().unwrap().unwrap_or_default().ca
        };
        let certificates = all.into_iter().filter(of_a_device).collect();
        Self { status, controls, certificates, responder }
    }

    pub(crate) fn fail_info(&self) -> CmcFailInfo {
        assert_eq!(self.status.status, CmcStatus::Failed);
        let Some(OtherStatusInfo::FailInfo(info)) = self.status.other else { panic!("{:?}", self.status) };
        info
    }
}
