//! WWW-Authenticate as clients compare it, octet by octet, in what hyper writes as Www-Authenticate.

/// As hyper writes it, and as RFC 9110 prints it and libest compares it.
const WRITTEN: &[u8] = b"\r\nWww-Authenticate: ";
const WANTED: &[u8] = b"\r\nWWW-Authenticate: ";

/// Answers that need no look: every other status.
const UNAUTHORIZED: &[u8] = b"HTTP/1.1 401 ";

/// Stands in the way of the octets that go out. Head and body of an answer come in one buffer, which is written as it
/// is or, with the names put right, from a copy.
#[derive(Debug, Default)]
pub(super) struct FieldNames {
    copy: Vec<u8>,
    sent: usize,
}

impl FieldNames {
    /// What to write in the place of `octets`: as many, or the first of them.
    pub(super) fn exact<'a>(&'a mut self, octets: &'a [u8]) -> &'a [u8] {
        if self.copy.is_empty() && octets.starts_with(UNAUTHORIZED) {
            octets.clone_into(&mut self.copy);
            self.sent = 0;
            // A body cannot hold the name after a line end: it is one line, or base64.
            while let Some(at) = self.copy.windows(WRITTEN.len()).position(|window| window == WRITTEN) {
                self.copy[at..at + WANTED.len()].copy_from_slice(WANTED);
            }
        }
        if self.copy.is_empty() { octets } else { &self.copy[self.sent..] }
    }

    /// So many of them were written.
    pub(super) fn wrote(&mut self, count: usize) {
        self.sent += count;
        if self.sent >= self.copy.len() {
            self.copy.clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANSWER: &[u8] = b"HTTP/1.1 401 Unauthorized\r\nWww-Authenticate: Basic\r\nWww-Authenticate: Bearer\r\n\r\nx";
    const EXACT: &[u8] = b"HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Basic\r\nWWW-Authenticate: Bearer\r\n\r\nx";

    #[test]
    fn the_name_is_put_right_however_the_answer_goes_out() {
        for piece in 1..=ANSWER.len() {
            let mut names = FieldNames::default();
            let mut out = Vec::new();
            // hyper offers the rest again and again, with the next answer behind it.
            let stream = [ANSWER, b"HTTP/1.1 200 OK\r\n\r\nWww-Authenticate: "].concat();
            let mut rest = stream.as_slice();
            while !rest.is_empty() {
                let end = rest.len().min(ANSWER.len().saturating_sub(out.len()).max(1));
                let offered = names.exact(if out.len() < ANSWER.len() { &rest[..end] } else { rest });
                let count = offered.len().min(piece);
                out.extend_from_slice(&offered[..count]);
                names.wrote(count);
                rest = &rest[count..];
            }
            assert_eq!(out, [EXACT, b"HTTP/1.1 200 OK\r\n\r\nWww-Authenticate: "].concat(), "{piece}");
        }
    }

    #[test]
    fn other_answers_are_left_alone() {
        let mut names = FieldNames::default();
        let answer = b"HTTP/1.1 403 Forbidden\r\nWww-Authenticate: Basic\r\n\r\n";
        assert_eq!(names.exact(answer), answer);
    }
}
