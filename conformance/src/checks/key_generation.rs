//! serverkeygen (RFC 7030 section 4.4): for whom a key is made, of which kind, and how it comes.

use super::refused;
use crate::certificate::{Certificate, issued};
use crate::clock::Deadline;
use crate::command::{openssl, read, text, write};
use crate::der;
use crate::http::Response;
use crate::matrix::{Check, Matrix, Problem, ensure};
use crate::multipart::{self, Generated};
use crate::pki::{Identity, KeyKind};
use crate::requests::{self, Parts};
use crate::stage::{Stage, own_subject};

/// The label that gives keys out plain.
const PATH: &str = "keygen/serverkeygen";

const CHALLENGE_PASSWORD: &str = "1.2.840.113549.1.9.7";

/// The kinds that are made.
const KINDS: [KeyKind; 6] =
    [KeyKind::P256, KeyKind::P384, KeyKind::Ed25519, KeyKind::Rsa2048, KeyKind::Rsa3072, KeyKind::Rsa4096];

pub(crate) fn run(stage: &Stage, matrix: &mut Matrix) {
    matrix.case("serverkeygen/off-by-default", || off(stage));
    matrix.case("serverkeygen/answer", || answer(stage).map(|_| ()));
    for kind in KINDS {
        matrix.case(format!("serverkeygen/key/{}", kind.name()), || key(stage, kind));
    }
    matrix.case("serverkeygen/private-key-info", || private_key_info(stage));
    matrix.case("serverkeygen/other-kinds", || other_kinds(stage));
    matrix.case("serverkeygen/signature-ignored", || signature_ignored(stage));
    matrix.case("serverkeygen/names", || names(stage));
    matrix.case("serverkeygen/challenge-password", || challenge_password(stage));
    matrix.case("serverkeygen/who", || who(stage));
    matrix.case("serverkeygen/birth-certificate", || birth_certificate(stage));
    matrix.case("serverkeygen/renews", || renews(stage));
    matrix.case("serverkeygen/not-pkcs10", || not_pkcs10(stage));
    matrix.case("serverkeygen/again", || again(stage));
    matrix.case("serverkeygen/weak-cipher", || weak_cipher(stage));
    matrix.case("serverkeygen/too-many", || too_many(stage));
}

/// Asks for a key of this kind, or near it, by the key in the request.
fn ask(stage: &Stage, kind: KeyKind, subject: &str) -> Result<Response, Problem> {
    let request = stage.request_of(kind, subject, &[])?;
    stage.device("birth-p256")?.post(PATH, &request.der)
}

/// A plain key as an identity, kept for the linters and for the search of traces.
fn keep(stage: &Stage, generated: &Generated, path: &str) -> Result<Identity, Problem> {
    stage.keep_generated(&generated.certificate, generated.plain()?, path)
}

/// EST-4.4-01.
fn off(stage: &Stage) -> Check {
    let request = stage.request("/", &[])?;
    for path in ["serverkeygen", "devices/serverkeygen"] {
        refused(&stage.device("birth-p256")?.post(path, &request.der)?, 404, &["not_found"])?;
    }
    Ok(())
}

/// RFC 7030 section 4.4.2: two parts, and the certificate as simpleenroll gives it.
fn answer(stage: &Stage) -> Result<Generated, Problem> {
    let generated = multipart::generated(&ask(stage, KeyKind::P256, &own_subject("SN-P256"))?)?;
    keep(stage, &generated, PATH)?;
    Ok(generated)
}

/// A key of the kind asked for, that the device can use at once.
fn key(stage: &Stage, kind: KeyKind) -> Check {
    let request = stage.request_of(kind, &own_subject("SN-P256"), &[])?;
    let generated = multipart::generated(&stage.device("birth-p256")?.post(PATH, &request.der)?)?;
    let own = openssl(["pkey", "-in", &text(&request.key), "-pubout", "-outform", "DER"], &[])?;
    // EST-4.4.1-01.
    ensure!(generated.certificate.spki != own, "the key of the request was certified");
    ensure!(generated.certificate.spki.len() == own.len(), "the key is of another kind than the one in the request");
    let identity = keep(stage, &generated, PATH)?;
    let next = stage.request(&own_subject("SN-P256"), &[])?;
    let renewed = stage.client(Some(&identity))?.post("keygen/simplereenroll", &next.der)?;
    stage.keep(&renewed, &next, "keygen/simplereenroll").map(|_| ())
}

/// KEY-01: as RFC 9148 appendix A.3 has it, and RFC 8410 section 7.
fn private_key_info(stage: &Stage) -> Check {
    let shape = |kind| -> Result<(Vec<u8>, Vec<u8>, usize), Problem> {
        let generated = multipart::generated(&ask(stage, kind, "/")?)?;
        keep(stage, &generated, PATH)?;
        let info = der::Value::parse(generated.plain()?)?.children()?;
        // RFC 5958 §2: v1 without the public key.
        ensure!(info[0].content == [0], "{}: version {:02x?}", kind.name(), info[0].content);
        Ok((info[1].whole.to_vec(), info[2].content.to_vec(), info.len()))
    };
    let (algorithm, private, fields) = shape(KeyKind::P256)?;
    ensure!(fields == 3, "{fields} fields for P-256");
    let expected = der::sequence(&[&der::oid("1.2.840.10045.2.1"), &der::oid("1.2.840.10045.3.1.7")]);
    ensure!(algorithm == expected, "algorithm {algorithm:02x?}");
    let key = der::Value::parse(&private)?.children()?;
    ensure!(key[0].content == [1] && key[1].content.len() == 32, "RFC 5915 section 3: {private:02x?}");
    ensure!(key.last().is_some_and(|last| last.tag == 0xa1), "no publicKey in ECPrivateKey");
    let (algorithm, private, fields) = shape(KeyKind::Ed25519)?;
    ensure!(fields == 3 && algorithm == der::sequence(&[&der::oid("1.3.101.112")]), "algorithm {algorithm:02x?}");
    ensure!(der::Value::parse(&private)?.content.len() == 32, "RFC 8410 section 7: an OCTET STRING in another");
    let (algorithm, private, _) = shape(KeyKind::Rsa2048)?;
    let expected = der::sequence(&[&der::oid("1.2.840.113549.1.1.1"), &der::value(der::NULL, [])]);
    ensure!(algorithm == expected, "algorithm {algorithm:02x?}");
    let key = der::Value::parse(&private)?.children()?;
    ensure!(key.len() == 9 && key[0].content == [0], "RFC 8017 appendix A.1.2: {} fields", key.len());
    Ok(())
}

/// The key in the request is a hint: one of a kind that is not made, or too weak to be certified, is no fault.
fn other_kinds(stage: &Stage) -> Check {
    for kind in [KeyKind::P521, KeyKind::Rsa1024, KeyKind::P192] {
        let generated = multipart::generated(&ask(stage, kind, "/")?)?;
        keep(stage, &generated, PATH)?;
    }
    Ok(())
}

/// EST-4.4.1-01.
fn signature_ignored(stage: &Stage) -> Check {
    let request = stage.request(&own_subject("SN-P256"), &[])?;
    let mut broken = request.der.clone();
    let last = broken.len() - 1;
    broken[last] ^= 1;
    let parts = Parts::new(&request.key, b"SN-P256")?;
    let weak = requests::by_key(&stage.pki, &request.key, &own_subject("SN-P256"), &[], "sha1")?;
    for body in [broken, parts.with_signature(&[]), weak] {
        let generated = multipart::generated(&stage.device("birth-p256")?.post(PATH, &body)?)?;
        keep(stage, &generated, PATH)?;
    }
    Ok(())
}

/// EST-4.4.1-02: names and privileges as for simpleenroll.
fn names(stage: &Stage) -> Check {
    let generated = answer(stage)?;
    let request = stage.request(&own_subject("SN-P256"), &[])?;
    let enrolled = issued(&stage.device("birth-p256")?.post("keygen/simpleenroll", &request.der)?)?;
    ensure!(generated.certificate.subject == enrolled.subject, "the subject differs from that of simpleenroll");
    let oids = |certificate: &Certificate| -> Vec<Vec<u8>> {
        certificate.extensions.iter().map(|extension| extension.oid.clone()).collect()
    };
    ensure!(oids(&generated.certificate) == oids(&enrolled), "the extensions differ from those of simpleenroll");

    let client = stage.device("birth-p256")?;
    let other = own_subject("SN-OTHER");
    for (subject, extension, status, code) in [
        (&*other, None, 403, "identity_mismatch"),
        ("/", Some("subjectAltName=DNS:other.example"), 403, "identity_mismatch"),
        ("/", Some("basicConstraints=critical,CA:TRUE"), 400, "extension_not_allowed"),
        ("/", Some("keyUsage=critical,keyCertSign"), 400, "extension_not_allowed"),
    ] {
        let request = stage.request(subject, extension.as_slice())?;
        refused(&client.post(PATH, &request.der)?, status, &[code])?;
    }
    Ok(())
}

/// EST-4.4.1-02: the signature proves nothing, the link to the connection still tells whose request it is.
fn challenge_password(stage: &Stage) -> Check {
    let request = stage.request("/", &[])?;
    let mut parts = Parts::new(&request.key, b"SN-P256")?;
    parts.subject = der::sequence(&[]);
    parts.attributes =
        requests::attributes(&[requests::attribute(CHALLENGE_PASSWORD, &[&der::value(der::UTF8_STRING, b"AAAA")])]);
    let response = stage.device("birth-p256")?.post(PATH, &parts.signed(&request.key)?)?;
    refused(&response, 403, &["identity_linking"])
}

/// EST-4.4-02: nobody gets a key who would get no certificate.
fn who(stage: &Stage) -> Check {
    let request = stage.request("/", &[])?;
    refused(&stage.client(None)?.post(PATH, &request.der)?, 403, &["auth_missing"])?;
    for name in ["bad-stranger", "bad-expired", "bad-other-tenant"] {
        let response = stage.device(name)?.post(PATH, &request.der)?;
        ensure!(response.status == 403, "{name}: expected 403, came {}", response.status);
        super::is_plain_text(&response)?;
    }
    Ok(())
}

/// SEC-05: a birth certificate is not enough unless the label says so; one that the label issued is.
fn birth_certificate(stage: &Stage) -> Check {
    let path = "keygen-renewal/serverkeygen";
    let request = stage.request(&own_subject("SN-P256"), &[])?;
    refused(&stage.device("birth-p256")?.post(path, &request.der)?, 403, &["key_generation_denied"])?;
    let current = stage.enroll("birth-p256", "keygen-renewal/simpleenroll", &request)?;
    let generated = multipart::generated(&stage.client(Some(&current))?.post(path, &request.der)?)?;
    keep(stage, &generated, path).map(|_| ())
}

/// A renewal keeps its names (RFC 7030 section 4.2.2).
fn renews(stage: &Stage) -> Check {
    let current = keep(stage, &answer(stage)?, PATH)?;
    let client = stage.client(Some(&current))?;
    let generated = multipart::generated(&client.post(PATH, &stage.request(&own_subject("SN-P256"), &[])?.der)?)?;
    let before = Certificate::from_pem(&read(&current.certificate)?)?;
    ensure!(generated.certificate.subject == before.subject, "the subject changed");
    keep(stage, &generated, PATH)?;
    let other = stage.request(&own_subject("SN-OTHER"), &[])?;
    refused(&client.post(PATH, &other.der)?, 403, &["subject_mismatch", "identity_mismatch"])
}

/// What is no certification request is none here either, whatever is ignored of it.
fn not_pkcs10(stage: &Stage) -> Check {
    let client = stage.device("birth-p256")?;
    let request = stage.request("/", &[])?;
    let key = openssl(["pkey", "-in", &text(&request.key), "-outform", "DER"], &[])?;
    for body in [key, vec![0x30, 0], [request.der.as_slice(), &[0]].concat()] {
        refused(&client.post(PATH, &body)?, 400, &["bad_csr", "bad_encoding"])?;
    }
    let get = client.get(PATH)?;
    ensure!(get.status == 405 && get.header("Allow") == Some("POST"), "GET: {}", get.head);
    Ok(())
}

/// The key is kept nowhere: the same request again is another key.
fn again(stage: &Stage) -> Check {
    let request = stage.request(&own_subject("SN-P256"), &[])?;
    let client = stage.device("birth-p256")?;
    let mut made = Vec::new();
    for _ in 0..2 {
        let generated = multipart::generated(&client.post(PATH, &request.der)?)?;
        keep(stage, &generated, PATH)?;
        made.push(generated);
    }
    ensure!(made[0].key != made[1].key, "the same key came twice");
    ensure!(made[0].certificate.serial != made[1].certificate.serial, "the same certificate came twice");
    Ok(())
}

/// EST-4.4-02: the cipher is at least as strong as the key that it protects.
fn weak_cipher(stage: &Stage) -> Check {
    let birth = stage.pki.identity("birth-p256");
    let status = |kind, suite: &str| -> Result<(String, String), Problem> {
        let request = stage.request_of(kind, "/", &[])?;
        let body = request.key.with_extension("b64");
        write(&body, crate::http::base64(&request.der))?;
        let mut curl = std::process::Command::new("curl");
        curl.args(["--silent", "--show-error", "--cacert", &text(&stage.own.anchor), "--tls13-ciphers", suite]);
        curl.args(["--cert", &text(&birth.chain), "--key", &text(&birth.key), "--data-binary"]);
        curl.args([&format!("@{}", text(&body)), "-H", "Content-Type: application/pkcs10"]);
        curl.args(["--write-out", "\n%{http_code}", &stage.own.server.url(PATH)]);
        let said = crate::command::run(&mut curl, &[], crate::command::DEFAULT_LIMIT)?.succeeded("curl")?;
        let said = String::from_utf8_lossy(&said).into_owned();
        let (body, status) = said.rsplit_once('\n').unwrap_or_default();
        Ok((status.to_owned(), body.to_owned()))
    };
    for (kind, suite, expected) in [
        (KeyKind::P256, "TLS_AES_128_GCM_SHA256", "200"),
        (KeyKind::P384, "TLS_AES_256_GCM_SHA384", "200"),
        (KeyKind::P384, "TLS_AES_128_GCM_SHA256", "403"),
    ] {
        let (status, body) = status(kind, suite)?;
        ensure!(status == expected, "{} behind {suite}: expected {expected}, came {status}", kind.name());
        ensure!(status == "200" || body.contains("cipher_too_weak"), "{body}");
    }
    Ok(())
}

/// So many RSA keys are made at once and no more; whoever is put off is told for how long, and is served then.
fn too_many(stage: &Stage) -> Check {
    let request = stage.request_of(KeyKind::Rsa4096, "/", &[])?;
    let client = stage.foreign_client(Some(&stage.pki.identity("birth-p256")))?;
    let deadline = Deadline::after(std::time::Duration::from_secs(60));
    loop {
        let answers: Vec<Result<Response, Problem>> = std::thread::scope(|scope| {
            let handles: Vec<_> = (0..4).map(|_| scope.spawn(|| client.post(PATH, &request.der))).collect();
            handles.into_iter().filter_map(|handle| handle.join().ok()).collect()
        });
        let answers = answers.into_iter().collect::<Result<Vec<_>, _>>()?;
        let (served, put_off): (Vec<_>, Vec<_>) = answers.into_iter().partition(|answer| answer.status == 200);
        for answer in &put_off {
            refused(answer, 429, &["too_many_requests"])?;
            ensure!(answer.header("Retry-After").is_some(), "no Retry-After: {}", answer.head);
        }
        ensure!(!served.is_empty(), "nobody was served");
        if !put_off.is_empty() {
            return multipart::generated(&client.post(PATH, &request.der)?).map(|_| ());
        }
        ensure!(!deadline.passed(), "four keys at once are one too few to meet the limit");
    }
}
