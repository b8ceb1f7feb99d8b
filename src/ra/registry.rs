//! What operators do to the registry: devices listed, suspended, resumed and revoked, requests decided.

use std::collections::{BTreeSet, HashSet};

use chrono::{DateTime, Utc};

use super::RegistrationAuthority;
use super::quota::Exceeded;
use crate::access::{Actor, DecideRequests, Grant, ManageDevices};
use crate::audit::{AuditEvent, AuditOutcome};
use crate::pki::device_identity::{DeviceId, IdentityError};
use crate::store::approval::{Decision, PendingRequest};
use crate::store::device::{DeviceRecord, DeviceState, DeviceVersion};
use crate::store::{Fact, Receipt, RequestKey, StoreFault};

/// Most devices listed at once.
pub const MAX_LISTED_AT_ONCE: usize = 20_000;

/// Most tags of a device, and their longest, in octets.
pub const MAX_TAGS: usize = 16;
/// See [`MAX_TAGS`].
pub const MAX_TAG_OCTETS: usize = 64;

/// A device to be listed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listing {
    /// Its id, as the label's `identity` reads it from the birth certificate.
    pub id: String,
    /// What operators call it by.
    pub tags: Vec<String>,
}

/// Why the registry was not changed; nothing of it was.
#[derive(Debug, Clone, thiserror::Error)]
pub enum RegistryError {
    /// A row that is no device.
    #[error("row {row}: {error}")]
    Id {
        /// Its place, from 1.
        row: usize,
        /// Why.
        error: IdentityError,
    },
    /// A row with too many tags, or one too long.
    #[error("row {row}: a device has at most {MAX_TAGS} tags of 1 to {MAX_TAG_OCTETS} octets")]
    Tags {
        /// Its place, from 1.
        row: usize,
    },
    /// A device twice.
    #[error("row {row}: the device {id} stands in an earlier row already")]
    Duplicate {
        /// Its place, from 1.
        row: usize,
        /// The device.
        id: String,
    },
    /// A device that is registered already.
    #[error("row {row}: the device {id} is registered already")]
    Registered {
        /// Its place, from 1.
        row: usize,
        /// The device.
        id: String,
    },
    /// Too many at once.
    #[error("at most {MAX_LISTED_AT_ONCE} devices are listed at once, {0} came")]
    TooMany(usize),
    /// More than the tenant may have.
    #[error("the tenant may have {most} {what}, and there is no room for so many more")]
    Quota {
        /// Of what.
        what: &'static str,
        /// The quota.
        most: u64,
    },
    /// No such device.
    #[error("there is no device {0}")]
    NoDevice(String),
    /// No such request, or it was decided.
    #[error("there is no such request that waits")]
    NoRequest,
    /// A change that its state does not allow.
    #[error("the device {id} is {state}; that cannot be changed so")]
    State {
        /// The device.
        id: String,
        /// Its state.
        state: &'static str,
    },
    /// It was changed by somebody else since it was looked at.
    #[error("the device {0} was changed since; look at it again")]
    Changed(String),
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreFault),
}

impl RegistrationAuthority {
    /// Lists devices, all of them or none. With `dry_run` everything is checked and nothing changed.
    ///
    /// # Errors
    /// With the first row that does not do.
    pub fn list_devices(
        &self,
        grant: &Grant<ManageDevices>,
        rows: &[Listing],
        dry_run: bool,
    ) -> Result<Receipt, RegistryError> {
        if rows.len() > MAX_LISTED_AT_ONCE {
            return Err(RegistryError::TooMany(rows.len()));
        }
        let now = self.ports.clock.now();
        let (store, tenant) = (self.ports.store.as_ref(), grant.tenant());
        // Held in one order by all, so that two imports do not wait for each other, from reading to recording: a device may
        // enroll meanwhile, or be revoked.
        let keys: BTreeSet<_> = rows.iter().map(|row| DeviceRecord::key(tenant, &row.id)).collect();
        let _held: Vec<_> = keys.iter().map(|key| store.hold(key)).collect();
        let mut seen = HashSet::new();
        let mut facts = Vec::with_capacity(rows.len());
        for (index, listing) in rows.iter().enumerate() {
            let row = index + 1;
            let id = DeviceId::parse(listing.id.as_str()).map_err(|error| RegistryError::Id { row, error })?;
            let id = id.as_str().to_owned();
            if !are_tags(&listing.tags) {
                return Err(RegistryError::Tags { row });
            }
            // Ids that differ in case alone name one device.
            if !seen.insert(id.to_lowercase()) {
                return Err(RegistryError::Duplicate { row, id });
            }
            if DeviceRecord::find(store, tenant, &id)?.is_some() {
                return Err(RegistryError::Registered { row, id });
            }
            facts.push(DeviceRecord { tags: listing.tags.clone(), ..DeviceRecord::listed(id, now) }.to_fact(tenant));
        }
        let room = self.room_to_list(tenant, facts.len())?;
        let room = room.map_err(|Exceeded { what, most, .. }| RegistryError::Quota { what, most })?;
        if dry_run || facts.is_empty() {
            return Ok(Receipt::durable());
        }
        let what = format!("{} devices listed", facts.len());
        facts.extend(grant.answer());
        let receipt = store.record_facts(facts, changed(tenant, None, "device.list", what, now, grant.actor()))?;
        if let Some(mut room) = room {
            room.note_recorded();
        }
        Ok(receipt)
    }

    /// Suspends, resumes or revokes a device. To resume is to make it active again; what is revoked stays so. Its certificates
    /// are left as they are: [`revoke_device`](Self::revoke_device) revokes them too.
    ///
    /// # Errors
    /// When there is no such device, or its state does not allow it.
    pub fn set_device_state(
        &self,
        grant: &Grant<ManageDevices>,
        id: &str,
        state: DeviceState,
        seen: Option<DeviceVersion>,
    ) -> Result<(DeviceRecord, Receipt), RegistryError> {
        self.change_device(grant, id, seen, state.as_str(), |device| {
            if !device.state.may_become(state) {
                return Err(RegistryError::State { id: device.id.clone(), state: device.state.as_str() });
            }
            device.state = state;
            Ok(())
        })
    }

    /// Gives a device other tags.
    ///
    /// # Errors
    /// When there is no such device, or the tags are too many or too long.
    pub fn tag_device(
        &self,
        grant: &Grant<ManageDevices>,
        id: &str,
        tags: &[String],
        seen: Option<DeviceVersion>,
    ) -> Result<(DeviceRecord, Receipt), RegistryError> {
        if !are_tags(tags) {
            return Err(RegistryError::Tags { row: 1 });
        }
        self.change_device(grant, id, seen, "tagged", |device| {
            device.tags = tags.to_vec();
            Ok(())
        })
    }

    /// Takes a device off the list that never came. What came once stays, for the audit.
    ///
    /// # Errors
    /// When there is no such device, or it came already.
    pub fn unlist_device(
        &self,
        grant: &Grant<ManageDevices>,
        id: &str,
        seen: Option<DeviceVersion>,
    ) -> Result<Receipt, RegistryError> {
        let (store, tenant) = (self.ports.store.as_ref(), grant.tenant());
        let key = DeviceRecord::key(tenant, id);
        let _held = store.hold(&key);
        let device = DeviceRecord::find(store, tenant, id)?.ok_or_else(|| RegistryError::NoDevice(id.to_owned()))?;
        if seen.is_some_and(|seen| seen != device.version()) {
            return Err(RegistryError::Changed(device.id));
        }
        match device.state {
            DeviceState::Listed => {}
            DeviceState::Active | DeviceState::Suspended | DeviceState::Revoked => {
                return Err(RegistryError::State { id: device.id, state: device.state.as_str() });
            }
        }
        let now = self.ports.clock.now();
        let event = changed(tenant, Some(&device.id), "device", "unlisted".to_owned(), now, grant.actor());
        let facts = std::iter::once(Fact { key, value: None }).chain(grant.answer()).collect();
        let receipt = store.record_facts(facts, event)?;
        self.note_unlisted(tenant);
        Ok(receipt)
    }

    /// Forgets the birth certificate and the certificate of a device, so that it may enroll anew: it was repaired.
    ///
    /// # Errors
    /// When there is no such device.
    pub fn reset_device(
        &self,
        grant: &Grant<ManageDevices>,
        id: &str,
        seen: Option<DeviceVersion>,
    ) -> Result<(DeviceRecord, Receipt), RegistryError> {
        self.change_device(grant, id, seen, "reset", |device| {
            device.birth = None;
            device.latest.clear();
            Ok(())
        })
    }

    /// Changes a device, unless it is another than was `seen`.
    fn change_device(
        &self,
        grant: &Grant<ManageDevices>,
        id: &str,
        seen: Option<DeviceVersion>,
        what: &str,
        change: impl FnOnce(&mut DeviceRecord) -> Result<(), RegistryError>,
    ) -> Result<(DeviceRecord, Receipt), RegistryError> {
        let (store, tenant) = (self.ports.store.as_ref(), grant.tenant());
        let _held = store.hold(&DeviceRecord::key(tenant, id));
        let mut device =
            DeviceRecord::find(store, tenant, id)?.ok_or_else(|| RegistryError::NoDevice(id.to_owned()))?;
        if seen.is_some_and(|seen| seen != device.version()) {
            return Err(RegistryError::Changed(device.id));
        }
        change(&mut device)?;
        let event = changed(tenant, Some(&device.id), "device", what.to_owned(), self.ports.clock.now(), grant.actor());
        let facts = std::iter::once(device.to_fact(tenant)).chain(grant.answer()).collect();
        Ok((device, store.record_facts(facts, event)?))
    }

    /// Decides a request that waits.
    ///
    /// # Errors
    /// When no such request waits.
    pub fn decide_request(
        &self,
        grant: &Grant<DecideRequests>,
        request: &RequestKey,
        decision: Decision,
    ) -> Result<Receipt, RegistryError> {
        let (store, tenant) = (self.ports.store.as_ref(), grant.tenant());
        let _held = store.hold(&PendingRequest::key(tenant, request));
        let waiting = PendingRequest::find(store, tenant, request)?;
        let Some(waiting) = waiting.filter(|request| request.decision == Decision::Waiting) else {
            return Err(RegistryError::NoRequest);
        };
        let what = match &decision {
            Decision::Waiting => return Err(RegistryError::NoRequest),
            Decision::Approved => "request approved".to_owned(),
            Decision::Denied { reason } => format!("request denied: {reason}"),
        };
        let event = changed(tenant, Some(&waiting.device), "request", what, self.ports.clock.now(), grant.actor());
        let decided = PendingRequest { decision, ..waiting }.to_fact(tenant);
        Ok(store.record_facts(std::iter::once(decided).chain(grant.answer()).collect(), event)?)
    }
}

impl Actor {
    /// The event of what it did in a tenant.
    pub(super) fn event(
        &self,
        tenant: &str,
        device: Option<&str>,
        operation: &str,
        at: DateTime<Utc>,
        outcome: AuditOutcome,
    ) -> AuditEvent {
        AuditEvent {
            at,
            request_id: self.request_id.clone(),
            source: self.source.clone(),
            tenant: tenant.to_owned(),
            label: String::new(),
            operation: operation.to_owned(),
            peer: None,
            device: device.map(str::to_owned),
            actor: Some(self.name.clone()),
            credential: self.credential.clone(),
            outcome,
        }
    }
}

fn are_tags(tags: &[String]) -> bool {
    let sound = |tag: &String| (1..=MAX_TAG_OCTETS).contains(&tag.len()) && !tag.contains(char::is_control);
    tags.len() <= MAX_TAGS && tags.iter().all(sound)
}

/// The event of a change by an operator.
pub(super) fn changed(
    tenant: &str,
    device: Option<&str>,
    operation: &str,
    what: String,
    at: DateTime<Utc>,
    actor: &Actor,
) -> AuditEvent {
    actor.event(tenant, device, operation, at, AuditOutcome::Changed { what })
}
