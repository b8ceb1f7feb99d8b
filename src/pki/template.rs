//! Templates that make the names of an operational certificate from a device id and a birth certificate.

use std::net::IpAddr;

use estd_asn1::{AttributeTypeAndValue, Certificate, GeneralName, Oid, oid};

use super::device_identity::{self, IdentityError};
use super::name_rules::{self, NameError};

/// Text with variables in braces: `{device_id}`, or an attribute of the birth certificate's subject, `{subject.CN}`.
/// `{{` and `}}` stand for the braces themselves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template(Vec<Segment>);

/// What the variables of a template stand for.
#[derive(Debug, Clone, Copy)]
pub struct TemplateValues<'a> {
    /// The device id.
    pub device_id: &'a str,
    /// The birth certificate; `None` for a device that is known by another credential.
    pub birth: Option<&'a Certificate>,
}

/// Why a template is none, or does not fit a device.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TemplateError {
    /// A brace without its counterpart.
    #[error("a single brace: a variable is written {{device_id}}, a brace itself {{{{ or }}}}")]
    Brace,
    /// No variable of this name.
    #[error("unknown variable {name:?}: expected device_id or subject.ATTRIBUTE, for instance subject.CN")]
    UnknownVariable {
        /// What stands in the braces.
        name: String,
    },
    /// No `=` in the template of a subject attribute, or an attribute nobody knows before it.
    #[error("a subject attribute is written ATTRIBUTE=template with one of {}", attribute_names())]
    UnknownAttribute,
    /// The template of an alternative name without a kind, or of a kind nobody knows.
    #[error("an alternative name is written dns:, uri:, email: or ip: and a template, or hardware-module-name")]
    UnknownAltNameKind,
    /// Nothing to render.
    #[error("the template is empty")]
    Empty,
    /// There is no birth certificate.
    #[error("the names of this profile are made of the birth certificate's {what}, the device has shown none")]
    NoBirthCertificate {
        /// What the template asks for.
        what: &'static str,
    },
    /// The birth certificate lacks what a variable stands for.
    #[error("the birth certificate's subject has no {attribute}, which the names of this profile are made of")]
    Missing {
        /// Name of the attribute.
        attribute: &'static str,
    },
    /// The birth certificate has it more than once.
    #[error(
        "the birth certificate's subject has more than one {attribute}, which the names of this profile are made of"
    )]
    Ambiguous {
        /// Name of the attribute.
        attribute: &'static str,
    },
    /// The birth certificate's HardwareModuleName cannot be copied.
    #[error(transparent)]
    HardwareModuleName(#[from] IdentityError),
    /// An attribute longer than RFC 5280 appendix A.1 allows.
    #[error("{attribute} has {min} to {max} characters, {actual} came out of the template")]
    UpperBound {
        /// Name of the attribute.
        attribute: &'static str,
        /// Fewest characters.
        min: usize,
        /// Most characters.
        max: usize,
        /// Characters of this one.
        actual: usize,
    },
    /// An attribute with characters its string type does not have.
    #[error("{attribute} has characters that its type (PrintableString or IA5String) does not have")]
    StringType {
        /// Name of the attribute.
        attribute: &'static str,
    },
    /// What came out is no address.
    #[error("an ip: template must give an IPv4 or IPv6 address")]
    IpAddress,
    /// A value with a dot within a host name: it would be of another domain.
    #[error("a dns: template takes values without dots, unless it is one value alone")]
    DnsLabel,
    /// What came out is no name.
    #[error(transparent)]
    Name(#[from] NameError),
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Segment {
    Literal(String),
    Variable(Variable),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Variable {
    DeviceId,
    Subject(&'static AttributeKind),
}

impl Template {
    /// Parses a template.
    ///
    /// # Errors
    /// When a brace stands alone or a variable is unknown.
    pub fn parse(text: &str) -> Result<Self, TemplateError> {
        let mut segments = Vec::new();
        let mut literal = String::new();
        let mut rest = text;
        while let Some(position) = rest.find(['{', '}']) {
            let (before, brace_on) = rest.split_at(position);
            literal.push_str(before);
            if let Some(after) = brace_on.strip_prefix("{{") {
                literal.push('{');
                rest = after;
            } else if let Some(after) = brace_on.strip_prefix("}}") {
                literal.push('}');
                rest = after;
            } else {
                let inside = brace_on.strip_prefix('{').ok_or(TemplateError::Brace)?;
                let (name, after) = inside.split_once('}').ok_or(TemplateError::Brace)?;
                if !literal.is_empty() {
                    segments.push(Segment::Literal(std::mem::take(&mut literal)));
                }
                segments.push(Segment::Variable(Variable::parse(name)?));
                rest = after;
            }
        }
        literal.push_str(rest);
        if !literal.is_empty() {
            segments.push(Segment::Literal(literal));
        }
        if segments.is_empty() { Err(TemplateError::Empty) } else { Ok(Self(segments)) }
    }

    /// Fills in the variables.
    ///
    /// # Errors
    /// When the birth certificate lacks an attribute, or has it more than once.
    pub fn render(&self, values: &TemplateValues<'_>) -> Result<String, TemplateError> {
        self.0.iter().map(|segment| segment.render(values)).collect()
    }

    /// Fills in the variables, each value confined to its place by `confine`, unless the template is one variable alone:
    /// then its value is a whole name already.
    fn render_confined(
        &self,
        values: &TemplateValues<'_>,
        confine: impl Fn(String) -> Result<String, TemplateError>,
    ) -> Result<String, TemplateError> {
        if self.0.len() == 1 {
            return self.render(values);
        }
        let confined = |segment: &Segment| match segment {
            Segment::Literal(text) => Ok(text.clone()),
            Segment::Variable(variable) => variable.value(values).and_then(&confine),
        };
        self.0.iter().map(confined).collect()
    }

    /// The text, when there is no variable in it.
    fn as_literal(&self) -> Option<&str> {
        match &self.0[..] {
            [Segment::Literal(text)] => Some(text),
            _ => None,
        }
    }
}

impl Segment {
    fn render(&self, values: &TemplateValues<'_>) -> Result<String, TemplateError> {
        match self {
            Self::Literal(text) => Ok(text.clone()),
            Self::Variable(variable) => variable.value(values),
        }
    }
}

impl Variable {
    fn parse(name: &str) -> Result<Self, TemplateError> {
        let attribute = || AttributeKind::named(name.strip_prefix("subject.")?);
        match name {
            "device_id" => Ok(Self::DeviceId),
            _ => attribute().map(Self::Subject).ok_or_else(|| TemplateError::UnknownVariable { name: name.to_owned() }),
        }
    }

    fn value(self, values: &TemplateValues<'_>) -> Result<String, TemplateError> {
        let kind = match self {
            Self::DeviceId => return Ok(values.device_id.to_owned()),
            Self::Subject(kind) => kind,
        };
        let birth = values.birth.ok_or(TemplateError::NoBirthCertificate { what: kind.name })?;
        let mut found = birth.subject().rdns().iter().flatten().filter(|attribute| attribute.oid == kind.oid);
        let attribute = found.next().ok_or(TemplateError::Missing { attribute: kind.name })?;
        if found.next().is_some() {
            return Err(TemplateError::Ambiguous { attribute: kind.name });
        }
        attribute.text().ok_or_else(|| NameError::NotText { attribute: kind.oid.clone() }.into())
    }
}

/// RFC 3986 section 2.1: everything but unreserved characters.
fn percent_encode(text: &str) -> String {
    let encode = |octet: u8| match octet {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => char::from(octet).to_string(),
        _ => format!("%{octet:02X}"),
    };
    text.bytes().map(encode).collect()
}

/// A subject attribute that templates can name.
#[derive(Debug, PartialEq, Eq)]
struct AttributeKind {
    /// RFC 4514 section 3 or X.520.
    name: &'static str,
    oid: Oid,
    /// Fewest and most characters (RFC 5280 appendix A.1).
    min: usize,
    max: usize,
}

impl AttributeKind {
    const fn new(name: &'static str, oid: Oid, min: usize, max: usize) -> Self {
        Self { name, oid, min, max }
    }

    fn named(name: &str) -> Option<&'static Self> {
        ATTRIBUTES.iter().find(|kind| kind.name.eq_ignore_ascii_case(name))
    }

    fn value(&self, text: &str) -> Result<AttributeTypeAndValue, TemplateError> {
        let actual = text.chars().count();
        // RFC 5280 appendix A.1: ub-common-name and its like count characters.
        if !(self.min..=self.max).contains(&actual) {
            return Err(TemplateError::UpperBound { attribute: self.name, min: self.min, max: self.max, actual });
        }
        let attribute = AttributeTypeAndValue::from_text(self.oid.clone(), text)
            .map_err(|_| TemplateError::StringType { attribute: self.name })?;
        name_rules::attribute(&attribute)?;
        Ok(attribute)
    }
}

static ATTRIBUTES: [AttributeKind; 17] = [
    AttributeKind::new("CN", oid::AT_COMMON_NAME, 1, 64),
    AttributeKind::new("O", oid::AT_ORGANIZATION_NAME, 1, 64),
    AttributeKind::new("OU", oid::AT_ORGANIZATIONAL_UNIT_NAME, 1, 64),
    AttributeKind::new("C", oid::AT_COUNTRY_NAME, 2, 2),
    AttributeKind::new("ST", oid::AT_STATE_OR_PROVINCE_NAME, 1, 128),
    AttributeKind::new("L", oid::AT_LOCALITY_NAME, 1, 128),
    AttributeKind::new("STREET", oid::AT_STREET_ADDRESS, 1, 128),
    AttributeKind::new("postalCode", oid::AT_POSTAL_CODE, 1, 40),
    AttributeKind::new("DC", oid::AT_DOMAIN_COMPONENT, 1, 63),
    AttributeKind::new("UID", oid::AT_USER_ID, 1, 256),
    AttributeKind::new("serialNumber", oid::AT_SERIAL_NUMBER, 1, 64),
    AttributeKind::new("dnQualifier", oid::AT_DN_QUALIFIER, 1, 64),
    AttributeKind::new("title", oid::AT_TITLE, 1, 64),
    AttributeKind::new("GN", oid::AT_GIVEN_NAME, 1, 64),
    AttributeKind::new("SN", oid::AT_SURNAME, 1, 64),
    AttributeKind::new("pseudonym", oid::AT_PSEUDONYM, 1, 128),
    AttributeKind::new("organizationIdentifier", oid::AT_ORGANIZATION_IDENTIFIER, 1, 256),
];

fn attribute_names() -> String {
    ATTRIBUTES.iter().map(|kind| kind.name).collect::<Vec<_>>().join(", ")
}

/// One attribute of a subject to be: `CN={device_id}`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SubjectAttributeTemplate {
    kind: &'static AttributeKind,
    template: Template,
}

impl SubjectAttributeTemplate {
    /// Parses `ATTRIBUTE=template`. One without variables is judged at once.
    ///
    /// # Errors
    /// When the attribute is unknown, the template is none, or its text is not fit for the attribute.
    pub fn parse(text: &str) -> Result<Self, TemplateError> {
        let (name, template) = text.split_once('=').ok_or(TemplateError::UnknownAttribute)?;
        let kind = AttributeKind::named(name.trim()).ok_or(TemplateError::UnknownAttribute)?;
        let template = Template::parse(template)?;
        if let Some(literal) = template.as_literal() {
            kind.value(literal)?;
        }
        Ok(Self { kind, template })
    }

    /// The type of the attribute.
    pub fn attribute_type(&self) -> &Oid {
        &self.kind.oid
    }

    /// The attribute where it is the same for every device.
    pub fn constant(&self) -> Option<AttributeTypeAndValue> {
        self.kind.value(self.template.as_literal()?).ok()
    }

    /// The attribute for one device, in the string type RFC 5280 gives it.
    ///
    /// # Errors
    /// When the birth certificate lacks something, or the result is not fit for the attribute.
    pub fn render(&self, values: &TemplateValues<'_>) -> Result<AttributeTypeAndValue, TemplateError> {
        self.kind.value(&self.template.render(values)?)
    }
}

/// One entry of a subjectAltName to be: `dns:{device_id}.example`, or `uri:`, `email:`, `ip:`; or
/// `hardware-module-name`, which is copied from the birth certificate (RFC 4108 section 5).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SubjectAltNameTemplate(AltNameSource);

#[derive(Debug, Clone, PartialEq, Eq)]
enum AltNameSource {
    Text(AltNameKind, Template),
    HardwareModuleName,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum AltNameKind {
    Dns,
    Uri,
    Email,
    Ip,
}

impl SubjectAltNameTemplate {
    /// Parses `kind:template`. One without variables is judged at once.
    ///
    /// # Errors
    /// When the kind is unknown, the template is none, or its text is no name of that kind.
    pub fn parse(text: &str) -> Result<Self, TemplateError> {
        if text == "hardware-module-name" {
            return Ok(Self(AltNameSource::HardwareModuleName));
        }
        let (kind, template) = text.split_once(':').ok_or(TemplateError::UnknownAltNameKind)?;
        let kind = match kind {
            "dns" => AltNameKind::Dns,
            "uri" => AltNameKind::Uri,
            "email" => AltNameKind::Email,
            "ip" => AltNameKind::Ip,
            _ => return Err(TemplateError::UnknownAltNameKind),
        };
        let template = Template::parse(template)?;
        if let Some(literal) = template.as_literal() {
            kind.name(literal.to_owned())?;
        }
        Ok(Self(AltNameSource::Text(kind, template)))
    }

    /// The entry for one device.
    ///
    /// # Errors
    /// When the birth certificate lacks something, or the result is no name of that kind.
    pub fn render(&self, values: &TemplateValues<'_>) -> Result<GeneralName, TemplateError> {
        match &self.0 {
            // A value cannot add parts to a URI, nor labels to a host name.
            AltNameSource::Text(kind @ AltNameKind::Uri, template) => {
                kind.name(template.render_confined(values, |value| Ok(percent_encode(&value)))?)
            }
            AltNameSource::Text(kind @ AltNameKind::Dns, template) => {
                kind.name(template.render_confined(values, one_label)?)
            }
            AltNameSource::Text(kind, template) => kind.name(template.render(values)?),
            AltNameSource::HardwareModuleName => {
                let birth = values.birth.ok_or(TemplateError::NoBirthCertificate { what: "HardwareModuleName" })?;
                judged(device_identity::hardware_module_name(birth)?.to_general_name())
            }
        }
    }
}

impl AltNameKind {
    fn name(self, text: String) -> Result<GeneralName, TemplateError> {
        judged(match self {
            Self::Dns => GeneralName::DnsName(text),
            Self::Uri => GeneralName::Uri(text),
            Self::Email => GeneralName::Rfc822Name(text),
            Self::Ip => GeneralName::IpAddress(match text.parse().map_err(|_| TemplateError::IpAddress)? {
                IpAddr::V4(address) => address.octets().to_vec(),
                IpAddr::V6(address) => address.octets().to_vec(),
            }),
        })
    }
}

/// A value that stands within one label of a host name.
fn one_label(value: String) -> Result<String, TemplateError> {
    if value.contains('.') { Err(TemplateError::DnsLabel) } else { Ok(value) }
}

fn judged(name: GeneralName) -> Result<GeneralName, TemplateError> {
    name_rules::general_name(&name)?;
    Ok(name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pki::public_key::KeyType;
    use crate::pki::testing::{Draft, TestKey, common_name, subject_alt_name};
    use estd_asn1::Name;
    use estd_asn1::general_name::HardwareModuleName;
    use proptest::prelude::*;
    use std::sync::LazyLock;

    static KEY: LazyLock<TestKey> = LazyLock::new(|| TestKey::generate(KeyType::P256));

    fn birth(subject: &[(Oid, &str)], names: &[GeneralName]) -> Certificate {
        let rdn = |(oid, text): &(Oid, &str)| vec![AttributeTypeAndValue::from_text(oid.clone(), text).unwrap()];
        let mut draft = Draft::birth(Name::from_rdns(&subject.iter().map(rdn).collect::<Vec<_>>()), &KEY);
        draft.issuer = common_name("Birth CA");
        if !names.is_empty() {
            draft.extensions.push(subject_alt_name(true, names));
        }
        draft.sign(&KEY)
    }

    fn render(template: &str, device_id: &str, birth: &Certificate) -> Result<String, TemplateError> {
        Template::parse(template)?.render(&TemplateValues { device_id, birth: Some(birth) })
    }

    fn alt_name(template: &str, device_id: &str) -> Result<GeneralName, TemplateError> {
        let birth = birth(&[], &[]);
        SubjectAltNameTemplate::parse(template)?.render(&TemplateValues { device_id, birth: Some(&birth) })
    }

    #[test]
    fn variables_and_braces() {
        let birth = birth(&[(oid::AT_COMMON_NAME, "Widget"), (oid::AT_SERIAL_NUMBER, "7")], &[]);
        assert_eq!(render("{device_id}", "d", &birth).unwrap(), "d");
        assert_eq!(render("a-{subject.CN}/{subject.serialnumber}-{device_id}", "d", &birth).unwrap(), "a-Widget/7-d");
        assert_eq!(render("{{{device_id}}}{{}}", "d", &birth).unwrap(), "{d}{}");
        // A value is never taken for a template.
        assert_eq!(render("{device_id}", "{subject.CN}", &birth).unwrap(), "{subject.CN}");
        for bad in ["{", "}", "a{device_id", "{}}", "a}b"] {
            assert!(Template::parse(bad).is_err(), "{bad}");
        }
        assert_eq!(Template::parse(""), Err(TemplateError::Empty));
        for name in ["subject", "subject.", "subject.XX", "device", "subject.CN "] {
            let error = Template::parse(&format!("{{{name}}}")).unwrap_err();
            assert_eq!(error, TemplateError::UnknownVariable { name: name.to_owned() });
        }
        let expected = TemplateError::Missing { attribute: "O" };
        assert_eq!(render("{subject.O}", "d", &birth), Err(expected));
    }

    #[test]
    fn without_a_birth_certificate_only_the_device_id_is_known() {
        let values = TemplateValues { device_id: "d", birth: None };
        assert_eq!(Template::parse("x-{device_id}").unwrap().render(&values).unwrap(), "x-d");
        let missing = TemplateError::NoBirthCertificate { what: "CN" };
        assert_eq!(Template::parse("{subject.CN}").unwrap().render(&values), Err(missing));
        let module = SubjectAltNameTemplate::parse("hardware-module-name").unwrap();
        let missing = TemplateError::NoBirthCertificate { what: "HardwareModuleName" };
        assert_eq!(module.render(&values), Err(missing));
    }

    #[test]
    fn an_attribute_the_birth_certificate_has_twice_is_no_value() {
        let birth = birth(&[(oid::AT_COMMON_NAME, "a"), (oid::AT_COMMON_NAME, "b")], &[]);
        assert_eq!(render("{subject.CN}", "d", &birth), Err(TemplateError::Ambiguous { attribute: "CN" }));
    }

    #[test]
    fn attributes_keep_the_bounds_and_types_of_rfc_5280() {
        let birth = birth(&[], &[]);
        let with = |template: &str, device_id: &str| {
            SubjectAttributeTemplate::parse(template)?.render(&TemplateValues { device_id, birth: Some(&birth) })
        };
        assert_eq!(with("CN={device_id}", &"\u{fc}".repeat(64)).unwrap().text().unwrap(), "\u{fc}".repeat(64));
        let expected = TemplateError::UpperBound { attribute: "CN", min: 1, max: 64, actual: 65 };
        assert_eq!(with("CN={device_id}", &"a".repeat(65)), Err(expected));
        assert_eq!(
            with("serialNumber={device_id}", "a_b"),
            Err(TemplateError::StringType { attribute: "serialNumber" })
        );
        assert!(matches!(with("CN={device_id}", "a\nb"), Err(TemplateError::Name(NameError::Character { .. }))));
        // What has no variables is judged when it is read.
        assert!(matches!(SubjectAttributeTemplate::parse("C=DEU"), Err(TemplateError::UpperBound { .. })));
        assert!(SubjectAttributeTemplate::parse("C=DE").is_ok());
        for bad in ["CN", "=x", "XX=y"] {
            assert_eq!(SubjectAttributeTemplate::parse(bad), Err(TemplateError::UnknownAttribute), "{bad}");
        }
        assert_eq!(SubjectAttributeTemplate::parse("CN="), Err(TemplateError::Empty));
    }

    #[test]
    fn alternative_names_of_every_kind() {
        let dns = |name: &str| GeneralName::DnsName(name.into());
        assert_eq!(alt_name("dns:{device_id}.acme.example", "d1"), Ok(dns("d1.acme.example")));
        assert_eq!(alt_name("uri:urn:acme:{device_id}", "d 1/x"), Ok(GeneralName::Uri("urn:acme:d%201%2Fx".into())));
        assert_eq!(alt_name("uri:{device_id}", "urn:a:b"), Ok(GeneralName::Uri("urn:a:b".into())));
        assert_eq!(
            alt_name("email:{device_id}@acme.example", "d"),
            Ok(GeneralName::Rfc822Name("d@acme.example".into()))
        );
        assert_eq!(alt_name("ip:{device_id}", "192.0.2.1"), Ok(GeneralName::IpAddress(vec![192, 0, 2, 1])));
        assert_eq!(alt_name("ip:{device_id}", "d"), Err(TemplateError::IpAddress));
        for (template, device_id) in [
            ("dns:{device_id}.acme.example", "*"),
            ("dns:{device_id}", "a b"),
            ("email:{device_id}@acme.example", "a@b"),
        ] {
            assert!(matches!(alt_name(template, device_id), Err(TemplateError::Name(_))), "{template}");
        }
        assert_eq!(alt_name("dns:{device_id}.acme.example", "a.b"), Err(TemplateError::DnsLabel));
        assert_eq!(alt_name("dns:{device_id}", "a.b"), Ok(dns("a.b")));
        for bad in ["dns", "x400:{device_id}", "hwmodule"] {
            assert_eq!(SubjectAltNameTemplate::parse(bad), Err(TemplateError::UnknownAltNameKind), "{bad}");
        }
        assert!(SubjectAltNameTemplate::parse("dns:*.acme.example").is_err());
    }

    #[test]
    fn the_hardware_module_name_is_copied() {
        let module = HardwareModuleName { hw_type: Oid::parse("1.3.6.1.4.1.99999.7").unwrap(), hw_serial_num: vec![1] };
        let template = SubjectAltNameTemplate::parse("hardware-module-name").unwrap();
        let with = birth(&[], &[module.to_general_name()]);
        let rendered = template.render(&TemplateValues { device_id: "d", birth: Some(&with) });
        assert_eq!(rendered, Ok(module.to_general_name()));
        let without = birth(&[], &[]);
        let rendered = template.render(&TemplateValues { device_id: "d", birth: Some(&without) });
        assert!(matches!(rendered, Err(TemplateError::HardwareModuleName(IdentityError::Missing { .. }))));
    }

    proptest! {
        /// Whatever a manufacturer wrote, the URI keeps the shape of the template.
        #[test]
        fn a_value_adds_no_parts_to_a_uri(device_id in "\\PC{1,30}") {
            if let Ok(GeneralName::Uri(uri)) = alt_name("uri:https://acme.example/d/{device_id}/x", &device_id) {
                prop_assert_eq!(uri.matches('/').count(), 5);
                prop_assert!(!uri.contains(['?', '#', '@']));
            }
        }

        #[test]
        fn no_template_makes_it_panic(text in "[{}a-z.:=]{0,30}") {
            let _ = Template::parse(&text);
            let _ = SubjectAttributeTemplate::parse(&text);
            let _ = SubjectAltNameTemplate::parse(&text);
        }
    }
}
