//! Signed OCSP answers that are held ready, as many as there is room for.

use std::collections::HashMap;
use std::mem;
use std::sync::{Arc, Mutex, PoisonError};

use estd_asn1::ocsp_request::CertId;
use estd_asn1::ocsp_response::CertStatus;

use super::published::Published;

/// An answer, and what it says.
#[derive(Debug, Clone)]
pub(super) struct Held {
    pub(super) status: CertStatus,
    pub(super) answer: Arc<Published>,
}

/// Answers in two halves: when the young one is full it becomes the old one, and what was not asked for meanwhile is gone.
#[derive(Debug)]
pub(super) struct Answers(Mutex<Halves>);

#[derive(Debug)]
struct Halves {
    /// Answers that a half has room for.
    room: usize,
    young: HashMap<CertId, Held>,
    old: HashMap<CertId, Held>,
}

impl Answers {
    /// None yet; at the most so many.
    pub(super) fn holding(most: usize) -> Self {
        Self(Mutex::new(Halves { room: most / 2, young: HashMap::new(), old: HashMap::new() }))
    }

    /// The answer on a certificate, if it is held.
    pub(super) fn get(&self, certificate: &CertId) -> Option<Held> {
        let mut halves = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(held) = halves.young.get(certificate) {
            return Some(held.clone());
        }
        let held = halves.old.remove(certificate)?;
        halves.put(certificate.clone(), held.clone());
        Some(held)
    }

    /// Holds an answer ready.
    pub(super) fn put(&self, certificate: CertId, held: Held) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).put(certificate, held);
    }
}

impl Halves {
    fn put(&mut self, certificate: CertId, held: Held) {
        if self.young.len() >= self.room {
            self.old = mem::take(&mut self.young);
        }
        self.young.insert(certificate, held);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::DateTime;
    use estd_asn1::oid;

    #[test]
    fn there_is_room_for_so_many_and_what_is_asked_for_stays() {
        let certificate = |number: usize| CertId::new(oid::SHA256, &[1; 32], &[2; 32], &number.to_be_bytes());
        let held =
            || Held { status: CertStatus::Good, answer: Arc::new(Published::new(vec![0], DateTime::UNIX_EPOCH, None)) };
        const MOST: usize = 20;
        let answers = Answers::holding(MOST);
        for number in 0..3 * MOST {
            answers.put(certificate(number), held());
            assert!(answers.get(&certificate(0)).is_some(), "{number}");
        }
        assert!(answers.get(&certificate(1)).is_none());
        let halves = answers.0.lock().unwrap();
        assert!(halves.young.len() + halves.old.len() <= MOST);
    }
}
