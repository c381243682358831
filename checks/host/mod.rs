//! Beneath the chain: the machines, looked at from within.

pub(crate) mod apiserver_flags_not_running;
mod clock;
pub(crate) mod host_clock_drifting;
pub(crate) mod host_clock_wrong;
pub(crate) mod kubelet_config_missing;
pub(crate) mod kubelet_config_not_read;
pub(crate) mod kubelet_port_taken;
pub(crate) mod proxy_catches_cluster;
mod role;
pub(crate) mod swap_stops_kubelet;
mod testing;
