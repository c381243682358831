//! # Anonymous callers hold privileges
//!
//! ## What it looks at
//!
//! ClusterRoleBindings whose subjects are `system:anonymous` or `system:unauthenticated`, beyond those that
//! Kubernetes makes itself; and what the API server answers a caller without a credential who asks whether
//! it may do everything.
//!
//! ## Why it matters
//!
//! Several tutorials cure *User "system:anonymous" cannot get path* by making anonymous callers
//! cluster-admin. The error goes away, and whoever reaches the API server without any credential can do
//! what the role allows. It also hides a broken front proxy: every caller then arrives at metrics-server as
//! anonymous and is let through.
//!
//! ## How to fix it
//!
//! In this order: repair the front proxy if it is broken, delete the binding, see that the Metrics API still
//! answers. If the role was a strong one, treat the cluster as compromised: look through the audit log for
//! `system:anonymous`, and replace tokens and Secrets.
//!
//! ## When it is wrong
//!
//! A binding that publishes something on purpose, such as the keys for OIDC discovery, is no fault; the
//! role's name tells.
//!
//! ## References
//!
//! - Failure catalogue: `anonymous-binding` (RM-H11), `anonymous-granted-privileges` (AH-E07)

use crate::check::{
    Audience, Check, Finding, Hop, Kind, Outcome, Question, Remedy, Results, Severity, Step, Subject, fail,
};
use crate::evidence::{AnonymousAccess, AnonymousBinding, Distribution, Evidence, Mode, Need};
use crate::support;

pub(crate) const CHECK: Check = Check {
    code: "MP701",
    name: "anonymous-granted-privileges",
    title: "Callers without a credential hold privileges in this cluster",
    hop: Hop::Authorization,
    severity: Severity::Error,
    kind: Kind::Hazard,
    modes: &[Mode::Installed, Mode::BeforeInstall],
    needs: &[Need::AnonymousAccess, Need::AnonymousBindings],
    explains: &[],
    question: Question::Listed,
    source: include_str!("anonymous_granted_privileges.rs"),
    run,
    remedies,
};

/// Roles that Kubernetes or its distributions bind to anonymous callers, and what clusters from before
/// 1.14 still carry.
const DEFAULT_ROLES: &[&str] = &[
    "system:public-info-viewer",
    "system:discovery",
    "system:basic-user",
    "system:openshift:public-info-viewer",
    "system:service-account-issuer-discovery",
    "kubeadm:bootstrap-signer-clusterinfo",
];

/// Roles that `OpenShift` binds to unauthenticated callers besides (its bootstrap policy).
const OPENSHIFT_ROLES: &[&str] =
    &["system:oauth-token-deleter", "system:scope-impersonation", "system:webhook", "self-access-reviewer"];

fn is_default(evidence: &Evidence, binding: &AnonymousBinding) -> bool {
    DEFAULT_ROLES.contains(&binding.role.as_str())
        || (evidence.cluster.distribution == Distribution::OpenShift
            && OPENSHIFT_ROLES.contains(&binding.role.as_str()))
}

fn run(evidence: &Evidence, results: &mut Results<'_>) {
    results.about_cluster(|ctx| {
        let access = ctx.need(&evidence.front_proxy.anonymous_access);
        let bindings = ctx.need(&evidence.front_proxy.anonymous_bindings);
        let granted: Vec<&AnonymousBinding> = bindings
            .as_ref()
            .map(|list| list.iter().filter(|binding| !is_default(evidence, binding)).collect())
            .unwrap_or_default();
        let everything = matches!(access, Ok(AnonymousAccess::Everything));
        if granted.is_empty() && !everything {
            bindings?;
            access?;
            return Ok(Outcome::Pass);
        }
        let words: Vec<String> = granted
            .iter()
            .map(|binding| {
                format!("{} {} grants {} to {}", binding.kind, binding.name, binding.role, binding.subject)
            })
            .collect();
        let detail = match (everything, words.is_empty()) {
            (true, true) => "anyone who reaches the API server can do everything".to_owned(),
            (true, false) => {
                format!("anyone who reaches the API server can do everything: {}", words.join("; "))
            }
            (false, _) => words.join("; "),
        };
        let mut finding = Finding::new(Subject::cluster(), detail);
        if everything {
            finding = finding.cite(
                &evidence.front_proxy.anonymous_access,
                "status.allowed",
                "true for every verb on every resource",
                "403 Forbidden",
            );
        }
        for binding in &granted {
            finding = finding.cite(
                &evidence.front_proxy.anonymous_bindings,
                format!("items[{}].subjects", binding.name),
                &binding.subject,
                "no anonymous subject",
            );
        }
        Ok(fail(finding))
    });
}

fn remedies(evidence: &Evidence, _: &[&Finding]) -> Vec<Remedy> {
    let bindings = evidence.front_proxy.anonymous_bindings.peek().map(Vec::as_slice).unwrap_or_default();
    let mut steps: Vec<Step> = bindings
        .iter()
        .filter(|binding| !is_default(evidence, binding))
        .map(|binding| {
            let (kind, name) = (binding.kind.to_ascii_lowercase(), support::word(&binding.name));
            Step::run("workstation", format!("kubectl delete {kind} {name}"))
                .verify(format!("! kubectl get {kind} {name}"))
        })
        .collect();
    if steps.is_empty() {
        steps.push(Step::manual(
            "workstation",
            "as a cluster administrator, list the ClusterRoleBindings whose subjects are system:anonymous or system:unauthenticated, and delete those that Kubernetes did not make",
        ));
    }
    vec![Remedy {
        title: "Delete the bindings; first repair the front proxy if it is named among the causes".to_owned(),
        audience: Audience::Production,
        cost: "If the front proxy is broken, the Metrics API stops answering until it is repaired. Treat the cluster as \
               compromised if the role was a strong one."
            .to_owned(),
        leaves: Vec::new(),
        steps,
    }]
}
