//! The last hop: the HorizontalPodAutoscalers.

mod declared;
mod gate;
pub(crate) mod hpa_api_version_removed;
pub(crate) mod hpa_controller_not_permitted;
pub(crate) mod hpa_declared_twice;
pub(crate) mod hpa_feature_not_in_version;
pub(crate) mod hpa_manifest_refused;
pub(crate) mod hpa_metric_never_readable;
pub(crate) mod hpa_metric_without_data;
pub(crate) mod hpa_metrics_api_missing;
pub(crate) mod hpa_metrics_api_unusable;
pub(crate) mod hpa_metrics_unreadable;
pub(crate) mod hpa_never_scales;
pub(crate) mod hpa_replicas_in_manifest;
pub(crate) mod hpa_request_missing;
pub(crate) mod hpa_selector_missing;
pub(crate) mod hpa_target_missing;
pub(crate) mod manifest_unreadable;

use crate::check::Subject;
use crate::evidence::{Hpa, Mode};

/// HPAs are looked at where the pipeline is expected to work.
pub(crate) const MODES: &[Mode] = &[Mode::Installed];

/// An HPA as a subject.
pub(crate) fn subject(hpa: &Hpa) -> Subject {
    Subject::namespaced("HorizontalPodAutoscaler", &hpa.namespace, &hpa.name)
}
