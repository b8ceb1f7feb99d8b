//! The composition root: a configuration becomes a running server, is exchanged under it, and ends with it.
//!
//! Nothing here is global: several servers run in one process, each on its own ports and folder.

mod admin_listener;
mod admission;
mod authorizers;
mod background;
mod checkpoints;
mod clock_watch;
mod composition;
mod listener;
mod monitoring;
mod own_certificate;
mod pressure;
mod publication;

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use chrono::{DateTime, Utc};
use tokio::net::TcpListener;
use tokio::sync::{Mutex, mpsc, watch};
use tokio::task::JoinSet;

use crate::admin::{AdminService, AdminWorks, ReloadRequest};
use crate::clock::EntropyFailure;
use crate::config::{CertificateSource, Config, Limits, ServerSettings};
use crate::http::{Metrics, PublicEdge};
use crate::ra::{LabelsError, Ports, RegistrationAuthority};
use crate::store::journal::Tail;
use crate::store::sled::{OpenError, Recovery, SledStore};
use crate::store::{CertificateStore, StoreFault};
use crate::tls::{ReloadableCertificate, ServerCertificate, TlsError};
use crate::va::ValidationAuthority;
use crate::webhook::{Outbox, Prepared, Webhook, WebhookError};

use admin_listener::AdminSocket;
use admission::Admissions;
pub use authorizers::AuthorizerError;
use background::Background;
pub use checkpoints::CheckpointFault;
use checkpoints::Notary;
use composition::Doors;
pub use own_certificate::OwnCertificateError;
use pressure::Pressure;

/// Why a server does not start, or does not take a new configuration.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// An address cannot be listened on.
    #[error("cannot listen on {address}: {source}")]
    Bind {
        /// The address.
        address: SocketAddr,
        /// Why.
        source: io::Error,
    },
    /// The local socket of operators cannot be made.
    #[error("cannot listen on {}: {source}", path.display())]
    Socket {
        /// Its path.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The store does not open.
    #[error(transparent)]
    Store(#[from] OpenError),
    /// The store cannot tell what tenants have.
    #[error(transparent)]
    Holdings(#[from] StoreFault),
    /// The labels do not fit together.
    #[error(transparent)]
    Labels(#[from] LabelsError),
    /// TLS cannot be set up.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// There is no server certificate.
    #[error("the server certificate: {0}")]
    OwnCertificate(#[from] OwnCertificateError),
    /// The key for checkpoints of the journal.
    #[error("checkpoints of the journal: {0}")]
    Checkpoints(#[from] CheckpointFault),
    /// A webhook.
    #[error(transparent)]
    Webhook(#[from] WebhookError),
    /// Whoever is asked at a label.
    #[error(transparent)]
    Authorizer(#[from] AuthorizerError),
    /// No randomness.
    #[error(transparent)]
    Entropy(#[from] EntropyFailure),
    /// A task that had to do with files ended by itself: only when the process is being torn down.
    #[error("the work was abandoned: {0}")]
    Abandoned(#[from] tokio::task::JoinError),
}

/// Where a server begins.
pub struct Server;

impl Server {
    /// Opens the store, obtains the server certificate, binds the listeners and serves.
    ///
    /// # Errors
    /// When any of it fails; nothing is left running then.
    pub async fn start(config: Config) -> Result<Running, ServerError> {
        let (folder, options) = (config.server.data_dir.clone(), composition::store_options(&config.limits));
        let store = Arc::new(blocking(move || SledStore::open(&folder, options)).await??);
        tell(store.recovery());
        let (folder, interval) = (config.server.data_dir.clone(), config.server.checkpoint_interval);
        let notary = blocking(move || Notary::of(&folder, interval)).await??;
        let ports = composition::ports(Arc::clone(&store) as _)?;
        let metrics = Arc::new(Metrics::new());
        let authorizers = authorizers::prepared(&config, &ports, &metrics).await?;
        let authority = composition::registration_authority(&config, &ports, authorizers)?;
        let authority = blocking(move || authority.count_holdings().map(|()| authority)).await??;
        let validation = composition::validation_authority(&config, &ports, None);
        let validation = Arc::new(ArcSwap::from_pointee(validation));
        let authority = Arc::new(ArcSwap::from_pointee(authority));
        composition::show_holdings(&metrics, &authority);
        let tls_settings = composition::tls_settings(&config);
        let outbox = composition::outbox(&config.server.data_dir, &ports, &metrics, notary.instance());
        let outbox = Arc::new(outbox);
        let works = AdminWorks {
            authority: Arc::clone(&authority),
            validation: Arc::clone(&validation),
            store: Arc::clone(&store),
            checkpoints: notary.shown(),
            outbox: Arc::clone(&outbox),
            metrics: Arc::clone(&metrics),
        };
        let admin = composition::admin_edge(&config, works)?;
        let own = Own::obtain(Arc::new(config.server.tls.certificate), &config.server.data_dir, &ports).await?;
        let certificate = Arc::new(ReloadableCertificate::new(&own.certificate));
        let webhooks = prepared(&outbox, config.webhooks).await?;
        let doors = Doors::new(
            &config.limits,
            tls_settings,
            config.server.drain,
            Arc::clone(&authority),
            &certificate,
            &metrics,
        )?;
        let shared = Arc::new(Shared {
            doors: ArcSwap::from_pointee(doors),
            admin: AdminService::new(admin),
            authority,
            validation,
            certificate,
            ports,
            store,
            metrics,
            admissions: Admissions::default(),
            pressure: Pressure::default(),
            public_admissions: Admissions::default(),
            notary,
            outbox,
            data_dir: config.server.data_dir,
            renewal: Mutex::new(Renewal { source: own.source, due: own.renew_at }),
        });
        let fixed = Fixed {
            listen: config.server.listen,
            status_listen: config.server.status_listen,
            public_listen: config.server.public_listen,
            admin_listen: config.admin.listen,
            admin_socket: config.admin.socket,
            checkpoint_interval: config.server.checkpoint_interval,
            limits: config.limits,
        };
        let running = Running::start(shared, fixed).await?;
        running.shared.outbox.take_on(webhooks);
        Ok(running)
    }
}

/// The registration authority of a configuration over a store that no server uses, for commands.
///
/// # Errors
/// When the labels do not fit together, or there is no randomness.
pub fn authority_over(config: &Config, store: Arc<dyn CertificateStore>) -> Result<RegistrationAuthority, ServerError> {
    let authorizers = authorizers::outside_a_server(config);
    Ok(composition::registration_authority(config, &composition::ports(store)?, authorizers)?)
}

/// The same of what a configuration publishes.
///
/// # Errors
/// When there is no randomness.
pub fn validation_over(config: &Config, store: Arc<dyn CertificateStore>) -> Result<ValidationAuthority, ServerError> {
    Ok(composition::validation_authority(config, &composition::ports(store)?, None))
}

/// What opening the store took, when that is worth a look.
fn tell(recovery: Recovery) {
    let Recovery { rebuilt, replayed, tail } = recovery;
    if rebuilt && replayed > 0 {
        tracing::warn!(replayed, "the index was missing, damaged or of another journal, and was made anew");
    } else if replayed > 0 {
        tracing::info!(replayed, "records were replayed into the index");
    }
    match tail {
        Tail::Whole => {}
        Tail::Torn { octets } => tracing::warn!(octets, "an unfinished write at the end of the journal was cut"),
    }
}

/// What the tasks of one server share.
struct Shared {
    /// What a connection meets; exchanged whole by a reload, so that no connection sees half of one.
    doors: ArcSwap<Doors>,
    /// What an operator's connection meets.
    admin: AdminService,
    authority: Arc<ArcSwap<RegistrationAuthority>>,
    validation: Arc<ArcSwap<ValidationAuthority>>,
    certificate: Arc<ReloadableCertificate>,
    ports: Ports,
    store: Arc<SledStore>,
    metrics: Arc<Metrics>,
    admissions: Admissions,
    pressure: Pressure,
    public_admissions: Admissions,
    notary: Notary,
    outbox: Arc<Outbox>,
    data_dir: PathBuf,
    /// Held while a reload or a renewal is under way: one at a time.
    renewal: Mutex<Renewal>,
}

/// The server certificate's source, and when the present one is to be replaced; `None` for one from files.
struct Renewal {
    source: Arc<CertificateSource>,
    due: Option<DateTime<Utc>>,
}

/// What only a restart changes.
struct Fixed {
    listen: Vec<SocketAddr>,
    status_listen: SocketAddr,
    public_listen: Vec<SocketAddr>,
    admin_listen: Vec<SocketAddr>,
    admin_socket: Option<PathBuf>,
    checkpoint_interval: Duration,
    limits: Limits,
}

/// A server that runs until it is told to stop. Dropped without [`Running::shutdown`], it stops in the background.
pub struct Running {
    shared: Arc<Shared>,
    fixed: Fixed,
    est_addresses: Vec<SocketAddr>,
    status_address: SocketAddr,
    public_addresses: Vec<SocketAddr>,
    admin_addresses: Vec<SocketAddr>,
    stop: watch::Sender<bool>,
    listeners: JoinSet<()>,
    background: Background,
}

impl Running {
    async fn start(shared: Arc<Shared>, fixed: Fixed) -> Result<Self, ServerError> {
        let mut est = Vec::new();
        for address in &fixed.listen {
            est.push(bind(*address).await?);
        }
        let (status, status_address) = bind(fixed.status_listen).await?;
        let mut public = Vec::new();
        for address in &fixed.public_listen {
            public.push(bind(*address).await?);
        }
        let mut admin = Vec::new();
        for address in &fixed.admin_listen {
            admin.push(bind(*address).await?);
        }
        let socket = fixed.admin_socket.as_deref().map(AdminSocket::bind).transpose()?;
        let (stop, stopping) = watch::channel(false);
        let mut listeners = JoinSet::new();
        let mut est_addresses = Vec::new();
        for (socket, address) in est {
            est_addresses.push(address);
            listeners.spawn(listener::serve_devices(socket, Arc::clone(&shared), stopping.clone()));
        }
        let mut admin_addresses = Vec::new();
        for (socket, address) in admin {
            admin_addresses.push(address);
            listeners.spawn(admin_listener::serve_remote(socket, Arc::clone(&shared), stopping.clone()));
        }
        if let Some(socket) = socket {
            listeners.spawn(admin_listener::serve_local(socket, Arc::clone(&shared), stopping.clone()));
        }
        let edge = Arc::new(monitoring::status_edge(&shared, stopping.clone()));
        listeners.spawn(listener::serve_status(status, edge, Arc::clone(&shared), stopping.clone()));
        let limits = composition::http_limits(&fixed.limits);
        let edge = PublicEdge::new(Arc::clone(&shared.validation), limits, Arc::clone(&shared.metrics));
        let edge = Arc::new(edge);
        let mut public_addresses = Vec::new();
        for (socket, address) in public {
            public_addresses.push(address);
            let (edge, shared) = (Arc::clone(&edge), Arc::clone(&shared));
            listeners.spawn(listener::serve_public(socket, edge, shared, stopping.clone()));
        }
        let background = Background::start(&shared, !public_addresses.is_empty());
        listeners.spawn(clock_watch::watch(Arc::clone(&shared), fixed.limits.clock_jump, stopping.clone()));
        shared.authority.load().note("server", concat!("started, version ", env!("CARGO_PKG_VERSION")));
        Ok(Self {
            shared,
            fixed,
            est_addresses,
            status_address,
            public_addresses,
            admin_addresses,
            stop,
            listeners,
            background,
        })
    }

    /// Where devices connect, with the ports that were taken.
    pub fn est_addresses(&self) -> &[SocketAddr] {
        &self.est_addresses
    }

    /// Where `/healthz`, `/readyz` and `/metrics` are.
    pub fn status_address(&self) -> SocketAddr {
        self.status_address
    }

    /// Where CRLs, OCSP answers and CA certificates are.
    pub fn public_addresses(&self) -> &[SocketAddr] {
        &self.public_addresses
    }

    /// The registration authority of the present configuration.
    pub fn registration_authority(&self) -> Arc<RegistrationAuthority> {
        self.shared.authority.load_full()
    }

    /// Where operators connect over TLS.
    pub fn admin_addresses(&self) -> &[SocketAddr] {
        &self.admin_addresses
    }

    /// Where operators of this machine connect.
    pub fn admin_socket(&self) -> Option<&Path> {
        self.fixed.admin_socket.as_deref()
    }

    /// The reloads that operators ask for from now on; until somebody takes them they are refused.
    pub fn reload_requests(&self) -> mpsc::Receiver<ReloadRequest> {
        self.shared.admin.reload_requests()
    }

    /// Takes over a new configuration: labels, authorities and anchors for the next request, TLS and limits for the
    /// next connection. Open connections stay. Returns the keys that differ but that only a restart changes.
    ///
    /// # Errors
    /// When the new configuration does not work out; then all stays as it was.
    pub async fn reload(&self, config: Config) -> Result<Vec<&'static str>, ServerError> {
        let left = self.fixed.differences(&config, &self.shared.data_dir);
        let shared = &self.shared;
        let mut renewal = shared.renewal.lock().await;
        let authorizers = authorizers::prepared(&config, &shared.ports, &shared.metrics).await?;
        let authority = composition::registration_authority(&config, &shared.ports, authorizers)?;
        let before = shared.authority.load_full();
        let authority = blocking(move || authority.take_up_quotas(&before).map(|()| authority)).await??;
        let before = shared.validation.load_full();
        let validation = composition::validation_authority(&config, &shared.ports, Some(&before));
        let admin = composition::admin_settings(&config);
        let tls_settings = composition::tls_settings(&config);
        let ServerSettings { tls, drain, .. } = config.server;
        let own = Own::obtain(Arc::new(tls.certificate), &shared.data_dir, &shared.ports).await?;
        let webhooks = prepared(&shared.outbox, config.webhooks).await?;
        let doors = Doors::new(
            &config.limits,
            tls_settings,
            drain,
            Arc::clone(&shared.authority),
            &shared.certificate,
            &shared.metrics,
        )?;
        // From here on nothing fails.
        *renewal = Renewal { source: own.source, due: own.renew_at };
        shared.certificate.replace(&own.certificate);
        shared.authority.store(Arc::new(authority));
        shared.authority.load().forget_holdings();
        shared.validation.store(Arc::new(validation));
        shared.doors.store(Arc::new(doors));
        shared.admin.reconfigure(admin);
        shared.outbox.take_on(webhooks);
        shared.authority.load().note("server", "configuration reloaded");
        Ok(left)
    }

    /// Stops accepting, lets requests in flight finish for `drain` at most, and flushes the store.
    pub async fn shutdown(mut self) {
        self.stop.send_replace(true);
        self.background.stop();
        while self.listeners.join_next().await.is_some() {}
        self.shared.outbox.stop();
        // It takes the count of what was not written along.
        self.shared.authority.load().note("server", "stopped");
        let store = Arc::clone(&self.shared.store);
        if let Err(error) = blocking(move || store.close()).await {
            tracing::error!(%error, "the store was not closed");
        }
        checkpoints::note(&self.shared).await;
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.background.stop();
        self.shared.outbox.stop();
        // The listeners see the channel close and drain; a JoinSet would cut them off.
        self.listeners.detach_all();
    }
}

impl Fixed {
    fn differences(&self, config: &Config, data_dir: &Path) -> Vec<&'static str> {
        let Config { server, admin, limits, .. } = config;
        let moved = data_dir != server.data_dir;
        let keys = [
            ("server.listen", self.listen != server.listen),
            ("server.status_listen", self.status_listen != server.status_listen),
            ("server.public_listen", self.public_listen != server.public_listen),
            ("server.data_dir", moved),
            ("server.checkpoint_interval", self.checkpoint_interval != server.checkpoint_interval),
            ("admin.listen", self.admin_listen != admin.listen),
            // Where nothing is said it moves with the folder.
            ("admin.socket", !moved && self.admin_socket != admin.socket),
            ("limits.max_ocsp_responses", self.limits.max_ocsp_responses != limits.max_ocsp_responses),
            ("limits.queue", self.limits.queue != limits.queue),
            ("limits.clock_jump", self.limits.clock_jump != limits.clock_jump),
            ("limits.sync_pause", self.limits.sync_pause != limits.sync_pause),
            (
                "limits.audit_refusals_per_second",
                self.limits.audit_refusals_per_second != limits.audit_refusals_per_second,
            ),
        ];
        keys.into_iter().filter(|(_, differs)| *differs).map(|(key, _)| key).collect()
    }
}

/// A server certificate with its source.
struct Own {
    source: Arc<CertificateSource>,
    certificate: ServerCertificate,
    renew_at: Option<DateTime<Utc>>,
}

impl Own {
    /// Reads or issues, off the runtime: it signs and writes a file.
    async fn obtain(source: Arc<CertificateSource>, data_dir: &Path, ports: &Ports) -> Result<Self, ServerError> {
        let (data_dir, ports) = (data_dir.to_owned(), ports.clone());
        let obtained =
            blocking(move || own_certificate::obtain(&source, &data_dir, &ports).map(|presented| (source, presented)));
        let (source, presented) = obtained.await??;
        Ok(Self { source, certificate: presented.certificate, renew_at: presented.renew_at })
    }
}

/// Webhooks that can be taken on, looked at off the runtime: files are read for it.
async fn prepared(outbox: &Arc<Outbox>, webhooks: Vec<Webhook>) -> Result<Prepared, ServerError> {
    let outbox = Arc::clone(outbox);
    Ok(blocking(move || outbox.prepare(webhooks)).await??)
}

async fn bind(address: SocketAddr) -> Result<(TcpListener, SocketAddr), ServerError> {
    let bound = async {
        let listener = TcpListener::bind(address).await?;
        let address = listener.local_addr()?;
        Ok((listener, address))
    };
    bound.await.map_err(|source| ServerError::Bind { address, source })
}

/// Runs what blocks off the runtime.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, ServerError> {
    Ok(tokio::task::spawn_blocking(work).await?)
}
