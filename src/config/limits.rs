//! `[limits]`, checked.

use std::time::Duration;

use chrono::TimeDelta;

use super::file;
use super::problem::{Place, Problem};

/// Every bound the server holds to; none but the pause and the target is zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Request body, octets.
    pub max_body: usize,
    /// Request head, octets.
    pub max_header: usize,
    /// Connections at once, in all.
    pub max_connections: usize,
    /// Connections at once from one address.
    pub max_connections_per_address: usize,
    /// Connections to the public listener at once, in all.
    pub public_max_connections: usize,
    /// Connections to the public listener at once from one address.
    pub public_max_connections_per_address: usize,
    /// How long a TLS handshake may take.
    pub handshake_timeout: Duration,
    /// How long a request head may take, from its first octet.
    pub header_timeout: Duration,
    /// How long a request body may take.
    pub body_timeout: Duration,
    /// How long a connection may rest between requests.
    pub idle_timeout: Duration,
    /// Certificates a peer may send above its own.
    pub max_chain: usize,
    /// subjectAltName entries in a request.
    pub max_subject_alt_names: usize,
    /// RDNs in the subject of a request.
    pub max_rdns: usize,
    /// Attributes in a request.
    pub max_attributes: usize,
    /// Extensions in a request.
    pub max_extensions: usize,
    /// RSA keys made at once for serverkeygen.
    pub max_rsa_generations: usize,
    /// How long a request for a certificate may be on its way through; zero: as long as it takes.
    pub target_latency: Duration,
    /// Records that may wait for the disk.
    pub queue: usize,
    /// How long records gather after a sync of the journal before the next.
    pub sync_pause: Duration,
    /// Refusals written to the journal in a second; those above are counted, not written.
    pub audit_refusals_per_second: u32,
    /// Credentials verified at once; each Argon2id hash takes its memory.
    pub max_verifications: usize,
    /// OCSP answers worked at, at the same time.
    pub max_ocsp_responses: usize,
    /// Wrong passwords of one user at one label, within the window, that lock the user out.
    pub auth_failures_per_user: u32,
    /// Wrong credentials from one address, within the window, that lock the address out.
    pub auth_failures_per_address: u32,
    /// The window.
    pub auth_failure_window: TimeDelta,
    /// How long a user or an address is locked out.
    pub auth_lockout: TimeDelta,
    /// How far the clock may jump between two looks before there is an alarm.
    pub clock_jump: Duration,
}

/// Least octets of a head: hyper's own floor.
const LEAST_HEADER: u64 = 8192;
/// Most octets of a body or head, and most of anything counted.
const MOST: u64 = 16 * 1024 * 1024;
/// Least octets of a body: a request with an RSA-4096 key, in base64, with room for names.
const LEAST_BODY: u64 = 4096;
/// The longest any time limit may be.
const LONGEST: Duration = Duration::from_secs(60 * 60);
/// How long a request for a certificate may be on its way through.
const TARGET: std::ops::RangeInclusive<Duration> = Duration::from_millis(10)..=Duration::from_secs(60);
/// The longest a record may wait for others.
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

impl Limits {
    pub(super) fn check(shape: &file::Limits, place: &Place, problems: &mut Vec<Problem>) -> Self {
        let mut check = Check { place, problems };
        Self {
            max_body: check.count("max_body", shape.max_body, LEAST_BODY),
            max_header: check.count("max_header", shape.max_header, LEAST_HEADER),
            max_connections: check.count("max_connections", shape.max_connections, 1),
            max_connections_per_address: check.count(
                "max_connections_per_address",
                shape.max_connections_per_address,
                1,
            ),
            public_max_connections: check.count("public_max_connections", shape.public_max_connections, 1),
            public_max_connections_per_address: check.count(
                "public_max_connections_per_address",
                shape.public_max_connections_per_address,
                1,
            ),
            handshake_timeout: check.time("handshake_timeout", shape.handshake_timeout),
            header_timeout: check.time("header_timeout", shape.header_timeout),
            body_timeout: check.time("body_timeout", shape.body_timeout),
            idle_timeout: check.time("idle_timeout", shape.idle_timeout),
            max_chain: check.count("max_chain", shape.max_chain, 1),
            max_subject_alt_names: check.count("max_subject_alt_names", shape.max_subject_alt_names, 1),
            max_rdns: check.count("max_rdns", shape.max_rdns, 1),
            max_attributes: check.count("max_attributes", shape.max_attributes, 1),
            max_extensions: check.count("max_extensions", shape.max_extensions, 1),
            max_rsa_generations: check.count("max_rsa_generations", shape.max_rsa_generations, 1),
            target_latency: check.target("target_latency", shape.target_latency),
            queue: check.count("queue", shape.queue, 1),
            sync_pause: check.pause("sync_pause", shape.sync_pause),
            audit_refusals_per_second: check.rate("audit_refusals_per_second", shape.audit_refusals_per_second),
            max_verifications: check.count("max_verifications", shape.max_verifications, 1),
            max_ocsp_responses: check.count("max_ocsp_responses", shape.max_ocsp_responses, 1),
            auth_failures_per_user: check.rate("auth_failures_per_user", shape.auth_failures_per_user),
            auth_failures_per_address: check.rate("auth_failures_per_address", shape.auth_failures_per_address),
            auth_failure_window: check.delta("auth_failure_window", shape.auth_failure_window),
            auth_lockout: check.delta("auth_lockout", shape.auth_lockout),
            clock_jump: check.time("clock_jump", shape.clock_jump),
        }
    }
}

/// Judges one value after the other; one that is out of its bounds is reported.
struct Check<'a> {
    place: &'a Place,
    problems: &'a mut Vec<Problem>,
}

impl Check<'_> {
    fn count(&mut self, key: &str, value: u64, least: u64) -> usize {
        if !(least..=MOST).contains(&value) {
            let expected = format!("{least} to {MOST}");
            self.problems.push(self.place.key(key).value(expected, value.to_string()));
        }
        usize::try_from(value).unwrap_or(usize::MAX)
    }

    fn rate(&mut self, key: &str, value: u64) -> u32 {
        u32::try_from(self.count(key, value, 1)).unwrap_or(u32::MAX)
    }

    fn pause(&mut self, key: &str, value: file::Span) -> Duration {
        if value.0 > LONGEST_PAUSE {
            self.problems.push(self.place.key(key).value("at most 1s", value.to_string()));
        }
        value.0
    }

    fn target(&mut self, key: &str, value: file::Span) -> Duration {
        if !value.0.is_zero() && !TARGET.contains(&value.0) {
            let expected = "10ms to 1m, or 0s for none";
            self.problems.push(self.place.key(key).value(expected, value.to_string()));
        }
        value.0
    }

    fn delta(&mut self, key: &str, value: file::Span) -> TimeDelta {
        TimeDelta::from_std(self.time(key, value)).unwrap_or_default()
    }

    fn time(&mut self, key: &str, value: file::Span) -> Duration {
        if value.0.is_zero() || value.0 > LONGEST {
            self.problems.push(self.place.key(key).value("more than 0s, at most 1h", value.to_string()));
        }
        value.0
    }
}
