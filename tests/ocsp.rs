//! What an OCSP responder says of a certificate, and what relying parties make of it.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

#[path = "support/folder.rs"]
mod folder;
#[path = "support/world.rs"]
mod world;

use std::process::Command;
use std::sync::Arc;

use arc_swap::ArcSwap;
use chrono::TimeDelta;
use estd::ca::{CertificateAuthority, Publication, StatusRules};
use estd::est::{EstRequest, EstTarget, Operation, PresentedChain, ResponseBody};
use estd::http::{HttpLimits, Metrics, PublicEdge, serve_public_connection};
use estd::pki::cert_id::IssuerDigests;
use estd::pki::public_key::KeyType;
use estd::pki::revocation::RevocationReason;
use estd::pki::signature::{self, SignatureAlgorithm};
use estd::ra::PeerSession;
use estd::store::CertificateId;
use estd::va::{self, OcspAnswer, ValidationAuthority};
use estd_asn1::ocsp_request::{self, CertId};
use estd_asn1::{Certificate, Name, certs_only, oid};
use folder::{Folder, get, send};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use world::*;

/// A world with a responder for the authority of label `devices`.
struct Asked {
    world: World,
    validation: ValidationAuthority,
    digests: IssuerDigests,
}

impl Asked {
    fn new(key_type: KeyType) -> Self {
        let publish = |label: &mut estd::ra::LabelContext| {
            let (signer, _) = estd::ca::SoftwareSigner::generate(key_type).unwrap();
            let validity = label.authority.certificate().validity();
            let subject = common_name("Asked CA");
            let certificate = estd::ca::ceremony::self_signed_ca(&signer, &subject, validity, None, &serial()).unwrap();
            let authority = CertificateAuthority::new(certificate.clone(), Vec::new(), Arc::new(signer)).unwrap();
            let publication = Publication::new(None, "acme/asked".into(), StatusRules::default());
            label.authority = Arc::new(authority.publishing(publication));
            let implicit = label.anchors.implicit().to_vec();
            label.anchors = Arc::new(estd::pki::trust::TrustAnchors::new(vec![certificate], implicit).unwrap());
        };
        let world = World::with(KeyType::P256, |_| (), publish);
        let ports = va::Ports {
            store: Arc::clone(&world.store) as _,
            clock: Arc::clone(&world.clock) as _,
            entropy: Arc::clone(&world.entropy) as _,
        };
        let authority = Arc::clone(&world.label("devices").authority);
        let digests = IssuerDigests::of(authority.certificate());
        Self { validation: ValidationAuthority::new([authority], ports, None), world, digests }
    }

    fn answer(&self, request: &[u8]) -> OcspAnswer {
        let answer = self.validation.issuers().next().unwrap().answer(request, self.validation.ports());
        assert!(answer.fault.is_none(), "{:?}", answer.fault);
        answer
    }

    fn ask(&self, serials: &[&[u8]], nonce: Option<&[u8]>) -> OcspAnswer {
        let certificates: Vec<_> = serials.iter().map(|serial| self.digests.cert_id(serial).unwrap()).collect();
        self.answer(&ocsp_request::encode(&certificates, nonce))
    }

    fn device(&self, serial_number: &str) -> Certificate {
        self.world.operational(&self.world.birth(serial_number, KeyType::P256), KeyType::P256).certificate()
    }
}

/// What a request that comes over HTTP is answered with, where so many are worked at.
async fn posted(asked: Asked, request: &[u8], max_ocsp_responses: usize) -> Vec<u8> {
    let limits = HttpLimits { max_ocsp_responses, ..HttpLimits::default() };
    let authority = Arc::new(ArcSwap::from_pointee(asked.validation));
    let edge = Arc::new(PublicEdge::new(authority, limits, Arc::new(Metrics::new())));
    let (mut client, server) = tokio::io::duplex(64 * 1024);
    let serving = tokio::spawn(serve_public_connection(server, edge, std::future::pending()));
    let head = format!(
        "POST /ocsp/acme/asked HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Type: application/ocsp-request\r\n\
         Content-Length: {}\r\n\r\n",
        request.len()
    );
    client.write_all(&[head.as_bytes(), request].concat()).await.unwrap();
    let mut answer = Vec::new();
    client.read_to_end(&mut answer).await.unwrap();
    serving.await.unwrap();
    answer
}

fn holds(answer: &OcspAnswer, part: &[u8]) -> bool {
    answer.response.der.windows(part.len()).any(|window| window == part)
}

#[test]
fn a_certificate_is_good_until_it_is_revoked_and_unknown_when_it_was_never_issued() {
    let asked = Asked::new(KeyType::P256);
    let (one, two) = (asked.device("SN-1"), asked.device("SN-2"));
    assert_eq!(asked.ask(&[one.serial()], None).says, ["good"]);
    assert_eq!(asked.ask(&[&[0x42; 20]], None).says, ["unknown"]);
    asked.world.revoke(&one, RevocationReason::KeyCompromise);
    asked.world.revoke(&two, RevocationReason::CertificateHold);
    // At once: an answer that was made before is not given when it is no longer true.
    assert_eq!(asked.ask(&[one.serial()], None).says, ["revoked"]);
    assert_eq!(asked.ask(&[two.serial(), one.serial(), &[1]], None).says, ["revoked", "revoked", "unknown"]);
    let id = asked.world.id(&two);
    asked.world.ra.release_hold(&grant("acme"), &id).unwrap().wait().unwrap();
    assert_eq!(asked.ask(&[two.serial()], None).says, ["good"]);
}

#[test]
fn what_cannot_be_answered_says_why() {
    let asked = Asked::new(KeyType::P256);
    let one = asked.device("SN-1");
    let own = asked.digests.cert_id(one.serial()).unwrap();
    let foreign = CertId::new(oid::SHA256, &[1; 32], &[2; 32], one.serial());
    let most = StatusRules::default().ocsp_max_certificates;
    for (request, says) in [
        (vec![], vec!["malformedRequest"]),
        (b"hello".to_vec(), vec!["malformedRequest"]),
        (ocsp_request::encode(&vec![own.clone(); most + 1], None), vec!["malformedRequest"]),
        (ocsp_request::encode(&vec![own.clone(); most], None), vec!["good"; most]),
        (ocsp_request::encode(std::slice::from_ref(&foreign), None), vec!["unauthorized"]),
        (ocsp_request::encode(&[foreign, own.clone()], None), vec!["unknown", "good"]),
        (ocsp_request::encode(std::slice::from_ref(&own), Some(&[])), vec!["malformedRequest"]),
        (ocsp_request::encode(std::slice::from_ref(&own), Some(&[7; 129])), vec!["malformedRequest"]),
    ] {
        assert_eq!(asked.answer(&request).says, says);
    }
}

#[tokio::test]
async fn whoever_comes_when_enough_are_worked_at_is_told_to_try_later() {
    // RFC 6960 §4.2.1: OCSPResponse with responseStatus tryLater (3) and nothing else.
    const TRY_LATER: [u8; 5] = [0x30, 3, 10, 1, 3];
    for (most, is_answered) in [(1, true), (0, false)] {
        let asked = Asked::new(KeyType::P256);
        let request = ocsp_request::encode(&[asked.digests.cert_id(asked.device("SN-1").serial()).unwrap()], None);
        assert_eq!(!posted(asked, &request, most).await.ends_with(&TRY_LATER), is_answered);
    }
}

#[test]
fn a_nonce_comes_back_and_an_answer_without_one_is_made_once() {
    let asked = Asked::new(KeyType::P256);
    let one = asked.device("SN-1");
    let first = asked.ask(&[one.serial()], None);
    assert!(first.is_shared);
    asked.world.clock.advance(TimeDelta::minutes(29));
    assert!(Arc::ptr_eq(&asked.ask(&[one.serial()], None).response, &first.response));
    asked.world.clock.advance(TimeDelta::minutes(2));
    let second = asked.ask(&[one.serial()], None);
    assert!(second.response.this_update > first.response.this_update);
    for octets in [1, 32, 128] {
        let nonce = vec![0xa5; octets];
        let answer = asked.ask(&[one.serial()], Some(&nonce));
        assert!(!answer.is_shared && holds(&answer, &nonce), "{octets}");
    }
}

#[test]
fn the_responder_is_certified_for_this_alone_and_replaced_before_it_ends() {
    for key_type in [KeyType::P256, KeyType::P384, KeyType::Ed25519] {
        let asked = Asked::new(key_type);
        let one = asked.device("SN-1");
        // The certificate stands at the end of the answer.
        let responder = |answer: &OcspAnswer| {
            let der = &answer.response.der;
            let starts = (0..der.len()).rev().filter(|at| der[*at..].starts_with(&[0x30, 0x82]));
            let mut found = starts.filter_map(|at| Certificate::decode(&der[at..]).ok());
            found.next().unwrap()
        };
        let first = responder(&asked.ask(&[one.serial()], None));
        let authority = &asked.world.label("devices").authority;
        let algorithm = SignatureAlgorithm::from_identifier(first.signature_algorithm()).unwrap();
        signature::verify(authority.key(), algorithm, first.tbs_der(), first.signature()).unwrap();
        assert_eq!(first.ext_key_usage().unwrap().unwrap(), [oid::KP_OCSP_SIGNING]);
        assert_eq!(first.extension(&oid::OCSP_NO_CHECK).unwrap().value, [5, 0]);
        assert_eq!(first.basic_constraints().unwrap(), None);
        asked.world.clock.advance(TimeDelta::days(3));
        assert_eq!(responder(&asked.ask(&[one.serial()], None)).der(), first.der());
        asked.world.clock.advance(TimeDelta::days(1));
        let second = responder(&asked.ask(&[one.serial()], None));
        assert_ne!(second.public_key(), first.public_key());
        let events = asked.world.store.events();
        assert_eq!(events.iter().filter(|event| event.operation == "ocsp-responder").count(), 2);
    }
}

fn pem(der: &[u8]) -> String {
    let body = estd::est::transfer::encode(der, estd::est::transfer::LineWrapping::Lines64);
    let body = String::from_utf8(body).unwrap();
    format!("-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n", body.trim_end())
}

#[tokio::test(flavor = "multi_thread")]
async fn openssl_believes_what_a_server_says() {
    let folder = Folder::new();
    folder.edit("data_dir = ", "public_listen = [\"127.0.0.1:0\"]\npublic_url = \"http://127.0.0.1:1\"\ndata_dir = ");
    let now = estd::clock::Clock::now(&estd::clock::SystemClock);
    let maker = authority("Maker", KeyType::P256, now);
    std::fs::write(folder.path.join("manufacturers/maker.pem"), pem(maker.certificate().der())).unwrap();
    let running = folder.start().await;
    let address = running.public_addresses()[0];
    let ra = running.registration_authority();
    let label = Arc::clone(ra.labels().next().unwrap());
    let device = birth(&maker, "SN-1", KeyType::P256, now - TimeDelta::minutes(1));
    let target = EstTarget { label: Some(label.label.clone()), operation: Operation::SimpleEnroll };
    let body = request(device_key(KeyType::P256).as_ref(), &Name::empty(), &[]);
    let session =
        PeerSession::new(PresentedChain::possession_proven(vec![device.certificate.clone()]), "192.0.2.1:1".into());
    let pending = ra.enroll(&label, &EstRequest { target, body, credential: None }, &session, "test").unwrap();
    pending.receipt.wait().unwrap();
    let ResponseBody::Issued(der) = &pending.response.body else { panic!("no certificate") };
    let leaf = certs_only::decode(der, 1).unwrap().pop().unwrap();
    let leaf = Certificate::decode(&leaf).unwrap();

    let path = |name: &str| folder.path.join(name).to_str().unwrap().to_owned();
    std::fs::write(path("leaf.pem"), pem(leaf.der())).unwrap();
    let both = [path("ca/root.pem"), path("ca/issuing.pem")].map(|path| std::fs::read_to_string(path).unwrap());
    std::fs::write(path("both.pem"), both.concat()).unwrap();
    let url = format!("http://{address}/ocsp/{}/issuing", folder.tenant());
    let ask = |extra: &[&str]| {
        let (issuer, leaf, both) = (path("ca/issuing.pem"), path("leaf.pem"), path("both.pem"));
        let fixed = ["ocsp", "-issuer", &issuer, "-cert", &leaf, "-url", &url, "-CAfile", &both];
        let output = Command::new("openssl").args(fixed).args(extra).output().unwrap();
        String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned()
    };
    for extra in [&[][..], &["-no_nonce"]] {
        let said = ask(extra);
        assert!(said.contains("Response verify OK") && said.contains("leaf.pem: good"), "{said}");
        assert!(!said.contains("WARNING"), "{said}");
    }
    let id = CertificateId { issuer: label.authority.issuer_id(), serial: leaf.serial().to_vec() };
    let revoked = ra.revoke_certificate(&grant(&label.tenant), &id, RevocationReason::KeyCompromise).unwrap();
    revoked.wait().unwrap();
    let said = ask(&["-no_nonce"]);
    assert!(said.contains("leaf.pem: revoked") && said.contains("keyCompromise"), "{said}");

    // The list has it within a second; over HTTP the same answer is found by GET and may be kept.
    let crl = format!("/crl/{}/issuing.crl", folder.tenant());
    let listed = async {
        loop {
            let answer = get(address, "GET", &crl, "").await;
            let serial = leaf.serial();
            if answer.status == 200 && answer.body.windows(serial.len()).any(|part| part == serial) {
                break answer.body;
            }
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
    };
    let list = tokio::time::timeout(std::time::Duration::from_secs(10), listed).await.unwrap();
    std::fs::write(path("list.crl"), list).unwrap();
    let digests = IssuerDigests::of(label.authority.certificate());
    let request = ocsp_request::encode(&[digests.cert_id(leaf.serial()).unwrap()], None);
    let base64 = estd::est::transfer::encode(&request, estd::est::transfer::LineWrapping::SingleLine);
    let base64 = String::from_utf8(base64).unwrap().trim().to_owned();
    let escaped = base64.replace('+', "%2B").replace('/', "%2F").replace('=', "%3d");
    let place = format!("/ocsp/{}/issuing", folder.tenant());
    let posted = send(address, "POST", &place, "Content-Type: application/ocsp-request", &request).await;
    assert_eq!((posted.status, posted.field("content-type")), (200, "application/ocsp-response"));
    for text in [base64, escaped] {
        let answer = get(address, "GET", &format!("{place}/{text}"), "").await;
        assert_eq!((answer.status, &answer.body), (200, &posted.body));
        assert!(answer.field("cache-control").starts_with("public, max-age="));
        assert_eq!(answer.field("etag").len(), 34);
        assert!(!answer.field("expires").is_empty() && !answer.field("last-modified").is_empty());
    }
    for (method, path, fields, body, status, said) in [
        ("POST", place.clone(), "Content-Type: application/ocsp-request", vec![0; 17 * 1024], 413, None),
        ("POST", place.clone(), "Content-Type: text/plain", request.clone(), 415, None),
        ("PUT", place.clone(), "Content-Length: 0", vec![], 405, None),
        ("GET", place.clone(), "", vec![], 200, Some([0x30, 3, 10, 1, 1])),
        ("GET", format!("{place}/AAAA"), "", vec![], 200, Some([0x30, 3, 10, 1, 1])),
        ("POST", place.clone(), "Content-Type: application/ocsp-request", vec![], 200, Some([0x30, 3, 10, 1, 1])),
    ] {
        let answer = send(address, method, &path, fields, &body).await;
        assert_eq!(answer.status, status, "{method} {path} {}", answer.head);
        if let Some(said) = said {
            assert_eq!((answer.body.as_slice(), answer.field("cache-control")), (&said[..], "no-store"));
        }
    }
    let metrics = get(running.status_address(), "GET", "/metrics", "").await;
    let metrics = String::from_utf8(metrics.body).unwrap();
    assert!(metrics.contains("estd_ocsp_answers_total{status=\"good\"} 2"), "{metrics}");
    assert!(metrics.contains("estd_ocsp_answers_total{status=\"malformedRequest\"} 3"), "{metrics}");
    running.shutdown().await;
}
