//! The decision to issue, end to end through the core: who gets what, who gets nothing, and what is left behind.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

#[path = "support/world.rs"]
mod world;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use chrono::TimeDelta;
use estd::audit::AuditOutcome;
use estd::ca::{CertificateAuthority, IssuanceFault, Signer, SignerError, SoftwareSigner, ceremony};
use estd::est::{ChannelBinding, Label, Operation, PresentedChain, RejectionCode, ResponseBody};
use estd::pki::profile::EnrollmentProfile;
use estd::pki::public_key::KeyType;
use estd::pki::revocation::RevocationReason;
use estd::pki::signature::SignatureAlgorithm;
use estd::pki::trust::TrustAnchors;
use estd::policy::IdentityLinking;
use estd::ra::{Fault, LabelContext, PeerSession, Refusal, RegistrationAuthority};
use estd::store::memory::MemoryStore;
use estd::store::{CertificateId, CertificateStatus, CertificateStore, StoreFault};
use estd_asn1::csr_attrs::{self, AttrOrOid};
use estd_asn1::{
    Attribute, BasicConstraints, Certificate, Extension, GeneralName, KeyUsage, Name, Oid, SubjectPublicKeyInfo,
    extension, oid,
};
use world::*;

fn fresh_key() -> Box<dyn Signer> {
    device_key(KeyType::P256)
}

/// The code of a refusal that left exactly one audit event and no other trace.
fn refused(world: &World, attempt: impl FnOnce() -> Result<Vec<u8>, Refusal>) -> RejectionCode {
    let before = (world.store.events().len(), world.store.certificate_count().unwrap(), world.entropy.drawn());
    let Err(Refusal::Rejected(rejection)) = attempt() else { panic!("it was not refused") };
    let events = world.store.events();
    let after = (events.len() - 1, world.store.certificate_count().unwrap(), world.entropy.drawn());
    assert_eq!(before, after, "a refusal leaves one event, no record, no serial");
    let AuditOutcome::Refused { code, .. } = &events.last().unwrap().outcome else { panic!("another event") };
    assert_eq!(*code, rejection.code());
    assert!(!rejection.reason().is_empty() && !rejection.reason().contains('\n'));
    rejection.code()
}

#[test]
fn every_device_key_under_every_ca_key_gets_a_certificate_with_the_name_its_birth_certificate_proves() {
    const KEYS: [KeyType; 5] = [KeyType::P256, KeyType::P384, KeyType::P521, KeyType::Ed25519, KeyType::Rsa];
    for ca_key in [KeyType::P256, KeyType::P384, KeyType::Ed25519, KeyType::Rsa] {
        let world = World::with(ca_key, |_| (), |_| ());
        for (index, key_type) in KEYS.into_iter().enumerate() {
            let device = world.birth(&format!("SN-{index}"), KeyType::P256);
            let operational = world.operational(&device, key_type);
            let certificate = operational.certificate();
            assert_eq!(certificate.subject().to_string(), format!("O=Acme,CN=SN-{index}"));
            assert_eq!(certificate.issuer().der(), world.label("devices").authority.certificate().subject().der());
            assert_eq!(certificate.subject_alt_names(9).unwrap(), [GeneralName::Uri(format!("urn:acme:SN-{index}"))]);
            assert_eq!(certificate.public_key().der(), operational.key.public_key().der());
            assert!(!certificate.basic_constraints().unwrap().unwrap_or_default().ca);
        }
    }
}

#[test]
fn birth_keys_of_every_kind_are_welcome() {
    let world = World::new();
    for (index, key_type) in
        [KeyType::P256, KeyType::P384, KeyType::P521, KeyType::Ed25519, KeyType::Rsa].into_iter().enumerate()
    {
        world.operational(&world.birth(&format!("B-{index}"), key_type), KeyType::P256);
    }
}

#[test]
fn a_request_may_name_the_device_itself_and_nobody_else() {
    let world = World::new();
    let device = world.birth("SN-1", KeyType::P256);
    let enroll = |subject: &Name, extensions: &[Extension]| {
        world.enroll(Operation::SimpleEnroll, &device.session(), &request(fresh_key().as_ref(), subject, extensions))
    };
    let own = common_name("SN-1");
    assert!(enroll(&own, &[]).is_ok());
    assert!(enroll(device.certificate().subject(), &[]).is_ok(), "the subject of the birth certificate");
    let asked = alt_names(&[GeneralName::DnsName("sn-1.ACME.example".into())]);
    let certificate = Certificate::decode(&enroll(&own, &[asked]).unwrap()).unwrap();
    let names = certificate.subject_alt_names(9).unwrap();
    assert_eq!(names.len(), 2, "the optional name was asked for");

    assert_eq!(refused(&world, || enroll(&common_name("SN-2"), &[])), RejectionCode::IdentityMismatch);
    for foreign in [
        GeneralName::DnsName("sn-2.acme.example".into()),
        GeneralName::Uri("urn:acme:SN-2".into()),
        GeneralName::Rfc822Name("root@acme.example".into()),
        GeneralName::IpAddress(vec![192, 0, 2, 7]),
        GeneralName::RegisteredId(oid::KP_CLIENT_AUTH),
        GeneralName::DirectoryName(common_name("SN-2")),
        GeneralName::OtherName { type_id: oid::HARDWARE_MODULE_NAME, value: vec![0x05, 0x00] },
    ] {
        let extensions = [alt_names(std::slice::from_ref(&foreign))];
        let code = refused(&world, || enroll(&own, &extensions));
        assert!(matches!(code, RejectionCode::IdentityMismatch | RejectionCode::BadName), "{foreign}: {code:?}");
    }
}

#[test]
fn privileges_are_refused() {
    let world = World::new();
    let device = world.birth("SN-1", KeyType::P256);
    let extension = |oid, value| Extension { oid, critical: true, value };
    let usage = |usage: KeyUsage| extension(oid::KEY_USAGE, usage.encode());
    let purpose = |purposes: &[Oid]| extension(oid::EXT_KEY_USAGE, extension::encode_ext_key_usage(purposes));
    let session = device.session();
    let enroll = |extension: Extension| {
        world.enroll(Operation::SimpleEnroll, &session, &request(fresh_key().as_ref(), &Name::empty(), &[extension]))
    };
    for wish in [
        extension(oid::BASIC_CONSTRAINTS, BasicConstraints { ca: true, path_len: None }.encode()),
        usage(KeyUsage::KEY_CERT_SIGN.union(KeyUsage::DIGITAL_SIGNATURE)),
        usage(KeyUsage::CRL_SIGN),
        // RFC 5272 §3.1: never digitalSignature for somebody who asked for keyAgreement.
        usage(KeyUsage::KEY_AGREEMENT),
        purpose(&[oid::KP_CLIENT_AUTH, oid::KP_OCSP_SIGNING]),
        purpose(&[oid::ANY_EXTENDED_KEY_USAGE]),
        purpose(&[oid::KP_CMC_RA]),
        purpose(&[oid::KP_SERVER_AUTH]),
        extension(oid::NAME_CONSTRAINTS, vec![0x30, 0x00]),
        extension(oid::KP_CLIENT_AUTH, vec![0x05, 0x00]),
    ] {
        let shown = wish.oid.to_string();
        assert_eq!(refused(&world, || enroll(wish)), RejectionCode::ExtensionNotAllowed, "{shown}");
    }
    // What a client copies out of an old certificate does no harm.
    let harmless = Extension { oid: oid::SUBJECT_KEY_IDENTIFIER, critical: false, value: vec![0x04, 0x01, 0x00] };
    assert!(enroll(harmless).is_ok());
    assert!(enroll(usage(KeyUsage::DIGITAL_SIGNATURE.union(KeyUsage::KEY_AGREEMENT))).is_ok());
}

#[test]
fn nobody_enrolls_without_a_certificate_that_leads_to_the_label() {
    let world = World::new();
    let body = request(fresh_key().as_ref(), &Name::empty(), &[]);
    let enroll = |label: &str, session: &PeerSession| {
        world.enroll_at(label, Operation::SimpleEnroll, session, &body).map(|pending| issued(&pending))
    };
    let nobody = PeerSession::new(None, "192.0.2.1:4711".into());
    assert_eq!(refused(&world, || enroll("devices", &nobody)), RejectionCode::AuthMissing);

    let stranger = birth_of_a_stranger();
    assert_eq!(refused(&world, || enroll("devices", &stranger.session())), RejectionCode::Untrusted);

    // Both ways: the other tenant's manufacturer, and the other tenant's operational certificate.
    let theirs = birth_of(&world.other_maker);
    let ours = world.birth("SN-1", KeyType::P256);
    assert_eq!(refused(&world, || enroll("devices", &theirs.session())), RejectionCode::CrossTenant);
    assert_eq!(refused(&world, || enroll("other", &ours.session())), RejectionCode::CrossTenant);
    let operational = world.operational(&ours, KeyType::P256);
    assert_eq!(refused(&world, || enroll("other", &operational.session())), RejectionCode::CrossTenant);
    // Another label of the same tenant and the same authority.
    assert_eq!(refused(&world, || enroll("second", &operational.session())), RejectionCode::CrossTenant);

    let ca = PresentedChain::possession_proven(vec![world.maker.certificate().der().to_vec()]);
    let ca = PeerSession::new(ca, String::new());
    assert_eq!(refused(&world, || enroll("devices", &ca)), RejectionCode::CertificateUsage);
}

#[test]
fn an_expired_manufacturer_vouches_for_nobody() {
    let world = World::new();
    let device = world.birth("SN-1", KeyType::P256);
    let session = device.session();
    let body = request(fresh_key().as_ref(), &Name::empty(), &[]);
    assert!(world.enroll(Operation::SimpleEnroll, &session, &body).is_ok());
    // The birth certificate itself never ends; the session stays open across the end of its CA.
    world.clock.advance(TimeDelta::days(3651));
    let code = refused(&world, || world.enroll(Operation::SimpleEnroll, &session, &body));
    assert_eq!(code, RejectionCode::NotInValidity);
}

#[test]
fn a_renewal_keeps_subject_and_names_with_the_old_key_or_a_new_one_on_either_path() {
    let world = World::new();
    let current = world.operational(&world.birth("SN-1", KeyType::P256), KeyType::P256);
    let certificate = current.certificate();
    let names = alt_names(&certificate.subject_alt_names(9).unwrap());
    for operation in [Operation::SimpleReenroll, Operation::SimpleEnroll] {
        let rekey = fresh_key();
        for key in [&current.key, &rekey] {
            let body = request(key.as_ref(), certificate.subject(), std::slice::from_ref(&names));
            let renewed = world.enroll(operation, &current.session(), &body).unwrap();
            let renewed = Certificate::decode(&renewed).unwrap();
            assert_eq!(renewed.subject().der(), certificate.subject().der());
            assert_eq!(renewed.subject_alt_names(9).unwrap(), certificate.subject_alt_names(9).unwrap());
            assert_ne!(renewed.serial(), certificate.serial());
            let id = CertificateId {
                issuer: world.label("devices").authority.issuer_id(),
                serial: renewed.serial().to_vec(),
            };
            let record = world.store.certificate(&id).unwrap().unwrap();
            assert_eq!(record.device, "SN-1");
            assert_eq!(record.renews.as_ref().unwrap().serial, certificate.serial());
        }
    }
}

/// EST-4.2.2-10
#[test]
fn a_renewal_is_of_the_profile_of_today_and_leaves_the_certificate_before_it_as_it_is() {
    let mut world = World::new();
    let current = world.operational(&world.birth("SN-1", KeyType::P256), KeyType::P256);
    let certificate = current.certificate();
    let purposes = |certificate: &Certificate| certificate.ext_key_usage().unwrap().unwrap();
    assert_eq!(purposes(&certificate), [oid::KP_CLIENT_AUTH]);

    let purposes_of_today = vec![oid::KP_CLIENT_AUTH, oid::KP_SERVER_AUTH];
    let today = EnrollmentProfile { ext_key_usage: purposes_of_today.clone(), ..profile() };
    let today = Arc::new(today.check().unwrap());
    let labels = world.ra.labels().map(|label| {
        let mut label = share(label);
        label.rules.profile = Arc::clone(&today);
        label
    });
    let default_label = Label::parse("devices").unwrap();
    let labels = labels.collect();
    world.ra = RegistrationAuthority::new(labels, Some(&default_label), &[], world.ra.ports().clone()).unwrap();
    let names = alt_names(&certificate.subject_alt_names(9).unwrap());
    let body = request(fresh_key().as_ref(), certificate.subject(), &[names]);
    let renewed = world.enroll(Operation::SimpleReenroll, &current.session(), &body).unwrap();
    let renewed = Certificate::decode(&renewed).unwrap();
    assert_eq!(purposes(&renewed), purposes_of_today);
    for certificate in [&certificate, &renewed] {
        let status = world.store.status(&world.id(certificate)).unwrap();
        assert!(matches!(status, CertificateStatus::Good { .. }), "{status:?}");
    }
}

#[test]
fn a_renewal_of_another_subject_or_other_names_is_refused_however_they_are_spelt() {
    let world = World::new();
    let current = world.operational(&world.birth("SN-1", KeyType::P256), KeyType::P256);
    let subject = current.certificate().subject().clone();
    let uri = GeneralName::Uri("urn:acme:SN-1".into());
    let session = current.session();
    let renew = |subject: &Name, extensions: &[Extension]| {
        world.enroll(Operation::SimpleReenroll, &session, &request(fresh_key().as_ref(), subject, extensions))
    };
    for other in [Name::empty(), common_name("SN-1"), common_name("SN-2")] {
        let code = refused(&world, || renew(&other, &[alt_names(std::slice::from_ref(&uri))]));
        assert_eq!(code, RejectionCode::SubjectMismatch, "{other}");
    }
    let more = GeneralName::DnsName("sn-1.acme.example".into());
    for names in [vec![], vec![alt_names(std::slice::from_ref(&more))], vec![alt_names(&[uri.clone(), more])]] {
        assert_eq!(refused(&world, || renew(&subject, &names)), RejectionCode::SubjectAltNameMismatch);
    }
    // RFC 5280 §7.1: case and string type do not make another name; the certificate keeps the old encoding.
    let shouted = Name::from_rdns(&[
        vec![estd_asn1::AttributeTypeAndValue { oid: oid::AT_COMMON_NAME, value: b"\x13\x04sn-1".to_vec() }],
        vec![estd_asn1::AttributeTypeAndValue { oid: oid::AT_ORGANIZATION_NAME, value: b"\x13\x04ACME".to_vec() }],
    ]);
    let renewed = Certificate::decode(&renew(&shouted, &[alt_names(&[uri])]).unwrap()).unwrap();
    assert_eq!(renewed.subject().der(), subject.der());
}

#[test]
fn only_a_certificate_issued_here_renews() {
    let world = World::new();
    let device = world.birth("SN-1", KeyType::P256);
    let body = request(fresh_key().as_ref(), device.certificate().subject(), &[]);
    let code = refused(&world, || world.enroll(Operation::SimpleReenroll, &device.session(), &body));
    assert_eq!(code, RejectionCode::NotRenewable);
}

#[test]
fn a_revoked_certificate_neither_renews_nor_enrolls_on_an_open_connection() {
    let world = World::new();
    let current = world.operational(&world.birth("SN-1", KeyType::P256), KeyType::P256);
    let session = current.session();
    let names = alt_names(&[GeneralName::Uri("urn:acme:SN-1".into())]);
    let renew = |operation| {
        let body = request(fresh_key().as_ref(), current.certificate().subject(), std::slice::from_ref(&names));
        world.enroll(operation, &session, &body)
    };
    assert!(renew(Operation::SimpleReenroll).is_ok());
    world.revoke(&current.certificate(), RevocationReason::KeyCompromise);
    for operation in [Operation::SimpleReenroll, Operation::SimpleEnroll] {
        assert_eq!(refused(&world, || renew(operation)), RejectionCode::Revoked);
    }
}

#[test]
fn an_expired_certificate_renews_within_the_grace_of_its_label_and_not_a_second_longer() {
    let grace = TimeDelta::days(7);
    let world = World::with(KeyType::P256, |_| (), |label| label.rules.renewal_grace = grace);
    let current = world.operational(&world.birth("SN-1", KeyType::P256), KeyType::P256);
    let names = alt_names(&[GeneralName::Uri("urn:acme:SN-1".into())]);
    let renew = || {
        let body = request(fresh_key().as_ref(), current.certificate().subject(), std::slice::from_ref(&names));
        world.enroll(Operation::SimpleReenroll, &current.session(), &body)
    };
    let end = current.certificate().validity().not_after;
    world.clock.advance(end - estd::clock::Clock::now(world.clock.as_ref()) + grace);
    assert!(renew().is_ok());
    world.clock.advance(TimeDelta::seconds(1));
    assert_eq!(refused(&world, renew), RejectionCode::NotInValidity);
}

#[test]
fn a_lost_answer_is_given_again_and_a_later_request_is_a_new_one() {
    let world = World::new();
    let device = world.birth("SN-1", KeyType::P256);
    let key = fresh_key();
    // Signed anew each time, as clients that retry do: the bytes differ, the request is the same.
    let enroll = || {
        let body = request(key.as_ref(), &Name::empty(), &[]);
        world.enroll(Operation::SimpleEnroll, &device.session(), &body).unwrap()
    };
    let first = enroll();
    assert_eq!(enroll(), first);
    assert_eq!(world.store.certificate_count().unwrap(), 1);
    world.clock.advance(TimeDelta::minutes(10) + TimeDelta::seconds(1));
    assert_ne!(enroll(), first);
    assert_eq!(world.store.certificate_count().unwrap(), 2);
}

#[test]
fn the_same_request_many_times_at_once_gets_one_certificate() {
    let world = World::new();
    let device = world.birth("SN-1", KeyType::P256);
    let body = request(fresh_key().as_ref(), &Name::empty(), &[]);
    let certificates: std::collections::HashSet<Vec<u8>> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..8)
            .map(|_| scope.spawn(|| world.enroll(Operation::SimpleEnroll, &device.session(), &body).unwrap()))
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert_eq!((certificates.len(), world.store.certificate_count().unwrap()), (1, 1));
}

#[test]
fn a_key_belongs_to_one_device_and_never_to_a_ca() {
    let world = World::new();
    let key = fresh_key();
    let body = request(key.as_ref(), &Name::empty(), &[]);
    let first = world.birth("SN-1", KeyType::P256).session();
    let second = world.birth("SN-2", KeyType::P256).session();
    assert!(world.enroll(Operation::SimpleEnroll, &first, &body).is_ok());
    let code = refused(&world, || world.enroll(Operation::SimpleEnroll, &second, &body));
    assert_eq!(code, RejectionCode::KeyInUse);
}

#[test]
fn a_profile_may_demand_a_new_key_at_each_renewal() {
    let world = World::with(KeyType::P256, |profile| profile.allow_key_reuse = false, |_| ());
    let current = world.operational(&world.birth("SN-1", KeyType::P256), KeyType::P256);
    let names = [alt_names(&[GeneralName::Uri("urn:acme:SN-1".into())])];
    let subject = current.certificate().subject().clone();
    let renew =
        |key: &dyn Signer| world.enroll(Operation::SimpleReenroll, &current.session(), &request(key, &subject, &names));
    assert_eq!(refused(&world, || renew(current.key.as_ref())), RejectionCode::KeyNotAllowed);
    let second = fresh_key();
    assert!(renew(second.as_ref()).is_ok());
    assert!(renew(second.as_ref()).is_ok(), "the answer was lost");
    assert!(renew(fresh_key().as_ref()).is_ok());
    world.clock.advance(TimeDelta::hours(1));
    assert_eq!(
        refused(&world, || renew(second.as_ref())),
        RejectionCode::KeyNotAllowed,
        "a key of the past is no new one"
    );
    let birth = world.birth("SN-2", KeyType::P256);
    let own = request(birth.key.as_ref(), &Name::empty(), &[]);
    let code = refused(&world, || world.enroll(Operation::SimpleEnroll, &birth.session(), &own));
    assert_eq!(code, RejectionCode::KeyNotAllowed, "nor is the key of the birth certificate");
}

#[test]
fn requests_that_prove_nothing_are_refused() {
    let world = World::new();
    let session = world.birth("SN-1", KeyType::P256).session();
    let good = request(fresh_key().as_ref(), &Name::empty(), &[]);
    let mut forged = good.clone();
    *forged.last_mut().unwrap() ^= 1;
    assert_eq!(
        refused(&world, || world.enroll(Operation::SimpleEnroll, &session, &forged)),
        RejectionCode::PossessionInvalid
    );
    let mut trailing = good.clone();
    trailing.push(0);
    for body in [&trailing[..], &good[..good.len() - 1], b"", b"\x30\x80\x00\x00"] {
        assert_eq!(
            refused(&world, || world.enroll(Operation::SimpleEnroll, &session, body)),
            RejectionCode::BadRequestSyntax
        );
    }
}

#[test]
fn what_the_disk_did_not_take_was_never_answered_and_leaves_no_trace() {
    let world = World::on(MemoryStore::holding_back());
    let device = world.birth("SN-1", KeyType::P256);
    let body = request(fresh_key().as_ref(), &Name::empty(), &[]);
    let enroll = || world.enroll_at("devices", Operation::SimpleEnroll, &device.session(), &body).unwrap();
    let (first, again) = (enroll(), enroll());
    assert_eq!(issued(&first), issued(&again), "a repeat joins the record that is on its way");
    world.store.settle(Err(StoreFault::Closed));
    for pending in [first, again] {
        let fault = Fault::from(pending.receipt.wait().unwrap_err());
        assert!(fault.retry_after().is_some(), "the device is told to come back");
    }
    assert_eq!(world.store.certificate_count().unwrap(), 0);
    let second = enroll();
    world.store.settle(Ok(()));
    second.receipt.wait().unwrap();
    assert_eq!(world.store.certificate_count().unwrap(), 1);
}

#[test]
fn no_certificate_outlives_its_ca() {
    let world = World::new();
    world.clock.advance(TimeDelta::days(3500));
    let operational = world.operational(&world.birth("SN-1", KeyType::P256), KeyType::P256);
    let ca_end = world.label("devices").authority.certificate().validity().not_after;
    assert_eq!(operational.certificate().validity().not_after, ca_end);
}

/// A key in a device of its own that goes wrong when told to.
struct WornHsm {
    key: SoftwareSigner,
    worn: Arc<AtomicBool>,
}

impl Signer for WornHsm {
    fn algorithm(&self) -> SignatureAlgorithm {
        self.key.algorithm()
    }

    fn public_key(&self) -> &SubjectPublicKeyInfo {
        self.key.public_key()
    }

    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, SignerError> {
        self.key.sign(if self.worn.load(Ordering::SeqCst) { b"something else" } else { message })
    }
}

#[test]
fn a_wrong_signature_of_an_external_signer_is_a_fault_and_leaves_no_record() {
    let worn = Arc::new(AtomicBool::new(false));
    let world = World::with(
        KeyType::P256,
        |_| (),
        |label| {
            let key = SoftwareSigner::generate(KeyType::P256).unwrap().0;
            let hsm = WornHsm { key, worn: Arc::clone(&worn) };
            let validity = label.authority.certificate().validity();
            let name = common_name("In hardware");
            let certificate = ceremony::self_signed_ca(&hsm, &name, validity, None, &serial()).unwrap();
            label.authority = Arc::new(CertificateAuthority::new(certificate, Vec::new(), Arc::new(hsm)).unwrap());
        },
    );
    let session = world.birth("SN-1", KeyType::P256).session();
    let body = request(fresh_key().as_ref(), &Name::empty(), &[]);
    worn.store(true, Ordering::SeqCst);
    let outcome = world.enroll(Operation::SimpleEnroll, &session, &body);
    assert!(matches!(outcome, Err(Refusal::Fault(Fault::Issuance(IssuanceFault::BadSignature(_))))));
    assert_eq!(world.store.certificate_count().unwrap(), 0);
    worn.store(false, Ordering::SeqCst);
    assert!(world.enroll(Operation::SimpleEnroll, &session, &body).is_ok(), "the claim was given back");
}

/// What a client puts into challengePassword or estIdentityLinking.
fn challenge(oid: Oid, text: &str) -> Attribute {
    let value = [&[0x13, u8::try_from(text.len()).unwrap()], text.as_bytes()].concat();
    Attribute { oid, values: vec![value] }
}

#[test]
fn a_request_is_linked_to_its_own_connection_as_its_label_asks() {
    const UNIQUE: ChannelBinding = ChannelBinding::TlsUnique([0x5a; 12]);
    const RIGHT: &str = "WlpaWlpaWlpaWlpa";
    const WRONG: &str = "W1paWlpaWlpaWlpa";
    let attempts = |attributes: Vec<Attribute>, binding: Option<ChannelBinding>| {
        [IdentityLinking::Off, IdentityLinking::IfPresent, IdentityLinking::Required].map(|rule| {
            let world = World::with(KeyType::P256, |_| (), |label| label.rules.identity_linking = rule);
            let session = world.birth("SN-1", KeyType::P256).session().bound_to(binding);
            let body = request_with(fresh_key().as_ref(), &Name::empty(), &attributes);
            let enroll = || world.enroll(Operation::SimpleEnroll, &session, &body);
            let issued = enroll().is_ok();
            assert!(issued || refused(&world, enroll) == RejectionCode::IdentityLinking);
            issued
        })
    };
    let password = |text| challenge(oid::CHALLENGE_PASSWORD, text);
    let linking = |text| challenge(oid::EST_IDENTITY_LINKING, text);
    assert_eq!(attempts(vec![], Some(UNIQUE)), [true, true, false]);
    assert_eq!(attempts(vec![password(RIGHT)], Some(UNIQUE)), [true, true, true]);
    assert_eq!(attempts(vec![password(WRONG)], Some(UNIQUE)), [true, false, false]);
    assert_eq!(attempts(vec![password("a secret of SCEP")], Some(UNIQUE)), [true, false, false]);
    // Where TLS ends elsewhere there is nothing to compare with.
    assert_eq!(attempts(vec![password(RIGHT)], None), [true, false, false]);
    // A value of another connection.
    assert_eq!(attempts(vec![password(RIGHT)], Some(ChannelBinding::TlsUnique([0; 12]))), [true, false, false]);
    // RFC 7894 section 4: each on its own.
    assert_eq!(attempts(vec![linking(RIGHT)], Some(UNIQUE)), [true, true, true]);
    assert_eq!(attempts(vec![password(RIGHT), linking(RIGHT)], Some(UNIQUE)), [true, true, true]);
    assert_eq!(attempts(vec![password(RIGHT), linking(WRONG)], Some(UNIQUE)), [true, false, false]);
    assert_eq!(attempts(vec![password(WRONG), linking(RIGHT)], Some(UNIQUE)), [true, false, false]);
}

#[test]
fn csrattrs_name_the_device_to_itself_alone_and_refuse_nobody() {
    let world = World::new();
    let extensions = |session: &PeerSession| {
        let response = world.ra.csr_attrs(world.label("devices"), session);
        let ResponseBody::CsrAttrs { attrs, tailored } = response.body else { panic!("another answer") };
        assert_eq!(attrs.is_some(), tailored, "this profile asks nothing of everybody");
        attrs.map(|der| match csr_attrs::decode(&der, 1).unwrap().remove(0) {
            AttrOrOid::Attribute(attribute) => extension::decode_extensions(&attribute.values[0], 1).unwrap(),
            AttrOrOid::Oid(oid) => panic!("{oid}"),
        })
    };
    let birth = world.birth("SN-1", KeyType::P256);
    let names = [GeneralName::Uri("urn:acme:SN-1".into())];
    assert_eq!(extensions(&birth.session()), Some(vec![alt_names(&names)]));
    let operational = world.operational(&birth, KeyType::P256);
    assert_eq!(extensions(&operational.session()), Some(vec![alt_names(&names)]));

    let stranger = birth_of_a_stranger();
    let theirs = birth_of(&world.other_maker);
    for session in [PeerSession::new(None, String::new()), stranger.session(), theirs.session()] {
        assert_eq!(extensions(&session), None);
    }
    assert!(world.store.events().iter().all(|event| event.operation != "csrattrs"), "asking leaves no trace");
}

fn birth_of_a_stranger() -> Device {
    birth_of(&authority("Unknown CA", KeyType::P256, START.parse().unwrap()))
}

fn birth_of(maker: &CertificateAuthority) -> Device {
    birth(maker, "SN-1", KeyType::P256, START.parse().unwrap())
}

#[test]
fn a_key_whose_certificate_was_revoked_for_compromise_is_never_certified_again() {
    for (reason, compromised) in [(RevocationReason::KeyCompromise, true), (RevocationReason::Superseded, false)] {
        let world = World::new();
        let birth = world.birth("SN-1", KeyType::P256);
        let operational = world.operational(&birth, KeyType::P256);
        world.revoke(&operational.certificate(), reason);
        let again = request(operational.key.as_ref(), &Name::empty(), &[]);
        let enroll = || world.enroll(Operation::SimpleEnroll, &birth.session(), &again);
        if compromised {
            assert_eq!(refused(&world, enroll), RejectionCode::KeyCompromised);
        } else {
            assert!(enroll().is_ok());
        }
        assert!(
            world
                .enroll(Operation::SimpleEnroll, &birth.session(), &request(fresh_key().as_ref(), &Name::empty(), &[]))
                .is_ok()
        );
    }
}

#[test]
fn a_key_that_is_listed_is_certified_for_nobody() {
    let mut world = World::new();
    let (birth, leaked, kept) = (world.birth("SN-1", KeyType::P256), fresh_key(), fresh_key());
    let digest = estd::pki::digest::sha256(&[leaked.public_key().der()]);
    let mut keys = estd::pki::blocked_keys::BlockedKeys::default();
    keys.add_list(&digest.map(|octet| format!("{octet:02x}")).concat()).unwrap();
    world.ra = world.ra.refusing_keys(keys);
    let enroll =
        |key: &dyn Signer| world.enroll(Operation::SimpleEnroll, &birth.session(), &request(key, &Name::empty(), &[]));
    assert_eq!(refused(&world, || enroll(leaked.as_ref())), RejectionCode::KeyCompromised);
    assert!(enroll(kept.as_ref()).is_ok());
}

#[test]
fn two_devices_that_come_with_one_key_at_the_same_moment_do_not_both_get_a_certificate() {
    // A slow CA key holds the door between judging and recording open.
    let world = World::with(KeyType::Rsa, |_| (), |_| ());
    for round in 0..20 {
        let key = fresh_key();
        let body = request(key.as_ref(), &Name::empty(), &[]);
        let devices = [0, 1].map(|number| world.birth(&format!("SN-{round}-{number}"), KeyType::P256));
        let barrier = std::sync::Barrier::new(2);
        let issued = std::thread::scope(|scope| {
            let threads = devices.each_ref().map(|device| {
                scope.spawn(|| {
                    let session = device.session();
                    barrier.wait();
                    world.decide("devices", Operation::SimpleEnroll, &session, &body).is_ok()
                })
            });
            threads.map(|thread| thread.join().unwrap())
        });
        assert_eq!(issued.into_iter().filter(|issued| *issued).count(), 1, "round {round}: {issued:?}");
    }
}

#[test]
fn the_keys_of_all_cas_that_are_known_are_certified_for_no_device() {
    let world = World::new();
    let label = world.label("devices");
    let root = label.authority.chain()[0].public_key().clone();
    for ca in [&root, world.maker.certificate().public_key(), world.other_maker.certificate().public_key()] {
        // Nobody can sign for them here: what stands before the key's use is what is tried.
        assert!(world.ra.is_ca_key(ca.der()));
    }
    assert!(!world.ra.is_ca_key(fresh_key().public_key().der()));
}

#[test]
fn what_a_ca_below_the_labels_own_issued_does_not_renew_here() {
    let unconstrained = authority("Wide Issuing CA", KeyType::P256, START.parse().unwrap());
    let certificate = unconstrained.certificate().clone();
    let below = SoftwareSigner::generate(KeyType::P256).unwrap().0;
    let name = common_name("Edge CA");
    let edge =
        ceremony::subordinate_ca(&unconstrained, &name, below.public_key(), certificate.validity(), Some(0), &serial())
            .unwrap();
    let edge_ca = CertificateAuthority::new(edge.clone(), vec![certificate.clone()], Arc::new(below)).unwrap();
    let world = World::with(
        KeyType::P256,
        |_| (),
        |label| label.anchors = Arc::new(TrustAnchors::new(vec![certificate.clone()], Vec::new()).unwrap()),
    );
    let module = birth(&edge_ca, "SN-1", KeyType::P256, START.parse().unwrap());
    let chain = PresentedChain::possession_proven(vec![module.certificate.clone(), edge.der().to_vec()]);
    let session = PeerSession::new(chain, String::new());
    let names = module.certificate().subject().clone();
    let body = request(fresh_key().as_ref(), &names, &[]);
    let code = refused(&world, || world.enroll(Operation::SimpleReenroll, &session, &body));
    assert_eq!(code, RejectionCode::Untrusted);
}

#[test]
fn a_profile_of_cas_makes_a_gateway_a_ca_and_lets_it_ask_for_no_more() {
    let wide = |label: &mut LabelContext| {
        label.authority = Arc::new(authority("Wide Issuing CA", KeyType::P256, START.parse().unwrap()));
    };
    let world = World::with(KeyType::P256, |profile| profile.ca_path_len = Some(1), wide);
    let session = world.birth("SN-1", KeyType::P256).session();
    let asks = |path_len| {
        let constraints = BasicConstraints { ca: true, path_len }.encode();
        let usage = KeyUsage::KEY_CERT_SIGN.union(KeyUsage::CRL_SIGN).encode();
        let extensions = [(oid::BASIC_CONSTRAINTS, constraints), (oid::KEY_USAGE, usage)];
        let extensions = extensions.map(|(oid, value)| Extension { oid, critical: true, value });
        let body = request(fresh_key().as_ref(), &Name::empty(), &extensions);
        world.enroll(Operation::SimpleEnroll, &session, &body)
    };
    for path_len in [None, Some(0), Some(1)] {
        let gateway = Certificate::decode(&asks(path_len).unwrap()).unwrap();
        let constraints = BasicConstraints { ca: true, path_len: Some(1) };
        assert_eq!(gateway.basic_constraints().unwrap(), Some(constraints), "the profile's, whatever was asked");
        assert_eq!(gateway.key_usage().unwrap(), Some(KeyUsage::KEY_CERT_SIGN.union(KeyUsage::CRL_SIGN)));
        assert_eq!(gateway.ext_key_usage().unwrap(), None);
    }
    assert_eq!(refused(&world, || asks(Some(2))), RejectionCode::ExtensionNotAllowed);
    // An authority that may certify no CA does not, whatever the configuration says.
    let narrow = World::with(KeyType::P256, |profile| profile.ca_path_len = Some(0), |_| ());
    let session = narrow.birth("SN-1", KeyType::P256).session();
    let body = request(fresh_key().as_ref(), &Name::empty(), &[]);
    let outcome = narrow.enroll(Operation::SimpleEnroll, &session, &body);
    assert!(matches!(outcome, Err(Refusal::Fault(Fault::Issuance(IssuanceFault::PathLength { path_len: 0 })))));
}

/// X509-16: what would validate nowhere is not issued.
#[test]
fn names_outside_of_the_constraints_of_the_ca_are_refused() {
    use rcgen::{BasicConstraints, CertificateParams, GeneralSubtree, IsCa, KeyPair, KeyUsagePurpose, NameConstraints};
    let constrained = |domain: &str| {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let permitted_subtrees = vec![GeneralSubtree::DnsName(domain.to_owned())];
        params.name_constraints = Some(NameConstraints { permitted_subtrees, excluded_subtrees: Vec::new() });
        let certificate = Certificate::decode(params.self_signed(&key).unwrap().der()).unwrap();
        let signer = Arc::new(SoftwareSigner::from_pem(&key.serialize_pem()).unwrap());
        let authority = Arc::new(CertificateAuthority::new(certificate, Vec::new(), signer).unwrap());
        World::with(KeyType::P256, |_| (), |label| label.authority = Arc::clone(&authority))
    };
    for (domain, expected) in [("acme.example", true), ("lab.example", false)] {
        let world = constrained(domain);
        let session = world.birth("SN-1", KeyType::P256).session();
        let named = [alt_names(&[GeneralName::DnsName("SN-1.acme.example".into())])];
        let body = request(fresh_key().as_ref(), &Name::empty(), &named);
        let enroll = || world.enroll(Operation::SimpleEnroll, &session, &body);
        if expected {
            assert!(enroll().is_ok(), "{domain}");
        } else {
            assert_eq!(refused(&world, enroll), RejectionCode::BadName, "{domain}");
            let bare = request(fresh_key().as_ref(), &Name::empty(), &[]);
            assert!(world.enroll(Operation::SimpleEnroll, &session, &bare).is_ok(), "other kinds are not constrained");
        }
    }
}
