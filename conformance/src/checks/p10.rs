//! Certification requests that are broken, weak or ask for too much (RFC 2986, RFC 2985, RFC 5274).

use super::refused;
use crate::certificate::{Certificate, issued};
use crate::command::text;
use crate::der;
use crate::http::{Client, Response};
use crate::matrix::{Check, Matrix, Problem, ensure};
use crate::pki::KeyKind;
use crate::requests::{self, Parts};
use crate::stage::{Stage, own_subject};

const CHALLENGE_PASSWORD: &str = "1.2.840.113549.1.9.7";
const UNSTRUCTURED_NAME: &str = "1.2.840.113549.1.9.2";
const KEY_USAGE: &str = "2.5.29.15";
const ELLIPTIC_CURVE: &str = "1.2.840.10045.2.1";
const P256: &str = "1.2.840.10045.3.1.7";

pub(crate) fn run(stage: &Stage, matrix: &mut Matrix) {
    matrix.case("p10/proof-of-possession", || possession(stage));
    matrix.case("p10/strict-der", || strict_der(stage));
    matrix.case("p10/attributes", || attributes(stage));
    matrix.case("p10/unknown-attributes-ignored", || unknown_attributes(stage));
    matrix.case("p10/privileges", || privileges(stage));
    matrix.case("p10/key-usage-not-inverted", || key_usage(stage));
    matrix.case("p10/key-usage-without-signatures", || key_usage_without_signatures(stage));
    matrix.case("p10/weak-rsa", || weak_rsa(stage));
    matrix.case("p10/weak-curves", || weak_curves(stage));
    matrix.case("p10/weak-signatures", || weak_signatures(stage));
    matrix.case("p10/empty-subject", || empty_subject(stage));
    matrix.case("p10/unsorted-attributes", || unsorted(stage));
}

struct Sender {
    client: Client,
    parts: Parts,
    key: std::path::PathBuf,
}

impl Sender {
    fn new(stage: &Stage) -> Result<Self, Problem> {
        let key = stage.pki.key(&stage.unique("forge"), KeyKind::P256)?;
        let parts = Parts { subject: der::sequence(&[]), ..Parts::new(&key, b"")? };
        Ok(Self { client: stage.device("birth-p256")?, parts, key })
    }

    fn post(&self, body: &[u8]) -> Result<Response, Problem> {
        self.client.post("simpleenroll", body)
    }

    /// Signs what `change` made of the plain request.
    fn altered(&self, change: impl FnOnce(&mut Parts)) -> Result<Vec<u8>, Problem> {
        let mut parts = self.parts.clone();
        change(&mut parts);
        parts.signed(&self.key)
    }

    fn with_attributes(&self, list: &[Vec<u8>]) -> Result<Vec<u8>, Problem> {
        self.altered(|parts| parts.attributes = requests::attributes(list))
    }

    fn refused(&self, what: &str, body: &[u8], codes: &[&str]) -> Check {
        refused(&self.post(body)?, 400, codes).map_err(|problem| Problem::failed(format!("{what}: {problem:?}")))
    }
}

fn possession(stage: &Stage) -> Check {
    let sender = Sender::new(stage)?;
    let good = sender.parts.signed(&sender.key)?;
    let mut flipped = good.clone();
    // The last octet of s.
    if let Some(last) = flipped.last_mut() {
        *last ^= 1;
    }
    sender.refused("a flipped bit", &flipped, &["pop_invalid"])?;
    let zero = der::sequence(&[&der::unsigned(&[0]), &der::unsigned(&[0])]);
    for (what, signature) in [("an empty signature", vec![]), ("r = s = 0", zero), ("noise", vec![7; 71])] {
        sender.refused(what, &sender.parts.with_signature(&signature), &["pop_invalid"])?;
    }
    let other = stage.pki.key(&stage.unique("forge"), KeyKind::P256)?;
    sender.refused("another key's signature", &sender.parts.signed(&other)?, &["pop_invalid"])?;
    issued(&sender.post(&good)?).map(|_| ())
}

fn strict_der(stage: &Stage) -> Check {
    let sender = Sender::new(stage)?;
    let good = sender.parts.signed(&sender.key)?;
    let codes = ["bad_csr", "bad_encoding"];
    sender.refused("version 1", &sender.altered(|parts| parts.version = der::value(der::INTEGER, [1]))?, &codes)?;
    sender.refused("trailing octet", &[good.as_slice(), &[0]].concat(), &codes)?;
    sender.refused("truncated", &good[..good.len() - 3], &codes)?;
    sender.refused("a length of 4 GiB", &[0x30, 0x84, 0xff, 0xff, 0xff, 0xff], &codes)?;
    let indefinite = [&[0x30, 0x80], &good[4..], &[0, 0]].concat();
    sender.refused("indefinite length", &indefinite, &codes)?;
    let padded = [&[0x30, 0x83, 0], &good[2..]].concat();
    sender.refused("a length that is not minimal", &padded, &codes)?;
    let mut nested = Vec::new();
    // 10,000 levels of four octets each; deeper ones are over the limit of the body.
    for _ in 0..10_000 {
        nested.extend([0x30, 0x82, 0x7f, 0x7f]);
    }
    sender.refused("a nesting bomb", &nested, &codes)?;
    let mut bomb = der::value(der::NULL, []);
    for _ in 0..2_000 {
        bomb = der::value(der::SEQUENCE, &bomb);
    }
    let attribute = requests::attribute(UNSTRUCTURED_NAME, &[&bomb]);
    let response = sender.post(&sender.with_attributes(&[attribute])?)?;
    ensure!(matches!(response.status, 200 | 400), "2,000 levels inside an attribute: {}", response.status);
    ensure!(stage.client(None)?.get("cacerts")?.status == 200, "the server is gone");
    Ok(())
}

fn attributes(stage: &Stage) -> Check {
    let sender = Sender::new(stage)?;
    issued(&sender.post(&sender.with_attributes(&[])?)?)?;
    let omitted = sender.post(&sender.altered(|parts| parts.attributes = Vec::new())?)?;
    ensure!(matches!(omitted.status, 200 | 400), "attributes left out: {}", omitted.status);
    let usage = || requests::extension(KEY_USAGE, true, &[3, 2, 7, 0x80]);
    let request = requests::extension_request;
    let password = |count: usize| {
        let value = der::value(der::UTF8_STRING, b"secret");
        requests::attribute(CHALLENGE_PASSWORD, &vec![value.as_slice(); count])
    };
    let codes = ["bad_csr", "extension_not_allowed", "identity_linking", "bad_encoding"];
    let empty: &[&[u8]] = &[];
    for (what, list) in [
        ("two extensionRequests", vec![request(&[usage()]), request(&[usage()])]),
        ("an extension twice", vec![request(&[usage(), usage()])]),
        ("no extension", vec![request(&[])]),
        ("an attribute without a value", vec![requests::attribute(UNSTRUCTURED_NAME, empty)]),
        ("challengePassword twice", vec![password(1), password(1)]),
        ("two challengePasswords", vec![password(2)]),
    ] {
        sender.refused(what, &sender.with_attributes(&list)?, &codes)?;
    }
    let many: Vec<Vec<u8>> =
        (0..33_u8).map(|n| requests::attribute("1.3.6.1.4.1.99999.7", &[&der::value(der::INTEGER, [n])])).collect();
    sender.refused("33 attributes", &sender.with_attributes(&many)?, &codes)
}

/// P10-09; libest turns csrattrs into attributes of this kind.
fn unknown_attributes(stage: &Stage) -> Check {
    let sender = Sender::new(stage)?;
    let marker = b"leave me out";
    let list = vec![
        requests::attribute(UNSTRUCTURED_NAME, &[&der::value(der::UTF8_STRING, marker)]),
        requests::attribute("1.3.6.1.4.1.99999.8", &[&der::value(0x13, b"")]),
    ];
    let certificate = issued(&sender.post(&sender.with_attributes(&list)?)?)?;
    let copied = certificate.der.windows(marker.len()).any(|window| window == marker);
    ensure!(!copied, "an unknown attribute went into the certificate");
    Ok(())
}

/// P10-05: refused, or left out; never granted.
fn privileges(stage: &Stage) -> Check {
    for (wanted, trace) in [
        ("basicConstraints=critical,CA:TRUE", "CA:TRUE"),
        ("keyUsage=critical,keyCertSign,cRLSign", "Certificate Sign"),
        ("keyUsage=critical,digitalSignature,cRLSign", "CRL Sign"),
        ("extendedKeyUsage=OCSPSigning", "OCSP Signing"),
        ("extendedKeyUsage=anyExtendedKeyUsage", "Any Extended Key Usage"),
        ("extendedKeyUsage=clientAuth,1.3.6.1.5.5.7.3.28", "cmcRA"),
        ("extendedKeyUsage=1.3.6.1.5.5.7.3.27", "cmcCA"),
        ("nameConstraints=permitted;DNS:example", "Name Constraints"),
    ] {
        let request = stage.request("/", &[wanted])?;
        let response = stage.device("birth-p256")?.post("simpleenroll", &request.der)?;
        if response.status == 200 {
            let said = crate::command::openssl(["x509", "-noout", "-text"], issued(&response)?.pem().as_bytes())?;
            let said = String::from_utf8_lossy(&said).into_owned();
            ensure!(!said.contains(trace), "{wanted} is granted");
            ensure!(!said.contains("1.3.6.1.5.5.7.3.2"), "{wanted} is granted");
        } else {
            refused(&response, 400, &["extension_not_allowed"])?;
        }
    }
    Ok(())
}

/// P10-04: keyAgreement must not become digitalSignature.
/// RFC 7030 section 4.2.1: a key that shall not sign signs its request all the same.
fn key_usage_without_signatures(stage: &Stage) -> Check {
    let request = stage.request_of(KeyKind::Rsa2048, "/", &["keyUsage=critical,keyEncipherment"])?;
    let response = stage.device("birth-p256")?.post("simpleenroll", &request.der)?;
    let certificate = issued(&response)?;
    let usage = certificate.extension(KEY_USAGE).map(|extension| extension.value.clone()).unwrap_or_default();
    ensure!(usage.last().is_some_and(|bits| bits & 0x20 != 0), "keyEncipherment was asked for, came {usage:02x?}");
    stage.keep(&response, &request, "simpleenroll").map(|_| ())
}

fn key_usage(stage: &Stage) -> Check {
    let request = stage.request("/", &["keyUsage=critical,keyAgreement"])?;
    let response = stage.device("birth-p256")?.post("simpleenroll", &request.der)?;
    if response.status != 200 {
        return refused(&response, 400, &["extension_not_allowed"]);
    }
    let certificate = issued(&response)?;
    let usage = certificate.extension(KEY_USAGE).map(|extension| extension.value.clone()).unwrap_or_default();
    ensure!(usage.last().is_some_and(|bits| bits & 0x08 != 0), "keyAgreement was asked for, came {usage:02x?}");
    Ok(())
}

fn weak_rsa(stage: &Stage) -> Check {
    let sender = Sender::new(stage)?;
    let request = stage.request_of(KeyKind::Rsa1024, "/", &[])?;
    let codes = ["weak_key", "key_not_allowed"];
    sender.refused("RSA-1024", &request.der, &codes)?;
    // An odd number is modulus enough: no check may need to factor it.
    let modulus = |octets: usize| {
        let mut number = vec![0xc5; octets];
        number[octets - 1] = 0x6b;
        number
    };
    let three = [1, 0, 1];
    let forged = requests::forged_with_exponent_one(&sender.parts, &modulus(256))?;
    sender.refused("exponent 1", &forged, &codes)?;
    for (what, octets) in [("RSA-16384", 2_048), ("a modulus of 65,536 bits", 8_192)] {
        let watch = crate::clock::Stopwatch::start();
        sender.refused(what, &sender.parts.clone().with_rsa(&modulus(octets), &three, &vec![1; octets]), &codes)?;
        let took = watch.elapsed();
        ensure!(took < std::time::Duration::from_millis(500), "{what} took {took:?}");
    }
    for (what, exponent) in [("an even exponent", vec![1, 0, 0]), ("exponent 3", vec![3])] {
        sender.refused(what, &sender.parts.clone().with_rsa(&modulus(256), &exponent, &[1; 256]), &codes)?;
    }
    let even = [modulus(255), vec![0x6a]].concat();
    sender.refused("an even modulus", &sender.parts.clone().with_rsa(&even, &three, &[1; 256]), &codes)
}

fn weak_curves(stage: &Stage) -> Check {
    let sender = Sender::new(stage)?;
    let codes = ["weak_key", "key_not_allowed", "bad_csr"];
    sender.refused("P-192", &stage.request_of(KeyKind::P192, "/", &[])?.der, &codes)?;
    let algorithm = der::sequence(&[&der::oid(ELLIPTIC_CURVE), &der::oid(P256)]);
    let point = |bytes: &[u8]| der::sequence(&[&algorithm, &der::bit_string(bytes)]);
    let spki = der::Value::parse(&sender.parts.spki)?.child(1)?.content[1..].to_vec();
    let mut off = spki.clone();
    off[64] ^= 1;
    let mut large = vec![4];
    large.resize(65, 0xff);
    for (what, bytes) in [
        ("a point off the curve", off.as_slice()),
        ("the point at infinity", &[0]),
        ("coordinates over p", &large),
        ("a short point", &spki[..64]),
        ("no point", &[]),
    ] {
        sender.refused(what, &sender.altered(|parts| parts.spki = point(bytes))?, &codes)?;
    }
    // RFC 5480 section 2.1.1: namedCurve only.
    let explicit = stage.pki.path(&format!("{}.key", stage.unique("explicit")));
    let arguments = [
        "genpkey",
        "-algorithm",
        "EC",
        "-pkeyopt",
        "ec_paramgen_curve:P-256",
        "-pkeyopt",
        "ec_param_enc:explicit",
        "-out",
    ];
    crate::command::openssl(arguments.into_iter().chain([&*text(&explicit)]), &[])?;
    let der = requests::by_key(&stage.pki, &explicit, "/", &[], "sha256")?;
    sender.refused("explicit curve parameters", &der, &codes)
}

fn weak_signatures(stage: &Stage) -> Check {
    let sender = Sender::new(stage)?;
    let rsa = stage.pki.key(&stage.unique("rsa"), KeyKind::Rsa2048)?;
    for digest in ["sha1", "md5"] {
        let der = requests::by_key(&stage.pki, &rsa, "/", &[], digest)?;
        sender.refused(digest, &der, &["signature_algorithm"])?;
    }
    let der = requests::by_key(&stage.pki, &sender.key, "/", &[], "sha1")?;
    sender.refused("ECDSA with SHA-1", &der, &["signature_algorithm"])?;
    for digest in ["sha384", "sha512"] {
        let der = requests::by_key(&stage.pki, &rsa, "/", &[], digest)?;
        issued(&sender.post(&der)?)?;
    }
    Ok(())
}

/// P10-08: the CA fills the subject from the authenticated identity.
fn empty_subject(stage: &Stage) -> Check {
    let request = stage.request("/", &[])?;
    let identity = stage.enroll("birth-p256", "simpleenroll", &request)?;
    let certificate = Certificate::from_pem(&crate::command::read(&identity.certificate)?)?;
    let named =
        issued(&stage.device("birth-p256")?.post("simpleenroll", &stage.request(&own_subject("SN-P256"), &[])?.der)?)?;
    ensure!(certificate.subject == named.subject, "an empty subject is not filled with the device's own");
    Ok(())
}

/// EST-4.2.1-02: the signature is verified over the octets received. A SET that is not sorted is not DER, so it may
/// also be refused, but as bad syntax, never as a bad signature.
fn unsorted(stage: &Stage) -> Check {
    let sender = Sender::new(stage)?;
    let list = vec![
        requests::attribute("1.3.6.1.4.1.99999.8", &[&der::value(0x13, b"zzzz")]),
        requests::attribute(UNSTRUCTURED_NAME, &[&der::value(der::UTF8_STRING, b"a")]),
    ];
    let response = sender.post(&sender.with_attributes(&list)?)?;
    if response.status == 200 { Ok(()) } else { refused(&response, 400, &["bad_csr"]) }
}
