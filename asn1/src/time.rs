//! Times as RFC 5280 section 4.1.2.5 has them.

use std::ops::Range;

use chrono::{DateTime, Datelike, NaiveDate, SubsecRound, Utc};

use crate::DecodeError;
use crate::der::{self, tag};

/// The years that UTCTime has (RFC 5280 section 4.1.2.5.1); all others are written as GeneralizedTime.
const UTC_YEARS: Range<i32> = 1950..2050;

/// RFC 5280 section 4.1.2.5: `YYMMDDHHMMSSZ` through 2049, `YYYYMMDDHHMMSSZ` from 2050. A GeneralizedTime before 2050 is
/// read as well: it is DER, and a device cannot change its birth certificate.
pub(crate) fn decode_time(tlv: &[u8]) -> Result<DateTime<Utc>, DecodeError> {
    let time = match der::parts(tlv) {
        // RFC 5280 §4.1.2.5.1: years from 50 are in the twentieth century.
        Some((tag::UTC_TIME, [year @ .., _, _, _, _, _, _, _, _, _, _, b'Z'])) if year.len() == 2 => {
            decimal(year).map(|year| if year < 50 { 2000 + year } else { 1900 + year })
        }
        Some((tag::GENERALIZED_TIME, [year @ .., _, _, _, _, _, _, _, _, _, _, b'Z'])) if year.len() == 4 => {
            decimal(year)
        }
        _ => None,
    };
    let seconds = tlv.last_chunk::<11>();
    time.zip(seconds)
        .and_then(|(year, rest)| {
            let field = |index: usize| decimal(&rest[index..index + 2]);
            let date = NaiveDate::from_ymd_opt(i32::try_from(year).ok()?, field(0)?, field(2)?)?;
            date.and_hms_opt(field(4)?, field(6)?, field(8)?)
        })
        .map(|time| time.and_utc())
        .ok_or(DecodeError::Malformed { what: "Time" })
}

fn decimal(digits: &[u8]) -> Option<u32> {
    digits.iter().try_fold(0, |value, digit| digit.is_ascii_digit().then(|| value * 10 + u32::from(digit - b'0')))
}

/// As [`decode_time`] reads it; fractions of a second are cut off.
pub(crate) fn encode_time(time: DateTime<Utc>) -> Vec<u8> {
    let time = time.trunc_subsecs(0);
    if UTC_YEARS.contains(&time.year()) {
        return der::wrap(tag::UTC_TIME, time.format("%y%m%d%H%M%SZ").to_string().as_bytes());
    }
    encode_generalized_time(time)
}

/// A GeneralizedTime whatever the year: `YYYYMMDDHHMMSSZ`, fractions of a second cut off.
pub(crate) fn encode_generalized_time(time: DateTime<Utc>) -> Vec<u8> {
    let text = time.trunc_subsecs(0).format("%Y%m%d%H%M%SZ").to_string();
    der::wrap(tag::GENERALIZED_TIME, text.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn time(text: &str) -> DateTime<Utc> {
        DateTime::parse_from_rfc3339(text).unwrap().to_utc()
    }

    #[test]
    fn times_change_form_in_1950_and_in_2050() {
        for (moment, tlv) in [
            ("1949-12-31T23:59:59Z", &b"\x18\x0f19491231235959Z"[..]),
            ("1950-01-01T00:00:00Z", b"\x17\x0d500101000000Z"),
            ("2049-12-31T23:59:59Z", b"\x17\x0d491231235959Z"),
            ("2050-01-01T00:00:00Z", b"\x18\x0f20500101000000Z"),
            ("9999-12-31T23:59:59Z", b"\x18\x0f99991231235959Z"),
        ] {
            assert_eq!(encode_time(time(moment)), tlv);
            assert_eq!(decode_time(tlv), Ok(time(moment)));
        }
        assert_eq!(encode_time(time("2049-12-31T23:59:59.9Z")), b"\x17\x0d491231235959Z");
    }

    #[test]
    fn times_have_one_form() {
        for tlv in [
            &b"\x17\x0b5001010000Z"[..],
            b"\x17\x0d50010100000+Z",
            b"\x17\x0d500101000060Z",
            b"\x17\x0d501301000000Z",
            b"\x17\x0d5001010000000",
            b"\x18\x1120500101000000.5Z",
            b"\x18\x0d500101000000Z",
            b"\x0c\x0d500101000000Z",
        ] {
            assert_eq!(decode_time(tlv), Err(DecodeError::Malformed { what: "Time" }), "{tlv:?}");
        }
    }
}
