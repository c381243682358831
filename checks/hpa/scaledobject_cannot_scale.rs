//! # A ScaledObject of KEDA cannot scale by CPU or memory
//!
//! ## What it looks at
//!
//! The triggers `cpu` and `memory` of every ScaledObject in the manifests: whether the containers of its
//! target have the request that a utilization is a percentage of, and whether the ScaledObject may go down to
//! zero while it has no other trigger. `minReplicaCount` is 0 where it is not given.
//!
//! ## Why it matters
//!
//! KEDA's admission webhook refuses such an object: *the scaledobject has a cpu trigger but the container app
//! doesn't have the cpu request defined*, or *scaledobject has only cpu/memory triggers AND minReplica is 0*.
//! It does not say so in a dry run. Without the webhook the HPA that KEDA makes cannot read its metric, and
//! at zero pods there is no CPU to look at, so the workload never comes back.
//!
//! ## How to fix it
//!
//! Write `minReplicaCount: 1`, or add a trigger that works without pods; and give the containers their
//! requests.
//!
//! ## When it is wrong
//!
//! Targets that are not in the manifests are left to the webhook, and so are triggers with `metricType:
//! AverageValue`, of which it demands requests as well, although the HPA needs none.
//!
//! ## References
//!
//! - Failure catalogue: `keda-cpu-memory-trigger-without-requests` (AH-G06),
//!   `keda-min-zero-with-only-resource-triggers` (AH-G07)
//! - KEDA `apis/keda/v1alpha1/scaledobject_webhook.go`, `verifyCPUMemoryScalers`

use std::collections::BTreeMap;

use serde_json::Value;

use crate::check::{
    Audience, Check, Finding, Hop, Kind, Outcome, Question, Remedy, Results, Severity, Step, Subject,
    Undecided, fail, not_applicable,
};
use crate::evidence::{Document, Evidence, Need, Why};
use crate::hpa;
use crate::plan::requests::{Asked, lacking, prove, words};
use crate::plan::{self, keda};

pub(crate) const CHECK: Check = Check {
    code: "MP918",
    name: "scaledobject-cannot-scale",
    title: "A ScaledObject of KEDA cannot scale by CPU or memory",
    hop: Hop::Hpa,
    severity: Severity::Error,
    kind: Kind::Cause,
    modes: hpa::GATE,
    needs: &[Need::Version, Need::LimitRanges],
    explains: &[],
    question: Question::Deciding { modes: hpa::GATE, unless: &[] },
    source: include_str!("scaledobject_cannot_scale.rs"),
    run,
    remedies,
};

fn run(evidence: &Evidence, results: &mut Results<'_>) {
    let documents = evidence.gate.manifests.documents.iter();
    let documents = documents.filter(|it| it.kind == "ScaledObject" && it.group() == "keda.sh");
    // Of two that have one name, the last is what is applied.
    let documents: BTreeMap<_, &Document> =
        documents.map(|it| ((evidence.gate.namespace_of(it), it.name.as_str()), it)).collect();
    for ((namespace, name), document) in documents {
        let subject = Subject::namespaced("ScaledObject", namespace, name);
        results.about(subject.clone(), |ctx| {
            let triggers = document.at("/spec/triggers").as_array().map(Vec::as_slice).unwrap_or_default();
            let by_usage = |trigger: &&Value| matches!(trigger["type"].as_str(), Some("cpu" | "memory"));
            if !triggers.iter().any(|it| by_usage(&it)) {
                return Ok(not_applicable("it has no trigger on cpu or memory"));
            }
            let least = document.at("/spec/minReplicaCount");
            if triggers.iter().all(|it| by_usage(&it)) && least.as_i64().unwrap_or(0) == 0 {
                let value = if least.is_null() { "no minReplicaCount, which is 0" } else { "0" };
                let detail = "minReplicaCount is 0 and it has triggers on cpu and memory only, which see nothing at \
                              zero pods";
                let finding = Finding::new(subject, detail).cite_manifest(
                    document,
                    "/spec/minReplicaCount",
                    value,
                    "1 or more",
                );
                let finding = plan::edit(finding, document, "/spec/minReplicaCount", "minReplicaCount: 1");
                return Ok(fail(finding.change(document, "/spec/minReplicaCount", Some(1.into()))));
            }
            let scaled = keda::read(document);
            let mut objects = evidence.gate.objects(scaled.target.group(), &scaled.target.kind, namespace);
            let target = objects.find(|it| it.name == scaled.target.name);
            let Some(workload) = target.and_then(|target| evidence.gate.workload(target)) else {
                let what = format!("the requests of {} {}", scaled.target.kind, scaled.target.name);
                return Err(Undecided { need: Need::Template, why: Why::Deferred(what) });
            };
            for trigger in triggers.iter().filter(by_usage).filter(|it| is_percentage(it)) {
                let asked = Asked {
                    resource: trigger["type"].as_str().unwrap_or_default(),
                    container: trigger["metadata"]["containerName"].as_str(),
                };
                let of = workload.words();
                let at = (of.as_str(), Some(workload.source));
                if let Some(lack) = lacking(ctx, evidence, namespace, &workload.template, asked, at)? {
                    let finding = Finding::new(subject, words(lack, asked.resource, &of));
                    return Ok(fail(prove(finding, &workload, lack, asked.resource)));
                }
            }
            Ok(Outcome::Pass)
        });
    }
}

/// Whether a trigger is a percentage of the request: the default, and the type stood in the metadata before.
fn is_percentage(trigger: &Value) -> bool {
    let kind = trigger["metricType"].as_str().or_else(|| trigger["metadata"]["type"].as_str());
    kind.is_none_or(|kind| kind == "Utilization")
}

fn remedies(_: &Evidence, findings: &[&Finding]) -> Vec<Remedy> {
    let mut steps = plan::edits(findings);
    if steps.is_empty() {
        steps.push(Step::manual(
            "the manifest",
            "write minReplicaCount: 1, and a request for every container",
        ));
    }
    vec![Remedy {
        title: "Give the ScaledObject something to measure at all times".to_owned(),
        audience: Audience::Production,
        cost: "One pod runs at all times.".to_owned(),
        leaves: Vec::new(),
        steps,
    }]
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::plan::testing::{deployment, offline, online, result, word, words};

    fn objects(least: &Value, triggers: &Value, resources: &Value) -> Vec<Value> {
        let scaled = json!({
            "apiVersion": "keda.sh/v1alpha1", "kind": "ScaledObject",
            "metadata": {"name": "web", "namespace": "shop"},
            "spec": {"scaleTargetRef": {"name": "web"}, "minReplicaCount": least, "triggers": triggers},
        });
        vec![deployment("web", json!([{"name": "app", "resources": resources}])), scaled]
    }

    #[test]
    fn zero_pods_have_no_cpu() {
        let cpu = json!([{"type": "cpu", "metricType": "Utilization", "metadata": {"value": "70"}}]);
        let both = json!([{"type": "cpu"}, {"type": "prometheus"}]);
        let requests = json!({"requests": {"cpu": "1"}});
        for (least, triggers, expected) in [
            (json!(0), &cpu, "fail"),
            (json!(null), &cpu, "fail"),
            (json!(1), &cpu, "pass"),
            (json!(0), &both, "pass"),
            (json!(0), &json!([{"type": "prometheus"}]), "n/a"),
        ] {
            let evidence = offline(&objects(&least, triggers, &requests));
            assert_eq!(word(&result(&CHECK, &evidence)), expected, "{least} {triggers}");
        }
    }

    #[test]
    fn a_percentage_needs_requests() {
        let of =
            |trigger: Value| objects(&json!(1), &json!([trigger]), &json!({"requests": {"memory": "1Gi"}}));
        // Where no autoscaler is planned, nothing of the namespace is looked at.
        assert_eq!(word(&result(&CHECK, &offline(&of(json!({"type": "cpu"}))))), "open");
        assert_eq!(word(&result(&CHECK, &online(&of(json!({"type": "memory"}))))), "pass");
        let amount = json!({"type": "cpu", "metricType": "AverageValue"});
        assert_eq!(word(&result(&CHECK, &offline(&of(amount)))), "pass");
        let zero = objects(&json!(1), &json!([{"type": "cpu"}]), &json!({"requests": {"cpu": 0}}));
        assert_eq!(words(&result(&CHECK, &offline(&zero))), "every cpu request of Deployment web is 0");
    }
}
