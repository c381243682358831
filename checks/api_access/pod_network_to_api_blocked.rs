//! # metrics-server's pod does not reach the API server
//!
//! ## What it looks at
//!
//! metrics-server's own words, in the log of the container that runs or of the one that ended: a call to
//! the API server's Service address that ran into a time-out, was refused, or found no route. Where its log
//! decides nothing, and before it is installed: whether a pod of `probe` on its node, with its identity, reached
//! that address.
//!
//! ## Why it matters
//!
//! A pod reaches the API server through the `kubernetes` Service. Packets on that way are translated by
//! kube-proxy and forwarded by the node's kernel; when either is broken, metrics-server ends with
//! `dial tcp 10.96.0.1:443: i/o timeout` and CrashLoopBackOff.
//!
//! ## How to fix it
//!
//! Look on the node where the pod runs: `metrics-preflight host` reads both back ends of iptables, nftables and what
//! happens at boot, and `check --with` joins it with the cluster; the printed command uses it where it is installed. The
//! usual causes: the FORWARD chain's
//! policy is DROP (Docker sets it, so do firewalls) and nothing accepts the pods' packets; the kernel
//! does not forward (`net.ipv4.ip_forward=0`); kube-proxy does not run, so that nothing translates the
//! Service's address; a NetworkPolicy forbids it.
//!
//! ## When it is wrong
//!
//! While a kube-apiserver restarts, one such line is normal. Lines that are older than two minutes are not
//! counted, nor are those of a pod that is Ready and answers. A probe says nothing where NetworkPolicies may
//! treat it and metrics-server differently.
//!
//! ## References
//!
//! - Failure catalogue: `api-vip-timeout` (RM-C1, C1a to C1g), `host-forward-drop` (AH-B09)

use std::fmt::Write as _;

use super::dial::{self, Way};
use crate::Context;
use crate::check::{
    Audience, Check, Decision, Finding, Hop, Kind, Outcome, Question, Remedy, Results, Severity, Step,
    Subject, Undecided, fail, not_applicable,
};
use crate::evidence::{Distribution, Evidence, Mode, Need, Node, Why};
use crate::{probed, support};

/// Facts of a node's host, which the API cannot show.
const CANDIDATES: &[&str] =
    &["forward-policy-drop", "ip-forward-off", "kube-proxy-not-programming", "network-policy-blocks-egress"];

pub(crate) const CHECK: Check = Check {
    code: "MP401",
    name: "pod-network-to-api-blocked",
    title: "metrics-server's pod does not reach the API server through its Service address",
    hop: Hop::ApiAccess,
    severity: Severity::Error,
    kind: Kind::Place(CANDIDATES),
    modes: &[Mode::Installed, Mode::BeforeInstall],
    needs: &[Need::Pods, Need::Logs, Need::MetricsDiscovery, Need::PodProbe],
    explains: &[
        "metrics-server-crashing",
        "metrics-server-not-ready",
        "apiservice-unavailable",
        "metrics-api-unanswered",
        "node-metrics-missing",
        "hpa-metrics-unreadable",
    ],
    question: Question::Listed,
    source: include_str!("pod_network_to_api_blocked.rs"),
    run,
    remedies,
};

/// Tells the candidates apart on a node.
const DECIDE: &str = "if command -v metrics-preflight >/dev/null; then metrics-preflight host; else sysctl net.ipv4.ip_forward; iptables -S FORWARD | head -n 1; iptables-save -t nat | grep -c KUBE-SVC; fi";

fn run(evidence: &Evidence, results: &mut Results<'_>) {
    results.about_cluster(|ctx| {
        if evidence.mode == Mode::BeforeInstall {
            return by_probes(ctx, evidence);
        }
        match by_log(ctx, evidence) {
            Err(open) => match by_probes(ctx, evidence) {
                // Where nobody looked, it is the log that would have said it.
                Err(_) if evidence.probes.is_empty() => Err(open),
                decision => decision,
            },
            decision => decision,
        }
    });
}

/// What pods saw that looked from metrics-server's place.
fn by_probes(ctx: &Context<'_>, evidence: &Evidence) -> Decision {
    let probes = probed::in_place(ctx, evidence)?;
    let is_installed = evidence.mode != Mode::BeforeInstall;
    if is_installed && support::serves(ctx, evidence)? && ctx.need(&evidence.metrics.discovery)?.status == 200
    {
        return Ok(Outcome::Pass);
    }
    for probe in probes {
        let reach = probed::reached(ctx, probe, &probe.api)?;
        match probed::is_through(reach) {
            Some(true) => {}
            None => return Err(Undecided { need: Need::PodProbe, why: Why::Unreadable(reach.words()) }),
            Some(false) => {
                let direct = ctx.need(&probe.api_direct).map(Vec::as_slice).unwrap_or_default();
                let beside = direct.iter().find(|dial| dial.reach.is_connected());
                let beside = beside.map_or(String::new(), |dial| {
                    format!("; {}, which stands behind it, answers there", dial.address)
                });
                let (words, node) = (reach.words(), &probe.node);
                let detail =
                    format!("a pod on node {node}, the API server's Service address: {words}{beside}");
                let finding = Finding::new(Subject::cluster(), detail)
                    .cite(&probe.api, "api", words, "an answer")
                    .fact("node", node.clone())
                    .at([probed::node_of(probe)])
                    .decided_by(Step::run(format!("node {node}"), DECIDE));
                return Ok(fail(finding));
            }
        }
    }
    Ok(Outcome::Pass)
}

/// What metrics-server itself says.
fn by_log(ctx: &Context<'_>, evidence: &Evidence) -> Decision {
    let (signal, pod, address, failure) = match dial::look(ctx, evidence)? {
        Way::Works => return Ok(Outcome::Pass),
        Way::NoPod => return Ok(not_applicable("no pod of metrics-server runs")),
        Way::Fails { signal, pod, address, failure } => (signal, pod, address, failure),
    };
    let node = pod.and_then(|pod| pod.node.clone()).unwrap_or_default();
    let words = support::dial_words(failure);
    let finding = Finding::new(
        Subject::cluster(),
        format!("pod {} on node {node}: dial tcp {address}: {words}", signal.pod),
    )
    .cite(&evidence.backend.logs, "log", format!("dial tcp {address}: {words}"), "a connection")
    .fact("node", node.clone())
    .decided_by(Step::run(
        if node.is_empty() { "every node".to_owned() } else { format!("node {node}") },
        DECIDE,
    ))
    .at(pod.and_then(|pod| pod.node.as_deref()).map(Subject::node));
    Ok(fail(finding))
}

/// Lets the kernel forward, now and after a reboot.
const IP_FORWARD: &str = "if [ \"$(sysctl -n net.ipv4.ip_forward)\" != 1 ]; then\n  echo 'net.ipv4.ip_forward = 1' > /etc/sysctl.d/90-kubernetes-forward.conf\n  sysctl -p /etc/sysctl.d/90-kubernetes-forward.conf\nfi";

/// So many ranges are written out as rules; more are left to a person.
const MAX_RANGES: usize = 16;

/// Accepts the pods' packets ahead of a DROP policy, now and after a reboot.
fn forward_rules(ranges: &[&str]) -> String {
    let mut rules = String::new();
    for range in ranges {
        for side in ["-s", "-d"] {
            // Writing to a String cannot fail.
            let _ = writeln!(rules, "ExecStart=/usr/sbin/iptables -I FORWARD {side} {range} -j ACCEPT");
        }
    }
    format!(
        "if iptables -S FORWARD | grep -q '^-P FORWARD DROP'; then\n  cat > /etc/systemd/system/kubernetes-forward.service <<'UNIT'\n[Unit]\nDescription=Accept forwarded packets of Kubernetes pods\nAfter=network.target\n[Service]\nType=oneshot\nRemainAfterExit=yes\n{rules}[Install]\nWantedBy=multi-user.target\nUNIT\n  systemctl daemon-reload\n  systemctl enable --now kubernetes-forward.service\nfi"
    )
}

/// The distinct IPv4 ranges of the nodes' pods. They are never widened: a range that also holds other hosts would
/// make every node a router for them.
fn pod_ranges(nodes: &[Node]) -> Vec<&str> {
    let is_range = |range: &&str| {
        range.split_once('/').is_some_and(|(address, length)| {
            let length = length.parse::<u8>().ok().filter(|length| (8..=32).contains(length));
            address.parse::<std::net::Ipv4Addr>().is_ok() && length.is_some()
        })
    };
    let mut ranges: Vec<&str> =
        nodes.iter().filter_map(|node| node.pod_cidr.as_deref()).filter(is_range).collect();
    ranges.sort_unstable();
    ranges.dedup();
    ranges
}

fn remedies(evidence: &Evidence, _: &[&Finding]) -> Vec<Remedy> {
    let nodes = evidence.nodes.peek().map(Vec::as_slice).unwrap_or_default();
    let ranges = pod_ranges(nodes);
    let mut steps =
        vec![Step::run("every node", IP_FORWARD).verify("sysctl -n net.ipv4.ip_forward | grep -x 1")];
    if (1..=MAX_RANGES).contains(&ranges.len()) {
        let forwards = format!(
            "! iptables -S FORWARD | grep -x -e '-P FORWARD DROP' || iptables -C FORWARD -s {} -j ACCEPT",
            ranges[0]
        );
        steps.push(Step::run("every node", forward_rules(&ranges)).verify(forwards));
    } else {
        steps.push(Step::manual(
            "every node",
            "where `iptables -S FORWARD` starts with `-P FORWARD DROP`, accept packets from and to the pods' address ranges, and keep the rules over a reboot",
        ));
    }
    let proxy = Step::run(
        "every node",
        "if [ \"$(iptables-save -t nat | grep -c KUBE-SVC)\" = 0 ]; then\n  systemctl enable --now kube-proxy || echo 'kube-proxy is no service of this host'\nfi",
    )
    .verify(support::SERVICES_PROGRAMMED);
    steps.push(proxy);
    if evidence.cluster.distribution == Distribution::Kubeadm {
        steps.push(Step::run(
            "workstation",
            "if kubectl -n kube-system get daemonset kube-proxy >/dev/null 2>&1; then\n  kubectl -n kube-system rollout restart daemonset/kube-proxy\nfi",
        ));
    }
    steps.extend(support::restart_metrics_server(evidence));
    vec![Remedy {
        title:
            "Let the nodes translate and forward the pods' packets; each step acts only where its fault is"
                .to_owned(),
        audience: Audience::Production,
        cost: "The FORWARD rules accept packets from and to pods whatever a firewall on the node says."
            .to_owned(),
        leaves: Vec::new(),
        steps,
    }]
}
