//! Real EST clients, unmodified, against the built server.

pub(crate) mod bouncy_castle;
pub(crate) mod curl;
pub(crate) mod libest;
mod polling;
pub(crate) mod python;
pub(crate) mod strongswan;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::certificate::Certificate;
use crate::checks::csrattrs;
use crate::command::{openssl, read, text, write};
use crate::credentials;
use crate::matrix::{Check, Matrix, Problem, ensure};
use crate::pki::{Identity, KeyKind};
use crate::requests::{self, Request};
use crate::rollover::{self, FILES};
use crate::stage::{Running, Stage, own_subject};

/// The operations of a client that enroll.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Enrollment {
    SimpleEnroll,
    SimpleReenroll,
    ServerKeyGen,
}

impl Enrollment {
    pub(crate) const fn path(self) -> &'static str {
        match self {
            Self::SimpleEnroll => "simpleenroll",
            Self::SimpleReenroll => "simplereenroll",
            Self::ServerKeyGen => "serverkeygen",
        }
    }
}

/// What a client is to do.
pub(crate) struct Job<'a> {
    pub(crate) server: &'a Running,
    pub(crate) operation: Enrollment,
    pub(crate) identity: Option<&'a Identity>,
    pub(crate) request: &'a Request,
    /// In the place of an identity.
    pub(crate) login: Option<Login>,
    /// An empty folder of its own.
    pub(crate) folder: PathBuf,
}

/// How a client authenticates over HTTP, at the label that takes it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Login {
    pub(crate) way: Way,
    pub(crate) label: &'static str,
    pub(crate) user: &'static str,
    pub(crate) password: &'static str,
}

/// A scheme of HTTP authentication.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    Basic,
    Digest,
    Bearer,
}

impl Job<'_> {
    /// The path below `/.well-known/est/`.
    pub(crate) fn path(&self) -> String {
        let operation = self.operation.path();
        self.login.map_or_else(|| operation.to_owned(), |login| format!("{}/{operation}", login.label))
    }

    /// What a client says of a way it does not know.
    pub(crate) fn no_login(&self, client: &str) -> Result<(), Problem> {
        match self.login {
            Some(login) => Err(Problem::not_run(format!("{client} knows no {:?}", login.way))),
            None => Ok(()),
        }
    }

    /// The request as a file, DER.
    pub(crate) fn request_file(&self) -> Result<PathBuf, Problem> {
        let path = self.folder.join("request.der");
        write(&path, &self.request.der)?;
        Ok(path)
    }

    /// Where the client may put a private key.
    pub(crate) fn key_out(&self) -> PathBuf {
        self.folder.join("key")
    }

    /// A certificate, and the private key that the client put beside it if one was to be made.
    pub(crate) fn answer(&self, certificate: Vec<u8>) -> Result<Answer, Problem> {
        match self.operation {
            Enrollment::SimpleEnroll | Enrollment::SimpleReenroll => Ok(Answer::Certificate(certificate)),
            Enrollment::ServerKeyGen => Ok(Answer::Generated { certificate, key: read(&self.key_out())? }),
        }
    }

    /// Where the client may put the certificate.
    pub(crate) fn out(&self) -> PathBuf {
        self.folder.join("certificate")
    }
}

/// What a client made of the server's answer.
pub(crate) enum Answer {
    /// The certificate it stored, PEM.
    Certificate(Vec<u8>),
    /// The certificate, PEM, and the private key that came with it, DER.
    Generated { certificate: Vec<u8>, key: Vec<u8> },
    /// What it said when it got none.
    Refused(String),
}

/// The label where requests must be linked.
pub(crate) const LINKED_LABEL: &str = "linked";

/// What a request is linked to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Linked {
    /// Its own connection, after a full handshake.
    Full,
    /// Its own connection, which resumes another.
    Resumed,
    /// Another connection.
    Replayed,
}

const LINKED: [(&str, Linked); 3] =
    [("pop", Linked::Full), ("pop-resumed", Linked::Resumed), ("pop-replayed", Linked::Replayed)];

/// An EST client.
pub(crate) trait EstClient {
    /// As it stands in case names and in `--require`.
    fn name(&self) -> &'static str;

    /// Makes it ready; [`Problem::NotRun`] when it is not installed.
    fn prepare(&mut self, folder: &Path) -> Result<(), Problem>;

    /// The server it is tested against.
    fn server<'a>(&self, stage: &'a Stage) -> &'a Running {
        &stage.own
    }

    /// Why it takes no bundle with two roots of one name, if it does not.
    fn refuses_two_roots(&self) -> Option<&'static str> {
        None
    }

    /// Fetches the CA certificates, PEM.
    fn ca_certs(&self, server: &Running, folder: &Path) -> Result<Vec<u8>, Problem>;

    /// Enrolls, renews, has a key made or is refused. What the client is not able to do is [`Problem::NotRun`].
    fn enroll(&self, job: &Job<'_>) -> Result<Answer, Problem>;

    /// The object identifiers that it reads in the csrattrs of a label.
    fn csr_attrs(&self, _server: &Running, _label: &str, _folder: &Path) -> Result<Vec<String>, Problem> {
        Err(Problem::not_run("it does not show csrattrs"))
    }

    /// Enrolls for `subject` with a request of its own that is linked to its TLS connection (RFC 7030 section 3.5).
    fn enroll_linked(&self, _job: &Job<'_>, _linked: Linked, _subject: &str) -> Result<Answer, Problem> {
        Err(Problem::not_run("it does not link requests"))
    }

    /// Enrolls where an operator must approve first, and asks again until one did.
    fn poll(&self, _job: &Job<'_>) -> Result<Answer, Problem> {
        Err(Problem::not_run("it does not ask again by itself"))
    }

    /// The certificate of the client's refusal case: one that no anchor of the label leads to.
    fn stranger(&self, stage: &Stage) -> Option<Identity> {
        Some(stage.pki.identity("bad-stranger"))
    }
}

/// Every client there is.
pub(crate) fn all(estclient: Option<PathBuf>) -> Vec<Box<dyn EstClient>> {
    vec![
        Box::new(curl::Curl),
        Box::new(strongswan::StrongSwan),
        Box::new(bouncy_castle::BouncyCastle::default()),
        Box::new(python::Python::default()),
        Box::new(libest::EstClientProgram::new(estclient)),
    ]
}

const CASES: [&str; 10] = [
    "cacerts",
    "cacerts-of-two-cas",
    "csrattrs",
    "simpleenroll",
    "renew",
    "rekey",
    "refusal",
    "serverkeygen-rsa2048",
    "serverkeygen-p256",
    "polling",
];

/// The further cases: each way in without a certificate; see [`crate::credentials`].
const LOGINS: [(&str, Login); 5] = [
    ("basic", credentials::login(Way::Basic, "http-basic")),
    ("several-challenges", credentials::login(Way::Basic, "http-any")),
    ("digest-sha256", credentials::login(Way::Digest, "http-digest")),
    ("digest-md5", credentials::login(Way::Digest, "http-md5")),
    ("bearer", credentials::BEARER),
];

/// The device that has keys made.
pub(crate) const KEYLESS: &str = "SN-P256";

/// The cases of one client.
pub(crate) fn run(client: &mut dyn EstClient, stage: &Stage, required: bool, matrix: &mut Matrix) {
    let name = client.name();
    let cases = CASES.iter().chain(LOGINS.iter().map(|(case, _)| case)).chain(LINKED.iter().map(|(case, _)| case));
    if !cases.into_iter().any(|case| matrix.wants(&format!("client/{name}/{case}"))) {
        return;
    }
    let ready = folder(stage, name).and_then(|folder| client.prepare(&folder)).map_err(|problem| match problem {
        Problem::NotRun(reason) if required => Problem::failed(format!("required, but {reason}")),
        other @ (Problem::NotRun(_) | Problem::Failed(_)) => other,
    });
    let client = &*client;
    let case = |matrix: &mut Matrix, what: &str, check: &dyn Fn() -> Check| {
        matrix.case(format!("client/{name}/{what}"), || ready.clone().and_then(|()| check()));
    };
    case(matrix, "cacerts", &|| ca_certs(client, stage));
    case(matrix, "cacerts-of-two-cas", &|| {
        if let Some(reason) = client.refuses_two_roots() {
            return Err(Problem::not_run(reason));
        }
        let served = fingerprints(&client.ca_certs(&stage.rollover, &folder(stage, name)?)?)?;
        let expected = FILES.iter().map(|file| fingerprints(&read(&rollover::file(&stage.rollover, file))?));
        let expected: BTreeSet<_> = expected.collect::<Result<Vec<_>, _>>()?.into_iter().flatten().collect();
        ensure!(served == expected, "expected both CAs and the way between them, the client stored {}", served.len());
        Ok(())
    });
    case(matrix, "csrattrs", &|| {
        let told = client.csr_attrs(&stage.own, csrattrs::LINKED, &folder(stage, name)?)?;
        for wanted in csrattrs::WANTED_WHERE_LINKED {
            ensure!(told.iter().any(|one| one == wanted), "{wanted} is not among what the client read: {told:?}");
        }
        Ok(())
    });
    case(matrix, "simpleenroll", &|| {
        let request = stage.request(&own_subject("SN-P256"), &[])?;
        let birth = stage.pki.identity("birth-p256");
        succeed(client, stage, Enrollment::SimpleEnroll, &birth, &request)
    });
    for kind in [KeyKind::Rsa2048, KeyKind::P256] {
        case(matrix, &format!("serverkeygen-{}", kind.name()), &|| generate(client, stage, kind));
    }
    case(matrix, "renew", &|| {
        let current = current(client, stage)?;
        let der = requests::by_key(&stage.pki, &current.key, &own_subject("SN-OTHER"), &[], "sha256")?;
        let request = Request { der, key: current.key.clone() };
        succeed(client, stage, Enrollment::SimpleReenroll, &current, &request)
    });
    case(matrix, "rekey", &|| {
        let current = current(client, stage)?;
        let request = stage.request_of(KeyKind::P256, &own_subject("SN-OTHER"), &[])?;
        succeed(client, stage, Enrollment::SimpleReenroll, &current, &request)
    });
    case(matrix, "refusal", &|| refusal(client, stage));
    case(matrix, "polling", &|| polling::check(client, stage));
    for (what, login) in LOGINS {
        case(matrix, what, &|| log_in(client, stage, login));
    }
    for (what, linked) in LINKED {
        case(matrix, what, &|| link(client, stage, linked));
    }
}

/// A request that is linked to its connection is taken, one that is linked to another is refused.
fn link(client: &dyn EstClient, stage: &Stage, linked: Linked) -> Check {
    let subject = own_subject("SN-P256");
    let request = stage.request(&subject, &[])?;
    let birth = stage.pki.identity("birth-p256");
    let job = Job {
        server: &stage.own,
        operation: Enrollment::SimpleEnroll,
        identity: Some(&birth),
        request: &request,
        login: None,
        folder: folder(stage, client.name())?,
    };
    match (client.enroll_linked(&job, linked, &subject)?, linked) {
        (Answer::Certificate(pem), Linked::Full | Linked::Resumed) => {
            let certificate = Certificate::from_pem(&pem)?;
            stage.keep_certificate(&certificate, &request, "linked/simpleenroll").map(|_| ())
        }
        (Answer::Refused(said), Linked::Replayed) => {
            ensure!(said.contains("identity_linking"), "expected identity_linking: {said}");
            Ok(())
        }
        (Answer::Refused(said), _) => Err(Problem::failed(format!("refused: {}", said.trim()))),
        (Answer::Certificate(_), Linked::Replayed) => Err(Problem::failed("a replayed binding got a certificate")),
        (Answer::Generated { .. }, _) => Err(Problem::failed("a key came along that nobody asked for")),
    }
}

/// Whether `program ARGUMENT` can be run at all.
pub(crate) fn present(program: &str, argument: &str) -> Result<(), Problem> {
    crate::command::run(Command::new(program).arg(argument), &[], crate::command::DEFAULT_LIMIT).map(|_| ())
}

fn folder(stage: &Stage, name: &str) -> Result<PathBuf, Problem> {
    let folder = stage.pki.path(&stage.unique(name));
    std::fs::create_dir_all(&folder)?;
    Ok(folder)
}

/// A current certificate to renew, enrolled at the client's own server.
fn current(client: &dyn EstClient, stage: &Stage) -> Result<Identity, Problem> {
    let running = client.server(stage);
    let request = stage.request(&own_subject("SN-OTHER"), &[])?;
    let birth = stage.pki.identity("birth-other");
    let raw = crate::http::Client::new(running.server.address, &running.anchor, Some(&birth))?;
    stage.keep(&raw.post("simpleenroll", &request.der)?, &request, "simpleenroll")
}

/// The bundle must be the label's own CA and its root, and nothing else.
fn ca_certs(client: &dyn EstClient, stage: &Stage) -> Check {
    let pem = client.ca_certs(client.server(stage), &folder(stage, client.name())?)?;
    let served = fingerprints(&pem)?;
    let mut expected = BTreeSet::new();
    for name in ["root-p256", "issuing-p256"] {
        expected.extend(fingerprints(&read(&stage.pki.identity(name).certificate)?)?);
    }
    ensure!(
        served == expected,
        "expected the root and the issuing CA, the client stored {} certificates",
        served.len()
    );
    Ok(())
}

/// The right password enrolls, a wrong one is refused; the client is asked for it by a challenge, or sends it at once.
fn log_in(client: &dyn EstClient, stage: &Stage, login: Login) -> Check {
    let request = stage.request(&own_subject("SN-P256"), &[])?;
    let job = |login: Login| -> Result<Job<'_>, Problem> {
        let server = if login.label == "http-md5" { &stage.digest } else { &stage.credentials };
        let operation = Enrollment::SimpleEnroll;
        let folder = folder(stage, client.name())?;
        Ok(Job { server, operation, identity: None, request: &request, login: Some(login), folder })
    };
    taken(client, stage, &job(login)?)?;
    match client.enroll(&job(Login { password: "wrong", ..login })?)? {
        Answer::Certificate(_) | Answer::Generated { .. } => Err(Problem::failed("a wrong password got a certificate")),
        Answer::Refused(said) => {
            let told =
                ["401", "failed with code", "Unauthorized", "auth_failed"].iter().any(|word| said.contains(word));
            ensure!(told, "the client does not tell of a 401: {said}");
            Ok(())
        }
    }
}

fn succeed(
    client: &dyn EstClient,
    stage: &Stage,
    operation: Enrollment,
    identity: &Identity,
    request: &Request,
) -> Check {
    let server = client.server(stage);
    let folder = folder(stage, client.name())?;
    taken(client, stage, &Job { server, operation, identity: Some(identity), request, login: None, folder })
}

/// The client gets a certificate that verifies.
fn taken(client: &dyn EstClient, stage: &Stage, job: &Job<'_>) -> Check {
    match client.enroll(job)? {
        Answer::Refused(why) => Err(Problem::failed(format!("refused: {}", why.trim()))),
        Answer::Generated { .. } => Err(Problem::failed("a key came along that nobody asked for")),
        Answer::Certificate(pem) => {
            let certificate = Certificate::from_pem(&pem)?;
            let kept = stage.keep_certificate(&certificate, job.request, job.operation.path())?;
            let (root, issuing) = (stage.pki.identity("root-p256"), stage.pki.identity("issuing-p256"));
            let (root, issuing) = (text(&root.certificate), text(&issuing.certificate));
            let verify = ["verify", "-CAfile", &root, "-untrusted", &issuing, "-purpose", "sslclient"];
            openssl(verify.into_iter().chain([&*text(&kept.certificate)]), &[])?;
            Ok(())
        }
    }
}

/// The client gets a key that fits its certificate.
fn generate(client: &dyn EstClient, stage: &Stage, kind: KeyKind) -> Check {
    let request = stage.request_of(kind, &own_subject(KEYLESS), &[])?;
    let birth = stage.pki.identity("birth-p256");
    let (server, operation) = (&stage.key_generation, Enrollment::ServerKeyGen);
    let folder = folder(stage, client.name())?;
    match client.enroll(&Job { server, operation, identity: Some(&birth), request: &request, login: None, folder })? {
        Answer::Refused(why) => Err(Problem::failed(format!("refused: {}", why.trim()))),
        Answer::Certificate(_) => Err(Problem::failed("a certificate came without its key")),
        Answer::Generated { certificate, key } => {
            let certificate = Certificate::from_pem(&certificate)?;
            stage.keep_generated(&certificate, &key, operation.path()).map(|_| ())
        }
    }
}

fn refusal(client: &dyn EstClient, stage: &Stage) -> Check {
    let request = stage.request(&own_subject("SN-P256"), &[])?;
    let stranger = client.stranger(stage);
    let job = Job {
        server: client.server(stage),
        operation: Enrollment::SimpleEnroll,
        identity: stranger.as_ref(),
        request: &request,
        login: None,
        folder: folder(stage, client.name())?,
    };
    match client.enroll(&job)? {
        Answer::Certificate(_) | Answer::Generated { .. } => {
            Err(Problem::failed("a device that may not enroll got a certificate"))
        }
        Answer::Refused(said) => {
            // libest knows no status but its own error names.
            ensure!(
                said.contains("403") || said.contains("failed with code"),
                "the client does not tell of a 403: {said}"
            );
            Ok(())
        }
    }
}

/// SHA-256 of each certificate in a PEM text.
fn fingerprints(pem: &[u8]) -> Result<BTreeSet<String>, Problem> {
    let pem = String::from_utf8_lossy(pem);
    let mut prints = BTreeSet::new();
    for part in pem.split("-----END CERTIFICATE-----").filter(|part| part.contains("BEGIN CERTIFICATE")) {
        let one = format!("{part}-----END CERTIFICATE-----\n");
        let print = openssl(["x509", "-noout", "-fingerprint", "-sha256"], one.as_bytes())?;
        prints.insert(String::from_utf8_lossy(&print).trim().to_owned());
    }
    Ok(prints)
}

/// The certificates of a base64 certs-only file, as PEM.
pub(crate) fn pem_of_pkcs7(base64: &[u8]) -> Result<Vec<u8>, Problem> {
    let der = crate::certificate::transfer_decoded(base64)?;
    openssl(["pkcs7", "-inform", "DER", "-print_certs"], &der)
}
