//! Pods of metrics-server that never start: no image, no node, or refused.

use anyhow::{Result, bail};
use cluster::Cluster;
use serde_json::Value;

use super::fault::{SHOWS, apiservice_says, changed, install};

const IMAGE: &str = "registry.k8s.io/metrics-server/metrics-server:v0.9.0\n";

/// Where each node has a registry of its own, which has nothing. The runtime speaks HTTP with this machine.
const REGISTRY: &str = "127.0.0.1:5000";

/// Does what these scenarios say.
pub(super) fn pods(cluster: &Cluster, name: &str) -> Option<Result<()>> {
    let make = || match name {
        "image-not-there" => {
            for node in cluster.nodes() {
                // It answers 404 to everything, and ends with the node.
                cluster
                    .shell(
                        &node,
                        &format!("mkdir -p /run/registry && busybox httpd -p {REGISTRY} -h /run/registry"),
                    )?
                    .ok()?;
            }
            changed(cluster, IMAGE, &format!("{REGISTRY}/metrics-server/metrics-server:v0.9.99\n"))?;
            waits(cluster, "ImagePullBackOff")
        }
        "image-unreachable" => {
            changed(cluster, IMAGE, "registry.example.com/metrics-server/metrics-server:v0.9.0\n")?;
            waits(cluster, "ImagePullBackOff")
        }
        "not-scheduled" => {
            let selector = "        kubernetes.io/os: linux\n";
            changed(cluster, selector, &format!("{selector}        example.com/pool: monitoring\n"))?;
            apiservice_says(cluster, "have no addresses")
        }
        "pods-refused" => {
            let quota = ["-n", "kube-system", "create", "quota", "no-pods", "--hard=pods=0"];
            cluster.kubectl(&quota)?;
            install(cluster)?;
            cluster.wait("the Deployment to say that it cannot create pods", SHOWS, || {
                let found = cluster.get(&["deployment", "-n", "kube-system", "metrics-server"])?;
                let conditions =
                    found["status"]["conditions"].as_array().map(Vec::as_slice).unwrap_or_default();
                Ok(conditions.iter().any(|condition| condition["type"] == "ReplicaFailure"))
            })?;
            apiservice_says(cluster, "have no addresses")
        }
        _ => bail!("not one of these"),
    };
    never_start(name).then(make)
}

/// Whether this is a scenario in which no container of metrics-server ever runs.
pub(super) fn never_start(name: &str) -> bool {
    matches!(name, "image-not-there" | "image-unreachable" | "not-scheduled" | "pods-refused")
}

/// Waits until metrics-server's container says that it waits for this, and the APIService that it has nobody.
fn waits(cluster: &Cluster, reason: &str) -> Result<()> {
    cluster.wait(&format!("metrics-server's container to say {reason}"), SHOWS, || {
        let pods = cluster.get(&["pods", "-n", "kube-system", "-l", "k8s-app=metrics-server"])?;
        let state: &Value = &pods["items"][0]["status"]["containerStatuses"][0]["state"];
        Ok(state["waiting"]["reason"] == reason)
    })?;
    apiservice_says(cluster, "have no addresses")
}
