//! Hop 5: metrics-server calls the kubelets.

pub(crate) mod cluster_dns_silent;
mod config;
mod csr;
pub(crate) mod kubelet_cert_expired;
pub(crate) mod kubelet_cert_lacks_address;
pub(crate) mod kubelet_cert_rejected;
pub(crate) mod kubelet_cert_self_signed;
pub(crate) mod kubelet_cert_unknown_ca;
pub(crate) mod kubelet_csr_denied;
pub(crate) mod kubelet_csr_pending;
pub(crate) mod kubelet_open_to_anyone;
pub(crate) mod kubelet_rejects_metrics_server;
pub(crate) mod kubelet_tls_unverified;
pub(crate) mod kubelet_unreachable_from_pods;
pub(crate) mod kubelet_webhook_authentication_off;
pub(crate) mod nodes_metrics_not_permitted;
mod tls;
