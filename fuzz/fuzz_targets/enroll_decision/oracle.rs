//! Who may get which certificate, decided a second time and in another way: from what is known of each credential since
//! it was made, and from the octets alone.

use std::cell::RefCell;
use std::collections::HashSet;

use chrono::{DateTime, TimeDelta, Utc};
use estd::ca::CertificateAuthority;
use estd::pki::signature::{self, SignatureAlgorithm};
use estd_asn1::{Certificate, Validity};
use estd_fuzz::possession;
use estd_fuzz::tlv::{self, Signed, Tlv};
use sha2::{Digest as _, Sha256};

use super::input::{LabelName, OperationName};

/// A certificate somebody may present, and what is known of it.
#[derive(Debug, Clone)]
pub struct Credential {
    pub der: Vec<u8>,
    /// The key it was signed with.
    pub issuer_spki: Vec<u8>,
    /// Whose label it opens, if anybody's.
    pub tenant: Option<&'static str>,
    pub device: String,
    /// When it is valid, and the CAs above it as well.
    pub validity: Validity,
    /// What must come with it for a path to be found.
    pub needs: Option<Vec<u8>>,
    pub kind: Kind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Birth,
    /// Issued here.
    Operational {
        label: LabelName,
        revoked: bool,
    },
}

/// Most certificates above the peer's own that are looked at, as `PathLimits` has it by default.
const MAX_ABOVE: usize = 6;

/// What the fixtures' authorities sign with, and what their profile says.
const ISSUERS_ALGORITHM: SignatureAlgorithm = SignatureAlgorithm::EcdsaSha256;
const LIFE: TimeDelta = TimeDelta::days(398);
const BACKDATE: TimeDelta = TimeDelta::hours(1);

impl Credential {
    pub fn decode(&self) -> Option<Certificate> {
        Certificate::decode(&self.der).ok()
    }

    pub fn is_revoked(&self) -> bool {
        match self.kind {
            Kind::Birth => false,
            Kind::Operational { revoked, .. } => revoked,
        }
    }

    /// Whether these octets are this certificate. A signature that says the same in other octets is as good.
    pub fn is(&self, octets: &[u8]) -> bool {
        if self.der == octets {
            return true;
        }
        let (Some(own), Some(other)) = (Signed::read(&self.der), Signed::read(octets)) else { return false };
        let same = own.content == other.content && own.algorithm == other.algorithm && other.write() == octets;
        same && possession::verifies(&self.issuer_spki, &other)
    }

    /// Whether its holder may enroll there, then, and by that operation, for all that its certificate says.
    pub fn opens(&self, label: LabelName, operation: OperationName, above: &[Vec<u8>], now: DateTime<Utc>) -> bool {
        let operation = match (operation, self.kind) {
            (OperationName::SimpleEnroll, _) => true,
            // RFC 7030 section 4.2.2: what is renewed was issued here.
            (OperationName::SimpleReenroll, Kind::Operational { .. }) => true,
            (OperationName::SimpleReenroll, Kind::Birth) | (OperationName::CaCerts | OperationName::CsrAttrs, _) => {
                false
            }
        };
        let standing = match self.kind {
            Kind::Birth => true,
            Kind::Operational { label: issued_at, revoked } => issued_at == label && !revoked,
        };
        let path = self.needs.as_ref().is_none_or(|needed| above.contains(needed)) && above.len() <= MAX_ABOVE;
        let Validity { not_before, not_after } = self.validity;
        let in_time = (not_before..=not_after).contains(&now);
        operation && standing && path && in_time && self.tenant == Some(label.tenant())
    }
}

/// What an issued certificate must say, apart from what follows from the peer.
pub struct Expected<'a> {
    pub issuer: &'a CertificateAuthority,
    pub device: &'a str,
    /// The SubjectPublicKeyInfo of the request.
    pub spki: &'a [u8],
    pub now: DateTime<Utc>,
}

/// What was read out of an issued certificate.
pub struct Issued {
    pub serial: Vec<u8>,
    pub validity: Validity,
    /// The value of subjectAltName.
    pub alt_names: Vec<u8>,
}

/// Reads a certificate that was issued now, and holds every octet of its contents against what it must be.
pub fn judge_certificate(der: &[u8], expected: &Expected<'_>) -> Issued {
    let signed = Signed::read(der).expect("a certificate");
    // By the crypto backend: what could go wrong is which octets are signed, and a second library takes ten times as long.
    let verdict = signature::verify(expected.issuer.key(), ISSUERS_ALGORITHM, signed.content.whole, signed.signature);
    assert_eq!(verdict, Ok(()), "the CA signed it");
    let issuer_certificate = expected.issuer.certificate();
    let fields = signed.content.elements().expect("fields of a TBSCertificate");
    let [version, serial, algorithm, issuer, validity, subject, spki, extensions] = fields.as_slice() else {
        panic!("not a certificate of version 3")
    };
    assert_eq!(version.whole, b"\xa0\x03\x02\x01\x02");
    assert_eq!(algorithm.whole, signed.algorithm.whole);
    assert_eq!(issuer.whole, issuer_certificate.subject().der());
    assert_eq!(subject.whole, subject_of(expected.device), "the device's own name and no other");
    assert_eq!(spki.whole, expected.spki, "the key whose possession was proven");
    assert!(serial.tag == 0x02 && serial.content.len() == 20 && (0x40..0x80).contains(&serial.content[0]));

    let ca = issuer_certificate.validity();
    let not_before = (expected.now - BACKDATE).max(ca.not_before);
    let not_after = (expected.now + LIFE).min(ca.not_after);
    assert_eq!(validity.content, [utc_time(not_before), utc_time(not_after)].concat());
    let alt_names = judge_extensions(extensions, expected);
    Issued { serial: serial.content.to_vec(), validity: Validity { not_before, not_after }, alt_names }
}

/// `CN=device,O=Acme`, one RDN each, in UTF-8.
fn subject_of(device: &str) -> Vec<u8> {
    let rdn = |attribute: &[u8], text: &str| {
        let pair = [tlv::write(0x06, attribute), tlv::write(0x0c, text.as_bytes())].concat();
        tlv::write(0x31, &tlv::write(0x30, &pair))
    };
    tlv::write(0x30, &[rdn(b"\x55\x04\x03", device), rdn(b"\x55\x04\x0a", "Acme")].concat())
}

fn utc_time(time: DateTime<Utc>) -> Vec<u8> {
    tlv::write(0x17, time.format("%y%m%d%H%M%SZ").to_string().as_bytes())
}

/// Exactly the extensions of the profile, none that gives power, names of the device alone.
fn judge_extensions(extensions: &Tlv<'_>, expected: &Expected<'_>) -> Vec<u8> {
    let list = Tlv::only(extensions.content).and_then(|list| list.elements()).expect("extensions");
    let mut alt_names = Vec::new();
    let mut seen = HashSet::new();
    for extension in &list {
        let fields = extension.elements().expect("fields of an extension");
        let (oid, value) = (fields[0].content, fields[fields.len() - 1].content);
        let critical = fields.len() == 3;
        assert!(seen.insert(oid.to_vec()), "no extension twice");
        match oid {
            // subjectKeyIdentifier, authorityKeyIdentifier, cRLDistributionPoints
            b"\x55\x1d\x0e" | b"\x55\x1d\x23" | b"\x55\x1d\x1f" => assert!(!critical),
            // keyUsage: digitalSignature, for RSA keyEncipherment as well; never keyCertSign or cRLSign.
            b"\x55\x1d\x0f" => {
                let usage: &[u8] = if is_rsa(expected.spki) { b"\x03\x02\x05\xa0" } else { b"\x03\x02\x07\x80" };
                assert!(critical && value == usage);
            }
            // extKeyUsage: clientAuth
            b"\x55\x1d\x25" => assert_eq!(value, b"\x30\x0a\x06\x08\x2b\x06\x01\x05\x05\x07\x03\x02"),
            b"\x55\x1d\x11" => {
                judge_alt_names(value, expected.device);
                alt_names = value.to_vec();
            }
            // basicConstraints is left out, which says that it is no CA.
            other => panic!("an extension that the profile does not have: {other:02x?}"),
        }
    }
    assert_eq!(seen.len(), 6);
    alt_names
}

fn is_rsa(spki: &[u8]) -> bool {
    spki.windows(11).any(|window| window == b"\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01")
}

pub fn judge_alt_names(value: &[u8], device: &str) {
    let names = Tlv::only(value).and_then(|names| names.elements()).expect("GeneralNames");
    let uri = format!("urn:acme:{device}");
    let hosts = [format!("{device}.acme.example"), format!("{device}.example")];
    assert_eq!((names[0].tag, names[0].content), (0x86, uri.as_bytes()), "what every device gets");
    let mut seen = HashSet::new();
    for name in &names[1..] {
        let own = hosts.iter().any(|host| host.as_bytes() == name.content);
        assert!(name.tag == 0x82 && own && seen.insert(name.content), "a name of another: {name:02x?}");
    }
}

pub fn sha256(octets: &[u8]) -> [u8; 32] {
    Sha256::digest(octets).into()
}

/// Whether possession is proven; the answer is remembered, since it takes longer than the decision it judges.
pub fn is_possession_proven(request: &[u8]) -> bool {
    thread_local! {
        static PROVEN: RefCell<HashSet<Vec<u8>>> = RefCell::default();
    }
    PROVEN.with_borrow_mut(|proven| {
        if proven.contains(request) {
            return true;
        }
        if proven.len() == REMEMBERED_REQUESTS {
            proven.clear();
        }
        possession::is_proven(request) && proven.insert(request.to_vec())
    })
}

/// Requests are remembered up to that many.
const REMEMBERED_REQUESTS: usize = 1 << 12;

/// Serial numbers are remembered up to that many, so that a night of fuzzing does not fill the memory.
const REMEMBERED_SERIALS: usize = 1 << 20;

/// Asserts that this process has not seen the serial number before.
pub fn is_new_serial(serial: &[u8]) -> bool {
    thread_local! {
        static SEEN: RefCell<HashSet<Vec<u8>>> = RefCell::default();
    }
    SEEN.with_borrow_mut(|seen| {
        if seen.len() == REMEMBERED_SERIALS {
            seen.clear();
        }
        seen.insert(serial.to_vec())
    })
}
