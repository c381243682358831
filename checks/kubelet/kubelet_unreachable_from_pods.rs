//! # metrics-server's pod does not reach the kubelet
//!
//! ## What it looks at
//!
//! Failures to connect to a node's kubelet in metrics-server's log: no answer, refused, no route, a name
//! that was not resolved.
//!
//! ## Why it matters
//!
//! Nothing was exchanged with the kubelet, so neither certificates nor permissions can be at fault. It is
//! the network between the pod and the node, the address that metrics-server picked, or the kubelet itself.
//!
//! ## How to fix it
//!
//! Try the connection from a pod and from the node itself, as printed: where the node succeeds and the pod
//! does not, a firewall or the forwarding of packets stands between them.
//!
//! ## When it is wrong
//!
//! A node that is not Ready is expected to be silent; it is no finding.
//!
//! ## References
//!
//! - Failure catalogue: section 1-D (RM): `kubelet-port-filtered` (D5), `kubelet-connection-refused` (D6),
//!   `no-route-to-host` (D7), `kubelet-hostname-unresolvable` (D1), `wrong-node-address` (D4)

use crate::check::{
    Check, Finding, Hop, Kind, Outcome, Question, Results, Severity, Step, Subject, fail, no_remedies,
    not_applicable,
};
use crate::evidence::{Evidence, Mode, Need};
use crate::kubelet::tls;
use crate::support;

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
    ]),
    modes: &[Mode::Installed],
    needs: &[Need::Pods, Need::Logs, Need::Nodes],
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
        let silence = match support::kubelet_silence(ctx, node)? {
            Some(silence) => silence,
            None => return Ok(Outcome::Pass),
        };
        let (address, words) = (silence.address, silence.words);
        let port = ctx.need(&node.dial)?.as_ref().map_or(10250, |(_, port)| *port);
        let decide = Step::run(
            format!("node {}, then a pod", node.name),
            format!(
                "curl -sk -o /dev/null -w '%{{http_code}}\\n' --max-time 5 https://{address}:{port}/healthz"
            ),
        );
        let finding = Finding::new(subject, format!("metrics-server dialled {address}: {words}"))
            .cite(&node.scrape_log, "log", words, "an answer")
            .decided_by(decide)
            .at([Subject::node(&node.name)])
            .at(support::nodes_of_pods(evidence));
        Ok(fail(finding))
    });
}
