//! # The HPA cannot read its metrics
//!
//! ## What it looks at
//!
//! The conditions `AbleToScale` and `ScalingActive` that the HPA controller wrote.
//!
//! ## Why it matters
//!
//! It is the `<unknown>` of `kubectl get hpa`: the controller does not know the value, and changes nothing.
//!
//! ## How to fix it
//!
//! Fix its cause. The controller looks again every 15 seconds.
//!
//! ## When it is wrong
//!
//! Conditions are rewritten on the path that ran only, so one of them can be old. An HPA in its first two
//! minutes is given time.
//!
//! ## References
//!
//! - Failure catalogue: sections 1.4 to 1.6 (AH)

use crate::check::{
    Check, Finding, Hop, Kind, Outcome, Question, Results, Severity, Subject, Undecided, fail, no_remedies,
};
use crate::evidence::{Evidence, Need, Why};
use crate::hpa;
use crate::support;

pub(crate) const CHECK: Check = Check {
    code: "MP904",
    name: "hpa-metrics-unreadable",
    title: "The HPA controller cannot read what it needs",
    hop: Hop::Hpa,
    severity: Severity::Error,
    kind: Kind::Symptom,
    modes: hpa::MODES,
    needs: &[Need::Hpas],
    explains: &[],
    question: Question::Listed,
    source: include_str!("hpa_metrics_unreadable.rs"),
    run,
    remedies: no_remedies,
};

/// The controller's own start-up time for pods and metrics.
const YOUNG_S: i64 = 120;

fn run(evidence: &Evidence, results: &mut Results<'_>) {
    results.each(&evidence.hpas, hpa::subject, |_, hpa, subject| {
        let new_pods = hpa.pods.peek().is_some_and(|pods| {
            !pods.is_empty() && pods.iter().all(|pod| support::age_s(evidence, pod.created) < YOUNG_S)
        });
        let young = support::age_s(evidence, hpa.created) < YOUNG_S || new_pods;
        let bad = ["AbleToScale", "ScalingActive"].into_iter().find_map(|kind| {
            hpa.conditions.iter().find(|condition| {
                condition.kind == kind && condition.status == "False" && condition.reason != "ScalingDisabled"
            })
        });
        let Some(condition) = bad else {
            if hpa.conditions.is_empty() && young {
                return Err(too_early());
            }
            return Ok(Outcome::Pass);
        };
        let waits = ["no metrics returned from resource metrics API", "did not receive metrics for"];
        if young && waits.iter().any(|words| condition.message.contains(words)) {
            return Err(too_early());
        }
        let pods = hpa.pods.peek().map(Vec::as_slice).unwrap_or_default();
        let mut nodes: Vec<&str> = pods.iter().filter_map(|pod| pod.node.as_deref()).collect();
        nodes.sort_unstable();
        nodes.dedup();
        let over = nodes.into_iter().map(Subject::node);
        let finding = Finding::new(subject.clone(), format!("{}: {}", condition.reason, condition.message))
            .cite(
                &evidence.hpas,
                format!("items[{}].status.conditions[{}]", hpa.name, condition.kind),
                &condition.reason,
                "True",
            );
        // A fault of the HPA itself explains it; so do faults of all nodes that its pods run on.
        Ok(fail(finding.over(over)))
    });
}

fn too_early() -> Undecided {
    Undecided {
        need: Need::Hpas,
        why: Why::TooEarly("the HPA or its pods are younger than two minutes".to_owned()),
    }
}
