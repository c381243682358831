//! # The Service of the Metrics API selects no pod
//!
//! ## What it looks at
//!
//! The selector of the Service that the APIService names, against the pods of its namespace and the
//! labels of the workload that runs metrics-server.
//!
//! ## Why it matters
//!
//! A selector that differs from the pods' labels in one value leaves the Service without endpoints:
//! metrics-server runs and is Ready, and the API server says `MissingEndpoints`.
//!
//! ## How to fix it
//!
//! Take the objects from one source. A mixture of the release's manifest (`k8s-app: metrics-server`) and
//! the Helm chart (`app.kubernetes.io/name`) is the usual origin.
//!
//! ## When it is wrong
//!
//! A Service without a selector is fed by hand-made EndpointSlices; the check does not apply to it.
//! Where the workload has made no pods yet, the check compares with its template.
//!
//! ## References
//!
//! - Failure catalogue: `service-selector-mismatch` (RM-A4), `apiservice-no-ready-endpoints` (AH-A06)

use std::collections::BTreeMap;

use crate::check::{
    Audience, Check, Finding, Hop, Kind, Outcome, Question, Remedy, Results, Severity, Step, Subject, fail,
    not_applicable,
};
use crate::evidence::{Evidence, Mode, Need};
use crate::support;

pub(crate) const CHECK: Check = Check {
    code: "MP201",
    name: "service-selector-matches-nothing",
    title: "The Service of the Metrics API selects no pod",
    hop: Hop::Service,
    severity: Severity::Error,
    kind: Kind::Cause,
    modes: &[Mode::Installed],
    needs: &[Need::Service, Need::Pods, Need::Workload],
    explains: &[
        "apiservice-unavailable",
        "metrics-api-unanswered",
        "node-metrics-missing",
        "hpa-metrics-unreadable",
    ],
    question: Question::Listed,
    source: include_str!("service_selector_matches_nothing.rs"),
    run,
    remedies,
};

fn matches(selector: &BTreeMap<String, String>, labels: &BTreeMap<String, String>) -> bool {
    selector.iter().all(|(key, value)| labels.get(key) == Some(value))
}

fn words(selector: &BTreeMap<String, String>) -> String {
    let pairs: Vec<String> = selector.iter().map(|(key, value)| format!("{key}={value}")).collect();
    pairs.join(",")
}

fn run(evidence: &Evidence, results: &mut Results<'_>) {
    results.about_cluster(|ctx| {
        let Some(service) = ctx.need(&evidence.backend.service)? else {
            return Ok(not_applicable("the Service does not exist"));
        };
        if service.selector.is_empty() {
            return Ok(not_applicable("the Service has no selector"));
        }
        let pods = ctx.need(&evidence.backend.pods)?;
        if pods.iter().any(|pod| matches(&service.selector, &pod.labels)) {
            return Ok(Outcome::Pass);
        }
        let workload = ctx.need(&evidence.backend.workload)?;
        if workload.as_ref().is_some_and(|workload| matches(&service.selector, &workload.labels)) {
            return Ok(not_applicable("the workload has made no pods yet"));
        }
        let subject = Subject::namespaced("Service", &service.namespace, &service.name);
        let selector = words(&service.selector);
        let (detail, expected) = match workload {
            Some(workload) => (
                format!(
                    "it selects {selector}; the pods of {} {} have {}",
                    workload.kind,
                    workload.name,
                    words(&workload.labels)
                ),
                words(&workload.match_labels),
            ),
            None => (
                format!("it selects {selector}, and no workload in {} has such pods", service.namespace),
                "labels of pods that exist".to_owned(),
            ),
        };
        Ok(fail(Finding::new(subject, detail).cite(
            &evidence.backend.service,
            "spec.selector",
            selector,
            &expected,
        )))
    });
}

fn remedies(evidence: &Evidence, _: &[&Finding]) -> Vec<Remedy> {
    let Some(Some(service)) = evidence.backend.service.peek() else { return Vec::new() };
    let (namespace, name) = (&service.namespace, &service.name);
    let step = match evidence.backend.workload.peek() {
        Some(Some(workload)) if !workload.match_labels.is_empty() => {
            let labels: Vec<String> =
                workload.match_labels.iter().map(|(key, value)| format!("\"{key}\":\"{value}\"")).collect();
            Step::run(
                "workstation",
                format!(
                    "kubectl -n {namespace} patch service {name} --type=json -p '[{{\"op\":\"replace\",\"path\":\"/spec/selector\",\"value\":{{{}}}}}]'",
                    labels.join(",")
                ),
            )
            .verify(support::apiservice_available())
        }
        _ => Step::manual("workstation", "install metrics-server anew from one source of manifests"),
    };
    vec![Remedy {
        title: "Let the Service select metrics-server's pods".to_owned(),
        audience: Audience::Production,
        cost: String::new(),
        leaves: Vec::new(),
        steps: vec![step],
    }]
}
