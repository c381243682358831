//! What an API server refuses of a workload, as far as it is seen without knowing all of its fields: the version, the
//! selector, and what the containers ask for (`pkg/apis/apps/validation`, `pkg/apis/core/validation`). The answers of a
//! real one to `tests/gate/targets` are the proof.

use serde_json::{Map, Value};

use super::{Fault, is_absent, lacks_text};
use crate::evidence::Document;
use crate::plan::{Quantity, Selector, read_template};

/// The kinds that are known here. Deployments of the group `extensions` are no longer served by any supported version.
const KINDS: [&str; 3] = ["Deployment", "ReplicaSet", "StatefulSet"];

/// Where the template of these kinds stands.
const TEMPLATE: &str = "/spec/template";

/// Everything that is known to be refused of a workload; nothing is known of other kinds.
pub(crate) fn faults(document: &Document) -> Vec<Fault> {
    let mut faults = Vec::new();
    if !KINDS.contains(&document.kind.as_str()) || !["apps", "extensions"].contains(&document.group()) {
        return faults;
    }
    if document.api_version != "apps/v1" {
        let what = format!("no version of Kubernetes since 1.16 serves {}", document.api_version);
        faults
            .push(Fault::new("/apiVersion", &document.body["apiVersion"], what, "apps/v1").write("apps/v1"));
    }
    let template = document.at(TEMPLATE);
    if !template.is_object() {
        faults.push(Fault::missing(TEMPLATE, "a template of the pods"));
        return faults;
    }
    selector(document, template, &mut faults);
    let spec = &template["spec"];
    let policy = &spec["restartPolicy"];
    if policy.as_str().is_some_and(|policy| policy != "Always") {
        let what = format!("the pods of a {} are always restarted", document.kind);
        faults.push(
            Fault::new(format!("{TEMPLATE}/spec/restartPolicy"), policy, what, "Always").write("Always"),
        );
    }
    if spec["containers"].as_array().is_none_or(Vec::is_empty) {
        faults.push(Fault::missing(format!("{TEMPLATE}/spec/containers"), "at least one container"));
    }
    for list in ["containers", "initContainers"] {
        for (index, container) in spec[list].as_array().into_iter().flatten().enumerate() {
            self::container(container, &format!("{TEMPLATE}/spec/{list}/{index}"), &mut faults);
        }
    }
    faults
}

fn selector(document: &Document, template: &Value, faults: &mut Vec<Fault>) {
    const POINTER: &str = "/spec/selector";
    let selector = document.at(POINTER);
    let labels = &template["metadata"]["labels"];
    if is_absent(selector) {
        // Only these versions took it from the template.
        let fault = Fault::missing(POINTER, "matchLabels with labels of the template");
        let has_labels = labels.as_object().is_some_and(|labels| !labels.is_empty());
        faults.push(if has_labels { fault.write(serde_json::json!({"matchLabels": labels})) } else { fault });
        return;
    }
    // One that cannot be read is refused for another reason, of which nothing is said here.
    let Some(read) = Selector::read(selector) else { return };
    if read.is_empty() {
        let what = format!("the selector of a {} may not be empty", document.kind);
        faults.push(Fault::new(POINTER, selector, what, "labels of the template"));
    } else if !read.matches(&read_template(template, TEMPLATE).labels) {
        let what = "the selector does not match the labels of the template";
        faults.push(Fault::new(POINTER, selector, what, "labels of the template"));
    }
}

fn container(container: &Value, pointer: &str, faults: &mut Vec<Fault>) {
    for field in ["name", "image"] {
        if lacks_text(&container[field]) {
            faults.push(Fault::missing(format!("{pointer}/{field}"), format!("the container's {field}")));
        }
    }
    let resources = &container["resources"];
    for list in ["limits", "requests"] {
        let amounts = resources[list].as_object().into_iter().flatten();
        for (name, amount) in amounts.filter(|(_, amount)| !is_absent(amount)) {
            let pointer = format!("{pointer}/resources/{list}/{}", crate::plan::escaped(name));
            match quantity(amount) {
                None => {
                    let what = format!("{amount} is no quantity");
                    faults.push(Fault::new(pointer, amount, what, "a quantity such as 100m or 128Mi"));
                }
                Some(read) if read < Quantity::default() => {
                    let what = format!("the {name} of a container cannot be negative");
                    faults.push(Fault::new(pointer, amount, what, "0 or more"));
                }
                Some(_) => {}
            }
        }
    }
    let none = Map::new();
    let limits = resources["limits"].as_object().unwrap_or(&none);
    for (name, request) in resources["requests"].as_object().into_iter().flatten() {
        let Some(limit) = limits.get(name) else { continue };
        if let (Some(asked), Some(most)) = (quantity(request), quantity(limit))
            && asked > most
        {
            let pointer = format!("{pointer}/resources/requests/{}", crate::plan::escaped(name));
            let most = limit.as_str().map_or_else(|| limit.to_string(), str::to_owned);
            let what = format!("the container asks for more {name} than its limit, which is {most}");
            faults.push(Fault::new(pointer, request, what, format!("{most} or less")));
        }
    }
}

/// A quantity as YAML may write it, with or without quotes.
fn quantity(value: &Value) -> Option<Quantity> {
    match value {
        Value::String(text) => Quantity::read(text),
        Value::Number(number) => Quantity::read(&number.to_string()),
        _ => None,
    }
}
