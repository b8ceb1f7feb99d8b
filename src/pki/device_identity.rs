//! The id of a device, read from the birth certificate that its manufacturer gave it.

use std::fmt;
use std::str::FromStr;

use estd_asn1::general_name::HardwareModuleName;
use estd_asn1::{Certificate, DecodeError, GeneralName, Oid, oid};

use super::digest::{hex, sha256};
use super::name_rules::{self, NameError};

/// Longest device id, in octets.
pub const MAX_DEVICE_ID_OCTETS: usize = 128;

/// Most names in the subjectAltName of a birth certificate.
pub const MAX_BIRTH_ALT_NAMES: usize = 64;

/// Where the device id stands in a birth certificate. Each source reads one value; whether two birth
/// certificates with the same one are one device is for the registry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum IdentitySource {
    /// The serialNumber attribute of the subject (IEEE 802.1AR section 8.6).
    SubjectSerialNumber,
    /// HardwareModuleName in the subjectAltName (IEEE 802.1AR section 8.10.4): `hwType` in dotted form, a colon,
    /// `hwSerialNum` in hexadecimal.
    HardwareModuleName,
    /// The one URI in the subjectAltName.
    SanUri,
    /// The commonName of the subject.
    CommonName,
    /// SHA-256 of subject and issuer, in hexadecimal: for birth certificates whose whole subject is the identity.
    SubjectAndIssuer,
    /// SHA-256 of the SubjectPublicKeyInfo, in hexadecimal.
    Spki,
}

impl IdentitySource {
    /// Every source.
    pub const ALL: [Self; 6] = [
        Self::SubjectSerialNumber,
        Self::HardwareModuleName,
        Self::SanUri,
        Self::CommonName,
        Self::SubjectAndIssuer,
        Self::Spki,
    ];

    /// The name used in configuration.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::SubjectSerialNumber => "subject-serial-number",
            Self::HardwareModuleName => "hardware-module-name",
            Self::SanUri => "san-uri",
            Self::CommonName => "common-name",
            Self::SubjectAndIssuer => "subject-and-issuer",
            Self::Spki => "spki",
        }
    }

    /// Reads the device id. Exactly one value must stand at the source.
    ///
    /// # Errors
    /// When there is none, more than one, or one that is not fit to be an id.
    pub fn device_id(&self, birth: &Certificate) -> Result<DeviceId, IdentityError> {
        match self {
            Self::SubjectSerialNumber => DeviceId::parse(subject_text(birth, &oid::AT_SERIAL_NUMBER, *self)?),
            Self::CommonName => DeviceId::parse(subject_text(birth, &oid::AT_COMMON_NAME, *self)?),
            Self::HardwareModuleName => {
                let module = hardware_module_name(birth)?;
                DeviceId::parse(format!("{}:{}", module.hw_type, hex(&module.hw_serial_num)))
            }
            Self::SanUri => {
                let uri = |name| if let GeneralName::Uri(uri) = name { Some(uri) } else { None };
                let uri = self.only(alt_names(birth)?.into_iter().filter_map(uri))?;
                name_rules::general_name(&GeneralName::Uri(uri.clone()))?;
                DeviceId::parse(uri)
            }
            // Each is one DER value, which says where it ends.
            Self::SubjectAndIssuer if birth.subject().is_empty() => Err(IdentityError::Missing { place: *self }),
            Self::SubjectAndIssuer => DeviceId::parse(hex(&sha256(&[birth.subject().der(), birth.issuer().der()]))),
            Self::Spki => DeviceId::parse(hex(&sha256(&[birth.public_key().der()]))),
        }
    }

    fn only<T>(self, values: impl IntoIterator<Item = T>) -> Result<T, IdentityError> {
        let mut values = values.into_iter();
        let value = values.next().ok_or(IdentityError::Missing { place: self })?;
        match values.next() {
            None => Ok(value),
            Some(_) => Err(IdentityError::Ambiguous { place: self }),
        }
    }
}

impl fmt::Display for IdentitySource {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

/// The text names no source of device ids.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "an identity source is one of subject-serial-number, hardware-module-name, san-uri, common-name, \
     subject-and-issuer, spki"
)]
pub struct UnknownIdentitySource;

impl FromStr for IdentitySource {
    type Err = UnknownIdentitySource;

    fn from_str(text: &str) -> Result<Self, UnknownIdentitySource> {
        Self::ALL.into_iter().find(|source| source.as_str() == text).ok_or(UnknownIdentitySource)
    }
}

/// The id of a device: 1 to 128 octets, no character that deceives a reader.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DeviceId(String);

/// Why a birth certificate gives no device id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IdentityError {
    /// Nothing stands there.
    #[error("the certificate has no {place}, where this label looks for the device id")]
    Missing {
        /// Where the label looks.
        place: IdentitySource,
    },
    /// Two values, and no telling which is the device.
    #[error("the certificate has more than one {place}, where this label looks for the device id")]
    Ambiguous {
        /// Where the label looks.
        place: IdentitySource,
    },
    /// Not text.
    #[error("the certificate's {place} is not text")]
    NotText {
        /// Where the label looks.
        place: IdentitySource,
    },
    /// The subjectAltName or a name in it does not decode.
    #[error("the certificate's subjectAltName does not decode: {0}")]
    Malformed(#[from] DecodeError),
    /// The value is no fit id.
    #[error("the device id in the certificate is refused: {0}")]
    Unfit(#[from] NameError),
}

impl DeviceId {
    /// Takes a text as device id.
    ///
    /// # Errors
    /// When it is empty, too long, or has a character that names must not have.
    pub fn parse(text: impl Into<String>) -> Result<Self, IdentityError> {
        let text = text.into();
        name_rules::identifier("a device id", &text, MAX_DEVICE_ID_OCTETS)?;
        Ok(Self(text))
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for DeviceId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

fn subject_text(birth: &Certificate, attribute: &Oid, source: IdentitySource) -> Result<String, IdentityError> {
    let values = birth.subject().rdns().iter().flatten().filter(|candidate| candidate.oid == *attribute);
    source.only(values)?.text().ok_or(IdentityError::NotText { place: source })
}

fn alt_names(birth: &Certificate) -> Result<Vec<GeneralName>, IdentityError> {
    Ok(birth.subject_alt_names(MAX_BIRTH_ALT_NAMES)?)
}

/// The one HardwareModuleName in a certificate's subjectAltName.
pub(super) fn hardware_module_name(birth: &Certificate) -> Result<HardwareModuleName, IdentityError> {
    let value = |name| match name {
        GeneralName::OtherName { type_id, value } => (type_id == oid::HARDWARE_MODULE_NAME).then_some(value),
        GeneralName::Rfc822Name(_)
        | GeneralName::DnsName(_)
        | GeneralName::X400Address(_)
        | GeneralName::DirectoryName(_)
        | GeneralName::EdiPartyName(_)
        | GeneralName::Uri(_)
        | GeneralName::IpAddress(_)
        | GeneralName::RegisteredId(_) => None,
    };
    let place = IdentitySource::HardwareModuleName;
    let module = HardwareModuleName::decode(&place.only(alt_names(birth)?.into_iter().filter_map(value))?)?;
    // An empty serial number names every module of the type.
    if module.hw_serial_num.is_empty() { Err(IdentityError::Missing { place }) } else { Ok(module) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pki::public_key::KeyType;
    use crate::pki::testing::{Draft, TestKey, common_name, subject_alt_name};
    use estd_asn1::{AttributeTypeAndValue, Name};
    use std::sync::LazyLock;

    static KEY: LazyLock<TestKey> = LazyLock::new(|| TestKey::generate(KeyType::P256));

    fn birth(attributes: &[(Oid, &str)], names: &[GeneralName]) -> Certificate {
        let rdn = |(oid, text): &(Oid, &str)| vec![AttributeTypeAndValue::from_text(oid.clone(), text).unwrap()];
        let mut draft = Draft::birth(Name::from_rdns(&attributes.iter().map(rdn).collect::<Vec<_>>()), &KEY);
        draft.issuer = common_name("Birth CA");
        if !names.is_empty() {
            draft.extensions.push(subject_alt_name(true, names));
        }
        draft.sign(&KEY)
    }

    fn module(hw_type: &str, serial: &[u8]) -> GeneralName {
        HardwareModuleName { hw_type: Oid::parse(hw_type).unwrap(), hw_serial_num: serial.to_vec() }.to_general_name()
    }

    #[test]
    fn each_source_reads_its_place() {
        let names = [module("1.3.6.1.4.1.99999.7", &[0xca, 0xfe]), GeneralName::Uri("urn:dev:sn:1".into())];
        let birth = birth(&[(oid::AT_COMMON_NAME, "Widget"), (oid::AT_SERIAL_NUMBER, "SN-0001")], &names);
        let id = |source: IdentitySource| source.device_id(&birth).unwrap().to_string();
        assert_eq!(id(IdentitySource::SubjectSerialNumber), "SN-0001");
        assert_eq!(id(IdentitySource::CommonName), "Widget");
        assert_eq!(id(IdentitySource::SanUri), "urn:dev:sn:1");
        assert_eq!(id(IdentitySource::HardwareModuleName), "1.3.6.1.4.1.99999.7:cafe");
        assert_eq!(id(IdentitySource::Spki), hex(&sha256(&[KEY.spki.der()])));
        let whole = sha256(&[birth.subject().der(), birth.issuer().der()]);
        assert_eq!(id(IdentitySource::SubjectAndIssuer), hex(&whole));
        for source in IdentitySource::ALL {
            assert_eq!(source.as_str().parse(), Ok(source));
        }
    }

    #[test]
    fn exactly_one_value_must_stand_there() {
        let none = birth(&[], &[]);
        let twice = birth(
            &[
                (oid::AT_COMMON_NAME, "a"),
                (oid::AT_COMMON_NAME, "a"),
                (oid::AT_SERIAL_NUMBER, "1"),
                (oid::AT_SERIAL_NUMBER, "2"),
            ],
            &[
                module("1.2.3", &[1]),
                module("1.2.3", &[2]),
                GeneralName::Uri("urn:a:1".into()),
                GeneralName::Uri("urn:a:2".into()),
            ],
        );
        let sources = [
            IdentitySource::SubjectSerialNumber,
            IdentitySource::CommonName,
            IdentitySource::SanUri,
            IdentitySource::HardwareModuleName,
        ];
        for place in sources {
            assert_eq!(place.device_id(&none), Err(IdentityError::Missing { place }));
            assert_eq!(place.device_id(&twice), Err(IdentityError::Ambiguous { place }));
        }
        let place = IdentitySource::SubjectAndIssuer;
        assert_eq!(place.device_id(&none), Err(IdentityError::Missing { place }));
    }

    #[test]
    fn what_is_no_fit_id_is_refused() {
        let source = IdentitySource::CommonName;
        for text in ["a\nb", "a\u{202e}b", &"a".repeat(129), " ", " a", "a ", "a  b", "e\u{301}"] {
            let birth = birth(&[(oid::AT_COMMON_NAME, text)], &[]);
            assert!(matches!(source.device_id(&birth), Err(IdentityError::Unfit(_))), "{text:?}");
        }
        let longest = "a".repeat(128);
        let birth_of_longest = birth(&[(oid::AT_COMMON_NAME, &longest)], &[]);
        assert_eq!(source.device_id(&birth_of_longest).unwrap().as_str(), longest);
        let anonymous = birth(&[], &[module("1.2.3", &[])]);
        let place = IdentitySource::HardwareModuleName;
        assert_eq!(place.device_id(&anonymous), Err(IdentityError::Missing { place }));
    }
}
