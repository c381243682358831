//! Where the objects of the manifests are, so that nobody has to go through all of them for each autoscaler.

use std::collections::HashMap;
use std::sync::OnceLock;

use super::Labels;
use super::targets::template_pointer;
use crate::evidence::{Document, Gate};

/// The places of objects in [`crate::evidence::Manifests::documents`], found when they are first asked for.
///
/// It holds nothing that the manifests do not: a copy of a gate finds them anew, and two gates are equal whether they have
/// looked or not.
#[derive(Debug, Default)]
pub struct Index(OnceLock<Found>);

/// What was found.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// By namespace, group and kind in small letters, and by the name besides.
    objects: HashMap<String, Vec<usize>>,
    /// What makes pods, with their labels.
    pub(super) makers: Vec<(usize, Labels)>,
    /// Places in `makers`, by namespace, and by one of the labels besides.
    by_label: HashMap<String, Vec<usize>>,
    /// The definitions of custom resources.
    pub(super) definitions: Vec<usize>,
}

impl Clone for Index {
    fn clone(&self) -> Self {
        Self::default()
    }
}

impl PartialEq for Index {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

/// The parts of a key as one text. What differs may come to the same where a part holds a NUL, so whoever finds something
/// compares it.
fn key(parts: &[&str]) -> String {
    parts.join("\0")
}

impl Gate {
    /// The places of its objects.
    pub(super) fn found(&self) -> &Found {
        self.index.0.get_or_init(|| Found::of(self))
    }
}

impl Found {
    fn of(gate: &Gate) -> Self {
        let mut found = Self::default();
        for (index, document) in gate.manifests.documents.iter().enumerate() {
            let (namespace, group) = (gate.namespace_of(document), document.group());
            let kind = document.kind.to_lowercase();
            for key in [key(&[namespace, group, &kind]), key(&[namespace, group, &kind, &document.name])] {
                found.objects.entry(key).or_default().push(index);
            }
            if document.kind == "CustomResourceDefinition" && group == "apiextensions.k8s.io" {
                found.definitions.push(index);
            }
            if makes_pods(document) {
                let labels = labels(document);
                let place = found.makers.len();
                found.by_label.entry(key(&[namespace])).or_default().push(place);
                for (name, value) in &labels {
                    found.by_label.entry(key(&[namespace, name, value])).or_default().push(place);
                }
                found.makers.push((index, labels));
            }
        }
        found
    }

    /// The objects of a group and kind in a namespace.
    pub(super) fn of_kind(&self, namespace: &str, group: &str, kind: &str) -> &[usize] {
        self.objects.get(&key(&[namespace, group, &kind.to_lowercase()])).map_or(&[], Vec::as_slice)
    }

    /// Those of this name.
    pub(super) fn of_name(&self, namespace: &str, group: &str, kind: &str, name: &str) -> &[usize] {
        let key = key(&[namespace, group, &kind.to_lowercase(), name]);
        self.objects.get(&key).map_or(&[], Vec::as_slice)
    }

    /// What makes pods in a namespace.
    pub(super) fn makers_of(&self, namespace: &str) -> &[usize] {
        self.by_label.get(&key(&[namespace])).map_or(&[], Vec::as_slice)
    }

    /// What makes pods with a label in a namespace.
    pub(super) fn makers_with(&self, namespace: &str, label: &str, value: &str) -> &[usize] {
        self.by_label.get(&key(&[namespace, label, value])).map_or(&[], Vec::as_slice)
    }
}

/// Whether pods are made from it: it has a template, or takes over that of another.
fn makes_pods(document: &Document) -> bool {
    document.at(template_pointer(document))["spec"]["containers"].is_array()
        || document.at("/spec/workloadRef").is_object()
}

/// The labels of its template.
fn labels(document: &Document) -> Labels {
    let labels = document.at(template_pointer(document))["metadata"]["labels"].as_object();
    let labels = labels.into_iter().flatten();
    labels.filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned()))).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use crate::plan::Selector;
    use crate::plan::testing::{cpu, deployment, hpa, offline};

    fn pod(name: &str, labels: &Value) -> Value {
        json!({
            "apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": "shop", "labels": labels},
            "spec": {"containers": [{"name": "app"}]},
        })
    }

    #[test]
    fn every_selector_finds_what_it_matches_and_in_order() {
        let elsewhere = {
            let mut object = deployment("web", json!([{"name": "app"}]));
            object["metadata"]["namespace"] = json!("other");
            object
        };
        let gate = offline(&[
            pod("b", &json!({"app": "web", "tier": "b"})),
            elsewhere,
            deployment("web", json!([{"name": "app"}])),
            pod("a", &json!({"tier": "a"})),
            pod("none", &Value::Null),
            json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "web", "namespace": "shop"}}),
        ])
        .gate;
        let names = |selector: Value| -> Vec<String> {
            let selector = Selector::read(&selector).expect("a selector");
            gate.matching("shop", &selector).map(|it| it.document.name.clone()).collect()
        };
        let expression = |key: &str, operator: &str, values: &[&str]| json!({"matchExpressions": [{"key": key, "operator": operator, "values": values}]});
        assert_eq!(names(json!({"matchLabels": {"app": "web"}})), ["b", "web"]);
        assert_eq!(names(expression("tier", "In", &["a", "b", "a"])), ["b", "a"]);
        assert_eq!(names(expression("tier", "Exists", &[])), ["b", "a"]);
        assert_eq!(names(expression("tier", "NotIn", &["a"])), ["b", "web", "none"]);
        assert_eq!(names(json!({})), ["b", "web", "a", "none"]);
        assert_eq!(
            names(json!({"matchLabels": {"app": "web"}, "matchExpressions": [
                {"key": "tier", "operator": "DoesNotExist"},
            ]})),
            ["web"]
        );
    }

    #[test]
    fn the_last_of_one_name_is_what_is_applied() {
        let mut second = deployment("web", json!([{"name": "app"}]));
        second["spec"]["replicas"] = json!(2);
        let gate = offline(&[deployment("web", json!([])), second, hpa("web", json!([cpu(80)]))]).gate;
        let target = gate.target_of(&gate.plans[0]).expect("it is there");
        assert_eq!(target.at("/spec/replicas"), &json!(2));
        // A copy finds what it has itself.
        let mut copy = gate.clone();
        copy.manifests.documents.truncate(1);
        assert_eq!(copy.target_of(&gate.plans[0]).map(|it| it.at("/spec/replicas")), Some(&Value::Null));
    }
}
