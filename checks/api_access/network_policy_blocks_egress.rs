//! # NetworkPolicies forbid metrics-server's pod to go where it has to
//!
//! ## What it looks at
//!
//! Where metrics-server says that it does not get through, to the API server or to a kubelet: the
//! NetworkPolicies that select its pod for egress, and whether any of their rules allows that address and port.
//! For the API server both are asked, the addresses behind the Service `default/kubernetes` and the Service's own
//! address, because networks differ in which of the two they judge.
//!
//! ## Why it matters
//!
//! Once a policy selects a pod for egress, only what some rule allows goes out. A namespace with a
//! default-deny policy lets metrics-server reach neither the API server nor the kubelets. A selector of pods never
//! matches a machine: kube-apiserver and kubelets have to be allowed by `ipBlock`.
//!
//! ## How to fix it
//!
//! Add a NetworkPolicy that allows TCP to the addresses of the kube-apiservers and of the nodes, as printed.
//! Policies add up: nothing has to be taken away from those that are there.
//!
//! ## When it is wrong
//!
//! Whether the network of the cluster enforces policies cannot be read from any object, so without the symptom
//! there is no finding, and with it the finding is *likely*: something else on the way may drop the packets as
//! well. A fault that was found for certain on the machines goes before it.
//!
//! Only `networking.k8s.io/v1` is read. Policies of Calico, Cilium, Antrea and OVN-Kubernetes and
//! AdminNetworkPolicies are not; where the cluster serves them, nothing is ruled out. A policy that allows the
//! Service's address and not the endpoints, or the other way round, leaves it undecided.
//!
//! ## References
//!
//! - Kubernetes: <https://kubernetes.io/docs/concepts/services-networking/network-policies/>
//! - Failure catalogue: `egress-networkpolicy` (RM-C1e, and the look-alike of RM-D5)

use std::collections::BTreeSet;
use std::fmt::Write as _;

use super::dial::{self, Way};
use crate::Context;
use crate::check::{
    Audience, Check, Decision, Finding, Hop, Kind, Outcome, Question, Remedy, Results, Severity, Step,
    Subject, fail, not_applicable,
};
use crate::evidence::{Evidence, Mode, Need, Node};
use crate::net;
use crate::policy::Verdict;
use crate::policy::way::{self, unknown};
use crate::support;

pub(crate) const CHECK: Check = Check {
    code: "MP403",
    name: "network-policy-blocks-egress",
    title: "NetworkPolicies allow metrics-server's pod no way to where it has to go",
    hop: Hop::ApiAccess,
    severity: Severity::Error,
    kind: Kind::Cause,
    modes: &[Mode::Installed],
    needs: &[
        Need::Groups,
        Need::Pods,
        Need::Logs,
        Need::Nodes,
        Need::MetricsDiscovery,
        Need::NetworkPolicies,
        Need::ApiServers,
    ],
    explains: &[
        "metrics-server-crashing",
        "metrics-server-not-ready",
        "apiservice-unavailable",
        "metrics-api-unanswered",
        "node-metrics-missing",
        "hpa-metrics-unreadable",
    ],
    question: Question::Listed,
    source: include_str!("network_policy_blocks_egress.rs"),
    run,
    remedies,
};

/// What drops packets to the API server just as well.
const OTHERS_TO_API: &[&str] = &["forward-policy-drop", "ip-forward-off", "kube-proxy-not-programming"];
/// And to a kubelet.
const OTHERS_TO_KUBELET: &[&str] =
    &["forward-policy-drop", "kubelet-port-filtered", "kubelet-not-listening-there", "wrong-node-address"];

fn run(evidence: &Evidence, results: &mut Results<'_>) {
    results.about(Subject::namespaced("Service", "default", "kubernetes"), |ctx| to_api(ctx, evidence));
    results.about_nodes(|ctx, node, subject| to_kubelet(ctx, evidence, node, subject));
}

/// The way to the API server.
fn to_api(ctx: &Context<'_>, evidence: &Evidence) -> Decision {
    let (pod, address) = match dial::look(ctx, evidence)? {
        Way::Works => return Ok(Outcome::Pass),
        Way::NoPod => return Ok(not_applicable("no pod of metrics-server runs")),
        Way::Fails { pod, address, .. } => (pod, address),
    };
    let Some(pod) = pod else { return Err(unknown("the pod that said so is gone")) };
    let around = way::surroundings(ctx, evidence)?;
    let servers = ctx.need(&evidence.api_servers)?;
    let dialled = address.rsplit_once(':').and_then(|(host, port)| {
        Some((net::ip(host.trim_start_matches('[').trim_end_matches(']'))?, port.parse::<i64>().ok()?))
    });
    let Some((host, port)) = dialled else { return Err(unknown(format!("{address} is no IP address"))) };
    let through = around.egress(pod, host, port);
    let mut behind = Vec::new();
    for server in servers {
        let Some(host) = net::ip(&server.address) else { continue };
        behind.push((format!("{}:{}", server.address, server.port), around.egress(pod, host, server.port)));
    }
    let shut: Vec<&str> =
        behind.iter().filter(|(_, verdict)| is_denied(verdict)).map(|(to, _)| to.as_str()).collect();
    if let (Verdict::Denied(policies), false) = (&through, shut.is_empty()) {
        let subject = Subject::namespaced("Service", "default", "kubernetes");
        let to = if shut.contains(&address) {
            shut.join(", ")
        } else {
            format!("{address} or {}", shut.join(", "))
        };
        let node = pod.node.clone().unwrap_or_default();
        let decide = Step::run(
            if node.is_empty() { "workstation".to_owned() } else { format!("node {node}") },
            format!(
                "curl -sk -o /dev/null -w 'from the node itself: %{{http_code}}\\n' --max-time 5 https://{address}/version; iptables -S FORWARD | head -n 1; sysctl net.ipv4.ip_forward"
            ),
        );
        let finding = finding(evidence, subject, &pod.name, &to, policies)
            .cite(&evidence.backend.logs, "log", format!("dial tcp {address}"), "a connection")
            .likely(OTHERS_TO_API)
            .decided_by(decide)
            .at(pod.node.as_deref().map(Subject::node));
        return Ok(fail(finding));
    }
    let all = || std::iter::once(&through).chain(behind.iter().map(|(_, verdict)| verdict));
    if let Some(why) = all().find_map(unknown_why) {
        return Err(unknown(why));
    }
    if behind.is_empty() || all().any(is_denied) {
        return Err(unknown(format!(
            "policies allow one of {address} and the addresses behind it, and not the other"
        )));
    }
    around.ruled_out()
}

/// The way to the kubelet of a node.
fn to_kubelet(ctx: &Context<'_>, evidence: &Evidence, node: &Node, subject: Subject) -> Decision {
    if !node.ready {
        return Ok(not_applicable("the node is not Ready"));
    }
    let Some(silence) = support::kubelet_silence(ctx, node)? else { return Ok(Outcome::Pass) };
    let around = way::surroundings(ctx, evidence)?;
    let pods = ctx.need(&evidence.backend.pods)?;
    let Some(pod) = pods.iter().find(|pod| pod.name == silence.signal.pod) else {
        return Err(unknown("the pod that said so is gone"));
    };
    let Some((address, port)) = ctx.need(&node.dial)? else { return Ok(Outcome::Pass) };
    let Some(host) = net::ip(address) else {
        return Err(unknown(format!("{address} is a name, and so is what policies make of its name server")));
    };
    match around.egress(pod, host, *port) {
        Verdict::Denied(policies) => {
            let to = format!("{address}:{port}");
            let at = [Some(subject.clone()), pod.node.as_deref().map(Subject::node)];
            let decide = Step::run(
                format!("node {}", pod.node.as_deref().unwrap_or(&node.name)),
                format!(
                    "curl -sk -o /dev/null -w 'from the node itself: %{{http_code}}\\n' --max-time 5 https://{to}/healthz; iptables -S FORWARD | head -n 1"
                ),
            );
            let finding = finding(evidence, subject, &pod.name, &to, &policies)
                .cite(&node.scrape_log, "log", silence.words, "an answer")
                .likely(OTHERS_TO_KUBELET)
                .decided_by(decide)
                .at(at.into_iter().flatten());
            Ok(fail(finding))
        }
        Verdict::Unknown(why) => Err(unknown(why)),
        Verdict::Allowed => around.ruled_out(),
    }
}

fn finding(evidence: &Evidence, subject: Subject, pod: &str, to: &str, policies: &[String]) -> Finding {
    let (names, verb) = match policies {
        [one] => (format!("NetworkPolicy {one}"), "selects"),
        more => (format!("NetworkPolicies {}", more.join(", ")), "select"),
    };
    Finding::new(subject, format!("{names} {verb} pod {pod} and allow it no way to {to}")).cite(
        &evidence.policies,
        "items[].spec.egress",
        policies.join(", "),
        "a rule for that address and port",
    )
}

fn is_denied(verdict: &Verdict) -> bool {
    matches!(verdict, Verdict::Denied(_))
}

fn unknown_why(verdict: &Verdict) -> Option<String> {
    match verdict {
        Verdict::Unknown(why) => Some(why.clone()),
        _ => None,
    }
}

/// So many addresses are written out; a longer list is a person's to shorten to ranges.
const MAX_BLOCKS: usize = 64;

fn remedies(evidence: &Evidence, _: &[&Finding]) -> Vec<Remedy> {
    let mut kube: BTreeSet<(String, i64)> = BTreeSet::new();
    for server in evidence.api_servers.peek().map(Vec::as_slice).unwrap_or_default() {
        kube.extend(way::block(&server.address).map(|block| (block, server.port)));
    }
    kube.extend(service_address(evidence));
    let nodes = evidence.nodes.peek().map(Vec::as_slice).unwrap_or_default();
    let mut kubelets: BTreeSet<(String, i64)> = BTreeSet::new();
    for (address, port) in nodes.iter().filter_map(|node| node.dial.peek()?.as_ref()) {
        kubelets.extend(way::block(address).map(|block| (block, *port)));
    }
    let step = if kube.is_empty() || kubelets.len() > MAX_BLOCKS {
        None
    } else {
        let mut body = String::from("  policyTypes: [Egress]\n  egress:\n");
        rules(&mut body, &kube);
        rules(&mut body, &kubelets);
        way::apply(evidence, "metrics-server-egress", &body)
    };
    let step = step.unwrap_or_else(|| {
        Step::manual(
            "workstation",
            "add a NetworkPolicy with policyTypes [Egress] that selects metrics-server's pods and allows TCP to the addresses behind `kubectl get endpointslices -n default -l kubernetes.io/service-name=kubernetes` and to the range of the nodes' addresses at the kubelets' port, each as an ipBlock",
        )
    });
    let mut steps = vec![step];
    steps.extend(support::restart_metrics_server(evidence));
    vec![Remedy {
        title: "Allow metrics-server's pods to reach the API server and the kubelets".to_owned(),
        audience: Audience::Production,
        cost: "The addresses are those of now: a node or control-plane host that is added has to be added here, or its range allowed."
            .to_owned(),
        leaves: Vec::new(),
        steps,
    }]
}

/// The API server's Service, which is what some networks judge.
fn service_address(evidence: &Evidence) -> Option<(String, i64)> {
    let signals = evidence.backend.logs.peek()?;
    let address = signals.iter().rev().find_map(|signal| match &signal.signature {
        crate::evidence::Signature::ApiDial { address, .. } => Some(address),
        _ => None,
    })?;
    let (host, port) = address.rsplit_once(':')?;
    Some((way::block(host.trim_start_matches('[').trim_end_matches(']'))?, port.parse().ok()?))
}

/// A rule for each port, with its addresses.
fn rules(body: &mut String, ways: &BTreeSet<(String, i64)>) {
    let ports: BTreeSet<i64> = ways.iter().map(|(_, port)| *port).collect();
    for port in ports {
        body.push_str("    - to:\n");
        for (block, _) in ways.iter().filter(|(_, of)| *of == port) {
            // Writing to a String cannot fail.
            let _ = writeln!(body, "        - ipBlock: {{cidr: \"{block}\"}}");
        }
        let _ = writeln!(body, "      ports: [{{protocol: TCP, port: {port}}}]");
    }
}
