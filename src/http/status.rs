//! Health and metrics for operators, over plain HTTP on a listener of their own.

use std::sync::Arc;

use hyper::body::Incoming;
use hyper::{Method, Request, StatusCode};
use tokio::io::{AsyncRead, AsyncWrite};

use super::connection::{HttpLimits, drive};
use super::metrics::{self, Metrics};
use super::reply::{self, Reply};
use crate::est::{Rejection, RejectionCode};

/// What the status listener shows.
pub struct StatusEdge {
    metrics: Arc<Metrics>,
    healthy: Box<dyn Fn() -> bool + Send + Sync>,
    ready: Box<dyn Fn() -> Vec<String> + Send + Sync>,
}

impl StatusEdge {
    /// `healthy` is asked on each `/healthz`: does the store take records? `ready` on each `/readyz`: why should nobody be sent
    /// here?
    pub fn new(
        metrics: Arc<Metrics>,
        healthy: impl Fn() -> bool + Send + Sync + 'static,
        ready: impl Fn() -> Vec<String> + Send + Sync + 'static,
    ) -> Self {
        Self { metrics, healthy: Box::new(healthy), ready: Box::new(ready) }
    }

    fn answer(&self, request: &Request<Incoming>) -> Reply {
        if request.method() != Method::GET && request.method() != Method::HEAD {
            let reason = "the status pages take GET and HEAD";
            return reply::refusal(
                &Rejection::new(RejectionCode::MethodNotAllowed, "RFC 9110 15.5.6", reason),
                None,
                None,
            );
        }
        match request.uri().path() {
            "/healthz" if (self.healthy)() => reply::text(StatusCode::OK, "ok\n"),
            "/healthz" => reply::text(StatusCode::SERVICE_UNAVAILABLE, "unavailable\n"),
            "/readyz" => match (self.ready)().as_slice() {
                [] => reply::text(StatusCode::OK, "ready\n"),
                reasons => reply::text(StatusCode::SERVICE_UNAVAILABLE, &format!("{}\n", reasons.join("; "))),
            },
            "/metrics" => match self.metrics.render() {
                Ok(page) => reply::with_body(StatusCode::OK, metrics::CONTENT_TYPE, page.into_bytes()),
                Err(error) => {
                    tracing::error!(%error, "metrics cannot be written");
                    reply::text(StatusCode::INTERNAL_SERVER_ERROR, "unavailable\n")
                }
            },
            _ => {
                let reason = "no such page, expected /healthz, /readyz or /metrics";
                reply::refusal(&Rejection::new(RejectionCode::NotFound, "RFC 9110 15.5.5", reason), None, None)
            }
        }
    }
}

/// Serves `/healthz`, `/readyz` and `/metrics` on a connection until it closes.
pub async fn serve_status_connection<Io>(io: Io, edge: Arc<StatusEdge>, shutdown: impl Future<Output = ()>)
where
    Io: AsyncRead + AsyncWrite + Unpin,
{
    drive(io, HttpLimits::default(), shutdown, move |request, refused| {
        let reply = match refused {
            Some(rejection) => reply::refusal(&rejection, None, None),
            None => edge.answer(&request),
        };
        std::future::ready(reply)
    })
    .await;
}
