//! The computations of Digest (RFC 7616 section 3.4): what a client proves of a password without sending it.

use md5::Digest as _;
use subtle::ConstantTimeEq as _;

use crate::est::{DigestAlgorithm, DigestCredential};
use crate::pki::digest::{hex, sha256};

/// H(username ":" realm ":" password), in hexadecimal (RFC 7616 section 3.4.2). Whoever has it can answer every
/// challenge of the realm: it is kept like the password itself.
pub fn ha1(algorithm: DigestAlgorithm, user: &str, realm: &str, password: &str) -> String {
    hash(algorithm, &[user, ":", realm, ":", password])
}

/// Whether `presented` was made from the password that `ha1` stands for.
pub(super) fn verify(presented: &DigestCredential, ha1: &str) -> bool {
    response(presented, ha1).as_bytes().ct_eq(presented.response.to_ascii_lowercase().as_bytes()).into()
}

/// The response that `presented` must have, with the one qop that is offered (RFC 7616 section 3.4.1).
pub(super) fn response(presented: &DigestCredential, ha1: &str) -> String {
    let DigestCredential { algorithm, method, uri, nonce, nonce_count_text, cnonce, .. } = presented;
    let ha2 = hash(*algorithm, &[method, ":", uri]);
    hash(*algorithm, &[ha1, ":", nonce, ":", nonce_count_text, ":", cnonce, ":auth:", &ha2])
}

/// Hexadecimal digits of a hash.
pub(super) const fn digits(algorithm: DigestAlgorithm) -> usize {
    match algorithm {
        DigestAlgorithm::Sha256 => 64,
        DigestAlgorithm::Md5 => 32,
    }
}

fn hash(algorithm: DigestAlgorithm, parts: &[&str]) -> String {
    match algorithm {
        DigestAlgorithm::Sha256 => hex(&sha256(&parts.iter().map(|part| part.as_bytes()).collect::<Vec<_>>())),
        DigestAlgorithm::Md5 => {
            let mut hasher = md5::Md5::new();
            parts.iter().for_each(|part| hasher.update(part));
            hex(&hasher.finalize())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 7616 section 3.9.1.
    fn mufasa(algorithm: DigestAlgorithm) -> DigestCredential {
        DigestCredential {
            user: "Mufasa".into(),
            realm: "http-auth@example.org".into(),
            nonce: "7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v".into(),
            uri: "/dir/index.html".into(),
            algorithm,
            cnonce: "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ".into(),
            nonce_count_text: "00000001".into(),
            nonce_count: 1,
            response: match algorithm {
                DigestAlgorithm::Sha256 => "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1",
                DigestAlgorithm::Md5 => "8ca523f5e9506fed4657c9700eebdbec",
            }
            .into(),
            method: "GET".into(),
            target: "/dir/index.html".into(),
        }
    }

    #[test]
    fn the_examples_of_rfc_7616_verify() {
        for algorithm in DigestAlgorithm::ALL {
            let presented = mufasa(algorithm);
            let ha1 = ha1(algorithm, "Mufasa", "http-auth@example.org", "Circle of Life");
            assert_eq!(ha1.len(), digits(algorithm));
            assert!(verify(&presented, &ha1));
            let upper = DigestCredential { response: presented.response.to_uppercase(), ..presented.clone() };
            assert!(verify(&upper, &ha1));
            for other in [
                DigestCredential { method: "POST".into(), ..presented.clone() },
                DigestCredential { uri: "/".into(), ..presented.clone() },
                DigestCredential { nonce_count_text: "00000002".into(), ..presented.clone() },
                DigestCredential { cnonce: String::new(), ..presented.clone() },
                DigestCredential { response: String::new(), ..presented.clone() },
            ] {
                assert!(!verify(&other, &ha1));
            }
        }
    }
}
