//! The transfer encoding of EST bodies over HTTP (RFC 8951 section 3): base64 of DER.
