//! # The HPA's target tells no selector
//!
//! ## What it looks at
//!
//! `status.selector` of the target's scale.
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
    Audience, Check, Finding, Hop, Kind, Outcome, Question, Remedy, Results, Severity, Step, fail,
    not_applicable,
};
use crate::evidence::{Evidence, Mode, Need};
use crate::hpa::gate;

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
    gate::each_plan(evidence, results, |ctx, plan, subject| {
        if evidence.gate.offline {
            return Ok(not_applicable("manifests alone are judged"));
        }
        let Some(scale) = ctx.need(&plan.scale)? else {
            return Ok(not_applicable("the target is not there yet"));
        };
        if !scale.selector.is_empty() {
            return Ok(Outcome::Pass);
        }
        let target = &plan.spec.target;
        let detail = format!("the scale of {} {} has no selector", target.kind, target.name);
        Ok(fail(Finding::new(subject, detail).cite(
            &plan.scale,
            "status.selector",
            "absent",
            "a label selector",
        )))
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
