//! The last hop: the HorizontalPodAutoscalers.

mod declared;
mod gate;
pub(crate) mod hpa_api_version_removed;
pub(crate) mod hpa_container_missing;
pub(crate) mod hpa_controller_not_permitted;
pub(crate) mod hpa_controller_not_running;
pub(crate) mod hpa_declared_twice;
pub(crate) mod hpa_described_object_missing;
pub(crate) mod hpa_feature_not_in_version;
pub(crate) mod hpa_growth_blocked;
pub(crate) mod hpa_manifest_refused;
pub(crate) mod hpa_metric_never_readable;
pub(crate) mod hpa_metric_without_data;
pub(crate) mod hpa_metrics_api_missing;
pub(crate) mod hpa_metrics_api_unusable;
pub(crate) mod hpa_metrics_reordered;
pub(crate) mod hpa_metrics_unreadable;
pub(crate) mod hpa_never_scales;
pub(crate) mod hpa_readiness_unknown;
pub(crate) mod hpa_replicas_in_manifest;
pub(crate) mod hpa_replicas_jump;
pub(crate) mod hpa_request_missing;
pub(crate) mod hpa_selector_matches_others;
pub(crate) mod hpa_selector_missing;
pub(crate) mod hpa_shares_resource_with_vpa;
pub(crate) mod hpa_sidecar_request_unknown;
pub(crate) mod hpa_target_at_zero;
pub(crate) mod hpa_target_missing;
pub(crate) mod hpa_target_not_scalable;
pub(crate) mod hpa_target_refused;
pub(crate) mod hpa_target_shared;
pub(crate) mod hpa_target_type_ignored;
mod injectors;
pub(crate) mod manifest_refused_by_server;
pub(crate) mod manifest_unreadable;
pub(crate) mod namespace_missing;
pub(crate) mod scaledobject_cannot_scale;
mod update;

use std::collections::{BTreeMap, BTreeSet};

use crate::Context;
use crate::check::{Decision, Results, Subject, Undecided};
use crate::evidence::{Evidence, Hpa, Mode, Plan, TargetKind};
use crate::plan::{self, MetricSpec};

/// HPAs that are to be deployed.
pub(crate) const GATE: &[Mode] = &[Mode::Gate];
/// HPAs that are there and those that are to be deployed.
pub(crate) const BOTH: &[Mode] = &[Mode::Installed, Mode::Gate];

/// An HPA as a subject.
pub(crate) fn subject(hpa: &Hpa) -> Subject {
    Subject::namespaced("HorizontalPodAutoscaler", &hpa.namespace, &hpa.name)
}

/// Decides about every autoscaler of a gate.
pub(crate) fn each_plan(
    evidence: &Evidence,
    results: &mut Results<'_>,
    decide: impl Fn(&Context<'_>, &Plan, Subject) -> Decision,
) {
    for plan in applied(evidence) {
        let subject = plan::subject(plan);
        results.about(subject.clone(), |ctx| decide(ctx, plan, subject));
    }
}

/// Decides about every metric of every autoscaler of a gate.
pub(crate) fn each_metric(
    evidence: &Evidence,
    results: &mut Results<'_>,
    decide: impl Fn(&Context<'_>, &Plan, (usize, &MetricSpec), Subject) -> Decision,
) {
    for plan in applied(evidence) {
        for (index, metric) in plan.spec.metrics.iter().enumerate() {
            let subject = plan::metric_subject(plan, index);
            results.about(subject.clone(), |ctx| decide(ctx, plan, (index, metric), subject));
        }
    }
}

/// The autoscalers of a gate; of two that have one name, the last is what is applied.
pub(crate) fn applied(evidence: &Evidence) -> impl Iterator<Item = &Plan> {
    let plans = &evidence.gate.plans;
    let last: BTreeMap<_, usize> =
        plans.iter().enumerate().map(|(index, plan)| ((&plan.namespace, &plan.name), index)).collect();
    let last: BTreeSet<usize> = last.into_values().collect();
    last.into_iter().map(|index| &plans[index])
}

/// Whether the target of an autoscaler is of a kind that cannot be scaled, or the cluster was asked for it and has
/// none, nor do the manifests.
///
/// # Errors
///
/// When the manifests do not have it and the cluster's answer was not seen.
pub(crate) fn has_no_target(ctx: &Context<'_>, evidence: &Evidence, plan: &Plan) -> Result<bool, Undecided> {
    let target = &plan.spec.target;
    if let Some(TargetKind::NotScalable | TargetKind::Unknown) =
        evidence.gate.kind(target.group(), &target.kind)
    {
        return Ok(true);
    }
    if evidence.gate.offline || evidence.gate.target_of(plan).is_some() {
        return Ok(false);
    }
    Ok(ctx.need(&plan.scale)?.is_none())
}
