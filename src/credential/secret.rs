//! Secrets that are made here, API tokens and enrollment codes: random enough that a plain hash keeps them.

use zeroize::Zeroizing;

use crate::pki::digest::{hex, sha256};

/// Random octets of an API token.
pub const TOKEN_OCTETS: usize = 32;

/// Characters of an enrollment code, five bits each: nobody guesses 100 bits, not even from the hash.
pub const CODE_CHARACTERS: usize = 20;

/// Crockford's base 32: no I, L, O or U to misread.
const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";

/// An API token of random octets: `estd_` and 64 hexadecimal digits.
pub fn token(random: &[u8; TOKEN_OCTETS]) -> Zeroizing<String> {
    Zeroizing::new(format!("estd_{}", hex(random)))
}

/// An enrollment code of random octets: `7K2MD-R9XQ4-…`, for people to type.
pub fn code(random: &[u8; CODE_CHARACTERS]) -> Zeroizing<String> {
    let mut code = Zeroizing::new(String::with_capacity(CODE_CHARACTERS + 3));
    for (position, octet) in random.iter().enumerate() {
        if position > 0 && position % 5 == 0 {
            code.push('-');
        }
        // 256 is a multiple of 32: every character is as likely as every other.
        code.push(char::from(ALPHABET[usize::from(octet % 32)]));
    }
    code
}

/// The hash by which a secret is declared.
pub fn hash(secret: &str) -> [u8; 32] {
    sha256(&[secret.as_bytes()])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_as_long_as_they_say() {
        assert_eq!(token(&[0xab; 32]).len(), 5 + 64);
        let mut random = [0; CODE_CHARACTERS];
        random.iter_mut().zip(0..).for_each(|(octet, value)| *octet = value * 13);
        let code = code(&random);
        assert_eq!(code.split('-').map(str::len).collect::<Vec<_>>(), [5, 5, 5, 5]);
        assert_eq!(&code[..11], "0DT7M-1EV8N");
    }
}
