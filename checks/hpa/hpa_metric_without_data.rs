//! # The metric has no value now
//!
//! ## What it looks at
//!
//! The answer to the very request that the HPA controller makes for a metric of the types `Pods`, `Object` or
//! `External`: whether there is a value in it.
//!
//! ## Why it matters
//!
//! A name that is spelt differently, a rule of the adapter that does not match, labels that select nothing: the
//! controller says *the server could not find the metric* or *no metrics returned*, and the autoscaler stays where it
//! is.
//!
//! ## How to fix it
//!
//! Compare the name with what the adapter lists, and the selector with the labels of the series. Adapters for Prometheus
//! strip `_total` and rename by rule.
//!
//! ## When it is wrong
//!
//! A metric that only comes into being under load, such as the length of a queue that has not been used yet, has no
//! value before. What is measured in pods that do not run yet is left to a look after the deploy.
//!
//! ## References
//!
//! - Failure catalogue: `custom-metric-unknown` (AH-F02), `custom-metrics-none-returned` (AH-F04),
//!   `external-metric-empty` (AH-G02)

use crate::Context;
use crate::check::{
    Audience, Check, Finding, Hop, Kind, Outcome, Question, Remedy, Results, Severity, Step, Undecided, fail,
    not_applicable,
};
use crate::evidence::{Evidence, Mode, Need, Why};
use crate::hpa::gate;
use crate::plan::{MetricRef, ObjectRef};

pub(crate) const CHECK: Check = Check {
    code: "MP923",
    name: "hpa-metric-without-data",
    title: "The metric has no value now",
    hop: Hop::Hpa,
    severity: Severity::Error,
    kind: Kind::Cause,
    modes: &[Mode::Gate],
    needs: &[Need::Hpas, Need::CustomMetrics, Need::ExternalMetrics],
    explains: &["hpa-metrics-unreadable"],
    question: Question::Deciding { modes: &[Mode::Gate], unless: &[] },
    source: include_str!("hpa_metric_without_data.rs"),
    run,
    remedies,
};

fn run(evidence: &Evidence, results: &mut Results<'_>) {
    gate::each_metric(evidence, results, |ctx, metric, subject| {
        let group = match metric.spec.source.group() {
            Some(group) if group != "metrics.k8s.io" => group,
            _ => return Ok(not_applicable("its value is of the Metrics API")),
        };
        if evidence.gate.offline {
            return Ok(not_applicable("manifests alone are judged"));
        }
        let answer = match ctx.need(&metric.seen.answer) {
            Ok(answer) => answer,
            // Where the caller may not ask, the controller's own answer tells.
            Err(_) if is_read(ctx, evidence, metric)? => return Ok(Outcome::Pass),
            Err(missing) => return Err(missing),
        };
        if answer.status >= 500 {
            return Ok(not_applicable("the adapter does not answer"));
        }
        if answer.status == 200 && !answer.items.is_empty() {
            return Ok(Outcome::Pass);
        }
        if let MetricRef::Object { of, .. } = &metric.spec.source
            && is_declared(evidence, metric, of)
        {
            let why = Why::Deferred(format!("{} {} is deployed with it", of.kind, of.name));
            return Err(Undecided { need: Need::CustomMetrics, why });
        }
        let name = metric.spec.source.name();
        let (detail, path, value) = if answer.status == 200 {
            (format!("{group} knows {name} and has no value for it"), "items", "none".to_owned())
        } else {
            (format!("{group} answers for {name}: {}", answer.message), "status", answer.status.to_string())
        };
        let finding = Finding::new(subject, detail).fact("group", group);
        Ok(fail(
            gate::cite(finding, evidence, metric.plan, &metric.spec.pointer, name, "a metric with a value")
                .cite(&metric.seen.answer, path, value, "at least one value"),
        ))
    });
}

/// Whether the controller reads the metric for the same autoscaler now. Nothing of that is known where the autoscalers of
/// the cluster were not asked about.
///
/// # Errors
///
/// When the autoscalers of the cluster were not seen.
fn is_read(ctx: &Context<'_>, evidence: &Evidence, metric: &gate::Metric<'_>) -> Result<bool, Undecided> {
    let Some(live) = &metric.plan.live else { return Ok(false) };
    let is_true = |kind: &str| live.conditions.iter().any(|it| it.kind == kind && it.status == "True");
    let same = live.spec.target == metric.plan.spec.target && live.status.has(&metric.spec.source);
    if !same || !is_true("AbleToScale") || !is_true("ScalingActive") {
        return Ok(false);
    }
    ctx.need(&evidence.gate.live).map(|()| true)
}

/// Whether the object of a metric stands in the manifests too, so that it may not be there yet.
fn is_declared(evidence: &Evidence, metric: &gate::Metric<'_>, of: &ObjectRef) -> bool {
    let namespace = &metric.plan.namespace;
    evidence.gate.objects(of.group(), &of.kind, namespace).any(|document| document.name == of.name)
}

fn remedies(_: &Evidence, findings: &[&Finding]) -> Vec<Remedy> {
    let steps = gate::groups(findings).into_iter().map(|group| {
        Step::run(
            "workstation",
            format!(
                "version=$(kubectl get --raw /apis/{group} | jq -r .preferredVersion.groupVersion)\nkubectl get --raw \"/apis/$version\" | jq -r '.resources[].name' | sort"
            ),
        )
    });
    let last = Step::manual(
        "workstation",
        "compare the metric's name and selector with what the adapter lists, and correct the manifest or the adapter's rule",
    );
    vec![Remedy {
        title: "Name a metric that the adapter has a value for".to_owned(),
        audience: Audience::Production,
        cost: String::new(),
        leaves: Vec::new(),
        steps: steps.chain([last]).collect(),
    }]
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::plan::testing::{
        answered, cpu, external, forbidden, hpa, offline, online, result, seen, word,
    };

    fn after(status: i64, values: &[&str]) -> &'static str {
        word(&result(&CHECK, &answered(status, values)))
    }

    /// An account that may not read the metric sees that the controller does.
    #[test]
    fn the_value_that_the_controller_read_decides_where_nobody_else_may() {
        let mut evidence = online(&[hpa("web", json!([external()]))]);
        evidence.gate.live = seen(Need::Hpas, ());
        let plan = &mut evidence.gate.plans[0];
        plan.metrics[0].answer = forbidden(Need::ExternalMetrics);
        assert_eq!(word(&result(&CHECK, &evidence)), "open");
        let plan = &mut evidence.gate.plans[0];
        let condition =
            |kind: &str| json!({"kind": kind, "status": "True", "reason": "", "message": "", "since": null});
        let live = json!({
            "namespace": "shop", "name": "web", "created": "2026-01-01T00:00:00Z", "target": ["apps/v1", "Deployment", "web"],
            "metrics": [], "spec": plan.spec, "filled": [true],
            "status": {"replicas": 2, "desired": 2, "values": [
                {"index": 0, "source": plan.spec.metrics[0].source, "average_utilization": null, "average_value": "3", "value": null},
            ]},
            "conditions": [condition("AbleToScale"), condition("ScalingActive")],
            "scale": plan.scale, "pods": plan.pods,
        });
        plan.live = Some(serde_json::from_value(live).expect("an autoscaler"));
        assert_eq!(word(&result(&CHECK, &evidence)), "pass");
        // A value of another metric says nothing of this one.
        let live = evidence.gate.plans[0].live.as_mut().expect("it is there");
        live.status.values[0].source = MetricRef::Resource { name: "cpu".to_owned() };
        assert_eq!(word(&result(&CHECK, &evidence)), "open");
    }

    #[test]
    fn the_answer_decides() {
        assert_eq!(after(200, &["3"]), "pass");
        assert_eq!(after(200, &[]), "fail");
        assert_eq!(after(404, &[]), "fail");
        assert_eq!(after(503, &[]), "n/a");
    }

    #[test]
    fn what_is_not_asked_is_not_judged() {
        let evidence = online(&[hpa("web", json!([cpu(80)]))]);
        assert_eq!(word(&result(&CHECK, &evidence)), "n/a");
        assert_eq!(word(&result(&CHECK, &offline(&[hpa("web", json!([external()]))]))), "n/a");
        let mut evidence = online(&[hpa("web", json!([external()]))]);
        evidence.gate.plans[0].metrics[0].answer = forbidden(Need::ExternalMetrics);
        assert_eq!(word(&result(&CHECK, &evidence)), "open");
    }
}
