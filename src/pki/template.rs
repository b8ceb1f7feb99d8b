//! Templates that make the names of an operational certificate from a birth certificate.

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
    /// The birth certificate.
    pub birth: &'a Certificate,
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

    /// Fills in the variables of a URI. A value is percent-encoded, so that it cannot add parts to the URI, unless the
    /// template is that variable alone: then it is a URI already.
    fn render_uri(&self, values: &TemplateValues<'_>) -> Result<String, TemplateError> {
        if self.0.len() == 1 {
            return self.render(values);
        }
        let encoded = |segment: &Segment| match segment {
            Segment::Literal(text) => Ok(text.clone()),
            Segment::Variable(variable) => variable.value(values).map(|value| percent_encode(&value)),
        };
        self.0.iter().map(encoded).collect()
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
        let mut found = values.birth.subject().rdns().iter().flatten().filter(|attribute| attribute.oid == kind.oid);
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

    /// The attribute for one device, in the string type RFC 5280 gives it.
    ///
    /// # Errors
    /// When the birth certificate lacks something, or the result is not fit for the attribute.
    pub fn render(&self, values: &TemplateValues<'_>) -> Result<AttributeTypeAndValue, TemplateError> {
        self.kind.value(&self.template.render(values)?)
    }
}

/// One entry of a subjectAltName to be: `dns:{device_id}.example`, `hardware-module-name`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SubjectAltNameTemplate {
    /// `dns:` and a template.
    Dns(Template),
    /// `uri:` and a template.
    Uri(Template),
    /// `email:` and a template.
    Email(Template),
    /// `ip:` and a template.
    Ip(Template),
    /// `hardware-module-name`: copied from the birth certificate (RFC 4108 section 5).
    HardwareModuleName,
}

impl SubjectAltNameTemplate {
    /// Parses `kind:template`. One without variables is judged at once.
    ///
    /// # Errors
    /// When the kind is unknown, the template is none, or its text is no name of that kind.
    pub fn parse(text: &str) -> Result<Self, TemplateError> {
        if text == "hardware-module-name" {
            return Ok(Self::HardwareModuleName);
        }
        let (kind, template) = text.split_once(':').ok_or(TemplateError::UnknownAltNameKind)?;
        let (kind, of_text): (fn(Template) -> Self, fn(String) -> Result<GeneralName, TemplateError>) = match kind {
            "dns" => (Self::Dns, dns),
            "uri" => (Self::Uri, uri),
            "email" => (Self::Email, email),
            "ip" => (Self::Ip, ip_address),
            _ => return Err(TemplateError::UnknownAltNameKind),
        };
        let template = Template::parse(template)?;
        if let Some(literal) = template.as_literal() {
            of_text(literal.to_owned())?;
        }
        Ok(kind(template))
    }

    /// The entry for one device.
    ///
    /// # Errors
    /// When the birth certificate lacks something, or the result is no name of that kind.
    pub fn render(&self, values: &TemplateValues<'_>) -> Result<GeneralName, TemplateError> {
        match self {
            Self::Dns(template) => dns(template.render(values)?),
            Self::Uri(template) => uri(template.render_uri(values)?),
            Self::Email(template) => email(template.render(values)?),
            Self::Ip(template) => ip_address(template.render(values)?),
            Self::HardwareModuleName => judged(device_identity::hardware_module_name(values.birth)?.to_general_name()),
        }
    }
}

fn dns(text: String) -> Result<GeneralName, TemplateError> {
    judged(GeneralName::DnsName(text))
}

fn uri(text: String) -> Result<GeneralName, TemplateError> {
    judged(GeneralName::Uri(text))
}

fn email(text: String) -> Result<GeneralName, TemplateError> {
    judged(GeneralName::Rfc822Name(text))
}

fn ip_address(text: String) -> Result<GeneralName, TemplateError> {
    let octets = match text.parse().map_err(|_| TemplateError::IpAddress)? {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets().to_vec(),
    };
    judged(GeneralName::IpAddress(octets))
}

fn judged(name: GeneralName) -> Result<GeneralName, TemplateError> {
    name_rules::general_name(&name)?;
    Ok(name)
}
