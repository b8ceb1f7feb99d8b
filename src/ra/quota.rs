//! How much tenants have, held against how much they may have, so that of many at once none gets too much.
//!
//! The store is the truth; what is counted from it is kept up to date here, and counted anew for a tenant that is at a limit.
//! So what ends makes room, and a count that went astray, by a record that did not become durable, comes right by itself.
//! Counting takes a while where there is much to count: nobody who enrolls waits for it, and it holds up nobody.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use chrono::{DateTime, TimeDelta, Utc};

use super::RegistrationAuthority;
use super::label::LabelContext;
use super::refusal::{Fault, Refusal};
use crate::est::{Rejection, RejectionCode};
use crate::policy::{EnrollmentKind, Quotas};
use crate::store::device::DeviceRecord;
use crate::store::{CertificateStore, StoreFault, each_fact};

/// A tenant that is at a limit is counted anew as often as this.
const RECOUNT: TimeDelta = TimeDelta::minutes(10);

/// Seconds after which who was refused by an old count may come back: there is a new one by then.
const COUNTED_SOON: u32 = 5;

/// What the tenants with quotas have. One for the life of the process, over all configurations.
#[derive(Debug, Default)]
pub struct Holdings(Mutex<HashMap<String, Shared>>);

type Shared = Arc<Mutex<Holding>>;

/// What one tenant has.
#[derive(Debug, Default)]
struct Holding {
    /// All that were let in, the unrecorded ones too.
    devices: u64,
    /// All that were let in and have not ended as far as is known, the unsettled ones too.
    certificates: u64,
    /// Devices that were let in and do not stand in the store yet.
    unrecorded: u64,
    /// Certificates that were let in and are not known to be durable yet.
    unsettled: u64,
    counted_at: Option<DateTime<Utc>>,
    /// Somebody was refused by a count that is old.
    is_awaited: bool,
    /// While it is counted anew: what was let in and may be missed, because it came to stand in the store meanwhile.
    meanwhile: Option<Counted>,
}

/// What the store has of a tenant.
#[derive(Debug, Clone, Copy)]
struct Counted {
    devices: u64,
    certificates: u64,
}

/// Room for what is about to be recorded. Given back when dropped, unless it was recorded by then.
#[derive(Debug)]
pub(super) struct Room {
    of: Shared,
    devices: u64,
    certificates: u64,
    is_recorded: bool,
}

/// Which quota is used up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Exceeded {
    /// Of what.
    pub(super) what: &'static str,
    /// The quota.
    pub(super) most: u64,
    /// By a count that is old: there is a new one soon.
    is_provisional: bool,
}

/// What is wanted room for.
#[derive(Debug, Clone, Copy, Default)]
struct Wanted {
    devices: u64,
    certificates: u64,
    /// Counted, never refused.
    is_renewal: bool,
}

impl RegistrationAuthority {
    /// Counts what each tenant with quotas has, when that was never done, so that its first device need not wait for it, or
    /// when somebody was refused by a count that is old. Blocks for as long as it takes to look at each device of such a
    /// tenant.
    ///
    /// # Errors
    /// When the store cannot tell.
    pub fn count_holdings(&self) -> Result<(), StoreFault> {
        for tenant in self.tenants_with_quotas() {
            let holding = self.ports.holdings.of(tenant);
            if locked(&holding).begin_count() {
                let counted = Counted::of(self.ports.store.as_ref(), tenant, self.ports.clock.now());
                locked(&holding).end_count(counted, self.ports.clock.now())?;
            }
        }
        Ok(())
    }

    /// The same before this configuration takes the place of another: whoever had no quotas there is counted, as nobody kept
    /// count.
    ///
    /// # Errors
    /// When the store cannot tell.
    pub fn take_up_quotas(&self, before: &Self) -> Result<(), StoreFault> {
        let counted = before.tenants_with_quotas();
        for tenant in self.tenants_with_quotas().difference(&counted) {
            locked(&self.ports.holdings.of(tenant)).is_awaited = true;
        }
        self.count_holdings()
    }

    /// Forgets what tenants without quotas have, once this configuration has taken the place of another.
    pub fn forget_holdings(&self) {
        let tenants = self.tenants_with_quotas();
        locked(&self.ports.holdings.0).retain(|tenant, _| tenants.contains(tenant.as_str()));
    }

    fn tenants_with_quotas(&self) -> HashSet<&str> {
        let with_quotas = self.labels().filter(|label| !label.limits.tenant.quotas.are_none());
        with_quotas.map(|label| label.tenant.as_str()).collect()
    }

    /// What each tenant with quotas has, devices and certificates.
    pub fn holdings(&self) -> Vec<(String, u64, u64)> {
        let tenants = self.tenants_with_quotas();
        let known = locked(&self.ports.holdings.0);
        let known = known.iter().filter(|(tenant, _)| tenants.contains(tenant.as_str()));
        let known: Vec<_> = known.map(|(tenant, holding)| (tenant.clone(), Arc::clone(holding))).collect();
        let shown = |(tenant, holding): (String, Shared)| {
            let holding = locked(&holding);
            (tenant, holding.devices, holding.certificates)
        };
        known.into_iter().map(shown).collect()
    }

    /// Room for a certificate, and for its device when that is a new one; `None` where nothing is limited.
    pub(super) fn room_for(
        &self,
        label: &LabelContext,
        is_new_device: bool,
        kind: EnrollmentKind,
    ) -> Result<Option<Room>, Refusal> {
        let wanted = Wanted::certificate(is_new_device, kind);
        let taken = self.take_room(&label.tenant, &label.limits.tenant.quotas, wanted).map_err(Fault::from)?;
        taken.map_err(Refusal::from)
    }

    /// Whether there is that room now, which is not taken; `None` where nothing is limited.
    pub(super) fn room_is_left(
        &self,
        label: &LabelContext,
        is_new_device: bool,
        kind: EnrollmentKind,
    ) -> Result<Option<()>, Refusal> {
        let wanted = Wanted::certificate(is_new_device, kind);
        let left =
            self.with_room(&label.tenant, &label.limits.tenant.quotas, wanted, |_, _| ()).map_err(Fault::from)?;
        left.map_err(Refusal::from)
    }

    /// Room for devices that an operator lists.
    pub(super) fn room_to_list(
        &self,
        tenant: &str,
        devices: usize,
    ) -> Result<Result<Option<Room>, Exceeded>, StoreFault> {
        let wanted = Wanted { devices: devices as u64, ..Wanted::default() };
        self.take_room(tenant, &self.quotas(tenant), wanted)
    }

    /// A device is no longer listed.
    pub(super) fn note_unlisted(&self, tenant: &str) {
        if !self.quotas(tenant).are_none() {
            let holding = self.ports.holdings.of(tenant);
            let mut holding = locked(&holding);
            holding.devices = holding.devices.saturating_sub(1);
            // Whether a count that is under way has seen it nobody knows: it is counted once more.
            holding.is_awaited |= holding.meanwhile.is_some();
        }
    }

    fn quotas(&self, tenant: &str) -> Quotas {
        let label = self.labels().find(|label| label.tenant == tenant);
        label.map(|label| label.limits.tenant.quotas).unwrap_or_default()
    }

    fn take_room(
        &self,
        tenant: &str,
        quotas: &Quotas,
        wanted: Wanted,
    ) -> Result<Result<Option<Room>, Exceeded>, StoreFault> {
        self.with_room(tenant, quotas, wanted, |of, holding| {
            let Wanted { devices, certificates, .. } = wanted;
            holding.let_in(devices, certificates);
            Room { of: Arc::clone(of), devices, certificates, is_recorded: false }
        })
    }

    /// Where there is room for what is wanted, `then` looks at it, or takes it.
    fn with_room<T>(
        &self,
        tenant: &str,
        quotas: &Quotas,
        wanted: Wanted,
        then: impl FnOnce(&Shared, &mut Holding) -> T,
    ) -> Result<Result<Option<T>, Exceeded>, StoreFault> {
        if quotas.are_none() {
            return Ok(Ok(None));
        }
        let of = self.ports.holdings.of(tenant);
        let (store, now) = (self.ports.store.as_ref(), self.ports.clock.now());
        let mut holding = locked(&of);
        if holding.counted_at.is_none() {
            // Only where nobody counted before, as whoever starts or reloads does. If somebody is about it, that counts later.
            let counted = Counted::of(store, tenant, now)?;
            let in_flight = holding.in_flight();
            holding.set(counted, in_flight, now);
        }
        if let Some(exceeded) = holding.exceeded(quotas, wanted) {
            let is_provisional = holding.is_stale(now);
            holding.is_awaited |= is_provisional;
            return Ok(Err(Exceeded { is_provisional, ..exceeded }));
        }
        Ok(Ok(Some(then(&of, &mut holding))))
    }
}

impl Wanted {
    fn certificate(is_new_device: bool, kind: EnrollmentKind) -> Self {
        Self { devices: is_new_device.into(), certificates: 1, is_renewal: kind == EnrollmentKind::Renewal }
    }
}

impl From<Exceeded> for Refusal {
    fn from(Exceeded { what, most, is_provisional }: Exceeded) -> Self {
        let reason = format!("this tenant has all the {what} that it may have, {most}; its operator can make room");
        // It passes by itself when certificates end, or when the operator is given more.
        let recounted = u32::try_from(RECOUNT.num_seconds()).unwrap_or_default();
        let seconds = if is_provisional { COUNTED_SOON } else { recounted };
        Rejection::new(RejectionCode::QuotaExceeded, "RFC 6585 4", reason).with_retry_after(seconds).into()
    }
}

impl Holdings {
    fn of(&self, tenant: &str) -> Shared {
        Arc::clone(locked(&self.0).entry(tenant.to_owned()).or_default())
    }
}

impl Counted {
    fn of(store: &dyn CertificateStore, tenant: &str, now: DateTime<Utc>) -> Result<Self, StoreFault> {
        let mut devices = 0;
        each_fact(store, &DeviceRecord::prefix(tenant), |_, _| {
            devices += 1;
            Ok(())
        })?;
        Ok(Self { devices, certificates: store.count_certificates(tenant, now)? })
    }
}

impl Holding {
    /// Whether it is to be counted, which nobody else is about then.
    fn begin_count(&mut self) -> bool {
        if self.meanwhile.is_some() || (self.counted_at.is_some() && !self.is_awaited) {
            return false;
        }
        self.is_awaited = false;
        self.meanwhile = Some(self.in_flight());
        true
    }

    /// What was counted, and what may have been missed: a little too much rather than too little.
    fn end_count(&mut self, counted: Result<Counted, StoreFault>, now: DateTime<Utc>) -> Result<(), StoreFault> {
        let missed = self.meanwhile.take().unwrap_or_else(|| self.in_flight());
        let counted = counted.inspect_err(|_| self.is_awaited = true)?;
        self.set(counted, missed, now);
        Ok(())
    }

    fn set(&mut self, counted: Counted, missed: Counted, now: DateTime<Utc>) {
        self.devices = counted.devices + missed.devices;
        self.certificates = counted.certificates + missed.certificates;
        self.counted_at = Some(now);
    }

    fn let_in(&mut self, devices: u64, certificates: u64) {
        self.devices += devices;
        self.unrecorded += devices;
        self.certificates += certificates;
        self.unsettled += certificates;
        if let Some(meanwhile) = &mut self.meanwhile {
            meanwhile.devices += devices;
            meanwhile.certificates += certificates;
        }
    }

    /// What was let in is not to come to stand in the store after all: no count has seen it, and each has it as missed.
    fn give_back(&mut self, devices: u64, certificates: u64) {
        self.devices = self.devices.saturating_sub(devices);
        self.unrecorded = self.unrecorded.saturating_sub(devices);
        self.certificates = self.certificates.saturating_sub(certificates);
        if let Some(meanwhile) = &mut self.meanwhile {
            meanwhile.devices = meanwhile.devices.saturating_sub(devices);
            meanwhile.certificates = meanwhile.certificates.saturating_sub(certificates);
        }
    }

    fn in_flight(&self) -> Counted {
        Counted { devices: self.unrecorded, certificates: self.unsettled }
    }

    /// Also when the clock was set back.
    fn is_stale(&self, now: DateTime<Utc>) -> bool {
        self.counted_at.is_none_or(|counted_at| !(TimeDelta::zero()..RECOUNT).contains(&(now - counted_at)))
    }

    fn exceeded(&self, quotas: &Quotas, wanted: Wanted) -> Option<Exceeded> {
        let over = |most: &u64, has: u64, wanted: u64| wanted > 0 && has + wanted > *most;
        if let Some(most) = quotas.devices.filter(|most| over(most, self.devices, wanted.devices)) {
            return Some(Exceeded { what: "devices", most, is_provisional: false });
        }
        let most = quotas.certificates.filter(|most| over(most, self.certificates, wanted.certificates))?;
        (!wanted.is_renewal).then_some(Exceeded { what: "certificates", most, is_provisional: false })
    }
}

impl Room {
    /// The device came first with another request, which took room for it.
    pub(super) fn without_device(&mut self) {
        locked(&self.of).give_back(self.devices, 0);
        self.devices = 0;
    }

    /// It stands in the store, though it may not be durable yet.
    pub(super) fn note_recorded(&mut self) {
        let mut holding = locked(&self.of);
        holding.unrecorded = holding.unrecorded.saturating_sub(self.devices);
        self.is_recorded = true;
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        let mut holding = locked(&self.of);
        holding.unsettled = holding.unsettled.saturating_sub(self.certificates);
        if !self.is_recorded {
            holding.give_back(self.devices, self.certificates);
        }
    }
}

/// What is kept is whole at each step: a panic elsewhere leaves it usable.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NONE: Counted = Counted { devices: 0, certificates: 0 };

    fn room(of: &Shared) -> Room {
        locked(of).let_in(1, 1);
        Room { of: Arc::clone(of), devices: 1, certificates: 1, is_recorded: false }
    }

    fn held(of: &Shared) -> (u64, u64) {
        let holding = locked(of);
        (holding.devices, holding.certificates)
    }

    #[test]
    fn what_is_let_in_while_it_is_counted_counts_unless_it_is_given_back() {
        let (of, now) = (Shared::default(), DateTime::UNIX_EPOCH);
        let (before, refused_before) = (room(&of), room(&of));
        assert!(locked(&of).begin_count());
        assert!(!locked(&of).begin_count(), "one counts");
        let (mut recorded, mut second) = (room(&of), room(&of));
        recorded.note_recorded();
        second.without_device();
        drop((refused_before, room(&of)));
        locked(&of).end_count(Ok(NONE), now).unwrap();
        assert_eq!(held(&of), (2, 3), "one of before, one recorded, and a second one of a device that is there");
        drop((before, recorded, second));
        assert_eq!(held(&of), (1, 1));
        assert!(!locked(&of).begin_count(), "nobody waits for another count");
    }

    #[test]
    fn a_count_that_failed_is_done_again() {
        let (of, now) = (Shared::default(), DateTime::UNIX_EPOCH);
        assert!(locked(&of).begin_count());
        assert!(locked(&of).end_count(Err(StoreFault::Closed), now).is_err());
        assert!(locked(&of).begin_count());
    }
}
