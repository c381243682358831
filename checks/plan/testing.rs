//! Evidence of a gate for the cases of checks: manifests as JSON, with synthetic places.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::HpaSpec;
use crate::check::{Check, Outcome, Subject};
use crate::evidence::{
    Document, Evidence, Gate, HpaTarget, Manifests, MetricAnswer, MetricItem, Mode, Namespace, Need, Obs,
    Place, Plan, PlanMetric, RequestSeen, TargetKind, Why, unseen,
};

/// The manifests of these objects, judged without a cluster. The object of index N stands from line 100 N + 1 on;
/// autoscalers become plans.
pub(crate) fn offline(objects: &[Value]) -> Evidence {
    let documents: Vec<Document> =
        objects.iter().enumerate().map(|(index, object)| document(index, object)).collect();
    let plans = documents.iter().enumerate().filter(|(_, it)| it.kind == "HorizontalPodAutoscaler");
    let plans = plans.map(|(index, it)| plan(index, it)).collect();
    let manifests = Manifests { documents, ..Manifests::default() };
    Evidence {
        gate: Gate { manifests, namespace: "shop".to_owned(), offline: true, plans, ..Gate::default() },
        ..unseen(Mode::Gate)
    }
}

/// The manifests of these objects, for a cluster of 1.36 in which nothing of theirs is yet.
pub(crate) fn online(objects: &[Value]) -> Evidence {
    let mut evidence = offline(objects);
    evidence.requests = vec![RequestSeen { request: "GET /anything".to_owned(), seen_at: evidence.taken_at }];
    evidence.cluster.version =
        seen(Need::Version, crate::evidence::ServerVersion { git_version: "v1.36.2".to_owned(), minor: 36 });
    let gate = &mut evidence.gate;
    gate.offline = false;
    for plan in &mut gate.plans {
        plan.target = seen(Need::Kinds, TargetKind::Scalable);
        plan.scale = seen(Need::HpaTarget, None);
        plan.template = seen(Need::Template, None);
        plan.pods = seen(Need::HpaPods, Vec::new());
        gate.namespaces.entry(plan.namespace.clone()).or_insert_with(|| Namespace {
            exists: seen(Need::Namespaces, true),
            ends: false,
            hpas: seen(Need::Hpas, Vec::new()),
            default_requests: seen(Need::LimitRanges, Vec::new()),
            other_autoscalers: seen(Need::OtherAutoscalers, Vec::new()),
            quota_left: seen(Need::Quotas, BTreeMap::new()),
            pod_metrics: Obs::unseen(Need::PodMetrics, [], Why::NotRecorded),
        });
    }
    evidence
}

/// A Deployment in the namespace `shop` with the label `app` of its name.
pub(crate) fn deployment(name: &str, containers: Value) -> Value {
    let mut object = json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name, "namespace": "shop"},
        "spec": {
            "selector": {"matchLabels": {"app": name}},
            "template": {"metadata": {"labels": {"app": name}}, "spec": {}},
        },
    });
    object["spec"]["template"]["spec"]["containers"] = containers;
    object
}

/// An autoscaler in the namespace `shop` of the Deployment of the same name.
pub(crate) fn hpa(name: &str, metrics: Value) -> Value {
    let mut object = json!({
        "apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": name, "namespace": "shop"},
        "spec": {
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": name},
            "minReplicas": 2, "maxReplicas": 10,
        },
    });
    object["spec"]["metrics"] = metrics;
    object
}

/// An external metric.
pub(crate) fn external() -> Value {
    json!({"type": "External", "external": {
        "metric": {"name": "queue"}, "target": {"type": "AverageValue", "averageValue": "5"},
    }})
}

/// An autoscaler with an external metric, which was asked for and answered with this status and these values.
pub(crate) fn answered(status: i64, values: &[&str]) -> Evidence {
    let mut evidence = online(&[hpa("web", json!([external()]))]);
    let item = |value: &&str| MetricItem {
        of: String::new(),
        value: (*value).to_owned(),
        containers: BTreeMap::new(),
        timestamp: None,
    };
    let items = values.iter().map(item).collect();
    let answer = MetricAnswer { status, message: "as it says".to_owned(), items };
    evidence.gate.plans[0].metrics[0].answer = seen(Need::ExternalMetrics, answer);
    evidence
}

/// A metric of CPU in percent of the request.
pub(crate) fn cpu(percent: i64) -> Value {
    json!({"type": "Resource", "resource": {
        "name": "cpu", "target": {"type": "Utilization", "averageUtilization": percent},
    }})
}

/// Something that was seen.
pub(crate) fn seen<T>(need: Need, value: T) -> Obs<T> {
    Obs::seen(need, [0], value)
}

/// Something that may not be looked at.
pub(crate) fn forbidden<T>(need: Need) -> Obs<T> {
    Obs::unseen(need, [0], Why::Forbidden { verb: "list".to_owned(), resource: "things".to_owned() })
}

/// A scale with this selector.
pub(crate) fn scale(selector: &str) -> Obs<Option<HpaTarget>> {
    seen(Need::HpaTarget, Some(HpaTarget { replicas: 2, selector: selector.to_owned() }))
}

/// The results of a check as words, by subject; it may read nothing but what it declares.
pub(crate) fn results(check: &Check, evidence: &Evidence) -> BTreeMap<String, Outcome> {
    let outcomes = check.run(evidence);
    let declared: BTreeSet<Need> = check.needs.iter().copied().collect();
    assert!(outcomes.read.is_subset(&declared), "{} reads {:?}", check.name, outcomes.read);
    let mut results = BTreeMap::new();
    for (Subject { namespace, name, .. }, outcome) in outcomes.results {
        if let Outcome::Fail(finding) = &outcome {
            assert!(!finding.citations.is_empty(), "{} on {name} proves nothing", check.name);
            for citation in &finding.citations {
                assert!(!citation.path.is_empty() && !citation.value.is_empty(), "{citation:?}");
                assert!(citation.place.is_some() || citation.request.is_some(), "{citation:?}");
            }
            assert!(!(check.remedies)(evidence, &[finding]).is_empty(), "{} has no cure", check.name);
        }
        let twice = results.insert(format!("{namespace}/{name}"), outcome);
        assert!(twice.is_none(), "{} has two results for {namespace}/{name}", check.name);
    }
    results
}

/// The one result of a check.
pub(crate) fn result(check: &Check, evidence: &Evidence) -> Outcome {
    let results = results(check, evidence);
    assert_eq!(results.len(), 1, "{results:?}");
    results.into_values().next().expect("one result")
}

/// The sentence of a failure, with the places that prove it; `pass`, `n/a: WHY` or `open: WHY` for the rest.
pub(crate) fn words(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Pass => "pass".to_owned(),
        Outcome::NotApplicable(why) => format!("n/a: {why}"),
        Outcome::Undecided(missing) => format!("open: {}", missing.why),
        Outcome::Fail(finding) => finding.detail.clone(),
    }
}

/// The word for one result: `pass`, `fail`, `n/a` or `open`.
pub(crate) fn word(outcome: &Outcome) -> &'static str {
    match outcome {
        Outcome::Pass => "pass",
        Outcome::NotApplicable(_) => "n/a",
        Outcome::Undecided(_) => "open",
        Outcome::Fail(_) => "fail",
    }
}

fn document(index: usize, object: &Value) -> Document {
    let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned();
    let mut places = BTreeMap::new();
    let mut line = 100 * index + 1;
    let place = Place { file: "app.yaml".to_owned(), line, column: 1, end_line: line, end_column: 2 };
    number(object, String::new(), &mut line, &mut places);
    Document {
        api_version: text("/apiVersion"),
        kind: text("/kind"),
        namespace: text("/metadata/namespace"),
        name: text("/metadata/name"),
        body: object.clone(),
        place,
        places,
    }
}

/// Every value has a line of its own, in the order of the keys.
fn number(value: &Value, pointer: String, line: &mut usize, places: &mut BTreeMap<String, Place>) {
    let mut enter = |key: &str, value: &Value| {
        *line += 1;
        let key = key.replace('~', "~0").replace('/', "~1");
        number(value, format!("{pointer}/{key}"), line, places);
    };
    match value {
        Value::Object(map) => map.iter().for_each(|(key, value)| enter(key, value)),
        Value::Array(list) => {
            list.iter().enumerate().for_each(|(index, value)| enter(&index.to_string(), value));
        }
        _ => {}
    }
    let place = Place { file: "app.yaml".to_owned(), line: *line, column: 1, end_line: *line, end_column: 2 };
    places.insert(pointer, place);
}

fn plan(index: usize, document: &Document) -> Plan {
    let unasked = || Why::NotAsked("the cluster was not asked".to_owned());
    let spec = HpaSpec::read(&document.api_version, &document.body);
    let namespace = if document.namespace.is_empty() { "shop" } else { &document.namespace };
    let metrics = spec.metrics.iter().map(|_| PlanMetric {
        described: Obs::unseen(Need::Kinds, [], unasked()),
        permitted: Obs::unseen(Need::ControllerAccess, [], unasked()),
        answer: Obs::unseen(Need::PodMetrics, [], unasked()),
    });
    Plan {
        namespace: namespace.to_owned(),
        name: document.name.clone(),
        document: Some(index),
        live: None,
        events: Obs::unseen(Need::Events, [], unasked()),
        scale_permitted: Obs::unseen(Need::ControllerAccess, [], unasked()),
        target: Obs::unseen(Need::Kinds, [], unasked()),
        scale: Obs::unseen(Need::HpaTarget, [], unasked()),
        template: Obs::unseen(Need::Template, [], unasked()),
        pods: Obs::unseen(Need::HpaPods, [], unasked()),
        metrics: metrics.collect(),
        spec,
    }
}
