//! The typed model of the metrics pipeline: what was seen, hop by hop.
//!
//! The shell builds it from observations; checks read it. One file a hop.

mod backend;
mod cluster;
mod front_proxy;
mod gate;
mod hpa;
mod log;
mod manifest;
mod metrics;
mod need;
mod node;
mod obs;
mod registration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

pub use backend::{Backend, Endpoint, EndpointPort, Pod, Service, ServicePort, Termination, Workload};
pub use cluster::{Cluster, Distribution, GroupVersion, Identity, ServerVersion};
pub use front_proxy::{AccessReviews, AnonymousAccess, AnonymousBinding, AuthConfig, Flags, FrontProxy};
pub use gate::{
    Gate, MetricAnswer, MetricItem, Namespace, OtherAutoscaler, Permitted, Plan, PlanMetric, TargetKind,
};
pub use hpa::{Hpa, HpaPod, HpaTarget, MetricSource, MetricSpec, PodContainer, PodTemplate};
pub use log::{DialFailure, FrontProxyFailure, LogSignal, ScrapeFailure, Signature, read_log};
pub use manifest::{Document, Manifests, Place, Problem, ProblemKind};
pub use metrics::{Answer, Metrics, NodeMetric};
pub use need::{Grant, Need};
pub use node::{Csr, CsrState, Handshake, KubeletConfig, Node, NodeAddress};
pub use obs::{Look, Obs, RequestId, Why};
pub use registration::{ApiService, Condition, ServiceRef};

/// Everything that was seen of one cluster at one time.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Evidence {
    /// The API server's time when the look began.
    pub taken_at: Timestamp,
    /// The question that is asked of the cluster.
    pub mode: Mode,
    /// Every request that was made, in the order in which it was made.
    pub requests: Vec<RequestSeen>,
    /// Hop 0: the API server and the caller.
    pub cluster: Cluster,
    /// Hop 1: the registration of the Metrics API.
    pub registration: Obs<Option<ApiService>>,
    /// Hops 2 to 4: Service, EndpointSlices, pods and logs of metrics-server.
    pub backend: Backend,
    /// Hop 5: the nodes and their kubelets.
    pub nodes: Obs<Vec<Node>>,
    /// Hops 7 and 8: the identity with which kube-apiserver calls metrics-server.
    pub front_proxy: FrontProxy,
    /// What the Metrics API answers.
    pub metrics: Metrics,
    /// The HorizontalPodAutoscalers.
    pub hpas: Obs<Vec<Hpa>>,
    /// The HorizontalPodAutoscalers that are to be deployed; nothing unless the question is the gate's.
    pub gate: Gate,
}

/// The question that is asked; it decides which checks apply and what is a fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    /// Is the installed pipeline working; an absent Metrics API is an error.
    Installed,
    /// Will metrics-server work here; its absence is expected.
    BeforeInstall,
    /// Will these HorizontalPodAutoscalers be able to read their metrics.
    Gate,
}

/// A request that was made and when its answer came.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RequestSeen {
    /// The request as a person would write it, such as `GET /api/v1/nodes`.
    pub request: String,
    /// When the answer came.
    pub seen_at: Timestamp,
}

/// Evidence of which nothing was seen.
#[cfg(test)]
pub(crate) fn unseen(mode: Mode) -> Evidence {
    fn blank<T>(need: Need) -> Obs<T> {
        Obs::unseen(need, [], Why::NotRecorded)
    }
    Evidence {
        taken_at: Timestamp::UNIX_EPOCH,
        mode,
        requests: Vec::new(),
        cluster: Cluster {
            version: blank(Need::Version),
            whoami: blank(Need::Whoami),
            groups: blank(Need::Groups),
            distribution: Distribution::Unknown,
            clock_offset_s: 0,
        },
        registration: blank(Need::ApiService),
        backend: Backend {
            service: blank(Need::Service),
            endpoints: blank(Need::EndpointSlices),
            pods: blank(Need::Pods),
            workload: blank(Need::Workload),
            logs: blank(Need::Logs),
            root_ca: blank(Need::RootCa),
            reviews: AccessReviews {
                account: None,
                get_node_metrics: blank(Need::AccessReviews),
                list_nodes: blank(Need::AccessReviews),
                list_pods: blank(Need::AccessReviews),
                get_auth_config: blank(Need::AccessReviews),
                create_access_reviews: blank(Need::AccessReviews),
            },
            candidates: blank(Need::Service),
            args: blank(Need::Pods),
        },
        nodes: blank(Need::Nodes),
        front_proxy: FrontProxy {
            auth_config: blank(Need::AuthConfig),
            apiserver_flags: blank(Need::ApiServerFlags),
            anonymous_access: blank(Need::AnonymousAccess),
            anonymous_bindings: blank(Need::AnonymousBindings),
        },
        metrics: Metrics {
            discovery: blank(Need::MetricsDiscovery),
            nodes_answer: blank(Need::NodeMetrics),
            nodes: blank(Need::NodeMetrics),
        },
        hpas: blank(Need::Hpas),
        gate: Gate::default(),
    }
}
