//! The parameters of RSASSA-PSS and RSAES-OAEP (RFC 4055), of which few values are let in: read by comparison.

/// A digest that they are used with, for the message as for the mask.
#[derive(Clone, Copy)]
pub(super) enum Digest {
    Sha256,
    Sha384,
    Sha512,
}

impl Digest {
    /// Last arc of id-sha256, id-sha384, id-sha512 (2.16.840.1.101.3.4.2.x).
    const fn arc(self) -> u8 {
        match self {
            Self::Sha256 => 1,
            Self::Sha384 => 2,
            Self::Sha512 => 3,
        }
    }

    const fn octets(self) -> u8 {
        match self {
            Self::Sha256 => 32,
            Self::Sha384 => 48,
            Self::Sha512 => 64,
        }
    }
}

/// ```text
/// RSASSA-PSS-params ::= SEQUENCE {
///     hashAlgorithm     [0] HashAlgorithm      DEFAULT sha1Identifier,
///     maskGenAlgorithm  [1] MaskGenAlgorithm   DEFAULT mgf1SHA1Identifier,
///     saltLength        [2] INTEGER            DEFAULT 20,
///     trailerField      [3] INTEGER            DEFAULT 1 }
/// ```
///
/// RFC 4055 section 3.1, with one digest for both, a salt as long as the digest and the trailer by default. Of such
/// values DER leaves open only whether the two digests carry NULL parameters or none, and RFC 4055 section 2.1 demands
/// that both be accepted.
pub(super) fn pss(digest: Digest, hash_null: bool, mask_null: bool) -> Vec<u8> {
    let salt = [0x02, 0x01, digest.octets()];
    let (hash, mask) = (hash(digest, hash_null), mask(digest, mask_null));
    tlv(0x30, &[&tlv(0xa0, &[&hash]), &tlv(0xa1, &[&mask]), &tlv(0xa2, &[&salt])])
}

/// ```text
/// RSAES-OAEP-params ::= SEQUENCE {
///     hashFunc     [0] AlgorithmIdentifier  DEFAULT sha1Identifier,
///     maskGenFunc  [1] AlgorithmIdentifier  DEFAULT mgf1SHA1Identifier,
///     pSourceFunc  [2] AlgorithmIdentifier  DEFAULT pSpecifiedEmptyIdentifier }
/// ```
///
/// RFC 4055 section 4.1, with one digest for both and an empty label.
pub(super) fn oaep(digest: Digest, hash_null: bool, mask_null: bool) -> Vec<u8> {
    tlv(0x30, &[&tlv(0xa0, &[&hash(digest, hash_null)]), &tlv(0xa1, &[&mask(digest, mask_null)])])
}

/// The same as RFC 3560 section 5 prints it for SMIMECapabilities, and says that it must be: without the two tags.
pub(super) fn oaep_as_printed(digest: Digest) -> Vec<u8> {
    tlv(0x30, &[&hash(digest, true), &mask(digest, true)])
}

fn hash(digest: Digest, null: bool) -> Vec<u8> {
    let identifier = [0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, digest.arc()];
    tlv(0x30, &[&identifier, if null { NULL } else { &[] }])
}

fn mask(digest: Digest, null: bool) -> Vec<u8> {
    let mgf1 = [0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x08];
    tlv(0x30, &[&mgf1, &hash(digest, null)])
}

/// DER of NULL.
const NULL: &[u8] = &[0x05, 0x00];

/// A TLV whose content is shorter than 128 octets.
fn tlv(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let content = parts.concat();
    debug_assert!(content.len() < 128, "short form");
    [&[tag, content.len() as u8], content.as_slice()].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The hexadecimal strings of RFC 3560 section 5, without the identifier before them.
    #[test]
    fn oaep_is_printed_as_the_rfc_prints_it() {
        let expected = "302b300d06096086480165030402010500301a06092a864886f70d010108300d06096086480165030402010500";
        assert_eq!(crate::pki::digest::hex(&oaep_as_printed(Digest::Sha256)), expected);
        let tagged = crate::pki::digest::hex(&oaep(Digest::Sha256, true, true));
        let expected =
            "302fa00f300d06096086480165030402010500a11c301a06092a864886f70d010108300d06096086480165030402010500";
        assert_eq!(tagged, expected, "RSAES-OAEP-params as the module of RFC 4055 has it");
    }
}
