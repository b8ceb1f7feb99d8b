//! Paths, anchors and time, one good chain and every way in which a chain is bad.

use super::*;
use crate::est::PresentedChain;
use crate::pki::digest::sha256;
use crate::pki::public_key::{KeyType, PublicKeyError};
use crate::pki::signature::SignatureError;
use crate::pki::testing::{
    Authority, Draft, TestKey, basic_constraints, common_name, day, ext_key_usage, extension, key_usage,
    subject_alt_name, validity,
};
use aws_lc_rs::rsa::KeySize;
use chrono::TimeDelta;
use estd_asn1::general_name::HardwareModuleName;
use estd_asn1::{AlgorithmIdentifier, Certificate, GeneralName, KeyUsage, Name, Oid, oid};

const NOW: &str = "2026-06-01";

fn chain(certificates: &[&Certificate]) -> PresentedChain {
    let ders = certificates.iter().map(|certificate| certificate.der().to_vec()).collect();
    PresentedChain::possession_proven(ders).unwrap()
}

fn implicit(anchors: &[&Certificate]) -> TrustAnchors {
    TrustAnchors::new(vec![], anchors.iter().map(|anchor| (*anchor).clone()).collect()).unwrap()
}

fn authenticate(anchors: &TrustAnchors, certificates: &[&Certificate]) -> Result<AuthenticatedPeer, TrustError> {
    anchors.authenticate(&chain(certificates), &PathLimits::default(), day(NOW))
}

fn birth() -> Draft {
    Draft::birth(common_name("device"), &TestKey::generate(KeyType::P256))
}

/// The verdict on a birth certificate of a good CA after a change to it.
fn verdict(change: impl FnOnce(&mut Draft)) -> Result<AuthenticatedPeer, TrustError> {
    let root = Authority::root("Birth CA", KeyType::P256);
    let mut draft = birth();
    change(&mut draft);
    authenticate(&implicit(&[&root.certificate]), &[&root.issue(draft)])
}

#[test]
fn birth_certificates_of_every_kind_of_key_and_issuer_are_trusted() {
    let devices: Vec<TestKey> = KeyType::ALL
        .into_iter()
        .map(TestKey::generate)
        .chain([TestKey::rsa(KeySize::Rsa3072), TestKey::rsa(KeySize::Rsa4096)])
        .collect();
    for issuer in KeyType::ALL {
        let root = Authority::root("Birth CA", issuer);
        let anchors = implicit(&[&root.certificate]);
        for key in &devices {
            let leaf = root.issue(Draft::birth(common_name("device"), key));
            let peer = authenticate(&anchors, &[&leaf]).unwrap();
            assert_eq!(peer.class(), AnchorClass::Implicit);
            assert_eq!(peer.fingerprint(), sha256(&[leaf.der()]));
            assert_eq!(peer.certificate(), &leaf);
            assert_eq!(peer.anchor(), &root.certificate);
            assert_eq!(peer.issuer_spki_sha256(), sha256(&[root.certificate.public_key().der()]));
            // notAfter is 99991231235959Z.
            assert_eq!(peer.check_time(day("9990-01-01"), TimeDelta::zero()).unwrap_err(), anchor_expired());
            assert_eq!(peer.check_time(day(NOW), TimeDelta::zero()), Ok(Freshness::Current));
        }
    }
}

fn anchor_expired() -> TrustError {
    TrustError::Expired { member: PathMember::Anchor, not_after: day("2040-01-01") }
}

#[test]
fn a_critical_hardware_module_name_under_an_empty_subject_is_trusted() {
    let module = HardwareModuleName { hw_type: Oid::parse("1.3.6.1.4.1.99999.7").unwrap(), hw_serial_num: vec![1, 2] };
    let name = module.to_general_name();
    let peer = verdict(|draft| {
        draft.subject = Name::empty();
        draft.extensions.push(subject_alt_name(true, std::slice::from_ref(&name)));
    });
    assert_eq!(peer.unwrap().subject_alt_names(), [name]);
}

#[test]
fn intermediates_are_used_in_whatever_order_they_come() {
    let root = Authority::root("Root", KeyType::P384);
    let upper = root.below("Upper");
    let lower = upper.below("Lower");
    let stranger = Authority::root("Stranger", KeyType::P256);
    let leaf = lower.issue(birth());
    let (upper, issuer) = (&upper.certificate, &lower.certificate);
    for order in [vec![&leaf, issuer, upper], vec![&leaf, upper, &stranger.certificate, issuer, &leaf]] {
        let peer = authenticate(&implicit(&[&root.certificate]), &order).unwrap();
        assert_eq!(peer.issuer_spki_sha256(), sha256(&[issuer.public_key().der()]));
    }
    let missing = authenticate(&implicit(&[&root.certificate]), &[&leaf, upper]);
    assert_eq!(missing.unwrap_err(), TrustError::UnknownIssuer { issuer: "CN=Lower".into() });
    // An intermediate may be an anchor: nobody needs the root then.
    assert!(authenticate(&implicit(&[issuer]), &[&leaf]).is_ok());
}

#[test]
fn explicit_anchors_decide_and_need_not_be_self_signed() {
    let root = Authority::root("Root", KeyType::P256);
    let issuing = root.below("Issuing");
    let manufacturer = Authority::root("Birth CA", KeyType::P256);
    let anchors =
        TrustAnchors::new(vec![issuing.certificate.clone()], vec![manufacturer.certificate.clone(), root.certificate])
            .unwrap();
    let class = |leaf: &Certificate, above: &Certificate| authenticate(&anchors, &[leaf, above]).unwrap().class();
    // Under both: by the issuing CA, and by it to the root.
    assert_eq!(class(&issuing.issue(birth()), &issuing.certificate), AnchorClass::Explicit);
    assert_eq!(class(&manufacturer.issue(birth()), &issuing.certificate), AnchorClass::Implicit);
    let another = Authority::root("Another", KeyType::P256);
    assert!(matches!(authenticate(&anchors, &[&another.issue(birth())]), Err(TrustError::UnknownIssuer { .. })));
}

#[test]
fn a_ca_of_the_same_name_is_another_ca() {
    let root = Authority::root("Birth CA", KeyType::P256);
    let twin = Authority::root("Birth CA", KeyType::P256);
    let leaf = twin.issue(birth());
    assert_eq!(authenticate(&implicit(&[&root.certificate]), &[&leaf]).unwrap_err(), TrustError::BadSignature);
    // Both are anchors: the right one is found.
    let peer = authenticate(&implicit(&[&root.certificate, &twin.certificate]), &[&leaf]).unwrap();
    assert_eq!(peer.anchor(), &twin.certificate);
}

#[test]
fn leaves_that_are_no_devices_are_refused() {
    assert_eq!(
        verdict(|draft| draft.extensions.push(basic_constraints(true, None))).unwrap_err(),
        TrustError::CaAsLeaf
    );
    assert!(verdict(|draft| draft.extensions.push(basic_constraints(false, None))).is_ok());
    let with_usage = |usage: KeyUsage| verdict(|draft| draft.extensions = vec![key_usage(usage)]);
    for usage in [KeyUsage::KEY_CERT_SIGN, KeyUsage::CRL_SIGN] {
        let refused = with_usage(usage.union(KeyUsage::DIGITAL_SIGNATURE)).unwrap_err();
        assert_eq!(refused, TrustError::KeyCertSignLeaf);
    }
    assert_eq!(with_usage(KeyUsage::KEY_ENCIPHERMENT).unwrap_err(), TrustError::KeyUsage);
    assert!(verdict(|draft| draft.extensions = vec![]).is_ok());
}

#[test]
fn an_extended_key_usage_must_say_client_auth_itself() {
    let with = |usages: &[Oid]| verdict(|draft| draft.extensions.push(ext_key_usage(usages)));
    let refused = TrustError::ExtKeyUsage { member: PathMember::Leaf };
    for usages in [&[oid::KP_SERVER_AUTH][..], &[oid::ANY_EXTENDED_KEY_USAGE], &[oid::KP_CMC_RA]] {
        assert_eq!(with(usages).unwrap_err(), refused);
    }
    assert!(with(&[oid::KP_SERVER_AUTH, oid::KP_CLIENT_AUTH]).is_ok());
}

#[test]
fn ca_certificates_on_the_path_are_cas() {
    let root = Authority::root("Root", KeyType::P256);
    let anchors = implicit(&[&root.certificate]);
    let below = |change: &dyn Fn(&mut Draft)| {
        let key = TestKey::generate(KeyType::P256);
        let mut draft = Draft::ca("Lower", &key);
        change(&mut draft);
        let lower = Authority { certificate: root.issue(draft), key };
        authenticate(&anchors, &[&lower.issue(birth()), &lower.certificate]).map(|_| ())
    };
    let sign = || key_usage(KeyUsage::KEY_CERT_SIGN);
    assert_eq!(below(&|_| {}), Ok(()));
    assert_eq!(below(&|draft| draft.extensions = vec![basic_constraints(true, None)]), Ok(()));
    assert_eq!(below(&|draft| draft.extensions = vec![sign(), basic_constraints(false, None)]), Err(TrustError::NotCa));
    assert_eq!(below(&|draft| draft.extensions = vec![sign()]), Err(TrustError::NotCa));
    let no_signing = || key_usage(KeyUsage::DIGITAL_SIGNATURE);
    assert_eq!(
        below(&|draft| draft.extensions = vec![no_signing(), basic_constraints(true, None)]),
        Err(TrustError::NotCa)
    );
    assert_eq!(
        below(&|draft| draft.extensions.push(ext_key_usage(&[oid::KP_SERVER_AUTH]))),
        Err(TrustError::ExtKeyUsage { member: PathMember::Intermediate })
    );
    assert_eq!(below(&|draft| draft.extensions.push(ext_key_usage(&[oid::ANY_EXTENDED_KEY_USAGE]))), Ok(()));
    assert_eq!(
        below(&|draft| draft.validity = validity("2020-01-01", "2026-01-01")),
        Err(TrustError::Expired { member: PathMember::Intermediate, not_after: day("2026-01-01") })
    );
    assert_eq!(
        below(&|draft| draft.validity = validity("2026-07-01", "2030-01-01")),
        Err(TrustError::NotYetValid { member: PathMember::Intermediate, not_before: day("2026-07-01") })
    );
    let unknown = || extension(Oid::parse("1.2.3").unwrap(), true, vec![5, 0]);
    assert_eq!(below(&|draft| draft.extensions.push(unknown())), Err(TrustError::CriticalExtension));
}

/// A device that carries an expired certificate of its CA beside the current one is not lost.
#[test]
fn an_expired_intermediate_does_not_hide_its_successor() {
    let root = Authority::root("Root", KeyType::P256);
    let lower = root.below("Lower");
    let draft = |from, to| Draft { validity: validity(from, to), ..Draft::ca("Lower", &lower.key) };
    let old = root.issue(draft("2015-01-01", "2022-01-01"));
    let future = root.issue(draft("2026-07-01", "2046-01-01"));
    let leaf = lower.issue(birth());
    let peer = authenticate(&implicit(&[&root.certificate]), &[&leaf, &old, &future, &lower.certificate]).unwrap();
    assert_eq!(peer.check_time(day(NOW), TimeDelta::zero()), Ok(Freshness::Current));
}

#[test]
fn path_length_constraints_hold_at_the_anchor_and_below() {
    let constrained = |path_len| {
        let key = TestKey::generate(KeyType::P256);
        let mut draft = Draft::ca("Root", &key);
        draft.extensions = vec![key_usage(KeyUsage::KEY_CERT_SIGN), basic_constraints(true, Some(path_len))];
        Authority { certificate: draft.sign(&key), key }
    };
    let outcome = |path_len| {
        let root = constrained(path_len);
        let lower = root.below("Lower");
        authenticate(&implicit(&[&root.certificate]), &[&lower.issue(birth()), &lower.certificate]).map(|_| ())
    };
    assert_eq!(outcome(1), Ok(()));
    assert_eq!(outcome(0), Err(TrustError::PathLength));
    let top = Authority::root("Top", KeyType::P256);
    let constrained = {
        let key = TestKey::generate(KeyType::P256);
        let mut draft = Draft::ca("Middle", &key);
        draft.extensions = vec![key_usage(KeyUsage::KEY_CERT_SIGN), basic_constraints(true, Some(0))];
        Authority { certificate: top.issue(draft), key }
    };
    let lower = constrained.below("Lower");
    let leaf = lower.issue(birth());
    let refused = authenticate(&implicit(&[&top.certificate]), &[&leaf, &lower.certificate, &constrained.certificate]);
    assert_eq!(refused.unwrap_err(), TrustError::PathLength);
}

#[test]
fn name_constraints_hold() {
    let key = TestKey::generate(KeyType::P256);
    let mut draft = Draft::ca("Root", &key);
    // permittedSubtrees: dNSName acme.example
    let host = b"acme.example";
    let subtree = [&[0x30, 0x0e, 0x82, 0x0c], &host[..]].concat();
    let value = [&[0x30, 0x12, 0xa0, 0x10], &subtree[..]].concat();
    draft.extensions.push(extension(oid::NAME_CONSTRAINTS, true, value));
    let root = Authority { certificate: draft.sign(&key), key };
    let outcome = |name: &str| {
        let mut draft = birth();
        draft.extensions.push(subject_alt_name(false, &[GeneralName::DnsName(name.into())]));
        authenticate(&implicit(&[&root.certificate]), &[&root.issue(draft)]).map(|_| ())
    };
    assert_eq!(outcome("d1.acme.example"), Ok(()));
    assert_eq!(outcome("d1.other.example"), Err(TrustError::NameConstraints));
}

#[test]
fn weak_keys_and_weak_signatures_are_named() {
    let root = Authority::root("Birth CA", KeyType::Rsa);
    let anchors = implicit(&[&root.certificate]);
    let sha1 = AlgorithmIdentifier::new(oid::SHA1_WITH_RSA, Some(&[5, 0]));
    let mut draft = birth();
    draft.issuer = root.certificate.subject().clone();
    let source = SignatureError::WeakDigest { digest: "SHA-1" };
    assert_eq!(
        authenticate(&anchors, &[&draft.sign_as(&root.key, &sha1)]).unwrap_err(),
        TrustError::WeakSignature { member: PathMember::Leaf, source }
    );
    // An Ed25519 key of small order: anybody can show that he holds it.
    let mut identity = [0; 32];
    identity[0] = 1;
    draft.spki = crate::pki::testing::spki(oid::ED25519, None, &identity);
    assert_eq!(
        authenticate(&anchors, &[&draft.sign(&root.key)]).unwrap_err(),
        TrustError::WeakKey { member: PathMember::Leaf, source: PublicKeyError::SmallOrder }
    );
}

#[test]
fn too_many_certificates_are_refused_unseen() {
    let root = Authority::root("Birth CA", KeyType::P256);
    let leaf = root.issue(birth());
    let with = |above: usize| {
        let mut ders = vec![leaf.der().to_vec()];
        ders.extend(std::iter::repeat_n(vec![0x30, 0x00], above));
        let chain = PresentedChain::possession_proven(ders).unwrap();
        implicit(&[&root.certificate]).authenticate(&chain, &PathLimits::default(), day(NOW)).map(|_| ())
    };
    assert_eq!(with(6), Ok(()));
    assert_eq!(with(7), Err(TrustError::ChainTooLong { limit: 6, sent: 7 }));
}

/// Threat 8: CAs that all have one name, each a possible issuer of every other.
#[test]
fn a_bushy_chain_is_given_up() {
    let root = Authority::root("Same", KeyType::P256);
    let crowd: Vec<_> = (0..6).map(|_| root.below("Same")).collect();
    // Signed by a key that nobody has a certificate for.
    let leaf = Authority::root("Same", KeyType::P256).issue(birth());
    let presented: Vec<_> =
        std::iter::once(&leaf).chain(crowd.iter().map(|authority| &authority.certificate)).collect();
    let refused = authenticate(&implicit(&[&root.certificate]), &presented).unwrap_err();
    assert_eq!(refused, TrustError::TooComplex);
}

#[test]
fn time_is_judged_apart_and_grace_is_the_leafs_alone() {
    let root = Authority::root("Birth CA", KeyType::P256);
    let leaf = root.issue(Draft { validity: validity("2025-01-01", "2026-01-01"), ..birth() });
    let peer = authenticate(&implicit(&[&root.certificate]), &[&leaf]).unwrap();
    let end = day("2026-01-01");
    let at = |time, grace| peer.check_time(time, TimeDelta::days(grace));
    assert_eq!(at(end + TimeDelta::milliseconds(999), 0), Ok(Freshness::Current));
    let expired = TrustError::Expired { member: PathMember::Leaf, not_after: end };
    assert_eq!(at(end + TimeDelta::seconds(1), 0), Err(expired.clone()));
    assert_eq!(at(end + TimeDelta::seconds(1), -1), Err(expired.clone()));
    assert_eq!(at(end + TimeDelta::seconds(1), 30), Ok(Freshness::ExpiredWithinGrace));
    assert_eq!(at(end + TimeDelta::days(30), 30), Ok(Freshness::ExpiredWithinGrace));
    assert_eq!(at(end + TimeDelta::days(30) + TimeDelta::seconds(1), 30), Err(expired));
    let early = TrustError::NotYetValid { member: PathMember::Leaf, not_before: day("2025-01-01") };
    assert_eq!(at(day("2024-12-31"), 30), Err(early));
    assert_eq!(at(day("2040-01-02"), 36_500), Err(anchor_expired()));
}

/// The CA was renewed over its key: both certificates are listed, and the current one vouches.
#[test]
fn a_renewed_anchor_over_the_same_key_vouches() {
    let root = Authority::root("Birth CA", KeyType::P256);
    let draft = Draft { validity: validity("2010-01-01", "2020-01-01"), ..Draft::ca("Birth CA", &root.key) };
    let old = draft.sign(&root.key);
    let peer = authenticate(&implicit(&[&old, &root.certificate]), &[&root.issue(birth())]).unwrap();
    assert_eq!(peer.anchor(), &root.certificate);
    assert_eq!(peer.check_time(day(NOW), TimeDelta::zero()), Ok(Freshness::Current));
}

#[test]
fn certificates_that_are_no_cas_are_no_anchors() {
    let key = TestKey::generate(KeyType::P256);
    let refused = |change: &dyn Fn(&mut Draft)| {
        let mut draft = Draft::ca("CA", &key);
        change(&mut draft);
        TrustAnchors::new(vec![], vec![draft.sign(&key)]).map(|_| ()).unwrap_err()
    };
    let subject = || "CN=CA".to_owned();
    assert_eq!(refused(&|draft| draft.extensions = vec![]), AnchorError::NotCa { subject: subject() });
    assert_eq!(
        refused(&|draft| draft.extensions = vec![basic_constraints(false, None)]),
        AnchorError::NotCa { subject: subject() }
    );
    assert_eq!(
        refused(&|draft| {
            draft.extensions = vec![key_usage(KeyUsage::CRL_SIGN), basic_constraints(true, None)];
        }),
        AnchorError::KeyUsage { subject: subject() }
    );
    let ca = Draft::ca("CA", &key).sign(&key);
    let both = TrustAnchors::new(vec![ca.clone()], vec![ca]).map(|_| ());
    assert_eq!(both, Err(AnchorError::InBothClasses { subject: subject() }));
}
