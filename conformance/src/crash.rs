//! kill -9 under load: what was answered is known afterwards, and no serial comes twice.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair as _};

use crate::certificate::{Certificate, issued};
use crate::clock::Deadline;
use crate::command::{text, write};
use crate::config::{self, Variant};
use crate::der;
use crate::http::{Client, base64, post};
use crate::matrix::{Check, Matrix, Problem, ensure};
use crate::pki::{Identity, KeyKind, Spec};
use crate::requests::{attributes, name_of};
use crate::server::Server;
use crate::stage::Stage;

const CLIENTS: usize = 8;
/// A cycle is killed after a number of answers between these, so that the blow falls at another point each time.
const ANSWERS: std::ops::Range<usize> = 10..90;
/// Renewals at the end, spread over all cycles.
const RENEWALS: usize = 40;
const ECDSA_WITH_SHA256: &str = "1.2.840.10045.4.3.2";

/// One device under load.
struct Device {
    name: String,
    identity: Identity,
}

/// An answer that reached a client.
struct Acknowledged {
    device: usize,
    request: Vec<u8>,
    key: Vec<u8>,
    certificate: Certificate,
}

pub(crate) fn run(stage: &Stage, cycles: usize, matrix: &mut Matrix) {
    matrix.case("crash/kill-9-under-load", || crash(stage, cycles));
}

fn crash(stage: &Stage, cycles: usize) -> Check {
    if cycles == 0 {
        return Err(Problem::not_run("--crash-cycles 0"));
    }
    let folder = stage.pki.path("crash");
    let configuration = config::write_folder(&folder, &stage.pki, Variant::Own)?;
    let devices = devices(stage)?;
    let mut all: Vec<Acknowledged> = Vec::new();
    let mut server = Server::start(&stage.binary, &configuration)?;
    for cycle in 0..cycles {
        let fresh = load(stage, &mut server, &devices, ANSWERS.start + cycle * 37 % ANSWERS.len())?;
        server = Server::start(&stage.binary, &configuration)?;
        for one in &fresh {
            // The same request again gets the same certificate only if its record survived.
            let client = client(stage, &server, &devices[one.device].identity)?;
            let again = issued(&client.post("simpleenroll", &one.request)?)?;
            ensure!(again.der == one.certificate.der, "cycle {cycle}: an answered certificate is not known any more");
        }
        all.extend(fresh);
    }
    serials(&all)?;
    renewals(stage, &server, &devices, &all)?;
    server.stop(Duration::from_secs(20))?;
    let verified = stage.binary.run(&["journal", "verify", "--config", &text(&configuration)])?;
    ensure!(verified.status.success(), "estd journal verify: {}", verified.text());
    Ok(())
}

fn devices(stage: &Stage) -> Result<Vec<Device>, Problem> {
    let mut devices = Vec::new();
    for number in 0..CLIENTS {
        let name = format!("crash-{number}");
        let subject = format!("/O=Maker/serialNumber={name}");
        let identity = stage.pki.issue("maker", &Spec::new(&name, &subject, KeyKind::P256, "birth_client"))?;
        devices.push(Device { name, identity });
    }
    Ok(devices)
}

fn client(stage: &Stage, server: &Server, identity: &Identity) -> Result<Client, Problem> {
    Client::new(server.address, &stage.own.anchor, Some(identity))
}

/// Eight devices enroll as fast as they can until so many answers have come; then the process is killed.
fn load(stage: &Stage, server: &mut Server, devices: &[Device], answers: usize) -> Result<Vec<Acknowledged>, Problem> {
    let (count, over) = (AtomicUsize::new(0), AtomicBool::new(false));
    let acknowledged = Mutex::new(Vec::new());
    let refused = Mutex::new(None);
    let clients: Result<Vec<Client>, Problem> =
        devices.iter().map(|device| client(stage, server, &device.identity)).collect();
    let clients = clients?;
    thread::scope(|scope| -> Check {
        for (number, client) in clients.iter().enumerate() {
            let (count, over, acknowledged, refused) = (&count, &over, &acknowledged, &refused);
            let name = &devices[number].name;
            scope.spawn(move || {
                let Ok(mut connection) = client.connect() else { return };
                while !over.load(Ordering::Relaxed) {
                    let Ok((request, key)) = request(name) else { return };
                    let sent = post("simpleenroll", "application/pkcs10", &base64(&request));
                    // The connection breaks when the process is killed: that is the end of this device's load.
                    let Ok(response) = connection.exchange(&sent) else { return };
                    match issued(&response) {
                        Ok(certificate) => {
                            count.fetch_add(1, Ordering::Relaxed);
                            lock(acknowledged).push(Acknowledged { device: number, request, key, certificate });
                        }
                        // A head or a body cut off by the kill is no answer.
                        Err(_) if over.load(Ordering::Relaxed) => return,
                        Err(problem) => {
                            *lock(refused) = Some(problem);
                            return;
                        }
                    }
                }
            });
        }
        let deadline = Deadline::after(Duration::from_secs(30));
        while count.load(Ordering::Relaxed) < answers && lock(&refused).is_none() && !deadline.passed() {
            thread::sleep(Duration::from_micros(200));
        }
        over.store(true, Ordering::Relaxed);
        server.kill()?;
        ensure!(!deadline.passed(), "{} of {answers} answers within 30 s", count.load(Ordering::Relaxed));
        Ok(())
    })?;
    match lock(&refused).take() {
        Some(problem) => Err(problem),
        None => Ok(std::mem::take(&mut *lock(&acknowledged))),
    }
}

fn serials(all: &[Acknowledged]) -> Check {
    let mut seen: BTreeMap<&[u8], &[u8]> = BTreeMap::new();
    for one in all {
        let before = seen.insert(&one.certificate.serial, &one.certificate.der);
        ensure!(before.is_none(), "serial {:02x?} came twice", one.certificate.serial);
    }
    Ok(())
}

/// Certificates of every part of the run renew: the server knows them as its own.
fn renewals(stage: &Stage, server: &Server, devices: &[Device], all: &[Acknowledged]) -> Check {
    for (number, one) in all.iter().step_by(all.len().div_ceil(RENEWALS).max(1)).enumerate() {
        let (pem, key) = (stage.pki.path(&format!("crash-sample-{number}.pem")), sample_key(stage, number));
        write(&pem, one.certificate.pem())?;
        config::private(&key, pem_key(&one.key).as_bytes())?;
        let current = Identity::alone(pem, key);
        let (request, _) = request(&devices[one.device].name)?;
        let response = client(stage, server, &current)?.post("simplereenroll", &request)?;
        issued(&response)?;
    }
    Ok(())
}

fn sample_key(stage: &Stage, number: usize) -> PathBuf {
    stage.pki.path(&format!("crash-sample-{number}.key"))
}

fn pem_key(pkcs8: &[u8]) -> String {
    let body = String::from_utf8_lossy(&base64(pkcs8)).into_owned();
    format!("-----BEGIN PRIVATE KEY-----\n{body}-----END PRIVATE KEY-----\n")
}

/// A request by a fresh key, made without starting a program: (request, PKCS#8).
fn request(device: &str) -> Result<(Vec<u8>, Vec<u8>), Problem> {
    let broken = |_| Problem::failed("the harness cannot make a key");
    let key = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).map_err(broken)?;
    let pkcs8 = key.to_pkcs8v1().map_err(broken)?.as_ref().to_vec();
    let algorithm = der::sequence(&[&der::oid("1.2.840.10045.2.1"), &der::oid("1.2.840.10045.3.1.7")]);
    let spki = der::sequence(&[&algorithm, &der::bit_string(key.public_key().as_ref())]);
    let subject = name_of(&[("2.5.4.3", der::UTF8_STRING, device.as_bytes()), ("2.5.4.10", der::UTF8_STRING, b"Acme")]);
    let info = der::sequence(&[&der::value(der::INTEGER, [0]), &subject, &spki, &attributes(&[])]);
    let signature = key.sign(&SystemRandom::new(), &info).map_err(broken)?;
    let algorithm = der::sequence(&[&der::oid(ECDSA_WITH_SHA256)]);
    Ok((der::sequence(&[&info, &algorithm, &der::bit_string(signature.as_ref())]), pkcs8))
}

/// A lock that a panicking thread left behind still guards whole values here.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// Where the configuration of a run keeps its journal.
pub(crate) fn data_folder(configuration: &Path) -> PathBuf {
    configuration.with_file_name("data")
}
