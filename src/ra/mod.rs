//! The registration authority: takes a request and a proven peer through policy, CA and store.

mod attempt;
mod authentication;
mod authorization;
mod cmc;
mod codes;
mod csr_attrs;
mod dead_letters;
mod enroll;
mod explain;
mod former;
mod judgement;
mod key_generation;
mod label;
mod lookup;
mod namespace;
mod operator_issue;
mod operators;
mod peer_session;
mod quota;
mod ra_client;
mod rate;
mod refusal;
mod registration;
mod registry;
mod renewal_info;
mod request_key;
mod revocation;
mod rollover;
mod statistics;
#[cfg(test)]
pub(crate) mod testing;

use std::collections::HashSet;
use std::sync::Arc;

use crate::access::{ManageServer, ServerGrant};
use crate::audit::{Alarm, AuditEvent, AuditOutcome};
use crate::clock::{Clock, Entropy};
use crate::credential::Gate;
use crate::est::{EstResponse, Label, ResponseBody, TenantHosts};
use crate::pki::blocked_keys::BlockedKeys;
use crate::pki::digest::sha256;
use crate::store::{CertificateStore, Receipt, StoreFault};

use attempt::Attempt;
use key_generation::Places;
use namespace::Namespaces;

pub use crate::credential::{AssumedCredential, Challenge, HttpScheme};
pub use crate::store::RequestKey;
pub use authorization::{Answer, AuthorizationFault, Authorizer, Question, Turn, TurnFuture};
pub use cmc::MAX_CONTROLS as MAX_CMC_CONTROLS;
pub use codes::{
    CodeRefused, CodeRequest, CodeState, MAX_CODE_LIFE, MAX_CODE_USES, MAX_CODES, MAX_CODES_AT_ONCE, MadeCode,
    MadeCodes, StandingCode,
};
pub use dead_letters::RedeliveryError;
pub use enroll::{Coming, PendingResponse};
pub use explain::{ExplainError, Explanation, Inquiry, Verdict};
pub use former::{MAX_TAKEN_OVER_AT_ONCE, PreparedTakeover, Takeover, TakeoverError};
pub use key_generation::{DEFAULT_RSA_GENERATIONS, KeyGeneration};
pub use label::{Authentication, LabelContext, RequestRules};
pub use lookup::{CertificateFilter, DeviceFilter, EventFilter, MAX_LOOKED_AT, Page, StandingCertificate};
pub use namespace::LabelsError;
pub use operator_issue::IssueRefused;
pub use operators::{
    LOCAL_PREFIX, MAX_TOKEN_LIFE, MAX_TOKEN_NAME_OCTETS, MAX_TOKENS, MadeToken, TokenRefused, TokenRequest,
};
pub use peer_session::PeerSession;
pub use quota::Holdings;
pub use rate::Rates;
pub use refusal::{Fault, Refusal};
pub use registry::{Listing, MAX_LISTED_AT_ONCE, MAX_TAG_OCTETS, MAX_TAGS, RegistryError};
pub use revocation::RevocationError;
pub use statistics::{Activity, Endings, MAX_STEPS, Statistics, StatisticsQuery, StatisticsRefused, Step};

/// The outside world, as the core sees it.
#[derive(Clone)]
pub struct Ports {
    /// What is remembered.
    pub store: Arc<dyn CertificateStore>,
    /// What time it is.
    pub clock: Arc<dyn Clock>,
    /// Where serial numbers come from.
    pub entropy: Arc<dyn Entropy>,
    /// What HTTP authentication remembers.
    pub gate: Arc<Gate>,
    /// Who asked how often.
    pub rates: Arc<Rates>,
    /// What tenants have.
    pub holdings: Arc<Holdings>,
}

/// One configuration's worth of labels over the ports they share. A reload builds a new one.
pub struct RegistrationAuthority {
    namespaces: Namespaces,
    /// SHA-256 of the SubjectPublicKeyInfo of every CA that is known here: no device gets a certificate over one.
    ca_keys: HashSet<[u8; 32]>,
    blocked_keys: BlockedKeys,
    ports: Ports,
    rsa_generations: Places,
}

impl RegistrationAuthority {
    /// Labels are unique within each tenant of `hosts`, and over all the others; the path without a label stands for
    /// `default_label`, or for that of the tenant whose host it came to.
    ///
    /// # Errors
    /// When a label or a host stands twice, or a default label is missing.
    pub fn new(
        labels: Vec<LabelContext>,
        default_label: Option<&Label>,
        hosts: &[TenantHosts],
        ports: Ports,
    ) -> Result<Self, LabelsError> {
        let mut ca_keys = HashSet::new();
        for context in &labels {
            let authorities = context.authorities().flat_map(|ca| ca.path());
            let anchors = context.anchors.explicit().iter().chain(context.anchors.implicit());
            ca_keys.extend(authorities.chain(anchors).map(|ca| sha256(&[ca.public_key().der()])));
        }
        let rsa_generations = Places::new(DEFAULT_RSA_GENERATIONS);
        let namespaces = Namespaces::new(labels, default_label, hosts)?;
        Ok(Self { namespaces, ca_keys, blocked_keys: BlockedKeys::default(), ports, rsa_generations })
    }

    /// The same, with another limit to the RSA keys that are made at once.
    #[must_use]
    pub fn with_rsa_generations(self, most: usize) -> Self {
        Self { rsa_generations: Places::new(most), ..self }
    }

    /// These keys are certified for nobody.
    #[must_use]
    pub fn refusing_keys(self, blocked_keys: BlockedKeys) -> Self {
        Self { blocked_keys, ..self }
    }

    /// The label that a path names, at a host in lower case or at none. An unknown label is nobody's, never the default's
    /// (RFC 7030 section 3.2.2).
    pub fn label(&self, host: Option<&str>, label: Option<&Label>) -> Option<&Arc<LabelContext>> {
        self.namespaces.find(host, label)
    }

    /// Whether a host name, in lower case, is a tenant's own.
    pub fn is_tenant_host(&self, host: &str) -> bool {
        self.namespaces.owns(host)
    }

    /// Every label.
    pub fn labels(&self) -> impl Iterator<Item = &Arc<LabelContext>> {
        self.namespaces.all()
    }

    /// The label of a tenant that has this name.
    pub fn label_of(&self, tenant: &str, name: &str) -> Option<&Arc<LabelContext>> {
        self.labels().find(|label| label.tenant == tenant && label.label.as_str() == name)
    }

    /// Whether a tenant has a label.
    pub fn has_tenant(&self, tenant: &str) -> bool {
        self.labels().any(|label| label.tenant == tenant)
    }

    /// Whether a SubjectPublicKeyInfo is that of a CA that is known here.
    pub fn is_ca_key(&self, spki_der: &[u8]) -> bool {
        self.ca_keys.contains(&sha256(&[spki_der]))
    }

    /// The ports, for the next configuration.
    pub fn ports(&self) -> &Ports {
        &self.ports
    }

    /// The CA certificates of a label, to whoever asks (RFC 7030 section 4.1.2).
    pub fn ca_certs(&self, label: &LabelContext) -> EstResponse {
        let certificates = match label.rollover.as_deref() {
            None => label.authority.ca_certs(),
            Some(rollover) if label.wire.shape.takes_two_roots_of_one_name() => rollover.ca_certs(),
            Some(rollover) => rollover.ca_certs_of_one_root(),
        };
        EstResponse { body: ResponseBody::CaCerts(certificates) }
    }

    /// Leaves the audit event of an enrollment whose record did not become durable.
    pub fn failed_to_record(&self, label: &LabelContext, operation: &str, peer: &PeerSession, request_id: &str) {
        let attempt = Attempt::new(self.ports.clock.now(), Some(label), operation, peer, request_id);
        self.ports.store.record_event(attempt.event(AuditOutcome::Failed));
    }

    /// Leaves an audit event of the server itself.
    pub fn note(&self, operation: &str, what: &str) {
        self.server_event(operation, AuditOutcome::Changed { what: what.to_owned() });
    }

    /// Leaves an alarm of the server itself.
    pub fn alarm(&self, operation: &str, alarm: Alarm, reason: String) {
        self.server_event(operation, AuditOutcome::Alarm { alarm, reason });
    }

    fn server_event(&self, operation: &str, outcome: AuditOutcome) {
        self.ports.store.record_event(AuditEvent::of_server(self.ports.clock.now(), operation, outcome));
    }

    /// Leaves the audit event of a reload that an operator asked for.
    ///
    /// # Errors
    /// When the store cannot take it.
    pub fn note_reload(&self, grant: &ServerGrant<ManageServer>) -> Result<Receipt, StoreFault> {
        let what = "configuration reloaded".to_owned();
        let event = registry::changed("", None, "server.reload", what, self.ports.clock.now(), grant.actor());
        self.ports.store.record_facts(grant.answer(), event)
    }

    /// Leaves the one audit event of a refusal that was decided before the request reached the core.
    pub fn refused_at_edge(
        &self,
        label: Option<&LabelContext>,
        operation: &str,
        refusal: &Refusal,
        peer: &PeerSession,
        request_id: &str,
    ) {
        let attempt = Attempt::new(self.ports.clock.now(), label, operation, peer, request_id);
        self.ports.store.record_event(attempt.refused(refusal));
    }
}
