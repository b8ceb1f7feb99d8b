//! The request body: received within its size and time, then decoded to DER.

use std::time::Duration;

use http_body_util::{BodyExt, Limited};
use hyper::body::{Body, Bytes};

use super::connection::HttpLimits;
use crate::est::transfer::{self, TransferError};
use crate::est::{Leniency, Rejection, RejectionCode, Tolerance};

/// Receives a whole body. After an error the rest of it may still be on its way: the connection must be closed.
pub(crate) async fn receive<B>(body: B, limits: &HttpLimits) -> Result<Bytes, Rejection>
where
    B: Body<Data = Bytes>,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let too_large = || {
        let reason = format!("the body is larger than {} octets", limits.max_body);
        Rejection::new(RejectionCode::BodyTooLarge, "RFC 9110 15.5.14", reason)
    };
    // A length that is announced is judged before anything of the body is read.
    if body.size_hint().lower() > limits.max_body as u64 {
        return Err(too_large());
    }
    if body.is_end_stream() {
        return Ok(Bytes::new());
    }
    let whole = Limited::new(body, limits.max_body).collect();
    match tokio::time::timeout(limits.body_timeout, whole).await {
        Ok(Ok(whole)) => Ok(whole.to_bytes()),
        Ok(Err(error)) if error.is::<http_body_util::LengthLimitError>() => Err(too_large()),
        Ok(Err(_)) => Err(Rejection::new(
            RejectionCode::BadRequest,
            "RFC 9112 7.1",
            "the body ended early or its chunks are malformed",
        )),
        Err(_) => Err(too_slow(limits.body_timeout)),
    }
}

/// The DER that a body carries. Content-Transfer-Encoding is not looked at (RFC 8951 section 3).
pub(super) fn decode(body: &[u8], tolerance: Tolerance) -> Result<Vec<u8>, Rejection> {
    let refused = |error: TransferError| Rejection::new(RejectionCode::BadEncoding, "RFC 8951 3", error.to_string());
    let decoded = transfer::decode(body).map_err(refused)?;
    if transfer::is_armoured(body) {
        tolerance.judge(Leniency::PemArmour)?;
    }
    Ok(decoded)
}

fn too_slow(limit: Duration) -> Rejection {
    let reason = format!("the body did not arrive within {} s", limit.as_secs_f32());
    Rejection::new(RejectionCode::BodyTimeout, "RFC 9110 15.5.9", reason)
}
