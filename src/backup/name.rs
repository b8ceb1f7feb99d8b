//! Where a file of the configuration stands in an archive, and whether a name may be restored.

use std::path::{self, Component, Path, PathBuf};

use super::{BackupError, CONFIGURATION, ELSEWHERE};

/// Longest name of a member, in octets, as Linux has it for paths.
const MAX_NAME_OCTETS: usize = 4096;

/// The name of a file that a configuration in `folder` was read from.
pub(super) fn of(folder: &Path, file: &Path) -> Result<String, BackupError> {
    let failed = |source| BackupError::File { action: "find", path: file.to_owned(), source };
    // The folder of a file that is named without one is the working folder.
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    let absolute = path::absolute(file).map_err(failed)?;
    let inside = absolute.strip_prefix(path::absolute(folder).map_err(failed)?).ok();
    // By its name, not by where links lead: restored, it is found under the name that the configuration has for it.
    let named = match inside.filter(|inside| is_plain(inside)) {
        Some(inside) => Path::new(CONFIGURATION).join(inside),
        None => {
            let real = file.canonicalize().map_err(failed)?;
            Path::new(ELSEWHERE).join(real.strip_prefix("/").unwrap_or(&real))
        }
    };
    named.to_str().map(str::to_owned).ok_or_else(|| BackupError::Name { path: file.to_owned() })
}

/// Where a member goes, relative to the folder that is restored; `None` for a name that leads out of it.
pub(super) fn restored(name: &str) -> Option<PathBuf> {
    let path = Path::new(name);
    if !is_plain(path) || name.len() > MAX_NAME_OCTETS || name.contains('\0') {
        return None;
    }
    if is_elsewhere(name) {
        return Some(path.to_owned());
    }
    path.strip_prefix(CONFIGURATION).ok().map(Path::to_owned)
}

/// Whether a member is a file outside of the folder of the configuration.
pub(super) fn is_elsewhere(name: &str) -> bool {
    Path::new(name).starts_with(ELSEWHERE)
}

/// Whether a path leads downwards alone.
pub(super) fn is_plain(path: &Path) -> bool {
    path.components().all(|component| matches!(component, Component::Normal(_)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_stand_under_the_name_that_the_configuration_has_for_them() {
        let folder = Path::new("/etc/estd");
        for (file, name) in [
            ("/etc/estd/config.toml", "configuration/config.toml"),
            ("/etc/estd/./ca/issuing.pem", "configuration/ca/issuing.pem"),
            ("/", "elsewhere/"),
        ] {
            assert_eq!(of(folder, Path::new(file)).unwrap(), name);
        }
        assert_eq!(of(Path::new(""), Path::new("ca/issuing.pem")).unwrap(), "configuration/ca/issuing.pem");
        assert!(of(folder, Path::new("/etc/estd/../no such file")).is_err(), "what is elsewhere must be there");
    }

    #[test]
    fn no_name_leads_out_of_the_folder() {
        assert_eq!(restored("configuration/ca/issuing.pem"), Some("ca/issuing.pem".into()));
        assert_eq!(restored("elsewhere/etc/ssl/ca.pem"), Some("elsewhere/etc/ssl/ca.pem".into()));
        let long = format!("configuration/{}", "a".repeat(MAX_NAME_OCTETS));
        for name in ["/etc/passwd", "configuration/../x", "../x", "journal", "x", "configuration/a\0b", &long] {
            assert_eq!(restored(name), None, "{name}");
        }
    }
}
