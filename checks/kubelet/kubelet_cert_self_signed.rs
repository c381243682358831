//! # The kubelet serves the certificate that it generated for itself
//!
//! ## What it looks at
//!
//! The certificate that the kubelet presents at the address and port that metrics-server dials. A subject
//! `NAME@TIME` with the issuer `NAME-ca@TIME` is the one that the kubelet makes on its first start. Where
//! the kubelet cannot be reached from here, metrics-server's log together with the kubelet's running
//! configuration.
//!
//! ## Why it matters
//!
//! It is the default of kubeadm, kind, Talos and many others. Nobody signed it, and it holds the host's
//! name only, while metrics-server dials the address: *cannot validate certificate for 10.0.0.1 because it
//! doesn't contain any IP SANs*. With the address added it would fail as *signed by unknown authority*.
//!
//! ## How to fix it
//!
//! For production set `serverTLSBootstrap: true` in the kubelet's configuration, restart it, and approve
//! the certificate signing request that it then makes. A lab may run metrics-server with
//! `--kubelet-insecure-tls`. Dialling by host name instead only moves the error.
//!
//! ## When it is wrong
//!
//! It does not apply where metrics-server runs with `--kubelet-insecure-tls`.
//!
//! ## References
//!
//! - Failure catalogue: `kubelet-cert-no-ip-san` (RM-E1), `kubelet-cert-unknown-ca` (RM-E2)
//! - <https://kubernetes.io/docs/tasks/administer-cluster/kubeadm/kubeadm-certs/#kubelet-serving-certs>

use crate::Context;
use crate::check::{
    Check, Decision, Finding, Hop, Kind, Outcome, Results, Severity, Subject, Undecided, fail, not_applicable,
};
use crate::evidence::{Evidence, Mode, Node, ScrapeFailure};
use crate::kubelet::config::{self, Config};
use crate::kubelet::tls::{self, View};

pub(crate) const CHECK: Check = Check {
    code: "MP501",
    name: "kubelet-cert-self-signed",
    title: "The kubelet serves the self-signed certificate that it generated itself",
    hop: Hop::Kubelet,
    severity: Severity::Error,
    kind: Kind::Cause,
    modes: tls::MODES,
    needs: crate::kubelet::csr::NEEDS,
    explains: tls::EXPLAINS,
    question: tls::QUESTION,
    source: include_str!("kubelet_cert_self_signed.rs"),
    run,
    remedies: tls::remedies,
};

fn run(evidence: &Evidence, results: &mut Results<'_>) {
    results.about_nodes(|ctx, node, subject| match tls::view(ctx, evidence, node) {
        Err(missing) if evidence.mode == Mode::BeforeInstall => {
            configured(ctx, evidence, node, subject, missing)
        }
        Err(missing) => Err(missing),
        Ok(view) => decide(ctx, evidence, node, subject, view),
    });
}

/// Before an installation nobody has dialled the kubelet; its configuration says what it will present.
fn configured(
    ctx: &Context<'_>,
    evidence: &Evidence,
    node: &Node,
    subject: Subject,
    missing: Undecided,
) -> Decision {
    let Ok(config) = config::look(ctx, evidence, node) else { return Err(missing) };
    if !tls::serves_own_file(config.value) {
        return Err(missing);
    }
    let finding =
        Finding::new(subject, "the kubelet is configured to serve the file that it generates itself");
    Ok(fail(cite_own_file(finding, &config).likely(&[])))
}

fn cite_own_file(finding: Finding, config: &Config<'_>) -> Finding {
    let finding = config.cite(finding, "serverTLSBootstrap", "false", "true");
    config.cite(finding, "tlsCertFile", &config.value.tls_cert_file, "")
}

fn decide(ctx: &Context<'_>, evidence: &Evidence, node: &Node, subject: Subject, view: View) -> Decision {
    match view {
        View::NotVerified => Ok(not_applicable("metrics-server does not verify kubelets")),
        View::NotDialled => Err(tls::no_address()),
        View::Seen(leaf, address) if leaf.is_kubelet_default() => {
            let names = leaf.names.join(", ");
            let detail = format!(
                "\"{}\" is valid for {names} and dialled as {address}; nobody that metrics-server trusts signed it",
                leaf.subject
            );
            let finding = Finding::new(subject, detail);
            let finding = tls::cite_leaf(finding, node, "issuer", &leaf.issuer, "a CA of kube-root-ca.crt");
            Ok(fail(tls::cite_leaf(finding, node, "subject alternative names", &names, &address)))
        }
        View::Logged(ScrapeFailure::NoIpSans | ScrapeFailure::UnknownAuthority) => {
            let config = config::look(ctx, evidence, node)?;
            if !tls::serves_own_file(config.value) {
                return Ok(Outcome::Pass);
            }
            let detail =
                "metrics-server cannot verify it, and the kubelet serves the file that it generates itself";
            let finding = Finding::new(subject, detail).cite(
                &node.scrape_log,
                "log",
                "cannot validate certificate",
                "a verified certificate",
            );
            Ok(fail(cite_own_file(finding, &config).likely(&["kubelet-cert-lacks-address"])))
        }
        View::Logged(ScrapeFailure::OutsideValidity) => Err(tls::masked("the certificate's dates")),
        View::Seen(..) | View::NoCertificate | View::Logged(_) => Ok(Outcome::Pass),
    }
}
