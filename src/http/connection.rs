//! One connection, from its first request to its close.

use std::convert::Infallible;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use hyper::body::{Body, Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::Semaphore;
use tokio::time::Instant;

use super::exchange::Exchange;
use super::guard::{Guard, Refused};
use super::line::Line;
use super::metrics::Metrics;
use super::request_id::RequestIds;
use crate::est::Rejection;
use crate::ra::{PeerSession, RegistrationAuthority};

/// Limits of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HttpLimits {
    /// Largest request body, in octets: 413 above.
    pub max_body: usize,
    /// Largest request head, in octets: 431 above.
    pub max_header: usize,
    /// For a request head, from its first octet: closed after it.
    pub header_timeout: Duration,
    /// For a request body: 408 after it. Also for an answer that the peer does not take.
    pub body_timeout: Duration,
    /// Between requests: closed after it.
    pub idle_timeout: Duration,
    /// Credentials verified at once: others wait a while, then 503.
    pub max_verifications: usize,
    /// OCSP answers worked at, at the same time: tryLater above.
    pub max_ocsp_responses: usize,
    /// How long a request for a certificate may be on its way through: those that would be longer are sent away with 503.
    /// Zero: none are.
    pub target_latency: Duration,
}

impl Default for HttpLimits {
    fn default() -> Self {
        Self {
            max_body: 65_536,
            max_header: 16_384,
            header_timeout: Duration::from_secs(10),
            body_timeout: Duration::from_secs(20),
            idle_timeout: Duration::from_secs(60),
            max_verifications: 4,
            max_ocsp_responses: 64,
            target_latency: Duration::from_secs(1),
        }
    }
}

/// What all connections share.
pub struct HttpEdge {
    pub(super) authority: Arc<ArcSwap<RegistrationAuthority>>,
    pub(super) limits: HttpLimits,
    pub(super) metrics: Arc<Metrics>,
    pub(super) request_ids: RequestIds,
    pub(super) verifications: Arc<Semaphore>,
    pub(super) line: Line,
}

impl HttpEdge {
    /// `authority` is looked at for each request, so one that is swapped in takes effect on open connections too.
    /// `start` is random: it sets the request ids of this start of the server apart from those of others.
    pub fn new(
        authority: Arc<ArcSwap<RegistrationAuthority>>,
        limits: HttpLimits,
        metrics: Arc<Metrics>,
        start: [u8; 8],
    ) -> Self {
        let verifications = Arc::new(Semaphore::new(limits.max_verifications));
        let line = Line::new(limits.target_latency, Instant::now());
        Self { authority, limits, metrics, request_ids: RequestIds::new(start), verifications, line }
    }
}

/// Serves EST on a connection until it closes. Once `shutdown` resolves, the request in flight is finished and the
/// connection closed.
pub async fn serve_connection<Io>(io: Io, session: PeerSession, edge: Arc<HttpEdge>, shutdown: impl Future<Output = ()>)
where
    Io: AsyncRead + AsyncWrite + Unpin,
{
    let session = Arc::new(session);
    let limits = edge.limits;
    drive(io, limits, shutdown, move |request, refused| {
        Exchange::new(Arc::clone(&edge), Arc::clone(&session)).answer(request, refused)
    })
    .await;
}

/// Runs HTTP/1.1 over `io`; `answer` gets each request, with the refusal it stands for if the guard refused it.
pub(crate) async fn drive<Io, Answer, Answered, B>(
    io: Io,
    limits: HttpLimits,
    shutdown: impl Future<Output = ()>,
    answer: Answer,
) where
    Io: AsyncRead + AsyncWrite + Unpin,
    Answer: Fn(Request<Incoming>, Option<Rejection>) -> Answered,
    Answered: Future<Output = Response<B>>,
    B: Body<Data = Bytes> + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let (guard, refused): (Guard<Io>, Refused) = Guard::new(io, limits);
    let service = service_fn(|request| {
        let answered = answer(request, refused.get());
        async { Ok::<Response<B>, Infallible>(answered.await) }
    });
    let connection = http1::Builder::new()
        // libest compares field names with regard to case.
        .title_case_headers(true)
        // Head and body are handed to the guard together, and no copy of the body is made.
        .writev(true)
        // A client may close its side after the request and still read the answer.
        .half_close(true)
        // The guard holds the time limits.
        .header_read_timeout(None)
        .serve_connection(TokioIo::new(guard), service);
    let mut connection = pin!(connection);
    let outcome = tokio::select! {
        outcome = connection.as_mut() => outcome,
        () = shutdown => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = outcome {
        tracing::debug!(%error, "connection ended early");
    }
}
