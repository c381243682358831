//! Cases that the manifests of `tests/gate/refused` do not hold, and what is proposed for them.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::*;
use crate::evidence::Place;

fn found(body: Value) -> Vec<(String, String)> {
    let text = |name: &str| body[name].as_str().unwrap_or_default().to_owned();
    let document = Document {
        api_version: text("apiVersion"),
        kind: text("kind"),
        namespace: String::new(),
        name: String::new(),
        place: Place { file: "a".to_owned(), line: 1, column: 1, end_line: 1, end_column: 1 },
        places: BTreeMap::new(),
        body,
    };
    faults(&document).into_iter().map(|fault| (fault.pointer, fault.expected)).collect()
}

fn v2(spec: Value) -> Value {
    let mut spec = spec;
    spec["scaleTargetRef"] = json!({"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"});
    spec["maxReplicas"] = json!(5);
    json!({"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "metadata": {"name": "web"}, "spec": spec})
}

#[test]
fn old_fields_are_rewritten_with_their_values() {
    let metric = |kind: &str, field: &str, body: Value| v2(json!({"metrics": [{"type": kind, field: body}]}));
    let first = |object: Value| found(object).into_iter().next().expect("a fault").1;
    assert_eq!(
        first(metric("Pods", "pods", json!({"metricName": "hits", "targetAverageValue": "10"}))),
        "metric: {name: hits}"
    );
    assert_eq!(
        first(metric("External", "external", json!({"targetValue": "10"}))),
        "target: {type: Value, value: \"10\"}"
    );
    assert_eq!(
        first(v2(json!({"targetCPUUtilizationPercentage": 50}))),
        "metrics: [{resource: {name: cpu, target: {averageUtilization: 50, type: Utilization}}, type: Resource}]"
    );
}

#[test]
fn slips_of_the_hand_are_guessed() {
    let of = |spec: Value| found(v2(spec));
    assert_eq!(of(json!({"minReplica": 2})), [("/spec/minReplica".to_owned(), "minReplicas: 2".to_owned())]);
    assert_eq!(of(json!({"behaviour": {}}))[0].1, "behavior: {}");
    let metrics = json!({"metrics": [{"type": "resource", "resource":
        {"name": "cpu", "target": {"type": "utilization", "averageUtilization": 80}}}]});
    let expected: Vec<String> = of(metrics).into_iter().map(|(_, expected)| expected).collect();
    assert_eq!(expected, ["Resource", "Utilization"]);
}

#[test]
fn any_json_is_judged_without_a_panic() {
    let odd = [json!(null), json!([]), json!("x"), json!(5), json!({"a": [1]}), json!([null, {"type": {}}])];
    for value in &odd {
        for field in ["metadata", "spec", "status"] {
            let mut body = v2(json!({}));
            body[field] = value.clone();
            found(body);
        }
        for field in ["metrics", "behavior", "scaleTargetRef", "minReplicas"] {
            let mut body = v2(json!({}));
            body["spec"][field] = value.clone();
            found(body);
        }
    }
}

#[test]
fn quantities_have_the_sign_that_go_gives_them() {
    for (text, sign) in [
        ("100m", Some(1)),
        ("1.5Gi", Some(1)),
        (".5", Some(1)),
        ("5.", Some(1)),
        ("1e3", Some(1)),
        ("1E", Some(1)),
        ("-5", Some(-1)),
        ("0", Some(0)),
        ("-0", Some(0)),
        ("0.00k", Some(0)),
        ("+1", Some(1)),
        ("1E-3", Some(1)),
        ("", None),
        (".", None),
        ("1e", None),
        ("5MB", None),
        ("5 M", None),
        ("1.2.3", None),
        ("m", None),
        ("0x1", None),
        ("1K", None),
        ("--1", None),
    ] {
        assert_eq!(schema::sign(text), sign, "{text}");
    }
}
