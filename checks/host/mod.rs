//! Beneath the chain: the machines, looked at from within.

mod alone;
pub(crate) mod apiserver_flags_not_running;
pub(crate) mod bridge_netfilter_off;
mod cgroup;
pub(crate) mod cgroup_drivers_differ;
pub(crate) mod cgroup_drivers_hazard;
mod clock;
pub(crate) mod component_flag_removed;
pub(crate) mod component_flag_unknown;
pub(crate) mod conntrack_full;
pub(crate) mod control_plane_without_pod_route;
mod flags;
pub(crate) mod forward_policy_drop;
mod forwarding;
pub(crate) mod forwarding_hazard;
pub(crate) mod host_clock_drifting;
pub(crate) mod host_clock_wrong;
pub(crate) mod host_names_unresolved;
pub(crate) mod ip_forward_off;
pub(crate) mod kube_proxy_not_programming;
pub(crate) mod kubelet_config_missing;
pub(crate) mod kubelet_config_not_read;
pub(crate) mod kubelet_not_listening_there;
pub(crate) mod kubelet_port_filtered;
pub(crate) mod kubelet_port_taken;
mod place;
pub(crate) mod proxy_catches_cluster;
pub(crate) mod reverse_path_filter_strict;
mod role;
pub(crate) mod setting_lost_at_boot;
mod swap;
pub(crate) mod swap_stops_kubelet;
mod testing;
mod tests;
pub(crate) mod wrong_node_address;

/// Where kubeadm has kube-apiserver's manifest.
const API_SERVER_MANIFEST: &str = "/etc/kubernetes/manifests/kube-apiserver.yaml";

/// What a machine that does not work can bring about.
const EXPLAINS: &[&str] = &[
    "metrics-server-crashing",
    "metrics-server-not-ready",
    "apiservice-unavailable",
    "metrics-api-unanswered",
    "node-metrics-missing",
    "hpa-metrics-unreadable",
];
