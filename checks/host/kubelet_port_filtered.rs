//! # The machine's packet filter keeps metrics-server from the kubelet
//!
//! ## What it looks at
//!
//! All rules on the hook `input` of iptables (legacy and nft) and of nftables, walked with the first packet of a connection
//! to the kubelet's address and port: from the pods' range of the node that metrics-server runs on, and from that node's
//! own address, because a CNI may translate the one into the other. Each source is asked apart. Where a machine is looked at
//! alone, packets go from anybody to what `--node-ip` says, or to each address of the machine.
//!
//! ## Why it matters
//!
//! firewalld refuses what no zone allows, with `no route to host`; ufw and policies of DROP let metrics-server wait until its time
//! is up. The node has no metrics then, and an HPA over its pods has gaps.
//!
//! ## How to fix it
//!
//! Allow TCP to the kubelet's port from the nodes and from the pods' range, in the program that filters, so that it lasts.
//! Alone, the machine's routes say where these are: the network of its address, its pods' bridge, and what lies behind the
//! CNI's interfaces. Nodes of other networks need rules of their own.
//!
//! ## When it is wrong
//!
//! Where the Metrics API has a fresh sample of the node, this check passes. Where pods are let through and nodes are not, or
//! the other way round, it stays open which of them the packets come from; so it does alone, where some are let through and
//! others are not: `check --with` knows the senders.
//!
//! ## References
//!
//! - Failure catalogue: `kubelet-port-filtered` (RM-D5), `no-route-to-host` (RM-D7), `firewall-on-adapter-port` (AH-B03)

use super::forward_policy_drop::place_of;
use super::{alone, place};
use crate::check::{
    Audience, Check, Context, Finding, Hop, Kind, Outcome, Remedy, Results, Severity, Step, Undecided, fail,
};
use crate::evidence::{Evidence, Host, Mode, Need, Node, Why};
use crate::filter::{
    Addresses, Backend, Decision, Filters, Hook, Interface, Outcome as Passed, Owner, Packet,
};
use crate::support;

pub(crate) const CHECK: Check = Check {
    code: "MP014",
    name: "kubelet-port-filtered",
    title: "The machine's packet filter stops what metrics-server sends to the kubelet",
    hop: Hop::Host,
    severity: Severity::Error,
    kind: Kind::Cause,
    modes: &[Mode::Installed, Mode::BeforeInstall, Mode::Host],
    needs: &[
        Need::Pods,
        Need::Nodes,
        Need::NodeMetrics,
        Need::HostIdentity,
        Need::HostFilters,
        Need::HostKubelet,
    ],
    explains: super::EXPLAINS,
    question: alone::QUESTION,
    source: include_str!("kubelet_port_filtered.rs"),
    run,
    remedies,
};

/// Where metrics-server's packets may come from.
struct Source {
    /// Words for it.
    label: String,
    /// Each is a way in which the same packets may arrive.
    ranges: Vec<Option<Addresses>>,
}

/// The most sources that are tried.
const SOURCES: usize = 64;

fn of_node(node: &Node, host_network: bool, is_own: bool) -> Source {
    let range = node.pod_cidr.as_deref().and_then(Addresses::read).filter(|_| !host_network);
    let mut ranges: Vec<Option<Addresses>> = range.into_iter().map(Some).collect();
    // What stays on the machine leaves by no interface at which addresses are translated.
    if !is_own || ranges.is_empty() {
        ranges.extend(place::addresses(node).map(Some));
    }
    Source { label: format!("pods on {}", node.name), ranges }
}

fn sources(
    ctx: &Context<'_>,
    evidence: &Evidence,
    host: &Host,
    nodes: &[Node],
) -> Result<Vec<Source>, Undecided> {
    let is_own = |node: &Node| Some(&node.name) == host.node.as_ref();
    let mut found: Vec<Source> = Vec::new();
    if evidence.mode == Mode::Installed {
        for pod in ctx.need(&evidence.backend.pods)? {
            let node = nodes.iter().find(|node| Some(&node.name) == pod.node.as_ref());
            found.extend(node.map(|node| of_node(node, pod.host_network, is_own(node))));
        }
    }
    if found.is_empty() {
        found.extend(nodes.iter().take(SOURCES).map(|node| of_node(node, false, is_own(node))));
    }
    found.retain(|source| !source.ranges.is_empty());
    if found.is_empty() {
        found.push(Source { label: "anybody".to_owned(), ranges: vec![None] });
    }
    Ok(found)
}

/// The kubelet's address, where one is known, or those that it may have, and its port.
fn target(
    ctx: &Context<'_>,
    evidence: &Evidence,
    host: &Host,
    nodes: &[Node],
) -> Result<(Vec<Addresses>, u16), Undecided> {
    let node = place::node(nodes, host);
    let own = node.and_then(|node| place::addresses(node).next());
    let announced = node.and_then(|node| u16::try_from(node.kubelet_port).ok()).filter(|port| *port != 0);
    let port = match announced {
        Some(port) => port,
        None => place::kubelet_port(ctx, host)?,
    };
    if let Some(own) = own {
        return Ok((vec![own], port));
    }
    // Without a cluster it is one of the machine's own.
    if evidence.mode == Mode::Host {
        return Ok((alone::own(ctx, host)?, port));
    }
    // Without an address any of the machine's is meant.
    match Addresses::read("0.0.0.0/0") {
        Some(any) => Ok((vec![any], port)),
        None => Err(Undecided {
            need: Need::Nodes,
            why: Why::NotAsked("the node has no internal address".to_owned()),
        }),
    }
}

/// How the packets of one source fare.
enum Fare {
    Stopped(Decision, bool),
    Passes,
    Open(String),
}

/// How they fare to each of the addresses that the kubelet may have.
fn fare_to_all(filters: &Filters, source: &Source, all: &[Addresses], port: u16) -> Fare {
    let (mut stopped, mut passes) = (None, None);
    for to in all {
        match fare(filters, source, *to, port) {
            Fare::Open(why) => return Fare::Open(why),
            Fare::Passes => passes = Some(to),
            Fare::Stopped(by, refused) => {
                stopped.get_or_insert((to, by, refused));
            }
        }
    }
    match (stopped, passes) {
        (Some((_, by, refused)), None) => Fare::Stopped(by, refused),
        (Some((to, by, _)), Some(other)) => Fare::Open(format!(
            "packets to {to} and to {other} fare differently ({by}), and which of them is the kubelet's is not known here"
        )),
        (None, _) => Fare::Passes,
    }
}

fn fare(filters: &Filters, source: &Source, to: Addresses, port: u16) -> Fare {
    let (mut stopped, mut passes, mut open) = (None, false, None);
    for range in &source.ranges {
        if range.is_some_and(|range| range.family() != to.family()) {
            continue;
        }
        let mut packet = Packet::tcp(to, to, port);
        packet.source = *range;
        if range.is_none() {
            packet.never = alone::never(filters);
        }
        packet.input = Interface::of_the_cluster();
        packet.output = Interface::None;
        packet.translated = Some(false);
        let passage = filters.decide(Hook::Input, &packet);
        match (passage.outcome, passage.by.into_iter().next()) {
            (outcome @ (Passed::Drop | Passed::Reject(_)), Some(by)) => {
                stopped = Some((by, outcome != Passed::Drop));
            }
            (Passed::Accept, _) => passes = true,
            (Passed::Unknown(why), _) => open = Some(why),
            _ => {}
        }
    }
    match (stopped, passes, open) {
        (_, _, Some(why)) => Fare::Open(why),
        (Some((by, refused)), false, None) => Fare::Stopped(by, refused),
        (Some((by, _)), true, None) => Fare::Open(format!(
            "packets with the address of a pod and those with the address of its node fare differently ({by})"
        )),
        (None, _, None) => Fare::Passes,
    }
}

fn run(evidence: &Evidence, results: &mut Results<'_>) {
    results.about_hosts(Need::HostFilters, |ctx, host, subject| {
        if let Some(other) = place::not_a_node(ctx, evidence, host)? {
            return Ok(other);
        }
        if place::is_scraped(ctx, evidence, host)? {
            return Ok(Outcome::Pass);
        }
        let filters = ctx.need(&host.filters)?;
        let nodes = place::nodes(ctx, evidence)?;
        let (to, port) = target(ctx, evidence, host, nodes)?;
        let family = to.first().map(|to| to.family());
        let mut open = None;
        let mut stopped: Option<Finding> = None;
        let mut ranges: Vec<String> = Vec::new();
        for source in sources(ctx, evidence, host, nodes)? {
            match fare_to_all(filters, &source, &to, port) {
                Fare::Passes => {}
                Fare::Open(why) => {
                    open.get_or_insert(why);
                }
                Fare::Stopped(by, refused) => {
                    let how = if refused { "are refused" } else { "are dropped" };
                    let detail = format!("packets from {} to port {port} {how} by {by}", source.label);
                    let own = source.ranges.iter().flatten().filter(|range| Some(range.family()) == family);
                    for range in own.map(ToString::to_string) {
                        if !ranges.contains(&range) {
                            ranges.push(range);
                        }
                    }
                    // One rule accepts all of them; what stops the first is told.
                    stopped.get_or_insert_with(|| {
                        Finding::new(subject.clone(), detail)
                            .cite(
                                &host.filters,
                                "input",
                                by.to_string(),
                                "a rule before it that accepts them",
                            )
                            .fact("run_on", place::run_on(host))
                            .fact("whose", by.whose.to_string())
                            .fact("backend", by.backend.to_string())
                            .fact("table", by.table.clone())
                            .fact("chain", by.chain.clone())
                            .fact("port", port.to_string())
                    });
                }
            }
        }
        if let Some(mut finding) = stopped {
            // Alone, the machine's own routes say where nodes and pods are.
            if evidence.mode == Mode::Host && ranges.is_empty() {
                ranges.extend(alone::senders(host, &to).iter().map(ToString::to_string));
                finding = finding.fact("by_routes", ranges.join(", "));
            }
            return Ok(fail(finding.fact("ranges", ranges.join(" "))));
        }
        match open {
            Some(why) => Err(Undecided { need: Need::HostFilters, why: Why::Unreadable(why) }),
            None => Ok(Outcome::Pass),
        }
    });
}

fn step(finding: &Finding) -> Step {
    let fact = |name: &str| finding.facts.get(name).cloned().unwrap_or_default();
    let (run_on, port) = (fact("run_on"), fact("port"));
    let ranges: Vec<Addresses> = fact("ranges").split(' ').filter_map(Addresses::read).collect();
    let lines = |one: &dyn Fn(&Addresses) -> String| ranges.iter().map(one).collect::<Vec<_>>().join("\n");
    if fact("whose") == Owner::Firewalld.to_string() {
        let script = format!("firewall-cmd --permanent --add-port={port}/tcp\nfirewall-cmd --reload");
        return Step::run(run_on, script).verify(format!("firewall-cmd --query-port={port}/tcp"));
    }
    if fact("whose") == Owner::Ufw.to_string() && !ranges.is_empty() {
        let script = lines(&|range| format!("ufw allow proto tcp from {range} to any port {port}"));
        return Step::run(run_on, script).verify(format!("ufw status | grep -E '^{port}/tcp +ALLOW'"));
    }
    if let Some(rules) = rules(finding, &ranges, &port) {
        let script = support::at_boot(
            "kubernetes-kubelet-port",
            "Accept metrics-server at the kubelet's port",
            &rules,
        );
        return Step::run(run_on, script).verify("systemctl is-active kubernetes-kubelet-port.service");
    }
    Step::manual(
        run_on,
        format!(
            "accept TCP to port {port} from {} ahead of what stops it ({}), where the machine's rules are kept",
            if ranges.is_empty() {
                format!("the nodes' addresses and the pods' ranges ({})", alone::RANGES)
            } else {
                lines(&ToString::to_string).replace('\n', ", ")
            },
            place_of(finding)
        ),
    )
}

/// Commands of a unit that accept each range ahead of what stops it; nothing where that cannot be written for certain.
fn rules(finding: &Finding, ranges: &[Addresses], port: &str) -> Option<String> {
    let fact = |name: &str| finding.facts.get(name).map(String::as_str).unwrap_or_default();
    if ranges.is_empty() || ranges.len() > 32 {
        return None;
    }
    let six = |range: &Addresses| range.family() == crate::filter::Family::Ipv6;
    if fact("backend") == Backend::Nftables.to_string() {
        let rules: Vec<String> = ranges
            .iter()
            .map(|range| {
                format!("{} saddr {range} tcp dport {port} accept", if six(range) { "ip6" } else { "ip" })
            })
            .collect();
        return support::nft_rules(fact("table"), fact("chain"), &rules);
    }
    let backend = fact("backend").trim_start_matches("iptables-").to_owned();
    let lines = ranges.iter().map(|range| {
        let program = format!("{}-{backend}", if six(range) { "ip6tables" } else { "iptables" });
        let rule = format!("INPUT -p tcp -s {range} --dport {port} -j ACCEPT");
        format!("ExecStart=/bin/sh -c '{program} -C {rule} 2>/dev/null || {program} -I {rule}'\n")
    });
    Some(lines.collect())
}

fn remedies(_: &Evidence, findings: &[&Finding]) -> Vec<Remedy> {
    let mut cost =
        "Whoever may send from these addresses can try the kubelet's port; it asks for a credential."
            .to_owned();
    let by_routes = findings.iter().filter_map(|finding| finding.facts.get("by_routes"));
    for ranges in by_routes.filter(|ranges| !ranges.is_empty()) {
        cost = format!(
            "{cost} The machine's routes show {ranges}; nodes and pods elsewhere need rules of their own, and `check --with` \
             knows them."
        );
    }
    vec![Remedy {
        title: "Let metrics-server's packets to the kubelet's port through".to_owned(),
        audience: Audience::Production,
        cost,
        leaves: Vec::new(),
        steps: findings.iter().map(|finding| step(finding)).collect(),
    }]
}
