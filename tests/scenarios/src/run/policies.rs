//! NetworkPolicies, and what a network that enforces them would do.
//!
//! The reference cluster's network enforces none. Where a scenario wants that, the same packets are dropped by rules in
//! the pod's own network namespace, which is where a network plugin stands as well. Where the cure is a policy too, the cluster
//! is told to enforce those that come.

use anyhow::{Context, Result, bail};
use cluster::{Cluster, MetricsServer, NetworkPolicy};

use super::fault::{apiservice_says, install_on_node1, log_has, working};

/// Lets nothing in and nothing out.
const DENY_ALL: &str = "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: default-deny, namespace: kube-system}\nspec:\n  podSelector: {}\n  policyTypes: [Ingress, Egress]\n";

/// Lets pods of the cluster in, which kube-apiserver is none of.
const FROM_PODS: &str = "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: from-pods, namespace: kube-system}\nspec:\n  podSelector: {}\n  policyTypes: [Ingress]\n  ingress:\n    - from: [{namespaceSelector: {}}]\n";

/// Lets nobody in to metrics-server. A range of pods would leave open whether kube-apiserver sends from one of its addresses.
const LET_NOBODY_IN: &str = "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: let-nobody-in, namespace: kube-system}\nspec:\n  podSelector: {matchLabels: {k8s-app: metrics-server}}\n  policyTypes: [Ingress]\n";

/// Scenarios of policies.
pub(super) fn policies(cluster: &Cluster, name: &str) -> Option<Result<()>> {
    let make = || match name {
        "network-policy-not-enforced" => {
            working(cluster, &MetricsServer::default())?;
            cluster.apply(DENY_ALL)
        }
        "network-policy-egress" => {
            working(cluster, &MetricsServer::default())?;
            cluster.apply(DENY_ALL)?;
            let node = node_of_pod(cluster)?;
            let own = cluster.address(&node)?;
            in_pod(
                cluster,
                &node,
                &format!(
                    "iptables -A OUTPUT -o lo -j ACCEPT\niptables -A OUTPUT -d {own} -j ACCEPT\niptables -A OUTPUT -m conntrack --ctstate ESTABLISHED,RELATED -j ACCEPT\niptables -P OUTPUT DROP"
                ),
            )?;
            cluster.shell(&node, "pkill -x metrics-server")?.ok()?;
            log_has(cluster, "i/o timeout")
        }
        "network-policy-kubelets" => {
            install_on_node1(cluster)?;
            cluster.wait_metrics_available(std::time::Duration::from_mins(3))?;
            let api = cluster.address("cp")?;
            cluster.apply(DENY_ALL)?;
            cluster.apply(&format!(
                "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {{name: to-the-api, namespace: kube-system}}\nspec:\n  podSelector: {{matchLabels: {{k8s-app: metrics-server}}}}\n  policyTypes: [Ingress, Egress]\n  ingress: [{{}}]\n  egress:\n    - to: [{{ipBlock: {{cidr: {api}/32}}}}, {{ipBlock: {{cidr: 10.96.0.1/32}}}}]\n"
            ))?;
            let other = cluster.address("node2")?;
            in_pod(cluster, "node1", &format!("iptables -A OUTPUT -d {other} -j DROP"))?;
            log_has(cluster, "node=\"node2\"")
        }
        "network-policy-ingress" => {
            working(cluster, &MetricsServer::default())?;
            cluster.apply(FROM_PODS)?;
            let node = node_of_pod(cluster)?;
            let api = cluster.address("cp")?;
            in_pod(cluster, &node, &format!("iptables -A INPUT -s {api} -j DROP"))?;
            apiservice_says(cluster, "failing or missing response")
        }
        "network-policy-egress-cured" => {
            working(cluster, &MetricsServer::default())?;
            cluster.forbid(NetworkPolicy::EgressWithoutApi)?;
            cluster.restart_metrics_server()?;
            log_has(cluster, "i/o timeout")
        }
        "network-policy-ingress-cured" => {
            working(cluster, &MetricsServer::default())?;
            cluster.enforce_network_policies()?;
            cluster.apply(LET_NOBODY_IN)?;
            cluster.wait_policies_enforced(std::time::Duration::from_secs(30))?;
            cluster.restart_metrics_server()?;
            apiservice_says(cluster, "failing or missing response")
        }
        _ => bail!("not one of these"),
    };
    matches!(
        name,
        "network-policy-not-enforced"
            | "network-policy-egress"
            | "network-policy-kubelets"
            | "network-policy-ingress"
            | "network-policy-egress-cured"
            | "network-policy-ingress-cured"
    )
    .then(make)
}

/// The node that metrics-server's pod runs on.
fn node_of_pod(cluster: &Cluster) -> Result<String> {
    let pods = cluster.get(&["pods", "-n", "kube-system", "-l", "k8s-app=metrics-server"])?;
    let node = pods["items"][0]["spec"]["nodeName"].as_str().map(str::to_owned);
    node.context("metrics-server's pod is on no node")
}

/// Runs a script in the network of metrics-server's pod, which outlives its containers.
fn in_pod(cluster: &Cluster, node: &str, script: &str) -> Result<()> {
    let script = format!("nsenter -t \"$(pgrep -x metrics-server | head -n 1)\" -n sh -ec '{script}'");
    cluster.shell(node, &script)?.ok().with_context(|| format!("in the pod on {node}"))?;
    Ok(())
}
