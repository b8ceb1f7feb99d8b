//! The admin edge: what operators do, as REST with JSON, on listeners of its own.
//!
//! `edge` serves a connection, `gate` finds out who asks, `extract` turns that into the grant that a use case wants, the
//! resources hand it to the registration authority, `problem` writes what is refused (RFC 9457). The document that
//! describes it all (OpenAPI 3.1) is made from the code.

mod document;
mod edge;
mod extract;
mod gate;
mod page;
mod parameters;
mod problem;
mod reload;
mod replay;
mod resource;
mod stream;

pub use edge::{
    AdminEdge, AdminService, AdminSettings, AdminWorks, Caller, Checkpoints, PinnedOperator, serve_admin_connection,
};
pub use reload::{ReloadRequest, Reloaded};
