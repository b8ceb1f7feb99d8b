//! curl and openssl: what a person at a shell uses.

use std::path::Path;
use std::process::Command;

use super::{Answer, Enrollment, EstClient, Job, Login, Way, pem_of_pkcs7, present};
use crate::command::{self, DEFAULT_LIMIT, read, text, write};
use crate::http;
use crate::matrix::Problem;
use crate::multipart;
use crate::stage::Running;

pub(crate) struct Curl;

impl EstClient for Curl {
    fn name(&self) -> &'static str {
        "curl"
    }

    fn prepare(&mut self, _folder: &Path) -> Result<(), Problem> {
        present("curl", "--version")
    }

    fn ca_certs(&self, server: &Running, folder: &Path) -> Result<Vec<u8>, Problem> {
        let out = folder.join("cacerts.p7");
        let mut curl = curl(server, &out, "cacerts");
        command::run(&mut curl, &[], DEFAULT_LIMIT)?.succeeded("curl")?;
        pem_of_pkcs7(&read(&out)?)
    }

    fn enroll(&self, job: &Job<'_>) -> Result<Answer, Problem> {
        let body = job.folder.join("request.b64");
        write(&body, http::base64(&job.request.der))?;
        let mut curl = curl(job.server, &job.out(), &job.path());
        curl.args(["-H", "Content-Type: application/pkcs10", "--data-binary", &format!("@{}", text(&body))]);
        if let Some(identity) = job.identity {
            curl.args(["--cert", &text(&identity.chain), "--key", &text(&identity.key)]);
        }
        if let Some(Login { way, user, password, .. }) = job.login {
            match way {
                Way::Basic => curl.args(["--anyauth", "--user", &format!("{user}:{password}")]),
                Way::Digest => curl.args(["--digest", "--user", &format!("{user}:{password}")]),
                Way::Bearer => curl.args(["--oauth2-bearer", password]),
            };
        }
        let written = command::run(&mut curl, &[], DEFAULT_LIMIT)?.succeeded("curl")?;
        let (status, media_type) = written.split_at(written.len().min(3));
        let answer = read(&job.out())?;
        if status == b"200" && job.operation == Enrollment::ServerKeyGen {
            let boundary = String::from_utf8_lossy(media_type).replace(" multipart/mixed; boundary=", "");
            let generated = multipart::read(&boundary, &String::from_utf8_lossy(&answer))?;
            let certificate = generated.certificate.pem().into_bytes();
            return Ok(Answer::Generated { key: generated.plain()?.to_vec(), certificate });
        }
        if status == b"200" {
            return Ok(Answer::Certificate(pem_of_pkcs7(&answer)?));
        }
        Ok(Answer::Refused(format!("{} {}", String::from_utf8_lossy(status), String::from_utf8_lossy(&answer))))
    }
}

fn curl(server: &Running, out: &Path, path: &str) -> Command {
    let mut curl = Command::new("curl");
    curl.args(["--silent", "--show-error", "--cacert", &text(&server.anchor), "--output", &text(out)]);
    curl.args(["--write-out", "%{http_code} %{content_type}", &server.server.url(path)]);
    curl
}
