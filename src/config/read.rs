//! Reading what a configuration names: TOML documents, certificates, private keys.

use std::cell::RefCell;
use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use estd_asn1::Certificate;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use zeroize::Zeroizing;

use super::problem::ProblemKind;
use super::sources::{Source, SourceKind};

/// Largest file read, in octets: a bundle of some thousand certificates.
const MAX_FILE_OCTETS: u64 = 16 * 1024 * 1024;
/// Permission bits of the group and of others.
const OTHERS: u32 = 0o077;
/// Endings of the files that a folder of certificates is read for.
const CERTIFICATE_ENDINGS: [&str; 3] = ["pem", "crt", "cer"];

thread_local! {
    /// What the load on this thread has read so far, while there is one. Whoever reads a file for a configuration comes by
    /// here, so none is forgotten in a backup because somebody did not pass it on.
    static READ: RefCell<Option<Vec<Source>>> = const { RefCell::new(None) };
}

/// Runs `load`, and tells which files it read on this thread.
pub(super) fn noting<T>(load: impl FnOnce() -> T) -> (T, Vec<Source>) {
    READ.set(Some(Vec::new()));
    let loaded = load();
    (loaded, READ.take().unwrap_or_default())
}

fn note(path: &Path, kind: SourceKind) {
    READ.with_borrow_mut(|read| read.iter_mut().for_each(|read| read.push(Source { path: path.to_owned(), kind })));
}

/// A whole text file.
pub(super) fn text(path: &Path) -> Result<String, ProblemKind> {
    octets(path).and_then(|octets| {
        String::from_utf8(octets)
            .map_err(|_| ProblemKind::Content { path: path.to_owned(), error: "expected UTF-8 text".to_owned() })
    })
}

/// A whole file that is no secret.
pub(super) fn octets(path: &Path) -> Result<Vec<u8>, ProblemKind> {
    read(path, SourceKind::Open, |_| Ok(()))
}

/// A file that holds a secret, refused when anybody but its owner can read it.
pub(crate) fn secret(path: &Path) -> Result<Zeroizing<String>, ProblemKind> {
    private(path, SourceKind::Secret)
}

/// A file of what secrets are recognised by, such as their hashes; as [`secret`], and part of a backup all the same.
pub(super) fn hashes(path: &Path) -> Result<Zeroizing<String>, ProblemKind> {
    private(path, SourceKind::Hashes)
}

fn private(path: &Path, kind: SourceKind) -> Result<Zeroizing<String>, ProblemKind> {
    let octets = Zeroizing::new(read(path, kind, |file| {
        let mode =
            file.metadata().map_err(|error| ProblemKind::unreadable(path, &error))?.permissions().mode() & 0o7777;
        if mode & OTHERS == 0 { Ok(()) } else { Err(ProblemKind::OpenToOthers { path: path.to_owned(), mode }) }
    })?);
    match std::str::from_utf8(&octets) {
        Ok(text) => Ok(Zeroizing::new(text.to_owned())),
        Err(_) => Err(ProblemKind::Content { path: path.to_owned(), error: "expected UTF-8 text".to_owned() }),
    }
}

/// The certificates of a PEM file, at least one.
pub(super) fn certificates(path: &Path) -> Result<Vec<Certificate>, ProblemKind> {
    let octets = octets(path)?;
    let broken = |error: String| ProblemKind::Content { path: path.to_owned(), error };
    let mut certificates = Vec::new();
    for der in CertificateDer::pem_slice_iter(&octets) {
        let der = der.map_err(|error| broken(format!("not readable as PEM: {error}")))?;
        let position = certificates.len() + 1;
        let certificate = Certificate::decode(&der);
        certificates.push(certificate.map_err(|error| broken(format!("certificate {position}: {error}")))?);
    }
    if certificates.is_empty() {
        return Err(broken("expected a PEM certificate, found none".to_owned()));
    }
    Ok(certificates)
}

/// The certificates of a PEM file, or of all the PEM files in a folder, which may still be empty.
pub(super) fn certificates_of_file_or_folder(path: &Path) -> Result<Vec<Certificate>, Vec<ProblemKind>> {
    if !path.is_dir() {
        return certificates(path).map_err(|problem| vec![problem]);
    }
    let files =
        files_with_ending(path, &CERTIFICATE_ENDINGS).map_err(|error| vec![ProblemKind::unreadable(path, &error)])?;
    let mut found = Vec::new();
    let mut problems = Vec::new();
    for file in files {
        match certificates(&file) {
            Ok(certificates) => found.extend(certificates),
            Err(problem) => problems.push(problem),
        }
    }
    if problems.is_empty() { Ok(found) } else { Err(problems) }
}

/// The files of a folder with one of the endings, by name; hidden ones are left alone.
pub(super) fn files_with_ending(folder: &Path, endings: &[&str]) -> io::Result<Vec<PathBuf>> {
    note(folder, SourceKind::Folder);
    let mut files = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let hidden = path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
        let wanted = path.extension().is_some_and(|ending| endings.iter().any(|wanted| ending == *wanted));
        if wanted && !hidden && path.is_file() {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

/// Opens, looks at and reads a file: all three on the same descriptor, so that what was looked at is what is read.
fn read(
    path: &Path,
    kind: SourceKind,
    look: impl FnOnce(&File) -> Result<(), ProblemKind>,
) -> Result<Vec<u8>, ProblemKind> {
    note(path, kind);
    let unreadable = |error: io::Error| ProblemKind::unreadable(path, &error);
    let file = File::open(path).map_err(unreadable)?;
    look(&file)?;
    let mut octets = Vec::new();
    file.take(MAX_FILE_OCTETS + 1).read_to_end(&mut octets).map_err(unreadable)?;
    if octets.len() as u64 > MAX_FILE_OCTETS {
        return Err(ProblemKind::Content {
            path: path.to_owned(),
            error: format!("larger than {MAX_FILE_OCTETS} octets, the limit"),
        });
    }
    Ok(octets)
}
