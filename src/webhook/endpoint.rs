//! The address of a receiver: an absolute URL without anything that would be kept from people's eyes.

use std::fmt;
use std::net::{IpAddr, SocketAddr};

use hyper::Uri;
use hyper::http::uri::Scheme;

/// Where events are posted to.
#[derive(Clone, PartialEq, Eq)]
pub struct Endpoint {
    uri: Uri,
    https: bool,
    host: String,
    port: u16,
}

/// Why a text is no endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum EndpointError {
    /// No URL.
    #[error("expected an absolute URL such as \"https://hooks.acme.example/estd\"")]
    NotAUrl,
    /// Another scheme.
    #[error("expected https (or http, where allow_http is true)")]
    Scheme,
    /// Plain HTTP.
    #[error("plain http, and allow_http is false: whoever is on the way reads and changes what is sent")]
    Plain,
    /// Secrets in a URL stand in logs.
    #[error("a user name or password in a URL: the signature tells the receiver who sends")]
    UserInfo,
}

impl Endpoint {
    /// Reads a URL.
    ///
    /// # Errors
    /// When it is none that events go to.
    pub fn parse(text: &str, allow_http: bool) -> Result<Self, EndpointError> {
        let uri: Uri = text.parse().map_err(|_| EndpointError::NotAUrl)?;
        let https = match uri.scheme() {
            Some(scheme) if *scheme == Scheme::HTTPS => true,
            Some(scheme) if *scheme == Scheme::HTTP && allow_http => false,
            Some(scheme) if *scheme == Scheme::HTTP => return Err(EndpointError::Plain),
            Some(_) => return Err(EndpointError::Scheme),
            None => return Err(EndpointError::NotAUrl),
        };
        let authority = uri.authority().ok_or(EndpointError::NotAUrl)?;
        // RFC 9110 §4.2.4
        if authority.as_str().contains('@') {
            return Err(EndpointError::UserInfo);
        }
        let port = uri.port_u16().unwrap_or(if https { 443 } else { 80 });
        let host = authority.host().trim_start_matches('[').trim_end_matches(']').to_ascii_lowercase();
        if host.is_empty() || port == 0 {
            return Err(EndpointError::NotAUrl);
        }
        Ok(Self { https, host, port, uri })
    }

    /// Whether TLS is spoken to it.
    pub(super) const fn is_https(&self) -> bool {
        self.https
    }

    /// A DNS name, or an IP address without brackets.
    pub(super) fn host(&self) -> &str {
        &self.host
    }

    /// The port.
    pub(super) const fn port(&self) -> u16 {
        self.port
    }

    /// Host and port as they stand in the Host field (RFC 9110 section 7.2).
    pub(super) fn authority(&self) -> &str {
        self.uri.authority().map_or("", |authority| authority.as_str())
    }

    /// Path and query.
    pub(super) fn target(&self) -> &str {
        self.uri.path_and_query().map_or("/", |target| target.as_str())
    }

    /// The address, when the host is one.
    pub(super) fn literal(&self) -> Option<SocketAddr> {
        self.host.parse::<IpAddr>().ok().map(|address| SocketAddr::new(address, self.port))
    }
}

impl fmt::Display for Endpoint {
    /// Without the query, which may hold a key of the receiver's.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.https { "https" } else { "http" };
        write!(formatter, "{scheme}://{}{}", self.authority(), self.uri.path())
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Endpoint({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_taken_apart_or_refused() {
        let endpoint = Endpoint::parse("https://Hooks.acme.example/estd?key=k", false).unwrap();
        assert_eq!((endpoint.host(), endpoint.port(), endpoint.target()), ("hooks.acme.example", 443, "/estd?key=k"));
        assert_eq!(endpoint.to_string(), "https://Hooks.acme.example/estd", "no query where people read it");
        let six = Endpoint::parse("https://[2001:db8::1]:8443", false).unwrap();
        assert_eq!((six.literal(), six.target()), (Some("[2001:db8::1]:8443".parse().unwrap()), "/"));
        assert_eq!(six.authority(), "[2001:db8::1]:8443");
        for (text, error) in [
            ("http://hooks.acme.example/", EndpointError::Plain),
            ("ftp://hooks.acme.example/", EndpointError::Scheme),
            ("/estd", EndpointError::NotAUrl),
            ("hooks.acme.example", EndpointError::NotAUrl),
            ("https://", EndpointError::NotAUrl),
            ("https://hooks.acme.example:0/", EndpointError::NotAUrl),
            ("https://olga:secret@hooks.acme.example/", EndpointError::UserInfo),
            ("", EndpointError::NotAUrl),
        ] {
            assert_eq!(Endpoint::parse(text, false).unwrap_err(), error, "{text}");
        }
        assert!(!Endpoint::parse("http://hooks.acme.example/", true).unwrap().is_https());
    }
}
