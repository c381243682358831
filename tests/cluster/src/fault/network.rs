//! Faults of forwarding, firewalls, routes and Services' addresses.

use anyhow::{Context, Result, ensure};

use crate::cluster::Cluster;
use crate::layout::{is_control_plane, node_number};
use crate::net::pod_cidr;
use crate::options::{Component, IptablesBackend};

/// Where an administrator's rules stand. The kernel applies all of them, whichever of them the others see.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Firewall {
    /// In the tables of this back end of `iptables`, whatever `iptables` is on that host.
    Iptables(IptablesBackend),
    /// In a table of its own in nftables (`inet firewall`), as firewalld has it; no `iptables` shows it.
    Nftables,
}

/// What becomes of a packet that a firewall does not let through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// It vanishes: the caller waits until its patience ends (`i/o timeout`).
    Drop,
    /// It is answered with "host administratively prohibited", as firewalld and the default rules of RHEL do: the
    /// caller fails at once with `no route to host`, although there is one.
    Reject,
}

impl Cluster {
    /// A node forwards nothing: neither for its pods nor between them. `ACCEPT` rules of the same chain go too;
    /// kube-proxy writes its own again with its next sync.
    ///
    /// # Errors
    /// When a rule cannot be written.
    pub fn forward_drop(&self, node: &str, firewall: Firewall) -> Result<()> {
        let script = match firewall {
            Firewall::Iptables(backend) => {
                let iptables = format!("iptables-{}", backend.name());
                format!("{iptables} -P FORWARD DROP && {iptables} -F FORWARD")
            }
            Firewall::Nftables => nft("forward", "policy drop;", ""),
        };
        self.on(node, &script)
    }

    /// Forwarding is off on a node. The CNI plugin switches it on with every pod that starts there, so it is to be
    /// switched off behind the pods that matter.
    ///
    /// # Errors
    /// When it cannot be set.
    pub fn ip_forward_off(&self, node: &str) -> Result<()> {
        self.on(node, "sysctl -q -w net.ipv4.ip_forward=0")
    }

    /// The firewall of `node` does not let `from`, another node with its pods, to the kubelet's port.
    ///
    /// # Errors
    /// When there is no such node or a rule cannot be written.
    pub fn filter_kubelet_port(
        &self,
        node: &str,
        from: &str,
        refusal: Refusal,
        firewall: Firewall,
    ) -> Result<()> {
        let number = node_number(from).with_context(|| format!("{from} is no node"))?;
        let (address, pods) = (self.address(from)?, pod_cidr(number));
        let script = match firewall {
            Firewall::Iptables(backend) => {
                let target = match refusal {
                    Refusal::Drop => "DROP",
                    Refusal::Reject => "REJECT --reject-with icmp-host-prohibited",
                };
                let program = format!("iptables-{}", backend.name());
                format!("{program} -I INPUT -s {address},{pods} -p tcp --dport 10250 -j {target}")
            }
            Firewall::Nftables => {
                let verdict = match refusal {
                    Refusal::Drop => "drop",
                    Refusal::Reject => "reject with icmp host-prohibited",
                };
                let rule = format!("ip saddr {{ {address}, {pods} }} tcp dport 10250 {verdict}");
                nft("input", "policy accept;", &rule)
            }
        };
        self.on(node, &script)
    }

    /// This host of the control plane has no route to any pod; what it sends them goes to a gateway that knows nothing
    /// of them, and vanishes.
    ///
    /// # Errors
    /// When a route cannot be removed.
    pub fn forget_routes_to_pods(&self, host: &str) -> Result<()> {
        ensure!(is_control_plane(host), "{host} is no host of the control plane");
        for number in 1..=self.layout.nodes {
            self.on(host, &format!("ip route del {}", pod_cidr(number)))?;
        }
        Ok(())
    }

    /// The routes are there again.
    ///
    /// # Errors
    /// When a route cannot be added.
    pub fn restore_routes_to_pods(&self, host: &str) -> Result<()> {
        for (index, node) in self.nodes().iter().enumerate() {
            let via = self.address(node)?;
            self.on(host, &format!("ip route replace {} via {via}", pod_cidr(index + 1)))?;
        }
        Ok(())
    }

    /// kube-proxy does not run on this host, and nothing that it wrote is left.
    ///
    /// # Errors
    /// When it cannot be stopped or its rules not be removed.
    pub fn remove_kube_proxy(&self, host: &str) -> Result<()> {
        self.stop(Component::KubeProxy, host)?;
        self.on(host, "kube-proxy --cleanup --config=/var/lib/kube-proxy/config.conf")
    }

    /// From now on `iptables` on this host is this one; what was written before stays where it is and in force.
    ///
    /// # Errors
    /// When the host has no such program.
    pub fn set_iptables(&self, host: &str, backend: IptablesBackend) -> Result<()> {
        crate::files::link_iptables(&self.path(host, "/"), backend)
    }

    pub(super) fn on(&self, host: &str, script: &str) -> Result<()> {
        self.shell(host, script)?.ok().map(drop).with_context(|| format!("on {host}"))
    }
}

/// The commands that give the table `inet firewall` a chain at this hook, with a rule when there is one.
fn nft(hook: &str, policy: &str, rule: &str) -> String {
    let add_chain = format!(
        "nft 'add table inet firewall; add chain inet firewall {hook} {{ type filter hook {hook} priority 10; {policy} }}'"
    );
    if rule.is_empty() {
        return add_chain;
    }
    format!("{add_chain} && nft 'add rule inet firewall {hook} {rule}'")
}
