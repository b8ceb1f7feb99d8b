//! Files that commands make: never over one that exists, keys for their owner alone.

use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::Path;

use super::CliError;
use crate::ca::SoftwareSigner;
use crate::pki::pem;
use crate::pki::public_key::KeyType;
use estd_asn1::Certificate;

/// Makes a folder and those above it.
pub(super) fn folder(path: &Path) -> Result<(), CliError> {
    DirBuilder::new().recursive(true).create(path).map_err(CliError::file("make the folder", path))
}

/// Makes a folder that only its owner can enter.
pub(super) fn private_folder(path: &Path) -> Result<(), CliError> {
    DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(CliError::file("make the folder", path))
}

/// Whether a folder is missing or empty.
pub(super) fn is_vacant(path: &Path) -> Result<bool, CliError> {
    match fs::read_dir(path) {
        Ok(mut entries) => Ok(entries.next().is_none()),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(true),
        Err(error) => Err(CliError::file("look into", path)(error)),
    }
}

/// Writes a new file for everybody to read.
pub(super) fn public(path: &Path, content: &str) -> Result<(), CliError> {
    create(path, content, OpenOptions::new().mode(0o644).create_new(true))
}

/// Writes certificates, in this order, over those that a file of this name held.
pub(super) fn certificates(path: &Path, certificates: &[&Certificate]) -> Result<(), CliError> {
    let content: String = certificates.iter().map(|certificate| pem::certificate(certificate.der())).collect();
    create(path, &content, OpenOptions::new().mode(0o644).create(true).truncate(true))
}

/// Makes a P-256 key and keeps it in a new file for the owner alone.
pub(super) fn new_key(path: &Path) -> Result<SoftwareSigner, CliError> {
    new_key_of(KeyType::P256, path)
}

/// The same with another kind of key.
pub(super) fn new_key_of(key_type: KeyType, path: &Path) -> Result<SoftwareSigner, CliError> {
    let (signer, pem) = SoftwareSigner::generate(key_type)?;
    create(path, &pem, OpenOptions::new().mode(0o600).create_new(true))?;
    Ok(signer)
}

/// Makes a P-256 key in the place of one that a file of this name held.
pub(super) fn replaced_key(path: &Path) -> Result<SoftwareSigner, CliError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(CliError::file("replace", path)(error)),
        Ok(()) | Err(_) => new_key(path),
    }
}

/// Reads a text file.
pub(super) fn text(path: &Path) -> Result<String, CliError> {
    fs::read_to_string(path).map_err(CliError::file("read", path))
}

fn create(path: &Path, content: &str, options: &mut OpenOptions) -> Result<(), CliError> {
    let written = options.write(true).open(path).and_then(|mut file| {
        file.write_all(content.as_bytes())?;
        file.sync_all()
    });
    written.map_err(CliError::file("write", path))
}
