//! What counts as one address, wherever something is counted by address.

use std::net::{IpAddr, Ipv6Addr};

/// An IPv4 address as it is, or the /64 network that an IPv6 host moves in freely.
pub fn network(peer: IpAddr) -> IpAddr {
    match peer.to_canonical() {
        IpAddr::V4(address) => IpAddr::V4(address),
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
        }
    }
}
