//! What every check works with: the test PKI, the running servers, and all certificates that were issued so far.

use std::cell::{Cell, RefCell};
use std::path::PathBuf;

use crate::certificate::{self, Certificate};
use crate::command::write;
use crate::config::{self, Variant};
use crate::http::{Client, Response};
use crate::matrix::{Problem, ensure};
use crate::pki::{Identity, KeyKind, Pki};
use crate::population;
use crate::requests::{self, Request};
use crate::server::{Binary, Server};

/// The subject a device of the default profile gets, in openssl's form.
pub(crate) fn own_subject(device: &str) -> String {
    format!("/CN={device}/O=Acme")
}

/// A certificate that the server issued, for the linters.
pub(crate) struct Harvested {
    pub(crate) name: String,
    /// The CA that must have signed it; see [`population`].
    pub(crate) authority: String,
    pub(crate) certificate: PathBuf,
}

/// One of the running servers with its configuration.
pub(crate) struct Running {
    pub(crate) server: Server,
    pub(crate) configuration: PathBuf,
    /// PEM of what its own certificate leads to.
    pub(crate) anchor: PathBuf,
}

/// Everything a check needs.
pub(crate) struct Stage {
    pub(crate) binary: Binary,
    pub(crate) pki: Pki,
    pub(crate) own: Running,
    pub(crate) foreign: Running,
    /// Takes credentials; see [`crate::credentials`].
    pub(crate) credentials: Running,
    /// The same with another default label, for clients that know no labels.
    pub(crate) digest: Running,
    /// The same again; see [`crate::credentials::APPROVAL`].
    pub(crate) approval: Running,
    /// Makes keys at its default label.
    pub(crate) key_generation: Running,
    /// Its CA is on the way to a successor; see [`crate::rollover`].
    pub(crate) rollover: Running,
    harvest: RefCell<Vec<Harvested>>,
    /// The private keys that a server made, PrivateKeyInfo.
    generated: RefCell<Vec<Vec<u8>>>,
    counter: Cell<u32>,
}

impl Stage {
    /// Makes the PKI in `folder` and starts the servers.
    pub(crate) fn set(folder: PathBuf, binary: Binary) -> Result<Self, Problem> {
        let (pki_folder, own, foreign) = (folder.join("pki"), folder.join("own"), folder.join("foreign"));
        let (credentials, digest) = (folder.join("credentials"), folder.join("digest"));
        let approval = folder.join("approval");
        let (key_generation, rollover) = (folder.join("key-generation"), folder.join("rollover"));
        for part in [&pki_folder, &own, &foreign, &credentials, &digest, &approval, &key_generation, &rollover] {
            std::fs::create_dir_all(part)?;
        }
        let pki = Pki::new(pki_folder)?;
        population::create(&pki)?;
        let start = |folder: PathBuf, variant: Variant, anchor: &str| -> Result<Running, Problem> {
            let configuration = config::write_folder(&folder, &pki, variant)?;
            let server = Server::start(&binary, &configuration)?;
            Ok(Running { server, configuration, anchor: pki.identity(anchor).certificate })
        };
        let own = start(own, Variant::Own, "root-p256")?;
        let foreign = start(foreign, Variant::Foreign, "web-root")?;
        crate::credentials::write(&binary, &credentials)?;
        crate::credentials::write(&binary, &digest)?;
        crate::credentials::write(&binary, &approval)?;
        let credentials = start(credentials, Variant::Credentials("http-basic"), "root-p256")?;
        let digest = start(digest, Variant::Credentials("http-md5"), "root-p256")?;
        let approval = start(approval, Variant::Credentials(crate::credentials::APPROVAL), "root-p256")?;
        let key_generation = start(key_generation, Variant::KeyGeneration, "root-p256")?;
        let rollover = crate::rollover::start(&binary, &rollover, &pki.identity("maker").certificate)?;
        Ok(Self {
            binary,
            pki,
            own,
            foreign,
            credentials,
            digest,
            approval,
            key_generation,
            rollover,
            harvest: RefCell::default(),
            generated: RefCell::default(),
            counter: Cell::new(0),
        })
    }

    /// A client of the first server, as `identity` or as nobody.
    pub(crate) fn client(&self, identity: Option<&Identity>) -> Result<Client, Problem> {
        Client::new(self.own.server.address, &self.own.anchor, identity)
    }

    /// A client of the first server with a birth certificate.
    pub(crate) fn device(&self, name: &str) -> Result<Client, Problem> {
        self.client(Some(&self.pki.identity(name)))
    }

    /// A client of the second server.
    pub(crate) fn foreign_client(&self, identity: Option<&Identity>) -> Result<Client, Problem> {
        Client::new(self.foreign.server.address, &self.foreign.anchor, identity)
    }

    /// A name nothing else has.
    pub(crate) fn unique(&self, prefix: &str) -> String {
        self.counter.set(self.counter.get() + 1);
        format!("{prefix}-{}", self.counter.get())
    }

    /// A request by a fresh P-256 key.
    pub(crate) fn request(&self, subject: &str, extensions: &[&str]) -> Result<Request, Problem> {
        self.request_of(KeyKind::P256, subject, extensions)
    }

    /// A request by a fresh key.
    pub(crate) fn request_of(&self, kind: KeyKind, subject: &str, extensions: &[&str]) -> Result<Request, Problem> {
        requests::fresh(&self.pki, &self.unique("device"), kind, subject, extensions)
    }

    /// Enrolls and keeps the certificate as an identity that can be used to connect.
    pub(crate) fn enroll(&self, device: &str, path: &str, request: &Request) -> Result<Identity, Problem> {
        let response = self.device(device)?.post(path, &request.der)?;
        self.keep(&response, request, path)
    }

    /// The certificate of an answer, as an identity with the key of the request, put aside for the linters.
    pub(crate) fn keep(&self, response: &Response, request: &Request, path: &str) -> Result<Identity, Problem> {
        let issued = certificate::issued(response)?;
        self.keep_certificate(&issued, request, path)
    }

    /// The same for a certificate that a real client stored.
    pub(crate) fn keep_certificate(
        &self,
        issued: &Certificate,
        request: &Request,
        path: &str,
    ) -> Result<Identity, Problem> {
        let key = crate::command::openssl(["req", "-inform", "DER", "-pubkey", "-noout"], &request.der)?;
        let key = crate::command::openssl(["pkey", "-pubin", "-outform", "DER"], &key)?;
        // X509-19: copied bit by bit.
        ensure!(issued.spki == key, "the certificate does not carry the key of the request");
        self.put_aside(issued, request.key.clone(), path)
    }

    /// The certificate of a key that the server made, with that key; see [`Stage::keep`].
    pub(crate) fn keep_generated(
        &self,
        certificate: &Certificate,
        private_key_info: &[u8],
        path: &str,
    ) -> Result<Identity, Problem> {
        let public = ["pkey", "-inform", "DER", "-pubout", "-outform", "DER"];
        let public = crate::command::openssl(public, private_key_info)?;
        ensure!(certificate.spki == public, "the certificate does not carry the key that came with it");
        // EST-4.4.2-02: another reader of PKCS#8, which takes nothing else.
        let pkcs8 = ["pkcs8", "-inform", "DER", "-nocrypt", "-outform", "PEM"];
        let pem = crate::command::openssl(pkcs8, private_key_info)?;
        let key = self.pki.path(&format!("{}.key", self.unique("generated")));
        write(&key, pem)?;
        self.generated.borrow_mut().push(private_key_info.to_vec());
        self.put_aside(certificate, key, path)
    }

    fn put_aside(&self, issued: &Certificate, key: PathBuf, path: &str) -> Result<Identity, Problem> {
        let file = self.pki.path(&format!("{}.pem", self.unique("issued")));
        write(&file, issued.pem())?;
        self.harvest.borrow_mut().push(Harvested {
            name: path.to_owned(),
            authority: authority(path).to_owned(),
            certificate: file.clone(),
        });
        Ok(Identity::alone(file, key))
    }

    /// Every private key that a server made so far.
    pub(crate) fn generated(&self) -> Vec<Vec<u8>> {
        self.generated.borrow().clone()
    }

    /// What was issued since the last call.
    pub(crate) fn harvest(&self) -> Vec<Harvested> {
        self.harvest.take()
    }
}

/// The CA that issues at a path.
fn authority(path: &str) -> &'static str {
    let label = path.split_once('/').map_or("devices", |(label, _)| label);
    match label {
        "globex" => "globex-issuing",
        "single-ca" => "single",
        "short-ca" => "short",
        label if label.starts_with("p384-") => "issuing-p384",
        label if label.starts_with("rsa2048-") => "issuing-rsa2048",
        label if label.starts_with("ed25519-") => "issuing-ed25519",
        _ => "issuing-p256",
    }
}
