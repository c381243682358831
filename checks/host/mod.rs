//! Beneath the chain: the machines, and what pods on them see.

pub(crate) mod cluster_dns_silent;
