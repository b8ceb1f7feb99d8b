//! What the world is told of revocations, fetched by curl, judged by openssl and pkilint.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::clock::Deadline;
use crate::command::{self, openssl, read, text, write};
use crate::config::{self, Variant};
use crate::http::Client;
use crate::matrix::{Check, Matrix, Problem, ensure};
use crate::pki::Identity;
use crate::server::Server;
use crate::stage::Stage;

/// How long a list may take to be there.
const PATIENCE: Duration = Duration::from_secs(10);
/// Where the lists and the responder of the authority under test are.
const LIST: &str = "/crl/acme/p256.crl";
const PART: &str = "/crl/acme/p256/2/1.crl";
const DELTA: &str = "/crl/acme/p256/delta.crl";
const PART_DELTA: &str = "/crl/acme/p256/2/1-delta.crl";

/// A server with a certificate that is revoked and one that is not.
struct Published<'s> {
    stage: &'s Stage,
    server: Server,
    folder: PathBuf,
    revoked: Identity,
    good: Identity,
}

pub(crate) fn run(stage: &Stage, python: &Path, required: bool, matrix: &mut Matrix) {
    let published = Published::start(stage);
    let with = |judge: &dyn Fn(&Published<'_>) -> Check| judge(published.as_ref().map_err(Clone::clone)?);
    matrix.case("publication/curl-headers", || with(&|published| published.headers()));
    matrix.case("publication/openssl-crl", || with(&|published| published.lists()));
    matrix.case("publication/openssl-crl-check", || with(&|published| published.verified()));
    matrix.case("publication/openssl-ocsp", || with(&|published| published.responder()));
    matrix.case("publication/names-in-certificates", || with(&|published| published.named()));
    matrix.case("publication/pkilint", || match with(&|published| published.linted(python)) {
        Err(Problem::NotRun(reason)) if required => Err(Problem::failed(format!("required, but {reason}"))),
        outcome => outcome,
    });
}

impl<'s> Published<'s> {
    /// Revoking needs the store, so the server is stopped for it.
    fn start(stage: &'s Stage) -> Result<Self, Problem> {
        let folder = stage.pki.path("publication");
        let configuration = config::write_folder(&folder, &stage.pki, Variant::Own)?;
        let config = String::from_utf8_lossy(&read(&configuration)?).into_owned();
        let public = "[server]\npublic_listen = [\"127.0.0.1:0\"]\npublic_url = \"http://pki.acme.example\"\n";
        let keys = "name = \"p256\"\ncrl_shards = 2\ncrl_delta_lifetime = \"1h\"\n";
        write(&configuration, config.replacen("[server]\n", public, 1).replacen("name = \"p256\"\n", keys, 1))?;
        let mut server = Server::start(&stage.binary, &configuration)?;
        let enroll = |device: &str| {
            let request = stage.request("/", &[])?;
            let identity = stage.pki.identity(device);
            let client = Client::new(server.address, &stage.own.anchor, Some(&identity))?;
            stage.keep(&client.post("simpleenroll", &request.der)?, &request, "simpleenroll")
        };
        let (revoked, good) = (enroll("birth-p256")?, enroll("birth-rsa2048")?);
        server.stop(Duration::from_secs(20))?;
        let serial = serial(&revoked)?;
        let configured = text(&configuration);
        let named = ["ca", "revoke", "--config", &configured, "--authority", "acme/p256", "--serial", &serial];
        let why = ["--reason", "keyCompromise"];
        stage.binary.run(&[&named[..], &why].concat())?.succeeded("estd ca revoke")?;
        let server = Server::start(&stage.binary, &configuration)?;
        Ok(Self { stage, server, folder, revoked, good })
    }

    fn url(&self, path: &str) -> Result<String, Problem> {
        let address = self.server.public.ok_or_else(|| Problem::failed("no public listener was announced"))?;
        Ok(format!("http://{address}{path}"))
    }

    /// The head of an answer, and the file with its body.
    fn fetch(&self, path: &str, options: &[&str]) -> Result<(String, PathBuf), Problem> {
        let file = self.folder.join(path.trim_start_matches('/').replace('/', "-"));
        let deadline = Deadline::after(PATIENCE);
        loop {
            let mut curl = Command::new("curl");
            curl.args(["-s", "-S", "-D", "-", "-o"]).arg(&file).args(options).arg(self.url(path)?);
            let head = command::run(&mut curl, &[], command::DEFAULT_LIMIT)?.succeeded("curl")?;
            let head = String::from_utf8_lossy(&head).into_owned();
            if !head.starts_with("HTTP/1.1 503") || deadline.passed() {
                return Ok((head, file));
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    fn list(&self, path: &str) -> Result<PathBuf, Problem> {
        let (head, file) = self.fetch(path, &[])?;
        ensure!(head.starts_with("HTTP/1.1 200"), "{path}: {head}");
        Ok(file)
    }

    /// CRL-03, OCSP-06.
    fn headers(&self) -> Check {
        for (path, media_type) in [
            (LIST, "application/pkix-crl"),
            (PART, "application/pkix-crl"),
            ("/ca/acme/p256.cer", "application/pkix-cert"),
        ] {
            let (head, _) = self.fetch(path, &["-I"])?;
            for field in
                [&format!("content-type: {media_type}"), "etag: \"", "last-modified: ", "cache-control: public"]
            {
                ensure!(head.to_ascii_lowercase().contains(field), "{path} has no {field}: {head}");
            }
        }
        let file = self.list("/ca/acme/p256.cer")?;
        let served = openssl(["x509", "-inform", "DER", "-in", &text(&file)], &[])?;
        let own = openssl(["x509", "-in", &text(&self.issuing())], &[])?;
        ensure!(served == own, "/ca/acme/p256.cer is not the CA certificate");
        Ok(())
    }

    fn issuing(&self) -> PathBuf {
        self.stage.pki.identity("issuing-p256").certificate
    }

    /// CRL-01, CRL-02, CRL-04: openssl verifies each list, and reads what a list must say.
    fn lists(&self) -> Check {
        let issuing = text(&self.issuing());
        let (serial, mut numbers) = (serial(&self.revoked)?, Vec::new());
        for (path, fields) in [
            (LIST, &["X509v3 CRL Number", "X509v3 Authority Key Identifier", "X509v3 Freshest CRL"][..]),
            (PART, &["X509v3 CRL Number", "X509v3 Issuing Distribution Point: critical"]),
            (DELTA, &["X509v3 CRL Number", "X509v3 Delta CRL Indicator: critical"]),
        ] {
            let file = text(&self.list(path)?);
            let arguments = ["crl", "-inform", "DER", "-in", &file, "-CAfile", &issuing, "-noout", "-text"];
            let mut verify = Command::new("openssl");
            let said = command::run(verify.args(arguments), &[], command::DEFAULT_LIMIT)?.text();
            ensure!(said.contains("verify OK"), "{path}: {said}");
            for field in fields.iter().chain(&["Next Update: ", "Version 2"]) {
                ensure!(said.contains(field), "{path} has no {field}: {said}");
            }
            if path == LIST {
                ensure!(said.contains(&format!("Serial Number: {serial}")), "the list has no {serial}: {said}");
                ensure!(said.contains("Key Compromise"), "the list has no reason: {said}");
            }
            let number = said.split("X509v3 CRL Number:").nth(1).and_then(|rest| rest.split_whitespace().next());
            numbers.push(number.map(str::to_owned));
        }
        ensure!(numbers.iter().all(|number| *number == numbers[0]), "one publication, several numbers: {numbers:?}");
        Ok(())
    }

    /// CRL-04: a relying party refuses what the list has, and nothing else.
    fn verified(&self) -> Check {
        let list = text(&self.list(LIST)?);
        let root = text(&self.stage.pki.path("root-p256.pem"));
        let issuing = text(&self.issuing());
        for (identity, stands) in [(&self.revoked, false), (&self.good, true)] {
            let leaf = text(&identity.certificate);
            let arguments =
                ["verify", "-crl_check", "-CRLfile", &list, "-CAfile", &root, "-untrusted", &issuing, &leaf];
            let mut verify = Command::new("openssl");
            let said = command::run(verify.args(arguments), &[], command::DEFAULT_LIMIT)?;
            ensure!(said.status.success() == stands, "{leaf}: {}", said.text());
            ensure!(said.text().contains("certificate revoked") != stands, "{leaf}: {}", said.text());
        }
        Ok(())
    }

    /// OCSP-01 to OCSP-05, as openssl asks and verifies.
    fn responder(&self) -> Check {
        let both = self.folder.join("both.pem");
        let root = read(&self.stage.pki.path("root-p256.pem"))?;
        write(&both, [root, read(&self.issuing())?].concat())?;
        let url = self.url("/ocsp/acme/p256")?;
        let (issuing, both) = (text(&self.issuing()), text(&both));
        let ask = |which: [&str; 2], more: &[&str]| {
            let mut asked = Command::new("openssl");
            asked.args(["ocsp", "-issuer", &issuing, "-CAfile", &both, "-url", &url]).args(more).args(which);
            let said = command::run(&mut asked, &[], command::DEFAULT_LIMIT)?.text();
            ensure!(said.contains("Response verify OK"), "{which:?} {more:?}: {said}");
            ensure!(!said.contains("WARNING"), "the nonce does not come back: {said}");
            Ok(said)
        };
        let (revoked, good) = (text(&self.revoked.certificate), text(&self.good.certificate));
        let response = text(&self.folder.join("response.der"));
        for more in [&[][..], &["-no_nonce"], &["-sha256"], &["-sha512", "-no_nonce", "-respout", &response]] {
            let said = ask(["-cert", &revoked], more)?;
            ensure!(said.contains(": revoked") && said.contains("Reason: keyCompromise"), "{said}");
            let said = ask(["-cert", &good], more)?;
            ensure!(said.contains(": good") && said.contains("Next Update: "), "{said}");
        }
        let said = ask(["-serial", "0x4242424242424242424242424242424242424242"], &[])?;
        ensure!(said.contains(": unknown"), "a serial number that was never issued: {said}");
        // A certificate of another CA is nobody's here.
        let other = text(&self.stage.pki.identity("issuing-p384").certificate);
        let mut asked = Command::new("openssl");
        asked.args(["ocsp", "-issuer", &other, "-serial", "1", "-url", &url]);
        let said = command::run(&mut asked, &[], command::DEFAULT_LIMIT)?.text();
        ensure!(said.contains("unauthorized (6)"), "{said}");
        Ok(())
    }

    /// X509-14: the certificate names its part, the responder and the CA certificate, and they are there.
    fn named(&self) -> Check {
        let leaf = text(&self.revoked.certificate);
        let shown =
            openssl(["x509", "-in", &leaf, "-noout", "-ext", "crlDistributionPoints,authorityInfoAccess"], &[])?;
        let shown = String::from_utf8_lossy(&shown).into_owned();
        let urls: Vec<_> = shown.lines().filter_map(|line| line.split_once("URI:http://pki.acme.example")).collect();
        ensure!(urls.len() == 3, "expected three URLs: {shown}");
        let serial = serial(&self.revoked)?;
        for (_, path) in urls {
            let path = path.trim();
            if path.starts_with("/ocsp/") {
                let (head, _) = self.fetch(path, &[])?;
                ensure!(
                    head.to_ascii_lowercase().contains("content-type: application/ocsp-response"),
                    "{path}: {head}"
                );
                continue;
            }
            let file = text(&self.list(path)?);
            if path.starts_with("/crl/") {
                let said = openssl(["crl", "-inform", "DER", "-in", &file, "-noout", "-text"], &[])?;
                let said = String::from_utf8_lossy(&said).into_owned();
                ensure!(said.contains(&format!("URI:http://pki.acme.example{path}")), "it has another name: {said}");
                ensure!(said.contains(&format!("Serial Number: {serial}")), "the part has no {serial}: {said}");
            }
        }
        Ok(())
    }

    /// No finding of pkilint from WARNING up.
    fn linted(&self, python: &Path) -> Check {
        self.responder()?;
        let lint = |linter: &str, options: &[&str], file: &Path| {
            let program = python.with_file_name(linter);
            let mut command = Command::new(&program);
            command.arg("lint").args(options).args(["-s", "WARNING", "--document-format", "DER"]).arg(file);
            let said = command::run(&mut command, &[], Duration::from_secs(60))?;
            ensure!(said.status.success(), "{linter} {}: {}", file.display(), said.text());
            Ok(())
        };
        for path in [LIST, PART, DELTA, PART_DELTA] {
            lint("lint_crl", &["-t", "CRL", "-p", "PKIX"], &self.list(path)?)?;
        }
        lint("lint_ocsp_response", &[], &self.folder.join("response.der"))
    }
}

fn serial(identity: &Identity) -> Result<String, Problem> {
    let serial = openssl(["x509", "-in", &text(&identity.certificate), "-noout", "-serial"], &[])?;
    Ok(String::from_utf8_lossy(&serial).trim().replace("serial=", ""))
}
