//! The specification of a `HorizontalPodAutoscaler`, with the defaults that the API fills in.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::behavior::Behavior;
use super::v1;

/// What an autoscaler asks for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HpaSpec {
    /// `scaleTargetRef`.
    pub target: ObjectRef,
    /// `minReplicas`, 1 where it is not given.
    pub min: i64,
    /// `maxReplicas`; none where it is missing.
    pub max: Option<i64>,
    /// The metrics; CPU at 80 % where there are none, as the API fills it in.
    pub metrics: Vec<MetricSpec>,
    /// What bounds how fast it scales.
    #[serde(default)]
    pub behavior: Behavior,
}

/// A reference to an object in the same namespace.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ObjectRef {
    /// `apiVersion`.
    pub api_version: String,
    /// `kind`.
    pub kind: String,
    /// `name`.
    pub name: String,
}

/// One metric.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MetricSpec {
    /// The JSON pointer of the entry in the manifest, such as `/spec/metrics/0`.
    pub pointer: String,
    /// Where it comes from.
    pub source: MetricRef,
    /// What it is held against.
    pub target: MetricTarget,
}

/// Where a metric comes from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum MetricRef {
    /// A resource of all containers of the pods.
    Resource {
        /// `cpu` or `memory`, if it is right.
        name: String,
    },
    /// A resource of one container of each pod.
    ContainerResource {
        /// `cpu` or `memory`, if it is right.
        name: String,
        /// The container.
        container: String,
    },
    /// A custom metric of each pod.
    Pods {
        /// The metric's name.
        name: String,
        /// Its label selector as a query writes it; empty for none.
        selector: String,
    },
    /// A custom metric of one object.
    Object {
        /// The metric's name.
        name: String,
        /// Its label selector as a query writes it; empty for none.
        selector: String,
        /// The object.
        of: ObjectRef,
    },
    /// A metric of something outside.
    External {
        /// The metric's name.
        name: String,
        /// Its label selector as a query writes it; empty for none.
        selector: String,
    },
    /// A type that no controller knows, or an entry without the field that its type wants.
    Unusable {
        /// The type as it is written.
        kind: String,
    },
}

/// What a metric is held against.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MetricTarget {
    /// `type`; empty where it is missing.
    pub kind: String,
    /// `value`.
    pub value: Option<String>,
    /// `averageValue`.
    pub average_value: Option<String>,
    /// `averageUtilization` in percent.
    pub average_utilization: Option<i64>,
}

impl HpaSpec {
    /// Reads an object of this version of `autoscaling`: `v1` or anything that is written as `v2` is.
    #[must_use]
    pub fn read(api_version: &str, object: &Value) -> Self {
        let spec = &object["spec"];
        let mut metrics = if api_version == "autoscaling/v1" {
            v1::metrics(object)
        } else {
            let entries = spec["metrics"].as_array().into_iter().flatten();
            entries.enumerate().map(|(index, entry)| metric(index, entry)).collect()
        };
        if metrics.is_empty() {
            metrics.push(cpu("/spec/metrics", 80));
        }
        Self {
            target: ObjectRef::read(&spec["scaleTargetRef"]),
            min: spec["minReplicas"].as_i64().unwrap_or(1),
            max: spec["maxReplicas"].as_i64(),
            metrics,
            behavior: Behavior::read(object),
        }
    }
}

impl ObjectRef {
    /// Reads a reference.
    #[must_use]
    pub fn read(value: &Value) -> Self {
        let text = |field: &str| value[field].as_str().unwrap_or_default().to_owned();
        Self { api_version: text("apiVersion"), kind: text("kind"), name: text("name") }
    }

    /// The group of the API, empty for the core.
    #[must_use]
    pub fn group(&self) -> &str {
        self.api_version.split_once('/').map_or("", |(group, _)| group)
    }
}

impl MetricRef {
    /// Reads an entry of `spec.metrics` or of `status.currentMetrics`, which name their source alike.
    #[must_use]
    pub fn read(entry: &Value) -> Self {
        let kind = entry["type"].as_str().unwrap_or_default();
        let body = &entry[field(kind)];
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let (name, selector) = (text(&body["metric"]["name"]), selector(&body["metric"]["selector"]));
        match kind {
            _ if !body.is_object() => Self::Unusable { kind: kind.to_owned() },
            "Resource" => Self::Resource { name: text(&body["name"]) },
            "ContainerResource" => {
                Self::ContainerResource { name: text(&body["name"]), container: text(&body["container"]) }
            }
            "Pods" => Self::Pods { name, selector },
            "Object" => Self::Object { name, selector, of: ObjectRef::read(&body["describedObject"]) },
            _ => Self::External { name, selector },
        }
    }

    /// The metric's name.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::Resource { name }
            | Self::ContainerResource { name, .. }
            | Self::Pods { name, .. }
            | Self::Object { name, .. }
            | Self::External { name, .. } => name,
            Self::Unusable { kind } => kind,
        }
    }

    /// The type, as a manifest writes it.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Resource { .. } => "Resource",
            Self::ContainerResource { .. } => "ContainerResource",
            Self::Pods { .. } => "Pods",
            Self::Object { .. } => "Object",
            Self::External { .. } => "External",
            Self::Unusable { .. } => "unusable",
        }
    }

    /// The field of an entry that says more of it; none for what is unusable.
    #[must_use]
    pub fn field(&self) -> Option<&'static str> {
        Some(field(self.kind())).filter(|field| !field.is_empty())
    }

    /// The API group that serves it.
    #[must_use]
    pub fn group(&self) -> Option<&'static str> {
        match self {
            Self::Resource { .. } | Self::ContainerResource { .. } => Some("metrics.k8s.io"),
            Self::Pods { .. } | Self::Object { .. } => Some("custom.metrics.k8s.io"),
            Self::External { .. } => Some("external.metrics.k8s.io"),
            Self::Unusable { .. } => None,
        }
    }
}

/// CPU in percent of the request.
pub(super) fn cpu(pointer: &str, percent: i64) -> MetricSpec {
    MetricSpec {
        pointer: pointer.to_owned(),
        source: MetricRef::Resource { name: "cpu".to_owned() },
        target: MetricTarget {
            kind: "Utilization".to_owned(),
            average_utilization: Some(percent),
            ..MetricTarget::default()
        },
    }
}

/// The field of an entry that says more about a metric of this type.
fn field(kind: &str) -> &'static str {
    match kind {
        "Resource" => "resource",
        "ContainerResource" => "containerResource",
        "Pods" => "pods",
        "Object" => "object",
        "External" => "external",
        _ => "",
    }
}

fn metric(index: usize, entry: &Value) -> MetricSpec {
    let body = &entry[field(entry["type"].as_str().unwrap_or_default())];
    let target = &body["target"];
    let quantity = |field: &str| match &target[field] {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    };
    MetricSpec {
        pointer: format!("/spec/metrics/{index}"),
        source: MetricRef::read(entry),
        target: MetricTarget {
            kind: target["type"].as_str().unwrap_or_default().to_owned(),
            value: quantity("value"),
            average_value: quantity("averageValue"),
            average_utilization: target["averageUtilization"].as_i64(),
        },
    }
}

/// A label selector as the query parameters `labelSelector` and `metricLabelSelector` write it: what
/// `metav1.LabelSelectorAsSelector` makes of it, requirements sorted by key.
pub(super) fn selector(value: &Value) -> String {
    let mut parts: Vec<(String, String)> = Vec::new();
    for (key, value) in value["matchLabels"].as_object().into_iter().flatten() {
        parts.push((key.clone(), format!("{key}={}", value.as_str().unwrap_or_default())));
    }
    for expression in value["matchExpressions"].as_array().into_iter().flatten() {
        let key = expression["key"].as_str().unwrap_or_default();
        let mut values: Vec<&str> =
            expression["values"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        values.sort_unstable();
        let values = values.join(",");
        let text = match expression["operator"].as_str().unwrap_or_default() {
            "In" => format!("{key} in ({values})"),
            "NotIn" => format!("{key} notin ({values})"),
            "DoesNotExist" => format!("!{key}"),
            _ => key.to_owned(),
        };
        parts.push((key.to_owned(), text));
    }
    parts.sort();
    parts.into_iter().map(|(_, text)| text).collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn no_metrics_are_cpu_at_80_percent() {
        for (version, spec) in [
            ("autoscaling/v2", json!({"spec": {"maxReplicas": 3, "metrics": []}})),
            ("autoscaling/v2", json!({"spec": {"maxReplicas": 3}})),
            ("autoscaling/v1", json!({"spec": {"maxReplicas": 3}})),
        ] {
            let read = HpaSpec::read(version, &spec);
            assert_eq!(read.metrics, [cpu("/spec/metrics", 80)], "{version} {spec}");
            assert_eq!((read.min, read.max), (1, Some(3)));
        }
        let v1 = HpaSpec::read("autoscaling/v1", &json!({"spec": {"targetCPUUtilizationPercentage": 50}}));
        assert_eq!(v1.metrics[0].target.average_utilization, Some(50));
    }

    #[test]
    fn an_entry_without_its_source_is_unusable() {
        let spec = json!({"spec": {"metrics": [{"type": "Pods", "resource": {"name": "cpu"}}, {"type": "Cosmic"}, {}]}});
        let kinds: Vec<_> =
            HpaSpec::read("autoscaling/v2", &spec).metrics.into_iter().map(|metric| metric.source).collect();
        let unusable = |kind: &str| MetricRef::Unusable { kind: kind.to_owned() };
        assert_eq!(kinds, [unusable("Pods"), unusable("Cosmic"), unusable("")]);
    }

    #[test]
    fn selectors_are_written_as_the_controller_writes_them() {
        let value = json!({
            "matchLabels": {"verb": "GET", "app": "web"},
            "matchExpressions": [
                {"key": "zone", "operator": "In", "values": ["b", "a"]},
                {"key": "canary", "operator": "DoesNotExist"},
                {"key": "code", "operator": "Exists"},
                {"key": "env", "operator": "NotIn", "values": ["dev"]},
            ],
        });
        assert_eq!(selector(&value), "app=web,!canary,code,env notin (dev),verb=GET,zone in (a,b)");
        assert_eq!(selector(&Value::Null), "");
    }
}
