//! # The type of a metric's target is not that of its value
//!
//! ## What it looks at
//!
//! For metrics of the types `Resource`, `ContainerResource`, `Pods` and `External`: whether `target.type` names the field
//! that is given beside it.
//!
//! ## Why it matters
//!
//! Nothing is broken. For these metrics the controller goes by the field that is there and not by the type, so the
//! autoscaler holds the metric against something else than its manifest seems to say: with `type: Value` and
//! `averageValue: 100` the value is divided by the number of pods.
//!
//! ## How to fix it
//!
//! Write the type that belongs to the field, or the field that belongs to the type if that was meant.
//!
//! ## When it is wrong
//!
//! It is not known which of the two was meant. For metrics of the type `Object` the controller goes by the type; there
//! the same is `hpa-metric-never-readable`.
//!
//! ## References
//!
//! - Failure catalogue: `hpa-target-type-field-mismatch` (AH-I15)
//! - Kubernetes `pkg/controller/podautoscaler/horizontal.go`

use crate::check::{
    Audience, Check, Finding, Hop, Kind, Outcome, Question, Remedy, Results, Severity, Step, fail,
    not_applicable,
};
use crate::evidence::Evidence;
use crate::hpa::{self, gate};
use crate::plan::{self, MetricRef, MetricSpec};

pub(crate) const CHECK: Check = Check {
    code: "MP929",
    name: "hpa-target-type-ignored",
    title: "The type of a metric's target is not that of its value",
    hop: Hop::Hpa,
    severity: Severity::Info,
    kind: Kind::Hazard,
    modes: hpa::GATE,
    needs: &[],
    explains: &[],
    question: Question::Listed,
    source: include_str!("hpa_target_type_ignored.rs"),
    run,
    remedies,
};

fn run(evidence: &Evidence, results: &mut Results<'_>) {
    gate::each_metric(evidence, results, |_, metric, subject| {
        let Some((source, field, instead)) = meant(metric.spec) else {
            return Ok(not_applicable("the type counts, or the API server refuses the target"));
        };
        let kind = metric.spec.target.kind.as_str();
        if kind == instead {
            return Ok(Outcome::Pass);
        }
        let pointer = format!("{}/{source}/target/type", metric.spec.pointer);
        let detail =
            format!("the target is of the type {kind} and has {field}; the controller goes by the field");
        let finding =
            gate::cite(Finding::new(subject, detail), evidence, metric.plan, &pointer, kind, instead);
        Ok(fail(match plan::own(evidence, metric.plan) {
            Some(document) => finding.change(document, pointer, Some(instead.into())),
            None => finding,
        }))
    });
}

/// The name of the source in a manifest, the field that counts, and the type that belongs to it; nothing where the API
/// server refuses the target, or the type counts.
fn meant(metric: &MetricSpec) -> Option<(&'static str, &'static str, &'static str)> {
    let target = &metric.target;
    if !matches!(target.kind.as_str(), "Utilization" | "Value" | "AverageValue") {
        return None;
    }
    let source = match metric.source {
        MetricRef::Resource { .. } => "resource",
        MetricRef::ContainerResource { .. } => "containerResource",
        MetricRef::Pods { .. } => "pods",
        MetricRef::External { .. } => "external",
        MetricRef::Object { .. } | MetricRef::Unusable { .. } => return None,
    };
    let given = [
        (
            "averageUtilization",
            "Utilization",
            target.average_utilization.is_some() && source.ends_with("esource"),
        ),
        ("averageValue", "AverageValue", target.average_value.is_some()),
        ("value", "Value", target.value.is_some() && source == "external"),
    ];
    let mut given = given.into_iter().filter(|(.., is_given)| *is_given);
    match (given.next(), given.next()) {
        (Some((field, kind, _)), None) => Some((source, field, kind)),
        _ => None,
    }
}

fn remedies(_: &Evidence, findings: &[&Finding]) -> Vec<Remedy> {
    let citations = findings.iter().flat_map(|finding| &finding.citations);
    let what = "write the type that belongs to the field";
    let steps = citations
        .map(|citation| plan::rewrite(citation).unwrap_or_else(|| Step::manual("the autoscaler", what)));
    vec![Remedy {
        title: "Write the type that belongs to the value, or the value that belongs to the type".to_owned(),
        audience: Audience::Production,
        cost: String::new(),
        leaves: Vec::new(),
        steps: steps.collect(),
    }]
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::plan::testing::{hpa as autoscaler, offline, result, words};

    fn judged(kind: &str, field: &str, target: &Value) -> String {
        let named = match field {
            "resource" => json!({"name": "cpu", "target": target}),
            "containerResource" => json!({"name": "cpu", "container": "app", "target": target}),
            _ => {
                json!({"metric": {"name": "queue"}, "describedObject": {"kind": "Service", "name": "web"}, "target": target})
            }
        };
        let metric = json!({"type": kind, field: named});
        words(&result(&CHECK, &offline(&[autoscaler("web", json!([metric]))])))
    }

    /// The controller of 1.36 read each of those that are told (`tests/gate`: `utilization-with-average-value`,
    /// `external-average-mismatch`, `external-utilization`, `pods-metric-value-type`).
    #[test]
    fn a_type_that_is_not_that_of_the_field_is_told() {
        for (kind, field, target, given) in [
            ("Resource", "resource", json!({"type": "Utilization", "averageValue": "1"}), "averageValue"),
            ("Resource", "resource", json!({"type": "Value", "averageUtilization": 5}), "averageUtilization"),
            (
                "ContainerResource",
                "containerResource",
                json!({"type": "AverageValue", "averageUtilization": 5}),
                "averageUtilization",
            ),
            ("Pods", "pods", json!({"type": "Value", "averageValue": "1"}), "averageValue"),
            ("External", "external", json!({"type": "Value", "averageValue": "1"}), "averageValue"),
            ("External", "external", json!({"type": "Utilization", "value": "1"}), "value"),
        ] {
            let words = format!(
                "the target is of the type {} and has {given}; the controller goes by the field",
                target["type"].as_str().expect("a type")
            );
            assert_eq!(judged(kind, field, &target), words, "{target}");
        }
    }

    #[test]
    fn what_agrees_or_counts_is_not() {
        for (kind, field, target) in [
            ("Resource", "resource", json!({"type": "Utilization", "averageUtilization": 5})),
            ("Resource", "resource", json!({"type": "AverageValue", "averageValue": "1"})),
            ("Pods", "pods", json!({"type": "AverageValue", "averageValue": "1"})),
            ("External", "external", json!({"type": "Value", "value": "1"})),
        ] {
            assert_eq!(judged(kind, field, &target), "pass", "{target}");
        }
        for (kind, field, target) in [
            ("Object", "object", json!({"type": "Value", "averageValue": "1"})),
            ("External", "external", json!({"type": "Value", "value": "1", "averageValue": "1"})),
            ("Pods", "pods", json!({"type": "Value", "value": "1"})),
            ("Resource", "resource", json!({"averageValue": "1"})),
            ("Resource", "resource", json!({"type": "Odd", "averageValue": "1"})),
        ] {
            assert!(judged(kind, field, &target).starts_with("n/a"), "{target}");
        }
    }
}
