//! The network namespaces of pods.

use anyhow::{Context, Result};

use crate::cluster::Cluster;
use crate::run::Output;

/// Where containerd keeps a node's network namespaces.
pub(crate) const NAMESPACES: &str = "/run/netns";

impl Cluster {
    /// Runs a program of a pod's node in the pod's network, as the node's root.
    ///
    /// # Errors
    /// When there is no such pod, it has no address yet, or the program cannot be started; its failure is no error.
    pub fn exec_in_pod_network(&self, namespace: &str, pod: &str, argv: &[&str]) -> Result<Output> {
        let object = self.get(&["pod", "-n", namespace, pod])?;
        let node = object["spec"]["nodeName"].as_str().context("the pod has no node yet")?;
        let address = object["status"]["podIP"].as_str().context("the pod has no address yet")?;
        let find = format!(
            "for file in {NAMESPACES}/*; do nsenter --net=$file ip -o -4 address | grep -qwF {address} && echo $file; done"
        );
        let found = self.shell(node, &find)?.stdout;
        let file = found.lines().next().with_context(|| format!("{pod} has no network on {node}"))?;
        let enter = format!("--net={file}");
        self.exec(node, &[&["nsenter", &*enter, "--"], argv].concat())
    }
}
