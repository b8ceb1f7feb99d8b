//! What operators look up: devices, certificates, requests that wait and events, a page at a time.
//!
//! A page is bounded by what it shows and by what is looked at for it: a filter that fits little costs no more than one
//! that fits much, and the page says where to go on.

use std::collections::BTreeSet;
use std::sync::Arc;

use chrono::{DateTime, Utc};

use super::RegistrationAuthority;
use crate::access::{Grant, ReadRegistry, ReadServer, ServerGrant};
use crate::store::approval::PendingRequest;
use crate::store::device::{DeviceRecord, DeviceState};
use crate::store::{
    CertificateId, CertificateRecord, CertificateStatus, Direction, ExpiryPlace, FactKey, LoggedEvent, RequestKey,
    Span, StoreFault,
};

/// Most rows that are looked at for one page.
pub const MAX_LOOKED_AT: usize = 2_000;

/// Rows read at once.
const CHUNK: usize = 200;

/// Part of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page<Row, Place> {
    /// What fits, in order.
    pub rows: Vec<Row>,
    /// Where to go on; `None` at the end. There may be nothing more.
    pub next: Option<Place>,
}

/// Which devices; an empty filter fits all.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DeviceFilter {
    /// Ids that begin with it, whatever the case.
    pub prefix: String,
    /// In this state.
    pub state: Option<DeviceState>,
    /// With this tag.
    pub tag: Option<String>,
}

/// Which certificates; an empty filter fits all.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CertificateFilter {
    /// Issued at this label.
    pub label: Option<String>,
    /// Over this key: SHA-256 of its SubjectPublicKeyInfo.
    pub spki_sha256: Option<[u8; 32]>,
    /// Of devices whose ids contain it, whatever the case.
    pub device: Option<String>,
    /// Revoked, or not.
    pub revoked: Option<bool>,
    /// That end after it.
    pub ends_after: Option<DateTime<Utc>>,
    /// That end before it.
    pub ends_before: Option<DateTime<Utc>>,
}

/// Which events; an empty filter fits all.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EventFilter {
    /// Of this kind, as [`OutcomeEntry::kind`](crate::store::event::OutcomeEntry::kind) has it.
    pub kind: Option<String>,
    /// Refusals with this code.
    pub code: Option<String>,
    /// At this label.
    pub label: Option<String>,
    /// Of this operator.
    pub actor: Option<String>,
    /// Of the request with this id.
    pub request: Option<String>,
    /// Not earlier.
    pub since: Option<DateTime<Utc>>,
    /// Earlier.
    pub until: Option<DateTime<Utc>>,
}

/// A certificate with its standing.
#[derive(Debug, Clone)]
pub struct StandingCertificate {
    /// As it was issued.
    pub record: Arc<CertificateRecord>,
    /// Revoked, or not.
    pub status: CertificateStatus,
}

impl DeviceFilter {
    fn fits(&self, device: &DeviceRecord) -> bool {
        self.state.is_none_or(|state| device.state == state)
            && self.tag.as_ref().is_none_or(|tag| device.tags.contains(tag))
    }
}

impl CertificateFilter {
    fn span(&self) -> Span<ExpiryPlace> {
        Span { after: self.ends_after.map(ExpiryPlace::first_at), before: self.ends_before.map(ExpiryPlace::first_at) }
    }

    fn fits(&self, record: &CertificateRecord) -> bool {
        let contains = |part: &String| record.device.to_lowercase().contains(&part.to_lowercase());
        self.label.as_ref().is_none_or(|label| record.label == *label)
            && self.spki_sha256.is_none_or(|key| record.spki_sha256 == key)
            && self.device.as_ref().is_none_or(contains)
    }
}

impl EventFilter {
    fn fits(&self, logged: &LoggedEvent) -> bool {
        let event = &logged.event;
        self.kind.as_ref().is_none_or(|kind| event.outcome.kind() == kind)
            && self.code.as_ref().is_none_or(|code| event.outcome.code() == Some(code))
            && self.label.as_ref().is_none_or(|label| event.label == label.as_str())
            && self.actor.as_ref().is_none_or(|actor| event.actor.as_deref() == Some(actor))
            && self.request.as_ref().is_none_or(|request| event.request_id == request.as_str())
            && self.since.is_none_or(|since| event.at >= since)
            && self.until.is_none_or(|until| event.at < until)
    }
}

impl RegistrationAuthority {
    /// A device.
    ///
    /// # Errors
    /// When the store cannot tell.
    pub fn device(&self, grant: &Grant<ReadRegistry>, id: &str) -> Result<Option<DeviceRecord>, StoreFault> {
        DeviceRecord::find(self.ports.store.as_ref(), grant.tenant(), id)
    }

    /// Devices in the order of their ids, from after the one at `after`.
    ///
    /// # Errors
    /// When the store cannot tell.
    pub fn devices(
        &self,
        grant: &Grant<ReadRegistry>,
        filter: &DeviceFilter,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Page<DeviceRecord, String>, StoreFault> {
        let (store, tenant) = (self.ports.store.as_ref(), grant.tenant());
        let prefix = DeviceRecord::key(tenant, &filter.prefix);
        let read = |after: Option<&String>, limit| {
            let after = after.map(|id| DeviceRecord::key(tenant, id));
            let rows = store.facts(&prefix, after.as_ref(), limit)?;
            let device = |(_, value): (FactKey, Vec<u8>)| DeviceRecord::decode(&value);
            rows.into_iter().map(|row| device(row).map(|device| (device.id.clone(), device))).collect()
        };
        page(after.map(str::to_owned), limit, read, |device| Ok(filter.fits(device).then_some(device.clone())))
    }

    /// Requests that wait or were decided and did not come again, in the order of their keys.
    ///
    /// # Errors
    /// When the store cannot tell.
    pub fn requests(
        &self,
        grant: &Grant<ReadRegistry>,
        after: Option<RequestKey>,
        limit: usize,
    ) -> Result<Page<PendingRequest, RequestKey>, StoreFault> {
        let (store, tenant) = (self.ports.store.as_ref(), grant.tenant());
        let read = |after: Option<&RequestKey>, limit| {
            let after = after.map(|request| PendingRequest::key(tenant, request));
            let rows = store.facts(&PendingRequest::prefix(tenant), after.as_ref(), limit)?;
            let decoded = |(_, value): (FactKey, Vec<u8>)| PendingRequest::decode(&value);
            rows.into_iter().map(|row| decoded(row).map(|request| (request.request, request))).collect()
        };
        page(after, limit, read, |request| Ok(Some(request.clone())))
    }

    /// A request that waits or was decided and did not come again.
    ///
    /// # Errors
    /// When the store cannot tell.
    pub fn request(
        &self,
        grant: &Grant<ReadRegistry>,
        request: &RequestKey,
    ) -> Result<Option<PendingRequest>, StoreFault> {
        PendingRequest::find(self.ports.store.as_ref(), grant.tenant(), request)
    }

    /// Certificates in the order in which they end.
    ///
    /// # Errors
    /// When the store cannot tell.
    pub fn certificates(
        &self,
        grant: &Grant<ReadRegistry>,
        filter: &CertificateFilter,
        after: Option<ExpiryPlace>,
        limit: usize,
    ) -> Result<Page<StandingCertificate, ExpiryPlace>, StoreFault> {
        let store = self.ports.store.as_ref();
        let span = filter.span();
        let read = |after: Option<&ExpiryPlace>, limit| {
            let span = Span { after: after.copied().or(span.after), before: span.before };
            store.certificates(grant.tenant(), &span, Direction::Ascending, limit)
        };
        page(after, limit, read, |record| {
            if !filter.fits(record) {
                return Ok(None);
            }
            let shown = self.standing(Arc::clone(record))?;
            let revoked = matches!(shown.status, CertificateStatus::Revoked(_));
            Ok(filter.revoked.is_none_or(|wanted| wanted == revoked).then_some(shown))
        })
    }

    /// The certificates with a serial number, its content octets, of whichever of the tenant's authorities.
    ///
    /// # Errors
    /// When the store cannot tell.
    pub fn certificates_by_serial(
        &self,
        grant: &Grant<ReadRegistry>,
        serial: &[u8],
    ) -> Result<Vec<StandingCertificate>, StoreFault> {
        let labels = self.labels().filter(|label| label.tenant == grant.tenant());
        let issuers: BTreeSet<_> = labels.flat_map(|label| label.authorities().map(|ca| ca.issuer_id())).collect();
        let mut found = Vec::new();
        for issuer in issuers {
            found.extend(self.certificate(grant, &CertificateId { issuer, serial: serial.to_vec() })?);
        }
        Ok(found)
    }

    /// A certificate.
    ///
    /// # Errors
    /// When the store cannot tell.
    pub fn certificate(
        &self,
        grant: &Grant<ReadRegistry>,
        id: &CertificateId,
    ) -> Result<Option<StandingCertificate>, StoreFault> {
        let record = self.ports.store.certificate(id)?.filter(|record| record.tenant == grant.tenant());
        record.map(|record| self.standing(record)).transpose()
    }

    fn standing(&self, record: Arc<CertificateRecord>) -> Result<StandingCertificate, StoreFault> {
        let status = self.ports.store.status(&record.id)?;
        Ok(StandingCertificate { record, status })
    }

    /// What happened to a device, the last first.
    ///
    /// # Errors
    /// When the store cannot tell.
    pub fn timeline(
        &self,
        grant: &Grant<ReadRegistry>,
        device: &str,
        before: Option<u64>,
        limit: usize,
    ) -> Result<Page<LoggedEvent, u64>, StoreFault> {
        let read = |before: Option<&u64>, limit| {
            let span = Span { after: None, before: before.copied() };
            let events = self.ports.store.device_events(grant.tenant(), device, &span, Direction::Descending, limit)?;
            Ok(events.into_iter().map(|logged| (logged.sequence, logged)).collect())
        };
        page(before, limit, read, |logged| Ok(Some(logged.clone())))
    }

    /// What happened to a tenant, the last first.
    ///
    /// # Errors
    /// When the store cannot tell.
    pub fn tenant_events(
        &self,
        grant: &Grant<ReadRegistry>,
        filter: &EventFilter,
        place: Option<u64>,
        direction: Direction,
        limit: usize,
    ) -> Result<Page<LoggedEvent, u64>, StoreFault> {
        self.find_events(place, direction, limit, |logged| logged.event.tenant == grant.tenant() && filter.fits(logged))
    }

    /// What happened, to whichever tenant and to the server.
    ///
    /// # Errors
    /// When the store cannot tell.
    pub fn server_events(
        &self,
        _grant: &ServerGrant<ReadServer>,
        filter: &EventFilter,
        place: Option<u64>,
        direction: Direction,
        limit: usize,
    ) -> Result<Page<LoggedEvent, u64>, StoreFault> {
        self.find_events(place, direction, limit, |logged| filter.fits(logged))
    }

    fn find_events(
        &self,
        place: Option<u64>,
        direction: Direction,
        limit: usize,
        fits: impl Fn(&LoggedEvent) -> bool,
    ) -> Result<Page<LoggedEvent, u64>, StoreFault> {
        let read = |place: Option<&u64>, limit| {
            let span = place.map_or(Span::all(), |place| Span::beyond(*place, direction));
            let events = self.ports.store.events(&span, direction, limit)?;
            Ok(events.into_iter().map(|logged| (logged.sequence, logged)).collect())
        };
        page(place, limit, read, |logged| Ok(fits(logged).then(|| logged.clone())))
    }
}

/// Reads on from `place` until `limit` rows fit, [`MAX_LOOKED_AT`] were looked at, or there are no more. `read` gets the
/// place of the row before and how many rows to read at most.
pub(super) fn page<Row, Shown, Place>(
    place: Option<Place>,
    limit: usize,
    read: impl Fn(Option<&Place>, usize) -> Result<Vec<(Place, Row)>, StoreFault>,
    shown: impl Fn(&Row) -> Result<Option<Shown>, StoreFault>,
) -> Result<Page<Shown, Place>, StoreFault> {
    let mut rows = Vec::new();
    let (mut place, mut looked_at) = (place, 0);
    loop {
        let chunk = CHUNK.min(limit.max(1)).min(MAX_LOOKED_AT - looked_at);
        let read = read(place.as_ref(), chunk)?;
        let at_end = read.len() < chunk;
        looked_at += read.len();
        let mut read = read.into_iter();
        while let Some((at, row)) = read.next() {
            place = Some(at);
            rows.extend(shown(&row)?);
            if rows.len() == limit {
                let more = !at_end || read.len() > 0;
                return Ok(Page { rows, next: place.filter(|_| more) });
            }
        }
        if at_end {
            return Ok(Page { rows, next: None });
        }
        if looked_at == MAX_LOOKED_AT {
            return Ok(Page { rows, next: place });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(count: usize, limit: usize, place: Option<usize>, fits: fn(usize) -> bool) -> Page<usize, usize> {
        let read = |after: Option<&usize>, limit| {
            let from = after.map_or(0, |after| after + 1);
            Ok((from..count).take(limit).map(|number| (number, number)).collect())
        };
        page(place, limit, read, |number| Ok(fits(*number).then_some(*number))).unwrap()
    }

    #[test]
    fn pages_follow_on_each_other_without_gap_or_repetition() {
        for limit in [1, 7, 199, 200, 201, 1000] {
            let (mut seen, mut place) = (Vec::new(), None);
            loop {
                let page = numbers(1000, limit, place, |number| number % 3 == 0);
                assert!(page.rows.len() <= limit);
                seen.extend(page.rows);
                place = page.next;
                if place.is_none() {
                    break;
                }
            }
            assert_eq!(seen, (0..1000).filter(|number| number % 3 == 0).collect::<Vec<_>>(), "{limit}");
        }
    }

    #[test]
    fn a_filter_that_fits_nothing_ends_at_the_budget_and_says_where_to_go_on() {
        let page = numbers(MAX_LOOKED_AT * 2, 200, None, |_| false);
        assert_eq!(page, Page { rows: Vec::new(), next: Some(MAX_LOOKED_AT - 1) });
        assert_eq!(numbers(MAX_LOOKED_AT, 200, page.next, |_| false).next, None);
    }

    #[test]
    fn the_last_page_says_that_it_is_the_last() {
        assert_eq!(numbers(10, 20, None, |_| true).next, None);
        assert_eq!(numbers(10, 10, Some(4), |_| true).next, None);
    }
}
