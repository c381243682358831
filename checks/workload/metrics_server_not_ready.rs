//! # metrics-server is not Ready
//!
//! ## What it looks at
//!
//! Whether any pod behind the Service is Ready, and what its containers wait for.
//!
//! ## Why it matters
//!
//! The Service routes to Ready pods only. metrics-server becomes Ready when it has scraped at least one
//! node twice; since 0.9 it needs metrics of pods as well. *Readiness probe failed: 500* says nothing
//! about the cause.
//!
//! ## How to fix it
//!
//! Fix its cause: the kubelets, the network, or the pod's own start.
//!
//! ## When it is wrong
//!
//! In the first minute of its life metrics-server is warming up; then the answer is "too early".
//!
//! ## References
//!
//! - Failure catalogue: `endpoints-not-ready` (RM-A6), `warm-up` (RM-G7)

use crate::check::{
    Check, Finding, Hop, Kind, Outcome, Question, Results, Severity, Subject, fail, no_remedies,
    not_applicable,
};
use crate::evidence::{Evidence, Mode, Need};
use crate::support;

pub(crate) const CHECK: Check = Check {
    code: "MP302",
    name: "metrics-server-not-ready",
    title: "No pod of metrics-server is Ready",
    hop: Hop::Workload,
    severity: Severity::Error,
    kind: Kind::Symptom,
    modes: &[Mode::Installed],
    needs: &[Need::Pods, Need::Workload],
    explains: &[
        "apiservice-unavailable",
        "metrics-api-unanswered",
        "node-metrics-missing",
        "hpa-metrics-unreadable",
    ],
    question: Question::Listed,
    source: include_str!("metrics_server_not_ready.rs"),
    run,
    remedies: no_remedies,
};

fn run(evidence: &Evidence, results: &mut Results<'_>) {
    results.about_cluster(|ctx| {
        let pods = ctx.need(&evidence.backend.pods)?;
        if pods.iter().any(|pod| pod.ready) {
            return Ok(Outcome::Pass);
        }
        support::after_warm_up(ctx, evidence)?;
        let workload = ctx.need(&evidence.backend.workload)?;
        let Some(workload) = workload else { return Ok(not_applicable("no workload runs metrics-server")) };
        let subject = Subject::namespaced(&workload.kind, &workload.namespace, &workload.name);
        let detail = match pods.first() {
            None => match &workload.replica_failure {
                Some(failure) => format!("it cannot create pods: {failure}"),
                None => format!("it wants {} replicas and has no pods", workload.replicas),
            },
            Some(pod) => match (&pod.waiting, &pod.unschedulable) {
                (_, Some(why)) => format!("pod {} is not scheduled: {why}", pod.name),
                (Some(waiting), _) => format!("pod {} waits: {waiting}", pod.name),
                _ => format!("pod {} is {} and not Ready", pod.name, pod.phase),
            },
        };
        let finding = Finding::new(subject, detail)
            .cite(&evidence.backend.pods, "items[].status.conditions[Ready]", "False", "True")
            .over(support::all_nodes(evidence))
            .at(support::nodes_of_pods(evidence));
        Ok(fail(finding))
    });
}
