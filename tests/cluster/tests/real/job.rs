//! The manifests of a Job, on a cluster: what the pod may see, what its log holds, and what becomes of the Job.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use cluster::{Cluster, MetricsServer, Options, PROGRAM_IMAGE, Serving, User};
use serde_json::Value;

use super::MINUTES;

fn manifest(name: &str) -> Result<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/manifests").join(name);
    let text = std::fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    Ok(text.replace("REGISTRY/metrics-preflight:VERSION", PROGRAM_IMAGE))
}

/// Starts a Job of the `CronJob` and waits for its end: the conditions that it ends with, and its log.
fn run(cluster: &Cluster, name: &str) -> Result<(String, String)> {
    let space = ["-n", "metrics-preflight"];
    cluster.kubectl(&[&space[..], &["create", "job", name, "--from=cronjob/metrics-preflight"]].concat())?;
    let mut conditions = String::new();
    cluster.wait("the Job to end", MINUTES, || {
        let job = cluster.get(&[&["job", name][..], &space].concat())?;
        conditions = job["status"]["conditions"].to_string();
        Ok(conditions.contains("\"Complete\"") || conditions.contains("\"Failed\""))
    })?;
    let log = cluster.kubectl(&[&space[..], &["logs", &format!("job/{name}")]].concat())?;
    Ok((conditions, log))
}

/// The data of the report's ConfigMap.
fn kept(cluster: &Cluster) -> Result<Value> {
    Ok(cluster.get(&["configmap", "report", "-n", "metrics-preflight"])?["data"].take())
}

fn text<'v>(data: &'v Value, key: &str) -> &'v str {
    data[key].as_str().unwrap_or_default()
}

#[test]
fn a_job_says_what_check_says() -> Result<()> {
    let options = Options::new("harness-job").serving(&Serving::Bootstrapped);
    let cluster = Cluster::up(&options)?;
    cluster.load_program_image(&cluster::static_program()?, PROGRAM_IMAGE)?;
    cluster.install_metrics_server(&MetricsServer::default())?;
    cluster.wait_metrics_available(MINUTES)?;
    for name in ["rbac.yaml", "config-map.yaml"] {
        cluster.apply(&manifest(name)?)?;
    }
    let plain = "args: [check, --color, never]";
    let cron = manifest("cronjob.yaml")?;
    ensure!(cron.contains(plain), "{cron}");
    cluster.apply(
        &cron.replace(plain, "args: [check, --color, never, --config-map, metrics-preflight/report]"),
    )?;

    let (conditions, log) = run(&cluster, "healthy")?;
    ensure!(conditions.contains("\"Complete\"") && log.contains("0 root causes"), "{conditions}\n{log}");
    let first = kept(&cluster)?;
    ensure!(first["exit-code"] == "0" && text(&first, "report.txt").contains("0 root causes"), "{first}");

    // metrics-server remembers for a while whom the API server has let in.
    cluster.kubectl(&["delete", "clusterrolebinding", "metrics-server:system:auth-delegator"])?;
    cluster.wait("the Metrics API to refuse", MINUTES, || {
        let words = ["get", "--raw", "/apis/metrics.k8s.io/v1beta1/nodes"];
        Ok(cluster.kubectl_as(&User::Admin, &words)?.ok().is_err())
    })?;
    let (conditions, log) = run(&cluster, "broken")?;
    ensure!(conditions.contains("\"Failed\"") && log.contains("MP702"), "{conditions}\n{log}");
    let second = kept(&cluster)?;
    ensure!(second["exit-code"] == "1" && text(&second, "report.txt").contains("MP702"), "{second}");
    ensure!(text(&first, "looked-at") < text(&second, "looked-at"), "{second}");
    let document: Value = serde_json::from_str(text(&second, "report.json"))?;
    ensure!(document["exit_code"] == 1, "{document}");

    // What it may not see is said, and is not fine.
    cluster.kubectl(&["-n", "kube-system", "delete", "rolebinding", "metrics-preflight"])?;
    let (conditions, log) = run(&cluster, "less")?;
    ensure!(conditions.contains("\"Failed\""), "{conditions}");
    ensure!(
        log.contains("These permissions would decide more") && log.contains("services in kube-system"),
        "{log}"
    );
    cluster.down()
}
