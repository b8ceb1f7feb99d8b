//! The shapes of the configuration files, key for key: nothing here is checked beyond its type.
//!
//! Every key may be missing (its default then stands in `Default`, and where there is none, in `None`), and tables
//! inside tables stay undecoded: so each key of each table is judged on its own and all mistakes are found in one go.

mod admin;
mod credentials;
mod limits;
mod renewal;
mod webhook;

pub(super) use admin::{Admin, AdminOperator};
pub(super) use credentials::{Code, Credentials, Issuer, Token, User};
pub(super) use limits::{LabelLimits, TenantLimits};
pub(super) use renewal::Renewal;
pub(super) use webhook::{AuthorizationWebhook, Webhook};

use std::fmt;
use std::time::Duration;

use serde::Deserialize;
use serde::de::{DeserializeOwned, Deserializer, Error as _};
use toml::Value;

use super::problem::{Place, Problem, ProblemKind};

/// A table of TOML, undecoded.
pub(super) type Table = toml::Table;

/// A table's shape; every key of it may be missing.
pub(super) trait Shape: DeserializeOwned + Default {}

impl<T: DeserializeOwned + Default> Shape for T {}

/// Parses a document.
pub(super) fn parse(text: &str) -> Result<Table, ProblemKind> {
    text.parse()
        .map_err(|error: toml::de::Error| ProblemKind::Syntax { error: error.to_string().trim_end().to_owned() })
}

/// A key's text before its table is decoded, to name the table by.
pub(super) fn text<'a>(table: &'a Table, key: &str) -> Option<&'a str> {
    table.get(key).and_then(Value::as_str)
}

/// Decodes a table into its shape, key by key; a key that does not fit is reported and left at its default.
pub(super) fn decode<T: Shape>(table: Table, place: &Place, problems: &mut Vec<Problem>) -> T {
    let mut sound = Table::new();
    for (key, value) in table {
        let alone = Table::from_iter([(key.clone(), value.clone())]);
        match T::deserialize(Value::Table(alone)) {
            Ok(_) => {
                sound.insert(key, value);
            }
            Err(error) => {
                problems.push(place.key(&key).problem(ProblemKind::Shape { error: error.message().to_owned() }))
            }
        }
    }
    T::deserialize(Value::Table(sound)).unwrap_or_default()
}

/// A duration as people write it: `90s`, `10m`, `24h`, `398d`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Span(pub(super) Duration);

impl Span {
    pub(super) const fn seconds(seconds: u64) -> Self {
        Self(Duration::from_secs(seconds))
    }

    pub(super) const fn days(days: u64) -> Self {
        Self::seconds(days * 24 * 60 * 60)
    }
}

impl fmt::Display for Span {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        humantime::format_duration(self.0).fmt(formatter)
    }
}

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        humantime::parse_duration(&text).map(Self).map_err(|error| {
            let found = format_args!("expected a duration such as \"10m\" or \"398d\", found {text:?}: {error}");
            D::Error::custom(found)
        })
    }
}

/// The main file.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct MainFile {
    pub(super) server: Table,
    pub(super) limits: Table,
    pub(super) log: Table,
    pub(super) admin: Table,
    pub(super) tenant: Vec<Table>,
    pub(super) webhook: Vec<Table>,
}

/// `[server]`
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Server {
    pub(super) listen: Option<Vec<String>>,
    pub(super) status_listen: String,
    pub(super) public_listen: Vec<String>,
    pub(super) public_url: Option<String>,
    pub(super) data_dir: Option<String>,
    pub(super) default_label: Option<String>,
    pub(super) drain: Span,
    pub(super) checkpoint_interval: Span,
    pub(super) tenants_dir: Option<String>,
    pub(super) blocked_keys: Vec<String>,
    pub(super) tls: Table,
}

impl Default for Server {
    fn default() -> Self {
        Self {
            listen: None,
            status_listen: "127.0.0.1:9443".to_owned(),
            public_listen: Vec::new(),
            public_url: None,
            data_dir: None,
            default_label: None,
            drain: Span::seconds(30),
            checkpoint_interval: Span::seconds(10 * 60),
            tenants_dir: None,
            blocked_keys: Vec::new(),
            tls: Table::new(),
        }
    }
}

/// `[server.tls]`
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Tls {
    pub(super) issued_by: Option<String>,
    pub(super) names: Option<Vec<String>>,
    pub(super) validity: Span,
    pub(super) certificate: Option<String>,
    pub(super) key: Option<String>,
    pub(super) min_version: String,
}

impl Default for Tls {
    fn default() -> Self {
        Self {
            issued_by: None,
            names: None,
            validity: Span::days(90),
            certificate: None,
            key: None,
            min_version: "1.2".to_owned(),
        }
    }
}

/// `[limits]`
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Limits {
    pub(super) max_body: u64,
    pub(super) max_header: u64,
    pub(super) max_connections: u64,
    pub(super) max_connections_per_address: u64,
    pub(super) public_max_connections: u64,
    pub(super) public_max_connections_per_address: u64,
    pub(super) handshake_timeout: Span,
    pub(super) header_timeout: Span,
    pub(super) body_timeout: Span,
    pub(super) idle_timeout: Span,
    pub(super) max_chain: u64,
    pub(super) max_subject_alt_names: u64,
    pub(super) max_rdns: u64,
    pub(super) max_attributes: u64,
    pub(super) max_extensions: u64,
    pub(super) max_rsa_generations: u64,
    pub(super) target_latency: Span,
    pub(super) queue: u64,
    pub(super) sync_pause: Span,
    pub(super) audit_refusals_per_second: u64,
    pub(super) max_verifications: u64,
    pub(super) max_ocsp_responses: u64,
    pub(super) auth_failures_per_user: u64,
    pub(super) auth_failures_per_address: u64,
    pub(super) auth_failure_window: Span,
    pub(super) auth_lockout: Span,
    pub(super) clock_jump: Span,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_body: 65_536,
            max_header: 16_384,
            max_connections: 10_000,
            max_connections_per_address: 256,
            public_max_connections: 1000,
            public_max_connections_per_address: 64,
            handshake_timeout: Span::seconds(10),
            header_timeout: Span::seconds(10),
            body_timeout: Span::seconds(20),
            idle_timeout: Span::seconds(60),
            max_chain: 6,
            max_subject_alt_names: 32,
            max_rdns: 32,
            max_attributes: 32,
            max_extensions: 32,
            max_rsa_generations: 2,
            target_latency: Span::seconds(1),
            queue: 1024,
            sync_pause: Span(Duration::from_millis(1)),
            audit_refusals_per_second: 200,
            max_verifications: 4,
            max_ocsp_responses: 64,
            auth_failures_per_user: 10,
            auth_failures_per_address: 50,
            auth_failure_window: Span::seconds(10 * 60),
            auth_lockout: Span::seconds(10 * 60),
            clock_jump: Span::seconds(60),
        }
    }
}

/// `[log]`
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Log {
    pub(super) format: String,
    pub(super) level: String,
}

impl Default for Log {
    fn default() -> Self {
        Self { format: "text".to_owned(), level: "info".to_owned() }
    }
}

/// `[[tenant]]`, or a whole file in `tenants_dir`.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Tenant {
    pub(super) name: Option<String>,
    pub(super) hosts: Vec<String>,
    pub(super) default_label: Option<String>,
    pub(super) credentials: Option<String>,
    pub(super) limits: Table,
    pub(super) authority: Vec<Table>,
    pub(super) profile: Vec<Table>,
    pub(super) label: Vec<Table>,
}

/// `[[tenant.authority]]`
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Authority {
    pub(super) name: Option<String>,
    pub(super) certificate: Option<String>,
    pub(super) key: Option<String>,
    pub(super) chain: Vec<String>,
    pub(super) crl_lifetime: Span,
    pub(super) crl_overlap: Span,
    pub(super) crl_delta_lifetime: Span,
    pub(super) crl_shards: u16,
    pub(super) ocsp_lifetime: Span,
    pub(super) ocsp_responder_lifetime: Span,
    pub(super) ocsp_max_certificates: usize,
    pub(super) ocsp_held_answers: usize,
    pub(super) successor: Option<Table>,
}

impl Default for Authority {
    fn default() -> Self {
        Self {
            name: None,
            certificate: None,
            key: None,
            chain: Vec::new(),
            successor: None,
            crl_lifetime: Span::days(7),
            crl_overlap: Span::days(6),
            crl_delta_lifetime: Span::seconds(0),
            crl_shards: 1,
            ocsp_lifetime: Span::seconds(60 * 60),
            ocsp_responder_lifetime: Span::days(7),
            ocsp_max_certificates: 16,
            ocsp_held_answers: 20_000,
        }
    }
}

/// `[tenant.authority.successor]`
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Successor {
    pub(super) phase: Option<String>,
    pub(super) certificate: Option<String>,
    pub(super) key: Option<String>,
    pub(super) chain: Vec<String>,
    pub(super) old_with_new: Option<String>,
    pub(super) new_with_old: Option<String>,
}

/// `[[tenant.profile]]`
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Profile {
    pub(super) name: Option<String>,
    pub(super) validity: Option<Span>,
    pub(super) backdate: Span,
    pub(super) keys: Vec<String>,
    pub(super) rsa_min_bits: u32,
    pub(super) rsa_max_bits: u32,
    pub(super) key_usage: Option<Vec<String>>,
    pub(super) ext_key_usage: Vec<String>,
    pub(super) subject: Option<Vec<String>>,
    pub(super) subject_alt_names: Vec<String>,
    pub(super) optional_subject_alt_names: Vec<String>,
    pub(super) request_names: String,
    pub(super) crl_urls: Vec<String>,
    pub(super) ocsp_urls: Vec<String>,
    pub(super) ca_issuer_urls: Vec<String>,
    pub(super) policies: Vec<String>,
    pub(super) allow_key_reuse: bool,
    pub(super) ca_path_len: Option<u32>,
    pub(super) ra: bool,
    pub(super) extension: Vec<Table>,
}

impl Default for Profile {
    fn default() -> Self {
        Self {
            name: None,
            validity: None,
            backdate: Span::seconds(60 * 60),
            keys: ["rsa", "p256", "p384", "p521", "ed25519"].map(str::to_owned).to_vec(),
            rsa_min_bits: 2048,
            rsa_max_bits: 4096,
            key_usage: None,
            ext_key_usage: vec!["clientAuth".to_owned()],
            subject: None,
            subject_alt_names: Vec::new(),
            optional_subject_alt_names: Vec::new(),
            request_names: "agree".to_owned(),
            crl_urls: Vec::new(),
            ocsp_urls: Vec::new(),
            ca_issuer_urls: Vec::new(),
            policies: Vec::new(),
            allow_key_reuse: true,
            ca_path_len: None,
            ra: false,
            extension: Vec::new(),
        }
    }
}

/// `[[tenant.profile.extension]]`
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Extension {
    pub(super) oid: Option<String>,
    pub(super) critical: bool,
    pub(super) value: Option<String>,
}

/// `[[tenant.label]]`
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Label {
    pub(super) name: Option<String>,
    pub(super) authority: Option<String>,
    pub(super) profile: Option<String>,
    pub(super) birth_anchors: Option<Vec<String>>,
    pub(super) identity: Option<String>,
    pub(super) renewal_grace: Span,
    pub(super) identity_linking: String,
    pub(super) change_subject_name: String,
    pub(super) ra: Table,
    pub(super) full_cmc: bool,
    pub(super) registration: String,
    pub(super) repeated_birth: String,
    pub(super) approval: Table,
    pub(super) renewal: Table,
    pub(super) limits: Table,
    pub(super) authentication: String,
    pub(super) http_schemes: Vec<String>,
    pub(super) digest_algorithms: Vec<String>,
    pub(super) repeat_window: Span,
    pub(super) wire: String,
    pub(super) strict: bool,
    pub(super) csrattrs: String,
    pub(super) key_generation: Option<Table>,
    pub(super) authorization_webhook: Option<Table>,
}

impl Default for Label {
    fn default() -> Self {
        Self {
            name: None,
            authority: None,
            profile: None,
            birth_anchors: None,
            identity: None,
            renewal_grace: Span::seconds(0),
            identity_linking: "if-present".to_owned(),
            change_subject_name: "refuse".to_owned(),
            ra: Table::new(),
            full_cmc: false,
            registration: "open".to_owned(),
            repeated_birth: "alarm".to_owned(),
            approval: Table::new(),
            renewal: Table::new(),
            limits: Table::new(),
            authentication: "certificate".to_owned(),
            http_schemes: vec!["basic".to_owned()],
            digest_algorithms: vec!["SHA-256".to_owned()],
            repeat_window: Span::seconds(10 * 60),
            wire: "rfc8951".to_owned(),
            strict: false,
            csrattrs: "list".to_owned(),
            key_generation: None,
            authorization_webhook: None,
        }
    }
}

/// `[tenant.label.ra]`
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Ra {
    pub(super) clients: Vec<String>,
    pub(super) devices: Vec<String>,
    pub(super) foreign_linking: bool,
}

/// `[tenant.label.approval]`
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Approval {
    pub(super) retry_after: Span,
    pub(super) valid_for: Span,
    pub(super) max_waiting: u64,
    pub(super) hold: Span,
}

impl Default for Approval {
    fn default() -> Self {
        Self { retry_after: Span::seconds(60), valid_for: Span::days(7), max_waiting: 1000, hold: Span::seconds(0) }
    }
}

/// `[tenant.label.key_generation]`
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct KeyGeneration {
    pub(super) plaintext: bool,
    pub(super) birth_certificates: bool,
    pub(super) decrypt_certificates: Vec<String>,
    pub(super) decrypt_key: Vec<Table>,
}

/// `[[tenant.label.key_generation.decrypt_key]]`
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct DecryptKey {
    pub(super) id: Option<String>,
    pub(super) key: Option<String>,
}
