//! # Nobody knows the kind of object that the HPA's metric is about
//!
//! ## What it looks at
//!
//! For every metric of the type `Object`: the group and kind of `describedObject`. For Kubernetes' own kinds
//! they are known; for others a custom resource definition among the manifests says it, or the cluster.
//!
//! ## Why it matters
//!
//! The controller has to make a path of the kind before it can ask for the metric: *unable to map kind
//! Ingress.extensions to resource: no matches for kind "Ingress" in group "extensions"*. An `apiVersion` that
//! is missing means the core group.
//!
//! ## How to fix it
//!
//! Write the group that serves the kind, such as `apiVersion: networking.k8s.io/v1` for an Ingress.
//!
//! ## When it is wrong
//!
//! Whether the object itself exists is not asked: the controller does not look at it, and what the adapter
//! says of it is seen in its answer.
//!
//! ## References
//!
//! - Failure catalogue: `object-metric-unmappable` (AH-F10)
//! - Kubernetes `staging/src/k8s.io/metrics/pkg/client/custom_metrics`

use crate::check::{
    Audience, Check, Finding, Hop, Kind, Outcome, Question, Remedy, Results, Severity, Step, Undecided, fail,
    not_applicable,
};
use crate::evidence::{Evidence, Need, TargetKind, Why};
use crate::hpa;
use crate::plan::{self, MetricRef, cite_own, kinds, own};

pub(crate) const CHECK: Check = Check {
    code: "MP921",
    name: "hpa-described-object-missing",
    title: "Nobody knows the kind of object that the HPA's metric is about",
    hop: Hop::Hpa,
    severity: Severity::Error,
    kind: Kind::Cause,
    modes: hpa::GATE,
    needs: &[Need::Hpas, Need::Kinds],
    explains: &[],
    question: Question::Deciding { modes: hpa::GATE, unless: &[] },
    source: include_str!("hpa_described_object_missing.rs"),
    run,
    remedies,
};

fn run(evidence: &Evidence, results: &mut Results<'_>) {
    hpa::each_metric(evidence, results, |ctx, plan, (index, metric), subject| {
        let MetricRef::Object { of, .. } = &metric.source else {
            return Ok(not_applicable("it is of no object"));
        };
        let (group, kind) = (of.group(), of.kind.as_str());
        let known = evidence.gate.kind(group, kind);
        let is_known = known.is_some();
        let found = match (known, plan.metrics.get(index)) {
            (Some(known), _) => known,
            (None, Some(seen)) if !evidence.gate.offline => ctx.need(&seen.described)?.clone(),
            (None, _) => {
                let because = format!("whether anybody serves {kind} of {group}; the cluster was not asked");
                return Err(Undecided { need: Need::Kinds, why: Why::NotAsked(because) });
            }
        };
        if !matches!(found, TargetKind::Unknown) {
            return Ok(Outcome::Pass);
        }
        let detail = if group.is_empty() {
            format!("its apiVersion names no group, and there is no kind {kind} in the core group")
        } else {
            format!("there is no kind {kind} in the group {group}")
        };
        let own_group = kinds::group_of(kind);
        let (field, value) =
            if own_group.is_some() { ("apiVersion", of.api_version.as_str()) } else { ("kind", kind) };
        let value = if value.is_empty() { "absent" } else { value };
        let pointer = format!("{}/object/describedObject/{field}", metric.pointer);
        let finding = Finding::new(subject, detail);
        let mut finding = cite_own(ctx, evidence, plan, finding, (&pointer, value, "a kind that is served"))?;
        if let (false, Some(seen)) = (is_known, plan.metrics.get(index)) {
            finding = finding.cite(&seen.described, "resources", format!("no {kind}"), kind);
        }
        if let (Some(document), Some(group)) = (own(evidence, plan), own_group) {
            let yaml = format!("apiVersion: {}", kinds::api_version(group));
            finding = plan::edit(finding, document, &pointer, &yaml);
            finding = finding.change(document, pointer.as_str(), Some(kinds::api_version(group).into()));
        }
        Ok(fail(finding))
    });
}

fn remedies(_: &Evidence, findings: &[&Finding]) -> Vec<Remedy> {
    let mut steps = plan::edits(findings);
    if steps.is_empty() {
        let what = "write the apiVersion and kind of describedObject as the API server serves them; kubectl \
                    api-resources lists both";
        steps.push(Step::manual("the manifest", what));
    }
    vec![Remedy {
        title: "Name the object by a group and kind that are served".to_owned(),
        audience: Audience::Production,
        cost: String::new(),
        leaves: Vec::new(),
        steps,
    }]
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::plan::testing::{cpu, hpa as autoscaler, offline, online, result, seen, word, words};

    fn object(api_version: &str, kind: &str) -> Vec<Value> {
        let metric = json!({"type": "Object", "object": {
            "describedObject": {"apiVersion": api_version, "kind": kind, "name": "web"},
            "metric": {"name": "requests"}, "target": {"type": "Value", "value": "5"},
        }});
        vec![autoscaler("web", json!([metric]))]
    }

    #[test]
    fn kinds_have_to_be_served() {
        for (api_version, kind, expected) in [
            ("networking.k8s.io/v1", "Ingress", "pass"),
            ("v1", "Service", "pass"),
            ("", "Service", "pass"),
            ("", "service", "pass"),
            ("apps/v1beta2", "Deployment", "pass"),
            ("extensions/v1beta1", "Ingress", "there is no kind Ingress in the group extensions"),
            ("", "Ingress", "its apiVersion names no group, and there is no kind Ingress in the core group"),
            (
                "v1",
                "services",
                "its apiVersion names no group, and there is no kind services in the core group",
            ),
        ] {
            let evidence = offline(&object(api_version, kind));
            assert_eq!(words(&result(&CHECK, &evidence)), expected, "{api_version} {kind}");
        }
        let Outcome::Fail(finding) = result(&CHECK, &offline(&object("extensions/v1beta1", "Ingress")))
        else {
            panic!()
        };
        assert_eq!(finding.facts["yaml"], "apiVersion: networking.k8s.io/v1");
        assert_eq!(word(&result(&CHECK, &offline(&[autoscaler("web", json!([cpu(70)]))]))), "n/a");
    }

    #[test]
    fn the_cluster_knows_the_other_kinds() {
        assert_eq!(word(&result(&CHECK, &offline(&object("example.org/v1", "Farm")))), "open");
        let mut evidence = online(&object("example.org/v1", "Farm"));
        for (kind, expected) in
            [(TargetKind::Unknown, "fail"), (TargetKind::NotScalable, "pass"), (TargetKind::Scalable, "pass")]
        {
            evidence.gate.plans[0].metrics[0].described = seen(Need::Kinds, kind);
            assert_eq!(word(&result(&CHECK, &evidence)), expected);
        }
    }
}
