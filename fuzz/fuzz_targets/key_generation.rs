//! Keys that the server makes: whatever a request says of their protection, none leaves plain that was to be encrypted,
//! or encrypted to somebody that the request does not name.

#![no_main]

#[path = "../../tests/support/world.rs"]
mod world;

use std::cell::RefCell;
use std::sync::Arc;

use arbitrary::Arbitrary;
use estd::audit::{AuditOutcome, KeyHandover};
use estd::ca::KeyGenerator;
use estd::est::{DeliveredKey, Operation, ResponseBody};
use estd::pki::key_encryption::SharedKey;
use estd::pki::public_key::KeyType;
use estd::policy::{KeyGenerationRules, RepeatedBirth};
use estd::ra::{KeyGeneration, PeerSession, Refusal};
use estd::store::CertificateStore as _;
use estd_asn1::pkcs10::{self, Attribute};
use estd_asn1::{AlgorithmIdentifier, Certificate, Name, Oid, certs_only, oid};
use estd_fuzz::tlv::{Signed, Tlv, write};
use libfuzzer_sys::fuzz_target;

use world::{Device, World};

/// The shared keys, by what requests call them; each is of another size.
const SHARED: [(&[u8], usize); 3] = [(b"psk-128", 16), (b"psk-192", 24), (b"psk-256", 32)];

#[derive(Debug, Arbitrary)]
struct Input {
    /// At the label that gives keys out plain.
    plaintext: bool,
    key: u8,
    attributes: Vec<Asked>,
    /// What stands for a signature, which nobody looks at.
    signature: Vec<u8>,
}

#[derive(Debug, Arbitrary)]
enum Asked {
    DecryptKeyIdentifier(Vec<Value>),
    AsymmetricDecryptKeyIdentifier(Vec<Value>),
    Capabilities(Vec<Capability>),
    /// A value of SMIMECapabilities as it is.
    RawCapabilities(Vec<u8>),
    Unstructured(Vec<u8>),
}

#[derive(Debug, Arbitrary)]
enum Value {
    Shared(u8),
    Presented,
    Octets(Vec<u8>),
    /// Not even DER.
    Raw(Vec<u8>),
}

#[derive(Debug, Arbitrary)]
enum Capability {
    KeyWrap(u8),
    Agreement(u8),
    Content(u8),
    Raw(Vec<u8>),
}

struct Stage {
    world: World,
    device: Device,
    identifier: Vec<u8>,
    keys: Vec<Vec<u8>>,
}

thread_local! {
    static STAGES: RefCell<[Stage; 2]> = RefCell::new([false, true].map(Stage::new));
}

impl Stage {
    fn new(plaintext: bool) -> Self {
        let key =
            |(name, octets): (&[u8], usize)| SharedKey::new(name.to_vec(), vec![7; octets].into()).expect("a key");
        let rules = Arc::new(KeyGenerationRules {
            plaintext,
            birth_certificates: true,
            shared_keys: SHARED.map(key).into(),
            certificates: Vec::new(),
        });
        let keys = [KeyType::P256, KeyType::P384, KeyType::Ed25519];
        let world = World::with(
            KeyType::P256,
            // Making an RSA key takes longer than all the rest.
            |profile| profile.keys.allowed = keys.into(),
            |label| {
                label.registration.repeated_birth = RepeatedBirth::Allow;
                let generator = Arc::new(KeyGenerator::new(Arc::clone(&label.authority)));
                label.key_generation = Some(KeyGeneration { rules: Arc::clone(&rules), generator });
            },
        );
        let device = world.birth("SN-1", KeyType::P256);
        let identifier = device.certificate().subject_key_identifier().expect("an extension").expect("its value");
        let spki = |kind| world::device_key(kind).public_key().der().to_vec();
        Self { world, device, identifier, keys: keys.map(spki).into() }
    }

    fn session(&self) -> PeerSession {
        self.device.session().behind_cipher(Some(256))
    }

    fn value(&self, value: &Value) -> Vec<u8> {
        match value {
            Value::Shared(which) => write(0x04, SHARED[usize::from(*which) % SHARED.len()].0),
            Value::Presented => write(0x04, &self.identifier),
            Value::Octets(octets) => write(0x04, octets),
            Value::Raw(octets) => octets.clone(),
        }
    }

    fn attribute(&self, asked: &Asked) -> Attribute {
        let values = |values: &[Value]| values.iter().map(|value| self.value(value)).collect();
        match asked {
            Asked::DecryptKeyIdentifier(list) => Attribute { oid: oid::DECRYPT_KEY_IDENTIFIER, values: values(list) },
            Asked::AsymmetricDecryptKeyIdentifier(list) => {
                Attribute { oid: oid::ASYMM_DECRYPT_KEY_IDENTIFIER, values: values(list) }
            }
            Asked::Capabilities(list) => {
                let listed: Vec<u8> = list.iter().flat_map(capability).collect();
                Attribute { oid: oid::SMIME_CAPABILITIES, values: vec![write(0x30, &listed)] }
            }
            Asked::RawCapabilities(octets) => Attribute { oid: oid::SMIME_CAPABILITIES, values: vec![octets.clone()] },
            Asked::Unstructured(octets) => Attribute { oid: oid::UNSTRUCTURED_NAME, values: vec![write(0x0c, octets)] },
        }
    }

    fn body(&self, input: &Input) -> Vec<u8> {
        let attributes: Vec<_> = input.attributes.iter().map(|asked| self.attribute(asked)).collect();
        let key = &self.keys[usize::from(input.key) % self.keys.len()];
        let info = pkcs10::encode_certification_request_info_with(&Name::empty(), key, &attributes);
        let algorithm = AlgorithmIdentifier::new(oid::SHA1_WITH_RSA, None);
        pkcs10::encode_certification_request(&info, &algorithm, &input.signature)
    }
}

fn capability(capability: &Capability) -> Vec<u8> {
    let plain = |oid: Oid| AlgorithmIdentifier::new(oid, None).der().to_vec();
    let wrap =
        |which: &u8| plain([oid::AES128_WRAP, oid::AES192_WRAP, oid::AES256_WRAP][usize::from(*which) % 3].clone());
    match capability {
        Capability::KeyWrap(which) => wrap(which),
        Capability::Agreement(which) => {
            AlgorithmIdentifier::new(oid::DH_SINGLE_PASS_STD_DH_SHA256_KDF, Some(&wrap(which))).der().to_vec()
        }
        Capability::Content(which) => {
            let known = [oid::AES128_CBC, oid::AES192_CBC, oid::AES256_CBC, oid::DES_EDE3_CBC, oid::AES256_GCM];
            plain(known[usize::from(*which) % known.len()].clone())
        }
        Capability::Raw(octets) => octets.clone(),
    }
}

fuzz_target!(|input: Input| {
    STAGES.with_borrow_mut(|stages| {
        let stage = &mut stages[usize::from(input.plaintext)];
        stage.world.begin_again();
        let body = stage.body(&input);
        let before = stage.world.entropy.drawn();
        let outcome = stage.world.enroll_at("devices", Operation::ServerKeyGen, &stage.session(), &body);
        let asked = Protection::read(&body);
        match outcome {
            Ok(pending) => judge(&input, stage, &body, &asked, pending.response.body),
            Err(Refusal::Fault(fault)) => panic!("a client's doing ends in a fault: {fault}"),
            Err(Refusal::Rejected(rejection)) => {
                let unasked = input.attributes.is_empty() && input.plaintext;
                assert!(!unasked && !is_right(&input), "{rejection}: nothing is wrong with this request");
                assert!(!rejection.to_string().contains(char::is_control));
                let world = &stage.world;
                let count = world.store.certificate_count().expect("a count");
                let left = (count, world.store.events().len(), world.entropy.drawn() - before);
                assert_eq!(left, (0, 1, 0), "a refusal leaves one event and nothing else");
            }
        }
    });
});

/// One shared key with its own key wrap.
fn is_right(input: &Input) -> bool {
    let [Asked::DecryptKeyIdentifier(values), Asked::Capabilities(listed)] = input.attributes.as_slice() else {
        return false;
    };
    let ([Value::Shared(which)], [Capability::KeyWrap(wrap)]) = (values.as_slice(), listed.as_slice()) else {
        return false;
    };
    which % 3 == wrap % 3
}

fn judge(input: &Input, stage: &Stage, body: &[u8], asked: &Protection, answer: ResponseBody) {
    let ResponseBody::KeyGenerated { key, certificate } = answer else { panic!("another answer") };
    let certificate = certs_only::decode(&certificate, 1).expect("a message").remove(0);
    let certificate = Certificate::decode(&certificate).expect("a certificate");
    assert_eq!(certificate.subject().to_string(), "O=Acme,CN=SN-1");
    let point = &certificate.public_key().der()[certificate.public_key().der().len() - 32..];
    assert!(!body.windows(point.len()).any(|window| window == point), "a key of the request was certified");

    let events = stage.world.store.events();
    let AuditOutcome::Issued { generated_key, .. } = events.last().expect("an event").outcome else {
        panic!("another event")
    };
    match key {
        DeliveredKey::Plain(info) => {
            assert!(asked.identifiers.is_empty(), "a key that was to be encrypted leaves plain: {input:?}");
            assert!(input.plaintext, "a key leaves plain where none may");
            assert_eq!(generated_key, Some(KeyHandover::Plain));
            // RFC 8410 §7: Ed25519 comes without its public half.
            let fits = info.len() == 48 || info.windows(point.len()).any(|window| window == point);
            assert!(fits, "the key is not that of the certificate");
        }
        DeliveredKey::Encrypted(der) => {
            let [named] = asked.identifiers.as_slice() else { panic!("encrypted to whom? {input:?}") };
            assert_eq!(generated_key, Some(KeyHandover::Encrypted));
            assert!(SHARED.iter().any(|(name, _)| name == named), "encrypted to nobody: {named:02x?}");
            let (recipient, algorithm) = recipient(&der).expect("a kekri");
            assert_eq!(&recipient, named, "encrypted to somebody else");
            assert!(asked.capabilities.contains(&algorithm), "by an algorithm that was not listed");
        }
    }
}

/// What a request asks for, read without the decoder under test.
struct Protection {
    /// The content of each value of each attribute that names a key.
    identifiers: Vec<Vec<u8>>,
    /// The algorithms' identifiers that are listed, each an OBJECT IDENTIFIER.
    capabilities: Vec<Vec<u8>>,
}

impl Protection {
    fn read(body: &[u8]) -> Self {
        let info = Signed::read(body).and_then(|signed| signed.content.elements()).unwrap_or_default();
        let attributes = info.get(3).and_then(Tlv::elements).unwrap_or_default();
        let (mut identifiers, mut capabilities) = (Vec::new(), Vec::new());
        for attribute in attributes {
            let Some([name, values]) = attribute.elements().and_then(|parts| <[Tlv<'_>; 2]>::try_from(parts).ok())
            else {
                continue;
            };
            let is = |oid: Oid| oid.encode() == name.whole;
            let values = values.elements().unwrap_or_default();
            if is(oid::DECRYPT_KEY_IDENTIFIER) || is(oid::ASYMM_DECRYPT_KEY_IDENTIFIER) {
                identifiers.extend(values.iter().map(|value| value.content.to_vec()));
            } else if is(oid::SMIME_CAPABILITIES) {
                let listed = values.iter().filter_map(Tlv::elements).flatten();
                let oids = listed.filter_map(|one| Some(one.elements()?.first()?.whole.to_vec()));
                capabilities.extend(oids);
            }
        }
        Self { identifiers, capabilities }
    }
}

/// Whom an EnvelopedData is for, and the OBJECT IDENTIFIER of how: here a key that is shared, always (RFC 5652 section 6).
fn recipient(der: &[u8]) -> Option<(Vec<u8>, Vec<u8>)> {
    let content = *Tlv::only(der)?.elements()?.get(1)?;
    let enveloped = Tlv::only(content.content)?.elements()?;
    let [info] = enveloped.get(1)?.elements()?[..] else { return None };
    let fields = info.elements().filter(|_| info.tag == 0xa2)?;
    let identifier = fields.get(1)?.elements()?.first()?.content.to_vec();
    Some((identifier, fields.get(2)?.elements()?.first()?.whole.to_vec()))
}
