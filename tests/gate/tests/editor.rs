//! What an account with `edit` in one namespace, and nothing else, gets to know of the gate. It starts a cluster:
//! `METRICS_PREFLIGHT=target/release/metrics-preflight cargo test -p gate-cases --features run --test editor -- --ignored`.
//! `RECORD=1` writes the recordings in `tests/gate/editor` anew.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use cluster::{Cluster, MetricsServer, Options, Serving, User, Vantage};
use serde_json::Value;

const MINUTES: Duration = Duration::from_mins(3);

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("editor")
}

/// Asks as the editor of a namespace; the exit code and the verdict on the only metric.
fn gate(cluster: &Cluster, manifest: &str, recording: &str, namespace: &str) -> Result<(i32, String)> {
    let program = std::env::var("METRICS_PREFLIGHT").context("METRICS_PREFLIGHT names the program")?;
    let program = Path::new(&program).canonicalize().with_context(|| format!("{program} is not there"))?;
    let mut command = Command::new(program);
    let path = folder().join(format!("{manifest}.yaml"));
    command.args(["gate", "-o", "json", "-n", namespace, "-f"]).arg(path);
    if std::env::var_os("RECORD").is_some() {
        command.arg("--record").arg(folder().join(format!("{recording}.jsonl")));
    }
    let user = User::Edit { namespace: namespace.to_owned() };
    command.env("KUBECONFIG", cluster.kubeconfig(&user)?);
    let output = cluster.in_namespace(&Vantage::Nodes, &command)?.output()?;
    let document: Value = serde_json::from_slice(&output.stdout)
        .with_context(|| String::from_utf8_lossy(&output.stderr).into_owned())?;
    let verdict = document["hpas"][0]["metrics"][0]["verdict"].as_str().unwrap_or_default().to_owned();
    Ok((output.status.code().unwrap_or(-1), verdict))
}

#[test]
#[ignore = "it starts a cluster"]
fn edit_is_enough_where_an_autoscaler_works() -> Result<()> {
    let cluster = Cluster::up(&Options::new("editor").serving(&Serving::Bootstrapped))?;
    cluster.install_metrics_server(&MetricsServer::default())?;
    cluster.wait_metrics_available(MINUTES)?;
    let user = User::Edit { namespace: "team".to_owned() };
    cluster.kubeconfig(&user)?;
    let web = folder().join("web.yaml");
    let web = web.to_str().context("the path is no text")?;
    ensure!(cluster.kubectl_as(&user, &["-n", "team", "apply", "-f", web])?.success(), "edit may deploy");
    cluster.wait("an autoscaler that works", MINUTES, || {
        let hpa = cluster.get(&["-n", "team", "hpa", "web"])?;
        let entries = hpa["status"]["currentMetrics"].as_array().into_iter().flatten();
        Ok(entries.into_iter().any(|entry| entry["type"] == "Resource"))
    })?;
    let expected = |code, verdict: &str| (code, verdict.to_owned());
    assert_eq!(gate(&cluster, "shop", "working", "team")?, expected(0, "pass"));
    assert_eq!(gate(&cluster, "shop-no-request", "no-request", "team")?, expected(1, "fail"));
    assert_eq!(gate(&cluster, "shop", "empty", "empty")?, expected(3, "undecided"));
    cluster.down()
}
