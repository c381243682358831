//! # A control-plane machine does not reach metrics-server's pods
//!
//! ## What it looks at
//!
//! On a machine with kube-apiserver: what came of dialling the addresses of metrics-server's pods from there, and the routes
//! that lead to them.
//!
//! ## Why it matters
//!
//! kube-apiserver passes requests for the Metrics API on to metrics-server itself, from its machine's network. Without a CNI
//! there, or with its overlay blocked, they get lost: `FailedDiscoveryCheck`, `context deadline exceeded`.
//!
//! ## How to fix it
//!
//! Run the CNI and kube-proxy on the control plane too, or open what the overlay needs (VXLAN UDP 8472 or 4789, IP in IP, BGP
//! TCP 179). Where that is not wanted, metrics-server can use its node's network (`hostNetwork: true`).
//!
//! ## When it is wrong
//!
//! A NetworkPolicy, or the packet filter of the pod's own machine, looks the same from here; so what a dial says is likely
//! only. With the default route alone and no dial it stays open. Where this is the only kube-apiserver and the Metrics API
//! answers, the check passes.
//!
//! ## References
//!
//! - Failure catalogue: `pod-network-unreachable-from-control-plane` (AH-B02), `control-plane-cannot-reach-pod-network` (RM-I1)

use super::place;
use crate::check::{
    Audience, Check, Context, Finding, Hop, Kind, Outcome, Question, Remedy, Results, Severity, Step,
    Undecided, fail, not_applicable,
};
use crate::evidence::{Endpoint, Evidence, Host, Mode, Need, Reach, Route, Why};
use crate::filter::Addresses;
use crate::support;

pub(crate) const CHECK: Check = Check {
    code: "MP017",
    name: "control-plane-without-pod-route",
    title: "A machine with kube-apiserver does not reach metrics-server's pods",
    hop: Hop::Host,
    severity: Severity::Error,
    kind: Kind::Cause,
    modes: &[Mode::Installed],
    needs: &[
        Need::EndpointSlices,
        Need::MetricsDiscovery,
        Need::HostControlPlane,
        Need::HostRoutes,
        Need::HostDials,
    ],
    explains: super::EXPLAINS,
    question: Question::Listed,
    source: include_str!("control_plane_without_pod_route.rs"),
    run,
    remedies,
};

/// What dials of one address came to.
enum Dialled {
    Connected,
    Lost(String, usize),
    Not,
}

fn dialled(ctx: &Context<'_>, host: &Host, endpoints: &[&Endpoint]) -> Dialled {
    let mut lost = None;
    for (at, dial) in host.dials.iter().enumerate() {
        let is_one = endpoints.iter().any(|endpoint| {
            endpoint.address == dial.address && endpoint.ports.iter().any(|port| port.port == dial.port)
        });
        let Ok(reach) = ctx.need(&dial.reach) else { continue };
        match reach {
            _ if !is_one => {}
            // Whoever refuses was reached.
            Reach::Refused => return Dialled::Connected,
            reach if reach.is_connected() => return Dialled::Connected,
            Reach::TimedOut | Reach::NoRoute => {
                lost = Some((format!("{}: {}", dial.address, reach.words()), at));
            }
            _ => {}
        }
    }
    lost.map_or(Dialled::Not, |(words, at)| Dialled::Lost(words, at))
}

/// The most specific route to an address.
fn route(routes: &[Route], to: Addresses) -> Option<&Route> {
    let holding = routes.iter().filter_map(|route| Some((Addresses::read(&route.destination)?, route)));
    let holding: Vec<_> = holding.filter(|(range, _)| range.holds(to)).collect();
    let narrowest = holding.iter().find(|(range, _)| holding.iter().all(|(other, _)| other.holds(*range)));
    narrowest.map(|(_, route)| *route)
}

fn run(evidence: &Evidence, results: &mut Results<'_>) {
    results.about_hosts(Need::HostControlPlane, |ctx, host, subject| {
        let Some(server) = ctx.need(&host.api_server)? else {
            return Ok(not_applicable("kube-apiserver does not run on it"));
        };
        if server.flags.contains_key("egress-selector-config-file") {
            return Ok(not_applicable("kube-apiserver reaches the cluster by another way (--egress-selector-config-file)"));
        }
        let answers = ctx.need(&evidence.metrics.discovery)?.status == 200;
        if answers && support::control_plane(evidence).len() <= 1 {
            return Ok(Outcome::Pass);
        }
        let endpoints: Vec<&Endpoint> =
            ctx.need(&evidence.backend.endpoints)?.iter().filter(|endpoint| endpoint.pod.is_some()).collect();
        let Some(first) = endpoints.first() else {
            return Ok(not_applicable("metrics-server has no pod that could be reached"));
        };
        let found = |detail: String| Finding::new(subject.clone(), detail).fact("run_on", place::run_on(host));
        match dialled(ctx, host, &endpoints) {
            Dialled::Connected => return Ok(Outcome::Pass),
            Dialled::Lost(words, at) => {
                let finding = found(format!("dialling metrics-server's pod from the machine, {words}"))
                    .cite(&host.dials[at].reach, "dial", words, "a connection")
                    .likely(&["network-policy-blocks-ingress", "forward-policy-drop", "ip-forward-off"])
                    // What the pod's own machine does not forward gets lost just so.
                    .at([subject])
                    .at(support::nodes_of_pods(evidence));
                return Ok(fail(finding));
            }
            Dialled::Not => {}
        }
        let routes = ctx.need(&host.routes)?;
        let open = |why: String| Err(Undecided { need: Need::HostDials, why: Why::NotAsked(why) });
        let Some(to) = Addresses::read(&first.address) else { return open("a pod's address cannot be read".to_owned()) };
        match route(routes, to) {
            None => {
                let cited = routes.len().to_string();
                let finding = found(format!("the machine has no route to metrics-server's pod at {to}"))
                    .cite(&host.routes, "routes", format!("none of {cited} leads to {to}"), "a route to the pods' range");
                Ok(fail(finding))
            }
            Some(route) if route.device.is_empty() => {
                let finding = found(format!("a route of the machine refuses packets to metrics-server's pod at {to}"))
                    .cite(&host.routes, route.destination.clone(), "refuses", "a route to the pods' range");
                Ok(fail(finding))
            }
            Some(route) if Addresses::read(&route.destination).is_some_and(|range| range.holds(to) && is_default(route)) => {
                open(format!("only the default route leads to {to}: `host --dial {to}:PORT` on the machine shows whether it does"))
            }
            // That there is a road does not say that it leads there.
            Some(_) => open(format!("there is a route to {to}: `host --dial {to}:PORT` on the machine shows whether it answers")),
        }
    });
}

fn is_default(route: &Route) -> bool {
    matches!(route.destination.as_str(), "0.0.0.0/0" | "::/0")
}

fn remedies(_: &Evidence, findings: &[&Finding]) -> Vec<Remedy> {
    let steps = findings.iter().map(|finding| {
        Step::manual(
            finding.facts.get("run_on").cloned().unwrap_or_default(),
            "run the CNI's agent on the machine, and allow its overlay between the machines (VXLAN UDP 8472 or 4789, IP in IP, or BGP TCP 179)",
        )
    });
    vec![Remedy {
        title: "Give the control plane a way to the pods' network".to_owned(),
        audience: Audience::Production,
        cost: String::new(),
        leaves: Vec::new(),
        steps: steps.collect(),
    }]
}
