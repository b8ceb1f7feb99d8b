//! `estd import`: what another CA program knew, taken over by a server that runs.

use std::fs;
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};

use super::client::query;
use super::{Server, fields};
use crate::cli::CliError;
use crate::pki::pem;
use estd_asn1::Certificate;

/// What `estd import` can do.
#[derive(Debug, clap::Subcommand)]
pub(in crate::cli) enum Command {
    /// Take over the certificates of a CA that `openssl ca` ran before: the revoked ones into CRLs and OCSP, the others as
    /// good into OCSP; all of the file or none
    Openssl {
        /// Its database, index.txt
        #[arg(long, value_name = "FILE", required_unless_present = "certs")]
        index: Option<PathBuf>,
        /// Where there is no database: certificates that it issued and did not revoke, a file (PEM) or a folder of them, newcerts
        #[arg(long, value_name = "PATH", conflicts_with = "index")]
        certs: Option<PathBuf>,
        /// The authority of the configuration that has its key, tenant/name
        #[arg(long, value_name = "TENANT/NAME")]
        authority: String,
        /// Check everything and change nothing
        #[arg(long)]
        dry_run: bool,
    },
}

impl Command {
    pub(in crate::cli) fn run(&self, server: &Server, out: &mut dyn Write) -> Result<(), CliError> {
        let Self::Openssl { index, certs, authority, dry_run } = self;
        let index = index.iter().map(|index| ("text/plain", fs::read(index).map_err(CliError::file("read", index))));
        let certs = certs.iter().map(|certs| ("application/pem-certificate-chain", certificates(certs)));
        // The command line has one of them.
        let Some((media_type, octets)) = index.chain(certs).next() else { return Ok(()) };
        let body = (media_type, octets?);
        let parameters = [("authority", authority.clone()), ("dry_run", dry_run.to_string())];
        let answer = server.client()?.import(&format!("/former-certificates?{}", query(&parameters)), body)?;
        server.show(&answer, out, fields)
    }
}

/// The certificates of a file, or of the files of a folder in the order of their names, without what else is in them.
fn certificates(path: &Path) -> Result<Vec<u8>, CliError> {
    if !path.is_dir() {
        return certificates_of(path).map_err(CliError::file("read", path));
    }
    let entries = fs::read_dir(path).and_then(|entries| {
        let paths = entries.map(|entry| Ok(entry?.path()));
        paths.collect::<io::Result<Vec<_>>>()
    });
    let mut files = entries.map_err(CliError::file("look into", path))?;
    files.sort();
    let read = files.iter().map(|file| certificates_of(file).map_err(CliError::file("read", file)));
    Ok(read.collect::<Result<Vec<_>, _>>()?.concat())
}

fn certificates_of(path: &Path) -> io::Result<Vec<u8>> {
    let refused = |why: String| io::Error::new(ErrorKind::InvalidData, why);
    // Around the certificates openssl writes what is in them, in whatever coding that has.
    let text = String::from_utf8_lossy(&fs::read(path)?).into_owned();
    let found = pem::certificates(&text, usize::MAX).map_err(|error| refused(error.to_string()))?;
    for (number, der) in (1..).zip(&found) {
        Certificate::decode(der).map_err(|error| refused(format!("certificate {number}: {error}")))?;
    }
    Ok(found.iter().map(|der| pem::certificate(der)).collect::<String>().into_bytes())
}
