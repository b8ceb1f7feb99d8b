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

/// Where the device id stands in a birth certificate. Each source maps different identities to different ids.
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
        name_rules::text("a device id", &text, MAX_DEVICE_ID_OCTETS)?;
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
