//! Passwords as Argon2id hashes (RFC 9106) in the PHC string format.

use argon2::password_hash::{Output, PasswordHash as Phc, Salt, SaltString};
use argon2::{Algorithm, Argon2, Params, Version};
use subtle::ConstantTimeEq as _;
use zeroize::Zeroizing;

/// Octets of the salts that are made.
pub const SALT_OCTETS: usize = 16;

/// Least memory, in KiB, and least product of memory and passes: all of OWASP's equivalent settings reach them.
const LEAST_MEMORY: u32 = 7168;
const LEAST_WORK: u64 = 35_840;

/// Most memory, in KiB, most passes and lanes: one verification must not take the server's memory or seconds of its time.
const MOST_MEMORY: u32 = 65_536;
const MOST_PASSES: u32 = 10;
const MOST_LANES: u32 = 4;

/// Octets of a hash.
const HASH_OCTETS: usize = Params::DEFAULT_OUTPUT_LEN;

/// The Argon2id hash of a password.
#[derive(Clone)]
pub struct PasswordHash {
    params: Params,
    salt: Vec<u8>,
    hash: [u8; HASH_OCTETS],
}

/// Why a text is no hash of a password that is good enough.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PasswordHashError {
    /// Not in the PHC string format.
    #[error("expected an Argon2id hash in the PHC string format, as `estd credential hash` prints it")]
    Syntax,
    /// Another function, or another version of it.
    #[error("expected $argon2id$v=19$")]
    Algorithm,
    /// Not 32 octets.
    #[error("expected a hash of {HASH_OCTETS} octets with a salt of at least 8")]
    Length,
    /// Cheap to guess.
    #[error(
        "too cheap: expected m of {LEAST_MEMORY} at least and m times t of {LEAST_WORK} at least, such as m=19456,t=2"
    )]
    Weak,
    /// Dear to verify.
    #[error("too dear: expected m of {MOST_MEMORY}, t of {MOST_PASSES} and p of {MOST_LANES} at most")]
    Dear,
}

impl PasswordHash {
    /// Reads `$argon2id$v=19$m=…,t=…,p=…$salt$hash`.
    ///
    /// # Errors
    /// When it is something else, or its parameters are too weak or too dear; see [`PasswordHashError`].
    pub fn parse(text: &str) -> Result<Self, PasswordHashError> {
        let phc = Phc::new(text).map_err(|_| PasswordHashError::Syntax)?;
        if phc.algorithm != argon2::ARGON2ID_IDENT || phc.version != Some(u32::from(Version::V0x13)) {
            return Err(PasswordHashError::Algorithm);
        }
        let params = Params::try_from(&phc).map_err(|_| PasswordHashError::Syntax)?;
        let work = u64::from(params.m_cost()) * u64::from(params.t_cost());
        if params.m_cost() < LEAST_MEMORY || work < LEAST_WORK {
            return Err(PasswordHashError::Weak);
        }
        if params.m_cost() > MOST_MEMORY || params.t_cost() > MOST_PASSES || params.p_cost() > MOST_LANES {
            return Err(PasswordHashError::Dear);
        }
        let (Some(salt), Some(hash)) = (phc.salt, phc.hash) else { return Err(PasswordHashError::Syntax) };
        let mut octets = [0; Salt::MAX_LENGTH];
        let salt = salt.decode_b64(&mut octets).map_err(|_| PasswordHashError::Syntax)?.to_vec();
        let hash = hash.as_bytes().try_into().map_err(|_| PasswordHashError::Length)?;
        if salt.len() < argon2::MIN_SALT_LEN { Err(PasswordHashError::Length) } else { Ok(Self { params, salt, hash }) }
    }

    /// The hash of a new password, in the PHC string format, at OWASP's first choice: 19 MiB, two passes, one lane.
    ///
    /// # Errors
    /// [`PasswordHashError::Length`] for a password of 4 GiB.
    pub fn make(password: &str, salt: &[u8; SALT_OCTETS]) -> Result<String, PasswordHashError> {
        let params = Params::DEFAULT;
        let mut hash = [0; HASH_OCTETS];
        derive(&params, password.as_bytes(), salt, &mut hash).ok_or(PasswordHashError::Length)?;
        let salt = SaltString::encode_b64(salt).map_err(|_| PasswordHashError::Length)?;
        let hash = Output::new(&hash).map_err(|_| PasswordHashError::Length)?;
        let (m, t, p) = (params.m_cost(), params.t_cost(), params.p_cost());
        Ok(format!("$argon2id$v=19$m={m},t={t},p={p}${salt}${hash}"))
    }

    /// A hash that costs as much as `like` and that no password has.
    pub(super) fn decoy(like: Option<&Self>) -> Self {
        let params = like.map_or(Params::DEFAULT, |like| like.params.clone());
        Self { params, salt: vec![0; SALT_OCTETS], hash: [0; HASH_OCTETS] }
    }

    /// Whether two hashes take the same time to verify.
    pub(super) fn costs_like(&self, other: &Self) -> bool {
        self.cost() == other.cost()
    }

    /// Memory times passes, then lanes.
    pub(super) fn cost(&self) -> (u64, u32, u32) {
        let work = u64::from(self.params.m_cost()) * u64::from(self.params.t_cost());
        (work, self.params.m_cost(), self.params.p_cost())
    }

    /// Whether `password` is the one. Takes tens of milliseconds: never on a thread of the runtime.
    pub(super) fn verify(&self, password: &str) -> bool {
        #[cfg(test)]
        VERIFIED.with_borrow_mut(|verified| verified.push(self.cost()));
        let mut hash = Zeroizing::new([0; HASH_OCTETS]);
        let derived = derive(&self.params, password.as_bytes(), &self.salt, &mut hash);
        derived.is_some() & bool::from(hash.as_slice().ct_eq(&self.hash))
    }
}

fn derive(params: &Params, password: &[u8], salt: &[u8], hash: &mut [u8; HASH_OCTETS]) -> Option<()> {
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params.clone()).hash_password_into(password, salt, hash).ok()
}

#[cfg(test)]
thread_local! {
    /// The cost of each verification on this thread.
    pub(super) static VERIFIED: std::cell::RefCell<Vec<(u64, u32, u32)>> = const { std::cell::RefCell::new(Vec::new()) };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_made_is_read_and_verifies_the_one_password() {
        let text = PasswordHash::make("pässword: with colon", &[7; SALT_OCTETS]).unwrap();
        assert!(text.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{text}");
        let hash = PasswordHash::parse(&text).unwrap();
        assert!(hash.verify("pässword: with colon"));
        for wrong in ["", "pässword: with colo", "pässword: with colon "] {
            assert!(!hash.verify(wrong), "{wrong:?}");
        }
        let decoy = PasswordHash::decoy(Some(&hash));
        assert!(decoy.costs_like(&hash) && !decoy.verify("pässword: with colon"));
    }

    /// The vector of the reference implementation's test.c, at a cost that is accepted.
    #[test]
    fn hashes_of_other_tools_are_read() {
        let foreign = "$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc";
        assert!(PasswordHash::parse(foreign).unwrap().verify("password"));
    }

    #[test]
    fn what_is_too_weak_too_dear_or_no_argon2id_is_refused() {
        let with = |head: &str| {
            let text = format!("{head}$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc");
            PasswordHash::parse(&text).err()
        };
        assert_eq!(with("$argon2id$v=19$m=7168,t=5,p=1"), None);
        assert_eq!(with("$argon2id$v=19$m=7167,t=6,p=1"), Some(PasswordHashError::Weak));
        assert_eq!(with("$argon2id$v=19$m=19456,t=1,p=1"), Some(PasswordHashError::Weak));
        for dear in ["m=65537,t=2,p=1", "m=19456,t=11,p=1", "m=19456,t=2,p=5"] {
            assert_eq!(with(&format!("$argon2id$v=19${dear}")), Some(PasswordHashError::Dear));
        }
        assert_eq!(with("$argon2i$v=19$m=19456,t=2,p=1"), Some(PasswordHashError::Algorithm));
        assert_eq!(with("$argon2id$v=16$m=19456,t=2,p=1"), Some(PasswordHashError::Algorithm));
        for text in ["", "secret", "$argon2id$v=19$m=19456,t=2,p=1$c29tZXNhbHQ"] {
            assert_eq!(PasswordHash::parse(text).err(), Some(PasswordHashError::Syntax), "{text}");
        }
    }
}
