//! # metrics-server may not read the published trust of the aggregation layer
//!
//! ## What it looks at
//!
//! Whether the ServiceAccount of metrics-server may `get` the ConfigMap
//! `kube-system/extension-apiserver-authentication`, as the API server's own authorizer says; and the
//! refusal in metrics-server's log.
//!
//! ## Why it matters
//!
//! metrics-server reads from it which front proxy to believe, and ends with a panic when it may not.
//!
//! ## How to fix it
//!
//! Bind the Role `extension-apiserver-authentication-reader` in `kube-system` to its ServiceAccount. The
//! RoleBinding must stand in `kube-system`, also when metrics-server runs elsewhere.
//!
//! ## When it is wrong
//!
//! With `--authentication-tolerate-lookup-failure` metrics-server starts all the same and then treats
//! every caller as anonymous: worse to debug, and still this cause.
//!
//! ## References
//!
//! - Failure catalogue: `auth-reader-binding-missing` (RM-C5), `auth-configmap-reader-missing` (AH-D12)

use crate::check::{
    Audience, Check, Finding, Hop, Kind, Outcome, Question, Remedy, Results, Severity, Step, Subject, fail,
};
use crate::evidence::{Evidence, Mode, Need, Signature};
use crate::support;

pub(crate) const CHECK: Check = Check {
    code: "MP402",
    name: "auth-reader-binding-missing",
    title: "metrics-server may not read kube-system/extension-apiserver-authentication",
    hop: Hop::ApiAccess,
    severity: Severity::Error,
    kind: Kind::Cause,
    modes: &[Mode::Installed],
    needs: &[Need::Pods, Need::Logs, Need::AccessReviews],
    explains: &[
        "metrics-server-crashing",
        "metrics-server-not-ready",
        "apiservice-unavailable",
        "metrics-api-unanswered",
        "node-metrics-missing",
        "hpa-metrics-unreadable",
    ],
    question: Question::Listed,
    source: include_str!("auth_reader_binding_missing.rs"),
    run,
    remedies,
};

fn run(evidence: &Evidence, results: &mut Results<'_>) {
    results.about_cluster(|ctx| {
        let review = &evidence.backend.reviews.get_auth_config;
        let account = evidence.backend.reviews.account.clone().unwrap_or_default();
        let subject = support::account(evidence).map_or_else(Subject::cluster, |(namespace, name)| {
            Subject::namespaced("ServiceAccount", namespace, name)
        });
        let refused = match ctx.need(review) {
            Ok(true) => return Ok(Outcome::Pass),
            Ok(false) => None,
            Err(missing) => {
                let lines = support::current_signals(ctx, evidence, |signature| match signature {
                    Signature::AuthConfigForbidden { user } => Some(user.clone()),
                    _ => None,
                })?;
                let Some((_, user)) = lines.into_iter().next_back() else { return Err(missing) };
                Some(user)
            }
        };
        let who = refused.clone().unwrap_or(account);
        let finding =
            Finding::new(subject, format!("{who} may not get configmaps/extension-apiserver-authentication"));
        let finding = if refused.is_some() {
            finding.cite(
                &evidence.backend.logs,
                "log",
                "configmaps \"extension-apiserver-authentication\" is forbidden",
                "permitted",
            )
        } else {
            finding.cite(review, "status.allowed", "false", "true")
        };
        Ok(fail(finding.fact("account", who)))
    });
}

fn remedies(evidence: &Evidence, findings: &[&Finding]) -> Vec<Remedy> {
    let account = findings.first().and_then(|finding| finding.facts.get("account"));
    let account = account.and_then(|account| account.strip_prefix("system:serviceaccount:"));
    let Some(account) = account else { return Vec::new() };
    let mut steps = vec![
        Step::run(
            "workstation",
            format!(
                "kubectl -n kube-system delete rolebinding metrics-server-auth-reader --ignore-not-found\nkubectl -n kube-system create rolebinding metrics-server-auth-reader --role=extension-apiserver-authentication-reader --serviceaccount={account}"
            ),
        )
        .verify(format!(
            "kubectl -n kube-system auth can-i get configmaps/extension-apiserver-authentication --as=system:serviceaccount:{account}"
        )),
    ];
    steps.extend(support::restart_metrics_server(evidence));
    vec![Remedy {
        title: "Bind the Role that lets metrics-server read it".to_owned(),
        audience: Audience::Production,
        cost: String::new(),
        leaves: Vec::new(),
        steps,
    }]
}
