//! What came of a request, held against what must have come of it.

use chrono::TimeDelta;
use estd::audit::{Alarm, AuditEvent, AuditOutcome};
use estd::est::{Rejection, RejectionCode};
use estd::ra::PendingResponse;
use estd::store::{CertificateId, CertificateStore as _};
use estd_fuzz::possession;

use super::expectation::{is_welcome, oversteps};
use super::input::{Attempt, Body, LabelName};
use super::oracle::{self, Credential, Expected, Issued, Kind};
use super::registry::Latest;
use super::run::{Asked, Issue, Run, Traces, operation};
use super::world;

/// The same request is answered alike within this time, as the fixtures have it.
const REPEAT_WINDOW: TimeDelta = TimeDelta::minutes(10);

impl Run<'_> {
    pub fn judge_event(&self, event: &AuditEvent, asked: &Asked<'_>) {
        let Attempt { label, operation: name, .. } = asked.attempt;
        assert_eq!(event.at, self.stage.now());
        assert_eq!((event.tenant.as_str(), event.label.as_str()), (label.tenant(), label.as_str()));
        assert_eq!(event.operation, operation(*name).segment());
        let leaf = self.connections[asked.connection].chain.first();
        assert_eq!(event.peer, leaf.map(|leaf| oracle::sha256(leaf)));
    }

    pub fn judge_rejection(&self, asked: &Asked<'_>, rejection: &Rejection, event: &AuditEvent) {
        assert_eq!(self.traces(), asked.before, "a refusal leaves no record and draws no serial: {rejection}");
        let AuditOutcome::Refused { code, reason, .. } = &event.outcome else { panic!("another event") };
        assert_eq!((*code, reason.as_str()), (rejection.code(), rejection.reason()));
        assert!(!rejection.to_string().contains(char::is_control), "it goes into an answer and a log line");
        let peer = asked.peer.as_ref();
        if let Some(device) = &event.device {
            assert_eq!(peer.map(|peer| &peer.device), Some(device), "nobody's name goes into the record unproven");
        }
        let Attempt { label, operation, body, .. } = asked.attempt;
        let Some(above) = self.connections[asked.connection].chain.get(1..) else {
            assert_eq!(rejection.code(), RejectionCode::AuthMissing);
            return;
        };
        let Some(peer) = peer.filter(|peer| peer.opens(*label, *operation, above, self.stage.now())) else { return };
        let Body::Built(request) = body else { return };
        let bound = self.connections[asked.connection].bound;
        let spki = self.stage.key(request.key).public_key().der();
        let sound = !self.compromised.contains(spki);
        let free = sound && self.holder(spki, *label).is_none_or(|holder| holder == peer.device);
        let welcome = is_welcome(self.stage, request, peer, bound) && free && self.admits(*label, peer);
        assert!(!welcome, "who may enroll is refused: {rejection}");
    }

    /// Whether a device is let in that has the right certificate.
    fn admits(&self, label: LabelName, peer: &Credential) -> bool {
        let superseded = self.issue_of(peer).is_some_and(|index| self.issued[index].superseded);
        self.registry.lets_in(label.tenant(), peer) && !superseded
    }

    /// Which of the certificates issued here it is.
    fn issue_of(&self, peer: &Credential) -> Option<usize> {
        self.issued.iter().position(|issue| issue.credential.der == peer.der)
    }

    /// The device a key was last certified for.
    fn holder(&self, spki: &[u8], label: LabelName) -> Option<&str> {
        let of_key = |issue: &&Issue| issue.spki == spki && issue.credential.tenant == Some(label.tenant());
        self.issued.iter().rev().find(of_key).map(|issue| issue.credential.device.as_str())
    }

    pub fn judge_issued(
        &mut self,
        asked: &Asked<'_>,
        pending: PendingResponse,
        event: &AuditEvent,
        alarm: Option<Alarm>,
    ) {
        let peer = asked.peer.as_ref().expect("a certificate was issued to somebody whom nobody vouches for");
        let Attempt { label, operation, .. } = *asked.attempt;
        let chain = &self.connections[asked.connection].chain;
        let opens = peer.opens(label, operation, &chain[1..], self.stage.now());
        assert!(opens, "what was presented does not open this label: {peer:?}");
        assert!(oracle::is_possession_proven(&asked.body), "a certificate was issued without proof-of-possession");
        assert!(self.admits(label, peer), "the registry keeps the device out, or its certificate was succeeded");
        let bound = self.connections[asked.connection].bound;
        if let Body::Built(request) = &asked.attempt.body {
            let oversteps = oversteps(self.stage, request, peer, bound);
            assert!(!oversteps, "a request for more than the peer may have: {request:?}");
        }
        let spki = possession::public_key(&asked.body).expect("a request has a key");
        let holder = self.holder(spki, label);
        assert!(holder.is_none_or(|holder| holder == peer.device), "one key for two devices");
        assert!(!self.compromised.contains(spki), "a key that somebody else has");

        let der = world::issued(&pending);
        let at = self.issued.iter().find(|issue| issue.credential.der == der).map(|issue| issue.at);
        let issuer = &self.stage.world.label(label.as_str()).authority;
        let expected = Expected { issuer, device: &peer.device, spki, now: at.unwrap_or(self.stage.now()) };
        let Issued { serial, validity, alt_names } = oracle::judge_certificate(&der, &expected);
        assert_eq!(event.device.as_ref(), Some(&peer.device));
        let AuditOutcome::Issued { serial: told, repeated, generated_key: None } = &event.outcome else {
            panic!("another event")
        };
        assert_eq!(*told, serial);
        assert_eq!(alarm.is_some(), !repeated && self.is_suspicious(label, peer, spki));
        assert_eq!(pending.alarm, alarm.map(Alarm::as_str));
        assert_eq!(pending.waits, None, "nobody waits for an operator here");
        pending.receipt.wait().expect("a store that keeps everything at once");
        let credential = Credential {
            issuer_spki: issuer.certificate().public_key().der().to_vec(),
            tenant: Some(label.tenant()),
            device: peer.device.clone(),
            validity,
            needs: None,
            kind: Kind::Operational { label, revoked: false },
            der,
        };
        let (asked_with, spki) = (chain[0].clone(), spki.to_vec());
        let at = self.stage.now();
        let renews = self.issue_of(peer);
        let issue = Issue {
            credential,
            serial,
            at,
            asked_with,
            spki,
            alt_names,
            renews,
            superseded: false,
            compromised: false,
        };
        self.judge_repetition(asked, *repeated, issue);
    }

    /// Whether the device has a certificate with another key, which still counts: there may be two of it.
    fn is_suspicious(&self, label: LabelName, peer: &Credential, spki: &[u8]) -> bool {
        let latest = self.registry.suspects(label, peer, spki, self.stage.now());
        latest.is_some_and(|latest| {
            let issue = self.issued.iter().find(|issue| issue.serial == latest.serial).expect("issued here");
            !issue.credential.is_revoked()
        })
    }

    /// The same request within the window gets the same certificate again, and no other request does.
    fn judge_repetition(&mut self, asked: &Asked<'_>, repeated: bool, issue: Issue) {
        let earliest = self.stage.now() - REPEAT_WINDOW;
        // The kinds are equal as long as neither is revoked.
        let answers = |earlier: &&Issue| {
            earlier.credential.kind == issue.credential.kind
                && earlier.at >= earliest
                && earlier.asked_with == issue.asked_with
                && earlier.spki == issue.spki
                && earlier.alt_names == issue.alt_names
        };
        let earlier = self.issued.iter().rev().find(answers);
        assert_eq!(repeated, earlier.is_some());
        let Traces { certificates, drawn } = asked.before;
        if let Some(earlier) = earlier {
            assert_eq!(earlier.credential.der, issue.credential.der);
            assert_eq!(self.traces(), asked.before, "nothing is recorded twice");
            return;
        }
        assert_eq!(self.traces(), Traces { certificates: certificates + 1, drawn: drawn + 1 });
        assert!(oracle::is_new_serial(&issue.serial), "a serial number twice");
        self.is_on_record(&issue.credential, &issue.serial);
        if let Some(before) = issue.renews.and_then(|renewed| self.issued[renewed].renews) {
            self.issued[before].superseded = true;
        }
        let peer = asked.peer.as_ref().expect("judged before");
        let (serial, spki) = (issue.serial.clone(), issue.spki.clone());
        let latest = Latest { serial, spki, not_after: issue.credential.validity.not_after };
        self.registry.issued(asked.attempt.label, peer, latest);
        self.issued.push(issue);
    }

    fn is_on_record(&self, credential: &Credential, serial: &[u8]) {
        let world = &self.stage.world;
        let id = CertificateId { issuer: oracle::sha256(&credential.issuer_spki), serial: serial.to_vec() };
        let record = world.store.certificate(&id).expect("a store that works").expect("a record of every certificate");
        assert_eq!((&record.der, &record.device), (&credential.der, &credential.device));
        assert_eq!((record.issued_at, record.not_after), (self.stage.now(), credential.validity.not_after));
    }
}
