//! What a label wants in a request (RFC 7030 section 4.5, RFC 8951 section 4, RFC 9908), made from its profile.

use super::RegistrationAuthority;
use super::label::LabelContext;
use super::peer_session::PeerSession;
use crate::est::{EstResponse, ResponseBody};
use crate::pki::profile::EnrollmentProfile;
use crate::pki::public_key::{KeyPolicy, KeyType};
use crate::pki::signature::SignatureAlgorithm;
use crate::policy::{self, IdentityLinking};
use estd_asn1::csr_attrs::{self, AttrOrOid};
use estd_asn1::{Attribute, Extension, GeneralName, Name, extension, general_name, oid};

impl RegistrationAuthority {
    /// What `label` wants in a request: the same for everybody, and for a peer that may enroll, its names too.
    ///
    /// Nobody is refused: RFC 7030 section 4.5 wants no authentication here, and a bad certificate is told of when it
    /// matters.
    pub fn csr_attrs(&self, label: &LabelContext, session: &PeerSession) -> EstResponse {
        let names = self.names_of(label, session);
        let attrs = wishes(&label.rules.profile, label.rules.identity_linking, names.as_ref());
        let tailored = names.is_some();
        // RFC 7030 §4.5.2 takes an empty list for the same as none, but libest asks again for ever when it gets one.
        let attrs = (!attrs.is_empty()).then(|| csr_attrs::encode(&attrs));
        EstResponse { body: ResponseBody::CsrAttrs { attrs, tailored } }
    }

    /// The names that the peer would be certified with, when it may enroll here now.
    fn names_of(&self, label: &LabelContext, session: &PeerSession) -> Option<(Name, Vec<GeneralName>)> {
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

/// RFC 9908 section 3.2: bare identifiers and attributes, in the order of its examples.
fn wishes(
    profile: &EnrollmentProfile,
    linking: IdentityLinking,
    names: Option<&(Name, Vec<GeneralName>)>,
) -> Vec<AttrOrOid> {
    let mut attrs = Vec::new();
    // RFC 7030 §3.5: a server that requires the linking says so here.
    if linking == IdentityLinking::Required {
        attrs.push(AttrOrOid::Oid(oid::CHALLENGE_PASSWORD));
    }
    // RFC 8951 §4: what is required of the key and of the hash is stated; a choice among several is no requirement.
    let mut allowed = profile.keys.allowed.iter().copied();
    let required = allowed.next().filter(|_| allowed.next().is_none());
    attrs.extend(required.and_then(|key_type| key_attribute(key_type, &profile.keys)));
    if let Some((subject, alt_names)) = names
        && !alt_names.is_empty()
    {
        attrs.push(extension_request(subject, alt_names));
    }
    attrs.extend(required.map(signature_oid));
    attrs
}

/// RFC 9908 section 3.2: the algorithm with the curve, or with the size of the modulus. Ed25519 has no parameters, and
/// its signature algorithm says it all.
fn key_attribute(key_type: KeyType, policy: &KeyPolicy) -> Option<AttrOrOid> {
    let (algorithm, value) = match key_type {
        KeyType::P256 => (oid::EC_PUBLIC_KEY, oid::SECP256R1.encode()),
        KeyType::P384 => (oid::EC_PUBLIC_KEY, oid::SECP384R1.encode()),
        KeyType::P521 => (oid::EC_PUBLIC_KEY, oid::SECP521R1.encode()),
        KeyType::Rsa => (oid::RSA_ENCRYPTION, csr_attrs::encode_rsa_key_size(policy.rsa_min_bits)),
        KeyType::Ed25519 => return None,
    };
    Some(AttrOrOid::Attribute(Attribute { oid: algorithm, values: vec![value] }))
}

fn signature_oid(key_type: KeyType) -> AttrOrOid {
    let algorithm = match key_type {
        KeyType::P256 => SignatureAlgorithm::EcdsaSha256,
        KeyType::P384 => SignatureAlgorithm::EcdsaSha384,
        KeyType::P521 => SignatureAlgorithm::EcdsaSha512,
        KeyType::Rsa => SignatureAlgorithm::RsaPkcs1Sha256,
        KeyType::Ed25519 => SignatureAlgorithm::Ed25519,
    };
    AttrOrOid::Oid(algorithm.identifier().oid().clone())
}

/// RFC 9908 section 3.2: at most one extensionRequest, of one value, each extension with its value.
fn extension_request(subject: &Name, alt_names: &[GeneralName]) -> AttrOrOid {
    let subject_alt_name = Extension {
        oid: oid::SUBJECT_ALT_NAME,
        // RFC 5280 §4.2.1.6: critical where the subject is empty.
        critical: subject.is_empty(),
        value: general_name::encode_general_names(alt_names),
    };
    let value = extension::encode_extensions(&[subject_alt_name]);
    AttrOrOid::Attribute(Attribute { oid: oid::EXTENSION_REQUEST, values: vec![value] })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ra::testing;

    fn bare(linking: IdentityLinking, keys: KeyPolicy) -> Vec<u8> {
        let profile = EnrollmentProfile { keys, ..testing::profile() };
        csr_attrs::encode(&wishes(&profile, linking, None))
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
    fn a_choice_of_keys_is_no_requirement() {
        let any = KeyPolicy::default();
        assert_eq!(bare(IdentityLinking::IfPresent, any.clone()), [0x30, 0]);
        let wanted = csr_attrs::encode(&[AttrOrOid::Oid(oid::CHALLENGE_PASSWORD)]);
        assert_eq!(bare(IdentityLinking::Required, any), wanted);
        let wanted = csr_attrs::encode(&[AttrOrOid::Oid(oid::ED25519)]);
        assert_eq!(bare(IdentityLinking::IfPresent, only(KeyType::Ed25519)), wanted);
    }

    #[test]
    fn a_device_is_told_its_own_names_and_nobody_elses() {
        let names = [GeneralName::Uri("urn:acme:SN-1".into())];
        let profile = testing::profile();
        let attrs = wishes(&profile, IdentityLinking::Off, Some(&(Name::empty(), names.to_vec())));
        let [AttrOrOid::Attribute(asked)] = attrs.as_slice() else { panic!("{attrs:?}") };
        assert_eq!(asked.oid, oid::EXTENSION_REQUEST);
        let extensions = extension::decode_extensions(&asked.values[0], 1).unwrap();
        assert!(extensions[0].critical, "the subject is empty");
        assert_eq!(general_name::decode_general_names(&extensions[0].value, 1).unwrap(), names);
    }
}
