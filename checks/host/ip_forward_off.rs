//! # The kernel of the machine forwards nothing
//!
//! ## What it looks at
//!
//! `net.ipv4.ip_forward`, and `net.ipv6.conf.all.forwarding` where pods have addresses of IP version 6.
//!
//! ## Why it matters
//!
//! Pods have interfaces of their own; what they send to another machine is forwarded by the kernel. With 0 it drops such
//! packets without a word: metrics-server ends with `dial tcp 10.96.0.1:443: i/o timeout`, and with it everything behind.
//!
//! ## How to fix it
//!
//! Set it to 1 in a file of `/etc/sysctl.d`, and apply the file. `sysctl -w` alone is gone after the next boot.
//!
//! ## When it is wrong
//!
//! Where metrics-server runs on the machine and the Metrics API answers, this check passes.
//!
//! ## References
//!
//! - Failure catalogue: `ip-forward-or-bridge-nf-disabled` (RM-C1b)
//! - Kubernetes documentation, "Container Runtimes", "Enable IPv4 packet forwarding"; Linux
//!   `Documentation/networking/ip-sysctl.rst`

use super::{alone, place};
use crate::check::{
    Audience, Check, Context, Finding, Hop, Kind, Outcome, Remedy, Results, Severity, Step, Undecided, fail,
};
use crate::evidence::{Evidence, Host, Mode, Need, Why};
use crate::support;

pub(crate) const CHECK: Check = Check {
    code: "MP012",
    name: "ip-forward-off",
    title: "The kernel of the machine does not forward packets",
    hop: Hop::Host,
    severity: Severity::Error,
    kind: Kind::Cause,
    modes: &[Mode::Installed, Mode::BeforeInstall, Mode::Host],
    needs: &[
        Need::Pods,
        Need::Nodes,
        Need::MetricsDiscovery,
        Need::HostIdentity,
        Need::HostSettings,
        Need::HostKubelet,
    ],
    explains: super::EXPLAINS,
    question: alone::QUESTION,
    source: include_str!("ip_forward_off.rs"),
    run,
    remedies,
};

pub(super) const FOUR: &str = "net.ipv4.ip_forward";
const SIX: &str = "net.ipv6.conf.all.forwarding";

/// The setting that is 0 and should not be; nothing where all are on.
pub(super) fn is_off(
    ctx: &Context<'_>,
    evidence: &Evidence,
    host: &Host,
) -> Result<Option<&'static str>, Undecided> {
    let nodes = place::nodes(ctx, evidence)?;
    let range = place::node(nodes, host).and_then(|node| node.pod_cidr.as_deref());
    let name = if range.is_some_and(|range| range.contains(':')) { SIX } else { FOUR };
    match place::setting(ctx, host, name)?.now.as_deref() {
        Some("0") => Ok(Some(name)),
        Some(_) => Ok(None),
        None => Err(Undecided {
            need: Need::HostSettings,
            why: Why::Lacking(format!("this kernel shows no `{name}`")),
        }),
    }
}

fn run(evidence: &Evidence, results: &mut Results<'_>) {
    results.about_hosts(Need::HostSettings, |ctx, host, subject| {
        if let Some(outcome) = place::without_forwarding(ctx, evidence, host)? {
            return Ok(outcome);
        }
        let Some(name) = is_off(ctx, evidence, host)? else { return Ok(Outcome::Pass) };
        let finding = Finding::new(subject, format!("`{name}` is 0"))
            .cite(&host.settings, name, "0", "1")
            .fact("setting", name)
            .fact("run_on", place::run_on(host));
        Ok(fail(finding))
    });
}

/// The file that is read last but for those of the machine's owner that are named to be so.
const FILE: &str = "/etc/sysctl.d/99-zz-kubernetes-forward.conf";

pub(super) fn remedies(evidence: &Evidence, findings: &[&Finding]) -> Vec<Remedy> {
    let mut steps = Vec::new();
    for finding in findings {
        let fact = |name: &str| finding.facts.get(name).cloned().unwrap_or_default();
        let name = if fact("setting") == SIX { SIX } else { FOUR };
        steps.push(
            Step::run(fact("run_on"), format!("echo '{name} = 1' > {FILE}\nsysctl -p {FILE}"))
                .verify(format!("sysctl -n {name} | grep -x 1")),
        );
    }
    steps.extend(support::restart_metrics_server(evidence));
    vec![Remedy {
        title: "Let the kernel forward, now and after each boot".to_owned(),
        audience: Audience::Production,
        cost: String::new(),
        leaves: Vec::new(),
        steps,
    }]
}
