//! The cases that ran and what became of each.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use crate::clock::Stopwatch;

/// Why a check did not pass.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Problem {
    /// The server, or what it issued, is not as it must be.
    Failed(String),
    /// The check could not be made here, for the reason given. Never counts as a pass.
    NotRun(String),
}

impl Problem {
    pub(crate) fn failed(message: impl Into<String>) -> Self {
        Self::Failed(message.into())
    }

    pub(crate) fn not_run(reason: impl Into<String>) -> Self {
        Self::NotRun(reason.into())
    }
}

impl From<std::io::Error> for Problem {
    fn from(error: std::io::Error) -> Self {
        Self::Failed(error.to_string())
    }
}

/// The outcome of one check.
pub(crate) type Check = Result<(), Problem>;

/// Fails the check with a message unless the condition holds.
macro_rules! ensure {
    ($condition:expr, $($message:tt)+) => {
        if !$condition {
            return Err($crate::matrix::Problem::failed(format!($($message)+)));
        }
    };
}
pub(crate) use ensure;

/// One case: `area/name`.
pub(crate) struct Case {
    pub(crate) name: String,
    pub(crate) outcome: Check,
    duration: Duration,
}

/// All cases of a run, in order.
pub(crate) struct Matrix {
    cases: Vec<Case>,
    only: Option<String>,
}

impl Matrix {
    /// With `only`, cases whose name does not contain it are left out.
    pub(crate) fn new(only: Option<String>) -> Self {
        Self { cases: Vec::new(), only }
    }

    /// Runs one case and remembers its outcome.
    pub(crate) fn case(&mut self, name: impl Into<String>, check: impl FnOnce() -> Check) {
        let name = name.into();
        if !self.wants(&name) {
            return;
        }
        let watch = Stopwatch::start();
        let outcome = check();
        self.cases.push(Case { name, outcome, duration: watch.elapsed() });
    }

    /// Whether a case of this name would run.
    pub(crate) fn wants(&self, name: &str) -> bool {
        self.only.as_deref().is_none_or(|only| name.contains(only))
    }

    /// Whether every case runs.
    pub(crate) fn is_whole(&self) -> bool {
        self.only.is_none()
    }

    pub(crate) fn find(&self, name: &str) -> Option<&Case> {
        self.cases.iter().find(|case| case.name == name)
    }

    /// The outcomes of the cases whose name starts so.
    pub(crate) fn outcomes(&self, prefix: &str) -> impl Iterator<Item = &Check> {
        self.cases.iter().filter(move |case| case.name.starts_with(prefix)).map(|case| &case.outcome)
    }

    /// Names and messages of what failed.
    pub(crate) fn failures(&self) -> impl Iterator<Item = (&str, &str)> {
        self.cases.iter().filter_map(|case| match &case.outcome {
            Err(Problem::Failed(message)) => Some((case.name.as_str(), message.as_str())),
            Ok(()) | Err(Problem::NotRun(_)) => None,
        })
    }

    /// (passed, failed, not run)
    pub(crate) fn counts(&self) -> (usize, usize, usize) {
        let mut counts = (0, 0, 0);
        for case in &self.cases {
            match case.outcome {
                Ok(()) => counts.0 += 1,
                Err(Problem::Failed(_)) => counts.1 += 1,
                Err(Problem::NotRun(_)) => counts.2 += 1,
            }
        }
        counts
    }

    /// The report a person reads.
    pub(crate) fn markdown(&self) -> String {
        let (passed, failed, not_run) = self.counts();
        let mut text = format!("# Conformance\n\n{passed} passed, {failed} failed, {not_run} not run.\n");
        for (area, cases) in self.by_area() {
            // Writing to a String cannot fail, here and below.
            let _ = write!(text, "\n## {area}\n\n| case | outcome | seconds |\n|---|---|---|\n");
            for case in cases {
                let outcome = match &case.outcome {
                    Ok(()) => "pass".to_owned(),
                    Err(Problem::Failed(message)) => format!("**FAIL** {}", cell(message)),
                    Err(Problem::NotRun(reason)) => format!("not run: {}", cell(reason)),
                };
                let _ = writeln!(text, "| {} | {outcome} | {:.2} |", case.name, case.duration.as_secs_f64());
            }
        }
        text
    }

    /// The report a build server reads.
    pub(crate) fn junit(&self) -> String {
        let (_, failed, not_run) = self.counts();
        let mut text = format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites tests=\"{}\" failures=\"{failed}\" skipped=\"{not_run}\">\n",
            self.cases.len()
        );
        for (area, cases) in self.by_area() {
            let _ = writeln!(text, " <testsuite name=\"{}\" tests=\"{}\">", escape(area), cases.len());
            for case in cases {
                let _ = write!(
                    text,
                    "  <testcase classname=\"conformance.{}\" name=\"{}\" time=\"{:.3}\"",
                    escape(area),
                    escape(&case.name),
                    case.duration.as_secs_f64()
                );
                let _ = match &case.outcome {
                    Ok(()) => writeln!(text, "/>"),
                    Err(Problem::Failed(message)) => {
                        writeln!(text, "><failure message=\"{}\"/></testcase>", escape(message))
                    }
                    Err(Problem::NotRun(reason)) => {
                        writeln!(text, "><skipped message=\"{}\"/></testcase>", escape(reason))
                    }
                };
            }
            text.push_str(" </testsuite>\n");
        }
        text.push_str("</testsuites>\n");
        text
    }

    fn by_area(&self) -> BTreeMap<&str, Vec<&Case>> {
        let mut areas: BTreeMap<&str, Vec<&Case>> = BTreeMap::new();
        for case in &self.cases {
            areas.entry(case.name.split('/').next().unwrap_or_default()).or_default().push(case);
        }
        areas
    }
}

fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace(['\n', '\r'], " ")
}

fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\n' => escaped.push(' '),
            control if control.is_control() => escaped.push('?'),
            other => escaped.push(other),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_case_that_did_not_run_is_not_a_pass() {
        let mut matrix = Matrix::new(None);
        matrix.case("client/a", || Err(Problem::not_run("missing")));
        matrix.case("client/b", || Ok(()));
        matrix.case("client/c", || Err(Problem::failed("a < b")));
        assert_eq!(matrix.counts(), (1, 1, 1));
        assert_eq!(matrix.failures().count(), 1);
        assert!(matrix.junit().contains("<skipped message=\"missing\"/>"));
        assert!(matrix.junit().contains("<failure message=\"a &lt; b\"/>"));
        assert!(matrix.markdown().contains("| client/a | not run: missing |"));
    }
}
