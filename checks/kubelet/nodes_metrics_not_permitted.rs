//! # metrics-server may not read nodes/metrics
//!
//! ## What it looks at
//!
//! Whether the ServiceAccount of metrics-server may `get nodes/metrics`, as the API server's own authorizer
//! says. Kubelets ask it the same question. Where the authorizer was not asked: the body of the 403 with which
//! a kubelet answered a pod of `probe` that runs as that ServiceAccount.
//!
//! ## Why it matters
//!
//! Kubelets answer 403. It happens when the image was raised over 0.6 and the ClusterRole was not: up to 0.5
//! metrics-server read `nodes/stats`, since 0.6 it reads `nodes/metrics`.
//!
//! ## How to fix it
//!
//! Apply the manifest of the release that runs, or add the rule.
//!
//! ## When it is wrong
//!
//! A kubelet remembers a denial for 30 s. metrics-server up to 0.5 needs `nodes/stats` instead; the check does not apply to it.
//!
//! ## References
//!
//! - Failure catalogue: `kubelet-403-rbac` (RM-F4)

use crate::Context;
use crate::check::{
    Audience, Check, Finding, Hop, Kind, Outcome, Question, Remedy, Results, Severity, Step, Subject,
    Undecided, fail, not_applicable,
};
use crate::evidence::{Backend, Evidence, Mode, Need};
use crate::kubelet::tls;
use crate::probed::{self, Answered};
use crate::support;

pub(crate) const CHECK: Check = Check {
    code: "MP508",
    name: "nodes-metrics-not-permitted",
    title: "metrics-server's ServiceAccount may not get nodes/metrics",
    hop: Hop::Kubelet,
    severity: Severity::Error,
    kind: Kind::Cause,
    modes: &[Mode::Installed],
    needs: &[Need::Pods, Need::AccessReviews, Need::Nodes, Need::PodProbe],
    explains: tls::EXPLAINS,
    question: Question::Listed,
    source: include_str!("nodes_metrics_not_permitted.rs"),
    run,
    remedies,
};

/// Whether an image is of a release that reads `nodes/stats`.
fn reads_stats(image: &str) -> bool {
    let tag = image.rsplit_once(':').map_or("", |(_, tag)| tag).trim_start_matches('v');
    let mut numbers = tag.split('.').map(str::parse::<u32>);
    matches!((numbers.next(), numbers.next()), (Some(Ok(0)), Some(Ok(minor))) if minor < 6)
}

fn run(evidence: &Evidence, results: &mut Results<'_>) {
    results.about_cluster(|ctx| {
        let review = &evidence.backend.reviews.get_node_metrics;
        let denied = match ctx.need(review) {
            Ok(true) => return Ok(Outcome::Pass),
            Ok(false) => None,
            // Where nobody looked, it is the authorizer that would have said it.
            Err(open) if evidence.probes.is_empty() => return Err(open),
            Err(open) => match by_probes(ctx, evidence, open)? {
                Some(denied) => Some(denied),
                None => return Ok(Outcome::Pass),
            },
        };
        if Backend::flag(ctx.need(&evidence.backend.args)?, "kubelet-client-certificate").is_some() {
            return Ok(not_applicable("metrics-server presents a client certificate to kubelets"));
        }
        if ctx.need(&evidence.backend.pods)?.iter().any(|pod| reads_stats(&pod.image)) {
            return Ok(not_applicable("this metrics-server reads nodes/stats"));
        }
        let account = evidence.backend.reviews.account.clone().unwrap_or_default();
        let subject = support::account(evidence).map_or_else(Subject::cluster, |(namespace, name)| {
            Subject::namespaced("ServiceAccount", namespace, name)
        });
        let finding =
            Finding::new(subject, format!("{account} may not get nodes/metrics; kubelets answer 403"));
        Ok(fail(match denied {
            None => finding.cite(review, "status.allowed", "false", "true"),
            Some((node, denied)) => {
                let path = format!("kubelets[{node}].reach");
                finding.cite(denied.obs, path, format!("status 403: {}", denied.message), "200 OK")
            }
        }))
    });
}

/// What kubelets told pods that run as metrics-server's ServiceAccount: the refusal of one, or nothing where they let
/// it in.
fn by_probes<'e>(
    ctx: &Context<'_>,
    evidence: &'e Evidence,
    open: Undecided,
) -> Result<Option<(&'e str, Answered<'e>)>, Undecided> {
    let account = evidence.backend.reviews.account.as_deref().unwrap_or_default();
    let mut let_in = false;
    for node in ctx.need(&evidence.nodes)? {
        let Ok(answer) = probed::answer(ctx, evidence, node) else { continue };
        if answer.status == 403 && probed::forbidden_user(answer.message) == Some(account) {
            return Ok(Some((&node.name, answer)));
        }
        let_in |= answer.status == 200;
    }
    if let_in { Ok(None) } else { Err(open) }
}

fn remedies(evidence: &Evidence, _: &[&Finding]) -> Vec<Remedy> {
    let Some((namespace, name)) = support::account(evidence) else { return Vec::new() };
    vec![Remedy {
        title: "Permit metrics-server to read the kubelets' metrics".to_owned(),
        audience: Audience::Production,
        cost: String::new(),
        leaves: Vec::new(),
        steps: vec![
            Step::run(
                "workstation",
                format!(
                    "kubectl create clusterrole metrics-server-nodes-metrics --verb=get --resource=nodes/metrics --dry-run=client -o yaml | kubectl apply -f -\nkubectl create clusterrolebinding metrics-server-nodes-metrics --clusterrole=metrics-server-nodes-metrics --serviceaccount={namespace}:{name} --dry-run=client -o yaml | kubectl apply -f -"
                ),
            )
            .verify(format!("kubectl auth can-i get nodes/metrics --as=system:serviceaccount:{namespace}:{name}")),
        ],
    }]
}

#[cfg(test)]
mod tests {
    use super::reads_stats;

    #[test]
    fn releases_before_0_6_read_stats() {
        assert!(reads_stats("k8s.gcr.io/metrics-server/metrics-server:v0.5.2"));
        assert!(!reads_stats("registry.k8s.io/metrics-server/metrics-server:v0.9.0"));
        assert!(!reads_stats("registry.local:5000/metrics-server"));
    }
}
