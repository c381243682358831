//! Faults of the cluster's DNS, where there is one.

use anyhow::{Result, ensure};

use crate::cluster::Cluster;
use crate::kubectl::items;

const DEPLOYMENT: &str = "deployment/cluster-dns";

impl Cluster {
    /// The DNS does not answer: its pods run, and what they are asked vanishes. Who asks waits until its patience ends.
    ///
    /// # Errors
    /// When there is no DNS, or its pods' network cannot be entered.
    pub fn silence_dns(&self) -> Result<()> {
        let pods = self.get(&["pods", "-n", "kube-system", "-l", "k8s-app=kube-dns"])?;
        let names: Vec<&str> = items(&pods).filter_map(|pod| pod["metadata"]["name"].as_str()).collect();
        ensure!(!names.is_empty(), "the cluster has no DNS; install it first");
        for name in names {
            // The kubelet's probe comes from the bridge, over TCP: the pod stays Ready.
            let script = "probe=$(ip route | sed -n 's/^default via \\([0-9.]*\\).*/\\1/p') && \
                          iptables -I INPUT -p udp --dport 53 -j DROP && \
                          iptables -I INPUT ! -s $probe -p tcp --dport 53 -j DROP";
            self.exec_in_pod_network("kube-system", name, &["sh", "-c", script])?.ok()?;
        }
        Ok(())
    }

    /// The Service of the DNS has no endpoints, so that kube-proxy refuses whatever is sent to it.
    ///
    /// # Errors
    /// When there is no DNS.
    pub fn remove_dns_endpoints(&self) -> Result<()> {
        self.kubectl(&["-n", "kube-system", "scale", DEPLOYMENT, "--replicas=0"]).map(drop)
    }
}
