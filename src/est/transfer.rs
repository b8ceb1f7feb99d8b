//! The transfer encoding of EST bodies over HTTP (RFC 8951 section 3): base64 of DER.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use zeroize::Zeroizing;

/// Columns of a wrapped body, as in the examples of RFC 7030 appendix A.
const COLUMNS: usize = 64;

/// A body shorter than this, in characters, goes out as one line: it fits the line buffer of every decoder that wants
/// lines (OpenSSL's has 1,024), and suits the clients that stumble over line breaks.
const SHORT_BODY: usize = 1024;

/// Opens a PEM block (RFC 7468 section 2).
const PEM_BEGIN: &[u8] = b"-----BEGIN ";

/// Ends both encapsulation boundaries of a PEM block.
const PEM_DASHES: &[u8] = b"-----";

/// How base64 is laid out in an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LineWrapping {
    /// Lines of 64 characters, each ended by LF (RFC 7030 appendix A); a short body is one line, ended by LF.
    #[default]
    Lines64,
    /// One line without an end, for clients that cannot skip line breaks.
    SingleLine,
    /// Lines of 64 characters, each ended by LF, however short the body is: what stands between header and footer of PEM.
    PemLines,
}

/// Why a body is not base64 of something. The text is written for the engineer whose device sent it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TransferError {
    /// Nothing but white space.
    #[error("the body is empty, expected base64 of a DER certification request")]
    Empty,
    /// An octet outside of the alphabet.
    #[error("octet 0x{octet:02x} at offset {offset} is neither base64 nor white space")]
    IllegalOctet {
        /// Offset in the body.
        offset: usize,
        /// The octet.
        octet: u8,
    },
    /// The alphabet of RFC 4648 section 5.
    #[error(
        "'{character}' at offset {offset} is of the URL-safe alphabet, expected standard base64 with '+' and '/' \
         (RFC 4648 section 4)"
    )]
    UrlAlphabet {
        /// Offset in the body.
        offset: usize,
        /// `-` or `_`.
        character: char,
    },
    /// The final `=` are missing.
    #[error("the base64 ends without its padding, expected '=' up to a multiple of 4 characters")]
    MissingPadding,
    /// One character is left over, or too few or many `=` follow.
    #[error("the base64 is cut off, its {characters} characters are not a multiple of 4")]
    CutOff {
        /// Characters without white space.
        characters: usize,
    },
    /// Something follows the final `=`.
    #[error("data follows the base64 padding at offset {offset}")]
    DataAfterPadding {
        /// Offset of the first `=`.
        offset: usize,
    },
    /// The last character carries bits that belong to no octet.
    #[error("the last base64 character carries stray bits, expected the canonical encoding (RFC 4648 section 3.5)")]
    StrayBits,
    /// DER was sent as it is.
    #[error("the body is binary DER, send base64 (RFC 8951 section 3)")]
    BinaryDer,
    /// Base64 of base64 or of PEM.
    #[error("the body is base64 of text that is base64 itself, encode the DER once")]
    EncodedTwice,
    /// A PEM block that holds no certification request.
    #[error("the PEM block is labelled \"{label}\", expected CERTIFICATE REQUEST")]
    PemLabel {
        /// The label, escaped.
        label: String,
    },
    /// A private key was sent.
    #[error("a private key was sent: it must never leave the device, make a new key and send only the request")]
    PrivateKey,
    /// A PEM block without its end line.
    #[error("the PEM block has no matching end line")]
    PemUnfinished,
    /// A second PEM block.
    #[error("more than one PEM block was sent, expected one CERTIFICATE REQUEST")]
    PemSeveral,
}

/// The DER a request body carries.
///
/// White space is tolerated anywhere; apart from it the base64 is strict (standard alphabet, padding, canonical). One
/// PEM block labelled CERTIFICATE REQUEST or NEW CERTIFICATE REQUEST is accepted, since real clients send it.
///
/// # Errors
/// [`TransferError`] names the mistake.
pub fn decode(body: &[u8]) -> Result<Vec<u8>, TransferError> {
    match decode_text(body, 0) {
        Ok(decoded) => encoded_once(decoded),
        // Neither PEM nor binary DER is base64, so both are looked for only here.
        Err(_) if find(body, PEM_BEGIN).is_some() => encoded_once(decode_pem(body)?),
        Err(_) if matches!(body, [0x30, 0x80..=0x84, ..]) => Err(TransferError::BinaryDer),
        Err(error) => Err(error),
    }
}

/// Whether a body that [`decode`] takes is PEM: base64 has no such letters.
pub fn is_armoured(body: &[u8]) -> bool {
    find(body, PEM_BEGIN).is_some()
}

/// The body of an answer that carries `der`.
pub fn encode(der: &[u8], wrapping: LineWrapping) -> Vec<u8> {
    let characters = der.len().div_ceil(3) * 4;
    let columns = match wrapping {
        LineWrapping::SingleLine => return STANDARD.encode(der).into_bytes(),
        LineWrapping::Lines64 if characters + 1 < SHORT_BODY => SHORT_BODY,
        LineWrapping::Lines64 | LineWrapping::PemLines => COLUMNS,
    };
    let mut text = String::with_capacity(characters + characters.div_ceil(columns));
    for line in der.chunks(columns / 4 * 3) {
        STANDARD.encode_string(line, &mut text);
        text.push('\n');
    }
    text.into_bytes()
}

/// The octets that a token68 (RFC 9110 section 11.2) in an Authorization field carries: base64, once, with its padding.
pub fn decode_token68(text: &str) -> Option<Zeroizing<Vec<u8>>> {
    STANDARD.decode(text).ok().map(Zeroizing::new)
}

/// Octets in base64 with its padding, on one line.
#[cfg(feature = "server")]
pub(crate) fn encode_token68(octets: &[u8]) -> String {
    STANDARD.encode(octets)
}

/// The octets of a part of a JWT (RFC 7515 section 2), or of a name in a URL: base64url without padding.
pub fn decode_base64url(text: &str) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(text).ok()
}

/// Octets in base64url without padding, as they go into a URL.
pub fn encode_base64url(octets: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(octets)
}

/// The value of what stands in `body` from `start` on.
fn decode_text(body: &[u8], start: usize) -> Result<Vec<u8>, TransferError> {
    // RFC 8951 §3.1: white space (CR, LF, SP, TAB) is tolerated anywhere.
    let packed: Vec<u8> = body[start..].iter().copied().filter(|octet| !is_white_space(*octet)).collect();
    if packed.is_empty() {
        return Err(TransferError::Empty);
    }
    // RFC 8951 §3, RFC 4648 §3.3 and §4: apart from that, exactly the standard alphabet with its padding.
    STANDARD.decode(&packed).map_err(|_| explain(body, start, packed.len()))
}

/// Why strict decoding failed, in terms of the body as it was sent.
fn explain(body: &[u8], start: usize, characters: usize) -> TransferError {
    let mut padding = None;
    for (offset, &octet) in body.iter().enumerate().skip(start) {
        match octet {
            _ if is_white_space(octet) => {}
            b'=' => padding = padding.or(Some(offset)),
            b'-' | b'_' => return TransferError::UrlAlphabet { offset, character: char::from(octet) },
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'+' | b'/' => {
                if let Some(offset) = padding {
                    return TransferError::DataAfterPadding { offset };
                }
            }
            _ => return TransferError::IllegalOctet { offset, octet },
        }
    }
    match (characters % 4, padding) {
        (0, _) => TransferError::StrayBits,
        (2 | 3, None) => TransferError::MissingPadding,
        _ => TransferError::CutOff { characters },
    }
}

/// The content of the one PEM block in `body`, which holds a `PEM_BEGIN`. Text around the block is skipped: `openssl
/// req -text` writes some.
fn decode_pem(body: &[u8]) -> Result<Vec<u8>, TransferError> {
    if find(body, b"PRIVATE KEY-----").is_some() {
        return Err(TransferError::PrivateKey);
    }
    let (_, block) = split_at(body, PEM_BEGIN).ok_or(TransferError::PemUnfinished)?;
    let (label, content) = split_at(block, PEM_DASHES).ok_or(TransferError::PemUnfinished)?;
    // RFC 7468 §7: the label, and the one that old tools write.
    if label != b"CERTIFICATE REQUEST" && label != b"NEW CERTIFICATE REQUEST" {
        return Err(TransferError::PemLabel { label: label[..label.len().min(COLUMNS)].escape_ascii().to_string() });
    }
    let start = body.len() - content.len();
    let (content, rest) = split_at(content, b"-----END ").ok_or(TransferError::PemUnfinished)?;
    if !rest.strip_prefix(label).is_some_and(|rest| rest.starts_with(PEM_DASHES)) {
        return Err(TransferError::PemUnfinished);
    }
    if find(rest, PEM_BEGIN).is_some() {
        return Err(TransferError::PemSeveral);
    }
    decode_text(&body[..start + content.len()], start)
}

/// Refuses what is text again after decoding: no DER value that EST carries starts with these letters.
fn encoded_once(decoded: Vec<u8>) -> Result<Vec<u8>, TransferError> {
    let starts_as_base64_of_der = decoded.starts_with(b"MI");
    if starts_as_base64_of_der || find(&decoded, PEM_BEGIN) == Some(0) {
        return Err(TransferError::EncodedTwice);
    }
    Ok(decoded)
}

fn is_white_space(octet: u8) -> bool {
    matches!(octet, b' ' | b'\t' | b'\r' | b'\n')
}

fn find(text: &[u8], pattern: &[u8]) -> Option<usize> {
    text.windows(pattern.len()).position(|window| window == pattern)
}

/// What stands before the first `pattern` and after it.
fn split_at<'a>(text: &'a [u8], pattern: &[u8]) -> Option<(&'a [u8], &'a [u8])> {
    find(text, pattern).map(|start| (&text[..start], &text[start + pattern.len()..]))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_is_encoded_decodes_in_every_layout(der: Vec<u8>, cuts: Vec<(u16, bool)>) {
            let der = [&[0x30], der.as_slice()].concat();
            for wrapping in [LineWrapping::Lines64, LineWrapping::SingleLine, LineWrapping::PemLines] {
                let mut text = encode(&der, wrapping);
                for (at, is_blank) in &cuts {
                    text.insert(usize::from(*at) % (text.len() + 1), if *is_blank { b'\t' } else { b'\r' });
                }
                prop_assert_eq!(decode(&text), Ok(der.clone()));
            }
        }

        #[test]
        fn whatever_decodes_is_the_one_encoding_of_its_value(text in "[ \nA-Za-z0-9+/=_-]{0,24}") {
            if let Ok(value) = decode(text.as_bytes()) {
                let packed: String = text.split_ascii_whitespace().collect();
                prop_assert_eq!(encode(&value, LineWrapping::SingleLine), packed.into_bytes());
            }
        }

        #[test]
        fn nothing_sent_panics(body: Vec<u8>) {
            let _ = decode(&body);
            let _ = decode(&[PEM_BEGIN, &body].concat());
            let _ = decode(&[b"-----BEGIN CERTIFICATE REQUEST-----", body.as_slice(), b"-----END "].concat());
        }
    }

    macro_rules! body {
        ($name:literal) => {
            include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/bodies/", $name)).as_slice()
        };
    }

    #[test]
    fn every_layout_of_one_request_decodes_to_the_same_der() {
        let der = body!("p256-raw.der");
        for text in [
            body!("p256-oneline.txt"),
            body!("p256-oneline-LF.txt"),
            body!("p256-wrapped64-LF.txt"),
            body!("p256-wrapped76-CRLF.txt"),
            body!("p256-spaces-tabs.txt"),
            body!("p256-leading-blank-lines.txt"),
            body!("p256-pem.txt"),
            body!("p256-pem-new.txt"),
        ] {
            assert_eq!(decode(text).as_deref(), Ok(der), "{}", text.escape_ascii());
        }
        assert_eq!(decode(body!("A3-pem-new.txt")).as_deref(), Ok(body!("A3-raw.der")));
        assert_eq!(decode(body!("A3-spaces-tabs.txt")).as_deref(), Ok(body!("A3-raw.der")));
    }

    #[test]
    fn every_mistake_has_a_name() {
        assert_eq!(decode(body!("empty.txt")), Err(TransferError::Empty));
        assert_eq!(decode(body!("whitespace-only.txt")), Err(TransferError::Empty));
        assert_eq!(decode(body!("p256-nopad.txt")), Err(TransferError::MissingPadding));
        assert!(matches!(decode(body!("p256-base64url.txt")), Err(TransferError::UrlAlphabet { .. })));
        assert!(matches!(decode(body!("p256-illegal-char.txt")), Err(TransferError::IllegalOctet { .. })));
        assert!(matches!(decode(body!("p256-data-after-padding.txt")), Err(TransferError::DataAfterPadding { .. })));
        assert_eq!(decode(body!("p256-double-base64.txt")), Err(TransferError::EncodedTwice));
        assert_eq!(decode(body!("p256-raw.der")), Err(TransferError::BinaryDer));
        assert_eq!(decode(body!("A3-raw.der")), Err(TransferError::BinaryDer));
        assert_eq!(decode(b"MII*"), Err(TransferError::IllegalOctet { offset: 3, octet: b'*' }));
        assert_eq!(decode(b"MIIB MIIB M"), Err(TransferError::CutOff { characters: 9 }));
        assert_eq!(decode(b"MA=="), Ok(b"0".to_vec()));
        assert_eq!(decode(b"MB=="), Err(TransferError::StrayBits));
        assert_eq!(decode(b"MA==MA=="), Err(TransferError::DataAfterPadding { offset: 2 }));
    }

    #[test]
    fn pem_is_one_certification_request() {
        let pem = |label: &str, end: &str| format!("text\n-----BEGIN {label}-----\nMA==\n-----END {end}-----\n");
        let request = "CERTIFICATE REQUEST";
        assert_eq!(decode(pem(request, request).as_bytes()), Ok(b"0".to_vec()));
        assert_eq!(decode(pem(request, "X").as_bytes()), Err(TransferError::PemUnfinished));
        assert_eq!(decode(b"-----BEGIN CERTIFICATE REQUEST-----\nMA=="), Err(TransferError::PemUnfinished));
        assert_eq!(decode(pem(request, request).repeat(2).as_bytes()), Err(TransferError::PemSeveral));
        for key in ["PRIVATE KEY", "EC PRIVATE KEY", "ENCRYPTED PRIVATE KEY"] {
            assert_eq!(decode(pem(key, key).as_bytes()), Err(TransferError::PrivateKey));
        }
        let body = pem(request, request).replace("MA==", "MA*=");
        let (offset, octet) = (body.find('*').unwrap(), b'*');
        assert_eq!(decode(body.as_bytes()), Err(TransferError::IllegalOctet { offset, octet }), "offset in the body");
        let foreign = decode(pem("CERT\u{1b}[2J", "X").as_bytes()).unwrap_err();
        assert_eq!(foreign.to_string(), "the PEM block is labelled \"CERT\\x1b[2J\", expected CERTIFICATE REQUEST");
    }

    #[test]
    fn answers_are_wrapped_as_clients_need_them() {
        // 764 octets are 1,020 characters: with the final LF the longest body that is one line.
        let short = encode(&[0; 764], LineWrapping::Lines64);
        assert_eq!((short.len(), short.iter().filter(|octet| **octet == b'\n').count()), (1021, 1));
        let long = encode(&[0; 770], LineWrapping::Lines64);
        let lines: Vec<&[u8]> = long.split_inclusive(|octet| *octet == b'\n').collect();
        assert_eq!(lines.len(), 17);
        assert!(lines.iter().take(16).all(|line| line.len() == 65));
        assert!(long.ends_with(b"\n"));
        assert_eq!(decode(&long), Ok(vec![0; 770]));
        let single = encode(&[0; 770], LineWrapping::SingleLine);
        assert!(!single.contains(&b'\n'));
        assert_eq!(decode(&single), Ok(vec![0; 770]));
    }
}
