//! What every store keeps of the standing of certificates.

use super::*;
use crate::pki::revocation::RevocationReason;
use crate::store::compromise::{facts_of_revocation, is_compromised};

pub(super) fn stand(store: &dyn CertificateStore, serials: &[u32], revocation: Option<Revocation>) -> Receipt {
    let changes = serials.iter().map(|serial| StandingChange::of(&record(*serial), revocation)).collect();
    let outcome = AuditOutcome::RevokedTogether { serials: vec![], reason: 6 };
    store
        .change_standing(changes, facts_of_revocation(&record(1), RevocationReason::KeyCompromise), event(outcome))
        .unwrap()
}

pub(super) fn the_last_standing_counts_and_those_recorded_together_change_together(store: &dyn CertificateStore) {
    let held = Revocation { at: epoch(), reason: 6 };
    (1..=3).for_each(|serial| keep(store, &record(serial)));
    assert!(!is_compromised(store, &record(1).spki_sha256).unwrap());
    let receipt = stand(store, &[1, 2], Some(held));
    // Seen at once, durable or not, and durable when the receipt of either says so.
    assert_eq!(store.status(&record_id(2)).unwrap(), CertificateStatus::Revoked(held));
    store.standing_receipt(&record_id(2)).wait().unwrap();
    receipt.wait().unwrap();
    assert!(is_compromised(store, &record(1).spki_sha256).unwrap(), "the facts come with it");
    for (serial, revoked) in [(1, true), (2, true), (3, false)] {
        let expected = if revoked { CertificateStatus::Revoked(held) } else { good(&record(serial)) };
        assert_eq!(store.status(&record_id(serial)).unwrap(), expected);
    }
    // What is revoked is not handed out again.
    drop(granted(store, &record(1).request));
    assert_eq!(store.certificate(&record_id(1)).unwrap().as_deref(), Some(&record(1)));
    let last = Revocation { at: epoch(), reason: 1 };
    for (revocation, expected) in
        [(None, good(&record(1))), (Some(last), CertificateStatus::Revoked(last)), (None, good(&record(1)))]
    {
        let receipt = stand(store, &[1], revocation);
        assert_eq!(store.status(&record_id(1)).unwrap(), expected);
        receipt.wait().unwrap();
        assert_eq!(store.status(&record_id(1)).unwrap(), expected);
    }
    store.standing_receipt(&record_id(3)).wait().unwrap();
}

pub(super) fn changes_of_standing_are_listed_by_issuer_in_the_order_in_which_they_were_recorded(
    store: &dyn CertificateStore,
) {
    let held = Some(Revocation { at: epoch(), reason: 6 });
    (1..=3).for_each(|serial| keep(store, &record(serial)));
    let foreign = CertificateRecord { id: CertificateId { issuer: [6; 32], serial: vec![1] }, ..record(9) };
    keep(store, &foreign);
    stand(store, &[1, 3], held).wait().unwrap();
    let changes = vec![StandingChange::of(&foreign, held), StandingChange::of(&record(2), held)];
    store.change_standing(changes, Vec::new(), event(AuditOutcome::Failed)).unwrap().wait().unwrap();
    stand(store, &[3], None).wait().unwrap();
    let of = |issuer: u8, after, limit| store.standings(&[issuer; 32], after, limit).unwrap();
    let listed = of(7, 0, 9);
    let changes: Vec<_> = listed.iter().map(|logged| logged.changes.clone()).collect();
    let change = |serial, revocation| StandingChange::of(&record(serial), revocation);
    assert_eq!(changes, [vec![change(1, held), change(3, held)], vec![change(2, held)], vec![change(3, None)]]);
    assert_eq!(of(7, listed[0].sequence, 1), listed[1..2]);
    assert_eq!(of(7, listed[2].sequence, 9), []);
    assert_eq!(of(6, 0, 9)[0].changes, [StandingChange::of(&foreign, held)]);
}

pub(super) fn the_certificates_of_a_device_are_found_durable_or_not(store: &dyn CertificateStore) {
    let of = |serial: u32, tenant: &str, device: &str| CertificateRecord {
        tenant: tenant.into(),
        device: device.into(),
        ..record(serial)
    };
    let mut receipts = Vec::new();
    for one in [of(1, "acme", "sn-1"), of(2, "acme", "sn-11"), of(3, "acme", "SN-1"), of(4, "acm", "esn-1")] {
        let claim = granted(store, &one.request);
        receipts.push(store.record_issued(claim, one.clone(), Vec::new(), issued(&one)).unwrap());
        let found = store.device_certificates(&one.tenant, &one.device).unwrap();
        assert_eq!(found.last().map(|found| &found.id), Some(&one.id));
    }
    receipts.into_iter().for_each(|receipt| receipt.wait().unwrap());
    let found: Vec<_> = store.device_certificates("acme", "Sn-1").unwrap().iter().map(|one| one.id.clone()).collect();
    assert_eq!(found, [1, 3].map(record_id));
}
