//! How values are shown to people and given to shells.

use std::fmt::{Display, Write as _};
use std::path::Path;

use chrono::{DateTime, SecondsFormat, Utc};

/// SHA-256 as openssl shows it: `AB:CD:…`.
pub(super) fn fingerprint(digest: &[u8; 32]) -> String {
    let pairs: Vec<_> = digest.iter().map(|octet| format!("{octet:02X}")).collect();
    pairs.join(":")
}

/// Octets of a serial number in hexadecimal, as openssl shows it: no colons, no sign octet.
pub(super) fn serial(octets: &[u8]) -> String {
    let mut text = String::new();
    for octet in octets.iter().skip_while(|octet| **octet == 0) {
        // Writing to a String cannot fail.
        let _ = write!(text, "{octet:02X}");
    }
    text
}

/// `2026-03-01T12:00:00Z`
pub(super) fn time(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Secs, true)
}

/// A path as one word of a POSIX shell.
pub(super) fn shell_word(path: &Path) -> String {
    let text = path.display().to_string();
    let plain = |character: char| character.is_ascii_alphanumeric() || "/._-+:@%,".contains(character);
    if !text.is_empty() && text.chars().all(plain) { text } else { format!("'{}'", text.replace('\'', r"'\''")) }
}

/// A message of several lines, each with the prefix.
pub(super) fn each_line(prefix: &str, message: &dyn Display) -> String {
    let text = message.to_string();
    let lines: Vec<_> = text.lines().map(|line| format!("{prefix}{line}")).collect();
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_stays_one_word() {
        assert_eq!(shell_word(Path::new("./estd-demo/ca/root.pem")), "./estd-demo/ca/root.pem");
        assert_eq!(shell_word(Path::new("it's here")), r"'it'\''s here'");
        assert_eq!(shell_word(Path::new("$(x)")), "'$(x)'");
    }

    #[test]
    fn a_serial_number_reads_as_openssl_shows_it() {
        assert_eq!(serial(&[0x00, 0x9a, 0x01]), "9A01");
    }
}
