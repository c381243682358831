//! Other autoscalers that the controller would find for the same pods.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use super::{ObjectRef, Selector, Workload, cite_own, kinds, path, selection};
use crate::Context;
use crate::check::{Finding, Undecided};
use crate::evidence::{Evidence, Hpa, Plan, TargetKind};
use crate::hpa;

/// Whether two references name one object.
fn same(one: &ObjectRef, other: &ObjectRef) -> bool {
    one.group() == other.group()
        && one.name == other.name
        && (kinds::is(&one.kind, &other.kind) || kinds::is(&other.kind, &one.kind))
}

/// The autoscalers of a gate by namespace, and what the manifests show of them. To look for it once is enough for all pairs.
pub(crate) struct Rivals<'e> {
    /// Those of the gate.
    plans: BTreeMap<&'e str, Vec<Rival<'e>>>,
    /// What is in the manifests: the names of autoscalers by namespace, those that KEDA makes included.
    known: BTreeMap<&'e str, BTreeSet<String>>,
}

/// An autoscaler that others are held against.
struct Rival<'e> {
    plan: &'e Plan,
    /// The selector that the manifests show.
    selector: Option<Selector>,
}

impl<'e> Rivals<'e> {
    /// Finds them.
    pub(crate) fn of(evidence: &'e Evidence) -> Self {
        let gate = &evidence.gate;
        let mut rivals = Self { plans: BTreeMap::new(), known: BTreeMap::new() };
        for plan in hpa::applied(evidence) {
            let selector = gate.workload_of(plan).and_then(|workload| workload.selector());
            rivals.plans.entry(&plan.namespace).or_default().push(Rival { plan, selector });
        }
        for plan in &gate.plans {
            let scaled = || gate.scaled_objects(&plan.namespace).map(|it| it.hpa).collect();
            rivals.known.entry(&plan.namespace).or_insert_with(scaled).insert(plan.name.clone());
        }
        rivals
    }

    /// The other autoscalers of a plan's namespace.
    fn beside(&self, plan: &Plan) -> impl Iterator<Item = &Rival<'e>> {
        let own = self.plans.get(plan.namespace.as_str()).map(Vec::as_slice).unwrap_or_default();
        own.iter().filter(|it| it.plan.name != plan.name)
    }

    /// The autoscalers of the namespace in the cluster that stay there beside those of the manifests.
    fn staying<'s>(
        &self,
        ctx: &Context<'_>,
        evidence: &'s Evidence,
        plan: &Plan,
    ) -> Result<Vec<&'s Hpa>, Undecided> {
        let seen = evidence.gate.namespaces.get(&plan.namespace).filter(|_| !evidence.gate.offline);
        let Some(seen) = seen else { return Ok(Vec::new()) };
        let known = self.known.get(plan.namespace.as_str());
        let stays = |hpa: &&Hpa| {
            hpa.namespace == plan.namespace && !known.is_some_and(|known| known.contains(&hpa.name))
        };
        Ok(ctx.need(&seen.hpas)?.iter().filter(stays).collect())
    }
}

impl Rival<'_> {
    /// The selector of its target.
    fn find(&self, ctx: &Context<'_>, evidence: &Evidence) -> Result<Option<Cow<'_, Selector>>, Undecided> {
        match &self.selector {
            Some(selector) => Ok(Some(Cow::Borrowed(selector))),
            None => Ok(selection::of_cluster(ctx, evidence, self.plan)?.map(Cow::Owned)),
        }
    }
}

/// Another autoscaler with the same target, as a finding without the proof of the plan's own side.
///
/// # Errors
///
/// When the autoscalers of the cluster were not seen.
pub(crate) fn of_target(
    ctx: &Context<'_>,
    evidence: &Evidence,
    plan: &Plan,
    rivals: &Rivals<'_>,
    new: &dyn Fn(String) -> Finding,
) -> Result<Option<Finding>, Undecided> {
    let target = &plan.spec.target;
    let words = |rival: String| format!("{rival} has the same target, {} {}", target.kind, target.name);
    let mut plans = rivals.beside(plan).map(|it| it.plan);
    if let Some(rival) = plans.find(|it| same(&it.spec.target, target)) {
        let finding = new(words(format!("HorizontalPodAutoscaler {}", rival.name)));
        let cited = ("/spec/scaleTargetRef/name", target.name.as_str(), "another target");
        return cite_own(ctx, evidence, rival, finding, cited).map(Some);
    }
    let mut scaled = evidence.gate.scaled_objects(&plan.namespace).filter(|it| it.hpa != plan.name);
    if let Some(rival) = scaled.find(|it| same(&it.target, target)) {
        let name = &rival.document.name;
        let finding = new(format!(
            "{}, and KEDA makes an HorizontalPodAutoscaler {} of it",
            words(format!("ScaledObject {name}")),
            rival.hpa,
        ));
        let pointer = "/spec/scaleTargetRef/name";
        return Ok(Some(finding.cite_manifest(rival.document, pointer, &target.name, "another target")));
    }
    let reference = |hpa: &Hpa| ObjectRef {
        api_version: hpa.target.0.clone(),
        kind: hpa.target.1.clone(),
        name: hpa.target.2.clone(),
    };
    let staying = rivals.staying(ctx, evidence, plan)?;
    let Some(rival) = staying.into_iter().find(|hpa| same(&reference(hpa), target)) else { return Ok(None) };
    let finding = new(words(format!("HorizontalPodAutoscaler {} of the cluster", rival.name)));
    let Some(namespace) = evidence.gate.namespaces.get(&plan.namespace) else { return Ok(None) };
    let at = format!("items[{}].{}", rival.name, path("/spec/scaleTargetRef/name"));
    Ok(Some(finding.cite(&namespace.hpas, at, &target.name, "another target")))
}

/// Another autoscaler whose target's selector picks pods that this one's selector picks too.
///
/// # Errors
///
/// When a selector or the pods were not seen.
pub(crate) fn of_pods(
    ctx: &Context<'_>,
    evidence: &Evidence,
    plan: &Plan,
    rivals: &Rivals<'_>,
    new: &dyn Fn(String) -> Finding,
) -> Result<Option<Finding>, Undecided> {
    let others: Vec<&Rival<'_>> =
        rivals.beside(plan).filter(|it| !same(&it.plan.spec.target, &plan.spec.target)).collect();
    let staying = rivals.staying(ctx, evidence, plan)?;
    if others.is_empty() && staying.is_empty() {
        return Ok(None);
    }
    let Some(own) = selection::selector(ctx, evidence, plan)? else { return Ok(None) };
    let mine: Vec<Workload<'_>> = evidence.gate.matching(&plan.namespace, &own).collect();
    for other in others {
        let rival = other.plan;
        // The controller does not count one whose target has no scale (seen on 1.36).
        if !counts(ctx, evidence, rival)? {
            continue;
        }
        let Some(selector) = other.find(ctx, evidence)? else { continue };
        let Some(both) = both(ctx, evidence, plan, &mine, &selector)? else { continue };
        let (target, theirs) = (&plan.spec.target, &rival.spec.target);
        let finding = new(format!(
            "the selectors of {} {} and of {} {} both match {both}, and \
             HorizontalPodAutoscaler {} scales the latter",
            target.kind, target.name, theirs.kind, theirs.name, rival.name,
        ));
        let finding = match evidence.gate.workload_of(rival) {
            Some(workload) => {
                let pointer = selector_pointer(&workload);
                finding.cite_manifest(
                    workload.source,
                    &pointer,
                    selector.to_string(),
                    "a selector of its own",
                )
            }
            None => {
                finding.cite(&rival.scale, "status.selector", selector.to_string(), "a selector of its own")
            }
        };
        return Ok(Some(finding));
    }
    for rival in staying {
        let Some(scale) = ctx.need(&rival.scale)? else { continue };
        let Some(selector) = Selector::parse(&scale.selector).filter(|it| !it.is_empty()) else { continue };
        let Some(both) = both(ctx, evidence, plan, &mine, &selector)? else { continue };
        let target = &plan.spec.target;
        let finding = new(format!(
            "the selectors of {} {} and of the target of HorizontalPodAutoscaler {} of the cluster both match \
             {both}",
            target.kind, target.name, rival.name,
        ));
        return Ok(Some(finding.cite(
            &rival.scale,
            "status.selector",
            &scale.selector,
            "a selector of its own",
        )));
    }
    Ok(None)
}

/// Whether the kind of a target has a scale, by the manifests or by the cluster.
///
/// # Errors
///
/// When the cluster decides and was not seen.
fn counts(ctx: &Context<'_>, evidence: &Evidence, rival: &Plan) -> Result<bool, Undecided> {
    let target = &rival.spec.target;
    let kind = match evidence.gate.kind(target.group(), &target.kind) {
        Some(kind) => kind,
        None if evidence.gate.offline => return Ok(true),
        None => ctx.need(&rival.target)?.clone(),
    };
    Ok(kind == TargetKind::Scalable)
}

/// Where the selector of a workload stands: its first label.
fn selector_pointer(workload: &Workload<'_>) -> String {
    let labels = workload.source.at("/spec/selector/matchLabels").as_object();
    match labels.and_then(|labels| labels.keys().next()) {
        Some(key) => format!("/spec/selector/matchLabels/{}", super::escaped(key)),
        None => "/spec/selector".to_owned(),
    }
}

/// What of `mine`, that one selector matches, the other matches too; or a pod of the cluster that nothing in the manifests replaces.
fn both(
    ctx: &Context<'_>,
    evidence: &Evidence,
    plan: &Plan,
    mine: &[Workload<'_>],
    other: &Selector,
) -> Result<Option<String>, Undecided> {
    if let Some(workload) = mine.iter().find(|workload| other.matches(&workload.template.labels)) {
        return Ok(Some(format!("the pods of {}", workload.words())));
    }
    if evidence.gate.offline {
        return Ok(None);
    }
    let pods = ctx.need(&plan.pods)?;
    let replaced = evidence.gate.target_of(plan).is_some();
    let mut pods = pods.iter().filter(|pod| {
        !replaced || selection::other_pods(evidence, plan, std::slice::from_ref(*pod)).next().is_some()
    });
    Ok(pods.find(|pod| other.matches(&pod.labels)).map(|pod| format!("pod {}", pod.name)))
}
