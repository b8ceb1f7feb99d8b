//! Tenants in one process: nobody gets anything at another's label, and nothing reaches another's labels.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

#[path = "support/world.rs"]
mod world;

use std::sync::{Arc, LazyLock};

use chrono::{DateTime, Utc};
use estd::ca::CertificateAuthority;
use estd::clock::{Clock, SystemEntropy};
use estd::est::{EstRequest, EstTarget, Label, Operation, RejectionCode, TenantHosts};
use estd::pki::public_key::KeyType;
use estd::ra::{LabelContext, LabelsError, Ports, Refusal, RegistrationAuthority};
use estd::store::memory::MemoryStore;
use estd_asn1::{GeneralName, Name};
use proptest::prelude::*;
use world::*;

const TENANTS: [&str; 5] = ["acme", "globex", "initech", "umbrella", "hooli"];

struct Still;

impl Clock for Still {
    fn now(&self) -> DateTime<Utc> {
        START.parse().unwrap()
    }
}

struct Tenants {
    ra: RegistrationAuthority,
    makers: Vec<CertificateAuthority>,
}

fn label(name: &str) -> Label {
    Label::parse(name).unwrap()
}

fn contexts(makers: &[CertificateAuthority], name: impl Fn(&str) -> String) -> Vec<LabelContext> {
    let context = |(tenant, maker): (&&str, &CertificateAuthority)| {
        label_context(tenant, &name(tenant), KeyType::P256, maker, Still.now())
    };
    TENANTS.iter().zip(makers).map(context).collect()
}

fn ports() -> Ports {
    Ports {
        store: Arc::new(MemoryStore::new()),
        clock: Arc::new(Still),
        entropy: Arc::new(SystemEntropy),
        gate: Arc::new(estd::credential::Gate::new(&[7; 32])),
        rates: Arc::default(),
        holdings: Arc::default(),
    }
}

fn makers() -> Vec<CertificateAuthority> {
    TENANTS.iter().map(|tenant| authority(&format!("{tenant} Birth CA"), KeyType::P256, Still.now())).collect()
}

impl Tenants {
    fn new() -> Self {
        let makers = makers();
        let labels = contexts(&makers, str::to_owned);
        Self { ra: RegistrationAuthority::new(labels, Some(&label("acme")), &[], ports()).unwrap(), makers }
    }

    fn enroll(&self, at: &str, operation: Operation, device: &Device, body: &[u8]) -> Result<Vec<u8>, Refusal> {
        let target = EstTarget { label: Some(label(at)), operation };
        let request = EstRequest { target, body: body.to_vec(), credential: None };
        let context = self.ra.label(None, Some(&label(at))).unwrap();
        self.ra.enroll(context, &request, &device.session(), "test").map(|pending| issued(&pending))
    }
}

fn code<T: std::fmt::Debug>(outcome: Result<T, Refusal>) -> Option<RejectionCode> {
    match outcome {
        Ok(_) => None,
        Err(Refusal::Rejected(rejection)) => Some(rejection.code()),
        Err(Refusal::Fault(fault)) => panic!("{fault}"),
    }
}

#[test]
fn every_tenants_devices_are_at_home_at_its_own_label_and_nowhere_else() {
    let tenants = Tenants::new();
    let born: Vec<_> = tenants.makers.iter().map(|maker| birth(maker, "SN-1", KeyType::P256, Still.now())).collect();
    let fresh = || request(device_key(KeyType::P256).as_ref(), &Name::empty(), &[]);
    let mut operational = Vec::new();
    for (home, device) in TENANTS.iter().zip(&born) {
        for at in TENANTS {
            let outcome = tenants.enroll(at, Operation::SimpleEnroll, device, &fresh());
            if at == *home {
                operational.push(outcome.unwrap());
            } else {
                assert_eq!(code(outcome), Some(RejectionCode::CrossTenant), "birth of {home} at {at}");
            }
        }
    }
    for (home, certificate) in TENANTS.iter().zip(operational) {
        let device = Device { key: device_key(KeyType::P256), certificate };
        let names = [alt_names(&[GeneralName::Uri("urn:acme:SN-1".into())])];
        let body = || request(device_key(KeyType::P256).as_ref(), device.certificate().subject(), &names);
        for at in TENANTS {
            for operation in [Operation::SimpleReenroll, Operation::SimpleEnroll] {
                let expected = (at != *home).then_some(RejectionCode::CrossTenant);
                let outcome = tenants.enroll(at, operation, &device, &body());
                assert_eq!(code(outcome), expected, "certificate of {home} at {at}, {}", operation.segment());
            }
        }
    }
}

fn hosts(tenant: &str, names: &[&str]) -> TenantHosts {
    let hosts = names.iter().map(|name| (*name).to_owned()).collect();
    TenantHosts { tenant: tenant.into(), hosts, default_label: label("devices") }
}

#[test]
fn a_host_of_a_tenants_own_leads_to_its_labels_and_no_other_way_does() {
    let makers = makers();
    // Labels of one name, since each is reached by a host of its own; the last two share theirs.
    let name =
        |tenant: &str| if ["umbrella", "hooli"].contains(&tenant) { tenant.to_owned() } else { "devices".into() };
    let own = [
        hosts("acme", &["est.acme.example", "est2.acme.example"]),
        hosts("globex", &["est.globex.example"]),
        hosts("initech", &["est.initech.example"]),
    ];
    let ra = RegistrationAuthority::new(contexts(&makers, name), Some(&label("hooli")), &own, ports()).unwrap();
    let tenant = |host: Option<&str>, named: Option<&str>| {
        ra.label(host, named.map(label).as_ref()).map(|context| context.tenant.as_str())
    };
    for (host, owner) in [
        ("est.acme.example", "acme"),
        ("est2.acme.example", "acme"),
        ("est.globex.example", "globex"),
        ("est.initech.example", "initech"),
    ] {
        assert_eq!(tenant(Some(host), Some("devices")), Some(owner));
        assert_eq!(tenant(Some(host), None), Some(owner));
        assert_eq!(tenant(Some(host), Some("hooli")), None);
        assert!(ra.is_tenant_host(host));
    }
    for host in [None, Some("est.example"), Some("192.0.2.1"), Some("acme.example")] {
        assert_eq!(tenant(host, Some("devices")), None);
        assert_eq!(tenant(host, Some("umbrella")), Some("umbrella"));
        assert_eq!(tenant(host, None), Some("hooli"));
    }
    assert_eq!(ra.labels().count(), TENANTS.len());
}

#[test]
fn labels_and_hosts_that_would_be_ambiguous_make_no_authority() {
    let build = |name: fn(&str) -> String, default: Option<&str>, own: &[TenantHosts]| {
        let labels = contexts(&makers(), name);
        RegistrationAuthority::new(labels, default.map(label).as_ref(), own, ports()).map(drop)
    };
    let same: fn(&str) -> String = |_| "devices".into();
    let distinct: fn(&str) -> String = str::to_owned;
    assert_eq!(build(same, Some("devices"), &[]), Err(LabelsError::Duplicate(label("devices"))));
    assert_eq!(build(distinct, Some("nobody"), &[]), Err(LabelsError::NoDefault(label("nobody"))));
    assert_eq!(build(distinct, None, &[]), Err(LabelsError::NoSharedDefault));
    let all: Vec<_> = TENANTS.iter().map(|tenant| hosts(tenant, &[tenant])).collect();
    assert_eq!(build(same, None, &all), Ok(()));
    let twice = [hosts("acme", &["a.example"]), hosts("globex", &["a.example"])];
    let two: fn(&str) -> String = |tenant| if tenant == "acme" { "devices".into() } else { tenant.into() };
    let two_devices: fn(&str) -> String =
        |tenant| if ["acme", "globex"].contains(&tenant) { "devices".into() } else { tenant.into() };
    assert_eq!(build(two_devices, Some("hooli"), &twice), Err(LabelsError::DuplicateHost("a.example".into())));
    assert_eq!(build(two, Some("hooli"), &twice[1..]), Err(LabelsError::NoDefault(label("devices"))));
}

/// What labels are called, and where requests go.
const NAMES: [&str; 3] = ["devices", "gateways", "x"];
const HOSTS: [&str; 4] = ["est.acme.example", "est.globex.example", "est.initech.example", "est.example"];

proptest! {
    /// Whatever tenants there are, with hosts of their own or not, and whatever their labels are called: a host and a label
    /// lead to a label of that name, of the tenant whose host it is, or of one that has none where it is nobody's.
    #[test]
    fn no_host_and_label_lead_to_another_tenant(
        // For each tenant, the labels it has and the host it owns.
        tenants in proptest::collection::vec((proptest::sample::subsequence(&NAMES[..], 1..=3), any::<bool>()), 3),
        asked in proptest::collection::vec((0..=HOSTS.len(), 0..=NAMES.len()), 20),
    ) {
        static CONTEXTS: LazyLock<Vec<LabelContext>> = LazyLock::new(|| contexts(&makers(), str::to_owned));
        let mut labels = Vec::new();
        let mut own = Vec::new();
        for (index, (names, has_host)) in tenants.iter().enumerate() {
            let named = |name: &&str| LabelContext { label: label(name), ..share(&CONTEXTS[index]) };
            labels.extend(names.iter().map(named));
            if *has_host {
                own.push(TenantHosts { tenant: TENANTS[index].into(), hosts: vec![HOSTS[index].into()], default_label: label(names[0]) });
            }
        }
        let is_shared = |context: &&LabelContext| own.iter().all(|own| own.tenant != context.tenant);
        let default_label = labels.iter().find(is_shared).map(|context| context.label.clone());
        // Tenants without hosts may not have labels of one name: then there is nothing to ask.
        let Ok(ra) = RegistrationAuthority::new(labels, default_label.as_ref(), &own, ports()) else { return Ok(()) };
        for (host, name) in asked {
            let (host, name) = (HOSTS.get(host).copied(), NAMES.get(name).copied());
            let found = ra.label(host, name.map(label).as_ref());
            let owner = own.iter().find(|own| host.is_some_and(|host| own.hosts.iter().any(|known| known == host)));
            let Some(found) = found else { continue };
            prop_assert!(name.is_none_or(|name| found.label.as_str() == name));
            match owner {
                Some(owner) => prop_assert_eq!(&found.tenant, &owner.tenant),
                None => prop_assert!(own.iter().all(|own| own.tenant != found.tenant), "{:?} {:?}", host, name),
            }
        }
    }
}
