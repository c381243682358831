//! # The kubelet does not accept tokens
//!
//! ## What it looks at
//!
//! `authentication.webhook.enabled` in the kubelet's running configuration.
//!
//! ## Why it matters
//!
//! metrics-server presents the token of its ServiceAccount. A kubelet that does not ask the API server about
//! tokens answers 401, or 403 as `system:anonymous` where anonymous callers are let in.
//!
//! ## How to fix it
//!
//! Set `authentication.webhook.enabled: true` and `authorization.mode: Webhook` in the kubelet's
//! configuration and restart it.
//!
//! ## When it is wrong
//!
//! It does not apply where metrics-server presents a client certificate
//! (`--kubelet-client-certificate`).
//!
//! ## References
//!
//! - Failure catalogue: `kubelet-401-webhook-authn-disabled` (RM-F1), `kubelet-403-anonymous` (RM-F3)

use crate::check::{
    Audience, Check, Finding, Hop, Kind, Outcome, Remedy, Results, Severity, Step, fail, not_applicable,
};
use crate::evidence::{Backend, Evidence, Need};
use crate::kubelet::tls;
use crate::support;

pub(crate) const CHECK: Check = Check {
    code: "MP507",
    name: "kubelet-webhook-authentication-off",
    title: "The kubelet does not accept tokens: webhook authentication is off",
    hop: Hop::Kubelet,
    severity: Severity::Error,
    kind: Kind::Cause,
    modes: tls::MODES,
    needs: &[Need::Pods, Need::Nodes, Need::Configz],
    explains: tls::EXPLAINS,
    question: tls::QUESTION,
    source: include_str!("kubelet_webhook_authentication_off.rs"),
    run,
    remedies,
};

fn run(evidence: &Evidence, results: &mut Results<'_>) {
    results.about_nodes(|ctx, node, subject| {
        if Backend::flag(ctx.need(&evidence.backend.args)?, "kubelet-client-certificate").is_some() {
            return Ok(not_applicable("metrics-server presents a client certificate"));
        }
        let config = ctx.need(&node.configz)?;
        if config.webhook_authentication {
            return Ok(Outcome::Pass);
        }
        if config.anonymous && config.authorization_mode == "AlwaysAllow" {
            return Ok(not_applicable("the kubelet lets anyone in"));
        }
        let answer = if config.anonymous { "403 as system:anonymous" } else { "401" };
        let finding = Finding::new(subject, format!("it answers every token with {answer}")).cite(
            &node.configz,
            "kubeletconfig.authentication.webhook.enabled",
            "false",
            "true",
        );
        Ok(fail(finding))
    });
}

fn remedies(_: &Evidence, findings: &[&Finding]) -> Vec<Remedy> {
    let steps = findings
        .iter()
        .map(|finding| {
            Step::run(
                format!("node {}", finding.subject.name),
                support::on_host(tls::KUBELET_CONFIG, "sed -i -e '/^authentication:/,/^[^ ]/{/^  webhook:/,/enabled:/s/enabled: false/enabled: true/}' -e '/^authorization:/,/^[^ ]/s/^  mode: AlwaysAllow/  mode: Webhook/' /var/lib/kubelet/config.yaml\nsystemctl restart kubelet"),
            )
            .verify("grep -A8 '^authentication:' /var/lib/kubelet/config.yaml")
        })
        .collect();
    vec![Remedy {
        title: "Let the kubelet ask the API server about tokens".to_owned(),
        audience: Audience::Production,
        cost: String::new(),
        leaves: Vec::new(),
        steps,
    }]
}
