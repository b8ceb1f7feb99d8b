//! The answers that carry a private key (RFC 7030 section 4.4.2), read as the strictest client does.

use crate::certificate::{self, Certificate};
use crate::http::Response;
use crate::matrix::{Problem, ensure};

/// A private key as it was given out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum KeyPart {
    /// PrivateKeyInfo.
    Plain(Vec<u8>),
    /// ContentInfo with EnvelopedData.
    Sealed(Vec<u8>),
}

/// A key with its certificate.
pub(crate) struct Generated {
    pub(crate) key: KeyPart,
    pub(crate) certificate: Certificate,
}

impl Generated {
    /// The key, which is to be plain.
    pub(crate) fn plain(&self) -> Result<&[u8], Problem> {
        match &self.key {
            KeyPart::Plain(der) => Ok(der),
            KeyPart::Sealed(_) => Err(Problem::failed("the key is encrypted")),
        }
    }

    /// The key, which is to be encrypted.
    pub(crate) fn sealed(&self) -> Result<&[u8], Problem> {
        match &self.key {
            KeyPart::Plain(_) => Err(Problem::failed("the key is not encrypted")),
            KeyPart::Sealed(der) => Ok(der),
        }
    }
}

/// Reads an answer of serverkeygen.
pub(crate) fn generated(response: &Response) -> Result<Generated, Problem> {
    ensure!(response.status == 200, "expected 200, came {}: {}", response.status, response.text().trim());
    // The encoding is a matter of the parts; with it here, Python and others decode the whole.
    ensure!(response.header("Content-Transfer-Encoding").is_none(), "Content-Transfer-Encoding of the whole");
    ensure!(response.header("Cache-Control") == Some("no-store"), "the answer may be stored on its way");
    let media_type = response.header("Content-Type").unwrap_or_default();
    let boundary = media_type.strip_prefix("multipart/mixed; boundary=");
    let boundary = boundary.ok_or_else(|| Problem::failed(format!("Content-Type: {media_type}")))?;
    read(boundary, &response.text())
}

/// Reads the two parts of a body.
pub(crate) fn read(boundary: &str, body: &str) -> Result<Generated, Problem> {
    // RFC 2046 §5.1.1; libest and others look for the first `--` at a line's beginning.
    ensure!(!boundary.starts_with('-') && (1..=70).contains(&boundary.len()), "boundary {boundary:?}");
    let delimiter = format!("--{boundary}\r\n");
    let inside =
        body.strip_prefix(&*delimiter).ok_or_else(|| Problem::failed("it does not begin with its boundary"))?;
    let inside = inside.strip_suffix(&*format!("\r\n--{boundary}--\r\n"));
    let inside = inside.ok_or_else(|| Problem::failed("it does not end with its closing boundary"))?;
    let parts: Vec<&str> = inside.split(&*format!("\r\n{delimiter}")).collect();
    let [key, certificate] = parts[..] else {
        return Err(Problem::failed(format!("expected two parts, found {}", parts.len())));
    };
    let (key_type, key) = part(key)?;
    let key = match key_type {
        "application/pkcs8" => KeyPart::Plain(key),
        "application/pkcs7-mime; smime-type=server-generated-key" => KeyPart::Sealed(key),
        other => return Err(Problem::failed(format!("Content-Type of the key: {other:?}"))),
    };
    let (certificate_type, certificate) = part(certificate)?;
    ensure!(
        certificate_type == "application/pkcs7-mime; smime-type=certs-only",
        "Content-Type of the certificate: {certificate_type:?}"
    );
    let mut certificates = certificate::certs_only(&certificate)?;
    ensure!(certificates.len() == 1, "expected one certificate, came {}", certificates.len());
    Ok(Generated { key, certificate: Certificate::parse(&certificates.remove(0))? })
}

/// The media type and the decoded content of a part. Names are compared letter by letter, as libest does.
fn part(text: &str) -> Result<(&str, Vec<u8>), Problem> {
    let (head, body) = text.split_once("\r\n\r\n").ok_or_else(|| Problem::failed("a part without a head"))?;
    let lines: Vec<&str> = head.split("\r\n").collect();
    let [media_type, encoding] = lines[..] else {
        return Err(Problem::failed(format!("expected two fields in a part, found {lines:?}")));
    };
    let media_type = media_type.strip_prefix("Content-Type: ");
    let media_type = media_type.ok_or_else(|| Problem::failed("a part does not begin with its Content-Type"))?;
    ensure!(encoding == "Content-Transfer-Encoding: base64", "field of a part: {encoding:?}");
    let octets = body.bytes().all(|octet| octet == b'\n' || octet.is_ascii_graphic());
    ensure!(octets, "a part holds more than base64 and LF");
    Ok((media_type, certificate::transfer_decoded(body.as_bytes())?))
}
