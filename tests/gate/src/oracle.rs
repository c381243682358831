//! What the controller did: the file `oracle.json`.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// What the controller did with every case.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Oracle {
    /// What ran.
    pub versions: Versions,
    /// When the runner ended.
    pub taken_at: String,
    /// The flags of the controller that are not the default.
    pub flags: Vec<String>,
    /// The cases by name.
    pub cases: BTreeMap<String, Outcome>,
}

/// The releases of the programs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Versions {
    /// Kubernetes.
    pub kubernetes: String,
    /// metrics-server.
    pub metrics_server: String,
    /// The adapter for custom and external metrics.
    pub adapter: String,
}

/// What the controller did with a case.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outcome {
    /// The HPAs, in the order of the file.
    pub hpas: Vec<Hpa>,
}

/// One HPA as the controller left it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hpa {
    /// Its name.
    pub name: String,
    /// What it scales: version, kind and name.
    pub target: String,
    /// What kubectl said when the HPA could not be created.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refused: Option<String>,
    /// Whether the controller kept changing its mind until the runner stopped looking.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub unsettled: bool,
    /// The conditions, by type.
    pub conditions: Vec<Condition>,
    /// The metrics as they are stored, or as the file has them when the HPA was refused.
    pub metrics: Vec<Metric>,
}

/// One condition.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Condition {
    /// `AbleToScale`, `ScalingActive` or `ScalingLimited`.
    #[serde(rename = "type")]
    pub kind: String,
    /// `True` or `False`.
    pub status: String,
    /// One word.
    pub reason: String,
    /// A sentence; of a pod's name the part that is random is `?`.
    pub message: String,
}

/// One metric.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Metric {
    /// Its place in the list.
    pub index: usize,
    /// `Resource`, `ContainerResource`, `Pods`, `Object` or `External`.
    #[serde(rename = "type")]
    pub kind: String,
    /// The name of the resource or the metric.
    pub name: String,
    /// Whether the controller filled its entry in `status.currentMetrics`: it could read it.
    pub filled: bool,
}

impl Oracle {
    /// Reads `oracle.json`.
    ///
    /// # Errors
    /// When it cannot be read or is no oracle.
    pub fn read() -> Result<Self> {
        let path = crate::folder().join("oracle.json");
        let text = std::fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
        serde_json::from_slice(&text).with_context(|| format!("{} is no oracle", path.display()))
    }

    /// The HPAs of all cases.
    pub fn hpas(&self) -> impl Iterator<Item = &Hpa> {
        self.cases.values().flat_map(|outcome| &outcome.hpas)
    }
}

impl Hpa {
    /// Reads an HPA; `known` makes a message the same in every run.
    #[must_use]
    pub fn seen(object: &Value, known: impl Fn(&str) -> String) -> Self {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let mut conditions: Vec<Condition> = list(&object["status"]["conditions"])
            .iter()
            .map(|condition| Condition {
                kind: text(&condition["type"]),
                status: text(&condition["status"]),
                reason: text(&condition["reason"]),
                message: known(&text(&condition["message"])),
            })
            .collect();
        conditions.sort();
        let current = list(&object["status"]["currentMetrics"]);
        let metrics = list(&object["spec"]["metrics"])
            .iter()
            .enumerate()
            .map(|(index, metric)| Metric {
                index,
                kind: text(&metric["type"]),
                name: metric_name(metric),
                // An entry that the controller could not fill is there with an empty type.
                filled: current
                    .get(index)
                    .is_some_and(|entry| entry["type"].as_str().is_some_and(|kind| !kind.is_empty())),
            })
            .collect();
        let target = &object["spec"]["scaleTargetRef"];
        let words: Vec<&str> =
            ["apiVersion", "kind", "name"].iter().filter_map(|key| target[*key].as_str()).collect();
        Self {
            name: text(&object["metadata"]["name"]),
            target: words.join(" "),
            refused: None,
            unsettled: false,
            conditions,
            metrics,
        }
    }

    /// Whether every metric is filled.
    #[must_use]
    pub fn works(&self) -> bool {
        !self.metrics.is_empty() && self.metrics.iter().all(|metric| metric.filled)
    }
}

/// The name of what a metric of `spec.metrics` reads.
#[must_use]
pub fn metric_name(metric: &Value) -> String {
    ["resource", "containerResource", "pods", "object", "external"]
        .iter()
        .map(|source| &metric[*source])
        .find_map(|source| source["name"].as_str().or_else(|| source["metric"]["name"].as_str()))
        .unwrap_or_default()
        .to_owned()
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::Hpa;

    #[test]
    fn an_entry_with_an_empty_type_is_not_filled() {
        let object = json!({
            "metadata": {"name": "web"},
            "spec": {
                "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"},
                "metrics": [
                    {"type": "Resource", "resource": {"name": "cpu"}},
                    {"type": "Pods", "pods": {"metric": {"name": "requests"}}},
                    {"type": "External", "external": {"metric": {"name": "queue"}}},
                ],
            },
            "status": {
                "currentMetrics": [{"type": ""}, {"type": "Pods", "pods": {}}],
                "conditions": [
                    {"type": "ScalingActive", "status": "True", "reason": "B", "message": "pod a-1"},
                    {"type": "AbleToScale", "status": "True", "reason": "A", "message": ""},
                ],
            },
        });
        let hpa = Hpa::seen(&object, |message| message.replace("a-1", "a-?"));
        assert_eq!(hpa.target, "apps/v1 Deployment web");
        let filled: Vec<(&str, bool)> =
            hpa.metrics.iter().map(|metric| (metric.name.as_str(), metric.filled)).collect();
        assert_eq!(filled, [("cpu", false), ("requests", true), ("queue", false)]);
        assert_eq!(hpa.conditions[0].kind, "AbleToScale");
        assert_eq!(hpa.conditions[1].message, "pod a-?");
        assert!(!hpa.works());
    }
}
