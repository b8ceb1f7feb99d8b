//! What keeps a fleet from coming all at once: renewal-info (draft-ietf-lamps-est-renewal-info), and 429 (RFC 6585).

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::refused;
use crate::certificate::Certificate;
use crate::command::read;
use crate::der::Value;
use crate::http::Response;
use crate::matrix::{Check, Matrix, Problem, ensure};
use crate::stage::Stage;

pub(crate) fn run(stage: &Stage, matrix: &mut Matrix) {
    matrix.case("renewal-info/window", || window(stage));
    matrix.case("renewal-info/refusals", || refusals(stage));
    matrix.case("limits/rate", || rate(stage));
}

/// The path of the certificate that a device gets at label `devices`, without the label, and the certificate.
fn enrolled(stage: &Stage) -> Result<(String, Certificate), Problem> {
    let identity = stage.enroll("birth-p256", "devices/simpleenroll", &stage.request("/", &[])?)?;
    let certificate = Certificate::from_pem(&read(&identity.certificate)?)?;
    let extension = certificate.extension("2.5.29.35").ok_or_else(|| Problem::failed("no authorityKeyIdentifier"))?;
    // AuthorityKeyIdentifier ::= SEQUENCE { keyIdentifier [0] KeyIdentifier OPTIONAL, … }
    let key_identifier = URL_SAFE_NO_PAD.encode(Value::parse(&extension.value)?.child(0)?.content);
    let serial = URL_SAFE_NO_PAD.encode(&certificate.serial);
    Ok((format!("renewal-info/{key_identifier}.{serial}"), certificate))
}

/// In seconds, digits alone.
fn retry_after(response: &Response) -> Result<u32, Problem> {
    let seconds = response.header("Retry-After").unwrap_or_default();
    ensure!(seconds.bytes().all(|octet| octet.is_ascii_digit()), "Retry-After: {seconds}");
    seconds.parse().map_err(|_| Problem::failed(format!("Retry-After: {seconds:?}")))
}

/// Section 3: JSON, not base64, with a window in the later part of the certificate's life, for anybody and the same each time.
fn window(stage: &Stage) -> Check {
    let (path, certificate) = enrolled(stage)?;
    let response = stage.client(None)?.get(&format!("devices/{path}"))?;
    ensure!(response.status == 200, "{}: {}", response.status, response.text());
    let media_type = response.header("Content-Type").unwrap_or_default();
    ensure!(media_type == "application/json", "Content-Type: {media_type}");
    ensure!(response.header("Content-Transfer-Encoding").is_none(), "a transfer encoding");
    ensure!((60..=86_400).contains(&retry_after(&response)?), "Retry-After outside of RFC 9773 section 4.3.2");
    let json: serde_json::Value =
        serde_json::from_slice(&response.body).map_err(|error| Problem::failed(format!("{error}")))?;
    let moment = |end: &str| json["suggestedWindow"][end].as_str().unwrap_or_default().to_owned();
    let (start, end) = (moment("start"), moment("end"));
    // RFC 3339 in UTC: texts of one form stand in the order of time.
    let is_utc = |text: &str| text.len() == 20 && text.ends_with('Z') && text.as_bytes()[10] == b'T';
    ensure!(is_utc(&start) && is_utc(&end) && start < end, "start {start:?}, end {end:?}");
    let plain = |text: &str| text[2..].chars().filter(char::is_ascii_digit).collect::<String>() + "Z";
    let [(_, not_before), (_, not_after)] = &certificate.validity;
    ensure!(*not_before < plain(&start) && plain(&end) < *not_after, "{start} to {end} of {not_before} to {not_after}");

    let again = stage.device("birth-p256")?.get(&path)?;
    ensure!(again.body == response.body, "another window, by the default label, for a device");
    Ok(())
}

fn refusals(stage: &Stage) -> Check {
    let (path, _) = enrolled(stage)?;
    let client = stage.client(None)?;
    for (path, status, code) in [
        (format!("single-line/{path}"), 404, "not_found"),
        (format!("globex/{path}"), 404, "not_found"),
        ("devices/renewal-info/AQ.AQ".to_owned(), 404, "not_found"),
        ("devices/renewal-info".to_owned(), 404, "not_found"),
        (format!("devices/{path}=="), 400, "bad_request"),
        ("devices/renewal-info/AQ".to_owned(), 400, "bad_request"),
        ("devices/renewal-info/+.AQ".to_owned(), 400, "bad_request"),
    ] {
        refused(&client.get(&path)?, status, &[code])?;
    }
    refused(&client.post(&format!("devices/{path}"), b"\x30\x00")?, 405, &["method_not_allowed"])
}

/// HTTP-30, RFC 6585 section 4: above the rate of a label, and for it alone.
fn rate(stage: &Stage) -> Check {
    let device = stage.device("birth-p256")?;
    // Two at once, and then one in a hundred seconds.
    for _ in 0..2 {
        let response = device.post("rationed/simpleenroll", &stage.request("/", &[])?.der)?;
        ensure!(response.status == 200, "{}: {}", response.status, response.text());
    }
    let mut told = Vec::new();
    for _ in 0..3 {
        let response = device.post("rationed/simpleenroll", &stage.request("/", &[])?.der)?;
        refused(&response, 429, &["rate_limited"])?;
        told.push(retry_after(&response)?);
    }
    ensure!(told[0] < told[1] && told[1] < told[2], "each is given its turn: {told:?}");
    let response = device.post("devices/simpleenroll", &stage.request("/", &[])?.der)?;
    ensure!(response.status == 200, "another label: {}", response.status);
    Ok(())
}
