//! Full CMC (RFC 7030 section 4.3).

use std::time::Duration;

use super::refused;
use crate::certificate::Certificate;
use crate::clock::Stopwatch;
use crate::cmc::{self, Answer, Signing, control, pkcs10, pki_data};
use crate::command::{openssl, read, text};
use crate::der;
use crate::http::{self, Client, Response};
use crate::matrix::{Check, Matrix, Problem, ensure};
use crate::pki::{Identity, KeyKind};
use crate::requests::{self, Parts, Request};
use crate::stage::{Stage, own_subject};

const CHANGE_SUBJECT_NAME: &str = "1.3.6.1.5.5.7.7.36";
const TRANSACTION_ID: &str = "1.3.6.1.5.5.7.7.5";
const SENDER_NONCE: &str = "1.3.6.1.5.5.7.7.6";
const RECIPIENT_NONCE: &str = "1.3.6.1.5.5.7.7.7";
const LRA_POP_WITNESS: &str = "1.3.6.1.5.5.7.7.11";
const REG_INFO: &str = "1.3.6.1.5.5.7.7.18";
const QUERY_PENDING: &str = "1.3.6.1.5.5.7.7.21";
const ECDSA_WITH_SHA256: &str = "1.2.840.10045.4.3.2";
const DATA: &str = "1.2.840.113549.1.7.1";

/// failInfo (RFC 5272 section 6.1.4).
const BAD_ALG: u8 = 0;
const BAD_MESSAGE_CHECK: u8 = 1;
const BAD_REQUEST: u8 = 2;
const BAD_IDENTITY: u8 = 7;
const POP_REQUIRED: u8 = 8;
const POP_FAILED: u8 = 9;

pub(crate) fn run(stage: &Stage, matrix: &mut Matrix) {
    matrix.case("cmc/off-by-default", || off(stage));
    matrix.case("cmc/answer", || answer(stage));
    matrix.case("cmc/crmf", || crmf(stage));
    matrix.case("cmc/signed-by-the-request-key", || by_request_key(stage));
    for device in ["birth-p256", "birth-p384", "birth-rsa2048"] {
        matrix.case(format!("cmc/signed-by/{device}"), || signed_by(stage, device));
    }
    matrix.case("cmc/signed-by-others", || by_others(stage));
    matrix.case("cmc/possession", || possession(stage));
    matrix.case("cmc/controls", || controls(stage));
    matrix.case("cmc/refusals", || refusals(stage));
    matrix.case("cmc/too-much", || too_much(stage));
    matrix.case("cmc/pending", || pending(stage));
    matrix.case("cmc/ra", || registrar(stage));
}

fn birth(stage: &Stage) -> Result<(Client, Identity), Problem> {
    Ok((stage.device("birth-p256")?, stage.pki.identity("birth-p256")))
}

/// A refusal in both ways: HTTP status and failInfo.
fn told(stage: &Stage, response: &Response, status: u16, fail_info: u8) -> Result<Answer, Problem> {
    ensure!(response.status == status, "expected {status}, came {}", response.status);
    let answer = Answer::read(stage, response)?;
    let came = (answer.status, answer.fail_info);
    ensure!(came == (2, Some(fail_info)), "expected failed with {fail_info}, came {came:?}");
    ensure!(answer.certificates.is_empty(), "a certificate comes with a refusal");
    Ok(answer)
}

fn off(stage: &Stage) -> Check {
    let (client, _) = birth(stage)?;
    refused(&client.exchange(&cmc::post("devices/fullcmc", &[0x30, 0]))?, 404, &["not_found"])?;
    let response = client.get("cmc/fullcmc")?;
    refused(&response, 405, &["method_not_allowed"])
}

/// CMC-05: what is echoed, and that nothing comes that was not asked for.
fn answer(stage: &Stage) -> Check {
    let (client, device) = birth(stage)?;
    let request = stage.request("/", &[])?;
    let transaction = der::value(der::INTEGER, [0x12, 0x34]);
    let nonce = der::value(der::OCTET_STRING, b"nonce of the client");
    let controls = [control(1, TRANSACTION_ID, &transaction), control(2, SENDER_NONCE, &nonce)];
    let data = pki_data(&controls, &[pkcs10(7, &request.der)], &[]);
    let response = client.exchange(&cmc::post("cmc/fullcmc", &Signing::new(&device).sign(stage, &data)?))?;
    ensure!(response.status == 200, "expected 200, came {}", response.status);
    ensure!(response.header("Cache-Control") == Some("no-store"), "the answer may be kept");
    let answer = Answer::read(stage, &response)?;
    stage.keep_certificate(answer.issued()?, &request, "cmc/fullcmc")?;
    ensure!(answer.body_list == der::sequence(&[&[2, 1, 7]]), "another part: {:02x?}", answer.body_list);
    let value = |kind: &str| {
        let kind = der::oid(kind);
        answer.controls.iter().find(|(found, _)| *found == kind).map(|(_, value)| value.clone())
    };
    ensure!(value(TRANSACTION_ID) == Some(transaction), "another transactionId");
    ensure!(value(RECIPIENT_NONCE) == Some(nonce.clone()), "another recipientNonce");
    ensure!(value(SENDER_NONCE).is_some_and(|own| own != nonce && own.len() >= 18), "no senderNonce of the server's");
    // Without them nothing of the kind comes.
    let data = pki_data(&[], &[pkcs10(1, &request.der)], &[]);
    let response = client.exchange(&cmc::post("cmc/fullcmc", &Signing::new(&device).sign(stage, &data)?))?;
    let again = Answer::read(stage, &response)?;
    ensure!(again.controls.is_empty(), "controls that nobody asked for: {:02x?}", again.controls);
    ensure!(again.issued()?.der == answer.issued()?.der, "the same request gets another certificate");
    Ok(())
}

/// A CertReqMsg as body part 7, with this popo (RFC 4211).
fn crmf_with(request: &Request, popo: &[u8]) -> Result<Vec<u8>, Problem> {
    Ok(der::value(0xa1, [&cert_request(request)?, popo].concat()))
}

fn cert_request(request: &Request) -> Result<Vec<u8>, Problem> {
    let spki = openssl(["pkey", "-in", &text(&request.key), "-pubout", "-outform", "DER"], &[])?;
    let spki = der::Value::parse(&spki)?.content.to_vec();
    let template = der::sequence(&[&der::value(0xa5, der::sequence(&[])), &der::value(0xa6, spki)]);
    Ok(der::sequence(&[&[2, 1, 7], &template]))
}

/// signature [1] POPOSigningKey, made by `key`.
fn popo(request: &Request, key: &std::path::Path) -> Result<Vec<u8>, Problem> {
    let signature = openssl(["dgst", "-sha256", "-sign", &text(key)], &cert_request(request)?)?;
    let algorithm = der::sequence(&[&der::oid(ECDSA_WITH_SHA256)]);
    Ok(der::value(0xa1, [algorithm, der::bit_string(&signature)].concat()))
}

fn crmf(stage: &Stage) -> Check {
    let (client, device) = birth(stage)?;
    let request = stage.request("/", &[])?;
    let message = crmf_with(&request, &popo(&request, &request.key)?)?;
    let message = Signing::new(&device).sign(stage, &pki_data(&[], &[message], &[]))?;
    let answer = Answer::read(stage, &client.exchange(&cmc::post("cmc/fullcmc", &message))?)?;
    stage.keep_certificate(answer.issued()?, &request, "cmc/fullcmc").map(|_| ())
}

/// A certificate of nobody's, so that openssl signs with the key of a request.
fn self_signed(stage: &Stage, request: &Request) -> Result<Identity, Problem> {
    let file = stage.pki.path(&format!("{}.pem", stage.unique("self")));
    let configuration = text(&stage.pki.path("openssl.cnf"));
    let (key, out) = (text(&request.key), text(&file));
    let arguments = ["req", "-x509", "-config", &configuration, "-key", &key, "-subj", "/CN=nobody", "-out", &out];
    openssl(arguments.into_iter().chain(["-addext", "subjectKeyIdentifier=hash"]), &[])?;
    Ok(Identity::alone(file, request.key.clone()))
}

fn by_request_key(stage: &Stage) -> Check {
    let (client, _) = birth(stage)?;
    let request = stage.request("/", &[])?;
    let signer = self_signed(stage, &request)?;
    let signing = Signing { by_key_id: true, ..Signing::new(&signer) };
    let data = pki_data(&[], &[pkcs10(7, &request.der)], &[]);
    let response = client.exchange(&cmc::post("cmc/fullcmc", &signing.sign(stage, &data)?))?;
    stage.keep_certificate(Answer::read(stage, &response)?.issued()?, &request, "cmc/fullcmc").map(|_| ())
}

/// CMC-03: every kind of key, by its own certificate.
fn signed_by(stage: &Stage, device: &str) -> Check {
    let request = stage.request_of(KeyKind::P384, "/", &[])?;
    let identity = stage.pki.identity(device);
    let data = pki_data(&[], &[pkcs10(7, &request.der)], &[]);
    let message = Signing::new(&identity).sign(stage, &data)?;
    let response = stage.device(device)?.exchange(&cmc::post("cmc/fullcmc", &message))?;
    let answer = Answer::read(stage, &response)?;
    stage.keep_certificate(answer.issued()?, &request, "cmc/fullcmc").map(|_| ())
}

/// EST-4.3.2-02: another's signature, one that is broken, and one by SHA-1.
fn by_others(stage: &Stage) -> Check {
    let (client, device) = birth(stage)?;
    let request = stage.request("/", &[])?;
    let data = pki_data(&[], &[pkcs10(7, &request.der)], &[]);
    let post = |message: &[u8]| client.exchange(&cmc::post("cmc/fullcmc", message));
    let other = stage.pki.identity("birth-other");
    told(stage, &post(&Signing::new(&other).sign(stage, &data)?)?, 400, BAD_MESSAGE_CHECK)?;
    let stranger = stage.request("/", &[])?;
    let stranger = self_signed(stage, &stranger)?;
    let by_stranger = Signing { by_key_id: true, ..Signing::new(&stranger) };
    told(stage, &post(&by_stranger.sign(stage, &data)?)?, 400, BAD_MESSAGE_CHECK)?;
    let mut broken = Signing::new(&device).sign(stage, &data)?;
    let last = broken.len() - 1;
    broken[last] ^= 1;
    told(stage, &post(&broken)?, 400, BAD_MESSAGE_CHECK)?;
    let sha1 = Signing { digest: "sha1", ..Signing::new(&device) };
    told(stage, &post(&sha1.sign(stage, &data)?)?, 400, BAD_ALG)?;
    // A message is no way past the door of the label.
    let nobody = stage.client(None)?.exchange(&cmc::post("cmc/fullcmc", &Signing::new(&device).sign(stage, &data)?))?;
    told(stage, &nobody, 403, BAD_IDENTITY).map(|_| ())
}

/// CMC-10.
fn possession(stage: &Stage) -> Check {
    let (client, device) = birth(stage)?;
    let (request, other) = (stage.request("/", &[])?, stage.request("/", &[])?);
    for (popo, fail_info) in
        [(Vec::new(), POP_REQUIRED), (vec![0x80, 0], POP_REQUIRED), (popo(&request, &other.key)?, POP_FAILED)]
    {
        let data = pki_data(&[], &[crmf_with(&request, &popo)?], &[]);
        let response = client.exchange(&cmc::post("cmc/fullcmc", &Signing::new(&device).sign(stage, &data)?))?;
        let answer = told(stage, &response, 400, fail_info)?;
        ensure!(answer.body_list == der::sequence(&[&[2, 1, 7]]), "another part: {:02x?}", answer.body_list);
    }
    Ok(())
}

/// CMC-04, CMC-08: what is not known, and what is an RA's to say.
fn controls(stage: &Stage) -> Check {
    let (client, device) = birth(stage)?;
    let request = stage.request("/", &[])?;
    let witness = der::sequence(&[&[2, 1, 0], &der::sequence(&[&[2, 1, 7]])]);
    for (kind, value) in [("1.3.6.1.4.1.99999.7", vec![5, 0]), (LRA_POP_WITNESS, witness), (SENDER_NONCE, vec![5, 0])] {
        let data = pki_data(&[control(9, kind, &value)], &[pkcs10(7, &request.der)], &[]);
        let response = client.exchange(&cmc::post("cmc/fullcmc", &Signing::new(&device).sign(stage, &data)?))?;
        let answer = told(stage, &response, 400, BAD_REQUEST)?;
        ensure!(answer.body_list == der::sequence(&[&[2, 1, 9]]), "{kind}: another part: {:02x?}", answer.body_list);
    }
    Ok(())
}

/// The same refusals as simpleenroll's, told as CMC tells them.
fn refusals(stage: &Stage) -> Check {
    let (client, device) = birth(stage)?;
    let foreign = stage.request(&own_subject("SN-OTHER"), &[])?;
    let data = pki_data(&[], &[pkcs10(7, &foreign.der)], &[]);
    let message = Signing::new(&device).sign(stage, &data)?;
    told(stage, &client.exchange(&cmc::post("cmc/fullcmc", &message))?, 403, BAD_IDENTITY)?;
    // EST-4.3.1-01: no message at all.
    told(stage, &client.exchange(&cmc::post("cmc/fullcmc", &foreign.der))?, 400, BAD_REQUEST)?;
    told(stage, &client.exchange(&http::post("cmc/fullcmc", cmc::CMC_REQUEST, b"*"))?, 400, BAD_REQUEST)?;
    for media_type in ["application/pkcs10", "application/pkcs7-mime; smime-type=certs-only", "text/plain"] {
        let response = client.exchange(&http::post("cmc/fullcmc", media_type, &http::base64(&message)))?;
        told(stage, &response, 415, BAD_REQUEST)?;
    }
    let data = Signing { content_type: DATA, ..Signing::new(&device) }.sign(stage, &data)?;
    told(stage, &client.exchange(&cmc::post("cmc/fullcmc", &data))?, 400, BAD_REQUEST).map(|_| ())
}

/// Threat 32: a thousand controls, and messages in messages.
fn too_much(stage: &Stage) -> Check {
    let (client, device) = birth(stage)?;
    let request = stage.request("/", &[])?;
    let number = |id: u16| der::value(der::INTEGER, id.to_be_bytes());
    let value = der::set(&[&der::value(der::OCTET_STRING, b"i")]);
    let thousand: Vec<_> =
        (0x100..0x100 + 1000).map(|id| der::sequence(&[&number(id), &der::oid(REG_INFO), &value])).collect();
    let plain = pki_data(&[], &[pkcs10(7, &request.der)], &[]);
    let mut nested = plain.clone();
    for _ in 0..12 {
        nested = Signing::new(&device).sign(stage, &nested)?;
    }
    let inner = Signing::new(&device).sign(stage, &plain)?;
    let content = der::sequence(&[&der::value(der::INTEGER, [9]), &inner]);
    for data in [
        pki_data(&thousand, &[pkcs10(7, &request.der)], &[]),
        nested,
        pki_data(&[], &[], &[content]),
        pki_data(&[], &[pkcs10(7, &request.der), pkcs10(8, &request.der)], &[]),
        pki_data(&[], &[], &[]),
    ] {
        let message = Signing::new(&device).sign(stage, &data)?;
        let mut connection = client.connect()?;
        let started = Stopwatch::start();
        let response = connection.exchange(&cmc::post("cmc/fullcmc", &message))?;
        let took = started.elapsed();
        told(stage, &response, 400, BAD_REQUEST)?;
        ensure!(took < Duration::from_millis(500), "{took:?} for a refusal");
    }
    Ok(())
}

/// CMC-06: 202, Retry-After and pendInfo; the token asks after it.
fn pending(stage: &Stage) -> Check {
    let (client, device) = birth(stage)?;
    // Other names than the profile's wait for an operator (RFC 6402 section 2.8).
    let key = stage.request("/", &[])?.key;
    let subject = Certificate::from_pem(&read(&device.certificate)?)?.subject;
    let change = requests::attribute(CHANGE_SUBJECT_NAME, &[&der::sequence(&[&requests::name(b"gate-7")])]);
    let parts = Parts { subject, attributes: requests::attributes(&[change]), ..Parts::new(&key, b"device")? };
    let data = pki_data(&[], &[pkcs10(7, &parts.signed(&key)?)], &[]);
    let response = client.exchange(&cmc::post("cmc-approval/fullcmc", &Signing::new(&device).sign(stage, &data)?))?;
    ensure!(response.status == 202, "expected 202, came {}", response.status);
    let seconds = response.header("Retry-After").unwrap_or_default();
    ensure!(seconds.parse::<u32>().is_ok(), "Retry-After: {seconds}");
    let answer = Answer::read(stage, &response)?;
    let Some(token) = answer.token.filter(|_| answer.status == 3) else {
        return Err(Problem::failed(format!("expected pending, came {}", answer.status)));
    };
    let query = pki_data(&[control(3, QUERY_PENDING, &der::value(der::OCTET_STRING, &token))], &[], &[]);
    let response = client.exchange(&cmc::post("cmc-approval/fullcmc", &Signing::new(&device).sign(stage, &query)?))?;
    ensure!(response.status == 202, "expected 202, came {}", response.status);
    ensure!(Answer::read(stage, &response)?.token == Some(token), "another token");
    // It is nobody else's.
    let other = stage.pki.identity("birth-other");
    let message = Signing::new(&other).sign(stage, &query)?;
    let response = stage.device("birth-other")?.exchange(&cmc::post("cmc-approval/fullcmc", &message))?;
    told(stage, &response, 403, BAD_IDENTITY).map(|_| ())
}

/// RA-03: in a message of its own, for the devices of its scope.
fn registrar(stage: &Stage) -> Check {
    let registrar = stage.enroll("birth-registrar", "registrars/simpleenroll", &stage.request("/", &[])?)?;
    for (device, expected) in [("EE-CMC", None), ("SN-P256", Some(BAD_IDENTITY))] {
        let request = stage.request(&own_subject(device), &[])?;
        let data = pki_data(&[], &[pkcs10(7, &request.der)], &[]);
        let message = Signing::new(&registrar).sign(stage, &data)?;
        let response = stage.client(Some(&registrar))?.exchange(&cmc::post("cmc/fullcmc", &message))?;
        match expected {
            Some(fail_info) => told(stage, &response, 403, fail_info).map(|_| ())?,
            None => {
                let answer = Answer::read(stage, &response)?;
                stage.keep_certificate(answer.issued()?, &request, "cmc/fullcmc").map(|_| ())?;
            }
        }
    }
    Ok(())
}
