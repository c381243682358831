//! Beneath the chain: the machines, looked at from within.

pub(crate) mod kubelet_config_missing;
mod role;
mod testing;
