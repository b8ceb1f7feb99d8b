//! An operator whose identity was proven, by a token, a certificate or the operating system.

use super::grant::{Actor, Grant, ServerGrant};
use super::permission::Permission;
use super::role::{Role, Standing};

/// Who asks, and as what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Operator {
    actor: Actor,
    standing: Standing,
}

/// Why an operator may not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Denied {
    /// The tenant is not the operator's, and whether there is one is not the operator's business.
    #[error("there is no such tenant")]
    OtherTenant,
    /// The operator's role does not have the permission.
    #[error("the role {role} lacks the permission {permission}")]
    Role {
        /// The operator's.
        role: Role,
        /// What it lacks.
        permission: &'static str,
    },
}

impl Operator {
    /// To be called by who has verified it.
    pub const fn proven(actor: Actor, standing: Standing) -> Self {
        Self { actor, standing }
    }

    /// For the audit.
    pub const fn actor(&self) -> &Actor {
        &self.actor
    }

    /// Its role.
    pub const fn standing(&self) -> &Standing {
        &self.standing
    }

    /// What tells operators apart who have one name: what each was known by, and what it may do.
    pub fn identity(&self) -> String {
        let known_by = self.actor.credential.as_deref().unwrap_or(&self.actor.name);
        format!("{known_by}|{}|{}", self.standing.role(), self.standing.tenant().unwrap_or_default())
    }

    /// Whether a tenant is the operator's to see.
    pub fn sees(&self, tenant: &str) -> bool {
        self.standing.tenant().is_none_or(|own| own == tenant)
    }

    /// The right to do `P` within `tenant`.
    ///
    /// # Errors
    /// When the tenant is another's, or the role has no such permission.
    pub fn within<P: Permission>(&self, tenant: &str) -> Result<Grant<P>, Denied> {
        if !self.sees(tenant) {
            return Err(Denied::OtherTenant);
        }
        self.may::<P>()?;
        Ok(Grant::new(tenant.to_owned(), self.actor.clone()))
    }

    /// The right to do `P` for the whole server.
    ///
    /// # Errors
    /// When the role is of one tenant, or has no such permission.
    pub fn everywhere<P: Permission>(&self) -> Result<ServerGrant<P>, Denied> {
        let role = self.standing.role();
        if role.is_of_a_tenant() {
            return Err(Denied::Role { role, permission: P::NAME });
        }
        self.may::<P>()?;
        Ok(ServerGrant::new(self.actor.clone()))
    }

    fn may<P: Permission>(&self) -> Result<(), Denied> {
        let role = self.standing.role();
        if P::ROLES.contains(&role) { Ok(()) } else { Err(Denied::Role { role, permission: P::NAME }) }
    }
}
