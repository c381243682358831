//! Hop 7: kube-apiserver proves to metrics-server on whose behalf it calls.

pub(crate) mod apiserver_instances_differ;
mod disk;
pub(crate) mod front_proxy_rejected;
mod identity;
pub(crate) mod metrics_server_unreachable_from_apiserver;
pub(crate) mod network_policy_blocks_ingress;
pub(crate) mod proxy_client_cert_expired;
pub(crate) mod proxy_client_cert_missing;
pub(crate) mod proxy_client_cert_untrusted;
pub(crate) mod proxy_client_name_not_allowed;
pub(crate) mod requestheader_ca_missing;
