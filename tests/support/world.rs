//! A small world to enroll in, without sockets: two tenants, their CAs and manufacturers, and devices.
//!
//! Shared by `tests/enrollment.rs`, `benches/core.rs` and the fuzz target `enroll_decision`.

#![allow(dead_code, unreachable_pub, reason = "each of those that include it uses its part")]

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use chrono::{DateTime, TimeDelta, Utc};
use estd::access::{Actor, Grant, Operator, Permission, Standing};
use estd::ca::{CertificateAuthority, Signer, SoftwareSigner, ceremony};
use estd::clock::{Clock, Entropy, SystemEntropy};
use estd::credential::Gate;
use estd::est::trace::StepOutcome;
use estd::est::{
    DeliveredKey, EstRequest, EstTarget, Label, Operation, PresentedChain, PresentedCredential, RejectionCode,
    ResponseBody, WireRules,
};
use estd::pki::device_identity::{DeviceId, IdentitySource};
use estd::pki::profile::{EnrollmentProfile, KeyUsagePolicy, RequestNames};
use estd::pki::public_key::{KeyPolicy, KeyType, PublicKey};
use estd::pki::revocation::RevocationReason;
use estd::pki::serial::Serial;
use estd::pki::signature::SignatureAlgorithm;
use estd::pki::template::{SubjectAltNameTemplate, SubjectAttributeTemplate};
use estd::pki::trust::{PathLimits, TrustAnchors};
use estd::policy::{
    EnrollmentRules, IdentityLinking, NameChange, RaRules, RegistrationRules, RenewalRules, UsageLimits,
};
use estd::ra::{
    Authentication, Explanation, Inquiry, LabelContext, PeerSession, PendingResponse, Ports, Refusal,
    RegistrationAuthority, RequestRules, Verdict,
};
use estd::store::memory::MemoryStore;
use estd::store::{CertificateId, CertificateStore};
use estd_asn1::pkcs10::{self, Attribute, RequestLimits};
use estd_asn1::{
    AttributeTypeAndValue, Certificate, Extension, GeneralName, Name, SubjectPublicKeyInfo, certs_only, general_name,
    oid,
};

/// A clock that stands until it is set.
pub struct TestClock(Mutex<DateTime<Utc>>);

impl TestClock {
    pub fn advance(&self, by: TimeDelta) {
        *self.0.lock().unwrap() += by;
    }
}

impl Clock for TestClock {
    fn now(&self) -> DateTime<Utc> {
        *self.0.lock().unwrap()
    }
}

/// Randomness that counts what was drawn: a refusal draws none.
#[derive(Default)]
pub struct CountingEntropy {
    drawn: AtomicU64,
    fails: AtomicBool,
}

impl CountingEntropy {
    pub fn drawn(&self) -> u64 {
        self.drawn.load(Ordering::SeqCst)
    }

    /// Whether there is none from now on.
    pub fn fail(&self, fails: bool) {
        self.fails.store(fails, Ordering::SeqCst);
    }
}

impl Entropy for CountingEntropy {
    fn fill(&self, buffer: &mut [u8]) -> Result<(), estd::clock::EntropyFailure> {
        self.drawn.fetch_add(1, Ordering::SeqCst);
        if self.fails.load(Ordering::SeqCst) {
            return Err(estd::clock::EntropyFailure);
        }
        SystemEntropy.fill(buffer)
    }
}

/// A key with the certificate over it.
pub struct Device {
    pub key: Box<dyn Signer>,
    pub certificate: Vec<u8>,
}

impl Device {
    pub fn session(&self) -> PeerSession {
        PeerSession::new(PresentedChain::possession_proven(vec![self.certificate.clone()]), "192.0.2.1:4711".into())
    }

    pub fn certificate(&self) -> Certificate {
        Certificate::decode(&self.certificate).unwrap()
    }
}

pub struct World {
    pub clock: Arc<TestClock>,
    pub entropy: Arc<CountingEntropy>,
    pub store: Arc<MemoryStore>,
    pub ra: RegistrationAuthority,
    /// The manufacturer of tenant `acme`'s devices.
    pub maker: CertificateAuthority,
    /// The manufacturer of tenant `other`'s devices.
    pub other_maker: CertificateAuthority,
}

pub const START: &str = "2026-06-01T12:00:00Z";

impl World {
    pub fn new() -> Self {
        Self::with(KeyType::P256, |_| (), |_| ())
    }

    /// Over a store of one's own.
    pub fn on(store: MemoryStore) -> Self {
        Self::build(store, KeyType::P256, |_| (), |_| ())
    }

    /// `profile` and `label` change what the label `devices` of tenant `acme` has.
    pub fn with(ca_key: KeyType, profile: impl Fn(&mut EnrollmentProfile), label: impl Fn(&mut LabelContext)) -> Self {
        Self::build(MemoryStore::new(), ca_key, profile, label)
    }

    fn build(
        store: MemoryStore,
        ca_key: KeyType,
        profile: impl Fn(&mut EnrollmentProfile),
        label: impl Fn(&mut LabelContext),
    ) -> Self {
        let start = START.parse().unwrap();
        let clock = Arc::new(TestClock(Mutex::new(start)));
        let entropy = Arc::new(CountingEntropy::default());
        let store = Arc::new(store);
        let maker = authority("Acme Devices Birth CA", KeyType::P256, start);
        let other_maker = authority("Other Birth CA", KeyType::P256, start);

        let mut acme = label_context("acme", "devices", ca_key, &maker, start);
        let mut checked = (*acme.rules.profile).clone();
        profile(&mut checked);
        acme.rules.profile = Arc::new(checked.check().unwrap());
        label(&mut acme);
        let second = LabelContext { label: Label::parse("second").unwrap(), ..share(&acme) };
        let registrars = registrars(&acme);
        let other = label_context("other", "other", KeyType::P256, &other_maker, start);

        let ports = Ports {
            store: Arc::clone(&store) as Arc<dyn CertificateStore>,
            clock: Arc::clone(&clock) as Arc<dyn Clock>,
            entropy: Arc::clone(&entropy) as Arc<dyn Entropy>,
            gate: Arc::new(Gate::new(&[7; 32])),
            rates: Arc::default(),
            holdings: Arc::default(),
        };
        let default_label = Label::parse("devices").unwrap();
        let ra = RegistrationAuthority::new(vec![acme, second, registrars, other], Some(&default_label), &[], ports)
            .unwrap();
        Self { clock, entropy, store, ra, maker, other_maker }
    }

    /// Back to the first moment, with an empty store. The keys, which are dear to make, stay.
    pub fn begin_again(&mut self) {
        *self.clock.0.lock().unwrap() = START.parse().unwrap();
        self.store = Arc::new(MemoryStore::new());
        let ports = Ports { store: Arc::clone(&self.store) as Arc<dyn CertificateStore>, ..self.ra.ports().clone() };
        let labels = self.ra.labels().map(|label| share(label)).collect();
        let default_label = Label::parse("devices").unwrap();
        self.ra = RegistrationAuthority::new(labels, Some(&default_label), &[], ports).unwrap();
    }

    pub fn label(&self, name: &str) -> &LabelContext {
        self.ra.label(None, Some(&Label::parse(name).unwrap())).unwrap()
    }

    /// A device of tenant `acme`, fresh from the factory.
    pub fn birth(&self, serial_number: &str, key_type: KeyType) -> Device {
        birth(&self.maker, serial_number, key_type, self.clock.now())
    }

    pub fn enroll_at(
        &self,
        label: &str,
        operation: Operation,
        session: &PeerSession,
        body: &[u8],
    ) -> Result<PendingResponse, Refusal> {
        let foreseen = self.foresee(label, operation, session, body);
        let outcome = self.decide(label, operation, session, body);
        if let Some(foreseen) = foreseen {
            assert_foreseen(&foreseen, &outcome);
        }
        outcome
    }

    /// Enrolls without asking first what would come of it.
    pub fn decide(
        &self,
        label: &str,
        operation: Operation,
        session: &PeerSession,
        body: &[u8],
    ) -> Result<PendingResponse, Refusal> {
        let target = EstTarget { label: Some(Label::parse(label).unwrap()), operation };
        let request = EstRequest { target, body: body.to_vec(), credential: None };
        self.ra.enroll(self.label(label), &request, session, "test")
    }

    /// What an operator is told would come of a request, where that is explained and the store does not fail.
    fn foresee(&self, label: &str, operation: Operation, session: &PeerSession, body: &[u8]) -> Option<Explanation> {
        let presented = session.presented();
        let chain = presented.map(|chain| [&[chain.leaf().to_vec()], chain.intermediates()].concat());
        let inquiry = Inquiry {
            label: Label::parse(label).unwrap(),
            operation,
            request: body.to_vec(),
            chain: chain.unwrap_or_default(),
            credential: None,
        };
        self.ra.explain(&grant(&self.label(label).tenant), &inquiry).ok()
    }

    /// The same with an Authorization field.
    pub fn enroll_with(
        &self,
        operation: Operation,
        session: &PeerSession,
        credential: Option<PresentedCredential>,
        body: &[u8],
    ) -> Result<Vec<u8>, Refusal> {
        let target = EstTarget { label: None, operation };
        let request = EstRequest { target, body: body.to_vec(), credential };
        self.ra.enroll(self.label("devices"), &request, session, "test").map(|pending| issued(&pending))
    }

    /// Enrolls at `devices` and takes the certificate out of the answer.
    pub fn enroll(&self, operation: Operation, session: &PeerSession, body: &[u8]) -> Result<Vec<u8>, Refusal> {
        self.enroll_at("devices", operation, session, body).map(|pending| issued(&pending))
    }

    /// Birth to operational certificate, with a fresh key and an empty subject.
    pub fn operational(&self, device: &Device, key_type: KeyType) -> Device {
        self.operational_at("devices", device, key_type)
    }

    pub fn operational_at(&self, label: &str, device: &Device, key_type: KeyType) -> Device {
        let key = device_key(key_type);
        let body = request(key.as_ref(), &Name::empty(), &[]);
        let pending = self.enroll_at(label, Operation::SimpleEnroll, &device.session(), &body).unwrap();
        Device { key, certificate: issued(&pending) }
    }
}

impl World {
    /// Which certificate it is, of the label `devices`.
    pub fn id(&self, certificate: &Certificate) -> CertificateId {
        CertificateId { issuer: self.label("devices").authority.issuer_id(), serial: certificate.serial().to_vec() }
    }

    /// Revokes a certificate of tenant `acme`.
    pub fn revoke(&self, certificate: &Certificate, reason: RevocationReason) {
        let receipt = self.ra.revoke_certificate(&grant("acme"), &self.id(certificate), reason);
        receipt.unwrap().wait().unwrap();
    }
}

/// What was foreseen is what comes, but for what only the connection or somebody else knows.
fn assert_foreseen(foreseen: &Explanation, outcome: &Result<PendingResponse, Refusal>) {
    match (outcome, &foreseen.verdict) {
        (Ok(pending), Verdict::Issue { certificate: outline, .. }) => {
            let certificate = Certificate::decode(&issued(pending)).unwrap();
            assert_eq!(certificate.subject().der(), outline.subject().der());
            assert_eq!(certificate.validity(), outline.validity());
            assert_eq!(certificate.public_key().der(), outline.public_key().der());
            // Which part of a list tells of it goes by the serial number, which nobody knew.
            let others = |certificate: &Certificate| -> Vec<Extension> {
                let all = certificate.extensions().iter();
                all.filter(|extension| extension.oid != oid::CRL_DISTRIBUTION_POINTS).cloned().collect()
            };
            assert_eq!(others(&certificate), others(outline));
            assert_eq!(certificate.extensions().len(), outline.extensions().len());
        }
        (Ok(pending), Verdict::Generate { key, is_encrypted, .. }) => {
            let ResponseBody::KeyGenerated { key: delivered, certificate } = &pending.response.body else {
                panic!("no key: {foreseen:?}")
            };
            assert_eq!(matches!(delivered, DeliveredKey::Encrypted(_)), *is_encrypted);
            let certificate = certs_only::decode(certificate, 1).unwrap().pop().unwrap();
            let certificate = Certificate::decode(&certificate).unwrap();
            let made = PublicKey::check(certificate.public_key(), &KeyPolicy::any_sound()).unwrap();
            assert_eq!(made.key_type(), key.key_type());
        }
        (Ok(pending), Verdict::Repeat(record)) => assert_eq!(issued(pending), record.der),
        (Ok(pending), Verdict::Wait { request, .. }) => assert_eq!(pending.waits.as_ref(), Some(request)),
        (Err(Refusal::Rejected(rejection)), _)
            if [
                RejectionCode::IdentityLinking,
                RejectionCode::CipherTooWeak,
                RejectionCode::AuthorizationDenied,
                RejectionCode::LockedOut,
                RejectionCode::RateLimited,
            ]
            .contains(&rejection.code()) => {}
        (Err(Refusal::Rejected(came)), Verdict::Refuse(rejection)) => {
            assert_eq!(came, rejection);
            let last = foreseen.trace.steps().last().unwrap();
            assert_eq!((last.outcome, last.clause), (StepOutcome::Refused, rejection.clause()), "{foreseen:?}");
        }
        (Err(Refusal::Fault(_)), _) => {}
        (Ok(_), Verdict::Refuse(_)) => panic!("it was not refused: {:?}", foreseen.trace),
        (
            Err(Refusal::Rejected(rejection)),
            Verdict::Issue { .. } | Verdict::Generate { .. } | Verdict::Repeat(_) | Verdict::Wait { .. },
        ) => {
            panic!("{rejection}: {:?}", foreseen.trace)
        }
    }
}

/// What an admin may.
pub fn grant<P: Permission>(tenant: &str) -> Grant<P> {
    let actor = Actor { name: "olga".into(), credential: None, source: "192.0.2.9".into(), request_id: "r-1".into() };
    Operator::proven(actor, Standing::admin()).within(tenant).unwrap()
}

/// The one certificate of an answer.
pub fn issued(pending: &PendingResponse) -> Vec<u8> {
    let ResponseBody::Issued(der) = &pending.response.body else { panic!("not an enrollment's answer") };
    let mut certificates = certs_only::decode(der, 1).unwrap();
    certificates.pop().unwrap()
}

pub fn birth(maker: &CertificateAuthority, serial_number: &str, key_type: KeyType, now: DateTime<Utc>) -> Device {
    let key = device_key(key_type);
    let identity = ceremony::DeviceIdentity { serial_number, hardware_module_name: None };
    let certificate = ceremony::birth_certificate(maker, identity, key.public_key(), now, &serial()).unwrap();
    Device { key, certificate: certificate.der().to_vec() }
}

/// A key of a kind devices may have; one of them, P-521, is not for CAs.
pub fn device_key(key_type: KeyType) -> Box<dyn Signer> {
    match key_type {
        KeyType::P521 => Box::new(P521Key::new()),
        KeyType::Rsa | KeyType::P256 | KeyType::P384 | KeyType::Ed25519 => {
            Box::new(SoftwareSigner::generate(key_type).unwrap().0)
        }
    }
}

struct P521Key {
    key: p521::ecdsa::SigningKey,
    spki: SubjectPublicKeyInfo,
}

impl P521Key {
    fn new() -> Self {
        let mut scalar = [0; 66];
        SystemEntropy.fill(&mut scalar[2..]).unwrap();
        let secret = p521::SecretKey::from_slice(&scalar).unwrap();
        let der = pkcs8::EncodePublicKey::to_public_key_der(&secret.public_key()).unwrap();
        let key = p521::ecdsa::SigningKey::from_slice(&scalar).unwrap();
        Self { key, spki: SubjectPublicKeyInfo::decode(der.as_bytes()).unwrap() }
    }
}

impl Signer for P521Key {
    fn algorithm(&self) -> SignatureAlgorithm {
        SignatureAlgorithm::EcdsaSha512
    }

    fn public_key(&self) -> &SubjectPublicKeyInfo {
        &self.spki
    }

    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, estd::ca::SignerError> {
        use p521::ecdsa::signature::Signer as _;
        let signature: p521::ecdsa::Signature = self.key.sign(message);
        Ok(signature.to_der().as_bytes().to_vec())
    }
}

/// A signed PKCS#10.
pub fn request(key: &dyn Signer, subject: &Name, extensions: &[Extension]) -> Vec<u8> {
    let info = pkcs10::encode_certification_request_info(subject, key.public_key().der(), extensions);
    let signature = key.sign(&info).unwrap();
    pkcs10::encode_certification_request(&info, key.algorithm().identifier(), &signature)
}

/// A signed PKCS#10 with attributes of one's own.
pub fn request_with(key: &dyn Signer, subject: &Name, attributes: &[Attribute]) -> Vec<u8> {
    let info = pkcs10::encode_certification_request_info_with(subject, key.public_key().der(), attributes);
    let signature = key.sign(&info).unwrap();
    pkcs10::encode_certification_request(&info, key.algorithm().identifier(), &signature)
}

pub fn common_name(text: &str) -> Name {
    Name::from_rdns(&[vec![AttributeTypeAndValue::from_text(oid::AT_COMMON_NAME, text).unwrap()]])
}

pub fn alt_names(names: &[GeneralName]) -> Extension {
    Extension { oid: oid::SUBJECT_ALT_NAME, critical: false, value: general_name::encode_general_names(names) }
}

pub fn serial() -> Serial {
    let mut random = [0; 20];
    SystemEntropy.fill(&mut random).unwrap();
    Serial::from_entropy(random)
}

/// A self-signed CA, valid for ten years from an hour before `start`.
pub fn authority(name: &str, key_type: KeyType, start: DateTime<Utc>) -> CertificateAuthority {
    let (signer, _) = SoftwareSigner::generate(key_type).unwrap();
    let validity =
        estd_asn1::Validity { not_before: start - TimeDelta::hours(1), not_after: start + TimeDelta::days(3650) };
    let root = ceremony::self_signed_ca(&signer, &common_name(name), validity, None, &serial()).unwrap();
    CertificateAuthority::new(root, Vec::new(), Arc::new(signer)).unwrap()
}

/// An issuing CA below a root of its own.
fn issuing_authority(tenant: &str, key_type: KeyType, start: DateTime<Utc>) -> CertificateAuthority {
    let root = authority(&format!("{tenant} Root"), key_type, start);
    let (signer, _) = SoftwareSigner::generate(key_type).unwrap();
    let spki: &SubjectPublicKeyInfo = signer.public_key();
    let name = common_name(&format!("{tenant} Issuing CA"));
    let validity = root.certificate().validity();
    let certificate = ceremony::subordinate_ca(&root, &name, spki, validity, Some(0), &serial()).unwrap();
    CertificateAuthority::new(certificate, vec![root.certificate().clone()], Arc::new(signer)).unwrap()
}

pub fn profile() -> EnrollmentProfile {
    EnrollmentProfile {
        name: "device".into(),
        validity: TimeDelta::days(398),
        backdate: TimeDelta::hours(1),
        keys: KeyPolicy::default(),
        key_usage: KeyUsagePolicy::ByKeyType,
        ext_key_usage: vec![oid::KP_CLIENT_AUTH],
        subject: vec![
            SubjectAttributeTemplate::parse("CN={device_id}").unwrap(),
            SubjectAttributeTemplate::parse("O=Acme").unwrap(),
        ],
        subject_alt_names: vec![SubjectAltNameTemplate::parse("uri:urn:acme:{device_id}").unwrap()],
        optional_subject_alt_names: vec![SubjectAltNameTemplate::parse("dns:{device_id}.acme.example").unwrap()],
        request_names: RequestNames::Agree,
        crl_urls: vec!["http://pki.acme.example/issuing.crl".into()],
        ocsp_urls: Vec::new(),
        ca_issuer_urls: Vec::new(),
        policies: Vec::new(),
        extensions: Vec::new(),
        allow_key_reuse: true,
        ca_path_len: None,
        ra: false,
    }
}

/// A label with a CA of its own for the devices of one manufacturer.
pub fn label_context(
    tenant: &str,
    label: &str,
    ca_key: KeyType,
    maker: &CertificateAuthority,
    start: DateTime<Utc>,
) -> LabelContext {
    let authority = issuing_authority(tenant, ca_key, start);
    let anchors = TrustAnchors::new(vec![authority.certificate().clone()], vec![maker.certificate().clone()]).unwrap();
    LabelContext {
        tenant: tenant.into(),
        label: Label::parse(label).unwrap(),
        authority: Arc::new(authority),
        rollover: None,
        rules: EnrollmentRules {
            identity: IdentitySource::SubjectSerialNumber,
            profile: Arc::new(profile().check().unwrap()),
            renewal_grace: TimeDelta::zero(),
            identity_linking: IdentityLinking::default(),
            name_change: NameChange::default(),
            ra: RaRules::default(),
        },
        anchors: Arc::new(anchors),
        registration: RegistrationRules::default(),
        authentication: Authentication::default(),
        requests: RequestRules {
            limits: RequestLimits::default(),
            path: PathLimits::default(),
            repeat_window: TimeDelta::minutes(10),
        },
        renewal: RenewalRules::default(),
        limits: UsageLimits::default(),
        wire: WireRules::default(),
        key_generation: None,
        cmc_responder: None,
        authorizer: None,
    }
}

/// The RA that the label `registrars` certifies.
pub const REGISTRAR: &str = "RA-1";

/// A label over the same authority and anchors that certifies [`REGISTRAR`].
fn registrars(label: &LabelContext) -> LabelContext {
    let profile = EnrollmentProfile {
        name: "registrar".into(),
        ext_key_usage: vec![oid::KP_CLIENT_AUTH, oid::KP_CMC_RA],
        ra: true,
        ..profile()
    };
    let rules = EnrollmentRules {
        profile: Arc::new(profile.check().unwrap()),
        ra: RaRules { clients: vec![DeviceId::parse(REGISTRAR).unwrap()], ..RaRules::default() },
        identity_linking: IdentityLinking::default(),
        ..label.rules.clone()
    };
    LabelContext { label: Label::parse("registrars").unwrap(), rules, ..share(label) }
}

/// Another label over the same authority, anchors and rules.
pub fn share(label: &LabelContext) -> LabelContext {
    LabelContext {
        tenant: label.tenant.clone(),
        label: label.label.clone(),
        authority: Arc::clone(&label.authority),
        rollover: label.rollover.clone(),
        rules: label.rules.clone(),
        anchors: Arc::clone(&label.anchors),
        registration: label.registration.clone(),
        authentication: label.authentication.clone(),
        requests: label.requests.clone(),
        renewal: label.renewal,
        limits: label.limits,
        wire: label.wire,
        key_generation: label.key_generation.clone(),
        cmc_responder: label.cmc_responder.clone(),
        authorizer: label.authorizer.clone(),
    }
}
