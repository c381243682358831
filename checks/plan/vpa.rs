//! What a VerticalPodAutoscaler changes.

use std::collections::BTreeMap;

use serde_json::Value;

/// The resources that it changes, by container.
pub type Controls = BTreeMap<String, Vec<String>>;

/// The resources whose requests a VerticalPodAutoscaler with this `spec` changes, by container; `*` stands for every
/// container that is not named. Nothing where it only recommends.
#[must_use]
pub fn vpa_controls(spec: &Value) -> Controls {
    // `Off` without quotes is false to YAML 1.1.
    let mode = &spec["updatePolicy"]["updateMode"];
    if mode == "Off" || *mode == Value::Bool(false) {
        return Controls::new();
    }
    let all = || vec!["cpu".to_owned(), "memory".to_owned()];
    let policies = spec["resourcePolicy"]["containerPolicies"].as_array().into_iter().flatten();
    let mut controls: Controls = policies
        .map(|policy| {
            let name = policy["containerName"].as_str().unwrap_or("*").to_owned();
            let off = policy["mode"] == "Off" || policy["mode"] == Value::Bool(false);
            let resources = match policy["controlledResources"].as_array() {
                _ if off => Vec::new(),
                Some(list) => list.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
                None => all(),
            };
            (name, resources)
        })
        .collect();
    controls.entry("*".to_owned()).or_insert_with(all);
    controls
}

/// Whether it changes this resource of a container.
pub(crate) fn changes(controls: &Controls, container: &str, resource: &str) -> bool {
    let resources = controls.get(container).or_else(|| controls.get("*"));
    resources.is_some_and(|resources| resources.iter().any(|it| it == resource))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn modes_and_policies_say_what_it_changes() {
        let of = |spec: Value, container: &str| changes(&vpa_controls(&spec), container, "cpu");
        let policies = |policies: Value| json!({"resourcePolicy": {"containerPolicies": policies}});
        for (spec, container, expected) in [
            (json!({}), "app", true),
            (json!({"updatePolicy": {"updateMode": "Off"}}), "app", false),
            (json!({"updatePolicy": {"updateMode": false}}), "app", false),
            (json!({"updatePolicy": {"updateMode": "Initial"}}), "app", true),
            (policies(json!([{"containerName": "*", "controlledResources": ["memory"]}])), "app", false),
            (policies(json!([{"containerName": "app", "mode": "Off"}])), "app", false),
            (policies(json!([{"containerName": "app", "mode": "Off"}])), "logs", true),
            (policies(json!([{"containerName": "*", "mode": "Off"}, {"containerName": "app"}])), "app", true),
            (
                policies(json!([{"containerName": "*", "mode": "Off"}, {"containerName": "app"}])),
                "logs",
                false,
            ),
        ] {
            assert_eq!(of(spec.clone(), container), expected, "{spec} {container}");
        }
    }
}
