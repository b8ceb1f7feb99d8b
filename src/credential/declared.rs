//! The credentials that a tenant declares.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use zeroize::Zeroizing;

use super::identity::CredentialId;
use super::jwt::Issuer;
use super::password::PasswordHash;
use super::scope::DeviceScope;
use super::verify::HttpScheme;
use super::{digest, secret};
use crate::est::DigestAlgorithm;
use crate::pki::digest::hex;

/// The realm of challenges, where none is named.
pub const DEFAULT_REALM: &str = "estd";

/// A name with a password; several devices may share one. Neither the hash nor what Digest needs is shown, and the latter,
/// as good as the password, is wiped.
pub struct User {
    /// May be empty: a secret without a name (RFC 7030 section 3.2.3).
    pub name: String,
    /// For Basic.
    pub password: Option<PasswordHash>,
    /// H(name:realm:password) by SHA-256, for Digest; see [`digest::ha1`].
    pub digest_sha256: Option<Zeroizing<String>>,
    /// The same by MD5.
    pub digest_md5: Option<Zeroizing<String>>,
    /// Whom it speaks for.
    pub devices: Arc<DeviceScope>,
}

/// A token of a program that enrolls for devices.
#[derive(Debug, Clone)]
pub struct ApiToken {
    /// Its name.
    pub name: String,
    /// SHA-256 of the token.
    pub sha256: [u8; 32],
    /// Whom it speaks for.
    pub devices: Arc<DeviceScope>,
    /// Until when.
    pub not_after: Option<DateTime<Utc>>,
}

/// A code that is good for one enrollment, or for a few.
#[derive(Debug, Clone)]
pub struct EnrollmentCode {
    /// SHA-256 of the code.
    pub sha256: [u8; 32],
    /// Whom it speaks for.
    pub devices: Arc<DeviceScope>,
    /// Until when.
    pub not_after: Option<DateTime<Utc>>,
    /// For how many certificates.
    pub uses: u32,
}

/// All of a tenant's, each found by what is presented.
pub struct Credentials {
    pub(super) realm: String,
    pub(super) users: HashMap<String, User>,
    /// Verified in the place of users who do not exist.
    pub(super) decoy: PasswordHash,
    pub(super) tokens: HashMap<[u8; 32], ApiToken>,
    pub(super) codes: HashMap<[u8; 32], EnrollmentCode>,
    pub(super) issuers: Vec<Issuer>,
}

/// Why credentials cannot stand together.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CredentialsError {
    /// A realm that cannot be written into a challenge.
    #[error("a realm has 1 to 64 printable ASCII characters, without '\"' and '\\'")]
    Realm,
    /// Two users, tokens or issuers of one name.
    #[error("{kind} {name:?} is declared twice")]
    Duplicate {
        /// What.
        kind: &'static str,
        /// Which.
        name: String,
    },
    /// Two tokens or codes of one hash.
    #[error("a {kind} of this hash is declared twice: {sha256}")]
    DuplicateHash {
        /// What.
        kind: &'static str,
        /// Which.
        sha256: String,
    },
    /// A user nobody can be.
    #[error("user {name:?} has neither password nor digest_sha256 nor digest_md5")]
    NoSecret {
        /// Which.
        name: String,
    },
    /// What Digest needs is not of the hash it says.
    #[error("user {name:?}: {key} has {digits} hexadecimal digits in lower case")]
    Digest {
        /// Which.
        name: String,
        /// Which key.
        key: &'static str,
        /// How many.
        digits: usize,
    },
}

/// Credentials as declared, before they are held against each other.
#[derive(Default)]
pub struct Declarations {
    /// The realm of challenges, which Digest's hashes are bound to.
    pub realm: String,
    /// Users.
    pub users: Vec<User>,
    /// API tokens.
    pub tokens: Vec<ApiToken>,
    /// Enrollment codes.
    pub codes: Vec<EnrollmentCode>,
    /// Issuers of JWTs.
    pub issuers: Vec<Issuer>,
}

impl Credentials {
    /// Puts declared credentials in order.
    ///
    /// # Errors
    /// Every reason why they cannot stand together; see [`CredentialsError`].
    pub fn new(declared: Declarations) -> Result<Self, Vec<CredentialsError>> {
        let Declarations { realm, users, tokens, codes, issuers } = declared;
        let mut errors = Vec::new();
        let printable = |byte: u8| (b' '..=b'~').contains(&byte) && byte != b'"' && byte != b'\\';
        if !(1..=64).contains(&realm.len()) || !realm.bytes().all(printable) {
            errors.push(CredentialsError::Realm);
        }
        let dearest = users.iter().filter_map(|user| user.password.as_ref()).max_by_key(|password| password.cost());
        let decoy = PasswordHash::decoy(dearest);
        let issuer_names = issuers.iter().map(|issuer| issuer.name().to_owned());
        errors.extend(doubles("issuer", issuer_names));
        errors.extend(doubles("token", tokens.iter().map(|token| token.name.clone())));
        let users = by_name(users, &mut errors);
        let tokens = by_hash("token", tokens, |token| token.sha256, &mut errors);
        let codes = by_hash("code", codes, |code| code.sha256, &mut errors);
        if errors.is_empty() { Ok(Self { realm, users, decoy, tokens, codes, issuers }) } else { Err(errors) }
    }

    /// None at all.
    pub fn none() -> Self {
        Self {
            realm: DEFAULT_REALM.to_owned(),
            users: HashMap::new(),
            decoy: PasswordHash::decoy(None),
            tokens: HashMap::new(),
            codes: HashMap::new(),
            issuers: Vec::new(),
        }
    }

    /// The realm of challenges.
    pub fn realm(&self) -> &str {
        &self.realm
    }

    /// Whether the time of an answer would tell users apart, because their passwords are not hashed alike.
    pub fn differ_in_cost(&self) -> bool {
        self.users.values().filter_map(|user| user.password.as_ref()).any(|password| !password.costs_like(&self.decoy))
    }

    /// Whether there is one that can be presented so.
    pub fn has(&self, scheme: HttpScheme) -> bool {
        let mut users = self.users.values();
        match scheme {
            HttpScheme::Basic => users.any(|user| user.password.is_some()),
            HttpScheme::Digest => users.any(|user| DigestAlgorithm::ALL.iter().any(|one| user.ha1(*one).is_some())),
            HttpScheme::Bearer => !self.tokens.is_empty() || !self.issuers.is_empty(),
            HttpScheme::Code => !self.codes.is_empty(),
        }
    }

    /// How many users, tokens, codes and issuers there are.
    pub fn counts(&self) -> [usize; 4] {
        [self.users.len(), self.tokens.len(), self.codes.len(), self.issuers.len()]
    }

    /// The declared user of this name.
    pub fn user_id(&self, name: &str) -> Option<CredentialId> {
        self.users.get(name).map(User::id)
    }
}

impl User {
    pub(super) fn id(&self) -> CredentialId {
        CredentialId::new("user", &self.name)
    }

    pub(super) fn ha1(&self, algorithm: DigestAlgorithm) -> Option<&str> {
        match algorithm {
            DigestAlgorithm::Sha256 => self.digest_sha256.as_ref().map(|ha1| ha1.as_str()),
            DigestAlgorithm::Md5 => self.digest_md5.as_ref().map(|ha1| ha1.as_str()),
        }
    }

    fn errors(&self) -> impl Iterator<Item = CredentialsError> {
        let keys = [("digest_sha256", DigestAlgorithm::Sha256), ("digest_md5", DigestAlgorithm::Md5)];
        let is_digit = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        let misshapen = keys.into_iter().filter_map(move |(key, algorithm)| {
            let (text, digits) = (self.ha1(algorithm)?, digest::digits(algorithm));
            let sound = text.len() == digits && text.bytes().all(is_digit);
            (!sound).then(|| CredentialsError::Digest { name: self.name.clone(), key, digits })
        });
        let secrets = self.password.is_some() || self.digest_sha256.is_some() || self.digest_md5.is_some();
        let none = (!secrets).then(|| CredentialsError::NoSecret { name: self.name.clone() });
        misshapen.chain(none)
    }
}

impl ApiToken {
    pub(super) fn id(&self) -> CredentialId {
        CredentialId::new("token", &self.name)
    }
}

impl EnrollmentCode {
    /// A code has no name; half of its hash tells it apart and gives nothing away.
    pub fn id(&self) -> CredentialId {
        CredentialId::new("code", &hex(&self.sha256[..16]))
    }
}

/// A type that holds hashes of passwords shows none.
impl fmt::Debug for Credentials {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Credentials").field("realm", &self.realm).finish_non_exhaustive()
    }
}

/// Whether a presented secret is still good.
pub(super) fn in_time(not_after: Option<DateTime<Utc>>, now: DateTime<Utc>) -> bool {
    not_after.is_none_or(|not_after| now <= not_after)
}

impl Credentials {
    pub(super) fn token(&self, token: &str) -> Option<&ApiToken> {
        self.tokens.get(&secret::hash(token))
    }

    pub(super) fn code(&self, sha256: &[u8; 32]) -> Option<&EnrollmentCode> {
        self.codes.get(sha256)
    }
}

fn by_name(users: Vec<User>, errors: &mut Vec<CredentialsError>) -> HashMap<String, User> {
    let mut by_name = HashMap::new();
    for user in users {
        errors.extend(user.errors());
        if let Some(double) = by_name.insert(user.name.clone(), user) {
            errors.push(CredentialsError::Duplicate { kind: "user", name: double.name });
        }
    }
    by_name
}

fn by_hash<T>(
    kind: &'static str,
    declared: Vec<T>,
    hash: impl Fn(&T) -> [u8; 32],
    errors: &mut Vec<CredentialsError>,
) -> HashMap<[u8; 32], T> {
    let mut by_hash = HashMap::new();
    for one in declared {
        let sha256 = hash(&one);
        if by_hash.insert(sha256, one).is_some() {
            errors.push(CredentialsError::DuplicateHash { kind, sha256: hex(&sha256) });
        }
    }
    by_hash
}

fn doubles(kind: &'static str, names: impl Iterator<Item = String>) -> Vec<CredentialsError> {
    let mut seen = std::collections::HashSet::new();
    names.filter(|name| !seen.insert(name.clone())).map(|name| CredentialsError::Duplicate { kind, name }).collect()
}
