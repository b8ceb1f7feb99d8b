//! Every certificate that was issued, judged by openssl and by pkilint.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde::Deserialize;

use crate::command::{self, openssl, text};
use crate::fields;
use crate::matrix::{Check, Matrix, Problem, ensure};
use crate::pki::Pki;
use crate::stage::Harvested;

/// Judges end entity certificates and CA certificates.
pub(crate) fn run(
    pki: &Pki,
    harvest: &[Harvested],
    authorities: &[PathBuf],
    python: &Path,
    required: bool,
    matrix: &mut Matrix,
) {
    fields::run(pki, harvest, matrix);
    matrix.case("certificates/openssl-verify", || verify(pki, harvest));
    matrix.case("certificates/openssl-x509", || {
        for one in harvest {
            openssl(["x509", "-in", &text(&one.certificate), "-noout", "-text", "-certopt", "ext_error"], &[])?;
        }
        Ok(())
    });
    let files = || harvest.iter().map(|one| one.certificate.clone()).chain(authorities.iter().cloned()).collect();
    matrix.case("certificates/pkilint", || match lint(files(), python) {
        Err(Problem::NotRun(reason)) if required => Err(Problem::failed(format!("required, but {reason}"))),
        outcome => outcome,
    });
}

fn verify(pki: &Pki, harvest: &[Harvested]) -> Check {
    for one in harvest {
        let issuing = pki.identity(&one.authority).certificate;
        let root = pki.path(&format!("{}.pem", one.authority.replace("issuing", "root")));
        let (root, issuing, leaf) = (text(&root), text(&issuing), text(&one.certificate));
        openssl(["verify", "-x509_strict", "-CAfile", &root, "-untrusted", &issuing, &leaf], &[])
            .map_err(|problem| Problem::failed(format!("{}: {problem:?}", one.name)))?;
    }
    Ok(())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AllowList {
    #[serde(default)]
    allow: Vec<Allowed>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Allowed {
    code: String,
    /// What the finding's message must hold.
    about: String,
    reason: String,
}

impl Allowed {
    fn covers(&self, finding: &Finding) -> bool {
        self.code == finding.code && finding.message.contains(&self.about)
    }
}

#[derive(Deserialize)]
struct Finding {
    severity: String,
    code: String,
    message: String,
    node: String,
}

const ALLOW_LIST: &str = include_str!("../pkilint-allow.toml");
const LINTER: &str = include_str!("../clients/pkilint/lint_all.py");

/// pkilint over all of them at once, minus the written allow-list.
fn lint(files: Vec<PathBuf>, python: &Path) -> Check {
    let allowed: AllowList =
        toml::from_str(ALLOW_LIST).map_err(|error| Problem::failed(format!("pkilint-allow.toml: {error}")))?;
    ensure!(
        allowed.allow.iter().all(|entry| !entry.reason.trim().is_empty()),
        "an entry of the allow-list has no reason"
    );
    let list: String = files.iter().map(|file| format!("{}\n", file.display())).collect();
    let mut linter = Command::new(python);
    linter.args(["-c", LINTER]);
    let out = command::run(&mut linter, list.as_bytes(), Duration::from_secs(180))?;
    if out.text().contains("No module named 'pkilint'") {
        return Err(Problem::not_run("pkilint is not installed"));
    }
    let found: BTreeMap<String, Vec<Finding>> = serde_json::from_slice(&out.succeeded("pkilint")?)
        .map_err(|error| Problem::failed(format!("pkilint's output: {error}")))?;
    ensure!(
        found.len() == files.iter().collect::<BTreeSet<_>>().len(),
        "pkilint judged {} of {} files",
        found.len(),
        files.len()
    );
    let mut told = BTreeMap::new();
    for (file, findings) in &found {
        for finding in findings.iter().filter(|finding| !allowed.allow.iter().any(|entry| entry.covers(finding))) {
            let text =
                format!("{} {} at {}: {} ({file})", finding.severity, finding.code, finding.node, finding.message);
            told.entry(&finding.code).or_insert(text);
        }
    }
    ensure!(told.is_empty(), "{}", told.into_values().collect::<Vec<_>>().join("; "));
    for entry in &allowed.allow {
        let is_needed = found.values().flatten().any(|finding| entry.covers(finding));
        ensure!(is_needed, "the allow-list has {} about {:?}, which nothing needs", entry.code, entry.about);
    }
    Ok(())
}
