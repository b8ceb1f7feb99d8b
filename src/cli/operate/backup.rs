//! `estd backup create`: a backup of a server that runs, over its API.

use std::fs::{self, OpenOptions};
use std::io::{BufWriter, Write};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use hyper::Method;
use serde_json::json;

use super::Server;
use crate::backup::Backup;
use crate::cli::{CliError, progress, show};
use crate::pki::digest::hex;

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
        if fs::symlink_metadata(&self.to).is_ok() {
            return Err(CliError::Exists { path: self.to.clone() });
        }
        let client = self.server.client()?;
        // Under another name until it is whole: a backup that was interrupted is never taken for one.
        let mut draft = self.to.as_os_str().to_owned();
        draft.push(".partial");
        let draft = PathBuf::from(draft);
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&draft);
        let file = file.map_err(CliError::file("write", &draft))?;
        // From here on it is ours to remove; one that was there is another backup's.
        let draft = Draft(draft);
        let failed = |action| CliError::file(action, &draft.0);
        let mut buffered = BufWriter::new(&file);
        let bar = progress::octets("receiving", 0);
        let received = client.stream(&Method::POST, "/backup", &mut buffered, &mut |came, of| {
            bar.set_length(of.unwrap_or_default());
            bar.inc(came);
        });
        if let Err(CliError::Output(source)) = received {
            return Err(failed("write")(source));
        }
        received?;
        buffered.flush().map_err(failed("write"))?;
        drop(buffered);
        file.sync_all().map_err(failed("write"))?;
        bar.finish_and_clear();
        let backup = verified(&draft.0)?;
        fs::rename(&draft.0, &self.to).map_err(CliError::file("write", &self.to))?;
        sync_folder_of(&self.to)?;
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

/// Makes the name of a new file durable.
fn sync_folder_of(path: &Path) -> Result<(), CliError> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    fs::File::open(folder).and_then(|folder| folder.sync_all()).map_err(CliError::file("write", folder))
}

/// A file that is gone unless it was renamed.
struct Draft(PathBuf);

impl Drop for Draft {
    fn drop(&mut self) {
        // It is not there any more when all went well.
        drop(fs::remove_file(&self.0));
    }
}
