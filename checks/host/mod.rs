//! Beneath the chain: the machines, looked at from within, and what pods on them see.

pub(crate) mod cluster_dns_silent;
pub(crate) mod kubelet_config_missing;
mod role;
mod testing;
