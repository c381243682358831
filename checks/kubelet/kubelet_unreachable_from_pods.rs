//! # metrics-server's pod does not reach the kubelet
//!
//! ## What it looks at
//!
//! Failures to connect to a node's kubelet in metrics-server's log: no answer, refused, no route, a name
//! that was not resolved. Where the log decides nothing, and before metrics-server is installed: what came of
//! it when a pod of `probe` dialled the kubelet from metrics-server's node.
//!
//! ## Why it matters
//!
//! Nothing was exchanged with the kubelet, so neither certificates nor permissions can be at fault. It is
//! the network between the pod and the node, the address that metrics-server picked, or the kubelet itself.
//!
//! ## How to fix it
//!
//! `metrics-preflight probe` dials every kubelet from a pod on metrics-server's node and from others. All fail
//! from one node: look at that node. One kubelet fails from every node: look at its node's firewall.
//!
//! ## When it is wrong
//!
//! A node that is not Ready is expected to be silent; it is no finding.
//!
//! ## References
//!
//! - Failure catalogue: section 1-D (RM): `kubelet-port-filtered` (D5), `kubelet-connection-refused` (D6),
//!   `no-route-to-host` (D7), `kubelet-hostname-unresolvable` (D1), `wrong-node-address` (D4)

use crate::Context;
use crate::check::{
    Check, Decision, Finding, Hop, Kind, Outcome, Question, Results, Severity, Step, Subject, fail,
    no_remedies, not_applicable,
};
use crate::evidence::{Evidence, Need, Node};
use crate::kubelet::tls;
use crate::{probed, support};

pub(crate) const CHECK: Check = Check {
    code: "MP513",
    name: "kubelet-unreachable-from-pods",
    title: "metrics-server's pod does not reach the kubelet",
    hop: Hop::Kubelet,
    severity: Severity::Error,
    kind: Kind::Place(&[
        "pod-network-to-api-blocked",
        "kubelet-port-filtered",
        "kubelet-not-listening-there",
        "wrong-node-address",
        "forward-policy-drop",
        "ip-forward-off",
        "network-policy-blocks-egress",
        "cluster-dns-silent",
    ]),
    modes: tls::MODES,
    needs: &[Need::Pods, Need::Logs, Need::Nodes, Need::NodeMetrics, Need::PodProbe],
    explains: tls::EXPLAINS,
    question: Question::Listed,
    source: include_str!("kubelet_unreachable_from_pods.rs"),
    run,
    remedies: no_remedies,
};

fn run(evidence: &Evidence, results: &mut Results<'_>) {
    results.about_nodes(|ctx, node, subject| {
        if !node.ready {
            return Ok(not_applicable("the node is not Ready"));
        }
        let silence = match support::kubelet_silence(ctx, node) {
            Ok(Some(silence)) => silence,
            // Nothing said may mean that nothing was tried: a probe has.
            _ if !evidence.probes.is_empty() => return by_probes(ctx, evidence, node, subject),
            Ok(None) => return Ok(Outcome::Pass),
            Err(open) => return Err(open),
        };
        let (address, words) = (silence.address, silence.words);
        let finding = Finding::new(subject, format!("metrics-server dialled {address}: {words}"))
            .cite(&node.scrape_log, "log", words, "an answer")
            .decided_by(Step::run("workstation", DECIDE))
            .at([Subject::node(&node.name)])
            .at(support::nodes_of_pods(evidence));
        Ok(fail(finding))
    });
}

/// Dials every kubelet from pods on several nodes, metrics-server's among them.
const DECIDE: &str = "metrics-preflight probe";

/// What pods saw that looked from metrics-server's place.
fn by_probes(ctx: &Context<'_>, evidence: &Evidence, node: &Node, subject: Subject) -> Decision {
    if probed::is_read_now(ctx, evidence, node)? {
        return Ok(Outcome::Pass);
    }
    let (probe, obs, reach) = probed::kubelet(ctx, evidence, node)?;
    if reach.is_connected() {
        return Ok(Outcome::Pass);
    }
    let address = ctx.need(&node.dial)?.as_ref().map_or("", |(address, _)| address);
    let words = reach.words();
    let from = &probe.node;
    let at = [subject.clone(), probed::node_of(probe)];
    let finding = Finding::new(subject, format!("a pod on node {from} dialled {address}: {words}"))
        .cite(obs, format!("kubelets[{}].reach", node.name), words, "an answer")
        .at(at)
        .decided_by(Step::run(
            "workstation",
            format!("metrics-preflight probe --nodes {}", support::word(from)),
        ));
    Ok(fail(finding))
}
