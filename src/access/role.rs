//! The roles of operators, and for which tenant somebody has one.

use std::fmt;
use std::str::FromStr;

/// What an operator is there for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Role {
    /// Does everything, for every tenant.
    Admin,
    /// Sees everything, of every tenant, and changes nothing.
    Auditor,
    /// Does everything within one tenant.
    TenantAdmin,
    /// Runs the devices of one tenant.
    TenantOperator,
    /// Sees everything of one tenant, and changes nothing.
    TenantAuditor,
}

/// The text names no role.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected one of admin, auditor, tenant-admin, tenant-operator and tenant-auditor, found {0:?}")]
pub struct UnknownRole(String);

impl Role {
    /// Every role.
    pub const ALL: [Self; 5] =
        [Self::Admin, Self::Auditor, Self::TenantAdmin, Self::TenantOperator, Self::TenantAuditor];

    /// As it stands in files and answers; never renamed.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Admin => "admin",
            Self::Auditor => "auditor",
            Self::TenantAdmin => "tenant-admin",
            Self::TenantOperator => "tenant-operator",
            Self::TenantAuditor => "tenant-auditor",
        }
    }

    /// Whether it is a role within one tenant.
    pub const fn is_of_a_tenant(self) -> bool {
        match self {
            Self::Admin | Self::Auditor => false,
            Self::TenantAdmin | Self::TenantOperator | Self::TenantAuditor => true,
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Role {
    type Err = UnknownRole;

    fn from_str(text: &str) -> Result<Self, UnknownRole> {
        let named = |role: &Self| role.as_str() == text;
        Self::ALL.into_iter().find(named).ok_or_else(|| UnknownRole(text.to_owned()))
    }
}

/// A role, with the tenant it is of when it is of one.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Standing {
    role: Role,
    tenant: Option<String>,
}

/// The role does not go with the tenant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum StandingError {
    /// A tenant's role without one.
    #[error("the role {0} is of one tenant, none is named")]
    TenantMissing(Role),
    /// The server's role with a tenant.
    #[error("the role {0} is of the whole server, it takes no tenant")]
    TenantNotExpected(Role),
}

impl Standing {
    /// The role `role`, of `tenant` when it is of one.
    ///
    /// # Errors
    /// When one goes without the other.
    pub fn new(role: Role, tenant: Option<String>) -> Result<Self, StandingError> {
        match (role.is_of_a_tenant(), tenant.is_some()) {
            (true, false) => Err(StandingError::TenantMissing(role)),
            (false, true) => Err(StandingError::TenantNotExpected(role)),
            (true, true) | (false, false) => Ok(Self { role, tenant }),
        }
    }

    /// Everything, everywhere.
    pub const fn admin() -> Self {
        Self { role: Role::Admin, tenant: None }
    }

    /// The role.
    pub const fn role(&self) -> Role {
        self.role
    }

    /// The tenant it is of; `None` for all.
    pub fn tenant(&self) -> Option<&str> {
        self.tenant.as_deref()
    }
}
