//! Signed checkpoints of the journal, for whoever keeps them elsewhere.

#![expect(unused_qualifications, reason = "what documents the parameters is written by a macro")]

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::access::ReadServer;
use crate::admin::edge::AdminEdge;
use crate::admin::extract::{Parameters, ServerPermitted};
use crate::admin::problem::Problem;
use crate::pki::digest::hex;
use crate::store::journal::SignedCheckpoint;

/// Checkpoints when no number is asked for, and at most.
const DEFAULT_LIMIT: u16 = 100;
const MAX_LIMIT: u16 = 1_000;

/// How many.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(default)]
pub(in crate::admin) struct CheckpointQuery {
    /// Checkpoints at most.
    #[param(minimum = 1, maximum = 1000, default = 100)]
    limit: Option<u16>,
}

/// A checkpoint: what the journal held at a time.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::admin) struct CheckpointShown {
    /// The number of the last record.
    sequence: u64,
    /// Its SHA-256, which covers all records before it.
    hash: String,
    /// When it was looked at.
    at: String,
    /// SHA-256 of the SubjectPublicKeyInfo of the key that signed.
    key: String,
    /// The signed line, as `estd journal verify --checkpoint` takes it.
    line: String,
}

/// The last checkpoints, and the key they are signed with.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::admin) struct Checkpoints {
    /// The public key, Ed25519, in PEM.
    public_key: String,
    /// The last one first.
    items: Vec<CheckpointShown>,
}

impl From<&SignedCheckpoint> for CheckpointShown {
    fn from(signed: &SignedCheckpoint) -> Self {
        let checkpoint = signed.checkpoint;
        Self {
            sequence: checkpoint.sequence,
            hash: hex(&checkpoint.hash),
            at: super::time(checkpoint.at),
            key: hex(&signed.key),
            line: signed.to_string(),
        }
    }
}

/// Signed checkpoints of the journal, the last one first
#[utoipa::path(get, path = "/checkpoints", tag = "events", operation_id = "listCheckpoints", params(CheckpointQuery),
    responses(
        (status = 200, body = Checkpoints),
        (status = "default", description = "Refused", body = Problem, content_type = "application/problem+json"),
    )
)]
pub(in crate::admin) async fn list_checkpoints(
    State(edge): State<Arc<AdminEdge>>,
    ServerPermitted { grant: _, .. }: ServerPermitted<ReadServer>,
    Parameters(query): Parameters<CheckpointQuery>,
) -> Result<Json<Checkpoints>, Problem> {
    let limit = query.limit.unwrap_or(DEFAULT_LIMIT);
    if !(1..=MAX_LIMIT).contains(&limit) {
        return Err(Problem::bad_request(format!("limit is 1 to {MAX_LIMIT}, {limit} came")));
    }
    let log = edge.checkpoints.log.clone();
    let found = edge.on_store(move |_| log.last(limit.into())).await?.map_err(|error| {
        tracing::error!(%error, "the checkpoints cannot be read");
        Problem::internal()
    })?;
    let items = found.iter().map(CheckpointShown::from).collect();
    Ok(Json(Checkpoints { public_key: edge.checkpoints.public_key.clone(), items }))
}
