//! # The kubelet's request for a serving certificate waits for approval
//!
//! ## What it looks at
//!
//! The certificate signing requests of the signer `kubernetes.io/kubelet-serving` that the kubelet made
//! since it last got a certificate, and whether the kubelet has a certificate to present. A machine alone (`host`) shows
//! whether its kubelet asks for one and whether it has got it.
//!
//! ## Why it matters
//!
//! With `serverTLSBootstrap: true` a kubelet asks the cluster for its certificate, and nothing in
//! Kubernetes approves that request. Until somebody does, the kubelet has none: every caller gets
//! *remote error: tls: internal error*, `kubectl logs` and `kubectl exec` included. metrics-server's
//! `--kubelet-insecure-tls` does not help, since the refusal comes from the kubelet.
//!
//! ## How to fix it
//!
//! Approve the request after a look at its requester, and install an approver: kubelets ask again before
//! each expiry.
//!
//! ## When it is wrong
//!
//! A request that waits while the kubelet still presents a valid certificate is a renewal; it is not this
//! fault yet. A node in its first minutes may be ahead of its approver.
//!
//! ## References
//!
//! - Failure catalogue: `kubelet-serving-csr-pending` (RM-E8)
//! - <https://kubernetes.io/docs/reference/access-authn-authz/kubelet-tls-bootstrapping/#certificate-rotation>

use crate::check::{
    Audience, Check, Finding, Hop, Kind, Outcome, Remedy, Results, Severity, Step, fail, not_applicable,
};
use crate::evidence::{Evidence, Mode, Need};
use crate::kubelet::{csr, tls};
use crate::support;

pub(crate) const CHECK: Check = Check {
    code: "MP502",
    name: "kubelet-csr-pending",
    title: "The kubelet's request for a serving certificate waits for approval",
    hop: Hop::Kubelet,
    severity: Severity::Error,
    kind: Kind::Cause,
    modes: &[Mode::Installed, Mode::BeforeInstall, Mode::Host],
    needs: csr::NEEDS,
    explains: tls::EXPLAINS,
    question: tls::QUESTION,
    source: include_str!("kubelet_csr_pending.rs"),
    run,
    remedies,
};

/// Shows who asked for what, and what became of it.
const LIST: &str = "kubectl get csr --field-selector spec.signerName=kubernetes.io/kubelet-serving";

fn run(evidence: &Evidence, results: &mut Results<'_>) {
    if evidence.mode == Mode::Host {
        return results.about_hosts(Need::HostKubelet, |ctx, host, subject| {
            if ctx.need(&host.kubelet)?.is_none() {
                return Ok(not_applicable("no kubelet runs on it"));
            }
            let Some(file) = csr::requested(ctx, host)? else {
                return Ok(not_applicable("its kubelet asks the cluster for no serving certificate"));
            };
            if file.chain.is_some() {
                return Ok(Outcome::Pass);
            }
            let detail = format!(
                "its kubelet asks the cluster for a serving certificate, and {} is not there",
                file.path
            );
            let finding = Finding::new(subject, detail)
                .cite(&host.kubelet_certificates, "kubelet serving", "none", "a certificate")
                .likely(&["kubelet-csr-denied"])
                .decided_by(Step::run("workstation", LIST));
            Ok(fail(finding))
        });
    }
    results.about_nodes(|ctx, node, subject| {
        let open = csr::open(ctx, node)?;
        let Some(newest) = open.pending.first() else { return Ok(Outcome::Pass) };
        if !open.denied.is_empty() || !csr::has_no_certificate(ctx, evidence, node)? {
            return Ok(Outcome::Pass);
        }
        let detail = format!("request {} is pending, and the kubelet has no certificate", csr::words(newest));
        let finding = Finding::new(subject, detail)
            .cite(&node.csrs, format!("items[{}].status.conditions", newest.name), "none", "Approved")
            .fact("csr", &newest.name);
        Ok(fail(finding))
    });
}

fn remedies(_: &Evidence, findings: &[&Finding]) -> Vec<Remedy> {
    let title = "Approve the requests, and install an approver".to_owned();
    let cost = "Approved by hand, the same happens when the certificates are renewed: install an approver for the signer \
                kubernetes.io/kubelet-serving that checks names and addresses."
        .to_owned();
    let names: Vec<String> = findings
        .iter()
        .filter_map(|finding| finding.facts.get("csr"))
        .map(|name| support::word(name))
        .collect();
    let steps = if names.is_empty() {
        // A machine alone does not show the names of its requests.
        vec![
            Step::run("workstation", LIST),
            Step::manual(
                "workstation",
                "approve the pending request of this machine's node: kubectl certificate approve",
            )
            .verify(format!("! {LIST} | grep -w Pending")),
        ]
    } else {
        vec![
            Step::run("workstation", format!("kubectl describe csr {}", names.join(" "))),
            Step::run("workstation", format!("kubectl certificate approve {}", names.join(" ")))
                .verify(format!("! {LIST} | grep -w Pending")),
        ]
    };
    vec![Remedy { title, audience: Audience::Production, cost, leaves: Vec::new(), steps }]
}
