//! One connection of an operator, from its first request to its close.

use std::sync::Arc;

use arc_swap::ArcSwap;
use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::http::HeaderValue;
use axum::response::{IntoResponse as _, Response};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{Semaphore, mpsc};
use tower::ServiceExt as _;

use super::extract::Answering;
use super::parameters::{self, KnownParameters};
use super::problem::Problem;
use super::reload::{ReloadRequest, Reloads};
use super::replay::InFlight;
use super::{document, gate};
use crate::access::Standing;
use crate::backup::Origin;
use crate::http::{HttpLimits, Metrics, RequestIds, drive};
use crate::ra::RegistrationAuthority;
use crate::store::journal::CheckpointLog;
use crate::store::sled::SledStore;
use crate::store::{Receipt, StoreFault};
use crate::va::ValidationAuthority;
use crate::webhook::Outbox;
use estd_asn1::Validity;

/// The field that carries the request id.
pub(super) const REQUEST_ID: &str = "x-request-id";

/// How who connected is known, apart from what a request says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Caller {
    /// Over the local socket, by a user whom the operating system names: whoever may connect runs the server anyway.
    Local {
        /// The user's number.
        uid: u32,
    },
    /// Over TLS.
    Remote {
        /// SHA-256 of the certificate whose key the peer was seen to hold, if it presented one.
        certificate: Option<[u8; 32]>,
    },
}

/// An operator who is known by a certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PinnedOperator {
    /// What stands in the audit.
    pub name: String,
    /// SHA-256 of the certificate.
    pub certificate: [u8; 32],
    /// When the certificate is valid.
    pub valid: Validity,
    /// What the operator may do.
    pub standing: Standing,
}

/// What a reload exchanges; it takes effect on open connections too.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AdminSettings {
    /// Bounds: of a connection from its start on, of a body at once; `max_body` bounds an import.
    pub limits: HttpLimits,
    /// Who is known by a certificate.
    pub operators: Vec<PinnedOperator>,
    /// What backups are taken of.
    pub origin: Origin,
}

/// What proves later what the journal held.
#[derive(Debug, Clone)]
pub struct Checkpoints {
    /// Those that were made.
    pub log: CheckpointLog,
    /// The key they are signed with, in PEM.
    pub public_key: String,
}

/// The parts of a server that operators see and change.
pub struct AdminWorks {
    /// Who is enrolled, and by which rules.
    pub authority: Arc<ArcSwap<RegistrationAuthority>>,
    /// What is published of certificates.
    pub validation: Arc<ArcSwap<ValidationAuthority>>,
    /// Its journal is what backups are taken of.
    pub store: Arc<SledStore>,
    /// What proves later what the journal held.
    pub checkpoints: Checkpoints,
    /// Events on their way to webhooks.
    pub outbox: Arc<Outbox>,
    /// Where requests are counted.
    pub metrics: Arc<Metrics>,
}

/// What all connections of operators share.
pub struct AdminEdge {
    pub(super) authority: Arc<ArcSwap<RegistrationAuthority>>,
    pub(super) validation: Arc<ArcSwap<ValidationAuthority>>,
    pub(super) reloads: Reloads,
    pub(super) settings: ArcSwap<AdminSettings>,
    pub(super) in_flight: InFlight,
    pub(super) checkpoints: Checkpoints,
    /// Its journal is what backups are taken of.
    pub(super) store: Arc<SledStore>,
    /// One backup at a time: each takes the disk for itself.
    pub(super) backups: Arc<Semaphore>,
    pub(super) outbox: Arc<Outbox>,
    pub(super) metrics: Arc<Metrics>,
    request_ids: RequestIds,
}

/// Who asks, and the id of what is asked.
#[derive(Debug, Clone)]
pub(super) struct Arrival {
    pub(super) caller: Caller,
    pub(super) source: String,
    pub(super) request_id: String,
}

impl AdminEdge {
    /// `start` is random: it sets the request ids of this start of the server apart from those of others.
    pub fn new(works: AdminWorks, settings: AdminSettings, start: [u8; 8]) -> Self {
        let AdminWorks { authority, validation, store, checkpoints, outbox, metrics } = works;
        let (settings, request_ids) = (ArcSwap::from_pointee(settings), RequestIds::new(start));
        let (reloads, in_flight, backups) = (Reloads::default(), InFlight::default(), Arc::new(Semaphore::new(1)));
        Self {
            authority,
            validation,
            reloads,
            settings,
            in_flight,
            checkpoints,
            store,
            backups,
            outbox,
            metrics,
            request_ids,
        }
    }

    /// Makes a change, and answers once that is durable.
    pub(super) async fn record(
        self: &Arc<Self>,
        change: impl FnOnce(&RegistrationAuthority) -> Result<(Receipt, Answering), Problem> + Send + 'static,
    ) -> Result<Response, Problem> {
        let (receipt, answer) = self.on_store(change).await??;
        receipt.await?;
        Ok(answer.into_response())
    }

    /// Runs what reads or changes the store where it may block.
    pub(super) async fn on_store<T: Send + 'static>(
        self: &Arc<Self>,
        work: impl FnOnce(&RegistrationAuthority) -> T + Send + 'static,
    ) -> Result<T, Problem> {
        let authority = self.authority.load_full();
        tokio::task::spawn_blocking(move || work(&authority)).await.map_err(|error| {
            tracing::error!(%error, "a request of an operator ended by a fault of ours");
            Problem::internal()
        })
    }
}

/// What a server keeps: the edge, and the routes over it, made once.
pub struct AdminService {
    edge: Arc<AdminEdge>,
    router: Router,
}

impl AdminService {
    /// Over an edge.
    pub fn new(edge: AdminEdge) -> Self {
        let edge = Arc::new(edge);
        Self { router: router(&edge), edge }
    }

    /// The reloads that operators ask for from now on. Until somebody takes them they are refused.
    pub fn reload_requests(&self) -> mpsc::Receiver<ReloadRequest> {
        self.edge.reloads.take_up()
    }

    /// Takes over other settings.
    pub fn reconfigure(&self, settings: AdminSettings) {
        self.edge.settings.store(Arc::new(settings));
    }
}

fn router(edge: &Arc<AdminEdge>) -> Router {
    let (router, document) = document::routes().split_for_parts();
    let known = Arc::new(KnownParameters::of(&document));
    router
        .route(document::PATH, axum::routing::get(move || std::future::ready(axum::Json(document.clone()))))
        .route_layer(axum::middleware::from_fn_with_state(known, parameters::known))
        .fallback(|| std::future::ready(Problem::not_found("there is no such resource")))
        .method_not_allowed_fallback(|| std::future::ready(Problem::method_not_allowed()))
        .layer(axum::middleware::from_fn_with_state(Arc::clone(edge), gate::pass))
        .with_state(Arc::clone(edge))
}

/// Serves operators on a connection until it closes. Once `shutdown` resolves, the request in flight is finished and the
/// connection closed.
pub async fn serve_admin_connection<Io>(
    io: Io,
    caller: Caller,
    source: String,
    service: &AdminService,
    shutdown: impl Future<Output = ()>,
) where
    Io: AsyncRead + AsyncWrite + Unpin,
{
    let AdminService { edge, router } = service;
    let limits = edge.settings.load().limits;
    drive(io, limits, shutdown, move |request, refused| {
        let request_id = edge.request_ids.next();
        let arrival = Arrival { caller: caller.clone(), source: source.clone(), request_id };
        let (router, mut request) = (router.clone(), request.map(Body::new));
        async move {
            let id = HeaderValue::from_str(&arrival.request_id).ok();
            let mut response: Response = match refused {
                Some(rejection) => Problem::bad_request(rejection.reason().to_owned()).into_response(),
                None => {
                    request.extensions_mut().insert(arrival);
                    answer(router, request).await
                }
            };
            if let Some(id) = id {
                response.headers_mut().insert(REQUEST_ID, id);
            }
            response
        }
    })
    .await;
}

async fn answer(router: Router, request: Request) -> Response {
    match router.oneshot(request).await {
        Ok(response) => response,
        Err(never) => match never {},
    }
}

impl From<StoreFault> for Problem {
    fn from(fault: StoreFault) -> Self {
        tracing::error!(%fault, "the store cannot do what an operator asked");
        match fault {
            StoreFault::NotDurable(_) | StoreFault::Overloaded { .. } | StoreFault::Closed => Self::unavailable(),
            StoreFault::Index(_) | StoreFault::Corrupt(_) => Self::internal(),
        }
    }
}
