//! Answers that are held back until an operator has decided.

use super::*;
use crate::access::{Actor, Grant, Operator, Permission, Standing};
use crate::ra::RegistryError;
use crate::store::RequestKey;
use crate::store::approval::Decision;

/// How long a test waits for what must come.
const PATIENCE: Duration = Duration::from_secs(10);

const HELD: &str = "/.well-known/est/held/simpleenroll";

fn grant<P: Permission>() -> Grant<P> {
    let actor = Actor { name: "olga".into(), credential: None, source: String::new(), request_id: String::new() };
    Operator::proven(actor, Standing::admin()).within("acme").unwrap()
}

/// The one request that waits, as soon as there is one.
async fn waiting(fixture: &Enrolled) -> RequestKey {
    let waiting = async {
        loop {
            let page = fixture.authority.requests(&grant(), None, 9).unwrap();
            if let [request] = page.rows.as_slice() {
                return request.request;
            }
            tokio::task::yield_now().await;
        }
    };
    timeout(PATIENCE, waiting).await.unwrap()
}

/// Decides it.
async fn decide(fixture: &Enrolled, decision: Decision) {
    let waiting = waiting(fixture).await;
    fixture.authority.decide_request(&grant(), &waiting, decision).unwrap().await.unwrap();
}

/// The label lets one request in, and its line nobody but that one.
#[tokio::test(start_paused = true)]
async fn what_was_held_back_counts_once() {
    let fixture = testing::enrolled();
    let mut client = Client::connect(&fixture, HttpLimits::default());
    let held = post(HELD, "", &fixture.request);
    let (answer, ()) = tokio::join!(client.exchange(held.clone()), decide(&fixture, Decision::Approved));
    assert_eq!((answer.status, answer.body.starts_with("MII")), (200, true), "{answer:?}");
    let answer = client.exchange(held).await;
    assert_eq!(answer.status, 429, "the next one is one too many: {answer:?}");
}

#[tokio::test(start_paused = true)]
async fn what_is_denied_meanwhile_is_answered_so_and_what_nobody_decides_in_time_waits() {
    let fixture = testing::enrolled();
    let mut client = Client::connect(&fixture, HttpLimits::default());
    let denied = Decision::Denied { reason: "unknown".into() };
    let (answer, ()) = tokio::join!(client.exchange(post(HELD, "", &fixture.request)), decide(&fixture, denied));
    assert!(is_text(&answer, "not_approved"), "{answer:?}");

    let fixture = testing::enrolled();
    let mut client = Client::connect(&fixture, HttpLimits::default());
    let began = tokio::time::Instant::now();
    let answer = client.exchange(post(HELD, "", &fixture.request)).await;
    assert_eq!((answer.status, field(&answer.head, "Retry-After")), (202, Some("60")));
    assert!(began.elapsed() >= Duration::from_secs(20), "{:?}", began.elapsed());
    let nobody = fixture.authority.decide_request(&grant(), &RequestKey([0; 32]), Decision::Approved);
    assert!(matches!(nobody, Err(RegistryError::NoRequest)));
}

/// A reload while it is held back: another CA, other anchors.
#[tokio::test(start_paused = true)]
async fn what_was_held_back_is_decided_by_the_rules_of_then() {
    let (fixture, other) = (testing::enrolled(), testing::enrolled());
    let edge = edge(&fixture, HttpLimits::default());
    let presented = PresentedChain::possession_proven(vec![fixture.birth_certificate.clone()]);
    let mut client = Client::connect_to(&edge, presented, &fixture, 1 << 20);
    let reloaded = async {
        edge.authority.store(Arc::clone(&other.authority));
        decide(&fixture, Decision::Approved).await;
    };
    client.send(post(HELD, "", &fixture.request)).await;
    // It came before the reload.
    waiting(&fixture).await;
    let (answer, ()) = tokio::join!(client.answer(), reloaded);
    assert!(is_text(&answer, "untrusted"), "{answer:?}");
}
