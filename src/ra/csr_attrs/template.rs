//! The same as a CertificationRequestInfoTemplate (RFC 9908 section 3.4).

use super::{Wishes, key_attribute};
use crate::pki::profile::RequestNames;
use crate::pki::public_key::{KeyPolicy, KeyType};
use crate::pki::template::SubjectAttributeTemplate;
use estd_asn1::csr_attrs::AttrOrOid;
use estd_asn1::csr_template::{
    self, CertificationRequestInfoTemplate, ExtensionTemplate, SingleAttributeTemplate, SubjectPublicKeyInfoTemplate,
};
use estd_asn1::{AlgorithmIdentifier, Attribute, Name, oid};

impl Wishes<'_> {
    /// `None` when nothing is wanted of anything that a template has.
    pub(super) fn template(&self) -> Option<AttrOrOid> {
        let template = CertificationRequestInfoTemplate {
            subject: self.subject(),
            public_key: self.required_key().map(|key_type| public_key(key_type, &self.profile.keys)),
            attributes: self.extensions().into_iter().collect(),
        };
        let is_empty = template == CertificationRequestInfoTemplate::default();
        (!is_empty).then(|| AttrOrOid::Attribute(template.to_attribute()))
    }

    /// RFC 9908 §3.4: "It MUST be present if the server places any requirements on the RDNs of the subject name; otherwise
    /// it MUST be absent." Names that are replaced, whatever they are, are under no requirement.
    fn subject(&self) -> Option<Vec<SingleAttributeTemplate>> {
        let rdns: Vec<_> = match (self.names, self.profile.request_names) {
            (Some((subject, _)), _) => given(subject),
            (None, RequestNames::Agree) => self.profile.subject.iter().map(to_fill_in).collect(),
            (None, RequestNames::Replace) => Vec::new(),
        };
        (!rdns.is_empty()).then_some(rdns)
    }

    /// RFC 9908 §3.4: id-ExtensionReq where each value is known, the template where one is not, and never both.
    fn extensions(&self) -> Option<Attribute> {
        let wanted = match (self.names, self.profile.request_names) {
            (Some(_), _) => return self.extension_request(),
            (None, RequestNames::Agree) => !self.profile.subject_alt_names.is_empty(),
            (None, RequestNames::Replace) => false,
        };
        let alt_names =
            ExtensionTemplate { oid: oid::SUBJECT_ALT_NAME, critical: self.profile.subject.is_empty(), value: None };
        wanted.then(|| csr_template::extension_req_template(&[alt_names]))
    }
}

/// RDNs with their values. What the profile makes has one attribute in each; more are told one by one.
fn given(subject: &Name) -> Vec<SingleAttributeTemplate> {
    let attributes = subject.rdns().iter().flatten().cloned();
    attributes.map(|attribute| SingleAttributeTemplate { oid: attribute.oid, value: Some(attribute.value) }).collect()
}

/// RFC 9908 §3.4: a value that is the same for every device is given, any other the client fills in.
fn to_fill_in(attribute: &SubjectAttributeTemplate) -> SingleAttributeTemplate {
    let value = attribute.constant().map(|constant| constant.value);
    SingleAttributeTemplate { oid: attribute.attribute_type().clone(), value }
}

/// RFC 9908 §3.4: a key only where an RSA modulus has a size.
fn public_key(key_type: KeyType, policy: &KeyPolicy) -> SubjectPublicKeyInfoTemplate {
    let algorithm = match key_type {
        KeyType::Rsa => AlgorithmIdentifier::new(oid::RSA_ENCRYPTION, Some(&[0x05, 0x00])),
        KeyType::Ed25519 => AlgorithmIdentifier::new(oid::ED25519, None),
        KeyType::P256 | KeyType::P384 | KeyType::P521 => {
            let curve = key_attribute(key_type, policy).and_then(|mut attribute| attribute.values.pop());
            AlgorithmIdentifier::new(oid::EC_PUBLIC_KEY, curve.as_deref())
        }
    };
    let placeholder = (key_type == KeyType::Rsa).then(|| csr_template::rsa_placeholder(policy.rsa_min_bits));
    SubjectPublicKeyInfoTemplate { algorithm, placeholder }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::est::{CsrAttrsForm, WireRules};
    use crate::pki::profile::EnrollmentProfile;
    use crate::pki::template::SubjectAltNameTemplate;
    use crate::policy::IdentityLinking;
    use crate::ra::csr_attrs::Names;
    use crate::ra::testing;
    use estd_asn1::{AttributeTypeAndValue, GeneralName, csr_attrs};

    fn profile(key_type: KeyType) -> EnrollmentProfile {
        EnrollmentProfile {
            keys: KeyPolicy { allowed: [key_type].into(), rsa_min_bits: 3072, ..KeyPolicy::default() },
            subject: ["CN={device_id}", "O=Acme"].map(|text| SubjectAttributeTemplate::parse(text).unwrap()).to_vec(),
            subject_alt_names: vec![SubjectAltNameTemplate::parse("uri:urn:acme:{device_id}").unwrap()],
            ..testing::profile()
        }
    }

    fn wishes<'a>(profile: &'a EnrollmentProfile, form: CsrAttrsForm, names: Option<&'a Names>) -> Wishes<'a> {
        let wire = WireRules { csr_attrs: form, ..WireRules::default() };
        Wishes { profile, linking: IdentityLinking::Off, code_wanted: false, wire, names }
    }

    fn common_name(value: Option<&str>) -> SingleAttributeTemplate {
        let value = value.map(|text| AttributeTypeAndValue::from_text(oid::AT_COMMON_NAME, text).unwrap().value);
        SingleAttributeTemplate { oid: oid::AT_COMMON_NAME, value }
    }

    #[test]
    fn strangers_are_told_what_to_fill_in_and_devices_their_own_names() {
        let profile = profile(KeyType::P256);
        let anonymous = wishes(&profile, CsrAttrsForm::Template, None);
        let subject = anonymous.subject().unwrap();
        assert_eq!(subject[0], common_name(None));
        let organization = AttributeTypeAndValue::from_text(oid::AT_ORGANIZATION_NAME, "Acme").unwrap();
        assert_eq!(subject[1].value, Some(organization.value.clone()), "the same for every device");
        assert_eq!(anonymous.extensions().unwrap().oid, oid::EXTENSION_REQ_TEMPLATE);

        let cn = AttributeTypeAndValue::from_text(oid::AT_COMMON_NAME, "SN-1").unwrap();
        let names = (Name::from_rdns(&[vec![cn], vec![organization]]), vec![GeneralName::Uri("urn:acme:SN-1".into())]);
        let tailored = wishes(&profile, CsrAttrsForm::Template, Some(&names));
        assert_eq!(tailored.subject().unwrap()[0], common_name(Some("SN-1")));
        assert_eq!(tailored.extensions().unwrap().oid, oid::EXTENSION_REQUEST, "every value is known");

        let replaced = EnrollmentProfile { request_names: RequestNames::Replace, ..profile.clone() };
        let nothing = wishes(&replaced, CsrAttrsForm::Template, None);
        assert_eq!((nothing.subject(), nothing.extensions()), (None, None));
    }

    #[test]
    fn a_key_is_told_by_its_algorithm_and_an_rsa_key_by_its_size() {
        for key_type in KeyType::ALL {
            let profile = profile(key_type);
            let wanted = public_key(key_type, &profile.keys);
            let placeholder = (key_type == KeyType::Rsa).then(|| csr_template::rsa_placeholder(3072));
            assert_eq!(wanted.placeholder, placeholder, "{key_type}");
            let key = crate::pki::testing::TestKey::generate(key_type);
            assert_eq!(wanted.algorithm, *key.spki.algorithm(), "as in the keys of devices");
        }
    }

    #[test]
    fn both_forms_are_the_list_with_the_template_behind_it() {
        let profile = profile(KeyType::P256);
        let attrs = wishes(&profile, CsrAttrsForm::Both, None).attrs();
        let list = wishes(&profile, CsrAttrsForm::List, None).attrs();
        let template = wishes(&profile, CsrAttrsForm::Template, None).attrs();
        assert_eq!(attrs, [list, template].concat());
        assert_eq!(csr_attrs::decode(&csr_attrs::encode(&attrs), 9).as_ref(), Ok(&attrs));
        let linked = Wishes { linking: IdentityLinking::Required, ..wishes(&profile, CsrAttrsForm::Template, None) };
        assert!(linked.attrs().contains(&AttrOrOid::Oid(oid::CHALLENGE_PASSWORD)), "RFC 7030 section 3.5");
    }
}
