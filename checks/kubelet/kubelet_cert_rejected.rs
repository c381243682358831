//! # metrics-server does not accept the kubelet's certificate
//!
//! ## What it looks at
//!
//! What metrics-server says in its log about a node, and what a handshake with its kubelet showed.
//!
//! ## Why it matters
//!
//! It names the place where the cause itself cannot be told: from a place that reaches only the API
//! server, with a permission lacking, the certificate can be anything that metrics-server rejects. Where
//! one of its causes is proved, that one is named instead.
//!
//! ## How to fix it
//!
//! Look at the certificate with the printed command, from a host that reaches the node. Or run this
//! program there.
//!
//! ## When it is wrong
//!
//! metrics-server's message shows the first fault only. Others may stand behind it.
//!
//! ## References
//!
//! - Failure catalogue: sections 0.4 and 1-E (RM)

use crate::cert::{Chain, Judgement};
use crate::check::{
    Check, Finding, Hop, Kind, Outcome, Proof, Question, Results, Severity, Step, Undecided, fail,
    no_remedies,
};
use crate::evidence::{Evidence, Need, ScrapeFailure, Why};
use crate::kubelet::tls::{self, View};

const CANDIDATES: &[&str] = &[
    "kubelet-cert-self-signed",
    "kubelet-csr-pending",
    "kubelet-csr-denied",
    "kubelet-cert-unknown-ca",
    "kubelet-cert-expired",
    "kubelet-cert-lacks-address",
];

pub(crate) const CHECK: Check = Check {
    code: "MP511",
    name: "kubelet-cert-rejected",
    title: "metrics-server does not accept the kubelet's serving certificate",
    hop: Hop::Kubelet,
    severity: Severity::Error,
    kind: Kind::Place(CANDIDATES),
    modes: tls::MODES,
    needs: tls::NEEDS,
    explains: tls::EXPLAINS,
    question: Question::Deciding { modes: &[], unless: &[Proof::FreshNodeMetrics] },
    source: include_str!("kubelet_cert_rejected.rs"),
    run,
    remedies: no_remedies,
};

fn run(evidence: &Evidence, results: &mut Results<'_>) {
    results.about_nodes(|ctx, node, subject| {
        let says = match tls::view(ctx, evidence, node)? {
            View::NoCertificate => "the kubelet has no certificate to present".to_owned(),
            View::Logged(failure) => words(&failure).to_owned(),
            View::Seen(leaf, address) => match fault(&leaf, &address, evidence)? {
                Some(fault) => fault,
                None => return Ok(Outcome::Pass),
            },
            View::NotDialled => return Err(tls::no_address()),
            View::NotVerified => return Ok(Outcome::Pass),
        };
        let Some((address, port)) = ctx.need(&node.dial)? else {
            let why = Why::NotAsked("metrics-server finds no address to dial".to_owned());
            return Err(Undecided { need: Need::Nodes, why });
        };
        let decide = Step::run(
            "a host that reaches the node",
            format!("openssl s_client -connect {address}:{port} </dev/null 2>/dev/null | openssl x509 -noout -subject -issuer -dates -ext subjectAltName"),
        );
        let finding = Finding::new(subject, says.clone());
        let accepted = "a certificate that metrics-server accepts";
        let finding = if node.handshake.peek().is_some() {
            finding.cite(&node.handshake, "handshake", says, accepted)
        } else if matches!(node.scrape_log.peek(), Some(Some(_))) {
            finding.cite(&node.scrape_log, "log", says, accepted)
        } else {
            finding.cite(&node.api_server_alert, "message", "remote error: tls: internal error", accepted)
        };
        Ok(fail(finding.decided_by(decide)))
    });
}

/// What metrics-server has against a certificate that was seen; its causes are named by the checks of each.
fn fault(leaf: &Judgement, address: &str, evidence: &Evidence) -> Result<Option<String>, Undecided> {
    let near_an_end = tls::is_near_an_end(leaf, evidence);
    if leaf.is_kubelet_default() {
        return Ok(Some("nobody that metrics-server trusts signed it".to_owned()));
    }
    if !near_an_end && !leaf.valid_at(evidence.taken_at) {
        return Ok(Some("it has expired or is not yet valid".to_owned()));
    }
    if !leaf.covers_address {
        return Ok(Some(format!("it is not valid for {address}")));
    }
    if matches!(leaf.chain, Chain::UnknownIssuer | Chain::OtherKey | Chain::IssuerNotValid) {
        return Ok(Some("it is signed by unknown authority".to_owned()));
    }
    if !leaf.server_usage {
        return Ok(Some("it is not for servers".to_owned()));
    }
    if near_an_end {
        return Err(tls::too_near_to_an_end());
    }
    if leaf.chain == Chain::NotJudged {
        let why = Why::Unsupported("its signature algorithm cannot be judged here".to_owned());
        return Err(Undecided { need: Need::KubeletHandshake, why });
    }
    Ok(None)
}

fn words(failure: &ScrapeFailure) -> &'static str {
    match failure {
        ScrapeFailure::NoIpSans => "it doesn't contain any IP SANs",
        ScrapeFailure::OtherNames(_) => "it is valid for other names",
        ScrapeFailure::CommonNameOnly => "it relies on the legacy Common Name field",
        ScrapeFailure::UnknownAuthority => "it is signed by unknown authority",
        ScrapeFailure::OutsideValidity => "it has expired or is not yet valid",
        ScrapeFailure::WrongUsage => "it specifies an incompatible key usage",
        _ => "remote error: tls: internal error",
    }
}
