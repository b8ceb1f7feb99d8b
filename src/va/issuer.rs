//! One CA's lists: made when they are due or no longer true, numbered once, and held ready.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use chrono::{DateTime, SubsecRound as _, TimeDelta, Utc};

use super::answers::Answers;
use super::ledger::Ledger;
use super::published::{ListContents, Published};
use super::responder::Responder;
use super::{Ports, StatusFault};
use crate::audit::{AuditEvent, AuditOutcome};
use crate::ca::{CertificateAuthority, CrlContents, Publication, Resource};
use crate::pki::cert_id::IssuerDigests;
use crate::pki::shard::{SerialPlace, Shard};
use crate::store::crl::{CrlBase, CrlHistory};

/// A CA that publishes.
pub struct Issuer {
    authority: Arc<CertificateAuthority>,
    publication: Publication,
    ledger: Mutex<Ledger>,
    schedule: Mutex<Schedule>,
    lists: RwLock<BTreeMap<Resource, Arc<Published>>>,
    certificate: Arc<Published>,
    pub(super) digests: IssuerDigests,
    pub(super) responder: Responder,
    pub(super) answers: Answers,
}

/// When lists were made, and which must be made again.
#[derive(Debug, Clone, Default)]
struct Schedule {
    /// The last ones of the schedule.
    scheduled: Option<DateTime<Utc>>,
    /// The last ones, all of them.
    refreshed: Option<DateTime<Utc>>,
    /// Where certificates changed since.
    changed: Vec<SerialPlace>,
}

/// Which lists are to be made now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Due {
    /// All, as the schedule has it.
    Scheduled,
    /// All, as the delta CRLs end.
    Refresh,
    /// Those that are no longer true.
    Changed,
}

/// What looking after a CA came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tended {
    /// Nothing was due.
    Idle,
    /// Lists were made.
    Published {
        /// Their number.
        number: u64,
        /// How many, delta CRLs not counted.
        lists: usize,
        /// Certificates that are revoked.
        entries: usize,
    },
}

impl Issuer {
    pub(super) fn new(authority: Arc<CertificateAuthority>, publication: Publication) -> Self {
        let since = authority.certificate().validity().not_before;
        Self {
            answers: Answers::holding(publication.rules.ocsp_held_answers),
            publication,
            ledger: Mutex::default(),
            schedule: Mutex::default(),
            lists: RwLock::default(),
            digests: IssuerDigests::of(authority.certificate()),
            responder: Responder::default(),
            certificate: Arc::new(Published::new(authority.certificate().der().to_vec(), since, None)),
            authority,
        }
    }

    /// Whether it is the one for this CA that publishes so.
    pub(super) fn is_of(&self, authority: &CertificateAuthority, publication: &Publication) -> bool {
        self.publication == *publication && *self.certificate.der == *authority.certificate().der()
    }

    /// `tenant/authority`
    pub fn name(&self) -> &str {
        &self.publication.name
    }

    /// The CA.
    pub fn authority(&self) -> &CertificateAuthority {
        &self.authority
    }

    /// How and where it publishes.
    pub fn publication(&self) -> &Publication {
        &self.publication
    }

    /// A document, when there is one.
    pub fn document(&self, resource: Resource) -> Option<Arc<Published>> {
        match resource {
            Resource::Certificate => Some(Arc::clone(&self.certificate)),
            Resource::Crl(_) | Resource::Delta(_) => {
                self.lists.read().unwrap_or_else(PoisonError::into_inner).get(&resource).cloned()
            }
            Resource::Ocsp => None,
        }
    }

    /// Every list that is held ready.
    pub fn lists(&self) -> Vec<(Resource, Arc<Published>)> {
        let lists = self.lists.read().unwrap_or_else(PoisonError::into_inner);
        lists.iter().map(|(resource, list)| (*resource, Arc::clone(list))).collect()
    }

    /// Makes the lists that are due now or no longer true. Blocks: it waits for the disk, and signs.
    ///
    /// # Errors
    /// When the store or the signer fails; the lists that were there stay, and it is tried again the next time.
    pub fn tend(&self, ports: &Ports) -> Result<Tended, StatusFault> {
        if !self.authority.may_sign_crls() {
            return Ok(Tended::Idle);
        }
        let mut schedule = locked(&self.schedule);
        let mut ledger = locked(&self.ledger);
        ledger.follow(ports.store.as_ref(), &self.authority.issuer_id(), &mut schedule.changed)?;
        let now = ports.clock.now();
        let Some(due) = self.due(&schedule, now) else { return Ok(Tended::Idle) };
        let tended = self.publish(due, &schedule.changed, &mut ledger, now, ports)?;
        schedule.changed.clear();
        match due {
            Due::Scheduled => (schedule.scheduled, schedule.refreshed) = (Some(now), Some(now)),
            Due::Refresh => schedule.refreshed = Some(now),
            Due::Changed => {}
        }
        Ok(tended)
    }

    fn due(&self, schedule: &Schedule, now: DateTime<Utc>) -> Option<Due> {
        let rules = &self.publication.rules;
        // A clock that was set back must not leave lists that are valid in the future alone.
        let over =
            |last: Option<DateTime<Utc>>, life: TimeDelta| last.is_none_or(|last| now < last || now - last >= life);
        if over(schedule.scheduled, rules.crl_lifetime - rules.crl_overlap) {
            return Some(Due::Scheduled);
        }
        // Twice in the life of a delta CRL: whoever fetches one has half of it left.
        if rules.delta_lifetime.is_some_and(|life| over(schedule.refreshed, life / 2)) {
            return Some(Due::Refresh);
        }
        (!schedule.changed.is_empty()).then_some(Due::Changed)
    }

    fn publish(
        &self,
        due: Due,
        changed: &[SerialPlace],
        ledger: &mut Ledger,
        now: DateTime<Utc>,
        ports: &Ports,
    ) -> Result<Tended, StatusFault> {
        let (store, issuer) = (ports.store.as_ref(), self.authority.issuer_id());
        let rules = &self.publication.rules;
        let _held = store.hold(&CrlHistory::key(&issuer));
        let mut history = CrlHistory::of(store, &issuer)?;
        let number = history.next_number(now);
        if rules.crl_shards > 1 && !history.splits.contains(&rules.crl_shards) {
            history.splits.push(rules.crl_shards);
        }
        let this_update = now.trunc_subsecs(0);
        let last = history.bases.last().copied();
        if due == Due::Scheduled {
            let base = CrlBase { number, sequence: ledger.seen(), at: this_update };
            history.note_base(base, now - rules.crl_lifetime);
        }
        let base = history.bases.first().copied();
        ledger.trim(last.as_ref(), base.as_ref());

        let all = std::iter::once(Shard::COMPLETE).chain(history.splits.iter().flat_map(|of| Shard::all(*of)));
        let is_due = |shard: &Shard| match due {
            Due::Scheduled | Due::Refresh => true,
            Due::Changed => changed.iter().any(|place| Shard::holding(*place, shard.of()) == *shard),
        };
        let shards: Vec<Shard> = all.filter(is_due).collect();
        // RFC 5280 §5.2.3: the number is used up before anything is signed with it, so that a crash in between cannot lead
        // to a second list of the same number.
        let event = self.event(number, shards.len(), now);
        store.record_facts(vec![history.to_fact(&issuer)], event)?.wait()?;

        let mut made = Vec::new();
        for shard in &shards {
            let list = Made { shard: *shard, number, this_update, base: base.as_ref() };
            made.extend(self.sign(&list, ledger)?);
        }
        self.lists.write().unwrap_or_else(PoisonError::into_inner).extend(made);
        Ok(Tended::Published { number, lists: shards.len(), entries: ledger.len() })
    }

    /// The list of a part, and its delta CRL of the same number when there are any.
    fn sign(&self, list: &Made<'_>, ledger: &Ledger) -> Result<Vec<(Resource, Arc<Published>)>, StatusFault> {
        let rules = &self.publication.rules;
        let full = Resource::Crl(list.shard);
        let delta = Resource::Delta(list.shard);
        let url = self.publication.url(full).filter(|_| !list.shard.is_complete());
        let delta_url = self.publication.url(delta).filter(|_| rules.delta_lifetime.is_some());
        let contents = CrlContents {
            number: list.number,
            this_update: list.this_update,
            next_update: list.this_update + rules.crl_lifetime,
            entries: &ledger.entries(list.shard),
            base: None,
            part_at: url.as_deref(),
            delta_at: delta_url.as_deref(),
        };
        let signed = |contents: &CrlContents<'_>| {
            let der = self.authority.sign_crl(contents)?;
            let list = ListContents { number: contents.number, entries: contents.entries.len() };
            let published = Published::new(der, contents.this_update, Some(contents.next_update));
            Ok::<_, StatusFault>(Arc::new(published.of_list(list)))
        };
        let mut made = vec![(full, signed(&contents)?)];
        if let (Some(life), Some(base)) = (rules.delta_lifetime, list.base) {
            let contents = CrlContents {
                next_update: list.this_update + life,
                entries: &ledger.changes(list.shard, base.sequence),
                base: Some(base.number),
                ..contents
            };
            made.push((delta, signed(&contents)?));
        }
        Ok(made)
    }

    fn event(&self, number: u64, lists: usize, at: DateTime<Utc>) -> AuditEvent {
        let (tenant, name) = self.name().split_once('/').unwrap_or((self.name(), ""));
        let outcome = AuditOutcome::Changed { what: format!("{lists} lists of {name} with number {number}") };
        AuditEvent { tenant: tenant.to_owned(), ..AuditEvent::of_server(at, "crl", outcome) }
    }
}

/// A list to be made.
struct Made<'a> {
    shard: Shard,
    number: u64,
    this_update: DateTime<Utc>,
    base: Option<&'a CrlBase>,
}

/// Every critical section leaves its data whole at each step, also when a thread panicked in one.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
