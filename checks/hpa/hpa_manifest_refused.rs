//! # The API server refuses the HPA
//!
//! ## What it looks at
//!
//! Each autoscaler of `autoscaling/v1` and `autoscaling/v2` in the manifests, as a new object: its fields, the types of
//! their values, and what the API server's own validation asks for. All faults of one autoscaler are listed.
//!
//! ## Why it matters
//!
//! What is refused never exists. Inside of a larger deploy the refusal is easily overlooked, and the workload then
//! stays at whatever size it has.
//!
//! ## How to fix it
//!
//! Write what is given for each field. Fields of `v2beta1`, such as `targetAverageUtilization`, have another form in
//! `v2`, which is printed with the values at hand.
//!
//! ## When it is wrong
//!
//! Unknown fields are refused under strict validation, which is the default of kubectl. With `--validate=false`, and
//! with tools that do not ask for it, they are dropped without a word, and what they said is lost. A target
//! without an API group is refused since 1.34; before, the controller does not find such a kind. An autoscaler that
//! exists already may keep some of what a new one may not have. `minReplicas: 0` is judged with the feature gate
//! `HPAScaleToZero` as the version has it by default. Admission webhooks may refuse more.
//!
//! ## References
//!
//! - Failure catalogue: `hpa-validation-errors` (AH-K06), `hpa-v2beta1-fields-in-v2` (AH-K03),
//!   `hpa-target-apiversion-missing-group` (AH-H03), `hpa-min-zero-rejected` (AH-J02)
//! - Kubernetes `pkg/apis/autoscaling/validation/validation.go`

use std::collections::BTreeMap;

use crate::check::{
    Audience, Check, Finding, Hop, Kind, Outcome, Question, Remedy, Results, Severity, fail, not_applicable,
};
use crate::evidence::{Document, Evidence, Mode, Need};
use crate::hpa::declared::declared;
use crate::plan;
use crate::refusal::{self, Fault};

pub(crate) const CHECK: Check = Check {
    code: "MP906",
    name: "hpa-manifest-refused",
    title: "The API server refuses the HPA",
    hop: Hop::Hpa,
    severity: Severity::Error,
    kind: Kind::Cause,
    modes: &[Mode::Gate],
    needs: &[Need::Version],
    explains: &["hpa-metrics-unreadable"],
    question: Question::Deciding { modes: &[Mode::Gate], unless: &[] },
    source: include_str!("hpa_manifest_refused.rs"),
    run,
    remedies,
};

/// Whether the fields of an autoscaler are known: those of the versions that are served today.
pub(crate) fn knows(document: &Document) -> bool {
    matches!(document.api_version.as_str(), "autoscaling/v1" | "autoscaling/v2")
}

fn run(evidence: &Evidence, results: &mut Results<'_>) {
    for (subject, documents) in declared(evidence) {
        results.about(subject.clone(), |ctx| {
            if !documents.iter().any(|document| knows(document)) {
                return Ok(not_applicable("its API version has other fields"));
            }
            let mut faults: Vec<(&Document, Fault)> = Vec::new();
            let mut newer: Vec<(&Document, Fault)> = Vec::new();
            for document in documents.iter().filter(|document| knows(document)) {
                for fault in refusal::faults(document) {
                    if fault.until.is_some() { &mut newer } else { &mut faults }.push((document, fault));
                }
            }
            if !newer.is_empty() {
                match plan::minor(ctx, evidence) {
                    Ok(minor) => {
                        newer.retain(|(_, fault)| fault.until.is_some_and(|until| minor < until));
                        faults.extend(newer);
                    }
                    Err(missing) if faults.is_empty() => return Err(missing),
                    // It is refused in any case.
                    Err(_) => {}
                }
            }
            let Some((_, first)) = faults.first() else { return Ok(Outcome::Pass) };
            let more = match faults.len() - 1 {
                0 => String::new(),
                1 => ", and there is one more fault".to_owned(),
                more => format!(", and there are {more} more faults"),
            };
            let mut finding = Finding::new(subject, format!("{}{more}", first.what));
            for (document, fault) in &faults {
                finding =
                    finding.cite_manifest(document, &fault.pointer, fault.value.clone(), &fault.expected);
            }
            let about: BTreeMap<_, _> = faults.iter().map(|(it, _)| (&it.place, *it)).collect();
            let cures: Option<Vec<_>> = about
                .into_values()
                .map(|document| {
                    let own = faults.iter().filter(|(it, _)| it.place == document.place);
                    let own: Vec<Fault> = own.map(|(_, fault)| fault.clone()).collect();
                    Some((document, refusal::cure(document, &own)?))
                })
                .collect();
            for (document, changes) in cures.unwrap_or_default() {
                for (pointer, value) in changes {
                    finding = finding.change(document, pointer, value);
                }
            }
            Ok(fail(finding))
        });
    }
}

fn remedies(_: &Evidence, findings: &[&Finding]) -> Vec<Remedy> {
    vec![Remedy {
        title: "Write the manifest as the API has it".to_owned(),
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
    use crate::check::Subject;
    use crate::plan::testing::{offline, online, result, results, word};

    fn hpa(spec: &Value) -> Value {
        json!({"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler",
               "metadata": {"name": "web", "namespace": "shop"}, "spec": spec})
    }

    fn right() -> Value {
        json!({"scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"}, "maxReplicas": 3})
    }

    fn with(pointer: &str, value: Value) -> Value {
        let mut spec = right();
        spec[pointer] = value;
        hpa(&spec)
    }

    #[test]
    fn all_faults_of_an_autoscaler_are_one_finding() {
        assert_eq!(result(&CHECK, &offline(&[hpa(&right())])), Outcome::Pass);
        let broken = json!({"scaleTargetRef": {"kind": "Deployment", "name": "web"}, "minReplicas": "2",
                            "metrics": [{"type": "Resource", "resource": {"name": "cpu", "targetAverageUtilization": 70}}]});
        let Outcome::Fail(finding) = result(&CHECK, &offline(&[hpa(&broken)])) else { panic!("it passes") };
        let cited: Vec<(&str, &str)> =
            finding.citations.iter().map(|it| (it.path.as_str(), it.expected.as_str())).collect();
        assert_eq!(
            cited,
            [
                (
                    "spec.metrics.0.resource.targetAverageUtilization",
                    "target: {averageUtilization: 70, type: Utilization}"
                ),
                ("spec.minReplicas", "a whole number"),
                ("spec.maxReplicas", "a number of 1 or more"),
                ("spec.scaleTargetRef.apiVersion", "apps/v1"),
                ("spec.metrics.0.resource.target.type", "Utilization, Value or AverageValue"),
                ("spec.metrics.0.resource.target.averageUtilization", "averageUtilization or averageValue"),
            ]
        );
        assert_eq!(finding.subject, Subject::namespaced("HorizontalPodAutoscaler", "shop", "web"));
        assert!(
            finding.detail.starts_with("there is no field targetAverageUtilization"),
            "{}",
            finding.detail
        );
        let steps = &remedies(&offline(&[]), &[&finding])[0].steps;
        assert_eq!(steps.len(), 7);
        assert_eq!(steps[6].command, "kubectl apply --dry-run=server --validate=strict -f app.yaml");
    }

    #[test]
    fn what_a_version_decides_needs_the_version() {
        let external = json!([{"type": "External", "external": {"metric": {"name": "queue"},
                               "target": {"type": "Value", "value": "5"}}}]);
        let mut zero = with("minReplicas", json!(0));
        zero["spec"]["metrics"] = external;
        let tolerant = with("behavior", json!({"scaleUp": {"tolerance": "5%"}}));
        let tolerant_right = with("behavior", json!({"scaleUp": {"tolerance": 0.05}}));
        let at = |object: &Value, minor: Option<u32>| {
            let mut evidence = offline(std::slice::from_ref(object));
            evidence.gate.target_minor = minor;
            word(&result(&CHECK, &evidence))
        };
        assert_eq!([at(&zero, None), at(&zero, Some(36)), at(&zero, Some(37))], ["open", "fail", "pass"]);
        assert_eq!(
            [at(&tolerant_right, None), at(&tolerant_right, Some(32)), at(&tolerant_right, Some(33))],
            ["open", "fail", "pass"]
        );
        assert_eq!(at(&tolerant, None), "fail", "this is no quantity in any version");
        assert_eq!(word(&result(&CHECK, &online(&[zero]))), "fail", "the version of the cluster counts");
        assert_eq!(at(&with("minReplicas", json!(0)), Some(37)), "fail", "cpu cannot start the first pod");
    }

    #[test]
    fn each_autoscaler_has_one_result() {
        let unnamed =
            json!({"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "spec": right()});
        let old = json!({"apiVersion": "autoscaling/v2beta2", "kind": "HorizontalPodAutoscaler",
                         "metadata": {"name": "old"}, "spec": {}});
        let objects = [hpa(&right()), with("maxReplicas", json!(0)), unnamed.clone(), unnamed, old];
        let found: Vec<(String, &str)> = results(&CHECK, &offline(&objects))
            .iter()
            .map(|(subject, outcome)| (subject.clone(), word(outcome)))
            .collect();
        let words = |name: &str, word| (format!("shop/{name}"), word);
        assert_eq!(
            found,
            [
                words("old", "n/a"),
                words("web", "fail"),
                words("without a name at app.yaml:201", "fail"),
                words("without a name at app.yaml:301", "fail"),
            ]
        );
    }
}
