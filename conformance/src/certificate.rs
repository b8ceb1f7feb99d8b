//! Certificates and certs-only answers, read with the harness's own DER reader.

use base64::Engine as _;

use crate::der::{self, Value};
use crate::http::Response;
use crate::matrix::{Problem, ensure};

/// The fields of a certificate that checks look at, as they stand in the DER.
pub(crate) struct Certificate {
    pub(crate) der: Vec<u8>,
    pub(crate) version: Vec<u8>,
    pub(crate) serial: Vec<u8>,
    /// Of the TBSCertificate, and of the Certificate.
    pub(crate) algorithms: (Vec<u8>, Vec<u8>),
    pub(crate) issuer: Vec<u8>,
    /// (tag, text) of notBefore and notAfter.
    pub(crate) validity: [(u8, String); 2],
    pub(crate) subject: Vec<u8>,
    pub(crate) spki: Vec<u8>,
    pub(crate) extensions: Vec<Extension>,
}

/// One extension.
pub(crate) struct Extension {
    /// The OBJECT IDENTIFIER, whole.
    pub(crate) oid: Vec<u8>,
    /// As encoded: `None` when left out.
    pub(crate) critical: Option<bool>,
    pub(crate) value: Vec<u8>,
}

impl Certificate {
    /// RFC 5280 section 4.1.
    pub(crate) fn parse(bytes: &[u8]) -> Result<Self, Problem> {
        let whole = Value::parse(bytes)?.children()?;
        let [tbs, algorithm, _signature] = whole[..] else {
            return Err(Problem::failed(format!("a certificate has three parts, this one {}", whole.len())));
        };
        let tbs = tbs.children()?;
        ensure!(tbs.len() == 8, "expected eight fields up to the extensions, found {}", tbs.len());
        let moments = tbs[4].children()?;
        let moment = |index: usize| match moments.get(index) {
            Some(value) => Ok((value.tag, String::from_utf8_lossy(value.content).into_owned())),
            None => Err(Problem::failed("validity lacks a date")),
        };
        Ok(Self {
            der: bytes.to_vec(),
            version: tbs[0].whole.to_vec(),
            serial: tbs[1].content.to_vec(),
            algorithms: (tbs[2].whole.to_vec(), algorithm.whole.to_vec()),
            issuer: tbs[3].whole.to_vec(),
            validity: [moment(0)?, moment(1)?],
            subject: tbs[5].whole.to_vec(),
            spki: tbs[6].whole.to_vec(),
            extensions: tbs[7].child(0)?.children()?.iter().map(Extension::parse).collect::<Result<_, _>>()?,
        })
    }

    /// The certificate in a PEM text.
    pub(crate) fn from_pem(pem: &[u8]) -> Result<Self, Problem> {
        Self::parse(&crate::command::openssl(["x509", "-outform", "DER"], pem)?)
    }

    /// The extension of this OID.
    pub(crate) fn extension(&self, dotted: &str) -> Option<&Extension> {
        let wanted = der::oid(dotted);
        self.extensions.iter().find(|extension| extension.oid == wanted)
    }

    /// The certificate as PEM.
    pub(crate) fn pem(&self) -> String {
        let body = String::from_utf8_lossy(&crate::http::base64(&self.der)).into_owned();
        format!("-----BEGIN CERTIFICATE-----\n{body}-----END CERTIFICATE-----\n")
    }
}

impl Extension {
    fn parse(value: &Value<'_>) -> Result<Self, Problem> {
        let parts = value.children()?;
        let (oid, critical, content) = match parts[..] {
            [oid, content] => (oid, None, content),
            [oid, critical, content] => (oid, Some(critical.content == [0xff]), content),
            _ => return Err(Problem::failed(format!("an extension has two or three parts, not {}", parts.len()))),
        };
        Ok(Self { oid: oid.whole.to_vec(), critical, value: content.content.to_vec() })
    }
}

/// The certificates of a certs-only answer, held against RFC 5652 section 5.1 octet by octet.
pub(crate) fn certs_only(bytes: &[u8]) -> Result<Vec<Vec<u8>>, Problem> {
    let content_info = Value::parse(bytes)?.children()?;
    ensure!(content_info.len() == 2, "ContentInfo has {} parts", content_info.len());
    ensure!(content_info[0].whole == der::oid("1.2.840.113549.1.7.2"), "contentType is not id-signedData");
    ensure!(content_info[1].tag == 0xa0, "content is not [0]");
    let signed_data = content_info[1].child(0)?.children()?;
    ensure!(signed_data.len() == 5, "SignedData has {} parts, expected 5 (no crls)", signed_data.len());
    ensure!(signed_data[0].whole == [2, 1, 1], "version is not 1: {:02x?}", signed_data[0].whole);
    ensure!(signed_data[1].whole == [0x31, 0], "digestAlgorithms is not an empty SET");
    let encapsulated = der::sequence(&[&der::oid("1.2.840.113549.1.7.1")]);
    ensure!(signed_data[2].whole == encapsulated, "encapContentInfo is not id-data alone");
    ensure!(signed_data[3].tag == 0xa0, "certificates is not [0]");
    ensure!(signed_data[4].whole == [0x31, 0], "signerInfos is not an empty SET");
    Ok(signed_data[3].children()?.iter().map(|certificate| certificate.whole.to_vec()).collect())
}

/// The DER of an answer's body, white space removed and otherwise strict (RFC 4648 section 4).
pub(crate) fn transfer_decoded(body: &[u8]) -> Result<Vec<u8>, Problem> {
    let dense: Vec<u8> = body.iter().copied().filter(|octet| !octet.is_ascii_whitespace()).collect();
    let decoded = base64::engine::general_purpose::STANDARD.decode(dense);
    decoded.map_err(|error| Problem::failed(format!("the body is not base64: {error}")))
}

/// The one certificate of an enroll answer.
pub(crate) fn issued(response: &Response) -> Result<Certificate, Problem> {
    ensure!(response.status == 200, "expected 200, came {}: {}", response.status, response.text().trim());
    let mut certificates = certs_only(&transfer_decoded(&response.body)?)?;
    // RFC 7030 section 4.2.3: only the certificate.
    ensure!(certificates.len() == 1, "expected one certificate, came {}", certificates.len());
    Certificate::parse(&certificates.remove(0))
}
