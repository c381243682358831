//! The HorizontalPodAutoscalers, the scales of their targets, and the pods behind those.

use checks::evidence::{
    Condition, ControllerLease, Hpa, HpaPod, HpaStatus, HpaTarget, Look, MetricSource, MetricSpec,
    MetricValue, Need, Obs, Why,
};
use checks::plan::{HpaSpec, MetricRef};
use serde_json::Value;

use super::ask::{Asker, why};
use super::{CollectOptions, json};
use crate::source::{Request, segment};

/// So many HPAs are followed to their targets, those with bad conditions first.
const MAX_FOLLOWED: usize = 50;

/// Lists the HPAs; where the whole cluster may not be listed, those of the caller's own namespace.
pub(super) async fn collect(
    asker: &Asker<'_>,
    options: &CollectOptions,
    own_namespace: Option<&str>,
) -> Obs<Vec<Hpa>> {
    let namespace = options.namespace.as_deref();
    let mut hpas = list(asker, namespace).await;
    if let (None, Look::Unseen(Why::Forbidden { .. }), Some(own)) = (namespace, &hpas.look, own_namespace) {
        let own = list(asker, Some(own)).await;
        if own.peek().is_some_and(|own| !own.is_empty()) {
            hpas = own;
        }
    }
    follow_all(asker, &mut hpas).await;
    hpas
}

/// The HPAs of one namespace or of the whole cluster, as far as the caller may list them; their targets are not
/// followed.
pub(super) async fn list_all(
    asker: &Asker<'_>,
    options: &CollectOptions,
    own_namespace: Option<&str>,
) -> Obs<Vec<Hpa>> {
    let namespace = options.namespace.as_deref();
    let hpas = list(asker, namespace).await;
    if let (None, Look::Unseen(Why::Forbidden { .. }), Some(own)) = (namespace, &hpas.look, own_namespace) {
        let own = list(asker, Some(own)).await;
        // None there says nothing of those elsewhere.
        if own.peek().is_some_and(|own| !own.is_empty()) {
            return own;
        }
    }
    hpas
}

/// The Lease of kube-controller-manager.
pub(super) async fn controller_lease(asker: &Asker<'_>) -> Obs<Option<ControllerLease>> {
    const PATH: &str = "/apis/coordination.k8s.io/v1/namespaces/kube-system/leases/kube-controller-manager";
    let read = |lease: &Value| {
        let spec = &lease["spec"];
        Some(ControllerLease {
            holder: json::text(&spec["holderIdentity"]),
            duration_s: spec["leaseDurationSeconds"].as_i64()?,
            renewed: json::time(&spec["renewTime"])?,
        })
    };
    let resource = "leases.coordination.k8s.io/kube-controller-manager in kube-system";
    asker.ask(Request::get(PATH)).await.find(Need::ControllerLease, "get", resource, read)
}

/// The HPAs of a namespace with the scales of their targets.
pub(super) async fn list_with_scales(asker: &Asker<'_>, namespace: &str) -> Obs<Vec<Hpa>> {
    let mut hpas = list(asker, Some(namespace)).await;
    follow_all(asker, &mut hpas).await;
    hpas
}

/// Follows the HPAs to their targets, those with bad conditions first.
async fn follow_all(asker: &Asker<'_>, hpas: &mut Obs<Vec<Hpa>>) {
    if let Look::Seen(list) = &mut hpas.look {
        list.sort_by(|one, other| (&one.namespace, &one.name).cmp(&(&other.namespace, &other.name)));
        let mut order: Vec<usize> = (0..list.len()).collect();
        order.sort_by_key(|&index| {
            !list[index].conditions.iter().any(|condition| condition.status == "False")
        });
        for (place, index) in order.into_iter().enumerate() {
            if place < MAX_FOLLOWED {
                follow(asker, &mut list[index]).await;
            } else {
                list[index].scale = Obs::unseen(Need::HpaTarget, [], Why::NotSampled);
                list[index].pods = Obs::unseen(Need::HpaPods, [], Why::NotSampled);
            }
        }
    }
}

async fn list(asker: &Asker<'_>, namespace: Option<&str>) -> Obs<Vec<Hpa>> {
    let path = match namespace.map(segment) {
        None => "/apis/autoscaling/v2/horizontalpodautoscalers".to_owned(),
        Some(Ok(namespace)) => {
            format!("/apis/autoscaling/v2/namespaces/{namespace}/horizontalpodautoscalers")
        }
        Some(Err(error)) => return Obs::unseen(Need::Hpas, [], Why::NotAsked(error.reason)),
    };
    let resource = match namespace {
        None => "horizontalpodautoscalers.autoscaling".to_owned(),
        Some(namespace) => format!("horizontalpodautoscalers.autoscaling in {namespace}"),
    };
    asker.list(&path, &resource).await.each(Need::Hpas, read_hpa)
}

fn read_hpa(item: &Value) -> Option<Hpa> {
    let target = &item["spec"]["scaleTargetRef"];
    let conditions: Vec<Condition> = json::conditions(&item["status"]["conditions"]);
    let unseen = Why::NotAsked("the target was not followed".to_owned());
    let (spec, status) = (HpaSpec::read("autoscaling/v2", item), read_status(&item["status"]));
    Some(Hpa {
        namespace: json::name(&item["metadata"]["namespace"])?,
        name: json::name(&item["metadata"]["name"])?,
        created: json::time(&item["metadata"]["creationTimestamp"])?,
        target: (
            json::text(&target["apiVersion"]),
            json::name(&target["kind"])?,
            json::name(&target["name"])?,
        ),
        metrics: json::items(&item["spec"]["metrics"]).filter_map(read_metric).collect(),
        filled: spec.metrics.iter().map(|metric| status.has(&metric.source)).collect(),
        spec,
        status,
        conditions,
        scale: Obs::unseen(Need::HpaTarget, [], unseen.clone()),
        pods: Obs::unseen(Need::HpaPods, [], unseen),
    })
}

fn read_status(status: &Value) -> HpaStatus {
    let entries = json::items(&status["currentMetrics"]).enumerate();
    let values = entries.filter_map(|(index, entry)| {
        // Where the controller could not read a metric, it leaves an entry without a type.
        let source = MetricRef::read(entry);
        let kind = source.field()?;
        let current = &entry[kind]["current"];
        let text = |field: &str| current[field].as_str().map(str::to_owned);
        Some(MetricValue {
            index,
            source,
            average_utilization: current["averageUtilization"].as_i64(),
            average_value: text("averageValue"),
            value: text("value"),
        })
    });
    HpaStatus {
        replicas: json::number(&status["currentReplicas"]),
        desired: json::number(&status["desiredReplicas"]),
        values: values.collect(),
    }
}

fn read_metric(metric: &Value) -> Option<MetricSpec> {
    let (source, field) = match metric["type"].as_str()? {
        "Resource" => (MetricSource::Resource, "resource"),
        "ContainerResource" => (MetricSource::ContainerResource, "containerResource"),
        "Pods" => (MetricSource::Pods, "pods"),
        "Object" => (MetricSource::Object, "object"),
        "External" => (MetricSource::External, "external"),
        _ => return None,
    };
    let body = &metric[field];
    let name = body["name"].as_str().or(body["metric"]["name"].as_str()).unwrap_or_default();
    Some(MetricSpec {
        source,
        name: name.to_owned(),
        container: body["container"].as_str().map(str::to_owned),
        utilization: body["target"]["type"] == "Utilization",
    })
}

/// The resource of a kind of the built-in groups; others keep the plural that the API convention gives.
fn plural(kind: &str) -> String {
    let kind = kind.to_ascii_lowercase();
    match kind.chars().next_back() {
        Some('s' | 'x') => format!("{kind}es"),
        Some('y') => format!("{}ies", &kind[..kind.len() - 1]),
        _ => format!("{kind}s"),
    }
}

/// The resource of a kind: known for the built-in groups, from discovery for all others.
async fn resource_of(asker: &Asker<'_>, root: &str, kind: &str, guess: String) -> Result<String, Obs<()>> {
    if matches!(root, "/apis/apps/v1" | "/api/v1") {
        return Ok(guess);
    }
    let asked = asker.ask(Request::get(root)).await;
    let found = asked.observation.json().and_then(|body| {
        let mut resources = json::items(&body["resources"]);
        let own = resources.find(|resource| {
            resource["kind"] == kind && resource["name"].as_str().is_some_and(|name| !name.contains('/'))
        })?;
        own["name"].as_str().map(str::to_owned)
    });
    found.and_then(|name| segment(&name).ok()).ok_or_else(|| {
        let why = match asked.status() {
            Some(200 | 404) => Why::Unsupported(format!("no kind {kind} in {root}")),
            _ => why(&asked.observation, "get", root),
        };
        Obs::unseen(Need::HpaTarget, [asked.id], why)
    })
}

async fn follow(asker: &Asker<'_>, hpa: &mut Hpa) {
    let (version, kind, name) = &hpa.target;
    let parts = (segment(&hpa.namespace), segment(name), segment(&plural(kind)));
    let (Ok(namespace), Ok(name), Ok(resource)) = parts else {
        hpa.scale =
            Obs::unseen(Need::HpaTarget, [], Why::Unreadable("the target has no usable name".to_owned()));
        return;
    };
    let root = match version.split_once('/') {
        Some((group, version)) => match (segment(group), segment(version)) {
            (Ok(group), Ok(version)) => format!("/apis/{group}/{version}"),
            _ => return,
        },
        None => "/api/v1".to_owned(),
    };
    let resource = match resource_of(asker, &root, kind, resource).await {
        Ok(resource) => resource,
        Err(unseen) => {
            hpa.scale = unseen.clone().map(Need::HpaTarget, |()| None);
            hpa.pods = unseen.map(Need::HpaPods, |()| Vec::new());
            return;
        }
    };
    let asked =
        asker.ask(Request::get(format!("{root}/namespaces/{namespace}/{resource}/{name}/scale"))).await;
    let permission = format!("{resource}/scale in {namespace}");
    if asked.status() == Some(404) && !asked.names_an_object() {
        let why = Why::Unsupported(format!("{resource} have no scale"));
        hpa.scale = Obs::unseen(Need::HpaTarget, [asked.id], why.clone());
        hpa.pods = Obs::unseen(Need::HpaPods, [asked.id], why);
        return;
    }
    hpa.scale = asked.find(Need::HpaTarget, "get", &permission, |body| {
        Some(HpaTarget {
            replicas: json::number(&body["spec"]["replicas"]),
            selector: json::text(&body["status"]["selector"]),
        })
    });
    let selector = match hpa.scale.peek() {
        Some(Some(scale)) if !scale.selector.is_empty() => crate::source::guard::query_value(&scale.selector),
        Some(_) => {
            hpa.pods = Obs::unseen(Need::HpaPods, [], Why::NotAsked("the target has no selector".to_owned()));
            return;
        }
        None => {
            hpa.pods = hpa.scale.clone().map(Need::HpaPods, |_| Vec::new());
            return;
        }
    };
    let path = format!("/api/v1/namespaces/{namespace}/pods?labelSelector={selector}");
    hpa.pods = asker.list(&path, &format!("pods in {namespace}")).await.each(Need::HpaPods, read_pod);
}

/// A pod that an autoscaler selects.
pub(super) fn read_pod(pod: &Value) -> Option<HpaPod> {
    let spec = &pod["spec"];
    let template = checks::plan::read_template(pod, "");
    let owners = json::items(&pod["metadata"]["ownerReferences"]);
    let owner = owners
        .filter(|owner| owner["controller"] == true)
        .find_map(|owner| Some((owner["kind"].as_str()?.to_owned(), owner["name"].as_str()?.to_owned())));
    Some(HpaPod {
        name: pod["metadata"]["name"].as_str()?.to_owned(),
        node: spec["nodeName"].as_str().map(str::to_owned),
        phase: json::text(&pod["status"]["phase"]),
        ready: json::conditions(&pod["status"]["conditions"])
            .iter()
            .any(|condition| condition.kind == "Ready" && condition.status == "True"),
        created: json::time(&pod["metadata"]["creationTimestamp"])?,
        labels: template.labels,
        owner,
        containers: template.containers,
        pod_requests: template.pod_requests,
    })
}

#[cfg(test)]
mod tests {
    use super::plural;

    #[test]
    fn kinds_have_plurals() {
        assert_eq!(plural("Deployment"), "deployments");
        assert_eq!(plural("Ingress"), "ingresses");
        assert_eq!(plural("Proxy"), "proxies");
    }
}
