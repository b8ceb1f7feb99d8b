//! Who operates the server, and what each operator may do.
//!
//! A use case of operators takes a [`Grant`], and a grant is made in one place, from an operator who may: a handler that
//! forgets to ask does not compile.

mod grant;
mod operator;
mod permission;
mod role;
mod token;

pub use grant::{Actor, Answer, Grant, ServerGrant};
pub use operator::{Denied, Operator};
pub use permission::{
    DecideRequests, IssueCertificates, ManageCodes, ManageDevices, ManageServer, ManageTokens, Permission,
    ReadRegistry, ReadServer, RevokeCertificates,
};
pub use role::{Role, Standing, StandingError};
pub use token::{PresentedToken, TokenError};
