//! JWTs of an issuer that a tenant trusts (RFC 7519, RFC 7515, RFC 8725).

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Map, Value};

pub use super::jwk::JwksError;
use super::jwk::{self, VerificationKey};
use super::scope::DeviceScope;
use crate::est::transfer;
use crate::pki::device_identity::DeviceId;

/// How far the issuer's clock and ours may be apart.
pub const CLOCK_LEEWAY: TimeDelta = TimeDelta::seconds(60);

/// Somebody whose JWTs say which device bears them.
#[derive(Debug, Clone)]
pub struct Issuer {
    name: String,
    issuer: String,
    audience: String,
    device_claim: String,
    devices: DeviceScope,
    keys: Vec<VerificationKey>,
}

impl Issuer {
    /// `issuer` and `audience` are what iss and aud must be; `device_claim` names the claim with the device id, which
    /// must be one of `devices`; `jwks` is the issuer's JWK Set.
    ///
    /// # Errors
    /// When `jwks` is none; see [`JwksError`].
    pub fn new(
        name: String,
        issuer: String,
        audience: String,
        device_claim: String,
        devices: DeviceScope,
        jwks: &str,
    ) -> Result<Self, JwksError> {
        Ok(Self { name, issuer, audience, device_claim, devices, keys: jwk::parse_set(jwks)? })
    }

    /// The name it is declared by.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether its JWTs may be a device's.
    pub(super) fn speaks_for(&self, device: &DeviceId) -> bool {
        self.devices.contains(device.as_str())
    }

    /// The device that `token` proves its bearer to be; `None` when it is not a JWT of this issuer, for us, now.
    pub(super) fn device(&self, token: &str, now: DateTime<Utc>) -> Option<DeviceId> {
        let claims = self.verified_claims(token)?;
        let text = |claim: &str| claims.get(claim).and_then(Value::as_str);
        // RFC 7519 §4.1.1 and §4.1.3: iss is the issuer, aud is or holds the audience.
        if text("iss") != Some(&self.issuer) || !has_audience(claims.get("aud"), &self.audience) {
            return None;
        }
        // RFC 7519 §4.1.4: exp is required here, since a token without end cannot be taken back.
        let moment = |claim: &str| claims.get(claim).and_then(numeric_date);
        if now >= moment("exp")? + CLOCK_LEEWAY {
            return None;
        }
        // RFC 7519 §4.1.5
        if claims.contains_key("nbf") && now < moment("nbf")? - CLOCK_LEEWAY {
            return None;
        }
        let device = DeviceId::parse(text(&self.device_claim)?).ok()?;
        self.devices.contains(device.as_str()).then_some(device)
    }

    /// The claims of a JWT that one of the issuer's keys signed (RFC 7515 section 5.2).
    fn verified_claims(&self, token: &str) -> Option<Map<String, Value>> {
        let (message, signature) = token.rsplit_once('.')?;
        let (header, payload) = message.split_once('.')?;
        let header: Map<String, Value> = serde_json::from_slice(&transfer::decode_base64url(header)?).ok()?;
        // RFC 7515 §4.1.11: an extension that is critical and not understood; none is understood.
        if header.contains_key("crit") {
            return None;
        }
        let algorithm = header.get("alg")?.as_str()?;
        let id = header.get("kid").and_then(Value::as_str);
        let signature = transfer::decode_base64url(signature)?;
        let mut keys = self.keys.iter().filter(|key| key.fits(algorithm, id));
        keys.find(|key| key.verify(algorithm, message.as_bytes(), &signature))?;
        serde_json::from_slice(&transfer::decode_base64url(payload)?).ok()
    }
}

/// Whether a Bearer credential has the shape of a JWT.
pub(super) fn is_jwt(token: &str) -> bool {
    token.bytes().filter(|octet| *octet == b'.').count() == 2
}

fn has_audience(value: Option<&Value>, audience: &str) -> bool {
    match value {
        Some(Value::String(one)) => one == audience,
        Some(Value::Array(several)) => several.iter().any(|one| one.as_str() == Some(audience)),
        Some(Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_)) | None => false,
    }
}

/// RFC 7519 section 2: seconds since 1970, perhaps with a fraction.
fn numeric_date(value: &Value) -> Option<DateTime<Utc>> {
    let seconds = value.as_f64()?;
    // Beyond the year 9999 no clock goes, and the cast is exact up to there.
    (0.0..253_402_300_800.0).contains(&seconds).then(|| DateTime::from_timestamp(seconds as i64, 0)).flatten()
}

#[cfg(test)]
pub(crate) mod tests;
