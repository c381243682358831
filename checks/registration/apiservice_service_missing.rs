//! # The APIService names a Service that is not there
//!
//! ## What it looks at
//!
//! `spec.service` of the APIService `v1beta1.metrics.k8s.io`, and whether that Service exists.
//!
//! ## Why it matters
//!
//! The API server routes the Metrics API to that Service by namespace and name. When it is missing
//! the condition is `False (ServiceNotFound)` and every request gets 503.
//!
//! ## How to fix it
//!
//! Where another Service selects metrics-server's pods, point the APIService at it. Where no provider
//! is left in the cluster, install one, or delete the APIService: it only removes the route.
//!
//! ## When it is wrong
//!
//! While a manifest is being applied the APIService can exist a moment before its Service.
//!
//! ## References
//!
//! - Failure catalogue: `apiservice-wrong-service-ref` (RM-A2), `apiservice-service-missing` (AH-A02)
//! - kube-aggregator `pkg/controllers/status/remote/remote_available_controller.go`

use crate::check::{
    Audience, Check, Finding, Hop, Kind, Outcome, Question, Remedy, Results, Severity, Step, fail,
    not_applicable,
};
use crate::evidence::{Evidence, Mode, Need};
use crate::support;

pub(crate) const CHECK: Check = Check {
    code: "MP102",
    name: "apiservice-service-missing",
    title: "The APIService of the Metrics API names a Service that does not exist",
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
    source: include_str!("apiservice_service_missing.rs"),
    run,
    remedies,
};

fn run(evidence: &Evidence, results: &mut Results<'_>) {
    results.about(support::apiservice(), |ctx| {
        let Some(apiservice) = ctx.need(&evidence.registration)? else {
            return Ok(not_applicable("there is no APIService"));
        };
        let Some(target) = &apiservice.service else {
            return Ok(not_applicable("kube-apiserver serves the group itself"));
        };
        if ctx.need(&evidence.backend.service)?.is_some() {
            return Ok(Outcome::Pass);
        }
        let wanted = format!("{}/{}", target.namespace, target.name);
        Ok(fail(
            Finding::new(support::apiservice(), format!("it names Service {wanted}, which does not exist"))
                .cite(&evidence.registration, "spec.service", &wanted, "a Service that exists")
                .cite(&evidence.backend.service, "status", "404 Not Found", "200 OK"),
        ))
    });
}

fn remedies(evidence: &Evidence, _: &[&Finding]) -> Vec<Remedy> {
    let candidates = evidence.backend.candidates.peek().map(Vec::as_slice).unwrap_or_default();
    if let [service] = candidates {
        let (namespace, name, port) = (&service.namespace, &service.name, service.port);
        return vec![Remedy {
            title: format!("Point the APIService at Service {namespace}/{name}, which selects metrics-server's pods"),
            audience: Audience::Production,
            cost: String::new(),
            leaves: Vec::new(),
            steps: vec![
                Step::run(
                    "workstation",
                    format!(
                        "kubectl patch apiservice {} --type=merge -p '{{\"spec\":{{\"service\":{{\"namespace\":\"{namespace}\",\"name\":\"{name}\",\"port\":{port}}}}}}}'",
                        support::APISERVICE
                    ),
                )
                .verify(support::apiservice_available()),
            ],
        }];
    }
    vec![Remedy {
        title:
            "Install the provider anew from one source of manifests, or delete what an uninstall left behind"
                .to_owned(),
        audience: Audience::Production,
        cost: "Deleting the APIService removes the route to the Metrics API and nothing else.".to_owned(),
        leaves: Vec::new(),
        steps: vec![Step::manual(
            "workstation",
            format!(
                "if no metrics provider is meant to run here: kubectl delete apiservice {}; otherwise apply the manifests of the provider again",
                support::APISERVICE
            ),
        )],
    }]
}
