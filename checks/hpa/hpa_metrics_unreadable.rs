//! # The HPA cannot read its metrics
//!
//! ## What it looks at
//!
//! The conditions `AbleToScale` and `ScalingActive` that the HPA controller wrote, and for a gate each metric by itself:
//! whether the controller has read it, or, before the deploy, whether the Metrics API gives what it will ask for. Where
//! no condition tells why a metric of an autoscaler of the cluster is not read, its last event does. For a workload that
//! is not there yet the metrics of the nodes stand in: there have to be some, and the youngest may not be old.
//!
//! ## Why it matters
//!
//! It is the `<unknown>` of `kubectl get hpa`: the controller does not know the value, and changes nothing.
//!
//! ## How to fix it
//!
//! Fix its cause. The controller looks again every 15 seconds.
//!
//! ## When it is wrong
//!
//! Conditions are rewritten on the path that ran only, so one of them can be old. An HPA in its first two
//! minutes is given time. Events are kept for an hour, and of those that repeat only few are written, so an event can
//! be of another state than the present one; one that is older than ten minutes is told as old.
//!
//! ## References
//!
//! - Failure catalogue: sections 1.4 to 1.6 (AH)

use crate::Context;
use crate::check::{
    Check, Decision, Finding, Hop, Kind, Outcome, Question, Results, Severity, Subject, Undecided, fail,
    no_remedies, not_applicable,
};
use crate::diagnosis::fresh_s;
use crate::evidence::{Evidence, Hpa, HpaEvent, Look, MetricValue, Mode, Need, NodeMetric, Why};
use crate::hpa::{self, gate};
use crate::plan::{self, MetricSpec, YOUNG_S as YOUNG_POD_S};
use crate::support;

pub(crate) const CHECK: Check = Check {
    code: "MP904",
    name: "hpa-metrics-unreadable",
    title: "The HPA controller cannot read what it needs",
    hop: Hop::Hpa,
    severity: Severity::Error,
    kind: Kind::Symptom,
    modes: &[Mode::Installed, Mode::Gate],
    needs: &[
        Need::NodeMetrics,
        Need::Hpas,
        Need::HpaTarget,
        Need::HpaPods,
        Need::Namespaces,
        Need::PodMetrics,
    ],
    explains: &[],
    question: Question::Deciding { modes: &[Mode::Gate], unless: &[] },
    source: include_str!("hpa_metrics_unreadable.rs"),
    run,
    remedies: no_remedies,
};

/// From when on an event says little about now. Of what the controller says each 15 seconds one in five minutes is written
/// (`k8s.io/client-go/tools/record`, `defaultSpamQPS`).
const OLD_EVENT_S: i64 = 600;
/// What an autoscaler without conditions shows after that time.
const NOT_LOOKED: &str = "the HPA controller has not looked at it";
/// The controller's own start-up time for pods and metrics.
const YOUNG_S: i64 = 120;

fn run(evidence: &Evidence, results: &mut Results<'_>) {
    if evidence.mode == Mode::Gate {
        results.about(Subject::cluster(), |ctx| listed(ctx, evidence));
        gate::each_metric(evidence, results, |ctx, metric, subject| planned(ctx, evidence, metric, subject));
        return;
    }
    results.each(&evidence.hpas, hpa::subject, |_, hpa, subject| {
        let new_pods = hpa.pods.peek().is_some_and(|pods| {
            !pods.is_empty() && pods.iter().all(|pod| support::age_s(evidence, pod.created) < YOUNG_S)
        });
        let young = support::age_s(evidence, hpa.created) < YOUNG_S || new_pods;
        let bad = ["AbleToScale", "ScalingActive"].into_iter().find_map(|kind| {
            hpa.conditions.iter().find(|condition| {
                condition.kind == kind && condition.status == "False" && condition.reason != "ScalingDisabled"
            })
        });
        let Some(condition) = bad else {
            if !hpa.conditions.is_empty() {
                return Ok(Outcome::Pass);
            }
            if young {
                return Err(too_early());
            }
            // The controller writes conditions with its first look, whatever that comes to.
            let finding = Finding::new(subject, format!("{NOT_LOOKED}; does kube-controller-manager run?"))
                .cite(
                    &evidence.hpas,
                    format!("items[{}].status.conditions", hpa.name),
                    "none",
                    "AbleToScale and ScalingActive",
                );
            return Ok(fail(finding));
        };
        let waits = ["no metrics returned from resource metrics API", "did not receive metrics for"];
        if young && waits.iter().any(|words| condition.message.contains(words)) {
            return Err(too_early());
        }
        let pods = hpa.pods.peek().map(Vec::as_slice).unwrap_or_default();
        let mut nodes: Vec<&str> = pods.iter().filter_map(|pod| pod.node.as_deref()).collect();
        nodes.sort_unstable();
        nodes.dedup();
        let over = nodes.into_iter().map(Subject::node);
        let finding = Finding::new(subject.clone(), format!("{}: {}", condition.reason, condition.message))
            .cite(
                &evidence.hpas,
                format!("items[{}].status.conditions[{}]", hpa.name, condition.kind),
                &condition.reason,
                "True",
            );
        // A fault of the HPA itself explains it; so do faults of all nodes that its pods run on.
        Ok(fail(finding.over(over).at(support::nodes_of_pods(evidence))))
    });
}

/// The latest event about a metric, or about its autoscaler as a whole: the reasons of
/// `pkg/controller/podautoscaler/horizontal.go`.
fn event_of<'e>(metric: &gate::Metric<'e>) -> Option<&'e HpaEvent> {
    let events = metric.plan.events.peek()?;
    let own = format!("FailedGet{}Metric", metric.spec.source.kind());
    let name = metric.spec.source.name();
    let is_own = |event: &&HpaEvent| {
        (event.reason == own || event.reason == "FailedComputeMetricsReplicas")
            && event.message.contains(name)
    };
    let whole =
        ["FailedGetScale", "InvalidSelector", "AmbiguousSelector", "FailedConvertHPA", "FailedUpdateStatus"];
    let is_of_whole = |event: &&HpaEvent| whole.contains(&event.reason.as_str());
    events.iter().find(is_own).or_else(|| events.iter().find(is_of_whole))
}

/// An event in words, with its age.
fn told(event: &HpaEvent, age_s: i64) -> String {
    let said = format!("{}: {}", event.reason, event.message);
    if age_s > OLD_EVENT_S {
        let minutes = age_s / 60;
        return format!(
            "its last event about it is {minutes} minutes old, and things may have changed since: {said}"
        );
    }
    format!("its last event about it: {said}")
}

fn too_early() -> Undecided {
    Undecided {
        need: Need::Hpas,
        why: Why::TooEarly("the HPA or its pods are younger than two minutes".to_owned()),
    }
}

/// Where the autoscalers of the cluster are asked about and cannot be listed, nothing is known of any of them.
fn listed(ctx: &Context<'_>, evidence: &Evidence) -> Decision {
    let live = &evidence.gate.live;
    if matches!(&live.look, Look::Unseen(Why::NotAsked(_))) {
        return Ok(not_applicable("the autoscalers of the cluster are not asked about"));
    }
    ctx.need(live).map(|()| Outcome::Pass)
}

/// The place of a metric among those of the autoscaler in the cluster, where these are the same metrics. Their order does
/// not matter: an object that was stored as `autoscaling/v1` comes back in another one (Kubernetes #74099).
fn place_in(live: &Hpa, metric: &gate::Metric<'_>) -> Option<usize> {
    let own = &metric.plan.spec.metrics;
    let there = &live.spec.metrics;
    // Of metrics that are alike the first is the first.
    let places = |list: &[MetricSpec], of: &MetricSpec| -> Vec<usize> {
        let alike = list.iter().enumerate().filter(|(_, other)| other.source == of.source);
        alike.map(|(index, _)| index).collect()
    };
    let same = |of: &MetricSpec| places(own, of).len() == places(there, of).len();
    if own.len() != there.len() || !own.iter().all(same) {
        return None;
    }
    let rank = places(own, metric.spec).iter().position(|index| *index == metric.index)?;
    places(there, metric.spec).get(rank).copied()
}

/// For an autoscaler that is to be deployed, or has been.
fn planned(ctx: &Context<'_>, evidence: &Evidence, metric: &gate::Metric<'_>, subject: Subject) -> Decision {
    if evidence.gate.offline {
        return Ok(not_applicable("manifests alone are judged"));
    }
    // What the controller did with another specification says nothing about this one.
    if let Some(live) = &metric.plan.live
        && live.spec.target == metric.plan.spec.target
        && let Some(index) = place_in(live, metric)
    {
        return judged(ctx, evidence, metric, (live, index), subject);
    }
    // Whether the Metrics API works does not depend on a namespace.
    let to_come = match awaited(ctx, evidence, metric) {
        Err(missing) if plan::is_absent(ctx, evidence, &metric.plan.namespace) => Err(missing),
        seen => {
            seen?;
            Ok(Outcome::Pass)
        }
    };
    if metric.spec.source.group() != Some("metrics.k8s.io") {
        to_come?;
        return Ok(not_applicable("its value is of an adapter"));
    }
    let answer = ctx.need(&metric.seen.answer)?;
    let finding =
        Finding::new(subject, format!("the Metrics API answers with {}: {}", answer.status, answer.message));
    if answer.status != 200 {
        return Ok(fail(finding.cite(&metric.seen.answer, "status", answer.status.to_string(), "200")));
    }
    if !answer.items.is_empty() {
        return Ok(Outcome::Pass);
    }
    let pods = ctx.need(&metric.plan.pods).map(Vec::as_slice).unwrap_or_default();
    let old = |pod: &&crate::evidence::HpaPod| support::age_s(evidence, pod.created) > YOUNG_POD_S;
    let nodes: Vec<Subject> =
        pods.iter().filter(old).filter_map(|pod| pod.node.as_deref()).map(Subject::node).collect();
    if !nodes.is_empty() {
        let finding = Finding {
            detail: "the Metrics API has nothing about the pods of its target".to_owned(),
            ..finding
        };
        return Ok(fail(finding.cite(&metric.seen.answer, "items", "none", "one a pod").over(nodes)));
    }
    if !pods.is_empty() {
        return Err(too_early());
    }
    // Nothing runs there yet; metrics of the nodes show that there will be some.
    let nodes = ctx.need(&evidence.metrics.nodes)?;
    if nodes.is_empty() {
        let finding = Finding { detail: "the Metrics API has nothing about any node".to_owned(), ..finding };
        return Ok(fail(finding.cite(&evidence.metrics.nodes, "items", "none", "one a node")));
    }
    let age = |metric: &NodeMetric| support::age_s(evidence, metric.timestamp);
    let Some(youngest) = nodes.iter().min_by_key(|metric| age(metric)) else { return to_come };
    if age(youngest) > fresh_s(evidence) {
        let detail = format!("the youngest metrics of any node are {} s old", age(youngest));
        let path = format!("items[{}].timestamp", youngest.node);
        let expected = format!("at most {} s old", fresh_s(evidence));
        let finding = Finding { detail, ..finding };
        return Ok(fail(finding.cite(
            &evidence.metrics.nodes,
            path,
            youngest.timestamp.to_string(),
            &expected,
        )));
    }
    to_come
}

/// Where a target is there already, no metric of it is read before one of its pods runs, and none of its CPU before one
/// is Ready.
///
/// # Errors
///
/// When that has not come yet, or was not seen.
fn awaited(ctx: &Context<'_>, evidence: &Evidence, metric: &gate::Metric<'_>) -> Result<(), Undecided> {
    let deferred = |what: &str| Err(Undecided { need: Need::HpaPods, why: Why::Deferred(what.to_owned()) });
    let zero = "the target has no replicas, and the controller reads nothing while that is so";
    let declared = evidence.gate.target_of(metric.plan).map(|document| document.at("/spec/replicas"));
    if declared.and_then(serde_json::Value::as_i64) == Some(0) {
        return deferred(zero);
    }
    let Some(scale) = ctx.need(&metric.plan.scale)? else { return Ok(()) };
    if scale.replicas == 0 {
        return deferred(zero);
    }
    let pods = ctx.need(&metric.plan.pods)?;
    if !pods.iter().any(|pod| pod.phase == "Running") {
        return deferred("no pod of the target runs");
    }
    let is_cpu = metric.spec.source.group() == Some("metrics.k8s.io") && metric.spec.source.name() == "cpu";
    if is_cpu && !pods.iter().any(|pod| pod.ready) {
        return deferred("no pod of the target is Ready, and the controller reads no CPU before that");
    }
    Ok(())
}

/// What the controller has made of a metric.
fn judged(
    ctx: &Context<'_>,
    evidence: &Evidence,
    metric: &gate::Metric<'_>,
    (live, index): (&Hpa, usize),
    subject: Subject,
) -> Decision {
    ctx.need(&evidence.gate.live)?;
    let condition = |kind: &str| live.conditions.iter().find(|condition| condition.kind == kind);
    if condition("ScalingActive").is_some_and(|active| active.reason == "ScalingDisabled") {
        return Ok(not_applicable("the target has no replicas, so nothing is read"));
    }
    let unable = condition("AbleToScale").filter(|able| able.status == "False");
    if unable.is_none() && live.filled.get(index) == Some(&true) {
        return Ok(Outcome::Pass);
    }
    let is_asked_for = |value: &MetricValue| live.spec.metrics.iter().any(|it| it.source == value.source);
    let failing = condition("ScalingActive").is_some_and(|active| active.status == "False");
    if unable.is_none() && !failing && !live.status.values.iter().all(is_asked_for) {
        let why = "what the controller said last is of an earlier specification".to_owned();
        return Err(Undecided { need: Need::Hpas, why: Why::TooEarly(why) });
    }
    let pods = metric.plan.pods.peek().map(Vec::as_slice).unwrap_or_default();
    let young = |age: i64| age < YOUNG_S;
    if young(support::age_s(evidence, live.created))
        || pods.iter().any(|pod| young(support::age_s(evidence, pod.created)))
    {
        return Err(too_early());
    }
    // Where the target's scale cannot be read, what is said of the metrics is old.
    let said = unable.or_else(|| condition("ScalingActive").filter(|active| active.status == "False"));
    // Where another metric was read, the condition tells nothing of this one; an event does.
    let event = said.is_none().then(|| event_of(metric)).flatten();
    let detail = match said {
        Some(condition) => format!("{}: {}", condition.reason, condition.message),
        None if live.conditions.is_empty() => NOT_LOOKED.to_owned(),
        None => "the HPA controller has not read it".to_owned(),
    };
    let mut finding = Finding::new(subject, detail);
    if let Some(event) = event {
        finding.detail = format!("{}; {}", finding.detail, told(event, support::age_s(evidence, event.last)));
        finding = finding.cite(&metric.plan.events, "items[].reason", &event.reason, "no warning");
    }
    // The value of an earlier time may still stand there; then the condition alone proves that nothing is read now.
    let (path, value, expected) = match said {
        Some(condition) => {
            let path = format!("items[{}].status.conditions[{}]", live.name, condition.kind);
            (path, condition.reason.as_str(), "True")
        }
        None => (format!("items[{}].status.currentMetrics[{index}]", live.name), "empty", "a value"),
    };
    Ok(fail(finding.cite(&evidence.gate.live, path, value, expected)))
}

#[cfg(test)]
#[path = "hpa_metrics_unreadable_tests.rs"]
mod tests;
