//! Hop 9: what the Metrics API answers.

pub(crate) mod metrics_api_unanswered;
pub(crate) mod node_metrics_missing;
