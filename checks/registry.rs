//! Every check, in the order of the chain and of its code.
//!
//! Written by `UPDATE=1 cargo test --test it generated`; a test fails when it is stale.

use crate::check::Check;

/// Every check.
pub static CHECKS: &[Check] = &[
    crate::registration::metrics_api_not_registered::CHECK,
    crate::registration::apiservice_service_missing::CHECK,
    crate::registration::apiservice_port_mismatch::CHECK,
    crate::registration::apiservice_unavailable::CHECK,
    crate::service::service_selector_matches_nothing::CHECK,
    crate::service::service_port_name_unresolved::CHECK,
    crate::workload::metrics_server_crashing::CHECK,
    crate::workload::metrics_server_not_ready::CHECK,
    crate::api_access::pod_network_to_api_blocked::CHECK,
    crate::api_access::auth_reader_binding_missing::CHECK,
    crate::kubelet::kubelet_cert_self_signed::CHECK,
    crate::kubelet::kubelet_csr_pending::CHECK,
    crate::kubelet::kubelet_csr_denied::CHECK,
    crate::kubelet::kubelet_cert_unknown_ca::CHECK,
    crate::kubelet::kubelet_cert_expired::CHECK,
    crate::kubelet::kubelet_cert_lacks_address::CHECK,
    crate::kubelet::kubelet_webhook_authentication_off::CHECK,
    crate::kubelet::nodes_metrics_not_permitted::CHECK,
    crate::kubelet::kubelet_open_to_anyone::CHECK,
    crate::kubelet::kubelet_tls_unverified::CHECK,
    crate::kubelet::kubelet_cert_rejected::CHECK,
    crate::kubelet::kubelet_rejects_metrics_server::CHECK,
    crate::kubelet::kubelet_unreachable_from_pods::CHECK,
    crate::front_proxy::requestheader_ca_missing::CHECK,
    crate::front_proxy::proxy_client_cert_missing::CHECK,
    crate::front_proxy::proxy_client_cert_untrusted::CHECK,
    crate::front_proxy::proxy_client_name_not_allowed::CHECK,
    crate::front_proxy::front_proxy_rejected::CHECK,
    crate::front_proxy::metrics_server_unreachable_from_apiserver::CHECK,
    crate::front_proxy::proxy_client_cert_expired::CHECK,
    crate::authorization::anonymous_granted_privileges::CHECK,
    crate::authorization::auth_delegator_missing::CHECK,
    crate::metrics::metrics_api_unanswered::CHECK,
    crate::metrics::node_metrics_missing::CHECK,
    crate::hpa::hpa_request_missing::CHECK,
    crate::hpa::hpa_target_missing::CHECK,
    crate::hpa::hpa_metrics_api_missing::CHECK,
    crate::hpa::hpa_metrics_unreadable::CHECK,
];
