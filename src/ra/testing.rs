//! A registration authority with one device that may enroll, for the tests of what stands before it.

use std::sync::Arc;
use std::time::Duration;

use chrono::TimeDelta;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, KeyUsagePurpose};

use super::{
    Authentication, DEFAULT_RSA_GENERATIONS, KeyGeneration, LabelContext, Ports, RegistrationAuthority, RequestRules,
};
use crate::ca::software_signer::SoftwareSigner;
use crate::ca::{CertificateAuthority, CmcResponder, KeyGenerator, Rollover, RolloverPhase, Signer as _, ceremony};
use crate::clock::{SystemClock, SystemEntropy};
use crate::credential::Gate;
use crate::est::transfer::{self, LineWrapping};
use crate::est::{Label, TenantHosts, Tolerance, WireRules};
use crate::pki::device_identity::IdentitySource;
use crate::pki::profile::{EnrollmentProfile, KeyUsagePolicy, RequestNames};
use crate::pki::public_key::{KeyPolicy, KeyType};
use crate::pki::serial::Serial;
use crate::pki::template::SubjectAttributeTemplate;
use crate::pki::trust::{PathLimits, TrustAnchors};
use crate::policy::{
    ApprovalRules, EnrollmentRules, IdentityLinking, KeyGenerationRules, NameChange, RaRules, RateLimit,
    RegistrationRule, RegistrationRules, RenewalRules, UsageLimits,
};
use crate::store::memory::MemoryStore;
use estd_asn1::pkcs10::RequestLimits;
use estd_asn1::{Certificate, oid};

/// Everything a request that succeeds is made of.
pub(crate) struct Enrolled {
    /// With the labels `devices` (the default one), `other`, `strict`, which takes full CMC and nothing against the standards,
    /// `keys`, which makes keys, `cmc` and `cmc-waits`, which take full
    /// CMC, the latter by approval, `held`, which holds answers back for 20 s until a request is approved and takes one in a
    /// quarter of an hour, `turning`, whose CA is on the way to a successor, and tenant `globex` at
    /// `est.globex.example`.
    pub(crate) authority: Arc<RegistrationAuthority>,
    /// What it remembers.
    pub(crate) store: Arc<MemoryStore>,
    /// DER.
    pub(crate) birth_certificate: Vec<u8>,
    /// Its key.
    pub(crate) birth_key: SoftwareSigner,
    /// A certification request, as the body of a POST.
    pub(crate) request: String,
    /// The server name that the client asks for.
    pub(crate) server_name: Option<String>,
}

/// With a store in which everything is durable at once.
pub(crate) fn enrolled() -> Enrolled {
    enrolled_in(MemoryStore::new())
}

/// With the store given.
pub(crate) fn enrolled_in(store: MemoryStore) -> Enrolled {
    enrolled_by(store, &Authentication::default())
}

/// With the store and the way to authenticate given.
pub(crate) fn enrolled_by(store: MemoryStore, authentication: &Authentication) -> Enrolled {
    enrolled_with(store, authentication, DEFAULT_RSA_GENERATIONS)
}

/// With the store and the way to authenticate given, and so many RSA keys made at once.
pub(crate) fn enrolled_with(store: MemoryStore, authentication: &Authentication, rsa_generations: usize) -> Enrolled {
    let own = ca("Test EST CA");
    let manufacturer = ca("Test Manufacturer");
    let mut device = CertificateParams::default();
    device.distinguished_name.push(DnType::CustomDnType(vec![2, 5, 4, 5]), "SN-0001");
    let birth_key = KeyPair::generate().unwrap();
    let birth_certificate = device.signed_by(&birth_key, &manufacturer).unwrap().der().to_vec();
    let mut request = CertificateParams::default();
    request.distinguished_name = rcgen::DistinguishedName::new();
    let request = request.serialize_request(&KeyPair::generate().unwrap()).unwrap();
    let request = transfer::encode(request.der(), LineWrapping::Lines64);

    let own_certificate = Certificate::decode(own.der()).unwrap();
    let signer = Arc::new(SoftwareSigner::from_pem(&own.key().serialize_pem()).unwrap());
    let authority = Arc::new(CertificateAuthority::new(own_certificate.clone(), Vec::new(), signer).unwrap());
    let anchors = vec![Certificate::decode(manufacturer.der()).unwrap()];
    let anchors = Arc::new(TrustAnchors::new(vec![own_certificate], anchors).unwrap());
    let profile = Arc::new(profile().check().unwrap());
    let label = |name: &str| LabelContext {
        tenant: "acme".to_owned(),
        label: Label::parse(name).unwrap(),
        authority: Arc::clone(&authority),
        rollover: None,
        rules: EnrollmentRules {
            identity: IdentitySource::SubjectSerialNumber,
            profile: Arc::clone(&profile),
            renewal_grace: TimeDelta::zero(),
            identity_linking: IdentityLinking::default(),
            name_change: NameChange::default(),
            ra: RaRules::default(),
        },
        anchors: Arc::clone(&anchors),
        registration: RegistrationRules::default(),
        authentication: authentication.clone(),
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
    };
    let store = Arc::new(store);
    let ports = Ports {
        store: Arc::<MemoryStore>::clone(&store),
        clock: Arc::new(SystemClock),
        entropy: Arc::new(SystemEntropy),
        gate: Arc::new(Gate::new(&[7; 32])),
        rates: Arc::default(),
        holdings: Arc::default(),
    };
    let rules = KeyGenerationRules {
        plaintext: true,
        birth_certificates: true,
        shared_keys: Vec::new(),
        certificates: Vec::new(),
    };
    let generator = Arc::new(KeyGenerator::new(Arc::clone(&authority)));
    let key_generation = Some(KeyGeneration { rules: Arc::new(rules), generator });
    let globex = LabelContext { tenant: "globex".to_owned(), ..label("devices") };
    let keys = LabelContext { key_generation, ..label("keys") };
    let (old, new) = (below(&authority), below(&authority));
    let rollover = Some(Arc::new(Rollover::new(old, new, None, RolloverPhase::Announce).unwrap()));
    let turning = LabelContext { rollover, ..label("turning") };
    let cmc_responder = Some(Arc::new(CmcResponder::new(Arc::clone(&authority))));
    let cmc = LabelContext { cmc_responder: cmc_responder.clone(), ..label("cmc") };
    let rule = RegistrationRule::Approval;
    let registration = RegistrationRules { rule, ..RegistrationRules::default() };
    let cmc_waits = LabelContext { cmc_responder, registration, ..label("cmc-waits") };
    let approval = ApprovalRules { hold: Duration::from_secs(20), ..ApprovalRules::default() };
    let registration = RegistrationRules { rule, approval, ..RegistrationRules::default() };
    let limits = UsageLimits { rate: RateLimit::new(0.001, 1), ..UsageLimits::default() };
    let held = LabelContext { registration, limits, ..label("held") };
    let wire = WireRules { tolerance: Tolerance::Strict, ..WireRules::default() };
    let strict = LabelContext { cmc_responder: cmc.cmc_responder.clone(), wire, ..label("strict") };
    let labels = vec![label("devices"), label("other"), strict, keys, cmc, cmc_waits, held, turning, globex];
    let devices = Label::parse("devices").unwrap();
    let hosts = TenantHosts {
        tenant: "globex".into(),
        hosts: vec!["est.globex.example".into()],
        default_label: devices.clone(),
    };
    let authority = RegistrationAuthority::new(labels, Some(&devices), &[hosts], ports).unwrap();
    let authority = authority.with_rsa_generations(rsa_generations);
    let request = String::from_utf8(request).unwrap();
    let birth_key = SoftwareSigner::from_pem(&birth_key.serialize_pem()).unwrap();
    Enrolled { authority: Arc::new(authority), store, birth_certificate, birth_key, request, server_name: None }
}

fn ca(name: &str) -> CertifiedIssuer<'static, KeyPair> {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

/// A CA below `root`.
fn below(root: &CertificateAuthority) -> Arc<CertificateAuthority> {
    let (signer, _) = SoftwareSigner::generate(KeyType::P256).unwrap();
    let (name, validity) = (root.certificate().subject(), root.certificate().validity());
    let serial = Serial::from_entropy([7; 20]);
    let certificate = ceremony::subordinate_ca(root, name, signer.public_key(), validity, Some(0), &serial).unwrap();
    Arc::new(CertificateAuthority::new(certificate, vec![root.certificate().clone()], Arc::new(signer)).unwrap())
}

pub(super) fn profile() -> EnrollmentProfile {
    EnrollmentProfile {
        name: "device".to_owned(),
        validity: TimeDelta::days(90),
        backdate: TimeDelta::hours(1),
        keys: KeyPolicy::default(),
        key_usage: KeyUsagePolicy::default(),
        ext_key_usage: vec![oid::KP_CLIENT_AUTH],
        subject: vec![SubjectAttributeTemplate::parse("CN={device_id}").unwrap()],
        subject_alt_names: Vec::new(),
        optional_subject_alt_names: Vec::new(),
        request_names: RequestNames::default(),
        crl_urls: Vec::new(),
        ocsp_urls: Vec::new(),
        ca_issuer_urls: Vec::new(),
        policies: Vec::new(),
        extensions: Vec::new(),
        allow_key_reuse: true,
        ca_path_len: None,
        ra: false,
    }
}
