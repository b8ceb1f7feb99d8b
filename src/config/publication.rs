//! What an authority publishes of its certificates, checked.

use std::time::Duration;

use chrono::TimeDelta;

use super::file::{self, Span};
use super::problem::{Place, Problem, ProblemKind};
use crate::ca::{CertificateAuthority, Publication, StatusRules};
use crate::pki::profile::is_http_url;

/// The shortest and the longest time that an answer or a list may be valid.
const LIFETIME: std::ops::RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(366 * 24 * 60 * 60);
/// Certificates that one OCSP request may ask for: it has 16 KiB.
const OCSP_CERTIFICATES: std::ops::RangeInclusive<usize> = 1..=128;
/// OCSP answers held ready, a kilobyte each.
const OCSP_ANSWERS: std::ops::RangeInclusive<usize> = 2..=10_000_000;
/// Most lists that the revocations of one authority are split into.
const MOST_SHARDS: u16 = 1024;

/// `public_url` of `[server]`, without a slash at its end.
pub(super) fn public_url(url: Option<&str>, place: &Place, problems: &mut Vec<Problem>) -> Option<String> {
    let url = url?;
    let base = url.trim_end_matches('/');
    let is_base = !base.contains(['?', '#']);
    if is_http_url(base) && is_base {
        return Some(base.to_owned());
    }
    // RFC 5280 §8: whoever needs the list to check a certificate cannot be asked to check one to get the list.
    let expected = "an http:// URL such as \"http://pki.acme.example\"";
    problems.push(place.key("public_url").value(expected, format!("{url:?}")));
    None
}

/// How and where an authority publishes; `name` is `tenant/authority`.
pub(super) fn check(
    shape: &file::Authority,
    name: String,
    base: Option<&str>,
    place: &Place,
    problems: &mut Vec<Problem>,
) -> Publication {
    let mut lifetime = |key: &str, span: Span| {
        if !LIFETIME.contains(&span.0) {
            problems.push(place.key(key).value("1s to 366 days", span.to_string()));
        }
        TimeDelta::from_std(span.0).unwrap_or_default()
    };
    let delta_lifetime =
        (!shape.crl_delta_lifetime.0.is_zero()).then(|| lifetime("crl_delta_lifetime", shape.crl_delta_lifetime));
    let rules = StatusRules {
        crl_lifetime: lifetime("crl_lifetime", shape.crl_lifetime),
        crl_overlap: TimeDelta::from_std(shape.crl_overlap.0).unwrap_or_default(),
        delta_lifetime,
        crl_shards: shape.crl_shards,
        ocsp_lifetime: lifetime("ocsp_lifetime", shape.ocsp_lifetime),
        responder_lifetime: lifetime("ocsp_responder_lifetime", shape.ocsp_responder_lifetime),
        ocsp_max_certificates: shape.ocsp_max_certificates,
        ocsp_held_answers: shape.ocsp_held_answers,
    };
    for (key, count, range) in [
        ("ocsp_max_certificates", rules.ocsp_max_certificates, OCSP_CERTIFICATES),
        ("ocsp_held_answers", rules.ocsp_held_answers, OCSP_ANSWERS),
    ] {
        if !range.contains(&count) {
            problems.push(place.key(key).value(format!("{} to {}", range.start(), range.end()), count.to_string()));
        }
    }
    if rules.crl_overlap >= rules.crl_lifetime {
        let expected = "less than crl_lifetime: the next list comes so long before the end of the last";
        problems.push(place.key("crl_overlap").value(expected, shape.crl_overlap.to_string()));
    }
    // An answer must not outlive the responder's certificate, which is replaced at half of its life.
    if rules.responder_lifetime < rules.ocsp_lifetime * 2 {
        let expected = "at least twice ocsp_lifetime";
        problems.push(place.key("ocsp_responder_lifetime").value(expected, shape.ocsp_responder_lifetime.to_string()));
    }
    if !(1..=MOST_SHARDS).contains(&shape.crl_shards) {
        problems.push(place.key("crl_shards").value(format!("1 to {MOST_SHARDS}"), shape.crl_shards.to_string()));
    }
    // A part of the certificates has its list where they say, and a delta CRL where its list says.
    for (key, set) in [("crl_shards", shape.crl_shards > 1), ("crl_delta_lifetime", rules.delta_lifetime.is_some())] {
        if set && base.is_none() {
            problems.push(place.key(key).value("public_url in [server] beside it", "none"));
        }
    }
    Publication::new(base.map(str::to_owned), name, rules)
}

/// Certificates that name lists need a CA that signs them.
pub(super) fn no_crl_sign(authority: &CertificateAuthority) -> Option<ProblemKind> {
    let names_lists = authority.publication().is_some_and(|publication| publication.base.is_some());
    (names_lists && !authority.may_sign_crls()).then(|| ProblemKind::Value {
        expected: "a CA certificate with cRLSign in its keyUsage, as public_url is set".to_owned(),
        found: authority.certificate().subject().to_string(),
    })
}
