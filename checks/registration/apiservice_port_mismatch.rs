//! # The APIService names a port that its Service does not have
//!
//! ## What it looks at
//!
//! `spec.service.port` of the APIService (443 where it is not set) against the ports of that Service.
//!
//! ## Why it matters
//!
//! The number is the Service's port, not the container's. Where the Service has no such port, the
//! condition is `False (ServicePortError)` and every request gets 503.
//!
//! ## How to fix it
//!
//! Set the port of the APIService to the Service's.
//!
//! ## When it is wrong
//!
//! For a Service of type `ExternalName` the API server does not look at ports; the check does not
//! apply there.
//!
//! ## References
//!
//! - Failure catalogue: `apiservice-port-mismatch` (RM-A3, AH-A04)

use crate::check::{
    Audience, Check, Finding, Hop, Kind, Outcome, Question, Remedy, Results, Severity, Step, fail,
    not_applicable,
};
use crate::evidence::{Evidence, Mode, Need};
use crate::support;

pub(crate) const CHECK: Check = Check {
    code: "MP103",
    name: "apiservice-port-mismatch",
    title: "The APIService of the Metrics API names a port that its Service does not have",
    hop: Hop::Registration,
    severity: Severity::Error,
    kind: Kind::Cause,
    modes: &[Mode::Installed],
    needs: &[Need::ApiService, Need::Service],
    explains: &[
        "apiservice-unavailable",
        "metrics-api-unanswered",
        "node-metrics-missing",
        "hpa-metrics-unreadable",
    ],
    question: Question::Listed,
    source: include_str!("apiservice_port_mismatch.rs"),
    run,
    remedies,
};

fn run(evidence: &Evidence, results: &mut Results<'_>) {
    results.about(support::apiservice(), |ctx| {
        let target =
            ctx.need(&evidence.registration)?.as_ref().and_then(|apiservice| apiservice.service.as_ref());
        let Some(target) = target else { return Ok(not_applicable("the APIService routes to no Service")) };
        let Some(service) = ctx.need(&evidence.backend.service)? else {
            return Ok(not_applicable("the Service does not exist"));
        };
        if service.kind == "ExternalName" {
            return Ok(not_applicable("the Service is an external name"));
        }
        if service.ports.iter().any(|port| port.port == target.port) {
            return Ok(Outcome::Pass);
        }
        let has: Vec<String> = service.ports.iter().map(|port| port.port.to_string()).collect();
        let has = has.join(", ");
        let detail = format!(
            "it dials port {} of Service {}/{}, which has {}",
            target.port,
            target.namespace,
            target.name,
            if has.is_empty() { "no port".to_owned() } else { format!("port {has}") }
        );
        let mut finding = Finding::new(support::apiservice(), detail)
            .cite(&evidence.registration, "spec.service.port", target.port.to_string(), &has)
            .cite(&evidence.backend.service, "spec.ports[].port", has.clone(), &target.port.to_string());
        if let [port] = service.ports.as_slice() {
            finding = finding.fact("port", port.port.to_string());
        }
        Ok(fail(finding))
    });
}

fn remedies(_: &Evidence, findings: &[&Finding]) -> Vec<Remedy> {
    let Some(finding) = findings.first() else { return Vec::new() };
    let step = match finding.facts.get("port") {
        Some(port) => Step::run(
            "workstation",
            format!(
                "kubectl patch apiservice {} --type=merge -p '{{\"spec\":{{\"service\":{{\"port\":{port}}}}}}}'",
                support::APISERVICE
            ),
        )
        .verify(support::apiservice_available()),
        None => Step::manual(
            "workstation",
            format!("set spec.service.port of APIService {} to the Service's port for HTTPS", support::APISERVICE),
        ),
    };
    vec![Remedy {
        title: "Set the port of the APIService to the Service's".to_owned(),
        audience: Audience::Production,
        cost: String::new(),
        leaves: Vec::new(),
        steps: vec![step],
    }]
}
