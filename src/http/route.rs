//! From a request head to what it asks for: host, path, method and media type, each checked exactly.

use std::sync::Arc;

use hyper::Method;
use hyper::Version;
use hyper::header::{CONTENT_TYPE, HOST, HeaderMap};
use hyper::http::request::Parts;
use hyper::http::uri::Authority;

use crate::est::{EstTarget, Leniency, Operation, Rejection, RejectionCode, RenewalIdentifier, Tolerance};
use crate::ra::{LabelContext, PeerSession, RegistrationAuthority};

/// The media type of a certification request (RFC 5967 section 2).
const PKCS10: &str = "application/pkcs10";

/// The media type of a CMC message (RFC 5273 section 3).
const PKCS7_MIME: &str = "application/pkcs7-mime";

/// Its smime-type (RFC 7030 section 4.3.1).
const CMC_REQUEST: &str = "CMC-request";

/// What a request target names.
pub(super) struct Route {
    pub(super) target: EstTarget,
    pub(super) label: Arc<LabelContext>,
    /// What names a certificate in the path, where the operation is about one.
    identifier: Option<String>,
}

/// What the method makes of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Call {
    /// Fetch the CA certificates.
    CaCerts,
    /// Ask what a request should carry.
    CsrAttrs,
    /// Ask when to renew a certificate.
    RenewalInfo(RenewalIdentifier),
    /// Hand in a certification request.
    Enroll,
}

impl Route {
    /// Finds the operation and the label. A query is no part of what a path names and is ignored.
    pub(super) fn find(
        head: &Parts,
        authority: &RegistrationAuthority,
        session: &PeerSession,
    ) -> Result<Self, Rejection> {
        let host = host(head)?;
        check_server_name(host.as_deref(), authority, session)?;
        let not_found = || {
            let reason = "no such path, expected /.well-known/est/[label/] and cacerts, csrattrs, simpleenroll, \
                          simplereenroll, serverkeygen, fullcmc or renewal-info/CERTIFICATE";
            Rejection::new(RejectionCode::NotFound, "RFC 7030 3.2.2", reason)
        };
        // Byte for byte: the path is neither percent-decoded nor normalized, so no two spellings name one label.
        let (target, identifier) = EstTarget::parse_with_identifier(head.uri.path()).ok_or_else(not_found)?;
        let identifier = identifier.map(str::to_owned);
        let label = authority.label(host.as_deref(), target.label.as_ref()).ok_or_else(not_found)?;
        offered(target.operation, label)?;
        Ok(Self { label: Arc::clone(label), target, identifier })
    }

    /// The same under another configuration; `None` when the label, or the operation at it, is gone.
    pub(super) fn under(&self, authority: &RegistrationAuthority) -> Option<Self> {
        let label = authority.label_of(&self.label.tenant, self.label.label.as_str());
        let label = label.filter(|label| offered(self.target.operation, label).is_ok())?;
        Some(Self { target: self.target.clone(), label: Arc::clone(label), identifier: self.identifier.clone() })
    }

    /// What `head` asks of it, known before its body is read.
    pub(super) fn call(&self, head: &Parts) -> Result<Call, Rejection> {
        let fetches = head.method == Method::GET || head.method == Method::HEAD;
        match self.target.operation {
            Operation::CaCerts if fetches => Ok(Call::CaCerts),
            Operation::CsrAttrs if fetches => Ok(Call::CsrAttrs),
            Operation::RenewalInfo if fetches => self.renewal_info(),
            Operation::SimpleEnroll | Operation::SimpleReenroll | Operation::ServerKeyGen
                if head.method == Method::POST =>
            {
                // RFC 7030 §4.2.1, §4.4.1 and RFC 9110 §8.3.1: compared without regard to case, parameters ignored.
                if media_type(&head.headers).is_some_and(|name| name.eq_ignore_ascii_case(PKCS10)) {
                    return Ok(Call::Enroll);
                }
                let reason = "the Content-Type of a request for a certificate is application/pkcs10";
                Err(Rejection::new(RejectionCode::UnsupportedMediaType, "RFC 7030 4.2.1", reason))
            }
            Operation::FullCmc if head.method == Method::POST => {
                cmc_request(&head.headers, self.label.wire.tolerance).map(|()| Call::Enroll)
            }
            operation @ (Operation::CaCerts
            | Operation::CsrAttrs
            | Operation::SimpleEnroll
            | Operation::SimpleReenroll
            | Operation::ServerKeyGen
            | Operation::FullCmc
            | Operation::RenewalInfo) => {
                let reason = format!("{} takes {}", operation.segment(), allowed_methods(operation));
                Err(Rejection::new(RejectionCode::MethodNotAllowed, "RFC 9110 15.5.6", reason))
            }
        }
    }

    fn renewal_info(&self) -> Result<Call, Rejection> {
        let identifier = RenewalIdentifier::parse(self.identifier.as_deref().unwrap_or_default());
        identifier.map(Call::RenewalInfo).map_err(|error| {
            Rejection::new(RejectionCode::BadRequest, "draft-ietf-lamps-est-renewal-info 3.1", error.to_string())
        })
    }
}

/// The value of the Allow field (RFC 9110 section 10.2.1).
pub(super) const fn allowed_methods(operation: Operation) -> &'static str {
    match operation {
        Operation::CaCerts | Operation::CsrAttrs | Operation::RenewalInfo => "GET, HEAD",
        Operation::SimpleEnroll | Operation::SimpleReenroll | Operation::ServerKeyGen | Operation::FullCmc => "POST",
    }
}

/// The media type of the bodies that an operation takes.
pub(super) const fn media_type_of(operation: Option<Operation>) -> &'static str {
    match operation {
        Some(Operation::FullCmc) => PKCS7_MIME,
        Some(
            Operation::CaCerts
            | Operation::CsrAttrs
            | Operation::SimpleEnroll
            | Operation::SimpleReenroll
            | Operation::ServerKeyGen
            | Operation::RenewalInfo,
        )
        | None => PKCS10,
    }
}

/// RFC 7030 §6: "It is RECOMMENDED that EST servers not support this operation by default."
fn offered(operation: Operation, label: &LabelContext) -> Result<(), Rejection> {
    if operation == Operation::ServerKeyGen && label.key_generation.is_none() {
        return Err(Rejection::new(RejectionCode::NotFound, "RFC 7030 4.4", "this label makes no keys"));
    }
    if operation == Operation::FullCmc && label.cmc_responder.is_none() {
        return Err(Rejection::new(RejectionCode::NotFound, "RFC 7030 4.3", "this label does not take full cmc"));
    }
    Ok(())
}

/// A tenant's own host is reached by a connection that asked for it by name, and such a connection reaches nothing else: so
/// that nothing before the server takes a request for one tenant to another (RFC 9110 section 7.4).
fn check_server_name(
    host: Option<&str>,
    authority: &RegistrationAuthority,
    session: &PeerSession,
) -> Result<(), Rejection> {
    let owned = |name: &&str| authority.is_tenant_host(name);
    if host.filter(owned) == session.server_name().filter(owned) {
        return Ok(());
    }
    let reason = "the Host of the request is not the server name of the TLS handshake";
    Err(Rejection::new(RejectionCode::Misdirected, "RFC 9110 15.5.20", reason))
}

/// RFC 9112 §3.2: one valid Host in HTTP/1.1, at most one before; an absolute target that agrees with it, and no target
/// of another form. The host, without its port and in lower case.
fn host(head: &Parts) -> Result<Option<String>, Rejection> {
    let refused = |reason: &'static str| Err(Rejection::new(RejectionCode::BadRequest, "RFC 9112 3.2", reason));
    let mut hosts = head.headers.get_all(HOST).iter();
    let host = match (hosts.next(), hosts.next()) {
        (Some(host), None) => Some(host),
        (None, _) if head.version < Version::HTTP_11 => None,
        (None, _) => return refused("the request has no Host"),
        (Some(_), Some(_)) => return refused("the request has more than one Host"),
    };
    let host = match host.map(|host| Authority::try_from(host.as_bytes())) {
        Some(Ok(host)) if !host.as_str().contains('@') => Some(host),
        Some(_) => return refused("the Host is not a host with an optional port"),
        None => None,
    };
    match (head.uri.scheme(), head.uri.authority()) {
        (None, None) if head.uri.path().starts_with('/') => Ok(host.map(|host| host.host().to_ascii_lowercase())),
        (Some(_), Some(named)) if host.as_ref().is_none_or(|host| host == named) => {
            Ok(Some(named.host().to_ascii_lowercase()))
        }
        (Some(_), Some(_)) => refused("the request target names another host than Host"),
        _ => refused("the request target is neither a path nor an absolute URI"),
    }
}

fn media_type(headers: &HeaderMap) -> Option<&str> {
    let mut values = headers.get_all(CONTENT_TYPE).iter();
    let (Some(value), None) = (values.next(), values.next()) else { return None };
    let value = value.to_str().ok()?;
    Some(value.split_once(';').map_or(value, |(name, _)| name).trim())
}

/// RFC 7030 §4.3.1; compared without regard to case, as RFC 5273 writes it otherwise.
fn cmc_request(headers: &HeaderMap, tolerance: Tolerance) -> Result<(), Rejection> {
    let missing = Leniency::MissingSmimeType;
    if !media_type(headers).is_some_and(|name| name.eq_ignore_ascii_case(PKCS7_MIME)) {
        return Err(missing.refusal());
    }
    let value = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let mut parameters = value.split(';').skip(1).filter_map(|parameter| parameter.split_once('='));
    match parameters.find(|(name, _)| name.trim().eq_ignore_ascii_case("smime-type")) {
        Some((_, value)) if value.trim().trim_matches('"').eq_ignore_ascii_case(CMC_REQUEST) => Ok(()),
        Some(_) => Err(missing.refusal()),
        // Left out, it leaves it to the body.
        None => tolerance.judge(missing),
    }
}
