//! # The kubelet rejects metrics-server's request
//!
//! ## What it looks at
//!
//! The HTTP status that metrics-server got from a kubelet, in its log; and what a pod of `probe` with its identity
//! was told, which metrics-server throws away.
//!
//! ## Why it matters
//!
//! The connection and the certificate are fine; the kubelet does not accept the token (401) or does not
//! permit the request (403). A kubelet that does not find its API server cannot ask about the token and answers 401 as well.
//! The body of the answer says which. Where the cause is proved, that one is named
//! instead.
//!
//! ## How to fix it
//!
//! `metrics-preflight probe` shows what the kubelet says to it, and names the cause where that tells it.
//!
//! ## When it is wrong
//!
//! A kubelet caches denials for 30 seconds and permissions for five minutes: right after a change its
//! answers are old.
//!
//! ## References
//!
//! - Failure catalogue: section 1-F (RM)

use crate::check::{
    Check, Finding, Hop, Kind, Outcome, Question, Results, Severity, Step, fail, no_remedies,
};
use crate::evidence::{Evidence, Mode, Need, ScrapeFailure, Signature};
use crate::kubelet::tls;
use crate::probed::{self, Answered};

pub(crate) const CHECK: Check = Check {
    code: "MP512",
    name: "kubelet-rejects-metrics-server",
    title: "The kubelet does not let metrics-server read its metrics",
    hop: Hop::Kubelet,
    severity: Severity::Error,
    kind: Kind::Place(&[
        "kubelet-webhook-authentication-off",
        "nodes-metrics-not-permitted",
        "host-names-unresolved",
    ]),
    modes: &[Mode::Installed],
    needs: &[Need::Logs, Need::Nodes, Need::NodeMetrics, Need::PodProbe],
    explains: tls::EXPLAINS,
    question: Question::Listed,
    source: include_str!("kubelet_rejects_metrics_server.rs"),
    run,
    remedies: no_remedies,
};

fn run(evidence: &Evidence, results: &mut Results<'_>) {
    results.about_nodes(|ctx, node, subject| {
        let answer = probed::answer(ctx, evidence, node);
        let status = ctx.need(&node.scrape_log).map(|said| {
            said.as_ref().and_then(|signal| match &signal.signature {
                Signature::ScrapeFailed { failure: ScrapeFailure::Status(status), .. } => Some(*status),
                _ => None,
            })
        });
        let status = match status {
            Ok(Some(status)) => status,
            // Nothing said may mean that nothing was tried: a probe has.
            _ if !evidence.probes.is_empty() => {
                if probed::is_read_now(ctx, evidence, node)? {
                    return Ok(Outcome::Pass);
                }
                let answer = answer?;
                if answer.status == 200 {
                    return Ok(Outcome::Pass);
                }
                let words = words(&answer);
                let path = format!("kubelets[{}].reach", node.name);
                let finding =
                    Finding::new(subject, format!("it answered a pod in metrics-server's place: {words}"))
                        .cite(answer.obs, path, words, "200 OK");
                return Ok(fail(finding));
            }
            Ok(None) => return Ok(Outcome::Pass),
            Err(open) => return Err(open),
        };
        let finding = match answer.ok().filter(|answer| answer.status != 200) {
            None => Finding::new(subject, format!("it answered metrics-server with {status}"))
                .decided_by(Step::run("workstation", "metrics-preflight probe")),
            Some(answer) => {
                let words = words(&answer);
                let path = format!("kubelets[{}].reach", node.name);
                let detail = format!("it answered metrics-server with {status}, and a probe: {words}");
                Finding::new(subject, detail).cite(answer.obs, path, words, "200 OK")
            }
        };
        Ok(fail(finding.cite(&node.scrape_log, "log", format!("status {status}"), "200 OK")))
    });
}

fn words(answer: &Answered<'_>) -> String {
    match answer.message {
        "" => format!("status {}", answer.status),
        message => format!("status {}: {message}", answer.status),
    }
}
