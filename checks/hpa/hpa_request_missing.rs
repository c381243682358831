//! # The HPA's pods lack the request that its metric needs
//!
//! ## What it looks at
//!
//! For every metric with a utilization target: whether each container of each pod that the target's selector
//! matches requests that resource. Init containers that restart count; a request on the pod counts for all.
//!
//! ## Why it matters
//!
//! Utilization is a percentage of the request. One container without it is enough: *missing request for cpu
//! in container app of Pod web-1*, and the HPA shows `<unknown>`.
//!
//! ## How to fix it
//!
//! Give every container the request, injected sidecars included; or use a `ContainerResource` metric on the
//! container that has it, or a target of the type `AverageValue`.
//!
//! ## When it is wrong
//!
//! The pods are what counts, not the template: limits become requests and a LimitRange adds them when a pod
//! is made. Pods of somebody else that share the labels count as well.
//!
//! ## References
//!
//! - Failure catalogue: `hpa-missing-request` (AH-I01 to I05)
//! - Kubernetes `pkg/controller/podautoscaler/replica_calculator.go`

use crate::check::{
    Audience, Check, Finding, Hop, Kind, Outcome, Question, Remedy, Results, Severity, Step, fail,
    not_applicable,
};
use crate::evidence::{Evidence, HpaPod, MetricSource, MetricSpec, Need};
use crate::hpa;

pub(crate) const CHECK: Check = Check {
    code: "MP901",
    name: "hpa-request-missing",
    title: "The HPA's pods lack the resource request that its metric needs",
    hop: Hop::Hpa,
    severity: Severity::Error,
    kind: Kind::Cause,
    modes: hpa::MODES,
    needs: &[Need::Hpas, Need::HpaPods],
    explains: &["hpa-metrics-unreadable"],
    question: Question::Listed,
    source: include_str!("hpa_request_missing.rs"),
    run,
    remedies,
};

fn needs_request(metric: &MetricSpec) -> bool {
    metric.utilization && matches!(metric.source, MetricSource::Resource | MetricSource::ContainerResource)
}

/// The first container of a pod without the request that a metric needs.
fn lacking<'p>(pod: &'p HpaPod, metric: &MetricSpec) -> Option<&'p str> {
    let counts = |name: &str| metric.container.as_deref().is_none_or(|wanted| wanted == name);
    if metric.container.is_none() && pod.pod_requests.contains_key(&metric.name) {
        return None;
    }
    pod.containers
        .iter()
        .find(|container| counts(&container.name) && !container.requests.contains_key(&metric.name))
        .map(|container| container.name.as_str())
}

fn run(evidence: &Evidence, results: &mut Results<'_>) {
    results.each(&evidence.hpas, hpa::subject, |ctx, hpa, subject| {
        if !hpa.metrics.iter().any(needs_request) {
            return Ok(not_applicable("no metric of it is a percentage of a request"));
        }
        let pods = ctx.need(&hpa.pods)?;
        let found = hpa.metrics.iter().filter(|metric| needs_request(metric)).find_map(|metric| {
            pods.iter().find_map(|pod| lacking(pod, metric).map(|container| (metric, pod, container)))
        });
        let Some((metric, pod, container)) = found else { return Ok(Outcome::Pass) };
        let resource = &metric.name;
        let detail = format!("container {container} of pod {} has no request for {resource}", pod.name);
        let path = format!("items[{}].spec.containers[{container}].resources.requests.{resource}", pod.name);
        let (_, kind, name) = &hpa.target;
        Ok(fail(
            Finding::new(subject, detail)
                .cite(&hpa.pods, path, "absent", "a quantity")
                .fact("target", format!("{}/{name}", kind.to_ascii_lowercase()))
                .fact("container", container)
                .fact("resource", resource),
        ))
    });
}

fn remedies(_: &Evidence, findings: &[&Finding]) -> Vec<Remedy> {
    let mut steps = Vec::new();
    for finding in findings {
        let fact = |name| finding.facts.get(name).map(String::as_str).unwrap_or_default();
        let (namespace, target, container, resource) =
            (&finding.subject.namespace, fact("target"), fact("container"), fact("resource"));
        let amount = if resource == "memory" { "128Mi" } else { "100m" };
        steps.push(Step::run("workstation", format!("kubectl -n {namespace} top pod --containers")));
        steps.push(
            Step::run(
                "workstation",
                format!("kubectl -n {namespace} set resources {target} -c {container} --requests={resource}={amount}"),
            )
            .verify(format!("kubectl -n {namespace} rollout status {target} --timeout=3m")),
        );
    }
    vec![Remedy {
        title:
            "Give the containers a request; choose the amount from their usage, and keep it in their manifest"
                .to_owned(),
        audience: Audience::Production,
        cost: "The pods are replaced, and the scheduler sets the request aside on their nodes.".to_owned(),
        leaves: Vec::new(),
        steps,
    }]
}
