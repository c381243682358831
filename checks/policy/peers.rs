//! Whether a peer of a rule is the other end of a way.

use std::net::IpAddr;

use serde_json::Value;

use super::{Direction, Match, Other, Way};
use crate::evidence::{NetworkPolicy, Peer};
use crate::net::Cidr;
use crate::plan::{Labels, Selector};

/// The label that every namespace has, with its own name.
const NAMESPACE_NAME: &str = "kubernetes.io/metadata.name";

pub(super) fn matches(policy: &NetworkPolicy, peer: &Peer, way: &Way<'_>) -> Match {
    match (peer, &way.other) {
        (Peer::Block { cidr, except }, other) => {
            let Some(block) = Block::read(cidr, except) else {
                return Match::Maybe(format!("the ipBlock {cidr} cannot be read"));
            };
            match other {
                Other::Pod { address, .. } => Match::of(block.contains(*address)),
                Other::Machine { address, also, .. } => machine(&block, *address, also.as_deref(), cidr, way),
            }
        }
        (Peer::Pods { .. }, Other::Machine { as_pod: false, .. }) => Match::No,
        (Peer::Pods { .. }, Other::Machine { .. }) => Match::Maybe(
            "a pod may stand between kube-apiserver and this one, and may be selected".to_owned(),
        ),
        (Peer::Pods { pods, namespaces }, Other::Pod { namespace, labels, of_namespace, .. }) => {
            let of_namespace = match namespaces {
                None => Match::of(*namespace == policy.namespace),
                Some(selector) => of_namespace_labels(selector, namespace, *of_namespace),
            };
            of_namespace.and(|| match pods {
                None => Match::Yes,
                Some(selector) => selects(selector, labels),
            })
        }
    }
}

/// Whether a block holds the packets of a machine: all of them, some that they may be, or none.
fn machine(block: &Block, address: IpAddr, also: Option<&[String]>, cidr: &str, way: &Way<'_>) -> Match {
    let inside = block.contains(address);
    let as_written = if way.direction == Direction::Egress {
        Match::of(inside)
    } else {
        let doubt =
            || Match::Maybe(format!("whether ipBlock {cidr} holds all addresses that {address} sends from"));
        match also {
            None if inside && block.is_everything() => Match::Yes,
            None => doubt(),
            Some(ranges) => {
                let ranges: Option<Vec<Cidr>> = ranges.iter().map(|range| Cidr::parse(range)).collect();
                match ranges {
                    None => doubt(),
                    Some(ranges) => {
                        let same = |range: &&Cidr| range.is_ipv4() == address.is_ipv4();
                        let ranges: Vec<&Cidr> = ranges.iter().filter(same).collect();
                        if inside && ranges.iter().all(|range| block.covers(**range)) {
                            Match::Yes
                        } else if inside || ranges.iter().any(|range| block.touches(**range)) {
                            doubt()
                        } else {
                            Match::No
                        }
                    }
                }
            }
        }
    };
    match as_written {
        Match::Yes if way.blocks_miss_machines => Match::Maybe(
            "Cilium leaves the cluster's own machines out of an ipBlock unless it was told otherwise"
                .to_owned(),
        ),
        other => other,
    }
}

fn of_namespace_labels(selector: &Value, namespace: &str, labels: Option<&Labels>) -> Match {
    let Some(read) = Selector::read(selector) else { return unreadable(selector) };
    match labels {
        Some(labels) => Match::of(read.matches(labels)),
        None if read.keys().iter().all(|key| *key == NAMESPACE_NAME) => {
            let known = [(NAMESPACE_NAME.to_owned(), namespace.to_owned())];
            Match::of(read.matches(&known.into_iter().collect()))
        }
        None => Match::Maybe(format!("the labels of namespace {namespace} were not looked at")),
    }
}

fn selects(selector: &Value, labels: &Labels) -> Match {
    Selector::read(selector).map_or_else(|| unreadable(selector), |read| Match::of(read.matches(labels)))
}

fn unreadable(selector: &Value) -> Match {
    Match::Maybe(format!("the selector {selector} cannot be read"))
}

/// An `ipBlock`.
struct Block {
    cidr: Cidr,
    except: Vec<Cidr>,
}

impl Block {
    fn read(cidr: &str, except: &[String]) -> Option<Self> {
        let except = except.iter().map(|range| Cidr::parse(range)).collect::<Option<_>>()?;
        Some(Self { cidr: Cidr::parse(cidr)?, except })
    }

    fn contains(&self, address: IpAddr) -> bool {
        self.cidr.contains(address) && !self.except.iter().any(|range| range.contains(address))
    }

    /// Whether it holds all addresses of its family.
    fn is_everything(&self) -> bool {
        self.cidr.prefix() == 0 && self.except.is_empty()
    }

    /// Whether it holds all of a range.
    fn covers(&self, range: Cidr) -> bool {
        self.cidr.contains_all(range) && !self.except.iter().any(|except| except.meets(range))
    }

    /// Whether it holds some of a range.
    fn touches(&self, range: Cidr) -> bool {
        self.cidr.meets(range) && !self.except.iter().any(|except| except.contains_all(range))
    }
}
