//! The multipart/mixed body of an answer that carries a private key (RFC 7030 section 4.4.2, RFC 2046 section 5.1).
//!
//! Without preamble and epilogue, CRLF around each part and LF within, as in the example of RFC 7030 appendix A.4: libest
//! and Bouncy Castle read this. Field names are compared with regard to case by libest.

use hyper::body::Bytes;
use zeroize::Zeroizing;

/// The media type, with the boundary.
pub(super) const CONTENT_TYPE: &str = "multipart/mixed; boundary=estServerBoundary";

/// Stands before each part and after the last. No part can hold it: there is no `-` in base64.
const DELIMITER: &str = "--estServerBoundary";

/// A part, its body in base64.
pub(super) struct Part {
    pub(super) content_type: &'static str,
    /// Wiped when dropped.
    pub(super) body: Zeroizing<Vec<u8>>,
}

/// The whole body. It is wiped when the last of those who hold it lets go.
pub(super) fn encode(parts: &[Part]) -> Bytes {
    let mut pieces: Vec<&[u8]> = Vec::new();
    for part in parts {
        pieces.extend([DELIMITER.as_bytes(), b"\r\nContent-Type: ", part.content_type.as_bytes()]);
        pieces.extend([b"\r\nContent-Transfer-Encoding: base64\r\n\r\n", part.body.trim_ascii_end(), b"\r\n"]);
    }
    pieces.extend([DELIMITER.as_bytes(), b"--\r\n"]);
    // Allocated once: a buffer that grows would leave copies of its content behind.
    Bytes::from_owner(Zeroizing::new(pieces.concat()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_stand_as_in_the_example_of_the_rfc() {
        let part = |content_type, body: &[u8]| Part { content_type, body: Zeroizing::new(body.to_vec()) };
        let body = encode(&[part("application/pkcs8", b"MIIE\nvgIB\n"), part("application/pkcs7-mime", b"MIID")]);
        let expected = "--estServerBoundary\r\nContent-Type: application/pkcs8\r\nContent-Transfer-Encoding: base64\r\n\
                        \r\nMIIE\nvgIB\r\n--estServerBoundary\r\nContent-Type: application/pkcs7-mime\r\n\
                        Content-Transfer-Encoding: base64\r\n\r\nMIID\r\n--estServerBoundary--\r\n";
        assert_eq!(body, expected);
    }
}
