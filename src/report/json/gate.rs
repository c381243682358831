//! What the gate says of autoscalers and their metrics.

use serde::Serialize;

use super::{Excuse, Subject};

/// What the gate was asked about.
#[derive(Clone, Copy, Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(in crate::report) struct Gate {
    /// Whether no cluster was asked.
    pub(in crate::report) offline: bool,
    /// How many objects the manifests hold.
    pub(in crate::report) objects: usize,
    /// The minor version of Kubernetes 1 that the manifests are for; null for that of the cluster.
    pub(in crate::report) target_minor: Option<u32>,
    /// Whether the metrics pipeline was looked at too, as it is where a metric needs it.
    pub(in crate::report) pipeline: bool,
}

/// What becomes of an autoscaler.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(in crate::report) struct Autoscaler<'r> {
    /// The autoscaler.
    pub(in crate::report) subject: Subject<'r>,
    /// The file of its manifest; null for one that is in the cluster only.
    pub(in crate::report) file: Option<&'r str>,
    /// The line on which it begins there.
    pub(in crate::report) line: Option<usize>,
    /// The worst of its metrics: `pass`, `deferred`, `undecided` or `fail`.
    #[cfg_attr(test, schemars(extend("enum" = ["pass", "deferred", "undecided", "fail"])))]
    pub(in crate::report) verdict: &'static str,
    /// Its metrics, in their order.
    pub(in crate::report) metrics: Vec<MetricResult<'r>>,
}

/// What becomes of a metric.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(in crate::report) struct MetricResult<'r> {
    /// Its place among the autoscaler's metrics, from 0.
    pub(in crate::report) index: usize,
    /// Its type, such as `Resource`.
    #[serde(rename = "type")]
    pub(in crate::report) kind: &'static str,
    /// Its name, such as `cpu`.
    pub(in crate::report) name: &'r str,
    /// Whether the HPA controller will read it: `pass`; `deferred` when only the deploy can show it; `undecided` when
    /// something that decides it was not seen; `fail`.
    #[cfg_attr(test, schemars(extend("enum" = ["pass", "deferred", "undecided", "fail"])))]
    pub(in crate::report) verdict: &'static str,
    /// What keeps it from being read, or from being known.
    pub(in crate::report) reasons: Vec<MetricReason<'r>>,
}

/// Why a metric will not be read, or why that is not known.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(in crate::report) struct MetricReason<'r> {
    /// The code of the check.
    pub(in crate::report) code: &'r str,
    /// Its name.
    pub(in crate::report) name: &'r str,
    /// What it says.
    pub(in crate::report) detail: &'r str,
    /// Why the exit code does not count it; missing when it does. The controller does not read the metric all the same.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::report) excused: Option<Excuse<'r>>,
}
