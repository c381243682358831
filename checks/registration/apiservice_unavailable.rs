//! # The APIService is not Available
//!
//! ## What it looks at
//!
//! The `Available` condition of the APIService `v1beta1.metrics.k8s.io`.
//!
//! ## Why it matters
//!
//! While it is not `True`, kube-apiserver answers every request for metrics with 503 and does not even
//! try. It is always the consequence of something else, which the other checks name.
//!
//! ## How to fix it
//!
//! Fix its cause. The condition is judged anew every 30 seconds and whenever the endpoints change.
//!
//! ## When it is wrong
//!
//! Every kube-apiserver writes the same condition. Where one of several has a broken path, it changes
//! from minute to minute. `True` proves little: the probe runs as `system:masters`, and one success of
//! five is enough.
//!
//! ## References
//!
//! - Failure catalogue: section 0.6 (RM), section 1.1 (AH)

use crate::check::{
    Check, Finding, Hop, Kind, Outcome, Question, Results, Severity, fail, no_remedies, not_applicable,
};
use crate::evidence::{Evidence, Mode, Need};
use crate::support;

pub(crate) const CHECK: Check = Check {
    code: "MP104",
    name: "apiservice-unavailable",
    title: "The APIService of the Metrics API is not Available",
    hop: Hop::Registration,
    severity: Severity::Error,
    kind: Kind::Symptom,
    modes: &[Mode::Installed],
    needs: &[Need::ApiService, Need::Pods],
    explains: &["metrics-api-unanswered", "node-metrics-missing", "hpa-metrics-unreadable"],
    question: Question::Listed,
    source: include_str!("apiservice_unavailable.rs"),
    run,
    remedies: no_remedies,
};

fn run(evidence: &Evidence, results: &mut Results<'_>) {
    results.about(support::apiservice(), |ctx| {
        let Some(apiservice) = ctx.need(&evidence.registration)? else {
            return Ok(not_applicable("there is no APIService"));
        };
        let (status, reason, message) = match &apiservice.available {
            Some(condition) if condition.is_true() => return Ok(Outcome::Pass),
            Some(condition) => {
                (condition.status.as_str(), condition.reason.as_str(), condition.message.as_str())
            }
            None => ("absent", "", "no kube-apiserver has judged it yet"),
        };
        if reason == "MissingEndpoints" {
            support::after_warm_up(ctx, evidence)?;
        }
        let finding = Finding::new(support::apiservice(), format!("{status} ({reason}): {message}")).cite(
            &evidence.registration,
            "status.conditions[Available]",
            format!("{status} ({reason})"),
            "True",
        );
        let over = if reason == "MissingEndpoints" { support::all_nodes(evidence) } else { Vec::new() };
        Ok(fail(finding.over(over).at(support::nodes_of_pods(evidence))))
    });
}
