//! Certification requests as an input composes them, each signed with a key of the pool.

use estd::est::transfer::{self, LineWrapping};
use estd::pki::signature::SignatureAlgorithm;
use estd_asn1::{
    AlgorithmIdentifier, Attribute, BasicConstraints, Extension, GeneralName, Name, Oid, extension, oid, pkcs10,
};
use estd_fuzz::tlv;

use super::input::{AltName, Edit, Forgery, Request, RequestAttribute, Subject, Wish};
use super::names::{common_name, key_usage, name, purposes};
use super::oracle::{Credential, Kind};
use super::stage::Stage;
use super::world;

impl Stage {
    /// The DER of the request, as far as it is made from its parts.
    pub fn request(&self, request: &Request, peer: Option<&Credential>, binding: [u8; 32]) -> Vec<u8> {
        let info = Edit::all(&request.edits_before, &self.info(request, peer, binding));
        let signer = match request.forgery {
            Some(Forgery::Signer(other)) => other,
            Some(Forgery::Algorithm(_) | Forgery::Twin) | None => request.key,
        };
        let algorithm = match request.forgery {
            Some(Forgery::Algorithm(which)) => algorithm(which),
            Some(Forgery::Signer(_) | Forgery::Twin) | None => self.key(signer).algorithm().identifier().clone(),
        };
        let mut signature = self.sign(signer, &info);
        if matches!(request.forgery, Some(Forgery::Twin)) {
            signature = twin(&signature);
        }
        let whole = pkcs10::encode_certification_request(&info, &algorithm, &signature);
        Edit::all(&request.edits_after, &whole)
    }

    fn info(&self, request: &Request, peer: Option<&Credential>, binding: [u8; 32]) -> Vec<u8> {
        let own = || peer.and_then(Credential::decode).map_or_else(Name::empty, |own| own.subject().clone());
        let renews = peer.is_some_and(|peer| peer.kind != Kind::Birth);
        let subject = match &request.subject {
            Subject::Fitting if renews => own(),
            Subject::Fitting | Subject::Empty => Name::empty(),
            Subject::Own => peer.map_or_else(Name::empty, |peer| common_name(&peer.device)),
            Subject::Presented => own(),
            Subject::Of(index) => common_name(&self.device(*index).device),
            Subject::Composed(attributes) => name(attributes),
        };
        let fitting = (renews && matches!(request.subject, Subject::Fitting)).then_some(&AltName::Presented);
        let names = fitting.into_iter().chain(&request.names);
        let names: Vec<_> = names.flat_map(|name| self.alt_names(name, peer)).collect();
        let mut extensions: Vec<_> = request.wishes.iter().map(wish).collect();
        if !names.is_empty() {
            extensions.push(world::alt_names(&names));
        }
        let mut attributes: Vec<_> = request.attributes.iter().map(|asked| attribute(asked, binding)).collect();
        if !extensions.is_empty() {
            let value = extension::encode_extensions(&extensions);
            attributes.push(Attribute { oid: oid::EXTENSION_REQUEST, values: vec![value] });
        }
        let key = self.key(request.key).public_key();
        pkcs10::encode_certification_request_info_with(&subject, key.der(), &attributes)
    }

    fn alt_names(&self, name: &AltName, peer: Option<&Credential>) -> Vec<GeneralName> {
        let uri = |device: &str| GeneralName::Uri(format!("urn:acme:{device}"));
        let ascii = |text: &str| text.chars().filter(char::is_ascii).collect::<String>();
        match name {
            AltName::Presented => {
                peer.and_then(Credential::decode).and_then(|own| own.subject_alt_names(9).ok()).unwrap_or_default()
            }
            AltName::OwnUri => peer.map(|peer| uri(&ascii(&peer.device))).into_iter().collect(),
            AltName::OwnHost => {
                let host = |peer: &Credential| GeneralName::DnsName(format!("{}.acme.example", ascii(&peer.device)));
                peer.map(host).into_iter().collect()
            }
            AltName::UriOf(index) => vec![uri(&self.device(*index).device)],
            AltName::Dns(text) => vec![GeneralName::DnsName(ascii(text))],
            AltName::Uri(text) => vec![GeneralName::Uri(ascii(text))],
            AltName::Email(text) => vec![GeneralName::Rfc822Name(ascii(text))],
            AltName::Ip(octets) => vec![GeneralName::IpAddress(octets.clone())],
            AltName::Directory(attributes) => vec![GeneralName::DirectoryName(super::names::name(attributes))],
            AltName::Other(octets) => {
                vec![GeneralName::OtherName { type_id: oid::HARDWARE_MODULE_NAME, value: tlv::write(0x04, octets) }]
            }
        }
    }
}

fn wish(wish: &Wish) -> Extension {
    const OTHERS: [Oid; 9] = [
        oid::SUBJECT_KEY_IDENTIFIER,
        oid::NAME_CONSTRAINTS,
        oid::POLICY_CONSTRAINTS,
        oid::INHIBIT_ANY_POLICY,
        oid::SUBJECT_ALT_NAME,
        oid::KEY_USAGE,
        oid::EXT_KEY_USAGE,
        oid::BASIC_CONSTRAINTS,
        oid::TLS_FEATURE,
    ];
    let plain = |oid: Oid, value: Vec<u8>| Extension { oid, critical: false, value };
    match wish {
        Wish::KeyUsage(bits) => plain(oid::KEY_USAGE, key_usage(*bits)),
        Wish::ExtKeyUsage(asked) => plain(oid::EXT_KEY_USAGE, extension::encode_ext_key_usage(&purposes(asked))),
        Wish::BasicConstraints { ca, path_len } => {
            let constraints = BasicConstraints { ca: *ca, path_len: path_len.map(u32::from) };
            plain(oid::BASIC_CONSTRAINTS, constraints.encode())
        }
        Wish::Other { which, critical, value } => {
            let oid = OTHERS[usize::from(*which) % OTHERS.len()].clone();
            Extension { oid, critical: *critical, value: value.clone() }
        }
    }
}

fn attribute(asked: &RequestAttribute, binding: [u8; 32]) -> Attribute {
    let base64 = |octets: &[u8]| {
        let text = transfer::encode(octets, LineWrapping::SingleLine);
        String::from_utf8(text).expect("base64 is text")
    };
    let (oid, text) = match asked {
        RequestAttribute::Linked => (oid::CHALLENGE_PASSWORD, base64(&binding)),
        RequestAttribute::LinkedElsewhere => (oid::CHALLENGE_PASSWORD, base64(&binding.map(|octet| !octet))),
        RequestAttribute::ChallengePassword(text) => (oid::CHALLENGE_PASSWORD, text.clone()),
        RequestAttribute::IdentityLinking(text) => (oid::EST_IDENTITY_LINKING, text.clone()),
        RequestAttribute::UnstructuredName(text) => (oid::UNSTRUCTURED_NAME, text.clone()),
    };
    Attribute { oid, values: vec![tlv::write(0x0c, text.as_bytes())] }
}

fn algorithm(which: u8) -> AlgorithmIdentifier {
    let known = SignatureAlgorithm::ALL.map(|algorithm| algorithm.identifier().clone());
    let null: &[u8] = &[0x05, 0x00];
    let broken = [
        AlgorithmIdentifier::new(oid::SHA1_WITH_RSA, Some(null)),
        AlgorithmIdentifier::new(oid::ECDSA_WITH_SHA1, None),
        AlgorithmIdentifier::new(oid::ECDSA_WITH_SHA256, Some(null)),
        AlgorithmIdentifier::new(oid::SHA256_WITH_RSA, None),
        AlgorithmIdentifier::new(oid::RSASSA_PSS, None),
    ];
    let all = [known.as_slice(), &broken].concat();
    all[usize::from(which) % all.len()].clone()
}

/// With n - s instead of s; what is no signature on P-256 stays as it is.
fn twin(signature: &[u8]) -> Vec<u8> {
    let Ok(parsed) = p256::ecdsa::Signature::from_der(signature) else { return signature.to_vec() };
    let (r, s) = parsed.split_scalars();
    let twin = p256::ecdsa::Signature::from_scalars(r, -s).expect("two scalars that are not zero");
    twin.to_der().as_bytes().to_vec()
}
