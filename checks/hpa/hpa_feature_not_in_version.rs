//! # The cluster's version ignores a field of the HPA or its target
//!
//! ## What it looks at
//!
//! Fields that newer versions of Kubernetes have, in autoscalers and the pods that they scale: `tolerance` in
//! `behavior`, metrics of the type `ContainerResource`, and `resources` of the pod as a whole.
//!
//! ## Why it matters
//!
//! A field behind a feature gate that is off is dropped without a word. The autoscaler then works with other numbers
//! than its manifest says, or lacks the request that its metric is a percentage of.
//!
//! ## How to fix it
//!
//! Leave the field out until the cluster has the version. Give each container a request of its own instead of one
//! for the pod.
//!
//! ## When it is wrong
//!
//! The feature gate may be switched on before its time: `HPAConfigurableTolerance` (on since 1.35),
//! `PodLevelResources` (on since 1.34), `HPAContainerMetrics` (on since 1.27). Before the first version that has the
//! field at all, strict validation refuses the object; that is another finding.
//!
//! ## References
//!
//! - Failure catalogue: `hpa-tolerance-deadband` (AH-I20), `hpa-containerresource-gate-off` (AH-I07),
//!   `hpa-pod-level-request-missing` (AH-I05)
//! - Kubernetes `pkg/features/kube_features.go`

use crate::check::{
    Audience, Check, Finding, Hop, Kind, Outcome, Question, Remedy, Results, Severity, Step, fail,
    not_applicable,
};
use crate::evidence::{Document, Evidence, Mode, Need, Plan};
use crate::hpa;
use crate::plan::{self, MetricRef};

pub(crate) const CHECK: Check = Check {
    code: "MP916",
    name: "hpa-feature-not-in-version",
    title: "The cluster's version ignores a field of the HPA or its target",
    hop: Hop::Hpa,
    severity: Severity::Warning,
    kind: Kind::Cause,
    modes: &[Mode::Gate],
    needs: &[Need::Version],
    explains: &[],
    question: Question::Listed,
    source: include_str!("hpa_feature_not_in_version.rs"),
    run,
    remedies,
};

/// A use of a feature.
struct Use<'e> {
    document: &'e Document,
    pointer: String,
    name: &'static str,
    /// The first minor version in which its gate is on.
    since: u32,
}

fn uses<'e>(evidence: &'e Evidence, plan: &'e Plan) -> Vec<Use<'e>> {
    let mut uses = Vec::new();
    if let Some(document) = plan::own(evidence, plan) {
        for way in ["scaleUp", "scaleDown"] {
            let pointer = format!("/spec/behavior/{way}/tolerance");
            if !document.at(&pointer).is_null() {
                uses.push(Use { document, pointer, name: "tolerance", since: 35 });
            }
        }
        for metric in &plan.spec.metrics {
            if matches!(metric.source, MetricRef::ContainerResource { .. }) {
                let pointer = format!("{}/type", metric.pointer);
                uses.push(Use { document, pointer, name: "ContainerResource", since: 27 });
            }
        }
    }
    let is_percentage = plan.spec.metrics.iter().any(|metric| {
        metric.target.average_utilization.is_some() && matches!(metric.source, MetricRef::Resource { .. })
    });
    if is_percentage
        && let Some(workload) = evidence.gate.workload_of(plan)
        && workload.template.has_pod_requests()
    {
        let pointer = format!("{}/spec/resources", workload.pointer);
        uses.push(Use { document: workload.source, pointer, name: "resources of the pod", since: 34 });
    }
    uses
}

fn run(evidence: &Evidence, results: &mut Results<'_>) {
    hpa::each_plan(evidence, results, |ctx, plan, subject| {
        let mut uses = uses(evidence, plan);
        if uses.is_empty() {
            return Ok(not_applicable("it uses no field that is newer than the rest"));
        }
        let minor = plan::minor(ctx, evidence)?;
        uses.retain(|it| minor < it.since);
        let Some(Use { name, since, .. }) = uses.first() else { return Ok(Outcome::Pass) };
        let detail = format!("{name} is ignored before Kubernetes 1.{since}, and this is 1.{minor}");
        let mut finding = Finding::new(subject, detail);
        for Use { document, pointer, name, since } in &uses {
            finding =
                finding.cite_manifest(document, pointer, *name, &format!("Kubernetes 1.{since} or newer"));
        }
        if uses.iter().all(|it| it.name == "tolerance") {
            for Use { document, pointer, .. } in &uses {
                finding = finding.change(document, pointer.as_str(), None);
            }
        }
        Ok(fail(finding))
    });
}

fn remedies(_: &Evidence, findings: &[&Finding]) -> Vec<Remedy> {
    let mut steps = Vec::new();
    for citation in findings.iter().flat_map(|finding| &finding.citations) {
        let Some(place) = &citation.place else { continue };
        let instead = match citation.value.as_str() {
            "ContainerResource" => "use a metric of the type Resource, and give every container a request",
            "tolerance" => "leave tolerance out; the controller's own is 10 %",
            _ => "give each container a request of its own",
        };
        let step = Step::manual("the manifest", format!("{}:{}: {instead}", place.file, place.line));
        if !steps.contains(&step) {
            steps.push(step);
        }
    }
    vec![Remedy {
        title: "Do without the field until the cluster has the version".to_owned(),
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
    use crate::plan::testing::{offline, result, word};

    fn at(spec: &Value, pod: &Value, minor: Option<u32>) -> &'static str {
        let mut spec = spec.clone();
        spec["scaleTargetRef"] = json!({"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"});
        let hpa = json!({"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler",
                         "metadata": {"name": "web"}, "spec": spec});
        let deployment = json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"},
                                "spec": {"template": {"spec": pod}}});
        let mut evidence = offline(&[hpa, deployment]);
        evidence.gate.target_minor = minor;
        word(&result(&CHECK, &evidence))
    }

    #[test]
    fn a_field_counts_from_its_version_on() {
        let pod = json!({"containers": [{"name": "app"}]});
        let tolerant = json!({"behavior": {"scaleUp": {"tolerance": "0.05"}}});
        let container = json!({"metrics": [{"type": "ContainerResource", "containerResource":
            {"name": "cpu", "container": "app", "target": {"type": "Utilization", "averageUtilization": 80}}}]});
        let of_pod = json!({"containers": [{"name": "app"}], "resources": {"requests": {"cpu": "1"}}});
        let value = json!({"metrics": [{"type": "Resource", "resource":
            {"name": "cpu", "target": {"type": "AverageValue", "averageValue": "1"}}}]});
        for (spec, pod, minor, expected) in [
            (&tolerant, &pod, Some(34), "fail"),
            (&tolerant, &pod, Some(35), "pass"),
            (&tolerant, &pod, None, "open"),
            (&container, &pod, Some(26), "fail"),
            (&container, &pod, Some(27), "pass"),
            (&json!({}), &of_pod, Some(33), "fail"),
            (&json!({}), &of_pod, Some(34), "pass"),
            (&value, &of_pod, Some(33), "n/a"),
            (&json!({}), &pod, None, "n/a"),
        ] {
            assert_eq!(at(spec, pod, minor), expected, "{spec} {pod} {minor:?}");
        }
    }
}
