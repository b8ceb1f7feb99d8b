//! A certificate authority: its certificate, what leads from it to its root, and the key that signs.

use std::sync::Arc;

use super::publication::Publication;
use super::signer::{Signer, SignerError};
use crate::pki::digest::sha256;
use crate::pki::name_constraints::PathConstraints;
use crate::pki::public_key::{KeyPolicy, PublicKey, PublicKeyError};
use crate::pki::signature::{self, SignatureAlgorithm, SignatureError};
use estd_asn1::{Certificate, DecodeError, KeyUsage, certs_only};

/// A CA that is able to sign: certificate, chain and key were held against each other.
pub struct CertificateAuthority {
    certificate: Certificate,
    chain: Vec<Certificate>,
    key: PublicKey,
    key_identifier: Vec<u8>,
    name_constraints: PathConstraints,
    ca_certs: Arc<[u8]>,
    publication: Option<Publication>,
    signer: Arc<dyn Signer>,
}

/// Why certificate, chain and key do not make a CA.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AuthorityError {
    /// An extension of a certificate does not decode.
    #[error("{subject}: {source}")]
    Malformed {
        /// Whose.
        subject: String,
        /// Why.
        source: DecodeError,
    },
    /// basicConstraints, keyUsage or subjectKeyIdentifier are not a CA's (RFC 5280 sections 4.2.1.2, .3 and .9).
    #[error("{subject} is no CA certificate: expected {expected}")]
    NotCa {
        /// Whose.
        subject: String,
        /// What is missing.
        expected: &'static str,
    },
    /// The key is too weak for a CA.
    #[error("{subject}: {source}")]
    Key {
        /// Whose.
        subject: String,
        /// Why.
        source: PublicKeyError,
    },
    /// The private key belongs to another certificate.
    #[error("the key is not the one of the certificate of {subject}")]
    KeyMismatch {
        /// Whose certificate.
        subject: String,
    },
    /// A certificate of the chain did not issue the one below it.
    #[error("the chain breaks at {subject}: expected the certificate of its issuer, {issuer}, to come next")]
    Chain {
        /// Whose issuer is missing or wrong.
        subject: String,
        /// Who should come next.
        issuer: String,
    },
    /// A signature in the chain does not verify.
    #[error("{subject}: {source}")]
    Signature {
        /// Whose certificate.
        subject: String,
        /// Why.
        source: SignatureError,
    },
    /// The key did not sign.
    #[error("the key does not sign: {0}")]
    Signer(#[from] SignerError),
}

impl CertificateAuthority {
    /// Ties a CA certificate, the certificates from its issuer up to the root (empty for a self-signed CA) and its key.
    ///
    /// # Errors
    /// When they do not belong together; see [`AuthorityError`].
    pub fn new(
        certificate: Certificate,
        chain: Vec<Certificate>,
        signer: Arc<dyn Signer>,
    ) -> Result<Self, AuthorityError> {
        let subject = certificate.subject().to_string();
        let key = ca_key(&certificate)?;
        if signer.public_key().der() != certificate.public_key().der() {
            return Err(AuthorityError::KeyMismatch { subject });
        }
        let key_identifier = certificate
            .subject_key_identifier()
            .map_err(|source| AuthorityError::Malformed { subject: subject.clone(), source })?
            .ok_or_else(|| AuthorityError::NotCa { subject: subject.clone(), expected: "a subjectKeyIdentifier" })?;
        verify_chain(&certificate, &chain)?;
        prove_key(signer.as_ref(), &key, &certificate)?;
        let name_constraints = PathConstraints::of(std::iter::once(&certificate).chain(&chain))
            .map_err(|source| AuthorityError::Malformed { subject, source })?;
        let bag = std::iter::once(&certificate).chain(&chain).map(Certificate::der);
        let ca_certs = certs_only::encode(bag).into();
        Ok(Self { certificate, chain, key, key_identifier, name_constraints, ca_certs, publication: None, signer })
    }

    /// The same CA, which publishes what becomes of its certificates.
    #[must_use]
    pub fn publishing(self, publication: Publication) -> Self {
        let publication = Some(publication.of_key(&self.issuer_id()));
        Self { publication, ..self }
    }

    /// How and where it publishes what becomes of its certificates.
    pub fn publication(&self) -> Option<&Publication> {
        self.publication.as_ref()
    }

    /// The CA certificate.
    pub fn certificate(&self) -> &Certificate {
        &self.certificate
    }

    /// The certificates above it, root last.
    pub fn chain(&self) -> &[Certificate] {
        &self.chain
    }

    /// The CA and those above it, root last.
    pub fn path(&self) -> impl Iterator<Item = &Certificate> {
        std::iter::once(&self.certificate).chain(&self.chain)
    }

    /// Whether a CA below which `path_len` more may follow can be certified (RFC 5280 section 4.2.1.9).
    pub fn may_certify_ca(&self, path_len: u32) -> bool {
        let own = self.certificate.basic_constraints().ok().flatten().and_then(|constraints| constraints.path_len);
        own.is_none_or(|own| path_len < own)
    }

    /// What leads from a certificate of this CA to its root, which whoever trusts it has: the CA and those above it but
    /// for the last, leaf first. Empty for a self-signed CA.
    pub fn below_root(&self) -> impl Iterator<Item = &Certificate> {
        self.path().take(self.chain.len())
    }

    /// The root: the last of the chain, or the CA itself.
    pub fn root(&self) -> &Certificate {
        self.chain.last().unwrap_or(&self.certificate)
    }

    /// Its public key.
    pub fn key(&self) -> &PublicKey {
        &self.key
    }

    /// SHA-256 of its SubjectPublicKeyInfo, by which the store names issuers.
    pub fn issuer_id(&self) -> [u8; 32] {
        self.key.spki_sha256()
    }

    /// Its subjectKeyIdentifier, which becomes the authorityKeyIdentifier of what it issues.
    pub fn key_identifier(&self) -> &[u8] {
        &self.key_identifier
    }

    /// Whether it signed a certificate, and is named there as who did.
    pub fn has_issued(&self, certificate: &Certificate) -> bool {
        let Ok(algorithm) = SignatureAlgorithm::from_identifier(certificate.signature_algorithm()) else {
            return false;
        };
        certificate.issuer() == self.certificate.subject()
            && signature::verify(&self.key, algorithm, certificate.tbs_der(), certificate.signature()).is_ok()
    }

    /// The names that what it issues may have.
    pub fn name_constraints(&self) -> &PathConstraints {
        &self.name_constraints
    }

    /// What `/cacerts` serves (RFC 7030 section 4.1.3): the CA, everything up to its root, and nothing else; DER.
    pub fn ca_certs(&self) -> Arc<[u8]> {
        Arc::clone(&self.ca_certs)
    }

    /// SHA-256 of the root certificate, for a person to compare (RFC 7030 section 4.1.1).
    pub fn root_fingerprint(&self) -> [u8; 32] {
        sha256(&[self.root().der()])
    }

    pub(super) fn signer(&self) -> &dyn Signer {
        self.signer.as_ref()
    }
}

/// The key of a certificate that must be a CA's.
fn ca_key(certificate: &Certificate) -> Result<PublicKey, AuthorityError> {
    let subject = || certificate.subject().to_string();
    let malformed = |source| AuthorityError::Malformed { subject: subject(), source };
    // RFC 5280 §4.2.1.9
    if !certificate.basic_constraints().map_err(malformed)?.is_some_and(|constraints| constraints.ca) {
        return Err(AuthorityError::NotCa { subject: subject(), expected: "basicConstraints with CA:TRUE" });
    }
    // RFC 5280 §4.2.1.3
    if !certificate.key_usage().map_err(malformed)?.is_some_and(|usage| usage.contains(KeyUsage::KEY_CERT_SIGN)) {
        return Err(AuthorityError::NotCa { subject: subject(), expected: "keyUsage with keyCertSign" });
    }
    PublicKey::check(certificate.public_key(), &KeyPolicy::default())
        .map_err(|source| AuthorityError::Key { subject: subject(), source })
}

/// Each certificate was issued by the next, and the last by itself (RFC 7030 section 4.1.3: the root is served).
fn verify_chain(certificate: &Certificate, chain: &[Certificate]) -> Result<(), AuthorityError> {
    let mut child = certificate;
    for issuer in chain.iter().chain(std::iter::once(chain.last().unwrap_or(certificate))) {
        verify_issued(child, issuer)?;
        child = issuer;
    }
    Ok(())
}

/// Both are CA certificates, and one was issued by the other.
pub(super) fn verify_issued(child: &Certificate, issuer: &Certificate) -> Result<(), AuthorityError> {
    if child.issuer() != issuer.subject() {
        let (subject, issuer) = (child.subject().to_string(), child.issuer().to_string());
        return Err(AuthorityError::Chain { subject, issuer });
    }
    ca_key(child)?;
    let signature_error = |source| AuthorityError::Signature { subject: child.subject().to_string(), source };
    let algorithm = SignatureAlgorithm::from_identifier(child.signature_algorithm()).map_err(signature_error)?;
    signature::verify(&ca_key(issuer)?, algorithm, child.tbs_der(), child.signature()).map_err(signature_error)
}

/// The key signs, and the certificate's key verifies: a wrong key is found at start, not by the first device.
fn prove_key(signer: &dyn Signer, key: &PublicKey, certificate: &Certificate) -> Result<(), AuthorityError> {
    let probe = b"estd: does this key belong to this certificate?";
    let signature = signer.sign(probe)?;
    signature::verify(key, signer.algorithm(), probe, &signature)
        .map_err(|_| AuthorityError::KeyMismatch { subject: certificate.subject().to_string() })
}
