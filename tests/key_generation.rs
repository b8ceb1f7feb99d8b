//! serverkeygen through the core: for whom a key is made, of which kind, and in which wrapping it leaves.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

#[path = "support/opening.rs"]
mod opening;
#[path = "support/oracle.rs"]
mod oracle;
#[path = "support/world.rs"]
mod world;

use std::sync::Arc;

use chrono::TimeDelta;
use estd::audit::{AuditOutcome, KeyHandover};
use estd::ca::KeyGenerator;
use estd::credential::declared::{Declarations, EnrollmentCode, User};
use estd::credential::password::PasswordHash;
use estd::credential::{Accepted, Credentials, DeviceScope, GuessLimits, HttpScheme, secret};
use estd::est::{
    ChannelBinding, DeliveredKey, EstRequest, EstTarget, Operation, PresentedCredential, RejectionCode, ResponseBody,
};
use estd::pki::key_encryption::{self, AesSize, KeyTransport, SharedKey};
use estd::pki::profile::EnrollmentProfile;
use estd::pki::public_key::{KeyPolicy, KeyType};
use estd::pki::signature::SignatureAlgorithm;
use estd::policy::{AuthenticationRule, IdentityLinking, KeyGenerationRules, RegistrationRule, RepeatedBirth};
use estd::ra::{Authentication, AuthorizationFault, KeyGeneration, LabelContext, PeerSession, Refusal, RegistryError};
use estd::store::CertificateStore as _;
use estd::store::approval::Decision;
use estd_asn1::{
    AlgorithmIdentifier, Attribute, Certificate, GeneralName, KeyUsage, Name, Oid, certs_only, oid, pkcs10,
};
use opening::{Envelope, verified_key};
use oracle::Oracle;
use p256::pkcs8::DecodePrivateKey as _;
use rcgen::{CertificateParams, IsCa, KeyPair, KeyUsagePurpose, RsaKeySize};
use rsa::sha2::Sha256;
use world::*;

const SHARED: [(&[u8], usize); 3] = [(b"psk-128", 16), (b"psk-192", 24), (b"psk-256", 32)];

/// Everything allowed.
fn open_rules() -> KeyGenerationRules {
    let key =
        |(identifier, octets): (&[u8], usize)| SharedKey::new(identifier.to_vec(), vec![0x4b; octets].into()).unwrap();
    KeyGenerationRules {
        plaintext: true,
        birth_certificates: true,
        shared_keys: SHARED.map(key).into(),
        certificates: Vec::new(),
    }
}

/// A world whose label `devices` makes keys.
fn world_with(
    rules: KeyGenerationRules,
    profile: impl Fn(&mut EnrollmentProfile),
    label: impl Fn(&mut LabelContext),
) -> World {
    let rules = Arc::new(rules);
    World::with(KeyType::P256, profile, |context| {
        let generator = Arc::new(KeyGenerator::new(Arc::clone(&context.authority)));
        context.key_generation = Some(KeyGeneration { rules: Arc::clone(&rules), generator });
        label(context);
    })
}

fn world(rules: KeyGenerationRules) -> World {
    world_with(rules, |_| (), |_| ())
}

/// A connection that protects any key.
fn session(device: &Device) -> PeerSession {
    device.session().behind_cipher(Some(256))
}

struct Answer {
    key: DeliveredKey,
    certificate: Certificate,
}

fn generate(world: &World, session: &PeerSession, body: &[u8]) -> Result<Answer, Refusal> {
    generate_with(world, session, None, body)
}

/// The same with an Authorization field.
fn generate_with(
    world: &World,
    session: &PeerSession,
    credential: Option<PresentedCredential>,
    body: &[u8],
) -> Result<Answer, Refusal> {
    let pending = if credential.is_none() {
        world.enroll_at("devices", Operation::ServerKeyGen, session, body)?
    } else {
        let target = EstTarget { label: None, operation: Operation::ServerKeyGen };
        let request = EstRequest { target, body: body.to_vec(), credential };
        world.ra.enroll(world.label("devices"), &request, session, "test")?
    };
    let ResponseBody::KeyGenerated { key, certificate } = pending.response.body else { panic!("another answer") };
    let certificate = certs_only::decode(&certificate, 1).unwrap().remove(0);
    Ok(Answer { key, certificate: Certificate::decode(&certificate).unwrap() })
}

/// The code of a refusal that left one event and nothing else.
fn refused(world: &World, session: &PeerSession, body: &[u8]) -> RejectionCode {
    let trace = || (world.store.certificate_count().unwrap(), world.entropy.drawn(), world.store.events().len());
    let (certificates, drawn, events) = trace();
    let Err(Refusal::Rejected(rejection)) = generate(world, session, body) else { panic!("it was not refused") };
    assert_eq!(trace(), (certificates, drawn, events + 1), "a refusal leaves one event, no record, no serial");
    rejection.code()
}

/// The public half of a PrivateKeyInfo, as a SubjectPublicKeyInfo.
fn public_half(private_key_info: &[u8]) -> Vec<u8> {
    let pair = KeyPair::try_from(private_key_info).unwrap();
    rcgen::PublicKeyData::subject_public_key_info(&pair)
}

fn plain(answer: &Answer) -> &[u8] {
    let DeliveredKey::Plain(key) = &answer.key else { panic!("it is encrypted") };
    key
}

fn encrypted(answer: &Answer) -> &[u8] {
    let DeliveredKey::Encrypted(der) = &answer.key else { panic!("it is plain") };
    der
}

fn empty(key_type: KeyType) -> Vec<u8> {
    request(device_key(key_type).as_ref(), &Name::empty(), &[])
}

/// A request that asks for encryption.
fn asking(attributes: &[Attribute]) -> Vec<u8> {
    request_with(device_key(KeyType::P256).as_ref(), &Name::empty(), attributes)
}

fn named(oid: Oid, identifier: &[u8]) -> Attribute {
    let value = [&[0x04, u8::try_from(identifier.len()).unwrap()], identifier].concat();
    Attribute { oid, values: vec![value] }
}

fn capabilities(algorithms: &[&AlgorithmIdentifier]) -> Attribute {
    let listed: Vec<u8> = algorithms.iter().flat_map(|algorithm| algorithm.der()).copied().collect();
    let value = [&[0x30, 0x81, u8::try_from(listed.len()).unwrap()], listed.as_slice()].concat();
    let value = if listed.len() < 128 { [&[0x30], &value[2..]].concat() } else { value };
    Attribute { oid: oid::SMIME_CAPABILITIES, values: vec![value] }
}

fn cbc(size: AesSize) -> AlgorithmIdentifier {
    let oid = [oid::AES128_CBC, oid::AES192_CBC, oid::AES256_CBC][size as usize].clone();
    AlgorithmIdentifier::new(oid, None)
}

/// A certificate that nobody needs to trust, with this use of its key.
fn recipient(key: &KeyPair, usages: &[KeyUsagePurpose], days_from_start: i64) -> Certificate {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::ExplicitNoCa;
    params.key_usages = usages.to_vec();
    let start: chrono::DateTime<chrono::Utc> = START.parse().unwrap();
    let moment = |days: i64| {
        let date = (start + TimeDelta::days(days)).date_naive();
        rcgen::date_time_ymd(chrono::Datelike::year(&date), chrono::Datelike::month(&date) as u8, 1)
    };
    (params.not_before, params.not_after) = (moment(days_from_start - 400), moment(days_from_start));
    Certificate::decode(params.self_signed(key).unwrap().der()).unwrap()
}

fn identifier(certificate: &Certificate) -> Vec<u8> {
    certificate.subject_key_identifier().unwrap().unwrap()
}

#[test]
fn every_kind_of_key_is_made_certified_and_given_out_plain() {
    let world = world(open_rules());
    for (index, key_type) in
        [KeyType::P256, KeyType::P384, KeyType::Ed25519, KeyType::Rsa, KeyType::P521].into_iter().enumerate()
    {
        let device = world.birth(&format!("SN-{index}"), KeyType::P256);
        let own = device_key(key_type);
        let answer = generate(&world, &session(&device), &request(own.as_ref(), &Name::empty(), &[])).unwrap();
        let certified = answer.certificate.public_key();
        assert_eq!(public_half(plain(&answer)), certified.der(), "{key_type}");
        assert_ne!(certified.der(), own.public_key().der(), "the key in the request is ignored");
        let kind = if key_type == KeyType::P521 { KeyType::P256 } else { key_type };
        let policy = KeyPolicy { allowed: [kind].into(), ..KeyPolicy::default() };
        assert!(estd::pki::public_key::PublicKey::check(certified, &policy).is_ok(), "{key_type}");
        assert_eq!(answer.certificate.subject().to_string(), format!("O=Acme,CN=SN-{index}"));
        assert_eq!(
            answer.certificate.subject_alt_names(9).unwrap(),
            [GeneralName::Uri(format!("urn:acme:SN-{index}"))]
        );
        let event = world.store.events().pop().unwrap();
        assert_eq!((event.operation.as_str(), event.device), ("serverkeygen", Some(format!("SN-{index}"))));
        let AuditOutcome::Issued { generated_key, .. } = event.outcome else { panic!("another event") };
        assert_eq!(generated_key, Some(KeyHandover::Plain));
    }
}

#[test]
fn the_signature_of_the_request_is_ignored_and_nothing_else_of_it() {
    let world = world(open_rules());
    let device = world.birth("SN-1", KeyType::P256);
    let mut unsigned = empty(KeyType::P256);
    let end = unsigned.len() - 4;
    unsigned[end] ^= 1;
    assert!(generate(&world, &session(&device), &unsigned).is_ok(), "RFC 7030 section 4.4.1");
    let weak = include_bytes!("../asn1/tests/vectors/rfc7030-A4-serverkeygen-req-csr.der");
    let named = refused(&world, &session(&device), weak);
    assert_eq!(named, RejectionCode::IdentityLinking, "SHA-1 does not matter, its challengePassword does");

    let other = request(device_key(KeyType::P256).as_ref(), &common_name("SN-2"), &[]);
    assert_eq!(refused(&world, &session(&device), &other), RejectionCode::IdentityMismatch);
    let usage = estd_asn1::Extension { oid: oid::KEY_USAGE, critical: true, value: KeyUsage::KEY_CERT_SIGN.encode() };
    let privilege = request(device_key(KeyType::P256).as_ref(), &Name::empty(), &[usage]);
    assert_eq!(refused(&world, &session(&device), &privilege), RejectionCode::ExtensionNotAllowed);
    let trailing = [empty(KeyType::P256), vec![0]].concat();
    assert_eq!(refused(&world, &session(&device), &trailing), RejectionCode::BadRequestSyntax);
    let nobody = PeerSession::new(None, String::new()).behind_cipher(Some(256));
    assert_eq!(refused(&world, &nobody, &empty(KeyType::P256)), RejectionCode::AuthMissing);
    let stranger = birth(&world.other_maker, "SN-1", KeyType::P256, START.parse().unwrap());
    assert_eq!(refused(&world, &session(&stranger), &empty(KeyType::P256)), RejectionCode::CrossTenant);
}

/// Conflict of RFC 7030 section 4.4.1 with 3.5: the signature proves nothing, the linking still tells whose request it is.
#[test]
fn a_request_is_linked_to_its_connection_as_for_an_enrollment() {
    const UNIQUE: ChannelBinding = ChannelBinding::TlsUnique([0x5a; 12]);
    let challenge = |text: &[u8]| Attribute {
        oid: oid::CHALLENGE_PASSWORD,
        values: vec![[&[0x13, u8::try_from(text.len()).unwrap()], text].concat()],
    };
    let world = world_with(open_rules(), |_| (), |label| label.rules.identity_linking = IdentityLinking::Required);
    let session = session(&world.birth("SN-1", KeyType::P256)).bound_to(Some(UNIQUE));
    assert!(generate(&world, &session, &asking(&[challenge(b"WlpaWlpaWlpaWlpa")])).is_ok());
    for wrong in [asking(&[challenge(b"AAAAAAAAAAAAAAAA")]), empty(KeyType::P256)] {
        assert_eq!(refused(&world, &session, &wrong), RejectionCode::IdentityLinking);
    }
}

#[test]
fn a_label_makes_keys_only_when_told_to_and_for_birth_certificates_only_when_told_that_too() {
    let off = World::new();
    let device = off.birth("SN-1", KeyType::P256);
    assert_eq!(refused(&off, &session(&device), &empty(KeyType::P256)), RejectionCode::NotFound);

    let world = world(KeyGenerationRules { birth_certificates: false, ..open_rules() });
    let device = world.birth("SN-1", KeyType::P256);
    assert_eq!(refused(&world, &session(&device), &empty(KeyType::P256)), RejectionCode::KeyGenerationDenied);
    let current = world.operational(&device, KeyType::P256);
    let names = |subject: &Name, alternative: &str| {
        let alternative = [alt_names(&[GeneralName::Uri(alternative.into())])];
        request(device_key(KeyType::P256).as_ref(), subject, &alternative)
    };
    let certificate = current.certificate();
    let renewed = generate(&world, &session(&current), &names(certificate.subject(), "urn:acme:SN-1")).unwrap();
    assert_eq!(renewed.certificate.subject(), certificate.subject());
    let foreign = names(&common_name("SN-2"), "urn:acme:SN-1");
    assert_eq!(refused(&world, &session(&current), &foreign), RejectionCode::SubjectMismatch);
    let foreign = names(certificate.subject(), "urn:acme:SN-2");
    assert_eq!(refused(&world, &session(&current), &foreign), RejectionCode::SubjectAltNameMismatch);
}

/// A profile that wants a new key at each renewal gets one, whatever key the request carries.
#[test]
fn the_current_key_in_a_request_is_no_reuse() {
    let world = world_with(open_rules(), |profile| profile.allow_key_reuse = false, |_| ());
    let current = world.operational(&world.birth("SN-1", KeyType::P256), KeyType::P256);
    let names = [alt_names(&[GeneralName::Uri("urn:acme:SN-1".into())])];
    let body = request(current.key.as_ref(), current.certificate().subject(), &names);
    assert!(generate(&world, &session(&current), &body).is_ok());
}

#[test]
fn a_key_leaves_plain_only_where_that_is_allowed_and_behind_a_cipher_as_strong() {
    let closed = world(KeyGenerationRules { plaintext: false, ..open_rules() });
    let device = closed.birth("SN-1", KeyType::P256);
    assert_eq!(refused(&closed, &session(&device), &empty(KeyType::P256)), RejectionCode::EncryptionRequired);

    let world = world(open_rules());
    let device = world.birth("SN-1", KeyType::P256);
    let at = |strength| device.session().behind_cipher(strength);
    assert!(generate(&world, &at(Some(128)), &empty(KeyType::P256)).is_ok());
    assert!(generate(&world, &at(Some(128)), &empty(KeyType::Ed25519)).is_ok());
    assert_eq!(refused(&world, &at(Some(128)), &empty(KeyType::P384)), RejectionCode::CipherTooWeak);
    assert_eq!(refused(&world, &at(None), &empty(KeyType::P256)), RejectionCode::CipherTooWeak);
    let shared = [named(oid::DECRYPT_KEY_IDENTIFIER, b"psk-256"), capabilities(&[&AesSize::Aes256.key_wrap()])];
    let asked = request_with(device_key(KeyType::P384).as_ref(), &Name::empty(), &shared);
    assert!(generate(&world, &at(Some(128)), &asked).is_ok(), "what is encrypted does not lean on TLS");
}

#[test]
fn a_key_encrypted_to_a_shared_key_opens_with_it() {
    let world = world(KeyGenerationRules { plaintext: false, ..open_rules() });
    let issuer = world.label("devices").authority.certificate().clone();
    for (index, (name, octets)) in SHARED.into_iter().enumerate() {
        let device = world.birth(&format!("SN-{index}"), KeyType::P256);
        let size = AesSize::of(octets).unwrap();
        let body = asking(&[
            named(oid::DECRYPT_KEY_IDENTIFIER, name),
            capabilities(&[&size.key_wrap(), &cbc(AesSize::Aes128), &cbc(AesSize::Aes256)]),
        ]);
        let answer = generate(&world, &session(&device), &body).unwrap();
        let envelope = Envelope::read(encrypted(&answer));
        assert_eq!((envelope.kind, envelope.version, envelope.identifier), (0xa2, 4, name));
        assert_eq!(envelope.key_encryption, size.key_wrap());
        assert_eq!(*envelope.content_encryption.oid(), oid::AES128_CBC, "the first listed that is as strong as P-256");
        // The backend unwraps no AES-192; a real client does, elsewhere.
        if size != AesSize::Aes192 {
            let content_key = envelope.unwrap(&vec![0x4b; octets]);
            let key = verified_key(&envelope.open(&content_key), &issuer);
            assert_eq!(public_half(&key), answer.certificate.public_key().der());
        }
        let events = world.store.events();
        let AuditOutcome::Issued { generated_key, .. } = events.last().unwrap().outcome else { panic!("an event") };
        assert_eq!(generated_key, Some(KeyHandover::Encrypted));
    }
    let appointed = world.store.events().iter().filter(|event| event.operation == "key-generator").count();
    assert_eq!(appointed, 1, "one certificate of the key generator serves until it is due");
}

#[test]
fn a_key_encrypted_to_a_public_key_opens_with_its_private_half() {
    use KeyUsagePurpose::{KeyAgreement, KeyEncipherment};
    let rsa_key = KeyPair::generate_rsa_for(&rcgen::PKCS_RSA_SHA256, RsaKeySize::_2048).unwrap();
    let ec_key = KeyPair::generate().unwrap();
    let (rsa, ec) = (recipient(&rsa_key, &[KeyEncipherment], 365), recipient(&ec_key, &[KeyAgreement], 365));
    let unrestricted = recipient(&KeyPair::generate().unwrap(), &[], 365);
    let certificates = vec![rsa.clone(), ec.clone(), unrestricted.clone()];
    let world = world(KeyGenerationRules { certificates, ..open_rules() });
    let issuer = world.label("devices").authority.certificate().clone();
    let device = world.birth("SN-1", KeyType::P256);
    let ask = |certificate: &Certificate, algorithm: AlgorithmIdentifier| {
        let body =
            asking(&[named(oid::ASYMM_DECRYPT_KEY_IDENTIFIER, &identifier(certificate)), capabilities(&[&algorithm])]);
        generate(&world, &session(&device), &body).unwrap()
    };

    let private = rsa::RsaPrivateKey::from_pkcs8_der(&rsa_key.serialize_der()).unwrap();
    for transport in [KeyTransport::OaepSha256, KeyTransport::Pkcs1] {
        let answer = ask(&rsa, transport.identifier());
        let envelope = Envelope::read(encrypted(&answer));
        assert_eq!((envelope.kind, envelope.version, envelope.identifier), (0x30, 2, identifier(&rsa).as_slice()));
        assert_eq!(envelope.key_encryption, transport.identifier());
        let content_key = match transport {
            KeyTransport::OaepSha256 => private.decrypt(rsa::Oaep::new::<Sha256>(), envelope.encrypted_key).unwrap(),
            KeyTransport::Pkcs1 => private.decrypt(rsa::Pkcs1v15Encrypt, envelope.encrypted_key).unwrap(),
        };
        let key = verified_key(&envelope.open(&content_key), &issuer);
        assert_eq!(public_half(&key), answer.certificate.public_key().der());
    }

    let private = p256::SecretKey::from_pkcs8_der(&ec_key.serialize_der()).unwrap();
    let mut originators = Vec::new();
    for key_wrap in [AesSize::Aes128, AesSize::Aes256] {
        let answer = ask(&ec, key_encryption::key_agreement(key_wrap));
        let envelope = Envelope::read(encrypted(&answer));
        assert_eq!((envelope.kind, envelope.version, envelope.identifier), (0xa1, 3, identifier(&ec).as_slice()));
        let content_key = envelope.unwrap(&envelope.agreed(&private));
        assert_eq!(content_key.len(), 32, "nothing was listed for the content");
        let key = verified_key(&envelope.open(&content_key), &issuer);
        assert_eq!(public_half(&key), answer.certificate.public_key().der());
        originators.push(envelope.originator.unwrap().to_vec());
    }
    assert_ne!(originators[0], originators[1], "the sender's key is used once");
    let answer = ask(&unrestricted, key_encryption::key_agreement(AesSize::Aes256));
    assert_eq!(Envelope::read(encrypted(&answer)).identifier, identifier(&unrestricted), "no keyUsage, no restriction");
}

/// A device that renews may have the key encrypted to the certificate it presents.
#[test]
fn the_presented_certificate_is_a_recipient_if_its_key_may_be_used_so() {
    let world = world(KeyGenerationRules { plaintext: false, ..open_rules() });
    let ask = |device: &Device, algorithm: AlgorithmIdentifier| {
        let names = alt_names(&[GeneralName::Uri("urn:acme:SN-1".into())]);
        let extensions = estd_asn1::extension::encode_extensions(&[names]);
        let attributes = [
            Attribute { oid: oid::EXTENSION_REQUEST, values: vec![extensions] },
            named(oid::ASYMM_DECRYPT_KEY_IDENTIFIER, &identifier(&device.certificate())),
            capabilities(&[&algorithm]),
        ];
        request_with(device_key(KeyType::P256).as_ref(), device.certificate().subject(), &attributes)
    };
    let birth = world.birth("SN-1", KeyType::P256);
    let rsa = world.operational(&birth, KeyType::Rsa);
    let answer = generate(&world, &session(&rsa), &ask(&rsa, KeyTransport::OaepSha256.identifier())).unwrap();
    assert_eq!(Envelope::read(encrypted(&answer)).identifier, identifier(&rsa.certificate()));
    let ec = world.operational(&birth, KeyType::P256);
    let asked = ask(&ec, key_encryption::key_agreement(AesSize::Aes256));
    assert_eq!(refused(&world, &session(&ec), &asked), RejectionCode::DecryptKeyUnfit, "it may sign and no more");
}

#[test]
fn a_key_that_was_to_be_encrypted_never_leaves_plain() {
    use KeyUsagePurpose::{DigitalSignature, KeyAgreement, KeyEncipherment};
    let rsa_key = KeyPair::generate_rsa_for(&rcgen::PKCS_RSA_SHA256, RsaKeySize::_2048).unwrap();
    let (signing, fit) = (recipient(&rsa_key, &[DigitalSignature], 365), recipient(&rsa_key, &[KeyEncipherment], 365));
    let ec_signing = recipient(&KeyPair::generate().unwrap(), &[DigitalSignature], 365);
    let ed25519 = recipient(&KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap(), &[], 365);
    let expired = recipient(&KeyPair::generate().unwrap(), &[KeyAgreement], -40);
    let only = |certificates: &[&Certificate]| {
        let certificates = certificates.iter().map(|one| (*one).clone()).collect();
        world(KeyGenerationRules { certificates, ..open_rules() })
    };
    let shared = |name: &[u8]| named(oid::DECRYPT_KEY_IDENTIFIER, name);
    let public = |certificate: &Certificate| named(oid::ASYMM_DECRYPT_KEY_IDENTIFIER, &identifier(certificate));
    let wrap = AesSize::Aes256.key_wrap();
    let transport = KeyTransport::Pkcs1.identifier();
    let agreement = key_encryption::key_agreement(AesSize::Aes256);
    let des = AlgorithmIdentifier::new(oid::DES_EDE3_CBC, None);
    let world = only(&[]);
    for (world, attributes, code) in [
        (&world, vec![shared(b"psk-999"), capabilities(&[&wrap])], RejectionCode::DecryptKeyUnknown),
        (&world, vec![shared(b"psk-25"), capabilities(&[&wrap])], RejectionCode::DecryptKeyUnknown),
        (&world, vec![public(&fit), capabilities(&[&transport])], RejectionCode::DecryptKeyUnknown),
        (&world, vec![shared(b"psk-256")], RejectionCode::NoCommonAlgorithm),
        (&world, vec![shared(b"psk-128"), capabilities(&[&wrap])], RejectionCode::NoCommonAlgorithm),
        (&world, vec![shared(b"psk-256"), capabilities(&[&transport])], RejectionCode::NoCommonAlgorithm),
        (&world, vec![shared(b"psk-256"), capabilities(&[&wrap, &des])], RejectionCode::NoCommonAlgorithm),
        (&only(&[&fit]), vec![public(&fit)], RejectionCode::NoCommonAlgorithm),
        (&only(&[&fit]), vec![public(&fit), capabilities(&[&wrap])], RejectionCode::NoCommonAlgorithm),
        (&only(&[&signing]), vec![public(&signing), capabilities(&[&transport])], RejectionCode::DecryptKeyUnfit),
        (&only(&[&ec_signing]), vec![public(&ec_signing), capabilities(&[&agreement])], RejectionCode::DecryptKeyUnfit),
        (&only(&[&ed25519]), vec![public(&ed25519), capabilities(&[&agreement])], RejectionCode::DecryptKeyUnfit),
        (&only(&[&expired]), vec![public(&expired), capabilities(&[&agreement])], RejectionCode::DecryptKeyUnfit),
        (&world, vec![shared(b"psk-256"), public(&fit), capabilities(&[&wrap])], RejectionCode::BadRequestSyntax),
        (&world, vec![shared(b"")], RejectionCode::BadRequestSyntax),
        (&world, vec![shared(b"psk-256"), capabilities(&[])], RejectionCode::BadRequestSyntax),
    ] {
        let device = world.birth("SN-1", KeyType::P256);
        let shown = format!("{attributes:?}");
        assert_eq!(refused(world, &session(&device), &asking(&attributes)), code, "{shown}");
    }
}

/// The key is kept nowhere: whoever asks again gets another one, and both certificates are on record.
#[test]
fn a_repeated_request_is_a_new_key_and_a_new_certificate() {
    let world = world(open_rules());
    let device = world.birth("SN-1", KeyType::P256);
    let body = empty(KeyType::P256);
    let [first, second] = [(), ()].map(|()| generate(&world, &session(&device), &body).unwrap());
    assert_ne!(plain(&first), plain(&second));
    assert_ne!(first.certificate.serial(), second.certificate.serial());
    assert_eq!(world.store.certificate_count().unwrap(), 2);
}

#[test]
fn a_profile_without_a_kind_that_is_made_makes_none() {
    let world = world_with(open_rules(), |profile| profile.keys.allowed = [KeyType::P521].into(), |_| ());
    let device = world.birth("SN-1", KeyType::P256);
    assert_eq!(refused(&world, &session(&device), &empty(KeyType::P521)), RejectionCode::KeyNotAllowed);
}

/// RFC 7030 section 4.4.2: a request may wait for an operator, and what is approved is what was asked, not its octets.
#[test]
fn a_request_that_was_approved_is_one_key() {
    let world = world_with(open_rules(), |_| (), |label| label.registration.rule = RegistrationRule::Approval);
    let device = world.birth("SN-1", KeyType::P256);
    let waiting = |operation| {
        let body = empty(KeyType::P256);
        let pending = world.enroll_at("devices", operation, &session(&device), &body).unwrap();
        assert!(matches!(pending.response.body, ResponseBody::Deferred { .. }));
        pending.waits.unwrap()
    };
    let asked = waiting(Operation::ServerKeyGen);
    assert_eq!(waiting(Operation::ServerKeyGen), asked, "the key in the request is ignored, also here");
    assert_ne!(waiting(Operation::SimpleEnroll), asked, "to certify a key is another request than to make one");
    assert_eq!(world.store.certificate_count().unwrap(), 0);

    world.ra.decide_request(&grant("acme"), &asked, Decision::Approved).unwrap().wait().unwrap();
    let answer = generate(&world, &session(&device), &empty(KeyType::P256)).unwrap();
    assert_eq!(public_half(plain(&answer)), answer.certificate.public_key().der());
    let again = world.ra.decide_request(&grant("acme"), &asked, Decision::Approved);
    assert!(matches!(again, Err(RegistryError::NoRequest)), "an approval is spent with the key that was made");
}

/// No key that the request carries shows that it is the same device which asks again.
#[test]
fn a_birth_certificate_that_asks_for_a_second_key_may_be_a_clone() {
    for (rule, code) in [(RepeatedBirth::Alarm, None), (RepeatedBirth::Refuse, Some(RejectionCode::CloneSuspected))] {
        let world = world_with(open_rules(), |_| (), |label| label.registration.repeated_birth = rule);
        let device = world.birth("SN-1", KeyType::P256);
        let first = generate(&world, &session(&device), &empty(KeyType::P256)).unwrap();
        // Whoever repeats the first key's public half shows nothing by it.
        let info = pkcs10::encode_certification_request_info(&Name::empty(), first.certificate.public_key().der(), &[]);
        let body = pkcs10::encode_certification_request(&info, SignatureAlgorithm::EcdsaSha256.identifier(), &[0; 64]);
        match code {
            Some(code) => assert_eq!(refused(&world, &session(&device), &body), code),
            None => {
                let pending = world.enroll_at("devices", Operation::ServerKeyGen, &session(&device), &body).unwrap();
                assert_eq!(pending.alarm, Some("clone_suspected"));
            }
        }
    }
}

/// A label that takes credentials makes keys for who shows one, as it would certify theirs, and for nobody else.
#[test]
fn a_credential_is_as_good_for_a_key_as_for_an_enrollment() {
    let scope = || Arc::new(DeviceScope::parse(&["SN-1".to_owned()]).unwrap());
    let user = User {
        name: "own".to_owned(),
        password: Some(PasswordHash::parse(&PasswordHash::make("right", &[1; 16]).unwrap()).unwrap()),
        digest_sha256: None,
        digest_md5: None,
        devices: scope(),
    };
    let code = EnrollmentCode { sha256: secret::hash("CODE-1"), devices: scope(), not_after: None, uses: 1 };
    let realm = "acme".to_owned();
    let declared = Declarations { realm, users: vec![user], codes: vec![code], ..Declarations::default() };
    let credentials = Arc::new(Credentials::new(declared).unwrap());
    let world = |rule| {
        // A credential is none of a manufacturer's: RFC 7030 section 6 says nothing against it.
        let rules = KeyGenerationRules { birth_certificates: false, ..open_rules() };
        let accepted = Accepted { schemes: HttpScheme::ALL.to_vec(), digest: Vec::new() };
        let authentication =
            Authentication { rule, accepted, credentials: Arc::clone(&credentials), guesses: GuessLimits::default() };
        world_with(rules, |_| (), move |label| label.authentication = authentication.clone())
    };
    let nobody = || PeerSession::new(None, "192.0.2.1:4711".into()).behind_cipher(Some(256));
    let basic = |password: &str| {
        Some(PresentedCredential::Basic { user: "own".to_owned(), password: password.to_owned().into() })
    };
    let with_code = asking(&[Attribute { oid: oid::OTP_CHALLENGE, values: vec![b"\x0c\x06CODE-1".to_vec()] }]);
    let bare = empty(KeyType::P256);

    for rule in AuthenticationRule::ALL {
        let world = world(rule);
        let ask = |credential, body: &[u8]| generate_with(&world, &nobody(), credential, body);
        let code = |outcome: Result<Answer, Refusal>| match outcome {
            Ok(answer) => {
                assert_eq!(public_half(plain(&answer)), answer.certificate.public_key().der());
                let event = world.store.events().pop().unwrap();
                assert_eq!((event.device.as_deref(), event.credential.is_some()), (Some("SN-1"), true));
                None
            }
            Err(Refusal::Rejected(rejection)) => Some(rejection.code()),
            Err(Refusal::Fault(fault)) => panic!("{fault}"),
        };
        let (none, right, wrong) = match rule {
            AuthenticationRule::Certificate | AuthenticationRule::CertificateAndHttp => {
                let missing = Some(RejectionCode::AuthMissing);
                (missing, missing, missing)
            }
            AuthenticationRule::Http | AuthenticationRule::CertificateOrHttp => {
                (Some(RejectionCode::AuthRequired), None, Some(RejectionCode::AuthFailed))
            }
        };
        assert_eq!(code(ask(None, &bare)), none, "{rule:?}");
        assert_eq!(code(ask(basic("wrong"), &bare)), wrong, "{rule:?}");
        assert_eq!(code(ask(basic("right"), &bare)), right, "{rule:?}");
        // RFC 7894 §3.1; the request's signature is ignored, and so is what it would have covered.
        assert_eq!(code(ask(None, &with_code)), right, "{rule:?}");
        let again = right.or(Some(RejectionCode::CodeUsed));
        assert_eq!(code(ask(None, &with_code)), again, "a code that is good for one certificate makes one key");
        let issued = if right.is_none() { 2 } else { 0 };
        assert_eq!(world.store.certificate_count().unwrap(), issued, "{rule:?}");
    }
}

/// Whoever else has a say is asked before there is a key: of a denial no key is made, sealed or signed for.
#[test]
fn no_key_is_made_that_is_denied_from_elsewhere() {
    let oracle = Oracle::new();
    let world = world_with(open_rules(), |_| (), |label| label.authorizer = Some(Arc::clone(&oracle) as _));
    let device = world.birth("SN-1", KeyType::P256);
    let sealed =
        asking(&[named(oid::DECRYPT_KEY_IDENTIFIER, b"psk-256"), capabilities(&[&AesSize::Aes256.key_wrap()])]);
    oracle.denies("not paid");
    for body in [empty(KeyType::P256), sealed.clone()] {
        assert_eq!(refused(&world, &session(&device), &body), RejectionCode::AuthorizationDenied);
    }
    oracle.says(|| {
        let cause = "no answer within 5000 ms".to_owned();
        Err(AuthorizationFault::Unanswered { asked: "the oracle".into(), cause })
    });
    let failed = generate(&world, &session(&device), &sealed);
    assert!(matches!(failed, Err(Refusal::Fault(_))));
    assert_eq!((world.entropy.drawn(), world.store.certificate_count().unwrap()), (0, 0));
    oracle.says(|| Ok(estd::ra::Answer::Allowed));
    encrypted(&generate(&world, &session(&device), &sealed).unwrap());
    let asked = oracle.asked();
    assert_eq!(asked.len(), 4, "a key that is made here is asked about once");
    assert!(asked.iter().all(|asked| asked.operation == "serverkeygen" && asked.spki_sha256.is_none()), "{asked:?}");
}
