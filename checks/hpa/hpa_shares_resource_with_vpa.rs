//! # A VerticalPodAutoscaler changes the requests that the HPA's metric is a percentage of
//!
//! ## What it looks at
//!
//! For every metric with a utilization target: whether a VerticalPodAutoscaler with the same target changes
//! the requests of that resource. One with `updateMode: Off` changes nothing, and neither does a container's
//! policy with `mode: Off` or without the resource among its `controlledResources`.
//!
//! ## Why it matters
//!
//! The HPA divides usage by the request. Each time the other raises the request, utilization falls and the
//! HPA takes pods away; the load per pod rises, and so does the next request. The metric can be read, and the
//! two work against each other until one is at its limit.
//!
//! ## How to fix it
//!
//! Let the VerticalPodAutoscaler control the other resource (`controlledResources: ["memory"]` beside an HPA
//! on CPU), or give the HPA an amount to hold (`type: AverageValue`), which does not depend on requests.
//!
//! ## When it is wrong
//!
//! Bounds in the policy (`minAllowed` and `maxAllowed` the same) that leave the request no room are not
//! looked at.
//!
//! ## References
//!
//! - Failure catalogue: `hpa-vpa-same-resource` (AH-K07)
//! - Kubernetes autoscaler `vertical-pod-autoscaler/docs/known-limitations.md`

use serde_json::json;

use crate::check::{
    Audience, Check, Finding, Hop, Kind, Outcome, Question, Remedy, Results, Severity, Step, fail,
    not_applicable,
};
use crate::evidence::{Evidence, Need, Plan};
use crate::hpa;
use crate::plan::requests::Asked;
use crate::plan::vpa::{self, Controls};
use crate::plan::{self, ObjectRef, cite_own, kinds};

pub(crate) const CHECK: Check = Check {
    code: "MP917",
    name: "hpa-shares-resource-with-vpa",
    title: "A VerticalPodAutoscaler changes the requests that the HPA's metric is a percentage of",
    hop: Hop::Hpa,
    severity: Severity::Warning,
    kind: Kind::Hazard,
    modes: hpa::GATE,
    needs: &[Need::Hpas, Need::OtherAutoscalers],
    explains: &[],
    question: Question::Listed,
    source: include_str!("hpa_shares_resource_with_vpa.rs"),
    run,
    remedies,
};

const GROUP: &str = "autoscaling.k8s.io";
const KIND: &str = "VerticalPodAutoscaler";

fn run(evidence: &Evidence, results: &mut Results<'_>) {
    hpa::each_metric(evidence, results, |ctx, plan, (_, metric), subject| {
        let Some(asked) = Asked::of(metric) else {
            return Ok(not_applicable("it is no percentage of a request"));
        };
        let target = &plan.spec.target;
        let gate = &evidence.gate;
        let percent = metric.target.average_utilization.unwrap_or_default();
        let value = format!("{percent} % of the {} request", asked.resource);
        let cited = (metric.pointer.as_str(), value.as_str(), "an amount that depends on no request");
        let detail = |name: &str| {
            format!(
                "{KIND} {name} changes the {} requests of {} {}",
                asked.resource, target.kind, target.name
            )
        };
        for document in gate.objects(GROUP, KIND, &plan.namespace) {
            let reference = ObjectRef::read(document.at("/spec/targetRef"));
            let same = kinds::is(&target.kind, &reference.kind)
                && reference.group() == target.group()
                && reference.name == target.name;
            if !same || !touches(evidence, plan, &vpa::vpa_controls(document.at("/spec")), asked) {
                continue;
            }
            let pointer = match document.at("/spec/updatePolicy/updateMode") {
                mode if mode.is_string() => "/spec/updatePolicy/updateMode",
                _ => "/spec/targetRef",
            };
            let mode = document.at(pointer).as_str().unwrap_or("no updateMode, which is Recreate");
            let finding = Finding::new(subject, detail(&document.name)).cite_manifest(
                document,
                pointer,
                mode,
                "Off, or other controlledResources",
            );
            let other = if asked.resource == "cpu" { "memory" } else { "cpu" };
            let yaml =
                format!("containerPolicies: [{{containerName: \"*\", controlledResources: [\"{other}\"]}}]");
            let finding = cite_own(ctx, evidence, plan, finding, cited)?;
            let mut finding = plan::edit(finding, document, "/spec/resourcePolicy", &yaml);
            if document.at("/spec/resourcePolicy").is_null() {
                let policy = json!([{"containerName": "*", "controlledResources": [other]}]);
                finding = finding.change(document, "/spec/resourcePolicy/containerPolicies", Some(policy));
            }
            return Ok(fail(finding));
        }
        let seen = gate.namespaces.get(&plan.namespace).filter(|_| !gate.offline);
        let Some(seen) = seen else { return Ok(Outcome::Pass) };
        let others = ctx.need(&seen.other_autoscalers)?;
        let replaced = |name: &str| gate.objects(GROUP, KIND, &plan.namespace).any(|it| it.name == name);
        let found = others.iter().find(|other| {
            other.kind == KIND
                && kinds::is(&target.kind, &other.target_kind)
                && other.target_name == target.name
                && !replaced(&other.name)
                && touches(evidence, plan, &other.controls, asked)
        });
        let Some(other) = found else { return Ok(Outcome::Pass) };
        let path = format!("items[{}].spec", other.name);
        let finding = Finding::new(subject, detail(&other.name)).cite(
            &seen.other_autoscalers,
            path,
            format!("changes {}", asked.resource),
            "Off, or other controlledResources",
        );
        Ok(fail(cite_own(ctx, evidence, plan, finding, cited)?))
    });
}

/// Whether it changes a request that the metric is a percentage of.
fn touches(evidence: &Evidence, plan: &Plan, controls: &Controls, asked: Asked<'_>) -> bool {
    if let Some(container) = asked.container {
        return vpa::changes(controls, container, asked.resource);
    }
    match evidence.gate.workload_of(plan) {
        // It leaves init containers alone; whoever has only those has no pods.
        Some(workload) => workload
            .template
            .containers
            .iter()
            .any(|container| vpa::changes(controls, &container.name, asked.resource)),
        None => controls.values().any(|resources| resources.iter().any(|it| it == asked.resource)),
    }
}

fn remedies(_: &Evidence, findings: &[&Finding]) -> Vec<Remedy> {
    let mut steps = plan::edits(findings);
    if steps.is_empty() {
        let what = "take the resource out of controlledResources of the VerticalPodAutoscaler, or set its updateMode \
                    to \"Off\"";
        steps.push(Step::manual("the manifest", what));
    }
    vec![Remedy {
        title: "Let the two go by different resources".to_owned(),
        audience: Audience::Production,
        cost: "The VerticalPodAutoscaler no longer sets the requests of that resource.".to_owned(),
        leaves: Vec::new(),
        steps,
    }]
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::evidence::OtherAutoscaler;
    use crate::plan::testing::{
        cpu, deployment, forbidden, hpa as autoscaler, offline, online, result, seen, word, words,
    };

    fn objects(spec: &Value, metric: &Value) -> Vec<Value> {
        let mut spec = spec.clone();
        spec["targetRef"] = json!({"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"});
        let vpa = json!({
            "apiVersion": "autoscaling.k8s.io/v1", "kind": KIND,
            "metadata": {"name": "web", "namespace": "shop"}, "spec": spec,
        });
        vec![deployment("web", json!([{"name": "app"}])), autoscaler("web", json!([metric])), vpa]
    }

    #[test]
    fn the_same_resource_is_found() {
        let evidence = offline(&objects(&json!({}), &cpu(70)));
        assert_eq!(
            words(&result(&CHECK, &evidence)),
            "VerticalPodAutoscaler web changes the cpu requests of Deployment web"
        );
    }

    #[test]
    fn what_does_not_meet_is_fine() {
        let memory = json!({"resourcePolicy": {"containerPolicies": [
            {"containerName": "*", "controlledResources": ["memory"]},
        ]}});
        let own = json!({"resourcePolicy": {"containerPolicies": [{"containerName": "app", "mode": "Off"}]}});
        let off = json!({"updatePolicy": {"updateMode": "Off"}});
        for spec in [&memory, &own, &off] {
            assert_eq!(word(&result(&CHECK, &offline(&objects(spec, &cpu(70))))), "pass", "{spec}");
        }
        let amount = json!({"type": "Resource", "resource": {
            "name": "cpu", "target": {"type": "AverageValue", "averageValue": "1"},
        }});
        assert_eq!(word(&result(&CHECK, &offline(&objects(&json!({}), &amount)))), "n/a");
        let mut elsewhere = objects(&json!({}), &cpu(70));
        elsewhere[2]["metadata"]["namespace"] = json!("other");
        assert_eq!(word(&result(&CHECK, &offline(&elsewhere))), "pass");
    }

    #[test]
    fn those_of_the_cluster_count_unless_they_are_replaced() {
        let all = || [("*".to_owned(), vec!["cpu".to_owned()])].into();
        let other = |name: &str| OtherAutoscaler {
            kind: KIND.to_owned(),
            name: name.to_owned(),
            target_kind: "Deployment".to_owned(),
            target_name: "web".to_owned(),
            controls: all(),
        };
        let mut evidence = online(&objects(&json!({"updatePolicy": {"updateMode": "Off"}}), &cpu(70)));
        let mut with = |others| {
            evidence.gate.namespaces.get_mut("shop").expect("the namespace").other_autoscalers = others;
            word(&result(&CHECK, &evidence))
        };
        assert_eq!(with(seen(Need::OtherAutoscalers, vec![other("web")])), "pass", "its own former self");
        assert_eq!(with(seen(Need::OtherAutoscalers, vec![other("old")])), "fail");
        assert_eq!(with(forbidden(Need::OtherAutoscalers)), "open");
    }
}
