//! The template of pods: which of their containers request what.

use std::collections::BTreeMap;

use serde_json::Value;

use super::Quantity;
use crate::evidence::{PodContainer, PodTemplate};

/// Reads a template, or a whole pod, that stands under a pointer of its object.
#[must_use]
pub fn read_template(template: &Value, pointer: &str) -> PodTemplate {
    let (metadata, spec) = (&template["metadata"], &template["spec"]);
    let mut containers = Vec::new();
    let mut init_requests: Vec<String> = Vec::new();
    for (index, body) in items(&spec["containers"]) {
        containers.push(container(body, format!("{pointer}/spec/containers/{index}")));
    }
    for (index, body) in items(&spec["initContainers"]) {
        let read = container(body, format!("{pointer}/spec/initContainers/{index}"));
        if body["restartPolicy"] == "Always" {
            containers.push(read);
        } else {
            init_requests.extend(read.requests.into_keys().chain(read.limits.into_keys()));
        }
    }
    PodTemplate {
        labels: texts(&metadata["labels"]),
        annotations: texts(&metadata["annotations"]),
        containers,
        init_requests,
        pod_requests: quantities(&spec["resources"]["requests"]),
        pod_limits: quantities(&spec["resources"]["limits"]),
    }
}

fn container(body: &Value, pointer: String) -> PodContainer {
    let resources = &body["resources"];
    PodContainer {
        name: body["name"].as_str().unwrap_or_default().to_owned(),
        requests: quantities(&resources["requests"]),
        limits: quantities(&resources["limits"]),
        probed: body["readinessProbe"].is_object() || body["startupProbe"].is_object(),
        pointer,
    }
}

fn items(list: &Value) -> impl Iterator<Item = (usize, &Value)> {
    list.as_array().into_iter().flatten().enumerate()
}

fn texts(map: &Value) -> BTreeMap<String, String> {
    let entries = map.as_object().into_iter().flatten();
    entries.filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned()))).collect()
}

/// Quantities are texts, and numbers by the courtesy of the API.
fn quantities(map: &Value) -> BTreeMap<String, String> {
    let entries = map.as_object().into_iter().flatten();
    let quantity = |value: &Value| match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    };
    entries.filter_map(|(key, value)| Some((key.clone(), quantity(value)?))).collect()
}

impl PodContainer {
    /// What it requests of a resource once it is in a pod: its request, or its limit where it has none.
    #[must_use]
    pub fn request(&self, resource: &str) -> Option<&str> {
        self.requests.get(resource).or_else(|| self.limits.get(resource)).map(String::as_str)
    }
}

impl PodTemplate {
    /// Whether the API server sets requests on the pod as a whole, so that those of its containers do not count one
    /// by one. It does where a limit on the pod leaves the request open.
    #[must_use]
    pub fn has_pod_requests(&self) -> bool {
        !self.pod_requests.is_empty() || !self.pod_limits.is_empty()
    }

    /// Whether the pod as a whole requests a resource: itself, by its limit, or by what any of its containers
    /// requests.
    #[must_use]
    pub fn pod_has(&self, resource: &str) -> bool {
        self.pod_requests.contains_key(resource)
            || self.pod_limits.contains_key(resource)
            || self.init_requests.iter().any(|name| name == resource)
            || self.containers.iter().any(|container| container.request(resource).is_some())
    }

    /// What a pod requests of a resource in all; nothing where that cannot be told.
    #[must_use]
    pub fn total(&self, resource: &str) -> Option<Quantity> {
        if let Some(text) = self.pod_requests.get(resource) {
            return Quantity::read(text);
        }
        let mut total = Quantity::default();
        for container in &self.containers {
            total = total.plus(Quantity::read(container.request(resource)?)?)?;
        }
        Some(total)
    }

    /// The container of this name.
    #[must_use]
    pub fn container(&self, name: &str) -> Option<&PodContainer> {
        self.containers.iter().find(|container| container.name == name)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn sidecars_count_and_other_init_containers_do_not() {
        let template = read_template(
            &json!({
                "metadata": {"labels": {"app": "web"}},
                "spec": {
                    "initContainers": [
                        {"name": "setup", "resources": {"requests": {"memory": "1Gi"}}},
                        {"name": "proxy", "restartPolicy": "Always", "resources": {"limits": {"cpu": "100m"}}},
                    ],
                    "containers": [{
                        "name": "web",
                        "readinessProbe": {"tcpSocket": {"port": 80}},
                        "resources": {"requests": {"cpu": 1}, "limits": {"cpu": "2"}},
                    }],
                },
            }),
            "/spec/template",
        );
        let names: Vec<&str> = template.containers.iter().map(|container| container.name.as_str()).collect();
        assert_eq!(names, ["web", "proxy"]);
        assert_eq!(template.containers[0].pointer, "/spec/template/spec/containers/0");
        assert_eq!(template.containers[1].pointer, "/spec/template/spec/initContainers/1");
        assert_eq!(template.containers[0].request("cpu"), Some("1"));
        assert_eq!(template.containers[1].request("cpu"), Some("100m"));
        assert!(template.containers[0].probed && !template.containers[1].probed);
        assert_eq!(template.init_requests, ["memory"]);
        assert_eq!(template.total("cpu"), Quantity::read("1100m"));
        assert_eq!(template.total("memory"), None);
        assert!(!template.has_pod_requests() && template.pod_has("memory"));
    }

    #[test]
    fn a_template_that_is_none_has_nothing() {
        for template in [json!(null), json!([]), json!({"spec": {"containers": "web"}}), json!({"spec": 3})] {
            assert_eq!(read_template(&template, ""), PodTemplate::default(), "{template}");
        }
    }
}
