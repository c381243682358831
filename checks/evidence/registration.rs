//! Hop 1: the APIService that registers `metrics.k8s.io`.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// The APIService `v1beta1.metrics.k8s.io`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ApiService {
    /// When it was created.
    pub created: Timestamp,
    /// The Service that it routes to; `None` when the group is served by kube-apiserver itself.
    pub service: Option<ServiceRef>,
    /// `spec.insecureSkipTLSVerify`.
    pub insecure_skip_tls_verify: bool,
    /// Whether `spec.caBundle` is set.
    pub has_ca_bundle: bool,
    /// The `Available` condition, when any kube-apiserver has written one.
    pub available: Option<Condition>,
}

/// A reference to a port of a Service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceRef {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// The Service's port; the API's default is 443.
    pub port: i64,
}

/// A condition as Kubernetes objects carry it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Condition {
    /// Its type, such as `Available` or `ScalingActive`.
    pub kind: String,
    /// `True`, `False` or `Unknown`.
    pub status: String,
    /// The machine-readable reason.
    pub reason: String,
    /// The sentence.
    pub message: String,
    /// When the status last changed.
    pub since: Option<Timestamp>,
}

/// 30 s between two probes, and what a probe and two clocks may take.
const ALL_HAVE_PROBED_S: i64 = 45;

impl Condition {
    /// Whether the status is `True`.
    #[must_use]
    pub fn is_true(&self) -> bool {
        self.status == "True"
    }

    /// Whether the `Available` of an APIService has been true for so long that every kube-apiserver has found it so. Each
    /// of them probes the backend at least every 30 s and writes what it found into this one condition
    /// (`staging/src/k8s.io/kube-aggregator/pkg/controllers/status/remote/remote_available_controller.go`). Where one
    /// does not reach the backend and another does, it is true nearly always and never for long: what the one writes the
    /// other corrects within milliseconds, every ten seconds or so.
    #[must_use]
    pub fn is_true_for_all(&self, now: Timestamp) -> bool {
        let stood = self.since.map(|since| now.duration_since(since).as_secs());
        self.is_true() && stood.is_some_and(|seconds| seconds >= ALL_HAVE_PROBED_S)
    }
}
