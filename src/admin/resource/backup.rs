//! Backups, made while the server serves.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::http::HeaderValue;
use axum::http::header::{CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_TYPE};
use axum::response::Response;

use crate::access::ManageServer;
use crate::admin::edge::AdminEdge;
use crate::admin::extract::ServerPermitted;
use crate::admin::problem::Problem;
use crate::backup::{Archive, BackupError};
use crate::http::WrittenBody;

const MEDIA_TYPE: &str = "application/x-tar";

/// Makes a backup: the journal up to now and the files of the configuration, without private keys, as one tar archive
#[utoipa::path(post, path = "/backup", tag = "server", operation_id = "makeBackup",
    description = "One at a time. An Idempotency-Key is refused: what is streamed is not kept to be answered again.",
    responses(
        (status = 200, description = "The backup", content((String = "application/x-tar"))),
        (status = "default", description = "Refused", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(in crate::admin) async fn make_backup(
    State(edge): State<Arc<AdminEdge>>,
    permitted: ServerPermitted<ManageServer>,
) -> Result<Response, Problem> {
    let grant = permitted.unkeyed()?;
    let underway = Arc::clone(&edge.backups).try_acquire_owned();
    let underway = underway.map_err(|_| Problem::conflict("another backup is being made"))?;
    // It says of itself who made it.
    edge.on_store(move |ra| ra.note_backup(&grant)).await??.await?;
    let (origin, store) = (edge.settings.load().origin.clone(), Arc::clone(&edge.store));
    let archive = edge.on_store(move |ra| Archive::of(&origin, store.snapshot(), ra.ports().clock.now())).await??;
    let name = format!("estd-{}.tar", archive.manifest().made_at.format("%Y%m%dT%H%M%SZ"));
    let body = WrittenBody::new(archive.octets(), move |out| {
        let _underway = underway;
        let written = archive.write_to(out);
        if let Err(error) = &written {
            tracing::warn!(%error, "a backup was not finished");
        }
        written
    });
    let mut response = Response::new(Body::new(body));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(MEDIA_TYPE));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    let disposition = HeaderValue::from_str(&format!("attachment; filename=\"{name}\""));
    headers.extend(disposition.map(|value| (CONTENT_DISPOSITION, value)));
    Ok(response)
}

impl From<BackupError> for Problem {
    fn from(error: BackupError) -> Self {
        // Most likely a file was moved since the configuration was read: whoever asked can put it right.
        tracing::error!(%error, "a backup was not made");
        Self::conflict(error.to_string())
    }
}
