//! The HorizontalPodAutoscalers that are to be deployed, and what was seen of the cluster for each of them.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Hpa, HpaPod, HpaTarget, Manifests, Need, Obs, PodTemplate, Why};
use crate::plan::{HpaSpec, Index};

/// What a gate is asked about, and what it saw.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Gate {
    /// What the manifests say.
    pub manifests: Manifests,
    /// The namespace of manifests that name none.
    pub namespace: String,
    /// Whether manifests alone are to be judged.
    pub offline: bool,
    /// The minor version of Kubernetes 1 that the manifests are for; where it is not given, the cluster's own counts.
    pub target_minor: Option<u32>,
    /// Whether the autoscalers of the cluster were to be judged as well, and could be listed.
    pub live: Obs<()>,
    /// Whether the whole pipeline was looked at, because the Metrics API does not give what an autoscaler needs.
    pub pipeline: bool,
    /// The autoscalers to judge.
    pub plans: Vec<Plan>,
    /// What the API server said of the objects of the manifests in a dry run; none where it was not asked.
    #[serde(default)]
    pub trials: Vec<Trial>,
    /// How many autoscalers there are besides, which are too many to judge. No evidence: nothing is judged then.
    #[serde(skip)]
    pub left_out: usize,
    /// What was seen of their namespaces, by name.
    pub namespaces: BTreeMap<String, Namespace>,
    /// Where the objects of the manifests are. No evidence: it follows from them.
    #[serde(skip)]
    pub index: Index,
}

impl Default for Gate {
    /// Nobody was asked about a deploy.
    fn default() -> Self {
        Self {
            manifests: Manifests::default(),
            namespace: String::new(),
            offline: false,
            target_minor: None,
            live: Obs::unseen(Need::Hpas, [], Why::NotAsked("it is no question of a gate".to_owned())),
            pipeline: false,
            plans: Vec::new(),
            trials: Vec::new(),
            left_out: 0,
            namespaces: BTreeMap::new(),
            index: Index::default(),
        }
    }
}

/// A server-side dry run of an object of the manifests.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Trial {
    /// Its place in [`Manifests::documents`].
    pub document: usize,
    /// What the API server said.
    pub answer: Obs<Tried>,
}

/// What the API server says of an object that it is to take.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tried {
    /// Whether it would take it.
    pub accepted: bool,
    /// The HTTP status.
    pub status: i64,
    /// Why not; empty where it would.
    pub message: String,
    /// The fields that are at fault, as the API server writes them, such as `spec.maxReplicas`.
    pub fields: Vec<String>,
}

/// One autoscaler to judge.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Its place in [`Manifests::documents`]; none for one that is in the cluster only.
    pub document: Option<usize>,
    /// What it asks for, with the defaults of the API filled in.
    pub spec: HpaSpec,
    /// The object of that name that is in the cluster already, where the cluster's were to be judged.
    pub live: Option<Hpa>,
    /// What the HPA controller said of it in events, the latest first, where its conditions do not tell.
    pub events: Obs<Vec<HpaEvent>>,
    /// What its target is.
    pub target: Obs<TargetKind>,
    /// The scale of its target in the cluster; `None` when there is no such object.
    pub scale: Obs<Option<HpaTarget>>,
    /// The template of its target in the cluster; `None` when there is no such object, or it has no template.
    pub template: Obs<Option<PodTemplate>>,
    /// The pods in the cluster that the target's selector matches.
    pub pods: Obs<Vec<HpaPod>>,
    /// Whether the HPA controller may read and change the scale of its target.
    pub scale_permitted: Obs<Permitted>,
    /// What was seen for each of its metrics, in their order.
    pub metrics: Vec<PlanMetric>,
}

/// A warning of the HPA controller. Of what it says again and again the later ones are counted, and most of them are not
/// written at all (`k8s.io/client-go/tools/record`, `events_cache.go`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HpaEvent {
    /// The reason, such as `FailedGetResourceMetric`.
    pub reason: String,
    /// The sentence.
    pub message: String,
    /// How often it was said.
    pub count: i64,
    /// When it was said last.
    pub last: Timestamp,
}

/// What the kind of a target is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TargetKind {
    /// The API serves it, with a scale.
    Scalable,
    /// The API serves it, without a scale.
    NotScalable,
    /// Nobody serves a kind of this name in this group.
    Unknown,
}

/// What was seen for one metric of an autoscaler.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PlanMetric {
    /// For `Object`: what the kind of the object is; not asked for the others.
    pub described: Obs<TargetKind>,
    /// Whether the HPA controller may read it.
    pub permitted: Obs<Permitted>,
    /// What the API answers to the request that the controller makes.
    pub answer: Obs<MetricAnswer>,
}

/// Whether the HPA controller may read a metric.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Permitted {
    /// Whether it may.
    pub allowed: bool,
    /// The verb that it needs.
    pub verb: String,
    /// The resource that it needs it on, as `resource.group`.
    pub resource: String,
    /// What the authorizer said.
    pub reason: String,
}

/// The answer of a metrics API.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MetricAnswer {
    /// The HTTP status.
    pub status: i64,
    /// The message of an error.
    pub message: String,
    /// The items of a list: the values.
    pub items: Vec<MetricItem>,
}

/// A value of a metric.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MetricItem {
    /// The pod or object that it is of; empty for an external metric.
    pub of: String,
    /// The value as a quantity; empty for the metrics of a pod, whose containers have them.
    pub value: String,
    /// For the metrics of a pod: its containers and the resources that are measured in each.
    pub containers: BTreeMap<String, Vec<String>>,
    /// When it was measured.
    pub timestamp: Option<Timestamp>,
}

/// What was seen of a namespace.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Namespace {
    /// Whether it is there.
    pub exists: Obs<bool>,
    /// Whether it is being deleted (`status.phase` is `Terminating`), so that it takes nothing new and soon is not there.
    #[serde(default)]
    pub ends: bool,
    /// The autoscalers that are there.
    pub hpas: Obs<Vec<Hpa>>,
    /// What its `LimitRanges` add to containers: resources with a default request or limit.
    pub default_requests: Obs<Vec<String>>,
    /// Other autoscalers and their targets.
    pub other_autoscalers: Obs<Vec<OtherAutoscaler>>,
    /// What is left of its quotas, by resource such as `requests.cpu`.
    pub quota_left: Obs<BTreeMap<String, String>>,
    /// What the Metrics API says of its pods.
    pub pod_metrics: Obs<MetricAnswer>,
}

/// An autoscaler that is no `HorizontalPodAutoscaler`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OtherAutoscaler {
    /// `VerticalPodAutoscaler` or `ScaledObject`.
    pub kind: String,
    /// Its name.
    pub name: String,
    /// The kind of its target.
    pub target_kind: String,
    /// The name of its target.
    pub target_name: String,
    /// For a `VerticalPodAutoscaler` that changes pods: the resources that it changes, by container; `*` stands for
    /// every container that is not named.
    pub controls: BTreeMap<String, Vec<String>>,
}
