//! Registers of what is demanded, each row with the tests that prove it or the reason why none does: the requirements of priorities 1
//! to 3, and the abuse that must come to nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use serde::Deserialize;

use crate::command;
use crate::matrix::{Check, Matrix, Problem, ensure};

/// A register, as the harness knows it.
pub(crate) struct Register {
    /// What its cases begin with.
    name: &'static str,
    /// How many rows there are of each priority.
    counts: &'static [(u8, usize)],
}

/// The duties of the standards.
pub(crate) const REQUIREMENTS: Register = Register { name: "requirements", counts: &[(1, 97), (2, 80), (3, 72)] };

/// What an attacker, a broken device or a bad day does.
pub(crate) const THREATS: Register = Register { name: "threats", counts: &[(1, 42)] };

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Rows {
    #[serde(alias = "threat")]
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

/// Adds one case for each row, and one for the register itself.
pub(crate) fn run(register: &Register, file: &Path, cargo_tests: Option<&Path>, matrix: &mut Matrix) {
    let name = register.name;
    let parsed = load(file);
    let outcome = match &parsed {
        Ok(requirements) => complete(requirements, register.counts),
        Err(problem) => Err(problem.clone()),
    };
    matrix.case(format!("{name}/register"), || outcome);
    let requirements = parsed.unwrap_or_default();
    let needs_cargo = requirements.iter().flat_map(|one| &one.tests).any(|test| test.starts_with("cargo:"));
    let cargo = if needs_cargo { list(cargo_tests) } else { Ok(BTreeSet::new()) };
    for requirement in &requirements {
        let outcome = judge(requirement, &cargo, matrix);
        matrix.case(format!("{name}/{}", requirement.id), || outcome);
    }
}

fn load(path: &Path) -> Result<Vec<Requirement>, Problem> {
    let text = String::from_utf8_lossy(&command::read(path)?).into_owned();
    let rows: Result<Rows, _> = toml::from_str(&text);
    rows.map(|rows| rows.requirement).map_err(|error| Problem::failed(format!("{}: {error}", path.display())))
}

fn complete(requirements: &[Requirement], counts: &[(u8, usize)]) -> Check {
    let ids: BTreeSet<&str> = requirements.iter().map(|one| one.id.as_str()).collect();
    ensure!(ids.len() == requirements.len(), "an id stands there twice");
    for &(priority, expected) in counts {
        let found = requirements.iter().filter(|one| one.priority == priority).count();
        ensure!(found == expected, "expected {expected} rows of priority {priority}, found {found}");
    }
    ensure!(requirements.len() == counts.iter().map(|(_, count)| count).sum::<usize>(), "a priority that is none");
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

/// What a report needs: how many rows there are by outcome.
pub(crate) fn summary(register: &Register, matrix: &Matrix) -> BTreeMap<&'static str, usize> {
    let mut counts = BTreeMap::new();
    for outcome in matrix.outcomes(&format!("{}/", register.name)) {
        let word = match outcome {
            Ok(()) => "proven",
            Err(Problem::Failed(_)) => "failed",
            Err(Problem::NotRun(_)) => "not run or not testable here",
        };
        *counts.entry(word).or_default() += 1;
    }
    counts
}
