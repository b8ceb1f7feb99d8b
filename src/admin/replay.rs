//! Requests with an Idempotency-Key: done once, answered as often as they come.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};

use axum::body::Body;
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderValue, StatusCode};
use axum::response::Response;
use chrono::{DateTime, Utc};

use super::problem::Problem;
use crate::access::Answer;
use crate::pki::digest::sha256;
use crate::store::answered::Answered;
use crate::store::{CertificateStore, StoreFault};

/// Longest Idempotency-Key, in octets.
pub(super) const MAX_KEY_OCTETS: usize = 128;

/// Says that an answer is that of an earlier request.
const REPLAYED: &str = "idempotency-replayed";

/// Keys of requests that are being worked on.
#[derive(Debug, Clone, Default)]
pub(super) struct InFlight(Arc<Mutex<HashSet<Slot>>>);

/// An operator and the hash of a key.
type Slot = (String, [u8; 32]);

/// A request that has a key, while it is worked on.
#[derive(Debug, Clone)]
pub(super) struct Keyed(Arc<Held>);

#[derive(Debug)]
struct Held {
    in_flight: InFlight,
    operator: String,
    key: [u8; 32],
    request: [u8; 32],
}

impl InFlight {
    /// Takes a request up, unless another with its key is under way.
    pub(super) fn take_up(&self, operator: String, key: &str, request: [u8; 32]) -> Result<Keyed, Problem> {
        let key = sha256(&[key.as_bytes()]);
        let new = self.0.lock().unwrap_or_else(PoisonError::into_inner).insert((operator.clone(), key));
        if !new {
            return Err(Problem::conflict("a request with this Idempotency-Key is under way"));
        }
        Ok(Keyed(Arc::new(Held { in_flight: self.clone(), operator, key, request })))
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let mut keys = self.in_flight.0.lock().unwrap_or_else(PoisonError::into_inner);
        keys.remove(&(std::mem::take(&mut self.operator), self.key));
    }
}

impl Keyed {
    /// The answer that was given before.
    pub(super) fn before(&self, store: &dyn CertificateStore, now: DateTime<Utc>) -> Result<Option<Response>, Problem> {
        let Held { operator, key, request, .. } = self.0.as_ref();
        let Some(answered) = Answered::find(store, operator, key, now)? else { return Ok(None) };
        if answered.request != *request {
            return Err(Problem::key_reused());
        }
        let mut response = Response::new(Body::from(answered.body));
        *response.status_mut() = StatusCode::from_u16(answered.status).unwrap_or(StatusCode::OK);
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(REPLAYED, HeaderValue::from_static("true"));
        Ok(Some(response))
    }

    /// What is to be recorded with the change.
    pub(super) fn answer(
        &self,
        store: &dyn CertificateStore,
        at: DateTime<Utc>,
        status: StatusCode,
        body: Vec<u8>,
    ) -> Result<Answer, StoreFault> {
        let Held { operator, key, request, .. } = self.0.as_ref();
        Answered { request: *request, at, status: status.as_u16(), body }.to_facts(store, operator, key)
    }
}
