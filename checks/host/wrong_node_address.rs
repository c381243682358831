//! # The Node announces an address that the machine does not have
//!
//! ## What it looks at
//!
//! The Node that bears the machine's name (the kubelet's `--hostname-override`, or else the host name in small letters), its
//! internal addresses, and the addresses of the machine's interfaces.
//!
//! ## Why it matters
//!
//! metrics-server dials the Node's address. Where that is of another machine (one that was cloned, a NAT's `10.0.2.15`, an
//! address that DHCP has given away), it gets another kubelet or nobody.
//!
//! ## How to fix it
//!
//! Set `--node-ip` of the kubelet to the address by which the other machines reach this one, start it anew, and let its
//! serving certificate be issued for that address.
//!
//! ## When it is wrong
//!
//! A name proves less than an address: two machines may have one name. So this is likely only. Clouds that translate
//! internal addresses outside of the machine are not known.
//!
//! ## References
//!
//! - Failure catalogue: `wrong-node-address` (RM-D4)
//! - Kubernetes `pkg/util/node/node.go`, `GetHostname`

use super::place;
use crate::check::{
    Audience, Check, Finding, Hop, Kind, Outcome, Question, Remedy, Results, Severity, Step, Subject, fail,
    not_applicable,
};
use crate::evidence::{Evidence, Mode, Need};

pub(crate) const CHECK: Check = Check {
    code: "MP016",
    name: "wrong-node-address",
    title: "The Node announces an address that its machine does not have",
    hop: Hop::Host,
    severity: Severity::Error,
    kind: Kind::Cause,
    modes: &[Mode::Installed, Mode::BeforeInstall],
    needs: &[Need::Nodes, Need::HostIdentity, Need::HostKubelet],
    explains: super::EXPLAINS,
    question: Question::Listed,
    source: include_str!("wrong_node_address.rs"),
    run,
    remedies,
};

fn run(evidence: &Evidence, results: &mut Results<'_>) {
    results.about_hosts(Need::HostIdentity, |ctx, host, _| {
        let nodes = ctx.need(&evidence.nodes)?;
        if host.node.is_some() {
            return Ok(Outcome::Pass);
        }
        let identity = ctx.need(&host.identity)?;
        let Some(kubelet) = ctx.need(&host.kubelet)? else {
            return Ok(not_applicable("no kubelet runs on it"));
        };
        let name = kubelet.flags.get("hostname-override").unwrap_or(&identity.hostname);
        let name = name.trim().to_ascii_lowercase();
        let Some(node) = nodes.iter().find(|node| node.name == name) else {
            return Ok(not_applicable(format!("the cluster has no node {name}")));
        };
        let announced: Vec<String> = place::addresses(node).map(|address| address.to_string()).collect();
        let has = |address: &String| {
            let wanted = address.parse::<std::net::IpAddr>();
            identity.addresses.iter().any(|own| own.parse() == wanted)
        };
        // With two nodes of one address, which of them this is was not settled before.
        if announced.is_empty() || announced.iter().any(has) {
            return Ok(Outcome::Pass);
        }
        let (announced, own) = (announced.join(", "), identity.addresses.join(", "));
        let detail = format!("the Node announces {announced}; the machine of its name has {own}");
        let finding = Finding::new(Subject::node(&node.name), detail)
            .cite(&evidence.nodes, "status.addresses[InternalIP]", announced, "an address of the machine")
            .cite(&host.identity, "addresses", own, "the address that the Node announces")
            .fact("run_on", place::run_on(host))
            .likely(&[]);
        Ok(fail(finding))
    });
}

fn remedies(_: &Evidence, findings: &[&Finding]) -> Vec<Remedy> {
    let steps = findings.iter().map(|finding| {
        Step::manual(
            finding.facts.get("run_on").cloned().unwrap_or_default(),
            "set the kubelet's --node-ip to the address by which the other machines reach this one, where its other flags are kept, and start it anew",
        )
    });
    vec![Remedy {
        title: "Let the kubelet announce an address of its machine".to_owned(),
        audience: Audience::Production,
        cost: "Its serving certificate has to be issued anew for that address.".to_owned(),
        leaves: Vec::new(),
        steps: steps.collect(),
    }]
}
