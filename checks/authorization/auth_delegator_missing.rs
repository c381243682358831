//! # metrics-server may not ask what its callers may do
//!
//! ## What it looks at
//!
//! Whether the ServiceAccount of metrics-server may `create subjectaccessreviews`, as the API server's own
//! authorizer says; and the error 500 that names the lack.
//!
//! ## Why it matters
//!
//! metrics-server asks the API server about each caller. When it may not, everybody gets 500, except for the
//! members of `system:masters`, whom it lets through without asking. The APIService stays `Available=True`,
//! since its probe comes as such a member: *works for me*.
//!
//! ## How to fix it
//!
//! Bind the ClusterRole `system:auth-delegator` to its ServiceAccount.
//!
//! ## When it is wrong
//!
//! Answers are cached for ten seconds: right after a change they are old.
//!
//! ## References
//!
//! - Failure catalogue: `auth-delegator-missing` (RM-H7, AH-E01)

use crate::check::{
    Audience, Check, Finding, Hop, Kind, Outcome, Proof, Question, Remedy, Results, Severity, Step, Subject,
    fail,
};
use crate::evidence::{Answer, Evidence, Mode, Need, Obs};

pub(crate) const CHECK: Check = Check {
    code: "MP702",
    name: "auth-delegator-missing",
    title: "metrics-server may not ask what its callers may do (system:auth-delegator is not bound)",
    hop: Hop::Authorization,
    severity: Severity::Error,
    kind: Kind::Cause,
    modes: &[Mode::Installed],
    needs: &[Need::AccessReviews, Need::MetricsDiscovery, Need::NodeMetrics],
    explains: &["metrics-api-unanswered", "hpa-metrics-unreadable", "node-metrics-missing"],
    question: Question::Deciding { modes: &[Mode::Installed], unless: &[Proof::MetricsApiAnswers] },
    source: include_str!("auth_delegator_missing.rs"),
    run,
    remedies,
};

/// The account in `subjectaccessreviews.authorization.k8s.io is forbidden: User "..."`.
fn lacking(answer: &Answer) -> Option<&str> {
    if answer.status != 500 {
        return None;
    }
    let (_, rest) =
        answer.message.split_once("subjectaccessreviews.authorization.k8s.io is forbidden: User ")?;
    let rest = rest.trim_start_matches(['\\', '"']);
    rest.split(['\\', '"']).next()
}

fn run(evidence: &Evidence, results: &mut Results<'_>) {
    results.about_cluster(|ctx| {
        let review = &evidence.backend.reviews.create_access_reviews;
        let found = |account: &str| {
            let parts = account.strip_prefix("system:serviceaccount:").and_then(|rest| rest.split_once(':'));
            let subject = parts.map_or_else(Subject::cluster, |(namespace, name)| {
                Subject::namespaced("ServiceAccount", namespace, name)
            });
            Finding::new(subject, format!("{account} may not create subjectaccessreviews"))
                .fact("account", account.trim_start_matches("system:serviceaccount:"))
        };
        let missing = match ctx.need(review) {
            Ok(true) => return Ok(Outcome::Pass),
            Ok(false) => {
                let account = evidence.backend.reviews.account.clone().unwrap_or_default();
                return Ok(fail(found(&account).cite(review, "status.allowed", "false", "true")));
            }
            Err(missing) => missing,
        };
        let answers: [&Obs<Answer>; 2] = [&evidence.metrics.discovery, &evidence.metrics.nodes_answer];
        for obs in answers {
            if let Ok(answer) = ctx.need(obs)
                && let Some(account) = lacking(answer)
            {
                return Ok(fail(found(account).cite(obs, "message", &answer.message, "200 OK")));
            }
        }
        Err(missing)
    });
}

fn remedies(_: &Evidence, findings: &[&Finding]) -> Vec<Remedy> {
    let account = findings
        .first()
        .and_then(|finding| finding.facts.get("account"))
        .filter(|account| !account.is_empty());
    let Some(account) = account else { return Vec::new() };
    vec![Remedy {
        title: "Bind system:auth-delegator to metrics-server's ServiceAccount".to_owned(),
        audience: Audience::Production,
        cost: String::new(),
        leaves: Vec::new(),
        steps: vec![
            Step::run(
                "workstation",
                format!(
                    "kubectl delete clusterrolebinding metrics-server:system:auth-delegator --ignore-not-found\nkubectl create clusterrolebinding metrics-server:system:auth-delegator --clusterrole=system:auth-delegator --serviceaccount={account}"
                ),
            )
            .verify(format!(
                "kubectl auth can-i create subjectaccessreviews.authorization.k8s.io --as=system:serviceaccount:{account}"
            )),
        ],
    }]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_account_out_of_the_error() {
        let answer = Answer {
            status: 500,
            message: "Internal Server Error: \"/apis/metrics.k8s.io/v1beta1\": subjectaccessreviews.authorization.k8s.io is forbidden: User \"system:serviceaccount:kube-system:metrics-server\" cannot create resource".to_owned(),
        };
        assert_eq!(lacking(&answer), Some("system:serviceaccount:kube-system:metrics-server"));
    }
}
