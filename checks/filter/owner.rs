//! Whose rule it is, by the names of chains and by what programs write beside their rules.

use serde::{Deserialize, Serialize};

use super::rule::{Match, Rule};

/// The program that writes a rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Owner {
    /// kube-proxy, or the kubelet for it.
    KubeProxy,
    /// kube-router.
    KubeRouter,
    /// flannel.
    Flannel,
    /// The plugins of containernetworking (`firewall`, `portmap`).
    Cni,
    /// Calico.
    Calico,
    /// Cilium.
    Cilium,
    /// Weave Net.
    Weave,
    /// Antrea.
    Antrea,
    /// Docker.
    Docker,
    /// Podman's netavark.
    Netavark,
    /// libvirt.
    Libvirt,
    /// firewalld.
    Firewalld,
    /// ufw.
    Ufw,
    /// A person, or a program that is not known here.
    Person,
}

impl std::fmt::Display for Owner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::KubeProxy => "kube-proxy",
            Self::KubeRouter => "kube-router",
            Self::Flannel => "flannel",
            Self::Cni => "the CNI plugins",
            Self::Calico => "Calico",
            Self::Cilium => "Cilium",
            Self::Weave => "Weave Net",
            Self::Antrea => "Antrea",
            Self::Docker => "Docker",
            Self::Netavark => "Podman",
            Self::Libvirt => "libvirt",
            Self::Firewalld => "firewalld",
            Self::Ufw => "ufw",
            Self::Person => "a person, or a program that is not known here",
        })
    }
}

/// Chains by how their names begin, the longer beginning first where one begins with another.
///
/// Sources: kube-proxy `pkg/proxy/iptables/proxier.go`; kube-router `pkg/controllers/netpol`; flannel
/// `pkg/trafficmngr/iptables`; the CNI plugins' `plugins/meta/firewall/iptables.go`; Calico `felix/rules/rule_defs.go`;
/// Cilium `pkg/datapath/iptables/iptables.go`; Weave Net `npc/constants.go`; Antrea
/// `pkg/agent/route/route_linux.go`; Docker `libnetwork/drivers/bridge/setup_ip_tables_linux.go`; netavark
/// `src/firewall/varktables/types.rs`; libvirt `src/network/network_iptables.c`; firewalld `src/firewall/core/base.py` and
/// `ipXtables.py`; ufw `src/backend_iptables.py`.
const CHAINS: [(&str, Owner); 34] = [
    ("KUBE-ROUTER-", Owner::KubeRouter),
    ("KUBE-POD-FW-", Owner::KubeRouter),
    ("KUBE-NWPLCY-", Owner::KubeRouter),
    ("KUBE-", Owner::KubeProxy),
    ("FLANNEL-", Owner::Flannel),
    ("CNI-", Owner::Cni),
    ("cali-", Owner::Calico),
    ("cilium", Owner::Cilium),
    ("CILIUM_", Owner::Cilium),
    ("OLD_CILIUM_", Owner::Cilium),
    ("WEAVE-", Owner::Weave),
    ("ANTREA-", Owner::Antrea),
    // Made by Docker for rules of persons.
    ("DOCKER-USER", Owner::Person),
    ("DOCKER", Owner::Docker),
    ("NETAVARK", Owner::Netavark),
    ("LIBVIRT_", Owner::Libvirt),
    ("ufw-", Owner::Ufw),
    ("ufw6-", Owner::Ufw),
    ("FORWARD_IN_ZONES", Owner::Firewalld),
    ("FORWARD_OUT_ZONES", Owner::Firewalld),
    ("FORWARD_POLICIES", Owner::Firewalld),
    ("FORWARD_direct", Owner::Firewalld),
    ("INPUT_ZONES", Owner::Firewalld),
    ("INPUT_POLICIES", Owner::Firewalld),
    ("INPUT_direct", Owner::Firewalld),
    ("OUTPUT_direct", Owner::Firewalld),
    ("OUTPUT_POLICIES", Owner::Firewalld),
    ("FWDI_", Owner::Firewalld),
    ("FWDO_", Owner::Firewalld),
    ("FWD_", Owner::Firewalld),
    ("IN_", Owner::Firewalld),
    ("filter_FWD", Owner::Firewalld),
    ("filter_IN_", Owner::Firewalld),
    ("filter_FORWARD", Owner::Firewalld),
];

/// Tables of nftables that belong to one program as a whole.
const TABLES: [(&str, Owner); 6] = [
    ("kube-proxy", Owner::KubeProxy),
    ("flannel-ipv4", Owner::Flannel),
    ("flannel-ipv6", Owner::Flannel),
    ("firewalld", Owner::Firewalld),
    ("calico", Owner::Calico),
    ("docker-bridges", Owner::Docker),
];

/// What programs write beside rules in chains that are not theirs.
const COMMENTS: [(&str, Owner); 8] = [
    ("kubernetes ", Owner::KubeProxy),
    ("flanneld ", Owner::Flannel),
    ("cali:", Owner::Calico),
    ("cilium", Owner::Cilium),
    ("Antrea:", Owner::Antrea),
    ("CNI firewall plugin", Owner::Cni),
    ("kube-router", Owner::KubeRouter),
    ("NOTE: this must go before '-j KUBE-FORWARD'", Owner::Weave),
];

/// The owner of a chain.
pub(super) fn of_chain(chain: &str) -> Option<Owner> {
    CHAINS.iter().find(|(start, _)| chain.starts_with(start)).map(|(_, owner)| *owner)
}

/// The owner of a table, which may be written with its family.
pub(super) fn of_table(table: &str) -> Option<Owner> {
    let name = table.rsplit(' ').next().unwrap_or(table);
    TABLES.iter().find(|(known, _)| *known == name).map(|(_, owner)| *owner)
}

/// The beginning of a comment that says whose a rule is; nothing of others.
pub(super) fn beginning(comment: &str) -> Option<&'static str> {
    COMMENTS.iter().find(|(start, _)| comment.starts_with(start)).map(|(start, _)| *start)
}

/// The owner of a rule that stands in a chain of no program.
pub(super) fn of_rule(rule: &Rule) -> Option<Owner> {
    let beside = rule.comment.as_deref().and_then(|comment| {
        COMMENTS.iter().find(|(start, _)| comment.starts_with(start)).map(|(_, owner)| *owner)
    });
    beside.or_else(|| rule.matches.iter().find_map(of_interface))
}

fn of_interface(one: &Match) -> Option<Owner> {
    let (Match::In(among) | Match::Out(among)) = one else { return None };
    among.of.iter().find_map(|name| match name.as_str() {
        "docker0" | "docker_gwbridge" => Some(Owner::Docker),
        "weave" => Some(Owner::Weave),
        name if name.starts_with("br-") && name.len() == 15 => Some(Owner::Docker),
        name if name.starts_with("virbr") => Some(Owner::Libvirt),
        _ => None,
    })
}
