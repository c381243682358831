//! The harness against itself. Needs root and the compiled programs: `cargo test -p cluster --features real`.

use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use cluster::{
    Adapter, Ca, Certificate, Cluster, Component, MetricsServer, Options, Serving, User, Vantage, set_flag,
};

mod faults;
mod flags;
mod inside;
mod instances;
mod job;
mod probe;

const MINUTES: Duration = Duration::from_mins(3);

fn connects(cluster: &Cluster, vantage: &Vantage, address: &str) -> Result<bool> {
    let mut dial = Command::new("timeout");
    dial.args(["2", "bash", "-c", &format!("exec 3<>/dev/tcp/{}", address.replace(':', "/"))]);
    Ok(cluster.in_namespace(vantage, &dial)?.output()?.status.success())
}

#[test]
fn the_default_certificate_breaks_metrics_server_and_bootstrap_cures_it() -> Result<()> {
    let cluster = Cluster::up(&Options::new("harness-a"))?;
    cluster.install_metrics_server(&MetricsServer::default())?;
    let kube_system = ["-n", "kube-system"];
    let mut logs = kube_system.to_vec();
    logs.extend(["logs", "-l", "k8s-app=metrics-server", "--tail=-1"]);
    cluster.wait("the log to name the missing IP SANs", MINUTES, || {
        Ok(cluster.kubectl(&logs)?.contains("doesn't contain any IP SANs"))
    })?;
    for node in cluster.nodes() {
        let edit =
            "echo 'serverTLSBootstrap: true' >> /var/lib/kubelet/config.yaml && systemctl restart kubelet";
        cluster.shell(&node, edit)?.ok()?;
    }
    let mut approved = 0;
    cluster.wait("two requests", MINUTES, || {
        approved += cluster.approve_kubelet_csrs(&[])?;
        Ok(approved == 2)
    })?;
    cluster.wait_metrics_available(MINUTES)?;

    for (vantage, kubelet) in [
        (Vantage::Nodes, true),
        (Vantage::ApiOnly, false),
        (Vantage::ApiOnlyNoRoute, false),
        (Vantage::Host("node2".into()), true),
    ] {
        ensure!(connects(&cluster, &vantage, "172.30.0.10:6443")?, "{vantage:?} and the API");
        ensure!(connects(&cluster, &vantage, "172.30.0.11:10250")? == kubelet, "{vantage:?}");
    }

    let can = |user: &User, args: &[&str]| -> Result<bool> {
        let mut words = vec!["auth", "can-i"];
        words.extend(args);
        Ok(cluster.kubectl_as(user, &words)?.success())
    };
    let editor = User::Edit { namespace: "team".into() };
    ensure!(can(&editor, &["create", "deployments", "-n", "team"])?);
    ensure!(!can(&editor, &["create", "deployments", "-n", "default"])?);
    ensure!(can(&User::Admin, &["*", "*"])?);
    ensure!(!can(&User::Nobody, &["get", "pods"])?);

    cluster.deploy_workload("team", "web", Some("50m"))?;
    cluster.kubectl(&["-n", "team", "rollout", "status", "deployment/web", "--timeout=60s"])?;

    // A front-proxy identity that metrics-server does not accept.
    let before = cluster.starts(Component::ApiServer, "cp")?;
    let start = Instant::now();
    cluster.apiserver_flags(|flags| set_flag(flags, "--requestheader-allowed-names=somebody-else"))?;
    eprintln!("an edited kube-apiserver is ready after {:?}", start.elapsed());
    ensure!(cluster.starts(Component::ApiServer, "cp")? > before);
    let start = Instant::now();
    cluster.republish_authentication_config()?;
    eprintln!("the ConfigMap is back after {:?}", start.elapsed());
    cluster.down()
}

#[test]
fn certificates_of_every_kind_are_served() -> Result<()> {
    let foreign = Ca::new("foreign")?;
    let expired = foreign.issue(&Certificate::server("system:node:node2").san("172.30.0.12").expired())?;
    let cluster = Cluster::up(
        &Options::new("harness-b")
            .node_serving(1, Serving::BootstrapPending)
            .node_serving(2, Serving::Provided { cert: expired.cert, key: expired.key })
            .without_apiserver_flag("--requestheader-allowed-names")
            .kubelet_patch(serde_json::json!({"maxPods": 50})),
    )?;
    let look = |address: &str| {
        let script = format!(
            "openssl s_client -connect {address} </dev/null 2>&1 | openssl x509 -noout -issuer -dates"
        );
        cluster.shell("cp", &script)
    };
    ensure!(look("172.30.0.12:10250")?.ok()?.contains("CN = foreign"));
    ensure!(!look("172.30.0.11:10250")?.success(), "node1 has no certificate yet");
    let manifest =
        std::fs::read_to_string(cluster.path("cp", "/etc/kubernetes/manifests/kube-apiserver.yaml"))?;
    ensure!(!manifest.contains("allowed-names"));
    // One signed by the cluster's CA takes its place.
    let good = cluster
        .ca()?
        .issue(&Certificate::server("system:node:node2").organization("system:nodes").san("172.30.0.12"))?;
    good.write(&cluster.path("node2", "/var/lib/kubelet/pki/provided"))?;
    cluster.restart(Component::Kubelet, "node2")?;
    cluster.wait("the new certificate", MINUTES, || {
        Ok(look("172.30.0.12:10250")?.stdout.contains("CN = kubernetes"))
    })?;
    cluster.kubelet_config("node2", |config| config["maxPods"] = 60.into())?;
    cluster.wait("the new limit", MINUTES, || {
        Ok(cluster.get(&["node", "node2"])?["status"]["capacity"]["pods"] == "60")
    })?;
    cluster.down()
}

#[test]
fn the_adapter_serves_what_was_written_and_its_own_external_metrics() -> Result<()> {
    let cluster = Cluster::up(&Options::new("harness-e").nodes(1))?;
    let adapter = Adapter::default();
    cluster.install_adapter(&adapter)?;
    cluster.wait_adapter_available(&adapter, MINUTES)?;
    let custom = "namespaces/default/services/kubernetes/requests";
    cluster.write_metric(custom, "300m")?;
    let read = |path: String| cluster.kubectl(&["get", "--raw", &path]);
    let list = read(format!("/apis/custom.metrics.k8s.io/v1beta2/{custom}"))?;
    ensure!(list.contains("\"value\":\"300m\""), "{list}");
    let external = "namespaces/default/my-external-metric";
    let list = read(format!("/apis/external.metrics.k8s.io/v1beta1/{external}"))?;
    ensure!(list.contains("\"value\":\"42\""), "{list}");
    Ok(())
}

/// metrics-server's pod: its name, its node and its address.
fn metrics_server(cluster: &Cluster) -> Result<(String, String, String)> {
    let words = ["pods", "-n", "kube-system", "-l", "k8s-app=metrics-server"];
    let pods = cluster.get(&words)?;
    let pods = pods["items"].as_array().map(Vec::as_slice).unwrap_or_default();
    let pod = pods.iter().find(|pod| pod["metadata"]["deletionTimestamp"].is_null());
    let pod = pod.context("metrics-server has no pod")?;
    let text = |value: &serde_json::Value| value.as_str().map(str::to_owned);
    let found = text(&pod["metadata"]["name"])
        .zip(text(&pod["spec"]["nodeName"]))
        .zip(text(&pod["status"]["podIP"]))
        .map(|((name, node), address)| (name, node, address));
    found.context("metrics-server's pod has no node or address yet")
}

/// Waits until the `APIService` says these words.
fn says(cluster: &Cluster, words: &str) -> Result<()> {
    cluster.wait(&format!("the APIService to say {words:?}"), MINUTES, || {
        let object = cluster.get(&["apiservice", "v1beta1.metrics.k8s.io"])?;
        let said = object["status"]["conditions"].to_string();
        ensure!(said.contains(words), "{said}");
        Ok(true)
    })
}
