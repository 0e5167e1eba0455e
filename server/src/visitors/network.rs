//! Addresses that are one visitor.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// An address of IPv4, or the network of 64 bits of one of IPv6.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Network(u64);

/// What stands before the bits of an address of IPv4: no network of IPv6 that is given to anybody
/// begins so.
const IPV4: u64 = 1 << 32;

impl Network {
    /// That of an address; IPv4 in the clothes of IPv6 is IPv4.
    pub fn of(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(address) => Self(IPV4 | u64::from(address.to_bits())),
            IpAddr::V6(address) => {
                let [a, b, c, d, ..] = address.segments().map(u64::from);
                Self(a << 48 | b << 32 | c << 16 | d)
            }
        }
    }

    /// A wider one that it lies in: 24 bits of IPv4, 48 of IPv6.
    pub(super) fn wide(self) -> Self {
        let narrow = if self.0 >> 32 == 1 { 0xff } else { 0xffff };
        Self(self.0 & !narrow)
    }
}

#[allow(clippy::cast_possible_truncation, reason = "32 bits are left")]
impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 >> 32 == 1 {
            // What is left are the 32 bits of the address.
            return Ipv4Addr::from_bits(self.0 as u32).fmt(f);
        }
        write!(f, "{}/64", Ipv6Addr::from_bits(u128::from(self.0) << 64))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(address: &str) -> Network {
        Network::of(address.parse().unwrap())
    }

    #[test]
    fn a_visitor_is_one_address_of_ipv4_and_one_network_of_ipv6() {
        assert_eq!(of("192.0.2.1"), of("::ffff:192.0.2.1"));
        assert_eq!(of("192.0.2.1").to_string(), "192.0.2.1");
        assert_eq!(of("2001:db8:1:2:ffff::9").to_string(), "2001:db8:1:2::/64");
        assert_ne!(of("192.0.2.1"), of("192.0.2.2"));
        assert_eq!(of("192.0.2.1").wide(), of("192.0.2.200").wide());
        assert_ne!(of("192.0.2.1").wide(), of("192.0.3.1").wide());
        assert_eq!(of("2001:db8:1:2::1"), of("2001:db8:1:2:ffff::9"));
        assert_ne!(of("2001:db8:1:2::1"), of("2001:db8:1:3::1"));
        assert_eq!(of("2001:db8:1:2::1").wide(), of("2001:db8:1:3::1").wide());
        assert_ne!(of("2001:db8:1:2::1").wide(), of("2001:db8:2:2::1").wide());
    }
}
