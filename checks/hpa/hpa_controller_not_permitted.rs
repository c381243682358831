//! # The HPA controller may not read the metric
//!
//! ## What it looks at
//!
//! For each metric the request that the HPA controller makes, and whether its identity,
//! `system:serviceaccount:kube-system:horizontal-pod-autoscaler`, is permitted to make it; the same for changing the
//! scale of the target. Who may not ask about others learns it from the roles and bindings of RBAC, if they may be read,
//! or from an autoscaler of the same namespace whose metric of the same kind the controller has read. Both only prove
//! that the controller may: where no role lets it through, another authorizer of kube-apiserver still may.
//!
//! ## Why it matters
//!
//! Your own permission to read a metric says nothing about the controller's. Without its own, the condition says
//! `FailedGetResourceMetric` or one of its sisters, and *is forbidden*.
//!
//! ## How to fix it
//!
//! Kubernetes maintains the ClusterRole `system:controller:horizontal-pod-autoscaler` when kube-apiserver starts, unless
//! somebody has set its annotation `rbac.authorization.kubernetes.io/autoupdate` to `false`. Give it its rules back,
//! or bind a role with the missing rule to the controller.
//!
//! ## When it is wrong
//!
//! A kube-controller-manager without `--use-service-account-credentials` calls as `system:kube-controller-manager`,
//! about which nobody is asked here. A controller that has lost its whole role cannot write conditions either: those
//! of its autoscalers stay as they were, and to somebody who may not ask about others they still look like working.
//!
//! ## References
//!
//! - Failure catalogue: `hpa-controller-cannot-read-metrics` (AH-E02), `hpa-scale-get-forbidden` (AH-H07)
//! - Kubernetes `plugin/pkg/auth/authorizer/rbac/bootstrappolicy/controller_policy.go`

use crate::Context;
use crate::check::{
    Audience, Check, Decision, Finding, Hop, Kind, Outcome, Question, Remedy, Results, Severity, Step,
    Subject, Undecided, fail, not_applicable,
};
use crate::evidence::{Evidence, Mode, Need, Obs, Permitted, Plan};
use crate::hpa::{self, gate};
use crate::plan::MetricRef;

pub(crate) const CHECK: Check = Check {
    code: "MP924",
    name: "hpa-controller-not-permitted",
    title: "The HPA controller may not read the metric",
    hop: Hop::Hpa,
    severity: Severity::Error,
    kind: Kind::Cause,
    modes: &[Mode::Gate],
    needs: &[Need::Hpas, Need::ControllerAccess],
    explains: &["hpa-metrics-unreadable"],
    question: Question::Deciding { modes: &[Mode::Gate], unless: &[] },
    source: include_str!("hpa_controller_not_permitted.rs"),
    run,
    remedies,
};

/// Who the controller is.
const CONTROLLER: &str = "system:serviceaccount:kube-system:horizontal-pod-autoscaler";

fn run(evidence: &Evidence, results: &mut Results<'_>) {
    hpa::each_plan(evidence, results, |ctx, plan, subject| {
        if evidence.gate.offline {
            return Ok(not_applicable("manifests alone are judged"));
        }
        decide(ctx, evidence, plan, &plan.scale_permitted, None, subject)
    });
    gate::each_metric(evidence, results, |ctx, metric, subject| {
        if evidence.gate.offline {
            return Ok(not_applicable("manifests alone are judged"));
        }
        if matches!(metric.spec.source, MetricRef::Unusable { .. }) {
            return Ok(not_applicable("there is nothing to read"));
        }
        decide(ctx, evidence, metric.plan, &metric.seen.permitted, Some(&metric.spec.source), subject)
    });
}

fn decide(
    ctx: &Context<'_>,
    evidence: &Evidence,
    plan: &Plan,
    permitted: &Obs<Permitted>,
    source: Option<&MetricRef>,
    subject: Subject,
) -> Decision {
    let seen = match ctx.need(permitted) {
        Ok(seen) => seen,
        Err(missing) => return proved_by_another(ctx, evidence, plan, source, missing),
    };
    if seen.allowed {
        return Ok(Outcome::Pass);
    }
    let detail =
        format!("the HPA controller may not `{}` `{}` in {}", seen.verb, seen.resource, plan.namespace);
    Ok(fail(
        Finding::new(subject, detail)
            .cite(permitted, "status.allowed", "false", "true")
            .fact("verb", &seen.verb)
            .fact("resource", &seen.resource),
    ))
}

/// An autoscaler of the same namespace for which the controller has read such a metric proves that it may.
fn proved_by_another(
    ctx: &Context<'_>,
    evidence: &Evidence,
    plan: &Plan,
    source: Option<&MetricRef>,
    missing: Undecided,
) -> Decision {
    let Some(namespace) = evidence.gate.namespaces.get(&plan.namespace) else { return Err(missing) };
    let Ok(hpas) = ctx.need(&namespace.hpas) else { return Err(missing) };
    let works = hpas.iter().any(|hpa| {
        let mut metrics = hpa.spec.metrics.iter().zip(&hpa.filled);
        let able = hpa.conditions.iter().any(|it| it.kind == "AbleToScale" && it.status == "True");
        let active = hpa.conditions.iter().any(|it| it.kind == "ScalingActive" && it.status == "True");
        able && active
            && match source {
                None => hpa.spec.target.kind == plan.spec.target.kind,
                Some(source) => metrics.any(|(metric, filled)| *filled && alike(&metric.source, source)),
            }
    });
    if works { Ok(Outcome::Pass) } else { Err(missing) }
}

/// Whether the controller needs the same permission for both.
fn alike(one: &MetricRef, other: &MetricRef) -> bool {
    match (one, other) {
        (
            MetricRef::Resource { .. } | MetricRef::ContainerResource { .. },
            MetricRef::Resource { .. } | MetricRef::ContainerResource { .. },
        ) => true,
        // A role may name single metrics.
        (MetricRef::Pods { name: one, .. }, MetricRef::Pods { name: other, .. })
        | (MetricRef::External { name: one, .. }, MetricRef::External { name: other, .. }) => one == other,
        (
            MetricRef::Object { name: one, of: of_one, .. },
            MetricRef::Object { name: other, of: of_other, .. },
        ) => one == other && of_one.kind == of_other.kind,
        _ => false,
    }
}

fn remedies(_: &Evidence, findings: &[&Finding]) -> Vec<Remedy> {
    let mut rules: Vec<String> = Vec::new();
    for finding in findings {
        let fact = |name| finding.facts.get(name).map(String::as_str).unwrap_or_default();
        let rule = format!("`{}` on `{}`", fact("verb"), fact("resource"));
        if !rules.contains(&rule) {
            rules.push(rule);
        }
    }
    vec![Remedy {
        title: "Give the HPA controller its role back".to_owned(),
        audience: Audience::Production,
        cost: String::new(),
        leaves: Vec::new(),
        steps: vec![
            Step::run(
                "workstation",
                "kubectl annotate clusterrole system:controller:horizontal-pod-autoscaler rbac.authorization.kubernetes.io/autoupdate=true --overwrite\nkubectl get clusterrole system:controller:horizontal-pod-autoscaler -o yaml",
            ),
            Step::manual(
                "every control-plane host",
                format!(
                    "restart kube-apiserver, which restores the role, or bind a ClusterRole that permits {} to {CONTROLLER}",
                    rules.join(" and ")
                ),
            ),
        ],
    }]
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::evidence::{Condition, Hpa, HpaStatus, HpaTarget};
    use crate::plan::testing::{cpu, forbidden, hpa, online, results, seen, word};

    fn permitted(allowed: bool) -> Obs<Permitted> {
        let (verb, resource) = ("list".to_owned(), "pods.metrics.k8s.io".to_owned());
        seen(Need::ControllerAccess, Permitted { allowed, verb, resource, reason: String::new() })
    }

    fn evidence(access: &Obs<Permitted>) -> Evidence {
        let mut evidence = online(&[hpa("web", json!([cpu(80)]))]);
        let plan = &mut evidence.gate.plans[0];
        plan.scale_permitted = access.clone();
        plan.metrics[0].permitted = access.clone();
        evidence
    }

    fn words(evidence: &Evidence) -> Vec<&'static str> {
        results(&CHECK, evidence).values().map(word).collect()
    }

    #[test]
    fn the_review_decides() {
        assert_eq!(words(&evidence(&permitted(true))), ["pass", "pass"]);
        assert_eq!(words(&evidence(&permitted(false))), ["fail", "fail"]);
        assert_eq!(words(&evidence(&forbidden(Need::ControllerAccess))), ["open", "open"]);
    }

    #[test]
    fn an_autoscaler_that_works_proves_it() {
        let mut evidence = evidence(&forbidden(Need::ControllerAccess));
        let plan = &evidence.gate.plans[0];
        let condition = |kind: &str| Condition {
            kind: kind.to_owned(),
            status: "True".to_owned(),
            reason: String::new(),
            message: String::new(),
            since: None,
        };
        let target = &plan.spec.target;
        let mut other = Hpa {
            namespace: "shop".to_owned(),
            name: "other".to_owned(),
            created: evidence.taken_at,
            target: (target.api_version.clone(), target.kind.clone(), "other".to_owned()),
            metrics: Vec::new(),
            spec: plan.spec.clone(),
            filled: vec![true],
            status: HpaStatus::default(),
            conditions: vec![condition("AbleToScale"), condition("ScalingActive")],
            scale: seen(Need::HpaTarget, Some(HpaTarget { replicas: 1, selector: "app=other".to_owned() })),
            pods: seen(Need::HpaPods, Vec::new()),
        };
        let mut with = |other: &Hpa| {
            let namespace = evidence.gate.namespaces.get_mut("shop").expect("the namespace");
            namespace.hpas = seen(Need::Hpas, vec![other.clone()]);
            words(&evidence)
        };
        assert_eq!(with(&other), ["pass", "pass"]);
        other.filled = vec![false];
        assert_eq!(with(&other), ["pass", "open"]);
        other.conditions.clear();
        assert_eq!(with(&other), ["open", "open"]);
    }
}
