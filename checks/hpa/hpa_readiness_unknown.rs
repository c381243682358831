//! # The pods of an HPA on CPU have no readiness probe
//!
//! ## What it looks at
//!
//! For every HPA with a metric on CPU: whether any container of the pod template has a readiness or a startup
//! probe.
//!
//! ## Why it matters
//!
//! The controller leaves out the CPU of pods that are not ready yet. Without a probe a pod is ready at once,
//! so what it burns while it starts counts as load, and the HPA adds pods that nobody needs.
//!
//! ## How to fix it
//!
//! Give the container that serves a readiness probe that answers once it has started.
//!
//! ## When it is wrong
//!
//! A program that starts at once and costs no CPU needs none.
//!
//! ## References
//!
//! - Failure catalogue: `hpa-pods-unready-initialisation` (AH-I09)
//! - Kubernetes documentation: Horizontal Pod Autoscaling, the section on the readiness of pods

use crate::check::{
    Audience, Check, Finding, Hop, Kind, Outcome, Question, Remedy, Results, Severity, fail, not_applicable,
};
use crate::evidence::{Evidence, Need};
use crate::hpa;
use crate::plan::{self, MetricRef};

pub(crate) const CHECK: Check = Check {
    code: "MP919",
    name: "hpa-readiness-unknown",
    title: "The pods of an HPA on CPU have no readiness probe",
    hop: Hop::Hpa,
    severity: Severity::Info,
    kind: Kind::Hazard,
    modes: hpa::GATE,
    needs: &[Need::HpaTarget, Need::Template],
    explains: &[],
    question: Question::Listed,
    source: include_str!("hpa_readiness_unknown.rs"),
    run,
    remedies,
};

fn run(evidence: &Evidence, results: &mut Results<'_>) {
    hpa::each_plan(evidence, results, |ctx, plan, subject| {
        let is_cpu = |source: &MetricRef| match source {
            MetricRef::Resource { name } | MetricRef::ContainerResource { name, .. } => name == "cpu",
            _ => false,
        };
        if !plan.spec.metrics.iter().any(|metric| is_cpu(&metric.source)) {
            return Ok(not_applicable("it does not go by CPU"));
        }
        if hpa::has_no_target(ctx, evidence, plan)? {
            return Ok(not_applicable("it has no target that can be scaled"));
        }
        let target = format!("{} {}", plan.spec.target.kind, plan.spec.target.name);
        let detail = format!("no container of {target} has a readiness probe");
        if let Some(document) = evidence.gate.target_of(plan) {
            let Some(workload) = evidence.gate.workload(document) else {
                return Ok(not_applicable("its target shows no pod template"));
            };
            let containers = &workload.template.containers;
            let Some(first) = containers.first() else { return Ok(not_applicable("it has no containers")) };
            if containers.iter().any(|container| container.probed) {
                return Ok(Outcome::Pass);
            }
            let finding = Finding::new(subject, detail).cite_manifest(
                workload.source,
                &first.pointer,
                "no readinessProbe",
                "a readinessProbe",
            );
            let yaml = "readinessProbe: {httpGet: {path: /ready, port: 8080}}, with the path and port that it serves";
            return Ok(fail(plan::edit(finding, workload.source, &first.pointer, yaml)));
        }
        let Some(template) = ctx.need(&plan.template)? else {
            return Ok(not_applicable("its target shows no pod template"));
        };
        if template.containers.iter().any(|container| container.probed) {
            return Ok(Outcome::Pass);
        }
        let path = "spec.template.spec.containers[].readinessProbe";
        Ok(fail(Finding::new(subject, detail).cite(&plan.template, path, "absent", "a readinessProbe")))
    });
}

fn remedies(_: &Evidence, findings: &[&Finding]) -> Vec<Remedy> {
    let mut steps = plan::edits(findings);
    if steps.is_empty() {
        let what = "give the container that serves a readinessProbe";
        steps.push(crate::check::Step::manual("the manifest", what));
    }
    vec![Remedy {
        title: "Let a probe say when a pod has started".to_owned(),
        audience: Audience::Production,
        cost: "Pods that never answer the probe get no traffic.".to_owned(),
        leaves: Vec::new(),
        steps,
    }]
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::evidence::{PodContainer, PodTemplate};
    use crate::plan::testing::{
        cpu, deployment, hpa as autoscaler, offline, online, result, scale, seen, word, words,
    };

    #[test]
    fn one_probe_is_enough() {
        let with = |containers| {
            result(&CHECK, &offline(&[deployment("web", containers), autoscaler("web", json!([cpu(70)]))]))
        };
        let probed = json!({"name": "app", "readinessProbe": {"tcpSocket": {"port": 80}}});
        assert_eq!(word(&with(json!([{"name": "logs"}, probed]))), "pass");
        assert_eq!(
            words(&with(json!([{"name": "logs"}]))),
            "no container of Deployment web has a readiness probe"
        );
        let memory = json!([{"type": "Resource", "resource": {"name": "memory", "target": {}}}]);
        assert_eq!(word(&result(&CHECK, &offline(&[autoscaler("web", memory)]))), "n/a");
    }

    #[test]
    fn the_template_of_the_cluster_counts_where_there_is_no_other() {
        let mut evidence = online(&[autoscaler("web", json!([cpu(70)]))]);
        evidence.gate.plans[0].scale = scale("app=web");
        for (probed, expected) in [(true, "pass"), (false, "fail")] {
            let container = PodContainer { probed, ..PodContainer::default() };
            let template = PodTemplate { containers: vec![container], ..PodTemplate::default() };
            evidence.gate.plans[0].template = seen(Need::Template, Some(template));
            assert_eq!(word(&result(&CHECK, &evidence)), expected);
        }
        assert_eq!(word(&result(&CHECK, &offline(&[autoscaler("web", json!([cpu(70)]))]))), "open");
    }
}
