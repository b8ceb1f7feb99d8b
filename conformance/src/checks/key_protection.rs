//! Private keys that leave encrypted (RFC 7030 sections 4.4.1.1, 4.4.1.2 and 4.4.2), and those that do not leave at all.

use super::refused;
use crate::clients::bouncy_castle::KeyOpener;
use crate::command::text;
use crate::der;
use crate::http::Response;
use crate::matrix::{Check, Matrix, Problem, ensure};
use crate::multipart::{self, Generated};
use crate::pki::{Identity, KeyKind};
use crate::protection::{self, Opener, RecipientInfo, SHARED_KEYS, agreement, algorithm, capabilities, public, shared};
use crate::requests::{self, Parts};
use crate::stage::Stage;

/// A label that also gives keys out plain: that it does not is the point.
const PATH: &str = "keygen/serverkeygen";

/// A label that gives none out plain.
const ENCRYPTED: &str = "keygen-encrypted/serverkeygen";

pub(crate) fn run(stage: &Stage, matrix: &mut Matrix) {
    for key in &SHARED_KEYS {
        let name = String::from_utf8_lossy(key.identifier);
        matrix.case(format!("key-protection/shared/{name}"), || shared_key(stage, key));
    }
    matrix.case("key-protection/transport/oaep", || transport(stage, &protection::oaep_sha256()));
    matrix.case("key-protection/transport/pkcs1", || transport(stage, &protection::pkcs1()));
    for curve in ["p256", "p384", "p521"] {
        matrix.case(format!("key-protection/agreement/{curve}"), || key_agreement(stage, curve));
    }
    matrix.case("key-protection/bouncycastle", || bouncy_castle(stage));
    matrix.case("key-protection/presented-certificate", || presented(stage));
    matrix.case("key-protection/strong-content-key", || strong_content_key(stage));
    matrix.case("key-protection/required", || required(stage));
    matrix.case("key-protection/unknown-shared-key", || unknown_shared_key(stage));
    matrix.case("key-protection/unknown-public-key", || unknown_public_key(stage));
    matrix.case("key-protection/unfit-public-key", || unfit_public_key(stage));
    matrix.case("key-protection/no-capabilities", || no_capabilities(stage));
    matrix.case("key-protection/no-common-algorithm", || no_common_algorithm(stage));
    matrix.case("key-protection/both-identifiers", || both_identifiers(stage));
    matrix.case("key-protection/malformed", || malformed(stage));
}

fn request(stage: &Stage, kind: KeyKind, attributes: &[Vec<u8>]) -> Result<Vec<u8>, Problem> {
    let key = stage.pki.key(&stage.unique("asking"), kind)?;
    let mut parts = Parts::new(&key, b"")?;
    parts.subject = der::sequence(&[]);
    parts.attributes = requests::attributes(attributes);
    parts.signed(&key)
}

fn ask(stage: &Stage, path: &str, attributes: &[Vec<u8>]) -> Result<Response, Problem> {
    stage.device("birth-p256")?.post(path, &request(stage, KeyKind::P256, attributes)?)
}

/// Opens what came, holds it against its certificate and keeps both; what it says openly.
fn opened(
    stage: &Stage,
    generated: &Generated,
    opener: &Opener<'_>,
    path: &str,
) -> Result<(Identity, RecipientInfo), Problem> {
    let sealed = generated.sealed()?;
    let (root, issuing) = (stage.pki.identity("root-p256"), stage.pki.identity("issuing-p256"));
    let key = protection::open(sealed, opener, &root.certificate, &issuing.certificate)?;
    Ok((stage.keep_generated(&generated.certificate, &key, path)?, protection::recipient(sealed)?))
}

/// EST-4.4.2-05: version 4, kekid is the DecryptKeyIdentifier, the AES key wrap that was listed.
fn shared_key(stage: &Stage, key: &protection::SharedKey) -> Check {
    let listed = [algorithm(key.wrap), algorithm(protection::AES256_CBC)];
    for path in [PATH, ENCRYPTED] {
        let response = ask(stage, path, &[shared(key.identifier), capabilities(&listed)])?;
        let (_, info) = opened(stage, &multipart::generated(&response)?, &Opener::Shared(key), path)?;
        ensure!(info.shape == (2, 0xa2, 4), "versions and tag {:?}", info.shape);
        ensure!(info.identifier == key.identifier, "kekid {:02x?}", info.identifier);
        ensure!(info.key_encryption == algorithm(key.wrap), "algorithm {:02x?}", info.key_encryption);
        ensure!(info.content_encryption == der::oid(protection::AES256_CBC), "{:02x?}", info.content_encryption);
    }
    Ok(())
}

/// EST-4.4.2-06: version 2, for it names the subjectKeyIdentifier.
fn transport(stage: &Stage, algorithm: &[u8]) -> Check {
    let recipient = stage.pki.identity("recipient-rsa");
    let response = ask(stage, PATH, &[public(&recipient)?, capabilities(&[algorithm.to_vec()])])?;
    let (_, info) = opened(stage, &multipart::generated(&response)?, &Opener::Recipient(&recipient), PATH)?;
    ensure!(info.shape == (2, der::SEQUENCE, 2), "versions and tag {:?}", info.shape);
    ensure!(info.key_encryption == algorithm, "algorithm {:02x?}", info.key_encryption);
    names_recipient(&info, &recipient)
}

/// EST-4.4.2-06: version 3.
fn key_agreement(stage: &Stage, curve: &str) -> Check {
    let recipient = stage.pki.identity(&format!("recipient-{curve}"));
    for wrap in [protection::AES128_WRAP, protection::AES192_WRAP, protection::AES256_WRAP] {
        let response = ask(stage, PATH, &[public(&recipient)?, capabilities(&[agreement(wrap)])])?;
        let (_, info) = opened(stage, &multipart::generated(&response)?, &Opener::Recipient(&recipient), PATH)?;
        ensure!(info.shape == (2, 0xa1, 3), "versions and tag {:?}", info.shape);
        ensure!(info.key_encryption == agreement(wrap), "algorithm {:02x?}", info.key_encryption);
        names_recipient(&info, &recipient)?;
    }
    Ok(())
}

/// A second reader of CMS opens the same.
fn bouncy_castle(stage: &Stage) -> Check {
    let folder = stage.pki.path("key-opener");
    std::fs::create_dir_all(&folder)?;
    let opener = KeyOpener::new(folder)?;
    let mut ways = Vec::new();
    for key in &SHARED_KEYS {
        let attributes = vec![shared(key.identifier), capabilities(&[algorithm(key.wrap)])];
        ways.push((attributes, key.hexadecimal.to_owned()));
    }
    for (name, listed) in [
        ("recipient-rsa", protection::oaep_sha256()),
        ("recipient-rsa", protection::pkcs1()),
        ("recipient-p256", agreement(protection::AES128_WRAP)),
        ("recipient-p384", agreement(protection::AES256_WRAP)),
        ("recipient-p521", agreement(protection::AES256_WRAP)),
    ] {
        let recipient = stage.pki.identity(name);
        ways.push((vec![public(&recipient)?, capabilities(&[listed])], text(&recipient.key)));
    }
    for (attributes, key) in ways {
        let generated = multipart::generated(&ask(stage, PATH, &attributes)?)?;
        let opened = opener.open(generated.sealed()?, &key)?;
        stage.keep_generated(&generated.certificate, &opened, PATH)?;
    }
    Ok(())
}

fn names_recipient(info: &RecipientInfo, recipient: &Identity) -> Check {
    let named = requests::attribute("1.2.840.113549.1.9.16.2.54", &[&der::value(der::OCTET_STRING, &info.identifier)]);
    ensure!(public(recipient)? == named, "the recipient is named {:02x?}", info.identifier);
    Ok(())
}

/// A device that renews may have the next key encrypted to the certificate it holds, where its key may be used so.
fn presented(stage: &Stage) -> Check {
    let first = stage.request_of(KeyKind::Rsa2048, "/", &[])?;
    let profile = stage.enroll("birth-p256", "keygen-encrypted/simpleenroll", &first)?;
    let mut parts = Parts::new(&first.key, b"")?;
    parts.subject = crate::certificate::Certificate::from_pem(&crate::command::read(&profile.certificate)?)?.subject;
    parts.attributes = requests::attributes(&[public(&profile)?, capabilities(&[protection::oaep_sha256()])]);
    let body = parts.with_signature(&[]);
    let response = stage.client(Some(&profile))?.post(ENCRYPTED, &body)?;
    opened(stage, &multipart::generated(&response)?, &Opener::Recipient(&profile), ENCRYPTED)?;
    // Another device does not find it.
    let response = stage.device("birth-p256")?.post(ENCRYPTED, &body)?;
    refused(&response, 400, &["decrypt_key_unknown"])
}

/// EST-4.4.2-06: what is listed but weaker than the key is passed over.
fn strong_content_key(stage: &Stage) -> Check {
    let key = &SHARED_KEYS[2];
    let listed = [algorithm(key.wrap), algorithm(protection::AES128_CBC), algorithm(protection::AES256_CBC)];
    let attributes = [shared(key.identifier), capabilities(&listed)];
    for (kind, expected) in [(KeyKind::P256, protection::AES128_CBC), (KeyKind::P384, protection::AES256_CBC)] {
        let response = stage.device("birth-p256")?.post(PATH, &request(stage, kind, &attributes)?)?;
        let (_, info) = opened(stage, &multipart::generated(&response)?, &Opener::Shared(key), PATH)?;
        ensure!(info.content_encryption == der::oid(expected), "{}: {:02x?}", kind.name(), info.content_encryption);
    }
    Ok(())
}

/// EST-4.4.1-04.
fn required(stage: &Stage) -> Check {
    refused(&ask(stage, ENCRYPTED, &[])?, 403, &["encryption_required"])?;
    let listed = capabilities(&[algorithm(protection::AES256_WRAP)]);
    refused(&ask(stage, ENCRYPTED, &[listed])?, 403, &["encryption_required"])
}

/// EST-4.4.1.1-01: never plain instead.
fn unknown_shared_key(stage: &Stage) -> Check {
    let listed = capabilities(&[algorithm(protection::AES256_WRAP)]);
    for identifier in [&b"psk-999"[..], b"psk-25", b"psk-2566", b"PSK-256"] {
        refused(&ask(stage, PATH, &[shared(identifier), listed.clone()])?, 400, &["decrypt_key_unknown"])?;
    }
    Ok(())
}

/// EST-4.4.1.2-01: also a certificate that exists, but elsewhere.
fn unknown_public_key(stage: &Stage) -> Check {
    let listed = capabilities(&[protection::oaep_sha256(), agreement(protection::AES256_WRAP)]);
    let stranger = public(&stage.pki.identity("birth-other"))?;
    refused(&ask(stage, PATH, &[stranger, listed.clone()])?, 400, &["decrypt_key_unknown"])?;
    // A shared key's identifier names no certificate.
    let shared = requests::attribute("1.2.840.113549.1.9.16.2.54", &[&der::value(der::OCTET_STRING, b"psk-256")]);
    refused(&ask(stage, PATH, &[shared, listed])?, 400, &["decrypt_key_unknown"])
}

/// EST-4.4.1.2-01: the certificate must let its key be used so.
fn unfit_public_key(stage: &Stage) -> Check {
    let listed = capabilities(&[protection::oaep_sha256(), agreement(protection::AES256_WRAP)]);
    for name in ["recipient-signing", "birth-p256"] {
        let named = public(&stage.pki.identity(name))?;
        refused(&ask(stage, PATH, &[named, listed.clone()])?, 400, &["decrypt_key_unfit"])?;
    }
    Ok(())
}

/// EST-4.4.1-03.
fn no_capabilities(stage: &Stage) -> Check {
    let named = [shared(b"psk-256"), public(&stage.pki.identity("recipient-rsa"))?];
    for attribute in named {
        refused(&ask(stage, PATH, &[attribute])?, 400, &["no_common_algorithm"])?;
    }
    Ok(())
}

/// EST-4.4.1-03.
fn no_common_algorithm(stage: &Stage) -> Check {
    let rsa = public(&stage.pki.identity("recipient-rsa"))?;
    let curve = public(&stage.pki.identity("recipient-p256"))?;
    let wrap = algorithm(protection::AES256_WRAP);
    for (named, listed) in [
        (shared(b"psk-128"), vec![wrap.clone()]),
        (shared(b"psk-256"), vec![algorithm(protection::AES256_CBC)]),
        (shared(b"psk-256"), vec![wrap.clone(), algorithm(protection::DES_EDE3_CBC)]),
        (rsa, vec![agreement(protection::AES256_WRAP)]),
        (curve.clone(), vec![protection::oaep_sha256(), protection::pkcs1()]),
        (curve, vec![wrap]),
    ] {
        refused(&ask(stage, PATH, &[named, capabilities(&listed)])?, 400, &["no_common_algorithm"])?;
    }
    Ok(())
}

/// EST-4.4.1-04.
fn both_identifiers(stage: &Stage) -> Check {
    let listed = capabilities(&[algorithm(protection::AES256_WRAP), protection::oaep_sha256()]);
    let both = [shared(b"psk-256"), public(&stage.pki.identity("recipient-rsa"))?, listed];
    refused(&ask(stage, PATH, &both)?, 400, &["bad_csr"])
}

/// Attributes that are not what their type says; each would be a key that leaves plain, were it passed over.
fn malformed(stage: &Stage) -> Check {
    let listed = capabilities(&[algorithm(protection::AES256_WRAP)]);
    let identifier = der::value(der::OCTET_STRING, b"psk-256");
    let oid = "1.2.840.113549.1.9.16.2.37";
    for attributes in [
        vec![requests::attribute(oid, &[]), listed.clone()],
        vec![requests::attribute(oid, &[&identifier, &identifier]), listed.clone()],
        vec![requests::attribute(oid, &[&der::value(der::UTF8_STRING, b"psk-256")]), listed.clone()],
        vec![requests::attribute(oid, &[&der::value(der::OCTET_STRING, [7; 65])]), listed.clone()],
        vec![shared(b""), listed.clone()],
        vec![shared(b"psk-256"), shared(b"psk-256"), listed.clone()],
        vec![shared(b"psk-256"), listed.clone(), listed],
        vec![shared(b"psk-256"), capabilities(&[])],
        vec![shared(b"psk-256"), capabilities(&vec![algorithm(protection::AES256_WRAP); 65])],
        vec![shared(b"psk-256"), capabilities(&[der::value(der::NULL, [])])],
    ] {
        refused(&ask(stage, PATH, &attributes)?, 400, &["bad_csr"])?;
    }
    Ok(())
}
