//! # The machine does not forward pods' packets: its packet filter drops them
//!
//! ## What it looks at
//!
//! All rules on the hook `forward` of iptables (legacy and nft) and of nftables, walked as the kernel does, with the first
//! packet of a connection from the pods' range to the kubelets of other nodes. A policy of DROP on its own decides
//! nothing: it does where no rule before it accepts the packet. Rules of kube-proxy accept marked and answered
//! packets only, rules of Docker those of its own bridges; neither accepts a pod's new connection.
//!
//! ## Why it matters
//!
//! Docker sets the policy to DROP when it turns forwarding on, firewalld and ufw refuse what they do not know. Where the CNI
//! has no rule for its pods, metrics-server on that machine reaches neither the API server on another one nor the other
//! kubelets: `dial tcp 10.96.0.1:443: i/o timeout`, or `no route to host` where packets are refused.
//!
//! ## How to fix it
//!
//! Accept the pods' packets ahead of the policy, in a way that is there after the next boot: by the CNI (a version of it that
//! writes such rules), by firewalld or ufw where these filter, or by a unit of systemd. Setting the policy to ACCEPT makes
//! the machine a router for everybody.
//!
//! ## When it is wrong
//!
//! Where a pod of metrics-server on the machine is Ready and the Metrics API answers, the packets come through, and this
//! check passes; what would stop them later is the hazard `forwarding-hazard`. Programs that forward in eBPF pass the
//! packet filter by: where their interfaces are seen, the answer stays open. So it does where a rule asks for something that is not
//! known here, such as an ipset. Where a machine is looked at alone, its routes say where its pods are, and other machines
//! are all addresses but those of loopback, multicast and Services.
//!
//! ## References
//!
//! - Failure catalogue: `forward-policy-drop` (RM-C1a), `host-forward-drop` (AH-B09), `no-route-to-host` (RM-D7)
//! - kubernetes/kubernetes issues 39823, 40182; moby `libnetwork/drivers/bridge/setup_ip_forwarding.go`

use std::fmt::Write as _;

use super::forwarding::{self, Forwarding, Stopped};
use super::{alone, place};
use crate::check::{
    Audience, Check, Finding, Hop, Kind, Outcome, Remedy, Results, Severity, Step, fail, not_applicable,
};
use crate::evidence::{Evidence, Host, Mode, Need};
use crate::filter::{Addresses, Backend, Family, Owner};
use crate::support;

pub(crate) const CHECK: Check = Check {
    code: "MP011",
    name: "forward-policy-drop",
    title: "The machine's packet filter stops what pods send to other machines",
    hop: Hop::Host,
    severity: Severity::Error,
    kind: Kind::Cause,
    modes: &[Mode::Installed, Mode::BeforeInstall, Mode::Host],
    needs: &[
        Need::Pods,
        Need::Nodes,
        Need::MetricsDiscovery,
        Need::HostIdentity,
        Need::HostFilters,
        Need::HostKubelet,
        Need::HostControlPlane,
        Need::HostRoutes,
    ],
    explains: super::EXPLAINS,
    question: alone::QUESTION,
    source: include_str!("forward_policy_drop.rs"),
    run,
    remedies,
};

fn run(evidence: &Evidence, results: &mut Results<'_>) {
    results.about_hosts(Need::HostFilters, |ctx, host, subject| {
        if let Some(outcome) = place::without_forwarding(ctx, evidence, host)? {
            return Ok(outcome);
        }
        Ok(match forwarding::look(ctx, evidence, host)? {
            Forwarding::Passes => Outcome::Pass,
            Forwarding::NotHere(why) => not_applicable(why),
            Forwarding::Stopped(stopped) => {
                fail(finding(host, Finding::new(subject, stopped.sentence()), &stopped))
            }
        })
    });
}

/// Adds the proof, and the facts for the cure.
pub(super) fn finding(host: &Host, finding: Finding, stopped: &Stopped) -> Finding {
    finding
        .cite(&host.filters, "forward", stopped.by.to_string(), "a rule before it that accepts pods' packets")
        .fact("run_on", place::run_on(host))
        .fact("range", stopped.range.clone())
        .fact("whose", stopped.by.whose.to_string())
        .fact("backend", stopped.by.backend.to_string())
        .fact("table", stopped.by.table.clone())
        .fact("chain", stopped.by.chain.clone())
}

/// Accepts a range ahead of everything else, now and after each boot; rules of iptables are made once.
fn by_unit(program: &str, range: &str) -> String {
    let mut rules = String::new();
    for side in ["-s", "-d"] {
        // Writing to a String cannot fail.
        let _ = writeln!(
            rules,
            "ExecStart=/bin/sh -c '{program} -C FORWARD {side} {range} -j ACCEPT 2>/dev/null || {program} -I FORWARD {side} {range} -j ACCEPT'"
        );
    }
    forwarding_unit(&rules)
}

fn forwarding_unit(rules: &str) -> String {
    support::at_boot("kubernetes-forward", "Accept forwarded packets of Kubernetes pods", rules)
}

/// Where packets are stopped, for a person.
pub(super) fn place_of(finding: &Finding) -> String {
    let fact = |name: &str| finding.facts.get(name).map(String::as_str).unwrap_or_default();
    format!("{}, table {}, chain {}", fact("backend"), fact("table"), fact("chain"))
}

fn step(finding: &Finding) -> Step {
    let fact = |name: &str| finding.facts.get(name).map(String::as_str).unwrap_or_default();
    let (run_on, range) = (fact("run_on"), fact("range"));
    // A range of a stranger goes into a script: only what reads as one does.
    let Some(range) = Addresses::read(range) else {
        return Step::manual(
            run_on,
            format!(
                "accept packets from and to the pods' range of this machine ahead of what stops them ({}), and keep the rules over a reboot; {}",
                place_of(finding),
                alone::RANGES
            ),
        );
    };
    let six = if range.family() == Family::Ipv6 { "ip6tables" } else { "iptables" };
    if fact("whose") == Owner::Firewalld.to_string() {
        return Step::run(
            run_on,
            format!("firewall-cmd --permanent --zone=trusted --add-source={range}\nfirewall-cmd --reload"),
        )
        .verify(format!("firewall-cmd --zone=trusted --query-source={range}"));
    }
    if fact("whose") == Owner::Ufw.to_string() {
        return Step::run(run_on, format!("ufw route allow from {range}\nufw route allow to {range}"))
            .verify(format!("ufw status | grep -F '{range}' | grep -w FWD"));
    }
    match fact("backend") {
        backend if backend == Backend::Nftables.to_string() => {
            let ip = if range.family() == Family::Ipv6 { "ip6" } else { "ip" };
            let rules = ["saddr", "daddr"].map(|side| format!("{ip} {side} {range} accept"));
            if let Some(lines) = support::nft_rules(fact("table"), fact("chain"), &rules) {
                return Step::run(run_on, forwarding_unit(&lines)).verify(format!(
                    "nft list chain {} {} | grep -F '{}'",
                    fact("table"),
                    fact("chain"),
                    rules[0]
                ));
            }
            Step::manual(
                run_on,
                format!(
                    "accept packets from and to {range} in the chain that stops them, in the file from which it is loaded at boot"
                ),
            )
        }
        backend => {
            let program = format!("{six}-{}", backend.trim_start_matches("iptables-"));
            Step::run(run_on, by_unit(&program, &range.to_string()))
                .verify(format!("{program} -C FORWARD -s {range} -j ACCEPT"))
        }
    }
}

pub(super) fn remedies(evidence: &Evidence, findings: &[&Finding]) -> Vec<Remedy> {
    let mut steps: Vec<Step> = findings.iter().map(|finding| step(finding)).collect();
    steps.extend(support::restart_metrics_server(evidence));
    vec![Remedy {
        title: "Accept pods' packets ahead of what stops them, now and after each boot".to_owned(),
        audience: Audience::Production,
        cost:
            "Packets from and to pods are forwarded whatever else the machine's packet filter says of them."
                .to_owned(),
        leaves: Vec::new(),
        steps,
    }]
}
