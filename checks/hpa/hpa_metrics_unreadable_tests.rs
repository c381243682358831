//! Autoscalers as the controller left them, and such as are to come.

use jiff::ToSpan as _;
use serde_json::json;

use super::*;
use crate::evidence::{Condition, HpaStatus, HpaTarget, MetricAnswer, Obs};
use crate::plan::testing::{cpu, forbidden, hpa, online, seen, words};

/// An autoscaler of the cluster with two metrics, of which the controller has read the first.
fn evidence(events: Obs<Vec<HpaEvent>>) -> Evidence {
    let queue = json!({"type": "External", "external": {
        "metric": {"name": "queue"}, "target": {"type": "Value", "value": "1"},
    }});
    let mut evidence = online(&[hpa("web", json!([cpu(80), queue]))]);
    evidence.gate.live = seen(Need::Hpas, ());
    let plan = &mut evidence.gate.plans[0];
    plan.live = Some(Hpa {
        namespace: "shop".to_owned(),
        name: "web".to_owned(),
        created: evidence.taken_at.saturating_sub(2.hours()).expect("a time"),
        target: ("apps/v1".to_owned(), "Deployment".to_owned(), "web".to_owned()),
        metrics: Vec::new(),
        spec: plan.spec.clone(),
        filled: vec![true, false],
        status: HpaStatus::default(),
        conditions: vec![Condition {
            kind: "ScalingActive".to_owned(),
            status: "True".to_owned(),
            reason: "ValidMetricFound".to_owned(),
            message: String::new(),
            since: None,
        }],
        scale: seen(Need::HpaTarget, Some(HpaTarget { replicas: 1, selector: "app=web".to_owned() })),
        pods: seen(Need::HpaPods, Vec::new()),
    });
    plan.events = events;
    evidence
}

fn event(reason: &str, message: &str, age_s: i64) -> HpaEvent {
    let now = online(&[]).taken_at;
    let last = now.saturating_sub(age_s.seconds()).expect("a time");
    HpaEvent { reason: reason.to_owned(), message: message.to_owned(), count: 3, last }
}

/// What is said of the two metrics.
fn said(evidence: &Evidence) -> Vec<String> {
    let results = CHECK.run(evidence).results.into_iter().filter(|(subject, _)| subject.kind == "Metric");
    results.map(|(_, outcome)| crate::plan::testing::words(&outcome)).collect()
}

#[test]
fn an_autoscaler_that_nobody_looked_at_is_not_fine() {
    let planned = evidence(seen(Need::Events, Vec::new()));
    let mut hpa = planned.gate.plans[0].live.clone().expect("it is there");
    hpa.conditions.clear();
    let taken_at = planned.taken_at;
    let mut evidence = Evidence { mode: Mode::Installed, ..planned };
    let mut word = |created| {
        hpa.created = created;
        evidence.hpas = seen(Need::Hpas, vec![hpa.clone()]);
        CHECK.run(&evidence).results.iter().map(|(_, outcome)| words(outcome)).collect::<Vec<_>>().join("\n")
    };
    assert_eq!(
        word(taken_at.saturating_sub(130.seconds()).expect("a time")),
        "the HPA controller has not looked at it; does kube-controller-manager run?"
    );
    assert!(
        word(taken_at.saturating_sub(30.seconds()).expect("a time")).contains("younger than two minutes")
    );
}

#[test]
fn an_event_tells_why_one_metric_of_several_is_not_read() {
    let own = event("FailedGetExternalMetric", "unable to get external metric shop/queue", 40);
    let other = event("FailedGetResourceMetric", "failed to get cpu utilization", 10);
    let evidence = evidence(seen(Need::Events, vec![other, own]));
    let words = "the HPA controller has not read it; its last event about it: FailedGetExternalMetric: unable to get \
                 external metric shop/queue";
    assert_eq!(said(&evidence), ["pass", words]);
}

#[test]
fn an_old_event_is_told_as_old() {
    let old = event("FailedGetExternalMetric", "no queue", 2_500);
    let evidence = evidence(seen(Need::Events, vec![old]));
    let words = "the HPA controller has not read it; its last event about it is 41 minutes old, and things may have \
                 changed since: FailedGetExternalMetric: no queue";
    assert_eq!(said(&evidence), ["pass", words]);
}

#[test]
fn without_an_event_of_it_the_finding_stays() {
    let other = event("FailedGetExternalMetric", "unable to get external metric shop/depth", 40);
    for events in [seen(Need::Events, vec![other]), seen(Need::Events, Vec::new()), forbidden(Need::Events)] {
        assert_eq!(said(&evidence(events)), ["pass", "the HPA controller has not read it"]);
    }
    let mut whole = evidence(seen(Need::Events, vec![event("FailedGetScale", "no scale", 20)]));
    let live = whole.gate.plans[0].live.as_mut().expect("it is there");
    (live.filled, live.conditions) = (Vec::new(), Vec::new());
    let words = "the HPA controller has not looked at it; its last event about it: FailedGetScale: no scale";
    assert_eq!(said(&whole), [words, words]);
}

/// As after `kubectl apply` until the controller looks again, or for good where it does not run.
#[test]
fn values_of_an_earlier_specification_promise_nothing() {
    let mut changed = evidence(seen(Need::Events, Vec::new()));
    let plan = &mut changed.gate.plans[0];
    let live = plan.live.as_mut().expect("it is there");
    let (index, source) = (0, live.spec.metrics[0].source.clone());
    live.status.values.push(MetricValue {
        index,
        source,
        average_utilization: Some(40),
        average_value: Some("4m".to_owned()),
        value: None,
    });
    let memory = crate::plan::MetricRef::Resource { name: "memory".to_owned() };
    live.spec.metrics[0].source = memory.clone();
    live.filled = live.spec.metrics.iter().map(|metric| live.status.has(&metric.source)).collect();
    plan.spec.metrics[0].source = memory;
    let words = said(&changed);
    assert!(words.iter().all(|it| it.contains("an earlier specification")), "{words:?}");
    // What failed with the specification as it is now is no question of time.
    let live = changed.gate.plans[0].live.as_mut().expect("it is there");
    "False".clone_into(&mut live.conditions[0].status);
    assert!(said(&changed).iter().all(|it| it.starts_with("ValidMetricFound")), "{:?}", said(&changed));
}

#[test]
fn the_order_of_metrics_does_not_matter() {
    let mut turned = evidence(seen(Need::Events, Vec::new()));
    let live = turned.gate.plans[0].live.as_mut().expect("it is there");
    live.spec.metrics.reverse();
    assert_eq!(said(&turned), ["the HPA controller has not read it", "pass"]);
    // Of other metrics nothing is known by their places.
    let live = turned.gate.plans[0].live.as_mut().expect("it is there");
    live.spec.metrics[0].source = crate::plan::MetricRef::Resource { name: "memory".to_owned() };
    turned.gate.plans[0].scale = forbidden(Need::HpaTarget);
    assert!(said(&turned).iter().all(|words| words.starts_with("open: ")), "{:?}", said(&turned));
}

/// A workload that is not there yet, and metrics of nodes of these ages.
fn evidence_of_nodes(ages_s: &[i64]) -> Evidence {
    let mut evidence = online(&[hpa("web", json!([cpu(80)]))]);
    let now = evidence.taken_at;
    let metric = |age_s: &i64| NodeMetric {
        node: format!("node{age_s}"),
        timestamp: now.saturating_sub(age_s.seconds()).expect("a time"),
        window_s: 10,
    };
    evidence.metrics.nodes = seen(Need::NodeMetrics, ages_s.iter().map(metric).collect());
    let answer = MetricAnswer { status: 200, message: String::new(), items: Vec::new() };
    evidence.gate.plans[0].metrics[0].answer = seen(Need::PodMetrics, answer);
    evidence
}

/// What is said of it.
fn of_nodes(ages_s: &[i64]) -> String {
    said(&evidence_of_nodes(ages_s)).remove(0)
}

/// That the Metrics API does not work is known before the namespace is there; that it does promises nothing yet.
#[test]
fn a_namespace_that_is_not_there_yet_hides_no_broken_api() {
    let of = |status: i64, ages_s: &[i64]| {
        let mut evidence = evidence_of_nodes(ages_s);
        let why = Why::Deferred("the namespace shop is not there yet".to_owned());
        evidence.gate.namespaces.get_mut("shop").expect("the namespace").exists =
            seen(Need::Namespaces, false);
        let plan = &mut evidence.gate.plans[0];
        plan.scale = Obs::unseen(Need::HpaTarget, [0], why);
        let answer = MetricAnswer { status, message: "as it says".to_owned(), items: Vec::new() };
        plan.metrics[0].answer = seen(Need::PodMetrics, answer);
        said(&evidence).remove(0)
    };
    assert_eq!(of(200, &[20]), "open: only the deploy will show: the namespace shop is not there yet");
    assert_eq!(of(503, &[20]), "the Metrics API answers with 503: as it says");
    assert_eq!(of(200, &[]), "the Metrics API has nothing about any node");
}

#[test]
fn metrics_of_nodes_that_are_old_promise_nothing() {
    assert_eq!(of_nodes(&[20]), "pass");
    assert_eq!(of_nodes(&[4_000, 170]), "pass");
    assert_eq!(of_nodes(&[4_000, 900]), "the youngest metrics of any node are 900 s old");
    assert_eq!(of_nodes(&[]), "the Metrics API has nothing about any node");
}
