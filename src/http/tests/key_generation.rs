//! A private key and its certificate, octet by octet.

use super::*;
use crate::est::transfer::{self, LineWrapping};
use crate::ra::Authentication;
use rcgen::{CertificateParams, DistinguishedName, KeyPair};

const KEYGEN: &str = "/.well-known/est/keys/serverkeygen";

/// A certification request as the body of a POST, by such a key.
fn request(key: &KeyPair) -> String {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    let request = params.serialize_request(key).unwrap();
    String::from_utf8(transfer::encode(request.der(), LineWrapping::Lines64)).unwrap()
}

fn rsa_request() -> String {
    request(&KeyPair::generate_rsa_for(&rcgen::PKCS_RSA_SHA256, rcgen::RsaKeySize::_2048).unwrap())
}

#[tokio::test]
async fn key_and_certificate_are_two_parts_of_one_answer() {
    let fixture = testing::enrolled();
    let mut client = Client::connect(&fixture, HttpLimits::default());
    for body in [fixture.request.clone(), rsa_request()] {
        let answer = client.exchange(post(KEYGEN, "", &body)).await;
        let id = field(&answer.head, "X-Request-Id").unwrap();
        let date = field(&answer.head, "Date").unwrap();
        let expected = format!(
            "HTTP/1.1 200 OK\r\nContent-Type: multipart/mixed; boundary=estServerBoundary\r\nContent-Length: {}\r\n\
             Cache-Control: no-store\r\nX-Request-Id: {id}\r\nDate: {date}\r\n\r\n",
            answer.body.len()
        );
        assert_eq!(answer.head, expected);

        let boundary = "--estServerBoundary";
        let parts: Vec<&str> = answer.body.split(boundary).collect();
        let ["", key, certificate, "--\r\n"] = parts[..] else { panic!("{} parts", parts.len()) };
        let part = |text: &str, content_type: &str| {
            let head = format!("\r\nContent-Type: {content_type}\r\nContent-Transfer-Encoding: base64\r\n\r\n");
            let content = text.strip_prefix(&head).unwrap().strip_suffix("\r\n").unwrap();
            assert!(!content.contains('\r') && content.lines().all(|line| !line.is_empty()));
            transfer::decode(content.as_bytes()).unwrap()
        };
        let key = KeyPair::try_from(part(key, "application/pkcs8")).unwrap();
        let certificate = part(certificate, "application/pkcs7-mime; smime-type=certs-only");
        let certificate = estd_asn1::certs_only::decode(&certificate, 1).unwrap().remove(0);
        let certificate = estd_asn1::Certificate::decode(&certificate).unwrap();
        assert_eq!(certificate.public_key().der(), rcgen::PublicKeyData::subject_public_key_info(&key));
    }
    assert_eq!(client.writes.load(Ordering::SeqCst), 2, "head and body leave in one write");
}

#[tokio::test]
async fn a_label_that_makes_no_keys_has_no_such_path() {
    let fixture = testing::enrolled();
    let mut client = Client::connect(&fixture, HttpLimits::default());
    for path in ["/.well-known/est/serverkeygen", "/.well-known/est/other/serverkeygen"] {
        let answer = client.exchange(post(path, "", &fixture.request)).await;
        assert!(answer.status == 404 && is_text(&answer, "not_found"), "{answer:?}");
    }
    let answer = client.exchange(get(KEYGEN)).await;
    assert_eq!((answer.status, field(&answer.head, "Allow")), (405, Some("POST")));
    let answer = client.exchange(post(KEYGEN, "", &fixture.request).replace("application/pkcs10", "text/plain")).await;
    assert_eq!((answer.status, field(&answer.head, "Accept")), (415, Some("application/pkcs10")));
    let answer = client.exchange(post(KEYGEN, "", "*")).await;
    assert!(answer.status == 400 && is_text(&answer, "bad_encoding"), "{answer:?}");
}

#[tokio::test]
async fn a_key_whose_certificate_is_not_durable_is_not_given_out() {
    let fixture = testing::enrolled_in(MemoryStore::holding_back());
    let mut client = Client::connect(&fixture, HttpLimits::default());
    client.send(post(KEYGEN, "", &fixture.request)).await;
    while fixture.store.certificate_count().unwrap() == 0 {
        tokio::task::yield_now().await;
    }
    assert!(timeout(Duration::from_millis(50), client.stream.read_u8()).await.is_err());
    fixture.store.settle(Err(StoreFault::Closed));
    let answer = client.answer().await;
    assert!(answer.status == 503 && is_put_off(&answer), "{answer:?}");
    assert!(is_text(&answer, "unavailable"), "{answer:?}");
}

#[tokio::test]
async fn too_many_rsa_keys_at_once_are_put_off_and_others_are_not() {
    let fixture = testing::enrolled_with(MemoryStore::new(), &Authentication::default(), 0);
    let mut client = Client::connect(&fixture, HttpLimits::default());
    let answer = client.exchange(post(KEYGEN, "", &rsa_request())).await;
    assert_eq!((answer.status, field(&answer.head, "Retry-After")), (429, Some("10")));
    assert!(is_text(&answer, "too_many_requests"), "{answer:?}");
    assert_eq!(client.exchange(post(KEYGEN, "", &fixture.request)).await.status, 200);
    let codes = fixture.store.events().into_iter().map(|event| (event.operation, event.outcome));
    let refused = |(operation, outcome): &(String, AuditOutcome)| {
        operation == "serverkeygen" && matches!(outcome, AuditOutcome::Refused { .. })
    };
    assert_eq!(codes.filter(refused).count(), 1);
}
