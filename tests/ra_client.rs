//! RA clients: who is one, for whom it speaks, and what it leaves behind.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

#[path = "support/world.rs"]
mod world;

use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use estd::audit::AuditOutcome;
use estd::ca::{KeyGenerator, Signer, SoftwareSigner, ceremony};
use estd::credential::DeviceScope;
use estd::est::{ChannelBinding, Operation, PresentedChain, RejectionCode, ResponseBody};
use estd::pki::device_identity::DeviceId;
use estd::pki::public_key::KeyType;
use estd::pki::trust::TrustAnchors;
use estd::policy::{IdentityLinking, KeyGenerationRules, RegistrationRule};
use estd::ra::{KeyGeneration, LabelContext, PeerSession, Refusal};
use estd::store::approval::PendingRequest;
use estd::store::device::DeviceState;
use estd::store::{CertificateId, CertificateStore};
use estd_asn1::certificate::encode_certificate;
use estd_asn1::{
    Attribute, AttributeTypeAndValue, Certificate, Extension, GeneralName, Name, TbsCertificate, Validity, extension,
    oid,
};
use world::*;

/// At `devices`, the registrar speaks for devices `SN-*`.
fn speaks_for_devices(label: &mut LabelContext) {
    label.rules.ra.clients = vec![DeviceId::parse(REGISTRAR).unwrap()];
    label.rules.ra.devices = Some(DeviceScope::parse(&["SN-*".to_owned()]).unwrap());
}

fn world_with(more: impl Fn(&mut LabelContext)) -> World {
    World::with(
        KeyType::P256,
        |_| (),
        |label| {
            speaks_for_devices(label);
            more(label);
        },
    )
}

/// The registrar with its certificate.
fn registrar(world: &World) -> Device {
    world.operational_at("registrars", &world.birth(REGISTRAR, KeyType::P256), KeyType::P256)
}

/// What the profile gives to a device, as a request asks for it.
fn names(id: &str) -> (Name, Vec<Extension>) {
    let text = |oid, text: &str| vec![AttributeTypeAndValue::from_text(oid, text).unwrap()];
    let subject = Name::from_rdns(&[text(oid::AT_COMMON_NAME, id), text(oid::AT_ORGANIZATION_NAME, "Acme")]);
    (subject, vec![alt_names(&[GeneralName::Uri(format!("urn:acme:{id}"))])])
}

fn body_for(key: &dyn Signer, id: &str) -> Vec<u8> {
    let (subject, extensions) = names(id);
    request(key, &subject, &extensions)
}

fn key() -> Box<dyn Signer> {
    device_key(KeyType::P256)
}

fn code<T>(outcome: Result<T, Refusal>) -> RejectionCode {
    match outcome {
        Ok(_) => panic!("it was not refused"),
        Err(Refusal::Rejected(rejection)) => rejection.code(),
        Err(Refusal::Fault(fault)) => panic!("{fault}"),
    }
}

fn id_of(world: &World, certificate: &[u8]) -> CertificateId {
    let serial = Certificate::decode(certificate).unwrap().serial().to_vec();
    CertificateId { issuer: world.label("devices").authority.issuer_id(), serial }
}

#[test]
fn a_registrar_enrolls_and_renews_for_a_device_and_both_are_told() {
    let world = world_with(|_| ());
    let ra = registrar(&world).session();
    let key_of_device = key();
    let first = world.enroll(Operation::SimpleEnroll, &ra, &body_for(key_of_device.as_ref(), "SN-1")).unwrap();
    let certificate = Certificate::decode(&first).unwrap();
    assert_eq!(*certificate.subject(), names("SN-1").0);
    assert_eq!(certificate.public_key().der(), key_of_device.public_key().der());
    assert_eq!(certificate.ext_key_usage().unwrap().unwrap(), [oid::KP_CLIENT_AUTH], "not the registrar's own usages");
    let event = world.store.events().pop().unwrap();
    assert_eq!((event.device.as_deref(), event.actor.as_deref()), (Some("SN-1"), Some(REGISTRAR)));
    assert!(matches!(event.outcome, AuditOutcome::Issued { repeated: false, .. }));

    // RFC 7030 §4.2.2: compared with the certificate on record, which it renews.
    let second = world.enroll(Operation::SimpleReenroll, &ra, &body_for(key().as_ref(), "SN-1")).unwrap();
    let record = world.store.certificate(&id_of(&world, &second)).unwrap().unwrap();
    assert_eq!((record.device.as_str(), &record.renews), ("SN-1", &Some(id_of(&world, &first))));
    let other_names = request(key().as_ref(), &names("SN-1").0, &[]);
    let refused = code(world.enroll(Operation::SimpleReenroll, &ra, &other_names));
    assert_eq!(refused, RejectionCode::SubjectAltNameMismatch);
    let unknown = code(world.enroll(Operation::SimpleReenroll, &ra, &body_for(key().as_ref(), "SN-2")));
    assert_eq!(unknown, RejectionCode::NotRenewable);
    let event = world.store.events().pop().unwrap();
    assert_eq!(event.actor.as_deref(), Some(REGISTRAR), "also when it is refused");

    // The device renews by itself: the certificate is its own.
    let device = Device { key: key_of_device, certificate: first };
    assert!(world.enroll(Operation::SimpleReenroll, &device.session(), &body_for(key().as_ref(), "SN-1")).is_ok());
}

#[test]
fn a_registrar_speaks_for_its_scope_and_for_no_registrar() {
    let world = world_with(|_| ());
    let ra = registrar(&world).session();
    let enroll = |body: &[u8]| world.enroll(Operation::SimpleEnroll, &ra, body);
    assert_eq!(code(enroll(&body_for(key().as_ref(), "GW-1"))), RejectionCode::RaScope);
    for itself in [REGISTRAR, "ra-1"] {
        assert_eq!(code(enroll(&body_for(key().as_ref(), itself))), RejectionCode::RaScope);
    }
    let nobody = request(key().as_ref(), &Name::empty(), &[]);
    assert_eq!(code(enroll(&nobody)), RejectionCode::IdentityMissing);
    let (subject, _) = names("SN-1");
    let two = alt_names(&[GeneralName::Uri("urn:acme:SN-2".into())]);
    assert_eq!(code(enroll(&request(key().as_ref(), &subject, &[two]))), RejectionCode::IdentityMismatch);
    // One key is one device's, the registrar's own included.
    let registrar = registrar_key_in_use(&world);
    assert_eq!(code(enroll(&body_for(registrar.as_ref(), "SN-1"))), RejectionCode::KeyInUse);
    // Its scope is of one label: at others its certificate is one of another label.
    let elsewhere = world.enroll_at("registrars", Operation::SimpleEnroll, &ra, &body_for(key().as_ref(), "SN-1"));
    assert_eq!(code(elsewhere), RejectionCode::SubjectMismatch, "there it renews itself");
    let foreign = world.enroll_at("other", Operation::SimpleEnroll, &ra, &body_for(key().as_ref(), "SN-1"));
    assert_eq!(code(foreign), RejectionCode::CrossTenant);
}

/// A key that was certified for a registrar.
fn registrar_key_in_use(world: &World) -> Box<dyn Signer> {
    registrar(world).key
}

/// RA-02: the usage, the label's own CA and the operator's list, all three.
#[test]
fn nobody_is_a_registrar_by_half() {
    // The usage by a manufacturer's CA: an ordinary birth certificate.
    let (manufacturer, forged) = registrar_by_birth();
    let world_of_forgers = world_with(|label| {
        let own = label.authority.certificate().clone();
        label.anchors = Arc::new(TrustAnchors::new(vec![own], vec![manufacturer.clone()]).unwrap());
    });
    let body = body_for(key().as_ref(), "SN-1");
    let refused = code(world_of_forgers.enroll(Operation::SimpleEnroll, &forged.session(), &body));
    assert_eq!(refused, RejectionCode::IdentityMismatch);
    let world = world_with(|_| ());
    // On the list and without the usage.
    let listed = world.operational(&world.birth(REGISTRAR, KeyType::P256), KeyType::P256);
    let refused = code(world.enroll(Operation::SimpleEnroll, &listed.session(), &body_for(key().as_ref(), "SN-1")));
    assert_eq!(refused, RejectionCode::SubjectMismatch);
    // Not on the list of this label.
    let world = world_with(|label| label.rules.ra.clients = vec![DeviceId::parse("RA-2").unwrap()]);
    let unlisted = registrar(&world);
    let refused = code(world.enroll(Operation::SimpleEnroll, &unlisted.session(), &body_for(key().as_ref(), "SN-1")));
    assert_eq!(refused, RejectionCode::CrossTenant);
}

/// A manufacturer's CA, and a birth certificate of its that says to be an RA's.
fn registrar_by_birth() -> (Certificate, Device) {
    let (signer, _) = SoftwareSigner::generate(KeyType::P256).unwrap();
    let not_before = START.parse::<DateTime<Utc>>().unwrap() - TimeDelta::hours(1);
    let validity = Validity { not_before, not_after: not_before + TimeDelta::days(3650) };
    let root = ceremony::self_signed_ca(&signer, &common_name("Maker"), validity, None, &serial()).unwrap();
    let key = key();
    let serial_number = AttributeTypeAndValue::from_text(oid::AT_SERIAL_NUMBER, REGISTRAR).unwrap();
    let usages = extension::encode_ext_key_usage(&[oid::KP_CLIENT_AUTH, oid::KP_CMC_RA]);
    let tbs = TbsCertificate {
        serial: serial().octets(),
        signature: signer.algorithm().identifier(),
        issuer: root.subject(),
        validity,
        subject: &Name::from_rdns(&[vec![serial_number]]),
        spki_der: key.public_key().der(),
        extensions: &[Extension { oid: oid::EXT_KEY_USAGE, critical: false, value: usages }],
    }
    .encode();
    let signature = signer.sign(&tbs).unwrap();
    let certificate = encode_certificate(&tbs, signer.algorithm().identifier(), &signature);
    (root, Device { key, certificate })
}

#[test]
fn only_listed_registrars_get_a_certificate_with_the_usage() {
    let world = World::new();
    let body = request(key().as_ref(), &Name::empty(), &[]);
    let enroll = |device: &Device| world.enroll_at("registrars", Operation::SimpleEnroll, &device.session(), &body);
    assert_eq!(code(enroll(&world.birth("SN-1", KeyType::P256))), RejectionCode::DeviceNotListed);
    let registrar = registrar(&world);
    let usages = registrar.certificate().ext_key_usage().unwrap().unwrap();
    assert_eq!(usages, [oid::KP_CLIENT_AUTH, oid::KP_CMC_RA]);
    // It renews itself, and may ask for what the profile gives.
    let own = registrar.certificate();
    let asked = Extension { oid: oid::EXT_KEY_USAGE, critical: false, value: extension::encode_ext_key_usage(&usages) };
    let extensions = [alt_names(&own.subject_alt_names(9).unwrap()), asked];
    let body = request(key().as_ref(), own.subject(), &extensions);
    assert!(world.enroll_at("registrars", Operation::SimpleReenroll, &registrar.session(), &body).is_ok());
}

#[test]
fn a_registrar_in_bad_standing_speaks_for_nobody() {
    let world = world_with(|label| label.rules.renewal_grace = TimeDelta::days(30));
    let registrar = registrar(&world);
    let enroll =
        |device: &Device| world.enroll(Operation::SimpleEnroll, &device.session(), &body_for(key().as_ref(), "SN-1"));
    let set = |state| world.ra.set_device_state(&grant("acme"), REGISTRAR, state, None).unwrap().1.wait().unwrap();
    set(DeviceState::Suspended);
    assert_eq!(code(enroll(&registrar)), RejectionCode::DeviceSuspended);
    set(DeviceState::Active);
    assert!(enroll(&registrar).is_ok());

    // Renewed, and seen with the new one: the old one is over.
    let own = registrar.certificate();
    let renew = |device: &Device| {
        let new = key();
        let extensions = [alt_names(&own.subject_alt_names(9).unwrap())];
        let body = request(new.as_ref(), own.subject(), &extensions);
        let pending = world.enroll_at("registrars", Operation::SimpleReenroll, &device.session(), &body).unwrap();
        Device { key: new, certificate: issued(&pending) }
    };
    let renewed = renew(&registrar);
    assert!(enroll(&registrar).is_ok(), "the answer may have been lost");
    let newest = renew(&renewed);
    assert_eq!(code(enroll(&registrar)), RejectionCode::Superseded);
    assert!(enroll(&newest).is_ok());

    // The grace is for renewals of its own.
    world.clock.advance(TimeDelta::days(400));
    assert_eq!(code(enroll(&newest)), RejectionCode::NotInValidity);
}

/// POP-13.
#[test]
fn a_registrar_may_hand_in_what_is_linked_elsewhere_where_the_label_says_so() {
    let linked = |password: &str| {
        let key = key();
        let (subject, extensions) = names("SN-1");
        let value = AttributeTypeAndValue::from_text(oid::AT_COMMON_NAME, password).unwrap().value;
        let attributes = [
            Attribute { oid: oid::CHALLENGE_PASSWORD, values: vec![value] },
            Attribute { oid: oid::EXTENSION_REQUEST, values: vec![extension::encode_extensions(&extensions)] },
        ];
        request_with(key.as_ref(), &subject, &attributes)
    };
    let elsewhere = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
    for (foreign_linking, rule) in [(false, IdentityLinking::IfPresent), (true, IdentityLinking::Required)] {
        let world = world_with(|label| {
            label.rules.identity_linking = rule;
            label.rules.ra.foreign_linking = foreign_linking;
        });
        let on_its_own_connection =
            |device: &Device| device.session().bound_to(Some(ChannelBinding::TlsExporter([9; 32])));
        let ra = on_its_own_connection(&registrar(&world));
        let outcome = world.enroll(Operation::SimpleEnroll, &ra, &linked(elsewhere));
        if foreign_linking {
            outcome.unwrap();
        } else {
            assert_eq!(code(outcome), RejectionCode::IdentityLinking);
        }
        // Never from others.
        let device = on_its_own_connection(&world.birth("SN-1", KeyType::P256));
        let refused = code(world.enroll(Operation::SimpleEnroll, &device, &linked(elsewhere)));
        assert_eq!(refused, RejectionCode::IdentityLinking);
    }
}

#[test]
fn what_a_registrar_asks_for_waits_for_an_operator_like_all_else() {
    let world = world_with(|label| label.registration.rule = RegistrationRule::Approval);
    let ra = registrar_of_an_approving_tenant(&world);
    let body = body_for(key().as_ref(), "SN-1");
    let pending = world.enroll_at("devices", Operation::SimpleEnroll, &ra, &body).unwrap();
    assert!(matches!(pending.response.body, ResponseBody::Deferred { .. }));
    let waiting = PendingRequest::find(world.store.as_ref(), "acme", &pending.waits.unwrap()).unwrap().unwrap();
    assert_eq!((waiting.device.as_str(), waiting.ra.as_deref()), ("SN-1", Some(REGISTRAR)));
    let approved = estd::store::approval::Decision::Approved;
    world.ra.decide_request(&grant("acme"), &waiting.request, approved).unwrap().wait().unwrap();
    assert!(world.enroll(Operation::SimpleEnroll, &ra, &body).is_ok());
}

fn registrar_of_an_approving_tenant(world: &World) -> PeerSession {
    let rows = [estd::ra::Listing { id: REGISTRAR.into(), tags: Vec::new() }];
    world.ra.list_devices(&grant("acme"), &rows, false).unwrap().wait().unwrap();
    registrar(world).session()
}

#[test]
fn csrattrs_tell_a_registrar_no_names() {
    let world = world_with(|_| ());
    let ra = registrar(&world);
    let body = |session: &PeerSession| world.ra.csr_attrs(world.label("devices"), session).body;
    assert!(matches!(body(&ra.session()), ResponseBody::CsrAttrs { tailored: false, .. }));
    let chain = PresentedChain::possession_proven(vec![world.birth("SN-1", KeyType::P256).certificate]);
    assert!(matches!(body(&PeerSession::new(chain, String::new())), ResponseBody::CsrAttrs { tailored: true, .. }));
}

/// An RA speaks for devices; that it may have their private keys does not follow.
#[test]
fn no_key_is_made_for_a_device_at_the_word_of_a_registrar() {
    let world = world_with(|label| {
        let rules = KeyGenerationRules {
            plaintext: true,
            birth_certificates: true,
            shared_keys: Vec::new(),
            certificates: Vec::new(),
        };
        let generator = Arc::new(KeyGenerator::new(Arc::clone(&label.authority)));
        label.key_generation = Some(KeyGeneration { rules: Arc::new(rules), generator });
    });
    let ra = registrar(&world).session().behind_cipher(Some(256));
    let refused = code(world.enroll(Operation::ServerKeyGen, &ra, &body_for(key().as_ref(), "SN-1")));
    assert_eq!(refused, RejectionCode::KeyGenerationDenied);
}
