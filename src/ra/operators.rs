//! The API tokens of operators: made, shown once, listed, revoked, and recognised.

use chrono::TimeDelta;

use super::RegistrationAuthority;
use super::registry::changed;
use crate::access::{
    Actor, Grant, ManageServer, ManageTokens, Operator, PresentedToken, ReadServer, Role, ServerGrant, Standing,
    TokenError,
};
use crate::clock::EntropyFailure;
use crate::store::operator_token::OperatorToken;
use crate::store::{Fact, Receipt, StoreFault};

/// Longest life of a token.
pub const MAX_TOKEN_LIFE: TimeDelta = TimeDelta::days(3650);
/// Tokens that ended and are forgotten when one is made.
const SWEPT_AT_ONCE: usize = 64;
/// Longest name of a token, in octets.
pub const MAX_TOKEN_NAME_OCTETS: usize = 64;
/// Most tokens of the server's operators, and of each tenant's.
pub const MAX_TOKENS: usize = 200;

/// Names of operators who are known by the system, not by a token.
pub const LOCAL_PREFIX: &str = "local:";

/// A token to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenRequest {
    /// What people call it by; stands in the audit.
    pub name: String,
    /// What it gives.
    pub standing: Standing,
    /// How long it lasts.
    pub life: TimeDelta,
}

/// Why a token is not made, or not revoked.
#[derive(Debug, thiserror::Error)]
pub enum TokenRefused {
    /// The name.
    #[error(
        "a token's name has 1 to {MAX_TOKEN_NAME_OCTETS} octets, no control characters, and does not begin with {LOCAL_PREFIX}"
    )]
    Name,
    /// The life.
    #[error("a token lasts 1 minute to {} days", MAX_TOKEN_LIFE.num_days())]
    Life,
    /// A role of another tenant, or of the whole server.
    #[error("a tenant's operators give roles of their own tenant only")]
    Standing,
    /// Too many.
    #[error("there are {MAX_TOKENS} tokens, the limit; revoke some")]
    TooMany,
    /// No such token.
    #[error("there is no token {0}")]
    Unknown(String),
    /// No randomness.
    #[error(transparent)]
    Entropy(#[from] EntropyFailure),
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreFault),
}

/// A token that was just made: to be shown once its receipt resolves.
#[derive(Debug)]
pub struct MadeToken {
    /// The token itself.
    pub token: PresentedToken,
    /// What is kept of it.
    pub record: OperatorToken,
    /// Resolves when it is durable.
    pub receipt: Receipt,
}

impl RegistrationAuthority {
    /// Recognises the token that an operator presents. `source` and `request_id` are for the audit.
    ///
    /// # Errors
    /// When it opens nothing.
    pub fn recognise(
        &self,
        presented: &PresentedToken,
        source: &str,
        request_id: &str,
    ) -> Result<Result<Operator, TokenError>, StoreFault> {
        let Some(record) = OperatorToken::find(self.ports.store.as_ref(), presented.id())? else {
            return Ok(Err(TokenError::Unknown));
        };
        if !presented.is(&record.sha256) {
            return Ok(Err(TokenError::Unknown));
        }
        if record.expires_at <= self.ports.clock.now() {
            return Ok(Err(TokenError::Expired));
        }
        let actor = Actor {
            name: record.name.clone(),
            credential: Some(format!("token:{}", record.id)),
            source: source.to_owned(),
            request_id: request_id.to_owned(),
        };
        Ok(standing(&record).map(|standing| Operator::proven(actor, standing)).ok_or(TokenError::Unknown))
    }

    /// Makes a token for an operator of the whole server.
    ///
    /// # Errors
    /// When it cannot be.
    pub fn make_server_token(
        &self,
        grant: &ServerGrant<ManageServer>,
        request: &TokenRequest,
    ) -> Result<MadeToken, TokenRefused> {
        self.make_token(request, grant.actor(), grant.answer())
    }

    /// Makes a token of a tenant's.
    ///
    /// # Errors
    /// When it cannot be, or would give more than a role within the tenant.
    pub fn make_tenant_token(
        &self,
        grant: &Grant<ManageTokens>,
        request: &TokenRequest,
    ) -> Result<MadeToken, TokenRefused> {
        if request.standing.tenant() != Some(grant.tenant()) {
            return Err(TokenRefused::Standing);
        }
        self.make_token(request, grant.actor(), grant.answer())
    }

    fn make_token(&self, request: &TokenRequest, actor: &Actor, answer: Vec<Fact>) -> Result<MadeToken, TokenRefused> {
        let TokenRequest { name, standing, life } = request;
        let sound = !name.contains(char::is_control) && !name.starts_with(LOCAL_PREFIX);
        if !(1..=MAX_TOKEN_NAME_OCTETS).contains(&name.len()) || !sound {
            return Err(TokenRefused::Name);
        }
        if !(TimeDelta::minutes(1)..=MAX_TOKEN_LIFE).contains(life) {
            return Err(TokenRefused::Life);
        }
        let (store, now) = (self.ports.store.as_ref(), self.ports.clock.now());
        // Counted and recorded by one at a time.
        let _held = store.hold(&OperatorToken::prefix());
        let (over, live): (Vec<_>, Vec<_>) = self.all_tokens()?.into_iter().partition(|token| token.expires_at <= now);
        if live.iter().filter(|token| token.tenant.as_deref() == standing.tenant()).count() >= MAX_TOKENS {
            return Err(TokenRefused::TooMany);
        }
        let token = PresentedToken::generate(self.ports.entropy.as_ref())?;
        let record = OperatorToken {
            id: token.id().to_owned(),
            sha256: token.hash(),
            name: name.clone(),
            role: standing.role().as_str().to_owned(),
            tenant: standing.tenant().map(str::to_owned),
            created_at: now,
            created_by: actor.name.clone(),
            expires_at: now + *life,
        };
        let tenant = record.tenant.as_deref().unwrap_or_default();
        let what = format!("token {} of {name} made, {}", record.id, record.role);
        // Those that ended are forgotten, a few at a time: a record has its limit.
        let over = over.iter().take(SWEPT_AT_ONCE).map(|token| OperatorToken::over(&token.id));
        let facts = std::iter::once(record.to_fact()).chain(over).chain(answer).collect();
        let receipt = store.record_facts(facts, changed(tenant, None, "token", what, now, actor))?;
        Ok(MadeToken { token, record, receipt })
    }

    /// Leaves the audit event of a backup that is about to be made.
    ///
    /// # Errors
    /// When the store takes no record.
    pub fn note_backup(&self, grant: &ServerGrant<ManageServer>) -> Result<Receipt, StoreFault> {
        let what = "a backup of everything".to_owned();
        let event = changed("", None, "backup", what, self.ports.clock.now(), grant.actor());
        self.ports.store.record_facts(Vec::new(), event)
    }

    /// Every token, whoever's.
    ///
    /// # Errors
    /// When the store cannot tell.
    pub fn tokens(&self, _grant: &ServerGrant<ReadServer>) -> Result<Vec<OperatorToken>, StoreFault> {
        self.all_tokens()
    }

    /// A tenant's tokens.
    ///
    /// # Errors
    /// When the store cannot tell.
    pub fn tenant_tokens(&self, grant: &Grant<ManageTokens>) -> Result<Vec<OperatorToken>, StoreFault> {
        let mut tokens = self.all_tokens()?;
        tokens.retain(|token| token.tenant.as_deref() == Some(grant.tenant()));
        Ok(tokens)
    }

    fn all_tokens(&self) -> Result<Vec<OperatorToken>, StoreFault> {
        let rows = self.ports.store.facts(&OperatorToken::prefix(), None, usize::from(u16::MAX))?;
        rows.iter().map(|(_, value)| OperatorToken::decode(value)).collect()
    }

    /// Revokes a token, whoever's: it opens nothing from the next request on.
    ///
    /// # Errors
    /// When there is none.
    pub fn revoke_server_token(&self, grant: &ServerGrant<ManageServer>, id: &str) -> Result<Receipt, TokenRefused> {
        self.revoke_token(id, grant.actor(), grant.answer(), |_| true)
    }

    /// Revokes a tenant's token.
    ///
    /// # Errors
    /// When the tenant has none of that id.
    pub fn revoke_tenant_token(&self, grant: &Grant<ManageTokens>, id: &str) -> Result<Receipt, TokenRefused> {
        self.revoke_token(id, grant.actor(), grant.answer(), |token| token.tenant.as_deref() == Some(grant.tenant()))
    }

    fn revoke_token(
        &self,
        id: &str,
        actor: &Actor,
        answer: Vec<Fact>,
        own: impl FnOnce(&OperatorToken) -> bool,
    ) -> Result<Receipt, TokenRefused> {
        let store = self.ports.store.as_ref();
        let _held = store.hold(&OperatorToken::key(id));
        let token = OperatorToken::find(store, id)?.filter(own).ok_or_else(|| TokenRefused::Unknown(id.to_owned()))?;
        let tenant = token.tenant.as_deref().unwrap_or_default();
        let what = format!("token {id} of {} revoked", token.name);
        let event = changed(tenant, None, "token", what, self.ports.clock.now(), actor);
        let facts = std::iter::once(OperatorToken::over(id)).chain(answer).collect();
        Ok(store.record_facts(facts, event)?)
    }
}

/// `None` for a token that a later version of the server made, with a role that is not known here.
fn standing(record: &OperatorToken) -> Option<Standing> {
    let role: Role = record.role.parse().ok()?;
    Standing::new(role, record.tenant.clone()).ok()
}
