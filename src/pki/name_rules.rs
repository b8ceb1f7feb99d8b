//! What a name may look like before anybody shows it, compares it or certifies it.

use std::net::Ipv4Addr;
use std::ops::RangeInclusive;

use estd_asn1::{AttributeTypeAndValue, GeneralName, Name, Oid};

/// Longest value of a subject attribute, and longest DNS name, in octets of UTF-8.
pub const MAX_TEXT_OCTETS: usize = 256;

/// Longest URI, and longest otherName, in octets.
pub const MAX_URI_OCTETS: usize = 512;

/// Longest DNS name (RFC 1035 section 2.3.4, without the final dot) and longest label of one.
const MAX_DNS_OCTETS: usize = 253;
const MAX_DNS_LABEL_OCTETS: usize = 63;

/// Longest local part of an e-mail address (RFC 5321 section 4.5.3.1.1).
const MAX_LOCAL_PART_OCTETS: usize = 64;

/// Why a name is refused. Nothing of the name is echoed but code points.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// An attribute whose value is not text.
    #[error("the subject attribute {attribute} is not text")]
    NotText {
        /// Attribute type.
        attribute: Oid,
    },
    /// Text that is empty or too long.
    #[error("{what} has 1 to {limit} octets, this one has {actual}")]
    Length {
        /// What the text is.
        what: &'static str,
        /// Most octets.
        limit: usize,
        /// Octets of this one.
        actual: usize,
    },
    /// A control, bidirectional, invisible or unassigned character.
    #[error("{what} has the character U+{code_point:04X}, which names must not have")]
    Character {
        /// What the text is.
        what: &'static str,
        /// The character.
        code_point: u32,
    },
    /// Letters of two scripts that look alike in one word.
    #[error("{what} mixes Latin letters with look-alikes of another script in one word")]
    MixedScripts {
        /// What the text is.
        what: &'static str,
    },
    /// White space that people do not see.
    #[error("{what} begins or ends with a space, or has two in a row")]
    Spacing {
        /// What the text is.
        what: &'static str,
    },
    /// A text that has another spelling that looks the same.
    #[error("{what} is not in Unicode normalization form C")]
    Normalization {
        /// What the text is.
        what: &'static str,
    },
    /// A DNS name that is no host name.
    #[error("a dNSName is a host name of letters, digits and hyphens ({0})")]
    DnsName(DnsNameFlaw),
    /// An e-mail address that is none.
    #[error("an rfc822Name is local-part@host in ASCII")]
    Email,
    /// A URI that is none.
    #[error("a uniformResourceIdentifier is scheme:rest in the characters of RFC 3986")]
    Uri,
    /// Neither IPv4 nor IPv6.
    #[error("an iPAddress has 4 or 16 octets, this one has {actual}")]
    IpAddress {
        /// Octets of this one.
        actual: usize,
    },
    /// x400Address or ediPartyName.
    #[error("a subjectAltName of this kind ({0}) is not supported")]
    UnsupportedKind(&'static str),
}

/// What is wrong with a DNS name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DnsNameFlaw {
    /// More than 253 octets or none.
    #[error("1 to 253 octets in all")]
    Length,
    /// A label that is empty (as after a final dot) or longer than 63 octets.
    #[error("labels of 1 to 63 octets, no final dot")]
    LabelLength,
    /// A wildcard.
    #[error("no wildcard")]
    Wildcard,
    /// A character that host names do not have.
    #[error("no other characters, no underscore; internationalized names as A-labels")]
    Character,
    /// A hyphen where none may stand.
    #[error("no hyphen at the ends of a label, and '--' only in A-labels")]
    Hyphen,
    /// An IP address written as a name.
    #[error("not an IP address")]
    IpAddress,
}

/// Judges every attribute of a distinguished name. The empty name passes.
///
/// # Errors
/// The first thing found wrong.
pub fn distinguished_name(name: &Name) -> Result<(), NameError> {
    name.rdns().iter().flatten().try_for_each(attribute)
}

/// Judges one attribute of a distinguished name.
///
/// # Errors
/// The first thing found wrong.
pub fn attribute(attribute: &AttributeTypeAndValue) -> Result<(), NameError> {
    let value = attribute.text().ok_or_else(|| NameError::NotText { attribute: attribute.oid.clone() })?;
    text("a subject attribute", &value, MAX_TEXT_OCTETS)
}

/// Judges one entry of a subjectAltName (RFC 5280 section 4.2.1.6).
///
/// # Errors
/// The first thing found wrong.
pub fn general_name(name: &GeneralName) -> Result<(), NameError> {
    match name {
        // Whether the type is one the device may have is for policy; here it is only bounded.
        GeneralName::OtherName { value, .. } => length("an otherName", value.len(), MAX_URI_OCTETS),
        GeneralName::Rfc822Name(address) => email(address),
        GeneralName::DnsName(name) => dns_name(name).map_err(NameError::DnsName),
        GeneralName::DirectoryName(name) => distinguished_name(name),
        GeneralName::Uri(text) => uri(text),
        // RFC 5280 §4.2.1.6: "MUST contain exactly four octets" for IPv4, sixteen for IPv6.
        GeneralName::IpAddress(octets) => match octets.len() {
            4 | 16 => Ok(()),
            actual => Err(NameError::IpAddress { actual }),
        },
        GeneralName::RegisteredId(_) => Ok(()),
        GeneralName::X400Address(_) => Err(NameError::UnsupportedKind("x400Address")),
        GeneralName::EdiPartyName(_) => Err(NameError::UnsupportedKind("ediPartyName")),
    }
}

/// Judges an identifier: text of which no other spelling looks the same to people.
///
/// # Errors
/// The first thing found wrong; `what` names the text in it.
pub fn identifier(what: &'static str, value: &str, limit: usize) -> Result<(), NameError> {
    text(what, value, limit)?;
    if value.trim() != value || value.contains("  ") {
        return Err(NameError::Spacing { what });
    }
    if !unicode_normalization::is_nfc(value) {
        return Err(NameError::Normalization { what });
    }
    Ok(())
}

/// Judges free text: its length, then every character.
///
/// # Errors
/// The first thing found wrong; `what` names the text in it.
pub fn text(what: &'static str, text: &str, limit: usize) -> Result<(), NameError> {
    length(what, text.len(), limit)?;
    if let Some(character) = text.chars().find(|character| is_forbidden(*character)) {
        return Err(NameError::Character { what, code_point: character.into() });
    }
    if text.split_whitespace().any(mixes_scripts) {
        return Err(NameError::MixedScripts { what });
    }
    Ok(())
}

fn length(what: &'static str, actual: usize, limit: usize) -> Result<(), NameError> {
    if (1..=limit).contains(&actual) { Ok(()) } else { Err(NameError::Length { what, limit, actual }) }
}

/// Characters that change what a reader, a log or a terminal sees of the text around them, or that nobody sees; beside
/// the control characters (C0, DEL, C1).
const FORBIDDEN: [RangeInclusive<char>; 32] = [
    // Spaces that look like U+0020.
    '\u{00a0}'..='\u{00a0}',
    '\u{1680}'..='\u{1680}',
    '\u{2000}'..='\u{200a}',
    '\u{202f}'..='\u{202f}',
    '\u{205f}'..='\u{205f}',
    '\u{3000}'..='\u{3000}',
    // Line and paragraph separators.
    '\u{2028}'..='\u{2029}',
    // Bidirectional controls.
    '\u{061c}'..='\u{061c}',
    '\u{200e}'..='\u{200f}',
    '\u{202a}'..='\u{202e}',
    '\u{2066}'..='\u{2069}',
    // Of no width, filling space with nothing, or changing how their neighbours look.
    '\u{00ad}'..='\u{00ad}',
    '\u{034f}'..='\u{034f}',
    '\u{115f}'..='\u{1160}',
    '\u{17b4}'..='\u{17b5}',
    '\u{180b}'..='\u{180f}',
    '\u{200b}'..='\u{200d}',
    '\u{2060}'..='\u{2065}',
    '\u{206a}'..='\u{206f}',
    '\u{3164}'..='\u{3164}',
    '\u{fe00}'..='\u{fe0f}',
    '\u{feff}'..='\u{feff}',
    '\u{ffa0}'..='\u{ffa0}',
    '\u{1bca0}'..='\u{1bca3}',
    '\u{1d173}'..='\u{1d17a}',
    // Specials, with the replacement character; noncharacters.
    '\u{fdd0}'..='\u{fdef}',
    '\u{fff0}'..='\u{ffff}',
    '\u{1fffe}'..='\u{1ffff}',
    '\u{2fffe}'..='\u{2ffff}',
    '\u{3fffe}'..='\u{3ffff}',
    // Private use; tags, variation selectors and private use of the last planes.
    '\u{e000}'..='\u{f8ff}',
    '\u{e0000}'..='\u{10ffff}',
];

fn is_forbidden(character: char) -> bool {
    character.is_control() || FORBIDDEN.iter().any(|range| range.contains(&character))
}

/// Whether a word has both Latin letters and letters of a script with Latin look-alikes, or letters that exist only to
/// look like Latin ones.
fn mixes_scripts(word: &str) -> bool {
    let latin = word.chars().any(|character| character.is_ascii_alphabetic());
    let look_alike = |character: char| {
        matches!(character,
            // Greek, Cyrillic, Armenian, Cherokee.
            '\u{0370}'..='\u{058f}' | '\u{13a0}'..='\u{13ff}' | '\u{1c80}'..='\u{1c8f}' | '\u{1f00}'..='\u{1fff}'
            | '\u{2de0}'..='\u{2dff}' | '\u{a640}'..='\u{a69f}' | '\u{ab70}'..='\u{abbf}')
    };
    let styled = |character: char| matches!(character, '\u{ff01}'..='\u{ff5e}' | '\u{1d400}'..='\u{1d7ff}');
    word.chars().any(styled) || (latin && word.chars().any(look_alike))
}

fn dns_name(name: &str) -> Result<(), DnsNameFlaw> {
    if name.is_empty() || name.len() > MAX_DNS_OCTETS {
        return Err(DnsNameFlaw::Length);
    }
    for label in name.split('.') {
        dns_label(label)?;
    }
    // RFC 3696 §2: no top-level domain is all digits; whatever ends so is read as an address by somebody.
    let last = name.rsplit('.').next().unwrap_or_default();
    let numeric = last.bytes().all(|octet| octet.is_ascii_digit());
    let hexadecimal =
        last.strip_prefix("0x").is_some_and(|digits| digits.bytes().all(|octet| octet.is_ascii_hexdigit()));
    if name.parse::<Ipv4Addr>().is_ok() || numeric || hexadecimal {
        return Err(DnsNameFlaw::IpAddress);
    }
    Ok(())
}

/// RFC 5890 section 2.3.1: an LDH label, reserved only when it is an A-label.
fn dns_label(label: &str) -> Result<(), DnsNameFlaw> {
    if label.contains('*') {
        return Err(DnsNameFlaw::Wildcard);
    }
    if label.is_empty() || label.len() > MAX_DNS_LABEL_OCTETS {
        return Err(DnsNameFlaw::LabelLength);
    }
    if !label.bytes().all(|octet| octet.is_ascii_alphanumeric() || octet == b'-') {
        return Err(DnsNameFlaw::Character);
    }
    let reserved = label.as_bytes().get(2..4) == Some(b"--");
    let a_label = label.get(..4).is_some_and(|prefix| prefix.eq_ignore_ascii_case("xn--"));
    if label.starts_with('-') || label.ends_with('-') || (reserved && !a_label) {
        return Err(DnsNameFlaw::Hyphen);
    }
    Ok(())
}

/// A Mailbox of RFC 5321 section 4.1.2 whose local part is a Dot-string, as nearly all are.
fn email(address: &str) -> Result<(), NameError> {
    length("an rfc822Name", address.len(), MAX_TEXT_OCTETS)?;
    let (local, host) = address.rsplit_once('@').ok_or(NameError::Email)?;
    let is_atext = |octet: u8| octet.is_ascii_alphanumeric() || b"!#$%&'*+-/=?^_`{|}~".contains(&octet);
    let is_dot_string = local.split('.').all(|atom| !atom.is_empty() && atom.bytes().all(is_atext));
    if local.len() > MAX_LOCAL_PART_OCTETS || !is_dot_string || dns_name(host).is_err() {
        return Err(NameError::Email);
    }
    Ok(())
}

/// RFC 3986: a scheme, a colon, and at least one of the characters a URI is made of.
fn uri(uri: &str) -> Result<(), NameError> {
    length("a uniformResourceIdentifier", uri.len(), MAX_URI_OCTETS)?;
    // RFC 5280 §4.2.1.6: "The name MUST NOT be a relative URI".
    let (scheme, rest) = uri.split_once(':').ok_or(NameError::Uri)?;
    let is_scheme = scheme.starts_with(|first: char| first.is_ascii_alphabetic())
        && scheme.bytes().all(|octet| octet.is_ascii_alphanumeric() || b"+-.".contains(&octet));
    let is_uri_octet = |octet: u8| octet.is_ascii_alphanumeric() || b"-._~:/?#[]@!$&'()*+,;=%".contains(&octet);
    let is_escaped = rest
        .split('%')
        .skip(1)
        .all(|escaped| escaped.len() >= 2 && escaped.as_bytes()[..2].iter().all(u8::is_ascii_hexdigit));
    if is_scheme && !rest.is_empty() && rest.bytes().all(is_uri_octet) && is_escaped {
        Ok(())
    } else {
        Err(NameError::Uri)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use estd_asn1::oid;
    use proptest::prelude::*;

    fn dns(name: &str) -> Result<(), DnsNameFlaw> {
        match general_name(&GeneralName::DnsName(name.to_owned())) {
            Ok(()) => Ok(()),
            Err(NameError::DnsName(flaw)) => Err(flaw),
            Err(other) => panic!("{other}"),
        }
    }

    #[test]
    fn dns_names_are_host_names() {
        for good in ["device-1.acme.example", "a", "1.example", "3com.com", "xn--bcher-kva.example", &"a".repeat(63)] {
            assert_eq!(dns(good), Ok(()), "{good}");
        }
        let long = format!("{}.{}.{}.{}", "a".repeat(63), "b".repeat(63), "c".repeat(63), "d".repeat(62));
        for (bad, flaw) in [
            ("*.acme.example", DnsNameFlaw::Wildcard),
            ("f*.example", DnsNameFlaw::Wildcard),
            ("192.0.2.1", DnsNameFlaw::IpAddress),
            ("192.0.2.0x1", DnsNameFlaw::IpAddress),
            ("a.b.1", DnsNameFlaw::IpAddress),
            ("acme.example.", DnsNameFlaw::LabelLength),
            (".acme", DnsNameFlaw::LabelLength),
            ("a..b", DnsNameFlaw::LabelLength),
            (&"a".repeat(64), DnsNameFlaw::LabelLength),
            ("under_score.example", DnsNameFlaw::Character),
            ("b\u{fc}cher.example", DnsNameFlaw::Character),
            ("a\0.example", DnsNameFlaw::Character),
            ("a b", DnsNameFlaw::Character),
            ("2001:db8::1", DnsNameFlaw::Character),
            ("-a.example", DnsNameFlaw::Hyphen),
            ("a-.example", DnsNameFlaw::Hyphen),
            ("ab--c.example", DnsNameFlaw::Hyphen),
            ("", DnsNameFlaw::Length),
            (&long, DnsNameFlaw::Length),
        ] {
            assert_eq!(dns(bad), Err(flaw), "{bad}");
        }
    }

    #[test]
    fn other_kinds_of_alternative_names_have_their_syntax() {
        let good = [
            GeneralName::Uri("urn:dev:mac:0024befffe804ff1".into()),
            GeneralName::Uri("spiffe://acme.example/device/1?a=%20#b".into()),
            GeneralName::Rfc822Name("device+1@acme.example".into()),
            GeneralName::IpAddress(vec![192, 0, 2, 1]),
            GeneralName::IpAddress(vec![0; 16]),
            GeneralName::RegisteredId(oid::AT_COMMON_NAME),
        ];
        for name in good {
            assert_eq!(general_name(&name), Ok(()), "{name:?}");
        }
        let bad = [
            GeneralName::Uri("no-scheme".into()),
            GeneralName::Uri("1http://acme.example".into()),
            GeneralName::Uri("http:".into()),
            GeneralName::Uri("http://acme.example/%2".into()),
            GeneralName::Uri("http://acme.example/<script>".into()),
            GeneralName::Uri("http://acme.example/\r\nHost:x".into()),
            GeneralName::Uri(format!("urn:{}", "a".repeat(MAX_URI_OCTETS))),
            GeneralName::Rfc822Name("acme.example".into()),
            GeneralName::Rfc822Name("a@b@acme.example".into()),
            GeneralName::Rfc822Name("a b@acme.example".into()),
            GeneralName::Rfc822Name("a@[192.0.2.1]".into()),
            GeneralName::IpAddress(vec![0; 8]),
            GeneralName::X400Address(vec![0xa3, 0]),
        ];
        for name in bad {
            assert!(general_name(&name).is_err(), "{name:?}");
        }
    }

    fn judge(value: &str) -> Result<(), NameError> {
        text("it", value, MAX_TEXT_OCTETS)
    }

    #[test]
    fn text_may_be_in_any_script_but_not_in_disguise() {
        for good in [
            "device 1",
            "Z\u{fc}rich",
            "\u{417}\u{430}\u{432}\u{43e}\u{434} ABC",
            "\u{5de5}\u{5834}A1",
            "${jndi:ldap://x} <b>",
        ] {
            assert_eq!(judge(good), Ok(()), "{good:?}");
        }
        // "pаypal" with a Cyrillic a; full width; mathematical bold.
        for bad in ["p\u{430}ypal", "\u{ff41}dmin", "\u{1d41a}dmin"] {
            assert_eq!(judge(bad), Err(NameError::MixedScripts { what: "it" }), "{bad:?}");
        }
        assert_eq!(judge(&"a".repeat(256)), Ok(()));
        assert_eq!(judge(&"a".repeat(257)), Err(NameError::Length { what: "it", limit: 256, actual: 257 }));
        assert!(judge("").is_err());
    }

    #[test]
    fn characters_that_deceive_are_refused_wherever_they_stand() {
        let controls = "\0\t\n\r\u{1b}\u{7f}\u{85}\u{9b}";
        let disguises = "\u{ad}\u{200b}\u{200f}\u{202e}\u{2028}\u{2066}\u{feff}\u{fffd}\u{fffe}\u{e0041}";
        for character in controls.chars().chain(disguises.chars()) {
            let expected = Err(NameError::Character { what: "it", code_point: character.into() });
            for value in [format!("{character}a"), format!("a{character}b"), format!("a{character}")] {
                assert_eq!(judge(&value), expected);
            }
        }
    }

    proptest! {
        /// Whatever passes stays on one line and shows every character it has.
        #[test]
        fn accepted_text_has_no_control_characters(value in "\\PC{0,20}[\\x00-\\u{ffff}]{0,4}\\PC{0,20}") {
            if judge(&value).is_ok() {
                prop_assert!(!value.chars().any(char::is_control));
                prop_assert!(value.lines().count() <= 1);
            }
        }

        #[test]
        fn accepted_dns_names_resolve_to_nothing_else(name in "[a-z0-9.*_-]{1,40}") {
            if dns(&name).is_ok() {
                prop_assert!(name.parse::<std::net::IpAddr>().is_err());
                prop_assert!(!name.contains(['*', '_']) && !name.ends_with('.'));
            }
        }
    }
}
