//! What the private keys that the server makes are encrypted to, how a request names it, and how openssl opens what came.

use std::path::Path;

use crate::certificate::Certificate;
use crate::command::{openssl, read, text, write};
use crate::config::private;
use crate::der::{self, Value};
use crate::matrix::{Problem, ensure};
use crate::pki::{Identity, KeyKind, Pki, Spec};
use crate::requests;

const DECRYPT_KEY_IDENTIFIER: &str = "1.2.840.113549.1.9.16.2.37";
const ASYMMETRIC_DECRYPT_KEY_IDENTIFIER: &str = "1.2.840.113549.1.9.16.2.54";
const SMIME_CAPABILITIES: &str = "1.2.840.113549.1.9.15";
const SIGNED_DATA: &str = "1.2.840.113549.1.7.2";
const KEY_PACKAGE: &str = "2.16.840.1.101.2.1.2.78.5";

pub(crate) const AES128_WRAP: &str = "2.16.840.1.101.3.4.1.5";
pub(crate) const AES192_WRAP: &str = "2.16.840.1.101.3.4.1.25";
pub(crate) const AES256_WRAP: &str = "2.16.840.1.101.3.4.1.45";
pub(crate) const AES128_CBC: &str = "2.16.840.1.101.3.4.1.2";
pub(crate) const AES256_CBC: &str = "2.16.840.1.101.3.4.1.42";
pub(crate) const DES_EDE3_CBC: &str = "1.2.840.113549.3.7";

/// A shared AES key: its identifier, its octets and the key wrap it serves.
pub(crate) struct SharedKey {
    pub(crate) identifier: &'static [u8],
    pub(crate) hexadecimal: &'static str,
    pub(crate) wrap: &'static str,
}

pub(crate) const SHARED_KEYS: [SharedKey; 3] = [
    SharedKey { identifier: b"psk-128", hexadecimal: "000102030405060708090a0b0c0d0e0f", wrap: AES128_WRAP },
    SharedKey {
        identifier: b"psk-192",
        hexadecimal: "101112131415161718191a1b1c1d1e1f2021222324252627",
        wrap: AES192_WRAP,
    },
    SharedKey {
        identifier: b"psk-256",
        hexadecimal: "303132333435363738393a3b3c3d3e3f404142434445464748494a4b4c4d4e4f",
        wrap: AES256_WRAP,
    },
];

/// Certificates that a key may be encrypted to, and one that may not.
pub(crate) const RECIPIENTS: [(&str, KeyKind, &str); 5] = [
    ("recipient-rsa", KeyKind::Rsa2048, "recipient_transport"),
    ("recipient-p256", KeyKind::P256, "recipient_agreement"),
    ("recipient-p384", KeyKind::P384, "recipient_agreement"),
    ("recipient-p521", KeyKind::P521, "recipient_agreement"),
    ("recipient-signing", KeyKind::Rsa2048, "birth"),
];

/// The tables of the labels that make keys.
pub(crate) fn tables() -> [(&'static str, String); 3] {
    let mut open = "[tenant.label.key_generation]\nplaintext = true\nbirth_certificates = true\n\
                    decrypt_certificates = [\"decrypt-certificates\"]\n"
        .to_owned();
    for key in &SHARED_KEYS {
        let (id, name) = (hexadecimal(key.identifier), String::from_utf8_lossy(key.identifier));
        open += &format!("[[tenant.label.key_generation.decrypt_key]]\nid = \"{id}\"\nkey = \"keys/{name}.hex\"\n");
    }
    let encrypted = open.replace("plaintext = true\n", "");
    let renewal = "[tenant.label.key_generation]\nplaintext = true\n".to_owned();
    [("keygen", open), ("keygen-encrypted", encrypted), ("keygen-renewal", renewal)]
}

/// Makes the certificates.
pub(crate) fn create(pki: &Pki) -> Result<(), Problem> {
    for (name, kind, extensions) in RECIPIENTS {
        pki.issue("maker", &Spec::new(name, &format!("/O=Maker/CN={name}"), kind, extensions))?;
    }
    Ok(())
}

/// Puts keys and certificates where the configuration in `folder` expects them.
pub(crate) fn write_folder(folder: &Path, pki: &Pki) -> Result<(), Problem> {
    for part in ["keys", "decrypt-certificates"] {
        std::fs::create_dir_all(folder.join(part))?;
    }
    for key in &SHARED_KEYS {
        let name = String::from_utf8_lossy(key.identifier);
        private(&folder.join(format!("keys/{name}.hex")), format!("{}\n", key.hexadecimal).as_bytes())?;
    }
    for (name, ..) in RECIPIENTS {
        write(&folder.join(format!("decrypt-certificates/{name}.pem")), read(&pki.identity(name).certificate)?)?;
    }
    Ok(())
}

/// The attribute that names a shared key.
pub(crate) fn shared(identifier: &[u8]) -> Vec<u8> {
    requests::attribute(DECRYPT_KEY_IDENTIFIER, &[&der::value(der::OCTET_STRING, identifier)])
}

/// The attribute that names a certificate.
pub(crate) fn public(recipient: &Identity) -> Result<Vec<u8>, Problem> {
    let certificate = Certificate::from_pem(&read(&recipient.certificate)?)?;
    let identifier = certificate.extension("2.5.29.14").ok_or_else(|| Problem::failed("no subjectKeyIdentifier"))?;
    Ok(requests::attribute(ASYMMETRIC_DECRYPT_KEY_IDENTIFIER, &[&identifier.value]))
}

/// The attribute that lists algorithms, each already DER.
pub(crate) fn capabilities(algorithms: &[Vec<u8>]) -> Vec<u8> {
    requests::attribute(SMIME_CAPABILITIES, &[&der::value(der::SEQUENCE, algorithms.concat())])
}

/// An algorithm without parameters.
pub(crate) fn algorithm(oid: &str) -> Vec<u8> {
    der::sequence(&[&der::oid(oid)])
}

/// RSAES-PKCS1-v1_5 (RFC 8017 appendix A.1).
pub(crate) fn pkcs1() -> Vec<u8> {
    der::sequence(&[&der::oid("1.2.840.113549.1.1.1"), &der::value(der::NULL, [])])
}

/// RSAES-OAEP with SHA-256 (RFC 4055 section 4.1).
pub(crate) fn oaep_sha256() -> Vec<u8> {
    let digest = der::sequence(&[&der::oid("2.16.840.1.101.3.4.2.1"), &der::value(der::NULL, [])]);
    let mask = der::sequence(&[&der::oid("1.2.840.113549.1.1.8"), &digest]);
    let parameters = der::sequence(&[&der::value(0xa0, &digest), &der::value(0xa1, &mask)]);
    der::sequence(&[&der::oid("1.2.840.113549.1.1.7"), &parameters])
}

/// Ephemeral-static Diffie-Hellman, the key derived by SHA-256 (RFC 5753 section 7.1.4).
pub(crate) fn agreement(wrap: &str) -> Vec<u8> {
    der::sequence(&[&der::oid("1.3.132.1.11.1"), &algorithm(wrap)])
}

/// What openssl needs to decrypt.
pub(crate) enum Opener<'a> {
    Shared(&'a SharedKey),
    Recipient(&'a Identity),
}

/// The private key in an EnvelopedData over a SignedData over an AsymmetricKeyPackage (RFC 7030 section 4.4.2), decrypted and
/// verified by openssl: signed by a certificate that leads to `root`.
pub(crate) fn open(sealed: &[u8], opener: &Opener<'_>, root: &Path, intermediate: &Path) -> Result<Vec<u8>, Problem> {
    let mut decrypt = vec!["cms".to_owned(), "-decrypt".into(), "-inform".into(), "DER".into(), "-binary".into()];
    match opener {
        Opener::Shared(key) => {
            let identifier = hexadecimal(key.identifier);
            decrypt.extend(["-secretkey".into(), key.hexadecimal.into(), "-secretkeyid".into(), identifier]);
        }
        Opener::Recipient(identity) => {
            let (certificate, key) = (text(&identity.certificate), text(&identity.key));
            decrypt.extend(["-recip".into(), certificate, "-inkey".into(), key]);
        }
    }
    let signed_data = openssl(decrypt, sealed)?;
    // RFC 5652 §6.3: what is encrypted is the content alone, here a SignedData; openssl reads it in a ContentInfo.
    let content = der::value(0xa0, &signed_data);
    let content_info = der::sequence(&[&der::oid(SIGNED_DATA), &content]);
    let (root, intermediate) = (text(root), text(intermediate));
    let verify = ["cms", "-verify", "-inform", "DER", "-binary", "-CAfile", &root, "-certfile", &intermediate];
    let package = openssl(verify, &content_info)?;
    ensure!(content_type(&signed_data)? == der::oid(KEY_PACKAGE), "what is signed is not id-ct-KP-aKeyPackage");
    let keys = Value::parse(&package)?.children()?;
    ensure!(keys.len() == 1, "{} keys in the package", keys.len());
    Ok(keys[0].whole.to_vec())
}

/// The eContentType of a SignedData.
fn content_type(signed_data: &[u8]) -> Result<Vec<u8>, Problem> {
    Ok(Value::parse(signed_data)?.child(2)?.child(0)?.whole.to_vec())
}

/// How the content key reaches the recipient.
pub(crate) struct RecipientInfo {
    /// EnvelopedData's version, the RecipientInfo's tag, and its version.
    pub(crate) shape: (u8, u8, u8),
    /// What names the recipient.
    pub(crate) identifier: Vec<u8>,
    /// The keyEncryptionAlgorithm, DER.
    pub(crate) key_encryption: Vec<u8>,
    /// The contentEncryptionAlgorithm's OID, DER.
    pub(crate) content_encryption: Vec<u8>,
}

/// Reads what an EnvelopedData says openly (RFC 5652 section 6).
pub(crate) fn recipient(sealed: &[u8]) -> Result<RecipientInfo, Problem> {
    let content_info = Value::parse(sealed)?.children()?;
    ensure!(content_info[0].whole == der::oid("1.2.840.113549.1.7.3"), "the key part is not an EnvelopedData");
    let parts = content_info[1].child(0)?.children()?;
    ensure!(parts.len() == 3, "EnvelopedData has {} parts, expected 3", parts.len());
    let infos = parts[1].children()?;
    ensure!(infos.len() == 1, "{} recipients", infos.len());
    let info = infos[0];
    let fields = info.children()?;
    let (identifier, key_encryption) = match info.tag {
        // KeyTransRecipientInfo: rid is [0] SubjectKeyIdentifier.
        der::SEQUENCE => (fields[1].content, fields[2]),
        // KeyAgreeRecipientInfo: originator, keyEncryptionAlgorithm, recipientEncryptedKeys with rKeyId [0].
        0xa1 => (fields[3].child(0)?.child(0)?.child(0)?.content, fields[2]),
        // KEKRecipientInfo: kekid.
        0xa2 => (fields[1].child(0)?.content, fields[2]),
        other => return Err(Problem::failed(format!("a RecipientInfo of tag {other:#x}"))),
    };
    let encrypted = parts[2].children()?;
    ensure!(encrypted[0].whole == der::oid(SIGNED_DATA), "what is encrypted is not id-signedData");
    let version = |value: Value<'_>| value.content.first().copied().unwrap_or_default();
    Ok(RecipientInfo {
        shape: (version(parts[0]), info.tag, version(fields[0])),
        identifier: identifier.to_vec(),
        key_encryption: key_encryption.whole.to_vec(),
        content_encryption: encrypted[1].child(0)?.whole.to_vec(),
    })
}

pub(crate) fn hexadecimal(octets: &[u8]) -> String {
    octets.iter().map(|octet| format!("{octet:02x}")).collect()
}
