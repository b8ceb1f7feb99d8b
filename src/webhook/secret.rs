//! The secrets that a webhook signs with (Standard Webhooks, section "Symmetric keys").

use std::fmt;

use subtle::ConstantTimeEq as _;
use zeroize::Zeroizing;

use crate::est::transfer;
use crate::pki::digest::MacKey;

/// What a secret begins with.
const PREFIX: &str = "whsec_";
/// Octets of a secret, by the specification.
const OCTETS: std::ops::RangeInclusive<usize> = 24..=64;
/// Most secrets of one webhook: the new one and the one before.
const MAX_SECRETS: usize = 2;

/// One secret, or two while it is exchanged; each signs.
#[derive(Clone)]
pub struct SigningSecrets(Vec<Zeroizing<Vec<u8>>>);

/// Why a text holds no secrets. Never says what stands there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SecretError {
    /// Too few or too many.
    #[error("expected 1 or {MAX_SECRETS} secrets, one a line, found {0}")]
    Count(usize),
    /// One that is none.
    #[error(
        "line {0}: expected {PREFIX} and 24 to 64 random octets in base64, as `openssl rand -base64 32` makes them"
    )]
    Malformed(usize),
}

impl SigningSecrets {
    /// Reads the content of a file: a secret a line, the newest first.
    ///
    /// # Errors
    /// When there is none, there are too many, or one is malformed.
    pub fn parse(text: &str) -> Result<Self, SecretError> {
        let lines: Vec<_> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
        if !(1..=MAX_SECRETS).contains(&lines.len()) {
            return Err(SecretError::Count(lines.len()));
        }
        let secrets = lines.iter().enumerate().map(|(position, line)| {
            let octets = line.strip_prefix(PREFIX).and_then(transfer::decode_token68);
            octets.filter(|octets| OCTETS.contains(&octets.len())).ok_or(SecretError::Malformed(position + 1))
        });
        secrets.collect::<Result<_, _>>().map(Self)
    }

    /// The value of webhook-signature: one signature for each secret, the newest first.
    pub(super) fn sign(&self, id: &str, timestamp: &str, body: &[u8]) -> String {
        let signed = self.0.iter().map(|secret| {
            let tag = MacKey::of_any_length(secret).tag(&[id.as_bytes(), b".", timestamp.as_bytes(), b".", body]);
            format!("v1,{}", transfer::encode_token68(&tag))
        });
        signed.collect::<Vec<_>>().join(" ")
    }
}

impl PartialEq for SigningSecrets {
    fn eq(&self, other: &Self) -> bool {
        let same = |(one, other): (&Zeroizing<Vec<u8>>, &Zeroizing<Vec<u8>>)| bool::from(one.ct_eq(other));
        self.0.len() == other.0.len() && self.0.iter().zip(&other.0).all(same)
    }
}

impl Eq for SigningSecrets {}

impl fmt::Debug for SigningSecrets {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("SigningSecrets")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of the specification's reference libraries.
    const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

    #[test]
    fn the_example_of_the_specification_is_signed_as_it_says() {
        let secrets = SigningSecrets::parse(SECRET).unwrap();
        let signed = secrets.sign("msg_p5jXN8AQM9LWM0D4loKWxJek", "1614265330", b"{\"test\": 2432232314}");
        assert_eq!(signed, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[test]
    fn two_secrets_both_sign_and_a_third_is_too_many() {
        let other = format!("whsec_{}", transfer::encode_token68(&[7; 32]));
        let both = SigningSecrets::parse(&format!("{other}\n{SECRET}\n")).unwrap();
        let signed = both.sign("m", "1", b"");
        let each = [&other, SECRET].map(|secret| SigningSecrets::parse(secret).unwrap().sign("m", "1", b""));
        assert_eq!(signed, each.join(" "));
        for (text, error) in [
            ("", SecretError::Count(0)),
            (&format!("{other}\n{other}\n{other}"), SecretError::Count(3)),
            ("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", SecretError::Malformed(1)),
            (&format!("whsec_{}", transfer::encode_token68(&[7; 23])), SecretError::Malformed(1)),
            (&format!("{SECRET}\nwhsec_{}", transfer::encode_token68(&[7; 65])), SecretError::Malformed(2)),
        ] {
            assert_eq!(SigningSecrets::parse(text).unwrap_err(), error, "{text}");
        }
    }
}
