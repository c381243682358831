//! # The manifest of the HPA's target sets replicas
//!
//! ## What it looks at
//!
//! `spec.replicas` of the workload that an autoscaler targets, where both stand in the manifests.
//!
//! ## Why it matters
//!
//! Each deploy sets the number back to what the manifest says, whatever the autoscaler has chosen: pods are ended
//! under load and started again a little later. With a tool that keeps a cluster like its manifests the two fight all
//! the time.
//!
//! ## How to fix it
//!
//! Remove the field. With client-side apply the first apply without it sets the number to 1 once, unless the record of
//! what was last applied is edited before (`kubectl apply edit-last-applied`) or the owner of the field is changed with
//! server-side apply.
//!
//! ## When it is wrong
//!
//! A tool that leaves the field alone, such as `Argo CD` with `ignoreDifferences` on `/spec/replicas`, makes it harmless.
//!
//! Kinds of custom resources are not looked at, but for Argo's `Rollout`: their operators decide what the field means.
//!
//! ## References
//!
//! - Failure catalogue: `hpa-replicas-in-manifest` (AH-K01)
//! - Kubernetes, migrating Deployments and `StatefulSets` to horizontal autoscaling

use crate::check::{
    Audience, Check, Finding, Hop, Kind, Outcome, Question, Remedy, Results, Severity, Step, fail,
    not_applicable,
};
use crate::evidence::{Evidence, Mode};
use crate::hpa;

pub(crate) const CHECK: Check = Check {
    code: "MP914",
    name: "hpa-replicas-in-manifest",
    title: "The manifest of the HPA's target sets replicas",
    hop: Hop::Hpa,
    severity: Severity::Warning,
    kind: Kind::Cause,
    modes: &[Mode::Gate],
    needs: &[],
    explains: &[],
    question: Question::Listed,
    source: include_str!("hpa_replicas_in_manifest.rs"),
    run,
    remedies,
};

fn run(evidence: &Evidence, results: &mut Results<'_>) {
    hpa::each_plan(evidence, results, |_, plan, subject| {
        let Some(target) = evidence.gate.target_of(plan) else {
            return Ok(not_applicable("the target is not in the manifests"));
        };
        // An operator may use the field of a kind of its own for something else.
        let is_known = matches!(target.group(), "" | "apps" | "argoproj.io");
        if !is_known {
            return Ok(not_applicable("what replicas mean is up to the operator of the kind"));
        }
        let replicas = target.at("/spec/replicas");
        if replicas.is_null() {
            return Ok(Outcome::Pass);
        }
        let (kind, name) = (&target.kind, &target.name);
        let detail = format!("{kind} {name} says replicas: {replicas}, which each deploy sets anew");
        let finding = Finding::new(subject, detail);
        let finding = finding.cite_manifest(target, "/spec/replicas", replicas.to_string(), "absent");
        Ok(fail(finding.change(target, "/spec/replicas", None)))
    });
}

fn remedies(_: &Evidence, findings: &[&Finding]) -> Vec<Remedy> {
    let places = findings.iter().flat_map(|finding| &finding.citations).filter_map(|it| it.place.as_ref());
    let mut steps: Vec<Step> = places
        .map(|place| {
            Step::manual("the manifest", format!("{}:{}: remove spec.replicas", place.file, place.line))
        })
        .collect();
    steps.dedup();
    vec![Remedy {
        title: "Leave the number of replicas to the autoscaler".to_owned(),
        audience: Audience::Production,
        cost: "The first client-side apply without the field sets 1 replica, until the autoscaler acts."
            .to_owned(),
        leaves: Vec::new(),
        steps,
    }]
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::plan::testing::{offline, result, word, words};

    fn hpa() -> Value {
        json!({"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "metadata": {"name": "web"},
               "spec": {"scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"}}})
    }

    fn deployment(spec: &Value) -> Value {
        json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"}, "spec": spec})
    }

    #[test]
    fn replicas_and_an_autoscaler_exclude_each_other() {
        let of = |objects: &[Value]| result(&CHECK, &offline(objects));
        assert_eq!(
            words(&of(&[hpa(), deployment(&json!({"replicas": 2}))])),
            "Deployment web says replicas: 2, which each deploy sets anew"
        );
        assert_eq!(word(&of(&[hpa(), deployment(&json!({}))])), "pass");
        assert_eq!(word(&of(&[hpa(), deployment(&json!({"replicas": null}))])), "pass");
        assert_eq!(word(&of(&[hpa()])), "n/a");
    }
}
