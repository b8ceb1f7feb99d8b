//! `estd`: a standalone EST (RFC 7030) enrollment server for zero-touch onboarding of devices.
//!
//! The protocol core (everything compiled without the `server` feature) does no I/O, asks no clock and draws no
//! randomness of its own; sockets, TLS, HTTP, disks and configuration stand at the edges and hand it values.
//! `ARCHITECTURE.md` is the map: the chain of types an enrollment is, who may name whom, and why.

pub mod access;
#[cfg(feature = "server")]
pub mod admin;
pub mod audit;
pub mod ca;
pub mod clock;
pub mod credential;
pub mod est;
pub mod pki;
pub mod policy;
pub mod ra;
pub mod store;
pub mod va;

#[cfg(feature = "server")]
pub mod backup;
#[cfg(feature = "server")]
pub mod cli;
#[cfg(feature = "server")]
pub mod config;
#[cfg(feature = "server")]
pub mod durable_file;
#[cfg(feature = "server")]
pub mod http;
#[cfg(feature = "server")]
pub mod server;
#[cfg(feature = "server")]
pub mod tls;
#[cfg(feature = "server")]
mod trail;
#[cfg(feature = "server")]
pub mod webhook;
