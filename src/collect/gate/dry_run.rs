//! What the API server says of the objects of the manifests: a server-side dry run of each, which changes nothing.

use std::collections::BTreeMap;

use checks::evidence::{Document, Gate, Look, Need, Obs, Trial, Tried, Why};
use serde_json::Value;

use super::super::ask::{self, Asked, Asker};
use super::super::json;
use super::kinds::{Kind, Kinds};
use crate::source::{Request, segment};

/// So many objects are tried.
const MOST: usize = 500;
/// The groups that kube-apiserver itself serves. What another server makes of a dry run nobody knows.
const OWN: &[&str] = &[
    "",
    "apps",
    "autoscaling",
    "batch",
    "policy",
    "networking.k8s.io",
    "rbac.authorization.k8s.io",
    "storage.k8s.io",
    "scheduling.k8s.io",
    "apiextensions.k8s.io",
    "admissionregistration.k8s.io",
    "coordination.k8s.io",
    "discovery.k8s.io",
];

/// Tries the objects; of those that have one name the last, which is what is applied.
pub(super) async fn look(asker: &Asker<'_>, kinds: &Kinds, gate: &Gate) -> Vec<Trial> {
    let mut last: BTreeMap<_, usize> = BTreeMap::new();
    for (index, document) in gate.manifests.documents.iter().enumerate() {
        last.insert(
            (document.group(), &document.kind, gate.namespace_of(document), document.name_or_place()),
            index,
        );
    }
    let mut chosen: Vec<usize> = last.into_values().collect();
    chosen.sort_unstable();
    let tried = chosen.iter().enumerate().map(|(count, &index)| async move {
        let document = &gate.manifests.documents[index];
        let answer = match path(asker, kinds, gate, document).await {
            Ok(_) if count >= MOST => Obs::unseen(Need::DryRun, [], Why::NotSampled),
            Ok((path, kind)) => one(asker, gate, document, &path, &kind).await,
            Err(why) => Obs::unseen(Need::DryRun, [], why),
        };
        Trial { document: index, answer }
    });
    futures::future::join_all(tried).await
}

/// Where the object would be, and what it is.
async fn path(
    asker: &Asker<'_>,
    kinds: &Kinds,
    gate: &Gate,
    document: &Document,
) -> Result<(String, Kind), Why> {
    if document.name.is_empty() {
        return Err(Why::NotAsked("it has no name before it is applied".to_owned()));
    }
    let group = document.group();
    let unusable = |_| Why::NotAsked("it has no usable name".to_owned());
    let version = segment(document.api_version.rsplit('/').next().unwrap_or_default()).map_err(unusable)?;
    if !OWN.contains(&group) && !is_local(asker, group, &version).await {
        return Err(Why::NotAsked(format!(
            "what another server than kube-apiserver makes of a dry run in {group} is not known"
        )));
    }
    let kind = match kinds.find(asker, group, &document.kind).await.look {
        Look::Seen(Some(kind)) if kind.name == document.kind => kind,
        Look::Seen(_) => {
            return Err(Why::Deferred(format!("nobody serves {} in {group:?} yet", document.kind)));
        }
        Look::Unseen(why) => return Err(why),
    };
    let root = match segment(group) {
        _ if group.is_empty() => format!("/api/{version}"),
        Ok(group) => format!("/apis/{group}/{version}"),
        Err(error) => return Err(unusable(error)),
    };
    let name = segment(&document.name).map_err(unusable)?;
    let namespace = segment(gate.namespace_of(document)).map_err(unusable)?;
    let resource = &kind.resource;
    let path = if kind.namespaced {
        format!("{root}/namespaces/{namespace}/{resource}/{name}")
    } else {
        format!("{root}/{resource}/{name}")
    };
    Ok((path, kind))
}

/// Whether kube-apiserver serves a group by itself, as it does custom resources: its APIService names no Service.
async fn is_local(asker: &Asker<'_>, group: &str, version: &str) -> bool {
    let Ok(group) = segment(group) else { return false };
    let path = format!("/apis/apiregistration.k8s.io/v1/apiservices/{version}.{group}");
    let asked = asker.ask(Request::get(path)).await;
    asked.observation.json().is_some_and(|body| body["spec"]["service"].is_null())
}

async fn one(asker: &Asker<'_>, gate: &Gate, document: &Document, path: &str, kind: &Kind) -> Obs<Tried> {
    let mut object = document.body.clone();
    if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
        if kind.namespaced {
            metadata.insert("namespace".to_owned(), gate.namespace_of(document).into());
        }
        metadata.remove("managedFields");
    }
    let asked = asker.ask(Request::dry_run(path, object)).await;
    let namespace = gate.namespace_of(document);
    let tried = read(&asked, namespace, &kind.permission());
    // Nobody is given rights in a namespace before it is there.
    let absent = gate.namespaces.get(namespace).is_some_and(|it| it.exists.peek() == Some(&false));
    match &tried.look {
        Look::Unseen(Why::Forbidden { .. }) if kind.namespaced && absent => {
            Obs::unseen(Need::DryRun, [asked.id], super::namespaces::not_there(namespace))
        }
        _ => tried,
    }
}

/// How kube-apiserver begins to tell of a field that is not in the schema of its kind.
const UNTYPED: &str = "failed to create typed patch object";

/// How it begins to tell of an object whose fields are there and hold what no such field holds (seen on 1.36).
const UNCONVERTED: [&str; 2] =
    ["failed to convert new object (", ") to proper version: unable to convert unstructured object to "];
/// What `ParseQuantity` says (`k8s.io/apimachinery/pkg/api/resource/quantity.go`).
const NO_QUANTITY: [&str; 3] = [
    "quantities must match the regular expression '",
    "unable to parse numeric part of quantity",
    "unable to parse quantity's suffix",
];

/// The fields that the schema does not have, or has with another type: `...; apps/v1, Kind=Deployment):
/// .spec.template.spec.containres: field not declared in schema`, and where there are several `errors:` with a line for each
/// (seen on 1.36).
fn untyped(message: &str) -> Vec<String> {
    let rest = message.split_once(UNTYPED).and_then(|(_, rest)| rest.split_once("): "));
    let lines = rest.map_or("", |(_, rest)| rest).lines();
    let field = |line: &str| Some(line.trim().strip_prefix('.')?.split_once(": ")?.0.to_owned());
    lines.filter_map(field).collect()
}

/// Whether a field of the object holds a malformed quantity. kube-apiserver finds it when it converts what it has merged,
/// and answers as it does to a fault of its own.
fn is_no_quantity(message: &str) -> bool {
    let [begin, middle] = UNCONVERTED;
    let rest = message.strip_prefix(begin).and_then(|rest| rest.split_once(middle));
    let said = rest.and_then(|(_, rest)| rest.split_once(": "));
    said.is_some_and(|(_, said)| NO_QUANTITY.iter().any(|words| said.starts_with(words)))
}

/// What the answer comes to. A refusal by RBAC is about the caller, and any other 403 about the object.
fn read(asked: &Asked, namespace: &str, resource: &str) -> Obs<Tried> {
    let unseen = |why| Obs::unseen(Need::DryRun, [asked.id], why);
    let Some(status) = asked.status() else {
        return unseen(ask::why(&asked.observation, "patch", resource));
    };
    let message = asked.message();
    let status_object = asked.observation.status_object();
    let details = status_object.map_or(&Value::Null, |status| &status["details"]);
    match status {
        403 if message.contains("User \"") && message.contains(" cannot ") => {
            let verb = if message.contains(" cannot create ") { "create" } else { "patch" };
            let resource = format!("{resource} in {namespace}");
            return unseen(Why::Forbidden { verb: verb.to_owned(), resource });
        }
        404 if details["kind"] == "namespaces" => {
            return unseen(super::namespaces::not_there(namespace));
        }
        400 if message.contains("does not support dry run") => return unseen(Why::Unsupported(message)),
        // What the schema does not have is a fault of the object, and the status that of a fault of the server (1.36).
        500 if message.contains(UNTYPED) || is_no_quantity(&message) => {}
        401 | 408 | 429 | 500.. => return unseen(ask::why(&asked.observation, "patch", resource)),
        _ => {}
    }
    let causes = json::items(&details["causes"]).map(|cause| json::text(&cause["field"]));
    let fields = causes.chain(untyped(&message)).filter(|field| !field.is_empty()).collect();
    let tried = Tried {
        accepted: status < 300,
        status: i64::from(status),
        message: if status < 300 { String::new() } else { message },
        fields,
    };
    Obs::seen(Need::DryRun, [asked.id], tried)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::{Body, Observation, Outcome};

    #[test]
    fn the_fields_that_no_schema_has_are_found() {
        let one = "failed to create typed patch object (shop/web; apps/v1, Kind=Deployment): \
                   .spec.template.spec.containres: field not declared in schema";
        assert_eq!(untyped(one), ["spec.template.spec.containres"]);
        let several = "failed to create typed patch object (default/bad; autoscaling/v2, Kind=HorizontalPodAutoscaler): \
                       errors:\n  .spec.maxReplicas: expected numeric (int or float), got string\n  \
                       .spec.metrics[0].resource.other: field not declared in schema\n  \
                       .spec.nonsense: field not declared in schema";
        assert_eq!(untyped(several), ["spec.maxReplicas", "spec.metrics[0].resource.other", "spec.nonsense"]);
        assert!(untyped("exceeded quota): .spec: no").is_empty());
    }

    /// As kube-apiserver 1.36.2 answered.
    const QUANTITY: &str = "failed to convert new object (default/bad; autoscaling/v2, Kind=HorizontalPodAutoscaler) to \
                            proper version: unable to convert unstructured object to autoscaling/v2, \
                            Kind=HorizontalPodAutoscaler: quantities must match the regular expression \
                            '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'";
    const SUFFIX: &str = "failed to convert new object (default/web; apps/v1, Kind=Deployment) to proper version: unable to \
                          convert unstructured object to apps/v1, Kind=Deployment: unable to parse quantity's suffix";

    #[test]
    fn a_malformed_quantity_is_a_fault_of_the_object_and_nothing_else_of_that_status_is() {
        let look = |message: &str| {
            let outcome = Outcome::Response {
                status: 500,
                content_type: "application/json".to_owned(),
                date: None,
                body: Body::Json(serde_json::json!({"kind": "Status", "message": message, "code": 500})),
            };
            let request = Request::get("/any");
            let seen_at = jiff::Timestamp::UNIX_EPOCH;
            let observation = std::sync::Arc::new(Observation { request, seen_at, outcome });
            read(&Asked { id: 0, observation }, "default", "deployments.apps").look
        };
        for message in [QUANTITY, SUFFIX] {
            let Look::Seen(tried) = look(message) else { panic!("{message} is not seen") };
            assert_eq!((tried.accepted, tried.message.as_str()), (false, message));
        }
        for message in [
            "Internal error occurred: failed calling webhook \"w.example\": connection refused",
            "failed to convert new object (a/b; x.io/v1, Kind=X) to proper version: conversion webhook for x.io/v1, \
             Kind=X failed: quantities must match the regular expression ''",
            "failed to convert live object (default/web; apps/v1, Kind=Deployment) to proper version: no",
            &QUANTITY.replace("quantities must match", "etcd does not match"),
            "quantities must match the regular expression '^([+-]?[0-9.]+)'",
        ] {
            assert!(matches!(look(message), Look::Unseen(Why::Unreadable(_))), "{message}");
        }
    }
}
