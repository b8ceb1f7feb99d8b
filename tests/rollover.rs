//! A CA takes another's place under devices that go on: over real TLS from announcement to end, and who is counted as ready.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

#[path = "support/folder.rs"]
mod folder;
#[path = "support/world.rs"]
mod world;

use std::fs;
use std::sync::Arc;
use std::time::Duration;

use estd::ca::{CertificateAuthority, CrossCertificates, Rollover, RolloverPhase, Signer, SoftwareSigner, ceremony};
use estd::clock::{Clock as _, SystemClock};
use estd::est::Operation;
use estd::est::transfer::{self, LineWrapping};
use estd::pki::pem;
use estd::pki::public_key::KeyType;
use estd::pki::trust::TrustAnchors;
use estd::ra::PeerSession;
use estd::server::Running;
use estd::store::device::DeviceState;
use estd::store::rollover_census::{self, Transition};
use estd_asn1::{Certificate, Name, certs_only};
use folder::Folder;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use world::*;

const PATIENCE: Duration = Duration::from_secs(10);

/// A folder as `estd init` makes it, with one manufacturer, and a successor as `estd ca rollover` makes it.
struct Site {
    folder: Folder,
    maker: CertificateAuthority,
}

/// A key in PEM with a certificate over it.
struct Identity {
    key: String,
    certificate: Vec<u8>,
}

const SUCCESSOR: &str = r#"chain = ["ca/root.pem"]

[tenant.authority.successor]
phase = "announce"
certificate = "ca/next/issuing.pem"
key = "ca/next/issuing.key"
chain = ["ca/next/root.pem"]
old_with_new = "ca/next/old-with-new.pem"
new_with_old = "ca/next/new-with-old.pem"
"#;

impl Site {
    fn new() -> Self {
        let site = Self { folder: Folder::new(), maker: authority("Maker", KeyType::P256, SystemClock.now()) };
        let anchor = pem::certificate(site.maker.certificate().der());
        fs::write(site.folder.path.join("manufacturers/maker.pem"), anchor).unwrap();
        site
    }

    fn announce(&self) {
        let (config, root_key) = (self.folder.path.join("config.toml"), self.folder.path.join("ca/root.key"));
        let (config, root_key) = (config.to_str().unwrap(), root_key.to_str().unwrap());
        let next = self.folder.path.join("ca/next");
        let out = next.to_str().unwrap();
        let arguments = ["estd", "ca", "rollover", "--config", config, "--root-key", root_key, "--out", out];
        estd::cli::run(arguments.map(Into::into));
        fs::remove_file(next.join("root.key")).unwrap();
        self.folder.edit("chain = [\"ca/root.pem\"]\n", SUCCESSOR);
    }

    /// The successor's files in the place of the authority's.
    fn finish(&self) {
        self.folder.edit("phase = \"cut-over\"\n", "");
        let (before, table) =
            (SUCCESSOR.split_once("\n\n").unwrap().0, SUCCESSOR.split_once("\"announce\"\n").unwrap().1);
        let old = format!(
            "certificate = \"ca/issuing.pem\"\nkey = \"ca/issuing.key\"\n{before}\n\n[tenant.authority.successor]\n{table}"
        );
        let kept = table.split_once("old_with_new").unwrap().0;
        self.folder.edit(&old, kept);
    }

    async fn reload(&self, running: &Running) {
        assert_eq!(running.reload(self.folder.config()).await.unwrap(), Vec::<&str>::new());
    }

    fn certificate(&self, file: &str) -> Certificate {
        Certificate::decode(&CertificateDer::from_pem_file(self.folder.path.join("ca").join(file)).unwrap()).unwrap()
    }

    /// A connection that trusts one root alone; `None` when it does not trust the server.
    async fn connect(
        &self,
        running: &Running,
        root: &str,
        identity: Option<&Identity>,
    ) -> Option<TlsStream<TcpStream>> {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(self.folder.path.join("ca").join(root)).unwrap()).unwrap();
        let config = ClientConfig::builder().with_root_certificates(roots);
        let config = match identity {
            None => config.with_no_client_auth(),
            Some(Identity { key, certificate }) => {
                let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap();
                config.with_client_auth_cert(vec![certificate.clone().into()], key).unwrap()
            }
        };
        let stream = TcpStream::connect(running.est_addresses()[0]).await.unwrap();
        let name = ServerName::try_from("localhost").unwrap();
        TlsConnector::from(Arc::new(config)).connect(name, stream).await.ok()
    }

    fn born(&self, serial_number: &str) -> Identity {
        let (signer, key) = SoftwareSigner::generate(KeyType::P256).unwrap();
        let device = ceremony::DeviceIdentity { serial_number, hardware_module_name: None };
        let now = SystemClock.now();
        let certificate =
            ceremony::birth_certificate(&self.maker, device, signer.public_key(), now, &serial()).unwrap();
        Identity { key: key.to_string(), certificate: certificate.der().to_vec() }
    }

    fn readiness(&self) -> (usize, usize) {
        let config = self.folder.config();
        let rollover = config.authorities[0].rollover.as_ref().unwrap();
        let (old, new) = (rollover.old().issuer_id(), rollover.successor().issuer_id());
        let transition = Transition { tenant: "acme", old, new };
        let counted = rollover_census::readiness(&config.server.data_dir, &transition, SystemClock.now()).unwrap();
        (counted.ready, counted.devices)
    }
}

/// The status and the body of an answer.
async fn exchange(connection: &mut TlsStream<TcpStream>, request: &str) -> (u16, String) {
    connection.write_all(request.as_bytes()).await.unwrap();
    let mut text = String::new();
    let read = async {
        let mut buffer = [0; 4096];
        loop {
            let read = connection.read(&mut buffer).await.unwrap();
            assert_ne!(read, 0, "closed after {text:?}");
            text.push_str(std::str::from_utf8(&buffer[..read]).unwrap());
            let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
            let length = head.lines().find_map(|line| line.strip_prefix("Content-Length: ")).unwrap();
            if request.starts_with("HEAD") || body.len() >= length.parse().unwrap() {
                return (head[9..12].parse().unwrap(), body.to_owned());
            }
        }
    };
    tokio::time::timeout(PATIENCE, read).await.unwrap()
}

fn fetch(method: &str) -> String {
    format!("{method} /.well-known/est/cacerts HTTP/1.1\r\nHost: localhost\r\n\r\n")
}

async fn ca_certs(connection: &mut TlsStream<TcpStream>) -> Vec<Vec<u8>> {
    let (status, body) = exchange(connection, &fetch("GET")).await;
    assert_eq!(status, 200);
    certs_only::decode(&transfer::decode(body.as_bytes()).unwrap(), 16).unwrap()
}

/// A new key and the certificate over it, or the refusal.
async fn enroll(
    connection: &mut TlsStream<TcpStream>,
    operation: &str,
    subject: &Name,
    names: &[estd_asn1::Extension],
) -> Result<Identity, String> {
    let (signer, key) = SoftwareSigner::generate(KeyType::P256).unwrap();
    let body = transfer::encode(&request(&signer, subject, names), LineWrapping::Lines64);
    let body = String::from_utf8(body).unwrap();
    let (status, answer) = exchange(
        connection,
        &format!(
            "POST /.well-known/est/{operation} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/pkcs10\r\n\
             Content-Length: {}\r\n\r\n{body}",
            body.len()
        ),
    )
    .await;
    if status != 200 {
        return Err(format!("{status} {answer}"));
    }
    let certificate = certs_only::decode(&transfer::decode(answer.as_bytes()).unwrap(), 1).unwrap().remove(0);
    Ok(Identity { key: key.to_string(), certificate })
}

async fn renew(connection: &mut TlsStream<TcpStream>, identity: &Identity) -> Result<Identity, String> {
    let current = Certificate::decode(&identity.certificate).unwrap();
    enroll(connection, "simplereenroll", current.subject(), &[]).await
}

/// ROLL-05, EST-4.1.3-06: from one root to the other, and nobody is left behind before the end.
#[tokio::test]
async fn a_device_that_trusts_the_old_root_alone_follows_to_the_new_one() {
    let site = Site::new();
    let running = site.folder.start().await;
    let born = site.born("SN-1");
    let mut connection = site.connect(&running, "root.pem", Some(&born)).await.unwrap();
    let first = enroll(&mut connection, "simpleenroll", &Name::empty(), &[]).await.unwrap();
    let mut connection = site.connect(&running, "root.pem", Some(&first)).await.unwrap();
    assert_eq!(ca_certs(&mut connection).await.len(), 2);

    // Announced: the same connection is told of both, and the old CA signs. Who has the new root by other ways is welcome.
    site.announce();
    site.reload(&running).await;
    let files = [
        "issuing.pem",
        "root.pem",
        "next/issuing.pem",
        "next/root.pem",
        "next/old-with-new.pem",
        "next/new-with-old.pem",
    ];
    let mut expected = files.map(|file| site.certificate(file).der().to_vec()).to_vec();
    let mut served = ca_certs(&mut connection).await;
    expected.sort();
    served.sort();
    assert!(served == expected, "{} certificates", served.len());
    let second = renew(&mut connection, &first).await.unwrap();
    assert!(is_issued_by(&second, &site.certificate("issuing.pem")));
    assert!(site.connect(&running, "root.pem", None).await.is_some());
    assert!(site.connect(&running, "next/root.pem", None).await.is_some(), "by OldWithNew");

    // Cut over: the connection that was made before goes on, and the new CA signs for who holds a certificate of the old.
    site.folder.edit("phase = \"announce\"", "phase = \"cut-over\"");
    site.reload(&running).await;
    let third = renew(&mut connection, &first).await.unwrap();
    assert!(is_issued_by(&third, &site.certificate("next/issuing.pem")));
    let mut by_the_old_root = site.connect(&running, "root.pem", Some(&second)).await.unwrap();
    let presented: Vec<Vec<u8>> =
        by_the_old_root.get_ref().1.peer_certificates().unwrap().iter().map(|der| der.to_vec()).collect();
    let chain = ["next/issuing.pem", "next/new-with-old.pem"].map(|file| site.certificate(file).der().to_vec());
    assert_eq!(presented[1..], chain, "NewWithOld leads from the old root to the new CA");
    let fourth = renew(&mut by_the_old_root, &second).await.unwrap();
    assert!(is_issued_by(&fourth, &site.certificate("next/issuing.pem")));
    let mut by_the_new_root = site.connect(&running, "next/root.pem", Some(&fourth)).await.unwrap();
    assert_eq!(ca_certs(&mut by_the_new_root).await.len(), 6);
    assert!(renew(&mut by_the_new_root, &fourth).await.is_ok());

    // The end: the old CA counts no more, not on connections that are open either.
    site.finish();
    site.reload(&running).await;
    assert_eq!(ca_certs(&mut by_the_new_root).await.len(), 2);
    let refused = renew(&mut connection, &first).await.err().unwrap();
    assert!(refused.starts_with("403 estd: untrusted"), "{refused}");
    assert!(site.connect(&running, "root.pem", None).await.is_none());
    assert!(renew(&mut by_the_new_root, &fourth).await.is_ok());
    running.shutdown().await;
}

fn is_issued_by(identity: &Identity, issuer: &Certificate) -> bool {
    let certificate = Certificate::decode(&identity.certificate).unwrap();
    certificate.authority_key_identifier().unwrap() == issuer.subject_key_identifier().unwrap()
}

/// The figure that is looked at before the cut-over, read while the server runs, and after it ran.
#[tokio::test]
async fn only_devices_that_show_their_certificate_and_take_the_new_ones_count_as_ready() {
    let site = Site::new();
    let running = site.folder.start().await;
    let mut devices = Vec::new();
    for serial_number in ["SN-1", "SN-2", "SN-3"] {
        let born = site.born(serial_number);
        let mut connection = site.connect(&running, "root.pem", Some(&born)).await.unwrap();
        devices.push((born, enroll(&mut connection, "simpleenroll", &Name::empty(), &[]).await.unwrap()));
    }
    // What is fetched before says nothing of the new CA.
    let mut connection = site.connect(&running, "root.pem", Some(&devices[0].1)).await.unwrap();
    ca_certs(&mut connection).await;
    site.announce();
    site.reload(&running).await;
    assert_eq!(site.readiness(), (0, 3));

    let mut nobody = site.connect(&running, "root.pem", None).await.unwrap();
    ca_certs(&mut nobody).await;
    assert_eq!(exchange(&mut connection, &fetch("HEAD")).await.0, 200);
    let mut stranger = site.connect(&running, "root.pem", Some(&site.born("SN-9"))).await.unwrap();
    ca_certs(&mut stranger).await;
    assert_eq!(site.readiness(), (0, 3));

    ca_certs(&mut connection).await;
    ca_certs(&mut connection).await;
    assert_eq!(site.readiness(), (1, 3));
    // The birth certificate of a device that enrolled tells who it is as well.
    let mut by_birth = site.connect(&running, "root.pem", Some(&devices[1].0)).await.unwrap();
    ca_certs(&mut by_birth).await;
    assert_eq!(site.readiness(), (2, 3));

    // After the cut-over a device that renewed is no longer one of the old CA.
    site.folder.edit("phase = \"announce\"", "phase = \"cut-over\"");
    site.reload(&running).await;
    renew(&mut connection, &devices[0].1).await.unwrap();
    assert_eq!(site.readiness(), (1, 2));
    running.shutdown().await;
    assert_eq!(site.readiness(), (1, 2));
}

/// A world whose label `devices` has a CA that rolls over.
fn world(phase: RolloverPhase) -> World {
    World::with(
        KeyType::P256,
        |_| (),
        |label| {
            let start = START.parse().unwrap();
            let old = Arc::new(authority("Acme CA", KeyType::P256, start));
            let new = Arc::new(authority("Acme CA", KeyType::P256, start + chrono::TimeDelta::minutes(30)));
            let whole = old.certificate().validity();
            let cross = CrossCertificates {
                old_with_new: ceremony::cross_certificate(&new, old.certificate(), whole, &serial()).unwrap(),
                new_with_old: ceremony::cross_certificate(&old, new.certificate(), whole, &serial()).unwrap(),
            };
            let explicit = [&old, &new].map(|authority| authority.certificate().clone()).to_vec();
            label.anchors = Arc::new(TrustAnchors::new(explicit, label.anchors.implicit().to_vec()).unwrap());
            let rollover = Rollover::new(old, new, Some(cross), phase).unwrap();
            label.authority = Arc::clone(rollover.signing());
            label.rollover = Some(Arc::new(rollover));
        },
    )
}

/// Bounded: a device leaves one note, whatever it does, and nobody else leaves any.
#[test]
fn a_device_is_noted_once_and_one_that_is_kept_out_is_not() {
    let world = world(RolloverPhase::Announce);
    let fetch = |session: &PeerSession| {
        let noted = world.ra.note_fetched_anchors(world.label("devices"), session, "r-1").unwrap();
        noted.map(|receipt| receipt.wait().unwrap()).is_some()
    };
    let born = world.birth("SN-1", KeyType::P256);
    assert!(!fetch(&born.session()), "nobody has enrolled it");
    let device = world.operational(&born, KeyType::P256);
    assert!(fetch(&device.session()));
    let event = world.store.events().pop().unwrap();
    assert_eq!((event.operation.as_str(), event.device.as_deref()), ("cacerts", Some("SN-1")));
    for session in [device.session(), born.session()] {
        assert!(!fetch(&session), "it is known");
    }
    let second = world.label("second");
    assert!(
        world.ra.note_fetched_anchors(second, &device.session(), "r-2").unwrap().is_none(),
        "issued at another label"
    );

    let other = world.birth("SN-2", KeyType::P256);
    world.operational(&other, KeyType::P256);
    world.ra.set_device_state(&grant("acme"), "SN-2", DeviceState::Suspended, None).unwrap().1.wait().unwrap();
    assert!(!fetch(&other.session()));
    assert!(!fetch(&PeerSession::new(None, "192.0.2.1:1".into())));
    let third = world.birth("SN-3", KeyType::P256);
    world.operational(&third, KeyType::P256);
    let namesake = world.birth("SN-3", KeyType::P256);
    assert!(!fetch(&namesake.session()), "another birth certificate than the one that enrolled");
    assert!(fetch(&third.session()));
    let stranger = birth(&world.other_maker, "SN-1", KeyType::P256, world.clock.now());
    assert!(!fetch(&stranger.session()));
}

/// What the old CA issued renews with the new one, and the other way round before the cut-over is undone.
#[test]
fn who_signs_changes_and_whom_it_knows_does_not() {
    let world = world(RolloverPhase::CutOver);
    let rollover = world.label("devices").rollover.as_ref().unwrap();
    let device = world.operational(&world.birth("SN-1", KeyType::P256), KeyType::P256);
    let issued = device.certificate();
    assert_eq!(issued.authority_key_identifier().unwrap().as_deref(), Some(rollover.successor().key_identifier()));
    let names = alt_names(&issued.subject_alt_names(4).unwrap());
    let body = request(device_key(KeyType::P256).as_ref(), issued.subject(), &[names]);
    assert!(world.enroll(Operation::SimpleReenroll, &device.session(), &body).is_ok());
    let ca_key_request =
        |authority: &CertificateAuthority| world.ra.is_ca_key(authority.certificate().public_key().der());
    assert!(
        ca_key_request(rollover.old()) && ca_key_request(rollover.successor()),
        "no device gets a CA's key certified"
    );
}
