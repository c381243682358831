//! # The Metrics API is not registered
//!
//! ## What it looks at
//!
//! Whether the API server lists the group `metrics.k8s.io`, and whether the APIService object
//! `v1beta1.metrics.k8s.io` exists.
//!
//! ## Why it matters
//!
//! Without the APIService the API server has no route to any metrics provider: `kubectl top` says
//! *Metrics API not available*, and every HPA on CPU or memory shows `<unknown>`.
//!
//! ## How to fix it
//!
//! Install metrics-server in a version that fits the cluster, or switch on your distribution's
//! add-on. Run `metrics-preflight check --before-install` first: it names what would fail then.
//!
//! ## When it is wrong
//!
//! Not when asked of the object itself. `kubectl top` prints the same words when the APIService
//! exists and is unavailable; that is another fault, and this check tells them apart.
//!
//! ## References
//!
//! - Failure catalogue: `apiservice-missing` (RM-A1), `metrics-api-not-registered` (AH-A01)
//! - <https://github.com/kubernetes-sigs/metrics-server#installation>

use crate::check::{
    Audience, Check, Finding, Hop, Kind, Outcome, Proof, Question, Remedy, Results, Severity, Step, fail,
};
use crate::evidence::{Distribution, Evidence, Mode, Need};
use crate::support;

pub(crate) const CHECK: Check = Check {
    code: "MP101",
    name: "metrics-api-not-registered",
    title: "The Metrics API is not registered: there is no APIService v1beta1.metrics.k8s.io",
    hop: Hop::Registration,
    severity: Severity::Error,
    kind: Kind::Cause,
    modes: &[Mode::Installed],
    needs: &[Need::Groups],
    explains: &["metrics-api-unanswered", "node-metrics-missing", "hpa-metrics-unreadable"],
    question: Question::Deciding { modes: &[Mode::Installed], unless: &[Proof::MetricsApiAnswers] },
    source: include_str!("metrics_api_not_registered.rs"),
    run,
    remedies,
};

fn run(evidence: &Evidence, results: &mut Results<'_>) {
    results.about(support::apiservice(), |ctx| {
        let groups = ctx.need(&evidence.cluster.groups)?;
        if groups.iter().any(|group| group.group == "metrics.k8s.io") {
            return Ok(Outcome::Pass);
        }
        Ok(fail(Finding::new(support::apiservice(), "the API server serves no group metrics.k8s.io").cite(
            &evidence.cluster.groups,
            "groups[].name",
            "no metrics.k8s.io",
            "metrics.k8s.io",
        )))
    });
}

fn remedies(evidence: &Evidence, _: &[&Finding]) -> Vec<Remedy> {
    let install = match evidence.cluster.distribution {
        Distribution::Eks => Step::run(
            "workstation",
            "aws eks create-addon --cluster-name \"$CLUSTER\" --addon-name metrics-server",
        ),
        Distribution::Gke | Distribution::Aks | Distribution::OpenShift => Step::manual(
            "workstation",
            "this platform brings its own metrics provider; switch its add-on on instead of installing a second one",
        ),
        Distribution::K3s => Step::manual(
            "every control-plane host",
            "start k3s without `--disable metrics-server`; it brings metrics-server",
        ),
        _ => Step::run(
            "workstation",
            "kubectl apply -f https://github.com/kubernetes-sigs/metrics-server/releases/download/v0.9.0/components.yaml",
        ),
    };
    vec![Remedy {
        title: "Install metrics-server".to_owned(),
        audience: Audience::Production,
        cost: String::new(),
        leaves: Vec::new(),
        steps: vec![
            Step::run("workstation", "metrics-preflight check --before-install"),
            install.verify("kubectl -n kube-system rollout status deployment/metrics-server --timeout=3m"),
        ],
    }]
}
