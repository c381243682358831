//! # A quota stops the HPA's growth, or a disruption budget allows no eviction
//!
//! ## What it looks at
//!
//! `maxReplicas` times what a pod requests, against the ResourceQuotas of the manifests and against what is
//! left of those in the cluster. And the PodDisruptionBudgets of the manifests for these pods: whether any
//! pod may be evicted when the HPA is down at `minReplicas`.
//!
//! ## Why it matters
//!
//! Over the quota the API server refuses further pods, and the HPA asks for them in vain: *exceeded quota*. A
//! budget that asks for as many pods as there are at quiet times lets no node be drained.
//!
//! ## How to fix it
//!
//! Raise the quota or lower `maxReplicas`; ask the budget for one pod less than `minReplicas`, or write
//! `maxUnavailable: 1`.
//!
//! ## When it is wrong
//!
//! What others in the namespace use of a quota in the manifests is not counted, so less may be left than it
//! says. What is left in the cluster changes. Quotas with a scope are not looked at.
//!
//! ## References
//!
//! - Failure catalogue: `hpa-with-pdb/quota contradictions` (AH-K11), `hpa-desired-not-reached` (AH-J12)

use serde_json::Value;

use crate::check::{
    Audience, Check, Finding, Hop, Kind, Outcome, Question, Remedy, Results, Severity, Step, Undecided, fail,
    not_applicable,
};
use crate::evidence::{Document, Evidence, Need, Plan, PodTemplate, Why};
use crate::hpa;
use crate::plan::{Quantity, Selector, cite_own};
use crate::{Context, plan};

pub(crate) const CHECK: Check = Check {
    code: "MP920",
    name: "hpa-growth-blocked",
    title: "A quota stops the HPA's growth, or a disruption budget allows no eviction",
    hop: Hop::Hpa,
    severity: Severity::Warning,
    kind: Kind::Hazard,
    modes: hpa::GATE,
    needs: &[Need::Hpas, Need::HpaTarget, Need::Template, Need::Quotas],
    explains: &[],
    question: Question::Listed,
    source: include_str!("hpa_growth_blocked.rs"),
    run,
    remedies,
};

fn run(evidence: &Evidence, results: &mut Results<'_>) {
    hpa::each_plan(evidence, results, |ctx, plan, subject| {
        if hpa::has_no_target(ctx, evidence, plan)? {
            return Ok(not_applicable("it has no target that can be scaled"));
        }
        let new = |detail: String| Finding::new(subject.clone(), detail);
        let template = match evidence.gate.target_of(plan) {
            Some(document) => evidence.gate.workload(document).map(|workload| workload.template),
            None if evidence.gate.offline => {
                let because = "what the pods request; the target is in none of the manifests";
                return Err(Undecided { need: Need::Template, why: Why::NotAsked(because.to_owned()) });
            }
            None => ctx.need(&plan.template)?.clone(),
        };
        let Some(template) = template else { return Ok(not_applicable("its target shows no pod template")) };
        if let Some(finding) = budget(evidence, plan, &template, &new) {
            return Ok(fail(cite_own(
                ctx,
                evidence,
                plan,
                finding,
                ("/spec/minReplicas", &plan.spec.min.to_string(), "more than the budget asks for"),
            )?));
        }
        let found = match quota(evidence, plan, &template, &new) {
            Some(finding) => Some(finding),
            None => quota_left(ctx, evidence, plan, &template, &new)?,
        };
        let Some(finding) = found else { return Ok(Outcome::Pass) };
        let max = plan.spec.max.unwrap_or_default().to_string();
        Ok(fail(cite_own(
            ctx,
            evidence,
            plan,
            finding,
            ("/spec/maxReplicas", &max, "what the quota allows"),
        )?))
    });
}

/// What one pod takes of what a quota counts.
fn share(template: &PodTemplate, counted: &str) -> Option<Quantity> {
    let limits = |resource: &str| {
        let mut total = Quantity::default();
        for container in &template.containers {
            total = total.plus(Quantity::read(container.limits.get(resource)?)?)?;
        }
        Some(total)
    };
    match counted {
        "cpu" | "requests.cpu" => template.total("cpu"),
        "memory" | "requests.memory" => template.total("memory"),
        "limits.cpu" => limits("cpu"),
        "limits.memory" => limits("memory"),
        "pods" | "count/pods" => Quantity::read("1"),
        _ => None,
    }
}

fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

/// A quota of the manifests that is too small for all replicas.
fn quota(
    evidence: &Evidence,
    plan: &Plan,
    template: &PodTemplate,
    new: &dyn Fn(String) -> Finding,
) -> Option<Finding> {
    let max = plan.spec.max?;
    let scoped = |it: &&Document| {
        it.at("/spec/scopeSelector").is_object()
            || it.at("/spec/scopes").as_array().is_some_and(|scopes| !scopes.is_empty())
    };
    let quotas = evidence.gate.objects("", "ResourceQuota", &plan.namespace).filter(|it| !scoped(it));
    for document in quotas {
        for (counted, hard) in document.at("/spec/hard").as_object().into_iter().flatten() {
            let Some(hard_text) = text(hard) else { continue };
            let whole = share(template, counted).and_then(|share| share.times(max));
            let (Some(whole), Some(hard)) = (whole, Quantity::read(&hard_text)) else { continue };
            if whole > hard {
                let detail = format!(
                    "{max} replicas take {whole} of {counted}, and ResourceQuota {} allows {hard_text}",
                    document.name,
                );
                let pointer = format!("/spec/hard/{}", plan::escaped(counted));
                let expected = format!("{whole} or more");
                return Some(new(detail).cite_manifest(document, &pointer, hard_text, &expected));
            }
        }
    }
    None
}

/// What is left of the quotas of the cluster is too little for the replicas that are not there yet.
fn quota_left(
    ctx: &Context<'_>,
    evidence: &Evidence,
    plan: &Plan,
    template: &PodTemplate,
    new: &dyn Fn(String) -> Finding,
) -> Result<Option<Finding>, Undecided> {
    let seen = evidence.gate.namespaces.get(&plan.namespace).filter(|_| !evidence.gate.offline);
    let (Some(seen), Some(max)) = (seen, plan.spec.max) else { return Ok(None) };
    let left = ctx.need(&seen.quota_left)?;
    if left.is_empty() {
        return Ok(None);
    }
    let there = ctx.need(&plan.scale)?.as_ref().map_or(0, |scale| scale.replicas);
    let more = max.saturating_sub(there).max(0);
    for (counted, left) in left {
        let whole = share(template, counted).and_then(|share| share.times(more));
        let (Some(whole), Some(room)) = (whole, Quantity::read(left)) else { continue };
        if whole > room {
            let detail = format!(
                "{more} more replicas take {whole} of {counted}, and the quota of namespace {} has {left} left",
                plan.namespace,
            );
            let path = format!("status.hard.{counted} - status.used.{counted}");
            let expected = format!("{whole} or more");
            return Ok(Some(new(detail).cite(&seen.quota_left, path, left, &expected)));
        }
    }
    Ok(None)
}

/// A disruption budget that allows no eviction at `minReplicas`.
fn budget(
    evidence: &Evidence,
    plan: &Plan,
    template: &PodTemplate,
    new: &dyn Fn(String) -> Finding,
) -> Option<Finding> {
    let least = plan.spec.min;
    if least < 1 {
        return None;
    }
    for document in evidence.gate.objects("policy", "PodDisruptionBudget", &plan.namespace) {
        let selector = Selector::read(document.at("/spec/selector"));
        if !selector.is_some_and(|selector| selector.matches(&template.labels)) {
            continue;
        }
        let (field, blocks) = match (document.at("/spec/minAvailable"), document.at("/spec/maxUnavailable")) {
            (Value::Null, unavailable) => ("maxUnavailable", count(unavailable, least) == Some(0)),
            (available, _) => ("minAvailable", count(available, least).is_some_and(|it| it >= least)),
        };
        if blocks {
            let pointer = format!("/spec/{field}");
            let value = text(document.at(&pointer)).unwrap_or_default();
            let detail = format!(
                "PodDisruptionBudget {} says {field}: {value}, so that with {least} replicas no pod may be evicted",
                document.name,
            );
            return Some(new(detail).cite_manifest(document, &pointer, value, "room for one eviction"));
        }
    }
    None
}

/// A number of pods, or a percentage of them rounded up.
fn count(value: &Value, of: i64) -> Option<i64> {
    match value {
        Value::Number(number) => number.as_i64(),
        Value::String(text) => {
            let percent: i64 = text.strip_suffix('%')?.parse().ok()?;
            let hundredths = percent.checked_mul(of)?;
            Some(hundredths / 100 + i64::from(hundredths % 100 > 0))
        }
        _ => None,
    }
}

fn remedies(_: &Evidence, _: &[&Finding]) -> Vec<Remedy> {
    vec![Remedy {
        title: "Let the bounds of the HPA, the quota and the budget fit together".to_owned(),
        audience: Audience::Production,
        cost: String::new(),
        leaves: Vec::new(),
        steps: vec![Step::manual(
            "the manifest",
            "raise the quota or lower maxReplicas; where it is the budget, write maxUnavailable: 1, or a minAvailable \
             below minReplicas",
        )],
    }]
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::plan::testing::{
        cpu, deployment, forbidden, hpa as autoscaler, offline, online, result, scale, seen, word, words,
    };

    fn with(other: Value) -> Vec<Value> {
        let web = deployment("web", json!([{"name": "app", "resources": {"requests": {"cpu": "250m"}}}]));
        vec![web, autoscaler("web", json!([cpu(70)])), other]
    }

    #[test]
    fn quotas_of_the_manifests_are_held_against_all_replicas() {
        let quota = |hard: Value| {
            with(json!({
                "apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "shop", "namespace": "shop"},
                "spec": {"hard": hard},
            }))
        };
        for (hard, expected) in [
            (
                json!({"requests.cpu": "2"}),
                "10 replicas take 2500m of requests.cpu, and ResourceQuota shop allows 2",
            ),
            (json!({"pods": 5}), "10 replicas take 10 of pods, and ResourceQuota shop allows 5"),
            (json!({"requests.cpu": "2500m", "limits.cpu": "1", "requests.memory": "1"}), "pass"),
        ] {
            assert_eq!(words(&result(&CHECK, &offline(&quota(hard)))), expected);
        }
        let mut scoped = quota(json!({"pods": 5}));
        scoped[2]["spec"]["scopes"] = json!(["Terminating"]);
        assert_eq!(word(&result(&CHECK, &offline(&scoped))), "pass");
    }

    #[test]
    fn budgets_are_held_against_the_fewest_replicas() {
        let budget = |spec: Value, app: &str| {
            let mut spec = spec;
            spec["selector"] = json!({"matchLabels": {"app": app}});
            with(json!({
                "apiVersion": "policy/v1", "kind": "PodDisruptionBudget",
                "metadata": {"name": "web", "namespace": "shop"}, "spec": spec,
            }))
        };
        for (spec, app, expected) in [
            (json!({"minAvailable": 2}), "web", "fail"),
            (json!({"minAvailable": 1}), "web", "pass"),
            (json!({"minAvailable": "51%"}), "web", "fail"),
            (json!({"minAvailable": "50%"}), "web", "pass"),
            (json!({"maxUnavailable": 0}), "web", "fail"),
            (json!({"maxUnavailable": 1}), "web", "pass"),
            (json!({"minAvailable": 2}), "api", "pass"),
        ] {
            assert_eq!(word(&result(&CHECK, &offline(&budget(spec.clone(), app)))), expected, "{spec} {app}");
        }
    }

    #[test]
    fn what_is_left_in_the_cluster_counts_for_what_is_not_there_yet() {
        let mut evidence = online(&with(json!({})));
        evidence.gate.plans[0].scale = scale("app=web");
        let mut left = |obs| {
            evidence.gate.namespaces.get_mut("shop").expect("the namespace").quota_left = obs;
            word(&result(&CHECK, &evidence))
        };
        let cpu = |text: &str| seen(Need::Quotas, [("requests.cpu".to_owned(), text.to_owned())].into());
        assert_eq!(left(cpu("2")), "pass", "8 more of 250m");
        assert_eq!(left(cpu("1900m")), "fail");
        assert_eq!(left(forbidden(Need::Quotas)), "open");
    }
}
