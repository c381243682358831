//! Webhooks that add a container to pods, and what they say of its requests.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::evidence::{Document, Evidence, PodTemplate};

type Texts = BTreeMap<String, String>;

/// A container that a webhook will add.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Injected {
    /// Who adds it.
    pub(crate) by: &'static str,
    /// What it is called.
    pub(crate) container: &'static str,
    /// What makes the webhook add it: the key of a label or an annotation.
    pub(crate) because: String,
    /// Whether that is an annotation or label of the namespace and not of the template.
    pub(crate) of_namespace: bool,
    /// What would set its request.
    pub(crate) request: String,
}

/// The containers that webhooks will add to the pods of a template without a request for this resource.
pub(crate) fn without_request(
    evidence: &Evidence,
    namespace: &str,
    template: &PodTemplate,
    resource: &str,
) -> Vec<Injected> {
    let object = evidence
        .gate
        .manifests
        .documents
        .iter()
        .rfind(|it| it.kind == "Namespace" && it.group().is_empty() && it.name == namespace);
    let of_namespace = |field: &str| object.map(|object| texts(object.at(field))).unwrap_or_default();
    let around = Around {
        template,
        labels: of_namespace("/metadata/labels"),
        annotations: of_namespace("/metadata/annotations"),
    };
    let collectors = evidence.gate.objects("opentelemetry.io", "OpenTelemetryCollector", namespace);
    [
        around.linkerd(resource),
        around.dapr(resource),
        around.istio(resource),
        around.vault(resource),
        around.opentelemetry(resource, &collectors.collect::<Vec<_>>()),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn texts(map: &Value) -> Texts {
    let entries = map.as_object().into_iter().flatten();
    entries.filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned()))).collect()
}

/// A template, and the labels and annotations of its namespace.
struct Around<'t> {
    template: &'t PodTemplate,
    labels: Texts,
    annotations: Texts,
}

impl Around<'_> {
    /// An annotation of the pod.
    fn own(&self, key: &str) -> Option<&str> {
        self.template.annotations.get(key).map(String::as_str)
    }

    /// An annotation of the pod, else of the namespace, and whether it is the namespace's.
    fn either(&self, key: &str) -> Option<(&str, bool)> {
        let of_namespace = || self.annotations.get(key).map(|value| (value.as_str(), true));
        self.own(key).map(|value| (value, false)).or_else(of_namespace)
    }

    /// Linkerd: its chart sets no requests for the proxy.
    fn linkerd(&self, resource: &str) -> Option<Injected> {
        let because = "linkerd.io/inject";
        let (_, of_namespace) =
            self.either(because).filter(|(value, _)| matches!(*value, "enabled" | "ingress"))?;
        let request = format!("config.linkerd.io/proxy-{resource}-request");
        let limit = format!("config.linkerd.io/proxy-{resource}-limit");
        if self.either(&request).is_some() || self.either(&limit).is_some() {
            return None;
        }
        let because = because.to_owned();
        Some(Injected { by: "Linkerd", container: "linkerd-proxy", because, of_namespace, request })
    }

    /// Dapr: the sidecar has no requests but those of the annotations.
    fn dapr(&self, resource: &str) -> Option<Injected> {
        let because = "dapr.io/enabled";
        self.own(because).filter(|value| is_true(value))?;
        let request = format!("dapr.io/sidecar-{resource}-request");
        if self.own(&request).is_some() || self.own(&format!("dapr.io/sidecar-{resource}-limit")).is_some() {
            return None;
        }
        let because = because.to_owned();
        Some(Injected { by: "Dapr", container: "daprd", because, of_namespace: false, request })
    }

    /// Istio: the mesh sets both requests, until one annotation on resources replaces all of them.
    fn istio(&self, resource: &str) -> Option<Injected> {
        let inject = "sidecar.istio.io/inject";
        let own = self.template.labels.get(inject).map(String::as_str).or_else(|| self.own(inject));
        let of_namespace = self.labels.get("istio-injection").is_some_and(|value| value == "enabled")
            || self.labels.contains_key("istio.io/rev");
        if !own.map_or(of_namespace, is_true) {
            return None;
        }
        let part = if resource == "cpu" { "CPU" } else { "Memory" };
        let request = format!("sidecar.istio.io/proxy{part}");
        if self.own(&request).is_some() || self.own(&format!("{request}Limit")).is_some() {
            return None;
        }
        let keys = ["proxyCPU", "proxyCPULimit", "proxyMemory", "proxyMemoryLimit"];
        let because = keys.map(|key| format!("sidecar.istio.io/{key}")).into_iter();
        let because = because.into_iter().find(|key| self.own(key).is_some())?;
        Some(Injected { by: "Istio", container: "istio-proxy", because, of_namespace: false, request })
    }

    /// Vault: its agent has requests, unless an annotation empties them; with `agent-pre-populate-only` it is gone
    /// before the pod runs.
    fn vault(&self, resource: &str) -> Option<Injected> {
        let key = |key: &str| format!("vault.hashicorp.com/{key}");
        self.own(&key("agent-inject")).filter(|value| is_true(value))?;
        if self.own(&key("agent-pre-populate-only")).is_some_and(is_true) {
            return None;
        }
        let part = if resource == "memory" { "mem" } else { "cpu" };
        let request = key(&format!("agent-requests-{part}"));
        let limit = self.own(&key(&format!("agent-limits-{part}")));
        if !self.own(&request).is_some_and(str::is_empty) || !limit.is_some_and(str::is_empty) {
            return None;
        }
        let because = request.clone();
        Some(Injected { by: "Vault", container: "vault-agent", because, of_namespace: false, request })
    }

    /// OpenTelemetry: the collector as a sidecar has the resources of its object.
    fn opentelemetry(&self, resource: &str, collectors: &[&Document]) -> Option<Injected> {
        let because = "sidecar.opentelemetry.io/inject";
        let (value, of_namespace) =
            self.either(because).filter(|(value, _)| !matches!(*value, "false" | ""))?;
        let name = value.rsplit('/').next().unwrap_or(value);
        let has = |document: &&&Document| {
            let resources = document.at("/spec/resources");
            resources["requests"][resource] != Value::Null || resources["limits"][resource] != Value::Null
        };
        let named = |document: &&&Document| is_true(name) || document.name == name;
        if collectors.iter().filter(named).any(|document| has(&document)) {
            return None;
        }
        Some(Injected {
            by: "OpenTelemetry",
            container: "otc-container",
            because: because.to_owned(),
            of_namespace,
            request: "spec.resources.requests of its OpenTelemetryCollector".to_owned(),
        })
    }
}

fn is_true(value: &str) -> bool {
    value.eq_ignore_ascii_case("true")
}
