//! Where a webhook may connect to: addresses of the internet, and others only where the operator allows them.
//!
//! The name of a receiver is resolved by the server, within its own network. A name that leads to an address of that network
//! would let whoever controls the name talk to what is reachable from there (server-side request forgery).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Why a webhook does not connect to an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AddressRefused {
    /// An address of this machine or of a private network.
    #[error("{0} is an address of this machine or of a private network, and allow_private is false")]
    Private(IpAddr),
    /// An address that no receiver has.
    #[error("{0} is an address that no webhook connects to")]
    Never(IpAddr),
}

/// What kind of address it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Public,
    /// This machine, or a network of one's own.
    Private,
    /// Link-local, where clouds keep their metadata; multicast, unspecified, reserved: not even allowed ones.
    Never,
}

/// The address when a webhook may connect to it.
///
/// # Errors
/// When it may not.
pub(super) fn allowed(address: IpAddr, allow_private: bool) -> Result<IpAddr, AddressRefused> {
    let kind = match address {
        IpAddr::V4(address) => v4(address),
        IpAddr::V6(address) => v6(address),
    };
    match kind {
        Kind::Public => Ok(address),
        Kind::Private if allow_private => Ok(address),
        Kind::Private => Err(AddressRefused::Private(address)),
        Kind::Never => Err(AddressRefused::Never(address)),
    }
}

/// By the IANA IPv4 Special-Purpose Address Registry (RFC 6890).
fn v4(address: Ipv4Addr) -> Kind {
    match address.octets() {
        // "This network" (RFC 791), link-local (RFC 3927): there is the metadata service of most clouds.
        [0, ..] | [169, 254, ..] => Kind::Never,
        // Documentation (RFC 5737), 6to4 relays (RFC 7526), benchmarks (RFC 2544).
        [192, 0, 2, _] | [198, 51, 100, _] | [203, 0, 113, _] | [192, 88, 99, _] | [198, 18..=19, ..] => Kind::Never,
        // The metadata service of Alibaba Cloud, within the shared address space.
        [100, 100, 100, 200] => Kind::Never,
        // Multicast (RFC 5771), reserved (RFC 1112), broadcast.
        [224..=255, ..] => Kind::Never,
        // Loopback, private (RFC 1918), shared address space (RFC 6598), IETF protocol assignments (RFC 6890).
        [127 | 10, ..] | [192, 168, ..] | [172, 16..=31, ..] | [100, 64..=127, ..] | [192, 0, 0, _] => Kind::Private,
        _ => Kind::Public,
    }
}

/// By the IANA IPv6 Special-Purpose Address Registry (RFC 6890).
fn v6(address: Ipv6Addr) -> Kind {
    if address == Ipv6Addr::LOCALHOST {
        return Kind::Private;
    }
    match address.segments() {
        // IPv4-mapped (RFC 4291 §2.5.5.2): no name leads there but to get around a check of IPv4 addresses. Where private
        // ones are allowed it is judged as what it stands for.
        [0, 0, 0, 0, 0, 0xffff, high, low] => match v4(embedded(high, low)) {
            Kind::Public | Kind::Private => Kind::Private,
            Kind::Never => Kind::Never,
        },
        // NAT64 (RFC 6052): how IPv4 is reached from a network that has none.
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] => v4(embedded(high, low)),
        // The metadata service of Amazon, within the unique local addresses (RFC 4193).
        [0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254] => Kind::Never,
        [0xfc00..=0xfdff, ..] => Kind::Private,
        // Teredo, benchmarks and other protocol assignments (RFC 2928), documentation (RFC 3849, RFC 9637), 6to4 (RFC 3056).
        [0x2001, 0..=0x1ff, ..] | [0x2001, 0xdb8, ..] | [0x3fff, 0..=0xfff, ..] | [0x2002, ..] => Kind::Never,
        // Global unicast (RFC 4291 §2.4).
        [0x2000..=0x3fff, ..] => Kind::Public,
        // Unspecified, link-local, site-local, multicast and what nobody has assigned.
        _ => Kind::Never,
    }
}

fn embedded(high: u16, low: u16) -> Ipv4Addr {
    let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
    Ipv4Addr::new(a, b, c, d)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each with what it is: public, private, or never to be connected to.
    const TABLE: &[(&str, Kind)] = &[
        ("8.8.8.8", Kind::Public),
        ("1.1.1.1", Kind::Public),
        ("172.15.255.255", Kind::Public),
        ("172.32.0.0", Kind::Public),
        ("100.63.255.255", Kind::Public),
        ("100.128.0.0", Kind::Public),
        ("192.0.1.1", Kind::Public),
        ("223.255.255.255", Kind::Public),
        ("127.0.0.1", Kind::Private),
        ("127.255.255.254", Kind::Private),
        ("10.0.0.1", Kind::Private),
        ("172.16.0.1", Kind::Private),
        ("172.31.255.255", Kind::Private),
        ("192.168.1.1", Kind::Private),
        ("100.64.0.1", Kind::Private),
        ("192.0.0.170", Kind::Private),
        ("0.0.0.0", Kind::Never),
        ("0.1.2.3", Kind::Never),
        ("169.254.169.254", Kind::Never),
        ("169.254.0.1", Kind::Never),
        ("100.100.100.200", Kind::Never),
        ("192.0.2.1", Kind::Never),
        ("198.18.0.1", Kind::Never),
        ("198.19.255.255", Kind::Never),
        ("198.51.100.1", Kind::Never),
        ("203.0.113.1", Kind::Never),
        ("224.0.0.1", Kind::Never),
        ("239.255.255.255", Kind::Never),
        ("240.0.0.1", Kind::Never),
        ("255.255.255.255", Kind::Never),
        ("2606:4700::1111", Kind::Public),
        ("2a00:1450::1", Kind::Public),
        ("64:ff9b::8.8.8.8", Kind::Public),
        ("::1", Kind::Private),
        ("fc00::1", Kind::Private),
        ("fd12:3456::1", Kind::Private),
        ("::ffff:127.0.0.1", Kind::Private),
        ("::ffff:10.0.0.1", Kind::Private),
        ("::ffff:8.8.8.8", Kind::Private),
        ("64:ff9b::10.0.0.1", Kind::Private),
        ("64:ff9b::127.0.0.1", Kind::Private),
        ("::", Kind::Never),
        ("::127.0.0.1", Kind::Never),
        ("::ffff:169.254.169.254", Kind::Never),
        ("::ffff:0.0.0.0", Kind::Never),
        ("64:ff9b::169.254.169.254", Kind::Never),
        ("64:ff9b:1::1", Kind::Never),
        ("fe80::1", Kind::Never),
        ("fec0::1", Kind::Never),
        ("fd00:ec2::254", Kind::Never),
        ("ff02::1", Kind::Never),
        ("100::1", Kind::Never),
        ("2001::1", Kind::Never),
        ("2001:db8::1", Kind::Never),
        ("2002:7f00:1::", Kind::Never),
        ("3fff::1", Kind::Never),
    ];

    #[test]
    fn only_addresses_of_the_internet_are_connected_to_unless_others_are_allowed() {
        for (text, kind) in TABLE {
            let address: IpAddr = text.parse().unwrap();
            assert_eq!(allowed(address, false).is_ok(), *kind == Kind::Public, "{text}");
            assert_eq!(allowed(address, true).is_ok(), *kind != Kind::Never, "{text} where private ones are allowed");
        }
    }
}
