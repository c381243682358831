//! The fields of `autoscaling/v2beta1` and `v1`, and what stands in their place in `autoscaling/v2`.

use serde_json::{Value, json};

use super::Change;

/// What to write instead of a field of an older version, at this place.
pub(super) fn instead(pointer: &str, key: &str, value: &Value) -> Option<String> {
    let source = pointer.rsplit('/').next().unwrap_or_default();
    if pointer == "/spec" && key == "targetCPUUtilizationPercentage" {
        let metric = json!({"type": "Resource", "resource": {
            "name": "cpu", "target": {"type": "Utilization", "averageUtilization": value}}});
        return Some(format!("metrics: {}", flow(&json!([metric]))));
    }
    if !pointer.starts_with("/spec/metrics/") {
        return None;
    }
    let target =
        |kind: &str, field: &str| Some(format!("target: {}", flow(&json!({"type": kind, field: value}))));
    match (source, key) {
        ("resource" | "containerResource", "targetAverageUtilization") => {
            target("Utilization", "averageUtilization")
        }
        ("resource" | "containerResource" | "pods" | "external", "targetAverageValue")
        | ("object", "averageValue") => target("AverageValue", "averageValue"),
        ("object" | "external", "targetValue") => target("Value", "value"),
        ("pods" | "object" | "external", "metricName") => {
            Some(format!("metric: {}", flow(&json!({"name": value}))))
        }
        ("pods" | "object", "selector") | ("external", "metricSelector") => {
            Some(format!("selector: {} under metric", flow(value)))
        }
        // `object.target` was the object, and is now what its metric is held against.
        ("target", "apiVersion" | "kind" | "name") => {
            Some(format!("describedObject: {{{key}: {}}}", flow(value)))
        }
        _ => None,
    }
}

/// The same as changes of fields; empty where the old field means something else in the new version.
pub(super) fn changes(pointer: &str, key: &str, value: &Value) -> Vec<Change> {
    let source = pointer.rsplit('/').next().unwrap_or_default();
    let target = |kind: &str, field: &str| {
        vec![
            (format!("{pointer}/target/type"), Some(kind.into())),
            (format!("{pointer}/target/{field}"), Some(value.clone())),
        ]
    };
    let mut changes = match (source, key) {
        ("spec", "targetCPUUtilizationPercentage") => {
            let metric = json!({"type": "Resource", "resource": {
                "name": "cpu", "target": {"type": "Utilization", "averageUtilization": value}}});
            vec![("/spec/metrics".to_owned(), Some(json!([metric])))]
        }
        ("resource" | "containerResource", "targetAverageUtilization") => {
            target("Utilization", "averageUtilization")
        }
        ("resource" | "containerResource" | "pods" | "external", "targetAverageValue") => {
            target("AverageValue", "averageValue")
        }
        ("external", "targetValue") => target("Value", "value"),
        ("pods" | "external", "metricName") => {
            vec![(format!("{pointer}/metric/name"), Some(value.clone()))]
        }
        ("pods", "selector") | ("external", "metricSelector") => {
            vec![(format!("{pointer}/metric/selector"), Some(value.clone()))]
        }
        _ => return Vec::new(),
    };
    changes.push((format!("{pointer}/{key}"), None));
    changes
}

/// YAML on one line.
fn flow(value: &Value) -> String {
    match value {
        Value::Object(map) => {
            let fields: Vec<String> =
                map.iter().map(|(key, value)| format!("{key}: {}", flow(value))).collect();
            format!("{{{}}}", fields.join(", "))
        }
        Value::Array(list) => format!("[{}]", list.iter().map(flow).collect::<Vec<_>>().join(", ")),
        Value::String(text) if is_plain(text) => text.clone(),
        other => other.to_string(),
    }
}

/// Whether a text needs no quotes in YAML.
fn is_plain(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._/".contains(&byte))
        && !["true", "false", "yes", "no", "on", "off", "null", "y", "n"]
            .contains(&text.to_ascii_lowercase().as_str())
}
