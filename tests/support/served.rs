//! A server as a process of its own, which can be killed, and devices that enroll there over TLS.

#![allow(dead_code, unreachable_pub, reason = "each of those that include it uses its part")]

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use estd::ca::{CertificateAuthority, Signer as _, SoftwareSigner, ceremony};
use estd::clock::{Clock as _, Entropy as _, SystemClock, SystemEntropy};
use estd::est::transfer::{self, LineWrapping};
use estd::pki::pem;
use estd::pki::public_key::KeyType;
use estd::pki::serial::Serial;
use estd_asn1::{AttributeTypeAndValue, Certificate, Name, Validity, certs_only, oid, pkcs10};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

const PATIENCE: Duration = Duration::from_secs(20);

/// Runs the program.
pub fn estd(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_estd")).args(arguments).env_remove("ESTD_LOG").output().unwrap()
}

/// What it wrote, wherever to.
pub fn text(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// Runs the program, which must succeed.
pub fn run(arguments: &[&str]) -> String {
    let output = estd(arguments);
    assert!(output.status.success(), "{arguments:?}: {}", text(&output));
    text(&output)
}

/// A folder as `estd init` makes it, on free ports, with a manufacturer whose devices may enroll.
pub struct Site {
    _parent: tempfile::TempDir,
    pub folder: PathBuf,
    maker: CertificateAuthority,
}

impl Site {
    pub fn new() -> Self {
        let parent = tempfile::tempdir().unwrap();
        let folder = parent.path().join("est");
        run(&["init", folder.to_str().unwrap(), "--listen", "127.0.0.1:0"]);
        let config = folder.join("config.toml");
        let text = fs::read_to_string(&config).unwrap();
        let status = "# status_listen = \"127.0.0.1:9443\"";
        assert!(text.contains(status));
        let public =
            "status_listen = \"127.0.0.1:0\"\npublic_listen = [\"127.0.0.1:0\"]\npublic_url = \"http://pki.example\"";
        fs::write(&config, text.replace(status, public)).unwrap();
        let (signer, _) = SoftwareSigner::generate(KeyType::P256).unwrap();
        let now = SystemClock.now();
        let validity =
            Validity { not_before: now - chrono::TimeDelta::hours(1), not_after: now + chrono::TimeDelta::days(3650) };
        let root = ceremony::self_signed_ca(&signer, &name("Maker"), validity, None, &serial()).unwrap();
        fs::write(folder.join("manufacturers/maker.pem"), pem::certificate(root.der())).unwrap();
        let maker = CertificateAuthority::new(root, Vec::new(), Arc::new(signer)).unwrap();
        Self { _parent: parent, folder, maker }
    }

    /// A path beside the folder.
    pub fn beside(&self, name: &str) -> PathBuf {
        self.folder.with_file_name(name)
    }

    pub fn config(&self) -> String {
        self.folder.join("config.toml").to_str().unwrap().to_owned()
    }

    /// A device fresh from the factory.
    pub fn birth(&self, id: &str) -> Device {
        let (key, key_pem) = SoftwareSigner::generate(KeyType::P256).unwrap();
        let identity = ceremony::DeviceIdentity { serial_number: id, hardware_module_name: None };
        let certificate =
            ceremony::birth_certificate(&self.maker, identity, key.public_key(), SystemClock.now(), &serial()).unwrap();
        Device { key_pem: key_pem.to_string(), certificate }
    }

    pub fn serve(&self) -> Served {
        Served::start(&self.folder)
    }
}

fn name(text: &str) -> Name {
    Name::from_rdns(&[vec![AttributeTypeAndValue::from_text(oid::AT_COMMON_NAME, text).unwrap()]])
}

fn serial() -> Serial {
    let mut random = [0; 20];
    SystemEntropy.fill(&mut random).unwrap();
    Serial::from_entropy(random)
}

/// A key with the certificate over it.
#[derive(Clone)]
pub struct Device {
    pub key_pem: String,
    pub certificate: Certificate,
}

/// `estd serve`, killed when dropped.
pub struct Served {
    child: Child,
    pub est: SocketAddr,
    /// What it says of where else it listens.
    pub also: String,
    pub folder: PathBuf,
}

impl Served {
    /// Serves a folder.
    pub fn start(folder: &Path) -> Self {
        let log = folder.join("test.log");
        let mut child = Command::new(env!("CARGO_BIN_EXE_estd"))
            .args(["serve", "--config", folder.join("config.toml").to_str().unwrap(), "--log", "info"])
            .stdout(Stdio::piped())
            .stderr(fs::File::create(&log).unwrap())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let listening = lines.next().unwrap_or_else(|| panic!("{}", fs::read_to_string(&log).unwrap())).unwrap();
        let address = listening.strip_prefix("estd: listening on https://").unwrap();
        let est = address.strip_suffix("/.well-known/est").unwrap().parse().unwrap();
        let also = lines.next().unwrap().unwrap();
        Self { child, est, also, folder: folder.to_owned() }
    }

    /// Where CRLs are.
    pub fn public(&self) -> SocketAddr {
        let address = self.also.strip_prefix("estd: CRLs and OCSP on http://").unwrap();
        address.trim_end_matches('/').parse().unwrap()
    }

    /// kill -9
    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Sends it a signal.
    pub fn signal(&self, name: &str) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args([&format!("-{name}"), &pid]).status().unwrap().success());
    }

    /// Stops it as an operator would.
    pub fn stop(mut self) {
        self.signal("TERM");
        assert_eq!(self.child.wait().unwrap().code(), Some(0));
    }

    /// What it said.
    pub fn log(&self) -> String {
        fs::read_to_string(self.folder.join("test.log")).unwrap()
    }

    /// Waits until its log holds `text`.
    pub fn says(&self, text: &str) {
        let pause = Duration::from_millis(20);
        let mut waited = Duration::ZERO;
        while !self.log().contains(text) {
            assert!(waited < PATIENCE, "no {text:?} in {}", self.log());
            thread::sleep(pause);
            waited += pause;
        }
    }

    /// Enrolls a device, or renews its certificate; the refusal when it is refused. `Err(None)`: the server went away.
    pub fn enroll(&self, device: &Device, operation: &str) -> Result<Device, Option<String>> {
        enroll(self.est, &self.folder.join("ca/root.pem"), device, operation)
    }

    /// A request of an operator of this machine; `None` when the server went away.
    pub fn ask(&self, method: &str, path: &str, fields: &str, body: &[u8]) -> Option<(u16, Vec<u8>)> {
        ask(&self.folder.join("data/admin.sock"), method, path, fields, body)
    }

    /// The answer to a GET.
    pub fn get(&self, path: &str) -> serde_json::Value {
        let (status, body) = self.ask("GET", path, "", b"").unwrap();
        assert_eq!(status, 200, "{path}: {}", String::from_utf8_lossy(&body));
        serde_json::from_slice(&body).unwrap()
    }

    /// What a change is answered with, which must be made.
    pub fn post(&self, path: &str, body: &str) -> serde_json::Value {
        let (status, answer) = self.ask("POST", path, "Content-Type: application/json\r\n", body.as_bytes()).unwrap();
        assert_eq!(status, 200, "{path}: {}", String::from_utf8_lossy(&answer));
        serde_json::from_slice(&answer).unwrap()
    }

    /// The CRL that a certificate names, as openssl shows it: its number, and the whole text.
    pub fn crl(&self, named_by: &Certificate) -> (u64, String) {
        let shown = openssl(&["x509", "-inform", "DER", "-noout", "-ext", "crlDistributionPoints"], named_by.der());
        let path = shown.split("URI:http://pki.example").nth(1).unwrap().split_whitespace().next().unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
        let mut stream = TcpStream::connect(self.public()).unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        let (status, der) = parse(&answer).unwrap();
        assert_eq!(status, 200, "{path}");
        let shown = openssl(&["crl", "-inform", "DER", "-noout", "-text"], &der);
        let number = shown.split("X509v3 CRL Number:").nth(1).unwrap().split_whitespace().next().unwrap();
        let number = match number.strip_prefix("0x") {
            Some(digits) => u64::from_str_radix(digits, 16).unwrap(),
            None => number.parse().unwrap(),
        };
        (number, shown)
    }

    /// The one tenant.
    pub fn tenant(&self) -> String {
        self.get("/tenants")["items"][0]["name"].as_str().unwrap().to_owned()
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// What openssl says of its input.
pub fn openssl(arguments: &[&str], input: &[u8]) -> String {
    let mut child =
        Command::new("openssl").args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(input).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "openssl {arguments:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// Octets as openssl shows them in a CRL.
pub fn hex_upper(octets: &[u8]) -> String {
    octets.iter().skip_while(|octet| **octet == 0).map(|octet| format!("{octet:02X}")).collect()
}

/// See [`Served::enroll`].
pub fn enroll(est: SocketAddr, root: &Path, device: &Device, operation: &str) -> Result<Device, Option<String>> {
    let (key, key_pem) = SoftwareSigner::generate(KeyType::P256).unwrap();
    let renewal = operation == "simplereenroll";
    let subject = if renewal { device.certificate.subject().clone() } else { Name::empty() };
    let info = pkcs10::encode_certification_request_info(&subject, key.public_key().der(), &[]);
    let signature = key.sign(&info).unwrap();
    let request = pkcs10::encode_certification_request(&info, key.algorithm().identifier(), &signature);
    let answer = post(est, root, device, operation, "application/pkcs10", &request).map_err(|_| None)?;
    let (status, body) = parse(&answer).ok_or(None)?;
    if status != 200 {
        return Err(Some(format!("{status} {}", String::from_utf8_lossy(&body))));
    }
    // A body that was cut off is no answer.
    let issued = transfer::decode(&body).ok().and_then(|der| certs_only::decode(&der, 1).ok()).ok_or(None)?;
    Ok(Device { key_pem: key_pem.to_string(), certificate: Certificate::decode(&issued[0]).unwrap() })
}

/// Posts DER to a path of EST; the answer as it came, head and body.
pub fn post(
    est: SocketAddr,
    root: &Path,
    device: &Device,
    path: &str,
    media_type: &str,
    der: &[u8],
) -> std::io::Result<Vec<u8>> {
    let body = transfer::encode(der, LineWrapping::Lines64);
    let head = format!(
        "POST /.well-known/est/{path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\
         Content-Type: {media_type}\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    over_tls(est, root, device, &[head.as_bytes(), &body].concat())
}

fn over_tls(est: SocketAddr, root: &Path, device: &Device, octets: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(root).unwrap()).unwrap();
    let chain = vec![CertificateDer::from(device.certificate.der().to_vec())];
    let key = PrivateKeyDer::from_pem_slice(device.key_pem.as_bytes()).unwrap();
    let config = ClientConfig::builder().with_root_certificates(roots).with_client_auth_cert(chain, key).unwrap();
    let stream = TcpStream::connect(est)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let connection = ClientConnection::new(Arc::new(config), ServerName::try_from("localhost").unwrap()).unwrap();
    let mut stream = StreamOwned::new(connection, stream);
    stream.write_all(octets)?;
    let mut answer = Vec::new();
    match stream.read_to_end(&mut answer) {
        // A close without close_notify: whether the answer is whole is seen from its length.
        Ok(_) | Err(_) => Ok(answer),
    }
}

/// A request to the admin API over its socket; `None` when no whole answer came.
pub fn ask(socket: &Path, method: &str, path: &str, fields: &str, body: &[u8]) -> Option<(u16, Vec<u8>)> {
    let mut stream = UnixStream::connect(socket).ok()?;
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let head = format!(
        "{method} /api/v1{path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: {}\r\n{fields}\r\n",
        body.len()
    );
    stream.write_all(&[head.as_bytes(), body].concat()).ok()?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).ok()?;
    parse(&answer)
}

/// Status and body of a whole answer.
pub fn parse(answer: &[u8]) -> Option<(u16, Vec<u8>)> {
    let at = answer.windows(4).position(|window| window == b"\r\n\r\n")?;
    let head = std::str::from_utf8(&answer[..at]).unwrap();
    let length = head.lines().find_map(|line| {
        let (name, value) = line.split_once(": ")?;
        name.eq_ignore_ascii_case("content-length").then(|| value.parse::<usize>().unwrap())
    });
    let body = answer[at + 4..].to_vec();
    (length? == body.len()).then(|| (head.split(' ').nth(1).unwrap().parse().unwrap(), body))
}
