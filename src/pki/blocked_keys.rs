//! Keys that others are known to have: leaked, published, or drawn by a generator whose keys can be guessed. No form of a key
//! shows that, so they are listed.

use std::collections::HashSet;

use super::digest::unhex;

/// SHA-256 of the SubjectPublicKeyInfo of each.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BlockedKeys(HashSet<[u8; 32]>);

/// A line that names no key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: the SHA-256 of a SubjectPublicKeyInfo in 64 hexadecimal digits is expected, {found:?} came")]
pub struct BlockedKeysError {
    /// Which one, from 1 on.
    pub line: usize,
    /// Its beginning.
    pub found: String,
}

/// So much of a line is shown.
const SHOWN: usize = 80;

impl BlockedKeys {
    /// Adds those of a list: a digest a line, what follows `#` is a comment.
    ///
    /// # Errors
    /// When a line is neither empty nor a digest; none of the list is added then.
    pub fn add_list(&mut self, text: &str) -> Result<(), BlockedKeysError> {
        let mut listed: Vec<[u8; 32]> = Vec::new();
        for (index, line) in text.lines().enumerate() {
            let digits = line.split('#').next().unwrap_or_default().trim();
            if digits.is_empty() {
                continue;
            }
            let digest = unhex(digits).and_then(|digest| digest.as_slice().try_into().ok());
            listed.push(
                digest
                    .ok_or_else(|| BlockedKeysError { line: index + 1, found: digits.chars().take(SHOWN).collect() })?,
            );
        }
        self.0.extend(listed);
        Ok(())
    }

    /// Whether a key is one of them.
    pub fn contain(&self, spki_sha256: &[u8; 32]) -> bool {
        self.0.contains(spki_sha256)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_read_whole_or_its_line_is_named() {
        let (one, other) = ("0A".repeat(32), "ff".repeat(32));
        let mut keys = BlockedKeys::default();
        keys.add_list(&format!("# leaked with firmware 1.2\n{one}\n\n  {other}  # and this\r\n")).unwrap();
        assert!(keys.contain(&[10; 32]) && keys.contain(&[255; 32]) && !keys.contain(&[0; 32]));
        for line in ["0a", "zz", &"0a".repeat(33), &format!("{other} {one}")] {
            let error = keys.add_list(&format!("{}\n{line}\n", "00".repeat(32))).unwrap_err();
            assert_eq!((error.line, error.found.as_str()), (2, &line[..line.len().min(80)]));
        }
        assert!(!keys.contain(&[0; 32]), "none of a list that is refused");
    }
}
