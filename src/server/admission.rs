//! How many connections there are, in all and from one address.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use crate::est::network::network;

/// Counts connections. Clones count together.
#[derive(Clone, Default)]
pub(super) struct Admissions(Arc<Mutex<Counts>>);

#[derive(Default)]
struct Counts {
    all: usize,
    by_source: HashMap<IpAddr, usize>,
}

/// One connection's place; given back when dropped.
pub(super) struct Admission {
    admissions: Admissions,
    source: IpAddr,
}

/// Why a connection is not let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Full {
    /// `max_connections`
    Server,
    /// `max_connections_per_address`
    Address,
}

impl Admissions {
    /// Lets a connection in unless a limit is reached.
    pub(super) fn admit(&self, peer: IpAddr, most: usize, most_per_address: usize) -> Result<Admission, Full> {
        let source = network(peer);
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if counts.all >= most {
            return Err(Full::Server);
        }
        let of_source = counts.by_source.entry(source).or_default();
        if *of_source >= most_per_address {
            return Err(Full::Address);
        }
        *of_source += 1;
        counts.all += 1;
        Ok(Admission { admissions: self.clone(), source })
    }
}

impl Drop for Admission {
    fn drop(&mut self) {
        let mut counts = self.admissions.0.lock().unwrap_or_else(PoisonError::into_inner);
        counts.all -= 1;
        if let Some(of_source) = counts.by_source.get_mut(&self.source) {
            *of_source -= 1;
            if *of_source == 0 {
                counts.by_source.remove(&self.source);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn one_address_is_held_to_its_share_and_all_to_the_whole() {
        let admissions = Admissions::default();
        let admit = |peer: &str| admissions.admit(ip(peer), 3, 2);
        let first = admit("192.0.2.1").unwrap();
        let _second = admit("::ffff:192.0.2.1").unwrap();
        assert_eq!(admit("192.0.2.1").err(), Some(Full::Address));
        let _third = admit("2001:db8::1").unwrap();
        assert_eq!(admit("198.51.100.1").err(), Some(Full::Server));
        drop(first);
        assert!(admit("192.0.2.1").is_ok());
    }

    #[test]
    fn an_ipv6_network_counts_as_one_address() {
        let admissions = Admissions::default();
        let _first = admissions.admit(ip("2001:db8::1"), 9, 1).unwrap();
        assert_eq!(admissions.admit(ip("2001:db8::2"), 9, 1).err(), Some(Full::Address));
        assert!(admissions.admit(ip("2001:db8:0:1::2"), 9, 1).is_ok());
    }

    #[test]
    fn nothing_is_kept_of_those_who_left_or_were_not_let_in() {
        let admissions = Admissions::default();
        drop(admissions.admit(ip("192.0.2.1"), 1, 1).unwrap());
        assert!(admissions.admit(ip("192.0.2.1"), 0, 1).is_err());
        assert!(admissions.0.lock().unwrap().by_source.is_empty());
    }
}
