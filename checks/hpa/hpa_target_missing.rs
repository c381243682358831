//! # The HPA's target does not exist
//!
//! ## What it looks at
//!
//! `spec.scaleTargetRef` of the HPA, and whether that object has a scale in the HPA's namespace.
//!
//! ## Why it matters
//!
//! The controller cannot read the target's size (`FailedGetScale`) and does nothing at all. What the
//! condition `ScalingActive` says then is from an earlier time.
//!
//! ## How to fix it
//!
//! Correct the name, kind or API version; a target is always in the HPA's own namespace.
//!
//! ## When it is wrong
//!
//! Between the deployment of an HPA and of its target it is true for a moment.
//!
//! ## References
//!
//! - Failure catalogue: `hpa-target-not-found` (AH-H01), `hpa-target-kind-unknown` (AH-H02)

use crate::check::{
    Audience, Check, Finding, Hop, Kind, Outcome, Question, Remedy, Results, Severity, Step, fail,
};
use crate::evidence::{Evidence, Need};
use crate::hpa;

pub(crate) const CHECK: Check = Check {
    code: "MP902",
    name: "hpa-target-missing",
    title: "The HPA's target does not exist",
    hop: Hop::Hpa,
    severity: Severity::Error,
    kind: Kind::Cause,
    modes: hpa::MODES,
    needs: &[Need::Hpas, Need::HpaTarget],
    explains: &["hpa-metrics-unreadable"],
    question: Question::Listed,
    source: include_str!("hpa_target_missing.rs"),
    run,
    remedies,
};

fn run(evidence: &Evidence, results: &mut Results<'_>) {
    results.each(&evidence.hpas, hpa::subject, |ctx, hpa, subject| {
        if ctx.need(&hpa.scale)?.is_some() {
            return Ok(Outcome::Pass);
        }
        let (version, kind, name) = &hpa.target;
        let detail = format!("there is no {kind} {name} ({version}) in namespace {}", hpa.namespace);
        Ok(fail(
            Finding::new(subject, detail)
                .cite(
                    &evidence.hpas,
                    format!("items[{}].spec.scaleTargetRef", hpa.name),
                    format!("{kind}/{name}"),
                    "an object that exists",
                )
                .cite(&hpa.scale, "status", "404 Not Found", "200 OK"),
        ))
    });
}

fn remedies(_: &Evidence, findings: &[&Finding]) -> Vec<Remedy> {
    let namespaces: Vec<&str> = findings.iter().map(|finding| finding.subject.namespace.as_str()).collect();
    let Some(namespace) = namespaces.first() else { return Vec::new() };
    vec![Remedy {
        title: "Point the HPA at an object that exists".to_owned(),
        audience: Audience::Production,
        cost: String::new(),
        leaves: Vec::new(),
        steps: vec![
            Step::run("workstation", format!("kubectl -n {namespace} get deployments,statefulsets")),
            Step::manual(
                "workstation",
                "correct spec.scaleTargetRef in the HPA's manifest and apply it, or deploy the target",
            ),
        ],
    }]
}
