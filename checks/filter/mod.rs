//! The packet filter of a Linux host, as `iptables-save` and `nft -j list ruleset` print it, and what it
//! does with one new packet.
//!
//! A policy of DROP on its own proves nothing: the rules of a CNI may accept the packets of pods before it
//! comes to the policy, and the rules of Docker or of kube-proxy may look as if they did. So the rules are
//! walked as the kernel walks them, with a packet of which some is known and some is not.
//! Where what is not known could change the outcome, the answer is [`Outcome::Unknown`].
//!
//! What is looked at: the chains on the hooks `forward`, `input` and `output` in the tables of `iptables`
//! other than `nat`, and the chains of nftables of type `filter` and `route` there. What drops a packet
//! before that (`prerouting`, the families `netdev` and `bridge`, XDP and eBPF at `tc`) is not seen, so
//! [`Outcome::Accept`] says of these hooks only that they do not stop the packet.

mod chains;
mod decide;
mod iptables;
mod nft;
mod nft_match;
mod nft_rule;
mod owner;
mod packet;
mod pare;
mod ranges;
mod rule;
mod services;
mod target;
#[cfg(test)]
mod tests;
mod words;
mod written;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub use self::decide::{Decision, Outcome, Passage};
pub use self::iptables::iptables;
pub use self::nft::nft;
pub use self::owner::Owner;
pub use self::packet::{Bits, Interface, Packet};
pub use self::ranges::{Addresses, Ports};
pub use self::rule::{Among, Counters, Match, Protocol, Rule, State, Verdict};
pub use self::services::{
    Asked, ProxyMode, ProxyRules, Service, ServiceRules, UnreadRules, services_of_iptables, services_of_ipvs,
    services_of_nft,
};

/// The most characters of a rule's text, a comment or a reason that are kept.
const TEXT: usize = 300;

/// Who filters: the kernel holds the rules of `iptables-legacy` apart from those of nftables, and both apply.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Backend {
    /// The `x_tables` of the kernel, written by `iptables-legacy`.
    IptablesLegacy,
    /// Tables of nftables that `iptables-nft` writes and reads.
    IptablesNft,
    /// Tables of nftables.
    Nftables,
}

impl std::fmt::Display for Backend {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::IptablesLegacy => "iptables-legacy",
            Self::IptablesNft => "iptables-nft",
            Self::Nftables => "nftables",
        })
    }
}

/// The version of IP.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Family {
    /// IP version 4.
    Ipv4,
    /// IP version 6.
    Ipv6,
}

/// Where in its way through the kernel a packet meets a chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Hook {
    /// On its way to a process of this host.
    Input,
    /// On its way through this host: from a pod, to a pod.
    Forward,
    /// Sent by a process of this host.
    Output,
}

impl Hook {
    /// Reads the name that nftables and iptables give to it.
    fn read(text: &str) -> Option<Self> {
        match text.to_ascii_lowercase().as_str() {
            "input" => Some(Self::Input),
            "forward" => Some(Self::Forward),
            "output" => Some(Self::Output),
            _ => None,
        }
    }
}

/// What becomes of a packet on which no rule of a base chain has decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Policy {
    /// It goes on.
    Accept,
    /// It is dropped.
    Drop,
}

/// A chain that the kernel calls at a hook.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BaseChain {
    /// Its table; for nftables with the family before it, as in `inet firewalld`.
    pub table: String,
    /// Its name.
    pub chain: String,
    /// Where it is called.
    pub hook: Hook,
    /// Chains with a lower number are called first.
    pub priority: i64,
    /// What becomes of a packet at its end.
    pub policy: Policy,
}

/// The rules of a chain, in order.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Chain {
    /// The rules that are kept.
    pub rules: Vec<Rule>,
    /// How many rules after these were left out.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub left_out: u64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands over a reference")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// What one back end holds for one version of IP.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Ruleset {
    /// Who filters.
    pub backend: Backend,
    /// The version of IP. A table `inet` of nftables stands in both.
    pub family: Family,
    /// The chains that the kernel calls.
    pub bases: Vec<BaseChain>,
    /// Table, chain, rules: every chain that can be reached from `bases`.
    pub chains: BTreeMap<String, BTreeMap<String, Chain>>,
    /// Whether all chains on the hooks are there. Where not, nothing is accepted for certain.
    pub whole: bool,
    /// What is missing, be it chains or rules.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub cut: Vec<String>,
}

impl Ruleset {
    fn empty(backend: Backend, family: Family) -> Self {
        Self { backend, family, bases: Vec::new(), chains: BTreeMap::new(), whole: true, cut: Vec::new() }
    }

    /// Notes that the text ended early: no chain is known to its end.
    pub fn cut_short(&mut self, what: &str) {
        self.whole = false;
        self.note(what);
        for chain in self.chains.values_mut().flat_map(BTreeMap::values_mut) {
            chain.left_out += 1;
        }
    }

    fn note(&mut self, what: &str) {
        let what = bounded(what);
        if self.cut.len() < 16 && !self.cut.contains(&what) {
            self.cut.push(what);
        }
    }
}

/// A back end whose rules could not be read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unread {
    /// Which one.
    pub backend: Backend,
    /// Why.
    pub why: String,
}

/// All packet filters of a host.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Filters {
    /// What was read.
    pub rulesets: Vec<Ruleset>,
    /// What could not be read; nothing is accepted for certain then.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unread: Vec<Unread>,
    /// Whether only what decides about new connections by TCP was kept ([`Filters::pared`]).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub pared: bool,
}

impl Filters {
    /// Puts together what was read. The tables of `iptables-nft` show up in the list of nftables too, where their
    /// matches are opaque: they are taken from the text of `iptables-nft-save` where that was read.
    #[must_use]
    pub fn new(rulesets: Vec<Ruleset>, unread: Vec<Unread>) -> Self {
        let mut filters = Self { rulesets, unread, pared: false };
        for family in [Family::Ipv4, Family::Ipv6] {
            let prefix = if family == Family::Ipv4 { "ip" } else { "ip6" };
            let known: Vec<(String, String)> = filters
                .rulesets
                .iter()
                .filter(|set| set.backend == Backend::IptablesNft && set.family == family)
                .flat_map(|set| set.bases.iter())
                .map(|base| (format!("{prefix} {}", base.table), base.chain.clone()))
                .collect();
            let nft = |set: &&mut Ruleset| set.backend == Backend::Nftables && set.family == family;
            for set in filters.rulesets.iter_mut().filter(nft) {
                set.bases.retain(|base| !known.contains(&(base.table.clone(), base.chain.clone())));
                let tables: Vec<&String> = set.bases.iter().map(|base| &base.table).collect();
                set.chains.retain(|table, _| tables.contains(&table));
            }
        }
        filters
    }

    /// The addresses of Services that rules of kube-proxy refuse or drop: `KUBE-SERVICES` and its like in the table `filter`
    /// hold those without endpoints (`pkg/proxy/iptables/proxier.go`), `cluster-ips-check` of the table `kube-proxy` the whole
    /// range of cluster IPs (`pkg/proxy/nftables/proxier.go`).
    #[must_use]
    pub fn services(&self) -> Vec<Addresses> {
        let mut found = std::collections::BTreeSet::new();
        for (table, chains) in self.rulesets.iter().flat_map(|set| &set.chains) {
            let is_own = matches!(table.as_str(), "ip kube-proxy" | "ip6 kube-proxy");
            for (name, chain) in chains {
                let ranges = is_own && name == "cluster-ips-check";
                if !ranges && !OF_SERVICES.contains(&name.as_str()) {
                    continue;
                }
                for one in chain.rules.iter().flat_map(|rule| &rule.matches) {
                    if let Match::Destination(Among { not: false, of }) = one {
                        found.extend(of.iter().copied().filter(|address| ranges || address.is_single()));
                    }
                }
            }
        }
        found.into_iter().collect()
    }
}

/// Chains of the table `filter` in which kube-proxy names addresses of Services.
const OF_SERVICES: [&str; 3] = ["KUBE-SERVICES", "KUBE-EXTERNAL-SERVICES", "KUBE-PROXY-FIREWALL"];

/// `text` with an upper limit to its length.
fn bounded(text: &str) -> String {
    let mut kept: String = text.chars().take(TEXT).collect();
    if kept.len() < text.len() {
        kept.push('…');
    }
    kept
}
