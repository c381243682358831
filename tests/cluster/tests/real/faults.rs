//! Every fault of the hosts, each seen where it hurts and undone again; on hosts whose `iptables` is the legacy one.

use anyhow::{Context, Result, ensure};
use cluster::{
    Cluster, Component, Firewall, IptablesBackend, MetricsServer, Options, Refusal, Serving, Vantage,
};

use crate::{MINUTES, connects, metrics_server, says};

const FIREWALLS: [Firewall; 3] = [
    Firewall::Iptables(IptablesBackend::Nft),
    Firewall::Iptables(IptablesBackend::Legacy),
    Firewall::Nftables,
];
const API: &str = "10.96.0.1:443";

fn undo(firewall: Firewall, chain: &str) -> String {
    match firewall {
        Firewall::Iptables(backend) => {
            let iptables = format!("iptables-{}", backend.name());
            // kube-proxy's rules stand in the same chain; it writes them again within its 30 seconds, and what is
            // asked here passes without them.
            format!("{iptables} -P {chain} ACCEPT && {iptables} -F {chain}")
        }
        Firewall::Nftables => "nft delete table inet firewall".to_owned(),
    }
}

/// Whether metrics-server's pod reaches an address, from its own network.
fn pod_reaches(cluster: &Cluster, address: &str) -> Result<bool> {
    let (pod, _, _) = metrics_server(cluster)?;
    let script = format!("exec 3<>/dev/tcp/{}", address.replace(':', "/"));
    let words = ["timeout", "2", "bash", "-c", &script];
    Ok(cluster.exec_in_pod_network("kube-system", &pod, &words)?.success())
}

/// What comes of a connection from a host.
fn dial(cluster: &Cluster, host: &str, address: &str) -> Result<String> {
    let script = format!("exec 3<>/dev/tcp/{}", address.replace(':', "/"));
    let output = cluster.exec(host, &["timeout", "3", "bash", "-c", &script])?;
    Ok(match output.code {
        0 => "connected".to_owned(),
        124 => "timed out".to_owned(),
        _ => output.stderr,
    })
}

fn on(host: &str) -> Vantage {
    Vantage::Host(host.to_owned())
}

#[test]
fn the_faults_of_hosts_show_where_they_hurt() -> Result<()> {
    let options = Options::new("harness-g").serving(&Serving::Bootstrapped).iptables(IptablesBackend::Legacy);
    let cluster = Cluster::up(&options)?;
    cluster.install_metrics_server(&MetricsServer::default())?;
    cluster.wait_metrics_available(MINUTES)?;
    let saved = |backend: &str| cluster.shell("node1", &format!("iptables-{backend}-save"))?.ok();
    ensure!(
        saved("legacy")?.contains("KUBE-SVC") && !saved("nft")?.contains("KUBE"),
        "kube-proxy's back end"
    );

    processes(&cluster)?;
    network(&cluster)?;
    kube_proxy(&cluster)?;
    kubelet_config(&cluster)?;

    cluster.expire_front_proxy_certificate(Some("/etc/kubernetes/other"))?;
    says(&cluster, "bad status from")?;
    let valid = |path: &str| -> Result<bool> {
        let words = ["openssl", "x509", "-noout", "-checkend", "0", "-in", path];
        Ok(cluster.exec("cp", &words)?.success())
    };
    ensure!(valid("/etc/kubernetes/pki/front-proxy-client.crt")?, "a good one stays in its place");
    ensure!(!valid("/etc/kubernetes/other/front-proxy-client.crt")?);
    let flags = cluster.shell("cp", "tr '\\0' '\\n' < /proc/$(pidof kube-apiserver)/cmdline")?.ok()?;
    ensure!(
        flags.contains("--proxy-client-cert-file=/etc/kubernetes/other/front-proxy-client.crt\n"),
        "{flags}"
    );
    cluster.down()
}

/// A host sees its own processes, its pods' among them, and nobody else's.
fn processes(cluster: &Cluster) -> Result<()> {
    let (_, node, _) = metrics_server(cluster)?;
    for host in ["cp", "node1", "node2"] {
        let pids = |program: &str| -> Result<usize> {
            Ok(cluster.exec(host, &["pidof", program])?.stdout.split_whitespace().count())
        };
        ensure!(pids("kubelet")? == usize::from(host != "cp"), "kubelets on {host}");
        ensure!(pids("kube-apiserver")? == usize::from(host == "cp"), "API servers on {host}");
        ensure!(pids("kube-proxy")? == 1, "kube-proxies on {host}");
        ensure!(pids("metrics-server")? == usize::from(host == node), "metrics-servers on {host}");
        ensure!(
            cluster.exec(host, &["cat", "/proc/1/comm"])?.stdout.trim() == "cluster",
            "the keeper of {host}"
        );
    }
    let shown = cluster.exec("node1", &["systemctl", "show", "kubelet"])?.ok()?;
    let pid = cluster.exec("node1", &["pidof", "kubelet"])?.ok()?;
    ensure!(shown.contains(&format!("MainPID={}\n", pid.trim())), "{shown}");
    ensure!(shown.contains("DropInPaths=/etc/systemd/system/kubelet.service.d/10-kubeadm.conf\n"), "{shown}");
    let value =
        cluster.exec("node1", &["systemctl", "show", "-p", "FragmentPath", "--value", "kubelet"])?.ok()?;
    ensure!(value == "/usr/lib/systemd/system/kubelet.service\n", "{value}");
    let text = cluster.exec("node1", &["systemctl", "cat", "kubelet"])?.ok()?;
    ensure!(text.contains("# /usr/lib/systemd/system/kubelet.service\n[Unit]\n"), "{text}");
    ensure!(text.contains("--config=/var/lib/kubelet/config.yaml"), "{text}");
    // An orphan is collected by the host's first process.
    cluster.shell("node1", "(sleep 0.2 &) ; sleep 1")?.ok()?;
    let zombies = cluster.shell("node1", "ps -eo stat= | grep -c ^Z")?.stdout;
    ensure!(zombies.trim() == "0", "{zombies} zombies");
    Ok(())
}

fn network(cluster: &Cluster) -> Result<()> {
    let (_, node, address) = metrics_server(cluster)?;
    let other = if node == "node1" { "node2" } else { "node1" };
    ensure!(pod_reaches(cluster, API)?, "before the faults");
    for firewall in FIREWALLS {
        cluster.forward_drop(&node, firewall)?;
        ensure!(!pod_reaches(cluster, API)?, "{firewall:?} forwards");
        cluster.shell(&node, &undo(firewall, "FORWARD"))?.ok()?;
        ensure!(pod_reaches(cluster, API)?, "{firewall:?} is undone");
    }
    cluster.ip_forward_off(&node)?;
    ensure!(!pod_reaches(cluster, API)?, "forwarding is off");
    cluster.shell(&node, "sysctl -q -w net.ipv4.ip_forward=1")?.ok()?;

    let kubelet = format!("{}:10250", cluster.address(other)?);
    for firewall in FIREWALLS {
        for refusal in [Refusal::Drop, Refusal::Reject] {
            cluster.filter_kubelet_port(other, &node, refusal, firewall)?;
            let said = dial(cluster, &node, &kubelet)?;
            let expected = match refusal {
                Refusal::Drop => "timed out",
                Refusal::Reject => "No route to host",
            };
            ensure!(said.contains(expected), "{firewall:?} {refusal:?}: {said}");
            ensure!(!pod_reaches(cluster, &kubelet)?, "{firewall:?} {refusal:?} and the pods");
            ensure!(
                connects(cluster, &on("cp"), &kubelet)?,
                "{firewall:?} {refusal:?} and the control plane"
            );
            cluster.shell(other, &undo(firewall, "INPUT"))?.ok()?;
            ensure!(connects(cluster, &on(&node), &kubelet)?, "{firewall:?} {refusal:?} is undone");
        }
    }

    let pod = format!("{address}:10250");
    ensure!(connects(cluster, &on("cp"), &pod)?);
    cluster.forget_routes_to_pods("cp")?;
    ensure!(!connects(cluster, &on("cp"), &pod)?, "without a route");
    ensure!(connects(cluster, &on(other), &pod)?, "nodes have theirs");
    cluster.restore_routes_to_pods("cp")?;
    ensure!(connects(cluster, &on("cp"), &pod)?, "with the route");
    Ok(())
}

fn kube_proxy(cluster: &Cluster) -> Result<()> {
    let (_, node, _) = metrics_server(cluster)?;
    cluster.remove_kube_proxy(&node)?;
    ensure!(!cluster.exec(&node, &["pidof", "kube-proxy"])?.success(), "it runs");
    for backend in ["nft", "legacy"] {
        let rules = cluster.shell(&node, &format!("iptables-{backend}-save"))?.ok()?;
        ensure!(!rules.contains("KUBE-SVC") && !rules.contains("KUBE-SERVICES"), "{rules}");
    }
    ensure!(!pod_reaches(cluster, API)?, "Services without kube-proxy");
    // Another back end for what is written from now on.
    cluster.set_iptables(&node, IptablesBackend::Nft)?;
    cluster.start(Component::KubeProxy, &node)?;
    cluster.wait("kube-proxy's rules", MINUTES, || pod_reaches(cluster, API))?;
    let rules = cluster.shell(&node, "iptables-nft-save")?.ok()?;
    ensure!(rules.contains("KUBE-SVC"), "{rules}");
    Ok(())
}

fn kubelet_config(cluster: &Cluster) -> Result<()> {
    let capacity = |expected: &str| {
        cluster.wait(&format!("room for {expected} pods"), MINUTES, || {
            Ok(cluster.get(&["node", "node2"])?["status"]["capacity"]["pods"] == expected)
        })
    };
    let command_line = || cluster.shell("node2", "tr '\\0' '\\n' < /proc/$(pidof kubelet)/cmdline")?.ok();
    let elsewhere = "/etc/kubernetes/kubelet.yaml";
    cluster.move_kubelet_config("node2", elsewhere, |config| config["maxPods"] = 77.into())?;
    capacity("77")?;
    let flags = command_line()?;
    ensure!(flags.contains(&format!("--config={elsewhere}\n")), "{flags}");
    ensure!(!flags.contains("/var/lib/kubelet/config.yaml"), "{flags}");
    let decoy = cluster.shell("node2", "cat /var/lib/kubelet/config.yaml")?.ok()?;
    ensure!(!decoy.contains("maxPods"), "{decoy}");

    let before = cluster.starts(Component::Kubelet, "node2")?;
    cluster.lose_kubelet_config("node2")?;
    cluster.wait(
        "a crash loop",
        MINUTES,
        || Ok(cluster.starts(Component::Kubelet, "node2")? > before + 2),
    )?;
    let log = cluster.log(Component::Kubelet, "node2")?;
    let lines = log.lines().rev().take(60).collect::<Vec<_>>();
    let said = lines.iter().find(|line| line.contains("kubelet-config-that-is-not-there.yaml"));
    said.context("the kubelet names the file that it misses")?;
    cluster.restore_kubelet_config("node2")?;
    capacity("110")?;
    ensure!(command_line()?.contains("--config=/var/lib/kubelet/config.yaml\n"));
    cluster.wait_nodes_ready(MINUTES)
}
