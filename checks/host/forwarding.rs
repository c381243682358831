//! Whether a machine's packet filter lets pods' packets to other machines through.

use crate::check::{Context, Undecided};
use crate::evidence::{Evidence, Host, Mode, Need, Node, Why};
use crate::filter::{Addresses, Decision, Filters, Hook, Interface, Outcome, Packet};

use super::{alone, place};

/// What becomes of pods' packets.
#[derive(Clone, Debug)]
pub(super) enum Forwarding {
    /// They pass.
    Passes,
    /// They are stopped.
    Stopped(Stopped),
    /// The question does not arise, and why.
    NotHere(&'static str),
}

/// Packets that are stopped.
#[derive(Clone, Debug)]
pub(super) struct Stopped {
    /// Which packets.
    pub(super) packets: String,
    /// By what.
    pub(super) by: Decision,
    /// Whether the sender is told.
    pub(super) refused: bool,
    /// The pods' range; empty where it was not seen.
    pub(super) range: String,
}

impl Stopped {
    /// What happens, as a sentence.
    pub(super) fn sentence(&self) -> String {
        let how = if self.refused { "are refused" } else { "are dropped" };
        format!("packets {} {how} by {}", self.packets, self.by)
    }
}

/// The most nodes to which a packet is tried.
const NODES: usize = 32;

/// What becomes of new connections from pods of this machine to kubelets on others.
///
/// Nothing translates these packets, and nothing but a rule marks them, so that the marks are known. Packets to the
/// Service of the API server are translated: what stops them is named where nothing stops these.
pub(super) fn look(ctx: &Context<'_>, evidence: &Evidence, host: &Host) -> Result<Forwarding, Undecided> {
    let filters = ctx.need(&host.filters)?;
    let nodes = place::nodes(ctx, evidence)?;
    let own = place::node(nodes, host);
    let is_only = own.is_some() && nodes.len() == 1;
    if is_only && ctx.need(&host.api_server)?.is_some() {
        return Ok(Forwarding::NotHere(
            "the only node and the API server are this machine, so that nothing is forwarded",
        ));
    }
    let range = own.and_then(|node| node.pod_cidr.as_deref()).and_then(Addresses::read);
    // Without a cluster the machine's routes say where its pods are.
    let pods = match range {
        None if evidence.mode == Mode::Host => alone::pods(ctx, host)?,
        _ => None,
    };
    let source = range.or(pods.as_ref().map(|pods| pods.source));
    let range = range.or(pods.as_ref().and_then(|pods| pods.range));
    let mut unknown = None;
    for (label, mut packet) in packets(nodes, own, source) {
        if packet.destination_port.is_none() {
            packet.never = alone::never(filters);
        }
        let passage = decide(ctx, filters, host, packet)?;
        match passage.outcome {
            Outcome::Accept => {}
            Outcome::Unknown(why) => {
                unknown.get_or_insert(why);
            }
            Outcome::Drop | Outcome::Reject(_) => {
                if let Some(name) = place::bypass(ctx.need(&host.routes)?) {
                    return Err(place::masked(Need::HostFilters, name, "forward pods' packets"));
                }
                let Some(by) = passage.by.into_iter().next() else { continue };
                let from = source.map(|source| format!("from {source} ")).unwrap_or_default();
                let range = range.map(|range| range.to_string()).unwrap_or_default();
                return Ok(Forwarding::Stopped(Stopped {
                    packets: format!("{from}{label}"),
                    by,
                    refused: passage.outcome != Outcome::Drop,
                    range,
                }));
            }
        }
    }
    match unknown {
        Some(why) => Err(Undecided { need: Need::HostFilters, why: Why::Unreadable(why) }),
        None => Ok(Forwarding::Passes),
    }
}

fn decide(
    ctx: &Context<'_>,
    filters: &Filters,
    host: &Host,
    mut packet: Packet,
) -> Result<crate::filter::Passage, Undecided> {
    let passage = filters.decide(Hook::Forward, &packet);
    if !passage.outcome.is_stopped() {
        return Ok(passage);
    }
    // With flannel of old, pods are on Docker's bridge, whose packets Docker accepts.
    let Some(source) = packet.source else { return Ok(passage) };
    let pods = ctx.need(&host.routes)?.iter().find(|route| {
        Addresses::read(&route.destination).is_some_and(|to| source.holds(to))
            && route.device.starts_with("docker")
    });
    let Some(route) = pods else { return Ok(passage) };
    packet.input = Interface::Is(route.device.clone());
    Ok(filters.decide(Hook::Forward, &packet))
}

/// The packets in question, with words for them.
fn packets(nodes: &[Node], own: Option<&Node>, range: Option<Addresses>) -> Vec<(String, Packet)> {
    let any = Addresses::read("0.0.0.0/0").into_iter();
    let others = nodes.iter().filter(|node| own.is_none_or(|own| own.name != node.name)).take(NODES);
    let mut packets: Vec<(String, Packet)> = Vec::new();
    for node in others {
        let family = |address: &Addresses| range.is_none_or(|range| range.family() == address.family());
        for to in place::addresses(node).filter(family) {
            let port = u16::try_from(node.kubelet_port).ok().filter(|port| *port != 0).unwrap_or(10250);
            packets.push((format!("to the kubelet of {} at {to}", node.name), new(range, to, Some(port))));
        }
    }
    if packets.is_empty() {
        // No other machine is known: whatever lies outside.
        let to = range.filter(|range| range.family() == crate::filter::Family::Ipv6);
        let all = to.and_then(|_| Addresses::read("::/0")).into_iter().chain(any).next();
        packets.extend(all.map(|to| ("to other machines".to_owned(), new(range, to, None))));
    }
    packets
}

fn new(range: Option<Addresses>, to: Addresses, port: Option<u16>) -> Packet {
    let mut packet = Packet::tcp(to, to, port.unwrap_or_default());
    packet.source = range;
    packet.destination_port = port.map(Into::into);
    packet.input = Interface::of_the_cluster();
    packet.output = Interface::of_the_cluster();
    packet.translated = Some(false);
    packet
}
