//! A key that is made here (RFC 7030 section 4.4): authorized like an enrollment, made, and sealed as the request asks.
//!
//! It is kept nowhere. Whoever asks again, having lost the answer, gets another key with another certificate.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::RegistrationAuthority;
use super::attempt::Attempt;
use super::label::LabelContext;
use super::refusal::{Fault, Refusal};
use crate::ca::{KeyGenerationFault, KeyGenerator};
use crate::est::{DeliveredKey, Rejection, RejectionCode};
use crate::pki::generated_key::{GeneratedKey, KeySpec};
use crate::pki::public_key::KeyType;
use crate::policy::{AuthorizedEnrollment, AuthorizedGeneration, KeyDelivery, KeyGenerationRules};

/// How many RSA keys are made at once, by default.
pub const DEFAULT_RSA_GENERATIONS: usize = 2;

/// The operation that the certificate of a key generator is told under.
const APPOINTMENT: &str = "key-generator";

/// How a label makes keys.
#[derive(Clone)]
pub struct KeyGeneration {
    /// For whom, and how they are given out.
    pub rules: Arc<KeyGenerationRules>,
    /// Who signs those that are encrypted.
    pub generator: Arc<KeyGenerator>,
}

/// How `label` makes keys.
pub(super) fn of(label: &LabelContext) -> Result<&KeyGeneration, Rejection> {
    let none = || Rejection::new(RejectionCode::NotFound, "RFC 7030 4.4", "this label makes no keys");
    label.key_generation.as_ref().ok_or_else(none)
}

impl RegistrationAuthority {
    /// Makes the key and seals it; the certificate is still to come.
    pub(super) fn generate_key(
        &self,
        label: &LabelContext,
        authorized: AuthorizedGeneration<'_>,
        attempt: &Attempt<'_>,
    ) -> Result<(AuthorizedEnrollment, DeliveredKey), Refusal> {
        let generator = &of(label)?.generator;
        let key = self.make(authorized.spec())?;
        let (enrollment, delivery) = authorized.with_key(&key);
        let delivered = match delivery {
            KeyDelivery::Plain => DeliveredKey::Plain(key.into_private_key_info()),
            KeyDelivery::Encrypted(encryption) => {
                let sealed = generator.seal(&key, &encryption, self.ports.entropy.as_ref(), attempt.at);
                let sealed = sealed.map_err(Fault::from)?;
                if let Some(serial) = sealed.appointed {
                    self.ports.store.record_event(attempt.appointment(APPOINTMENT, &serial));
                }
                DeliveredKey::Encrypted(sealed.der)
            }
        };
        Ok((enrollment, delivered))
    }

    /// Makes a key, an RSA key only while there is a place: it keeps a processor busy for a good part of a second.
    fn make(&self, spec: KeySpec) -> Result<GeneratedKey, Refusal> {
        let _place = match spec.key_type() {
            KeyType::Rsa => Some(self.rsa_generations.take()?),
            KeyType::P256 | KeyType::P384 | KeyType::P521 | KeyType::Ed25519 => None,
        };
        let key = GeneratedKey::generate(spec).map_err(KeyGenerationFault::from);
        Ok(key.map_err(Fault::from)?)
    }
}

/// The places for keys that are being made.
pub(super) struct Places {
    most: usize,
    taken: AtomicUsize,
}

/// One of them; given back when dropped.
struct Place<'a>(&'a Places);

impl Places {
    pub(super) fn new(most: usize) -> Self {
        Self { most, taken: AtomicUsize::new(0) }
    }

    fn take(&self) -> Result<Place<'_>, Rejection> {
        let free = |taken: usize| (taken < self.most).then_some(taken + 1);
        match self.taken.fetch_update(Ordering::Relaxed, Ordering::Relaxed, free) {
            Ok(_) => Ok(Place(self)),
            Err(_) => {
                let reason = format!("{} rsa keys are being made at once, the limit; come back later", self.most);
                Err(Rejection::new(RejectionCode::TooManyRequests, "RFC 6585 4", reason))
            }
        }
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.taken.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_keys_are_made_at_once_than_there_are_places() {
        let places = Places::new(2);
        let first = places.take().unwrap();
        let _second = places.take().unwrap();
        assert_eq!(places.take().err().unwrap().code(), RejectionCode::TooManyRequests);
        drop(first);
        assert!(places.take().is_ok());
    }
}
