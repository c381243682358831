//! Hop 3: do the pods of metrics-server run.

pub(crate) mod metrics_server_crashing;
pub(crate) mod metrics_server_flag_unknown;
pub(crate) mod metrics_server_image_missing;
pub(crate) mod metrics_server_not_ready;
pub(crate) mod metrics_server_not_scheduled;
pub(crate) mod metrics_server_pods_refused;
pub(crate) mod metrics_server_scaled_to_zero;
