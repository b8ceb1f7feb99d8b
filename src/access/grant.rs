//! The proof that an operator may do something.

use std::fmt;
use std::marker::PhantomData;

use crate::store::Fact;

/// Who acts, for the audit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Actor {
    /// The operator.
    pub name: String,
    /// What the operator was known by, `token:<id>` for instance: names may be alike.
    pub credential: Option<String>,
    /// Where from.
    pub source: String,
    /// The id that stands in the log lines of the request.
    pub request_id: String,
}

/// What the operator is told once it is done, to be recorded with what is done: asked again, it is told again.
pub type Answer = Vec<Fact>;

/// The right to do `P` within one tenant. Made by [`Operator::within`](super::Operator::within) alone.
pub struct Grant<P> {
    tenant: String,
    actor: Actor,
    answer: Answer,
    permission: PhantomData<fn() -> P>,
}

/// The right to do `P` for the whole server. Made by [`Operator::everywhere`](super::Operator::everywhere) alone.
pub struct ServerGrant<P> {
    actor: Actor,
    answer: Answer,
    permission: PhantomData<fn() -> P>,
}

impl<P> Grant<P> {
    pub(super) const fn new(tenant: String, actor: Actor) -> Self {
        Self { tenant, actor, answer: Vec::new(), permission: PhantomData }
    }

    /// What is recorded together with what is done under the grant.
    #[must_use]
    pub fn answering(self, answer: Answer) -> Self {
        Self { answer, ..self }
    }

    /// The tenant.
    pub fn tenant(&self) -> &str {
        &self.tenant
    }

    /// Who does it.
    pub const fn actor(&self) -> &Actor {
        &self.actor
    }

    /// See [`answering`](Self::answering).
    pub fn answer(&self) -> Answer {
        self.answer.clone()
    }
}

impl<P> ServerGrant<P> {
    pub(super) const fn new(actor: Actor) -> Self {
        Self { actor, answer: Vec::new(), permission: PhantomData }
    }

    /// What is recorded together with what is done under the grant.
    #[must_use]
    pub fn answering(self, answer: Answer) -> Self {
        Self { answer, ..self }
    }

    /// Who does it.
    pub const fn actor(&self) -> &Actor {
        &self.actor
    }

    /// See [`answering`](Self::answering).
    pub fn answer(&self) -> Answer {
        self.answer.clone()
    }
}

impl<P> fmt::Debug for Grant<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Grant").field("tenant", &self.tenant).field("actor", &self.actor).finish_non_exhaustive()
    }
}

impl<P> fmt::Debug for ServerGrant<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerGrant").field("actor", &self.actor).finish_non_exhaustive()
    }
}
