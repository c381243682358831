//! The verdict, and the questions that it rests on.

use serde::Serialize;

use super::explain::Judged;
use super::{CheckReport, OpenQuestion};
use crate::check::{Hop, Outcome, Proof, Question, Severity, Subject};
use crate::evidence::{AnonymousAccess, Evidence, Host, Mode, Why};

/// The answer to the question that was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// Nothing at the threshold, and every deciding question is settled.
    Pass,
    /// Something at the threshold was found.
    Fail,
    /// Nothing at the threshold was found, and a deciding question is open.
    Undecided,
}

impl Verdict {
    /// The word in the JSON document.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Fail => "fail",
            Self::Undecided => "undecided",
        }
    }
}

/// What counts as a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// The least severity that fails.
    pub fail_on: Severity,
    /// Whether every open question counts, not only the deciding ones.
    pub strict: bool,
}

impl Default for Policy {
    fn default() -> Self {
        Self { fail_on: Severity::Error, strict: false }
    }
}

/// How old the metrics of a node may be and still prove that it is scraped: three scrapes at the
/// default resolution of the flag, 60 s, so that a slower configuration is no false alarm.
const FRESH_S: i64 = 180;

/// How old a sample may be in this cluster: three scrapes, where metrics-server scrapes more slowly than usual.
pub(crate) fn fresh_s(evidence: &Evidence) -> i64 {
    let args = evidence.backend.args.peek().map(Vec::as_slice).unwrap_or_default();
    FRESH_S.max(3 * crate::scrape_interval_s(args))
}

/// Whether a node's metrics in the Metrics API prove that its kubelet is read now.
pub(crate) fn has_fresh_metrics(evidence: &Evidence, node: &str) -> bool {
    evidence.metrics.nodes.peek().is_some_and(|metrics| {
        metrics.iter().any(|metric| {
            metric.node == node
                && evidence.taken_at.duration_since(metric.timestamp).as_secs() <= fresh_s(evidence)
        })
    })
}

/// Whether every Ready node has fresh metrics; false when that was not seen.
pub(crate) fn all_ready_nodes_fresh(evidence: &Evidence) -> bool {
    evidence.nodes.peek().is_some_and(|nodes| {
        let mut ready = nodes.iter().filter(|node| node.ready).peekable();
        ready.peek().is_some() && ready.all(|node| has_fresh_metrics(evidence, &node.name))
    })
}

fn holds(proof: Proof, subject: &Subject, evidence: &Evidence) -> bool {
    if evidence.mode == Mode::BeforeInstall {
        return false;
    }
    match proof {
        Proof::FreshNodeMetrics if subject.kind == "Node" => has_fresh_metrics(evidence, &subject.name),
        Proof::FreshNodeMetrics => all_ready_nodes_fresh(evidence),
        Proof::MetricsApiAnswers => {
            let answered = evidence.metrics.discovery.peek().is_some_and(|answer| answer.status == 200);
            let ordinary = evidence.cluster.whoami.peek().is_some_and(|who| !who.is_system_masters());
            // Where anonymous callers may do everything, whoever comes is let through.
            let access = evidence.front_proxy.anonymous_access.peek();
            answered && ordinary && access.is_some_and(|access| *access != AnonymousAccess::Everything)
        }
    }
}

/// Whether somebody asked for a look at this machine and nothing came of it. What proves that the pipeline works does not
/// stand in for that; what was seen too long ago is left out, and the report says so.
fn is_blind(subject: &Subject, evidence: &Evidence) -> bool {
    let of_subject = |host: &&Host| Subject::host(host) == *subject;
    evidence
        .hosts
        .iter()
        .find(of_subject)
        .and_then(Host::left_out)
        .is_some_and(|why| !matches!(why, Why::Outdated(_)))
}

/// Whether an answer of the Metrics API shows that a link on the way to it works.
fn settles_hop(hop: Hop, evidence: &Evidence) -> bool {
    let on_the_way =
        matches!(hop, Hop::Registration | Hop::Service | Hop::Workload | Hop::ApiAccess | Hop::FrontProxy);
    on_the_way && holds(Proof::MetricsApiAnswers, &Subject::cluster(), evidence)
}

/// Every undecided result, those that the verdict rests on first.
pub(super) fn open_questions(reports: &[CheckReport], evidence: &Evidence) -> Vec<OpenQuestion> {
    let mut open: Vec<OpenQuestion> = Vec::new();
    for report in reports {
        for (subject, outcome) in &report.results {
            let Outcome::Undecided(missing) = outcome else { continue };
            let (counted, settled) = match report.check.question {
                Question::Listed => (false, settles_hop(report.check.hop, evidence)),
                Question::Deciding { modes, unless } => (
                    modes.contains(&evidence.mode),
                    !is_blind(subject, evidence)
                        && unless.iter().any(|proof| holds(*proof, subject, evidence)),
                ),
            };
            // What only the deploy can show keeps nobody from deploying.
            let deferred = matches!(missing.why, Why::Deferred(_));
            let deciding = counted && !settled && !deferred;
            open.push(OpenQuestion {
                check: report.check,
                subject: subject.clone(),
                missing: missing.clone(),
                deciding,
                settled,
            });
        }
    }
    open.sort_by_key(|question| !question.deciding);
    open
}

/// The verdict under a policy.
pub(super) fn verdict(
    reports: &[CheckReport],
    judged: &Judged,
    undecided: &[OpenQuestion],
    policy: Policy,
) -> Verdict {
    let found = judged.root_causes.iter().any(|cause| cause.severity() >= policy.fail_on)
        || judged.unexplained.iter().any(|symptom| symptom.check.severity >= policy.fail_on);
    let open = undecided.iter().any(|question| question.deciding || policy.strict);
    let broken = reports.iter().any(|report| report.panic.is_some());
    if found {
        Verdict::Fail
    } else if open || broken {
        Verdict::Undecided
    } else {
        Verdict::Pass
    }
}
