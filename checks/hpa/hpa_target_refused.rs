//! # The API server refuses the HPA's target
//!
//! ## What it looks at
//!
//! The manifest of the HPA's target, where that is a Deployment, a ReplicaSet or a StatefulSet: its API version, its
//! selector against the labels of its template, its containers' names, images, requests and limits.
//!
//! ## Why it matters
//!
//! A target that the API server does not take is not there, or stays as it was: the controller finds nothing to scale
//! (`FailedGetScale`).
//!
//! ## How to fix it
//!
//! Write the manifest as the API has it, and let the API server look at it before: `kubectl apply --dry-run=server`, or
//! `gate --server-dry-run`.
//!
//! ## When it is wrong
//!
//! It knows these fields only; what else an API server or an admission webhook refuses, `--server-dry-run` shows. A
//! webhook that completes objects, such as one that fills in images, may make a refused one whole.
//!
//! ## References
//!
//! - Kubernetes `pkg/apis/apps/validation/validation.go`, `pkg/apis/core/validation/validation.go`

use crate::check::{
    Audience, Check, Finding, Hop, Kind, Outcome, Question, Remedy, Results, Severity, fail, not_applicable,
};
use crate::evidence::Evidence;
use crate::hpa;
use crate::plan;
use crate::refusal::workload;

pub(crate) const CHECK: Check = Check {
    code: "MP932",
    name: "hpa-target-refused",
    title: "The API server refuses the HPA's target",
    hop: Hop::Hpa,
    severity: Severity::Error,
    kind: Kind::Cause,
    modes: hpa::GATE,
    needs: &[],
    explains: &["hpa-metrics-unreadable"],
    question: Question::Deciding { modes: hpa::GATE, unless: &[] },
    source: include_str!("hpa_target_refused.rs"),
    run,
    remedies,
};

fn run(evidence: &Evidence, results: &mut Results<'_>) {
    hpa::each_plan(evidence, results, |_, plan, subject| {
        let Some(target) = evidence.gate.target_of(plan) else {
            return Ok(not_applicable("the target is not in the manifests"));
        };
        let faults = workload::faults(target);
        let Some(first) = faults.first() else { return Ok(Outcome::Pass) };
        let more = match faults.len() - 1 {
            0 => String::new(),
            1 => ", and there is one more fault".to_owned(),
            more => format!(", and there are {more} more faults"),
        };
        let detail = format!("{} {}: {}{more}", target.kind, target.name, first.what);
        let finding = faults.iter().fold(Finding::new(subject, detail), |finding, fault| {
            let finding = finding.cite_manifest(target, &fault.pointer, fault.value.clone(), &fault.expected);
            fault
                .changes
                .iter()
                .fold(finding, |finding, (pointer, value)| finding.change(target, pointer, value.clone()))
        });
        Ok(fail(finding))
    });
}

fn remedies(_: &Evidence, findings: &[&Finding]) -> Vec<Remedy> {
    vec![Remedy {
        title: "Write the target's manifest as the API has it".to_owned(),
        audience: Audience::Production,
        cost: String::new(),
        leaves: Vec::new(),
        steps: plan::rewritten(findings),
    }]
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::plan::testing::{cpu, deployment, hpa as autoscaler, offline, result, words};

    fn whole() -> Value {
        deployment(
            "web",
            json!([{"name": "app", "image": "web:1", "resources": {"requests": {"cpu": "100m"}}}]),
        )
    }

    fn said(target: Value) -> String {
        words(&result(&CHECK, &offline(&[target, autoscaler("web", json!([cpu(80)]))])))
    }

    fn with(pointer: &str, value: Value) -> Value {
        let mut target = whole();
        *target.pointer_mut(pointer).expect("a field") = value;
        target
    }

    #[test]
    fn a_whole_target_is_taken() {
        assert_eq!(said(whole()), "pass");
        let amounts =
            json!({"requests": {"cpu": 0.5, "memory": "1Gi"}, "limits": {"cpu": 1, "memory": "1024Mi"}});
        assert_eq!(said(with("/spec/template/spec/containers/0/resources", amounts)), "pass");
    }

    #[test]
    fn each_fault_is_named() {
        for (pointer, value, expected) in [
            ("/apiVersion", json!("apps/v1beta1"), "no version of Kubernetes since 1.16 serves apps/v1beta1"),
            ("/spec/selector", json!(null), "selector is missing"),
            ("/spec/selector", json!({}), "the selector of a Deployment may not be empty"),
            (
                "/spec/selector",
                json!({"matchLabels": {"app": "api"}}),
                "the selector does not match the labels of the template",
            ),
            ("/spec/template", json!(null), "template is missing"),
            ("/spec/template/spec/containers", json!([]), "containers is missing"),
            ("/spec/template/spec/containers/0/image", json!(""), "image is missing"),
            (
                "/spec/template/spec/containers/0/resources/requests/cpu",
                json!("100q"),
                "\"100q\" is no quantity",
            ),
            (
                "/spec/template/spec/containers/0/resources/requests/cpu",
                json!(-1),
                "the cpu of a container cannot be negative",
            ),
            (
                "/spec/template/spec/containers/0/resources",
                json!({"requests": {"cpu": "2"}, "limits": {"cpu": "1500m"}}),
                "the container asks for more cpu than its limit, which is 1500m",
            ),
        ] {
            assert_eq!(said(with(pointer, value)), format!("Deployment web: {expected}"), "{pointer}");
        }
    }

    #[test]
    fn what_is_certain_comes_as_a_change_and_the_rest_as_words() {
        let mut target = with("/apiVersion", json!("apps/v1beta2"));
        target["spec"]["selector"] = Value::Null;
        let evidence = offline(&[target, autoscaler("web", json!([cpu(80)]))]);
        let Outcome::Fail(finding) = result(&CHECK, &evidence) else { panic!() };
        assert!(finding.detail.ends_with(", and there is one more fault"), "{}", finding.detail);
        assert_eq!(finding.edits.len(), 2, "{finding:?}");
        let steps = &remedies(&evidence, &[&finding])[0].steps;
        assert_eq!(
            steps.last().expect("a step").command,
            "kubectl apply --dry-run=server --validate=strict -f app.yaml"
        );
    }

    #[test]
    fn kinds_of_others_are_left_to_the_api_server() {
        let mut target = whole();
        (target["apiVersion"], target["kind"]) = (json!("argoproj.io/v1alpha1"), json!("Rollout"));
        target["spec"]["selector"] = Value::Null;
        let mut scaler = autoscaler("web", json!([cpu(80)]));
        scaler["spec"]["scaleTargetRef"] =
            json!({"apiVersion": "argoproj.io/v1alpha1", "kind": "Rollout", "name": "web"});
        assert_eq!(words(&result(&CHECK, &offline(&[target, scaler]))), "pass");
    }
}
