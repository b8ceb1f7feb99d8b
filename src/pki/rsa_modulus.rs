//! Signs in an RSA modulus that its factors are easy to find.

use rsa::BigUint;

/// Why a modulus is weak.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ModulusWeakness {
    /// Divisible by a small prime.
    #[error("it is divisible by {0}")]
    SmallFactor(u64),
    /// CVE-2017-15361: made by a library whose primes have a recognizable structure.
    #[error("it carries the fingerprint of a flawed key generator (ROCA, CVE-2017-15361)")]
    Roca,
    /// The two primes are so close that Fermat's method finds them.
    #[error("its two primes are too close to each other")]
    ClosePrimes,
}

/// Odd primes below this are tried as factors, as in NIST SP 800-89 section 5.3.3.
const SMALL_PRIME_LIMIT: u64 = 752;

/// Steps of Fermat's method. Sound key generators keep the primes so far apart that no number of steps would do.
const FERMAT_ROUNDS: u32 = 100;

/// The primes that the ROCA fingerprint looks at, up to this one.
const ROCA_PRIME_LIMIT: u64 = 167;

/// Looks for weaknesses in a modulus, cheapest first. The caller has bounded its size and found it odd.
pub(super) fn find_weakness(modulus: &[u8]) -> Option<ModulusWeakness> {
    let modulus = BigUint::from_bytes_be(modulus);
    let residues = small_residues(&modulus);
    if let Some(&(prime, _)) = residues.iter().find(|(_, residue)| *residue == 0) {
        return Some(ModulusWeakness::SmallFactor(prime));
    }
    if is_roca(&residues) {
        return Some(ModulusWeakness::Roca);
    }
    has_close_primes(&modulus).then_some(ModulusWeakness::ClosePrimes)
}

/// The modulus modulo each small odd prime. The primes are taken in groups whose product fits 64 bits, so that the long
/// division is done a few times only.
fn small_residues(modulus: &BigUint) -> Vec<(u64, u64)> {
    let mut residues = Vec::with_capacity(132);
    let mut group: Vec<u64> = Vec::new();
    let mut product = 1_u64;
    let mut divide = |group: &mut Vec<u64>, product: u64| {
        let remainder = u64_remainder(modulus, product);
        residues.extend(group.drain(..).map(|prime| (prime, remainder % prime)));
    };
    for prime in (3..SMALL_PRIME_LIMIT).step_by(2).filter(|&candidate| is_small_prime(candidate)) {
        product = match product.checked_mul(prime) {
            Some(larger) => larger,
            None => {
                divide(&mut group, product);
                prime
            }
        };
        group.push(prime);
    }
    divide(&mut group, product);
    residues
}

/// Primality by trial division, for odd numbers below [`SMALL_PRIME_LIMIT`].
fn is_small_prime(candidate: u64) -> bool {
    (3..).step_by(2).take_while(|divisor| divisor * divisor <= candidate).all(|divisor| candidate % divisor != 0)
}

fn u64_remainder(number: &BigUint, divisor: u64) -> u64 {
    let remainder = (number % divisor).to_bytes_be();
    remainder.iter().fold(0, |value, &octet| value << 8 | u64::from(octet))
}

/// Whether the modulus is a power of 65537 modulo every prime looked at (Nemec et al., "The Return of Coppersmith's
/// Attack", section 2.2). About one sound modulus in 2^27 is.
fn is_roca(residues: &[(u64, u64)]) -> bool {
    residues.iter().filter(|(prime, _)| *prime <= ROCA_PRIME_LIMIT).all(|&(prime, residue)| {
        let generator = 65_537 % prime;
        let mut power = 1;
        loop {
            if power == residue {
                return true;
            }
            power = power * generator % prime;
            if power == 1 {
                return false;
            }
        }
    })
}

/// Fermat's method: n = a^2 - b^2 with a next to the square root of n when the primes are close.
fn has_close_primes(modulus: &BigUint) -> bool {
    let mut a = modulus.sqrt();
    if &(&a * &a) == modulus {
        return true;
    }
    a += 1_u32;
    let mut b_squared = &a * &a - modulus;
    for _ in 0..FERMAT_ROUNDS {
        if is_square(&b_squared) {
            return true;
        }
        // (a + 1)^2 - n = a^2 - n + 2a + 1
        b_squared += (&a << 1_usize) + 1_u32;
        a += 1_u32;
    }
    false
}

/// Whether a number is a square; residues modulo 720720 spare the root of nearly all that are not.
fn is_square(number: &BigUint) -> bool {
    let residue = u64_remainder(number, 720_720);
    // Squares modulo 16, 9, 5, 7, 11 and 13, one bit for each residue.
    const SQUARES: [(u64, u16); 6] = [(16, 0x0213), (9, 0x0093), (5, 0x0013), (7, 0x0017), (11, 0x023b), (13, 0x161b)];
    if SQUARES.iter().any(|(modulus, squares)| squares >> (residue % modulus) & 1 == 0) {
        return false;
    }
    let root = number.sqrt();
    &(&root * &root) == number
}

#[cfg(test)]
mod tests {
    use super::*;
    use rsa::BigUint;
    use rsa::rand_core::OsRng;
    use rsa::traits::PublicKeyParts;

    fn weakness(modulus: &BigUint) -> Option<ModulusWeakness> {
        find_weakness(&modulus.to_bytes_be())
    }

    /// 2^1024 + 643 is prime, as is 2^1024 + 1081 or not: closeness is what Fermat's method sees, not primality.
    #[test]
    fn close_factors_are_found_and_far_ones_are_not() {
        let base = BigUint::from(1_u32) << 1024_usize;
        // Neither factor has a small factor of its own.
        let p = next_without_small_factor(base.clone() + 643_u32);
        let q = next_without_small_factor(&p + 100_000_u32);
        assert_eq!(weakness(&(&p * &q)), Some(ModulusWeakness::ClosePrimes));
        assert_eq!(weakness(&(&p * &p)), Some(ModulusWeakness::ClosePrimes));
        let far = next_without_small_factor(&p + (BigUint::from(1_u32) << 1000_usize));
        assert_eq!(weakness(&(&p * &far)), None);
    }

    #[test]
    fn small_factors_are_found() {
        let base = next_without_small_factor(BigUint::from(1_u32) << 2040_usize);
        assert_eq!(weakness(&(&base * 3_u32)), Some(ModulusWeakness::SmallFactor(3)));
        assert_eq!(weakness(&(&base * 751_u32)), Some(ModulusWeakness::SmallFactor(751)));
    }

    /// A prime of the flawed generator is k * M + (65537^a mod M), M the product of the first primes.
    #[test]
    fn the_structure_of_roca_is_recognized() {
        let primes = (3..=ROCA_PRIME_LIMIT).step_by(2).filter(|&candidate| is_small_prime(candidate));
        let m = primes.fold(BigUint::from(2_u32), |product, prime| product * prime);
        let factor = |k: u32, exponent: u32| {
            let structured = BigUint::from(65_537_u32).modpow(&BigUint::from(exponent), &m);
            (1_u32..)
                .map(|step| &m * (u64::from(k) + u64::from(step)) + &structured)
                .find(without_small_factor)
                .unwrap()
        };
        let modulus = factor(1 << 30, 12_345) * factor(3 << 29, 54_321);
        assert_eq!(weakness(&modulus), Some(ModulusWeakness::Roca));
    }

    #[test]
    fn a_sound_modulus_passes() {
        let key = rsa::RsaPrivateKey::new(&mut OsRng, 2048).unwrap();
        assert_eq!(weakness(key.n()), None);
    }

    #[test]
    fn the_masks_of_squares_are_right() {
        for number in 0_u64..5_000 {
            let root = number.isqrt();
            assert_eq!(is_square(&BigUint::from(number)), root * root == number, "{number}");
        }
    }

    fn without_small_factor(number: &BigUint) -> bool {
        number.bits() > 0
            && number.to_bytes_be().last().is_some_and(|octet| octet & 1 == 1)
            && small_residues(number).iter().all(|(_, residue)| *residue != 0)
    }

    fn next_without_small_factor(from: BigUint) -> BigUint {
        (0_u32..).map(|step| &from + step).find(without_small_factor).unwrap()
    }
}
