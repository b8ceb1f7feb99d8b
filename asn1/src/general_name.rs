//! GeneralName and GeneralNames (RFC 5280 section 4.2.1.6).

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};

use rasn::prelude::*;

use crate::der::{self, tag};
use crate::{DecodeError, Name, Oid};

/// GeneralName. Text is IA5String content: ASCII, not judged further here.
///
/// ```asn1
/// GeneralName ::= CHOICE {
///      otherName                   [0]  INSTANCE OF OTHER-NAME,
///      rfc822Name                  [1]  IA5String,
///      dNSName                     [2]  IA5String,
///      x400Address                 [3]  ORAddress,
///      directoryName               [4]  Name,
///      ediPartyName                [5]  EDIPartyName,
///      uniformResourceIdentifier   [6]  IA5String,
///      iPAddress                   [7]  OCTET STRING,
///      registeredID                [8]  OBJECT IDENTIFIER
/// }
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum GeneralName {
    /// otherName; HardwareModuleName and Microsoft's user principal name live here.
    OtherName {
        /// type-id
        type_id: Oid,
        /// TLV of the value, inside the `[0] EXPLICIT`.
        value: Vec<u8>,
    },
    /// rfc822Name
    Rfc822Name(String),
    /// dNSName
    DnsName(String),
    /// x400Address, the whole TLV tagged `[3]`.
    X400Address(Vec<u8>),
    /// directoryName
    DirectoryName(Name),
    /// ediPartyName, the whole TLV tagged `[5]`.
    EdiPartyName(Vec<u8>),
    /// uniformResourceIdentifier
    Uri(String),
    /// iPAddress: 4 or 16 octets in a name (8 or 32 in name constraints); the length is not judged here.
    IpAddress(Vec<u8>),
    /// registeredID
    RegisteredId(Oid),
}

/// Strictly decodes the TLV of GeneralNames, at most `limit` of them.
///
/// ```asn1
/// GeneralNames ::= SEQUENCE SIZE (1..MAX) OF GeneralName
/// ```
///
/// # Errors
/// When the bytes are not the DER of GeneralNames, or hold more than `limit` names.
pub fn decode_general_names(der: &[u8], limit: usize) -> Result<Vec<GeneralName>, DecodeError> {
    der::check(der)?;
    der::elements("GeneralNames", der, limit)?.iter().map(|name| GeneralName::decode_checked(name.as_bytes())).collect()
}

/// Encodes GeneralNames.
pub fn encode_general_names(names: &[GeneralName]) -> Vec<u8> {
    der::wrap(tag::SEQUENCE, &names.iter().flat_map(GeneralName::encode).collect::<Vec<u8>>())
}

// Context-specific tags of the alternatives, with the constructed bit where the type has it.
const OTHER_NAME: u8 = 0xa0;
const RFC822_NAME: u8 = 0x81;
const DNS_NAME: u8 = 0x82;
const X400_ADDRESS: u8 = 0xa3;
const DIRECTORY_NAME: u8 = 0xa4;
const EDI_PARTY_NAME: u8 = 0xa5;
const URI: u8 = 0x86;
const IP_ADDRESS: u8 = 0x87;
const REGISTERED_ID: u8 = 0x88;

impl GeneralName {
    pub(crate) fn decode_checked(tlv: &[u8]) -> Result<Self, DecodeError> {
        let what = "GeneralName";
        let (identifier, content) = der::parts(tlv).ok_or(DecodeError::Malformed { what })?;
        match identifier {
            OTHER_NAME => {
                let OtherNameWire { type_id, value } = der::decode_checked(what, tlv)?;
                Ok(Self::OtherName { type_id: Oid::from_wire(&type_id), value: value.into_bytes() })
            }
            RFC822_NAME => ia5_text(content, "rfc822Name").map(Self::Rfc822Name),
            DNS_NAME => ia5_text(content, "dNSName").map(Self::DnsName),
            X400_ADDRESS => Ok(Self::X400Address(tlv.to_vec())),
            DIRECTORY_NAME => Name::decode_checked(content).map(Self::DirectoryName),
            EDI_PARTY_NAME => Ok(Self::EdiPartyName(tlv.to_vec())),
            URI => ia5_text(content, "uniformResourceIdentifier").map(Self::Uri),
            IP_ADDRESS => Ok(Self::IpAddress(content.to_vec())),
            // The implicit tag hid the type from the door, so it is looked at again under its own tag.
            REGISTERED_ID => Oid::decode(&der::wrap(tag::OBJECT_IDENTIFIER, content)).map(Self::RegisteredId),
            _ => Err(DecodeError::Malformed { what }),
        }
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        match self {
            Self::OtherName { type_id, value } => {
                der::encode(&OtherNameWire { type_id: type_id.to_wire(), value: Any::new(value.clone()) })
            }
            Self::Rfc822Name(text) => der::wrap(RFC822_NAME, text.as_bytes()),
            Self::DnsName(text) => der::wrap(DNS_NAME, text.as_bytes()),
            Self::DirectoryName(name) => der::wrap(DIRECTORY_NAME, name.der()),
            Self::X400Address(tlv) | Self::EdiPartyName(tlv) => tlv.clone(),
            Self::Uri(text) => der::wrap(URI, text.as_bytes()),
            Self::IpAddress(octets) => der::wrap(IP_ADDRESS, octets),
            Self::RegisteredId(oid) => {
                let mut tlv = oid.encode();
                tlv[0] = REGISTERED_ID;
                tlv
            }
        }
    }
}

impl GeneralName {
    /// Whether both name the same thing: host names without regard to case, directory names by RFC 5280 section 7.1,
    /// everything else to the octet (RFC 5280 sections 7.2 to 7.5, read strictly).
    pub fn matches(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::DnsName(left), Self::DnsName(right)) => left.eq_ignore_ascii_case(right),
            (Self::DirectoryName(left), Self::DirectoryName(right)) => left.matches(right),
            (left, right) => left == right,
        }
    }
}

impl fmt::Display for GeneralName {
    /// The kind and the value (`dns:host.example`), safe for a log or a terminal.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OtherName { type_id, value } => {
                write!(formatter, "otherName:{type_id}:")?;
                value.iter().try_for_each(|octet| write!(formatter, "{octet:02x}"))
            }
            Self::Rfc822Name(text) => write!(formatter, "email:{}", text.escape_default()),
            Self::DnsName(text) => write!(formatter, "dns:{}", text.escape_default()),
            Self::X400Address(_) => formatter.write_str("x400Address"),
            Self::DirectoryName(name) => write!(formatter, "directoryName:{name}"),
            Self::EdiPartyName(_) => formatter.write_str("ediPartyName"),
            Self::Uri(text) => write!(formatter, "uri:{}", text.escape_default()),
            Self::IpAddress(octets) => match octets.len() {
                4 => write!(formatter, "ip:{}", Ipv4Addr::from([octets[0], octets[1], octets[2], octets[3]])),
                16 => {
                    let mut address = [0; 16];
                    address.copy_from_slice(octets);
                    write!(formatter, "ip:{}", Ipv6Addr::from(address))
                }
                length => write!(formatter, "ip:({length} octets)"),
            },
            Self::RegisteredId(oid) => write!(formatter, "registeredID:{oid}"),
        }
    }
}

fn ia5_text(content: &[u8], what: &'static str) -> Result<String, DecodeError> {
    match std::str::from_utf8(content) {
        Ok(text) if text.is_ascii() => Ok(text.to_owned()),
        _ => Err(DecodeError::Text { what }),
    }
}

/// The `INSTANCE OF` of otherName, tagged `[0]`: rasn-pkix takes the value for an OCTET STRING, which it seldom is.
#[derive(AsnType, Decode, Encode)]
#[rasn(tag(context, 0))]
struct OtherNameWire {
    type_id: ObjectIdentifier,
    #[rasn(tag(explicit(0)))]
    value: Any,
}

/// The name of a hardware module, which IEEE 802.1AR puts into the subjectAltName of a birth certificate (RFC 4108
/// section 5).
///
/// ```asn1
/// HardwareModuleName ::= SEQUENCE {
///     hwType OBJECT IDENTIFIER,
///     hwSerialNum OCTET STRING }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HardwareModuleName {
    /// The type of the module, chosen by its manufacturer.
    pub hw_type: Oid,
    /// Its serial number, unique within the type.
    pub hw_serial_num: Vec<u8>,
}

impl HardwareModuleName {
    /// Strictly decodes the value of an otherName of type
    /// [`HARDWARE_MODULE_NAME`](crate::oid::HARDWARE_MODULE_NAME).
    ///
    /// # Errors
    /// When the bytes are not the DER of one HardwareModuleName.
    pub fn decode(der: &[u8]) -> Result<Self, DecodeError> {
        let wire: HardwareModuleNameWire = der::decode("HardwareModuleName", der)?;
        Ok(Self { hw_type: Oid::from_wire(&wire.hw_type), hw_serial_num: wire.hw_serial_num.to_vec() })
    }

    /// Encodes the value.
    pub fn encode(&self) -> Vec<u8> {
        let hw_serial_num = OctetString::from(self.hw_serial_num.clone());
        der::encode(&HardwareModuleNameWire { hw_type: self.hw_type.to_wire(), hw_serial_num })
    }

    /// The otherName that carries it.
    pub fn to_general_name(&self) -> GeneralName {
        GeneralName::OtherName { type_id: crate::oid::HARDWARE_MODULE_NAME, value: self.encode() }
    }
}

#[derive(AsnType, Decode, Encode)]
struct HardwareModuleNameWire {
    hw_type: ObjectIdentifier,
    hw_serial_num: OctetString,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{AttributeTypeAndValue, oid};

    #[test]
    fn every_alternative_round_trips() {
        let cn = AttributeTypeAndValue::from_text(oid::AT_COMMON_NAME, "a").unwrap();
        let module = HardwareModuleName { hw_type: Oid::parse("1.3.6.1.4.1.1.2").unwrap(), hw_serial_num: vec![1, 2] };
        let names = [
            module.to_general_name(),
            GeneralName::OtherName { type_id: oid::MS_USER_PRINCIPAL_NAME, value: der::wrap(tag::UTF8_STRING, b"a@b") },
            GeneralName::Rfc822Name("a@example.com".into()),
            GeneralName::DnsName("a.example".into()),
            GeneralName::X400Address(der::wrap(X400_ADDRESS, &[tag::SEQUENCE, 0])),
            GeneralName::DirectoryName(Name::from_rdns(&[vec![cn]])),
            GeneralName::EdiPartyName(der::wrap(EDI_PARTY_NAME, &[0xa1, 3, 0x0c, 1, b'x'])),
            GeneralName::Uri("urn:dev:1".into()),
            GeneralName::IpAddress(vec![192, 0, 2, 1]),
            GeneralName::RegisteredId(oid::DATA),
        ];
        let der = encode_general_names(&names);
        assert_eq!(decode_general_names(&der, names.len()).unwrap(), names);
        assert_eq!(encode_general_names(&names), der);
        assert!(matches!(decode_general_names(&der, names.len() - 1), Err(DecodeError::TooMany { limit: 9, .. })));
        let GeneralName::OtherName { value, .. } = &names[0] else { unreachable!() };
        assert_eq!(HardwareModuleName::decode(value), Ok(module));
    }

    #[test]
    fn what_is_no_general_name_is_refused() {
        for (name, error) in [
            (&[0x82, 1, 0xff][..], DecodeError::Text { what: "dNSName" }),
            (&[0xa2, 0], DecodeError::Malformed { what: "GeneralName" }),
            (&[0x80, 0], DecodeError::Malformed { what: "GeneralName" }),
            (&[0x89, 0], DecodeError::Malformed { what: "GeneralName" }),
            (&[0x04, 0], DecodeError::Malformed { what: "GeneralName" }),
            (&[0x88, 3, 0x55, 0x80, 0x01], DecodeError::ObjectIdentifier { offset: 0 }),
            (&[0xa4, 0], DecodeError::Malformed { what: "RDNs in a Name" }),
            (&[0xa4, 4, 0x30, 0, 0x30, 0], DecodeError::Malformed { what: "RDNs in a Name" }),
        ] {
            assert_eq!(decode_general_names(&der::wrap(tag::SEQUENCE, name), 9), Err(error), "{name:02x?}");
        }
        assert_eq!(decode_general_names(&[0x30, 0], 9), Err(DecodeError::Malformed { what: "GeneralNames" }));
    }
}
