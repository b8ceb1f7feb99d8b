//! What a label wants in a request (RFC 7030 section 4.5, RFC 8951 section 4, RFC 9908), made from its profile.

mod template;

use super::RegistrationAuthority;
use super::label::LabelContext;
use super::peer_session::PeerSession;
use crate::credential::HttpScheme;
use crate::est::{CsrAttrsForm, EstResponse, ResponseBody, WireRules};
use crate::pki::profile::EnrollmentProfile;
use crate::pki::public_key::{KeyPolicy, KeyType};
use crate::pki::signature::SignatureAlgorithm;
use crate::policy::{self, AuthenticationRule, IdentityLinking};
use estd_asn1::csr_attrs::{self, AttrOrOid};
use estd_asn1::{Attribute, Extension, GeneralName, Name, Oid, extension, general_name, oid};

/// The names that a device would be certified with.
type Names = (Name, Vec<GeneralName>);

/// What wishes are made of.
struct Wishes<'a> {
    profile: &'a EnrollmentProfile,
    linking: IdentityLinking,
    /// Whether a one-time code is the only way in.
    code_wanted: bool,
    wire: WireRules,
    /// Of the peer, when it may enroll.
    names: Option<&'a Names>,
}

impl RegistrationAuthority {
    /// What `label` wants in a request: the same for everybody, and for a peer that may enroll, its names too.
    ///
    /// Nobody is refused: RFC 7030 section 4.5 wants no authentication here, and a bad certificate is told of when it
    /// matters.
    pub fn csr_attrs(&self, label: &LabelContext, session: &PeerSession) -> EstResponse {
        let names = self.names_of(label, session);
        let wishes = Wishes {
            profile: &label.rules.profile,
            linking: label.rules.identity_linking,
            code_wanted: wants_code(label),
            wire: label.wire,
            names: names.as_ref(),
        };
        let attrs = wishes.attrs();
        // RFC 7030 §4.5.2 takes an empty list for the same as none, but libest asks again for ever when it gets one.
        let attrs = (!attrs.is_empty()).then(|| csr_attrs::encode(&attrs));
        EstResponse { body: ResponseBody::CsrAttrs { attrs, tailored: names.is_some() } }
    }

    /// The names that the peer would be certified with, when it may enroll here now.
    fn names_of(&self, label: &LabelContext, session: &PeerSession) -> Option<Names> {
        if !label.authentication.rule.takes_certificates() {
            return None;
        }
        let peer = self.authenticate(label, session, self.ports.clock.now()).ok()?;
        let device = self.device_on_record(label, &peer).ok()?;
        // An RA asks for others, each with names of its own.
        if label.rules.is_ra_client(&peer, device.as_deref()) {
            return None;
        }
        policy::expected_names(&peer, &label.rules).ok()
    }
}

/// Whether every request at a label comes with a one-time code.
fn wants_code(label: &LabelContext) -> bool {
    let required = match label.authentication.rule {
        AuthenticationRule::Http | AuthenticationRule::CertificateAndHttp => true,
        AuthenticationRule::Certificate | AuthenticationRule::CertificateOrHttp => false,
    };
    required && label.authentication.accepted.schemes == [HttpScheme::Code]
}

impl Wishes<'_> {
    fn attrs(&self) -> Vec<AttrOrOid> {
        match self.wire.csr_attrs {
            CsrAttrsForm::List => self.list(),
            // RFC 9908 §3.4 has no attributes without values, so that what is filled in by the client stands beside it.
            CsrAttrsForm::Template => {
                self.attributes_to_fill_in().into_iter().map(AttrOrOid::Oid).chain(self.template()).collect()
            }
            // RFC 9908 §4: "Clients which understand both MUST use the template only".
            CsrAttrsForm::Both => self.list().into_iter().chain(self.template()).collect(),
        }
    }

    /// RFC 9908 section 3.2: bare identifiers and attributes, in the order of its examples.
    fn list(&self) -> Vec<AttrOrOid> {
        let keys = &self.profile.keys;
        let mut attrs: Vec<_> = self.attributes_to_fill_in().into_iter().map(AttrOrOid::Oid).collect();
        // RFC 8951 §4: what is required of the key and of the hash is stated; a choice among several is no requirement.
        let required = self.required_key();
        attrs.extend(required.and_then(|key_type| key_attribute(key_type, keys)).map(AttrOrOid::Attribute));
        attrs.extend(self.extension_request().map(AttrOrOid::Attribute));
        attrs.extend(required.map(signature_oid).map(AttrOrOid::Oid));
        if attrs.is_empty() && self.wire.shape.always_has_csr_attrs() {
            // What may be chosen from: it asks for nothing that a client could leave out.
            attrs.extend(keys.allowed.iter().copied().map(signature_oid).map(AttrOrOid::Oid));
        }
        attrs
    }

    /// The attributes whose values the client knows.
    fn attributes_to_fill_in(&self) -> Vec<Oid> {
        let mut attributes = Vec::new();
        if self.code_wanted {
            // RFC 7894 §4
            attributes.push(oid::OTP_CHALLENGE);
        }
        // RFC 7030 §3.5: a server that requires the linking says so here.
        if self.linking == IdentityLinking::Required {
            // RFC 7894 §4: both, for clients that know one of them. libest sends what it does not know with an empty value,
            // which links nothing.
            if self.wire.shape.knows_rfc_7894() {
                attributes.push(oid::EST_IDENTITY_LINKING);
            }
            attributes.push(oid::CHALLENGE_PASSWORD);
        }
        attributes
    }

    /// The one kind of key that is taken.
    fn required_key(&self) -> Option<KeyType> {
        let mut allowed = self.profile.keys.allowed.iter().copied();
        allowed.next().filter(|_| allowed.next().is_none())
    }

    /// RFC 9908 section 3.2: at most one extensionRequest, of one value, each extension with its value.
    fn extension_request(&self) -> Option<Attribute> {
        let (subject, alt_names) = self.names.filter(|(_, alt_names)| !alt_names.is_empty())?;
        let subject_alt_name = Extension {
            oid: oid::SUBJECT_ALT_NAME,
            // RFC 5280 §4.2.1.6: critical where the subject is empty.
            critical: subject.is_empty(),
            value: general_name::encode_general_names(alt_names),
        };
        let value = extension::encode_extensions(&[subject_alt_name]);
        Some(Attribute { oid: oid::EXTENSION_REQUEST, values: vec![value] })
    }
}

/// RFC 9908 section 3.2: the algorithm with the curve, or with the size of the modulus. Ed25519 has no parameters, and
/// its signature algorithm says it all.
fn key_attribute(key_type: KeyType, policy: &KeyPolicy) -> Option<Attribute> {
    let (algorithm, value) = match key_type {
        KeyType::P256 => (oid::EC_PUBLIC_KEY, oid::SECP256R1.encode()),
        KeyType::P384 => (oid::EC_PUBLIC_KEY, oid::SECP384R1.encode()),
        KeyType::P521 => (oid::EC_PUBLIC_KEY, oid::SECP521R1.encode()),
        KeyType::Rsa => (oid::RSA_ENCRYPTION, csr_attrs::encode_rsa_key_size(policy.rsa_min_bits)),
        KeyType::Ed25519 => return None,
    };
    Some(Attribute { oid: algorithm, values: vec![value] })
}

fn signature_oid(key_type: KeyType) -> Oid {
    let algorithm = match key_type {
        KeyType::P256 => SignatureAlgorithm::EcdsaSha256,
        KeyType::P384 => SignatureAlgorithm::EcdsaSha384,
        KeyType::P521 => SignatureAlgorithm::EcdsaSha512,
        KeyType::Rsa => SignatureAlgorithm::RsaPkcs1Sha256,
        KeyType::Ed25519 => SignatureAlgorithm::Ed25519,
    };
    algorithm.identifier().oid().clone()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::est::WireShape;
    use crate::ra::testing;

    /// In the shape of clients that know nothing of RFC 7894, as the examples of RFC 9908 are.
    fn bare(linking: IdentityLinking, keys: KeyPolicy) -> Vec<u8> {
        let profile = EnrollmentProfile { keys, ..testing::profile() };
        let wire = WireRules { shape: WireShape::Libest, ..WireRules::default() };
        csr_attrs::encode(&Wishes { profile: &profile, linking, code_wanted: false, wire, names: None }.attrs())
    }

    fn only(key_type: KeyType) -> KeyPolicy {
        KeyPolicy { allowed: [key_type].into(), ..KeyPolicy::default() }
    }

    #[test]
    fn a_profile_of_one_kind_of_key_gives_the_bytes_of_the_rfc() {
        let rsa = KeyPolicy { rsa_min_bits: 4096, ..only(KeyType::Rsa) };
        let vector = include_bytes!("../../asn1/tests/vectors/rfc9908-5.4-rsa4096.der");
        assert_eq!(bare(IdentityLinking::Required, rsa), vector);
        let vector = include_bytes!("../../asn1/tests/vectors/constructed/csrattrs-ec-p256-sha256-pop.der");
        assert_eq!(bare(IdentityLinking::Required, only(KeyType::P256)), vector);
        // RFC 9908 section 5.5 asks for a serialNumber besides.
        let attrs = csr_attrs::decode(include_bytes!("../../asn1/tests/vectors/rfc9908-5.5-p384.der"), 9).unwrap();
        let attrs: Vec<_> = attrs.into_iter().filter(|attr| *attr != AttrOrOid::Oid(oid::AT_SERIAL_NUMBER)).collect();
        assert_eq!(bare(IdentityLinking::Required, only(KeyType::P384)), csr_attrs::encode(&attrs));
    }

    #[test]
    fn a_choice_of_keys_is_no_requirement_and_yet_libest_is_told_something() {
        let list = |linking, keys: &KeyPolicy, code_wanted, shape| {
            let profile = EnrollmentProfile { keys: keys.clone(), ..testing::profile() };
            let wire = WireRules { shape, ..WireRules::default() };
            Wishes { profile: &profile, linking, code_wanted, wire, names: None }.attrs()
        };
        let any = KeyPolicy::default();
        let (optional, usual) = (IdentityLinking::IfPresent, WireShape::Rfc8951);
        assert_eq!(list(optional, &any, false, usual), []);
        let some: Vec<_> = any.allowed.iter().copied().map(signature_oid).map(AttrOrOid::Oid).collect();
        assert_eq!(list(optional, &any, false, WireShape::Libest), some);
        assert_eq!(list(optional, &only(KeyType::Ed25519), false, usual), [AttrOrOid::Oid(oid::ED25519)]);
        assert_eq!(list(optional, &any, true, usual), [AttrOrOid::Oid(oid::OTP_CHALLENGE)]);
        // RFC 7894 section 4.
        let linked = csr_attrs::encode(&list(IdentityLinking::Required, &any, false, usual));
        let vector = include_bytes!("../../asn1/tests/vectors/constructed/csrattrs-rfc7894-linking.der");
        assert_eq!(linked, vector);
    }

    #[test]
    fn a_device_is_told_its_own_names_and_nobody_elses() {
        let names = (Name::empty(), vec![GeneralName::Uri("urn:acme:SN-1".into())]);
        let profile = testing::profile();
        let wishes = Wishes {
            profile: &profile,
            linking: IdentityLinking::Off,
            code_wanted: false,
            wire: WireRules::default(),
            names: Some(&names),
        };
        let attrs = wishes.attrs();
        let [AttrOrOid::Attribute(asked)] = attrs.as_slice() else { panic!("{attrs:?}") };
        assert_eq!(asked.oid, oid::EXTENSION_REQUEST);
        let extensions = extension::decode_extensions(&asked.values[0], 1).unwrap();
        assert!(extensions[0].critical, "the subject is empty");
        assert_eq!(general_name::decode_general_names(&extensions[0].value, 1).unwrap(), names.1);
    }
}
