//! # NetworkPolicies forbid kube-apiserver to reach metrics-server
//!
//! ## What it looks at
//!
//! Where the APIService says that kube-apiserver gets no connection: the NetworkPolicies that select
//! metrics-server's pods for ingress, and whether any of their rules lets the control plane's addresses in to the
//! port of the container.
//!
//! ## Why it matters
//!
//! Once a policy selects a pod for ingress, only what some rule allows comes in. kube-apiserver is no
//! pod of the pod network: neither `podSelector` nor `namespaceSelector: {}` matches it, only an `ipBlock` or a
//! rule without `from` does. Where metrics-server runs on the same machine as the kube-apiserver, it works all the
//! same, and so the fault comes and goes with the machine that happens to answer.
//!
//! ## How to fix it
//!
//! Add a NetworkPolicy that lets the control plane in to that port, as printed. The port is the
//! container's, not the Service's.
//!
//! ## When it is wrong
//!
//! Whether the network enforces policies cannot be read from any object, so without the symptom there
//! is no finding, and with it the finding is *likely*. An overlay network gives a control-plane host an address of
//! its own among the pods'; where an `ipBlock` may or may not hold it, the result is undecided. So it is where
//! kube-apiserver calls through a proxy whose agents are pods (`--egress-selector-config-file`).
//!
//! Only `networking.k8s.io/v1` is read, see `network-policy-blocks-egress`.
//!
//! ## References
//!
//! - Kubernetes: <https://kubernetes.io/docs/concepts/services-networking/network-policies/>
//! - Failure catalogue: `ingress-networkpolicy-blocks-apiserver` (RM-I4), `networkpolicy-blocks-apiserver` (AH-B05);
//!   <https://github.com/k3s-io/k3s/issues/4496>, <https://github.com/rancher/rke2/issues/745>

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::net::IpAddr;

use super::metrics_server_unreachable_from_apiserver as unreachable;
use crate::Context;
use crate::check::{
    Audience, Check, Decision, Finding, Hop, Kind, Outcome, Question, Remedy, Results, Severity, Step, fail,
    not_applicable,
};
use crate::evidence::{Endpoint, Evidence, Mode, Need, Pod};
use crate::front_proxy::identity;
use crate::net;
use crate::policy::way::{self, Surroundings, unknown};
use crate::policy::{Direction, Other, Verdict};
use crate::support;

pub(crate) const CHECK: Check = Check {
    code: "MP608",
    name: "network-policy-blocks-ingress",
    title: "NetworkPolicies let kube-apiserver not in to metrics-server's pod",
    hop: Hop::FrontProxy,
    severity: Severity::Error,
    kind: Kind::Cause,
    modes: &[Mode::Installed],
    needs: &[
        Need::Groups,
        Need::ApiService,
        Need::EndpointSlices,
        Need::Pods,
        Need::ApiServerFlags,
        Need::Nodes,
        Need::NetworkPolicies,
        Need::ApiServers,
    ],
    explains: identity::EXPLAINS,
    question: Question::Listed,
    source: include_str!("network_policy_blocks_ingress.rs"),
    run,
    remedies,
};

/// What drops these packets just as well.
const OTHERS: &[&str] =
    &["forward-policy-drop", "kube-proxy-not-programming", "control-plane-without-pod-route"];

fn run(evidence: &Evidence, results: &mut Results<'_>) {
    results.about(support::apiservice(), |ctx| decide(ctx, evidence));
}

fn decide(ctx: &Context<'_>, evidence: &Evidence) -> Decision {
    let Some(apiservice) = ctx.need(&evidence.registration)? else {
        return Ok(not_applicable("there is no APIService"));
    };
    let Some((condition, _)) = unreachable::failure(apiservice) else {
        // One kube-apiserver of several may be shut out while the others set the condition right again.
        let is_settled = apiservice
            .available
            .as_ref()
            .is_none_or(|it| !it.is_true() || it.is_true_for_all(evidence.taken_at));
        if is_settled {
            return Ok(Outcome::Pass);
        }
        return match ctx.need(&evidence.api_servers)?.len() {
            0 | 1 => Ok(Outcome::Pass),
            _ => Err(unknown(
                "the APIService is Available since a moment ago, and not every kube-apiserver has said so",
            )),
        };
    };
    let pods = ctx.need(&evidence.backend.pods)?;
    if pods.is_empty() {
        return Ok(not_applicable("no pod of metrics-server is there"));
    }
    let around = way::surroundings(ctx, evidence)?;
    let endpoints = ctx.need(&evidence.backend.endpoints)?;
    let servers = ctx.need(&evidence.api_servers)?;
    if servers.is_empty() || endpoints.is_empty() {
        return Err(unknown("neither end of the way has an address"));
    }
    let mut open: Option<String> = None;
    let mut shut: Option<(Vec<String>, Vec<String>, &Pod, i64)> = None;
    for (pod, port) in targets(pods, endpoints) {
        for server in servers {
            let Some(address) = net::ip(&server.address) else { continue };
            match to_pod(ctx, evidence, &around, pod, address, port)? {
                Verdict::Allowed => {}
                Verdict::Unknown(why) => open = Some(why),
                Verdict::Denied(policies) => {
                    let (_, from, ..) = shut.get_or_insert_with(|| (policies, Vec::new(), pod, port));
                    if !from.contains(&server.address) {
                        from.push(server.address.clone());
                    }
                }
            }
        }
    }
    let Some((policies, from, pod, port)) = shut else {
        return open.map_or_else(|| around.ruled_out(), |why| Err(unknown(why)));
    };
    let names = policies.join(", ");
    let noun = if policies.len() == 1 { "NetworkPolicy" } else { "NetworkPolicies" };
    let verb = if policies.len() == 1 { "selects" } else { "select" };
    let address = endpoints.iter().find(|endpoint| endpoint.pod.as_deref() == Some(&pod.name));
    let address = address.map_or_else(String::new, |endpoint| endpoint.address.clone());
    let detail = format!(
        "{noun} {names} {verb} pod {} and let nobody in to port {port} from {}",
        pod.name,
        from.join(", ")
    );
    let decide = Step::run(
        format!("node {}", pod.node.as_deref().unwrap_or("of the pod")),
        format!(
            "curl -sk -o /dev/null -w 'from the pod'\"'\"'s own node: %{{http_code}}\\n' --max-time 5 https://{address}:{port}/livez; iptables -S FORWARD | head -n 1"
        ),
    );
    let finding = Finding::new(support::apiservice(), detail)
        .cite(
            &evidence.policies,
            "items[].spec.ingress",
            names,
            "a rule for kube-apiserver's address and that port",
        )
        .cite(
            &evidence.registration,
            "status.conditions[Available].message",
            &condition.message,
            "all checks passed",
        )
        .likely(OTHERS)
        .decided_by(decide)
        .at(support::nodes_of_pods(evidence))
        .at(support::control_plane(evidence));
    Ok(fail(finding))
}

/// The pods, each with the port that the Service sends connections to.
fn targets<'e>(pods: &'e [Pod], endpoints: &'e [Endpoint]) -> impl Iterator<Item = (&'e Pod, i64)> {
    endpoints.iter().filter_map(|endpoint| {
        let pod = pods.iter().find(|pod| endpoint.pod.as_deref() == Some(&pod.name))?;
        Some((pod, endpoint.ports.first()?.port))
    })
}

/// The way from a kube-apiserver to a pod.
fn to_pod(
    ctx: &Context<'_>,
    evidence: &Evidence,
    around: &Surroundings<'_>,
    pod: &Pod,
    address: IpAddr,
    port: i64,
) -> Result<Verdict, crate::check::Undecided> {
    let pods = ctx.need(&evidence.backend.pods)?;
    let endpoints = ctx.need(&evidence.backend.endpoints)?;
    let seen: Vec<(IpAddr, &str)> = endpoints
        .iter()
        .filter_map(|endpoint| Some((net::ip(&endpoint.address)?, endpoint.pod.as_deref()?)))
        .collect();
    let also =
        around.node_at(address).and_then(|node| around.pods_of(node, pods, &seen)).map(|range| vec![range]);
    let ask = |as_pod: bool| {
        let other = Other::Machine { address, also: also.clone(), as_pod };
        around.judge(Direction::Ingress, pod, other, port)
    };
    let plain = ask(false);
    // Only where it matters does it have to be known whether the agents of a proxy stand in for kube-apiserver.
    if matches!(plain, Verdict::Denied(_)) && ask(true) != plain {
        let flags = ctx.need(&evidence.front_proxy.apiserver_flags)?;
        let proxied = flags.get("egress-selector-config-file").is_some_and(|file| !file.is_empty());
        return Ok(ask(proxied));
    }
    Ok(plain)
}

fn remedies(evidence: &Evidence, _: &[&Finding]) -> Vec<Remedy> {
    let servers = evidence.api_servers.peek().map(Vec::as_slice).unwrap_or_default();
    let mut blocks: BTreeSet<String> =
        servers.iter().filter_map(|server| way::block(&server.address)).collect();
    let nodes = evidence.nodes.peek().map(Vec::as_slice).unwrap_or_default();
    // What an overlay makes a control-plane host send from is among the addresses of its pods.
    for server in servers {
        let own = nodes.iter().find(|node| node.addresses.iter().any(|one| one.address == server.address));
        blocks.extend(own.and_then(|node| node.pod_cidr.clone()));
    }
    let pods = evidence.backend.pods.peek().map(Vec::as_slice).unwrap_or_default();
    let endpoints = evidence.backend.endpoints.peek().map(Vec::as_slice).unwrap_or_default();
    let ports: BTreeSet<i64> = targets(pods, endpoints).map(|(_, port)| port).collect();
    if ports.is_empty() || blocks.is_empty() {
        return Vec::new();
    }
    let mut from = String::from("    - from:\n");
    for block in &blocks {
        // Writing to a String cannot fail.
        let _ = writeln!(from, "        - ipBlock: {{cidr: \"{block}\"}}");
    }
    let ports: Vec<String> = ports.iter().map(|port| format!("{{protocol: TCP, port: {port}}}")).collect();
    let ports = ports.join(", ");
    let head = "  policyTypes: [Ingress]\n  ingress:\n";
    let closed =
        way::apply(evidence, "metrics-server-ingress", &format!("{head}{from}      ports: [{ports}]\n"));
    let open = way::apply(evidence, "metrics-server-ingress", &format!("{head}    - ports: [{ports}]\n"));
    let remedy = |title: &str, audience, cost: &str, step: Option<Step>| {
        step.map(|step| Remedy {
            title: title.to_owned(),
            audience,
            cost: cost.to_owned(),
            leaves: Vec::new(),
            steps: vec![step],
        })
    };
    let production = remedy(
        "Let the control plane in to metrics-server's port",
        Audience::Production,
        "The addresses are those of now: a control-plane host that is added has to be added here. Where the network translates the control plane's address on the way, its other addresses belong here as well.",
        closed,
    );
    let lab = remedy(
        "Let everybody in to metrics-server's port",
        Audience::Lab,
        "Any pod may connect to metrics-server, which asks who calls before it answers.",
        open,
    );
    production.into_iter().chain(lab).collect()
}
