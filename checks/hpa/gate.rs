//! What the checks share that judge metrics by what the cluster answered.

use crate::Context;
use crate::check::{Decision, Finding, Results, Subject, not_applicable};
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

/// Decides about every metric of every autoscaler.
pub(crate) fn each_metric(
    evidence: &Evidence,
    results: &mut Results<'_>,
    decide: impl Fn(&Context<'_>, &Metric<'_>, Subject) -> Decision,
) {
    super::each_metric(evidence, results, |ctx, plan, (index, spec), subject| {
        match plan.metrics.get(index) {
            Some(seen) => decide(ctx, &Metric { plan, index, spec, seen }, subject),
            None => Ok(not_applicable("nobody was asked about it")),
        }
    });
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
    if let Some(document) = plan::own(evidence, plan) {
        return finding.cite_manifest(document, pointer, value, expected);
    }
    let path = format!("items[{}]{}", plan.name, pointer.replace('/', "."));
    finding.cite(&evidence.gate.live, path, value, expected)
}

/// The API groups that findings are about, each once: the fact `group`.
pub(crate) fn groups<'f>(findings: &[&'f Finding]) -> Vec<&'f str> {
    let mut groups: Vec<&str> =
        findings.iter().filter_map(|finding| finding.facts.get("group").map(String::as_str)).collect();
    groups.sort_unstable();
    groups.dedup();
    groups
}
