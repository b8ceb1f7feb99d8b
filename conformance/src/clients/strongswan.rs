//! strongSwan's `pki --estca` and `pki --est`.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use super::{Answer, Enrollment, EstClient, Job, Way, present};
use crate::command::{self, DEFAULT_LIMIT, text};
use crate::credentials::APPROVAL;
use crate::matrix::Problem;
use crate::pki::Identity;
use crate::stage::{Running, Stage};

/// Asking again takes its time.
const LIMIT: Duration = Duration::from_secs(90);

/// It knows no labels, and before 5.9.11 reads one line of base64 only: it comes to the server whose default label
/// answers so.
pub(crate) struct StrongSwan;

impl EstClient for StrongSwan {
    fn name(&self) -> &'static str {
        "strongswan"
    }

    fn prepare(&mut self, _folder: &Path) -> Result<(), Problem> {
        present("pki", "--help")
    }

    fn server<'a>(&self, stage: &'a Stage) -> &'a Running {
        &stage.foreign
    }

    fn ca_certs(&self, server: &Running, folder: &Path) -> Result<Vec<u8>, Problem> {
        let mut pki = Command::new("pki");
        pki.args(["--estca", "--url", &url(server), "--cacert", &text(&server.anchor)]);
        pki.args(["--caout", &text(&folder.join("ca.pem")), "--outform", "pem", "--force"]);
        command::run(&mut pki, &[], DEFAULT_LIMIT)?.succeeded("pki --estca")?;
        let mut all = Vec::new();
        for file in std::fs::read_dir(folder)? {
            all.extend(command::read(&file?.path())?);
        }
        Ok(all)
    }

    fn enroll(&self, job: &Job<'_>) -> Result<Answer, Problem> {
        if job.operation == Enrollment::SimpleEnroll && job.identity.is_some() {
            return Err(Problem::not_run("pki --est sends a client certificate with simplereenroll only"));
        }
        self.ask(job, &[])
    }

    fn poll(&self, job: &Job<'_>) -> Result<Answer, Problem> {
        // It takes the longer of this and Retry-After, and gives up by itself.
        self.ask(job, &["--interval", "1", "--maxpolltime", "60"])
    }

    /// Nobody: see [`StrongSwan::enroll`].
    fn stranger(&self, _stage: &Stage) -> Option<Identity> {
        None
    }
}

impl StrongSwan {
    fn ask(&self, job: &Job<'_>, more: &[&str]) -> Result<Answer, Problem> {
        let login = job.login.map(|login| (login.way, login.label, format!("{}:{}", login.user, login.password)));
        if !matches!(login, None | Some((Way::Basic, "http-basic" | APPROVAL, _))) {
            return Err(Problem::not_run("pki --est knows Basic alone, and no labels"));
        }
        if job.operation == Enrollment::ServerKeyGen {
            return Err(Problem::not_run("pki --est knows no serverkeygen"));
        }
        let mut pki = Command::new("pki");
        pki.args(["--est", "--url", &url(job.server), "--in", &text(&job.request_file()?), "--outform", "pem"]);
        let folder = job.server.configuration.with_file_name("ca");
        for anchor in [job.server.anchor.clone(), folder.join("root-p256.pem"), folder.join("issuing-p256.pem")] {
            pki.args(["--cacert", &text(&anchor)]);
        }
        if let Some(identity) = job.identity {
            pki.args(["--cert", &text(&identity.certificate), "--key", &text(&identity.key)]);
        }
        if let Some((_, _, userpass)) = &login {
            pki.args(["--userpass", userpass]);
        }
        let finished = command::run(pki.args(more), &[], LIMIT)?;
        if finished.status.success() && finished.stdout.starts_with(b"-----BEGIN CERTIFICATE") {
            return Ok(Answer::Certificate(finished.stdout));
        }
        Ok(Answer::Refused(finished.text()))
    }
}

fn url(server: &Running) -> String {
    format!("https://127.0.0.1:{}", server.server.address.port())
}
