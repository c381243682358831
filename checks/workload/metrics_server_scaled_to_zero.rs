//! # metrics-server is scaled to zero
//!
//! ## What it looks at
//!
//! How many pods the workload of metrics-server wants (`spec.replicas`), and whether it has any.
//!
//! ## Why it matters
//!
//! Somebody or something has switched metrics-server off: an operator during maintenance, a tool that stops
//! workloads over night, a values file. The Service has no endpoints then, the APIService is not available, and
//! every autoscaler on CPU or memory stands still.
//!
//! ## How to fix it
//!
//! Scale it up again, and where a repository or an operator owns the workload, there as well, or the next sync
//! switches it off again.
//!
//! ## When it is wrong
//!
//! Never while the field says 0; whether it was meant so, the cluster does not tell.
//!
//! ## References
//!
//! - Failure catalogue: `endpoints-not-ready` (RM-A6)
//! - `spec.replicas`: <https://kubernetes.io/docs/reference/kubernetes-api/workload-resources/deployment-v1/>

use crate::check::{
    Audience, Check, Finding, Hop, Kind, Outcome, Question, Remedy, Results, Severity, Step, Subject, fail,
    not_applicable,
};
use crate::evidence::{Evidence, Mode, Need};
use crate::support;

pub(crate) const CHECK: Check = Check {
    code: "MP303",
    name: "metrics-server-scaled-to-zero",
    title: "metrics-server is switched off: its workload wants no pods",
    hop: Hop::Workload,
    severity: Severity::Error,
    kind: Kind::Cause,
    modes: &[Mode::Installed],
    needs: &[Need::Pods, Need::Workload],
    explains: &[
        "metrics-server-not-ready",
        "apiservice-unavailable",
        "metrics-api-unanswered",
        "node-metrics-missing",
        "hpa-metrics-unreadable",
    ],
    question: Question::Listed,
    source: include_str!("metrics_server_scaled_to_zero.rs"),
    run,
    remedies,
};

fn run(evidence: &Evidence, results: &mut Results<'_>) {
    results.about_cluster(|ctx| {
        let Some(workload) = ctx.need(&evidence.backend.workload)? else {
            return Ok(not_applicable("no workload runs metrics-server"));
        };
        // A DaemonSet has no replicas to be set to zero.
        if workload.replicas > 0 || workload.kind == "DaemonSet" {
            return Ok(Outcome::Pass);
        }
        // Pods that are still there serve until they end.
        if ctx.need(&evidence.backend.pods)?.iter().any(|pod| pod.ready) {
            return Ok(Outcome::Pass);
        }
        let subject = Subject::namespaced(&workload.kind, &workload.namespace, &workload.name);
        let finding = Finding::new(subject, "it wants 0 replicas").cite(
            &evidence.backend.workload,
            "spec.replicas",
            "0",
            "1 or more",
        );
        Ok(fail(finding))
    });
}

fn remedies(evidence: &Evidence, _: &[&Finding]) -> Vec<Remedy> {
    let Some(Some(workload)) = evidence.backend.workload.peek() else { return Vec::new() };
    let kind = workload.kind.to_ascii_lowercase();
    let (namespace, name) = (support::word(&workload.namespace), support::word(&workload.name));
    let step = Step::run("workstation", format!("kubectl -n {namespace} scale {kind}/{name} --replicas=1"))
        .verify(format!("kubectl -n {namespace} rollout status {kind}/{name} --timeout=3m"));
    vec![Remedy {
        title: "Switch metrics-server on again".to_owned(),
        audience: Audience::Production,
        cost: "Where a repository or an operator owns the workload, set the number there too, or it goes back to 0."
            .to_owned(),
        leaves: Vec::new(),
        steps: vec![step],
    }]
}
