//! A CA that `openssl ca` ran before: what its database says is so here from then on.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

#[path = "support/served.rs"]
mod served;
#[path = "support/world.rs"]
mod world;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use estd::pki::openssl_index;
use estd::ra::{MAX_TAKEN_OVER_AT_ONCE, TakeoverError};
use estd_asn1::Certificate;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use served::*;

/// The CA of a site, run by `openssl ca`.
struct Former {
    folder: PathBuf,
}

impl Former {
    fn new(site: &Site) -> Self {
        let folder = site.beside("former");
        fs::create_dir_all(folder.join("newcerts")).unwrap();
        fs::write(folder.join("index.txt"), "").unwrap();
        fs::write(folder.join("serial"), "8001\n").unwrap();
        let (est, own) = (site.folder.display(), folder.display());
        let config = format!(
            "[ca]\ndefault_ca = own\n[own]\ndatabase = {own}/index.txt\nserial = {own}/serial\n\
             new_certs_dir = {own}/newcerts\ncertificate = {est}/ca/issuing.pem\nprivate_key = {est}/ca/issuing.key\n\
             default_md = sha256\ndefault_days = 30\npolicy = any\nunique_subject = no\nx509_extensions = device\n\
             [any]\ncommonName = supplied\nserialNumber = supplied\n\
             [device]\nkeyUsage = critical, digitalSignature\nextendedKeyUsage = clientAuth\n\
             authorityKeyIdentifier = keyid\n[req]\nprompt = no\ndistinguished_name = name\n[name]\nCN = nobody\n"
        );
        fs::write(folder.join("openssl.cnf"), config).unwrap();
        Self { folder }
    }

    fn openssl(&self, arguments: &[&str]) {
        let output = Command::new("openssl").args(arguments).current_dir(&self.folder).output().unwrap();
        assert!(output.status.success(), "{arguments:?}: {}", text(&output));
    }

    /// Issues a certificate.
    fn issue(&self, id: &str) -> Device {
        let (key, csr, pem) = (format!("{id}.key"), format!("{id}.csr"), format!("{id}.pem"));
        let subject = format!("/CN={id}/serialNumber={id}");
        let request = ["req", "-config", "openssl.cnf", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"];
        self.openssl(&[&request[..], &["-nodes", "-subj", &subject, "-keyout", &key, "-out", &csr]].concat());
        self.openssl(&["ca", "-config", "openssl.cnf", "-batch", "-notext", "-in", &csr, "-out", &pem]);
        let der = CertificateDer::from_pem_file(self.folder.join(pem)).unwrap();
        Device {
            key_pem: fs::read_to_string(self.folder.join(key)).unwrap(),
            certificate: Certificate::decode(&der).unwrap(),
        }
    }

    fn revoke(&self, id: &str, reason: &str) {
        let pem = format!("{id}.pem");
        self.openssl(&["ca", "-config", "openssl.cnf", "-revoke", &pem, "-crl_reason", reason]);
    }

    fn index(&self) -> PathBuf {
        self.folder.join("index.txt")
    }

    /// What OCSP says of a certificate.
    fn ocsp(&self, site: &Site, server: &Served, id: &str) -> String {
        let issuing = site.folder.join("ca/issuing.pem");
        let known = server.enroll(&site.birth("SN-ocsp"), "simpleenroll").unwrap();
        let url = openssl(&["x509", "-inform", "DER", "-noout", "-ocsp_uri"], known.certificate.der());
        let url = url.trim().replace("http://pki.example", &format!("http://{}", server.public()));
        let output = Command::new("openssl")
            .args(["ocsp", "-url", &url, "-issuer", issuing.to_str().unwrap(), "-CAfile"])
            .arg(site.folder.join("ca/root.pem"))
            .args(["-verify_other", issuing.to_str().unwrap(), "-cert"])
            .arg(self.folder.join(format!("{id}.pem")))
            .output()
            .unwrap();
        text(&output)
    }
}

fn import(site: &Site, server: &Served, index: &Path, more: &[&str]) -> std::process::Output {
    let authority = format!("{}/issuing", server.tenant());
    let config = site.config();
    let fixed =
        ["import", "openssl", "--config", &config, "--authority", &authority, "--index", index.to_str().unwrap()];
    estd(&[&fixed[..], more].concat())
}

/// The same on a terminal, where there is `script` (util-linux) to play one.
fn import_on_a_terminal(site: &Site, server: &Served, index: &Path) -> Option<String> {
    let command = format!(
        "{} import openssl --config {} --authority {}/issuing --index {} --dry-run",
        env!("CARGO_BIN_EXE_estd"),
        site.config(),
        server.tenant(),
        index.display()
    );
    Command::new("script").args(["-qec", &command, "/dev/null"]).output().ok().map(|output| text(&output))
}

/// The same of certificates, a file or a folder.
fn import_certificates(site: &Site, server: &Served, certs: &Path) -> std::process::Output {
    let authority = format!("{}/issuing", server.tenant());
    let fixed = ["import", "openssl", "--json", "--config", &site.config(), "--authority", &authority, "--certs"];
    estd(&[&fixed[..], &[certs.to_str().unwrap()]].concat())
}

/// The numbers that an import told: revoked, good, expired, known.
fn told(output: &std::process::Output) -> [usize; 4] {
    assert!(output.status.success(), "{}", text(output));
    let answer: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    ["revoked", "good", "expired", "known"].map(|name| answer[name].as_u64().unwrap() as usize)
}

#[test]
fn what_openssl_ca_knew_stands_in_lists_and_ocsp_and_who_was_revoked_renews_no_more() {
    let site = Site::new();
    let former = Former::new(&site);
    let (good, stolen) = (former.issue("SN-good"), former.issue("SN-stolen"));
    former.issue("SN-later");
    former.revoke("SN-stolen", "keyCompromise");
    let server = site.serve();
    assert!(former.ocsp(&site, &server, "SN-good").contains(": unknown"));

    // One line that does not do, and nothing is taken over.
    let bad = site.beside("bad.txt");
    fs::write(&bad, format!("{}V\tsoon\t\t99\tunknown\t/CN=x\n", fs::read_to_string(former.index()).unwrap())).unwrap();
    let refused = import(&site, &server, &bad, &[]);
    assert!(!refused.status.success() && text(&refused).contains("line 4: a time such as"), "{}", text(&refused));
    assert_eq!(told(&import(&site, &server, &former.index(), &["--dry-run", "--json"])), [1, 2, 0, 0]);
    assert!(former.ocsp(&site, &server, "SN-stolen").contains(": unknown"), "nothing was changed");
    // How far it has come is shown to whoever watches, and written into no file.
    if let Some(watched) = import_on_a_terminal(&site, &server, &former.index()) {
        assert!(watched.contains("sending ") && watched.contains("good: 2"), "{watched}");
    }
    assert_eq!(import(&site, &server, &former.index(), &["--dry-run"]).stderr, b"");

    assert_eq!(told(&import(&site, &server, &former.index(), &["--json"])), [1, 2, 0, 0]);
    assert!(former.ocsp(&site, &server, "SN-good").contains(": good"));
    let shown = former.ocsp(&site, &server, "SN-stolen");
    assert!(shown.contains(": revoked") && shown.contains("keyCompromise"), "{shown}");
    let refused = server.enroll(&stolen, "simplereenroll").err().flatten().unwrap();
    assert!(refused.contains("revoked"), "{refused}");
    // The CA vouches for the others: they renew, and are on record from then on.
    server.enroll(&good, "simplereenroll").unwrap();

    // The old installation revoked one more before it was turned off.
    former.revoke("SN-later", "superseded");
    assert_eq!(told(&import(&site, &server, &former.index(), &["--json"])), [1, 0, 0, 2]);
    assert!(former.ocsp(&site, &server, "SN-later").contains(": revoked"));
    let listed = |id: &str| hex_upper(certificate(&former.folder.join(format!("{id}.pem"))).serial());
    let (_, crl) = until(|| {
        Some(server.crl(&server.enroll(&site.birth("SN-crl"), "simpleenroll").unwrap().certificate))
            .filter(|(_, crl)| crl.contains(&listed("SN-later")))
    });
    assert!(crl.contains(&listed("SN-stolen")) && !crl.contains(&listed("SN-good")), "{crl}");

    // A certificate that was issued here is none of the former CA's.
    let own = server.enroll(&site.birth("SN-own"), "simpleenroll").unwrap();
    let line = format!("V\t401231235959Z\t\t{}\tunknown\t/CN=own\n", hex_upper(own.certificate.serial()));
    fs::write(&bad, line).unwrap();
    let refused = import(&site, &server, &bad, &[]);
    assert!(!refused.status.success() && text(&refused).contains("line 1: this certificate was issued here"));
    let unknown = estd(&[
        "import",
        "openssl",
        "--config",
        &site.config(),
        "--authority",
        "x/y",
        "--index",
        bad.to_str().unwrap(),
    ]);
    assert!(!unknown.status.success() && text(&unknown).contains("there is no authority x/y"), "{}", text(&unknown));
    server.stop();
}

#[test]
fn certificates_without_a_database_are_good_all_of_them_or_none() {
    let site = Site::new();
    let former = Former::new(&site);
    let ids = ["SN-a", "SN-b", "SN-c"];
    let issued = ids.map(|id| former.issue(id));
    let server = site.serve();
    let (bundle, newcerts) = (site.beside("bundle.pem"), former.folder.join("newcerts"));
    let pem = |device: &Device| estd::pki::pem::certificate(device.certificate.der());
    let refused = |path: &Path, why: &str| {
        let output = import_certificates(&site, &server, path);
        assert!(!output.status.success() && text(&output).contains(why), "{why}: {}", text(&output));
        assert!(former.ocsp(&site, &server, "SN-a").contains(": unknown"), "nothing was changed");
    };
    let foreign = site.birth("SN-foreign");
    fs::write(&bundle, [pem(&issued[0]), pem(&foreign)].concat()).unwrap();
    refused(&bundle, "certificate 2: acme/issuing did not issue it (serial number ");
    fs::write(&bundle, [pem(&issued[0]), pem(&issued[1]), pem(&issued[0])].concat()).unwrap();
    refused(&bundle, "certificate 3: its serial number 008001 is that of certificate 1, too");
    fs::write(&bundle, "").unwrap();
    refused(&bundle, "expected certificates in PEM");
    let broken = newcerts.join("broken.pem");
    fs::write(&broken, "-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n").unwrap();
    refused(&newcerts, "broken.pem: certificate 1: ");
    fs::remove_file(&broken).unwrap();

    assert_eq!(told(&import_certificates(&site, &server, &newcerts)), [0, 3, 0, 0]);
    assert!(former.ocsp(&site, &server, "SN-a").contains(": good"));
    fs::write(&bundle, issued.iter().map(|device| format!("a comment\n{}", pem(device))).collect::<String>()).unwrap();
    assert_eq!(told(&import_certificates(&site, &server, &bundle)), [0, 0, 0, 3]);
    former.revoke("SN-c", "superseded");
    assert_eq!(told(&import(&site, &server, &former.index(), &["--json"])), [1, 0, 0, 2]);
    assert!(former.ocsp(&site, &server, "SN-c").contains(": revoked"));
    // What was revoked is not good again because its certificate comes.
    assert_eq!(told(&import_certificates(&site, &server, &bundle)), [0, 0, 0, 3]);
    assert!(former.ocsp(&site, &server, "SN-c").contains(": revoked"));
    // A certificate that was issued here is none of the former CA's.
    let own = server.enroll(&site.birth("SN-own"), "simpleenroll").unwrap();
    fs::write(&bundle, pem(&own)).unwrap();
    let output = import_certificates(&site, &server, &bundle);
    assert!(!output.status.success() && text(&output).contains("): this certificate was issued here"));
    server.stop();
}

fn certificate(path: &Path) -> Certificate {
    Certificate::decode(&CertificateDer::from_pem_file(path).unwrap()).unwrap()
}

/// What comes to be within a while.
fn until<T>(come: impl Fn() -> Option<T>) -> T {
    let patience = 100;
    let mut tries = (0..patience).filter_map(|_| {
        std::thread::sleep(std::time::Duration::from_millis(100));
        come()
    });
    tries.next().unwrap()
}

#[test]
fn as_many_are_taken_over_at_once_as_the_limit_says() {
    let world = world::World::new();
    let rows = |count: usize| {
        let line = |number: usize| format!("V\t401231235959Z\t\t{number:08X}\tunknown\t/CN=x\n");
        openssl_index::read(&(1..=count).map(line).collect::<String>()).unwrap()
    };
    // No authority of this world publishes: the number is judged first.
    let refused = |count| world.ra.prepare_takeover("acme/issuing", &rows(count)).err().unwrap();
    assert!(matches!(refused(MAX_TAKEN_OVER_AT_ONCE), TakeoverError::NoAuthority(_)));
    assert!(matches!(refused(MAX_TAKEN_OVER_AT_ONCE + 1), TakeoverError::TooMany(_)));
}
