//! Whether a device is let in: what the registry knows of it, what a label's rule makes of that, and what the registry
//! knows afterwards.

use chrono::{DateTime, Utc};

use super::RegistrationAuthority;
use super::label::LabelContext;
use super::refusal::{Fault, Refusal};
use crate::est::{Rejection, RejectionCode};
use crate::pki::trust::AuthenticatedPeer;
use crate::policy::{EnrollmentKind, Grant, RegistrationRule, RepeatedBirth};
use crate::store::approval::{Decision, PendingRequest};
use crate::store::device::{BirthCertificate, DeviceRecord, DeviceState, LatestCertificate};
use crate::store::succession::Succession;
use crate::store::{CertificateId, CertificateStatus, Fact, FactKey, RequestKey};

/// What the registry said to a device.
#[expect(clippy::large_enum_variant, reason = "the large one is the common one, on the stack for a moment")]
pub(super) enum Admission {
    /// It is let in.
    Granted(Admitted),
    /// An operator decides; the request as it waits, and whether that is to be recorded.
    Deferred {
        /// The request.
        request: Box<PendingRequest>,
        /// It came for the first time.
        is_new: bool,
    },
}

/// A device that is let in.
pub(super) struct Admitted {
    device: DeviceRecord,
    /// The value it was read from: when that is still so, nothing changed since.
    seen: Option<Vec<u8>>,
    /// What becomes so with the certificate.
    facts: Vec<Fact>,
    /// Why it may be a clone.
    pub(super) suspicion: Option<String>,
}

impl Admitted {
    /// Whether the registry did not know it before.
    pub(super) fn is_new_device(&self) -> bool {
        self.seen.is_none()
    }

    /// What becomes so when `latest` is issued.
    pub(super) fn facts(mut self, tenant: &str, latest: LatestCertificate) -> Vec<Fact> {
        self.device.note_latest(latest);
        self.facts.push(self.device.to_fact(tenant));
        self.facts
    }
}

impl RegistrationAuthority {
    /// Judges a device that policy would certify.
    pub(super) fn admit(&self, arrival: &Arrival<'_>) -> Result<Admission, Refusal> {
        let store = self.ports.store.as_ref();
        let seen = store.fact(&arrival.device_key()).map_err(Fault::from)?;
        let known = seen.as_deref().map(DeviceRecord::decode).transpose().map_err(Fault::from)?;
        match known.as_ref().map(|device| device.state) {
            Some(DeviceState::Suspended) => {
                let reason = "the device is suspended; its operator can resume it";
                return refused(RejectionCode::DeviceSuspended, reason);
            }
            Some(DeviceState::Revoked) => {
                return refused(RejectionCode::DeviceRevoked, "the device was revoked by its operator");
            }
            Some(DeviceState::Listed | DeviceState::Active) | None => {}
        }
        // RFC 7030 §4.2.3, RFC 6402 §2.8: names that nobody but an operator can grant.
        if arrival.grant.awaits_approval()
            && let Some(deferred) = self.await_approval(arrival)?
        {
            return Ok(deferred);
        }
        let mut admitted = match arrival.grant.kind() {
            EnrollmentKind::Renewal => self.admit_renewal(arrival, known)?,
            EnrollmentKind::Initial => match self.admit_birth(arrival, known)? {
                Admission::Granted(admitted) => admitted,
                deferred @ Admission::Deferred { .. } => return Ok(deferred),
            },
        };
        admitted.seen = seen;
        if arrival.grant.awaits_approval() {
            admitted.facts.push(PendingRequest::over(&arrival.label.tenant, arrival.request));
        }
        Ok(Admission::Granted(admitted))
    }

    /// The same judgement again, once the device is held: only when something changed since is anything looked at.
    pub(super) fn admit_again(&self, admitted: Admitted, arrival: &Arrival<'_>) -> Result<Admitted, Refusal> {
        if self.ports.store.fact(&arrival.device_key()).map_err(Fault::from)? == admitted.seen {
            return Ok(admitted);
        }
        match self.admit(arrival)? {
            Admission::Granted(admitted) => Ok(admitted),
            Admission::Deferred { .. } => {
                refused(RejectionCode::NotApproved, "the approval was taken back while the certificate was made")
            }
        }
    }

    /// Whether a request still waits for an operator.
    ///
    /// # Errors
    /// When the store cannot tell.
    pub fn is_waiting(&self, label: &LabelContext, request: &RequestKey) -> Result<bool, Refusal> {
        let waiting = PendingRequest::find(self.ports.store.as_ref(), &label.tenant, request).map_err(Fault::from)?;
        Ok(waiting.is_some_and(|request| request.decision == Decision::Waiting))
    }

    /// A request as it stands on the list of operators, waiting or decided, until its time is over.
    pub(super) fn listed(
        &self,
        label: &LabelContext,
        request: &RequestKey,
        now: DateTime<Utc>,
    ) -> Result<Option<PendingRequest>, Refusal> {
        let listed = PendingRequest::find(self.ports.store.as_ref(), &label.tenant, request).map_err(Fault::from)?;
        Ok(listed.filter(|listed| now - listed.requested_at <= label.registration.approval.valid_for))
    }

    fn admit_renewal(&self, arrival: &Arrival<'_>, known: Option<DeviceRecord>) -> Result<Admitted, Refusal> {
        let device = match (known, arrival.label.registration.rule) {
            (Some(device), _) => device,
            // Its certificate was issued here, or by this CA elsewhere, and a device that proves it is no stranger.
            (None, RegistrationRule::Open) => arrival.new_device(),
            (None, RegistrationRule::Listed | RegistrationRule::Approval) => {
                return refused(RejectionCode::DeviceNotListed, arrival.not_listed());
            }
        };
        let facts = self.succeed(arrival)?;
        Ok(Admitted {
            device: DeviceRecord { state: DeviceState::Active, ..device },
            seen: None,
            facts,
            suspicion: None,
        })
    }

    /// A renewed certificate may renew again until its successor is seen in use: the answer may have been lost.
    fn succeed(&self, arrival: &Arrival<'_>) -> Result<Vec<Fact>, Refusal> {
        let store = self.ports.store.as_ref();
        // What is on record and was not shown may have been lost.
        let Some(presented) = arrival.peer.map(super::authentication::peer_id) else { return Ok(Vec::new()) };
        if let Some(succession) = Succession::of(store, &presented).map_err(Fault::from)?
            && succession.seen
        {
            let reason =
                "the certificate was renewed before, and the one that renewed it is in use; renew with that one";
            return refused(RejectionCode::Superseded, reason);
        }
        // It comes itself: whatever it renewed is now superseded.
        let renewed = store.certificate(&presented).map_err(Fault::from)?.and_then(|record| record.renews.clone());
        let seen = |earlier: CertificateId| Succession { successor: presented, seen: true }.to_fact(&earlier);
        Ok(renewed.map(seen).into_iter().collect())
    }

    fn admit_birth(&self, arrival: &Arrival<'_>, known: Option<DeviceRecord>) -> Result<Admission, Refusal> {
        let birth = arrival.birth();
        let mut facts = Vec::new();
        let device = match (known, arrival.label.registration.rule) {
            (Some(device), _) => {
                if !is_same_device(&device, birth.as_ref(), arrival.grant.device()) {
                    let reason = "the device id belongs to another birth certificate: of another manufacturer, or spelt or \
                                  read otherwise; a label of their own, or identity = \"subject-and-issuer\", tells such \
                                  devices apart";
                    return refused(RejectionCode::IdentityConflict, reason);
                }
                device
            }
            (None, RegistrationRule::Open) => arrival.new_device(),
            (None, RegistrationRule::Listed) => return refused(RejectionCode::DeviceNotListed, arrival.not_listed()),
            (None, RegistrationRule::Approval) => {
                if let Some(deferred) = self.await_approval(arrival)? {
                    return Ok(deferred);
                }
                facts.push(PendingRequest::over(&arrival.label.tenant, arrival.request));
                arrival.new_device()
            }
        };
        let suspicion = self.suspect_clone(arrival, &device)?;
        let device = DeviceRecord { state: DeviceState::Active, birth: birth.or(device.birth.clone()), ..device };
        Ok(Admission::Granted(Admitted { device, seen: None, facts, suspicion }))
    }

    /// Why the birth certificate may be in two devices.
    fn suspect_clone(&self, arrival: &Arrival<'_>, device: &DeviceRecord) -> Result<Option<String>, Refusal> {
        let Some(latest) = device.latest_at(arrival.label.label.as_str()) else { return Ok(None) };
        let rule = arrival.label.registration.repeated_birth;
        let same_key = arrival.key.is_proven(&latest.spki_sha256);
        if rule == RepeatedBirth::Allow || same_key || latest.not_after <= arrival.now {
            return Ok(None);
        }
        match self.ports.store.status(&latest.id).map_err(Fault::from)? {
            CertificateStatus::Revoked(_) | CertificateStatus::Unknown => return Ok(None),
            CertificateStatus::Good { .. } => {}
        }
        let until = latest.not_after.format("%Y-%m-%dT%H:%M:%SZ");
        let reason = format!("the device enrolled before with another key, whose certificate is valid until {until}");
        match rule {
            RepeatedBirth::Refuse => refused(RejectionCode::CloneSuspected, reason),
            RepeatedBirth::Allow | RepeatedBirth::Alarm => Ok(Some(reason)),
        }
    }

    /// `None` when the request is approved.
    fn await_approval(&self, arrival: &Arrival<'_>) -> Result<Option<Admission>, Refusal> {
        let store = self.ports.store.as_ref();
        let rules = &arrival.label.registration.approval;
        let tenant = &arrival.label.tenant;
        match self.listed(arrival.label, arrival.request, arrival.now)? {
            Some(PendingRequest { decision: Decision::Approved, .. }) => Ok(None),
            Some(PendingRequest { decision: Decision::Denied { reason }, .. }) => {
                refused(RejectionCode::NotApproved, format!("the operator refused the request: {reason}"))
            }
            Some(request @ PendingRequest { decision: Decision::Waiting, .. }) => {
                Ok(Some(Admission::Deferred { request: Box::new(request), is_new: false }))
            }
            None => {
                let prefix = PendingRequest::prefix(tenant);
                let waiting = store.facts(&prefix, None, rules.max_waiting).map_err(Fault::from)?.len();
                if waiting >= rules.max_waiting {
                    let reason = format!("{waiting} requests wait for an operator, the limit");
                    return refused(RejectionCode::TooManyRequests, reason);
                }
                Ok(Some(Admission::Deferred { request: Box::new(arrival.waiting()), is_new: true }))
            }
        }
    }
}

/// A device at the door.
pub(super) struct Arrival<'a> {
    pub(super) label: &'a LabelContext,
    pub(super) grant: &'a Grant,
    pub(super) key: AskedKey,
    /// `None` when the device was proven by a credential alone.
    pub(super) peer: Option<&'a AuthenticatedPeer>,
    /// What makes the request the same one when it comes again.
    pub(super) request: &'a RequestKey,
    pub(super) now: DateTime<Utc>,
}

/// The key in a request, as SHA-256 of its SubjectPublicKeyInfo.
#[derive(Clone, Copy)]
pub(super) enum AskedKey {
    /// The device holds it, or was given it.
    Held([u8; 32]),
    /// Nobody knows whose it is: another one is to be made.
    Claimed([u8; 32]),
}

impl AskedKey {
    fn is_proven(self, key: &[u8; 32]) -> bool {
        match self {
            Self::Held(held) => held == *key,
            Self::Claimed(_) => false,
        }
    }

    fn spki_sha256(self) -> [u8; 32] {
        match self {
            Self::Held(key) | Self::Claimed(key) => key,
        }
    }
}

impl Arrival<'_> {
    fn device_key(&self) -> FactKey {
        DeviceRecord::key(&self.label.tenant, self.grant.device())
    }

    fn new_device(&self) -> DeviceRecord {
        DeviceRecord::listed(self.grant.device().to_owned(), self.now)
    }

    fn birth(&self) -> Option<BirthCertificate> {
        self.peer.map(|peer| BirthCertificate {
            issuer: peer.issuer_spki_sha256(),
            fingerprint: peer.fingerprint(),
            source: self.label.rules.identity.as_str().to_owned(),
        })
    }

    /// Whom the registry lets in, for people to read.
    pub(super) fn expected(&self) -> &'static str {
        match self.label.registration.rule {
            RegistrationRule::Open => "a device that is neither suspended nor revoked",
            RegistrationRule::Listed => "a device that is listed, and neither suspended nor revoked",
            RegistrationRule::Approval => "a device that is listed or approved, and neither suspended nor revoked",
        }
    }

    fn not_listed(&self) -> String {
        format!("the device {} is not on this tenant's list", self.grant.device())
    }

    fn waiting(&self) -> PendingRequest {
        PendingRequest {
            request: *self.request,
            label: self.label.label.to_string(),
            device: self.grant.device().to_owned(),
            subject: self.grant.subject().to_string(),
            subject_alt_names: self.grant.subject_alt_names().iter().map(ToString::to_string).collect(),
            spki_sha256: self.key.spki_sha256(),
            peer: self.peer.map(AuthenticatedPeer::fingerprint),
            requested_at: self.now,
            decision: Decision::Waiting,
            ra: None,
            tagged_request: None,
        }
    }
}

/// One birth certificate is one device. Two manufacturers may count alike, and neither speaks for the other's devices; a
/// manufacturer may replace a birth certificate, whose id then stands where it stood, spelt as it was. A credential was
/// declared for the id, by whoever owns the list.
fn is_same_device(known: &DeviceRecord, birth: Option<&BirthCertificate>, id: &str) -> bool {
    known.id == id
        && known.birth.as_ref().zip(birth).is_none_or(|(first, birth)| {
            first.fingerprint == birth.fingerprint || (first.issuer, &first.source) == (birth.issuer, &birth.source)
        })
}

fn refused<T>(code: RejectionCode, reason: impl Into<std::borrow::Cow<'static, str>>) -> Result<T, Refusal> {
    Err(Rejection::new(code, "RFC 7030 3.7", reason).into())
}
