//! Clusters in which pods look.

use anyhow::{Context, Result, bail};
use cluster::{
    Cluster, Dns, Firewall, IptablesBackend, MetricsServer, PROGRAM_IMAGE, Refusal, static_program,
};

use super::Plan;
use super::fault::{SHOWS, WORKS, log_has, working};
use super::machines::{forward_drop, works_on_node1};

/// Puts the program on every node: the one under test, or where that needs shared libraries, the static one of this tree.
pub(super) fn load_image(cluster: &Cluster, plan: &Plan) -> Result<()> {
    if cluster.load_program_image(&plan.program, PROGRAM_IMAGE).is_ok() {
        return Ok(());
    }
    let program =
        static_program().context("the program under test is not static, and there is no static one")?;
    cluster.load_program_image(&program, PROGRAM_IMAGE)
}

/// Does what the scenario says.
pub(super) fn probes(cluster: &Cluster, name: &str) -> Option<Result<()>> {
    let make = || match name {
        "probe-healthy" => working(cluster, &MetricsServer::default()),
        "probe-names-healthy" => by_names(cluster),
        "dns-silent" => {
            by_names(cluster)?;
            cluster.silence_dns()?;
            cluster.restart_metrics_server()?;
            // Most of the time its own patience ends before the resolver's.
            log_has(cluster, "Failed to scrape node")
        }
        "dns-without-endpoints" => {
            by_names(cluster)?;
            cluster.remove_dns_endpoints()?;
            cluster.wait("the name server to be gone", SHOWS, || {
                let pods = cluster.get(&["pods", "-n", "kube-system", "-l", "k8s-app=kube-dns"])?;
                Ok(pods["items"].as_array().is_some_and(Vec::is_empty))
            })?;
            cluster.restart_metrics_server()?;
            log_has(cluster, "lookup node")
        }
        "probe-forward-drop" => forward_drop(cluster, IptablesBackend::Nft),
        "probe-forward-drop-legacy" => forward_drop(cluster, IptablesBackend::Legacy),
        "probe-kubelet-port-dropped" => {
            works_on_node1(cluster)?;
            let firewall = Firewall::Iptables(IptablesBackend::Nft);
            cluster.filter_kubelet_port("node2", "node1", Refusal::Drop, firewall)?;
            log_has(cluster, "node=\"node2\"")
        }
        _ => bail!("nobody knows how to make {name}"),
    };
    (name.starts_with("probe-") || name.starts_with("dns-")).then(make)
}

/// A pipeline that works, with a metrics-server that dials kubelets by their names.
fn by_names(cluster: &Cluster) -> Result<()> {
    cluster.install_dns(Dns { host_names: true })?;
    cluster.wait_dns(WORKS)?;
    working(
        cluster,
        &MetricsServer {
            removed_args: vec!["--kubelet-preferred-address-types".to_owned()],
            extra_args: vec!["--kubelet-preferred-address-types=Hostname".to_owned()],
            ..MetricsServer::default()
        },
    )
}
