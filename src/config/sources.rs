//! Which files a configuration was read from: what a backup takes along of it.

use std::path::PathBuf;

/// Where a configuration comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sources {
    /// The main file; paths are relative to its folder.
    pub main: PathBuf,
    /// Every file and folder that was read, the main file among them, in the order of their paths.
    pub files: Vec<Source>,
}

/// A file or folder that was read.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Source {
    /// Its path, relative to the working folder or absolute.
    pub path: PathBuf,
    /// What is in it.
    pub kind: SourceKind,
}

/// What is in a file. A file that was read for two things is the last of them in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum SourceKind {
    /// A folder, of which all files of some kind were read; it must be there even when there are none.
    Folder,
    /// Nothing that would be a secret by itself: configuration, certificates, public keys.
    Open,
    /// What secrets are recognised by: only the server may read it.
    Hashes,
    /// A private or symmetric key.
    Secret,
}

impl Sources {
    pub(super) fn new(main: PathBuf, mut files: Vec<Source>) -> Self {
        // The strictest kind of each path comes last, and is the one that stays.
        files.sort();
        files.reverse();
        files.dedup_by(|later, kept| later.path == kept.path);
        files.reverse();
        Self { main, files }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_holds_certificate_and_key_is_a_secret() {
        let source = |path: &str, kind| Source { path: path.into(), kind };
        let read = vec![
            source("tls.pem", SourceKind::Secret),
            source("config.toml", SourceKind::Open),
            source("tls.pem", SourceKind::Open),
            source("config.toml", SourceKind::Open),
        ];
        let sources = Sources::new("config.toml".into(), read);
        assert_eq!(sources.files, [source("config.toml", SourceKind::Open), source("tls.pem", SourceKind::Secret)]);
    }
}
