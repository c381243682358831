//! # The kubelet rejects metrics-server's request
//!
//! ## What it looks at
//!
//! The HTTP status that metrics-server got from a kubelet, in its log.
//!
//! ## Why it matters
//!
//! The connection and the certificate are fine; the kubelet does not accept the token (401) or does not
//! permit the request (403). metrics-server throws the body away that would say which. Where the cause is
//! proved, that one is named instead.
//!
//! ## How to fix it
//!
//! Look at the kubelet's running configuration with the printed command.
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

pub(crate) const CHECK: Check = Check {
    code: "MP512",
    name: "kubelet-rejects-metrics-server",
    title: "The kubelet does not let metrics-server read its metrics",
    hop: Hop::Kubelet,
    severity: Severity::Error,
    kind: Kind::Place(&["kubelet-webhook-authentication-off", "nodes-metrics-not-permitted"]),
    modes: &[Mode::Installed],
    needs: &[Need::Logs, Need::Nodes],
    explains: tls::EXPLAINS,
    question: Question::Listed,
    source: include_str!("kubelet_rejects_metrics_server.rs"),
    run,
    remedies: no_remedies,
};

fn run(_: &Evidence, results: &mut Results<'_>) {
    results.about_nodes(|ctx, node, subject| {
        let status = ctx.need(&node.scrape_log)?.as_ref().and_then(|signal| match &signal.signature {
            Signature::ScrapeFailed { failure: ScrapeFailure::Status(status), .. } => Some(*status),
            _ => None,
        });
        let Some(status) = status else { return Ok(Outcome::Pass) };
        let decide =
            Step::run("workstation", format!("kubectl get --raw /api/v1/nodes/{}/proxy/configz", node.name));
        let finding = Finding::new(subject, format!("it answered metrics-server with {status}"))
            .cite(&node.scrape_log, "log", format!("status {status}"), "200 OK")
            .decided_by(decide);
        Ok(fail(finding))
    });
}
