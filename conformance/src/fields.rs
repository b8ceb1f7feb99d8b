//! Every certificate that was issued, field by field (RFC 5280 section 4).

use std::collections::{BTreeMap, BTreeSet};

use crate::certificate::Certificate;
use crate::command::{openssl, read, text};
use crate::der::{self, Value};
use crate::matrix::{Check, Matrix, Problem, ensure};
use crate::pki::Pki;
use crate::stage::Harvested;

const AUTHORITY_KEY_IDENTIFIER: &str = "2.5.29.35";
const SUBJECT_KEY_IDENTIFIER: &str = "2.5.29.14";
const KEY_USAGE: &str = "2.5.29.15";
const BASIC_CONSTRAINTS: &str = "2.5.29.19";
const EXTENDED_KEY_USAGE: &str = "2.5.29.37";
const SUBJECT_ALT_NAME: &str = "2.5.29.17";
const UTC_TIME: u8 = 0x17;

/// One case for each rule.
pub(crate) fn run(pki: &Pki, harvest: &[Harvested], matrix: &mut Matrix) {
    type Rule = fn(&Certificate, &Certificate) -> Check;
    let rules: [(&str, Rule); 11] = [
        ("version", version),
        ("serial", serial),
        ("algorithm", algorithm),
        ("issuer", issuer),
        ("dates", dates),
        ("subject", subject),
        ("authority-key-identifier", authority_key_identifier),
        ("subject-key-identifier", subject_key_identifier),
        ("usage", usage),
        ("extended-key-usage", extended_key_usage),
        ("extensions", extensions),
    ];
    for (name, rule) in rules {
        matrix.case(format!("certificates/{name}"), || each(pki, harvest, rule));
    }
}

/// Holds every certificate, with the one of its CA, against a rule.
fn each(pki: &Pki, harvest: &[Harvested], rule: impl Fn(&Certificate, &Certificate) -> Check) -> Check {
    ensure!(!harvest.is_empty(), "nothing was issued");
    let mut authorities: BTreeMap<&str, Certificate> = BTreeMap::new();
    for one in harvest {
        if !authorities.contains_key(one.authority.as_str()) {
            let pem = read(&pki.identity(&one.authority).certificate)?;
            authorities.insert(&one.authority, Certificate::from_pem(&pem)?);
        }
        let certificate = Certificate::from_pem(&read(&one.certificate)?)?;
        rule(&certificate, &authorities[one.authority.as_str()]).map_err(|problem| match problem {
            Problem::Failed(message) => {
                Problem::failed(format!("{} ({}): {message}", one.name, text(&one.certificate)))
            }
            other @ Problem::NotRun(_) => other,
        })?;
    }
    Ok(())
}

// RFC 5280 §4.1.2.1: v3.
fn version(certificate: &Certificate, _: &Certificate) -> Check {
    ensure!(certificate.version == [0xa0, 3, 2, 1, 2], "version {:02x?}", certificate.version);
    Ok(())
}

// RFC 5280 §4.1.2.2: positive, at most 20 octets.
fn serial(certificate: &Certificate, _: &Certificate) -> Check {
    let serial = &certificate.serial;
    ensure!((8..=20).contains(&serial.len()) && serial[0] < 0x80, "serial {serial:02x?}");
    ensure!(serial[0] != 0 || serial[1] >= 0x80, "serial with a superfluous zero {serial:02x?}");
    Ok(())
}

// RFC 5280 §4.1.1.2, RFC 4055 §5, RFC 5758 §3.2, RFC 8410 §3.
fn algorithm(certificate: &Certificate, _: &Certificate) -> Check {
    let (inside, outside) = &certificate.algorithms;
    ensure!(inside == outside, "two algorithms: {inside:02x?} and {outside:02x?}");
    let parts = Value::parse(inside)?.children()?;
    let is_rsa = parts[0].whole.starts_with(&der::oid("1.2.840.113549.1.1.11")[..9]);
    let expected: &[u8] = if is_rsa { &[5, 0] } else { &[] };
    ensure!(parts.get(1).map_or(&[][..], |value| value.whole) == expected, "parameters of {inside:02x?}");
    Ok(())
}

// RFC 5280 §4.1.2.4.
fn issuer(certificate: &Certificate, authority: &Certificate) -> Check {
    ensure!(certificate.issuer == authority.subject, "the issuer is not the CA's subject, octet by octet");
    Ok(())
}

// RFC 5280 §4.1.2.5: UTCTime until 2049; seconds, Zulu, no fraction.
fn dates(certificate: &Certificate, authority: &Certificate) -> Check {
    let year = |(tag, text): &(u8, String)| if *tag == UTC_TIME { format!("20{text}") } else { text.clone() };
    for moment in &certificate.validity {
        let (tag, text) = moment;
        let length = if *tag == UTC_TIME { 13 } else { 15 };
        let digits = text.bytes().take(length - 1).all(|octet| octet.is_ascii_digit());
        ensure!(text.len() == length && digits && text.ends_with('Z'), "date {text}");
        ensure!((*tag == UTC_TIME) == (*year(moment) < *"2050"), "date {text} has tag {tag:#x}");
    }
    let [start, end] = &certificate.validity;
    ensure!(year(start) < year(end), "from {} to {}", start.1, end.1);
    ensure!(year(end) <= year(&authority.validity[1]), "ends {}, after its CA", end.1);
    ensure!(year(start) >= year(&authority.validity[0]), "begins {}, before its CA", start.1);
    Ok(())
}

// RFC 5280 §4.1.2.6: PrintableString or UTF8String (countryName and serialNumber printable, e-mail IA5); an empty
// subject needs a critical subjectAltName, and only then is it critical.
fn subject(certificate: &Certificate, _: &Certificate) -> Check {
    let subject = Value::parse(&certificate.subject)?;
    for rdn in subject.children()? {
        let tag = rdn.child(0)?.child(1)?.tag;
        ensure!(matches!(tag, der::UTF8_STRING | 0x13 | 0x16), "a subject attribute of string type {tag:#x}");
    }
    if let Some(names) = certificate.extension(SUBJECT_ALT_NAME) {
        ensure!(names.critical.unwrap_or(false) == subject.content.is_empty(), "the subjectAltName's criticality");
        ensure!(!Value::parse(&names.value)?.children()?.is_empty(), "an empty subjectAltName");
    } else {
        ensure!(!subject.content.is_empty(), "no name at all");
    }
    Ok(())
}

// RFC 5280 §4.2.1.1.
fn authority_key_identifier(certificate: &Certificate, authority: &Certificate) -> Check {
    let missing = |what: &str| Problem::failed(format!("no {what}"));
    let theirs =
        authority.extension(SUBJECT_KEY_IDENTIFIER).ok_or_else(|| missing("subjectKeyIdentifier in the CA"))?;
    let ours = certificate.extension(AUTHORITY_KEY_IDENTIFIER).ok_or_else(|| missing("authorityKeyIdentifier"))?;
    ensure!(ours.critical.is_none(), "a critical authorityKeyIdentifier");
    let expected = der::value(0x80, Value::parse(&theirs.value)?.content);
    ensure!(Value::parse(&ours.value)?.content == expected, "it is not the CA's subjectKeyIdentifier alone");
    Ok(())
}

// RFC 5280 §4.2.1.2 method 1, or RFC 7093 §2 method 1.
fn subject_key_identifier(certificate: &Certificate, _: &Certificate) -> Check {
    let ours =
        certificate.extension(SUBJECT_KEY_IDENTIFIER).ok_or_else(|| Problem::failed("no subjectKeyIdentifier"))?;
    ensure!(ours.critical.is_none(), "a critical subjectKeyIdentifier");
    let bits = &Value::parse(&certificate.spki)?.child(1)?.content[1..];
    let said = Value::parse(&ours.value)?.content;
    for digest in ["-sha1", "-sha256"] {
        let digest = openssl(["dgst", digest, "-binary"], bits)?;
        if digest.get(..20) == Some(said) {
            return Ok(());
        }
    }
    Err(Problem::failed(format!("it is made by no method of the standards: {said:02x?}")))
}

// RFC 5280 §4.2.1.3, §4.2.1.9.
fn usage(certificate: &Certificate, _: &Certificate) -> Check {
    let usage = certificate.extension(KEY_USAGE).ok_or_else(|| Problem::failed("no keyUsage"))?;
    ensure!(usage.critical == Some(true), "keyUsage is not critical");
    let bits = Value::parse(&usage.value)?.content;
    ensure!(bits.len() >= 2 && bits[1] & 0x06 == 0, "keyCertSign or cRLSign in an end entity: {bits:02x?}");
    let bears_encipherment = bits[1] & 0x20 != 0;
    let is_rsa = certificate.spki.windows(11).any(|window| window == der::oid("1.2.840.113549.1.1.1"));
    // RFC 5480 §3, RFC 8410 §5: no keyEncipherment for these keys.
    ensure!(!bears_encipherment || is_rsa, "keyEncipherment for a key that cannot encipher");
    if let Some(constraints) = certificate.extension(BASIC_CONSTRAINTS) {
        ensure!(Value::parse(&constraints.value)?.content.is_empty(), "basicConstraints is not an empty SEQUENCE");
    }
    Ok(())
}

// RFC 5280 §4.2.1.12: by the profile; what the labels of these tests say is clientAuth, or nothing at all.
fn extended_key_usage(certificate: &Certificate, _: &Certificate) -> Check {
    let Some(usage) = certificate.extension(EXTENDED_KEY_USAGE) else { return Ok(()) };
    let client_auth = der::oid("1.3.6.1.5.5.7.3.2");
    let purposes = Value::parse(&usage.value)?.children()?;
    ensure!(purposes.iter().any(|purpose| purpose.whole == client_auth), "no clientAuth");
    let any = der::oid("2.5.29.37.0");
    ensure!(purposes.iter().all(|purpose| purpose.whole != any), "anyExtendedKeyUsage");
    Ok(())
}

// RFC 5280 §4.2: none twice; X.690 §11.5: DEFAULT values left out.
fn extensions(certificate: &Certificate, _: &Certificate) -> Check {
    let mut seen = BTreeSet::new();
    for extension in &certificate.extensions {
        ensure!(seen.insert(&extension.oid), "an extension stands there twice: {:02x?}", extension.oid);
        ensure!(extension.critical != Some(false), "critical FALSE is written out: {:02x?}", extension.oid);
    }
    Ok(())
}
