//! Which pods the selector of a target picks: its own, and those of others.

use super::Selector;
use super::targets::Workload;
use crate::Context;
use crate::check::Undecided;
use crate::evidence::{Evidence, HpaPod, Plan};

/// The label by which the pods of a Deployment carry the hash in the name of their ReplicaSet.
const HASH: &str = "pod-template-hash";
/// The same for a Rollout of Argo.
const ROLLOUT_HASH: &str = "rollouts-pod-template-hash";

/// The selector of a target: of its manifest, or of its scale in the cluster; nothing where neither shows one.
///
/// # Errors
///
/// When the manifests do not show it and the scale was not seen.
pub(crate) fn selector(
    ctx: &Context<'_>,
    evidence: &Evidence,
    plan: &Plan,
) -> Result<Option<Selector>, Undecided> {
    if let Some(selector) = evidence.gate.workload_of(plan).and_then(|workload| workload.selector()) {
        return Ok(Some(selector));
    }
    of_cluster(ctx, evidence, plan)
}

/// The selector of a target that no manifest shows.
///
/// # Errors
///
/// When the scale was not seen.
pub(crate) fn of_cluster(
    ctx: &Context<'_>,
    evidence: &Evidence,
    plan: &Plan,
) -> Result<Option<Selector>, Undecided> {
    if evidence.gate.offline {
        return Ok(None);
    }
    let scale = ctx.need(&plan.scale)?.as_ref();
    Ok(scale.and_then(|scale| Selector::parse(&scale.selector)).filter(|selector| !selector.is_empty()))
}

/// Workloads of the manifests, other than the target, whose pods a selector picks too.
pub(crate) fn others<'e>(
    evidence: &'e Evidence,
    plan: &'e Plan,
    selector: &'e Selector,
) -> impl Iterator<Item = Workload<'e>> {
    let target = evidence.gate.target_of(plan);
    let own = target.and_then(|target| evidence.gate.workload(target));
    let is_own = move |workload: &Workload<'_>| {
        // A Rollout that takes over a template leaves the Deployment with it at zero.
        let same = |one: &Workload<'_>| {
            [one.document, one.source].iter().any(|it| {
                it.kind == workload.document.kind
                    && it.group() == workload.document.group()
                    && it.name == workload.document.name
            })
        };
        own.as_ref().is_some_and(same)
    };
    evidence.gate.matching(&plan.namespace, selector).filter(move |workload| {
        // What an operator makes of a template is its own affair.
        let known = matches!(workload.document.group(), "" | "apps" | "batch" | "argoproj.io");
        known && workload.document.kind != "PodTemplate" && !is_own(workload)
    })
}

/// The pods of the cluster that belong to others than the target and stay as they are: nothing in the manifests
/// replaces them.
pub(crate) fn other_pods<'e>(
    evidence: &'e Evidence,
    plan: &'e Plan,
    pods: &'e [HpaPod],
) -> impl Iterator<Item = &'e HpaPod> {
    let target = &plan.spec.target;
    let knows = super::kinds::SCALABLE
        .iter()
        .any(|(group, kind)| *group == target.group() && super::kinds::is(&target.kind, kind));
    pods.iter().filter(move |pod| {
        let documents = &evidence.gate.manifests.documents;
        let replaced = || {
            documents
                .iter()
                .any(|it| owns(&it.kind, &it.name, pod) && evidence.gate.namespace_of(it) == plan.namespace)
        };
        let own = super::kinds::SCALABLE
            .iter()
            .find(|(_, kind)| super::kinds::is(&target.kind, kind))
            .is_some_and(|(_, kind)| owns(kind, &target.name, pod));
        knows && !own && !replaced()
    })
}

/// Whether a pod is of a workload, by the names that the controllers give.
fn owns(kind: &str, name: &str, pod: &HpaPod) -> bool {
    let Some((owner, owner_name)) = &pod.owner else { return kind == "Pod" && pod.name == name };
    let hashed = |label: &str| {
        let hash = pod.labels.get(label);
        let rest = owner_name.strip_prefix(name).and_then(|rest| rest.strip_prefix('-'));
        owner == "ReplicaSet" && rest.is_some() && rest == hash.map(String::as_str)
    };
    match kind {
        "Deployment" => hashed(HASH),
        "Rollout" => hashed(ROLLOUT_HASH),
        "CronJob" => {
            let number = owner_name.strip_prefix(name).and_then(|rest| rest.strip_prefix('-'));
            owner == "Job"
                && number.is_some_and(|it| !it.is_empty() && it.bytes().all(|it| it.is_ascii_digit()))
        }
        _ => owner == kind && owner_name == name,
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;

    fn pod(owner: Option<(&str, &str)>, hash: &str) -> HpaPod {
        HpaPod {
            name: "web-1".to_owned(),
            node: None,
            phase: "Running".to_owned(),
            ready: true,
            created: Timestamp::UNIX_EPOCH,
            labels: [(HASH.to_owned(), hash.to_owned())].into(),
            owner: owner.map(|(kind, name)| (kind.to_owned(), name.to_owned())),
            containers: Vec::new(),
            pod_requests: [].into(),
        }
    }

    #[test]
    fn pods_are_known_by_the_names_of_their_owners() {
        let of = |kind, name| pod(Some((kind, name)), "5d8f");
        for (kind, name, pod, expected) in [
            ("Deployment", "web", of("ReplicaSet", "web-5d8f"), true),
            ("Deployment", "web", of("ReplicaSet", "web-api-5d8f"), false),
            ("Deployment", "web", of("ReplicaSet", "web-77aa"), false),
            ("StatefulSet", "web", of("StatefulSet", "web"), true),
            ("StatefulSet", "web", of("StatefulSet", "web2"), false),
            ("CronJob", "report", of("Job", "report-29384"), true),
            ("CronJob", "report", of("Job", "report-daily-29384"), false),
            ("Job", "migrate", of("Job", "migrate"), true),
            ("Deployment", "web", pod(None, "5d8f"), false),
            ("Pod", "web-1", pod(None, ""), true),
        ] {
            assert_eq!(owns(kind, name, &pod), expected, "{kind} {name} {:?}", pod.owner);
        }
    }
}
