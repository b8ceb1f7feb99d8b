//! What stores count.

use chrono::TimeDelta;

use super::{epoch, event, issued, keep, record};
use crate::audit::{AuditEvent, AuditOutcome};
use crate::est::RejectionCode;
use crate::store::tally::{Day, Ending, Hour};
use crate::store::{CertificateRecord, CertificateStore, Revocation, StandingChange};

pub(super) fn what_happened_is_counted_by_the_hour_and_what_ends_by_the_day(store: &dyn CertificateStore) {
    let refused = |code: RejectionCode| {
        event(AuditOutcome::Refused { code, reason: "why".into(), clause: "RFC 7030 4.2", step: None })
    };
    (1..=3).for_each(|serial| keep(store, &record(serial)));
    keep(store, &CertificateRecord { not_after: epoch() + TimeDelta::days(1), ..record(4) });
    keep(store, &CertificateRecord { tenant: "other".into(), ..record(5) });
    // What the server certifies for itself is nobody's.
    store.record_event(issued(&record(6)));
    store.record_event(refused(RejectionCode::WeakKey));
    store.record_event(refused(RejectionCode::WeakKey));
    store.record_event(refused(RejectionCode::Revoked));
    store.record_event(AuditEvent { label: "second".into(), ..refused(RejectionCode::WeakKey) });
    store.record_event(AuditEvent { at: epoch() + TimeDelta::hours(2), ..refused(RejectionCode::WeakKey) });
    store.record_event(AuditEvent { tenant: "other".into(), ..refused(RejectionCode::WeakKey) });
    let revoked = [1, 2].map(|serial| StandingChange::of(&record(serial), Some(Revocation { at: epoch(), reason: 1 })));
    let serials = revoked.iter().map(|change| change.id.serial.clone()).collect();
    let together = event(AuditOutcome::RevokedTogether { serials, reason: 1 });
    store.change_standing(revoked.to_vec(), Vec::new(), together).unwrap().wait().unwrap();

    let hour = Hour::of(epoch());
    let counts = |from, to| {
        let tallies = store.tallies("acme", Hour(hour.0 + from)..Hour(hour.0 + to)).unwrap();
        let mut counts: Vec<_> = tallies
            .into_iter()
            .map(|tally| {
                let subject = tally.subject;
                (subject.hour.0 - hour.0, subject.label, subject.kind, subject.code.unwrap_or_default(), tally.count)
            })
            .collect();
        counts.sort();
        counts
    };
    let row = |hour, label: &str, kind: &str, code: &str, count| {
        (hour, label.to_owned(), kind.to_owned(), code.to_owned(), count)
    };
    let now = [
        // The event is one of the contract's, whose tenant is acme's also for the certificate of the other.
        row(0, "devices", "issued", "", 5),
        row(0, "devices", "refused", "revoked", 1),
        row(0, "devices", "refused", "weak_key", 2),
        row(0, "devices", "revoked", "", 2),
        row(0, "second", "refused", "weak_key", 1),
    ];
    assert_eq!(counts(0, 1), now);
    assert_eq!(counts(0, 3), [&now[..4], &[now[4].clone(), row(2, "devices", "refused", "weak_key", 1)]].concat());
    assert_eq!((counts(1, 2), counts(3, 3), counts(1, 0)), (vec![], vec![], vec![]));

    let (soon, late) = (Day::of(epoch() + TimeDelta::days(1)), Day::of(epoch() + TimeDelta::days(398)));
    let endings = |days| store.endings("acme", days).unwrap();
    assert_eq!(
        endings(soon..Day(late.0 + 1)),
        [Ending { day: soon, certificates: 1 }, Ending { day: late, certificates: 3 }]
    );
    assert_eq!(endings(soon..late), [Ending { day: soon, certificates: 1 }]);
    assert_eq!(store.endings("other", late..Day(late.0 + 1)).unwrap(), [Ending { day: late, certificates: 1 }]);
}
