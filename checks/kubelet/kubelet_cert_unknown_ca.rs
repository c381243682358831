//! # Nobody that metrics-server trusts signed the kubelet's certificate
//!
//! ## What it looks at
//!
//! The chain of the certificate that the kubelet presents, against the bundle that is mounted into
//! metrics-server's pod (`kube-root-ca.crt`); or metrics-server's own verdict in its log.
//!
//! ## Why it matters
//!
//! metrics-server refuses the connection: *certificate signed by unknown authority*. A CA of the same name
//! and another key is the sign of a cluster that was set up anew or of a CA that was replaced.
//!
//! ## How to fix it
//!
//! Let the cluster sign the kubelets' certificates. Where the kubelets shall keep certificates of a CA of
//! their own, mount that CA into metrics-server and name it with `--kubelet-certificate-authority`.
//!
//! ## When it is wrong
//!
//! The certificate that a kubelet generates itself is another cause with its own name. A signature that
//! cannot be judged here (P-521) is left undecided.
//!
//! ## References
//!
//! - Failure catalogue: `kubelet-cert-unknown-ca` (RM-E2)

use crate::cert::Chain;
use crate::check::{Check, Finding, Hop, Kind, Outcome, Results, Severity, Undecided, fail, not_applicable};
use crate::evidence::{Evidence, Need, ScrapeFailure, Why};
use crate::kubelet::tls::{self, View};

pub(crate) const CHECK: Check = Check {
    code: "MP504",
    name: "kubelet-cert-unknown-ca",
    title: "The kubelet's serving certificate was signed by a CA that metrics-server does not trust",
    hop: Hop::Kubelet,
    severity: Severity::Error,
    kind: Kind::Cause,
    modes: tls::MODES,
    needs: tls::NEEDS,
    explains: tls::EXPLAINS,
    question: tls::QUESTION,
    source: include_str!("kubelet_cert_unknown_ca.rs"),
    run,
    remedies: tls::remedies,
};

fn run(evidence: &Evidence, results: &mut Results<'_>) {
    results.about_nodes(|ctx, node, subject| match tls::view(ctx, evidence, node)? {
        View::NotVerified => Ok(not_applicable("metrics-server does not verify kubelets")),
        View::NotDialled => Err(tls::no_address()),
        View::NoCertificate => Ok(not_applicable("the kubelet has no certificate")),
        View::Seen(leaf, _) if leaf.is_kubelet_default() => {
            Ok(not_applicable("it is the kubelet's own certificate"))
        }
        View::Seen(leaf, _) => {
            let detail = match leaf.chain {
                Chain::Trusted => return Ok(Outcome::Pass),
                Chain::NotJudged => {
                    let why = Why::Unreadable("this program cannot judge its signature algorithm".to_owned());
                    return Err(Undecided { need: Need::KubeletHandshake, why });
                }
                Chain::UnknownIssuer => format!("it was issued by \"{}\"", leaf.issuer),
                Chain::IssuerNotValid => {
                    format!("it was issued by \"{}\", whose own certificate has expired or may not sign", leaf.issuer)
                }
                Chain::OtherKey => format!(
                    "it was issued by \"{}\", a CA of the trusted one's name and another key: the CA was replaced",
                    leaf.issuer
                ),
            };
            let finding = Finding::new(subject, detail);
            Ok(fail(tls::cite_leaf(finding, node, "issuer", &leaf.issuer, "a CA of kube-root-ca.crt")))
        }
        View::Logged(ScrapeFailure::UnknownAuthority) => {
            if tls::serves_own_file(ctx.need(&node.configz)?) {
                return Ok(not_applicable("it is the kubelet's own certificate"));
            }
            let finding = Finding::new(subject, "metrics-server says that it does not know the issuer").cite(
                &node.scrape_log,
                "log",
                "certificate signed by unknown authority",
                "a CA of kube-root-ca.crt",
            );
            Ok(fail(finding))
        }
        View::Logged(ScrapeFailure::OutsideValidity) => Err(tls::masked("the certificate's dates")),
        View::Logged(_) => Err(tls::masked("the certificate's names")),
    });
}
