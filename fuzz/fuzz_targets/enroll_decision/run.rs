//! One input played against the registration authority, each outcome judged as it comes.

use std::collections::HashSet;

use chrono::{DateTime, TimeDelta, Utc};
use estd::access::{Actor, Grant, Operator, Permission, Standing};
use estd::audit::{Alarm, AuditEvent, AuditOutcome};
use estd::est::{ChannelBinding, Operation, PresentedChain, ResponseBody};
use estd::pki::revocation::RevocationReason;
use estd::ra::{PeerSession, Refusal};
use estd::store::device::DeviceState;
use estd::store::{CertificateId, CertificateStore as _};
use estd_asn1::csr_attrs::{self, AttrOrOid};
use estd_asn1::extension;

use super::input::{Act, Attempt, Body, Edit, LabelName, Leaf, OperationName, Peer};
use super::oracle::{Credential, Kind, judge_alt_names};
use super::registry::Registry;
use super::stage::Stage;

/// What has happened so far.
pub struct Run<'a> {
    pub stage: &'a Stage,
    pub connections: Vec<Connection>,
    pub issued: Vec<Issue>,
    pub registry: Registry,
    /// Keys that somebody else has.
    pub compromised: HashSet<Vec<u8>>,
    /// How many audit events there must be.
    events: usize,
}

pub struct Connection {
    pub session: PeerSession,
    /// The peer's own certificate first; empty when it presents none.
    pub chain: Vec<Vec<u8>>,
    /// What its manufacturer signed, when that was composed.
    pub composed: Option<Credential>,
    /// Requests can be linked to it.
    pub bound: bool,
}

/// A certificate that was issued, and what for.
pub struct Issue {
    pub credential: Credential,
    pub serial: Vec<u8>,
    pub at: DateTime<Utc>,
    pub asked_with: Vec<u8>,
    pub spki: Vec<u8>,
    pub alt_names: Vec<u8>,
    /// Which one it renews.
    pub renews: Option<usize>,
    /// The one that renewed it was seen in use.
    pub superseded: bool,
    /// It is revoked because somebody else has its key.
    pub compromised: bool,
}

/// One request, and what was there before it.
pub struct Asked<'a> {
    pub attempt: &'a Attempt,
    pub connection: usize,
    /// Whose certificate is presented, when it is anybody's.
    pub peer: Option<Credential>,
    pub body: Vec<u8>,
    pub before: Traces,
}

/// What a request may leave behind, beside its audit event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Traces {
    pub certificates: u64,
    /// How often randomness was drawn.
    pub drawn: u64,
}

fn grant<P: Permission>(tenant: &str) -> Grant<P> {
    let actor = Actor { name: "olga".into(), credential: None, source: String::new(), request_id: String::new() };
    Operator::proven(actor, Standing::admin()).within(tenant).expect("an admin may")
}

impl<'a> Run<'a> {
    pub fn new(stage: &'a Stage) -> Self {
        Self {
            stage,
            connections: Vec::new(),
            issued: Vec::new(),
            registry: Registry::default(),
            compromised: HashSet::new(),
            events: 0,
        }
    }

    pub fn wait(&mut self, days: u16, minutes: u8) {
        self.stage.world.clock.advance(TimeDelta::days(days.into()) + TimeDelta::minutes(minutes.into()));
    }

    pub fn revoke(&mut self, which: u8, compromised: bool) {
        let Some(index) = usize::from(which).checked_rem(self.issued.len()) else { return };
        let issue = &self.issued[index];
        let Kind::Operational { label, .. } = issue.credential.kind else { unreachable!("issued here") };
        let world = &self.stage.world;
        let id =
            CertificateId { issuer: world.label(label.as_str()).authority.issuer_id(), serial: issue.serial.clone() };
        let reason = if compromised { RevocationReason::KeyCompromise } else { RevocationReason::CessationOfOperation };
        let revoked = world.ra.revoke_certificate(&grant(label.tenant()), &id, reason);
        revoked.expect("a certificate on record").wait().expect("a record");
        // A compromised key takes along what else the device has over it.
        let (tenant, device) = (issue.credential.tenant, issue.credential.device.to_lowercase());
        let (spki, mut changed) = (issue.spki.clone(), false);
        for (other, issue) in self.issued.iter_mut().enumerate() {
            let along = issue.credential.tenant == tenant
                && issue.credential.device.to_lowercase() == device
                && issue.spki == spki;
            let Kind::Operational { revoked, .. } = &mut issue.credential.kind else { unreachable!("issued here") };
            if other == index || (compromised && along) {
                // What is revoked stays as it is, unless it turns out to be compromised.
                changed |= !*revoked || (compromised && !issue.compromised);
                *revoked = true;
                issue.compromised |= compromised;
            }
        }
        self.events += usize::from(changed);
        if compromised {
            self.compromised.insert(spki);
        }
    }

    pub fn operate(&mut self, which: u8, act: Act) {
        let Some(index) = usize::from(which).checked_rem(self.issued.len()) else { return };
        let Credential { device, tenant, .. } = &self.issued[index].credential;
        let tenant = tenant.expect("issued here");
        let ra = &self.stage.world.ra;
        let grant = grant(tenant);
        let state = match act {
            Act::Suspend => DeviceState::Suspended,
            Act::Resume => DeviceState::Active,
            Act::Revoke => DeviceState::Revoked,
            Act::Reset => {
                ra.reset_device(&grant, device, None).expect("a device that enrolled").1.wait().expect("a record");
                self.registry.reset(tenant, device);
                self.events += 1;
                return;
            }
        };
        let outcome = ra.set_device_state(&grant, device, state, None);
        let taken = self.registry.set(tenant, device, state);
        assert_eq!(outcome.is_ok(), taken, "what is revoked stays so");
        self.events += usize::from(taken);
    }

    /// Nobody is refused, and nobody is told names but his own.
    pub fn csr_attrs(&mut self, label: LabelName, peer: &Peer) {
        let connection = self.connect(peer);
        let before = self.traces();
        let world = &self.stage.world;
        let Connection { session, chain, .. } = &self.connections[connection];
        let response = world.ra.csr_attrs(world.label(label.as_str()), session);
        let ResponseBody::CsrAttrs { attrs, tailored } = response.body else { panic!("another answer") };
        let peer = chain.first().and_then(|leaf| self.recognise(leaf, connection));
        let opens = |peer: &&Credential| peer.opens(label, OperationName::SimpleEnroll, &chain[1..], self.stage.now());
        let peer = peer.filter(opens);
        if tailored {
            let device = &peer.expect("names are told to somebody whom nobody vouches for").device;
            let attrs = csr_attrs::decode(&attrs.expect("names"), 1).expect("CsrAttrs");
            let [AttrOrOid::Attribute(asked)] = attrs.as_slice() else { panic!("one extensionRequest: {attrs:?}") };
            let extensions = extension::decode_extensions(&asked.values[0], 1).expect("one extension");
            judge_alt_names(&extensions[0].value, device);
        } else {
            let own = |peer: &&Credential| self.stage.born.iter().any(|born| born.der == peer.der);
            assert!(!peer.as_ref().is_some_and(own), "a device is not told its names");
        }
        assert_eq!(self.traces(), before);
        assert_eq!(world.store.events().len(), self.events, "to ask is no event");
    }

    pub fn enroll(&mut self, attempt: &Attempt) {
        let connection = self.connect(&attempt.peer);
        let presented = self.connections[connection].chain.first();
        let peer = presented.and_then(|leaf| self.recognise(leaf, connection)).cloned();
        let body = match &attempt.body {
            Body::Built(request) => self.stage.request(request, peer.as_ref(), binding(connection)),
            Body::Octets(octets) => octets.clone(),
        };
        let asked = Asked { attempt, connection, peer, body, before: self.traces() };
        let session = &self.connections[connection].session;
        let (label, operation) = (attempt.label.as_str(), operation(attempt.operation));
        let outcome = self.stage.world.enroll_at(label, operation, session, &asked.body);
        let (event, alarm) = self.next_events();
        self.judge_event(&event, &asked);
        match outcome {
            Ok(pending) => self.judge_issued(&asked, pending, &event, alarm),
            Err(Refusal::Rejected(rejection)) => {
                assert_eq!(alarm, None, "a refusal is one event");
                self.judge_rejection(&asked, &rejection, &event);
            }
            Err(Refusal::Fault(fault)) => panic!("a client made the server fail: {fault}"),
        }
    }

    /// The event that a request leaves, whatever came of it, and the alarm when there is one.
    fn next_events(&mut self) -> (AuditEvent, Option<Alarm>) {
        let mut events = self.stage.world.store.events().split_off(self.events).into_iter();
        self.events += events.len();
        let event = events.next().expect("an event, whatever came of it");
        let alarm = events.next().map(|event| {
            let AuditOutcome::Alarm { alarm, .. } = event.outcome else {
                panic!("no second event but an alarm: {event:?}")
            };
            alarm
        });
        assert_eq!(events.next(), None, "no third event");
        (event, alarm)
    }

    pub fn traces(&self) -> Traces {
        let world = &self.stage.world;
        let certificates = world.store.certificate_count().expect("a store that works");
        Traces { certificates, drawn: world.entropy.drawn() }
    }

    /// The index of the connection.
    fn connect(&mut self, peer: &Peer) -> usize {
        let (chain, composed, bound) = match peer {
            Peer::Again(which) => match usize::from(*which).checked_rem(self.connections.len()) {
                Some(index) => return index,
                None => (Vec::new(), None, false),
            },
            Peer::Nobody => (Vec::new(), None, false),
            Peer::Presents { leaf, edits, above, unbound } => {
                let (octets, composed) = self.leaf(leaf);
                let above = above.iter().map(|above| self.stage.above(above));
                (std::iter::once(Edit::all(edits, &octets)).chain(above).collect(), composed, !unbound)
            }
        };
        let presented = PresentedChain::possession_proven(chain.clone());
        let binding = bound.then(|| ChannelBinding::TlsExporter(binding(self.connections.len())));
        let session = PeerSession::new(presented, "192.0.2.1:4711".into()).bound_to(binding);
        self.connections.push(Connection { session, chain, composed, bound });
        self.connections.len() - 1
    }

    fn leaf(&self, leaf: &Leaf) -> (Vec<u8>, Option<Credential>) {
        match leaf {
            Leaf::Born(index) => (self.stage.device(*index).der.clone(), None),
            Leaf::Issued(which) => match usize::from(*which).checked_rem(self.issued.len()) {
                Some(index) => (self.issued[index].credential.der.clone(), None),
                None => (self.stage.device(0).der.clone(), None),
            },
            Leaf::Composed(composed) => {
                let credential = self.stage.compose(composed);
                (credential.der.clone(), Some(credential))
            }
            Leaf::Octets(octets) => (octets.clone(), None),
        }
    }

    /// Whose certificate these octets are.
    fn recognise(&self, leaf: &[u8], connection: usize) -> Option<&Credential> {
        let issued = self.issued.iter().map(|issue| &issue.credential);
        let mut known = self.stage.born.iter().chain(issued).chain(&self.connections[connection].composed);
        let exact = known.clone().find(|credential| credential.der == leaf);
        exact.or_else(|| known.find(|credential| credential.is(leaf)))
    }
}

pub fn operation(name: OperationName) -> Operation {
    match name {
        OperationName::SimpleEnroll => Operation::SimpleEnroll,
        OperationName::SimpleReenroll => Operation::SimpleReenroll,
        OperationName::CaCerts => Operation::CaCerts,
        OperationName::CsrAttrs => Operation::CsrAttrs,
    }
}

/// What both ends of a connection know.
fn binding(connection: usize) -> [u8; 32] {
    [connection as u8; 32]
}
