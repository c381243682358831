//! What a Service proxy has programmed on a host.

use std::collections::BTreeSet;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::nft::{each, place};
use super::rule::Protocol;
use super::words::words;

/// The most Services that are kept by address.
const KEPT: usize = 256;
/// The most that are kept where there is little room.
const KEPT_PARED: usize = 16;
/// The longest line that is read.
const LINE: usize = 16_384;
/// The most lines that are read; 10,000 Services of kube-proxy come to 100,000.
const LINES: usize = 2_000_000;

/// By what means a packet to a Service is sent to one of its endpoints.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ProxyMode {
    /// Rules of iptables in the table `nat`.
    Iptables,
    /// The table `kube-proxy` of nftables.
    Nftables,
    /// Virtual servers of IPVS.
    Ipvs,
}

/// An address and a port that are translated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Service {
    /// The address.
    pub address: IpAddr,
    /// The port.
    pub port: u16,
    /// The protocol.
    pub protocol: Protocol,
}

/// Whether one that was asked for is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Asked {
    /// What was asked for.
    pub service: Service,
    /// Whether it is translated; not known where the listing was cut before it.
    pub there: Option<bool>,
}

/// What Service proxies have programmed on a host: all listings that were read.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceRules {
    /// One for each listing, and so for each back end and version of IP.
    pub listings: Vec<ProxyRules>,
    /// What could not be read.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unread: Vec<UnreadRules>,
}

/// A means of which it is not known what was programmed by it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnreadRules {
    /// Which one.
    pub mode: ProxyMode,
    /// Why.
    pub why: String,
}

impl ServiceRules {
    /// Whether any Service is translated: `Some(false)` only where all was read to its end. Chains that a proxy left
    /// behind empty translate nothing.
    #[must_use]
    pub fn programmed(&self) -> Option<bool> {
        if self.listings.iter().any(|listing| listing.count > 0) {
            return Some(true);
        }
        self.all_read().then_some(false)
    }

    /// Whether an address with a port is translated by any of them; `None` where that was not seen.
    #[must_use]
    pub fn there(&self, service: Service) -> Option<bool> {
        let mut answers = self.listings.iter().map(|listing| listing.there(service));
        if answers.any(|there| there == Some(true)) {
            return Some(true);
        }
        let all = self.listings.iter().all(|listing| listing.there(service).is_some());
        (all && self.all_read()).then_some(false)
    }

    /// With the first Services of each listing alone, where there is little room to tell them: how many there are stays.
    #[must_use]
    pub fn pared(&self) -> Self {
        let mut pared = self.clone();
        for listing in &mut pared.listings {
            while listing.services.len() > KEPT_PARED {
                listing.services.pop_last();
            }
        }
        pared
    }

    fn all_read(&self) -> bool {
        let whole = self.listings.iter().all(|listing| listing.whole);
        self.unread.is_empty() && !self.listings.is_empty() && whole
    }
}

/// What a Service proxy has programmed, as read from one listing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProxyRules {
    /// By what means.
    pub mode: ProxyMode,
    /// Whether the frame is there that the proxy makes first: the chain `KUBE-SERVICES` of the table `nat`, the map
    /// `service-ips` of the table `kube-proxy`, a virtual server.
    pub frame: bool,
    /// How many addresses with ports are translated.
    pub count: u64,
    /// The first of them, in order.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub services: BTreeSet<Service>,
    /// Those that were asked for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub asked: Vec<Asked>,
    /// Whether the listing was read to its end.
    pub whole: bool,
}

impl ProxyRules {
    fn new(mode: ProxyMode, asked: &[Service]) -> Self {
        let asked = asked.iter().take(KEPT).map(|service| Asked { service: *service, there: None }).collect();
        Self { mode, frame: false, count: 0, services: BTreeSet::new(), asked, whole: true }
    }

    fn found(&mut self, service: Service) {
        self.count += 1;
        self.services.insert(service);
        if self.services.len() > KEPT {
            self.services.pop_last();
        }
        for asked in self.asked.iter_mut().filter(|asked| asked.service == service) {
            asked.there = Some(true);
        }
    }

    /// What was not found is not there, if all was read.
    fn finish(mut self) -> Self {
        if self.whole {
            for asked in &mut self.asked {
                asked.there.get_or_insert(false);
            }
        }
        self
    }

    /// Whether an address with a port is translated; `None` where that was not seen.
    #[must_use]
    pub fn there(&self, service: Service) -> Option<bool> {
        let asked = self.asked.iter().find(|asked| asked.service == service);
        match asked {
            Some(asked) => asked.there,
            None if self.services.contains(&service) => Some(true),
            // What is not among all of them is not there.
            None if self.whole && self.count <= self.services.len() as u64 => Some(false),
            None => None,
        }
    }
}

/// Reads what kube-proxy has written into the table `nat`, from the output of `iptables-save`.
///
/// A Service stands in `KUBE-SERVICES` as `-d ADDRESS/32 -p tcp -m tcp --dport PORT -j KUBE-SVC-..`
/// (`pkg/proxy/iptables/proxier.go`, `syncProxyRules`).
pub fn services_of_iptables<'a>(lines: impl IntoIterator<Item = &'a str>, asked: &[Service]) -> ProxyRules {
    let mut rules = ProxyRules::new(ProxyMode::Iptables, asked);
    let mut table: Option<&str> = None;
    for (number, line) in lines.into_iter().enumerate() {
        let line = line.trim();
        if number >= LINES || line.len() > LINE {
            rules.whole = false;
            break;
        }
        if let Some(name) = line.strip_prefix('*') {
            table = Some(name);
        } else if line == "COMMIT" {
            table = None;
        } else if table == Some("nat") {
            if line.starts_with(":KUBE-SERVICES ") {
                rules.frame = true;
            } else if let Some(service) = iptables_service(line) {
                rules.found(service);
            }
        } else if table.is_none() && line.starts_with("# Table") {
            rules.whole = false;
        }
    }
    rules.whole &= table.is_none();
    rules.finish()
}

fn iptables_service(line: &str) -> Option<Service> {
    let at = line.find("-A KUBE-SERVICES ")?;
    let words = words(&line[at..])?;
    let option = |wanted: &str| {
        let at = words.iter().position(|word| word == wanted)?;
        // Negated, it says which it is not.
        let negated = at > 0 && words[at - 1] == "!";
        words.get(at + 1).filter(|_| !negated).map(String::as_str)
    };
    let to = option("-j")?;
    if !to.starts_with("KUBE-SVC-") && !to.starts_with("KUBE-EXT-") {
        return None;
    }
    let address = option("-d")?;
    let address = address.strip_suffix("/32").or_else(|| address.strip_suffix("/128")).unwrap_or(address);
    let protocol = Protocol::read(option("-p")?)?;
    Some(Service { address: address.parse().ok()?, port: option("--dport")?.parse().ok()?, protocol })
}

/// Reads what kube-proxy has written into its table of nftables, from the output of `nft -j list ruleset` or of
/// `nft -j list table ip kube-proxy`.
///
/// The map `service-ips` leads from address, protocol and port to the chain of a Service
/// (`pkg/proxy/nftables/proxier.go`).
#[must_use]
pub fn services_of_nft(text: &str, asked: &[Service]) -> ProxyRules {
    let mut rules = ProxyRules::new(ProxyMode::Nftables, asked);
    let read = each(text, &mut |object| {
        let Some(map) = object.get("map") else { return };
        let Some((table, name)) = place(map, "name") else { return };
        if !matches!(table.as_str(), "ip kube-proxy" | "ip6 kube-proxy") || name != "service-ips" {
            return;
        }
        rules.frame = true;
        for element in map.get("elem").and_then(Value::as_array).into_iter().flatten() {
            match nft_service(element) {
                Some(service) => rules.found(service),
                None => rules.whole = false,
            }
        }
    });
    rules.whole &= read.is_ok();
    rules.finish()
}

fn nft_service(element: &Value) -> Option<Service> {
    let pair = element.pointer("/elem/val").unwrap_or(element);
    let key = pair.get(0)?;
    let key = key.pointer("/elem/val").unwrap_or(key);
    let parts = key.get("concat")?.as_array()?;
    let protocol = match parts.get(1)? {
        Value::String(name) => Protocol::read(name)?,
        number => Protocol(u8::try_from(number.as_u64()?).ok()?),
    };
    let port = u16::try_from(parts.get(2)?.as_u64()?).ok()?;
    Some(Service { address: parts.first()?.as_str()?.parse().ok()?, port, protocol })
}

/// Reads the virtual servers of IPVS from `/proc/net/ip_vs` (`ip_vs_info_seq_show` in Linux'
/// `net/netfilter/ipvs/ip_vs_ctl.c`): addresses and ports in hexadecimal.
pub fn services_of_ipvs<'a>(lines: impl IntoIterator<Item = &'a str>, asked: &[Service]) -> ProxyRules {
    let mut rules = ProxyRules::new(ProxyMode::Ipvs, asked);
    let mut headed = false;
    for (number, line) in lines.into_iter().enumerate() {
        if number >= LINES || line.len() > LINE {
            rules.whole = false;
            break;
        }
        headed |= line.starts_with("IP Virtual Server version");
        let mut parts = line.split_ascii_whitespace();
        let (Some(protocol @ ("TCP" | "UDP" | "SCTP")), Some(place)) = (parts.next(), parts.next()) else {
            continue;
        };
        match ipvs_service(protocol, place) {
            Some(service) => rules.found(service),
            None => rules.whole = false,
        }
    }
    rules.frame = rules.count > 0;
    rules.whole &= headed;
    rules.finish()
}

fn ipvs_service(protocol: &str, place: &str) -> Option<Service> {
    let (address, port) = place.rsplit_once(':')?;
    let address = match address.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        Some(address) => address.parse().ok()?,
        None if address.len() == 8 => IpAddr::from(u32::from_str_radix(address, 16).ok()?.to_be_bytes()),
        None => return None,
    };
    let port = u16::from_str_radix(port, 16).ok()?;
    Some(Service { address, port, protocol: Protocol::read(&protocol.to_ascii_lowercase())? })
}
