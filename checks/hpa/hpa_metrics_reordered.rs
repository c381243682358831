//! # The HPA's metrics stand in another order than in the cluster
//!
//! ## What it looks at
//!
//! An autoscaler of the manifests that is in the cluster too: whether both have the same metrics with the same targets, and
//! only their order differs.
//!
//! ## Why it matters
//!
//! Nothing is broken: the controller takes the largest of all recommendations, whatever their order. But tools that
//! compare lists entry by entry show a difference that no sync removes, or sync for ever. Up to Kubernetes 1.27 the API
//! server itself could give the list back in another order, because it stored `autoscaling/v1`.
//!
//! ## How to fix it
//!
//! Write the metrics in the order in which the cluster has them, if a tool stumbles over it.
//!
//! ## When it is wrong
//!
//! The next deploy may write the order of the manifest; then the difference is gone by itself. Where anything but the
//! order differs, nothing is said: then the manifest is a change.
//!
//! ## References
//!
//! - Failure catalogue: `hpa-metrics-reordered` (AH-K05)
//! - <https://github.com/kubernetes/kubernetes/issues/74099>

use crate::check::{
    Audience, Check, Finding, Hop, Kind, Outcome, Question, Remedy, Results, Severity, Step, fail,
};
use crate::evidence::{Evidence, Need};
use crate::hpa;
use crate::hpa::update::Update;
use crate::plan::{MetricSpec, Quantity};

pub(crate) const CHECK: Check = Check {
    code: "MP930",
    name: "hpa-metrics-reordered",
    title: "The HPA's metrics stand in another order than in the cluster",
    hop: Hop::Hpa,
    severity: Severity::Info,
    kind: Kind::Hazard,
    modes: hpa::GATE,
    needs: &[Need::Hpas],
    explains: &[],
    question: Question::Listed,
    source: include_str!("hpa_metrics_reordered.rs"),
    run,
    remedies,
};

fn run(evidence: &Evidence, results: &mut Results<'_>) {
    hpa::each_plan(evidence, results, |ctx, plan, subject| {
        let Update { document, list, there, .. } = match Update::of(ctx, evidence, plan)? {
            Ok(update) => update,
            Err(other) => return Ok(other),
        };
        let (ours, theirs) = (&plan.spec.metrics, &there.spec.metrics);
        if !is_reordered(ours, theirs) {
            return Ok(Outcome::Pass);
        }
        let (ours, theirs) = (names(ours), names(theirs));
        let path = format!("items[{}].spec.metrics", plan.name);
        let finding = Finding::new(subject, format!("the manifest has {ours}, the cluster {theirs}"))
            .cite_manifest(document, "/spec/metrics", &ours, &theirs)
            .cite(list, path, &theirs, &ours);
        Ok(fail(finding))
    });
}

/// Whether two lists have the same metrics in another order.
fn is_reordered(ours: &[MetricSpec], theirs: &[MetricSpec]) -> bool {
    let mut left: Vec<&MetricSpec> = theirs.iter().collect();
    let same_place =
        ours.len() == theirs.len() && ours.iter().zip(theirs).all(|(one, other)| same(one, other));
    !same_place
        && ours.iter().all(|metric| {
            let found = left.iter().position(|other| same(metric, other));
            found.map(|index| left.swap_remove(index)).is_some()
        })
        && left.is_empty()
}

/// Whether two entries say the same. The API server may write an amount in another way.
fn same(one: &MetricSpec, other: &MetricSpec) -> bool {
    let amount =
        |text: &Option<String>| text.as_ref().map(|text| Quantity::read(text).ok_or_else(|| text.clone()));
    let (ours, theirs) = (&one.target, &other.target);
    one.source == other.source
        && ours.kind == theirs.kind
        && amount(&ours.value) == amount(&theirs.value)
        && amount(&ours.average_value) == amount(&theirs.average_value)
        && ours.average_utilization == theirs.average_utilization
}

fn names(metrics: &[MetricSpec]) -> String {
    let names: Vec<String> =
        metrics.iter().map(|metric| format!("{} {}", metric.source.kind(), metric.source.name())).collect();
    names.join(", ")
}

fn remedies(_: &Evidence, findings: &[&Finding]) -> Vec<Remedy> {
    let steps = findings.iter().filter_map(|finding| {
        let citation = finding.citations.iter().find(|citation| citation.place.is_some())?;
        let place = citation.place.as_ref()?;
        let what =
            format!("{}:{}: write the metrics in this order: {}", place.file, place.line, citation.expected);
        Some(Step::manual("the manifest", what))
    });
    vec![Remedy {
        title: "Write the metrics in the order of the cluster".to_owned(),
        audience: Audience::Production,
        cost: String::new(),
        leaves: Vec::new(),
        steps: steps.collect(),
    }]
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::plan::HpaSpec;
    use crate::plan::testing::{hpa, offline, online, result, seen, word};

    fn memory(amount: &str) -> Value {
        json!({"type": "Resource", "resource": {"name": "memory", "target": {"type": "AverageValue", "averageValue": amount}}})
    }

    fn cpu() -> Value {
        json!({"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 70}}})
    }

    /// What it says where the manifest has these metrics and the cluster those.
    fn judged(ours: Value, theirs: Value) -> &'static str {
        let object = hpa("web", ours);
        let mut evidence = online(std::slice::from_ref(&object));
        let there = serde_json::json!({
            "namespace": "shop", "name": "web", "created": "2026-11-21T12:00:00Z",
            "target": ["apps/v1", "Deployment", "web"], "metrics": [], "conditions": [], "filled": [],
            "spec": HpaSpec::read("autoscaling/v2", &hpa("web", theirs)),
            "scale": seen(Need::HpaTarget, Value::Null), "pods": seen(Need::HpaPods, json!([])),
        });
        let there = serde_json::from_value(there).expect("an autoscaler");
        evidence.gate.namespaces.get_mut("shop").expect("asked").hpas = seen(Need::Hpas, vec![there]);
        word(&result(&CHECK, &evidence))
    }

    #[test]
    fn another_order_alone_is_told_of() {
        assert_eq!(judged(json!([cpu(), memory("1Gi")]), json!([memory("1Gi"), cpu()])), "fail");
        assert_eq!(judged(json!([cpu(), memory("1024Mi")]), json!([memory("1Gi"), cpu()])), "fail");
        assert_eq!(judged(json!([cpu(), memory("1Gi")]), json!([cpu(), memory("1Gi")])), "pass");
        // More than the order: a change, which is nobody's mistake.
        assert_eq!(judged(json!([cpu(), memory("1Gi")]), json!([memory("2Gi"), cpu()])), "pass");
        assert_eq!(judged(json!([cpu(), cpu()]), json!([cpu(), memory("1Gi")])), "pass");
        assert_eq!(judged(json!([cpu()]), json!([cpu(), memory("1Gi")])), "pass");
        let alone = hpa("web", json!([cpu()]));
        assert_eq!(word(&result(&CHECK, &online(std::slice::from_ref(&alone)))), "n/a");
        assert_eq!(word(&result(&CHECK, &offline(&[alone]))), "n/a");
    }
}
