//! How OCSP names the issuer of a certificate: by digests of its name and key, with whichever hash function a client has.

use aws_lc_rs::digest::{Algorithm, SHA1_FOR_LEGACY_USE_ONLY, SHA256, SHA384, SHA512, digest};
use estd_asn1::ocsp_request::CertId;
use estd_asn1::{Certificate, Oid, oid};

/// The hash functions that issuers are known by. SHA-1 serves no security here: RFC 9919 section 3.1.1 has it stay, as the
/// fields of old clients.
const DIGESTS: [(Oid, &Algorithm); 4] =
    [(oid::SHA1, &SHA1_FOR_LEGACY_USE_ONLY), (oid::SHA256, &SHA256), (oid::SHA384, &SHA384), (oid::SHA512, &SHA512)];

/// An issuer by every digest of its name and key.
#[derive(Debug, Clone)]
pub struct IssuerDigests(Vec<Digests>);

#[derive(Debug, Clone)]
struct Digests {
    algorithm: Oid,
    name: Vec<u8>,
    key: Vec<u8>,
}

impl IssuerDigests {
    /// Those of a CA.
    pub fn of(issuer: &Certificate) -> Self {
        let of = |(algorithm, function): (Oid, &'static Algorithm)| Digests {
            algorithm,
            name: digest(function, issuer.subject().der()).as_ref().to_vec(),
            key: digest(function, issuer.public_key().key()).as_ref().to_vec(),
        };
        Self(DIGESTS.into_iter().map(of).collect())
    }

    /// Whether a certificate is named that this issuer issued, or might have.
    pub fn match_issuer_of(&self, certificate: &CertId) -> bool {
        let with = self.0.iter().find(|digests| digests.algorithm == *certificate.hash_algorithm());
        with.is_some_and(|digests| {
            digests.name == certificate.issuer_name_hash() && digests.key == certificate.issuer_key_hash()
        })
    }

    /// The name of a certificate of this issuer, by SHA-256.
    pub fn cert_id(&self, serial: &[u8]) -> Option<CertId> {
        let digests = self.0.iter().find(|digests| digests.algorithm == oid::SHA256)?;
        Some(CertId::new(oid::SHA256, &digests.name, &digests.key, serial))
    }
}

/// KeyHash of RFC 6960 section 4.2.1: the SHA-1 of the content of a subjectPublicKey.
pub fn key_hash(key: &[u8]) -> [u8; 20] {
    let mut hash = [0; 20];
    hash.copy_from_slice(digest(&SHA1_FOR_LEGACY_USE_ONLY, key).as_ref());
    hash
}
