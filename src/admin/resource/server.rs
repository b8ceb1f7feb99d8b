//! What is of the server as a whole.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde::Serialize;
use utoipa::ToSchema;

use crate::access::ManageServer;
use crate::admin::edge::AdminEdge;
use crate::admin::extract::{Answering, ServerPermitted};
use crate::admin::problem::Problem;
use crate::admin::reload::Reloaded;

/// A configuration that took effect.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::admin) struct ConfigurationReloaded {
    /// reloaded.
    now: &'static str,
    /// Keys that differ and take a restart.
    restart: Vec<&'static str>,
    /// What an operator should look at.
    warnings: Vec<String>,
}

/// Takes over the configuration file, as SIGHUP does: all of it, or nothing and every problem is told
#[utoipa::path(post, path = "/reload", tag = "server", operation_id = "reload", responses(
    (status = 200, body = ConfigurationReloaded),
    (status = "default", description = "Refused", body = Problem, content_type = "application/problem+json"),
))]
pub(in crate::admin) async fn reload(
    State(edge): State<Arc<AdminEdge>>,
    permitted: ServerPermitted<ManageServer>,
) -> Result<Response, Problem> {
    match edge.reloads.ask().await? {
        Reloaded::Refused { problems } => Err(Problem::configuration(problems)),
        Reloaded::Done { restart, warnings } => {
            edge.record(move |ra| {
                let answer = ConfigurationReloaded { now: "reloaded", restart, warnings };
                let answer = Answering::new(StatusCode::OK, &answer)?;
                let receipt = ra.note_reload(&permitted.answering(&answer, ra)?)?;
                Ok((receipt, answer))
            })
            .await
        }
    }
}
