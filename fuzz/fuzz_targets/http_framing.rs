//! Where HTTP requests end: judged alike however the octets arrive, and read by hyper in the same way, so that nothing
//! can be smuggled past one of them.

#![no_main]

// The module's own `crate::est`; it is taken in as it stands, since no wall has a door to it.
use estd::est;
#[path = "../../src/http/framing.rs"]
mod framing;

use std::cell::RefCell;
use std::convert::Infallible;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};

use http_body_util::{BodyExt as _, Empty};
use hyper::body::{Bytes, Incoming};
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode, Uri};
use libfuzzer_sys::fuzz_target;

use est::Rejection;
use framing::{Framing, Step};

/// Small, so that inputs come near it.
const MAX_HEADER: usize = 512;

fuzz_target!(|octets: &[u8]| {
    let Some((piece, stream)) = octets.split_first() else { return };
    let at_once = Framed::read(stream, stream.len().max(1));
    let in_pieces = Framed::read(stream, usize::from(*piece).max(1));
    assert_eq!(at_once, in_pieces, "the same, however it arrives");
    let whole = at_once.requests.iter().map(|request| Reading::of(request, true));
    let unfinished = Some(&at_once.unfinished).filter(|octets| !octets.is_empty());
    let requests: Vec<_> = whole.chain(unfinished.map(|request| Reading::of(request, false))).collect();
    is_read_alike(&requests, &[at_once.requests.concat(), at_once.unfinished].concat());
});

/// What a stream comes to.
#[derive(Debug, PartialEq, Eq)]
struct Framed {
    requests: Vec<Vec<u8>>,
    /// What was let through of a request whose body did not come whole.
    unfinished: Vec<u8>,
    refused: Option<Rejection>,
}

impl Framed {
    fn read(stream: &[u8], piece: usize) -> Self {
        let mut framing = Framing::new(MAX_HEADER);
        let (mut requests, mut current, mut waiting) = (Vec::new(), Vec::new(), Vec::new());
        for part in stream.chunks(piece) {
            waiting.extend_from_slice(part);
            while !waiting.is_empty() {
                match framing.step(&waiting) {
                    Ok(Step::Clear(count)) => {
                        assert!(count > 0, "a step that goes nowhere");
                        current.extend(waiting.drain(..count));
                    }
                    Ok(Step::Skip(count)) => {
                        assert!(count > 0 && current.is_empty(), "octets dropped from the middle of a request");
                        drop(waiting.drain(..count));
                    }
                    Ok(Step::Wait) => break,
                    Err(rejection) => return Self { requests, unfinished: current, refused: Some(rejection) },
                }
                if framing.between_requests() && !current.is_empty() {
                    requests.push(std::mem::take(&mut current));
                }
            }
        }
        Self { requests, unfinished: current, refused: None }
    }
}

/// One request, read by the letter of RFC 9112, which is all that may be left over.
#[derive(Debug)]
struct Reading {
    method: String,
    target: Uri,
    /// `None` when it did not come whole.
    body: Option<Vec<u8>>,
    is_chunked: bool,
    /// Nothing more need be read of the connection.
    may_be_last: bool,
}

impl Reading {
    fn of(request: &[u8], is_whole: bool) -> Self {
        let end = request.windows(4).position(|window| window == b"\r\n\r\n").expect("an end of the head") + 4;
        let (head, rest) = request.split_at(end);
        assert!(head.len() <= MAX_HEADER);
        let head = String::from_utf8_lossy(head);
        let mut lines = head.trim_end_matches("\r\n").split("\r\n");
        let mut words = lines.next().expect("a request line").split(' ');
        let mut word = || words.next().expect("a method, a target and a version");
        let (method, target, version) = (word(), word(), word());
        assert_eq!(words.next(), None, "section 3: three words");
        let fields: Vec<_> = lines.map(|line| line.split_once(':').expect("a field")).collect();
        assert!(!head.replace("\r\n", "").contains(['\r', '\n']), "section 2.2: lines end with CRLF");
        let field = |name: &str| {
            let mut found =
                fields.iter().filter(|(field, _)| field.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim());
            let value = found.next();
            assert_eq!(found.next(), None, "section 6.3: {name} twice");
            value
        };
        let (length, coding) = (field("Content-Length"), field("Transfer-Encoding"));
        let body = match (length, coding) {
            (Some(_), Some(_)) => panic!("section 6.3: Content-Length beside Transfer-Encoding"),
            _ if !is_whole => None,
            (None, None) => Some(Vec::new()),
            (Some(length), None) => {
                assert_eq!(length.parse(), Ok(rest.len()));
                Some(rest.to_vec())
            }
            (None, Some(coding)) => {
                assert!(coding.eq_ignore_ascii_case("chunked"));
                Some(chunks(rest))
            }
        };
        let has_body = length.is_some() || coding.is_some();
        assert!(has_body || (is_whole && rest.is_empty()), "section 6.3: a request without either has no body");
        let connection = fields.iter().filter(|(name, _)| name.eq_ignore_ascii_case("Connection"));
        let options: String = connection.map(|(_, value)| value.to_ascii_lowercase()).collect();
        Self {
            method: method.to_owned(),
            target: Uri::try_from(target).expect("section 3.2: a URI"),
            body,
            is_chunked: coding.is_some(),
            may_be_last: version == "HTTP/1.0" || options.contains("close") || method == "CONNECT",
        }
    }
}

/// RFC 9112 section 7.1, extensions and trailers left out.
fn chunks(mut rest: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    loop {
        let end = rest.windows(2).position(|window| window == b"\r\n").expect("a line");
        let digits: String = rest
            .iter()
            .map_while(|octet| char::from(*octet).is_ascii_hexdigit().then_some(char::from(*octet)))
            .collect();
        let size = usize::from_str_radix(&digits, 16).expect("a size");
        rest = &rest[end + 2..];
        if size == 0 {
            return body;
        }
        let (chunk, after) = rest.split_at(size);
        body.extend_from_slice(chunk);
        rest = after.strip_prefix(b"\r\n").expect("the end of a chunk");
    }
}

/// One request, as hyper reads it.
struct Seen {
    method: String,
    target: Uri,
    /// `None` when hyper gave it up.
    body: Option<Vec<u8>>,
}

/// hyper sees these requests in this order and no others, until it closes the connection as it was asked to.
fn is_read_alike(requests: &[Reading], octets: &[u8]) {
    let (seen, outcome, answers) = read_by_hyper(octets);
    assert!(seen.len() <= requests.len(), "hyper reads a request where none is");
    for (seen, request) in seen.iter().zip(requests) {
        assert_eq!((&seen.method, &seen.target), (&request.method, &request.target));
        match (&seen.body, &request.body) {
            (Some(seen), body) => assert_eq!(Some(seen), body.as_ref()),
            (None, Some(_)) => assert!(request.is_chunked, "hyper gives up a body that has a length"),
            (None, None) => {}
        }
    }
    // A client that expects it is told to go on before its one answer.
    let is_ours = |answer: &&str| answer[2..].starts_with("404") || answer[2..].starts_with("100");
    let by_itself = answers.split("HTTP/1.").skip(1).find(|answer| !is_ours(answer));
    assert_eq!(by_itself, None, "hyper answers by itself");
    if let Some(position) = seen.iter().position(|seen| seen.body.is_none()) {
        assert_eq!(position, seen.len() - 1, "hyper reads on after a body it gave up");
        return;
    }
    assert!(outcome.is_ok(), "hyper gives up: {outcome:?}");
    let ends = seen.len() == requests.len() || seen.len().checked_sub(1).is_some_and(|last| requests[last].may_be_last);
    assert!(ends, "hyper overlooks a request");
}

fn read_by_hyper(octets: &[u8]) -> (Vec<Seen>, hyper::Result<()>, String) {
    let seen = RefCell::new(Vec::new());
    let mut answers = Vec::new();
    let service = service_fn(|request: Request<Incoming>| async {
        let (head, body) = request.into_parts();
        let body = body.collect().await.ok().map(|body| body.to_bytes().to_vec());
        seen.borrow_mut().push(Seen { method: head.method.to_string(), target: head.uri, body });
        let mut response = Response::new(Empty::<Bytes>::new());
        *response.status_mut() = StatusCode::NOT_FOUND;
        Ok::<_, Infallible>(response)
    });
    // As `http/connection.rs` has it.
    let mut builder = http1::Builder::new();
    builder.half_close(true).header_read_timeout(None).auto_date_header(false);
    let outcome = {
        let mut connection = pin!(builder.serve_connection(InMemory { input: octets, output: &mut answers }, service));
        let mut context = Context::from_waker(Waker::noop());
        // Nothing is ever waited for: what is pending goes on when it is asked again.
        let ready = (0..10_000).find_map(|_| match connection.as_mut().poll(&mut context) {
            Poll::Ready(outcome) => Some(outcome),
            Poll::Pending => None,
        });
        ready.expect("an end of the connection")
    };
    (seen.take(), outcome, String::from_utf8_lossy(&answers).into_owned())
}

/// A connection whose octets are all there.
struct InMemory<'a> {
    input: &'a [u8],
    output: &'a mut Vec<u8>,
}

impl Read for InMemory<'_> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        mut buffer: ReadBufCursor<'_>,
    ) -> Poll<std::io::Result<()>> {
        let (now, later) = self.input.split_at(self.input.len().min(buffer.remaining()));
        buffer.put_slice(now);
        self.input = later;
        Poll::Ready(Ok(()))
    }
}

impl Write for InMemory<'_> {
    fn poll_write(mut self: Pin<&mut Self>, _: &mut Context<'_>, octets: &[u8]) -> Poll<std::io::Result<usize>> {
        self.output.extend_from_slice(octets);
        Poll::Ready(Ok(octets.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
