//! Hops 2 to 4: the Service, its endpoints, and the pods of metrics-server.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{AccessReviews, LogSignal, Obs, ServiceRef};

/// What stands behind the APIService, found by following its references.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Backend {
    /// The Service that the APIService names; `None` when there is no such Service.
    pub service: Obs<Option<Service>>,
    /// The endpoints in the EndpointSlices of that Service.
    pub endpoints: Obs<Vec<Endpoint>>,
    /// The pods that the Service selects; the workload's own pods when it selects none.
    pub pods: Obs<Vec<Pod>>,
    /// The workload that owns the pods, or the only one that looks like metrics-server.
    pub workload: Obs<Option<Workload>>,
    /// What the logs of the pods say, oldest first.
    pub logs: Obs<Vec<LogSignal>>,
    /// The certificates of the CA bundle that pods in that namespace trust, as base64 of DER.
    pub root_ca: Obs<Vec<String>>,
    /// What the ServiceAccount of the pods may do.
    pub reviews: AccessReviews,
    /// Where the Service is missing: the Services that do select pods of metrics-server.
    pub candidates: Obs<Vec<ServiceRef>>,
    /// The arguments of metrics-server: the running pod's, or those of the newest release's
    /// manifest where nothing is installed.
    pub args: Obs<Vec<String>>,
}

impl Backend {
    /// The value of a flag of metrics-server in `args`, as `--name=value` or `--name value`;
    /// a flag without a value is `true`.
    #[must_use]
    pub fn flag<'a>(args: &'a [String], name: &str) -> Option<&'a str> {
        let mut found = None;
        let mut rest = args.iter().peekable();
        while let Some(arg) = rest.next() {
            let Some(flag) = arg.strip_prefix("--") else { continue };
            match flag.split_once('=') {
                Some((key, value)) if key == name => found = Some(value),
                None if flag == name => {
                    found = Some(match rest.peek() {
                        Some(next) if !next.starts_with("--") => next.as_str(),
                        _ => "true",
                    });
                }
                _ => {}
            }
        }
        found
    }
}

/// A Service.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Service {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// `spec.type`.
    pub kind: String,
    /// `spec.clusterIP`; `None` (the word) for a headless Service.
    pub cluster_ip: String,
    /// The labels that it selects pods by; empty for a Service without a selector.
    pub selector: BTreeMap<String, String>,
    /// Its ports.
    pub ports: Vec<ServicePort>,
}

/// A port of a Service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServicePort {
    /// Its name; empty when it has none.
    pub name: String,
    /// The port of the Service.
    pub port: i64,
    /// The container port's name or number.
    pub target: String,
}

/// One endpoint of an EndpointSlice.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Endpoint {
    /// The address.
    pub address: String,
    /// `conditions.ready`; absent counts as ready.
    pub ready: bool,
    /// The pod behind it, when it is a pod.
    pub pod: Option<String>,
    /// The ports of its slice.
    pub ports: Vec<EndpointPort>,
}

/// A port of an EndpointSlice.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EndpointPort {
    /// The name of the Service's port; empty when it has none.
    pub name: String,
    /// The number; 0 when the slice has none.
    pub port: i64,
}

/// A pod behind the Service.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Pod {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// The node that it runs on.
    pub node: Option<String>,
    /// `status.phase`.
    pub phase: String,
    /// The `Ready` condition is `True`.
    pub ready: bool,
    /// When it was created.
    pub created: Timestamp,
    /// When the container that runs now was started.
    pub started: Option<Timestamp>,
    /// The name of the container that is metrics-server.
    pub container: String,
    /// How often the container was restarted.
    pub restarts: i64,
    /// Why the container waits, such as `CrashLoopBackOff` or `ImagePullBackOff`.
    pub waiting: Option<String>,
    /// What the kubelet says about that, such as what the registry answered.
    pub waiting_message: Option<String>,
    /// How the container ended last.
    pub last_end: Option<Termination>,
    /// The ServiceAccount that it runs as.
    pub service_account: String,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// The image of the metrics-server container.
    pub image: String,
    /// Names and numbers of the container's ports.
    pub ports: Vec<EndpointPort>,
    /// Whether it shares the node's network.
    pub host_network: bool,
    /// Why the scheduler has not placed it.
    pub unschedulable: Option<String>,
}

/// How a container ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Termination {
    /// The reason, such as `Error` or `OOMKilled`.
    pub reason: String,
    /// The exit code.
    pub exit_code: i64,
    /// When it ended.
    pub at: Option<Timestamp>,
}

/// The Deployment that owns the pods.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Workload {
    /// `Deployment`, `DaemonSet`, ...
    pub kind: String,
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// The labels of its pod template.
    pub labels: BTreeMap<String, String>,
    /// The labels that its own selector demands.
    pub match_labels: BTreeMap<String, String>,
    /// Its own selector as a query writes it, `matchExpressions` included; empty where it has none that can be read.
    pub selector: String,
    /// How many pods it wants.
    pub replicas: i64,
    /// Names and numbers of the container's ports.
    pub ports: Vec<EndpointPort>,
    /// The place of metrics-server's container among those of the template, from 0.
    pub container: i64,
    /// The `args` of that container, as they stand.
    pub args: Vec<String>,
    /// `owner` when it was found through the pods' owner references, `image` when it was the only
    /// workload in the Service's namespace that runs a metrics-server image.
    pub found_by: String,
    /// The name of metrics-server's container.
    pub container_name: String,
    /// The labels that its template demands of a node.
    pub node_selector: BTreeMap<String, String>,
    /// What keeps it from creating pods, from its `ReplicaFailure` condition.
    pub replica_failure: Option<String>,
}
