//! # The HPA's metric can never be read
//!
//! ## What it looks at
//!
//! Each metric of an autoscaler for what the API server takes and the controller cannot work with: a resource
//! that the Metrics API does not have, a target of a metric of an object whose type and field differ, a label
//! selector that is none.
//!
//! ## Why it matters
//!
//! The API server checks little of it. The autoscaler is created without a word and shows `<unknown>` for good.
//!
//! ## How to fix it
//!
//! Write what is given for the field. Resources are `cpu` and `memory`; for anything else there are the types
//! `Pods`, `Object` and `External`.
//!
//! ## When it is wrong
//!
//! A metrics API of one's own could serve other resources; metrics-server does not. For the types `Resource`, `Pods` and
//! `External` the controller goes by the field and not by the type, so a difference there does no harm.
//!
//! ## References
//!
//! - Failure catalogue: `hpa-resource-name-typo` (AH-I16), `hpa-target-type-field-mismatch` (AH-I15)
//! - Kubernetes `pkg/controller/podautoscaler/horizontal.go`

use serde_json::Value;

use crate::check::{
    Audience, Check, Finding, Hop, Kind, Outcome, Question, Remedy, Results, Severity, Step, fail,
    not_applicable,
};
use crate::evidence::{Evidence, Mode};
use crate::hpa::gate::{self, Metric};
use crate::plan::{self, MetricRef};

pub(crate) const CHECK: Check = Check {
    code: "MP908",
    name: "hpa-metric-never-readable",
    title: "The HPA's metric can never be read",
    hop: Hop::Hpa,
    severity: Severity::Error,
    kind: Kind::Cause,
    modes: &[Mode::Gate],
    needs: &[],
    explains: &["hpa-metrics-unreadable"],
    question: Question::Deciding { modes: &[Mode::Gate], unless: &[] },
    source: include_str!("hpa_metric_never_readable.rs"),
    run,
    remedies,
};

/// What is wrong: the pointer of the field, what it holds, what is to be written, and a sentence.
struct Fault {
    pointer: String,
    value: String,
    expected: String,
    what: String,
    /// What is to be written where, if that is certain.
    change: Option<(String, &'static str)>,
}

fn run(evidence: &Evidence, results: &mut Results<'_>) {
    gate::each_metric(evidence, results, |_, metric, subject| {
        if matches!(metric.spec.source, MetricRef::Unusable { .. }) {
            return Ok(not_applicable("the API server refuses it"));
        }
        let body = plan::own(evidence, metric.plan)
            .map_or(&Value::Null, |document| document.at(&metric.spec.pointer));
        let fault = resource(metric).or_else(|| object_target(metric)).or_else(|| selector(metric, body));
        let Some(Fault { pointer, value, expected, what, change }) = fault else { return Ok(Outcome::Pass) };
        let finding =
            gate::cite(Finding::new(subject, what), evidence, metric.plan, &pointer, &value, &expected);
        Ok(fail(match (plan::own(evidence, metric.plan), change) {
            (Some(document), Some((pointer, value))) => finding.change(document, pointer, Some(value.into())),
            _ => finding,
        }))
    });
}

/// A resource that the Metrics API does not have. One without a name is refused, and told elsewhere.
fn resource(metric: &Metric<'_>) -> Option<Fault> {
    let (name, field) = match &metric.spec.source {
        MetricRef::Resource { name } => (name, "resource"),
        MetricRef::ContainerResource { name, .. } => (name, "containerResource"),
        _ => return None,
    };
    if name.is_empty() || matches!(name.as_str(), "cpu" | "memory") {
        return None;
    }
    let near = ["cpu", "memory"].into_iter().find(|known| {
        let last = name.rsplit('.').next().unwrap_or_default().to_ascii_lowercase();
        last == *known || plan::nearest::is_near(&last, known)
    });
    Some(Fault {
        pointer: format!("{}/{field}/name", metric.spec.pointer),
        value: name.clone(),
        expected: near.unwrap_or("cpu or memory, or a metric of the type Pods or External").to_owned(),
        what: format!("the Metrics API has no resource {name}; there are cpu and memory"),
        change: near.map(|near| (format!("{}/{field}/name", metric.spec.pointer), near)),
    })
}

/// For metrics of objects the controller goes by the type of the target.
fn object_target(metric: &Metric<'_>) -> Option<Fault> {
    if !matches!(metric.spec.source, MetricRef::Object { .. }) {
        return None;
    }
    let target = &metric.spec.target;
    let instead = match (target.value.is_some(), target.average_value.is_some()) {
        (true, _) => "Value",
        (false, true) => "AverageValue",
        (false, false) => return None,
    };
    let fits = match target.kind.as_str() {
        "Value" => target.value.is_some(),
        "AverageValue" => target.average_value.is_some(),
        "Utilization" => false,
        _ => return None,
    };
    if fits {
        return None;
    }
    let field = if instead == "Value" { "value" } else { "averageValue" };
    Some(Fault {
        pointer: format!("{}/object/target/{field}", metric.spec.pointer),
        value: if field == "value" { target.value.clone() } else { target.average_value.clone() }?,
        expected: format!("type: {instead} beside it, where {} stands", target.kind),
        what: format!(
            "the target is of the type {} and has {field}; the controller goes by the type",
            target.kind
        ),
        change: Some((format!("{}/object/target/type", metric.spec.pointer), instead)),
    })
}

/// A label selector that `LabelSelectorAsSelector` refuses.
fn selector(metric: &Metric<'_>, body: &Value) -> Option<Fault> {
    let field = match metric.spec.source {
        MetricRef::Pods { .. } => "pods",
        MetricRef::Object { .. } => "object",
        MetricRef::External { .. } => "external",
        _ => return None,
    };
    let list = body[field]["metric"]["selector"]["matchExpressions"].as_array()?;
    list.iter().enumerate().find_map(|(index, expression)| {
        let operator = expression["operator"].as_str().unwrap_or_default();
        let values = expression["values"].as_array().map_or(0, Vec::len);
        let (name, expected, what) = match operator {
            "In" | "NotIn" if values == 0 => {
                ("values", "one value or more", format!("{operator} wants values"))
            }
            "Exists" | "DoesNotExist" if values > 0 => {
                ("values", "no values", format!("{operator} takes no values"))
            }
            "In" | "NotIn" | "Exists" | "DoesNotExist" => return None,
            _ => (
                "operator",
                "In, NotIn, Exists or DoesNotExist",
                format!("\"{operator}\" is no operator of a selector"),
            ),
        };
        let pointer = format!("{}/{field}/metric/selector/matchExpressions/{index}", metric.spec.pointer);
        let value = match &expression[name] {
            Value::Null => "absent".to_owned(),
            other => other.to_string(),
        };
        let expected = expected.to_owned();
        Some(Fault { pointer: format!("{pointer}/{name}"), value, expected, what, change: None })
    })
}

fn remedies(_: &Evidence, findings: &[&Finding]) -> Vec<Remedy> {
    let citations = findings.iter().flat_map(|finding| &finding.citations);
    let steps = citations.map(|citation| {
        let what =
            || format!("at {}, instead of {} write {}", citation.path, citation.value, citation.expected);
        plan::rewrite(citation).unwrap_or_else(|| Step::manual("the autoscaler", what()))
    });
    vec![Remedy {
        title: "Ask for a metric that there is".to_owned(),
        audience: Audience::Production,
        cost: String::new(),
        leaves: Vec::new(),
        steps: steps.collect(),
    }]
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::plan::testing::{offline, results, word, words};

    fn judged(metrics: &Value) -> Vec<String> {
        let hpa = json!({"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler",
                         "metadata": {"name": "web"}, "spec": {"metrics": metrics}});
        results(&CHECK, &offline(&[hpa])).values().map(words).collect()
    }

    fn resource(name: &str) -> Value {
        json!({"type": "Resource", "resource": {"name": name,
               "target": {"type": "Utilization", "averageUtilization": 80}}})
    }

    fn object(target: &Value) -> Value {
        json!({"type": "Object", "object": {"metric": {"name": "hits"}, "target": target,
               "describedObject": {"kind": "Service", "name": "web"}}})
    }

    #[test]
    fn resources_are_cpu_and_memory() {
        for name in ["CPU", "requests.cpu", "memroy", "nvidia.com/gpu", "ephemeral-storage"] {
            let expected = format!("the Metrics API has no resource {name}; there are cpu and memory");
            assert_eq!(judged(&json!([resource(name)])), [expected]);
        }
        assert_eq!(judged(&json!([resource("cpu"), resource("memory")])), ["pass", "pass"]);
        let hpa = json!({"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler",
                         "metadata": {"name": "web"}, "spec": {"metrics": [resource("requests.cpu")]}});
        let outcomes = results(&CHECK, &offline(&[hpa]));
        let Some(Outcome::Fail(finding)) = outcomes.values().next() else { panic!("{outcomes:?}") };
        assert_eq!(finding.citations[0].expected, "cpu");
    }

    /// What the controller of 1.36 did with each.
    #[test]
    fn the_type_counts_for_objects_only() {
        let of = |target: Value| judged(&json!([object(&target)]))[0].clone();
        assert_eq!(of(json!({"type": "Value", "value": "1"})), "pass");
        assert_eq!(of(json!({"type": "AverageValue", "averageValue": "1"})), "pass");
        for target in [
            json!({"type": "Value", "averageValue": "1"}),
            json!({"type": "AverageValue", "value": "1"}),
            json!({"type": "Utilization", "value": "1"}),
        ] {
            assert!(of(target.clone()).contains("goes by the type"), "{target}");
        }
        let external = json!([{"type": "External", "external": {"metric": {"name": "queue"},
                               "target": {"type": "AverageValue", "value": "1"}}}]);
        assert_eq!(judged(&external), ["pass"]);
    }

    #[test]
    fn selectors_have_to_be_ones() {
        let external = |expression: Value| {
            let metric = json!({"name": "queue", "selector": {"matchExpressions": [expression]}});
            let metric = json!({"type": "External", "external": {"metric": metric, "target": {"type": "Value", "value": 1}}});
            judged(&json!([metric]))[0].clone()
        };
        assert_eq!(external(json!({"key": "a", "operator": "In", "values": ["b"]})), "pass");
        assert_eq!(external(json!({"key": "a", "operator": "Is"})), "\"Is\" is no operator of a selector");
        assert_eq!(external(json!({"key": "a", "operator": "In"})), "In wants values");
        assert_eq!(
            external(json!({"key": "a", "operator": "Exists", "values": ["b"]})),
            "Exists takes no values"
        );
    }

    #[test]
    fn what_the_api_server_refuses_is_told_elsewhere() {
        let hpa = json!({"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler",
                         "metadata": {"name": "web"}, "spec": {"metrics": [{"type": "Cosmic"}]}});
        let outcomes = results(&CHECK, &offline(&[hpa]));
        assert_eq!(outcomes.values().map(word).collect::<Vec<_>>(), ["n/a"]);
    }
}
