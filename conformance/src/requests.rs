//! Certification requests: those that openssl writes, and those that nothing well-behaved would.

use std::path::{Path, PathBuf};

use crate::command::{openssl, text};
use crate::der;
use crate::matrix::Problem;
use crate::pki::{KeyKind, Pki};

const EXTENSION_REQUEST: &str = "1.2.840.113549.1.9.14";
const RSA_ENCRYPTION: &str = "1.2.840.113549.1.1.1";
const SHA256_WITH_RSA: &str = "1.2.840.113549.1.1.11";
const ECDSA_WITH_SHA256: &str = "1.2.840.10045.4.3.2";
const COMMON_NAME: &str = "2.5.4.3";

/// A request with the key that signed it.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    pub(crate) der: Vec<u8>,
    pub(crate) key: PathBuf,
}

/// A request by a fresh key.
pub(crate) fn fresh(
    pki: &Pki,
    name: &str,
    kind: KeyKind,
    subject: &str,
    extensions: &[&str],
) -> Result<Request, Problem> {
    let key = pki.key(name, kind)?;
    Ok(Request { der: by_key(pki, &key, subject, extensions, "sha256")?, key })
}

/// A request by a key that exists. `extensions` are in openssl's form, for instance `subjectAltName=DNS:a.example`.
pub(crate) fn by_key(
    pki: &Pki,
    key: &Path,
    subject: &str,
    extensions: &[&str],
    digest: &str,
) -> Result<Vec<u8>, Problem> {
    let (configuration, key, digest) = (text(&pki.path("openssl.cnf")), text(key), format!("-{digest}"));
    let mut arguments = vec!["req", "-new", "-utf8", "-config", &configuration, "-key", &key, "-subj", subject];
    arguments.extend([&*digest, "-outform", "DER"]);
    arguments.extend(extensions.iter().flat_map(|extension| ["-addext", extension]));
    openssl(arguments, &[])
}

/// The parts of a request before they are signed, each already DER.
#[derive(Debug, Clone)]
pub(crate) struct Parts {
    pub(crate) version: Vec<u8>,
    pub(crate) subject: Vec<u8>,
    pub(crate) spki: Vec<u8>,
    /// `[0]` with its attributes; empty: left out.
    pub(crate) attributes: Vec<u8>,
    pub(crate) algorithm: Vec<u8>,
}

impl Parts {
    /// A plain request of a P-256 key.
    pub(crate) fn new(key: &Path, common_name: &[u8]) -> Result<Self, Problem> {
        Ok(Self {
            version: der::value(der::INTEGER, [0]),
            subject: name(common_name),
            spki: openssl(["pkey", "-in", &text(key), "-pubout", "-outform", "DER"], &[])?,
            attributes: attributes(&[]),
            algorithm: der::sequence(&[&der::oid(ECDSA_WITH_SHA256)]),
        })
    }

    /// CertificationRequestInfo.
    pub(crate) fn info(&self) -> Vec<u8> {
        der::sequence(&[&self.version, &self.subject, &self.spki, &self.attributes])
    }

    /// The request with a true signature of `key`.
    pub(crate) fn signed(&self, key: &Path) -> Result<Vec<u8>, Problem> {
        let signature = openssl(["dgst", "-sha256", "-sign", &text(key)], &self.info())?;
        Ok(self.with_signature(&signature))
    }

    /// The request with whatever stands for a signature.
    pub(crate) fn with_signature(&self, signature: &[u8]) -> Vec<u8> {
        der::sequence(&[&self.info(), &self.algorithm, &der::bit_string(signature)])
    }

    /// The request with an RSA key made of these numbers and a signature nobody made.
    pub(crate) fn with_rsa(mut self, modulus: &[u8], exponent: &[u8], signature: &[u8]) -> Vec<u8> {
        self.spki = rsa_spki(modulus, exponent);
        self.algorithm = der::sequence(&[&der::oid(SHA256_WITH_RSA), &der::value(der::NULL, [])]);
        self.with_signature(signature)
    }
}

/// A request whose RSA key has exponent 1: its signature is the padded digest itself, so nobody needs a key to make it.
pub(crate) fn forged_with_exponent_one(parts: &Parts, modulus: &[u8]) -> Result<Vec<u8>, Problem> {
    let mut parts = parts.clone();
    parts.spki = rsa_spki(modulus, &[1]);
    parts.algorithm = der::sequence(&[&der::oid(SHA256_WITH_RSA), &der::value(der::NULL, [])]);
    let digest = openssl(["dgst", "-sha256", "-binary"], &parts.info())?;
    let algorithm = der::sequence(&[&der::oid("2.16.840.1.101.3.4.2.1"), &der::value(der::NULL, [])]);
    let info = der::sequence(&[&algorithm, &der::value(der::OCTET_STRING, digest)]);
    // RFC 8017 section 9.2: 00 01 FF … FF 00 DigestInfo.
    let mut padded = vec![0, 1];
    padded.resize(modulus.len() - info.len() - 1, 0xff);
    padded.push(0);
    padded.extend(info);
    Ok(parts.with_signature(&padded))
}

/// A Name with one common name.
pub(crate) fn name(common_name: &[u8]) -> Vec<u8> {
    name_of(&[(COMMON_NAME, der::UTF8_STRING, common_name)])
}

/// A Name with one RDN for each (type, string tag, value).
pub(crate) fn name_of(attributes: &[(&str, u8, &[u8])]) -> Vec<u8> {
    let rdns: Vec<Vec<u8>> = attributes
        .iter()
        .map(|(oid, tag, value)| der::set(&[&der::sequence(&[&der::oid(oid), &der::value(*tag, value)])]))
        .collect();
    der::value(der::SEQUENCE, rdns.concat())
}

/// `[0]` with these attributes.
pub(crate) fn attributes(list: &[Vec<u8>]) -> Vec<u8> {
    der::value(0xa0, list.concat())
}

/// One attribute with its values.
pub(crate) fn attribute(oid: &str, values: &[&[u8]]) -> Vec<u8> {
    der::sequence(&[&der::oid(oid), &der::set(values)])
}

/// The extensionRequest attribute (RFC 2985 section 5.4.2).
pub(crate) fn extension_request(extensions: &[Vec<u8>]) -> Vec<u8> {
    attribute(EXTENSION_REQUEST, &[&der::value(der::SEQUENCE, extensions.concat())])
}

/// One extension.
pub(crate) fn extension(oid: &str, critical: bool, content: &[u8]) -> Vec<u8> {
    let critical = if critical { der::value(der::BOOLEAN, [0xff]) } else { Vec::new() };
    der::sequence(&[&der::oid(oid), &critical, &der::value(der::OCTET_STRING, content)])
}

/// A subjectAltName extension of dNSNames.
pub(crate) fn dns_names(names: &[&[u8]]) -> Vec<u8> {
    let names: Vec<Vec<u8>> = names.iter().map(|name| der::value(0x82, name)).collect();
    extension("2.5.29.17", false, &der::value(der::SEQUENCE, names.concat()))
}

fn rsa_spki(modulus: &[u8], exponent: &[u8]) -> Vec<u8> {
    let key = der::sequence(&[&der::unsigned(modulus), &der::unsigned(exponent)]);
    let algorithm = der::sequence(&[&der::oid(RSA_ENCRYPTION), &der::value(der::NULL, [])]);
    der::sequence(&[&algorithm, &der::bit_string(&key)])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pki() -> (tempfile::TempDir, Pki) {
        let folder = tempfile::tempdir().unwrap();
        let pki = Pki::new(folder.path().to_owned()).unwrap();
        (folder, pki)
    }

    fn openssl_says_ok(request: &[u8]) -> bool {
        let mut verify = std::process::Command::new("openssl");
        verify.args(["req", "-inform", "DER", "-noout", "-verify"]);
        crate::command::run(&mut verify, request, crate::command::DEFAULT_LIMIT).unwrap().text().contains("verify OK")
    }

    #[test]
    fn what_is_written_here_is_a_request_to_openssl() {
        let (_folder, pki) = pki();
        let key = pki.key("k", KeyKind::P256).unwrap();
        let mut parts = Parts::new(&key, b"device").unwrap();
        parts.attributes = attributes(&[extension_request(&[dns_names(&[b"a.example"])])]);
        assert!(openssl_says_ok(&parts.signed(&key).unwrap()));
        let other = pki.key("other", KeyKind::P256).unwrap();
        assert!(!openssl_says_ok(&parts.signed(&other).unwrap()));
    }

    #[test]
    fn exponent_one_needs_no_key_and_openssl_lets_it_pass() {
        let (_folder, pki) = pki();
        let parts = Parts::new(&pki.key("k", KeyKind::P256).unwrap(), b"device").unwrap();
        let mut modulus = vec![0xc5; 256];
        modulus[255] = 0x6b;
        assert!(openssl_says_ok(&forged_with_exponent_one(&parts, &modulus).unwrap()));
    }
}
