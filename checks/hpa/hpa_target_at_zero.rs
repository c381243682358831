//! # The HPA's target has no replicas
//!
//! ## What it looks at
//!
//! `spec.replicas` of the target: in its manifest, or in the cluster where no manifest says anything else.
//!
//! ## Why it matters
//!
//! A target with 0 replicas switches its autoscaler off: `ScalingDisabled`, and no metric is read until somebody scales
//! it up. That is how an application is paused, and it is also how one is forgotten.
//!
//! ## How to fix it
//!
//! Leave `replicas` out of the manifest, or scale the target to 1; the autoscaler takes over from there.
//!
//! ## When it is wrong
//!
//! With the feature `HPAScaleToZero` an autoscaler with `minReplicas: 0` goes to 0 and back by itself.
//!
//! ## References
//!
//! - Failure catalogue: `hpa-scaling-disabled-zero-replicas` (AH-J01)

use crate::check::{
    Audience, Check, Finding, Hop, Kind, Outcome, Question, Remedy, Results, Severity, Step, fail,
    not_applicable,
};
use crate::evidence::{Evidence, Mode, Need};
use crate::hpa;
use crate::support;

pub(crate) const CHECK: Check = Check {
    code: "MP925",
    name: "hpa-target-at-zero",
    title: "The HPA's target has no replicas",
    hop: Hop::Hpa,
    severity: Severity::Warning,
    kind: Kind::Cause,
    modes: &[Mode::Gate],
    needs: &[Need::HpaTarget],
    explains: &[],
    question: Question::Listed,
    source: include_str!("hpa_target_at_zero.rs"),
    run,
    remedies,
};

fn run(evidence: &Evidence, results: &mut Results<'_>) {
    hpa::each_plan(evidence, results, |ctx, plan, subject| {
        if plan.spec.min == 0 {
            return Ok(not_applicable("it may go to 0 by itself"));
        }
        let target = &plan.spec.target;
        let detail =
            format!("{} {} has 0 replicas, which switches the autoscaler off", target.kind, target.name);
        let finding = Finding::new(subject, detail)
            .fact("namespace", &plan.namespace)
            .fact("target", format!("{}/{}", target.kind.to_lowercase(), target.name));
        if let Some(document) = evidence.gate.target_of(plan) {
            let replicas = document.at("/spec/replicas");
            if replicas.is_number() {
                let zero = replicas.as_i64() == Some(0);
                return Ok(if zero {
                    fail(finding.cite_manifest(document, "/spec/replicas", "0", "absent"))
                } else {
                    Outcome::Pass
                });
            }
        }
        if evidence.gate.offline {
            return Ok(not_applicable("manifests alone are judged"));
        }
        match ctx.need(&plan.scale)? {
            Some(scale) if scale.replicas == 0 => {
                Ok(fail(finding.cite(&plan.scale, "spec.replicas", "0", "at least 1")))
            }
            Some(_) => Ok(Outcome::Pass),
            None => Ok(not_applicable("it is not there yet, and its manifest names no number")),
        }
    });
}

fn remedies(_: &Evidence, findings: &[&Finding]) -> Vec<Remedy> {
    let steps = findings.iter().map(|finding| {
        let fact = |name| support::word(finding.facts.get(name).map(String::as_str).unwrap_or_default());
        Step::run(
            "workstation",
            format!("kubectl -n {} scale {} --replicas=1", fact("namespace"), fact("target")),
        )
    });
    vec![Remedy {
        title: "Scale the target up once, and leave `replicas` out of its manifest".to_owned(),
        audience: Audience::Production,
        cost: "What was paused runs again.".to_owned(),
        leaves: Vec::new(),
        steps: steps.collect(),
    }]
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::evidence::HpaTarget;
    use crate::plan::testing::{cpu, deployment, forbidden, hpa, online, result, seen, word};

    fn objects(replicas: Value) -> [Value; 2] {
        let mut target = deployment("web", json!([{"name": "app"}]));
        target["spec"]["replicas"] = replicas;
        [hpa("web", json!([cpu(80)])), target]
    }

    #[test]
    fn a_manifest_decides_and_else_the_cluster() {
        let zero = HpaTarget { replicas: 0, selector: "app=web".to_owned() };
        for (replicas, live, expected) in [
            (json!(0), None, "fail"),
            (json!(2), Some(zero.clone()), "pass"),
            (Value::Null, Some(zero), "fail"),
            (Value::Null, None, "n/a"),
        ] {
            let mut evidence = online(&objects(replicas.clone()));
            evidence.gate.plans[0].scale = seen(Need::HpaTarget, live);
            assert_eq!(word(&result(&CHECK, &evidence)), expected, "{replicas}");
        }
    }

    #[test]
    fn a_scale_that_was_not_seen_leaves_it_open() {
        let mut evidence = online(&objects(Value::Null));
        evidence.gate.plans[0].scale = forbidden(Need::HpaTarget);
        assert_eq!(word(&result(&CHECK, &evidence)), "open");
    }

    #[test]
    fn who_may_go_to_zero_is_not_judged() {
        let mut objects = objects(json!(0));
        objects[0]["spec"]["minReplicas"] = json!(0);
        assert_eq!(word(&result(&CHECK, &online(&objects))), "n/a");
    }
}
