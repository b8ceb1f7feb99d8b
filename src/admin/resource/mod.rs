//! The resources, one file each.

pub(super) mod certificates;
pub(super) mod devices;
pub(super) mod events;
mod import;
pub(super) mod requests;
pub(super) mod tenants;
pub(super) mod tokens;

use chrono::{DateTime, SecondsFormat, Utc};

/// A time as it stands in answers (RFC 3339).
fn time(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Secs, true)
}

/// The octets of hexadecimal digits; colons between them are as openssl writes them.
fn octets(digits: &str) -> Option<Vec<u8>> {
    let digits: Vec<u8> = digits.bytes().filter(|byte| *byte != b':').collect();
    let value = |digit: u8| char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok());
    let pair = |pair: &[u8]| match pair {
        [high, low] => Some(value(*high)? << 4 | value(*low)?),
        _ => None,
    };
    let octets: Option<Vec<u8>> = digits.chunks(2).map(pair).collect();
    octets.filter(|octets| !octets.is_empty())
}

/// A SHA-256 in hexadecimal digits.
fn digest(digits: &str) -> Option<[u8; 32]> {
    octets(digits)?.try_into().ok()
}
