//! # metrics-server crashes
//!
//! ## What it looks at
//!
//! The state of the containers behind the Service: how they ended last, how often they were restarted,
//! and whether they wait in `CrashLoopBackOff`.
//!
//! ## Why it matters
//!
//! metrics-server ends with a panic on any error before it serves: flags, the API server out of reach,
//! the published trust of the aggregation layer unreadable, a port that cannot be opened. The cause
//! stands in the last lines of the container before.
//!
//! ## How to fix it
//!
//! Fix its cause, then delete the pod: the back-off waits up to five minutes between tries.
//!
//! ## When it is wrong
//!
//! A pod that was restarted long ago and is Ready now is no finding.
//!
//! ## References
//!
//! - Failure catalogue: sections 0.5 and 1-C (RM)

use crate::check::{
    Check, Finding, Hop, Kind, Outcome, Question, Results, Severity, Subject, fail, no_remedies,
};
use crate::evidence::{Evidence, Mode, Need};
use crate::support;

pub(crate) const CHECK: Check = Check {
    code: "MP301",
    name: "metrics-server-crashing",
    title: "metrics-server ends and is restarted",
    hop: Hop::Workload,
    severity: Severity::Error,
    kind: Kind::Symptom,
    modes: &[Mode::Installed],
    needs: &[Need::Pods],
    explains: &["metrics-server-not-ready"],
    question: Question::Listed,
    source: include_str!("metrics_server_crashing.rs"),
    run,
    remedies: no_remedies,
};

fn run(evidence: &Evidence, results: &mut Results<'_>) {
    results.each(&evidence.backend.pods, support::pod_subject, |_, pod, subject| {
        let crashing = !pod.ready && (pod.restarts > 0 || pod.waiting.as_deref() == Some("CrashLoopBackOff"));
        let Some(end) = pod.last_end.as_ref().filter(|_| crashing) else { return Ok(Outcome::Pass) };
        let detail = format!(
            "restarted {} times; its container ended last with {} (exit code {})",
            pod.restarts, end.reason, end.exit_code
        );
        Ok(fail(
            Finding::new(subject, detail)
                .cite(
                    &evidence.backend.pods,
                    format!(
                        "items[{}].status.containerStatuses[{}].lastState.terminated",
                        pod.name, pod.container
                    ),
                    format!("{} (exit code {})", end.reason, end.exit_code),
                    "a container that runs",
                )
                .at(pod.node.as_deref().map(Subject::node)),
        ))
    });
}
