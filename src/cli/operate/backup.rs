//! `estd backup create`: a backup of a server that runs, over its API.

use std::fs;
use std::io::{BufWriter, ErrorKind, Write};
use std::path::{Path, PathBuf};

use hyper::Method;
use serde_json::json;

use super::Server;
use crate::backup::Backup;
use crate::cli::{CliError, progress, show};
use crate::durable_file::Draft;
use crate::pki::digest::hex;

/// What is in it is confidential.
const FILE_MODE: u32 = 0o600;

/// What `estd backup create` is told.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct Create {
    /// The file to make; there must be none of that name
    #[arg(long, value_name = "FILE")]
    to: PathBuf,
    #[command(flatten)]
    server: Server,
}

impl Create {
    pub(in crate::cli) fn run(&self, out: &mut dyn Write) -> Result<(), CliError> {
        let client = self.server.client()?;
        // Under another name until it is whole: a backup that was interrupted is never taken for one.
        let failed = || CliError::file("write", &self.to);
        let mut draft = Draft::new(&self.to, FILE_MODE).map_err(|source| {
            let exists = source.kind() == ErrorKind::AlreadyExists;
            if exists { CliError::Exists { path: self.to.clone() } } else { failed()(source) }
        })?;
        let mut buffered = BufWriter::new(draft.file());
        let bar = progress::octets("receiving", 0);
        let received = client.stream(&Method::POST, "/backup", &mut buffered, &mut |came, of| {
            bar.set_length(of.unwrap_or_default());
            bar.inc(came);
        });
        if let Err(CliError::Output(source)) = received {
            return Err(failed()(source));
        }
        received?;
        buffered.flush().map_err(failed())?;
        drop(buffered);
        bar.finish_and_clear();
        let backup = verified(draft.path())?;
        draft.land().map_err(failed())?;
        self.tell(&backup, out)
    }

    fn tell(&self, backup: &Backup, out: &mut dyn Write) -> Result<(), CliError> {
        let (manifest, head) = (backup.manifest(), backup.head());
        let answer = json!({
            "file": self.to.display().to_string(),
            "octets": backup.octets(),
            "made_at": show::time(manifest.made_at),
            "records": head.sequence,
            "certificates": backup.contents().certificates,
            "files": manifest.files.len(),
            "left_out": manifest.left_out,
            "head": format!("{}:{}", head.sequence, hex(&head.hash)),
        });
        self.server.show(&answer, out, super::fields)
    }
}

/// Verifies a backup, and shows how far that has come.
pub(in crate::cli) fn verified(path: &Path) -> Result<Backup, CliError> {
    let octets = fs::metadata(path).map_err(CliError::file("read", path))?.len();
    let bar = progress::octets("verifying", 2 * octets);
    let backup = Backup::verify(path, &mut |read| bar.inc(read))?;
    bar.finish_and_clear();
    Ok(backup)
}
