//! # metrics-server is not scheduled
//!
//! ## What it looks at
//!
//! The condition `PodScheduled` of the pods of metrics-server, while none of them is Ready.
//!
//! ## Why it matters
//!
//! No node takes the pod, so nothing runs and nobody serves the Metrics API. The scheduler counts the reasons: a
//! `nodeSelector` that no node has, taints that the pod does not tolerate (a single node of kubeadm keeps pods off its
//! control plane; a node without a pod network is not ready), too little CPU or memory, or a second replica that may
//! not stand beside the first.
//!
//! ## How to fix it
//!
//! Do what the scheduler's words ask for: change the selector, tolerate the taint, or add a node.
//!
//! ## When it is wrong
//!
//! While another pod of metrics-server is Ready nothing is said: metrics are served. In the first minute of a pod the
//! answer is "too early", since nodes may be on their way.
//!
//! ## References
//!
//! - Failure catalogue: `unschedulable` (RM-B9), `ha-anti-affinity-unsatisfiable` (RM-B10)
//! - <https://kubernetes.io/docs/concepts/scheduling-eviction/>

use crate::check::{
    Audience, Check, Finding, Hop, Kind, Outcome, Question, Remedy, Results, Severity, Step, Undecided, fail,
    not_applicable,
};
use crate::evidence::{Evidence, Mode, Need, Why, Workload};
use crate::support;

pub(crate) const CHECK: Check = Check {
    code: "MP305",
    name: "metrics-server-not-scheduled",
    title: "No node takes the pod of metrics-server",
    hop: Hop::Workload,
    severity: Severity::Error,
    kind: Kind::Cause,
    modes: &[Mode::Installed],
    needs: &[Need::Pods],
    explains: &[
        "metrics-server-not-ready",
        "apiservice-unavailable",
        "metrics-api-unanswered",
        "node-metrics-missing",
        "hpa-metrics-unreadable",
    ],
    question: Question::Listed,
    source: include_str!("metrics_server_not_scheduled.rs"),
    run,
    remedies,
};

/// A pod that is younger may wait for a node that is on its way, in seconds.
const YOUNG_S: i64 = 60;

fn run(evidence: &Evidence, results: &mut Results<'_>) {
    let pods = &evidence.backend.pods;
    results.each(pods, support::pod_subject, |ctx, pod, subject| {
        let Some(why) = pod.unschedulable.as_deref() else { return Ok(Outcome::Pass) };
        if support::serves(ctx, evidence)? {
            return Ok(Outcome::Pass);
        }
        if ctx.need(pods)?.iter().any(|other| other.node.is_some()) {
            return Ok(not_applicable(
                "another pod of metrics-server has a node, and the pipeline rests on that one",
            ));
        }
        let age = support::age_s(evidence, pod.created);
        if age < YOUNG_S {
            let why = format!("pod {} was made {} s ago; a node may be on its way", pod.name, age.max(0));
            return Err(Undecided { need: Need::Pods, why: Why::TooEarly(why) });
        }
        let why = if why.is_empty() { "the scheduler does not say why" } else { why };
        Ok(fail(Finding::new(subject, why).fact("why", why).cite(
            pods,
            format!("items[{}].status.conditions[PodScheduled]", pod.name),
            format!("False ({why})"),
            "True",
        )))
    });
}

fn remedies(evidence: &Evidence, findings: &[&Finding]) -> Vec<Remedy> {
    let (Some(Some(workload)), Some(finding)) = (evidence.backend.workload.peek(), findings.first()) else {
        return Vec::new();
    };
    let why = finding.facts.get("why").map(String::as_str).unwrap_or_default();
    let remedy = |title: &str, audience: Audience, cost: &str, step: Step| Remedy {
        title: title.to_owned(),
        audience,
        cost: cost.to_owned(),
        leaves: Vec::new(),
        steps: vec![step],
    };
    if let Some(step) = without_labels(evidence, workload) {
        return vec![remedy(
            "Ask for no label that no node has",
            Audience::Production,
            "metrics-server may then run on any node that fits the rest of its template.",
            step,
        )];
    }
    let by_hand =
        |title: &str, text: &str| remedy(title, Audience::Production, "", Step::manual("workstation", text));
    let mut remedies = Vec::new();
    if ["not-ready", "unreachable", "network-unavailable"].iter().any(|taint| why.contains(taint)) {
        remedies.push(by_hand(
            "Bring a node up",
            "find out why nodes are not Ready (kubectl describe nodes); without a pod network none is",
        ));
    } else if why.contains("untolerated taint") {
        remedies.push(by_hand(
            "Tolerate the taint, or add a node without it",
            "add a toleration for the taint that the scheduler names to the pod template of metrics-server, or a node \
             without that taint",
        ));
    } else if why.contains("Insufficient") || why.contains("Too many pods") {
        remedies.push(by_hand("Make room", "add a node, or end pods that matter less than metrics-server"));
    } else {
        remedies.push(by_hand(
            "Give the pod a node that fits",
            "change what the scheduler names in the pod template of metrics-server, or add a node that fits it",
        ));
    }
    let control_plane = "node-role.kubernetes.io/control-plane";
    if why.contains(control_plane) {
        let step = Step::run("workstation", format!("kubectl taint nodes --all {control_plane}:NoSchedule-"))
            .verify(rollout(workload));
        let cost = "Every pod may then run on the control plane.";
        remedies.push(remedy("Let pods run on the control plane", Audience::Lab, cost, step));
    }
    remedies
}

fn rollout(workload: &Workload) -> String {
    let (namespace, name) = (support::word(&workload.namespace), support::word(&workload.name));
    format!(
        "kubectl -n {namespace} rollout status {}/{name} --timeout=3m",
        workload.kind.to_ascii_lowercase()
    )
}

/// Takes those labels out of the template's `nodeSelector` that none of the nodes has.
fn without_labels(evidence: &Evidence, workload: &Workload) -> Option<Step> {
    let nodes = evidence.nodes.peek().filter(|nodes| !nodes.is_empty())?;
    let lacking =
        |(key, value): &(&String, &String)| nodes.iter().all(|node| node.labels.get(*key) != Some(*value));
    let operations: Vec<String> = workload
        .node_selector
        .iter()
        .filter(lacking)
        .map(|(key, _)| {
            let key = key.replace('~', "~0").replace('/', "~1");
            format!("{{\"op\":\"remove\",\"path\":\"/spec/template/spec/nodeSelector/{key}\"}}")
        })
        .collect();
    if operations.is_empty() {
        return None;
    }
    let (namespace, name) = (support::word(&workload.namespace), support::word(&workload.name));
    let kind = workload.kind.to_ascii_lowercase();
    let patch = support::word(&format!("[{}]", operations.join(",")));
    let command = format!("kubectl -n {namespace} patch {kind}/{name} --type=json -p {patch}");
    Some(Step::run("workstation", command).verify(rollout(workload)))
}
