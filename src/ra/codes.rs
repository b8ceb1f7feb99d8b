//! The enrollment codes of operators: made, shown once, listed, revoked, and recognised.

use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use zeroize::Zeroizing;

use super::RegistrationAuthority;
use super::label::LabelContext;
use super::lookup::{Page, page};
use super::refusal::{Fault, Refusal};
use super::registry::changed;
use crate::access::{Grant, ManageCodes, ReadRegistry};
use crate::clock::EntropyFailure;
use crate::credential::scope::ScopeError;
use crate::credential::{
    AssumedCredential, AssumedError, DeviceScope, EnrollmentCode, HttpIdentity, HttpScheme, code_hash, secret,
};
use crate::est::{PresentedCredential, Rejection, RejectionCode};
use crate::pki::digest::unhex;
use crate::policy::Proof;
use crate::store::credential_uses::CredentialUses;
use crate::store::enrollment_code::{CODE_ID_OCTETS, StoredCode};
use crate::store::{FactKey, Receipt, StoreFault, each_fact};

/// Most codes of one tenant. An identity proof of CMC does not say of which code it is, and is held against all.
pub const MAX_CODES: usize = 20_000;
/// Most codes that are made at once.
pub const MAX_CODES_AT_ONCE: usize = 1_000;
/// Most certificates that a code is good for: one that is good for more is a password.
pub const MAX_CODE_USES: u32 = 1_000;
/// Longest life of a code.
pub const MAX_CODE_LIFE: TimeDelta = TimeDelta::days(3650);
/// Codes that are over and forgotten when some are made.
const SWEPT_AT_ONCE: usize = 1_000;
/// What the ids of codes begin with.
const CODE_KIND: &str = "code/";

/// Codes to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CodeRequest {
    /// Devices, or patterns with a star at the end; each gets codes of its own.
    pub devices: Vec<String>,
    /// How many codes each gets.
    pub count: usize,
    /// How many certificates a code is good for.
    pub uses: u32,
    /// How long a code lasts.
    pub life: TimeDelta,
}

/// Why codes are not made, or one is not revoked.
#[derive(Debug, thiserror::Error)]
pub enum CodeRefused {
    /// A pattern that no device can have.
    #[error("devices: {0}")]
    Scope(#[from] ScopeError),
    /// None, or too many at once.
    #[error("1 to {MAX_CODES_AT_ONCE} codes are made at once, {0} are asked for")]
    Count(usize),
    /// For no certificate, or too many.
    #[error("a code is good for 1 to {MAX_CODE_USES} certificates, {0} are asked for")]
    Uses(u32),
    /// The life.
    #[error("a code lasts 1 minute to {} days", MAX_CODE_LIFE.num_days())]
    Life,
    /// Too many.
    #[error("a tenant has at most {MAX_CODES} codes; revoke some, or wait until some end")]
    TooMany,
    /// No such code.
    #[error("there is no enrollment code {0}")]
    Unknown(String),
    /// No randomness.
    #[error(transparent)]
    Entropy(#[from] EntropyFailure),
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreFault),
}

/// A code that was just made.
pub struct MadeCode {
    /// The code itself.
    pub code: Zeroizing<String>,
    /// What is kept of it.
    pub record: StoredCode,
}

/// Codes that were just made: to be shown once the receipt resolves.
pub struct MadeCodes {
    /// The codes, device after device.
    pub codes: Vec<MadeCode>,
    /// Resolves when they are durable.
    pub receipt: Receipt,
}

/// A code, and how far it is used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StandingCode {
    /// As it was made.
    pub record: StoredCode,
    /// The certificates that were issued by it.
    pub used: u32,
}

/// Whether a code is of any use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CodeState {
    /// It is.
    Good,
    /// It was used as often as it is good for.
    Used,
    /// It was taken back.
    Revoked,
    /// It ended.
    Expired,
}

impl CodeState {
    /// As it stands in answers.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Used => "used",
            Self::Revoked => "revoked",
            Self::Expired => "expired",
        }
    }
}

impl StandingCode {
    /// Whether it is of any use at a time.
    pub fn state(&self, now: DateTime<Utc>) -> CodeState {
        match &self.record {
            record if record.revoked => CodeState::Revoked,
            record if self.used >= record.uses => CodeState::Used,
            record if record.expires_at < now => CodeState::Expired,
            _ => CodeState::Good,
        }
    }
}

impl RegistrationAuthority {
    /// Makes codes, all of them or none.
    ///
    /// # Errors
    /// When they cannot be.
    pub fn make_codes(&self, grant: &Grant<ManageCodes>, request: &CodeRequest) -> Result<MadeCodes, CodeRefused> {
        let CodeRequest { devices, count, uses, life } = request;
        let wanted = devices.len().saturating_mul(*count);
        if !(1..=MAX_CODES_AT_ONCE).contains(&wanted) {
            return Err(CodeRefused::Count(wanted));
        }
        if !(1..=MAX_CODE_USES).contains(uses) {
            return Err(CodeRefused::Uses(*uses));
        }
        if !(TimeDelta::minutes(1)..=MAX_CODE_LIFE).contains(life) {
            return Err(CodeRefused::Life);
        }
        DeviceScope::parse(devices)?;
        let (store, now, tenant) = (self.ports.store.as_ref(), self.ports.clock.now(), grant.tenant());
        // Counted and recorded by one at a time.
        let _held = store.hold(&StoredCode::prefix(tenant));
        let (mut live, mut over) = (0, Vec::new());
        self.each_code(tenant, |code| {
            let is_over = code.revoked || code.expires_at < now;
            if is_over && over.len() < SWEPT_AT_ONCE {
                over.push(code);
            } else {
                live += 1;
            }
        })?;
        if live + wanted > MAX_CODES {
            return Err(CodeRefused::TooMany);
        }
        let mut codes = Vec::with_capacity(wanted);
        for device in devices.iter().flat_map(|device| std::iter::repeat_n(device, *count)) {
            let mut random = Zeroizing::new([0; secret::CODE_CHARACTERS]);
            self.ports.entropy.fill(random.as_mut())?;
            let code = secret::code(&random);
            let record = StoredCode {
                sha256: secret::hash(&code),
                devices: vec![device.clone()],
                uses: *uses,
                created_at: now,
                created_by: grant.actor().name.clone(),
                expires_at: now + *life,
                revoked: false,
            };
            codes.push(MadeCode { code, record });
        }
        let what = match devices.as_slice() {
            [device] => format!("{wanted} enrollment codes made for {device}, each good for {uses}"),
            devices => format!("{wanted} enrollment codes made for {} devices, each good for {uses}", devices.len()),
        };
        let mut facts: Vec<_> = codes.iter().map(|made| made.record.to_fact(tenant)).collect();
        for code in &over {
            facts.extend([code.over(tenant), CredentialUses::forgotten(tenant, code_of(code)?.id().as_str())]);
        }
        facts.extend(grant.answer());
        let device = only(devices);
        let receipt = store.record_facts(facts, changed(tenant, device, "code.make", what, now, grant.actor()))?;
        Ok(MadeCodes { codes, receipt })
    }

    /// The codes of a tenant, in the order of their hashes, from after the one at `after`.
    ///
    /// # Errors
    /// When the store cannot tell.
    pub fn codes(
        &self,
        grant: &Grant<ReadRegistry>,
        state: Option<CodeState>,
        after: Option<[u8; 32]>,
        limit: usize,
    ) -> Result<Page<StandingCode, [u8; 32]>, StoreFault> {
        let (store, tenant, now) = (self.ports.store.as_ref(), grant.tenant(), self.ports.clock.now());
        let read = |after: Option<&[u8; 32]>, limit| {
            let after = after.map(|sha256| StoredCode::key(tenant, sha256));
            let rows = store.facts(&StoredCode::prefix(tenant), after.as_ref(), limit)?;
            let decoded = |(_, value): (FactKey, Vec<u8>)| StoredCode::decode(&value);
            rows.into_iter().map(|row| decoded(row).map(|code| (code.sha256, code))).collect()
        };
        page(after, limit, read, |record| {
            let used = CredentialUses::of(store, tenant, code_of(record)?.id().as_str())?.0;
            let code = StandingCode { record: record.clone(), used };
            Ok(state.is_none_or(|state| code.state(now) == state).then_some(code))
        })
    }

    /// Takes a code back: it opens nothing from the next request on.
    ///
    /// # Errors
    /// When there is none, or it was taken back before.
    pub fn revoke_code(&self, grant: &Grant<ManageCodes>, id: &[u8]) -> Result<Receipt, CodeRefused> {
        let (store, tenant) = (self.ports.store.as_ref(), grant.tenant());
        let name = crate::pki::digest::hex(id);
        let unknown = || CodeRefused::Unknown(name.clone());
        let octets: [u8; CODE_ID_OCTETS] = id.try_into().map_err(|_| unknown())?;
        let _held = store.hold(&StoredCode::prefix(tenant));
        let code = StoredCode::named(store, tenant, &octets)?.filter(|code| !code.revoked).ok_or_else(unknown)?;
        let code = StoredCode { revoked: true, ..code };
        let what = format!("enrollment code {name} for {} revoked", code.devices.join(", "));
        let event = changed(tenant, only(&code.devices), "code.revoke", what, self.ports.clock.now(), grant.actor());
        let facts = std::iter::once(code.to_fact(tenant)).chain(grant.answer()).collect();
        Ok(store.record_facts(facts, event)?)
    }

    /// Verifies a code that an operator made.
    pub(super) fn stored_code(
        &self,
        label: &LabelContext,
        presented: &PresentedCredential,
        now: DateTime<Utc>,
    ) -> Result<Option<HttpIdentity>, Fault> {
        if !label.authentication.accepted.takes(HttpScheme::Code) {
            return Ok(None);
        }
        let (store, tenant) = (self.ports.store.as_ref(), label.tenant.as_str());
        let verified = |code: &StoredCode| match code.revoked {
            true => Ok::<_, StoreFault>(None),
            false => Ok(code_of(code)?.verify(presented, now)),
        };
        match (code_hash(presented), presented) {
            (Some(sha256), _) => {
                let code = StoredCode::find(store, tenant, &sha256)?;
                Ok(code.as_ref().map(verified).transpose()?.flatten())
            }
            (None, PresentedCredential::Witness { .. }) => {
                // All are tried, each of them to the end: the time tells nothing of which it was.
                let mut found = Ok(None);
                self.each_code(tenant, |code| {
                    if let Some(identity) = verified(&code).transpose() {
                        found = identity.map(Some);
                    }
                })?;
                Ok(found?)
            }
            (None, _) => Ok(None),
        }
    }

    /// A code that an operator made, as if it had been presented.
    pub(super) fn assumed_code(
        &self,
        label: &LabelContext,
        assumed: &AssumedCredential,
        now: DateTime<Utc>,
    ) -> Result<Result<HttpIdentity, AssumedError>, Fault> {
        let id = assumed.id.strip_prefix(CODE_KIND).and_then(unhex);
        let Some(id) = id.and_then(|id| <[u8; CODE_ID_OCTETS]>::try_from(id.as_slice()).ok()) else {
            return Ok(Err(AssumedError::Unknown));
        };
        let code = StoredCode::named(self.ports.store.as_ref(), &label.tenant, &id)?;
        match code.filter(|code| !code.revoked) {
            Some(code) => Ok(code_of(&code)?.assume(assumed, now)),
            None => Ok(Err(AssumedError::Unknown)),
        }
    }

    /// Refuses a request whose code an operator took back since it was verified.
    pub(super) fn refuse_revoked_codes(
        &self,
        label: &LabelContext,
        proof: &Proof<'_>,
        now: DateTime<Utc>,
    ) -> Result<(), Refusal> {
        let authentication = &label.authentication;
        for id in proof.credentials().iter().map(|identity| identity.credential().as_str()) {
            let code = AssumedCredential { id: id.to_owned(), device: None };
            let declared = authentication.credentials.assume(&code, &authentication.accepted, now);
            let is_made = id.starts_with(CODE_KIND) && matches!(declared, Err(AssumedError::Unknown));
            if is_made && matches!(self.assumed_code(label, &code, now)?, Err(AssumedError::Unknown)) {
                let reason = "the enrollment code was revoked while the request was decided";
                return Err(Rejection::new(RejectionCode::AuthFailed, "RFC 9110 15.5.2", reason).into());
            }
        }
        Ok(())
    }

    fn each_code(&self, tenant: &str, mut see: impl FnMut(StoredCode)) -> Result<(), StoreFault> {
        each_fact(self.ports.store.as_ref(), &StoredCode::prefix(tenant), |_, value| {
            see(StoredCode::decode(value)?);
            Ok(())
        })
    }
}

/// The code as credentials are verified.
fn code_of(code: &StoredCode) -> Result<EnrollmentCode, StoreFault> {
    let devices = DeviceScope::parse(&code.devices).map_err(|error| StoreFault::Corrupt(error.to_string()))?;
    Ok(EnrollmentCode {
        sha256: code.sha256,
        devices: Arc::new(devices),
        not_after: Some(code.expires_at),
        uses: code.uses,
    })
}

/// The device, when it is one alone: its timeline tells of the code.
fn only(devices: &[String]) -> Option<&str> {
    match devices {
        [device] if !device.ends_with('*') => Some(device),
        _ => None,
    }
}
