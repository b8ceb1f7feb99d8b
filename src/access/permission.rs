//! What may be done, and by whom: one type each, so that a grant of one is no grant of another.

use super::role::Role;

/// Something that an operator may be allowed to do.
pub trait Permission: sealed::Permission {
    /// What it is called where it is missing.
    const NAME: &'static str;
    /// Who may.
    const ROLES: &'static [Role];
}

mod sealed {
    /// Nobody else makes permissions.
    pub trait Permission {}
}

/// Defines permissions: what it is, its type, its name, the roles that have it.
macro_rules! permissions {
    ($($(#[$what:meta])* $permission:ident = $name:literal: $($role:ident),+;)+) => {
        $(
            $(#[$what])*
            #[derive(Debug, Clone, Copy)]
            pub enum $permission {}

            impl sealed::Permission for $permission {}

            impl Permission for $permission {
                const NAME: &'static str = $name;
                const ROLES: &'static [Role] = &[$(Role::$role),+];
            }
        )+
    };
}

permissions! {
    /// To see a tenant's labels, devices, certificates, waiting requests and events.
    ReadRegistry = "registry.read": Admin, Auditor, TenantAdmin, TenantOperator, TenantAuditor;
    /// To list, tag, suspend, resume, reset and remove devices.
    ManageDevices = "devices.manage": Admin, TenantAdmin, TenantOperator;
    /// To approve and deny requests that wait.
    DecideRequests = "requests.decide": Admin, TenantAdmin, TenantOperator;
    /// To have certificates issued for requests that one brings.
    IssueCertificates = "certificates.issue": Admin, TenantAdmin, TenantOperator;
    /// To make and revoke enrollment codes.
    ManageCodes = "codes.manage": Admin, TenantAdmin, TenantOperator;
    /// To revoke devices and certificates, and to take a hold back.
    RevokeCertificates = "certificates.revoke": Admin, TenantAdmin, TenantOperator;
    /// To make and revoke the API tokens of a tenant's operators.
    ManageTokens = "tokens.manage": Admin, TenantAdmin;
    /// To see what is of the whole server: events of all tenants, tokens, statistics.
    ReadServer = "server.read": Admin, Auditor;
    /// To change what is of the whole server: its operators' tokens, its configuration, backups.
    ManageServer = "server.manage": Admin;
}
