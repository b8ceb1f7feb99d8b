//! HTTP authentication, octet by octet: challenges, the second attempt, what stands in the way of guessing.

use super::*;
use crate::credential::declared::{Declarations, User};
use crate::credential::password::PasswordHash;
use crate::credential::{Accepted, Credentials, DeviceScope, GuessLimits, HttpScheme, digest};
use crate::est::DigestAlgorithm;
use crate::pki::digest::{hex, sha256};
use crate::policy::AuthenticationRule;
use crate::ra::Authentication;

const LABELLED: &str = "/.well-known/est/devices/simpleenroll";

/// User `dev`, password `right`, for SN-0001, as the birth certificate.
fn authentication(rule: AuthenticationRule, schemes: &[HttpScheme]) -> Authentication {
    let hash = PasswordHash::make("right", &[1; 16]).unwrap();
    let user = User {
        name: "dev".to_owned(),
        password: Some(PasswordHash::parse(&hash).unwrap()),
        digest_sha256: Some(digest::ha1(DigestAlgorithm::Sha256, "dev", "acme", "right").into()),
        digest_md5: None,
        devices: Arc::new(DeviceScope::parse(&["SN-0001".to_owned()]).unwrap()),
    };
    let declared = Declarations { realm: "acme".to_owned(), users: vec![user], ..Declarations::default() };
    Authentication {
        rule,
        accepted: Accepted { schemes: schemes.to_vec(), digest: DigestAlgorithm::ALL.to_vec() },
        credentials: Arc::new(Credentials::new(declared).unwrap()),
        guesses: GuessLimits { per_user: 3, ..GuessLimits::default() },
    }
}

fn fixture(rule: AuthenticationRule, schemes: &[HttpScheme]) -> Enrolled {
    testing::enrolled_by(MemoryStore::new(), &authentication(rule, schemes))
}

/// `dev` and `password` as Basic.
fn basic(password: &str) -> String {
    let token = crate::est::transfer::encode(format!("dev:{password}").as_bytes(), Default::default());
    format!("Authorization: Basic {}\r\n", String::from_utf8(token).unwrap().trim())
}

fn challenges(answer: &Answer) -> Vec<&str> {
    answer.head.split("\r\n").filter_map(|line| line.strip_prefix("WWW-Authenticate: ")).collect()
}

#[tokio::test]
async fn a_401_has_the_challenges_in_their_order_and_their_exact_spelling() {
    let fixture = fixture(AuthenticationRule::Http, &HttpScheme::ALL[..3]);
    let mut client = Client::anonymous(&fixture, HttpLimits::default());
    let answer = client.exchange(post(ENROLL, "", &fixture.request)).await;
    assert_eq!((answer.status, answer.body.as_str()), (401, ""));
    let AuditOutcome::Refused { code, .. } = fixture.store.events().pop().unwrap().outcome else { panic!("refused") };
    assert_eq!(code.as_str(), "auth_required");
    let [first, sha256, md5, bearer] = challenges(&answer)[..] else { panic!("{}", answer.head) };
    assert_eq!(first, "Basic realm=\"acme\", charset=\"UTF-8\"");
    let nonce = |challenge: &str| challenge.split("nonce=\"").nth(1).unwrap().split('"').next().unwrap().to_owned();
    assert_eq!(sha256, format!("Digest realm=\"acme\", qop=\"auth\", nonce=\"{}\", algorithm=SHA-256", nonce(sha256)));
    assert_eq!(md5, format!("Digest realm=\"acme\", qop=\"auth\", nonce=\"{}\"", nonce(md5)));
    assert_eq!(bearer, "Bearer realm=\"acme\"");
    assert!(answer.head.len() < 1024 && !answer.head.contains("Set-Cookie"), "{}", answer.head);
    assert_eq!(client.writes.load(Ordering::SeqCst), 1, "head and body leave in one write");

    // RFC 7030 §2.2.3: the second attempt, on the same connection.
    let again = post(ENROLL, &basic("right"), &fixture.request);
    assert_eq!(client.exchange(again).await.status, 200);
    // csrattrs and cacerts ask nobody.
    for path in [CACERTS, "/.well-known/est/csrattrs"] {
        assert!(client.exchange(get(path)).await.status < 300);
    }
}

#[tokio::test]
async fn a_credential_may_come_at_once_and_a_wrong_one_is_told_from_none_only() {
    let fixture = fixture(AuthenticationRule::CertificateOrHttp, &[HttpScheme::Basic]);
    let mut client = Client::anonymous(&fixture, HttpLimits::default());
    assert_eq!(client.exchange(post(ENROLL, &basic("right"), &fixture.request)).await.status, 200);
    let unknown = basic("x").replace("ZGV2", "ZGV3");
    let mut answers = Vec::new();
    for fields in [basic("wrong"), unknown] {
        let answer = client.exchange(post(ENROLL, &fields, &fixture.request)).await;
        assert_eq!((answer.status, challenges(&answer).len()), (401, 1));
        // The request id at its end is another one each time.
        answers.push(answer.body.rsplit_once(", request ").unwrap().0.to_owned());
    }
    assert_eq!(answers[0], answers[1], "a user who does not exist is answered like one who does");
    for field in ["Authorization: Basic *\r\n", "Authorization: Negotiate x\r\n", "Authorization: Bearer x\r\n"] {
        let answer = client.exchange(post(ENROLL, field, &fixture.request)).await;
        assert_eq!((answer.status, challenges(&answer).len()), (401, 1), "{field}");
        assert!(is_text(&answer, "auth_failed"), "{answer:?}");
    }
    // The certificate is enough, whatever else comes.
    let mut device = Client::connect(&fixture, HttpLimits::default());
    assert_eq!(device.exchange(post(ENROLL, "", &fixture.request)).await.status, 200);
}

#[tokio::test]
async fn a_label_without_http_authentication_challenges_nobody() {
    let fixture = testing::enrolled();
    let mut client = Client::anonymous(&fixture, HttpLimits::default());
    for fields in ["", &basic("right"), "Authorization: x\r\n"] {
        let answer = client.exchange(post(ENROLL, fields, &fixture.request)).await;
        assert_eq!((answer.status, challenges(&answer).len()), (403, 0));
    }
}

/// What curl does: a first POST without a body, then the answer to the challenge.
#[tokio::test]
async fn digest_takes_two_rounds_and_every_count_once() {
    let fixture = fixture(AuthenticationRule::Http, &[HttpScheme::Digest]);
    let mut client = Client::anonymous(&fixture, HttpLimits::default());
    let first = client.exchange(post(LABELLED, "", "")).await;
    assert_eq!(first.status, 401);
    let nonce = challenges(&first)[0].split("nonce=\"").nth(1).unwrap().split('"').next().unwrap();
    let field = |uri: &str, count: u32| {
        let h = |text: String| hex(&sha256(&[text.as_bytes()]));
        let (ha1, ha2) = (h("dev:acme:right".to_owned()), h(format!("POST:{uri}")));
        let response = h(format!("{ha1}:{nonce}:{count:08x}:c:auth:{ha2}"));
        format!(
            "Authorization: Digest username=\"dev\", realm=\"acme\", nonce=\"{nonce}\", uri=\"{uri}\", cnonce=\"c\", \
             nc={count:08x}, qop=auth, algorithm=SHA-256, response=\"{response}\"\r\n"
        )
    };
    let second = post(LABELLED, &field(LABELLED, 1), &fixture.request);
    assert_eq!(client.exchange(&second).await.status, 200);
    let replayed = client.exchange(&second).await;
    assert_eq!(replayed.status, 401);
    assert!(replayed.body.is_empty() && challenges(&replayed)[0].ends_with(", stale=true"), "{replayed:?}");
    let without_label = post(LABELLED, &field(ENROLL, 2), &fixture.request);
    assert_eq!(client.exchange(without_label).await.status, 200, "as libest sends it");
    let answer = client.exchange(post(LABELLED, &field("/.well-known/est/simplereenroll", 3), &fixture.request)).await;
    assert_eq!(answer.status, 400, "{}", answer.body);
}

#[tokio::test]
async fn guessing_is_answered_429_with_the_seconds_to_wait() {
    let fixture = fixture(AuthenticationRule::Http, &[HttpScheme::Basic]);
    let mut client = Client::anonymous(&fixture, HttpLimits::default());
    for expected in [401, 401, 429] {
        let answer = client.exchange(post(ENROLL, &basic("wrong"), &fixture.request)).await;
        assert_eq!(answer.status, expected);
    }
    let answer = client.exchange(post(ENROLL, &basic("right"), &fixture.request)).await;
    assert!(answer.status == 429 && is_text(&answer, "auth_locked_out"), "{answer:?}");
    let seconds: u32 = field(&answer.head, "Retry-After").unwrap().parse().unwrap();
    assert!((590..=600).contains(&seconds) && challenges(&answer).is_empty());
}

#[tokio::test(start_paused = true)]
async fn whoever_waits_too_long_to_be_verified_comes_again() {
    let fixture = fixture(AuthenticationRule::Http, &[HttpScheme::Basic]);
    let mut client = Client::anonymous(&fixture, HttpLimits { max_verifications: 0, ..HttpLimits::default() });
    let answer = client.exchange(post(ENROLL, &basic("right"), &fixture.request)).await;
    assert!(answer.status == 503 && is_put_off(&answer), "{answer:?}");
    assert_eq!(fixture.store.events().last().unwrap().outcome, AuditOutcome::Failed);
}
