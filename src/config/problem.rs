//! What is wrong with a configuration, and where.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A place in a configuration file: `config.toml: tenant acme, label devices, birth_anchors`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    file: Arc<Path>,
    path: Vec<String>,
}

impl Place {
    /// The file as a whole.
    pub(super) fn file(path: &Path) -> Self {
        Self { file: path.into(), path: Vec::new() }
    }

    /// A table or a key inside this place.
    pub(super) fn key(&self, name: impl Into<String>) -> Self {
        let mut path = self.path.clone();
        path.push(name.into());
        Self { file: Arc::clone(&self.file), path }
    }

    /// A named table of this place: `label devices`, or `label 3` when it has no name of its own.
    pub(super) fn named(&self, kind: &str, name: Option<&str>, position: usize) -> Self {
        match name {
            Some(name) => self.key(format!("{kind} {name}")),
            None => self.key(format!("{kind} {}", position + 1)),
        }
    }

    pub(super) fn problem(&self, kind: ProblemKind) -> Problem {
        Problem { place: self.clone(), kind }
    }

    pub(super) fn missing(&self, key: &str, expected: &'static str) -> Problem {
        self.key(key).problem(ProblemKind::Missing { expected })
    }

    pub(super) fn value(&self, expected: impl Into<String>, found: impl Into<String>) -> Problem {
        self.problem(ProblemKind::Value { expected: expected.into(), found: found.into() })
    }

    pub(super) fn refused(&self, error: &dyn std::error::Error) -> Problem {
        self.problem(ProblemKind::Refused { error: with_causes(error) })
    }
}

impl fmt::Display for Place {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}", self.file.display())?;
        if !self.path.is_empty() {
            write!(formatter, ": {}", self.path.join(", "))?;
        }
        Ok(())
    }
}

/// One thing wrong, or, among the warnings, one thing to look at.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{place}: {kind}")]
pub struct Problem {
    /// Where.
    pub place: Place,
    /// What.
    pub kind: ProblemKind,
}

/// What can be wrong with a configuration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProblemKind {
    /// A file or folder that cannot be read.
    #[error("cannot read {}: {error}", path.display())]
    Unreadable {
        /// Which.
        path: PathBuf,
        /// What the system said.
        error: String,
    },
    /// Not TOML.
    #[error("{error}")]
    Syntax {
        /// The parser's message, with line and column.
        error: String,
    },
    /// A key that does not exist, or a value of the wrong type.
    #[error("{error}")]
    Shape {
        /// The decoder's message: what was expected and what came.
        error: String,
    },
    /// A key that must be there.
    #[error("missing: expected {expected}")]
    Missing {
        /// What should stand there.
        expected: &'static str,
    },
    /// A value that cannot be.
    #[error("expected {expected}, found {found}")]
    Value {
        /// What would be right.
        expected: String,
        /// What stands there.
        found: String,
    },
    /// A reference to nothing.
    #[error("there is no {kind} {name:?}; known: {}", listed(known))]
    Unresolved {
        /// What it should name.
        kind: &'static str,
        /// The name.
        name: String,
        /// The names there are.
        known: Vec<String>,
    },
    /// A name given twice.
    #[error("the name is taken: {kind} names are unique{scope}")]
    Duplicate {
        /// What it names.
        kind: &'static str,
        /// Within what, with a leading space.
        scope: &'static str,
    },
    /// Two keys that exclude each other.
    #[error("cannot stand beside {other}")]
    Conflict {
        /// The other key.
        other: &'static str,
    },
    /// A private key that others can read.
    #[error("{} is open to others (mode {mode:04o}); expected 0600, for the owner alone: chmod 600 it", path.display())]
    OpenToOthers {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// A file that holds no certificates, or broken ones.
    #[error("{}: {error}", path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// What was expected of it and what came.
        error: String,
    },
    /// The rule that a value breaks, in the words of the part that judges it.
    #[error("{error}")]
    Refused {
        /// Its message.
        error: String,
    },
    /// Only ever a warning: nobody can enroll at this label yet.
    #[error("no manufacturer's CA certificate yet, so no device can enroll; put PEM files there and reload")]
    NoAnchors,
    /// Only ever a warning: users who do not exist can be told from those who do.
    #[error("the passwords are hashed at different cost, so the time of an answer tells users apart; hash them alike")]
    UnequalPasswords,
    /// Only ever a warning: a way in that nobody can take.
    #[error("no credential of the tenant can be presented as {scheme}")]
    NoCredentials {
        /// The scheme.
        scheme: &'static str,
    },
    /// Only ever a warning: certificates will be cut short.
    #[error("its CA ends {until}: certificates for {validity} will be cut short there")]
    OutlivesAuthority {
        /// notAfter of the CA certificate.
        until: String,
        /// The validity of the profile.
        validity: String,
    },
    /// Only ever a warning: a certificate is out of its validity.
    #[error("{subject} is valid from {from} until {until} only")]
    OutOfValidity {
        /// Its subject.
        subject: String,
        /// notBefore.
        from: String,
        /// notAfter.
        until: String,
    },
}

impl ProblemKind {
    pub(super) fn unreadable(path: &Path, error: &io::Error) -> Self {
        Self::Unreadable { path: path.to_owned(), error: error.to_string() }
    }
}

/// Every problem of a configuration; never empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problems(Vec<Problem>);

impl Problems {
    /// A key whose value has the wrong shape is left at its default, and so looks missing later: told once.
    pub(super) fn of(mut problems: Vec<Problem>) -> Self {
        let misshapen: Vec<Place> = problems
            .iter()
            .filter(|problem| matches!(problem.kind, ProblemKind::Shape { .. }))
            .map(|problem| problem.place.clone())
            .collect();
        problems.retain(|problem| {
            !matches!(problem.kind, ProblemKind::Missing { .. }) || !misshapen.contains(&problem.place)
        });
        Self(problems)
    }

    /// One by one, in the order of the files.
    pub fn iter(&self) -> std::slice::Iter<'_, Problem> {
        self.0.iter()
    }
}

impl fmt::Display for Problems {
    /// One line each.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, problem) in self.0.iter().enumerate() {
            if position > 0 {
                writeln!(formatter)?;
            }
            write!(formatter, "{problem}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Problems {}

/// An error with the causes below it that its own message does not already tell.
fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let message = error.to_string();
        if !text.contains(&message) {
            text = format!("{text}: {message}");
        }
        cause = error.source();
    }
    text
}

fn listed(names: &[String]) -> String {
    if names.is_empty() { "none".to_owned() } else { names.join(", ") }
}
