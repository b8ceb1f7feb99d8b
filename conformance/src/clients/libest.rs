//! libest's `estclient`, where somebody has built one.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::{Answer, Enrollment, EstClient, Job, KEYLESS, LINKED_LABEL, Linked, Login, pem_of_pkcs7, present};
use crate::checks::csrattrs;
use crate::command::{self, DEFAULT_LIMIT, openssl, read, text};
use crate::matrix::Problem;
use crate::stage::Running;

pub(crate) struct EstClientProgram {
    program: String,
}

impl EstClientProgram {
    /// The program named, or the one on PATH.
    pub(crate) fn new(program: Option<PathBuf>) -> Self {
        Self { program: program.map_or_else(|| "estclient".to_owned(), |path| text(&path)) }
    }

    /// It ends with 0 even when it fails: the output file tells.
    fn run(&self, server: &Running, folder: &Path, arguments: &[&str]) -> Result<String, Problem> {
        let mut program = Command::new(&self.program);
        program.args(["-s", "127.0.0.1", "-p", &server.server.address.port().to_string(), "-o", &text(folder)]);
        program.args(arguments).env("EST_OPENSSL_CACERT", &server.anchor);
        Ok(command::run(&mut program, &[], DEFAULT_LIMIT)?.text())
    }
}

impl EstClient for EstClientProgram {
    fn name(&self) -> &'static str {
        "libest"
    }

    fn prepare(&mut self, _folder: &Path) -> Result<(), Problem> {
        present(&self.program, "-?")
    }

    fn refuses_two_roots(&self) -> Option<&'static str> {
        Some(
            "estclient verifies each certificate alone and fails at two roots of one name (EST_ERR_CACERT_VERIFICATION)",
        )
    }

    fn ca_certs(&self, server: &Running, folder: &Path) -> Result<Vec<u8>, Problem> {
        let said = self.run(server, folder, &["-g"])?;
        let file = folder.join("cacert-0-0.pkcs7");
        if !file.exists() {
            return Err(Problem::failed(format!("estclient -g: {}", telling(&said))));
        }
        pem_of_pkcs7(&read(&file)?)
    }

    fn csr_attrs(&self, server: &Running, label: &str, folder: &Path) -> Result<Vec<String>, Problem> {
        let said = self.run_at(label, server, folder, &["-v", "-a"])?;
        let file = folder.join("csr-0-0.base64");
        if !file.exists() {
            return Err(Problem::failed(format!("estclient -a: {}", telling(&said))));
        }
        Ok(csrattrs::wanted_in(&crate::certificate::transfer_decoded(&read(&file)?)?))
    }

    fn enroll_linked(&self, job: &Job<'_>, linked: Linked, _subject: &str) -> Result<Answer, Problem> {
        if linked != Linked::Full {
            return Err(Problem::not_run("estclient links each request to its own connection"));
        }
        let identity = job.identity.ok_or_else(|| Problem::not_run("only tested with a client certificate"))?;
        let (chain, key, own) = (text(&identity.chain), text(&identity.key), text(&job.request.key));
        let who = ["-c", &chain, "-k", &key, "-x", &own, "--common-name", KEYLESS];
        let arguments = [&["-v", "-e", "-z"], who.as_slice()].concat();
        let said = self.run_at(LINKED_LABEL, job.server, &job.folder, &arguments)?;
        answer(&job.folder, &said)
    }

    fn enroll(&self, job: &Job<'_>) -> Result<Answer, Problem> {
        let request = job.folder.join("request.pem");
        openssl(["req", "-inform", "DER", "-out", &text(&request)], &job.request.der)?;
        let request = text(&request);
        if let Some(login) = job.login {
            return self.log_in(job, login, &request);
        }
        let identity = job.identity.ok_or_else(|| Problem::not_run("only tested with a client certificate"))?;
        let (chain, key) = (text(&identity.chain), text(&identity.key));
        let said = match job.operation {
            Enrollment::SimpleEnroll => {
                self.run(job.server, &job.folder, &["-v", "-e", "-c", &chain, "-k", &key, "-y", &request])?
            }
            Enrollment::SimpleReenroll if identity.key == job.request.key => {
                self.run(job.server, &job.folder, &["-v", "-r", "-c", &chain, "-k", &key])?
            }
            Enrollment::SimpleReenroll => {
                return Err(Problem::not_run("estclient -r always keeps the key"));
            }
            Enrollment::ServerKeyGen => {
                // A request from a file ends in an error of its own; it writes one for this key.
                let own = text(&job.request.key);
                let names = ["-x", &own, "--common-name", KEYLESS];
                let arguments = ["-v", "-q", "-c", &chain, "-k", &key].into_iter().chain(names);
                self.run(job.server, &job.folder, &arguments.collect::<Vec<_>>())?
            }
        };
        answer(&job.folder, &said)
    }
}

impl EstClientProgram {
    /// At a label, which is a matter of how it was built.
    fn run_at(&self, label: &str, server: &Running, folder: &Path, arguments: &[&str]) -> Result<String, Problem> {
        let said = self.run(server, folder, &[arguments, &["--path-seg", label]].concat())?;
        if said.contains("path segments not supported") {
            return Err(Problem::not_run("this estclient was built without uriparser, and knows no labels"));
        }
        Ok(said)
    }

    fn log_in(&self, job: &Job<'_>, login: Login, request: &str) -> Result<Answer, Problem> {
        // It knows no labels, and reads the first challenge alone.
        if !["http-basic", "http-md5"].contains(&login.label) {
            return Err(Problem::not_run("estclient knows Basic, and Digest with MD5 as the first challenge"));
        }
        let login = ["-u", login.user, "-h", login.password];
        let said = self.run(job.server, &job.folder, &[&["-v", "-e", "-y", request], login.as_slice()].concat())?;
        answer(&job.folder, &said)
    }
}

fn answer(folder: &Path, said: &str) -> Result<Answer, Problem> {
    let (file, key_file) = (folder.join("cert-0-0.pkcs7"), folder.join("key-0-0.key"));
    if key_file.exists() {
        let key = crate::certificate::transfer_decoded(&read(&key_file)?)?;
        return Ok(Answer::Generated { certificate: pem_of_pkcs7(&read(&file)?)?, key });
    }
    if said.contains("Malformed payload; data too short") {
        return Err(Problem::not_run("estclient takes no private key as short as this one"));
    }
    if file.exists() {
        return Ok(Answer::Certificate(pem_of_pkcs7(&read(&file)?)?));
    }
    Ok(Answer::Refused(telling(said)))
}

/// The lines of its talk that tell why: the server's sentence and its own verdict.
fn telling(said: &str) -> String {
    let lines = said.lines().filter(|line| line.starts_with("estd: ") || line.contains("failed with code"));
    lines.collect::<Vec<_>>().join(" | ")
}
