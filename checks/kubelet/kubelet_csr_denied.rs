//! # The kubelet's request for a serving certificate was denied
//!
//! ## What it looks at
//!
//! The certificate signing requests of the signer `kubernetes.io/kubelet-serving` that the kubelet made
//! since it last got a certificate, and whether the kubelet has a certificate to present.
//!
//! ## Why it matters
//!
//! A denied request leaves the kubelet without a certificate: *remote error: tls: internal error* to every
//! caller. An approver denies what its policy does not allow: a name that DNS does not resolve, an address
//! outside its ranges.
//!
//! ## How to fix it
//!
//! Read the reason of the denial, correct the approver's policy or the node's names and addresses, then
//! let the kubelet ask anew by restarting it.
//!
//! ## When it is wrong
//!
//! A denial that is older than an issued certificate is not counted.
//!
//! ## References
//!
//! - Failure catalogue: `kubelet-serving-csr-denied` (RM-E9)

use crate::check::{Audience, Check, Finding, Hop, Kind, Outcome, Remedy, Results, Severity, Step, fail};
use crate::evidence::Evidence;
use crate::kubelet::{csr, tls};
use crate::support;

pub(crate) const CHECK: Check = Check {
    code: "MP503",
    name: "kubelet-csr-denied",
    title: "The kubelet's request for a serving certificate was denied",
    hop: Hop::Kubelet,
    severity: Severity::Error,
    kind: Kind::Cause,
    modes: tls::MODES,
    needs: csr::NEEDS,
    explains: tls::EXPLAINS,
    question: tls::QUESTION,
    source: include_str!("kubelet_csr_denied.rs"),
    run,
    remedies,
};

fn run(evidence: &Evidence, results: &mut Results<'_>) {
    results.about_nodes(|ctx, node, subject| {
        let open = csr::open(ctx, node)?;
        let Some(newest) = open.denied.first() else { return Ok(Outcome::Pass) };
        if !csr::has_no_certificate(ctx, evidence, node)? {
            return Ok(Outcome::Pass);
        }
        let detail = format!("request {} was denied: {}", csr::words(newest), newest.detail);
        let names: Vec<String> =
            open.denied.iter().chain(&open.pending).map(|csr| support::word(&csr.name)).collect();
        let finding = Finding::new(subject, detail)
            .cite(&node.csrs, format!("items[{}].status.conditions", newest.name), "Denied", "Approved")
            .fact("csrs", names.join(" "));
        Ok(fail(finding))
    });
}

fn remedies(_: &Evidence, findings: &[&Finding]) -> Vec<Remedy> {
    let csrs: Vec<&str> =
        findings.iter().filter_map(|finding| finding.facts.get("csrs")).map(String::as_str).collect();
    let nodes: Vec<&str> = findings.iter().map(|finding| finding.subject.name.as_str()).collect();
    let mut steps = vec![
        Step::run("workstation", format!("kubectl describe csr {}", csrs.join(" "))),
        Step::run("workstation", format!("kubectl delete csr {}", csrs.join(" "))),
    ];
    steps.extend(nodes.iter().map(|node| Step::run(format!("node {node}"), "systemctl restart kubelet")));
    steps.push(tls::approve(&nodes));
    vec![Remedy {
        title: "Let the kubelet ask anew, and approve its request once the reason of the denial is gone"
            .to_owned(),
        audience: Audience::Production,
        cost: "An approver that denied the first request denies the next one until its policy is corrected."
            .to_owned(),
        leaves: Vec::new(),
        steps,
    }]
}
