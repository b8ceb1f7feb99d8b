//! Bouncy Castle's EST client, through a small Java program.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use super::{Answer, EstClient, Job, LINKED_LABEL, Linked, Way};
use crate::command::{self, text};
use crate::matrix::Problem;
use crate::stage::Running;

const SOURCE: &str = include_str!("../../clients/bouncycastle/EstClient.java");
const OPENER: &str = include_str!("../../clients/bouncycastle/KeyOpener.java");
const JARS: [&str; 4] = ["bcprov.jar", "bcpkix.jar", "bcutil.jar", "bctls.jar"];
const JAR_FOLDER: &str = "/usr/share/java";
/// A cold Java virtual machine is slow.
const LIMIT: Duration = Duration::from_secs(90);

#[derive(Default)]
pub(crate) struct BouncyCastle {
    class_path: String,
}

impl EstClient for BouncyCastle {
    fn name(&self) -> &'static str {
        "bouncycastle"
    }

    fn prepare(&mut self, folder: &Path) -> Result<(), Problem> {
        self.class_path = compile(folder, "EstClient", SOURCE)?;
        Ok(())
    }

    fn ca_certs(&self, server: &Running, _folder: &Path) -> Result<Vec<u8>, Problem> {
        command::run(&mut self.java(server, "cacerts"), &[], LIMIT)?.succeeded("the Java client")
    }

    fn csr_attrs(&self, server: &Running, label: &str, _folder: &Path) -> Result<Vec<String>, Problem> {
        let mut java = self.java(server, "csrattrs");
        let told = command::run(java.env("EST_LABEL", label), &[], LIMIT)?.succeeded("the Java client")?;
        Ok(String::from_utf8_lossy(&told).lines().map(str::to_owned).collect())
    }

    fn enroll_linked(&self, job: &Job<'_>, linked: Linked, _subject: &str) -> Result<Answer, Problem> {
        if linked != Linked::Full {
            return Err(Problem::not_run("it links each request to its own connection, and makes a new one each time"));
        }
        let mut java = self.java(job.server, job.operation.path());
        java.env("EST_LABEL", LINKED_LABEL).env("EST_LINK_KEY", &job.request.key);
        Self::answer(java, job)
    }

    fn enroll(&self, job: &Job<'_>) -> Result<Answer, Problem> {
        let mut java = self.java(job.server, job.operation.path());
        if let Some(login) = job.login {
            if login.way == Way::Bearer || login.label == "http-digest" {
                return Err(Problem::not_run(
                    "it knows Basic, and of Digest challenges those without a bare algorithm",
                ));
            }
            java.env("EST_LABEL", login.label).env("EST_USER", login.user).env("EST_PASSWORD", login.password);
        }
        Self::answer(java, job)
    }
}

impl BouncyCastle {
    fn answer(mut java: Command, job: &Job<'_>) -> Result<Answer, Problem> {
        java.arg(job.request_file()?);
        if let Some(identity) = job.identity {
            // Java reads PKCS#12 key stores.
            let store = job.folder.join("identity.p12");
            let (chain, key) = (text(&identity.chain), text(&identity.key));
            let export = ["pkcs12", "-export", "-passout", "pass:changeit", "-in", &chain, "-inkey", &key];
            command::openssl(export.into_iter().chain(["-out", &*text(&store)]), &[])?;
            java.args([store, job.key_out()]);
        }
        let finished = command::run(&mut java, &[], LIMIT)?;
        if finished.status.success() {
            return job.answer(finished.stdout);
        }
        Ok(Answer::Refused(finished.text()))
    }

    fn java(&self, server: &Running, operation: &str) -> Command {
        let mut java = java(&self.class_path, "EstClient");
        java.args([&format!("127.0.0.1:{}", server.server.address.port()), &text(&server.anchor), operation]);
        java
    }
}

/// Bouncy Castle's CMS, which opens encrypted keys.
pub(crate) struct KeyOpener {
    class_path: String,
    folder: PathBuf,
}

impl KeyOpener {
    /// Compiles it into `folder`, which must exist.
    pub(crate) fn new(folder: PathBuf) -> Result<Self, Problem> {
        Ok(Self { class_path: compile(&folder, "KeyOpener", OPENER)?, folder })
    }

    /// The PrivateKeyInfo in an EnvelopedData. `key` is a shared key in hexadecimal, or the file of a recipient's.
    pub(crate) fn open(&self, sealed: &[u8], key: &str) -> Result<Vec<u8>, Problem> {
        let file = self.folder.join("sealed.der");
        command::write(&file, sealed)?;
        let mut java = java(&self.class_path, "KeyOpener");
        java.args([&text(&file), key]);
        command::run(&mut java, &[], LIMIT)?.succeeded("the Java program")
    }
}

/// Compiles a program and says where its classes are.
fn compile(folder: &Path, name: &str, source: &str) -> Result<String, Problem> {
    let jars: Vec<PathBuf> = JARS.iter().map(|jar| Path::new(JAR_FOLDER).join(jar)).collect();
    if let Some(missing) = jars.iter().find(|jar| !jar.exists()) {
        return Err(Problem::not_run(format!("{} is not installed", missing.display())));
    }
    let jars: Vec<String> = jars.iter().map(|jar| text(jar)).collect();
    let class_path = format!("{}:{}", jars.join(":"), folder.display());
    let file = folder.join(format!("{name}.java"));
    command::write(&file, source)?;
    let mut javac = Command::new("javac");
    javac.args(["-cp", &class_path, "-d", &text(folder), &text(&file)]);
    command::run(&mut javac, &[], LIMIT)?.succeeded("javac")?;
    Ok(class_path)
}

fn java(class_path: &str, class: &str) -> Command {
    let mut java = Command::new("java");
    // The fast start matters more than the fast end.
    java.args(["-XX:TieredStopAtLevel=1", "-Xshare:auto", "-cp", class_path, class]);
    java
}
