//! Birth certificates as an input composes them, and what may come of each.

use chrono::{DateTime, TimeDelta, Utc};
use estd::ca::{Signer, SoftwareSigner, ceremony};
use estd::pki::public_key::KeyType;
use estd_asn1::certificate::encode_certificate;
use estd_asn1::{BasicConstraints, Certificate, Extension, Oid, TbsCertificate, Validity, extension, oid};

use super::input::{Attribute, AttributeKind, Composed, SerialNumber, StringForm};
use super::names::{common_name, key_usage, name, purposes};
use super::oracle::{Credential, Kind};
use super::stage::{DEVICES, within};
use super::world;

/// A manufacturer whose key is at hand, so that its certificates can say anything.
pub struct Maker {
    signer: SoftwareSigner,
    pub certificate: Certificate,
}

impl Maker {
    pub fn new(start: DateTime<Utc>) -> Self {
        let (signer, _) = SoftwareSigner::generate(KeyType::P256).expect("a key");
        let validity = Validity { not_before: start - TimeDelta::hours(1), not_after: start + TimeDelta::days(3650) };
        let name = common_name("Composing Maker");
        let certificate = ceremony::self_signed_ca(&signer, &name, validity, None, &world::serial());
        Self { signer, certificate: certificate.expect("a certificate") }
    }

    /// A birth certificate for `key` as the manufacturer may have made it, and what may come of it.
    pub fn compose(&self, composed: &Composed, key: &dyn Signer) -> Credential {
        let start: DateTime<Utc> = world::START.parse().expect("a moment");
        let day = |days: Option<i8>, years: i64| {
            start + days.map_or(TimeDelta::days(365 * years), |days| TimeDelta::days(days.into()))
        };
        let validity = Validity { not_before: day(composed.from, -20), not_after: day(composed.to, 20) };
        let attributes = [serial_number(&composed.serial_number), composed.subject.clone()].concat();
        let subject = name(&attributes);
        let algorithm = self.signer.algorithm().identifier();
        let tbs = TbsCertificate {
            serial: &[0x01],
            signature: algorithm,
            issuer: self.certificate.subject(),
            validity,
            subject: &subject,
            spki_der: key.public_key().der(),
            extensions: &composed_extensions(composed),
        };
        let tbs = tbs.encode();
        let signature = self.signer.sign(&tbs).expect("a signature");
        let mut serial_numbers = attributes.iter().filter(|attribute| attribute.kind == AttributeKind::SerialNumber);
        let device = serial_numbers.next().filter(|_| serial_numbers.next().is_none());
        let is_device = is_device_certificate(composed) && device.is_some() && !composed.by_namesake;
        Credential {
            der: encode_certificate(&tbs, algorithm, &signature),
            issuer_spki: self.certificate.public_key().der().to_vec(),
            tenant: is_device.then_some("acme"),
            device: device.map(|device| device.as_text()).unwrap_or_default(),
            validity: within(validity, &self.certificate),
            needs: None,
            kind: Kind::Birth,
        }
    }
}

fn serial_number(serial_number: &SerialNumber) -> Vec<Attribute> {
    let attribute = |form, text| vec![Attribute { kind: AttributeKind::SerialNumber, form, text }];
    match serial_number {
        SerialNumber::Plain { number, lower_case } => {
            let letter = if *lower_case { 'c' } else { 'C' };
            attribute(StringForm::Printable, format!("{letter}-{number}"))
        }
        SerialNumber::Of(index) => {
            attribute(StringForm::Printable, DEVICES[usize::from(*index) % DEVICES.len()].to_owned())
        }
        SerialNumber::Text { form, text } => attribute(*form, text.clone()),
        SerialNumber::Absent => Vec::new(),
    }
}

/// What [`is_device_certificate`] judges.
fn composed_extensions(composed: &Composed) -> Vec<Extension> {
    let extension = |oid: Oid, value: Vec<u8>| Extension { oid, critical: true, value };
    let mut extensions = Vec::new();
    if let Some(ca) = composed.ca {
        extensions.push(extension(oid::BASIC_CONSTRAINTS, BasicConstraints { ca, path_len: None }.encode()));
    }
    extensions.extend(composed.key_usage.map(|bits| extension(oid::KEY_USAGE, key_usage(bits))));
    if let Some(asked) = &composed.ext_key_usage {
        extensions.push(extension(oid::EXT_KEY_USAGE, extension::encode_ext_key_usage(&purposes(asked))));
    }
    if composed.unknown_critical {
        extensions.push(extension(oid::KP_CLIENT_AUTH, vec![0x05, 0x00]));
    }
    extensions
}

/// RFC 5280 section 4.2.1, RFC 8446 section 4.4.2: not a CA's, and fit for a TLS client.
fn is_device_certificate(composed: &Composed) -> bool {
    let usage = composed.key_usage.is_none_or(|bits| bits & 0b0_0110_0001 == 0b0_0000_0001);
    let purpose = composed.ext_key_usage.as_ref().is_none_or(|asked| purposes(asked).contains(&oid::KP_CLIENT_AUTH));
    composed.ca != Some(true) && usage && purpose && !composed.unknown_critical
}
