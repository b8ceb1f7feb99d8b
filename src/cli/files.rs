//! Files that commands make: never over one that exists, keys for their owner alone.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use super::CliError;
use crate::ca::SoftwareSigner;
use crate::durable_file;
use crate::pki::pem;
use crate::pki::public_key::KeyType;
use estd_asn1::Certificate;

/// For everybody to read.
const PUBLIC: u32 = 0o644;
/// For the owner alone.
const PRIVATE: u32 = 0o600;

/// Makes a folder and those above it.
pub(super) fn folder(path: &Path) -> Result<(), CliError> {
    durable_file::folder(path, 0o755).map_err(CliError::file("make the folder", path))
}

/// Makes a folder that only its owner can enter.
pub(super) fn private_folder(path: &Path) -> Result<(), CliError> {
    durable_file::folder(path, 0o700).map_err(CliError::file("make the folder", path))
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
    durable_file::create(path, PUBLIC, content.as_bytes()).map_err(CliError::file("write", path))
}

/// Writes a file that others may be reading, over the one that had this name.
pub(super) fn published(path: &Path, content: &[u8]) -> Result<(), CliError> {
    durable_file::replace(path, PUBLIC, content).map_err(CliError::file("write", path))
}

/// Writes certificates, in this order, over those that a file of this name held.
pub(super) fn certificates(path: &Path, certificates: &[&Certificate]) -> Result<(), CliError> {
    let content: String = certificates.iter().map(|certificate| pem::certificate(certificate.der())).collect();
    published(path, content.as_bytes())
}

/// Makes a P-256 key and keeps it in a new file for the owner alone.
pub(super) fn new_key(path: &Path) -> Result<SoftwareSigner, CliError> {
    new_key_of(KeyType::P256, path)
}

/// The same with another kind of key.
pub(super) fn new_key_of(key_type: KeyType, path: &Path) -> Result<SoftwareSigner, CliError> {
    let (signer, pem) = SoftwareSigner::generate(key_type)?;
    durable_file::create(path, PRIVATE, pem.as_bytes()).map_err(CliError::file("write", path))?;
    Ok(signer)
}

/// Makes a P-256 key in the place of one that a file of this name held.
pub(super) fn replaced_key(path: &Path) -> Result<SoftwareSigner, CliError> {
    let (signer, pem) = SoftwareSigner::generate(KeyType::P256)?;
    durable_file::replace(path, PRIVATE, pem.as_bytes()).map_err(CliError::file("replace", path))?;
    Ok(signer)
}

/// Reads a text file.
pub(super) fn text(path: &Path) -> Result<String, CliError> {
    fs::read_to_string(path).map_err(CliError::file("read", path))
}
