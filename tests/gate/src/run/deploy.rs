//! Putting the cases on the cluster.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use cluster::Cluster;
use serde_json::{Value as Json, json};

use crate::{Case, State};

/// Pods of a healthy workload run within this, with those of all other cases.
const RUNS: Duration = Duration::from_mins(4);

/// What was said to HPAs that could not be created, by namespace and name.
pub(super) type Refused = BTreeMap<(String, String), String>;

/// The object in the case's namespace. An object of no namespace does not mind.
fn placed(object: &Json, case: &Case) -> Json {
    let mut object = object.clone();
    if object["kind"] != "CustomResourceDefinition" {
        object["metadata"]["namespace"] = json!(case.namespace());
    }
    object
}

fn create(cluster: &Cluster, objects: &[Json]) -> Result<()> {
    if objects.is_empty() {
        return Ok(());
    }
    let list = json!({"apiVersion": "v1", "kind": "List", "items": objects});
    cluster.create(&list.to_string())?.ok().map(drop)
}

/// The namespaces, what an administrator has set up in them before, and the values of objects that are there anyway.
pub(super) fn surroundings(cluster: &Cluster, cases: &[&Case]) -> Result<()> {
    let mut objects: Vec<Json> = cases
        .iter()
        .map(|case| json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": case.namespace()}}))
        .collect();
    objects.extend(cases.iter().flat_map(|case| case.surroundings().map(|object| placed(object, case))));
    create(cluster, &objects)?;
    cluster.wait("the namespaces' service accounts and the kinds", RUNS, || {
        let accounts = cluster.get(&["serviceaccounts", "-A"])?;
        let ready = |case: &&Case| {
            items(&accounts).any(|account| account["metadata"]["namespace"] == case.namespace().as_str())
        };
        let kinds = cluster.get(&["customresourcedefinitions"])?;
        let established = |kind: &Json| {
            let conditions = kind["status"]["conditions"].as_array().map(Vec::as_slice).unwrap_or_default();
            conditions
                .iter()
                .any(|condition| condition["type"] == "Established" && condition["status"] == "True")
        };
        Ok(cases.iter().all(ready) && items(&kinds).all(established))
    })?;
    cases.iter().try_for_each(|case| serve(cluster, case, true, &Json::Null))
}

/// The workloads that are there before their HPAs, with the values that the adapter serves for them.
pub(super) fn workloads(cluster: &Cluster, cases: &[&Case]) -> Result<()> {
    let present: Vec<&Case> = cases.iter().copied().filter(|case| case.later.is_none()).collect();
    let objects: Vec<Json> =
        present.iter().flat_map(|case| case.workload().map(|object| placed(object, case))).collect();
    create(cluster, &objects)?;
    let mut waiting: Vec<&Case> = present.iter().copied().filter(|case| case.ready).collect();
    cluster.wait("the workloads to run", RUNS, || {
        let pods = cluster.get(&["pods", "-A"])?;
        waiting.retain(|case| !runs(case, &pods));
        let names: Vec<&str> = waiting.iter().map(|case| case.name.as_str()).collect();
        ensure!(waiting.is_empty(), "these do not: {}", names.join(", "));
        Ok(true)
    })?;
    let pods = cluster.get(&["pods", "-A"])?;
    for case in &present {
        serve(cluster, case, false, &pods)?;
    }
    if present.iter().any(|case| [State::Full, State::Forbidden].contains(&case.state)) {
        measured(cluster, &present)?;
    }
    Ok(())
}

/// The workload of a case whose HPA is there already.
pub(super) fn workload(cluster: &Cluster, case: &Case) -> Result<()> {
    create(cluster, &case.workload().map(|object| placed(object, case)).collect::<Vec<_>>())
}

/// Whether all pods of the case are there, and each is ready or has ended.
fn runs(case: &Case, pods: &Json) -> bool {
    let namespace = case.namespace();
    let mut count = 0;
    for pod in items(pods).filter(|pod| pod["metadata"]["namespace"] == namespace.as_str()) {
        let ended = ["Succeeded", "Failed"].iter().any(|phase| pod["status"]["phase"] == *phase);
        if !ended && !ready(pod) {
            return false;
        }
        count += 1;
    }
    count >= case.pods()
}

fn ready(pod: &Json) -> bool {
    let conditions = pod["status"]["conditions"].as_array().map(Vec::as_slice).unwrap_or_default();
    conditions.iter().any(|condition| condition["type"] == "Ready" && condition["status"] == "True")
}

/// Gives the adapter those values of a case that are there before the workload, or those that come with it.
fn serve(cluster: &Cluster, case: &Case, before: bool, pods: &Json) -> Result<()> {
    let namespace = case.namespace();
    for value in case.serve.iter().filter(|value| case.is_there_before(value) == before) {
        let paths: Vec<String> = match value.object.split_once('/') {
            None if value.object == "pods" => items(pods)
                .filter(|pod| pod["metadata"]["namespace"] == namespace.as_str())
                .filter_map(|pod| pod["metadata"]["name"].as_str())
                .map(|pod| format!("namespaces/{namespace}/pods/{pod}/{}", value.metric))
                .collect(),
            // The adapter keeps a value of a namespace apart by this spelling of the resource.
            None => vec![format!("namespace/{namespace}/{}", value.metric)],
            Some(("node", node)) => vec![format!("nodes/{node}/{}", value.metric)],
            Some((resource, name)) => {
                vec![format!("namespaces/{namespace}/{resource}/{name}/{}", value.metric)]
            }
        };
        for path in paths {
            cluster.write_metric(&path, &value.value).with_context(|| format!("serving {path}"))?;
        }
    }
    Ok(())
}

/// Waits until the Metrics API knows every ready pod of the cases: from then on nobody waits for metrics-server.
fn measured(cluster: &Cluster, cases: &[&Case]) -> Result<()> {
    cluster.wait("the Metrics API to know the pods", RUNS, || {
        let measured = cluster.get(&["pods.v1beta1.metrics.k8s.io", "-A"])?;
        let pods = cluster.get(&["pods", "-A"])?;
        for pod in items(&pods).filter(|pod| ready(pod)) {
            let meta = &pod["metadata"];
            let of_case =
                cases.iter().any(|case| case.ready && meta["namespace"] == case.namespace().as_str());
            let same = |item: &Json| {
                item["metadata"]["namespace"] == meta["namespace"] && item["metadata"]["name"] == meta["name"]
            };
            ensure!(!of_case || items(&measured).any(same), "not {}", meta["name"]);
        }
        Ok(true)
    })
}

/// Creates the HPAs; tells what was said to those that are refused.
pub(super) fn hpas(cluster: &Cluster, cases: &[&Case]) -> Result<Refused> {
    let all: Vec<Json> =
        cases.iter().flat_map(|case| case.hpas().map(|object| placed(object, case))).collect();
    // Most are accepted, and one call for all is soon done. Those that are missing afterwards are created once more,
    // each alone, to hear why.
    cluster.create(&json!({"apiVersion": "v1", "kind": "List", "items": all}).to_string())?;
    let there = cluster.get(&["horizontalpodautoscalers", "-A"])?;
    let mut refused = Refused::new();
    for object in all {
        let meta = &object["metadata"];
        let is_there = items(&there).any(|known| {
            known["metadata"]["namespace"] == meta["namespace"] && known["metadata"]["name"] == meta["name"]
        });
        if is_there {
            continue;
        }
        let output = cluster.create(&object.to_string())?;
        if !output.success() {
            let word = |key: &str| meta[key].as_str().unwrap_or_default().to_owned();
            refused.insert((word("namespace"), word("name")), output.stderr.trim().to_owned());
        }
    }
    Ok(refused)
}

/// The items of a list.
pub(super) fn items(list: &Json) -> impl Iterator<Item = &Json> {
    list["items"].as_array().into_iter().flatten()
}
