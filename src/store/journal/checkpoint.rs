//! Signed checkpoints: what the journal held at a time, in one line that is kept elsewhere and proves it later.
//!
//! ```text
//! estd-checkpoint-v1 SEQUENCE HASH TIME KEY SIGNATURE
//! ```
//!
//! SEQUENCE and HASH are those of the last record; the hash covers all records before it. KEY is the SHA-256 of the
//! SubjectPublicKeyInfo of the Ed25519 key that signed, SIGNATURE covers the line up to the space before it. Hashes and
//! signature are hexadecimal, the time is RFC 3339.

use std::fmt;

use chrono::{DateTime, SecondsFormat, Utc};
use estd_asn1::SubjectPublicKeyInfo;

use super::Head;
use crate::pki::digest::{hex, sha256, unhex};
use crate::pki::public_key::{KeyPolicy, PublicKey};
use crate::pki::signature::{self, SignatureAlgorithm};

/// What a line begins with.
const MAGIC: &str = "estd-checkpoint-v1";

/// Octets of a line and its end, at most: two hashes, a signature and two numbers.
pub(super) const MAX_LINE_OCTETS: usize = 512;

/// What the journal held at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Checkpoint {
    /// The number of the last record.
    pub sequence: u64,
    /// Its SHA-256, which covers all records before it.
    pub hash: [u8; 32],
    /// When it was looked at.
    pub at: DateTime<Utc>,
}

/// A checkpoint with its signature.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedCheckpoint {
    /// What is signed.
    pub checkpoint: Checkpoint,
    /// SHA-256 of the SubjectPublicKeyInfo of the key.
    pub key: [u8; 32],
    signature: Vec<u8>,
}

/// Why a line is no checkpoint of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CheckpointError {
    /// It is something else.
    #[error("expected {MAGIC}, a record's number, its hash, a time, a key and a signature")]
    Malformed,
    /// Signed with another key.
    #[error("it was signed with the key {}, not with this one", hex(key))]
    OtherKey {
        /// SHA-256 of that key's SubjectPublicKeyInfo.
        key: [u8; 32],
    },
    /// The key did not sign it.
    #[error("the signature does not hold: it was changed")]
    Forged,
}

impl Checkpoint {
    /// What the journal holds whose last record is `head`.
    pub const fn of(head: &Head, at: DateTime<Utc>) -> Self {
        Self { sequence: head.sequence, hash: head.hash, at }
    }

    /// The part of the line that is signed.
    fn statement(&self, key: &[u8; 32]) -> String {
        let Self { sequence, hash, at } = self;
        let at = at.to_rfc3339_opts(SecondsFormat::Secs, true);
        format!("{MAGIC} {sequence} {} {at} {}", hex(hash), hex(key))
    }

    /// Signs it with an Ed25519 key whose public half is `key`.
    ///
    /// # Errors
    /// When the key does not sign.
    pub fn signed<E>(
        self,
        key: &SubjectPublicKeyInfo,
        sign: impl FnOnce(&[u8]) -> Result<Vec<u8>, E>,
    ) -> Result<SignedCheckpoint, E> {
        let key = sha256(&[key.der()]);
        let signature = sign(self.statement(&key).as_bytes())?;
        Ok(SignedCheckpoint { checkpoint: self, key, signature })
    }
}

impl SignedCheckpoint {
    /// Reads a line, without its end. Nothing is verified yet.
    ///
    /// # Errors
    /// When it is no checkpoint.
    pub fn parse(line: &str) -> Result<Self, CheckpointError> {
        let digest = |text: &str| unhex(text)?.as_slice().try_into().ok();
        let parsed = || {
            let [magic, sequence, hash, at, key, signature]: [&str; 6] =
                line.split(' ').collect::<Vec<_>>().try_into().ok()?;
            let checkpoint = Checkpoint {
                sequence: sequence.parse().ok()?,
                hash: digest(hash)?,
                at: DateTime::parse_from_rfc3339(at).ok()?.with_timezone(&Utc),
            };
            let signed = Self { checkpoint, key: digest(key)?, signature: unhex(signature)?.to_vec() };
            // One form alone: what is signed is written anew from what was read.
            (magic == MAGIC && signed.to_string() == line).then_some(signed)
        };
        parsed().ok_or(CheckpointError::Malformed)
    }

    /// The checkpoint, when `key` signed it.
    ///
    /// # Errors
    /// When it did not.
    pub fn verify(&self, key: &SubjectPublicKeyInfo) -> Result<Checkpoint, CheckpointError> {
        if sha256(&[key.der()]) != self.key {
            return Err(CheckpointError::OtherKey { key: self.key });
        }
        let key = PublicKey::check(key, &KeyPolicy::default()).map_err(|_| CheckpointError::Forged)?;
        let statement = self.checkpoint.statement(&self.key);
        signature::verify(&key, SignatureAlgorithm::Ed25519, statement.as_bytes(), &self.signature)
            .map_err(|_| CheckpointError::Forged)?;
        Ok(self.checkpoint)
    }
}

impl fmt::Display for SignedCheckpoint {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} {}", self.checkpoint.statement(&self.key), hex(&self.signature))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ca::{Signer as _, SoftwareSigner};
    use crate::pki::public_key::KeyType;

    fn signed() -> (SoftwareSigner, SignedCheckpoint) {
        let (key, _) = SoftwareSigner::generate(KeyType::Ed25519).unwrap();
        let checkpoint = Checkpoint { sequence: 23, hash: [0xab; 32], at: "2026-06-01T12:00:00Z".parse().unwrap() };
        let signed = checkpoint.signed(key.public_key(), |statement| key.sign(statement)).unwrap();
        (key, signed)
    }

    #[test]
    fn a_line_says_what_was_signed_and_no_other_line_does() {
        let (key, signed) = signed();
        let line = signed.to_string();
        assert!(line.len() < MAX_LINE_OCTETS && line.starts_with("estd-checkpoint-v1 23 abab"), "{line}");
        assert_eq!(SignedCheckpoint::parse(&line).unwrap().verify(key.public_key()), Ok(signed.checkpoint));
        let changed = line.replacen(" 23 ", " 24 ", 1);
        let changed = SignedCheckpoint::parse(&changed).unwrap();
        assert_eq!(changed.verify(key.public_key()), Err(CheckpointError::Forged));
        for other in [
            line.replacen(" 23 ", " 023 ", 1),
            line.replacen("v1", "v2", 1),
            line.to_uppercase(),
            format!("{line} "),
            line[..line.len() - 1].to_owned(),
            String::new(),
        ] {
            assert_eq!(SignedCheckpoint::parse(&other), Err(CheckpointError::Malformed), "{other}");
        }
    }

    #[test]
    fn another_key_vouches_for_nothing() {
        let (_, signed) = signed();
        let (other, _) = SoftwareSigner::generate(KeyType::Ed25519).unwrap();
        assert_eq!(signed.verify(other.public_key()), Err(CheckpointError::OtherKey { key: signed.key }));
    }
}
