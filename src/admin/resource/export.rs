//! The audit trail as a stream, for archives and for SIEMs.

#![expect(unused_qualifications, reason = "what documents the parameters is written by a macro")]

use std::sync::Arc;

use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderName, HeaderValue};
use axum::response::{IntoResponse as _, Response};
use chrono::{DateTime, Utc};
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};

use crate::access::{ReadRegistry, ReadServer};
use crate::admin::edge::AdminEdge;
use crate::admin::extract::{Parameters, Permitted, ServerPermitted};
use crate::admin::problem::Problem;
use crate::admin::stream::{self, Broken, Pieces};
use crate::ra::{EventFilter, Page, RegistrationAuthority};
use crate::store::{Direction, LoggedEvent, Span, StoreFault};
use crate::trail::{Event, Format};

/// Events read for one piece of the stream.
const PIECE: usize = 500;

/// Tells the last record that was looked at, to go on from with `after`.
const LAST: HeaderName = HeaderName::from_static("x-last-sequence");

/// Which events, and how.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(default)]
pub(in crate::admin) struct ExportQuery {
    /// How each event is written.
    format: FormatName,
    /// Only what comes after this sequence number.
    #[param(minimum = 0)]
    after: Option<i64>,
    /// Not earlier.
    #[param(value_type = Option<String>, format = DateTime)]
    since: Option<DateTime<Utc>>,
    /// Earlier.
    #[param(value_type = Option<String>, format = DateTime)]
    until: Option<DateTime<Utc>>,
    /// issued, repeated, refused, deferred, failed, revoked, released, changed or alarm.
    kind: Option<String>,
    /// Of this operator.
    actor: Option<String>,
}

/// How events are written: NDJSON, CEF, or syslog (RFC 5424) in lines or with the octets counted (RFC 6587 section 3.4.1).
#[derive(Debug, Clone, Copy, Default, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub(in crate::admin) enum FormatName {
    #[default]
    Ndjson,
    Cef,
    Syslog,
    SyslogCounted,
}

impl From<FormatName> for Format {
    fn from(name: FormatName) -> Self {
        match name {
            FormatName::Ndjson => Self::Ndjson,
            FormatName::Cef => Self::Cef,
            FormatName::Syslog => Self::Syslog,
            FormatName::SyslogCounted => Self::SyslogCounted,
        }
    }
}

/// The audit trail of the whole server, the first event first, as far as it goes now
#[utoipa::path(get, path = "/events/export", tag = "events", operation_id = "exportEvents", params(ExportQuery), responses(
    (status = 200, description = "Events, as `format` has them", content(
        (String = "application/x-ndjson"), (String = "text/plain"), (String = "application/octet-stream"),
    ), headers(("X-Last-Sequence" = u64, description = "The last record that was looked at"))),
    (status = "default", description = "Refused", body = Problem, content_type = "application/problem+json"),
))]
pub(in crate::admin) async fn export_events(
    State(edge): State<Arc<AdminEdge>>,
    ServerPermitted { grant, .. }: ServerPermitted<ReadServer>,
    Parameters(query): Parameters<ExportQuery>,
) -> Result<Response, Problem> {
    export(edge, query, move |ra, filter, place| ra.server_events(&grant, filter, place, Direction::Ascending, PIECE))
        .await
}

/// The audit trail of a tenant, the first event first, as far as it goes now
#[utoipa::path(get, path = "/tenants/{tenant}/events/export", tag = "events", operation_id = "exportTenantEvents",
    params(("tenant" = String, Path, description = "Tenant"), ExportQuery),
    responses(
        (status = 200, description = "Events, as `format` has them", content(
        (String = "application/x-ndjson"), (String = "text/plain"), (String = "application/octet-stream"),
    ), headers(("X-Last-Sequence" = u64, description = "The last record that was looked at"))),
        (status = "default", description = "Refused", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(in crate::admin) async fn export_tenant_events(
    State(edge): State<Arc<AdminEdge>>,
    Permitted { grant, .. }: Permitted<ReadRegistry>,
    Parameters(query): Parameters<ExportQuery>,
) -> Result<Response, Problem> {
    export(edge, query, move |ra, filter, place| ra.tenant_events(&grant, filter, place, Direction::Ascending, PIECE))
        .await
}

/// Reads a page of the trail.
trait Read:
    Fn(&RegistrationAuthority, &EventFilter, Option<u64>) -> Result<Page<LoggedEvent, u64>, StoreFault>
    + Send
    + Sync
    + 'static
{
}

impl<F> Read for F where
    F: Fn(&RegistrationAuthority, &EventFilter, Option<u64>) -> Result<Page<LoggedEvent, u64>, StoreFault>
        + Send
        + Sync
        + 'static
{
}

async fn export(edge: Arc<AdminEdge>, query: ExportQuery, read: impl Read) -> Result<Response, Problem> {
    let ExportQuery { format, after, since, until, kind, actor } = query;
    let after = after.map(u64::try_from).transpose();
    let after = after.map_err(|_| Problem::bad_request("after is the sequence number of an event"))?;
    // What happens from here on is for the next export: a busy server would never come to an end.
    let newest = edge.on_store(|ra| ra.ports().store.events(&Span::all(), Direction::Descending, 1)).await??;
    let last = newest.first().map_or(0, |logged| logged.sequence);
    let (pieces, body) = stream::body();
    let (format, filter) = (Format::from(format), EventFilter { kind, actor, since, until, ..EventFilter::default() });
    let export = Export { edge, format, filter: Arc::new(filter), last };
    tokio::spawn(export.run(after, Arc::new(read), pieces));
    let mut response = body.into_response();
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(format.media_type()));
    response.headers_mut().insert(LAST, HeaderValue::from(last));
    Ok(response)
}

/// An export under way.
struct Export {
    edge: Arc<AdminEdge>,
    format: Format,
    filter: Arc<EventFilter>,
    /// The last record that is of it.
    last: u64,
}

impl Export {
    /// Reads on and sends, until all is sent or nobody takes it any more.
    async fn run(self, mut place: Option<u64>, read: Arc<impl Read>, pieces: Pieces) {
        while place.is_none_or(|place| place < self.last) {
            let (filter, read) = (Arc::clone(&self.filter), Arc::clone(&read));
            let found = self.edge.on_store(move |ra| read(ra, &filter, place)).await;
            let piece = match found.and_then(|found| found.map_err(Problem::from)) {
                Ok(found) => {
                    place = Some(found.next.unwrap_or(self.last));
                    self.written(&found.rows)
                }
                // The store has told the log.
                Err(_) => Err(Broken),
            };
            let failed = piece.is_err();
            let nothing = piece.as_ref().is_ok_and(Vec::is_empty);
            if (!nothing && pieces.send(piece.map(Into::into)).await.is_err()) || failed {
                return;
            }
        }
    }

    fn written(&self, rows: &[LoggedEvent]) -> Result<Vec<u8>, Broken> {
        let mut piece = Vec::new();
        for logged in rows.iter().filter(|logged| logged.sequence <= self.last) {
            self.format.write(&Event::from(logged), &mut piece).map_err(|error| {
                tracing::error!(%error, sequence = logged.sequence, "an event cannot be written");
                Broken
            })?;
        }
        Ok(piece)
    }
}
