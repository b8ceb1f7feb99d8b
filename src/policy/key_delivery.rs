//! How a private key is given out (RFC 7030 section 4.4.1): encrypted to the key that the request names, or else as it is
//! where that is allowed.

use chrono::{DateTime, Utc};
use estd_asn1::key_protection::{DecryptKey, KeyProtection};
use estd_asn1::{Certificate, KeyUsage};

use super::{KeyGenerationRules, Requester};
use crate::est::{Rejection, RejectionCode};
use crate::pki::digest::hex;
use crate::pki::key_encryption::{Capabilities, Encryption, Recipient};
use crate::pki::public_key::{KeyPolicy, KeyType, PublicKey};
use crate::pki::request::CheckedRequest;
use crate::pki::trust::AuthenticatedPeer;

/// The one way in which a private key leaves.
pub enum KeyDelivery<'a> {
    /// With nothing but TLS around it.
    Plain,
    /// Encrypted.
    Encrypted(Encryption<'a>),
}

/// Decides by the attributes of the request. Whatever it asks for and cannot have is refused: a key that was to be
/// encrypted is never given out as it is.
pub(super) fn decide<'a>(
    request: &CheckedRequest,
    requester: &Requester<'_>,
    rules: &'a KeyGenerationRules,
    strength: u16,
    now: DateTime<Utc>,
) -> Result<KeyDelivery<'a>, Rejection> {
    let protection = KeyProtection::read(request.attributes())
        .map_err(|error| refusal(RejectionCode::BadRequestSyntax, "RFC 7030 4.4.1", error.to_string()))?;
    let Some(decrypt_key) = &protection.decrypt_key else {
        return plain(requester, rules, strength);
    };
    // RFC 7030 §4.4.1: "The client MUST also include an SMIMECapabilities attribute".
    let Some(capabilities) = &protection.capabilities else {
        return Err(no_common_algorithm("SMIMECapabilities", "none came"));
    };
    let capabilities = Capabilities(capabilities);
    let recipient = match decrypt_key {
        DecryptKey::Symmetric(identifier) => shared_key(identifier, capabilities, rules)?,
        DecryptKey::Asymmetric(identifier) => {
            let certificate = find_certificate(identifier, requester, rules, now)?;
            public_key(identifier, certificate, capabilities, strength)?
        }
    };
    let content = capabilities
        .content_encryption(strength)
        .ok_or_else(|| no_common_algorithm("AES-CBC for the content", "others are listed"))?;
    Ok(KeyDelivery::Encrypted(Encryption { recipient, content }))
}

fn plain<'a>(
    requester: &Requester<'_>,
    rules: &KeyGenerationRules,
    strength: u16,
) -> Result<KeyDelivery<'a>, Rejection> {
    if !rules.plaintext {
        let reason = "this label gives out no private key that nothing but TLS protects: expected DecryptKeyIdentifier \
                      or AsymmetricDecryptKeyIdentifier with SMIMECapabilities, none came";
        return Err(refusal(RejectionCode::EncryptionRequired, "RFC 7030 4.4.1", reason.to_owned()));
    }
    // RFC 7030 §4.4: "The cipher suite used to return the private key and certificate MUST offer confidentiality
    // commensurate with the private key being delivered to the client."
    if requester.cipher_strength.is_none_or(|offered| offered < strength) {
        let offered = requester.cipher_strength.map_or("an unknown number of".to_owned(), |bits| bits.to_string());
        let reason = format!(
            "the TLS cipher of this connection offers {offered} bits of security, the private key to be delivered needs \
             {strength}: offer AES-256 or ChaCha20 alone, or name a key to encrypt to"
        );
        return Err(refusal(RejectionCode::CipherTooWeak, "RFC 7030 4.4", reason));
    }
    Ok(KeyDelivery::Plain)
}

/// RFC 7030 §4.4.1.1: "If the server does not have a secret key matching the identifier specified by the client, the
/// request MUST be terminated and an error returned to the client."
fn shared_key<'a>(
    identifier: &[u8],
    capabilities: Capabilities<'_>,
    rules: &'a KeyGenerationRules,
) -> Result<Recipient<'a>, Rejection> {
    let Some(key) = rules.shared_keys.iter().find(|key| key.identifier() == identifier) else {
        return Err(unknown("DecryptKeyIdentifier", "RFC 7030 4.4.1.1", identifier));
    };
    // RFC 7030 §4.4.2: the key wrap is one "that the client included in the SMIMECapabilities".
    if !capabilities.has_key_wrap(key.size()) {
        let expected = format!("id-aes{}-wrap, for which the key named is,", key.size().bits());
        return Err(no_common_algorithm(&expected, "others are listed"));
    }
    Ok(Recipient::SharedKey(key))
}

/// The certificate with that subjectKeyIdentifier: the one presented, or one of those the label has.
fn find_certificate<'a>(
    identifier: &[u8],
    requester: &'a Requester<'_>,
    rules: &'a KeyGenerationRules,
    now: DateTime<Utc>,
) -> Result<&'a Certificate, Rejection> {
    let named = |certificate: &&Certificate| {
        certificate.subject_key_identifier().is_ok_and(|found| found.as_deref() == Some(identifier))
    };
    if let Some(presented) = requester.proof.peer().map(AuthenticatedPeer::certificate).filter(named) {
        return Ok(presented);
    }
    let in_validity = |certificate: &&Certificate| {
        let validity = certificate.validity();
        (validity.not_before..=validity.not_after).contains(&now)
    };
    let of_the_label = || rules.certificates.iter().filter(named);
    match (of_the_label().find(in_validity), of_the_label().next()) {
        (Some(certificate), _) => Ok(certificate),
        (None, Some(_)) => Err(unfit("is not valid now")),
        // RFC 7030 §4.4.1.2: "If the server does not have a public key matching the identifier …".
        (None, None) => Err(unknown("AsymmetricDecryptKeyIdentifier", "RFC 7030 4.4.1.2", identifier)),
    }
}

/// RFC 7030 §4.4.1.2: "If the key identified is bound to an X.509 certificate, then the key MUST either explicitly support
/// keyTransport or keyAgreement or its use MUST be unrestricted."
fn public_key<'a>(
    identifier: &[u8],
    certificate: &Certificate,
    capabilities: Capabilities<'_>,
    strength: u16,
) -> Result<Recipient<'a>, Rejection> {
    let key = PublicKey::check(certificate.public_key(), &KeyPolicy::any_sound())
        .map_err(|error| unfit(&format!("has no usable key: {error}")))?;
    let usage = certificate.key_usage().map_err(|error| unfit(&format!("has a malformed keyUsage: {error}")))?;
    let allows = |wanted: KeyUsage| usage.is_none_or(|usage| usage.contains(wanted));
    let identifier = identifier.to_vec();
    match key.key_type() {
        KeyType::Rsa if allows(KeyUsage::KEY_ENCIPHERMENT) => {
            let expected = "RSAES-OAEP with SHA-256 or rsaEncryption";
            let transport =
                capabilities.key_transport().ok_or_else(|| no_common_algorithm(expected, "others are listed"))?;
            Ok(Recipient::KeyTransport { identifier, key, transport })
        }
        KeyType::P256 | KeyType::P384 | KeyType::P521 if allows(KeyUsage::KEY_AGREEMENT) => {
            let expected = "dhSinglePass-stdDH-sha256kdf-scheme with an AES key wrap";
            let key_wrap = capabilities
                .key_agreement(strength)
                .ok_or_else(|| no_common_algorithm(expected, "others are listed"))?;
            Ok(Recipient::KeyAgreement { identifier, key, key_wrap })
        }
        KeyType::Rsa => Err(unfit("has a keyUsage without keyEncipherment")),
        KeyType::P256 | KeyType::P384 | KeyType::P521 => Err(unfit("has a keyUsage without keyAgreement")),
        KeyType::Ed25519 => Err(unfit("has a key that nothing can be encrypted to")),
    }
}

fn unknown(attribute: &str, clause: &'static str, identifier: &[u8]) -> Rejection {
    let reason = format!("{attribute} is {}, which no key known here has", hex(identifier));
    refusal(RejectionCode::DecryptKeyUnknown, clause, reason)
}

fn unfit(why: &str) -> Rejection {
    let reason = format!("the certificate that AsymmetricDecryptKeyIdentifier names {why}");
    refusal(RejectionCode::DecryptKeyUnfit, "RFC 7030 4.4.1.2", reason)
}

fn no_common_algorithm(expected: &str, found: &str) -> Rejection {
    let reason = format!("to encrypt the private key, {expected} is expected in the request, {found}");
    refusal(RejectionCode::NoCommonAlgorithm, "RFC 7030 4.4.1", reason)
}

fn refusal(code: RejectionCode, clause: &'static str, reason: String) -> Rejection {
    Rejection::new(code, clause, reason)
}
