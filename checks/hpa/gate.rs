//! What the checks of a gate share: one decision for each autoscaler, or for each of its metrics.

use crate::Context;
use crate::check::{Decision, Finding, Results, Subject};
use crate::evidence::{Evidence, Plan, PlanMetric};
use crate::plan::{self, MetricSpec};

/// A metric that is to be judged.
pub(crate) struct Metric<'e> {
    /// Its autoscaler.
    pub(crate) plan: &'e Plan,
    /// Its place among the metrics of the autoscaler.
    pub(crate) index: usize,
    /// What it asks for.
    pub(crate) spec: &'e MetricSpec,
    /// What was seen for it.
    pub(crate) seen: &'e PlanMetric,
}

/// Decides about every autoscaler.
pub(crate) fn each_plan(
    evidence: &Evidence,
    results: &mut Results<'_>,
    decide: impl Fn(&Context<'_>, &Plan, Subject) -> Decision,
) {
    for plan in &evidence.gate.plans {
        let subject = plan::subject(plan);
        results.about(subject.clone(), |ctx| decide(ctx, plan, subject));
    }
}

/// Decides about every metric of every autoscaler.
pub(crate) fn each_metric(
    evidence: &Evidence,
    results: &mut Results<'_>,
    decide: impl Fn(&Context<'_>, &Metric<'_>, Subject) -> Decision,
) {
    for plan in &evidence.gate.plans {
        for (index, (spec, seen)) in plan.spec.metrics.iter().zip(&plan.metrics).enumerate() {
            let subject = plan::metric_subject(plan, index);
            let metric = Metric { plan, index, spec, seen };
            results.about(subject.clone(), |ctx| decide(ctx, &metric, subject));
        }
    }
}

/// Cites a field of an autoscaler where it stands: in its manifest, or in the list of those in the cluster.
pub(crate) fn cite(
    finding: Finding,
    evidence: &Evidence,
    plan: &Plan,
    pointer: &str,
    value: &str,
    expected: &str,
) -> Finding {
    match plan.document.and_then(|index| evidence.gate.manifests.documents.get(index)) {
        Some(document) => finding.cite_manifest(document, pointer, value, expected),
        None => {
            let path = format!("items[{}]{}", plan.name, pointer.replace('/', "."));
            finding.cite(&evidence.gate.live, path, value, expected)
        }
    }
}
