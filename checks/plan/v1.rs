//! What an autoscaler of `autoscaling/v1` asks for: CPU, and more in an annotation that the API server understands.

use serde_json::Value;

use super::spec::{MetricRef, MetricSpec, MetricTarget, ObjectRef, cpu, selector};

/// The annotation in which `autoscaling/v1` keeps the metrics that it has no fields for, in the words of `v2beta1`.
const METRICS: &str = "autoscaling.alpha.kubernetes.io/metrics";

/// The metrics of a whole object.
pub(super) fn metrics(object: &Value) -> Vec<MetricSpec> {
    let percent = object["spec"]["targetCPUUtilizationPercentage"].as_i64();
    let mut metrics: Vec<MetricSpec> =
        percent.map(|percent| cpu("/spec/targetCPUUtilizationPercentage", percent)).into_iter().collect();
    let text = object["metadata"]["annotations"][METRICS].as_str().unwrap_or_default();
    let entries: Vec<Value> = serde_json::from_str(text).unwrap_or_default();
    metrics.extend(entries.iter().map(metric));
    metrics
}

fn metric(entry: &Value) -> MetricSpec {
    let kind = entry["type"].as_str().unwrap_or_default();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let body = match kind {
        "Resource" => &entry["resource"],
        "ContainerResource" => &entry["containerResource"],
        "Pods" => &entry["pods"],
        "Object" => &entry["object"],
        "External" => &entry["external"],
        _ => &Value::Null,
    };
    let name = text(&body["metricName"]);
    let source = match kind {
        _ if !body.is_object() => MetricRef::Unusable { kind: kind.to_owned() },
        "Resource" => MetricRef::Resource { name: text(&body["name"]) },
        "ContainerResource" => {
            MetricRef::ContainerResource { name: text(&body["name"]), container: text(&body["container"]) }
        }
        "Pods" => MetricRef::Pods { name, selector: selector(&body["selector"]) },
        "Object" => MetricRef::Object {
            name,
            selector: selector(&body["selector"]),
            of: ObjectRef::read(&body["target"]),
        },
        _ => MetricRef::External { name, selector: selector(&body["metricSelector"]) },
    };
    let quantity = |field: &str| body[field].as_str().map(str::to_owned);
    let average_utilization = body["targetAverageUtilization"].as_i64();
    let average_value = quantity(if kind == "Object" { "averageValue" } else { "targetAverageValue" });
    let value = quantity("targetValue");
    let target = match () {
        () if average_utilization.is_some() => "Utilization",
        () if average_value.is_some() => "AverageValue",
        () => "Value",
    };
    MetricSpec {
        pointer: format!("/metadata/annotations/{}", METRICS.replace('/', "~1")),
        source,
        target: MetricTarget { kind: target.to_owned(), value, average_value, average_utilization },
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_annotation_holds_what_has_no_field() {
        let annotation = json!([
            {"type": "External", "external": {"metricName": "queue", "targetValue": "100"}},
            {"type": "Resource", "resource": {"name": "memory", "targetAverageUtilization": 60}},
        ]);
        let object = json!({
            "metadata": {"annotations": {METRICS: annotation.to_string()}},
            "spec": {"targetCPUUtilizationPercentage": 50},
        });
        let read = metrics(&object);
        let words: Vec<_> =
            read.iter().map(|it| (it.source.kind(), it.source.name(), it.target.kind.as_str())).collect();
        let expected = [
            ("Resource", "cpu", "Utilization"),
            ("External", "queue", "Value"),
            ("Resource", "memory", "Utilization"),
        ];
        assert_eq!(words, expected);
        assert_eq!(metrics(&json!({"metadata": {"annotations": {METRICS: "no JSON"}}})), []);
    }
}
