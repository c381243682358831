//! Faults of machines, which the machines themselves show.

use anyhow::{Result, bail};
use cluster::{
    Cluster, Component, Firewall, IptablesBackend, MetricsServer, Options, ProxyMode, Refusal, set_flag,
};
use serde_json::json;

use super::fault::{
    SHOWS, WORKS, age_s, apiservice_says, install_on_node1, log_has, one_node_serves, working,
};

/// What the cluster of such a scenario starts with.
pub(super) fn options(name: &str, options: Options) -> Options {
    match name {
        "instances-healthy" | "instances-differ" => options.apiservers(2),
        "machines-nftables" => options.proxy_mode(ProxyMode::Nftables),
        "machines-forward-drop-legacy" | "probe-forward-drop-legacy" => {
            options.iptables(IptablesBackend::Legacy)
        }
        _ => options,
    }
}

/// Does what a scenario of two kube-apiservers says.
pub(super) fn instances(cluster: &Cluster, name: &str) -> Option<Result<()>> {
    let name = name.strip_prefix("instances-")?;
    let make = || match name {
        "healthy" => {
            working(cluster, &MetricsServer::default())?;
            // Not before all of them have found it so.
            cluster.wait("Available not to be new", SHOWS, || Ok(available_for_s(cluster)? > 50))
        }
        "differ" => {
            working(cluster, &MetricsServer::default())?;
            cluster.wait("Available not to be new", SHOWS, || Ok(available_for_s(cluster)? > 50))?;
            cluster.forget_routes_to_pods("cp2")?;
            cluster.wait("Available to come and go", SHOWS, || Ok(available_for_s(cluster)? < 20))?;
            // At first the second refuses without trying; then it tries, for five seconds each time.
            cluster.wait("the second to try again", SHOWS, || {
                let words =
                    ["kubectl", "get", "--raw", "/apis/metrics.k8s.io/v1beta1", "--request-timeout=2s"];
                let said = cluster.exec("cp2", &words)?;
                anyhow::ensure!(
                    !said.success() && !said.stderr.contains("currently unable"),
                    "{}",
                    said.stderr
                );
                Ok(true)
            })
        }
        _ => bail!("nobody knows how to make {name}"),
    };
    Some(make())
}

/// For how long the APIService has been what it is, in seconds.
fn available_for_s(cluster: &Cluster) -> Result<u64> {
    let object = cluster.get(&["apiservice", "v1beta1.metrics.k8s.io"])?;
    Ok(age_s(&object["status"]["conditions"][0]["lastTransitionTime"])?.unwrap_or_default())
}

/// Does what the scenario says.
pub(super) fn machines(cluster: &Cluster, name: &str) -> Option<Result<()>> {
    let name = name.strip_prefix("machines-")?;
    let make = || match name {
        "healthy" | "nftables" => working(cluster, &MetricsServer::default()),
        "forward-drop" => forward_drop(cluster, IptablesBackend::Nft),
        "forward-drop-legacy" => forward_drop(cluster, IptablesBackend::Legacy),
        "forward-drop-nftables" => {
            cluster.forward_drop("node1", Firewall::Nftables)?;
            install_on_node1(cluster)?;
            log_has(cluster, "i/o timeout")
        }
        "hazards" => hazards(cluster, "node2"),
        "cgroup-drivers" => {
            cluster.systemd_cgroups_in_runtime("node1")?;
            install_on_node1(cluster)?;
            event_says(cluster, "expected cgroupsPath to be of format")
        }
        "names-unresolved" => {
            cluster.name_api_server("node1")?;
            cluster.name_api_server("node2")?;
            works_on_node1(cluster)?;
            cluster.forget_api_server_name("node2")?;
            not_ready(cluster, "node2")?;
            log_has(cluster, "node=\"node2\"")
        }
        "wrong-address" => {
            let gone = "172.30.0.99";
            works_on_node1(cluster)?;
            cluster.announce_address("node2", gone)?;
            cluster.wait("the Node to announce it", SHOWS, || {
                Ok(cluster.get(&["node", "node2"])?["status"]["addresses"].to_string().contains(gone))
            })?;
            cluster.lose_address("node2", gone)?;
            log_has(cluster, gone)
        }
        "ip-forward-off" => ip_forward_off(cluster),
        "kube-proxy-gone" => {
            cluster.remove_kube_proxy("node1")?;
            install_on_node1(cluster)?;
            log_has(cluster, "dial tcp 10.96.0.1:443")
        }
        "kubelet-port-dropped" => {
            works_on_node1(cluster)?;
            let firewall = Firewall::Iptables(IptablesBackend::Nft);
            cluster.filter_kubelet_port("node2", "node1", Refusal::Drop, firewall)?;
            log_has(cluster, "node=\"node2\"")
        }
        "kubelet-port-rejected" => {
            works_on_node1(cluster)?;
            cluster.filter_kubelet_port("node2", "node1", Refusal::Reject, Firewall::Nftables)?;
            log_has(cluster, "no route to host")
        }
        "no-pod-route" => {
            works_on_node1(cluster)?;
            cluster.forget_routes_to_pods("cp")?;
            apiservice_says(cluster, "failing or missing response")
        }
        "kubelet-port-taken" => {
            works_on_node1(cluster)?;
            cluster.stop(Component::Kubelet, "node2")?;
            cluster.take_port("node2", 10250)?;
            cluster.start(Component::Kubelet, "node2")?;
            not_ready(cluster, "node2")?;
            log_has(cluster, "node=\"node2\"")
        }
        "kubelet-config-moved" => {
            works_on_node1(cluster)?;
            cluster.move_kubelet_config("node2", "/etc/kubernetes/kubelet.yaml", |config| {
                config["authentication"]["webhook"]["enabled"] = json!(false);
            })?;
            log_has(cluster, "401 Unauthorized")?;
            one_node_serves(cluster, "node1")
        }
        "kubelet-config-missing" => {
            works_on_node1(cluster)?;
            cluster.lose_kubelet_config("node2")?;
            not_ready(cluster, "node2")
        }
        "flag-unknown" => {
            works_on_node1(cluster)?;
            cluster.give_kubelet_flags("node1", "--network-plugin=cni --cni-bin-dir /opt/cni/bin --v=2")?;
            not_ready(cluster, "node1")
        }
        "front-proxy-expired" => {
            working(cluster, &MetricsServer::default())?;
            cluster.expire_front_proxy_certificate(Some("/etc/kubernetes/front-proxy"))?;
            apiservice_says(cluster, "bad status from")
        }
        _ => control_plane(cluster, name),
    };
    Some(make())
}

/// Faults of how kube-apiserver is started.
fn control_plane(cluster: &Cluster, name: &str) -> Result<()> {
    match name {
        "proxy" => {
            working(cluster, &MetricsServer::default())?;
            // As whoever set up the machine had it in his shell: the hosts' network, and not the cluster's own.
            let proxy = "http://172.30.0.2:3128";
            let without = "localhost,127.0.0.1,172.30.0.0/24";
            cluster.apiserver_environment("cp", &[("HTTPS_PROXY", proxy), ("NO_PROXY", without)])?;
            apiservice_says(cluster, "proxyconnect")
        }
        "manifest-unread" => {
            working(cluster, &MetricsServer::default())?;
            cluster.leave_manifest_unread("cp", |flags| {
                set_flag(flags, "--requestheader-allowed-names=front-proxy-client,aggregator");
            })
        }
        _ => bail!("nobody knows how to make {name}"),
    }
}

pub(super) fn works_on_node1(cluster: &Cluster) -> Result<()> {
    install_on_node1(cluster)?;
    cluster.wait_metrics_available(WORKS)?;
    one_node_serves(cluster, "node2")
}

/// What is wrong with a machine while the pipeline works.
fn hazards(cluster: &Cluster, node: &str) -> Result<()> {
    // The bridge of the pods comes with the first pod of a node.
    cluster.kubectl(&["create", "deployment", "web", "--image=registry.local/pause:1", "--replicas=2"])?;
    cluster.kubectl(&["rollout", "status", "deployment/web", "--timeout=2m"])?;
    works_on_node1(cluster)?;
    cluster.systemd_cgroups_in_runtime(node)?;
    cluster.forward_drop(node, Firewall::Iptables(IptablesBackend::Nft))?;
    cluster.bridge_netfilter_off(node)?;
    cluster.two_ways_and_strict(node)
}

fn not_ready(cluster: &Cluster, name: &str) -> Result<()> {
    cluster.wait(&format!("{name} not to be Ready"), SHOWS, || {
        let node = cluster.get(&["node", name])?;
        let conditions = node["status"]["conditions"].as_array().cloned().unwrap_or_default();
        Ok(conditions.iter().any(|it| it["type"] == "Ready" && it["status"] != "True"))
    })
}

/// Waits until an event of metrics-server's namespace says it.
fn event_says(cluster: &Cluster, words: &str) -> Result<()> {
    cluster.wait(&format!("an event that says {words:?}"), SHOWS, || {
        Ok(cluster.get(&["events", "-n", "kube-system"])?["items"].to_string().contains(words))
    })
}

/// The machine of a metrics-server that has just started forwards nothing.
fn ip_forward_off(cluster: &Cluster) -> Result<()> {
    works_on_node1(cluster)?;
    cluster.ip_forward_off("node1")?;
    cluster.end_metrics_server()?;
    log_has(cluster, "i/o timeout")
}

pub(super) fn forward_drop(cluster: &Cluster, backend: IptablesBackend) -> Result<()> {
    cluster.forward_drop("node1", Firewall::Iptables(backend))?;
    install_on_node1(cluster)?;
    log_has(cluster, "i/o timeout")
}
