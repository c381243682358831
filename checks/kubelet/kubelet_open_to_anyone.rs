//! # The kubelet lets anyone do everything
//!
//! ## What it looks at
//!
//! The answer of the kubelet to `GET /healthz` without any credential, and `authentication.anonymous` with
//! `authorization.mode` in its running configuration.
//!
//! ## Why it matters
//!
//! With anonymous authentication and `AlwaysAllow` whoever reaches port 10250 runs commands in every pod of
//! the node. The metrics pipeline works all the same, so nobody notices. A kubelet that is started with
//! flags alone, without a configuration file, has exactly these defaults.
//!
//! ## How to fix it
//!
//! Set `authentication.anonymous.enabled: false`, `authentication.webhook.enabled: true` and
//! `authorization.mode: Webhook`, and restart the kubelet.
//!
//! ## When it is wrong
//!
//! 401 and 403 both mean that the kubelet is closed to anonymous callers. 200 alone makes it likely that it is open;
//! the running configuration decides.
//!
//! ## References
//!
//! - Failure catalogue: `kubelet-authz-always-allow` (RM-F7), section 18 c.1 (AH)

use crate::check::{
    Audience, Check, Finding, Hop, Kind, Outcome, Question, Remedy, Results, Severity, Step, fail,
};
use crate::evidence::{Evidence, Need, Node};
use crate::kubelet::{config, tls};
use crate::support;

pub(crate) const CHECK: Check = Check {
    code: "MP509",
    name: "kubelet-open-to-anyone",
    title: "The kubelet lets callers without a credential do everything",
    hop: Hop::Kubelet,
    severity: Severity::Error,
    kind: Kind::Hazard,
    modes: tls::MODES,
    needs: &[Need::Nodes, Need::KubeletHandshake, Need::KubeletAnonymous, Need::Configz, Need::HostKubelet],
    explains: &[],
    question: Question::Listed,
    source: include_str!("kubelet_open_to_anyone.rs"),
    run,
    remedies,
};

fn run(evidence: &Evidence, results: &mut Results<'_>) {
    results.about_nodes(|ctx, node, subject| {
        let finding =
            Finding::new(subject, "whoever reaches its port can run commands in every pod of the node");
        let answered = ctx.need(&node.anonymous);
        match config::look(ctx, evidence, node) {
            // Without a credential nobody is let in, whatever is granted to anonymous callers.
            Ok(config) if !config.value.anonymous => Ok(Outcome::Pass),
            Ok(config) if config.value.authorization_mode == "AlwaysAllow" => {
                let finding = config.cite(finding, "authentication.anonymous.enabled", "true", "false");
                Ok(fail(config.cite(finding, "authorization.mode", "AlwaysAllow", "Webhook")))
            }
            // Then it depends on what anonymous callers are granted.
            Ok(_) => Ok(by_answer(*answered?, node, finding)),
            Err(_) => {
                let status = *answered?;
                tls::tied(ctx, evidence, node)?;
                Ok(by_answer(status, node, finding))
            }
        }
    });
}

/// 200 alone makes it likely only: a grant on `nodes/healthz` gives the same answer.
fn by_answer(status: i64, node: &Node, finding: Finding) -> Outcome {
    if status != 200 {
        return Outcome::Pass;
    }
    fail(finding.cite(&node.anonymous, "status", "200 OK", "401 Unauthorized or 403 Forbidden").likely(&[]))
}

/// Succeeds when the kubelet's file keeps anonymous callers out.
const CLOSED: &str = "sed -n '/^authentication:/,/^[^ ]/{/^  anonymous:/,/enabled:/p}' /var/lib/kubelet/config.yaml | grep 'enabled: false'";

fn remedies(_: &Evidence, findings: &[&Finding]) -> Vec<Remedy> {
    let steps = findings
        .iter()
        .map(|finding| {
            Step::run(
                format!("node {}", finding.subject.name),
                support::on_host(tls::KUBELET_CONFIG, "sed -i -e '/^authentication:/,/^[^ ]/{/^  anonymous:/,/enabled:/s/enabled: true/enabled: false/}' -e '/^authentication:/,/^[^ ]/{/^  webhook:/,/enabled:/s/enabled: false/enabled: true/}' -e '/^authorization:/,/^[^ ]/s/^  mode: AlwaysAllow/  mode: Webhook/' /var/lib/kubelet/config.yaml\nsystemctl restart kubelet"),
            )
            .verify(format!("{CLOSED} && {}", tls::ASKS_API_SERVER))
        })
        .collect();
    vec![Remedy {
        title: "Close the kubelet to anonymous callers and let the API server authorize".to_owned(),
        audience: Audience::Production,
        cost: "Programs that read this kubelet without a credential stop working; that is the purpose."
            .to_owned(),
        leaves: Vec::new(),
        steps,
    }]
}
