//! Full PKI Requests and Responses, octet by octet.

use super::*;
use crate::ca::Signer as _;
use crate::credential::{Accepted, HttpScheme};
use crate::est::transfer::{self, LineWrapping};
use crate::pki::digest::sha256;
use crate::policy::AuthenticationRule;
use crate::ra::Authentication;
use estd_asn1::cmc::{
    self, CmcFailInfo, CmcStatus, CmcStatusInfoV2, ControlValue, OtherStatusInfo, PkiResponse, TaggedRequest,
};
use estd_asn1::signed_data::{self, SignedAttributes, SignerInfo};
use estd_asn1::signed_message::{MessageLimits, SignedMessage};
use estd_asn1::{AlgorithmIdentifier, Certificate, oid};

const FULL_CMC: &str = "/.well-known/est/cmc/fullcmc";
const WAITS: &str = "/.well-known/est/cmc-waits/fullcmc";
const CMC_RESPONSE: Option<&str> = Some("application/pkcs7-mime; smime-type=CMC-response");

/// The request of the fixture in a message that its device signed, as the body of a POST.
pub(super) fn message(fixture: &Enrolled) -> String {
    let request = TaggedRequest::encode_pkcs10(7, &transfer::decode(fixture.request.as_bytes()).unwrap());
    let content = cmc::encode_pki_data(&[], &[request], &[]);
    let certificate = Certificate::decode(&fixture.birth_certificate).unwrap();
    let attributes = SignedAttributes::new(oid::PKI_DATA, &sha256(&[&content]));
    let signer = SignerInfo {
        certificate: &certificate,
        digest_algorithm: &AlgorithmIdentifier::new(oid::SHA256, None),
        attributes: &attributes,
        signature_algorithm: fixture.birth_key.algorithm().identifier(),
        signature: &fixture.birth_key.sign(attributes.to_be_signed()).unwrap(),
    };
    let der = signed_data::content_info(&signed_data::encode(&content, &[&certificate], &signer));
    String::from_utf8(transfer::encode(&der, LineWrapping::Lines64)).unwrap()
}

fn post_as(path: &str, content_type: &str, body: &str) -> String {
    post(path, "", body).replace("application/pkcs10", content_type)
}

fn post_cmc(path: &str, body: &str) -> String {
    post_as(path, "application/pkcs7-mime; smime-type=CMC-request", body)
}

/// The status that an answer tells.
fn status(answer: &Answer) -> CmcStatusInfoV2 {
    assert_eq!(field(&answer.head, "Content-Type"), CMC_RESPONSE, "{answer:?}");
    let der = transfer::decode(answer.body.as_bytes()).unwrap();
    let message = SignedMessage::decode(&der, &MessageLimits { max_certificates: 9 }).unwrap();
    let mut response = PkiResponse::decode(&message.content, 9).unwrap();
    let ControlValue::StatusInfo(status) = response.controls.remove(0).value.unwrap() else { panic!("no status") };
    status
}

fn fail_info(answer: &Answer) -> CmcFailInfo {
    let status = status(answer);
    let (CmcStatus::Failed, Some(OtherStatusInfo::FailInfo(info))) = (status.status, status.other) else {
        panic!("{answer:?}")
    };
    assert!(status.text.unwrap().starts_with("estd: "));
    info
}

#[tokio::test]
async fn a_message_is_answered_by_a_message() {
    let fixture = testing::enrolled();
    let mut client = Client::connect(&fixture, HttpLimits::default());
    let answer = client.exchange(post_cmc(FULL_CMC, &message(&fixture))).await;
    let id = field(&answer.head, "X-Request-Id").unwrap();
    let date = field(&answer.head, "Date").unwrap();
    let expected = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: application/pkcs7-mime; smime-type=CMC-response\r\nContent-Length: {}\r\n\
         Content-Transfer-Encoding: base64\r\nCache-Control: no-store\r\nX-Request-Id: {id}\r\nDate: {date}\r\n\r\n",
        answer.body.len()
    );
    assert_eq!(answer.head, expected);
    assert_eq!(status(&answer).status, CmcStatus::Success);
    assert_eq!(client.writes.load(Ordering::SeqCst), 1, "head and body leave in one write");
    // RFC 7030 §4.3.1 writes CMC-request, RFC 5273 §3 CMC-Request.
    for content_type in ["application/pkcs7-mime;smime-type=\"CMC-Request\"", "APPLICATION/PKCS7-MIME"] {
        let answer = client.exchange(post_as(FULL_CMC, content_type, &message(&fixture))).await;
        assert_eq!((answer.status, status(&answer).status), (200, CmcStatus::Success), "{content_type}");
    }
}

/// EST-4.3.2-02: every refusal has its HTTP status and its CMC response.
#[tokio::test]
async fn a_refusal_is_told_by_both() {
    let fixture = testing::enrolled();
    let mut client = Client::connect(&fixture, HttpLimits::default());
    for (request, expected, info) in [
        (post_cmc(FULL_CMC, "*"), 400, CmcFailInfo::BadRequest),
        (post_cmc(FULL_CMC, &fixture.request), 400, CmcFailInfo::BadRequest),
        (post(FULL_CMC, "", &message(&fixture)), 415, CmcFailInfo::BadRequest),
        (
            post_as(FULL_CMC, "application/pkcs7-mime; smime-type=certs-only", &message(&fixture)),
            415,
            CmcFailInfo::BadRequest,
        ),
    ] {
        let answer = client.exchange(&request).await;
        assert_eq!((answer.status, fail_info(&answer)), (expected, info), "{request}");
        let accepts = (expected == 415).then_some("application/pkcs7-mime");
        assert_eq!(field(&answer.head, "Accept"), accepts);
    }
    let mut stranger = Client::anonymous(&fixture, HttpLimits::default());
    let answer = stranger.exchange(post_cmc(FULL_CMC, &message(&fixture))).await;
    assert_eq!((answer.status, fail_info(&answer)), (403, CmcFailInfo::BadIdentity));
    let limits = HttpLimits { max_body: 64, ..HttpLimits::default() };
    let mut client = Client::connect(&fixture, limits);
    let answer = client.exchange(post_cmc(FULL_CMC, &message(&fixture))).await;
    assert_eq!((answer.status, fail_info(&answer)), (413, CmcFailInfo::BadRequest));
}

#[tokio::test]
async fn what_asks_for_no_message_is_answered_as_elsewhere() {
    let fixture = testing::enrolled();
    let mut client = Client::connect(&fixture, HttpLimits::default());
    let answer = client.exchange(get(FULL_CMC)).await;
    assert_eq!((answer.status, field(&answer.head, "Allow")), (405, Some("POST")));
    assert!(is_text(&answer, "method_not_allowed"), "{answer:?}");
    for path in ["/.well-known/est/fullcmc", "/.well-known/est/other/fullcmc"] {
        let answer = client.exchange(post_cmc(path, &message(&fixture))).await;
        assert!(answer.status == 404 && is_text(&answer, "not_found"), "{answer:?}");
    }
}

/// CMC-06 and RFC 7030 section 4.2.3: pending, and when to come again, in both ways.
#[tokio::test]
async fn a_request_that_waits_is_202_and_pending() {
    let fixture = testing::enrolled();
    let mut client = Client::connect(&fixture, HttpLimits::default());
    let answer = client.exchange(post_cmc(WAITS, &message(&fixture))).await;
    assert_eq!((answer.status, field(&answer.head, "Retry-After")), (202, Some("60")));
    let status = status(&answer);
    assert!(matches!(status.other, Some(OtherStatusInfo::PendInfo(info)) if info.token.len() == 32));
    assert_eq!(status.status, CmcStatus::Pending);
}

#[tokio::test]
async fn a_certificate_that_is_not_durable_is_a_failure_of_the_ca() {
    let fixture = testing::enrolled_in(MemoryStore::holding_back());
    let mut client = Client::connect(&fixture, HttpLimits::default());
    client.send(post_cmc(FULL_CMC, &message(&fixture))).await;
    while fixture.store.certificate_count().unwrap() == 0 {
        tokio::task::yield_now().await;
    }
    assert!(timeout(Duration::from_millis(50), client.stream.read_u8()).await.is_err());
    fixture.store.settle(Err(StoreFault::Closed));
    let answer = client.answer().await;
    assert!(answer.status == 503 && is_put_off(&answer), "{answer:?}");
    assert_eq!(fail_info(&answer), CmcFailInfo::TryLater);
}

#[tokio::test]
async fn a_challenge_comes_with_a_message_beside_it() {
    let accepted = Accepted { schemes: vec![HttpScheme::Basic], digest: Vec::new() };
    let authentication = Authentication { rule: AuthenticationRule::Http, accepted, ..Authentication::default() };
    let fixture = testing::enrolled_by(MemoryStore::new(), &authentication);
    let mut client = Client::connect(&fixture, HttpLimits::default());
    let answer = client.exchange(post_cmc(FULL_CMC, &message(&fixture))).await;
    assert!(field(&answer.head, "WWW-Authenticate").unwrap().starts_with("Basic "));
    assert_eq!((answer.status, fail_info(&answer)), (401, CmcFailInfo::BadIdentity));
}
