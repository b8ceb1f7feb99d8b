//! Full PKI Requests that openssl signs, and Full PKI Responses that it verifies.

use crate::certificate::{Certificate, transfer_decoded};
use crate::command::{openssl, text, write};
use crate::der::{self, Value};
use crate::http::{self, Response};
use crate::matrix::{Problem, ensure};
use crate::pki::Identity;
use crate::stage::Stage;

/// The media types of a message and of its answer (RFC 7030 section 4.3).
pub(crate) const CMC_REQUEST: &str = "application/pkcs7-mime; smime-type=CMC-request";
pub(crate) const CMC_RESPONSE: &str = "application/pkcs7-mime; smime-type=CMC-response";

const PKI_DATA: &str = "1.3.6.1.5.5.7.12.2";
const STATUS_INFO_V2: &str = "1.3.6.1.5.5.7.7.25";
const CMC_CA: &str = "1.3.6.1.5.5.7.3.27";
const EXT_KEY_USAGE: &str = "2.5.29.37";

/// How a message is signed.
pub(crate) struct Signing<'a> {
    pub(crate) by: &'a Identity,
    pub(crate) digest: &'a str,
    /// The signer is named by subjectKeyIdentifier, and sends no certificate along.
    pub(crate) by_key_id: bool,
    pub(crate) content_type: &'a str,
}

impl<'a> Signing<'a> {
    pub(crate) const fn new(by: &'a Identity) -> Self {
        Self { by, digest: "sha256", by_key_id: false, content_type: PKI_DATA }
    }

    /// The message around `content`, by `openssl cms`.
    pub(crate) fn sign(&self, stage: &Stage, content: &[u8]) -> Result<Vec<u8>, Problem> {
        let file = stage.pki.path(&stage.unique("cmc"));
        write(&file, content)?;
        let (file, certificate, key) = (text(&file), text(&self.by.certificate), text(&self.by.key));
        let mut arguments = vec!["cms", "-sign", "-binary", "-nodetach", "-outform", "DER", "-in", &file];
        arguments.extend(["-econtent_type", self.content_type, "-md", self.digest]);
        arguments.extend(["-signer", &certificate, "-inkey", &key]);
        if self.by_key_id {
            arguments.extend(["-keyid", "-nocerts"]);
        }
        openssl(arguments, &[])
    }
}

/// PKIData of parts that are encoded.
pub(crate) fn pki_data(controls: &[Vec<u8>], requests: &[Vec<u8>], contents: &[Vec<u8>]) -> Vec<u8> {
    let sequence = |parts: &[Vec<u8>]| der::value(der::SEQUENCE, parts.concat());
    der::sequence(&[&sequence(controls), &sequence(requests), &sequence(contents), &sequence(&[])])
}

/// A control with one value.
pub(crate) fn control(id: u8, kind: &str, value: &[u8]) -> Vec<u8> {
    der::sequence(&[&der::value(der::INTEGER, [id]), &der::oid(kind), &der::set(&[value])])
}

/// A PKCS#10 as body part `id`.
pub(crate) fn pkcs10(id: u8, request: &[u8]) -> Vec<u8> {
    der::value(0xa0, [&der::value(der::INTEGER, [id]), request].concat())
}

/// A POST of a message.
pub(crate) fn post(path: &str, message: &[u8]) -> Vec<u8> {
    http::post(path, CMC_REQUEST, &http::base64(message))
}

/// What an answer says.
pub(crate) struct Answer {
    /// cMCStatus
    pub(crate) status: u8,
    /// The number in otherInfo, if it is a failInfo.
    pub(crate) fail_info: Option<u8>,
    /// The first field of otherInfo, if it is a pendInfo.
    pub(crate) token: Option<Vec<u8>>,
    /// The TLV of bodyList.
    pub(crate) body_list: Vec<u8>,
    /// The other controls: OBJECT IDENTIFIER and value, whole.
    pub(crate) controls: Vec<(Vec<u8>, Vec<u8>)>,
    /// The certificates that are neither a CA's nor the responder's.
    pub(crate) certificates: Vec<Certificate>,
}

impl Answer {
    /// Reads an answer whose signature openssl verifies up to the CA of the label, by a certificate for CMC.
    pub(crate) fn read(stage: &Stage, response: &Response) -> Result<Self, Problem> {
        let media_type = response.header("Content-Type").unwrap_or_default();
        ensure!(media_type == CMC_RESPONSE, "Content-Type: {media_type}: {}", response.text());
        let message = transfer_decoded(&response.body)?;
        let root = text(&stage.pki.identity("root-p256").certificate);
        let signers = stage.pki.path(&stage.unique("responder"));
        let arguments = ["cms", "-verify", "-binary", "-inform", "DER", "-purpose", "any", "-CAfile", &root];
        let signers_file = text(&signers);
        let content = openssl(arguments.into_iter().chain(["-signer", &signers_file]), &message)?;
        let responder = Certificate::from_pem(&crate::command::read(&signers)?)?;
        let usages = responder.extension(EXT_KEY_USAGE).map(|usages| usages.value.clone());
        ensure!(usages == Some(der::sequence(&[&der::oid(CMC_CA)])), "the responder's certificate is not for cmc");
        let signed_data = Value::parse(&message)?.child(1)?.child(0)?;
        let mut certificates = Vec::new();
        for certificate in signed_data.child(3)?.children()? {
            let certificate = Certificate::parse(certificate.whole)?;
            if certificate.der != responder.der && certificate.extension("2.5.29.19").is_none() {
                certificates.push(certificate);
            }
        }
        Self::parse(&content, certificates)
    }

    fn parse(content: &[u8], certificates: Vec<Certificate>) -> Result<Self, Problem> {
        let mut controls = Vec::new();
        for control in Value::parse(content)?.child(0)?.children()? {
            controls.push((control.child(1)?.whole.to_vec(), control.child(2)?.child(0)?.whole.to_vec()));
        }
        ensure!(controls.first().is_some_and(|(kind, _)| *kind == der::oid(STATUS_INFO_V2)), "no statusInfoV2 first");
        let (_, status) = controls.remove(0);
        let fields = Value::parse(&status)?.children()?;
        let [status, body_list, more @ ..] = fields.as_slice() else {
            return Err(Problem::failed("a status has two fields at least"));
        };
        let other = more.iter().rfind(|field| field.tag != der::UTF8_STRING);
        let fail_info = other.filter(|other| other.tag == der::INTEGER).and_then(|other| other.content.last().copied());
        let token = match other.filter(|other| other.tag == der::SEQUENCE) {
            Some(pend_info) => Some(pend_info.child(0)?.content.to_vec()),
            None => None,
        };
        let status = status.content.last().copied().unwrap_or(u8::MAX);
        Ok(Self { status, fail_info, token, body_list: body_list.whole.to_vec(), controls, certificates })
    }

    /// The one certificate of an answer of success.
    pub(crate) fn issued(&self) -> Result<&Certificate, Problem> {
        ensure!(self.status == 0, "expected success, came status {} with {:?}", self.status, self.fail_info);
        match self.certificates.as_slice() {
            [certificate] => Ok(certificate),
            others => Err(Problem::failed(format!("expected one certificate, came {}", others.len()))),
        }
    }
}
