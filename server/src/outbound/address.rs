//! Which addresses the server may call where others name them. Whoever can have it call any would
//! reach what only this machine can: its own services, those of its network, the metadata of its
//! cloud.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

/// Networks of IPv4 that are not everybody's: private, of this host or link, shared by a carrier,
/// for examples and measurements, for groups, or reserved.
///
/// Source: IANA's registries of special-purpose addresses and of multicast.
const SPECIAL_V4: [Ipv4Net; 15] = [
    v4([0, 0, 0, 0], 8),
    v4([10, 0, 0, 0], 8),
    v4([100, 64, 0, 0], 10),
    v4([127, 0, 0, 0], 8),
    v4([169, 254, 0, 0], 16),
    v4([172, 16, 0, 0], 12),
    v4([192, 0, 0, 0], 24),
    v4([192, 0, 2, 0], 24),
    v4([192, 88, 99, 0], 24),
    v4([192, 168, 0, 0], 16),
    v4([198, 18, 0, 0], 15),
    v4([198, 51, 100, 0], 24),
    v4([203, 0, 113, 0], 24),
    v4([224, 0, 0, 0], 4),
    v4([240, 0, 0, 0], 4),
];

/// What is everybody's of IPv6.
const GLOBAL_V6: Ipv6Net = v6([0x2000, 0], 3);

/// Networks within that which are not: tunnels, identifiers, measurements, examples.
const SPECIAL_V6: [Ipv6Net; 3] =
    [v6([0x2001, 0], 23), v6([0x2001, 0x0db8], 32), v6([0x3fff, 0], 20)];

const fn v4([a, b, c, d]: [u8; 4], length: u8) -> Ipv4Net {
    Ipv4Net::new_assert(Ipv4Addr::new(a, b, c, d), length)
}

const fn v6([a, b]: [u16; 2], length: u8) -> Ipv6Net {
    Ipv6Net::new_assert(Ipv6Addr::new(a, b, 0, 0, 0, 0, 0, 0), length)
}

/// Whether an address is one of the public internet, or in one of the networks that are allowed
/// beside it.
pub(super) fn may_be_called(address: IpAddr, allowed: &[IpNet]) -> bool {
    let reached = reached(address);
    let is_allowed = |network: &IpNet| network.contains(&address) || network.contains(&reached);
    is_public(reached) || allowed.iter().any(is_allowed)
}

fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => !SPECIAL_V4.iter().any(|network| network.contains(&address)),
        IpAddr::V6(address) => {
            GLOBAL_V6.contains(&address)
                && !SPECIAL_V6.iter().any(|network| network.contains(&address))
        }
    }
}

/// What is reached by an address: one of IPv4 may stand in one of IPv6, where it is mapped, where a
/// gateway of the network translates it (RFC 6052), and where it is the end of a tunnel (RFC 3056).
fn reached(address: IpAddr) -> IpAddr {
    let IpAddr::V6(address) = address else { return address };
    let v4 =
        |high: u16, low: u16| IpAddr::V4(Ipv4Addr::from(u32::from(high) << 16 | u32::from(low)));
    match address.segments() {
        [0, 0, 0, 0, 0, 0xffff, high, low] | [0x0064, 0xff9b, 0, 0, 0, 0, high, low] => {
            v4(high, low)
        }
        [0x2002, high, low, ..] => v4(high, low),
        _ => IpAddr::V6(address),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn may(address: &str, allowed: &[&str]) -> bool {
        let allowed: Vec<IpNet> = allowed.iter().map(|network| network.parse().unwrap()).collect();
        may_be_called(address.parse().unwrap(), &allowed)
    }

    #[test]
    fn addresses_of_the_public_internet_may_be_called() {
        for address in [
            "1.1.1.1",
            "9.255.255.255",
            "11.0.0.0",
            "100.63.255.255",
            "100.128.0.0",
            "172.15.255.255",
            "172.32.0.0",
            "192.0.1.0",
            "223.255.255.255",
            "2606:4700:4700::1111",
            "2a00:1450:4001:81b::200e",
            "::ffff:1.1.1.1",
            "64:ff9b::1.1.1.1",
            "2002:101:101::1",
        ] {
            assert!(may(address, &[]), "{address}");
        }
    }

    #[test]
    fn addresses_that_are_not_everybodys_may_not_in_whatever_form() {
        for address in [
            "0.0.0.0",
            "0.1.2.3",
            "10.0.0.1",
            "100.64.0.1",
            "100.127.255.255",
            "127.0.0.1",
            "127.255.255.254",
            "169.254.169.254",
            "172.16.0.1",
            "172.31.255.255",
            "192.0.0.1",
            "192.0.2.1",
            "192.88.99.1",
            "192.168.1.1",
            "198.18.0.1",
            "198.19.255.255",
            "198.51.100.1",
            "203.0.113.1",
            "224.0.0.1",
            "239.255.255.255",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::127.0.0.1",
            "::1.1.1.1",
            "::ffff:127.0.0.1",
            "::ffff:10.0.0.1",
            "::ffff:169.254.169.254",
            "::ffff:0:127.0.0.1",
            "64:ff9b::127.0.0.1",
            "64:ff9b::10.1.2.3",
            "64:ff9b:1::1.1.1.1",
            "100::1",
            "2001::1",
            "2001:2::1",
            "2001:db8::1",
            "2002:7f00:1::1",
            "2002:a00:1::",
            "2002:c0a8:101::1",
            "3fff::1",
            "5f00::1",
            "fc00::1",
            "fd00:ec2::254",
            "fe80::1",
            "fec0::1",
            "ff02::1",
        ] {
            assert!(!may(address, &[]), "{address}");
        }
    }

    #[test]
    fn a_network_that_is_allowed_may_be_called_in_each_form_of_its_addresses() {
        for address in ["127.0.0.1", "::ffff:127.0.0.1", "64:ff9b::127.0.0.1"] {
            assert!(may(address, &["127.0.0.0/8"]), "{address}");
        }
        assert!(may("fd00::1", &["10.0.0.0/8", "fd00::/8"]));
        assert!(!may("127.0.0.1", &["10.0.0.0/8", "::1/128"]));
        assert!(!may("::1", &["127.0.0.0/8"]));
    }
}
