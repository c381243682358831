//! The typed model of the metrics pipeline: what was seen, hop by hop.
//!
//! The shell builds it from observations; checks read it. One file a hop.

mod api_server;
mod backend;
mod cluster;
mod command;
mod front_proxy;
mod gate;
mod host;
mod hpa;
mod log;
mod manifest;
mod metrics;
mod need;
mod node;
mod obs;
mod policy;
mod probe;
mod registration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

pub use api_server::ApiServer;
pub use backend::{Backend, Endpoint, EndpointPort, Pod, Service, ServicePort, Termination, Workload};
pub use cluster::{Cluster, Distribution, GroupVersion, Identity, ServerVersion};
pub use command::{Command, FlagsIn, Runs};
pub use front_proxy::{AccessReviews, AnonymousAccess, AnonymousBinding, AuthConfig, Flags, FrontProxy};
pub use gate::{
    Gate, HpaEvent, MetricAnswer, MetricItem, Namespace, OtherAutoscaler, Permitted, Plan, PlanMetric,
    TargetKind, Trial, Tried,
};
pub use host::{
    BootValue, Component, Dial, DiskCertificate, FilterLoader, Filters, FrontProxyFiles, Host, HostClock,
    HostIdentity, HostProxy, KubeletFile, Listener, NameServer, Named, Process, Reach, Resolver, Route,
    Runtime, ServiceRules, Setting, Unit,
};
pub use hpa::{
    ControllerLease, Hpa, HpaPod, HpaStatus, HpaTarget, MetricSource, MetricSpec, MetricValue, PodContainer,
    PodTemplate,
};
pub use log::{DialFailure, FrontProxyFailure, LogSignal, ScrapeFailure, Signature, read_log};
pub use manifest::{Document, Manifests, Odd, Place, Problem, ProblemKind};
pub use metrics::{Answer, Metrics, NodeMetric};
pub use need::{Grant, Need};
pub use node::{Csr, CsrState, Handshake, KubeletConfig, Node, NodeAddress};
pub use obs::{Look, Obs, RequestId, Why};
pub use policy::{NetworkPolicy, Peer, PolicyPort, PolicyRule};
pub use probe::{KubeletProbe, PodProbe, ProbeDial};
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
    /// The Lease of kube-controller-manager, in which the HPA controller runs; `None` when there is none.
    pub controller_lease: Obs<Option<ControllerLease>>,
    /// The HorizontalPodAutoscalers that are to be deployed; nothing unless the question is the gate's.
    pub gate: Gate,
    /// The NetworkPolicies of metrics-server's namespace.
    pub policies: Obs<Vec<NetworkPolicy>>,
    /// The kube-apiservers behind the Service `default/kubernetes`.
    pub api_servers: Obs<Vec<ApiServer>>,
    /// Beneath the chain: the machines that were looked at from within.
    pub hosts: Vec<Host>,
    /// The pods that looked from metrics-server's place.
    pub probes: Vec<PodProbe>,
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
    /// Is this machine fit for the pipeline; no cluster is asked.
    Host,
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
    Evidence::unseen(mode, Timestamp::UNIX_EPOCH, &Why::NotRecorded)
}

impl Evidence {
    /// Evidence of which nothing was seen, for one and the same reason.
    #[must_use]
    pub fn unseen(mode: Mode, taken_at: Timestamp, why: &Why) -> Self {
        blank_evidence(mode, taken_at, &Blank(why))
    }
}

/// Makes observations of which nothing was seen.
struct Blank<'w>(&'w Why);

impl Blank<'_> {
    fn of<T>(&self, need: Need) -> Obs<T> {
        Obs::unseen(need, [], self.0.clone())
    }
}

fn blank_evidence(mode: Mode, taken_at: Timestamp, blank: &Blank<'_>) -> Evidence {
    Evidence {
        taken_at,
        mode,
        requests: Vec::new(),
        cluster: Cluster {
            version: blank.of(Need::Version),
            whoami: blank.of(Need::Whoami),
            groups: blank.of(Need::Groups),
            distribution: Distribution::Unknown,
            clock_offset_s: 0,
        },
        registration: blank.of(Need::ApiService),
        backend: Backend {
            service: blank.of(Need::Service),
            endpoints: blank.of(Need::EndpointSlices),
            pods: blank.of(Need::Pods),
            workload: blank.of(Need::Workload),
            logs: blank.of(Need::Logs),
            root_ca: blank.of(Need::RootCa),
            reviews: AccessReviews {
                account: None,
                get_node_metrics: blank.of(Need::AccessReviews),
                list_nodes: blank.of(Need::AccessReviews),
                list_pods: blank.of(Need::AccessReviews),
                get_auth_config: blank.of(Need::AccessReviews),
                create_access_reviews: blank.of(Need::AccessReviews),
            },
            candidates: blank.of(Need::Service),
            args: blank.of(Need::Pods),
        },
        nodes: blank.of(Need::Nodes),
        front_proxy: FrontProxy {
            auth_config: blank.of(Need::AuthConfig),
            apiserver_flags: blank.of(Need::ApiServerFlags),
            anonymous_access: blank.of(Need::AnonymousAccess),
            anonymous_bindings: blank.of(Need::AnonymousBindings),
        },
        metrics: Metrics {
            discovery: blank.of(Need::MetricsDiscovery),
            nodes_answer: blank.of(Need::NodeMetrics),
            nodes: blank.of(Need::NodeMetrics),
        },
        hpas: blank.of(Need::Hpas),
        controller_lease: blank.of(Need::ControllerLease),
        gate: Gate::default(),
        policies: blank.of(Need::NetworkPolicies),
        api_servers: blank.of(Need::ApiServers),
        hosts: Vec::new(),
        probes: Vec::new(),
    }
}
