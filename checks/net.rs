//! Networks in CIDR notation. As in Kubernetes, an address in the range of IPv4-mapped IPv6 is refused.

use std::net::IpAddr;

/// A network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Cidr {
    address: IpAddr,
    prefix: u8,
}

/// Reads an IP address.
pub(crate) fn ip(text: &str) -> Option<IpAddr> {
    match text.parse().ok()? {
        IpAddr::V6(address) if address.to_ipv4_mapped().is_some() => None,
        address => Some(address),
    }
}

impl Cidr {
    /// Reads `ADDRESS/BITS`.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (address, bits) = text.split_once('/')?;
        let plain = !bits.is_empty() && bits.bytes().all(|byte| byte.is_ascii_digit());
        let leads = bits.len() > 1 && bits.starts_with('0');
        let (address, prefix) = (ip(address)?, bits.parse().ok()?);
        let most = if address.is_ipv4() { 32 } else { 128 };
        (plain && !leads && prefix <= most).then_some(Self { address, prefix })
    }

    /// How many bits all its addresses share.
    pub(crate) fn prefix(self) -> i64 {
        i64::from(self.prefix)
    }

    /// Whether its addresses are of IPv4.
    pub(crate) fn is_ipv4(self) -> bool {
        self.address.is_ipv4()
    }

    /// Whether an address lies in it.
    pub(crate) fn contains(self, address: IpAddr) -> bool {
        match (self.address, address) {
            (IpAddr::V4(own), IpAddr::V4(other)) => {
                let mask = u32::MAX.checked_shl(32 - u32::from(self.prefix)).unwrap_or(0);
                own.to_bits() & mask == other.to_bits() & mask
            }
            (IpAddr::V6(own), IpAddr::V6(other)) => {
                let mask = u128::MAX.checked_shl(128 - u32::from(self.prefix)).unwrap_or(0);
                own.to_bits() & mask == other.to_bits() & mask
            }
            _ => false,
        }
    }

    /// Whether a network lies in it as a whole.
    pub(crate) fn contains_all(self, other: Self) -> bool {
        self.prefix <= other.prefix && self.contains(other.address)
    }

    /// Whether any address lies in both: of two networks that do, one holds the other.
    pub(crate) fn meets(self, other: Self) -> bool {
        self.contains_all(other) || other.contains_all(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_lie_in_their_networks() {
        let inside =
            |cidr: &str, address: &str| Cidr::parse(cidr).expect(cidr).contains(ip(address).expect(address));
        assert!(inside("10.0.0.0/8", "10.255.0.1"));
        assert!(!inside("10.0.0.0/8", "11.0.0.1"));
        assert!(inside("0.0.0.0/0", "192.0.2.1"));
        assert!(!inside("0.0.0.0/0", "::1"));
        assert!(inside("::/0", "2001:db8::1"));
        assert!(inside("192.0.2.7/32", "192.0.2.7"));
        assert!(inside("2001:db8::/32", "2001:db8:ffff::1"));
        assert!(
            Cidr::parse("10.0.0.0/8").expect("one").contains_all(Cidr::parse("10.2.0.0/16").expect("other"))
        );
        assert!(
            !Cidr::parse("10.2.0.0/16").expect("one").contains_all(Cidr::parse("10.0.0.0/8").expect("other"))
        );
    }

    #[test]
    fn what_is_no_network_is_refused() {
        for text in [
            "10.0.0.0",
            "10.0.0.0/33",
            "10.0.0.0/",
            "10.0.0.0/08",
            "10.0.0.0/+8",
            "::1/129",
            "x/8",
            "::ffff:10.0.0.1/96",
        ] {
            assert_eq!(Cidr::parse(text), None, "{text}");
        }
        assert_eq!(ip("::ffff:10.0.0.1"), None);
        assert_eq!(ip("010.0.0.1"), None);
    }
}
