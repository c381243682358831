//! Hop 1: is the Metrics API registered, and at the right Service.

pub(crate) mod apiservice_port_mismatch;
pub(crate) mod apiservice_service_missing;
pub(crate) mod apiservice_unavailable;
pub(crate) mod metrics_api_not_registered;
