//! What NetworkPolicies allow: a reading of `networking.k8s.io/v1` over one way of one pod.
//!
//! As Kubernetes defines it (`staging/src/k8s.io/api/networking/v1/types.go`, and
//! <https://kubernetes.io/docs/concepts/services-networking/network-policies/>): a pod that no policy selects for a
//! direction is open in it; one that some do is open to what any rule of any of them allows, and to nothing else. Nothing
//! stands between a pod and the node that it runs on. Whether a network enforces policies at all is not said here.

mod peers;
#[cfg(test)]
mod tests;
pub(crate) mod way;

use std::net::IpAddr;

use crate::evidence::{EndpointPort, NetworkPolicy, Pod, PolicyPort, PolicyRule};
use crate::plan::{Labels, Selector};

/// Which way packets go, seen from the pod that policies select; replies are always allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// To the pod.
    Ingress,
    /// From the pod.
    Egress,
}

/// Who is at the other end.
#[derive(Clone, Debug)]
pub enum Other<'a> {
    /// A machine, or a program in a machine's own network: selectors of pods do not match it.
    Machine {
        /// Its address.
        address: IpAddr,
        /// From where its packets may come besides, as ranges; nothing where that is not known. An overlay gives a
        /// machine an address of its own among those of pods. Of ingress only.
        also: Option<Vec<String>>,
        /// Whether a pod may stand in for it, such as the agent of a proxy.
        as_pod: bool,
    },
    /// A pod.
    Pod {
        /// Its address.
        address: IpAddr,
        /// Its namespace.
        namespace: &'a str,
        /// Its labels.
        labels: &'a Labels,
        /// The labels of its namespace; nothing where they were not looked at.
        of_namespace: Option<&'a Labels>,
        /// Its ports.
        ports: &'a [EndpointPort],
    },
}

/// One way that a pod needs.
#[derive(Clone, Debug)]
pub struct Way<'a> {
    /// To or from the pod.
    pub direction: Direction,
    /// The pod.
    pub pod: &'a Pod,
    /// The addresses of the node that it runs on.
    pub own_node: &'a [IpAddr],
    /// The other end.
    pub other: Other<'a>,
    /// The port at the end that is dialled.
    pub port: i64,
    /// `TCP`, `UDP` or `SCTP`.
    pub protocol: &'a str,
    /// Whether the network may leave machines of the cluster out of an `ipBlock`, as Cilium does
    /// (<https://docs.cilium.io/en/stable/security/policy/kubernetes/>).
    pub blocks_miss_machines: bool,
}

/// What policies say of a way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is open.
    Allowed,
    /// These policies select the pod, and none has a rule for it.
    Denied(Vec<String>),
    /// It depends on what the objects do not say.
    Unknown(String),
}

/// How sure it is that a rule, or a part of one, holds for a way.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Match {
    Yes,
    Maybe(String),
    No,
}

impl Match {
    fn of(yes: bool) -> Self {
        if yes { Self::Yes } else { Self::No }
    }

    /// Both have to hold.
    fn and(self, other: impl FnOnce() -> Self) -> Self {
        match self {
            Self::No => Self::No,
            Self::Yes => other(),
            Self::Maybe(why) => match other() {
                Self::No => Self::No,
                _ => Self::Maybe(why),
            },
        }
    }

    /// One of these has to hold.
    fn any(list: impl IntoIterator<Item = Self>) -> Self {
        let mut best = Self::No;
        for one in list {
            match one {
                Self::Yes => return Self::Yes,
                Self::Maybe(why) if best == Self::No => best = Self::Maybe(why),
                _ => {}
            }
        }
        best
    }
}

/// What these policies, all of the pod's namespace, say of a way.
#[must_use]
pub fn judge(policies: &[NetworkPolicy], way: &Way<'_>) -> Verdict {
    if way.pod.host_network {
        let why = "the pod shares its node's network, and what policies do to such a pod is not defined";
        return Verdict::Unknown(why.to_owned());
    }
    if let Other::Machine { address, .. } = &way.other
        && way.own_node.contains(address)
    {
        return Verdict::Allowed;
    }
    let mut selecting: Vec<&NetworkPolicy> = Vec::new();
    for policy in policies.iter().filter(|policy| policy.namespace == way.pod.namespace) {
        if rules(policy, way.direction).is_none() {
            continue;
        }
        match Selector::read(&policy.pod_selector) {
            Some(selector) if selector.matches(&way.pod.labels) => selecting.push(policy),
            Some(_) => {}
            None => {
                return Verdict::Unknown(format!(
                    "the podSelector of NetworkPolicy {} cannot be read",
                    name(policy)
                ));
            }
        }
    }
    if selecting.is_empty() {
        return Verdict::Allowed;
    }
    let allowed = selecting.iter().flat_map(|policy| {
        let rules = rules(policy, way.direction).into_iter().flatten();
        rules.map(|rule| allows(policy, rule, way))
    });
    match Match::any(allowed) {
        Match::Yes => Verdict::Allowed,
        Match::Maybe(why) => Verdict::Unknown(why),
        Match::No => Verdict::Denied(selecting.into_iter().map(name).collect()),
    }
}

fn name(policy: &NetworkPolicy) -> String {
    format!("{}/{}", policy.namespace, policy.name)
}

/// The rules for a direction; nothing where the policy does not restrict it.
fn rules(policy: &NetworkPolicy, direction: Direction) -> Option<&[PolicyRule]> {
    match direction {
        Direction::Ingress => policy.ingress.as_deref(),
        Direction::Egress => policy.egress.as_deref(),
    }
}

/// Whether a rule holds for a way: one of its peers and one of its ports, where an empty list is everybody and everything.
fn allows(policy: &NetworkPolicy, rule: &PolicyRule, way: &Way<'_>) -> Match {
    let peers = if rule.peers.is_empty() {
        Match::Yes
    } else {
        Match::any(rule.peers.iter().map(|peer| peers::matches(policy, peer, way)))
    };
    peers.and(|| {
        if rule.ports.is_empty() {
            return Match::Yes;
        }
        Match::of(rule.ports.iter().any(|port| is_port(port, way)))
    })
}

/// Whether a rule's port is that of the way. A name is one of the dialled pod's ports, and no machine has any.
fn is_port(port: &PolicyPort, way: &Way<'_>) -> bool {
    if port.protocol != way.protocol {
        return false;
    }
    let Some(text) = &port.port else { return true };
    if let Ok(first) = text.parse::<i64>() {
        return (first..=port.end.unwrap_or(first)).contains(&way.port);
    }
    let named = match (&way.other, way.direction) {
        (_, Direction::Ingress) => way.pod.ports.as_slice(),
        (Other::Pod { ports, .. }, Direction::Egress) => ports,
        (Other::Machine { .. }, Direction::Egress) => &[],
    };
    named.iter().any(|one| one.name == *text && one.port == way.port)
}
