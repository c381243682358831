//! # The kubelet does not accept tokens
//!
//! ## What it looks at
//!
//! `authentication.webhook.enabled` in the kubelet's running configuration (`configz`). Where that was not seen: the
//! file that it was told to read, where its machine was looked at (`host`) and the file is older than the process; or what the
//! kubelet answered to a pod of `probe`, whose token the API server takes.
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
//! (`--kubelet-client-certificate`). A kubelet whose own question to the API server fails answers 401 as well;
//! such a node is hardly Ready, and the finding is called likely.
//!
//! ## References
//!
//! - Failure catalogue: `kubelet-401-webhook-authn-disabled` (RM-F1), `kubelet-403-anonymous` (RM-F3)

use crate::Context;
use crate::check::{
    Audience, Check, Decision, Finding, Hop, Kind, Outcome, Remedy, Results, Severity, Step, Subject,
    Undecided, fail, not_applicable,
};
use crate::evidence::{Backend, Evidence, Mode, Need, Node, Reach, Why};
use crate::kubelet::config::{self, Config};
use crate::kubelet::tls;
use crate::probed::{self, Answered};
use crate::support;

pub(crate) const CHECK: Check = Check {
    code: "MP507",
    name: "kubelet-webhook-authentication-off",
    title: "The kubelet does not accept tokens: webhook authentication is off",
    hop: Hop::Kubelet,
    severity: Severity::Error,
    kind: Kind::Cause,
    modes: &[Mode::Installed, Mode::BeforeInstall, Mode::Host],
    needs: &[
        Need::Pods,
        Need::Nodes,
        Need::KubeletAnonymous,
        Need::Configz,
        Need::HostKubelet,
        Need::PodProbe,
    ],
    explains: tls::EXPLAINS,
    question: tls::QUESTION,
    source: include_str!("kubelet_webhook_authentication_off.rs"),
    run,
    remedies,
};

fn run(evidence: &Evidence, results: &mut Results<'_>) {
    if evidence.mode == Mode::Host {
        return results.about_hosts(Need::HostKubelet, |ctx, host, subject| {
            if ctx.need(&host.kubelet)?.is_none() {
                return Ok(not_applicable("no kubelet runs on it"));
            }
            Ok(by_config(&config::of_machine(ctx, host)?, subject))
        });
    }
    results.about_nodes(|ctx, node, subject| {
        if Backend::flag(ctx.need(&evidence.backend.args)?, "kubelet-client-certificate").is_some() {
            return Ok(not_applicable("metrics-server presents a client certificate"));
        }
        let config = match config::look(ctx, evidence, node) {
            Ok(config) => config,
            // Where nobody looked, it is the configuration that would have said it.
            Err(open) if evidence.probes.is_empty() => return Err(open),
            Err(_) => return by_probe(ctx, evidence, node, subject),
        };
        Ok(by_config(&config, subject))
    });
}

/// What the configuration says.
fn by_config(config: &Config<'_>, subject: Subject) -> Outcome {
    if config.value.webhook_authentication {
        return Outcome::Pass;
    }
    if config.value.anonymous && config.value.authorization_mode == "AlwaysAllow" {
        return not_applicable("the kubelet lets anyone in");
    }
    let answer = if config.value.anonymous { "403 as system:anonymous" } else { "401" };
    let finding = Finding::new(subject, format!("it answers every token with {answer}"));
    fail(config.cite(finding, "authentication.webhook.enabled", "false", "true"))
}

/// What the kubelet told a pod with the token of a ServiceAccount.
fn by_probe(ctx: &Context<'_>, evidence: &Evidence, node: &Node, subject: Subject) -> Decision {
    let answer = probed::answer(ctx, evidence, node)?;
    let undecided = |why: String| Undecided { need: Need::PodProbe, why: Why::Unreadable(why) };
    let Answered { probe, obs, status, message } = answer;
    let cite = |finding: Finding| {
        let value = format!("status {status}: {message}");
        finding.cite(obs, format!("kubelets[{}].reach", node.name), value, "the ServiceAccount's name")
    };
    match (status, probed::forbidden_user(message)) {
        (403, Some("system:anonymous")) => {
            let detail = "it takes a pod with a token for system:anonymous";
            Ok(fail(cite(Finding::new(subject, detail))))
        }
        (403, Some(_)) => Ok(Outcome::Pass),
        // A kubelet that is open to anyone answers without asking about the token.
        (200, _) if *ctx.need(&node.anonymous)? != 200 => Ok(Outcome::Pass),
        (401, _) => match ctx.need(&probe.api)? {
            Reach::Http { status: 200, .. } => {
                let detail = "it answers a pod with 401, whose token the API server takes";
                Ok(fail(cite(Finding::new(subject, detail).likely(&[]))))
            }
            reach => Err(undecided(format!("the API server and the token: {}", reach.words()))),
        },
        _ => Err(undecided(format!("status {status}"))),
    }
}

/// Where a command for the machine of a kubelet is run.
fn machine(subject: &Subject) -> String {
    if subject.kind == "Node" {
        format!("node {}", subject.name)
    } else {
        format!("the machine {}", subject.name)
    }
}

fn remedies(_: &Evidence, findings: &[&Finding]) -> Vec<Remedy> {
    let steps = findings
        .iter()
        .map(|finding| {
            Step::run(
                machine(&finding.subject),
                support::on_host(tls::KUBELET_CONFIG, "sed -i -e '/^authentication:/,/^[^ ]/{/^  webhook:/,/enabled:/s/enabled: false/enabled: true/}' -e '/^authorization:/,/^[^ ]/s/^  mode: AlwaysAllow/  mode: Webhook/' /var/lib/kubelet/config.yaml\nsystemctl restart kubelet"),
            )
            .verify(tls::ASKS_API_SERVER)
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
