//! What is counted, in the text format of Prometheus. Labels take configured or fixed values only, never a client's.

use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{
    DescriptorEncoder, EncodeLabelSet, EncodeLabelValue, EncodeMetric as _, LabelValueEncoder, text,
};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::{ConstGauge, Gauge};
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use crate::est::{Operation, RejectionCode};
use crate::ra::LabelContext;

/// Upper bounds of the duration histogram, in seconds.
const DURATION_BUCKETS: [f64; 12] = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0, 20.0];

/// The content type of the text format.
pub(super) const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// How a request ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// With what was asked for.
    Served,
    /// It waits for an operator.
    Deferred,
    /// The client's doing.
    Refused(RejectionCode),
    /// The server's.
    Failed,
}

impl Outcome {
    /// As it stands in logs and metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Served => "ok",
            Self::Deferred => "deferred",
            Self::Refused(code) => code.as_str(),
            Self::Failed => "fault",
        }
    }
}

impl EncodeLabelValue for Outcome {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> fmt::Result {
        EncodeLabelValue::encode(&self.as_str(), encoder)
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequestLabels {
    operation: &'static str,
    tenant: String,
    label: String,
    code: Outcome,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OperationLabels {
    operation: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct VersionLabels {
    version: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct LabelLabels {
    tenant: String,
    label: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct AlarmLabels {
    alarm: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct PublicLabels {
    resource: &'static str,
    status: u16,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OcspLabels {
    status: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct AttemptLabels {
    webhook: String,
    outcome: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct WebhookLabels {
    webhook: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct QuestionLabels {
    tenant: String,
    label: String,
    outcome: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct StatusLabels {
    status: u16,
}

/// A gauge that is read whenever the page is asked for.
struct ReadGauges {
    name: &'static str,
    help: &'static str,
    read: Box<dyn Fn() -> Vec<Reading> + Send + Sync>,
}

/// A value, with the labels that tell it from the others of its name. They are configured, never a client's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reading {
    /// Names and values.
    pub labels: Vec<(&'static str, String)>,
    /// What was read.
    pub value: i64,
}

impl fmt::Debug for ReadGauges {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("ReadGauges").field("name", &self.name).finish_non_exhaustive()
    }
}

impl Collector for ReadGauges {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut family = encoder.encode_descriptor(self.name, self.help, None, MetricType::Gauge)?;
        let readings = (self.read)();
        if let [Reading { labels, value }] = readings.as_slice()
            && labels.is_empty()
        {
            return ConstGauge::new(*value).encode(family);
        }
        for Reading { labels, value } in readings {
            ConstGauge::new(value).encode(family.encode_family(&labels)?)?;
        }
        Ok(())
    }
}

/// The counters of one server.
pub struct Metrics {
    registry: Mutex<Registry>,
    requests: Family<RequestLabels, Counter>,
    durations: Family<OperationLabels, Histogram>,
    issued: Family<LabelLabels, Counter>,
    faults: Counter,
    alarms: Family<AlarmLabels, Counter>,
    public_requests: Family<PublicLabels, Counter>,
    ocsp_answers: Family<OcspLabels, Counter>,
    webhook_attempts: Family<AttemptLabels, Counter>,
    webhook_behind: Family<WebhookLabels, Gauge>,
    authorization_questions: Family<QuestionLabels, Counter>,
    authorization_durations: Family<LabelLabels, Histogram>,
    admin_requests: Family<StatusLabels, Counter>,
    connections: Gauge,
    in_line: Gauge,
    handshakes: Family<VersionLabels, Counter>,
    handshake_failures: Counter,
    connections_refused: Counter,
}

/// An open connection, or a request in line; counted until dropped.
#[derive(Debug)]
pub struct Counted(Gauge);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.dec();
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl Metrics {
    /// All at zero.
    pub fn new() -> Self {
        let metrics = Self {
            registry: Mutex::new(Registry::with_prefix("estd")),
            requests: Family::default(),
            durations: Family::new_with_constructor(|| Histogram::new(DURATION_BUCKETS)),
            issued: Family::default(),
            faults: Counter::default(),
            alarms: Family::default(),
            public_requests: Family::default(),
            ocsp_answers: Family::default(),
            webhook_attempts: Family::default(),
            webhook_behind: Family::default(),
            authorization_questions: Family::default(),
            authorization_durations: Family::new_with_constructor(|| Histogram::new(DURATION_BUCKETS)),
            admin_requests: Family::default(),
            connections: Gauge::default(),
            in_line: Gauge::default(),
            handshakes: Family::default(),
            handshake_failures: Counter::default(),
            connections_refused: Counter::default(),
        };
        metrics.register_own();
        metrics
    }

    /// Adds a gauge that is read whenever the page is asked for; its name gets the prefix `estd_`. Once for each name.
    pub fn gauge(&self, name: &'static str, help: &'static str, read: impl Fn() -> i64 + Send + Sync + 'static) {
        self.gauges(name, help, move || vec![Reading { labels: Vec::new(), value: read() }]);
    }

    /// The same of several values under one name.
    pub fn gauges(
        &self,
        name: &'static str,
        help: &'static str,
        read: impl Fn() -> Vec<Reading> + Send + Sync + 'static,
    ) {
        self.registry().register_collector(Box::new(ReadGauges { name, help, read: Box::new(read) }));
    }

    /// The same with a value for each of some tenants.
    pub fn tenant_gauge(
        &self,
        name: &'static str,
        help: &'static str,
        read: impl Fn() -> Vec<(String, u64)> + Send + Sync + 'static,
    ) {
        self.gauges(name, help, move || {
            let reading = |(tenant, value)| Reading {
                labels: vec![("tenant", tenant)],
                value: i64::try_from(value).unwrap_or(i64::MAX),
            };
            read().into_iter().map(reading).collect()
        });
    }

    /// Shows counters at zero that may never count anything: what did not happen is not missing, and rates begin there.
    /// `alarms` as told by [`crate::audit::Alarm::as_str`]; `labels` are tenants and labels.
    pub fn expect(&self, alarms: &[&'static str], labels: impl IntoIterator<Item = (String, String)>) {
        for alarm in alarms {
            drop(self.alarms.get_or_create(&AlarmLabels { alarm }));
        }
        for version in ["1.2", "1.3"] {
            drop(self.handshakes.get_or_create(&VersionLabels { version }));
        }
        for status in ["good", "revoked", "unknown"] {
            drop(self.ocsp_answers.get_or_create(&OcspLabels { status }));
        }
        for resource in ["crl", "delta", "ca", "ocsp"] {
            drop(self.public_requests.get_or_create(&PublicLabels { resource, status: 200 }));
        }
        drop(self.admin_requests.get_or_create(&StatusLabels { status: 200 }));
        for (tenant, label) in labels {
            for operation in [Operation::SimpleEnroll, Operation::SimpleReenroll] {
                let (operation, code) = (operation.segment(), Outcome::Served);
                drop(self.durations.get_or_create(&OperationLabels { operation }));
                let labels = RequestLabels { operation, tenant: tenant.clone(), label: label.clone(), code };
                drop(self.requests.get_or_create(&labels));
            }
            drop(self.issued.get_or_create(&LabelLabels { tenant, label }));
        }
    }

    fn register_own(&self) {
        let mut registry = self.registry();
        registry.register("requests", "Requests by operation, label and outcome", self.requests.clone());
        registry.register("request_duration_seconds", "From head to answer", self.durations.clone());
        registry.register("certificates_issued", "Certificates handed out, by label", self.issued.clone());
        registry.register("faults", "Requests that failed by the server's doing", self.faults.clone());
        registry.register("alarms", "What an operator should look at", self.alarms.clone());
        registry.register("public_requests", "Requests to the public listener", self.public_requests.clone());
        registry.register("ocsp_answers", "OCSP answers, by what they say", self.ocsp_answers.clone());
        let help = "Attempts to deliver an event: delivered, failed; given-up after the last one";
        registry.register("webhook_attempts", help, self.webhook_attempts.clone());
        let help = "Records of the journal that a webhook has not come to";
        registry.register("webhook_behind", help, self.webhook_behind.clone());
        let help = "Questions to authorization webhooks: allowed, denied, failed; shed where too many ask at once";
        registry.register("authorization_questions", help, self.authorization_questions.clone());
        let help = "From question to answer of an authorization webhook";
        registry.register("authorization_duration_seconds", help, self.authorization_durations.clone());
        registry.register("admin_requests", "Requests of operators, by HTTP status", self.admin_requests.clone());
        registry.register("connections_open", "Connections open now", self.connections.clone());
        registry.register("requests_in_line", "Requests for certificates not answered yet", self.in_line.clone());
        registry.register("handshakes", "TLS handshakes done, by version", self.handshakes.clone());
        registry.register("handshake_failures", "TLS handshakes failed", self.handshake_failures.clone());
        registry.register("connections_refused", "Connections above a limit", self.connections_refused.clone());
    }

    /// A panic while the page was written leaves the registry whole.
    fn registry(&self) -> MutexGuard<'_, Registry> {
        self.registry.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A connection was accepted.
    pub fn connection_opened(&self) -> Counted {
        self.connections.inc();
        Counted(self.connections.clone())
    }

    /// A request for a certificate is worked at, or waits for it or for the disk.
    pub(super) fn request_in_line(&self) -> Counted {
        self.in_line.inc();
        Counted(self.in_line.clone())
    }

    /// A connection was closed at once, being above a limit.
    pub fn connection_refused(&self) {
        self.connections_refused.inc();
    }

    /// A TLS handshake was done; `version` as told by [`crate::tls::protocol`].
    pub fn handshake_done(&self, version: &'static str) {
        self.handshakes.get_or_create(&VersionLabels { version }).inc();
    }

    /// A TLS handshake failed or took too long.
    pub fn handshake_failed(&self) {
        self.handshake_failures.inc();
    }

    /// A certificate was handed out.
    pub(crate) fn certificate_issued(&self, tenant: String, label: String) {
        self.issued.get_or_create(&LabelLabels { tenant, label }).inc();
    }

    /// A request was answered. `None` stands for an operation or label that does not exist.
    pub(super) fn request(
        &self,
        operation: Option<Operation>,
        label: Option<&LabelContext>,
        code: Outcome,
        took: Duration,
    ) {
        let name = operation.map_or("-", Operation::segment);
        let tenant = label.map_or("-", |label| label.tenant.as_str()).to_owned();
        let label = label.map_or("-", |label| label.label.as_str()).to_owned();
        self.durations.get_or_create(&OperationLabels { operation: name }).observe(took.as_secs_f64());
        match (operation, code) {
            (
                Some(
                    Operation::SimpleEnroll | Operation::SimpleReenroll | Operation::ServerKeyGen | Operation::FullCmc,
                ),
                Outcome::Served,
            ) => {
                self.certificate_issued(tenant.clone(), label.clone());
            }
            (_, Outcome::Failed) => {
                self.faults.inc();
            }
            (_, Outcome::Served | Outcome::Deferred | Outcome::Refused(_)) => {}
        }
        self.requests.get_or_create(&RequestLabels { operation: name, tenant, label, code }).inc();
    }

    /// A request to the public listener was answered; `resource` is the kind of what was asked for.
    pub(super) fn public_request(&self, resource: &'static str, status: u16) {
        self.public_requests.get_or_create(&PublicLabels { resource, status }).inc();
    }

    /// An OCSP request was answered; a status for each certificate, or an error.
    pub(super) fn ocsp_answered(&self, says: &[&'static str]) {
        for status in says {
            self.ocsp_answers.get_or_create(&OcspLabels { status }).inc();
        }
    }

    /// A request of an operator was answered.
    pub fn admin_request(&self, status: u16) {
        self.admin_requests.get_or_create(&StatusLabels { status }).inc();
    }

    /// An event was sent to a webhook, or given up: delivered, failed or given-up.
    pub(crate) fn webhook_attempt(&self, webhook: &str, outcome: &'static str) {
        self.webhook_attempts.get_or_create(&AttemptLabels { webhook: webhook.to_owned(), outcome }).inc();
    }

    /// The same as [`expect`](Self::expect) for a webhook.
    pub(crate) fn expect_webhook(&self, webhook: &str) {
        for outcome in ["delivered", "failed", "given-up"] {
            drop(self.webhook_attempts.get_or_create(&AttemptLabels { webhook: webhook.to_owned(), outcome }));
        }
        self.webhook_behind(webhook, 0);
    }

    /// How many records of the journal a webhook has not come to.
    pub(crate) fn webhook_behind(&self, webhook: &str, records: u64) {
        let labels = WebhookLabels { webhook: webhook.to_owned() };
        self.webhook_behind.get_or_create(&labels).set(i64::try_from(records).unwrap_or(i64::MAX));
    }

    /// The authorization webhook of a label was asked, or could not be: allowed, denied, failed or shed.
    pub(crate) fn authorization(&self, tenant: &str, label: &str, outcome: &'static str) {
        let (tenant, label) = (tenant.to_owned(), label.to_owned());
        self.authorization_questions.get_or_create(&QuestionLabels { tenant, label, outcome }).inc();
    }

    /// How long an answer of it took, or what came in place of one.
    pub(crate) fn authorization_took(&self, tenant: &str, label: &str, took: Duration) {
        let labels = LabelLabels { tenant: tenant.to_owned(), label: label.to_owned() };
        self.authorization_durations.get_or_create(&labels).observe(took.as_secs_f64());
    }

    /// The same as [`expect`](Self::expect) for an authorization webhook.
    pub(crate) fn expect_authorization(&self, tenant: &str, label: &str) {
        for outcome in ["allowed", "denied", "failed", "shed"] {
            let labels = QuestionLabels { tenant: tenant.to_owned(), label: label.to_owned(), outcome };
            drop(self.authorization_questions.get_or_create(&labels));
        }
        let labels = LabelLabels { tenant: tenant.to_owned(), label: label.to_owned() };
        drop(self.authorization_durations.get_or_create(&labels));
    }

    /// Something that an operator should look at; `alarm` as told by [`crate::audit::Alarm::as_str`].
    pub fn alarm(&self, alarm: &'static str) {
        self.alarms.get_or_create(&AlarmLabels { alarm }).inc();
    }

    /// All of them as text.
    ///
    /// # Errors
    /// When a metric added by others cannot be written.
    pub(super) fn render(&self) -> Result<String, fmt::Error> {
        let mut page = String::new();
        text::encode(&mut page, &self.registry())?;
        Ok(page)
    }
}
