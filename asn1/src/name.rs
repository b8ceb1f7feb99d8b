//! Distinguished names (RFC 5280 section 4.1.2.4), kept with their exact encoding.

use std::fmt::{self, Write as _};
use std::hash::{Hash, Hasher};

use rasn::types::{Any, SetOf};
use rasn_pkix as wire;

use crate::der::{self, tag};
use crate::{DecodeError, Oid, oid};

/// Most RDNs in a name.
pub const MAX_RDNS: usize = 64;

/// Most attributes in one RDN.
pub const MAX_RDN_ATTRIBUTES: usize = 16;

/// One attribute of an RDN; `value` is the whole TLV as received.
///
/// ```asn1
/// SingleAttribute{ATTRIBUTE:AttrSet} ::= SEQUENCE {
///     type      ATTRIBUTE.&id({AttrSet}),
///     value     ATTRIBUTE.&Type({AttrSet}{@type})
/// }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AttributeTypeAndValue {
    /// Attribute type.
    pub oid: Oid,
    /// TLV of the value.
    pub value: Vec<u8>,
}

impl AttributeTypeAndValue {
    /// Builds an attribute in the string type RFC 5280 asks for: PrintableString for country, serial number and
    /// dnQualifier, IA5String for domain components and e-mail addresses, UTF8String for all else.
    ///
    /// # Errors
    /// When the text is empty, or has characters that the string type does not have.
    pub fn from_text(oid: Oid, text: &str) -> Result<Self, DecodeError> {
        let (identifier, fits): (u8, fn(u8) -> bool) = match &oid {
            oid if PRINTABLE.contains(oid) => (tag::PRINTABLE_STRING, is_printable),
            oid if IA5.contains(oid) => (tag::IA5_STRING, |byte| byte.is_ascii()),
            _ => (tag::UTF8_STRING, |_| true),
        };
        if text.is_empty() || !text.bytes().all(fits) {
            return Err(DecodeError::Text { what: "attribute value" });
        }
        Ok(Self { oid, value: der::wrap(identifier, text.as_bytes()) })
    }

    /// The value as text, when it is one of ASN.1's character string types and its octets fit that type.
    pub fn text(&self) -> Option<String> {
        decode_text(&self.value)
    }
}

/// Attribute types whose syntax is PrintableString (RFC 5280 appendix A.1).
const PRINTABLE: &[Oid] = &[oid::AT_COUNTRY_NAME, oid::AT_SERIAL_NUMBER, oid::AT_DN_QUALIFIER];

/// Attribute types whose syntax is IA5String (RFC 5280 appendix A.1).
const IA5: &[Oid] = &[oid::AT_DOMAIN_COMPONENT, oid::AT_EMAIL_ADDRESS];

/// X.680 section 41.4.
fn is_printable(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b" '()+,-./:=?".contains(&byte)
}

/// The text of a character string TLV; T.61 is read as Latin-1, which is what is found in practice.
pub(crate) fn decode_text(tlv: &[u8]) -> Option<String> {
    let (identifier, content) = der::parts(tlv)?;
    match identifier {
        tag::UTF8_STRING => std::str::from_utf8(content).ok().map(str::to_owned),
        tag::PRINTABLE_STRING | tag::IA5_STRING | tag::NUMERIC_STRING | tag::VISIBLE_STRING => {
            content.is_ascii().then(|| content.iter().map(|&byte| char::from(byte)).collect())
        }
        tag::TELETEX_STRING => Some(content.iter().map(|&byte| char::from(byte)).collect()),
        tag::BMP_STRING => {
            let (units, rest) = content.as_chunks::<2>();
            let text = units.iter().map(|unit| char::from_u32(u32::from(u16::from_be_bytes(*unit)))).collect();
            if rest.is_empty() { text } else { None }
        }
        tag::UNIVERSAL_STRING => {
            let (units, rest) = content.as_chunks::<4>();
            let text = units.iter().map(|unit| char::from_u32(u32::from_be_bytes(*unit))).collect();
            if rest.is_empty() { text } else { None }
        }
        _ => None,
    }
}

/// A Name and the DER it came from; `==` compares the DER. Displayed as RFC 4514 says, safe for logs and terminals.
///
/// ```asn1
/// Name ::= CHOICE { -- only one possibility for now --
///     rdnSequence  RDNSequence }
///
/// RDNSequence ::= SEQUENCE OF RelativeDistinguishedName
///
/// RelativeDistinguishedName  ::=
///     SET SIZE (1 .. MAX) OF SingleAttribute { {SupportedAttributes} }
/// ```
#[derive(Debug, Clone)]
pub struct Name {
    der: Vec<u8>,
    rdns: Vec<Vec<AttributeTypeAndValue>>,
}

impl Name {
    /// Strictly decodes the TLV of a Name.
    ///
    /// # Errors
    /// When the bytes are not the DER of one Name, or hold more than [`MAX_RDNS`] RDNs or [`MAX_RDN_ATTRIBUTES`]
    /// attributes in one of them.
    pub fn decode(der: &[u8]) -> Result<Self, DecodeError> {
        der::check(der)?;
        Self::decode_checked(der)
    }

    pub(crate) fn decode_checked(der: &[u8]) -> Result<Self, DecodeError> {
        // The empty name is allowed in a request and in the subject of a certificate (RFC 5280 §4.1.2.6).
        let rdns = if der == EMPTY { Vec::new() } else { der::elements("RDNs in a Name", der, MAX_RDNS)? };
        let rdns = rdns.iter().map(decode_rdn).collect::<Result<_, _>>()?;
        Ok(Self { der: der.to_vec(), rdns })
    }

    /// Builds a name; each inner vector is one RDN, which is sorted as DER sorts a SET OF. Empty RDNs are left out.
    pub fn from_rdns(rdns: &[Vec<AttributeTypeAndValue>]) -> Self {
        let rdns: Vec<_> = rdns.iter().filter(|rdn| !rdn.is_empty()).map(|rdn| sorted(rdn)).collect();
        let encode_rdn =
            |rdn: &Vec<_>| der::wrap(tag::SET, &rdn.iter().flat_map(encode_attribute).collect::<Vec<u8>>());
        let der = der::wrap(tag::SEQUENCE, &rdns.iter().flat_map(encode_rdn).collect::<Vec<u8>>());
        Self { der, rdns }
    }

    /// The name without RDNs.
    pub fn empty() -> Self {
        Self { der: EMPTY.to_vec(), rdns: Vec::new() }
    }

    /// The exact DER.
    pub fn der(&self) -> &[u8] {
        &self.der
    }

    /// The RDNs in order, most significant first.
    pub fn rdns(&self) -> &[Vec<AttributeTypeAndValue>] {
        &self.rdns
    }

    /// Whether there are no RDNs.
    pub fn is_empty(&self) -> bool {
        self.rdns.is_empty()
    }

    /// First value of that attribute type as text.
    pub fn first_text(&self, oid: &Oid) -> Option<String> {
        self.rdns.iter().flatten().find(|attribute| attribute.oid == *oid)?.text()
    }

    /// Compares attribute by attribute, as RFC 5280 section 7.1 says: text without regard to case, string type, leading,
    /// trailing and repeated white space; any other value octet by octet.
    ///
    /// Case is folded by Unicode's lower case mapping, without normalisation, so two names may differ here that X.520
    /// holds equal, never the reverse.
    pub fn matches(&self, other: &Self) -> bool {
        self.der == other.der
            || (self.rdns.len() == other.rdns.len()
                && self.rdns.iter().zip(&other.rdns).all(|(left, right)| rdns_match(left, right)))
    }
}

/// The DER of the empty RDNSequence.
const EMPTY: &[u8] = &[tag::SEQUENCE, 0];

impl PartialEq for Name {
    fn eq(&self, other: &Self) -> bool {
        self.der == other.der
    }
}

impl Eq for Name {}

impl Hash for Name {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.der.hash(state);
    }
}

fn decode_rdn(rdn: &Any) -> Result<Vec<AttributeTypeAndValue>, DecodeError> {
    let attributes: SetOf<wire::AttributeTypeAndValue> =
        der::decode_checked("RelativeDistinguishedName", rdn.as_bytes())?;
    match attributes.len() {
        0 => Err(DecodeError::Malformed { what: "RelativeDistinguishedName" }),
        1..=MAX_RDN_ATTRIBUTES => Ok(attributes.into_vec().into_iter().map(from_wire).collect()),
        _ => Err(DecodeError::TooMany { what: "attributes in an RDN", limit: MAX_RDN_ATTRIBUTES }),
    }
}

fn from_wire(attribute: wire::AttributeTypeAndValue) -> AttributeTypeAndValue {
    AttributeTypeAndValue { oid: Oid::from_wire(&attribute.r#type), value: attribute.value.into_bytes() }
}

/// X.690 section 11.6: the elements of a SET OF ascend by their encoding.
fn sorted(rdn: &[AttributeTypeAndValue]) -> Vec<AttributeTypeAndValue> {
    let mut rdn = rdn.to_vec();
    rdn.sort_by_cached_key(encode_attribute);
    rdn
}

fn encode_attribute(attribute: &AttributeTypeAndValue) -> Vec<u8> {
    der::wrap(tag::SEQUENCE, &[attribute.oid.encode(), attribute.value.clone()].concat())
}

/// Every attribute of the one RDN has its own match in the other; RDNs hold [`MAX_RDN_ATTRIBUTES`] at most.
fn rdns_match(left: &[AttributeTypeAndValue], right: &[AttributeTypeAndValue]) -> bool {
    let mut unmatched: Vec<_> =
        right.iter().map(|attribute| (&attribute.oid, ComparableValue::of(attribute))).collect();
    left.len() == right.len()
        && left.iter().all(|attribute| {
            let value = (&attribute.oid, ComparableValue::of(attribute));
            let position = unmatched.iter().position(|candidate| *candidate == value);
            position.map(|index| unmatched.swap_remove(index)).is_some()
        })
}

/// What RFC 5280 section 7.1 compares of an attribute value.
#[derive(PartialEq)]
enum ComparableValue<'a> {
    Text(String),
    Octets(&'a [u8]),
}

impl<'a> ComparableValue<'a> {
    fn of(attribute: &'a AttributeTypeAndValue) -> Self {
        attribute.text().map_or(Self::Octets(&attribute.value), |text| {
            Self::Text(text.split_whitespace().collect::<Vec<_>>().join(" ").to_lowercase())
        })
    }
}

impl fmt::Display for Name {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        // RFC 4514 §2.1: starting with the last element of the sequence and moving backwards.
        for (index, rdn) in self.rdns.iter().rev().enumerate() {
            for (position, attribute) in rdn.iter().enumerate() {
                formatter.write_str(match (index, position) {
                    (0, 0) => "",
                    (_, 0) => ",",
                    _ => "+",
                })?;
                fmt_attribute(attribute, formatter)?;
            }
        }
        Ok(())
    }
}

/// RFC 4514 sections 2.3 and 2.4: by short name and string where both exist, else by number and hexadecimal TLV.
fn fmt_attribute(attribute: &AttributeTypeAndValue, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
    let descriptor = DESCRIPTORS.iter().find(|(oid, _)| *oid == attribute.oid).map(|(_, descriptor)| descriptor);
    match descriptor {
        Some(descriptor) => write!(formatter, "{descriptor}=")?,
        None => write!(formatter, "{}=", attribute.oid)?,
    }
    match attribute.text() {
        Some(text) if descriptor.is_some() => fmt_escaped(&text, formatter),
        _ => {
            formatter.write_char('#')?;
            attribute.value.iter().try_for_each(|byte| write!(formatter, "{byte:02x}"))
        }
    }
}

/// Short names of attribute types registered for LDAP (RFC 4514 section 3, RFC 4519).
const DESCRIPTORS: &[(Oid, &str)] = &[
    (oid::AT_COMMON_NAME, "CN"),
    (oid::AT_SERIAL_NUMBER, "serialNumber"),
    (oid::AT_ORGANIZATION_NAME, "O"),
    (oid::AT_ORGANIZATIONAL_UNIT_NAME, "OU"),
    (oid::AT_COUNTRY_NAME, "C"),
    (oid::AT_LOCALITY_NAME, "L"),
    (oid::AT_STATE_OR_PROVINCE_NAME, "ST"),
    (oid::AT_STREET_ADDRESS, "STREET"),
    (oid::AT_DOMAIN_COMPONENT, "DC"),
    (oid::AT_USER_ID, "UID"),
    (oid::AT_EMAIL_ADDRESS, "emailAddress"),
    (oid::AT_SURNAME, "SN"),
    (oid::AT_TITLE, "title"),
    (oid::AT_GIVEN_NAME, "givenName"),
    (oid::AT_INITIALS, "initials"),
    (oid::AT_NAME, "name"),
    (oid::AT_GENERATION_QUALIFIER, "generationQualifier"),
    (oid::AT_DN_QUALIFIER, "dnQualifier"),
    (oid::AT_POSTAL_CODE, "postalCode"),
    (oid::AT_UNIQUE_IDENTIFIER, "x500UniqueIdentifier"),
    (oid::AT_PSEUDONYM, "pseudonym"),
    (oid::AT_ORGANIZATION_IDENTIFIER, "organizationIdentifier"),
];

/// Escapes what RFC 4514 section 2.4 demands, and every character that a log or terminal would not show as itself:
/// controls, line separators, bidirectional overrides, zero-width and unassigned characters.
fn fmt_escaped(text: &str, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
    let last = text.chars().count().saturating_sub(1);
    for (index, character) in text.chars().enumerate() {
        match character {
            '"' | '+' | ',' | ';' | '<' | '>' | '\\' => write!(formatter, "\\{character}")?,
            ' ' | '#' if index == 0 => write!(formatter, "\\{character}")?,
            ' ' if index == last => formatter.write_str("\\ ")?,
            graphic if is_graphic(graphic) => formatter.write_char(graphic)?,
            other => {
                let mut buffer = [0; 4];
                other.encode_utf8(&mut buffer).bytes().try_for_each(|byte| write!(formatter, "\\{byte:02X}"))?;
            }
        }
    }
    Ok(())
}

/// Whether the character shows as itself: what `Debug` of a string leaves unescaped.
fn is_graphic(character: char) -> bool {
    character == '\'' || character.escape_debug().nth(1).is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attribute(oid: Oid, text: &str) -> AttributeTypeAndValue {
        AttributeTypeAndValue::from_text(oid, text).unwrap()
    }

    fn common_name(text: &str) -> Name {
        Name::from_rdns(&[vec![attribute(oid::AT_COMMON_NAME, text)]])
    }

    #[test]
    fn built_names_decode_to_themselves() {
        let name = Name::from_rdns(&[
            vec![attribute(oid::AT_COUNTRY_NAME, "DE")],
            vec![attribute(oid::AT_SERIAL_NUMBER, "0815"), attribute(oid::AT_COMMON_NAME, "Gerät")],
        ]);
        let decoded = Name::decode(name.der()).unwrap();
        assert_eq!(decoded, name);
        assert_eq!(decoded.rdns(), name.rdns());
        assert_eq!(decoded.first_text(&oid::AT_SERIAL_NUMBER).as_deref(), Some("0815"));
        assert_eq!(Name::decode(&[0x30, 0x00]), Ok(Name::empty()));
    }

    #[test]
    fn an_unsorted_rdn_is_refused() {
        let cn = attribute(oid::AT_COMMON_NAME, "a");
        let serial = attribute(oid::AT_SERIAL_NUMBER, "a");
        let unsorted = [encode_attribute(&serial), encode_attribute(&cn)].concat();
        let der = der::wrap(tag::SEQUENCE, &der::wrap(tag::SET, &unsorted));
        assert_eq!(Name::decode(&der), Err(DecodeError::NotCanonical { what: "RelativeDistinguishedName" }));
    }

    #[test]
    fn counts_have_limits() {
        let rdn = vec![attribute(oid::AT_COMMON_NAME, "a")];
        assert!(Name::decode(Name::from_rdns(&vec![rdn.clone(); MAX_RDNS]).der()).is_ok());
        assert!(matches!(
            Name::decode(Name::from_rdns(&vec![rdn; MAX_RDNS + 1]).der()),
            Err(DecodeError::TooMany { limit: MAX_RDNS, .. })
        ));
        let wide = vec![attribute(oid::AT_COMMON_NAME, "a"); MAX_RDN_ATTRIBUTES + 1];
        assert!(matches!(
            Name::decode(Name::from_rdns(&[wide]).der()),
            Err(DecodeError::TooMany { limit: MAX_RDN_ATTRIBUTES, .. })
        ));
    }

    #[test]
    fn display_is_rfc_4514() {
        let name = Name::from_rdns(&[
            vec![attribute(oid::AT_DOMAIN_COMPONENT, "net")],
            vec![attribute(oid::AT_ORGANIZATIONAL_UNIT_NAME, "Sales"), attribute(oid::AT_COMMON_NAME, "J.  Smith")],
        ]);
        assert_eq!(name.to_string(), "OU=Sales+CN=J.  Smith,DC=net");
        assert_eq!(common_name(" #a,b+c\"d\\e<f>g;h ").to_string(), "CN=\\ #a\\,b\\+c\\\"d\\\\e\\<f\\>g\\;h\\ ");
        assert_eq!(common_name("#x").to_string(), "CN=\\#x");
        assert_eq!(common_name("Lučić").to_string(), "CN=Lučić");
        let unknown = Name::from_rdns(&[vec![attribute(Oid::parse("1.3.6.1.4.1.1466.0").unwrap(), "Hi")]]);
        assert_eq!(unknown.to_string(), "1.3.6.1.4.1.1466.0=#0c024869");
    }

    #[test]
    fn display_is_safe_for_logs() {
        let hostile = "a\r\nb\0c\u{1b}[2Jd\u{202e}e\u{2066}f\u{200b}g\u{2028}h\u{85}i\u{feff}";
        assert_eq!(
            common_name(hostile).to_string(),
            "CN=a\\0D\\0Ab\\00c\\1B[2Jd\\E2\\80\\AEe\\E2\\81\\A6f\\E2\\80\\8Bg\\E2\\80\\A8h\\C2\\85i\\EF\\BB\\BF"
        );
    }

    #[test]
    fn matching_ignores_case_space_and_string_type() {
        let utf8 = common_name("  Example   CA ");
        let printable =
            AttributeTypeAndValue { oid: oid::AT_COMMON_NAME, value: der::wrap(tag::PRINTABLE_STRING, b"example ca") };
        let printable = Name::from_rdns(&[vec![printable]]);
        assert!(utf8.matches(&printable));
        assert_ne!(utf8, printable);
        assert!(!utf8.matches(&common_name("exampleca")));
        assert!(!utf8.matches(&Name::empty()));
    }

    #[test]
    fn a_repeated_attribute_needs_as_many_matches() {
        let rdn =
            |values: [&str; 2]| Name::from_rdns(&[values.map(|text| attribute(oid::AT_COMMON_NAME, text)).to_vec()]);
        assert!(rdn(["a", "b"]).matches(&rdn(["B", "A"])));
        assert!(!rdn(["a", "a"]).matches(&rdn(["a", "b"])));
    }

    #[test]
    fn text_fits_its_type() {
        for (oid, text) in [(oid::AT_COUNTRY_NAME, "D_"), (oid::AT_EMAIL_ADDRESS, "ä@b"), (oid::AT_COMMON_NAME, "")] {
            assert!(AttributeTypeAndValue::from_text(oid, text).is_err(), "{text}");
        }
        for (value, text) in [
            (vec![tag::BMP_STRING, 2, 0x01, 0x07], Some("ć")),
            (vec![tag::BMP_STRING, 2, 0xd8, 0x00], None),
            (vec![tag::BMP_STRING, 1, 0x61], None),
            (vec![tag::UNIVERSAL_STRING, 4, 0, 1, 0xf6, 0], Some("😀")),
            (vec![tag::TELETEX_STRING, 1, 0xe4], Some("ä")),
            (vec![tag::PRINTABLE_STRING, 1, 0xe4], None),
            (vec![tag::INTEGER, 1, 1], None),
        ] {
            assert_eq!(decode_text(&value).as_deref(), text);
        }
    }
}
