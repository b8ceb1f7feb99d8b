//! The database of `openssl ca` (index.txt): which certificates a CA issued before, and which it revoked.
//!
//! A line is a certificate: status (V, R, E), notAfter, when and why it was revoked, serial number, file, subject, with tabs
//! between them.

use std::fmt;

use chrono::{DateTime, NaiveDateTime, Utc};

use super::revocation::RevocationReason;

/// Fields of a line.
const FIELDS: usize = 6;
/// Most octets of a serial number (RFC 5280 section 4.1.2.2).
const MAX_SERIAL_OCTETS: usize = 20;

/// Where a certificate stands in what a former installation left.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// A line of the database, from 1.
    Line(usize),
    /// One of certificates that follow each other.
    Certificate {
        /// Which, from 1.
        number: usize,
        /// Its serial number, hexadecimal: `openssl ca` names its file by that.
        serial: String,
    },
}

impl fmt::Display for Place {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Line(line) => write!(formatter, "line {line}"),
            Self::Certificate { number, serial } => write!(formatter, "certificate {number} (serial number {serial})"),
        }
    }
}

/// A certificate of the database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IndexedCertificate {
    /// Where it stands.
    pub place: Place,
    /// Content octets of the serial number, big endian, minimal.
    pub serial: Vec<u8>,
    /// notAfter.
    pub not_after: DateTime<Utc>,
    /// When and why it was revoked.
    pub revoked: Option<(DateTime<Utc>, RevocationReason)>,
}

/// The line that does not read, and why.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {why}")]
pub struct IndexError {
    /// The line, from 1.
    pub line: usize,
    /// What was expected and what came.
    pub why: String,
}

/// Reads a database whole.
///
/// # Errors
/// With the first line that does not read, or names a serial number a second time.
pub fn read(text: &str) -> Result<Vec<IndexedCertificate>, IndexError> {
    let mut certificates = Vec::new();
    let mut seen = std::collections::HashMap::new();
    for (line, text) in (1..).zip(text.lines()) {
        // As openssl's TXT_DB reads it.
        if text.starts_with('#') || text.trim().is_empty() {
            continue;
        }
        let certificate = certificate(line, text).map_err(|why| IndexError { line, why })?;
        if let Some(before) = seen.insert(certificate.serial.clone(), line) {
            return Err(IndexError { line, why: format!("its serial number stands in line {before} already") });
        }
        certificates.push(certificate);
    }
    Ok(certificates)
}

fn certificate(line: usize, text: &str) -> Result<IndexedCertificate, String> {
    let fields: Vec<&str> = text.splitn(FIELDS, '\t').collect();
    let [status, not_after, revoked, serial, _file, _subject] = fields[..] else {
        return Err(format!("{FIELDS} fields with tabs between them are expected, {} came", fields.len()));
    };
    let revoked = match (status, revoked) {
        ("V" | "E", "") => None,
        ("R", revoked) => Some(revocation(revoked)?),
        ("V" | "E", _) => return Err(format!("it is {status}, and has a time of revocation")),
        (other, _) => return Err(format!("V, R or E is expected, {other:?} came")),
    };
    let (place, serial) = (Place::Line(line), self::serial(serial)?);
    Ok(IndexedCertificate { place, serial, not_after: time(not_after)?, revoked })
}

/// `260301120000Z,keyCompromise`; what may follow the reason tells of holds and of when a key got lost.
fn revocation(text: &str) -> Result<(DateTime<Utc>, RevocationReason), String> {
    let mut parts = text.split(',');
    let at = time(parts.next().unwrap_or_default())?;
    let reason = match parts.next() {
        None => RevocationReason::Unspecified,
        // openssl writes what it was told on its command line.
        Some("CACompromise" | "CAkeyTime") => RevocationReason::CaCompromise,
        Some("keyTime") => RevocationReason::KeyCompromise,
        Some("holdInstruction") => RevocationReason::CertificateHold,
        Some(reason) => RevocationReason::ALL
            .into_iter()
            .find(|known| known.as_str().eq_ignore_ascii_case(reason))
            .ok_or_else(|| format!("{reason:?} is no reason to revoke a certificate"))?,
    };
    Ok((at, reason))
}

/// UTCTime or GeneralizedTime (RFC 5280 sections 4.1.2.5.1 and 4.1.2.5.2).
fn time(text: &str) -> Result<DateTime<Utc>, String> {
    let expected = || format!("a time such as 260301120000Z is expected, {text:?} came");
    let digits = text.strip_suffix('Z').filter(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()));
    let digits = digits.ok_or_else(expected)?;
    let full = match digits.len() {
        // RFC 5280 §4.1.2.5.1: years from 50 on are of the 20th century.
        12 if digits >= "50" => format!("19{digits}"),
        12 => format!("20{digits}"),
        14 => digits.to_owned(),
        _ => return Err(expected()),
    };
    NaiveDateTime::parse_from_str(&full, "%Y%m%d%H%M%S").map(|time| time.and_utc()).map_err(|_| expected())
}

fn serial(text: &str) -> Result<Vec<u8>, String> {
    let expected = || format!("a serial number of up to {MAX_SERIAL_OCTETS} octets is expected, {text:?} came");
    let even = if text.len().is_multiple_of(2) { text.to_owned() } else { format!("0{text}") };
    let octets = super::digest::unhex(&even).ok_or_else(expected)?;
    let mut serial: Vec<u8> = octets.iter().copied().skip_while(|octet| *octet == 0).collect();
    // X.690 §8.3: a positive INTEGER whose first bit is set gets a leading zero octet.
    if serial.first().is_some_and(|first| first & 0x80 != 0) {
        serial.insert(0, 0);
    }
    (1..=MAX_SERIAL_OCTETS).contains(&serial.len()).then_some(serial).ok_or_else(expected)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    #[test]
    fn a_database_reads_as_openssl_wrote_it() {
        let text = "# a comment\n\
            V\t270301120000Z\t\t01\tunknown\t/CN=one\n\
            R\t20550301120000Z\t260301120000Z,keyCompromise\tFF02\tunknown\t/CN=two\n\
            R\t270301120000Z\t260301120000Z\t3\tunknown\t/CN=\\\\x\ttab\n\
            R\t270301120000Z\t260301120000Z,holdInstruction,1.2.840.10040.2.2\t04\tnewcerts/04.pem\t/CN=four\n\
            E\t990301120000Z\t\t0005\tunknown\t/CN=five\n\n";
        let read = read(text).unwrap();
        let revoked = at("2026-03-01T12:00:00Z");
        let expected = [
            (2, vec![1], "2027-03-01T12:00:00Z", None),
            (3, vec![0, 0xff, 2], "2055-03-01T12:00:00Z", Some((revoked, RevocationReason::KeyCompromise))),
            (4, vec![3], "2027-03-01T12:00:00Z", Some((revoked, RevocationReason::Unspecified))),
            (5, vec![4], "2027-03-01T12:00:00Z", Some((revoked, RevocationReason::CertificateHold))),
            (6, vec![5], "1999-03-01T12:00:00Z", None),
        ];
        let expected = expected.map(|(line, serial, not_after, revoked)| IndexedCertificate {
            place: Place::Line(line),
            serial,
            not_after: at(not_after),
            revoked,
        });
        assert_eq!(read, expected);
    }

    #[test]
    fn the_line_that_does_not_read_is_named() {
        let good = "V\t270301120000Z\t\t01\tunknown\t/CN=one\n";
        for (bad, why) in [
            ("V\t270301120000Z\t\t02\tunknown", "6 fields"),
            ("X\t270301120000Z\t\t02\tunknown\t/CN=two", "V, R or E"),
            ("V\t270301120000Z\t260301120000Z\t02\tunknown\t/CN=two", "has a time of revocation"),
            ("R\t270301120000Z\t\t02\tunknown\t/CN=two", "a time such as"),
            ("R\t270301120000Z\t260301120000Z,boredom\t02\tunknown\t/CN=two", "boredom"),
            ("R\t270301120000Z\t260301120000Z,removeFromCRL\t02\tunknown\t/CN=two", "removeFromCRL"),
            ("V\t271301120000Z\t\t02\tunknown\t/CN=two", "a time such as"),
            ("V\t2703011200Z\t\t02\tunknown\t/CN=two", "a time such as"),
            ("V\t270301120000Z\t\t00\tunknown\t/CN=two", "a serial number"),
            ("V\t270301120000Z\t\t+2\tunknown\t/CN=two", "a serial number"),
            (&format!("V\t270301120000Z\t\t{}\tunknown\t/CN=two", "80".repeat(20)), "a serial number"),
            ("V\t270301120000Z\t\t0001\tunknown\t/CN=two", "stands in line 1"),
        ] {
            let error = read(&format!("{good}{bad}\n")).unwrap_err();
            assert_eq!(error.line, 2, "{bad}");
            assert!(error.why.contains(why), "{bad}: {error}");
        }
    }
}
