//! Every requirement of priorities 1 to 3, with the tests that prove it or the reason why none does.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use serde::Deserialize;

use crate::command;
use crate::matrix::{Check, Matrix, Problem, ensure};

/// How many requirements there are of each priority.
const COUNTS: [(u8, usize); 3] = [(1, 97), (2, 80), (3, 72)];

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Register {
    requirement: Vec<Requirement>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Requirement {
    id: String,
    /// 1 where none is named.
    #[serde(default = "first_priority")]
    priority: u8,
    text: String,
    #[serde(default)]
    tests: Vec<String>,
    reason: Option<String>,
}

const fn first_priority() -> u8 {
    1
}

/// Adds one case for each requirement, and one for the register itself.
pub(crate) fn run(register: &Path, cargo_tests: Option<&Path>, matrix: &mut Matrix) {
    let parsed = load(register);
    let outcome = match &parsed {
        Ok(requirements) => complete(requirements),
        Err(problem) => Err(problem.clone()),
    };
    matrix.case("requirements/register", || outcome);
    let requirements = parsed.unwrap_or_default();
    let needs_cargo = requirements.iter().flat_map(|one| &one.tests).any(|test| test.starts_with("cargo:"));
    let cargo = if needs_cargo { list(cargo_tests) } else { Ok(BTreeSet::new()) };
    for requirement in &requirements {
        let outcome = judge(requirement, &cargo, matrix);
        matrix.case(format!("requirements/{}", requirement.id), || outcome);
    }
}

fn load(path: &Path) -> Result<Vec<Requirement>, Problem> {
    let text = String::from_utf8_lossy(&command::read(path)?).into_owned();
    let register: Result<Register, _> = toml::from_str(&text);
    register
        .map(|register| register.requirement)
        .map_err(|error| Problem::failed(format!("{}: {error}", path.display())))
}

fn complete(requirements: &[Requirement]) -> Check {
    let ids: BTreeSet<&str> = requirements.iter().map(|one| one.id.as_str()).collect();
    ensure!(ids.len() == requirements.len(), "an id stands there twice");
    for (priority, expected) in COUNTS {
        let found = requirements.iter().filter(|one| one.priority == priority).count();
        ensure!(found == expected, "expected {expected} requirements of priority {priority}, found {found}");
    }
    ensure!(requirements.len() == COUNTS.iter().map(|(_, count)| count).sum::<usize>(), "a priority that is none");
    for one in requirements {
        let reason = one.reason.as_deref().map(str::trim);
        ensure!(!one.text.trim().is_empty(), "{} has no text", one.id);
        ensure!(reason != Some(""), "{} has an empty reason", one.id);
        ensure!(!one.tests.is_empty() || reason.is_some(), "{} has neither a test nor a reason", one.id);
    }
    Ok(())
}

/// A requirement fails with any of its tests; it did not run when none of them did.
fn judge(requirement: &Requirement, cargo: &Result<BTreeSet<String>, Problem>, matrix: &Matrix) -> Check {
    let mut passed = false;
    let mut missing = Vec::new();
    for test in &requirement.tests {
        match test.split_once(':') {
            Some(("conformance", name)) => {
                let case = matrix.find(name).ok_or_else(|| Problem::failed(format!("no case is called {name}")))?;
                match &case.outcome {
                    Ok(()) => passed = true,
                    Err(Problem::Failed(_)) => return Err(Problem::failed(format!("{name} failed"))),
                    Err(Problem::NotRun(reason)) => missing.push(format!("{name}: {reason}")),
                }
            }
            Some(("cargo", path)) => {
                let path = path.split_once("::").map_or(path, |(_crate, rest)| rest);
                ensure!(cargo.clone()?.contains(path), "no cargo test is called {path}");
                passed = true;
            }
            _ => return Err(Problem::failed(format!("{test} is neither conformance:CASE nor cargo:CRATE::TEST"))),
        }
    }
    if passed {
        return Ok(());
    }
    let reason = requirement.reason.clone().unwrap_or_else(|| missing.join("; "));
    Err(Problem::not_run(reason))
}

/// The paths of all cargo tests, from a file or by asking cargo.
fn list(file: Option<&Path>) -> Result<BTreeSet<String>, Problem> {
    let text = match file {
        Some(file) => command::read(file)?,
        None => {
            let mut cargo = Command::new("cargo");
            cargo.args(["test", "--workspace", "--quiet", "--", "--list"]);
            command::run(&mut cargo, &[], Duration::from_secs(900))?.succeeded("cargo test -- --list")?
        }
    };
    let text = String::from_utf8_lossy(&text);
    Ok(text.lines().filter_map(|line| line.trim().strip_suffix(": test")).map(str::to_owned).collect())
}

/// What a report needs: how many requirements there are by outcome.
pub(crate) fn summary(matrix: &Matrix) -> BTreeMap<&'static str, usize> {
    let mut counts = BTreeMap::new();
    for outcome in matrix.outcomes("requirements/") {
        let word = match outcome {
            Ok(()) => "proven",
            Err(Problem::Failed(_)) => "failed",
            Err(Problem::NotRun(_)) => "not run or not testable here",
        };
        *counts.entry(word).or_default() += 1;
    }
    counts
}
