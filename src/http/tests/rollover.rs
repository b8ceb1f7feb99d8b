//! Who fetches the certificates of a new CA is noted, and nobody waits for ever or goes without because of that.

use super::*;
use crate::audit::AuditEvent;
use crate::pki::digest::sha256;
use crate::store::device::{BirthCertificate, DeviceRecord, DeviceState};

const CA_CERTS: &str = "/.well-known/est/turning/cacerts";

/// The fixture's device, as if it had enrolled before.
fn enrolled_before(fixture: &Enrolled) {
    let mut device = DeviceRecord::listed("SN-0001".to_owned(), fixture.authority.ports().clock.now());
    device.state = DeviceState::Active;
    let fingerprint = sha256(&[&fixture.birth_certificate]);
    device.birth = Some(BirthCertificate { issuer: [0; 32], fingerprint, source: String::new() });
    let event = AuditEvent {
        tenant: "acme".to_owned(),
        ..AuditEvent::of_server(device.registered_at, "test", AuditOutcome::Changed { what: String::new() })
    };
    let _receipt = fixture.store.record_facts(vec![device.to_fact("acme")], event).unwrap();
    fixture.store.settle(Ok(()));
}

#[tokio::test]
async fn a_note_is_durable_before_the_answer_leaves_and_a_store_that_takes_none_keeps_nobody_from_it() {
    let fixture = testing::enrolled_in(MemoryStore::holding_back());
    enrolled_before(&fixture);
    let mut client = Client::connect(&fixture, HttpLimits::default());
    for outcome in [Err(StoreFault::Closed), Ok(())] {
        let noted = outcome.is_ok();
        client.send(get(CA_CERTS)).await;
        assert!(timeout(Duration::from_millis(50), client.stream.read_u8()).await.is_err(), "it waits for the note");
        fixture.store.settle(outcome);
        assert_eq!(client.answer().await.status, 200);
        let events = fixture.store.events();
        assert_eq!(events.iter().any(|event| event.operation == "cacerts"), noted);
    }
    // It is known now: nothing is written and nothing waited for.
    assert_eq!(client.exchange(get(CA_CERTS)).await.status, 200);
}
