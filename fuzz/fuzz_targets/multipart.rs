//! The answer that carries a private key: whatever its parts hold, another reader finds the same parts, each to the octet.

#![no_main]

// Taken in as it stands: no wall has a door to it.
#[path = "../../src/http/multipart.rs"]
mod multipart;

use arbitrary::Arbitrary;
use estd::est::transfer::{self, LineWrapping};
use libfuzzer_sys::fuzz_target;
use zeroize::Zeroizing;

use multipart::Part;

/// What a part may be.
const TYPES: [&str; 3] = [
    "application/pkcs8",
    "application/pkcs7-mime; smime-type=server-generated-key",
    "application/pkcs7-mime; smime-type=certs-only",
];

#[derive(Debug, Arbitrary)]
struct Piece {
    kind: u8,
    wrapping: u8,
    content: Vec<u8>,
}

fuzz_target!(|pieces: Vec<Piece>| {
    let wrappings = [LineWrapping::Lines64, LineWrapping::SingleLine, LineWrapping::PemLines];
    let given: Vec<_> = pieces
        .iter()
        .take(4)
        .map(|piece| {
            let wrapping = wrappings[usize::from(piece.wrapping) % wrappings.len()];
            // A SEQUENCE, as everything that is carried.
            let der = [&[0x30], piece.content.as_slice()].concat();
            (TYPES[usize::from(piece.kind) % TYPES.len()], der, wrapping)
        })
        .collect();
    let part = |(content_type, der, wrapping): &(&'static str, Vec<u8>, LineWrapping)| Part {
        content_type,
        body: Zeroizing::new(transfer::encode(der, *wrapping)),
    };
    let body = multipart::encode(&given.iter().map(part).collect::<Vec<_>>());
    let boundary = multipart::CONTENT_TYPE.split_once("boundary=").expect("a boundary").1;
    // RFC 2046 section 5.1.1: at most 70 characters, none of which needs quotation marks here.
    assert!(boundary.len() <= 70 && boundary.bytes().all(|octet| octet.is_ascii_alphanumeric()));
    // libest: it reads no boundary that begins so.
    assert!(!boundary.starts_with("----"));
    let read = read(std::str::from_utf8(&body).expect("ASCII"), boundary).expect("what was written");
    let expected: Vec<_> = given.into_iter().map(|(content_type, der, _)| (content_type.to_owned(), der)).collect();
    assert_eq!(read, expected);
});

/// RFC 2046 section 5.1.1, without preamble and epilogue, as RFC 7030 section 4.4.2 has it: delimiters at the start of lines,
/// fields, an empty line, the content.
fn read(body: &str, boundary: &str) -> Option<Vec<(String, Vec<u8>)>> {
    let (delimiter, last) = (format!("--{boundary}\r\n"), format!("--{boundary}--\r\n"));
    let mut parts = Vec::new();
    let mut rest = body;
    while let Some(part) = rest.strip_prefix(&delimiter) {
        let (head, content) = part.split_once("\r\n\r\n")?;
        let end = content.find(&format!("\r\n--{boundary}"))?;
        let fields: Vec<_> = head.split("\r\n").map(|field| field.split_once(": ")).collect::<Option<_>>()?;
        let [("Content-Type", content_type), ("Content-Transfer-Encoding", "base64")] = fields[..] else { return None };
        parts.push((content_type.to_owned(), transfer::decode(content[..end].as_bytes()).ok()?));
        rest = &content[end + 2..];
    }
    (rest == last).then_some(parts)
}
