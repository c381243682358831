//! What the Metrics API answers to the caller.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::Obs;

/// The Metrics API as the caller sees it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Metrics {
    /// `GET /apis/metrics.k8s.io/v1beta1`.
    pub discovery: Obs<Answer>,
    /// `GET /apis/metrics.k8s.io/v1beta1/nodes`: the status and message when it failed.
    pub nodes_answer: Obs<Answer>,
    /// The node metrics of a successful answer.
    pub nodes: Obs<Vec<NodeMetric>>,
}

/// An HTTP answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    /// The status code.
    pub status: i64,
    /// The message of the Status object, or the text of the body.
    pub message: String,
}

/// The usage of a node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeMetric {
    /// The node.
    pub node: String,
    /// When the kubelet took the sample.
    pub timestamp: Timestamp,
    /// The window that the CPU rate was taken over, in seconds.
    pub window_s: i64,
}
