//! Who is let in by a credential (RFC 7030 section 3.2.3), and what is answered to the others.

use super::refused;
use crate::clock::Deadline;
use crate::command::{self, DEFAULT_LIMIT, openssl};
use crate::http::{self, Client, Response};
use crate::matrix::{Check, Matrix, Problem, ensure};
use crate::multipart;
use crate::stage::{Stage, own_subject};

pub(crate) fn run(stage: &Stage, matrix: &mut Matrix) {
    matrix.case("credentials/challenges", || challenges(stage));
    matrix.case("credentials/two-rounds-on-one-connection", || two_rounds(stage));
    matrix.case("credentials/rules", || rules(stage));
    matrix.case("credentials/cacerts-and-csrattrs-ask-nobody", || open_to_all(stage));
    matrix.case("credentials/code-once", || code_once(stage));
    matrix.case("credentials/renews-what-is-on-record", || renews(stage));
    matrix.case("credentials/serverkeygen", || makes_a_key(stage));
    // The last: it locks this address out.
    matrix.case("credentials/lockout", || lockout(stage));
}

/// `name:password` as Basic, in a request for a certificate.
fn post(path: &str, account: Option<&str>, der: &[u8]) -> Vec<u8> {
    let mut request = String::from_utf8_lossy(&http::post(path, "application/pkcs10", &http::base64(der))).into_owned();
    if let Some(account) = account {
        let token = String::from_utf8_lossy(&http::base64(account.as_bytes())).replace('\n', "");
        request = request.replacen("Content-Type", &format!("Authorization: Basic {token}\r\nContent-Type"), 1);
    }
    request.into_bytes()
}

fn client(stage: &Stage, identity: Option<&str>) -> Result<Client, Problem> {
    let identity = identity.map(|name| stage.pki.identity(name));
    Client::new(stage.credentials.server.address, &stage.credentials.anchor, identity.as_ref())
}

fn is_challenged(response: &Response, first: &str) -> Check {
    let challenge = response.header("WWW-Authenticate").unwrap_or_default();
    ensure!(response.status == 401, "expected 401, came {}: {}", response.status, response.text());
    ensure!(challenge.starts_with(first), "expected a challenge {first:?} first, came {challenge:?}");
    ensure!(response.head.len() < 1024, "a head of {} octets", response.head.len());
    ensure!(!response.head.contains("Set-Cookie"), "a cookie");
    Ok(())
}

fn challenges(stage: &Stage) -> Check {
    let request = stage.request(&own_subject("SN-P256"), &[])?;
    for (label, first) in [
        ("http-basic", "Basic realm=\"estd\", charset=\"UTF-8\""),
        ("http-any", "Basic "),
        ("http-digest", "Digest realm=\"estd\", qop=\"auth\", nonce=\""),
        ("http-bearer", "Bearer realm=\"estd\""),
        ("http-code", "Basic "),
        ("http-either", "Basic "),
    ] {
        let response = client(stage, None)?.exchange(&post(&format!("{label}/simpleenroll"), None, &request.der))?;
        is_challenged(&response, first)?;
    }
    let label = "http-md5/simpleenroll";
    let response = client(stage, None)?.exchange(&post(label, None, &request.der))?;
    let lines: Vec<_> = response.head.lines().filter(|line| line.starts_with("WWW-Authenticate: Digest ")).collect();
    ensure!(lines.len() == 2 && !lines[0].contains("algorithm"), "expected MD5, then SHA-256: {lines:?}");
    ensure!(lines[1].ends_with("algorithm=SHA-256"), "expected MD5, then SHA-256: {lines:?}");
    Ok(())
}

/// RFC 7030 section 2.2.3: the 401 round with a full retry; a wrong password in between changes nothing.
fn two_rounds(stage: &Stage) -> Check {
    let request = stage.request(&own_subject("SN-P256"), &[])?;
    let mut connection = client(stage, None)?.connect()?;
    let path = "http-basic/simpleenroll";
    is_challenged(&connection.exchange(&post(path, None, &request.der))?, "Basic ")?;
    refused(&connection.exchange(&post(path, Some("fleet:wrong"), &request.der))?, 401, &["auth_failed"])?;
    let response = connection.exchange(&post(path, Some("fleet:pass:word"), &request.der))?;
    stage.keep(&response, &request, path).map(|_| ())
}

/// A password is as good for a key as for a certificate.
fn makes_a_key(stage: &Stage) -> Check {
    let request = stage.request(&own_subject("SN-P256"), &[])?;
    let path = "http-keygen/serverkeygen";
    is_challenged(&client(stage, None)?.exchange(&post(path, None, &request.der))?, "Basic ")?;
    let response = client(stage, None)?.exchange(&post(path, Some("fleet:pass:word"), &request.der))?;
    let generated = multipart::generated(&response)?;
    stage.keep_generated(&generated.certificate, generated.plain()?, path).map(|_| ())
}

/// Every rule against a certificate, a password, both and neither: the status of each.
fn rules(stage: &Stage) -> Check {
    let birth = Some("birth-p256");
    let account = Some("fleet:pass:word");
    for (label, cases) in [
        ("devices", [(None, None, 403), (None, account, 403), (birth, None, 200), (birth, account, 200)]),
        ("http-basic", [(None, None, 401), (None, account, 200), (birth, None, 401), (birth, account, 200)]),
        ("http-either", [(None, None, 401), (None, account, 200), (birth, None, 200), (birth, account, 200)]),
        ("http-both", [(None, None, 403), (None, account, 403), (birth, None, 401), (birth, account, 200)]),
    ] {
        for (identity, account, expected) in cases {
            let request = stage.request(&own_subject("SN-P256"), &[])?;
            let path = format!("{label}/simpleenroll");
            let response = client(stage, identity)?.exchange(&post(&path, account, &request.der))?;
            let case = format!("{label}, certificate {identity:?}, account {account:?}");
            ensure!(response.status == expected, "{case}: expected {expected}, came {}", response.status);
            let challenged = response.header("WWW-Authenticate").is_some();
            ensure!(challenged == (expected == 401), "{case}: a challenge comes with 401 and with nothing else");
        }
    }
    // The account speaks for SN-… alone.
    let request = stage.request(&own_subject("HW-0001"), &[])?;
    for (identity, label) in [(None, "http-basic"), (Some("birth-hardware"), "http-both")] {
        let path = format!("{label}/simpleenroll");
        let response = client(stage, identity)?.exchange(&post(&path, account, &request.der))?;
        refused(&response, 403, &["identity_mismatch"])?;
    }
    Ok(())
}

/// RFC 7030 sections 4.1.2 and 4.5.
fn open_to_all(stage: &Stage) -> Check {
    for (path, status) in [("http-basic/cacerts", 200), ("http-basic/csrattrs", 204), ("http-both/cacerts", 200)] {
        let response = client(stage, None)?.get(path)?;
        ensure!(response.status == status, "{path}: expected {status}, came {}", response.status);
    }
    Ok(())
}

/// The second use of a code is refused, the repeated request is not; after a reload too.
fn code_once(stage: &Stage) -> Check {
    let folder = stage.credentials.configuration.with_file_name("");
    let mut estd = std::process::Command::new(&stage.binary.0);
    estd.args(["credential", "code", "--device", "SN-CODE", "--not-after", "2099-01-01T00:00:00Z"]);
    let made = command::run(&mut estd, &[], DEFAULT_LIMIT)?;
    let told = String::from_utf8_lossy(&made.stderr).into_owned();
    let code = told.split_whitespace().next().unwrap_or_default().to_owned();
    let file = folder.join("credentials.toml");
    let all = [command::read(&file)?, made.succeeded("estd credential code")?].concat();
    ensure!(!String::from_utf8_lossy(&all).contains(&code), "the code stands in the file");
    crate::config::private(&file, &all)?;
    reload(stage)?;
    let first = stage.request(&own_subject("SN-CODE"), &[])?;
    let path = "http-code/simpleenroll";
    let with_code = |request: &[u8]| client(stage, None)?.exchange(&post(path, Some(&format!(":{code}")), request));
    let issued = with_code(&first.der)?;
    stage.keep(&issued, &first, path)?;
    ensure!(with_code(&first.der)?.body == issued.body, "a lost answer is not given again");
    let second = stage.request(&own_subject("SN-CODE"), &[])?;
    refused(&with_code(&second.der)?, 403, &["code_used"])
}

fn reload(stage: &Stage) -> Check {
    let server = &stage.credentials.server;
    server.signal("HUP")?;
    let deadline = Deadline::after(DEFAULT_LIMIT);
    while !String::from_utf8_lossy(&command::read(&server.log)?).contains("configuration reloaded") {
        ensure!(!deadline.passed(), "the configuration was not reloaded");
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    Ok(())
}

/// EST-4.2.2-11: without a certificate, what is on record is renewed and nothing else.
fn renews(stage: &Stage) -> Check {
    let account = Some("fleet:pass:word");
    let subject = own_subject("SN-RENEW");
    let again = "http-basic/simplereenroll";
    let request = stage.request(&subject, &[])?;
    let response = client(stage, None)?.exchange(&post(again, account, &request.der))?;
    refused(&response, 403, &["not_renewable"])?;
    let response = client(stage, None)?.exchange(&post("http-basic/simpleenroll", account, &request.der))?;
    stage.keep(&response, &request, "simpleenroll")?;
    let request = stage.request(&subject, &[])?;
    let response = client(stage, None)?.exchange(&post(again, account, &request.der))?;
    let renewed = stage.keep(&response, &request, "simplereenroll")?;
    let shown = openssl(["x509", "-noout", "-subject", "-in", &command::text(&renewed.certificate)], &[])?;
    let shown = String::from_utf8_lossy(&shown).into_owned();
    ensure!(shown.contains("SN-RENEW"), "another subject: {shown}");
    Ok(())
}

/// Threat 36: guessing ends, for a user who exists as for one who does not.
fn lockout(stage: &Stage) -> Check {
    let request = stage.request(&own_subject("SN-P256"), &[])?;
    let attempt =
        |account: &str| client(stage, None)?.exchange(&post("http-either/simpleenroll", Some(account), &request.der));
    for user in ["fleet", "nobody"] {
        for turn in 1..=10 {
            let expected = if turn < 10 { 401 } else { 429 };
            let response = attempt(&format!("{user}:guess-{turn}"))?;
            ensure!(
                response.status == expected,
                "guess {turn} at {user}: expected {expected}, came {}",
                response.status
            );
        }
        let response = attempt(&format!("{user}:pass:word"))?;
        refused(&response, 429, &["auth_locked_out"])?;
        let seconds = response.header("Retry-After").unwrap_or_default();
        ensure!(seconds.parse::<u32>().is_ok_and(|seconds| seconds <= 600), "Retry-After: {seconds}");
    }
    let log = command::read(&stage.credentials.server.log)?;
    for secret in ["pass:word", "guess-1", "estd_0123456789abcdef"] {
        ensure!(!String::from_utf8_lossy(&log).contains(secret), "the log shows {secret}");
    }
    Ok(())
}
