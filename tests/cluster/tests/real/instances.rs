//! Two kube-apiservers behind one etcd, and one of them without a way to the pods.

use anyhow::{Result, ensure};
use cluster::{Cluster, Component, MetricsServer, Options, Serving, Vantage};

use crate::{MINUTES, connects, metrics_server};

const METRICS: &str = "/apis/metrics.k8s.io/v1beta1";

/// Asks the kube-apiserver of a host for a path, with the administrator's certificate there.
fn ask(cluster: &Cluster, host: &str, path: &str) -> Result<bool> {
    let words = ["kubectl", "get", "--raw", path, "--request-timeout=4s"];
    Ok(cluster.exec(host, &words)?.success())
}

#[test]
fn two_kube_apiservers_answer_and_one_can_lose_the_pods() -> Result<()> {
    let options = Options::new("harness-i").apiservers(2).serving(&Serving::Bootstrapped);
    let cluster = Cluster::up(&options)?;
    cluster.install_metrics_server(&MetricsServer::default())?;
    cluster.wait_metrics_available(MINUTES)?;
    ensure!(cluster.control_planes() == ["cp", "cp2"]);

    // Both are behind the Service, each with a certificate for its own address, signed by the cluster's CA.
    let slices =
        cluster.get(&["endpointslices", "-n", "default", "-l", "kubernetes.io/service-name=kubernetes"])?;
    let mut behind: Vec<&str> = Vec::new();
    for slice in slices["items"].as_array().into_iter().flatten() {
        for endpoint in slice["endpoints"].as_array().into_iter().flatten() {
            behind
                .extend(endpoint["addresses"].as_array().into_iter().flatten().filter_map(|it| it.as_str()));
        }
    }
    behind.sort_unstable();
    let mut expected = [cluster.address("cp")?, cluster.address("cp2")?];
    expected.sort();
    ensure!(behind == expected, "{behind:?}");
    for host in cluster.control_planes() {
        let address = cluster.address(&host)?;
        let verify = format!(
            "openssl s_client -connect {address}:6443 -CAfile /etc/kubernetes/pki/ca.crt -verify_ip {address} -verify_return_error </dev/null"
        );
        cluster.shell("node1", &verify)?.ok()?;
        ensure!(ask(&cluster, &host, "/readyz")? && ask(&cluster, &host, METRICS)?, "{host}");
    }
    let pids = |host: &str, program: &str| -> Result<usize> {
        Ok(cluster.exec(host, &["pidof", program])?.stdout.split_whitespace().count())
    };
    for (host, program, count) in
        [("cp2", "kube-apiserver", 1), ("cp2", "etcd", 0), ("cp2", "kubelet", 0), ("cp", "kube-apiserver", 1)]
    {
        ensure!(pids(host, program)? == count, "{program} on {host}");
    }

    // From outside only the first is reached.
    for (vantage, reached) in [(Vantage::Nodes, true), (Vantage::ApiOnly, false)] {
        let second = format!("{}:6443", cluster.address("cp2")?);
        ensure!(connects(&cluster, &vantage, &second)? == reached, "{vantage:?}");
    }

    let (_, _, pod) = metrics_server(&cluster)?;
    let dial = |host: &str| connects(&cluster, &Vantage::Host(host.to_owned()), &format!("{pod}:10250"));
    ensure!(dial("cp")? && dial("cp2")?, "before the fault");
    cluster.forget_routes_to_pods("cp2")?;
    ensure!(dial("cp")? && !dial("cp2")?, "without a route");
    ensure!(cluster.forget_routes_to_pods("node1").is_err(), "a node has its own");
    cluster.wait("the second to give no metrics", MINUTES, || Ok(!ask(&cluster, "cp2", METRICS)?))?;
    cluster.restore_routes_to_pods("cp2")?;
    cluster.wait("both to give metrics", MINUTES, || {
        Ok(ask(&cluster, "cp", METRICS)? && ask(&cluster, "cp2", METRICS)?)
    })?;
    // One that ends leaves the Service, and the other stays.
    cluster.stop(Component::ApiServer, "cp2")?;
    ensure!(ask(&cluster, "cp", "/readyz")?);
    cluster.start(Component::ApiServer, "cp2")?;
    cluster.wait_apiservers(MINUTES)?;
    cluster.down()
}
