//! What runs in pods: the program's image, the DNS, and policies; with kube-proxy in its nftables mode.

use anyhow::{Context, Result, ensure};
use cluster::{
    Cluster, Component, Dns, MetricsServer, NetworkPolicy, Options, PROGRAM_IMAGE, ProxyMode, Serving,
    Vantage, static_program,
};
use serde_json::json;

use crate::{MINUTES, metrics_server, says};

/// A pod that runs the program with the rights that a probe has, and asks the API server by its name.
fn pod() -> String {
    let mount = "/var/run/secrets/kubernetes.io/serviceaccount";
    let kubeconfig = json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "in",
        "clusters": [{"name": "in", "cluster": {
            "server": "https://kubernetes.default.svc.cluster.local",
            "certificate-authority": format!("{mount}/ca.crt"),
        }}],
        "users": [{"name": "in", "user": {"tokenFile": format!("{mount}/token")}}],
        "contexts": [{"name": "in", "context": {"cluster": "in", "user": "in"}}],
    });
    json!({"apiVersion": "v1", "kind": "List", "items": [
        {
            "apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "by-name"},
            "data": {"config": kubeconfig.to_string()},
        },
        {
            "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "program"},
            "spec": {
                "restartPolicy": "Never",
                "containers": [{
                    "name": "program", "image": PROGRAM_IMAGE, "imagePullPolicy": "Never",
                    "args": ["check", "-o", "json"],
                    "env": [{"name": "KUBECONFIG", "value": "/by-name/config"}],
                    "securityContext": {
                        "runAsNonRoot": true, "readOnlyRootFilesystem": true,
                        "allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]},
                    },
                    "volumeMounts": [{"name": "by-name", "mountPath": "/by-name"}],
                }],
                "volumes": [{"name": "by-name", "configMap": {"name": "by-name"}}],
            },
        },
    ]})
    .to_string()
}

/// The hosts' own filters, of both back ends, without the counters and what kube-proxy and the kubelet write.
fn filters(cluster: &Cluster) -> Result<String> {
    let mut all = String::new();
    for node in cluster.nodes() {
        let script = "for family in nft legacy; do iptables-$family-save -t filter; done; nft list tables";
        let text = cluster.shell(&node, script)?.ok()?;
        all.extend(text.lines().filter(|line| !line.starts_with(['#', ':'])).map(|line| format!("{line}\n")));
    }
    Ok(all)
}

#[test]
fn a_pod_runs_the_program_and_policies_bind_it_where_no_host_shows_them() -> Result<()> {
    let program = static_program()?;
    let size = std::fs::metadata(&program)?.len();
    ensure!(size < 15_000_000, "{size} bytes");
    let options = Options::new("harness-f").serving(&Serving::Bootstrapped).proxy_mode(ProxyMode::Nftables);
    let cluster = Cluster::up(&options)?;
    cluster.install_dns(Dns { host_names: true })?;
    cluster.load_program_image(&program, PROGRAM_IMAGE)?;
    cluster.install_metrics_server(&MetricsServer::default())?;
    cluster.wait_dns(MINUTES)?;

    // kube-proxy works, and not through iptables.
    let rules = cluster.shell("node1", "iptables-save")?.ok()?;
    ensure!(!rules.contains("KUBE-SVC"), "{rules}");
    let table = cluster.shell("node1", "nft list table ip kube-proxy")?.ok()?;
    ensure!(table.contains("10.96.0.10"), "{table}");

    // A pod that nobody pulls, from an empty root, as nobody; it resolves the name and knows the certificate.
    cluster.apply(&pod())?;
    cluster.wait("the program to end", MINUTES, || {
        let pod = cluster.get(&["pod", "program"])?;
        ensure!(
            pod["status"]["containerStatuses"][0]["state"]["terminated"].is_object(),
            "{}",
            pod["status"]
        );
        Ok(true)
    })?;
    let document: serde_json::Value = serde_json::from_str(&cluster.kubectl(&["logs", "program"])?)?;
    let vantage = &document["vantage"];
    ensure!(vantage["caller"] == "system:serviceaccount:default:default", "{vantage} {}", document["error"]);
    ensure!(vantage["server"] == "https://kubernetes.default.svc.cluster.local", "{vantage}");
    ensure!(document["cluster"]["version"] == cluster::KUBERNETES_VERSION, "{}", document["cluster"]);
    let dynamic = std::env::current_exe()?;
    ensure!(cluster.load_program_image(&dynamic, PROGRAM_IMAGE).is_err(), "it needs shared libraries");

    // The DNS knows a Service that came after it, and a host; what it does not know does not exist.
    let ask = |name: &str| -> Result<String> {
        let words = ["timeout", "3", "busybox", "nslookup", name, "10.96.0.10"];
        let said = cluster.exec("node2", &words)?;
        Ok(said.stdout + &said.stderr)
    };
    let service = cluster.get(&["service", "-n", "kube-system", "metrics-server"])?;
    let address = service["spec"]["clusterIP"].as_str().unwrap_or("none").to_owned();
    for (name, expected) in [
        ("metrics-server.kube-system.svc.cluster.local", &*address),
        ("node1", "172.30.0.11"),
        ("nobody.kube-system.svc.cluster.local", "NXDOMAIN"),
    ] {
        cluster.wait(&format!("{name} to be {expected}"), MINUTES, || {
            let said = ask(name)?;
            ensure!(said.contains(expected), "{said}");
            Ok(true)
        })?;
    }
    cluster.wait_metrics_available(MINUTES)?;

    cluster.remove_kube_proxy("node1")?;
    let tables = cluster.shell("node1", "nft list tables")?.ok()?;
    ensure!(!tables.contains("kube-proxy"), "{tables}");
    ensure!(!crate::connects(&cluster, &Vantage::Host("node1".into()), "10.96.0.1:443")?);
    cluster.start(Component::KubeProxy, "node1")?;
    cluster.wait_dns(MINUTES)?;

    policies(&cluster)?;

    cluster.silence_dns()?;
    let said = ask("node1")?;
    ensure!(!said.contains("172.30.0.11") && !said.contains("refused"), "{said}");
    let dns = cluster.get(&["pods", "-n", "kube-system", "-l", "k8s-app=kube-dns"])?;
    ensure!(dns["items"][0]["status"]["containerStatuses"][0]["ready"] == true, "{dns}");
    cluster.remove_dns_endpoints()?;
    let dial = ["timeout", "3", "bash", "-c", "exec 3<>/dev/tcp/10.96.0.10/53"];
    cluster.wait("nobody to be there", MINUTES, || {
        let said = cluster.exec("node2", &dial)?;
        ensure!(said.stderr.contains("Connection refused"), "{}", said.stderr);
        Ok(true)
    })?;
    cluster.down()
}

fn policies(cluster: &Cluster) -> Result<()> {
    let before = filters(cluster)?;
    let log = |cluster: &Cluster| {
        let words = ["-n", "kube-system", "logs", "-l", "k8s-app=metrics-server", "--tail=-1"];
        cluster.kubectl(&words)
    };
    let (old, _, _) = metrics_server(cluster)?;
    cluster.forbid(NetworkPolicy::EgressWithoutApi)?;
    cluster.restart_metrics_server()?;
    cluster.wait("a new metrics-server that cannot reach the API server", MINUTES, || {
        let (name, _, _) = metrics_server(cluster)?;
        let said = log(cluster)?;
        ensure!(name != old && said.contains("dial tcp 10.96.0.1:443: i/o timeout"), "{name}: {said}");
        // The plugin was there before the container.
        ensure!(!said.contains("Serving securely"), "{said}");
        Ok(true)
    })?;
    ensure!(filters(cluster)? == before, "a host's filter shows it");
    // Pods that no policy selects start as always, and reach what they like.
    cluster.deploy_workload("team", "web", None)?;
    cluster.kubectl(&["-n", "team", "rollout", "status", "deployment/web", "--timeout=60s"])?;
    let pods = cluster.get(&["pods", "-n", "team"])?;
    let pod = pods["items"][0]["metadata"]["name"].as_str().context("a pod")?;
    let dial = ["timeout", "3", "bash", "-c", "exec 3<>/dev/tcp/10.96.0.1/443"];
    cluster.exec_in_pod_network("team", pod, &dial)?.ok()?;
    // Whoever deletes the policy has cured it.
    cluster.kubectl(&["-n", "kube-system", "delete", "networkpolicy", "metrics-server-egress"])?;
    cluster.restart_metrics_server()?;
    cluster.wait_metrics_available(MINUTES)?;

    cluster.forbid(NetworkPolicy::IngressWithoutControlPlane)?;
    // Connections that kube-apiserver has to the old pod would live on.
    cluster.restart_metrics_server()?;
    says(cluster, "failing or missing response")?;
    let (name, _, address) = metrics_server(cluster)?;
    let ready = cluster.get(&["pod", "-n", "kube-system", &name])?;
    ensure!(ready["status"]["containerStatuses"][0]["ready"] == true, "the kubelet still gets through");
    ensure!(!crate::connects(cluster, &Vantage::Host("cp".into()), &format!("{address}:10250"))?);
    ensure!(filters(cluster)? == before, "a host's filter shows it");
    cluster.kubectl(&["-n", "kube-system", "delete", "networkpolicy", "metrics-server-ingress"])?;
    cluster.wait_metrics_available(MINUTES)
}
