//! # The HPA's target is of a kind that cannot be scaled
//!
//! ## What it looks at
//!
//! The group and kind of `spec.scaleTargetRef`: whether somebody serves them, and with the subresource
//! `scale`. For Kubernetes' own kinds that is known; for others a custom resource definition among the
//! manifests says it, or the cluster. The version does not matter, the controller takes any.
//!
//! ## Why it matters
//!
//! The controller reads and writes the size of its target through `scale`. Where there is none, or nobody
//! knows the kind, it says *no matches for kind "Deployment" in group "extensions"* or *the server could not
//! find the requested resource*, and reads no metric at all.
//!
//! ## How to fix it
//!
//! Target a Deployment, StatefulSet, ReplicaSet or ReplicationController, or a custom resource with a scale,
//! and write its group: `apiVersion: apps/v1` for the first three. A DaemonSet, Job, CronJob or Pod has no
//! scale.
//!
//! ## When it is wrong
//!
//! A custom resource definition that something else installs before the HPA is not foreseen.
//!
//! Where the API server refuses the very `apiVersion` or `kind` of the target, that is told as `hpa-manifest-refused` alone.
//!
//! ## References
//!
//! - Failure catalogue: `hpa-target-kind-unknown` (AH-H02), `hpa-target-apiversion-missing-group` (AH-H03),
//!   `hpa-target-without-scale-subresource` (AH-H04)
//! - Kubernetes `pkg/controller/podautoscaler/horizontal.go`

use crate::check::{
    Audience, Check, Finding, Hop, Kind, Outcome, Question, Remedy, Results, Severity, Step, fail,
};
use crate::evidence::{Document, Evidence, Need, TargetKind, Why};
use crate::hpa::{self, hpa_manifest_refused};
use crate::plan::{self, ObjectRef, cite_own, kinds, own};
use crate::refusal::{self, Fault};

/// The check that tells what the API server refuses.
const REFUSED: &str = hpa_manifest_refused::CHECK.name;

pub(crate) const CHECK: Check = Check {
    code: "MP910",
    name: "hpa-target-not-scalable",
    title: "The HPA's target is of a kind that cannot be scaled",
    hop: Hop::Hpa,
    severity: Severity::Error,
    kind: Kind::Cause,
    modes: hpa::GATE,
    needs: &[Need::Hpas, Need::Kinds],
    explains: &["hpa-metrics-unreadable"],
    question: Question::Deciding { modes: hpa::GATE, unless: &[] },
    source: include_str!("hpa_target_not_scalable.rs"),
    run,
    remedies,
};

fn run(evidence: &Evidence, results: &mut Results<'_>) {
    hpa::each_plan(evidence, results, |ctx, plan, subject| {
        let target = &plan.spec.target;
        let (group, kind) = (target.group(), target.kind.as_str());
        let malformed = target.api_version.matches('/').count() > 1;
        let definition = evidence.gate.definition(group, kind);
        let known = if malformed { Some(TargetKind::Unknown) } else { evidence.gate.kind(group, kind) };
        let is_known = known.is_some();
        let found = match known {
            Some(known) => known,
            // Somebody who deploys a custom resource of a kind that is known to have a scale has its definition.
            None if evidence.gate.offline && is_common(group, kind) => TargetKind::Scalable,
            None if evidence.gate.offline => {
                let because = format!(
                    "whether {kind} of {group} has a scale; no manifest defines it and the cluster was not asked"
                );
                let why = Why::NotAsked(because);
                return Err(crate::check::Undecided { need: Need::Kinds, why });
            }
            None => ctx.need(&plan.target)?.clone(),
        };
        let detail = match found {
            TargetKind::Scalable => return Ok(Outcome::Pass),
            TargetKind::NotScalable => format!("a {kind} has no scale"),
            TargetKind::Unknown if malformed => format!("{} is no apiVersion", target.api_version),
            TargetKind::Unknown if group.is_empty() => {
                format!("its apiVersion names no group, and there is no kind {kind} in the core group")
            }
            TargetKind::Unknown => format!("there is no kind {kind} in the group {group}"),
        };
        let mut finding = Finding::new(subject.clone(), detail);
        if own(evidence, plan).is_some_and(refuses_kind) {
            finding.candidates.push(REFUSED);
            finding.at.push(subject);
        }
        let unknown = matches!(found, TargetKind::Unknown);
        let (field, value) = match (unknown, kinds::group_of(kind).is_some() || malformed) {
            (true, true) => ("apiVersion", target.api_version.as_str()),
            _ => ("kind", kind),
        };
        let value = if value.is_empty() { "absent" } else { value };
        let pointer = format!("/spec/scaleTargetRef/{field}");
        let mut finding = cite_own(ctx, evidence, plan, finding, (&pointer, value, "a kind with a scale"))?;
        if let Some(definition) = definition {
            finding = finding.cite_manifest(
                definition.document,
                "/spec/versions",
                "no subresources.scale",
                "subresources.scale",
            );
        } else if !is_known {
            finding = finding.cite(&plan.target, "resources", format!("no scale of {kind}"), "a scale");
        }
        if let (Some(document), Some((version, kind))) = (own(evidence, plan), correction(target)) {
            let yaml = format!("apiVersion: {version} and kind: {kind}");
            finding = plan::edit(finding, document, "/spec/scaleTargetRef", &yaml);
            for (field, value, is_right) in [
                ("apiVersion", version.as_str(), target.api_version == version),
                ("kind", kind, target.kind == kind),
            ] {
                if !is_right {
                    let pointer = format!("/spec/scaleTargetRef/{field}");
                    finding = finding.change(document, pointer, Some(value.into()));
                }
            }
        }
        Ok(fail(finding))
    });
}

/// Whether the API server refuses the manifest for the very version or kind of its target: then it is one fault, and the
/// refusal comes first.
fn refuses_kind(document: &Document) -> bool {
    let is_of_kind = |fault: &Fault| {
        ["", "/apiVersion", "/kind"].iter().any(|it| fault.pointer == format!("/spec/scaleTargetRef{it}"))
    };
    hpa_manifest_refused::knows(document)
        && refusal::faults(document).iter().any(|fault| fault.until.is_none() && is_of_kind(fault))
}

/// Kinds of others that have a scale in every version of theirs.
fn is_common(group: &str, kind: &str) -> bool {
    kinds::is(kind, "Rollout") && group == "argoproj.io"
}

/// The reference as it was probably meant: the kind with its own group.
fn correction(target: &ObjectRef) -> Option<(String, &'static str)> {
    let singular = target.kind.strip_suffix('s').unwrap_or(&target.kind);
    let (group, kind) = kinds::SCALABLE.iter().find(|(_, kind)| kind.eq_ignore_ascii_case(singular))?;
    Some((kinds::api_version(group), kind))
}

fn remedies(_: &Evidence, findings: &[&Finding]) -> Vec<Remedy> {
    let mut steps = plan::edits(findings);
    if steps.is_empty() {
        let what = "point spec.scaleTargetRef at something with a scale: a Deployment, a StatefulSet, or a custom \
                    resource whose definition has subresources.scale";
        steps.push(Step::manual("the manifest", what));
    }
    vec![Remedy {
        title: "Point the HPA at something that can be scaled".to_owned(),
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
    use crate::diagnosis::{Policy, RootCause, diagnose};
    use crate::plan::testing::{cpu, hpa as autoscaler, offline, online, result, seen, word, words};
    use crate::registry::CHECKS;

    fn target(api_version: &str, kind: &str) -> Value {
        let mut object = autoscaler("web", json!([cpu(70)]));
        object["spec"]["scaleTargetRef"] = json!({"apiVersion": api_version, "kind": kind, "name": "web"});
        object
    }

    #[test]
    fn kubernetes_own_kinds_are_known_without_a_cluster() {
        for (api_version, kind, expected) in [
            ("apps/v1", "Deployment", "pass"),
            ("apps/v1beta1", "Deployment", "pass"),
            ("apps/v1", "deployment", "pass"),
            ("v1", "ReplicationController", "pass"),
            ("argoproj.io/v1alpha1", "Rollout", "pass"),
            ("apps/v1", "DaemonSet", "a DaemonSet has no scale"),
            ("batch/v1", "CronJob", "a CronJob has no scale"),
            ("extensions/v1beta1", "Deployment", "there is no kind Deployment in the group extensions"),
            ("apps/v1", "Deployments", "there is no kind Deployments in the group apps"),
            (
                "v1",
                "Deployment",
                "its apiVersion names no group, and there is no kind Deployment in the core group",
            ),
            (
                "",
                "Deployment",
                "its apiVersion names no group, and there is no kind Deployment in the core group",
            ),
            ("apps/v1/x", "Deployment", "apps/v1/x is no apiVersion"),
        ] {
            let evidence = offline(&[target(api_version, kind)]);
            assert_eq!(words(&result(&CHECK, &evidence)), expected, "{api_version} {kind}");
        }
        assert_eq!(word(&result(&CHECK, &offline(&[target("example.org/v1", "Farm")]))), "open");
    }

    #[test]
    fn a_reference_that_is_refused_is_told_once() {
        let roots = |object: &Value| -> Vec<&str> {
            let judged = diagnose(CHECKS, &offline(std::slice::from_ref(object)), Policy::default());
            let error = |it: &&RootCause| it.severity() == crate::check::Severity::Error;
            judged.root_causes.iter().filter(error).map(|cause| cause.check.0.code).collect()
        };
        for (api_version, kind) in
            [("v1", "Deployment"), ("", "Deployment"), ("apps/v1/x", "Deployment"), ("apps/v1", "")]
        {
            assert_eq!(roots(&target(api_version, kind)), ["MP906"], "{api_version} {kind}");
        }
        // What is taken and never found is another fault than what is refused.
        let mut other = target("extensions/v1beta1", "Deployment");
        assert_eq!(roots(&other), ["MP910"]);
        other["spec"]["maxReplicas"] = json!(0);
        assert_eq!(roots(&other), ["MP906", "MP910"]);
    }

    #[test]
    fn the_remedy_writes_the_group() {
        let evidence = offline(&[target("extensions/v1beta1", "Deployment")]);
        let Outcome::Fail(finding) = result(&CHECK, &evidence) else { panic!() };
        let remedies = remedies(&evidence, &[&finding]);
        let step = &remedies[0].steps[0].manual;
        assert!(step.contains("write apiVersion: apps/v1 and kind: Deployment"), "{step}");
    }

    #[test]
    fn the_cluster_knows_the_other_kinds() {
        for (kind, expected) in [
            (TargetKind::Scalable, "pass"),
            (TargetKind::NotScalable, "a Farm has no scale"),
            (TargetKind::Unknown, "there is no kind Farm in the group example.org"),
        ] {
            let mut evidence = online(&[target("example.org/v1", "Farm")]);
            evidence.gate.plans[0].target = seen(Need::Kinds, kind);
            assert_eq!(words(&result(&CHECK, &evidence)), expected);
        }
    }

    #[test]
    fn a_definition_among_the_manifests_decides() {
        let definition = |subresources: Value| {
            json!({
                "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
                "metadata": {"name": "farms.example.org"},
                "spec": {
                    "group": "example.org", "names": {"kind": "Farm"},
                    "versions": [{"name": "v1", "served": true, "subresources": subresources}],
                },
            })
        };
        for (subresources, expected) in [(json!({"scale": {}}), "pass"), (json!({}), "fail")] {
            let mut evidence = online(&[target("example.org/v1", "Farm"), definition(subresources)]);
            evidence.gate.plans[0].target = seen(Need::Kinds, TargetKind::Unknown);
            assert_eq!(word(&result(&CHECK, &evidence)), expected, "what is deployed with the HPA is there");
        }
    }
}
