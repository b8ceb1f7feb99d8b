//! Certificates for every CA key, device key and profile; they are judged by [`crate::certificates`] at the end.

use crate::certificate::{Certificate, issued};
use crate::command::read;
use crate::config::PROFILES;
use crate::matrix::{Check, Matrix, ensure};
use crate::population::{AUTHORITIES, DEVICES};
use crate::stage::Stage;

const GENERALIZED_TIME: u8 = 0x18;

pub(crate) fn run(stage: &Stage, matrix: &mut Matrix) {
    for authority in AUTHORITIES {
        for profile in PROFILES {
            let label = format!("{}-{profile}", authority.name());
            matrix.case(format!("x509/issue/{label}"), || {
                for device in DEVICES.iter().filter(|device| device.name != "birth-hardware") {
                    let request = stage.request_of(device.key, "/", &[])?;
                    stage.enroll(device.name, &format!("{label}/simpleenroll"), &request)?;
                }
                Ok(())
            });
        }
    }
    for label in ["single-ca", "globex", "hardware"] {
        matrix.case(format!("x509/issue/{label}"), || {
            let device = match label {
                "globex" => "bad-other-tenant",
                "hardware" => "birth-hardware",
                _ => "birth-p256",
            };
            stage.enroll(device, &format!("{label}/simpleenroll"), &stage.request("/", &[])?).map(|_| ())
        });
    }
    matrix.case("x509/clamped-to-the-ca", || clamped(stage));
    matrix.case("x509/generalized-time-from-2050", || far(stage));
    matrix.case("x509/serials", || serials(stage));
}

/// X509-07: no certificate outlives its CA.
fn clamped(stage: &Stage) -> Check {
    let identity = stage.enroll("birth-p256", "short-ca/simpleenroll", &stage.request("/", &[])?)?;
    let certificate = Certificate::from_pem(&read(&identity.certificate)?)?;
    let authority = Certificate::from_pem(&read(&stage.pki.identity("short").certificate)?)?;
    let ends = (&certificate.validity[1], &authority.validity[1]);
    ensure!(ends.0 <= ends.1, "ends {:?}, its CA {:?}", ends.0, ends.1);
    Ok(())
}

/// X509-05: from 2050 on the dates are GeneralizedTime.
fn far(stage: &Stage) -> Check {
    let identity = stage.enroll("birth-p256", "far/simpleenroll", &stage.request("/", &[])?)?;
    let (tag, text) = Certificate::from_pem(&read(&identity.certificate)?)?.validity[1].clone();
    ensure!(tag == GENERALIZED_TIME && text.as_str() >= "2050", "notAfter {text} has tag {tag:#x}");
    Ok(())
}

/// X509-02: 200 serials are positive, short, and no two alike, not even in the first eight octets.
fn serials(stage: &Stage) -> Check {
    let key = stage.pki.identity("birth-other");
    let mut seen = std::collections::BTreeSet::new();
    let mut connection = stage.client(Some(&key))?.connect()?;
    for _ in 0..200 {
        let request = stage.request("/", &[])?;
        let post = crate::http::post("simpleenroll", "application/pkcs10", &crate::http::base64(&request.der));
        let serial = issued(&connection.exchange(&post)?)?.serial;
        ensure!((16..=20).contains(&serial.len()), "a serial of {} octets", serial.len());
        ensure!(serial[0] < 0x80, "a negative serial");
        ensure!(seen.insert(serial[..8].to_vec()), "a serial came twice");
    }
    Ok(())
}
