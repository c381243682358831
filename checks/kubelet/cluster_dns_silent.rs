//! # The pods' name server does not answer
//!
//! ## What it looks at
//!
//! One question of a pod of `probe`, on metrics-server's node, to the name server that the kubelet gives to pods. It
//! matters where metrics-server dials kubelets by name.
//!
//! ## Why it matters
//!
//! metrics-server dials what comes first in `--kubelet-preferred-address-types`. Where that is `Hostname` or
//! `InternalDNS`, no kubelet is found without a name server: `dial tcp: lookup node1: i/o timeout`.
//!
//! ## How to fix it
//!
//! Let the name server answer: are its pods Ready, has its Service endpoints, does kube-proxy program it on that node?
//! Or let metrics-server dial addresses, which need no names.
//!
//! ## When it is wrong
//!
//! A name server that starts just then is silent for a few seconds. A probe says nothing where NetworkPolicies may treat
//! it and metrics-server differently.
//!
//! ## References
//!
//! - Failure catalogue: `kubelet-hostname-unresolvable` (RM-D1)
//! - RFC 1035; Kubernetes: "DNS for Services and Pods"

use std::net::IpAddr;

use crate::check::{
    Audience, Check, Finding, Hop, Kind, Outcome, Question, Remedy, Results, Severity, Step, Subject,
    Undecided, fail, not_applicable,
};
use crate::evidence::{Evidence, Mode, Need, Reach, Why, Workload};
use crate::{probed, support};

pub(crate) const CHECK: Check = Check {
    code: "MP041",
    name: "cluster-dns-silent",
    title: "The pods' name server does not answer, and metrics-server dials kubelets by name",
    hop: Hop::Kubelet,
    severity: Severity::Error,
    kind: Kind::Cause,
    modes: &[Mode::Installed, Mode::BeforeInstall],
    needs: &[Need::Pods, Need::Nodes, Need::NodeMetrics, Need::PodProbe],
    explains: &[
        "metrics-server-not-ready",
        "apiservice-unavailable",
        "metrics-api-unanswered",
        "node-metrics-missing",
        "hpa-metrics-unreadable",
    ],
    question: Question::Listed,
    source: include_str!("cluster_dns_silent.rs"),
    run,
    remedies,
};

fn run(evidence: &Evidence, results: &mut Results<'_>) {
    results.about_cluster(|ctx| {
        let probes = probed::in_place(ctx, evidence)?;
        let mut named = None;
        for node in ctx.need(&evidence.nodes)?.iter().filter(|node| node.ready) {
            let dial = ctx.need(&node.dial)?;
            let name = dial
                .as_ref()
                .map(|(address, _)| address)
                .filter(|address| address.parse::<IpAddr>().is_err());
            named = named.or(name);
        }
        let Some(name) = named else {
            return Ok(not_applicable("metrics-server dials addresses, which need no name server"));
        };
        let mut finds_all = true;
        for node in ctx.need(&evidence.nodes)?.iter().filter(|node| node.ready) {
            finds_all &= probed::is_read_now(ctx, evidence, node)?;
        }
        if finds_all {
            return Ok(Outcome::Pass);
        }
        for probe in probes {
            let Some(dial) = probed::reached(ctx, probe, &probe.dns)? else {
                return Ok(not_applicable("pods have no name server"));
            };
            match &dial.reach {
                Reach::Answered | Reach::NameNotResolved => {}
                Reach::TimedOut | Reach::Refused | Reach::NoRoute => {
                    let words = dial.reach.words();
                    let detail = format!(
                        "a pod on node {} asked {}: {words}; {name} needs it",
                        probe.node, dial.address
                    );
                    let finding = Finding::new(Subject::cluster(), detail)
                        .cite(&probe.dns, "dns", words, "an answer")
                        .at([probed::node_of(probe)]);
                    return Ok(fail(finding));
                }
                other => return Err(Undecided { need: Need::PodProbe, why: Why::Unreadable(other.words()) }),
            }
        }
        Ok(Outcome::Pass)
    });
}

fn remedies(evidence: &Evidence, _: &[&Finding]) -> Vec<Remedy> {
    let mut remedies = vec![Remedy {
        title: "Let the name server of the cluster answer".to_owned(),
        audience: Audience::Production,
        cost: String::new(),
        leaves: Vec::new(),
        steps: vec![
            Step::manual(
                "workstation",
                "see whether the pods behind the Service kube-dns are Ready, and start them anew where they are not",
            )
            .verify("metrics-preflight probe"),
        ],
    }];
    if let Some(Some(workload)) = evidence.backend.workload.peek()
        && !workload.args.is_empty()
    {
        remedies.push(Remedy {
            title: "Let metrics-server dial the nodes' addresses".to_owned(),
            audience: Audience::Production,
            cost: "The kubelets' certificates have to name those addresses.".to_owned(),
            leaves: Vec::new(),
            steps: vec![by_address(workload)],
        });
    }
    remedies
}

/// What chooses the address that is dialled.
const FLAG: &str = "--kubelet-preferred-address-types";

/// Puts addresses before names. A flag that is there is replaced: given twice, its lists are joined, and what comes first stays
/// first (`StringSliceVar` in metrics-server's `cmd/metrics-server/app/options/kubelet_client.go`).
fn by_address(workload: &Workload) -> Step {
    let (namespace, name, container) =
        (support::word(&workload.namespace), support::word(&workload.name), workload.container);
    let kind = workload.kind.to_ascii_lowercase();
    let value = format!("{FLAG}=InternalIP,ExternalIP,Hostname");
    let args = format!("/spec/template/spec/containers/{container}/args");
    let is_plain =
        |text: &str| text.chars().all(|letter| letter.is_ascii_alphanumeric() || "-=,".contains(letter));
    let mut there = workload.args.iter().enumerate().filter(|(_, arg)| arg.starts_with(FLAG));
    let patch = match (there.next(), there.next()) {
        (None, _) => format!("[{{\"op\":\"add\",\"path\":\"{args}/-\",\"value\":\"{value}\"}}]"),
        (Some((index, old)), None) if old.contains('=') && is_plain(old) => format!(
            "[{{\"op\":\"test\",\"path\":\"{args}/{index}\",\"value\":\"{old}\"}},{{\"op\":\"replace\",\"path\":\"{args}/{index}\",\"value\":\"{value}\"}}]"
        ),
        _ => return Step::manual("workstation", format!("give metrics-server {value}, and no other {FLAG}")),
    };
    Step::run("workstation", format!("kubectl -n {namespace} patch {kind} {name} --type=json -p '{patch}'"))
        .verify(format!("kubectl -n {namespace} rollout status {kind}/{name} --timeout=3m"))
}
