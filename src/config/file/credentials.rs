//! The shapes of a tenant's credentials file.

use serde::Deserialize;

use super::Table;
use crate::credential::declared::DEFAULT_REALM;

/// What `credentials` of a tenant names. None of its types can be shown: they hold hashes of passwords.
#[derive(Clone, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(in crate::config) struct Credentials {
    pub(in crate::config) realm: String,
    pub(in crate::config) user: Vec<Table>,
    pub(in crate::config) token: Vec<Table>,
    pub(in crate::config) code: Vec<Table>,
    pub(in crate::config) issuer: Vec<Table>,
}

impl Default for Credentials {
    fn default() -> Self {
        let none = Vec::new;
        Self { realm: DEFAULT_REALM.to_owned(), user: none(), token: none(), code: none(), issuer: none() }
    }
}

/// `[[user]]`
#[derive(Clone, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(in crate::config) struct User {
    pub(in crate::config) name: Option<String>,
    pub(in crate::config) password: Option<String>,
    pub(in crate::config) digest_sha256: Option<String>,
    pub(in crate::config) digest_md5: Option<String>,
    pub(in crate::config) devices: Option<Vec<String>>,
}

/// `[[token]]`
#[derive(Clone, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(in crate::config) struct Token {
    pub(in crate::config) name: Option<String>,
    pub(in crate::config) sha256: Option<String>,
    pub(in crate::config) devices: Option<Vec<String>>,
    pub(in crate::config) not_after: Option<String>,
}

/// `[[code]]`
#[derive(Clone, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(in crate::config) struct Code {
    pub(in crate::config) sha256: Option<String>,
    pub(in crate::config) devices: Option<Vec<String>>,
    pub(in crate::config) not_after: Option<String>,
    pub(in crate::config) uses: u32,
}

impl Default for Code {
    fn default() -> Self {
        Self { sha256: None, devices: None, not_after: None, uses: 1 }
    }
}

/// `[[issuer]]`
#[derive(Clone, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(in crate::config) struct Issuer {
    pub(in crate::config) name: Option<String>,
    pub(in crate::config) issuer: Option<String>,
    pub(in crate::config) audience: Option<String>,
    pub(in crate::config) jwks: Option<String>,
    pub(in crate::config) device_claim: String,
    pub(in crate::config) devices: Vec<String>,
}

impl Default for Issuer {
    fn default() -> Self {
        Self {
            name: None,
            issuer: None,
            audience: None,
            jwks: None,
            device_claim: "sub".to_owned(),
            devices: vec!["*".to_owned()],
        }
    }
}
