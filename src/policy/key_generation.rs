//! Who has a key made here (RFC 7030 section 4.4): whoever would be certified with a key of its own, under stricter rules.

use chrono::{DateTime, Utc};
use estd_asn1::Certificate;

use super::key_delivery::{self, KeyDelivery};
use super::{AuthorizedEnrollment, EnrollmentRules, Grant, Requester};
use crate::est::{Operation, Rejection, RejectionCode, Rule, Trace};
use crate::pki::generated_key::{GeneratedKey, KeySpec};
use crate::pki::key_encryption::SharedKey;
use crate::pki::request::CheckedRequest;
use crate::pki::trust::AnchorClass;

/// What a label that makes keys demands, beyond what it demands of those who enroll.
pub struct KeyGenerationRules {
    /// A private key may be given out with nothing but TLS around it.
    pub plaintext: bool,
    /// A device may come with its birth certificate.
    pub birth_certificates: bool,
    /// The keys that a DecryptKeyIdentifier can name.
    pub shared_keys: Vec<SharedKey>,
    /// The certificates whose keys an AsymmetricDecryptKeyIdentifier can name, besides the one that the device presents.
    pub certificates: Vec<Certificate>,
}

/// Leave to make a key and to give it out in one way: the outcome of [`authorize_generation`].
pub struct AuthorizedGeneration<'a> {
    grant: Grant,
    spec: KeySpec,
    delivery: KeyDelivery<'a>,
}

impl<'a> AuthorizedGeneration<'a> {
    /// What the device will be certified as.
    pub fn grant(&self) -> &Grant {
        &self.grant
    }

    /// The key to make.
    pub fn spec(&self) -> KeySpec {
        self.spec
    }

    /// Whether the key is given out encrypted, and not with TLS alone around it.
    pub fn is_encrypted(&self) -> bool {
        match self.delivery {
            KeyDelivery::Plain => false,
            KeyDelivery::Encrypted(_) => true,
        }
    }

    /// Leave to certify the key that was made, and how it is to be given out.
    pub fn with_key(self, key: &GeneratedKey) -> (AuthorizedEnrollment, KeyDelivery<'a>) {
        (AuthorizedEnrollment { grant: self.grant, key: key.public_key().clone() }, self.delivery)
    }
}

/// Decides whether a key is made for `requester`, of which kind, and how it is given out. How each rule came out is taken
/// down in `trace`.
///
/// # Errors
/// The refusal, with the clause it rests on.
pub fn authorize_generation<'a>(
    request: &CheckedRequest,
    requester: &Requester<'_>,
    rules: &EnrollmentRules,
    generation: &'a KeyGenerationRules,
    now: DateTime<Utc>,
    trace: &mut Trace,
) -> Result<AuthorizedGeneration<'a>, Rejection> {
    // RFC 7030 §6: "Use of an Implicit Trust Anchor database is NOT RECOMMENDED when server-side key generation is
    // employed."
    if requester.proof.peer().is_some_and(|peer| peer.class() == AnchorClass::Implicit)
        && !generation.birth_certificates
    {
        let reason = "this label makes keys for holders of a certificate it issued, a birth certificate came";
        let refused = Rejection::new(RejectionCode::KeyGenerationDenied, "RFC 7030 6", reason);
        let expected = "a certificate that this label issued";
        return Err(trace.refuse(Rule::KeyGeneration, expected, "a birth certificate", refused));
    }
    let Some(spec) = KeySpec::choose(&rules.profile.keys, request.claimed_key()) else {
        let reason = "the profile allows no kind of key that is made here";
        let refused = Rejection::new(RejectionCode::KeyNotAllowed, "RFC 7030 4.4", reason);
        return Err(trace.refuse(Rule::KeyGeneration, "a kind of key that is made here", "none", refused));
    };
    let grant = super::grant(Operation::ServerKeyGen, request, spec.key_type(), requester, rules, trace)?;
    let delivery = key_delivery::decide(request, requester, generation, spec.strength(), now);
    let got = match &delivery {
        Ok(KeyDelivery::Plain) => "nothing to encrypt to",
        Ok(KeyDelivery::Encrypted(_)) => "a key to encrypt to",
        Err(_) => "none of them",
    };
    let expected = if generation.plaintext { "a key to encrypt to, or a strong cipher" } else { "a key to encrypt to" };
    let delivery = trace.judged(Rule::KeyGeneration, expected, got, delivery)?;
    Ok(AuthorizedGeneration { grant, spec, delivery })
}
