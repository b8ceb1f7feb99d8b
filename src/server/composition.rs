//! How the parts are put together from a checked configuration.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use estd_asn1::pkcs10::RequestLimits;
use tokio_rustls::TlsAcceptor;
use zeroize::Zeroizing;

use super::ServerError;
use super::authorizers::Authorizers;
use crate::admin::{AdminEdge, AdminSettings, AdminWorks, PinnedOperator};
use crate::backup::Origin;
use crate::ca::{CmcResponder, KeyGenerator};
use crate::clock::{Entropy as _, EntropyFailure, SystemClock, SystemEntropy};
use crate::config::{Authority, Config, LabelSettings, Limits};
use crate::credential::{Gate, GuessLimits};
use crate::http::{HttpEdge, HttpLimits, Metrics};
use crate::pki::trust::PathLimits;
use crate::ra::{
    Authentication, Authorizer, KeyGeneration, LabelContext, LabelsError, Ports, RegistrationAuthority, RequestRules,
};
use crate::store::CertificateStore;
use crate::store::sled::StoreOptions;
use crate::tls::{self, ReloadableCertificate, TlsSettings};
use crate::va::{self, ValidationAuthority};
use crate::webhook::{Outbox, OutboxPorts};

/// What a new connection meets.
pub(super) struct Doors {
    pub(super) acceptor: TlsAcceptor,
    pub(super) edge: Arc<HttpEdge>,
    pub(super) limits: Limits,
    /// How long a stopping server waits for requests in flight.
    pub(super) drain: Duration,
}

impl Doors {
    pub(super) fn new(
        limits: &Limits,
        tls: TlsSettings,
        drain: Duration,
        authority: Arc<ArcSwap<RegistrationAuthority>>,
        certificate: &Arc<ReloadableCertificate>,
        metrics: &Arc<Metrics>,
    ) -> Result<Self, ServerError> {
        let tls = tls::server_config(&tls, Arc::clone(certificate) as _)?;
        let mut start = [0; 8];
        SystemEntropy.fill(&mut start)?;
        let edge = HttpEdge::new(authority, http_limits(limits), Arc::clone(metrics), start);
        Ok(Self { acceptor: TlsAcceptor::from(tls), edge: Arc::new(edge), limits: *limits, drain })
    }
}

/// What an operator's connection meets.
pub(super) fn admin_edge(config: &Config, works: AdminWorks) -> Result<AdminEdge, EntropyFailure> {
    let mut start = [0; 8];
    SystemEntropy.fill(&mut start)?;
    Ok(AdminEdge::new(works, admin_settings(config), start))
}

/// Operators and their bounds.
pub(super) fn admin_settings(config: &Config) -> AdminSettings {
    let Config { admin: settings, limits, .. } = config;
    let operators = settings.operators.iter().map(|operator| PinnedOperator {
        name: operator.name.clone(),
        certificate: operator.certificate,
        valid: operator.valid,
        standing: operator.standing.clone(),
    });
    let limits = HttpLimits { max_body: settings.max_body, ..http_limits(limits) };
    let origin = Origin { sources: config.sources.clone(), data_dir: config.server.data_dir.clone() };
    AdminSettings { limits, operators: operators.collect(), origin }
}

/// The outside world over a store.
pub(super) fn ports(store: Arc<dyn CertificateStore>) -> Result<Ports, EntropyFailure> {
    let mut key = Zeroizing::new([0; 32]);
    SystemEntropy.fill(key.as_mut())?;
    let gate = Arc::new(Gate::new(&key));
    Ok(Ports {
        store,
        clock: Arc::new(SystemClock),
        entropy: Arc::new(SystemEntropy),
        gate,
        rates: Arc::default(),
        holdings: Arc::default(),
    })
}

/// The webhooks of a server, over the ports; `instance` tells it from others.
pub(super) fn outbox(data_dir: &Path, ports: &Ports, metrics: &Arc<Metrics>, instance: String) -> Outbox {
    Outbox::new(OutboxPorts {
        store: Arc::clone(&ports.store),
        clock: Arc::clone(&ports.clock),
        entropy: Arc::clone(&ports.entropy),
        metrics: Arc::clone(metrics),
        data_dir: data_dir.to_owned(),
        instance,
    })
}

/// What a configuration publishes, over the ports; what `before` knows of revocations is taken over.
pub(super) fn validation_authority(
    config: &Config,
    ports: &Ports,
    before: Option<&ValidationAuthority>,
) -> ValidationAuthority {
    let authorities = config.authorities.iter().flat_map(Authority::all).map(Arc::clone);
    let ports = va::Ports {
        store: Arc::clone(&ports.store),
        clock: Arc::clone(&ports.clock),
        entropy: Arc::clone(&ports.entropy),
    };
    ValidationAuthority::new(authorities, ports, before)
}

/// Shows what tenants with quotas have among the metrics.
pub(super) fn show_holdings(metrics: &Metrics, authority: &Arc<ArcSwap<RegistrationAuthority>>) {
    let devices = Arc::clone(authority);
    let read = move || devices.load().holdings().into_iter().map(|(tenant, devices, _)| (tenant, devices)).collect();
    metrics.tenant_gauge("tenant_devices", "Devices of tenants that have a quota", read);
    let held = Arc::clone(authority);
    let read = move || held.load().holdings().into_iter().map(|(tenant, _, held)| (tenant, held)).collect();
    metrics.tenant_gauge("tenant_certificates", "Certificates of such tenants that have not ended", read);
}

/// The labels of a configuration over the ports.
pub(super) fn registration_authority(
    config: &Config,
    ports: &Ports,
    authorizers: Authorizers,
) -> Result<RegistrationAuthority, LabelsError> {
    let labels = config.labels.iter().zip(authorizers);
    let labels = labels.map(|(label, authorizer)| label_context(label, authorizer, &config.limits)).collect();
    let authority =
        RegistrationAuthority::new(labels, config.server.default_label.as_ref(), &config.hosts, ports.clone())?;
    let authority = authority.refusing_keys(config.server.blocked_keys.clone());
    Ok(authority.with_rsa_generations(config.limits.max_rsa_generations))
}

/// What TLS is to be, for the labels there are.
pub(super) fn tls_settings(config: &Config) -> TlsSettings {
    let plaintext = |label: &LabelSettings| label.key_generation.as_ref().is_some_and(|rules| rules.plaintext);
    TlsSettings {
        min_version: config.server.tls.min_version,
        // RFC 7030 §4.4: the cipher must be as strong as the private key that it alone protects.
        strong_ciphers_first: config.labels.iter().any(plaintext),
    }
}

/// How the store is opened.
pub(super) fn store_options(limits: &Limits) -> StoreOptions {
    StoreOptions {
        queue: limits.queue,
        sync_pause: limits.sync_pause,
        audit_refusals_per_second: limits.audit_refusals_per_second,
        ..StoreOptions::default()
    }
}

fn label_context(label: &LabelSettings, authorizer: Option<Arc<dyn Authorizer>>, limits: &Limits) -> LabelContext {
    LabelContext {
        tenant: label.tenant.clone(),
        label: label.label.clone(),
        authority: Arc::clone(&label.authority),
        rollover: label.rollover.clone(),
        rules: label.rules.clone(),
        anchors: Arc::clone(&label.anchors),
        registration: label.registration.clone(),
        authentication: Authentication {
            rule: label.authentication,
            accepted: label.accepted.clone(),
            credentials: Arc::clone(&label.credentials),
            guesses: guess_limits(limits),
        },
        requests: RequestRules {
            limits: RequestLimits {
                max_attributes: limits.max_attributes,
                max_extensions: limits.max_extensions,
                max_rdns: limits.max_rdns,
                max_subject_alt_names: limits.max_subject_alt_names,
            },
            path: PathLimits { max_chain: limits.max_chain },
            repeat_window: label.repeat_window,
        },
        renewal: label.renewal,
        limits: label.limits,
        wire: label.wire,
        key_generation: label.key_generation.as_ref().map(|rules| KeyGeneration {
            rules: Arc::clone(rules),
            generator: Arc::new(KeyGenerator::new(Arc::clone(&label.authority))),
        }),
        cmc_responder: label.full_cmc.then(|| Arc::new(CmcResponder::new(Arc::clone(&label.authority)))),
        authorizer,
    }
}

fn guess_limits(limits: &Limits) -> GuessLimits {
    GuessLimits {
        per_user: limits.auth_failures_per_user,
        per_address: limits.auth_failures_per_address,
        window: limits.auth_failure_window,
        lockout: limits.auth_lockout,
    }
}

pub(super) fn http_limits(limits: &Limits) -> HttpLimits {
    HttpLimits {
        max_verifications: limits.max_verifications,
        max_ocsp_responses: limits.max_ocsp_responses,
        target_latency: limits.target_latency,
        max_body: limits.max_body,
        max_header: limits.max_header,
        header_timeout: limits.header_timeout,
        body_timeout: limits.body_timeout,
        idle_timeout: limits.idle_timeout,
    }
}
