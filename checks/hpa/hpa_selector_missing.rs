//! # The HPA's target tells no selector
//!
//! ## What it looks at
//!
//! `status.selector` of the target's scale, and for a custom resource whose CRD is among the manifests whether its
//! scale names a field for it.
//!
//! ## Why it matters
//!
//! The controller finds the pods of a target by that selector alone. Where it is empty the autoscaler says
//! `InvalidSelector` and reads no metric at all, not even an external one.
//!
//! ## How to fix it
//!
//! The kinds of Kubernetes itself always have one. For a custom resource its CRD has to name the field
//! (`subresources.scale.labelSelectorPath`), and its operator has to fill it.
//!
//! ## When it is wrong
//!
//! An operator may fill the selector with its first look at a new object.
//!
//! ## References
//!
//! - Failure catalogue: `hpa-target-selector-missing` (AH-H05)
//! - Kubernetes `pkg/controller/podautoscaler/horizontal.go`

use crate::check::{
    Audience, Check, Finding, Hop, Kind, Outcome, Question, Remedy, Results, Severity, Step, Undecided, fail,
    not_applicable,
};
use crate::evidence::{Evidence, Mode, Need, TargetKind, Why};
use crate::hpa;

pub(crate) const CHECK: Check = Check {
    code: "MP913",
    name: "hpa-selector-missing",
    title: "The HPA's target tells no selector",
    hop: Hop::Hpa,
    severity: Severity::Error,
    kind: Kind::Cause,
    modes: &[Mode::Gate],
    needs: &[Need::HpaTarget],
    explains: &["hpa-metrics-unreadable"],
    question: Question::Listed,
    source: include_str!("hpa_selector_missing.rs"),
    run,
    remedies,
};

fn run(evidence: &Evidence, results: &mut Results<'_>) {
    hpa::each_plan(evidence, results, |ctx, plan, subject| {
        let target = &plan.spec.target;
        let detail = format!("the scale of {} {} has no selector", target.kind, target.name);
        let finding = Finding::new(subject, detail);
        if let Some(definition) = evidence.gate.definition(target.group(), &target.kind)
            && definition.kind() == TargetKind::Scalable
            && !definition.has_selector()
        {
            let (pointer, expected) = ("/spec/versions", "a version whose scale has a labelSelectorPath");
            return Ok(fail(finding.cite_manifest(
                definition.document,
                pointer,
                "no labelSelectorPath",
                expected,
            )));
        }
        if evidence.gate.offline {
            return Ok(not_applicable("manifests alone are judged"));
        }
        // Kubernetes' own kinds tell one as soon as they are there.
        let is_own = evidence.gate.kind(target.group(), &target.kind).is_some()
            && evidence.gate.definition(target.group(), &target.kind).is_none();
        let scale = match ctx.need(&plan.scale) {
            Err(Undecided { why: Why::Deferred(_), .. }) if is_own => &None,
            scale => scale?,
        };
        let Some(scale) = scale else {
            if is_own {
                return Ok(not_applicable("the target is not there yet"));
            }
            let why = Why::Deferred(format!("whether {} {} tells a selector", target.kind, target.name));
            return Err(Undecided { need: Need::HpaTarget, why });
        };
        if !scale.selector.is_empty() {
            return Ok(Outcome::Pass);
        }
        Ok(fail(finding.cite(&plan.scale, "status.selector", "absent", "a label selector")))
    });
}

fn remedies(_: &Evidence, _: &[&Finding]) -> Vec<Remedy> {
    vec![Remedy {
        title: "Give the custom resource's scale a selector".to_owned(),
        audience: Audience::Production,
        cost: String::new(),
        leaves: Vec::new(),
        steps: vec![Step::manual(
            "workstation",
            "set subresources.scale.labelSelectorPath in the CRD, and let the operator write the pods' selector to that field; or target a kind that has one",
        )],
    }]
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::plan::testing::{cpu, forbidden, hpa, offline, online, result, scale, word};

    #[test]
    fn the_scale_tells() {
        let mut evidence = online(&[hpa("web", json!([cpu(80)]))]);
        assert_eq!(word(&result(&CHECK, &evidence)), "n/a");
        for (seen, expected) in
            [(scale("app=web"), "pass"), (scale(""), "fail"), (forbidden(Need::HpaTarget), "open")]
        {
            evidence.gate.plans[0].scale = seen;
            assert_eq!(word(&result(&CHECK, &evidence)), expected);
        }
    }

    #[test]
    fn so_does_the_definition_of_its_kind() {
        let mut autoscaler = hpa("web", json!([cpu(80)]));
        autoscaler["spec"]["scaleTargetRef"] =
            json!({"apiVersion": "example.com/v1", "kind": "Loner", "name": "web"});
        let definition = |scale: serde_json::Value| {
            json!({"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
                "metadata": {"name": "loners.example.com"},
                "spec": {"group": "example.com", "names": {"kind": "Loner"},
                    "versions": [{"name": "v1", "served": true, "subresources": {"scale": scale}}]}})
        };
        let without = json!({"specReplicasPath": ".spec.replicas"});
        let with = json!({"specReplicasPath": ".spec.replicas", "labelSelectorPath": ".status.selector"});
        for (scale, expected) in [(without, "fail"), (with, "n/a")] {
            let evidence = offline(&[autoscaler.clone(), definition(scale)]);
            assert_eq!(word(&result(&CHECK, &evidence)), expected);
        }
    }
}
