//! What a machine is to the pipeline, and whether the pipeline works on it.

use crate::check::{Context, Outcome, Undecided, not_applicable};
use crate::diagnosis::fresh_s;
use crate::evidence::{Evidence, Host, Mode, Need, Node, Route, Setting, Why};
use crate::filter::Addresses;
use crate::support;

/// What metrics-server has to do with a machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// A pod of metrics-server runs on it, in a network of its own.
    Pod,
    /// A pod of metrics-server runs on it, in the machine's network.
    HostNetwork,
    /// Its pods run on other machines, or there are none.
    Elsewhere,
    /// Nothing is installed, or no cluster was asked: a pod may come to run on it.
    Perhaps,
}

/// Undecided where it was not seen which Node a machine is: then it may be any.
fn known(ctx: &Context<'_>, host: &Host) -> Result<(), Undecided> {
    if host.node.is_none() {
        ctx.need(&host.identity)?;
    }
    Ok(())
}

/// What metrics-server has to do with a machine.
pub(super) fn of(ctx: &Context<'_>, evidence: &Evidence, host: &Host) -> Result<Place, Undecided> {
    if evidence.mode != Mode::Installed {
        return Ok(Place::Perhaps);
    }
    known(ctx, host)?;
    let pods = ctx.need(&evidence.backend.pods)?;
    let here = |node: &String| Some(node) == host.node.as_ref();
    let own: Vec<_> = pods.iter().filter(|pod| pod.node.as_ref().is_some_and(here)).collect();
    Ok(match own.as_slice() {
        [] => Place::Elsewhere,
        own if own.iter().all(|pod| pod.host_network) => Place::HostNetwork,
        _ => Place::Pod,
    })
}

/// Whether a pod of metrics-server on this machine is Ready and the Metrics API answers: then the pod's packets come
/// through, whatever the machine says.
pub(super) fn serves(ctx: &Context<'_>, evidence: &Evidence, host: &Host) -> Result<bool, Undecided> {
    if evidence.mode != Mode::Installed {
        return Ok(false);
    }
    let here = |node: &String| Some(node) == host.node.as_ref();
    let pods = ctx.need(&evidence.backend.pods)?;
    let ready = pods.iter().any(|pod| pod.ready && pod.node.as_ref().is_some_and(here));
    Ok(ready && ctx.need(&evidence.metrics.discovery)?.status == 200)
}

/// The answer where forwarding on this machine does not matter to metrics-server, or is seen to work; nothing where it has
/// to be looked at.
pub(super) fn without_forwarding(
    ctx: &Context<'_>,
    evidence: &Evidence,
    host: &Host,
) -> Result<Option<Outcome>, Undecided> {
    Ok(match of(ctx, evidence, host)? {
        Place::Elsewhere => Some(not_applicable("no pod of metrics-server runs on it")),
        Place::HostNetwork => Some(not_applicable(
            "metrics-server uses the machine's own network, from which nothing is forwarded",
        )),
        Place::Perhaps if !has_kubelet(ctx, host)? => {
            Some(not_applicable("it has no kubelet, and so no pods"))
        }
        Place::Pod if serves(ctx, evidence, host)? => Some(Outcome::Pass),
        Place::Pod | Place::Perhaps => None,
    })
}

/// Whether every pod of metrics-server that this machine was given has been started there.
pub(super) fn started(ctx: &Context<'_>, evidence: &Evidence, host: &Host) -> Result<bool, Undecided> {
    let here = |node: &String| Some(node) == host.node.as_ref();
    let mut own = ctx.need(&evidence.backend.pods)?.iter().filter(|pod| pod.node.as_ref().is_some_and(here));
    Ok(own.all(|pod| pod.ready || pod.started.is_some() || pod.restarts > 0))
}

/// Whether the Metrics API has a fresh sample from this machine's kubelet: then metrics-server reaches it.
pub(super) fn is_scraped(ctx: &Context<'_>, evidence: &Evidence, host: &Host) -> Result<bool, Undecided> {
    let Some(node) = host.node.as_ref().filter(|_| evidence.mode == Mode::Installed) else {
        return Ok(false);
    };
    if ctx.need(&evidence.metrics.nodes_answer)?.status != 200 {
        return Ok(false);
    }
    let samples = ctx.need(&evidence.metrics.nodes)?;
    let own = samples.iter().find(|sample| sample.node == *node);
    Ok(own.is_some_and(|sample| support::age_s(evidence, sample.timestamp) <= fresh_s(evidence)))
}

/// The cluster's nodes; none where no cluster was asked.
pub(super) fn nodes<'e>(ctx: &Context<'_>, evidence: &'e Evidence) -> Result<&'e [Node], Undecided> {
    if evidence.mode == Mode::Host { Ok(&[]) } else { ctx.need(&evidence.nodes).map(Vec::as_slice) }
}

/// The Node that a machine is.
pub(super) fn node<'e>(nodes: &'e [Node], host: &Host) -> Option<&'e Node> {
    nodes.iter().find(|node| Some(&node.name) == host.node.as_ref())
}

/// The internal addresses of a Node.
pub(super) fn addresses(node: &Node) -> impl Iterator<Item = Addresses> + '_ {
    let internal = node.addresses.iter().filter(|address| address.kind == "InternalIP");
    internal.filter_map(|address| Addresses::read(&address.address))
}

/// Where a command for this machine is run.
pub(super) fn run_on(host: &Host) -> String {
    host.node.as_ref().map_or_else(|| format!("host {}", host.name), |node| format!("node {node}"))
}

/// A setting of the kernel; undecided where it was not looked at.
pub(super) fn setting<'e>(ctx: &Context<'_>, host: &'e Host, name: &str) -> Result<&'e Setting, Undecided> {
    let settings = ctx.need(&host.settings)?;
    settings.iter().find(|setting| setting.name == name).ok_or_else(|| Undecided {
        need: Need::HostSettings,
        why: Why::NotAsked(format!("`{name}` is not among the settings that were seen")),
    })
}

/// Interfaces of programs that forward or translate packets in eBPF or in Open vSwitch, past the packet filter: of
/// Cilium, of Calico's eBPF data plane, of OVN-Kubernetes and of Antrea.
const BYPASSES: [(&str, &str); 6] = [
    ("cilium_", "Cilium"),
    ("lxc", "Cilium"),
    ("bpfin.cali", "Calico's eBPF data plane"),
    ("bpfout.cali", "Calico's eBPF data plane"),
    ("ovn-k8s-mp", "OVN-Kubernetes"),
    ("antrea-gw", "Antrea"),
];

/// The program that may forward and translate packets past the packet filter, by its interfaces.
pub(super) fn bypass(routes: &[Route]) -> Option<&'static str> {
    let of = |route: &Route| BYPASSES.iter().find(|(start, _)| route.device.starts_with(start));
    routes.iter().find_map(of).map(|(_, name)| *name)
}

/// Undecided, because another program may do what the kernel's tables do not.
pub(super) fn masked(need: Need, name: &str, what: &str) -> Undecided {
    Undecided { need, why: Why::Masked(format!("{name}, which may {what} past the kernel's tables")) }
}

/// Whether the machine has a kubelet: one that runs, or a unit that would start one.
pub(super) fn has_kubelet(ctx: &Context<'_>, host: &Host) -> Result<bool, Undecided> {
    Ok(ctx.need(&host.kubelet)?.is_some() || ctx.need(&host.kubelet_unit)?.is_some())
}

/// The answer about a machine on which metrics-server looks for no kubelet; nothing where it does.
pub(super) fn not_a_node(
    ctx: &Context<'_>,
    evidence: &Evidence,
    host: &Host,
) -> Result<Option<Outcome>, Undecided> {
    let is_node = if evidence.mode == Mode::Host {
        has_kubelet(ctx, host)?
    } else {
        known(ctx, host)?;
        host.node.is_some()
    };
    Ok((!is_node).then(|| not_applicable("it is no node of the cluster")))
}

/// The kubelet's port by its configuration.
pub(super) fn kubelet_port(ctx: &Context<'_>, host: &Host) -> Result<u16, Undecided> {
    let file = ctx.need(&host.kubelet_file)?;
    let port = file.as_ref().and_then(|file| file.config.as_ref()).map(|config| config.port);
    Ok(port.and_then(|port| u16::try_from(port).ok()).filter(|port| *port != 0).unwrap_or(10250))
}
