//! The network: one namespace as the switch, one for every host, and three to look from. Nothing of it touches
//! the machine's own network, so every cluster has the same addresses.

use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::layout::{Layout, control_plane_number, node_number};
use crate::run::{LIMIT, call, run};

pub(crate) const CONTROL_PLANE_IP: &str = "172.30.0.10";
const GATEWAY: &str = "172.30.0.1";

/// The namespace with the bridge.
const SWITCH: &str = "switch";
/// A machine on the nodes' network that is no node.
pub(crate) const WORKSTATION: &str = "workstation";
/// Reaches the API server's port only; the rest vanishes on the way.
pub(crate) const API_ONLY: &str = "apionly";
/// Reaches the API server's port only; there is no way to the rest.
pub(crate) const NO_ROUTE: &str = "noroute";

const VANTAGES: [(&str, &str); 3] =
    [(WORKSTATION, "172.30.0.2"), (API_ONLY, "172.30.0.3"), (NO_ROUTE, "172.30.0.4")];

pub(crate) fn address(host: &str) -> Result<String> {
    match control_plane_number(host) {
        Some(1) => return Ok(CONTROL_PLANE_IP.to_owned()),
        // Below the nodes' addresses and behind those of the vantages.
        Some(number) => return Ok(format!("172.30.0.{}", 3 + number)),
        None => {}
    }
    if let Some((_, address)) = VANTAGES.iter().find(|(name, _)| *name == host) {
        return Ok((*address).to_owned());
    }
    match node_number(host) {
        Some(number) => Ok(format!("172.30.0.{}", 10 + number)),
        None => bail!("no host is called {host:?}"),
    }
}

/// The pods' addresses on a node.
pub(crate) fn pod_cidr(number: usize) -> String {
    format!("10.244.{number}.0/24")
}

pub(crate) fn create(layout: &Layout) -> Result<()> {
    let mut names = vec![SWITCH.to_owned()];
    names.extend(layout.hosts());
    names.extend(VANTAGES.iter().map(|(name, _)| (*name).to_owned()));
    let mut script = String::new();
    for name in &names {
        writeln!(script, "netns add {}", layout.netns(name))?;
    }
    batch(None, &script)?;

    let mut script =
        format!("link set lo up\nlink add br0 type bridge\naddr add {GATEWAY}/24 dev br0\nlink set br0 up\n");
    for name in names.iter().filter(|name| *name != SWITCH) {
        writeln!(script, "link add {name} type veth peer name eth0 netns {}", layout.netns(name))?;
        writeln!(script, "link set {name} master br0 up")?;
    }
    batch(Some(&layout.netns(SWITCH)), &script)?;
    // A bridge address is a gateway that leads nowhere: what is sent to it vanishes without an answer.
    sysctl(&layout.netns(SWITCH), &["net.ipv4.ip_forward=0"])?;

    for host in layout.hosts() {
        let mut script = plain_host(&address(&host)?);
        for number in 1..=layout.nodes {
            if node_number(&host) != Some(number) {
                let node = address(&crate::layout::node_name(number))?;
                writeln!(script, "route add {} via {node}", pod_cidr(number))?;
            }
        }
        batch(Some(&layout.netns(&host)), &script)?;
    }
    batch(Some(&layout.netns(WORKSTATION)), &plain_host(&address(WORKSTATION)?))?;
    api_only(layout, API_ONLY, "DROP")?;
    api_only(layout, NO_ROUTE, "REJECT")
}

fn plain_host(address: &str) -> String {
    format!(
        "link set lo up\naddr add {address}/24 dev eth0\nlink set eth0 up\nroute add default via {GATEWAY}\n"
    )
}

fn api_only(layout: &Layout, name: &str, verdict: &str) -> Result<()> {
    let netns = layout.netns(name);
    let mut script = format!(
        "link set lo up\naddr add {}/32 dev eth0\nlink set eth0 up\nroute add {CONTROL_PLANE_IP} dev eth0\n",
        address(name)?
    );
    if name == API_ONLY {
        writeln!(script, "route add {GATEWAY} dev eth0\nroute add default via {GATEWAY}")?;
    }
    batch(Some(&netns), &script)?;
    enter(
        &netns,
        &["iptables", "-A", "OUTPUT", "-d", CONTROL_PLANE_IP, "-p", "tcp", "!", "--dport", "6443"],
        &["-j", verdict],
    )
}

fn sysctl(netns: &str, settings: &[&str]) -> Result<()> {
    enter(netns, &["sysctl", "-q", "-w"], settings)
}

fn enter(netns: &str, program: &[&str], args: &[&str]) -> Result<()> {
    let mut command = Command::new("nsenter");
    command.arg(format!("--net=/run/netns/{netns}")).arg("--").args(program).args(args);
    run(&mut command, None, LIMIT)?.ok().map(drop)
}

fn batch(netns: Option<&str>, script: &str) -> Result<()> {
    let mut command = Command::new("ip");
    if let Some(netns) = netns {
        command.args(["-n", netns]);
    }
    run(command.args(["-batch", "-"]), Some(script), LIMIT)?
        .ok()
        .map(drop)
        .with_context(|| format!("building the network with\n{script}"))
}

/// The clusters that have a network namespace left.
pub(crate) fn clusters() -> Vec<String> {
    names().filter_map(|name| Some(split(&name)?.0.to_owned())).collect()
}

/// Removes every network namespace of the cluster.
pub(crate) fn remove(cluster: &str) -> Result<()> {
    for name in names().filter(|name| split(name).is_some_and(|(owner, _)| owner == cluster)) {
        call("ip", &["netns", "delete", &name])?;
    }
    Ok(())
}

fn names() -> impl Iterator<Item = String> {
    std::fs::read_dir(Path::new("/run/netns"))
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| entry.file_name().into_string().ok())
}

/// `mp-CLUSTER-HOST`: a host's name holds no dash, a cluster's may.
fn split(netns: &str) -> Option<(&str, &str)> {
    let (cluster, host) = netns.strip_prefix("mp-")?.rsplit_once('-')?;
    let known = host == SWITCH || address(host).is_ok();
    known.then_some((cluster, host))
}

#[cfg(test)]
mod tests {
    use super::split;

    #[test]
    fn a_namespace_belongs_to_one_cluster() {
        assert_eq!(split("mp-a-b-node1"), Some(("a-b", "node1")));
        assert_eq!(split("mp-a-cp2"), Some(("a", "cp2")));
        assert_eq!(split("mp-a-switch"), Some(("a", "switch")));
        assert_eq!(split("mp-a-other"), None);
        assert_eq!(split("cni-1"), None);
    }
}
