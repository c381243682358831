//! # The Service's target port is not a port of the pods
//!
//! ## What it looks at
//!
//! The named `targetPort` of the Service's port that the APIService uses, against the names of the
//! container ports of the pods behind it.
//!
//! ## Why it matters
//!
//! A name that no container port carries leaves the EndpointSlice without that port. The pods are
//! Ready, and the API server says `MissingEndpoints`: *no addresses with port name "https"*. Where the container
//! port was renamed, the probes that look for the old name fail as well, and the pods are not even Ready.
//!
//! ## How to fix it
//!
//! Give the container port the name again, or use its number as `targetPort`.
//!
//! ## When it is wrong
//!
//! A numeric `targetPort` always resolves, even where nothing listens; the check passes it.
//!
//! ## References
//!
//! - Failure catalogue: `service-port-name-mismatch` (RM-A5), `apiservice-port-name-mismatch` (AH-A07)

use crate::check::{
    Audience, Check, Finding, Hop, Kind, Outcome, Question, Remedy, Results, Severity, Step, Subject, fail,
    not_applicable,
};
use crate::evidence::{Backend, Evidence, Mode, Need, Service};
use crate::support;

pub(crate) const CHECK: Check = Check {
    code: "MP202",
    name: "service-port-name-unresolved",
    title: "The Service of the Metrics API names a target port that its pods do not have",
    hop: Hop::Service,
    severity: Severity::Error,
    kind: Kind::Cause,
    modes: &[Mode::Installed],
    needs: &[Need::ApiService, Need::Service, Need::Pods],
    explains: &[
        "metrics-server-not-ready",
        "apiservice-unavailable",
        "metrics-api-unanswered",
        "node-metrics-missing",
        "hpa-metrics-unreadable",
    ],
    question: Question::Listed,
    source: include_str!("service_port_name_unresolved.rs"),
    run,
    remedies,
};

fn run(evidence: &Evidence, results: &mut Results<'_>) {
    results.about_cluster(|ctx| {
        let Some(service) = ctx.need(&evidence.backend.service)? else {
            return Ok(not_applicable("the Service does not exist"));
        };
        let registered = ctx.need(&evidence.registration)?.as_ref().and_then(|api| api.service.as_ref());
        let wanted = registered.map_or(443, |target| target.port);
        let Some((index, port)) = service.ports.iter().enumerate().find(|(_, port)| port.port == wanted)
        else {
            return Ok(not_applicable("the Service does not have the port that the APIService names"));
        };
        if port.target.is_empty() || port.target.parse::<i64>().is_ok() {
            return Ok(Outcome::Pass);
        }
        let pods = ctx.need(&evidence.backend.pods)?;
        if pods.is_empty() {
            return Ok(not_applicable("there are no pods behind the Service"));
        }
        if pods.iter().any(|pod| pod.ports.iter().any(|has| has.name == port.target)) {
            return Ok(Outcome::Pass);
        }
        let has: Vec<String> = pods
            .iter()
            .flat_map(|pod| &pod.ports)
            .map(|port| {
                format!("{} ({})", if port.name.is_empty() { "unnamed" } else { &port.name }, port.port)
            })
            .collect();
        let has = if has.is_empty() { "none".to_owned() } else { has.join(", ") };
        let subject = Subject::namespaced("Service", &service.namespace, &service.name);
        let mut finding = Finding::new(
            subject,
            format!("its target port is \"{}\"; the pods' ports are {has}", port.target),
        )
        .cite(&evidence.backend.service, format!("spec.ports[{index}].targetPort"), &port.target, &has)
        .cite(&evidence.backend.pods, "spec.containers[].ports[].name", has.clone(), &port.target)
        .fact("index", index.to_string())
        .fact("name", &port.target);
        if let Some(args) = evidence.backend.args.peek()
            && let Some(number) = Backend::flag(args, "secure-port")
        {
            finding = finding.fact("port", number);
        }
        Ok(fail(finding))
    });
}

fn remedies(evidence: &Evidence, findings: &[&Finding]) -> Vec<Remedy> {
    let (Some(Some(service)), Some(finding)) = (evidence.backend.service.peek(), findings.first()) else {
        return Vec::new();
    };
    let mut steps = rename(evidence, finding);
    let mut title = "Give the container port the name that the Service looks for".to_owned();
    if steps.is_empty() {
        steps = by_number(service, finding);
        "Let the Service use the number of the port that metrics-server listens on".clone_into(&mut title);
    }
    vec![Remedy { title, audience: Audience::Production, cost: String::new(), leaves: Vec::new(), steps }]
}

/// Renames the container port that metrics-server listens on: its probes look for the same name.
fn rename(evidence: &Evidence, finding: &Finding) -> Vec<Step> {
    let Some(Some(workload)) = evidence.backend.workload.peek() else { return Vec::new() };
    let Some(wanted) = finding.facts.get("name") else { return Vec::new() };
    let listens = finding.facts.get("port").and_then(|port| port.parse::<i64>().ok());
    let index = match workload.ports.as_slice() {
        [_] => Some(0),
        ports => ports.iter().position(|port| Some(port.port) == listens),
    };
    let Some(index) = index else { return Vec::new() };
    let container = workload.container;
    let (namespace, name, kind) = (&workload.namespace, &workload.name, workload.kind.to_ascii_lowercase());
    vec![
        Step::run(
            "workstation",
            format!(
                "kubectl -n {namespace} patch {kind} {name} --type=json -p '[{{\"op\":\"add\",\"path\":\"/spec/template/spec/containers/{container}/ports/{index}/name\",\"value\":\"{wanted}\"}}]'"
            ),
        )
        .verify(support::apiservice_available()),
    ]
}

/// Names the port by its number in the Service.
fn by_number(service: &Service, finding: &Finding) -> Vec<Step> {
    let (namespace, name) = (&service.namespace, &service.name);
    let (Some(index), Some(port)) = (finding.facts.get("index"), finding.facts.get("port")) else {
        return vec![Step::manual("workstation", "name the container port as the Service's targetPort says")];
    };
    vec![
        Step::run(
            "workstation",
            format!(
                "kubectl -n {namespace} patch service {name} --type=json -p '[{{\"op\":\"replace\",\"path\":\"/spec/ports/{index}/targetPort\",\"value\":{port}}}]'"
            ),
        )
        .verify(support::apiservice_available()),
    ]
}
