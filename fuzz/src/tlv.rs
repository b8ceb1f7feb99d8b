//! A reader of tag, length and value, of its own on purpose: the decoder under test is no oracle of itself.

/// One value of BER with a definite length.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tlv<'a> {
    /// The first identifier octet.
    pub tag: u8,
    /// Identifier, length and content.
    pub whole: &'a [u8],
    /// Content.
    pub content: &'a [u8],
}

impl<'a> Tlv<'a> {
    /// Reads the first value, and hands back what follows it.
    pub fn read(octets: &'a [u8]) -> Option<(Self, &'a [u8])> {
        let (tag, mut after) = octets.split_first()?;
        if tag & 0x1f == 0x1f {
            // X.690 section 8.1.2.4: the number follows, bit 8 says that it goes on.
            let number = after.iter().take_while(|octet| **octet >= 0x80).count() + 1;
            after = after.get(number..)?;
        }
        let (first, after) = after.split_first()?;
        let (length, after) = if *first < 0x80 {
            (usize::from(*first), after)
        } else {
            let (octets, after) = after.split_at_checked(usize::from(first & 0x7f))?;
            let length = |sum: usize, octet: &u8| sum.checked_mul(256)?.checked_add(usize::from(*octet));
            (octets.iter().try_fold(0, length).filter(|_| *first > 0x80)?, after)
        };
        let (content, rest) = after.split_at_checked(length)?;
        Some((Self { tag: *tag, whole: &octets[..octets.len() - rest.len()], content }, rest))
    }

    /// Reads one value that is all there is.
    pub fn only(octets: &'a [u8]) -> Option<Self> {
        Self::read(octets).filter(|(_, rest)| rest.is_empty()).map(|(tlv, _)| tlv)
    }

    /// The values inside a constructed one.
    pub fn elements(&self) -> Option<Vec<Self>> {
        let mut rest = self.content;
        let mut elements = Vec::new();
        while !rest.is_empty() {
            let (element, after) = Self::read(rest)?;
            elements.push(element);
            rest = after;
        }
        Some(elements)
    }
}

/// Writes one value: the definite length in its shortest form.
pub fn write(tag: u8, content: &[u8]) -> Vec<u8> {
    let length = content.len().to_be_bytes();
    let significant = &length[length.iter().take_while(|octet| **octet == 0).count()..];
    match significant {
        [] => vec![tag, 0],
        [short @ ..0x80] => [&[tag, *short], content].concat(),
        long => [&[tag, 0x80 | long.len() as u8], long, content].concat(),
    }
}

/// The three parts of what X.509 and PKCS #10 call signed: what was signed, how, and the signature.
#[derive(Debug, Clone, Copy)]
pub struct Signed<'a> {
    /// The TLV that was signed.
    pub content: Tlv<'a>,
    /// AlgorithmIdentifier.
    pub algorithm: Tlv<'a>,
    /// The octets of the BIT STRING, without the count of unused bits.
    pub signature: &'a [u8],
}

impl<'a> Signed<'a> {
    /// Takes a certificate or a certification request apart.
    pub fn read(der: &'a [u8]) -> Option<Self> {
        let elements = Tlv::only(der).filter(|outer| outer.tag == 0x30)?.elements()?;
        let [content, algorithm, signature] = elements.as_slice() else { return None };
        let tags = [content.tag, algorithm.tag, signature.tag];
        let signature = signature.content.strip_prefix(&[0]).filter(|_| tags == [0x30, 0x30, 0x03])?;
        Some(Self { content: *content, algorithm: *algorithm, signature })
    }

    /// Puts the parts together again, as DER does.
    pub fn write(&self) -> Vec<u8> {
        let signature = write(0x03, &[&[0], self.signature].concat());
        write(0x30, &[self.content.whole, self.algorithm.whole, &signature].concat())
    }
}
