//! Who is let in (RFC 7030 section 3.3.2, IEEE 802.1AR).

use super::refused;
use super::tls::s_client;
use crate::command::text;
use crate::matrix::{Check, Matrix, ensure};
use crate::population::{DEVICES, UNWELCOME};
use crate::stage::{Stage, own_subject};

pub(crate) fn run(stage: &Stage, matrix: &mut Matrix) {
    for device in &DEVICES {
        // The hardware module name is looked for where a label says so.
        let label = if device.name == "birth-hardware" { "hardware/" } else { "" };
        matrix.case(format!("auth/welcome/{}", device.name), || {
            let request = stage.request_of(device.key, "/", &[])?;
            stage.enroll(device.name, &format!("{label}simpleenroll"), &request).map(|_| ())
        });
    }
    for (name, codes) in UNWELCOME {
        matrix.case(format!("auth/unwelcome/{name}"), || {
            let request = stage.request("/", &[])?;
            let client = stage.device(name)?;
            let mut connection = client.connect()?;
            let post = crate::http::post("simpleenroll", "application/pkcs10", &crate::http::base64(&request.der));
            refused(&connection.exchange(&post)?, 403, codes)?;
            let after = connection.exchange(&crate::http::get("cacerts"))?;
            ensure!(after.status == 200, "the connection is not usable after a refusal: {}", after.status);
            Ok(())
        });
    }
    matrix.case("auth/unwelcome/bad-rsa1024", || weak_birth_key(stage));
    matrix.case("auth/anonymous", || anonymous(stage));
    matrix.case("auth/closed-label", || closed(stage));
    matrix.case("auth/identity-missing", || identity_missing(stage));
    matrix.case("auth/other-tenant", || other_tenant(stage));
}

/// A birth certificate over RSA-1024 proves nothing: its handshake fails, whatever is asked for. Told by openssl, since
/// the client of the other cases has no such keys.
fn weak_birth_key(stage: &Stage) -> Check {
    let birth = stage.pki.identity("bad-rsa1024");
    let (certificate, key) = (text(&birth.chain), text(&birth.key));
    for version in ["-tls1_2", "-tls1_3"] {
        let arguments = [version, "-cipher", "ALL:@SECLEVEL=0", "-cert", &certificate, "-key", &key, "-ign_eof"];
        let said = s_client(stage, &arguments, &crate::http::get("cacerts"))?;
        ensure!(!said.contains("HTTP/1.1"), "{version}: a key of 1024 bits is taken for proof");
        ensure!(said.contains("alert decrypt error"), "{version}: expected the alert decrypt_error: {said}");
    }
    Ok(())
}

/// RFC 7030 section 4.2: nobody gets nothing, neither by enrolling nor by renewing.
fn anonymous(stage: &Stage) -> Check {
    let request = stage.request(&own_subject("SN-P256"), &[])?;
    for path in ["simpleenroll", "simplereenroll", "globex/simpleenroll"] {
        let response = stage.client(None)?.post(path, &request.der)?;
        refused(&response, 403, &["auth_missing"])?;
        ensure!(response.header("WWW-Authenticate").is_none(), "a challenge without HTTP authentication");
    }
    Ok(())
}

/// A label without implicit anchors lets no birth certificate enroll.
fn closed(stage: &Stage) -> Check {
    let request = stage.request("/", &[])?;
    refused(&stage.device("birth-p256")?.post("closed/simpleenroll", &request.der)?, 403, &["untrusted"])
}

fn identity_missing(stage: &Stage) -> Check {
    let request = stage.request("/", &[])?;
    let response = stage.device("birth-p256")?.post("hardware/simpleenroll", &request.der)?;
    refused(&response, 403, &["identity_missing"])
}

/// A device of one tenant is nobody at the other, both ways, by birth and by operational certificate.
fn other_tenant(stage: &Stage) -> Check {
    let request = stage.request("/", &[])?;
    let codes = ["untrusted", "cross_tenant"];
    refused(&stage.device("birth-p256")?.post("globex/simpleenroll", &request.der)?, 403, &codes)?;
    let own = stage.enroll("bad-other-tenant", "globex/simpleenroll", &stage.request("/", &[])?)?;
    let subject = "/CN=bad-other-tenant/O=Globex";
    let request = stage.request(subject, &[])?;
    for path in ["devices/simplereenroll", "devices/simpleenroll"] {
        refused(&stage.client(Some(&own))?.post(path, &request.der)?, 403, &codes)?;
    }
    Ok(())
}
