//! What a namespace holds that decides about its autoscalers: others of their kind, limits, quotas.

use std::collections::{BTreeMap, BTreeSet};

use checks::evidence::{Cluster, Look, MetricAnswer, Namespace, Need, Obs, OtherAutoscaler, Why};
use checks::plan::{Quantity, default_requests, vpa_controls};
use serde_json::Value;

use super::super::ask::{Asked, Asker};
use super::super::json;
use super::values;
use crate::source::{Request, segment};

/// Looks at one namespace.
pub(super) async fn look(asker: &Asker<'_>, cluster: &Cluster, name: &str) -> Namespace {
    let Ok(path) = segment(name) else {
        return unseen(&Why::Unreadable("the namespace has no usable name".to_owned()));
    };
    let core = format!("/api/v1/namespaces/{path}");
    let asked = asker.ask(Request::get(&core)).await;
    let exists = exists(&asked, name);
    let ends = asked.observation.json().is_some_and(|body| body["status"]["phase"] == "Terminating");
    if exists.peek() == Some(&false) {
        return Namespace { ends, ..absent(name, exists) };
    }
    let limits = asker.list(&format!("{core}/limitranges"), &format!("limitranges in {name}")).await;
    let quotas = asker.list(&format!("{core}/resourcequotas"), &format!("resourcequotas in {name}")).await;
    let metrics =
        asker.ask(Request::get(format!("/apis/metrics.k8s.io/v1beta1/namespaces/{path}/pods"))).await;
    Namespace {
        exists,
        ends,
        hpas: super::super::hpas::list_with_scales(asker, name).await,
        default_requests: limits
            .each(Need::LimitRanges, |item| Some(default_requests(&item["spec"])))
            .map(Need::LimitRanges, |lists| {
                lists.into_iter().flatten().collect::<BTreeSet<_>>().into_iter().collect()
            }),
        other_autoscalers: others(asker, cluster, name, &path).await,
        quota_left: quotas.each(Need::Quotas, |item| Some(left(item))).map(Need::Quotas, least),
        pod_metrics: values::answer(&metrics, Need::PodMetrics, "pods.metrics.k8s.io", name),
    }
}

/// Whether a namespace is there. A server that does not know the path answers 404 too, and names no namespace.
fn exists(asked: &Asked, name: &str) -> Obs<bool> {
    let details = asked.observation.status_object().map_or(&Value::Null, |status| &status["details"]);
    if asked.status() == Some(404) && details["kind"] == "namespaces" && details["name"] == name {
        return Obs::seen(Need::Namespaces, [asked.id], false);
    }
    asked.read(Need::Namespaces, "get", &format!("namespaces/{name}"), |body| {
        // Of one that is being deleted nothing stays.
        (body["metadata"]["name"] == name).then_some(body["status"]["phase"] != "Terminating")
    })
}

/// A namespace that is not there holds no autoscalers. Limits and quotas may come with it: whoever makes namespaces often
/// gives them some.
fn absent(name: &str, exists: Obs<bool>) -> Namespace {
    let (from, why) = (exists.from.clone(), not_there(name));
    Namespace {
        hpas: Obs::seen(Need::Hpas, from.clone(), Vec::new()),
        default_requests: Obs::unseen(Need::LimitRanges, from.clone(), why.clone()),
        other_autoscalers: Obs::seen(Need::OtherAutoscalers, from.clone(), Vec::new()),
        quota_left: Obs::unseen(Need::Quotas, from.clone(), why.clone()),
        pod_metrics: Obs::unseen(Need::PodMetrics, from, why),
        exists,
        ends: false,
    }
}

/// Why nothing was seen of what will be in a namespace.
pub(super) fn not_there(name: &str) -> Why {
    Why::Deferred(format!("the namespace {name} is not there yet"))
}

fn unseen(why: &Why) -> Namespace {
    Namespace {
        exists: Obs::unseen(Need::Namespaces, [], why.clone()),
        ends: false,
        hpas: Obs::unseen(Need::Hpas, [], why.clone()),
        default_requests: Obs::unseen(Need::LimitRanges, [], why.clone()),
        other_autoscalers: Obs::unseen(Need::OtherAutoscalers, [], why.clone()),
        quota_left: Obs::unseen(Need::Quotas, [], why.clone()),
        pod_metrics: Obs::<MetricAnswer>::unseen(Need::PodMetrics, [], why.clone()),
    }
}

/// What a `ResourceQuota` leaves, by resource; what cannot be read is left out.
fn left(item: &Value) -> Vec<(String, Quantity)> {
    let used = json::strings(&item["status"]["used"]);
    let left = |name: &str, hard: &str| {
        let used = used.get(name).map_or("0", String::as_str);
        Quantity::read(hard)?.plus(Quantity::read(used)?.times(-1)?)
    };
    let hard = json::strings(&item["status"]["hard"]).into_iter();
    hard.filter_map(|(name, hard)| Some((name.clone(), left(&name, &hard)?))).collect()
}

/// The least that several quotas leave of each resource.
fn least(quotas: Vec<Vec<(String, Quantity)>>) -> BTreeMap<String, String> {
    let mut least: BTreeMap<String, Quantity> = BTreeMap::new();
    for (name, left) in quotas.into_iter().flatten() {
        least.entry(name).and_modify(|known| *known = (*known).min(left)).or_insert(left);
    }
    least.into_iter().map(|(name, left)| (name, left.to_string())).collect()
}

/// The other autoscalers that the cluster knows of, where their kinds are served.
async fn others(asker: &Asker<'_>, cluster: &Cluster, name: &str, path: &str) -> Obs<Vec<OtherAutoscaler>> {
    let groups = match &cluster.groups.look {
        Look::Seen(groups) => groups,
        Look::Unseen(why) => {
            return Obs::unseen(Need::OtherAutoscalers, cluster.groups.from.clone(), why.clone());
        }
    };
    let version_of = |group: &str| {
        let own = groups.iter().find(|served| served.group == group)?;
        segment(&own.version).ok()
    };
    let mut all = Obs::seen(Need::OtherAutoscalers, cluster.groups.from.clone(), Vec::new());
    for (group, resource, read) in [
        ("autoscaling.k8s.io", "verticalpodautoscalers", vertical as fn(&Value) -> Option<OtherAutoscaler>),
        ("keda.sh", "scaledobjects", scaled_object),
    ] {
        let Some(version) = version_of(group) else { continue };
        let path = format!("/apis/{group}/{version}/namespaces/{path}/{resource}");
        let found = asker.list(&path, &format!("{resource}.{group} in {name}")).await;
        let found = found.each(Need::OtherAutoscalers, read);
        match (&mut all.look, found.look) {
            (Look::Seen(known), Look::Seen(more)) => known.extend(more),
            (_, Look::Unseen(why)) => return Obs::unseen(Need::OtherAutoscalers, found.from, why),
            (Look::Unseen(_), _) => {}
        }
        all.from.extend(found.from);
    }
    all
}

/// A `VerticalPodAutoscaler`.
fn vertical(item: &Value) -> Option<OtherAutoscaler> {
    let target = &item["spec"]["targetRef"];
    Some(OtherAutoscaler {
        kind: "VerticalPodAutoscaler".to_owned(),
        name: json::name(&item["metadata"]["name"])?,
        target_kind: json::text(&target["kind"]),
        target_name: json::text(&target["name"]),
        controls: vpa_controls(&item["spec"]),
    })
}

/// A KEDA `ScaledObject`: it makes an autoscaler of its own. The kind of its target is a Deployment where it names
/// none.
fn scaled_object(item: &Value) -> Option<OtherAutoscaler> {
    let target = &item["spec"]["scaleTargetRef"];
    Some(OtherAutoscaler {
        kind: "ScaledObject".to_owned(),
        name: json::name(&item["metadata"]["name"])?,
        target_kind: target["kind"].as_str().unwrap_or("Deployment").to_owned(),
        target_name: json::text(&target["name"]),
        controls: BTreeMap::new(),
    })
}
