//! HorizontalPodAutoscalers, and the controller that looks at them.

use anyhow::{Result, bail};
use cluster::{Cluster, Component, MetricsServer, Options};

use super::fault::{SHOWS, age_s, working};

const CPU: &str =
    "type: Resource\n    resource: {name: cpu, target: {type: Utilization, averageUtilization: 80}}";
const REQUESTS: &str =
    "type: Pods\n    pods: {metric: {name: http_requests}, target: {type: AverageValue, averageValue: 10}}";

/// What the cluster of such a scenario starts with.
pub(super) fn options(name: &str, options: Options) -> Options {
    match name {
        "hpa-elected" | "hpa-controller-stopped" => options.controller_manager_flag("--leader-elect=true"),
        _ => options,
    }
}

/// Does what the scenario says.
pub(super) fn autoscalers(cluster: &Cluster, name: &str) -> Option<Result<()>> {
    let name = name.strip_prefix("hpa-")?;
    let make = || match name {
        "works" | "elected" => reads(cluster),
        "without-request" => one(cluster, None, "web", CPU, "missing request for cpu"),
        "without-target" => one(cluster, Some("50m"), "nobody", CPU, "not found"),
        "without-adapter" => one(cluster, Some("50m"), "web", REQUESTS, "custom.metrics.k8s.io"),
        "controller-stopped" => {
            reads(cluster)?;
            cluster.deploy_workload("team", "late", Some("50m"))?;
            cluster.kubectl(&["-n", "team", "rollout", "status", "deployment/late", "--timeout=2m"])?;
            cluster.stop(Component::ControllerManager, "cp")?;
            apply(cluster, "late", "late", CPU)?;
            cluster.wait("the Lease to be old", SHOWS, || {
                let lease = cluster.get(&["-n", "kube-system", "lease", "kube-controller-manager"])?;
                Ok(age_s(&lease["spec"]["renewTime"])?.is_some_and(|age| age > 185))
            })
        }
        _ => bail!("nobody knows how to make hpa-{name}"),
    };
    Some(make())
}

fn reads(cluster: &Cluster) -> Result<()> {
    one(cluster, Some("50m"), "web", CPU, "ValidMetricFound")
}

/// A workload and an HPA on a pipeline that works; waits until the controller says what it lacks.
fn one(cluster: &Cluster, cpu: Option<&str>, target: &str, metric: &str, says: &str) -> Result<()> {
    cluster.kubectl(&["create", "namespace", "team"])?;
    cluster.deploy_workload("team", "web", cpu)?;
    working(cluster, &MetricsServer::default())?;
    apply(cluster, "web", target, metric)?;
    cluster.wait(&format!("the HPA controller to say {says:?}"), SHOWS, || {
        let hpa = cluster.get(&["-n", "team", "hpa", "web"])?;
        let text = hpa["status"]["conditions"].to_string();
        anyhow::ensure!(text.contains(says), "it says {text}");
        Ok(true)
    })
}

fn apply(cluster: &Cluster, name: &str, target: &str, metric: &str) -> Result<()> {
    cluster.apply(&format!(
        "apiVersion: autoscaling/v2\nkind: HorizontalPodAutoscaler\nmetadata: {{name: {name}, namespace: team}}\nspec:\n  scaleTargetRef: {{apiVersion: apps/v1, kind: Deployment, name: {target}}}\n  minReplicas: 1\n  maxReplicas: 3\n  metrics:\n  - {metric}\n"
    ))
}
