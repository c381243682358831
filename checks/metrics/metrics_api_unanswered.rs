//! # The Metrics API does not answer
//!
//! ## What it looks at
//!
//! The answers to the caller's own requests for discovery of `metrics.k8s.io/v1beta1` and for the metrics of
//! nodes.
//!
//! ## Why it matters
//!
//! It is what `kubectl top` and the HPA controller get: 503 when the APIService is unavailable, 401 or 403
//! when the identity between the servers is broken, 500 when metrics-server cannot ask about its callers.
//!
//! ## How to fix it
//!
//! Fix its cause.
//!
//! ## When it is wrong
//!
//! 403 that names the caller is the caller's own lack of a permission, and no fault of the pipeline. An
//! answer to a member of `system:masters` proves less than one to anybody else.
//!
//! ## References
//!
//! - Failure catalogue: section 1-J (RM), section 1.2 (AH)

use crate::check::{
    Check, Finding, Hop, Kind, Outcome, Question, Results, Severity, Undecided, fail, no_remedies,
    not_applicable,
};
use crate::evidence::{Evidence, Mode, Need, Why};
use crate::support;

pub(crate) const CHECK: Check = Check {
    code: "MP801",
    name: "metrics-api-unanswered",
    title: "The Metrics API does not answer",
    hop: Hop::Metrics,
    severity: Severity::Error,
    kind: Kind::Symptom,
    modes: &[Mode::Installed],
    needs: &[Need::Whoami, Need::Pods, Need::MetricsDiscovery, Need::NodeMetrics],
    explains: &["node-metrics-missing", "hpa-metrics-unreadable"],
    question: Question::Deciding { modes: &[Mode::Installed], unless: &[] },
    source: include_str!("metrics_api_unanswered.rs"),
    run,
    remedies: no_remedies,
};

fn run(evidence: &Evidence, results: &mut Results<'_>) {
    results.about(support::apiservice(), |ctx| {
        let discovery = ctx.need(&evidence.metrics.discovery)?;
        let me = ctx.need(&evidence.cluster.whoami)?;
        let bad = if discovery.status == 200 {
            let answer = ctx.need(&evidence.metrics.nodes_answer)?;
            if answer.status == 403 && answer.message.contains(&format!("\"{}\"", me.name)) {
                return Ok(not_applicable("the caller may not list metrics of nodes; discovery answers"));
            }
            (answer.status != 200).then_some((&evidence.metrics.nodes_answer, answer))
        } else {
            Some((&evidence.metrics.discovery, discovery))
        };
        let Some((obs, answer)) = bad else { return Ok(Outcome::Pass) };
        if answer.status == 429 {
            let why = Why::Unreadable("the API server has too many requests (429); ask again".to_owned());
            return Err(Undecided { need: obs.need, why });
        }
        if answer.status == 503
            && let Err(missing) = support::after_warm_up(ctx, evidence)
            && matches!(missing.why, Why::TooEarly(_))
        {
            return Err(missing);
        }
        let finding =
            Finding::new(support::apiservice(), format!("it answers {}: {}", answer.status, answer.message))
                .cite(obs, "status", answer.status.to_string(), "200");
        let over = if answer.status == 503 { support::all_nodes(evidence) } else { Vec::new() };
        Ok(fail(finding.over(over).at(support::nodes_of_pods(evidence))))
    });
}
