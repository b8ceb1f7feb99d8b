//! What the registry must know of each device by now, kept a second time.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use estd::store::device::DeviceState;

use super::input::LabelName;
use super::oracle::{Credential, Kind};

/// Devices by tenant and id, in lower case: ids that differ in case alone are one device's.
#[derive(Default)]
pub struct Registry(HashMap<(&'static str, String), Device>);

struct Device {
    /// As it was spelt first.
    id: String,
    state: DeviceState,
    /// The key of the manufacturer that it came with.
    birth: Option<Vec<u8>>,
    /// The certificate issued last, by label: a device may have one at each.
    latest: HashMap<LabelName, Latest>,
}

/// A certificate that was issued.
#[derive(Clone)]
pub struct Latest {
    pub serial: Vec<u8>,
    pub spki: Vec<u8>,
    pub not_after: DateTime<Utc>,
}

impl Registry {
    /// Whether a device with this certificate may come in: not kept out, and no namesake, of another manufacturer or by
    /// another spelling.
    pub fn lets_in(&self, tenant: &'static str, peer: &Credential) -> bool {
        let Some(device) = self.get(tenant, &peer.device) else { return true };
        let admitted = match device.state {
            DeviceState::Listed | DeviceState::Active => true,
            DeviceState::Suspended | DeviceState::Revoked => false,
        };
        let same_birth = device.birth.as_ref().is_none_or(|birth| *birth == peer.issuer_spki);
        admitted && (peer.kind != Kind::Birth || (same_birth && device.id == peer.device))
    }

    fn get(&self, tenant: &'static str, device: &str) -> Option<&Device> {
        self.0.get(&(tenant, device.to_lowercase()))
    }

    fn enrolled(&mut self, tenant: &'static str, device: &str) -> &mut Device {
        self.0.get_mut(&(tenant, device.to_lowercase())).expect("a device that enrolled")
    }

    /// The certificate that a device has, when it comes with its birth certificate and another key all the same: it may
    /// be a clone.
    pub fn suspects(&self, label: LabelName, peer: &Credential, spki: &[u8], now: DateTime<Utc>) -> Option<&Latest> {
        let device = self.get(label.tenant(), &peer.device).filter(|_| peer.kind == Kind::Birth)?;
        device.latest.get(&label).filter(|latest| latest.spki != spki && latest.not_after > now)
    }

    /// A certificate was issued.
    pub fn issued(&mut self, label: LabelName, peer: &Credential, latest: Latest) {
        let id = peer.device.clone();
        let unknown = Device { id: id.clone(), state: DeviceState::Active, birth: None, latest: HashMap::new() };
        let device = self.0.entry((label.tenant(), id.to_lowercase())).or_insert(unknown);
        device.latest.insert(label, latest);
        if peer.kind == Kind::Birth {
            device.birth = Some(peer.issuer_spki.clone());
        }
    }

    /// An operator's word on a device that is there; whether it is taken.
    pub fn set(&mut self, tenant: &'static str, device: &str, state: DeviceState) -> bool {
        let device = self.enrolled(tenant, device);
        let taken = device.state != DeviceState::Revoked || state == DeviceState::Revoked;
        if taken {
            device.state = state;
        }
        taken
    }

    /// A device was repaired and enrolls anew.
    pub fn reset(&mut self, tenant: &'static str, device: &str) {
        let device = self.enrolled(tenant, device);
        (device.birth, device.latest) = (None, HashMap::new());
    }
}
