//! Just enough DER to read certificates and to write requests that no well-behaved tool would write.

use crate::matrix::Problem;

/// Tags used here.
pub(crate) const BOOLEAN: u8 = 0x01;
pub(crate) const INTEGER: u8 = 0x02;
pub(crate) const BIT_STRING: u8 = 0x03;
pub(crate) const OCTET_STRING: u8 = 0x04;
pub(crate) const NULL: u8 = 0x05;
pub(crate) const OBJECT_IDENTIFIER: u8 = 0x06;
pub(crate) const UTF8_STRING: u8 = 0x0c;
pub(crate) const SEQUENCE: u8 = 0x30;
pub(crate) const SET: u8 = 0x31;

/// One value: its tag, its content, and both together as they stood.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Value<'a> {
    pub(crate) tag: u8,
    pub(crate) content: &'a [u8],
    pub(crate) whole: &'a [u8],
}

impl<'a> Value<'a> {
    /// The single value `bytes` consist of; nothing may follow it.
    pub(crate) fn parse(bytes: &'a [u8]) -> Result<Self, Problem> {
        let (value, rest) = Self::split(bytes)?;
        if rest.is_empty() {
            return Ok(value);
        }
        Err(Problem::failed(format!("{} octets follow the DER value", rest.len())))
    }

    /// The values inside a constructed one.
    pub(crate) fn children(&self) -> Result<Vec<Value<'a>>, Problem> {
        let mut children = Vec::new();
        let mut rest = self.content;
        while !rest.is_empty() {
            let (child, after) = Self::split(rest)?;
            children.push(child);
            rest = after;
        }
        Ok(children)
    }

    /// The child at `index`.
    pub(crate) fn child(&self, index: usize) -> Result<Value<'a>, Problem> {
        let children = self.children()?;
        children
            .get(index)
            .copied()
            .ok_or_else(|| Problem::failed(format!("expected child {index}, there are {}", children.len())))
    }

    /// X.690 section 10.1: the definite form, in as few octets as possible.
    fn split(bytes: &'a [u8]) -> Result<(Self, &'a [u8]), Problem> {
        let broken = |what: &str| Problem::failed(format!("not DER: {what}"));
        let [tag, first, ..] = *bytes else { return Err(broken("truncated")) };
        let (length, header) = match first {
            0..=0x7f => (usize::from(first), 2),
            0x80 => return Err(broken("indefinite length")),
            0x81..=0x84 => {
                let count = usize::from(first & 0x7f);
                let octets = bytes.get(2..2 + count).ok_or_else(|| broken("truncated length"))?;
                let length = octets.iter().fold(0_usize, |sum, octet| sum << 8 | usize::from(*octet));
                if length < 0x80 || octets[0] == 0 {
                    return Err(broken("length is not minimal"));
                }
                (length, 2 + count)
            }
            _ => return Err(broken("length of more than four octets")),
        };
        let whole = bytes.get(..header + length).ok_or_else(|| broken("truncated content"))?;
        Ok((Self { tag, content: &whole[header..], whole }, &bytes[header + length..]))
    }
}

/// Writes one value.
pub(crate) fn value(tag: u8, content: impl AsRef<[u8]>) -> Vec<u8> {
    let content = content.as_ref();
    let mut der = vec![tag];
    let length = content.len();
    if length < 0x80 {
        // Cannot be lossy: it was compared with 0x80.
        der.push(length as u8);
    } else {
        let octets: Vec<u8> = length.to_be_bytes().into_iter().skip_while(|octet| *octet == 0).collect();
        der.push(0x80 | octets.len() as u8);
        der.extend(octets);
    }
    der.extend_from_slice(content);
    der
}

/// A SEQUENCE of values already encoded.
pub(crate) fn sequence(parts: &[&[u8]]) -> Vec<u8> {
    value(SEQUENCE, parts.concat())
}

/// A SET of values already encoded, in the order given.
pub(crate) fn set(parts: &[&[u8]]) -> Vec<u8> {
    value(SET, parts.concat())
}

/// An OBJECT IDENTIFIER from its dotted form.
pub(crate) fn oid(dotted: &str) -> Vec<u8> {
    let arcs: Vec<u64> = dotted.split('.').filter_map(|arc| arc.parse().ok()).collect();
    let mut content = Vec::new();
    if let [first, second, rest @ ..] = arcs.as_slice() {
        for arc in std::iter::once(first * 40 + second).chain(rest.iter().copied()) {
            let mut groups = vec![(arc & 0x7f) as u8];
            let mut left = arc >> 7;
            while left > 0 {
                groups.push(0x80 | (left & 0x7f) as u8);
                left >>= 7;
            }
            content.extend(groups.into_iter().rev());
        }
    }
    value(OBJECT_IDENTIFIER, content)
}

/// A BIT STRING without unused bits.
pub(crate) fn bit_string(bytes: &[u8]) -> Vec<u8> {
    value(BIT_STRING, [&[0], bytes].concat())
}

/// A non-negative INTEGER from its magnitude, big endian.
pub(crate) fn unsigned(magnitude: &[u8]) -> Vec<u8> {
    let pad: &[u8] = if magnitude.first().is_none_or(|octet| *octet >= 0x80) { &[0] } else { &[] };
    value(INTEGER, [pad, magnitude].concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn written_values_read_back() {
        let long = vec![7; 300];
        let der = sequence(&[&oid("1.2.840.113549.1.9.14"), &value(OCTET_STRING, &long), &unsigned(&[0x80])]);
        let children = Value::parse(&der).unwrap().children().unwrap();
        assert_eq!(children[0].content, [0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x09, 0x0e]);
        assert_eq!(children[1].content, long);
        assert_eq!(children[2].content, [0, 0x80]);
    }

    #[test]
    fn indefinite_and_padded_lengths_are_refused() {
        assert!(Value::parse(&[0x30, 0x80, 0, 0]).is_err());
        assert!(Value::parse(&[0x04, 0x81, 1, 0]).is_err());
        assert!(Value::parse(&[0x04, 1, 0, 0]).is_err());
    }
}
