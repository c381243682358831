//! # metrics-server's pods are refused
//!
//! ## What it looks at
//!
//! The condition `ReplicaFailure` of metrics-server's Deployment, while no pod of it is Ready: what the API server
//! answered when the pod was to be created.
//!
//! ## Why it matters
//!
//! There is no pod, so there is nothing to describe and no log to read; the reason stands at the Deployment and in the
//! events of its ReplicaSet only. A quota is used up or wants limits, the namespace's Pod Security level forbids what the
//! pod asks for, an admission webhook says no, or the ServiceAccount is not there.
//!
//! ## How to fix it
//!
//! Change what refuses, or the pod. The controller tries again after a pause that doubles each time, up to a quarter of an
//! hour; a new ReplicaSet does at once.
//!
//! ## When it is wrong
//!
//! While a pod of metrics-server is Ready nothing is said. The condition exists for Deployments only; a DaemonSet that
//! cannot create pods shows as `metrics-server-not-ready` alone.
//!
//! ## References
//!
//! - Failure catalogue: `podsecurity-rejects-pod` (RM-B4), `priorityclass-quota-denied` (RM-B7), `limitrange-conflict`
//!   (RM-B8)
//! - The words of a quota: `k8s.io/apiserver`, `pkg/admission/plugin/resourcequota/controller.go`; of an account:
//!   Kubernetes, `plugin/pkg/admission/serviceaccount/admission.go`

use crate::check::{
    Audience, Check, Finding, Hop, Kind, Outcome, Question, Remedy, Results, Severity, Step, Subject, fail,
    not_applicable,
};
use crate::evidence::{Evidence, Mode, Need, Workload};
use crate::plan::Quantity;
use crate::support;

pub(crate) const CHECK: Check = Check {
    code: "MP306",
    name: "metrics-server-pods-refused",
    title: "The API server refuses the pods of metrics-server",
    hop: Hop::Workload,
    severity: Severity::Error,
    kind: Kind::Cause,
    modes: &[Mode::Installed],
    needs: &[Need::Pods, Need::Workload],
    explains: &[
        "metrics-server-not-ready",
        "apiservice-unavailable",
        "metrics-api-unanswered",
        "node-metrics-missing",
        "hpa-metrics-unreadable",
    ],
    question: Question::Listed,
    source: include_str!("metrics_server_pods_refused.rs"),
    run,
    remedies,
};

fn run(evidence: &Evidence, results: &mut Results<'_>) {
    results.about_cluster(|ctx| {
        let Some(workload) = ctx.need(&evidence.backend.workload)? else {
            return Ok(not_applicable("no workload runs metrics-server"));
        };
        let Some(failure) = workload.replica_failure.as_deref() else { return Ok(Outcome::Pass) };
        if support::serves(ctx, evidence)? {
            return Ok(Outcome::Pass);
        }
        if !ctx.need(&evidence.backend.pods)?.is_empty() {
            return Ok(not_applicable("it has a pod, and the pipeline rests on that one"));
        }
        let subject = Subject::namespaced(&workload.kind, &workload.namespace, &workload.name);
        let finding = Finding::new(subject, failure).fact("failure", failure).cite(
            &evidence.backend.workload,
            "status.conditions[ReplicaFailure]",
            format!("True ({failure})"),
            "no such condition",
        );
        Ok(fail(finding))
    });
}

fn remedies(evidence: &Evidence, findings: &[&Finding]) -> Vec<Remedy> {
    let (Some(Some(workload)), Some(finding)) = (evidence.backend.workload.peek(), findings.first()) else {
        return Vec::new();
    };
    let failure = finding.facts.get("failure").map(String::as_str).unwrap_or_default();
    let namespace = support::word(&workload.namespace);
    let remedy = |title: &str, audience: Audience, cost: &str, step: Step| {
        // A ReplicaSet that has been refused for long waits for long; the Deployment makes a new one at once.
        let steps = if step.command.is_empty() { vec![step] } else { vec![step, anew(workload)] };
        Remedy { title: title.to_owned(), audience, cost: cost.to_owned(), leaves: Vec::new(), steps }
    };
    if let Some(quota) = Quota::read(failure) {
        let name = support::word(&quota.name);
        let step = quota.hard(workload.replicas).map_or_else(
            || {
                Step::manual(
                    "workstation",
                    format!("raise the ResourceQuota {name} in {namespace}, or free what it counts"),
                )
            },
            |hard| {
                let patch = support::word(&format!("{{\"spec\":{{\"hard\":{{{hard}}}}}}}"));
                Step::run(
                    "workstation",
                    format!("kubectl -n {namespace} patch resourcequota {name} --type=merge -p {patch}"),
                )
            },
        );
        return vec![remedy(
            "Let the quota hold metrics-server as well",
            Audience::Production,
            "The namespace may use that much more.",
            step,
        )];
    }
    if failure.contains("violates PodSecurity") {
        let level = "pod-security.kubernetes.io/enforce";
        return vec![
            remedy(
                "Install a metrics-server that keeps to the level",
                Audience::Production,
                "",
                Step::manual(
                    "workstation",
                    "since 0.7 the release's manifest keeps to the level \"restricted\"; take out what the message names",
                ),
            ),
            remedy(
                "Lift the namespace's Pod Security level",
                Audience::Lab,
                "Every pod of the namespace may then do anything.",
                Step::run(
                    "workstation",
                    format!("kubectl label namespace {namespace} {level}=privileged --overwrite"),
                ),
            ),
        ];
    }
    if let Some(account) = missing_account(failure) {
        return vec![remedy(
            "Create the ServiceAccount",
            Audience::Production,
            "What was bound to its name holds again at once.",
            Step::run(
                "workstation",
                format!("kubectl -n {namespace} create serviceaccount {}", support::word(account)),
            ),
        )];
    }
    vec![remedy(
        "Change what refuses the pod, or the pod",
        Audience::Production,
        "",
        Step::manual(
            "workstation",
            "do what the message asks for; a webhook that is named in it belongs to somebody",
        ),
    )]
}

/// Deletes the `ReplicaSet`s, which have no Ready pod: the Deployment makes its present one anew.
fn anew(workload: &Workload) -> Step {
    let namespace = support::word(&workload.namespace);
    let target = format!("{}/{}", workload.kind.to_ascii_lowercase(), support::word(&workload.name));
    // Without a selector the command would take those of others as well.
    let command = if workload.selector.is_empty() {
        format!("kubectl -n {namespace} rollout restart {target}")
    } else {
        format!("kubectl -n {namespace} delete replicasets -l {}", support::word(&workload.selector))
    };
    Step::run("workstation", command)
        .verify(format!("kubectl -n {namespace} rollout status {target} --timeout=3m"))
}

/// `... is forbidden: exceeded quota: NAME, requested: pods=1, used: pods=0, limited: pods=0`.
struct Quota {
    name: String,
    requested: String,
    used: String,
}

impl Quota {
    fn read(failure: &str) -> Option<Self> {
        let (_, rest) = failure.split_once("exceeded quota: ")?;
        let (name, rest) = rest.split_once(", requested: ")?;
        let (requested, rest) = rest.split_once(", used: ")?;
        let (used, _) = rest.split_once(", limited: ")?;
        Some(Self { name: name.to_owned(), requested: requested.to_owned(), used: used.to_owned() })
    }

    /// The fields of `spec.hard` that would do for so many pods; nothing where a number is not understood.
    fn hard(&self, pods: i64) -> Option<String> {
        let pairs = |list: &str| -> Option<Vec<(String, Quantity)>> {
            let pair = |pair: &str| {
                let (name, amount) = pair.split_once('=')?;
                Some((name.to_owned(), Quantity::read(amount)?))
            };
            list.split(',').map(pair).collect()
        };
        let used = pairs(&self.used)?;
        let field = |(name, more): (String, Quantity)| {
            let (_, now) = used.iter().find(|(used, _)| *used == name)?;
            let quoted = serde_json::Value::String(name);
            let sum = now.plus(more.times(pods.max(1))?)?;
            Some(format!("{quoted}:\"{sum}\""))
        };
        let fields: Option<Vec<String>> = pairs(&self.requested)?.into_iter().map(field).collect();
        Some(fields?.join(","))
    }
}

/// `error looking up service account NAMESPACE/NAME: serviceaccount "NAME" not found`.
fn missing_account(failure: &str) -> Option<&str> {
    let (_, rest) = failure.split_once("error looking up service account ")?;
    let (_, rest) = rest.split_once(": serviceaccount \"")?;
    let (name, rest) = rest.split_once('"')?;
    rest.starts_with(" not found").then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quota_is_raised_by_what_is_asked_for() {
        let failure = "pods \"metrics-server-1\" is forbidden: exceeded quota: small, \
                       requested: pods=1,requests.cpu=100m, used: pods=2,requests.cpu=950m, limited: pods=2,requests.cpu=1";
        let quota = Quota::read(failure).expect("a quota");
        assert_eq!(quota.name, "small");
        assert_eq!(quota.hard(1).as_deref(), Some("\"pods\":\"3\",\"requests.cpu\":\"1050m\""));
        assert_eq!(quota.hard(2).as_deref(), Some("\"pods\":\"4\",\"requests.cpu\":\"1150m\""));
        let odd = failure.replace("used: pods=2", "used: pods=many");
        assert_eq!(Quota::read(&odd).expect("a quota").hard(1), None);
        assert!(Quota::read("failed quota: small: must specify limits.cpu for: metrics-server").is_none());
    }

    #[test]
    fn only_its_own_replica_sets_are_deleted() {
        let mut workload: Workload = serde_json::from_value(serde_json::json!({
            "kind": "Deployment", "namespace": "kube-system", "name": "metrics-server", "labels": {},
            "match_labels": {"app": "metrics"}, "selector": "app=metrics,tier in (a,b)", "replicas": 1, "ports": [],
            "container": 0, "args": [], "found_by": "owner", "container_name": "metrics-server",
            "node_selector": {}, "replica_failure": "quota",
        }))
        .expect("a workload");
        assert_eq!(
            anew(&workload).command,
            "kubectl -n kube-system delete replicasets -l 'app=metrics,tier in (a,b)'"
        );
        workload.selector.clear();
        assert_eq!(
            anew(&workload).command,
            "kubectl -n kube-system rollout restart deployment/metrics-server"
        );
    }

    #[test]
    fn a_missing_account_is_named() {
        let failure = "pods \"metrics-server-1\" is forbidden: error looking up service account kube-system/metrics-server: \
                       serviceaccount \"metrics-server\" not found";
        assert_eq!(missing_account(failure), Some("metrics-server"));
        assert_eq!(missing_account("pods \"x\" is forbidden: no"), None);
    }
}
