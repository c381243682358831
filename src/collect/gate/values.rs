//! The values of an autoscaler's metrics, asked exactly as the HPA controller asks for them, and whether it may.

use std::collections::BTreeMap;

use checks::evidence::{
    Cluster, Look, MetricAnswer, MetricItem, Need, Obs, Permitted, Plan, PlanMetric, Why,
};
use checks::plan::rbac::{Asked, Caller};
use checks::plan::{MetricRef, MetricSpec};
use serde_json::{Value, json};

use super::super::ask::{self, Asker, why};
use super::super::json;
use super::kinds::{Kinds, kind_of};
use super::rbac::Roles;
use crate::source::{Request, guard, segment};

/// Whom the controller is, where it has an identity of its own.
const CONTROLLER: &str = "system:serviceaccount:kube-system:horizontal-pod-autoscaler";
/// Its groups (`k8s.io/apiserver/pkg/authentication/serviceaccount`, `MakeGroupNames`).
const GROUPS: [&str; 3] =
    ["system:serviceaccounts", "system:serviceaccounts:kube-system", "system:authenticated"];
/// The versions of the custom metrics API that the controller knows.
const CUSTOM_VERSIONS: [&str; 2] = ["v1beta2", "v1beta1"];

/// The controller as RBAC sees it.
const CALLER: Caller<'_> = Caller { name: CONTROLLER, groups: &GROUPS };

/// Where a metric's value is read from.
pub(super) fn need(source: &MetricRef) -> Need {
    match source {
        MetricRef::Resource { .. } | MetricRef::ContainerResource { .. } => Need::PodMetrics,
        MetricRef::External { .. } => Need::ExternalMetrics,
        MetricRef::Pods { .. } | MetricRef::Object { .. } | MetricRef::Unusable { .. } => Need::CustomMetrics,
    }
}

/// Asks for every metric of an autoscaler.
pub(super) async fn look(
    asker: &Asker<'_>,
    kinds: &Kinds,
    roles: &Roles,
    cluster: &Cluster,
    plan: &mut Plan,
) {
    let target = kinds.find(asker, plan.spec.target.group(), &plan.spec.target.kind).await;
    plan.scale_permitted = match target.peek() {
        Some(Some(kind)) => {
            permitted(
                asker,
                roles,
                &Access {
                    verb: "update",
                    group: &kind.group,
                    resource: &kind.resource,
                    subresource: "scale",
                    name: &plan.spec.target.name,
                    namespace: &plan.namespace,
                },
            )
            .await
        }
        _ => Obs::unseen(
            Need::ControllerAccess,
            [],
            Why::NotAsked("the target's kind is not served".to_owned()),
        ),
    };
    let mut metrics = Vec::new();
    for metric in &plan.spec.metrics {
        metrics.push(one(asker, kinds, roles, cluster, plan, metric).await);
    }
    plan.metrics = metrics;
}

/// Leaves to the deploy what an adapter has nothing of, or may not be asked, because the namespace is not there yet. A
/// value for it is one all the same, and so is an API that does not answer.
pub(super) fn defer(plan: &mut Plan) {
    let why = super::namespaces::not_there(&plan.namespace);
    for (metric, seen) in plan.spec.metrics.iter().zip(&mut plan.metrics) {
        let of_adapter = metric.source.group().is_some_and(|group| group != "metrics.k8s.io");
        let is_open = match &seen.answer.look {
            Look::Unseen(why) => matches!(why, Why::Forbidden { .. }),
            Look::Seen(answer) => of_adapter && answer.status < 500 && answer.items.is_empty(),
        };
        if is_open {
            seen.answer.look = Look::Unseen(why.clone());
        }
    }
}

/// One metric: the request of the controller, and whether it may make it.
async fn one(
    asker: &Asker<'_>,
    kinds: &Kinds,
    roles: &Roles,
    cluster: &Cluster,
    plan: &Plan,
    metric: &MetricSpec,
) -> PlanMetric {
    let need = need(&metric.source);
    let described = match &metric.source {
        MetricRef::Object { of, .. } => {
            kinds.find(asker, of.group(), &of.kind).await.map(Need::Kinds, kind_of)
        }
        _ => Obs::unseen(Need::Kinds, [], Why::NotAsked("it is of no object".to_owned())),
    };
    match question(asker, kinds, cluster, plan, metric).await {
        Ok(question) => {
            let permitted = permitted(asker, roles, &question.access()).await;
            let answer = match question.path {
                Ok(path) => {
                    let asked = asker.ask(Request::get(path)).await;
                    answer(&asked, need, &question.permission, &plan.namespace)
                }
                Err(why) => Obs::unseen(need, [], why),
            };
            PlanMetric { described, permitted, answer }
        }
        Err(why) => PlanMetric {
            described,
            permitted: Obs::unseen(Need::ControllerAccess, [], why.clone()),
            answer: Obs::unseen(need, [], why),
        },
    }
}

/// What the controller asks for one metric.
struct Question {
    /// The path, or why it cannot be asked now.
    path: Result<String, Why>,
    /// What it takes, for a person.
    permission: String,
    verb: &'static str,
    group: &'static str,
    resource: String,
    subresource: String,
    name: String,
    namespace: String,
}

impl Question {
    fn access(&self) -> Access<'_> {
        Access {
            verb: self.verb,
            group: self.group,
            resource: &self.resource,
            subresource: &self.subresource,
            name: &self.name,
            namespace: &self.namespace,
        }
    }
}

/// The requests of `metrics/rest_metrics_client.go` and of `k8s.io/metrics/pkg/client`.
async fn question(
    asker: &Asker<'_>,
    kinds: &Kinds,
    cluster: &Cluster,
    plan: &Plan,
    metric: &MetricSpec,
) -> Result<Question, Why> {
    let usable =
        |text: &str| segment(text).map_err(|_| Why::Unreadable(format!("{text:?} is no usable name")));
    let namespace = usable(&plan.namespace)?;
    let blank = |verb, group, resource: &str| Question {
        path: Err(Why::NotAsked(String::new())),
        permission: format!("{resource}.{group}"),
        verb,
        group,
        resource: resource.to_owned(),
        subresource: String::new(),
        name: String::new(),
        namespace: plan.namespace.clone(),
    };
    match &metric.source {
        MetricRef::Resource { .. } | MetricRef::ContainerResource { .. } => {
            let root = format!("/apis/metrics.k8s.io/v1beta1/namespaces/{namespace}/pods");
            let path = match selector(plan) {
                Some(selector) if runs(plan) => {
                    format!("{root}?labelSelector={}", guard::query_value(selector))
                }
                _ => root,
            };
            Ok(Question { path: Ok(path), ..blank("list", "metrics.k8s.io", "pods") })
        }
        MetricRef::Pods { name, selector: wanted } => {
            let root = custom_root(cluster)?;
            let metric = usable(name)?;
            let path = match selector(plan) {
                Some(selector) if runs(plan) => Ok(format!(
                    "{root}/namespaces/{namespace}/pods/%2A/{metric}?labelSelector={}{}",
                    guard::query_value(selector),
                    query("&metricLabelSelector", wanted)
                )),
                _ => Err(Why::Deferred(format!("{name} is measured in pods that do not run yet"))),
            };
            let question = blank("get", "custom.metrics.k8s.io", "pods");
            Ok(Question { path, subresource: name.clone(), name: "*".to_owned(), ..question })
        }
        MetricRef::Object { name, selector: wanted, of } => {
            let root = custom_root(cluster)?;
            let metric = usable(name)?;
            let query = query("?metricLabelSelector", wanted);
            if of.kind == "Namespace" && of.group().is_empty() {
                let path = Ok(format!("{root}/namespaces/{namespace}/metrics/{metric}{query}"));
                let question = blank("get", "custom.metrics.k8s.io", "metrics");
                return Ok(Question { path, name: name.clone(), ..question });
            }
            let found = kinds.find(asker, of.group(), &of.kind).await;
            let kind = match found.look {
                Look::Seen(Some(kind)) => kind,
                Look::Seen(None) => {
                    return Err(Why::NotAsked(format!("nobody serves {} in {:?}", of.kind, of.api_version)));
                }
                Look::Unseen(why) => return Err(why),
            };
            let object = usable(&of.name)?;
            let resource = kind.permission();
            // Also for a node or another object of no namespace the controller asks in that of the autoscaler.
            let path = format!("{root}/namespaces/{namespace}/{resource}/{object}/{metric}{query}");
            let question = blank("get", "custom.metrics.k8s.io", &resource);
            Ok(Question { path: Ok(path), subresource: name.clone(), name: of.name.clone(), ..question })
        }
        MetricRef::External { name, selector: wanted } => {
            let version = served(cluster, "external.metrics.k8s.io", &["v1beta1"])?;
            // The controller's client writes the name in lower case (seen on 1.36).
            let metric = usable(&name.to_lowercase())?;
            let query = query("?labelSelector", wanted);
            let path =
                Ok(format!("/apis/external.metrics.k8s.io/{version}/namespaces/{namespace}/{metric}{query}"));
            Ok(Question { path, ..blank("list", "external.metrics.k8s.io", &name.to_lowercase()) })
        }
        MetricRef::Unusable { kind } => Err(Why::NotAsked(format!("no metric is of the type {kind:?}"))),
    }
}

/// The parameter with its value; nothing where there is no value.
fn query(name: &str, value: &str) -> String {
    if value.is_empty() { String::new() } else { format!("{name}={}", guard::query_value(value)) }
}

fn selector(plan: &Plan) -> Option<&str> {
    plan.scale.peek()?.as_ref().map(|scale| scale.selector.as_str()).filter(|selector| !selector.is_empty())
}

/// Whether the target has pods.
fn runs(plan: &Plan) -> bool {
    plan.pods.peek().is_some_and(|pods| !pods.is_empty())
}

fn custom_root(cluster: &Cluster) -> Result<String, Why> {
    let version = served(cluster, "custom.metrics.k8s.io", &CUSTOM_VERSIONS)?;
    Ok(format!("/apis/custom.metrics.k8s.io/{version}"))
}

/// The version of a group that the controller takes: the first that the API server prefers and the controller knows.
fn served(cluster: &Cluster, group: &str, known: &[&str]) -> Result<String, Why> {
    let groups = match &cluster.groups.look {
        Look::Seen(groups) => groups,
        Look::Unseen(why) => return Err(why.clone()),
    };
    let version =
        groups.iter().find(|served| served.group == group && known.contains(&served.version.as_str()));
    version
        .map(|served| served.version.clone())
        .ok_or_else(|| Why::NotAsked(format!("nobody serves {group}")))
}

/// What an identity would do.
struct Access<'a> {
    verb: &'a str,
    group: &'a str,
    resource: &'a str,
    subresource: &'a str,
    name: &'a str,
    namespace: &'a str,
}

/// Asks whether the controller may.
async fn permitted(asker: &Asker<'_>, roles: &Roles, access: &Access<'_>) -> Obs<Permitted> {
    let review = json!({
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SubjectAccessReview",
        "spec": {
            "user": CONTROLLER,
            "groups": GROUPS,
            "resourceAttributes": {
                "namespace": access.namespace,
                "verb": access.verb,
                "group": access.group,
                "resource": access.resource,
                "subresource": access.subresource,
                "name": access.name,
            },
        },
    });
    let asked = asker.ask(Request::post("/apis/authorization.k8s.io/v1/subjectaccessreviews", review)).await;
    let slash = if access.subresource.is_empty() { "" } else { "/" };
    let resource = format!("{}{slash}{}.{}", access.resource, access.subresource, access.group);
    let reviewed =
        asked.read(Need::ControllerAccess, "create", "subjectaccessreviews.authorization.k8s.io", |body| {
            Some(Permitted {
                allowed: body["status"]["allowed"].as_bool()?,
                verb: access.verb.to_owned(),
                resource: resource.clone(),
                reason: json::text(&body["status"]["reason"]),
            })
        });
    if !matches!(reviewed.look, Look::Unseen(Why::Forbidden { .. })) {
        return reviewed;
    }
    // Who may not ask may still read the roles. Those that allow it prove it; where none does, another authorizer may.
    match roles.allow(asker, CALLER, access.namespace, &access.asked()).await {
        None => reviewed,
        Some((by, from)) => {
            let verb = access.verb.to_owned();
            let permitted = Permitted { allowed: true, verb, resource, reason: format!("RBAC: {by}") };
            Obs::seen(Need::ControllerAccess, from, permitted)
        }
    }
}

impl<'a> Access<'a> {
    /// What RBAC has to allow: a scale is read before it is changed.
    fn asked(&self) -> Vec<Asked<'a>> {
        let verbs = if self.subresource == "scale" { vec!["get", self.verb] } else { vec![self.verb] };
        let Self { group, resource, subresource, name, .. } = *self;
        verbs.into_iter().map(|verb| Asked { verb, group, resource, subresource, name }).collect()
    }
}

/// An answer as it is, where there was one; what the caller may not ask shows nothing of what the controller may.
pub(super) fn answer(asked: &ask::Asked, need: Need, permission: &str, namespace: &str) -> Obs<MetricAnswer> {
    match asked.observation.response() {
        Some((200, crate::source::Body::Json(body))) => {
            let items = json::items(&body["items"]).map(item).collect();
            Obs::seen(need, [asked.id], MetricAnswer { status: 200, message: String::new(), items })
        }
        Some((401 | 403, _)) | None => {
            let verb = if need == Need::CustomMetrics { "get" } else { "list" };
            Obs::unseen(
                need,
                [asked.id],
                why(&asked.observation, verb, &format!("{permission} in {namespace}")),
            )
        }
        Some((status, _)) => {
            let answer =
                MetricAnswer { status: i64::from(status), message: asked.message(), items: Vec::new() };
            Obs::seen(need, [asked.id], answer)
        }
    }
}

fn item(item: &Value) -> MetricItem {
    let of = item["describedObject"]["name"].as_str().or(item["metadata"]["name"].as_str());
    let containers: BTreeMap<String, Vec<String>> = json::items(&item["containers"])
        .map(|container| {
            (json::text(&container["name"]), json::strings(&container["usage"]).into_keys().collect())
        })
        .collect();
    MetricItem {
        of: of.unwrap_or_default().to_owned(),
        value: match &item["value"] {
            Value::Number(number) => number.to_string(),
            other => json::text(other),
        },
        containers,
        timestamp: json::time(&item["timestamp"]),
    }
}
