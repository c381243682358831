//! # The kubelet's certificate is outside its validity
//!
//! ## What it looks at
//!
//! The dates of the certificate that the kubelet presents, against the API server's clock; or
//! metrics-server's own verdict in its log.
//!
//! ## Why it matters
//!
//! The certificate that a kubelet generates itself lasts a year and is never renewed; one that the
//! cluster signs is renewed only if somebody approves each request. Go reports the dates first, so other
//! faults of the same certificate stay hidden behind this one.
//!
//! ## How to fix it
//!
//! Let the cluster sign the kubelets' certificates, with an approver that keeps approving. For
//! certificates of your own, issue a new one and restart the kubelet.
//!
//! ## When it is wrong
//!
//! A node whose clock is wrong rejects good certificates. The dates are judged by the API server's clock;
//! within a minute of either end the check is undecided.
//!
//! ## References
//!
//! - Failure catalogue: `kubelet-cert-expired` (RM-E5), `kubelet-cert-not-yet-valid` (RM-E6), `clock-skew` (RM-C16)

use crate::check::{Check, Finding, Hop, Kind, Outcome, Results, Severity, fail, not_applicable};
use crate::evidence::{Evidence, ScrapeFailure};
use crate::kubelet::tls::{self, View};

pub(crate) const CHECK: Check = Check {
    code: "MP505",
    name: "kubelet-cert-expired",
    title: "The kubelet's serving certificate has expired or is not valid yet",
    hop: Hop::Kubelet,
    severity: Severity::Error,
    kind: Kind::Cause,
    modes: tls::MODES,
    needs: tls::NEEDS,
    explains: tls::EXPLAINS,
    question: tls::QUESTION,
    source: include_str!("kubelet_cert_expired.rs"),
    run,
    remedies: tls::remedies,
};

fn run(evidence: &Evidence, results: &mut Results<'_>) {
    results.about_nodes(|ctx, node, subject| match tls::view(ctx, evidence, node)? {
        View::NotVerified => Ok(not_applicable("metrics-server does not verify kubelets")),
        View::NotDialled => Err(tls::no_address()),
        View::NoCertificate => Ok(not_applicable("the kubelet has no certificate")),
        View::Seen(leaf, _) => {
            if tls::is_near_an_end(&leaf, evidence) {
                return Err(tls::too_near_to_an_end());
            }
            if leaf.valid_at(evidence.taken_at) {
                return Ok(Outcome::Pass);
            }
            let (what, when, words) = if evidence.taken_at > leaf.not_after {
                let days = tls::days(evidence, leaf.not_after);
                (
                    "not after",
                    leaf.not_after,
                    if days == 1 {
                        "it expired a day ago".to_owned()
                    } else {
                        format!("it expired {days} days ago")
                    },
                )
            } else {
                ("not before", leaf.not_before, "it is not valid yet".to_owned())
            };
            let detail = format!("{words} ({what}: {when})");
            let now = evidence.taken_at.to_string();
            Ok(fail(tls::cite_leaf(Finding::new(subject, detail), node, what, &when.to_string(), &now)))
        }
        View::Logged(ScrapeFailure::OutsideValidity) => {
            let finding =
                Finding::new(subject, "metrics-server says that it has expired or is not valid yet").cite(
                    &node.scrape_log,
                    "log",
                    "certificate has expired or is not yet valid",
                    "a valid certificate",
                );
            Ok(fail(finding))
        }
        View::Logged(_) => Ok(Outcome::Pass),
    });
}
