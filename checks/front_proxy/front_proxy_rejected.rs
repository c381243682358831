//! # metrics-server does not accept kube-apiserver's identity
//!
//! ## What it looks at
//!
//! The status 401 or 403 in the condition of the APIService, and in the answer to the caller's own request
//! for discovery where the refusal names somebody else than the caller.
//!
//! ## Why it matters
//!
//! The connection and metrics-server are fine; the identity between the two servers is not. Where its cause
//! is proved, that one is named instead. `--kubelet-insecure-tls` and `insecureSkipTLSVerify` are the wrong
//! medicine: they concern other links.
//!
//! ## How to fix it
//!
//! Read metrics-server's log: it says what it has against the certificate. Compare the flags of every
//! kube-apiserver with the ConfigMap `kube-system/extension-apiserver-authentication`.
//!
//! ## When it is wrong
//!
//! A corporate proxy between kube-apiserver and metrics-server answers 403 as well; then metrics-server's
//! log knows nothing of the request.
//!
//! ## References
//!
//! - Failure catalogue: section 1-H (RM), section 1.3 and `apiserver-egress-proxy-env` B06 (AH)

use crate::check::{
    Check, Finding, Hop, Kind, Outcome, Question, Results, Severity, Step, fail, no_remedies,
};
use crate::evidence::{Evidence, Mode, Need};
use crate::front_proxy::identity;
use crate::support;

pub(crate) const CHECK: Check = Check {
    code: "MP605",
    name: "front-proxy-rejected",
    title: "metrics-server does not accept the identity with which kube-apiserver calls it",
    hop: Hop::FrontProxy,
    severity: Severity::Error,
    kind: Kind::Place(&[
        "requestheader-ca-missing",
        "proxy-client-cert-missing",
        "proxy-client-cert-expired",
        "proxy-client-cert-untrusted",
        "proxy-client-name-not-allowed",
    ]),
    modes: &[Mode::Installed],
    needs: &[Need::Whoami, Need::ApiService, Need::AnonymousAccess, Need::MetricsDiscovery],
    explains: identity::EXPLAINS,
    question: Question::Listed,
    source: include_str!("front_proxy_rejected.rs"),
    run,
    remedies: no_remedies,
};

/// The status in `bad status from https://...: 401`.
fn bad_status(message: &str) -> Option<&'static str> {
    let (_, rest) = message.split_once("bad status from ")?;
    let status = rest.rsplit_once(": ")?.1;
    ["401", "403"].into_iter().find(|code| status.starts_with(code))
}

fn run(evidence: &Evidence, results: &mut Results<'_>) {
    results.about(support::apiservice(), |ctx| {
        let decide = Step::run(
            "every control-plane host",
            "ps -o args= -C kube-apiserver | tr ' ' '\\n' | grep -E 'requestheader|proxy-client'",
        );
        let registration = ctx.need(&evidence.registration);
        if let Ok(Some(apiservice)) = registration
            && let Some(condition) = &apiservice.available
            && !condition.is_true()
            && let Some(status) = bad_status(&condition.message)
        {
            let finding = Finding::new(
                support::apiservice(),
                format!("metrics-server answers kube-apiserver with {status}"),
            )
            .cite(
                &evidence.registration,
                "status.conditions[Available].message",
                &condition.message,
                "all checks passed",
            );
            return Ok(fail(finding.decided_by(decide)));
        }
        let answer = ctx.need(&evidence.metrics.discovery)?;
        let me = ctx.need(&evidence.cluster.whoami)?;
        let about_me = answer.message.contains(&format!("\"{}\"", me.name));
        let lost = answer.status == 401 || (answer.status == 403 && !about_me);
        if lost && !me.is_anonymous() {
            let finding = Finding::new(
                support::apiservice(),
                format!("metrics-server answers {} ({})", answer.status, answer.message),
            )
            .cite(&evidence.metrics.discovery, "status", answer.status.to_string(), "200");
            return Ok(fail(finding.decided_by(decide)));
        }
        registration?;
        // Where anonymous callers may do everything, an answer does not show that the identity was accepted.
        ctx.need(&evidence.front_proxy.anonymous_access)?;
        identity::masked(ctx, evidence).map_or(Ok(Outcome::Pass), Err)
    });
}

#[cfg(test)]
mod tests {
    use super::bad_status;

    #[test]
    fn finds_the_status_at_the_end_of_the_message() {
        let message = "failing or missing response from https://10.96.1.1:443/apis/metrics.k8s.io/v1beta1: \
             bad status from https://10.96.1.1:443/apis/metrics.k8s.io/v1beta1: 401";
        assert_eq!(bad_status(message), Some("401"));
        assert_eq!(bad_status("all checks passed"), None);
        assert_eq!(
            bad_status("bad status from https://10.96.1.1:443/apis/metrics.k8s.io/v1beta1: 503"),
            None
        );
    }
}
