//! The client certificate verifier: proves that the peer holds the key of the certificate it presents, nothing else.

use estd_asn1::certificate::subject_public_key_info;
use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::{WebPkiSupportedAlgorithms, verify_tls13_signature_with_raw_key};
use rustls::pki_types::{CertificateDer, SubjectPublicKeyInfoDer, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{CertificateError, DigitallySignedStruct, DistinguishedName, Error, PeerMisbehaved, SignatureScheme};
use webpki::RawPublicKeyEntity;

/// Asks for a certificate and requires none. Of one that comes only the public key is looked at, so certificates that a
/// path validation would refuse to read (version 1, CA:TRUE, unknown critical extensions, lax DER) prove possession as
/// well. What cannot be verified is a signature by a key that is weak or of a kind nobody offers: that handshake fails.
#[derive(Debug)]
pub(super) struct PossessionVerifier {
    algorithms: WebPkiSupportedAlgorithms,
}

impl PossessionVerifier {
    pub(super) fn new(algorithms: WebPkiSupportedAlgorithms) -> Self {
        Self { algorithms }
    }
}

impl ClientCertVerifier for PossessionVerifier {
    // RFC 7030 §3.3.2: a client without a certificate may fetch the CA certificates.
    fn client_auth_mandatory(&self) -> bool {
        false
    }

    /// None: the anchors differ by label, and more than about a thousand names break the handshake.
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    /// Says nothing of the certificate: the signature, which always follows, is what counts here.
    fn verify_client_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let key = public_key(certificate)?;
        let key = RawPublicKeyEntity::try_from(&key).map_err(|_| bad_encoding())?;
        let (_, algorithms) = self
            .algorithms
            .mapping
            .iter()
            .find(|(scheme, _)| *scheme == signed.scheme)
            .ok_or(PeerMisbehaved::SignedHandshakeWithUnadvertisedSigScheme)?;
        // RFC 5246 §7.4.1.4.1: an ECDSA scheme of TLS 1.2 does not name the curve, so each is tried; those of another
        // kind of key fail before any arithmetic.
        algorithms
            .iter()
            .any(|algorithm| key.verify_signature(*algorithm, message, signed.signature()).is_ok())
            .then(HandshakeSignatureValid::assertion)
            .ok_or(Error::InvalidCertificate(CertificateError::BadSignature))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature_with_raw_key(message, &public_key(certificate)?, signed, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

fn public_key(certificate: &CertificateDer<'_>) -> Result<SubjectPublicKeyInfoDer<'static>, Error> {
    let spki = subject_public_key_info(certificate).ok_or_else(bad_encoding)?;
    Ok(SubjectPublicKeyInfoDer::from(spki.to_vec()))
}

fn bad_encoding() -> Error {
    Error::InvalidCertificate(CertificateError::BadEncoding)
}
