//! The faults: what a scenario's cluster starts with, and what is done to it then.
//!
//! Every wait is for the fault to show where an operator would see it.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use cluster::{Ca, Certificate, Cluster, Component, MetricsServer, Options, Serving};
use serde_json::json;

use crate::Scenario;

/// A fault shows within this.
pub(super) const SHOWS: Duration = Duration::from_mins(4);
/// A pipeline works within this.
pub(super) const WORKS: Duration = Duration::from_mins(3);

/// The flags by which kube-apiserver publishes the front proxy's CA.
const REQUESTHEADER: [&str; 5] = [
    "--requestheader-client-ca-file",
    "--requestheader-allowed-names",
    "--requestheader-extra-headers-prefix",
    "--requestheader-group-headers",
    "--requestheader-username-headers",
];

/// What the cluster of a scenario starts with.
pub(super) fn options(scenario: &Scenario) -> Options {
    let fault = fault(scenario.name);
    // Names of clusters have room for twenty characters.
    let options = Options::new(format!("s-{}", short(scenario.name))).serving(&Serving::Bootstrapped);
    let options = super::machines::options(fault, options);
    let options = super::autoscalers::options(fault, options);
    match fault {
        "healthy-insecure"
        | "self-signed-all"
        | "self-signed"
        | "not-installed-unready"
        | "cert-unknown-ca"
        | "cert-expired"
        | "cert-other-address"
        | "cert-everything" => options.serving(&Serving::SelfSigned),
        "self-signed-one" => options.node_serving(2, Serving::SelfSigned),
        "csr-pending" => options.serving(&Serving::BootstrapPending),
        "csr-denied" => options.node_serving(2, Serving::BootstrapPending),
        "no-requestheader-flags" => {
            REQUESTHEADER.iter().fold(options, |options, flag| options.without_apiserver_flag(*flag))
        }
        "no-proxy-client-cert" | "anonymous-admin-hides-front-proxy" => options
            .without_apiserver_flag("--proxy-client-cert-file")
            .without_apiserver_flag("--proxy-client-key-file"),
        "allowed-names-without-cn" => options.apiserver_flag("--requestheader-allowed-names=aggregator"),
        "webhook-authentication-off" => {
            options.kubelet_patch(json!({"authentication": {"webhook": {"enabled": false}}}))
        }
        _ => options,
    }
}

/// A scenario that ends on `-lab` has the fault of the one without.
fn fault(name: &str) -> &str {
    name.strip_suffix("-lab").unwrap_or(name)
}

/// The scenario's number and the first letters of its name: unique and short.
fn short(name: &str) -> String {
    let number = crate::SCENARIOS.iter().position(|scenario| scenario.name == name).unwrap_or_default();
    let letters: String = name.chars().take(14).collect();
    format!("{number}-{}", letters.trim_end_matches('-'))
}

/// Does what the scenario says, and waits until it shows.
pub(super) fn inject(cluster: &Cluster, name: &str) -> Result<()> {
    let name = fault(name);
    let kinds = [
        healthy,
        kubelets,
        network,
        super::policies::policies,
        super::machines::instances,
        super::machines::machines,
        super::probes::probes,
        identity,
        registration,
        super::pods::pods,
        super::autoscalers::autoscalers,
    ];
    let made = kinds.into_iter().find_map(|kind| kind(cluster, name));
    made.unwrap_or_else(|| bail!("nobody knows how to make {name}"))
}

/// Pipelines that work, have just started, or are not there.
fn healthy(cluster: &Cluster, name: &str) -> Option<Result<()>> {
    let make = || match name {
        "healthy-signed" => working(cluster, &MetricsServer::default()),
        "healthy-insecure" => {
            working(cluster, &MetricsServer { insecure_tls: true, ..MetricsServer::default() })
        }
        "warming-up" => {
            install(cluster)?;
            cluster.wait("metrics-server's container to run", WORKS, || {
                let pods = cluster.get(&["pods", "-n", "kube-system", "-l", "k8s-app=metrics-server"])?;
                Ok(pods["items"][0]["status"]["containerStatuses"][0]["state"]["running"].is_object())
            })
        }
        "not-installed-ready" | "not-installed-unready" => Ok(()),
        _ => bail!("not one of these"),
    };
    matches!(
        name,
        "healthy-signed"
            | "healthy-insecure"
            | "warming-up"
            | "not-installed-ready"
            | "not-installed-unready"
    )
    .then(make)
}

/// Faults of kubelets: certificates, authentication, authorization.
fn kubelets(cluster: &Cluster, name: &str) -> Option<Result<()>> {
    let make = || match name {
        "self-signed" | "self-signed-all" => {
            install(cluster)?;
            log_has(cluster, "doesn't contain any IP SANs")
        }
        "self-signed-one" => {
            install_on_node1(cluster)?;
            log_has(cluster, "doesn't contain any IP SANs")?;
            one_node_serves(cluster, "node1")
        }
        "csr-pending" => install(cluster),
        "csr-denied" => csr_denied(cluster),
        "cert-unknown-ca" => {
            certificates(cluster, "certificate signed by unknown authority", |_, address| {
                (Some(Ca::new("somebody-else")), Certificate::server("").san(address))
            })
        }
        "cert-expired" => certificates(cluster, "certificate has expired", |_, address| {
            (None, Certificate::server("").san(address).expired())
        }),
        "cert-other-address" => certificates(cluster, "certificate is valid for 192.0.2.1", |_, _| {
            (None, Certificate::server("").san("192.0.2.1"))
        }),
        "cert-everything" => certificates(cluster, "certificate has expired", |_, _| {
            (Some(Ca::new("somebody-else")), Certificate::server("").san("192.0.2.1").expired())
        }),
        "webhook-authentication-off" => {
            install(cluster)?;
            log_has(cluster, "401 Unauthorized")
        }
        "no-nodes-metrics" => {
            changed(cluster, "  - nodes/metrics\n", "  - nodes/log\n")?;
            log_has(cluster, "403 Forbidden")
        }
        "kubelet-open" => {
            working(cluster, &MetricsServer::default())?;
            cluster.kubelet_config("node2", |config| {
                config["authentication"]["anonymous"]["enabled"] = json!(true);
                config["authorization"]["mode"] = json!("AlwaysAllow");
            })?;
            cluster.wait_nodes_ready(WORKS)?;
            cluster.wait_metrics_available(WORKS)
        }
        _ => bail!("not one of these"),
    };
    matches!(
        name,
        "self-signed-all"
            | "self-signed"
            | "self-signed-one"
            | "csr-pending"
            | "csr-denied"
            | "cert-unknown-ca"
            | "cert-expired"
            | "cert-other-address"
            | "cert-everything"
            | "webhook-authentication-off"
            | "no-nodes-metrics"
            | "kubelet-open"
    )
    .then(make)
}

/// Faults of the network between pods, nodes and the control plane.
fn network(cluster: &Cluster, name: &str) -> Option<Result<()>> {
    let make = || match name {
        "forward-drop" => {
            on_nodes(cluster, "iptables -P FORWARD DROP && iptables -F FORWARD")?;
            install(cluster)?;
            log_has(cluster, "i/o timeout")
        }
        "ip-forward-off" => {
            // The CNI plugin switches forwarding on with every pod, so it is switched off behind a pod that
            // is there, whose container then starts anew.
            working(cluster, &MetricsServer::default())?;
            on_nodes(cluster, "sysctl -w net.ipv4.ip_forward=0")?;
            cluster.end_metrics_server()?;
            log_has(cluster, "i/o timeout")
        }
        "kube-proxy-gone" => {
            for node in cluster.nodes() {
                cluster.stop(Component::KubeProxy, &node)?;
            }
            on_nodes(cluster, "iptables -t nat -F && iptables -t nat -X; iptables -F; iptables -X; true")?;
            install(cluster)?;
            log_has(cluster, "dial tcp 10.96.0.1:443")
        }
        "kubelet-port-filtered" => {
            install_on_node1(cluster)?;
            cluster.wait_metrics_available(WORKS)?;
            let from = format!("10.244.0.0/16,{}", cluster.address("node1")?);
            let rule = format!("iptables -I INPUT -s {from} -p tcp --dport 10250 -j DROP");
            cluster.shell("node2", &rule)?.ok()?;
            log_has(cluster, "node=\"node2\"")
        }
        "control-plane-cut-off" => {
            working(cluster, &MetricsServer::default())?;
            on_nodes(cluster, &format!("iptables -I FORWARD -s {} -j DROP", cluster.address("cp")?))?;
            apiservice_says(cluster, "failing or missing response")
        }
        _ => bail!("not one of these"),
    };
    matches!(
        name,
        "forward-drop"
            | "ip-forward-off"
            | "kube-proxy-gone"
            | "kubelet-port-filtered"
            | "control-plane-cut-off"
    )
    .then(make)
}

/// Faults of who may do what, and of who calls whom.
fn identity(cluster: &Cluster, name: &str) -> Option<Result<()>> {
    let make = || match name {
        "no-requestheader-flags" | "no-proxy-client-cert" | "allowed-names-without-cn" => {
            install(cluster)?;
            apiservice_says(cluster, "bad status from")
        }
        "proxy-client-cert-other-ca" => front_proxy_certificate(
            cluster,
            &Ca::new("front-proxy-ca")?,
            &Certificate::client("front-proxy-client"),
        ),
        "proxy-client-cert-expired" => front_proxy_certificate(
            cluster,
            &cluster.front_proxy_ca()?,
            &Certificate::client("front-proxy-client").expired(),
        ),
        "no-auth-reader" => {
            changed(cluster, "  name: metrics-server-auth-reader\n", "  name: metrics-server-other\n")?;
            cluster.kubectl(&["-n", "kube-system", "delete", "rolebinding", "metrics-server-other"])?;
            cluster.restart_metrics_server()?;
            log_has(cluster, "is forbidden")
        }
        "no-auth-delegator" => {
            working(cluster, &MetricsServer::default())?;
            cluster.kubectl(&["delete", "clusterrolebinding", "metrics-server:system:auth-delegator"])?;
            cluster.wait("the Metrics API to answer 500", SHOWS, || {
                let output = cluster.kubectl_as(
                    &cluster::User::Admin,
                    &["get", "--raw", "/apis/metrics.k8s.io/v1beta1/nodes"],
                )?;
                Ok(output.stderr.contains("subjectaccessreviews"))
            })
        }
        "anonymous-admin" => {
            working(cluster, &MetricsServer::default())?;
            anonymous_admin(cluster)
        }
        "anonymous-admin-hides-front-proxy" => {
            anonymous_admin(cluster)?;
            install(cluster)?;
            apiservice_says(cluster, "all checks passed")
        }
        _ => bail!("not one of these"),
    };
    matches!(
        name,
        "no-requestheader-flags"
            | "no-proxy-client-cert"
            | "allowed-names-without-cn"
            | "proxy-client-cert-other-ca"
            | "proxy-client-cert-expired"
            | "no-auth-reader"
            | "no-auth-delegator"
            | "anonymous-admin"
            | "anonymous-admin-hides-front-proxy"
    )
    .then(make)
}

/// Faults between the APIService and the pods.
fn registration(cluster: &Cluster, name: &str) -> Option<Result<()>> {
    let make = || match name {
        "service-missing" => patched(
            cluster,
            &["apiservice", "v1beta1.metrics.k8s.io"],
            r#"{"spec":{"service":{"name":"metrics"}}}"#,
            "is not present",
        ),
        "wrong-port" => patched(
            cluster,
            &["apiservice", "v1beta1.metrics.k8s.io"],
            r#"{"spec":{"service":{"port":8443}}}"#,
            "is not listening on port 8443",
        ),
        "selector-matches-nothing" => patched(
            cluster,
            &["-n", "kube-system", "service", "metrics-server"],
            r#"{"spec":{"selector":{"k8s-app":"metrics"}}}"#,
            "have no addresses",
        ),
        "scaled-to-zero" => {
            working(cluster, &MetricsServer::default())?;
            cluster.kubectl(&["-n", "kube-system", "scale", "deployment/metrics-server", "--replicas=0"])?;
            apiservice_says(cluster, "have no addresses")
        }
        "flag-not-known" => {
            cluster.install_metrics_server(&MetricsServer {
                extra_args: vec!["--source=kubernetes.summary_api:https://kubernetes.default".to_owned()],
                ..MetricsServer::default()
            })?;
            log_has(cluster, "unknown flag: --source")?;
            apiservice_says(cluster, "have no addresses")
        }
        "container-port-renamed" => {
            changed(cluster, "          name: https\n", "          name: main-port\n")?;
            apiservice_says(cluster, "have no addresses")
        }
        _ => bail!("not one of these"),
    };
    matches!(
        name,
        "service-missing"
            | "wrong-port"
            | "selector-matches-nothing"
            | "scaled-to-zero"
            | "flag-not-known"
            | "container-port-renamed"
    )
    .then(make)
}

/// Installs with metrics-server's pod on the first node. Since 0.9 metrics-server needs metrics of pods to be
/// Ready, and its own pod is the only one: on a node that it cannot scrape it would never be.
pub(super) fn install_on_node1(cluster: &Cluster) -> Result<()> {
    cluster.kubectl(&["cordon", "node2"])?;
    install(cluster)?;
    cluster.wait("metrics-server's pod to be scheduled", WORKS, || {
        let pods = cluster.get(&["pods", "-n", "kube-system", "-l", "k8s-app=metrics-server"])?;
        Ok(pods["items"][0]["spec"]["nodeName"] == "node1")
    })?;
    cluster.kubectl(&["uncordon", "node2"]).map(drop)
}

pub(super) fn install(cluster: &Cluster) -> Result<()> {
    cluster.install_metrics_server(&MetricsServer::default())
}

pub(super) fn working(cluster: &Cluster, options: &MetricsServer) -> Result<()> {
    cluster.install_metrics_server(options)?;
    cluster.wait_metrics_available(WORKS)?;
    // HPAs and samples are judged by their age: two scrapes later nothing is young any more.
    cluster.wait("every node to have been scraped twice", WORKS, || {
        let metrics: serde_json::Value = serde_json::from_str(&cluster.kubectl(&[
            "get",
            "--raw",
            "/apis/metrics.k8s.io/v1beta1/nodes",
        ])?)?;
        Ok(metrics["items"].as_array().is_some_and(|items| items.len() == cluster.nodes().len()))
    })
}

/// Installs with one passage of the release's manifest changed.
pub(super) fn changed(cluster: &Cluster, from: &str, to: &str) -> Result<()> {
    let manifest = Cluster::metrics_server_manifest(&MetricsServer::default())?;
    anyhow::ensure!(manifest.contains(from), "the manifest has no {from:?}");
    cluster.import_metrics_server()?;
    cluster.apply(&manifest.replacen(from, to, 1))
}

/// Breaks a pipeline that works by a patch.
fn patched(cluster: &Cluster, object: &[&str], patch: &str, says: &str) -> Result<()> {
    working(cluster, &MetricsServer::default())?;
    cluster.kubectl(&[&["patch"], object, &["--type=merge", "-p", patch]].concat())?;
    apiservice_says(cluster, says)
}

fn on_nodes(cluster: &Cluster, script: &str) -> Result<()> {
    for node in cluster.nodes() {
        cluster.shell(&node, script)?.ok().with_context(|| format!("on {node}"))?;
    }
    Ok(())
}

/// metrics-server's log, of the container that runs or of the one before, says so.
pub(super) fn log_has(cluster: &Cluster, words: &str) -> Result<()> {
    cluster.wait(&format!("metrics-server's log to say {words:?}"), SHOWS, || {
        let logs = |previous: &str| {
            let args = ["-n", "kube-system", "logs", "-l", "k8s-app=metrics-server", "--tail=100", previous];
            cluster.kubectl_as(&cluster::User::SystemMasters, &args).map(|output| output.stdout)
        };
        Ok(logs("--previous=false")?.contains(words) || logs("--previous=true")?.contains(words))
    })
}

pub(super) fn apiservice_says(cluster: &Cluster, words: &str) -> Result<()> {
    cluster.wait(&format!("the APIService to say {words:?}"), SHOWS, || {
        let object = cluster.get(&["apiservice", "v1beta1.metrics.k8s.io"])?;
        let said = object["status"]["conditions"][0]["message"].as_str().unwrap_or_default().to_owned();
        anyhow::ensure!(said.contains(words), "it says {said:?}");
        Ok(true)
    })
}

/// Waits until nothing is young any more: a node of less than 90 s, and a metrics-server that has not had
/// time for two scrapes, are not judged.
pub(super) fn settle(cluster: &Cluster, name: &str) -> Result<()> {
    if matches!(name, "warming-up" | "not-installed-ready" | "not-installed-unready") {
        return Ok(());
    }
    cluster.wait("nodes and metrics-server to be old enough", SHOWS, || {
        let nodes = cluster.get(&["nodes"])?;
        for node in nodes["items"].as_array().into_iter().flatten() {
            if age_s(&node["metadata"]["creationTimestamp"])?.is_none_or(|age| age < 95) {
                return Ok(false);
            }
        }
        let pods = cluster.get(&["pods", "-n", "kube-system", "-l", "k8s-app=metrics-server"])?;
        for pod in pods["items"].as_array().into_iter().flatten() {
            if super::pods::never_start(name) {
                if age_s(&pod["metadata"]["creationTimestamp"])?.is_none_or(|age| age < 65) {
                    return Ok(false);
                }
                continue;
            }
            let status = &pod["status"]["containerStatuses"][0];
            let restarted = status["restartCount"].as_i64().unwrap_or_default() > 0;
            // One that cannot be started is as old as its pod.
            let started = match &status["state"]["waiting"]["reason"] {
                reason if reason == "ContainerCreating" => &pod["metadata"]["creationTimestamp"],
                _ => &status["state"]["running"]["startedAt"],
            };
            if !restarted && age_s(started)?.is_none_or(|age| age < 65) {
                return Ok(false);
            }
        }
        Ok(true)
    })
}

/// The age of a time in an object, in seconds.
pub(super) fn age_s(time: &serde_json::Value) -> Result<Option<u64>> {
    let Some(time) = time.as_str() else { return Ok(None) };
    let output = std::process::Command::new("date").args(["-d", time, "+%s"]).output()?;
    let then: u64 = String::from_utf8_lossy(&output.stdout).trim().parse()?;
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH)?.as_secs();
    Ok(Some(now.saturating_sub(then)))
}

pub(super) fn one_node_serves(cluster: &Cluster, node: &str) -> Result<()> {
    cluster.wait(&format!("metrics of {node}"), SHOWS, || {
        let top = cluster.kubectl(&["top", "nodes", "--no-headers"])?;
        let line = top.lines().find(|line| line.starts_with(node));
        anyhow::ensure!(line.is_some_and(|line| !line.contains("<unknown>")), "{top}");
        Ok(true)
    })
}

fn csr_denied(cluster: &Cluster) -> Result<()> {
    install_on_node1(cluster)?;
    cluster.wait("a request of node2", SHOWS, || {
        let csrs = cluster.get(&["csr"])?;
        let own = csrs["items"].as_array().into_iter().flatten().find(|csr| {
            csr["spec"]["username"] == "system:node:node2"
                && csr["spec"]["signerName"] == "kubernetes.io/kubelet-serving"
                && csr["status"]["conditions"].is_null()
        });
        let Some(name) = own.and_then(|csr| csr["metadata"]["name"].as_str()) else { return Ok(false) };
        cluster.kubectl(&["certificate", "deny", name]).map(|_| true)
    })?;
    one_node_serves(cluster, "node1")
}

/// Gives every kubelet a certificate of its own, and waits until metrics-server rejects it.
fn certificates(
    cluster: &Cluster,
    says: &str,
    make: impl Fn(&str, &str) -> (Option<Result<Ca>>, Certificate),
) -> Result<()> {
    for node in cluster.nodes() {
        let address = cluster.address(&node)?;
        let (ca, wanted) = make(&node, &address);
        let ca = ca.unwrap_or_else(|| cluster.ca())?;
        let pair =
            ca.issue(&wanted.common_name(format!("system:node:{node}")).organization("system:nodes"))?;
        pair.write(&cluster.path(&node, "/etc/kubernetes/pki/kubelet-serving"))?;
        cluster.kubelet_config(&node, |config| {
            config["serverTLSBootstrap"] = json!(false);
            config["tlsCertFile"] = json!("/etc/kubernetes/pki/kubelet-serving.crt");
            config["tlsPrivateKeyFile"] = json!("/etc/kubernetes/pki/kubelet-serving.key");
        })?;
    }
    cluster.wait_nodes_ready(WORKS)?;
    install(cluster)?;
    log_has(cluster, says)
}

/// Gives kube-apiserver another certificate to call extension servers with.
fn front_proxy_certificate(cluster: &Cluster, ca: &Ca, wanted: &Certificate) -> Result<()> {
    let pair = ca.issue(wanted)?;
    pair.write(&cluster.path("cp", "/etc/kubernetes/pki/front-proxy-client"))?;
    cluster.restart(Component::ApiServer, "cp")?;
    cluster.wait_api(WORKS)?;
    install(cluster)?;
    apiservice_says(cluster, "bad status from")
}

fn anonymous_admin(cluster: &Cluster) -> Result<()> {
    let binding = [
        "create",
        "clusterrolebinding",
        "anonymous-role-binding",
        "--clusterrole=cluster-admin",
        "--user=system:anonymous",
    ];
    cluster.kubectl(&binding).map(drop)
}
