//! The HTTP edge: what RFC 7030 says over HTTP/1.1, in the exact shapes that real clients accept.
//!
//! `guard` judges the octets before hyper does, `route`, `authorization` and `body` make a request of what passed, `exchange` hands
//! it to the registration authority, `reply` writes what came of it. The acceptor sets `TCP_NODELAY` and hands over a
//! connection whose handshake is done.

mod authorization;
mod body;
mod connection;
mod exchange;
mod field_names;
mod framing;
mod guard;
mod line;
pub mod metrics;
mod multipart;
mod ocsp;
mod public;
mod reply;
mod request_id;
mod route;
pub mod status;
mod written;

pub(crate) use body::receive;
pub(crate) use connection::drive;
pub use connection::{HttpEdge, HttpLimits, serve_connection};
pub use metrics::{Metrics, Reading};
pub use public::{PublicEdge, serve_public_connection};
pub(crate) use request_id::RequestIds;
pub use status::{StatusEdge, serve_status_connection};
pub(crate) use written::WrittenBody;

#[cfg(test)]
mod tests;
