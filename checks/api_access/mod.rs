//! Hop 4: metrics-server calls kube-apiserver.

pub(crate) mod auth_reader_binding_missing;
mod dial;
pub(crate) mod network_policy_blocks_egress;
pub(crate) mod pod_network_to_api_blocked;
