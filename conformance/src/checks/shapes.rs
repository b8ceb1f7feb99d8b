//! The shapes of answers that single clients need, and what strict labels refuse; `docs/clients.md`.

use super::refused;
use crate::certificate::{certs_only, issued, transfer_decoded};
use crate::command::openssl;
use crate::http::{base64, post};
use crate::matrix::{Check, Matrix, ensure};
use crate::requests;
use crate::stage::{Stage, own_subject};

pub(crate) fn run(stage: &Stage, matrix: &mut Matrix) {
    matrix.case("shapes/aziot", || aziot(stage));
    matrix.case("shapes/strict", || strict(stage));
}

/// `aziot-certd` puts a PEM header before each body and a footer behind it, and has OpenSSL read that. It fetches both at the
/// same time, and renews by simpleenroll.
fn aziot(stage: &Stage) -> Check {
    let pem = |body: &[u8]| [b"-----BEGIN PKCS7-----\n", body, b"-----END PKCS7-----\n"].concat();
    let bundle = stage.client(None)?.get("shape-aziot/cacerts")?;
    let request = stage.request(&own_subject("SN-P256"), &[])?;
    let first = stage.device("birth-p256")?.post("shape-aziot/simpleenroll", &request.der)?;
    let current = stage.keep(&first, &request, "shape-aziot/simpleenroll")?;
    let der = requests::by_key(&stage.pki, &request.key, &own_subject("SN-P256"), &[], "sha256")?;
    let renewed = stage.client(Some(&current))?.post("shape-aziot/simpleenroll", &der)?;
    issued(&renewed)?;
    for response in [&bundle, &first, &renewed] {
        ensure!(response.status == 200, "it takes nothing but 200, came {}", response.status);
        let media_type = response.header("Content-Type").unwrap_or_default();
        ensure!(media_type.starts_with("application/pkcs7-mime"), "Content-Type: {media_type}");
        let printed = openssl(["pkcs7", "-print_certs"], &pem(&response.body))?;
        let found = String::from_utf8_lossy(&printed).matches("BEGIN CERTIFICATE").count();
        ensure!(found == certs_only(&transfer_decoded(&response.body)?)?.len(), "OpenSSL finds {found} certificates");
        let text = String::from_utf8_lossy(&response.body).into_owned();
        ensure!(text.ends_with('\n') && text.lines().all(|line| line.len() <= 64), "lines that are too long: {text}");
    }
    Ok(())
}

/// A label that takes only what the standards allow: PEM is refused there and nowhere else, base64 in lines is taken.
fn strict(stage: &Stage) -> Check {
    let request = stage.request(&own_subject("SN-P256"), &[])?;
    let pem = openssl(["req", "-inform", "DER"], &request.der)?;
    let client = stage.device("birth-p256")?;
    let send =
        |label: &str, body: &[u8]| client.exchange(&post(&format!("{label}/simpleenroll"), "application/pkcs10", body));
    stage.keep(&send("devices", &pem)?, &request, "devices/simpleenroll")?;
    let response = send("strict", &pem)?;
    refused(&response, 400, &["bad_encoding"])?;
    ensure!(response.text().contains("PEM armour"), "{}", response.text());
    let issued = stage.keep(&send("strict", &base64(&request.der))?, &request, "strict/simpleenroll");
    issued.map(|_| ())
}
