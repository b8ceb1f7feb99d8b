//! Who speaks for other devices (RFC 7030 section 3.7), and who gets other names (RFC 6402 section 2.8).

use super::refused;
use crate::certificate::{self, Certificate};
use crate::command::read;
use crate::der;
use crate::http::Response;
use crate::matrix::{Check, Matrix, Problem, ensure};
use crate::pki::Identity;
use crate::requests::{self, Parts, Request};
use crate::stage::{Stage, own_subject};

const CHANGE_SUBJECT_NAME: &str = "1.3.6.1.5.5.7.7.36";
const EXT_KEY_USAGE: &str = "2.5.29.37";
const CMC_RA: &str = "1.3.6.1.5.5.7.3.28";
const SUBJECT_ALT_NAME: &str = "2.5.29.17";

pub(crate) fn run(stage: &Stage, matrix: &mut Matrix) {
    matrix.case("ra/enrolls-and-renews-for-a-device", || for_a_device(stage));
    matrix.case("ra/speaks-for-its-scope-alone", || scope(stage));
    matrix.case("ra/nobody-else-speaks-for-others", || nobody_else(stage));
    matrix.case("ra/both-are-on-record", || on_record(stage));
    matrix.case("ra/change-subject-name", || change_subject_name(stage));
}

fn registrar(stage: &Stage) -> Result<Identity, Problem> {
    let registrar = stage.enroll("birth-registrar", "registrars/simpleenroll", &stage.request("/", &[])?)?;
    let certificate = Certificate::from_pem(&read(&registrar.certificate)?)?;
    let usages = certificate.extension(EXT_KEY_USAGE).map(|usages| usages.value.clone()).unwrap_or_default();
    ensure!(usages.ends_with(&der::oid(CMC_RA)), "the registrar's certificate lacks id-kp-cmcRA");
    Ok(registrar)
}

fn post(stage: &Stage, who: &Identity, path: &str, request: &Request) -> Result<Response, Problem> {
    stage.client(Some(who))?.post(path, &request.der)
}

fn for_a_device(stage: &Stage) -> Check {
    let registrar = registrar(stage)?;
    let subject = own_subject("EE-1");
    let request = stage.request(&subject, &[])?;
    let unknown = post(stage, &registrar, "served/simplereenroll", &request)?;
    refused(&unknown, 403, &["not_renewable"])?;
    let device = stage.keep(&post(stage, &registrar, "served/simpleenroll", &request)?, &request, "simpleenroll")?;
    let request = stage.request(&subject, &[])?;
    stage.keep(&post(stage, &registrar, "served/simplereenroll", &request)?, &request, "simplereenroll")?;
    // The device may take it from there by itself.
    let request = stage.request(&subject, &[])?;
    stage.keep(&post(stage, &device, "served/simplereenroll", &request)?, &request, "simplereenroll").map(|_| ())
}

fn scope(stage: &Stage) -> Check {
    let registrar = registrar(stage)?;
    for (path, device, code) in [
        ("served/simpleenroll", "SN-P256", "ra_scope"),
        ("served/simpleenroll", "RA-1", "ra_scope"),
        ("devices/simpleenroll", "EE-1", "cross_tenant"),
        ("registrars/simpleenroll", "EE-1", "subject_mismatch"),
    ] {
        let response = post(stage, &registrar, path, &stage.request(&own_subject(device), &[])?)?;
        refused(&response, 403, &[code])?;
    }
    let response = post(stage, &registrar, "globex/simpleenroll", &stage.request(&own_subject("EE-1"), &[])?)?;
    refused(&response, 403, &["cross_tenant", "untrusted"])
}

/// RA-02: neither the usage from elsewhere nor a certificate of this CA makes an RA.
fn nobody_else(stage: &Stage) -> Check {
    let request = stage.request(&own_subject("EE-2"), &[])?;
    let forged = stage.device("birth-registrar")?.post("served/simpleenroll", &request.der)?;
    refused(&forged, 403, &["identity_mismatch"])?;
    let device = stage.enroll("birth-p256", "served/simpleenroll", &stage.request("/", &[])?)?;
    refused(&post(stage, &device, "served/simpleenroll", &request)?, 403, &["subject_mismatch"])?;
    refused(&post(stage, &device, "served/simplereenroll", &request)?, 403, &["subject_mismatch"])?;
    let unlisted = stage.device("birth-p256")?.post("registrars/simpleenroll", &stage.request("/", &[])?.der)?;
    refused(&unlisted, 403, &["device_not_listed"])
}

/// RA-04.
fn on_record(stage: &Stage) -> Check {
    let registrar = registrar(stage)?;
    let request = stage.request(&own_subject("EE-AUDIT"), &[])?;
    let response = post(stage, &registrar, "served/simpleenroll", &request)?;
    let id = response.header("X-Request-Id").unwrap_or_default().to_owned();
    certificate::issued(&response)?;
    let journal = read(&stage.own.configuration.with_file_name("data").join("journal"))?;
    let at = |text: &str| journal.windows(text.len()).rposition(|window| window == text.as_bytes());
    let (event, device, actor) = (at(&id), at("EE-AUDIT"), at("RA-1"));
    let near = |place: Option<usize>| event.zip(place).is_some_and(|(event, place)| event.abs_diff(place) < 2048);
    ensure!(near(device) && near(actor), "the event of {id} tells who at {actor:?}, for whom at {device:?}");
    Ok(())
}

/// CSN-02, CSN-04: what is left out is taken away; what the profile does not give is refused.
fn change_subject_name(stage: &Stage) -> Check {
    let current = stage.enroll("birth-p256", "served/simpleenroll", &stage.request("/", &[])?)?;
    let subject = Certificate::from_pem(&read(&current.certificate)?)?.subject;
    let attempt = |label: &str, current: &Identity, change: &[u8]| {
        let request = stage.request("/", &[])?;
        let attribute = requests::attribute(CHANGE_SUBJECT_NAME, &[change]);
        let subject = Certificate::from_pem(&read(&current.certificate)?)?.subject;
        let parts =
            Parts { subject, attributes: requests::attributes(&[attribute]), ..Parts::new(&request.key, b"device")? };
        let request = Request { der: parts.signed(&request.key)?, key: request.key };
        Ok::<_, Problem>((post(stage, current, &format!("{label}/simplereenroll"), &request)?, request))
    };
    let (response, request) = attempt("served", &current, &der::sequence(&[&subject]))?;
    let renewed = stage.keep(&response, &request, "simplereenroll")?;
    let renewed = Certificate::from_pem(&read(&renewed.certificate)?)?;
    ensure!(renewed.subject == subject && renewed.extension(SUBJECT_ALT_NAME).is_none(), "other names than asked for");
    let foreign = der::sequence(&[&requests::name(b"SN-OTHER")]);
    refused(&attempt("served", &current, &foreign)?.0, 403, &["name_change"])?;
    refused(&attempt("served", &current, &der::sequence(&[]))?.0, 400, &["bad_csr"])?;
    // Where nothing is said of it, it is refused.
    let closed = stage.enroll("birth-p256", "devices/simpleenroll", &stage.request("/", &[])?)?;
    refused(&attempt("devices", &closed, &der::sequence(&[&subject]))?.0, 403, &["name_change"])
}
