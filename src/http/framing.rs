//! Where one HTTP/1.1 request ends and the next begins, judged strictly.
//!
//! hyper reads leniently what it should refuse, and differing opinions on where a request ends are how requests are
//! smuggled: bare LF, Content-Length beside Transfer-Encoding, a list of codings. Whatever passes here is read by hyper
//! in the same way.

use hyper::Uri;

use crate::est::{Rejection, RejectionCode};

/// Most header fields in a request.
const MAX_FIELDS: usize = 64;

/// Longest line of a chunked body's framing: a size with extensions, or a trailer field.
const MAX_CHUNK_LINE: usize = 1024;

/// Most octets of trailer fields.
const MAX_TRAILERS: usize = 8192;

/// Largest Content-Length that is looked at: hyper answers greater ones by itself.
const MAX_CONTENT_LENGTH: u64 = i64::MAX as u64;

/// What may be done with the octets that wait.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// That many, at least one, belong to the request and may be read.
    Clear(usize),
    /// That many, at least one, belong to nothing and are dropped.
    Skip(usize),
    /// Nothing yet: more must arrive first.
    Wait,
}

/// Follows one connection's octets.
#[derive(Debug)]
pub(super) struct Framing {
    max_header: usize,
    expected: Expected,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Expected {
    /// A request head, of which that many octets were looked at.
    Head { scanned: usize },
    /// That many octets, at least one, of a body with a length.
    Body { left: u64 },
    /// The line with a chunk's size.
    ChunkSize,
    /// That many octets, at least one, of a chunk.
    ChunkData { left: u64 },
    /// The CRLF after a chunk.
    ChunkEnd,
    /// Trailer fields, of which that many octets came already, or the empty line after them.
    Trailers { octets: usize },
}

impl Framing {
    pub(super) fn new(max_header: usize) -> Self {
        Self { max_header, expected: Expected::Head { scanned: 0 } }
    }

    /// Is a request head awaited, and not the rest of a body?
    pub(super) fn between_requests(&self) -> bool {
        matches!(self.expected, Expected::Head { .. })
    }

    /// Judges the octets that wait, of which there is at least one. What is cleared or skipped must not be shown again.
    pub(super) fn step(&mut self, waiting: &[u8]) -> Result<Step, Rejection> {
        match self.expected {
            Expected::Head { scanned } => self.head(waiting, scanned),
            Expected::Body { left } => {
                let (count, left) = take(waiting, left);
                self.expected = if left == 0 { Expected::Head { scanned: 0 } } else { Expected::Body { left } };
                Ok(Step::Clear(count))
            }
            Expected::ChunkSize => self.chunk_size(waiting),
            Expected::ChunkData { left } => {
                let (count, left) = take(waiting, left);
                self.expected = if left == 0 { Expected::ChunkEnd } else { Expected::ChunkData { left } };
                Ok(Step::Clear(count))
            }
            Expected::ChunkEnd => match waiting {
                [b'\r', b'\n', ..] => {
                    self.expected = Expected::ChunkSize;
                    Ok(Step::Clear(2))
                }
                [b'\r'] => Ok(Step::Wait),
                _ => Err(bad_request("RFC 9112 7.1", "a chunk is longer than its size says")),
            },
            Expected::Trailers { octets } => self.trailers(waiting, octets),
        }
    }

    fn head(&mut self, waiting: &[u8], scanned: usize) -> Result<Step, Rejection> {
        if scanned == 0 {
            // RFC 9112 §2.2: empty lines before a request line are ignored; libest ends its bodies with one.
            match waiting {
                [b'\r', b'\n', ..] => return Ok(Step::Skip(2)),
                [b'\r'] => return Ok(Step::Wait),
                _ => {}
            }
        }
        let too_large = || {
            let reason = format!("the request head is larger than {} octets", self.max_header);
            Rejection::new(RejectionCode::HeaderTooLarge, "RFC 6585 5", reason)
        };
        for (offset, _) in waiting.iter().enumerate().skip(scanned).filter(|(_, octet)| **octet == b'\n') {
            if offset >= self.max_header {
                return Err(too_large());
            }
            // RFC 9112 §2.2 lets a recipient take a bare LF for a line end; those before us may not.
            if !waiting[..offset].ends_with(b"\r") {
                return Err(bad_request("RFC 9112 2.2", "a line of the request head ends with LF, expected CRLF"));
            }
            if waiting[..offset].ends_with(b"\r\n\r") {
                let length = offset + 1;
                self.expected = after_head(&waiting[..length])?;
                return Ok(Step::Clear(length));
            }
        }
        if waiting.len() > self.max_header {
            return Err(too_large());
        }
        self.expected = Expected::Head { scanned: waiting.len() };
        Ok(Step::Wait)
    }

    fn chunk_size(&mut self, waiting: &[u8]) -> Result<Step, Rejection> {
        let Some(line) = line(waiting)? else { return Ok(Step::Wait) };
        let digits = line.iter().take_while(|octet| octet.is_ascii_hexdigit()).count();
        // RFC 9112 §7.1: chunk-size is 1*HEXDIG, extensions follow after a semicolon.
        let size = std::str::from_utf8(&line[..digits]).ok().and_then(|digits| u64::from_str_radix(digits, 16).ok());
        let Some(size) = size.filter(|_| matches!(line.get(digits), None | Some(b';' | b' ' | b'\t'))) else {
            return Err(bad_request("RFC 9112 7.1", "a chunk size is not a hexadecimal number"));
        };
        self.expected = if size == 0 { Expected::Trailers { octets: 0 } } else { Expected::ChunkData { left: size } };
        Ok(Step::Clear(line.len() + 2))
    }

    fn trailers(&mut self, waiting: &[u8], octets: usize) -> Result<Step, Rejection> {
        let Some(line) = line(waiting)? else { return Ok(Step::Wait) };
        let octets = octets + line.len() + 2;
        if octets > MAX_TRAILERS {
            return Err(bad_request("RFC 9112 7.1.2", "the trailer section is too large"));
        }
        self.expected = if line.is_empty() { Expected::Head { scanned: 0 } } else { Expected::Trailers { octets } };
        Ok(Step::Clear(line.len() + 2))
    }
}

/// What follows a complete request head, given with its empty line.
fn after_head(head: &[u8]) -> Result<Expected, Rejection> {
    let mut fields = [httparse::EMPTY_HEADER; MAX_FIELDS];
    let mut request = httparse::Request::new(&mut fields);
    match request.parse(head) {
        Ok(httparse::Status::Complete(length)) if length == head.len() => {}
        Err(httparse::Error::TooManyHeaders) => {
            let reason = format!("the request has more than {MAX_FIELDS} header fields");
            return Err(Rejection::new(RejectionCode::HeaderTooLarge, "RFC 6585 5", reason));
        }
        Ok(_) | Err(_) => return Err(bad_request("RFC 9112 3", "the request head is not HTTP/1.1")),
    }
    // RFC 9112 §3.2: a request target has no fragment.
    let target = request.path.unwrap_or_default();
    if target.contains('#') || Uri::try_from(target).is_err() {
        return Err(bad_request("RFC 9112 3.2", "the request target is not a URI without fragment"));
    }
    let mut length = None;
    let mut chunked = false;
    for field in request.headers.iter() {
        if field.name.eq_ignore_ascii_case("Content-Length") {
            // RFC 9112 §6.3: several lengths, or one that is no number, make the framing invalid.
            if length.replace(content_length(field.value)?).is_some() {
                return Err(bad_request("RFC 9112 6.3", "the request has more than one Content-Length"));
            }
        } else if field.name.eq_ignore_ascii_case("Transfer-Encoding") {
            // RFC 9112 §6.1: chunked is applied once, and last; no other coding is understood here.
            if chunked || !field.value.eq_ignore_ascii_case(b"chunked") {
                return Err(bad_request("RFC 9112 6.1", "the only Transfer-Encoding understood is chunked, once"));
            }
            chunked = true;
        }
    }
    match (length, chunked) {
        (Some(_), true) => Err(bad_request("RFC 9112 6.3", "the request has Content-Length beside Transfer-Encoding")),
        (None, true) if request.version == Some(0) => {
            Err(bad_request("RFC 9112 6.1", "an HTTP/1.0 request has Transfer-Encoding"))
        }
        (None, true) => Ok(Expected::ChunkSize),
        (Some(left @ 1..), false) => Ok(Expected::Body { left }),
        (Some(0) | None, false) => Ok(Expected::Head { scanned: 0 }),
    }
}

fn content_length(value: &[u8]) -> Result<u64, Rejection> {
    let digits = std::str::from_utf8(value).ok().filter(|text| text.bytes().all(|octet| octet.is_ascii_digit()));
    let length: u64 = digits
        .and_then(|digits| digits.parse().ok())
        .ok_or_else(|| bad_request("RFC 9110 8.6", "the Content-Length is not a decimal number"))?;
    if length > MAX_CONTENT_LENGTH {
        let reason = format!("the Content-Length is above {MAX_CONTENT_LENGTH}, more than anybody can send");
        return Err(Rejection::new(RejectionCode::BodyTooLarge, "RFC 9110 15.5.14", reason));
    }
    Ok(length)
}

/// The first line without its CRLF, once it is complete.
fn line(waiting: &[u8]) -> Result<Option<&[u8]>, Rejection> {
    let Some(end) = waiting.iter().take(MAX_CHUNK_LINE).position(|octet| *octet == b'\n') else {
        return if waiting.len() < MAX_CHUNK_LINE {
            Ok(None)
        } else {
            Err(bad_request("RFC 9112 7.1", "a line of the chunked body's framing is too long"))
        };
    };
    match waiting[..end].split_last() {
        Some((b'\r', line)) if !line.contains(&b'\r') => Ok(Some(line)),
        Some(_) | None => {
            Err(bad_request("RFC 9112 7.1", "a line of the chunked body's framing does not end with CRLF"))
        }
    }
}

/// How many of the octets that wait belong to the next `left`, and how many are then left.
fn take(waiting: &[u8], left: u64) -> (usize, u64) {
    let count = usize::try_from(left).map_or(waiting.len(), |left| left.min(waiting.len()));
    (count, left - count as u64)
}

fn bad_request(clause: &'static str, reason: &'static str) -> Rejection {
    Rejection::new(RejectionCode::BadRequest, clause, reason)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The requests in `octets`, when they arrive `piece` at a time.
    fn requests(octets: &[u8], piece: usize) -> Result<Vec<Vec<u8>>, Rejection> {
        let mut framing = Framing::new(200);
        let (mut done, mut current, mut waiting) = (Vec::new(), Vec::new(), Vec::new());
        for part in octets.chunks(piece) {
            waiting.extend_from_slice(part);
            while !waiting.is_empty() {
                match framing.step(&waiting)? {
                    Step::Clear(count) => current.extend(waiting.drain(..count)),
                    Step::Skip(count) => drop(waiting.drain(..count)),
                    Step::Wait => break,
                }
                if framing.between_requests() && !current.is_empty() {
                    done.push(std::mem::take(&mut current));
                }
            }
        }
        Ok(done)
    }

    #[test]
    fn requests_are_told_apart_however_they_arrive() {
        let expected: [&[u8]; 5] = [
            b"GET /a HTTP/1.1\r\nHost: x\r\n\r\n",
            b"POST /b HTTP/1.1\r\ncontent-length:  36 \r\n\r\nGET /c HTTP/1.1\r\nContent-Length: 9\r\n",
            b"POST /d HTTP/1.1\r\nTransfer-Encoding: Chunked\r\n\r\n5;a=\"b\"\r\nGET /\r\n01\r\n\n\r\n0\r\nTrailer: x\r\n\r\n",
            b"POST /e HTTP/1.0\r\nContent-Length: 0\r\n\r\n",
            b"GET /f HTTP/1.1\r\n\r\n",
        ];
        let stream = expected.join(b"\r\n".as_slice());
        for piece in 1..stream.len() {
            assert_eq!(requests(&stream, piece).unwrap(), expected, "pieces of {piece}");
        }
    }

    #[test]
    fn ambiguous_framing_is_refused() {
        let refused = |octets: &[u8]| {
            let whole = requests(octets, octets.len()).expect_err(&octets.escape_ascii().to_string());
            assert_eq!(requests(octets, 1).unwrap_err(), whole, "{}", octets.escape_ascii());
            whole.code()
        };
        let with_fields = |fields: &str| refused(format!("POST / HTTP/1.1\r\n{fields}\r\n\r\n0\r\n\r\n").as_bytes());
        for fields in [
            "Content-Length: 5\r\nTransfer-Encoding: chunked",
            "Transfer-Encoding: chunked\r\nContent-Length: 5",
            "Content-Length: 5\r\nContent-Length: 5",
            "Content-Length: 5, 5",
            "Content-Length: +5",
            "Content-Length: 0x5",
            "Content-Length:",
            "Content-Length: 99999999999999999999",
            "Content-Length : 5",
            "Transfer-Encoding: gzip, chunked",
            "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
            "Transfer-Encoding: identity",
            "Transfer-Encoding: \"chunked\"",
            "Host: x\r\n folded",
            "Host: x\nTransfer-Encoding: chunked",
            "Host: x\rTransfer-Encoding: chunked",
            "No colon",
        ] {
            assert_eq!(with_fields(fields), RejectionCode::BadRequest, "{fields:?}");
        }
        for length in [i64::MAX as u64 + 1, u64::MAX] {
            let fields = format!("Content-Length: {length}");
            assert_eq!(with_fields(&fields), RejectionCode::BodyTooLarge, "{length}");
        }
        let chunked =
            |body: &str| refused(format!("POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n{body}").as_bytes());
        for body in
            ["5\nhello\r\n0\r\n\r\n", "5\r\nhello!\r\n", "-1\r\n", "\r\n", "5x\r\n", "10000000000000000\r\n", "0\r\n\n"]
        {
            assert_eq!(chunked(body), RejectionCode::BadRequest, "{body:?}");
        }
        for head in [
            "GET / HTTP/1.1\n\n",
            "GET /#x HTTP/1.1\r\n\r\n",
            "PRI * HTTP/2.0\r\n\r\n",
            "GET  / HTTP/1.1\r\n\r\n",
            "\n",
        ] {
            assert_eq!(refused(head.as_bytes()), RejectionCode::BadRequest, "{head:?}");
        }
        assert_eq!(refused(b"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n"), RejectionCode::BadRequest);
    }

    #[test]
    fn a_head_has_a_limit() {
        let head = |length: usize| format!("GET / HTTP/1.1\r\nX: {}\r\n\r\n", "x".repeat(length - 23)).into_bytes();
        assert_eq!(requests(&head(200), 200).unwrap().len(), 1);
        for octets in [head(201), vec![b'x'; 201]] {
            for piece in [1, 201] {
                assert_eq!(requests(&octets, piece).unwrap_err().code(), RejectionCode::HeaderTooLarge);
            }
        }
        let many = format!("GET / HTTP/1.1\r\n{}\r\n", "a:\r\n".repeat(MAX_FIELDS + 1));
        assert_eq!(Framing::new(4096).step(many.as_bytes()).unwrap_err().code(), RejectionCode::HeaderTooLarge);
    }
}
