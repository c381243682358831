//! What a person does who follows a cure that is words, no command.

use anyhow::{Result, bail};
use cluster::{Cluster, Component};

/// Follows the cure of a scenario.
pub(super) fn follow(cluster: &Cluster, name: &str) -> Result<()> {
    match name {
        "machines-no-pod-route" => cluster.restore_routes_to_pods("cp"),
        "machines-kubelet-port-taken" => cluster
            .shell("node2", "systemctl disable --now other-program && systemctl restart kubelet")?
            .ok()
            .map(drop),
        "machines-manifest-unread" => cluster.read_manifests_again("cp"),
        "hpa-controller-stopped" => cluster.start(Component::ControllerManager, "cp"),
        _ => bail!("nobody knows how to follow the cure of {name}"),
    }
}
