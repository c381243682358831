//! Ranges of addresses and of ports.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use serde::{Deserialize, Serialize};

use super::Family;

/// All addresses from one to another. In text: an address, `ADDRESS/BITS` or `FIRST-LAST`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Addresses {
    first: IpAddr,
    last: IpAddr,
}

impl Addresses {
    /// From `first` to `last`, which have to be of one family and in order.
    #[must_use]
    pub fn new(first: IpAddr, last: IpAddr) -> Option<Self> {
        (first.is_ipv4() == last.is_ipv4() && first <= last).then_some(Self { first, last })
    }

    /// A network; bits of `address` behind `prefix` do not count.
    #[must_use]
    pub fn network(address: IpAddr, prefix: u8) -> Option<Self> {
        let (first, last) = match address {
            IpAddr::V4(address) if prefix <= 32 => {
                let mask = u32::MAX.checked_shl(32 - u32::from(prefix)).unwrap_or(0);
                let low = address.to_bits() & mask;
                (Ipv4Addr::from_bits(low).into(), Ipv4Addr::from_bits(low | !mask).into())
            }
            IpAddr::V6(address) if prefix <= 128 => {
                let mask = u128::MAX.checked_shl(128 - u32::from(prefix)).unwrap_or(0);
                let low = address.to_bits() & mask;
                (Ipv6Addr::from_bits(low).into(), Ipv6Addr::from_bits(low | !mask).into())
            }
            _ => return None,
        };
        Some(Self { first, last })
    }

    /// Reads the text form.
    #[must_use]
    pub fn read(text: &str) -> Option<Self> {
        if let Some((address, prefix)) = text.split_once('/') {
            return Self::network(address.parse().ok()?, prefix.parse().ok()?);
        }
        if let Some((first, last)) = text.split_once('-') {
            return Self::new(first.parse().ok()?, last.parse().ok()?);
        }
        let address = text.parse().ok()?;
        Some(Self { first: address, last: address })
    }

    /// The version of IP.
    #[must_use]
    pub fn family(self) -> Family {
        if self.first.is_ipv4() { Family::Ipv4 } else { Family::Ipv6 }
    }

    /// Whether it is one address.
    #[must_use]
    pub fn is_single(self) -> bool {
        self.first == self.last
    }

    /// Whether all of `other` lies in it.
    #[must_use]
    pub fn holds(self, other: Self) -> bool {
        self.family() == other.family() && self.first <= other.first && other.last <= self.last
    }

    /// Whether an address lies in both.
    #[must_use]
    pub fn meets(self, other: Self) -> bool {
        self.family() == other.family() && self.first <= other.last && other.first <= self.last
    }

    fn prefix(self) -> Option<u32> {
        let (differing, width) = match (self.first, self.last) {
            (IpAddr::V4(first), IpAddr::V4(last)) => (u128::from(first.to_bits() ^ last.to_bits()), 32),
            (IpAddr::V6(first), IpAddr::V6(last)) => (first.to_bits() ^ last.to_bits(), 128),
            _ => return None,
        };
        let free = 128 - differing.leading_zeros();
        let prefix = width - free.min(width);
        (Self::network(self.first, u8::try_from(prefix).ok()?) == Some(self)).then_some(prefix)
    }
}

impl From<IpAddr> for Addresses {
    fn from(address: IpAddr) -> Self {
        Self { first: address, last: address }
    }
}

impl std::fmt::Display for Addresses {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.first == self.last {
            return write!(f, "{}", self.first);
        }
        match self.prefix() {
            Some(prefix) => write!(f, "{}/{prefix}", self.first),
            None => write!(f, "{}-{}", self.first, self.last),
        }
    }
}

impl From<Addresses> for String {
    fn from(addresses: Addresses) -> Self {
        addresses.to_string()
    }
}

impl TryFrom<String> for Addresses {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        Self::read(&text).ok_or_else(|| format!("no addresses: {text}"))
    }
}

/// All ports from one to another. In text: a port or `FIRST-LAST`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Ports {
    first: u16,
    last: u16,
}

impl Ports {
    /// From `first` to `last`, which have to be in order.
    #[must_use]
    pub fn new(first: u16, last: u16) -> Option<Self> {
        (first <= last).then_some(Self { first, last })
    }

    /// Reads a port, `FIRST-LAST`, or `FIRST:LAST` as iptables writes it.
    #[must_use]
    pub fn read(text: &str) -> Option<Self> {
        match text.split_once(['-', ':']) {
            Some((first, last)) => Self::new(first.parse().ok()?, last.parse().ok()?),
            None => text.parse::<u16>().ok().map(Self::from),
        }
    }

    /// Whether all of `other` lies in it.
    #[must_use]
    pub fn holds(self, other: Self) -> bool {
        self.first <= other.first && other.last <= self.last
    }

    /// Whether a port lies in both.
    #[must_use]
    pub fn meets(self, other: Self) -> bool {
        self.first <= other.last && other.first <= self.last
    }
}

impl From<u16> for Ports {
    fn from(port: u16) -> Self {
        Self { first: port, last: port }
    }
}

impl From<Ports> for String {
    fn from(ports: Ports) -> Self {
        if ports.first == ports.last {
            return ports.first.to_string();
        }
        format!("{}-{}", ports.first, ports.last)
    }
}

impl TryFrom<String> for Ports {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        Self::read(&text).ok_or_else(|| format!("no ports: {text}"))
    }
}
