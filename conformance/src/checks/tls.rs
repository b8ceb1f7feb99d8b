//! The TLS listener as openssl sees it (RFC 7030 section 3.3, RFC 9325).

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::process::Command;
use std::time::Duration;

use crate::certificate::Certificate;
use crate::command::{self, openssl, text};
use crate::http::{self, base64};
use crate::matrix::{Check, Matrix, Problem, ensure};
use crate::population::UNWELCOME;
use crate::stage::{Running, Stage, own_subject};

const LIMIT: Duration = Duration::from_secs(20);

pub(crate) fn run(stage: &Stage, matrix: &mut Matrix) {
    matrix.case("tls/no-plain-http", || no_plain_http(stage));
    matrix.case("tls/versions", || versions(stage));
    matrix.case("tls/weak-suites-refused", || weak_suites(stage));
    matrix.case("tls/modern-suites-and-groups", || modern_suites(stage));
    matrix.case("tls/secure-renegotiation", || renegotiation(stage));
    matrix.case("tls/extended-master-secret", || extended_master_secret(stage));
    for version in ["-tls1_2", "-tls1_3"] {
        let name = format!("tls/resumption{}", version.replace('_', "."));
        matrix.case(name, || resumption(stage, version));
    }
    matrix.case("tls/no-early-data", || no_early_data(stage));
    matrix.case("tls/server-certificate", || server_certificate(stage));
    matrix.case("tls/server-key-strength", || server_key_strength(stage));
    matrix.case("tls/weak-server-key-refused", || weak_server_key(stage));
    matrix.case("tls/client-certificate-requested-not-required", || requested(stage));
    matrix.case("tls/bad-certificate-gets-cacerts", || bad_certificate_gets_cacerts(stage));
    matrix.case("tls/alpn", || alpn(stage));
}

/// `openssl s_client` against the first server, fed with `input`.
pub(super) fn s_client(stage: &Stage, arguments: &[&str], input: &[u8]) -> Result<String, Problem> {
    let anchor = text(&stage.own.anchor);
    s_client_at(&stage.own, &[&["-CAfile", &anchor], arguments].concat(), input)
}

/// The same against another server, whose anchor stands among the arguments.
pub(super) fn s_client_at(running: &Running, arguments: &[&str], input: &[u8]) -> Result<String, Problem> {
    let mut client = Command::new("openssl");
    client.args(["s_client", "-connect", &running.server.address.to_string()]).args(arguments);
    Ok(command::run(&mut client, input, LIMIT)?.text())
}

fn connected(said: &str) -> bool {
    said.contains("Cipher is ") && !said.contains("Cipher is (NONE)")
}

fn no_plain_http(stage: &Stage) -> Check {
    for (address, what) in [(stage.own.server.address, "EST"), (stage.own.server.status, "status")] {
        let mut socket = TcpStream::connect(address)?;
        socket.set_read_timeout(Some(LIMIT))?;
        socket.write_all(b"GET /.well-known/est/cacerts HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")?;
        let mut answer = Vec::new();
        // A reset is as good as a close.
        drop(socket.read_to_end(&mut answer));
        let answer = String::from_utf8_lossy(&answer);
        ensure!(!answer.starts_with("HTTP/1.1 2"), "the {what} listener serves EST over plain HTTP: {answer}");
    }
    Ok(())
}

fn versions(stage: &Stage) -> Check {
    for old in ["-tls1", "-tls1_1"] {
        let said = s_client(stage, &[old, "-cipher", "ALL:@SECLEVEL=0"], b"")?;
        ensure!(!connected(&said), "{old} is accepted");
    }
    for (options, expected) in [(["-tls1_2"].as_slice(), "TLSv1.2"), (&["-tls1_3"], "TLSv1.3"), (&[], "TLSv1.3")] {
        let said = s_client(stage, options, b"")?;
        ensure!(said.contains(&format!("New, {expected}")), "with {options:?} expected {expected}: {}", brief(&said));
    }
    Ok(())
}

fn weak_suites(stage: &Stage) -> Check {
    // RFC 9325 section 4.1: no static RSA, no CBC, no NULL, no anonymous suites; and no finite field groups here.
    let weak = [
        "AES128-SHA",
        "AES128-GCM-SHA256",
        "AES256-SHA256",
        "eNULL",
        "aNULL",
        "ECDHE-ECDSA-AES128-SHA",
        "ECDHE-ECDSA-AES256-SHA384",
        "DHE-RSA-AES128-GCM-SHA256",
        "CAMELLIA",
        "PSK",
    ];
    for suite in weak {
        let said = s_client(stage, &["-tls1_2", "-cipher", &format!("{suite}:@SECLEVEL=0")], b"")?;
        ensure!(!connected(&said), "{suite} is accepted");
    }
    let said = s_client(stage, &["-tls1_2", "-comp"], b"")?;
    ensure!(said.contains("Compression: NONE"), "TLS compression is on");
    Ok(())
}

fn modern_suites(stage: &Stage) -> Check {
    for suite in ["ECDHE-ECDSA-AES128-GCM-SHA256", "ECDHE-ECDSA-AES256-GCM-SHA384"] {
        let said = s_client(stage, &["-tls1_2", "-cipher", suite], b"")?;
        ensure!(said.contains(&format!("Cipher is {suite}")), "{suite} is refused: {}", brief(&said));
    }
    for group in ["X25519", "P-256", "P-384"] {
        let said = s_client(stage, &["-groups", group], b"")?;
        ensure!(connected(&said), "group {group} is refused: {}", brief(&said));
    }
    Ok(())
}

fn renegotiation(stage: &Stage) -> Check {
    let said = s_client(stage, &["-tls1_2"], b"")?;
    ensure!(said.contains("Secure Renegotiation IS supported"), "no renegotiation_info (RFC 5746): {}", brief(&said));
    let said = s_client(stage, &["-tls1_2"], b"R\n")?;
    ensure!(!said.contains("verify return:1\nRENEGOTIATING\ndepth"), "renegotiation is accepted");
    let after = said.split("RENEGOTIATING").nth(1).unwrap_or_default();
    ensure!(!after.contains("verify return"), "renegotiation is accepted");
    Ok(())
}

fn extended_master_secret(stage: &Stage) -> Check {
    let said = s_client(stage, &["-tls1_2"], b"")?;
    ensure!(said.contains("Extended master secret: yes"), "no extended master secret (RFC 7627)");
    Ok(())
}

/// A resumed session still knows who the device is.
fn resumption(stage: &Stage, version: &str) -> Check {
    let birth = stage.pki.identity("birth-p256");
    let (chain, key) = (text(&birth.chain), text(&birth.key));
    let session = text(&stage.pki.path(&stage.unique("session")));
    let identity = ["-cert", &*chain, "-cert_chain", &chain, "-key", &key];
    let first = [&[version, "-ign_eof", "-sess_out", &session], identity.as_slice()].concat();
    let said = s_client(stage, &first, &http::get("cacerts").asking_to_close())?;
    ensure!(said.contains("HTTP/1.1 200"), "the first connection fails: {}", brief(&said));
    let request = stage.request(&own_subject("SN-P256"), &[])?;
    let post = http::post("simpleenroll", "application/pkcs10", &base64(&request.der)).asking_to_close();
    // Without -cert: only the session can tell who is there.
    let said = s_client(stage, &[version, "-ign_eof", "-sess_in", &session], &post)?;
    ensure!(said.contains("Reused, TLSv1"), "the session is not resumed: {}", brief(&said));
    ensure!(said.contains("HTTP/1.1 200"), "the resumed session does not enroll: {}", brief(&said));
    Ok(())
}

fn no_early_data(stage: &Stage) -> Check {
    let said = s_client(stage, &["-tls1_3", "-ign_eof"], &http::get("cacerts").asking_to_close())?;
    ensure!(said.contains("Max Early Data: 0"), "no session ticket without early data: {}", brief(&said));
    ensure!(!said.contains("Early data was accepted"), "early data is accepted");
    Ok(())
}

fn server_certificate(stage: &Stage) -> Check {
    for check in [["-verify_hostname", "localhost"], ["-verify_ip", "127.0.0.1"]] {
        let said = s_client(stage, &[&["-verify_return_error"], check.as_slice()].concat(), b"")?;
        ensure!(said.contains("Verify return code: 0 (ok)"), "{check:?}: {}", brief(&said));
    }
    let said = s_client(stage, &["-verify_return_error", "-verify_hostname", "elsewhere.example"], b"")?;
    ensure!(!said.contains("Verify return code: 0 (ok)"), "the certificate is good for any name");
    let certificates = presented(stage)?;
    ensure!(certificates.len() >= 2, "the issuing CA is not sent along");
    let leaf = Certificate::from_pem(certificates[0].as_bytes())?;
    ensure!(leaf.extension("2.5.29.37").is_some(), "the server certificate has no extendedKeyUsage");
    let pem = stage.pki.path("server-leaf.pem");
    command::write(&pem, &certificates[0])?;
    openssl(
        [
            "verify",
            "-purpose",
            "sslserver",
            "-CAfile",
            &text(&stage.own.anchor),
            "-untrusted",
            &text(&stage.pki.identity("issuing-p256").certificate),
            &text(&pem),
        ],
        &[],
    )?;
    Ok(())
}

fn server_key_strength(stage: &Stage) -> Check {
    for certificate in presented(stage)? {
        let said = openssl(["x509", "-noout", "-text"], certificate.as_bytes())?;
        let said = String::from_utf8_lossy(&said).into_owned();
        let bits = said.split("Public-Key: (").nth(1).and_then(|rest| rest.split(' ').next()?.parse::<u32>().ok());
        let least = if said.contains("rsaEncryption") { 2048 } else { 224 };
        ensure!(bits.is_some_and(|bits| bits >= least), "a key of {bits:?} bits in the server's chain");
        for weak in ["sha1", "md5"] {
            ensure!(!said.to_lowercase().contains(&format!("signature algorithm: {weak}")), "{weak} in the chain");
        }
    }
    Ok(())
}

/// TLS-19: `estd check` refuses an RSA-1024 server key.
fn weak_server_key(stage: &Stage) -> Check {
    let folder = stage.foreign.configuration.with_file_name("tls");
    let weak = stage.pki.identity("web-weak");
    command::write(&folder.join("weak.pem"), command::read(&weak.chain)?)?;
    crate::config::private(&folder.join("weak.key"), &command::read(&weak.key)?)?;
    let configuration = crate::config::text(crate::config::Variant::Foreign)
        .replace("tls/server.pem", "tls/weak.pem")
        .replace("tls/server.key", "tls/weak.key");
    let path = stage.foreign.configuration.with_file_name("weak.toml");
    command::write(&path, configuration)?;
    let finished = stage.binary.run(&["check", "--config", &text(&path)])?;
    ensure!(!finished.status.success(), "a server key of RSA-1024 passes `estd check`: {}", finished.text());
    Ok(())
}

fn requested(stage: &Stage) -> Check {
    let said = s_client(stage, &["-ign_eof"], &http::get("cacerts").asking_to_close())?;
    ensure!(said.contains("HTTP/1.1 200"), "no cacerts without a certificate: {}", brief(&said));
    let said = s_client(stage, &["-tls1_2"], b"")?;
    ensure!(said.contains("Client Certificate Types"), "no CertificateRequest is sent: {}", brief(&said));
    Ok(())
}

fn bad_certificate_gets_cacerts(stage: &Stage) -> Check {
    for (name, _) in UNWELCOME {
        let response = stage.device(name)?.get("cacerts")?;
        ensure!(response.status == 200, "{name}: expected 200, came {}: {}", response.status, response.text());
    }
    Ok(())
}

fn alpn(stage: &Stage) -> Check {
    let said = s_client(stage, &["-alpn", "http/1.1"], b"")?;
    ensure!(said.contains("ALPN protocol: http/1.1"), "http/1.1 is not chosen: {}", brief(&said));
    let said = s_client(stage, &["-alpn", "h2"], b"")?;
    ensure!(!said.contains("ALPN protocol: h2"), "h2 is chosen on a listener that speaks HTTP/1.1 only");
    Ok(())
}

/// What the server sends, leaf first, PEM.
fn presented(stage: &Stage) -> Result<Vec<String>, Problem> {
    let said = s_client(stage, &["-showcerts"], b"")?;
    let certificates = said.split("-----BEGIN CERTIFICATE-----").skip(1).filter_map(|rest| {
        let body = rest.split("-----END CERTIFICATE-----").next()?;
        Some(format!("-----BEGIN CERTIFICATE-----{body}-----END CERTIFICATE-----\n"))
    });
    Ok(certificates.collect())
}

/// The lines that tell what happened.
fn brief(said: &str) -> String {
    let telling =
        |line: &&str| ["rror", "alert", "HTTP/1.1", "New, ", "Reused", "Verify"].iter().any(|word| line.contains(word));
    said.lines().filter(telling).take(6).collect::<Vec<_>>().join(" | ")
}

/// Asks the server to close, so that `s_client` ends.
trait AskToClose {
    fn asking_to_close(self) -> Vec<u8>;
}

impl AskToClose for Vec<u8> {
    fn asking_to_close(self) -> Vec<u8> {
        let at = b"Host: 127.0.0.1\r\n";
        let found = self.windows(at.len()).position(|window| window == at).map_or(0, |start| start + at.len());
        [&self[..found], b"Connection: close\r\n", &self[found..]].concat()
    }
}
