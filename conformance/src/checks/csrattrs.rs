//! csrattrs (RFC 7030 section 4.5, RFC 8951 section 4, RFC 9908).

use super::refused;
use crate::certificate::transfer_decoded;
use crate::der::{self, OBJECT_IDENTIFIER, Value, oid, sequence, set};
use crate::http::Response;
use crate::matrix::{Check, Matrix, Problem, ensure};
use crate::pki::KeyKind;
use crate::stage::{Stage, own_subject};

const EST_IDENTITY_LINKING: &str = "1.2.840.113549.1.9.16.2.58";
const CHALLENGE_PASSWORD: &str = "1.2.840.113549.1.9.7";
const EXTENSION_REQUEST: &str = "1.2.840.113549.1.9.14";
const TEMPLATE: &str = "1.2.840.113549.1.9.16.2.61";
const EXTENSION_TEMPLATE: &str = "1.2.840.113549.1.9.16.2.62";
const EC_PUBLIC_KEY: &str = "1.2.840.10045.2.1";
const SECP384R1: &str = "1.3.132.0.34";
const ECDSA_WITH_SHA384: &str = "1.2.840.10045.4.3.3";
const RSA_ENCRYPTION: &str = "1.2.840.113549.1.1.1";

/// Wants a linked request with a P-384 key, and says so in a list.
pub(crate) const LINKED: &str = "attrs-p384";
/// What is wanted there.
pub(crate) const WANTED_WHERE_LINKED: [&str; 4] =
    [EST_IDENTITY_LINKING, CHALLENGE_PASSWORD, EC_PUBLIC_KEY, ECDSA_WITH_SHA384];
/// Wants an RSA key of 3072 bits, and says so in both forms.
const BOTH: &str = "attrs-rsa3072";
/// Gives names that are made of the device's.
const NAMED: &str = "p256-everything";

/// Those of [`WANTED_WHERE_LINKED`] that stand in the DER of an answer.
pub(crate) fn wanted_in(der: &[u8]) -> Vec<String> {
    let stands = |name: &&str| {
        let value = oid(name);
        der.windows(value.len()).any(|window| window == value)
    };
    WANTED_WHERE_LINKED.into_iter().filter(stands).map(str::to_owned).collect()
}

pub(crate) fn run(stage: &Stage, matrix: &mut Matrix) {
    matrix.case("csrattrs/answer", || answer(stage));
    matrix.case("csrattrs/nothing-wanted", || nothing(stage));
    matrix.case("csrattrs/key-and-linking", || key_and_linking(stage));
    matrix.case("csrattrs/names-of-the-device-alone", || names(stage));
    matrix.case("csrattrs/template", || template(stage));
    matrix.case("csrattrs/libest-always-has-some", || libest(stage));
    matrix.case("csrattrs/not-followed", || not_followed(stage));
}

fn asked(stage: &Stage, device: Option<&str>, label: &str) -> Result<Response, Problem> {
    let client = match device {
        Some(device) => stage.device(device)?,
        None => stage.client(None)?,
    };
    client.get(&format!("{label}/csrattrs"))
}

/// The DER of an answer that has some.
fn attrs(stage: &Stage, device: Option<&str>, label: &str) -> Result<Vec<u8>, Problem> {
    let response = asked(stage, device, label)?;
    ensure!(response.status == 200, "{label}: expected 200, came {}: {}", response.status, response.text());
    transfer_decoded(&response.body)
}

fn dotted(name: &str) -> Vec<u8> {
    oid(name)
}

/// EST-4.5.2-01: the media type, base64 of DER.
fn answer(stage: &Stage) -> Check {
    let response = asked(stage, None, LINKED)?;
    ensure!(response.status == 200, "{}", response.status);
    let media_type = response.header("Content-Type").unwrap_or_default();
    ensure!(media_type == "application/csrattrs", "Content-Type: {media_type}");
    ensure!(response.header("Content-Length").is_some(), "no Content-Length");
    let der = transfer_decoded(&response.body)?;
    // RFC 8951 section 4: each element is an OBJECT IDENTIFIER or a SEQUENCE, without tags of its own.
    for element in Value::parse(&der)?.children()? {
        ensure!([OBJECT_IDENTIFIER, der::SEQUENCE].contains(&element.tag), "an element of tag {:02x}", element.tag);
    }
    Ok(())
}

/// EST-4.5.2-02 and -03: 204, with no body, no type and no length; 404 where there is no such label.
fn nothing(stage: &Stage) -> Check {
    let response = asked(stage, None, "devices")?;
    ensure!(response.status == 204 && response.body.is_empty(), "expected 204, came {}", response.status);
    for field in ["Content-Type", "Content-Length", "Transfer-Encoding"] {
        ensure!(response.header(field).is_none(), "{field} with a 204");
    }
    refused(&asked(stage, None, "nobody")?, 404, &["not_found"])
}

/// EST-4.5.2-05, -06 and -09, POP-07, POP-12: to the octet.
fn key_and_linking(stage: &Stage) -> Check {
    let key = sequence(&[&dotted(EC_PUBLIC_KEY), &set(&[&dotted(SECP384R1)])]);
    let expected =
        sequence(&[&dotted(EST_IDENTITY_LINKING), &dotted(CHALLENGE_PASSWORD), &key, &dotted(ECDSA_WITH_SHA384)]);
    let came = attrs(stage, None, LINKED)?;
    ensure!(came == expected, "expected {expected:02x?}, came {came:02x?}");
    Ok(())
}

/// EST-4.5.2-07, -08, -17 and -18: one extensionRequest with one value, which has the device's own names; strangers are told
/// of none, whatever certificate they hold.
fn names(stage: &Stage) -> Check {
    let anonymous = asked(stage, None, NAMED)?;
    ensure!(anonymous.status == 204, "nobody is told names, came {}", anonymous.status);
    let stranger = asked(stage, Some("bad-stranger"), NAMED)?;
    ensure!(stranger.status == 204, "a stranger is told names, came {}", stranger.status);
    let response = asked(stage, Some("birth-p256"), NAMED)?;
    let cache = response.header("Cache-Control").unwrap_or_default();
    ensure!(cache == "no-store", "names of one device may be kept by others: {cache:?}");
    let der = transfer_decoded(&response.body)?;
    let mut requests = Vec::new();
    for element in Value::parse(&der)?.children()? {
        if element.tag == der::SEQUENCE && element.child(0)?.whole == dotted(EXTENSION_REQUEST) {
            requests.push(element);
        }
    }
    let [request] = requests[..] else {
        return Err(Problem::failed(format!("{} extensionRequests", requests.len())));
    };
    let values = request.child(1)?.children()?;
    ensure!(values.len() == 1, "{} values", values.len());
    let extensions = values[0].children()?;
    let mut seen = Vec::new();
    for extension in extensions {
        let fields = extension.children()?;
        ensure!(!seen.contains(&fields[0].whole), "an extension twice");
        seen.push(fields[0].whole);
        ensure!(fields.last().is_some_and(|last| last.tag == der::OCTET_STRING), "an extension without a value");
    }
    let text = String::from_utf8_lossy(&der).into_owned();
    ensure!(text.contains("SN-P256.devices.acme.example"), "the device's own name is missing");
    ensure!(!text.contains("SN-OTHER"), "another device's name");
    Ok(())
}

/// EST-4.5.2-11 to -15: beside the list, one template of version 0; the RSA key by a key of that size; the subject's RDNs, with
/// values where they are the same for all; extensions without values under the template's identifier, never both.
fn template(stage: &Stage) -> Check {
    let der = attrs(stage, None, BOTH)?;
    let elements = Value::parse(&der)?.children()?;
    let is = |element: &Value<'_>, identifier: &str| {
        element.tag == der::SEQUENCE && element.child(0).is_ok_and(|child| child.whole == dotted(identifier))
    };
    ensure!(elements.iter().any(|element| is(element, RSA_ENCRYPTION)), "the list is missing");
    let templates: Vec<_> = elements.iter().filter(|element| is(element, TEMPLATE)).collect();
    let [attribute] = templates[..] else { return Err(Problem::failed(format!("{} templates", templates.len()))) };
    let values = attribute.child(1)?.children()?;
    ensure!(values.len() == 1, "{} values", values.len());
    let [version, subject, key, attributes] = values[0].children()?[..] else {
        return Err(Problem::failed("expected version, subject, key and attributes"));
    };
    ensure!(version.whole == [2, 1, 0], "version {:02x?}", version.whole);
    let rdns = subject.children()?;
    let fields = |index: usize| rdns.get(index).map_or(Ok(0), |rdn| Ok(rdn.child(0)?.children()?.len()));
    let fields: [Result<usize, Problem>; 2] = [fields(0), fields(1)];
    let [common_name, organization] = fields;
    ensure!((common_name?, organization?) == (1, 2), "the client fills in CN, O is given");
    ensure!(key.tag == 0xa0, "key of tag {:02x}", key.tag);
    let bits = key.child(1)?;
    let inner = Value::parse(&bits.content[1..])?;
    let modulus = inner.child(0)?.content;
    ensure!(modulus.len() == 385 && modulus[1] & 0x80 != 0, "a modulus of {} octets for 3072 bits", modulus.len());
    ensure!(attributes.tag == 0xa1, "attributes of tag {:02x}", attributes.tag);
    let asked = attributes.children()?;
    ensure!(asked.len() == 1 && is(&asked[0], EXTENSION_TEMPLATE), "expected extensionReqTemplate alone");
    let extension = asked[0].child(1)?.child(0)?.child(0)?;
    ensure!(extension.children()?.len() == 1, "the client fills in the subjectAltName");

    let tailored = attrs(stage, Some("birth-p256"), BOTH)?;
    let has = |identifier: &str| tailored.windows(dotted(identifier).len()).any(|window| window == dotted(identifier));
    ensure!(has(EXTENSION_REQUEST) && !has(EXTENSION_TEMPLATE), "values that are known stand in extensionRequest");
    Ok(())
}

/// libest's enrollment ends at a 204.
fn libest(stage: &Stage) -> Check {
    let der = attrs(stage, None, "shape-libest")?;
    let elements = Value::parse(&der)?.children()?;
    ensure!(!elements.is_empty(), "an empty list, upon which libest asks for ever");
    ensure!(elements.iter().all(|element| element.tag == OBJECT_IDENTIFIER), "more than signature algorithms");
    ensure!(der.len() <= 1024, "{} octets, libest takes 1,024", der.len());
    Ok(())
}

/// EST-4.5.2-16: what was asked for and is not there is refused, and told.
fn not_followed(stage: &Stage) -> Check {
    let path = format!("{LINKED}/simpleenroll");
    let client = stage.device("birth-p256")?;
    let unlinked = stage.request_of(KeyKind::P384, &own_subject("SN-P256"), &[])?;
    let response = client.post(&path, &unlinked.der)?;
    refused(&response, 403, &["identity_linking"])?;
    let told = "linking of identity and proof-of-possession is required";
    ensure!(response.text().contains(told), "{}", response.text());
    let other_key = stage.request_of(KeyKind::P256, &own_subject("SN-P256"), &[])?;
    refused(&client.post(&path, &other_key.der)?, 400, &["key_not_allowed"])
}
