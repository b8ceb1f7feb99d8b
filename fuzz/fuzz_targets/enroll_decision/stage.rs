//! The world an input plays in: keys that are made once, and the devices that are there from the start.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use estd::ca::{CertificateAuthority, Signer, SoftwareSigner, ceremony};
use estd::clock::Clock as _;
use estd::pki::public_key::KeyType;
use estd::pki::template::SubjectAltNameTemplate;
use estd::pki::trust::TrustAnchors;
use estd_asn1::{Certificate, Validity};

use super::input::{Above, Composed, LabelName};
use super::maker::Maker;
use super::names::common_name;
use super::oracle::{Credential, Kind};
use super::world::{self, World};

/// Everything that is made once.
pub struct Stage {
    pub world: World,
    /// Keys that requests are made for.
    pub keys: Vec<Box<dyn Signer>>,
    /// What devices hold from the start.
    pub born: Vec<Credential>,
    /// The certificate between a manufacturer and some of its devices.
    pub subordinate: Certificate,
    maker: Maker,
    /// Has the name of `maker` and another key.
    namesake: Maker,
    signatures: RefCell<Signatures>,
}

/// Ids of the devices that are there from the start. The first one is that of the vectors.
pub const DEVICES: [&str; 3] = ["est-client-01", "SN-1", "SN-2"];

/// By key and message: what is signed again is signed alike, and at no cost.
type Signatures = HashMap<(usize, Vec<u8>), Vec<u8>>;

/// P-521 is left to the seeds, and RSA is one of eight: signing with them takes longer than all the rest.
const KEYS: [KeyType; 8] = [
    KeyType::P256,
    KeyType::P256,
    KeyType::P384,
    KeyType::Ed25519,
    KeyType::P256,
    KeyType::P384,
    KeyType::Ed25519,
    KeyType::Rsa,
];

/// Most signatures that are remembered.
const REMEMBERED_SIGNATURES: usize = 1 << 12;

impl Stage {
    pub fn new() -> Self {
        let start = world::START.parse().expect("a moment");
        let (maker, namesake) = (Maker::new(start), Maker::new(start));
        let world = World::with(
            KeyType::P256,
            // The host of the request that the vectors hold.
            |profile| {
                let host = SubjectAltNameTemplate::parse("dns:{device_id}.example").expect("a template");
                profile.optional_subject_alt_names.push(host);
            },
            |label| {
                let makers = [label.anchors.implicit(), std::slice::from_ref(&maker.certificate)].concat();
                let anchors = TrustAnchors::new(label.anchors.explicit().to_vec(), makers);
                label.anchors = Arc::new(anchors.expect("anchors"));
            },
        );
        let (below, subordinate) = subordinate(&world.maker, start);
        let stranger = world::authority("Unknown Maker", KeyType::P256, start);
        let born = vec![
            born(&world.maker, Some("acme"), DEVICES[0], start, None),
            born(&world.maker, Some("acme"), DEVICES[1], start, None),
            born(&below, Some("acme"), DEVICES[2], start, Some(subordinate.der())),
            born(&world.other_maker, Some("other"), DEVICES[1], start, None),
            born(&stranger, None, DEVICES[1], start, None),
            ca_as_device(&world.maker),
        ];
        let keys = KEYS.into_iter().map(world::device_key).collect();
        Self { world, keys, born, subordinate, maker, namesake, signatures: RefCell::default() }
    }

    pub fn now(&self) -> DateTime<Utc> {
        self.world.clock.now()
    }

    pub fn key(&self, index: u8) -> &dyn Signer {
        self.keys[usize::from(index) % self.keys.len()].as_ref()
    }

    pub fn device(&self, index: u8) -> &Credential {
        &self.born[usize::from(index) % self.born.len()]
    }

    pub fn above(&self, above: &Above) -> Vec<u8> {
        match above {
            Above::SubordinateMaker => self.subordinate.der().to_vec(),
            Above::Maker => self.world.maker.certificate().der().to_vec(),
            Above::OtherMaker => self.world.other_maker.certificate().der().to_vec(),
            Above::Authority(label) => self.world.label(label.as_str()).authority.certificate().der().to_vec(),
            Above::Device(index) => self.device(*index).der.clone(),
            Above::Octets(octets) => octets.clone(),
        }
    }

    /// A birth certificate that nobody had before.
    pub fn compose(&self, composed: &Composed) -> Credential {
        let maker = if composed.by_namesake { &self.namesake } else { &self.maker };
        maker.compose(composed, self.key(composed.key))
    }

    pub fn sign(&self, key: u8, message: &[u8]) -> Vec<u8> {
        let mut signatures = self.signatures.borrow_mut();
        if signatures.len() == REMEMBERED_SIGNATURES {
            signatures.clear();
        }
        let signed = signatures.entry((usize::from(key) % self.keys.len(), message.to_vec()));
        signed.or_insert_with(|| self.key(key).sign(message).expect("a signature")).clone()
    }
}

impl LabelName {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Devices => "devices",
            Self::Second => "second",
            Self::Other => "other",
        }
    }

    pub fn tenant(self) -> &'static str {
        match self {
            Self::Devices | Self::Second => "acme",
            Self::Other => "other",
        }
    }
}

/// A CA below the manufacturer, as a key and as a certificate.
fn subordinate(maker: &CertificateAuthority, start: DateTime<Utc>) -> (CertificateAuthority, Certificate) {
    let (signer, _) = SoftwareSigner::generate(KeyType::P256).expect("a key");
    let validity = Validity { not_before: start - TimeDelta::hours(1), not_after: start + TimeDelta::days(1000) };
    let name = common_name("Acme Plant 7");
    let certificate = ceremony::subordinate_ca(maker, &name, signer.public_key(), validity, Some(0), &world::serial())
        .expect("a certificate");
    let chain = vec![maker.certificate().clone()];
    let authority = CertificateAuthority::new(certificate.clone(), chain, Arc::new(signer)).expect("an authority");
    (authority, certificate)
}

fn born(
    maker: &CertificateAuthority,
    tenant: Option<&'static str>,
    serial_number: &str,
    start: DateTime<Utc>,
    needs: Option<&[u8]>,
) -> Credential {
    let device = world::birth(maker, serial_number, KeyType::P256, start);
    Credential {
        validity: within(device.certificate().validity(), maker.certificate()),
        der: device.certificate,
        issuer_spki: maker.certificate().public_key().der().to_vec(),
        tenant,
        device: serial_number.to_owned(),
        needs: needs.map(<[u8]>::to_vec),
        kind: Kind::Birth,
    }
}

/// When a certificate is valid and its issuer as well.
pub fn within(validity: Validity, issuer: &Certificate) -> Validity {
    let Validity { not_before, not_after } = issuer.validity();
    Validity { not_before: validity.not_before.max(not_before), not_after: validity.not_after.min(not_after) }
}

/// The manufacturer itself: it vouches for devices and is none.
fn ca_as_device(maker: &CertificateAuthority) -> Credential {
    let certificate = maker.certificate();
    Credential {
        der: certificate.der().to_vec(),
        issuer_spki: certificate.public_key().der().to_vec(),
        tenant: None,
        device: "Acme Devices Birth CA".to_owned(),
        validity: certificate.validity(),
        needs: None,
        kind: Kind::Birth,
    }
}
