//! What is best proven from outside, octet by octet.

pub(crate) mod auth;
pub(crate) mod cacerts;
pub(crate) mod cmc;
pub(crate) mod conduct;
pub(crate) mod credentials;
pub(crate) mod csrattrs;
pub(crate) mod enroll;
pub(crate) mod http;
pub(crate) mod http_body;
pub(crate) mod key_generation;
pub(crate) mod key_protection;
pub(crate) mod key_traces;
pub(crate) mod load;
pub(crate) mod names;
pub(crate) mod p10;
pub(crate) mod publication;
pub(crate) mod ra;
pub(crate) mod reenroll;
pub(crate) mod rollover;
pub(crate) mod shapes;
pub(crate) mod tls;
pub(crate) mod x509;

use crate::http::Response;
use crate::matrix::{Check, Matrix, ensure};
use crate::stage::Stage;

/// All of them, in the order of a device's life.
pub(crate) fn run(stage: &Stage, matrix: &mut Matrix) {
    tls::run(stage, matrix);
    http::run(stage, matrix);
    http_body::run(stage, matrix);
    cacerts::run(stage, matrix);
    csrattrs::run(stage, matrix);
    shapes::run(stage, matrix);
    auth::run(stage, matrix);
    credentials::run(stage, matrix);
    enroll::run(stage, matrix);
    p10::run(stage, matrix);
    names::run(stage, matrix);
    reenroll::run(stage, matrix);
    load::run(stage, matrix);
    rollover::run(stage, matrix);
    key_generation::run(stage, matrix);
    key_protection::run(stage, matrix);
    key_traces::run(stage, matrix);
    ra::run(stage, matrix);
    cmc::run(stage, matrix);
    conduct::run(stage, matrix);
    x509::run(stage, matrix);
}

/// A refusal: the status, one of the codes, and a text a device engineer can act on (RFC 7030 section 4.2.3).
pub(crate) fn refused(response: &Response, status: u16, codes: &[&str]) -> Check {
    let text = response.text();
    ensure!(response.status == status, "expected {status}, came {}: {}", response.status, text.trim());
    is_plain_text(response)?;
    let code = response.code().unwrap_or_default();
    ensure!(codes.is_empty() || codes.contains(&&*code), "expected code {codes:?}, came: {}", text.trim());
    Ok(())
}

/// Every failure is readable text without internals (RFC 7030 section 4.2.3, RFC 8951 section 5.1).
pub(crate) fn is_plain_text(response: &Response) -> Check {
    let text = response.text();
    let media_type = response.header("Content-Type").unwrap_or_default();
    ensure!(media_type.starts_with("text/plain"), "expected Content-Type text/plain, came {media_type:?}");
    ensure!(text.starts_with("estd: ") && text.trim().len() > 20, "expected `estd: CODE: …`, came {text:?}");
    ensure!(!text.trim_end().contains('\n'), "expected one line, came {text:?}");
    for internal in ["panicked", ".rs:", "src/", "RUST_BACKTRACE", "PRIVATE KEY", "/tmp/"] {
        ensure!(!text.contains(internal), "the answer shows internals: {text:?}");
    }
    Ok(())
}
