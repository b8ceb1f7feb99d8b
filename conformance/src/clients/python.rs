//! A client in Python's standard library.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::{Answer, Enrollment, EstClient, Job, LINKED_LABEL, Linked, present};
use crate::command::{self, DEFAULT_LIMIT, text};
use crate::matrix::Problem;
use crate::stage::Running;

const SOURCE: &str = include_str!("../../clients/python/est_client.py");

#[derive(Default)]
pub(crate) struct Python {
    program: PathBuf,
}

impl EstClient for Python {
    fn name(&self) -> &'static str {
        "python"
    }

    fn prepare(&mut self, folder: &Path) -> Result<(), Problem> {
        present("python3", "--version")?;
        self.program = folder.join("est_client.py");
        command::write(&self.program, SOURCE)
    }

    fn ca_certs(&self, server: &Running, _folder: &Path) -> Result<Vec<u8>, Problem> {
        let mut python = self.python(server, "cacerts");
        let der = command::run(&mut python, &[], DEFAULT_LIMIT)?.succeeded("the Python client")?;
        command::openssl(["pkcs7", "-inform", "DER", "-print_certs"], &der)
    }

    fn enroll(&self, job: &Job<'_>) -> Result<Answer, Problem> {
        job.no_login("the Python client")?;
        let mut python = self.python(job.server, job.operation.path());
        python.args(["--request", &text(&job.request_file()?)]);
        Self::answer(python, job)
    }

    fn enroll_linked(&self, job: &Job<'_>, linked: Linked, subject: &str) -> Result<Answer, Problem> {
        let mut python = self.python(job.server, &format!("{LINKED_LABEL}/{}", job.operation.path()));
        python.args(["--link-key", &text(&job.request.key), "--subject", subject]);
        match linked {
            Linked::Full => {}
            Linked::Resumed => _ = python.arg("--resumed"),
            Linked::Replayed => _ = python.arg("--replayed"),
        }
        Self::answer(python, job)
    }
}

impl Python {
    fn answer(mut python: Command, job: &Job<'_>) -> Result<Answer, Problem> {
        if job.operation == Enrollment::ServerKeyGen {
            python.args(["--key-out", &text(&job.key_out())]);
        }
        if let Some(identity) = job.identity {
            python.args(["--certificate", &text(&identity.chain), "--key", &text(&identity.key)]);
        }
        let finished = command::run(&mut python, &[], DEFAULT_LIMIT)?;
        if finished.status.success() {
            let pem = command::openssl(["pkcs7", "-inform", "DER", "-print_certs"], &finished.stdout)?;
            return job.answer(pem);
        }
        Ok(Answer::Refused(finished.text()))
    }

    fn python(&self, server: &Running, operation: &str) -> Command {
        let mut python = Command::new("python3");
        python.args([&text(&self.program), &server.server.url(operation), "--anchor", &text(&server.anchor)]);
        python
    }
}
