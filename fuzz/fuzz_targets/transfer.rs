//! The transfer encoding: every body of ours decodes to what it carries, and whatever decodes has one form.

#![no_main]

use estd::est::transfer::{self, LineWrapping, TransferError};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|octets: &[u8]| {
    carries_der(octets);
    match transfer::decode(octets) {
        Ok(value) => is_canonical(octets, &value),
        Err(error) => points_at_the_mistake(octets, &error),
    }
});

/// Whatever stands in a SEQUENCE comes out as it went in, in both wrappings, and out of a PEM block as well.
fn carries_der(content: &[u8]) {
    let der = [&[0x30], content].concat();
    for wrapping in [LineWrapping::Lines64, LineWrapping::SingleLine, LineWrapping::PemLines] {
        let body = transfer::encode(&der, wrapping);
        assert_eq!(transfer::decode(&body).as_ref(), Ok(&der), "{wrapping:?}");
        for label in ["CERTIFICATE REQUEST", "NEW CERTIFICATE REQUEST"] {
            let (begin, end) = (format!("-----BEGIN {label}-----\n"), format!("\n-----END {label}-----\n"));
            let pem = [begin.as_bytes(), &body, end.as_bytes()].concat();
            assert_eq!(transfer::decode(&pem).as_ref(), Ok(&der), "{label}");
        }
        let lines: Vec<_> = body.split_inclusive(|octet| *octet == b'\n').collect();
        match wrapping {
            LineWrapping::SingleLine => assert!(!body.contains(&b'\n')),
            LineWrapping::Lines64 if body.len() < 1024 => assert!(lines.len() == 1 && body.ends_with(b"\n")),
            LineWrapping::Lines64 | LineWrapping::PemLines => {
                let (last, full) = lines.split_last().expect("a body is not empty");
                assert!(full.iter().all(|line| line.len() == 65) && (2..=65).contains(&last.len()));
                assert!(body.ends_with(b"\n"));
            }
        }
    }
}

/// RFC 4648 section 3.5: without white space, a body that decodes is the one encoding of its value.
fn is_canonical(body: &[u8], value: &[u8]) {
    assert!(!value.is_empty());
    let encoded = transfer::encode(value, LineWrapping::SingleLine);
    if without_white_space(body) != encoded {
        // All else that is accepted is a PEM block, of which the content is canonical in the same way.
        let content = pem_content(body).map(without_white_space);
        assert_eq!(content.as_ref(), Some(&encoded));
    }
    assert_eq!(transfer::decode(&encoded).as_deref(), Ok(value));
}

/// The sentence is for an engineer: what it says of the body must be so, and nothing in it may act on a terminal.
fn points_at_the_mistake(body: &[u8], error: &TransferError) {
    assert!(!error.to_string().contains(char::is_control), "{error:?}");
    match error {
        TransferError::IllegalOctet { offset, octet } => assert_eq!(body.get(*offset), Some(octet)),
        TransferError::UrlAlphabet { offset, character } => {
            assert_eq!(body.get(*offset).copied().map(char::from), Some(*character));
        }
        TransferError::DataAfterPadding { offset } => assert_eq!(body.get(*offset), Some(&b'=')),
        TransferError::Empty => {
            assert!(without_white_space(pem_content(body).unwrap_or(body)).is_empty());
        }
        TransferError::BinaryDer => assert_eq!(body.first(), Some(&0x30)),
        TransferError::CutOff { characters } => assert!(*characters <= body.len()),
        TransferError::MissingPadding
        | TransferError::StrayBits
        | TransferError::EncodedTwice
        | TransferError::PemLabel { .. }
        | TransferError::PrivateKey
        | TransferError::PemUnfinished
        | TransferError::PemSeveral => {}
    }
}

/// What stands between the lines of the first PEM block.
fn pem_content(body: &[u8]) -> Option<&[u8]> {
    let (_, block) = split(body, b"-----BEGIN ")?;
    let (_, after_label) = split(block, b"-----")?;
    split(after_label, b"-----END ").map(|(content, _)| content)
}

fn without_white_space(body: &[u8]) -> Vec<u8> {
    body.iter().copied().filter(|octet| !b" \t\r\n".contains(octet)).collect()
}

fn split<'a>(text: &'a [u8], pattern: &[u8]) -> Option<(&'a [u8], &'a [u8])> {
    let at = text.windows(pattern.len()).position(|window| window == pattern)?;
    Some((&text[..at], &text[at + pattern.len()..]))
}
