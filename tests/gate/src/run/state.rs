//! Which of the metrics APIs a cluster has, and whether the controller may read them.

use std::time::Duration;

use anyhow::Result;
use cluster::{Adapter, Cluster, MetricsServer};
use serde_json::{Value as Json, json};

use crate::State;

/// How long a part of the cluster may take to work.
const WORKS: Duration = Duration::from_mins(3);

/// Everything that an HPA reads metrics from, with the versions that are registered.
const VERSIONS: [(&str, &str); 4] = [
    ("v1beta1", "metrics.k8s.io"),
    ("v1beta1", "custom.metrics.k8s.io"),
    ("v1beta2", "custom.metrics.k8s.io"),
    ("v1beta1", "external.metrics.k8s.io"),
];

/// Brings a cluster into this state.
pub(super) fn prepare(cluster: &Cluster, state: State) -> Result<()> {
    match state {
        State::Full => working(cluster),
        State::Bare => Ok(()),
        State::Broken => broken(cluster),
        State::Forbidden => {
            working(cluster)?;
            forbidden(cluster)
        }
    }
}

fn working(cluster: &Cluster) -> Result<()> {
    let adapter = Adapter::default();
    cluster.install_metrics_server(&MetricsServer::default())?;
    cluster.install_adapter(&adapter)?;
    cluster.wait_metrics_available(WORKS)?;
    cluster.wait_adapter_available(&adapter, WORKS)
}

/// Registers all versions for a Service that does not exist.
fn broken(cluster: &Cluster) -> Result<()> {
    let service = |(version, group): &(&str, &str)| {
        json!({
            "apiVersion": "apiregistration.k8s.io/v1",
            "kind": "APIService",
            "metadata": {"name": format!("{version}.{group}")},
            "spec": {
                "group": group,
                "groupPriorityMinimum": 100,
                "insecureSkipTLSVerify": true,
                "service": {"name": "nobody", "namespace": "kube-system"},
                "version": version,
                "versionPriority": 100,
            },
        })
    };
    let services: Vec<Json> = VERSIONS.iter().map(service).collect();
    cluster.apply(&json!({"apiVersion": "v1", "kind": "List", "items": services}).to_string())
}

/// Takes the rules about the metrics APIs out of the controller's role.
fn forbidden(cluster: &Cluster) -> Result<()> {
    let mut role = cluster.get(&["clusterrole", "system:controller:horizontal-pod-autoscaler"])?;
    let about_metrics = |rule: &Json| VERSIONS.iter().any(|(_, group)| rule["apiGroups"] == json!([group]));
    if let Some(rules) = role["rules"].as_array_mut() {
        rules.retain(|rule| !about_metrics(rule));
    }
    cluster.replace(&role.to_string())
}
