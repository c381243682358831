//! The HorizontalPodAutoscalers and what they target.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Condition, Obs};
use crate::plan::{HpaSpec, MetricRef};

/// A HorizontalPodAutoscaler.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Hpa {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// When it was created.
    pub created: Timestamp,
    /// `spec.scaleTargetRef` as `apiVersion`, `kind`, `name`.
    pub target: (String, String, String),
    /// `spec.metrics`.
    pub metrics: Vec<MetricSpec>,
    /// The whole specification, with the defaults of the API.
    pub spec: HpaSpec,
    /// For every metric of [`Hpa::spec`] whether the controller has a value of it in `status.currentMetrics`.
    pub filled: Vec<bool>,
    /// The counts and values that the controller wrote last.
    #[serde(default)]
    pub status: HpaStatus,
    /// `status.conditions`.
    pub conditions: Vec<Condition>,
    /// The scale of its target; `None` when there is no such object.
    pub scale: Obs<Option<HpaTarget>>,
    /// The pods that the target's selector matches.
    pub pods: Obs<Vec<HpaPod>>,
}

/// The Lease that kube-controller-manager renews every two seconds while it runs
/// (`k8s.io/component-base/config/v1alpha1/defaults.go`), unless it runs with `--leader-elect=false`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ControllerLease {
    /// `spec.holderIdentity`: host and a random part; empty when it was given back.
    pub holder: String,
    /// `spec.leaseDurationSeconds`: so long after the last renewal another one takes over.
    pub duration_s: i64,
    /// `spec.renewTime`, by the clock of the holder's host.
    pub renewed: Timestamp,
}

/// What the controller wrote of an autoscaler last.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HpaStatus {
    /// `status.currentReplicas`: the scale of the target when the controller looked last.
    pub replicas: i64,
    /// `status.desiredReplicas`: what it set then.
    pub desired: i64,
    /// The entries of `status.currentMetrics` that it has filled.
    pub values: Vec<MetricValue>,
}

impl HpaStatus {
    /// Whether there is a value of this metric. By what it is, not by its place: what stands there may be of an earlier
    /// specification, until the controller looks again.
    #[must_use]
    pub fn has(&self, metric: &MetricRef) -> bool {
        self.values.iter().any(|value| value.source == *metric)
    }
}

/// A filled entry of `status.currentMetrics`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MetricValue {
    /// Its place in the list.
    pub index: usize,
    /// Where it comes from.
    pub source: MetricRef,
    /// `current.averageUtilization` in percent.
    pub average_utilization: Option<i64>,
    /// `current.averageValue`.
    pub average_value: Option<String>,
    /// `current.value`.
    pub value: Option<String>,
}

/// One entry of `spec.metrics`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MetricSpec {
    /// Where it comes from.
    pub source: MetricSource,
    /// `cpu`, `memory`, or the metric's name.
    pub name: String,
    /// For `ContainerResource`: the container.
    pub container: Option<String>,
    /// Whether the target is a percentage of the request.
    pub utilization: bool,
}

/// `spec.metrics[].type`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum MetricSource {
    /// `Resource`.
    Resource,
    /// `ContainerResource`.
    ContainerResource,
    /// `Pods`.
    Pods,
    /// `Object`.
    Object,
    /// `External`.
    External,
}

/// The scale subresource of a target.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HpaTarget {
    /// `spec.replicas`.
    pub replicas: i64,
    /// `status.selector`.
    pub selector: String,
}

/// A pod of an HPA's target.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HpaPod {
    /// Its name.
    pub name: String,
    /// Its node.
    pub node: Option<String>,
    /// `status.phase`.
    pub phase: String,
    /// Whether its condition `Ready` holds.
    pub ready: bool,
    /// When it was created.
    pub created: Timestamp,
    /// Its labels.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    /// The controller that owns it, as kind and name.
    #[serde(default)]
    pub owner: Option<(String, String)>,
    /// Containers, and init containers that restart, whose requests count.
    pub containers: Vec<PodContainer>,
    /// The requests of the pod as a whole, by resource.
    pub pod_requests: BTreeMap<String, String>,
}

/// A container whose requests count.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PodContainer {
    /// Its name.
    pub name: String,
    /// What it requests, by resource.
    pub requests: BTreeMap<String, String>,
    /// Its limits, by resource.
    #[serde(default)]
    pub limits: BTreeMap<String, String>,
    /// Whether it has a readiness or a startup probe.
    #[serde(default)]
    pub probed: bool,
    /// The JSON pointer of the container in its object; empty for one of a pod in the cluster.
    #[serde(default)]
    pub pointer: String,
}

/// What pods are made from.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PodTemplate {
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Its annotations.
    pub annotations: BTreeMap<String, String>,
    /// Containers, and init containers that restart, whose requests count.
    pub containers: Vec<PodContainer>,
    /// Resources that an init container requests which runs to its end; they count for pods with requests of
    /// their own only.
    pub init_requests: Vec<String>,
    /// The requests of the pod as a whole, by resource.
    pub pod_requests: BTreeMap<String, String>,
    /// The limits of the pod as a whole, by resource.
    pub pod_limits: BTreeMap<String, String>,
}
