//! # The adapter that should serve the metric does not answer
//!
//! ## What it looks at
//!
//! The answer to the very request that the HPA controller makes for a metric of the types `Pods`, `Object` or
//! `External`: whether the aggregated API gives one at all.
//!
//! ## Why it matters
//!
//! The API is registered, and whoever asks it gets an error: 503 when no adapter stands behind it, 500 when the adapter
//! may not ask for permissions or cannot reach the system that it reads from.
//!
//! ## How to fix it
//!
//! `kubectl get apiservices` tells whether the API is available, and its condition why not; the adapter's log tells
//! the rest.
//!
//! ## When it is wrong
//!
//! An adapter that restarts answers so for a few seconds.
//!
//! ## References
//!
//! - Failure catalogue: sections A to E for the registration (AH), `adapter-upstream-unreachable` (AH-F05),
//!   `keda-operator-grpc-unreachable` (AH-G03)

use crate::check::{
    Audience, Check, Finding, Hop, Kind, Outcome, Question, Remedy, Results, Severity, Step, Undecided, fail,
    not_applicable,
};
use crate::evidence::{Evidence, Mode, Need, Why};
use crate::hpa::gate;

pub(crate) const CHECK: Check = Check {
    code: "MP922",
    name: "hpa-metrics-api-unusable",
    title: "The adapter that should serve the metric does not answer",
    hop: Hop::Hpa,
    severity: Severity::Error,
    kind: Kind::Cause,
    modes: &[Mode::Gate],
    needs: &[Need::CustomMetrics, Need::ExternalMetrics],
    explains: &["hpa-metrics-unreadable"],
    question: Question::Listed,
    source: include_str!("hpa_metrics_api_unusable.rs"),
    run,
    remedies,
};

fn run(evidence: &Evidence, results: &mut Results<'_>) {
    gate::each_metric(evidence, results, |ctx, metric, subject| {
        let group = match metric.spec.source.group() {
            Some(group) if group != "metrics.k8s.io" => group,
            _ => return Ok(not_applicable("it needs no adapter")),
        };
        if evidence.gate.offline {
            return Ok(not_applicable("manifests alone are judged"));
        }
        let answer = match ctx.need(&metric.seen.answer) {
            Err(Undecided { why: Why::Deferred(_), .. }) => {
                return Ok(not_applicable("nobody is asked before the pods run"));
            }
            answer => answer?,
        };
        if answer.status < 500 {
            return Ok(Outcome::Pass);
        }
        let detail = format!("{group} answers with {}: {}", answer.status, answer.message);
        Ok(fail(
            Finding::new(subject, detail)
                .cite(&metric.seen.answer, "status", answer.status.to_string(), "200")
                .fact("group", group),
        ))
    });
}

fn remedies(_: &Evidence, findings: &[&Finding]) -> Vec<Remedy> {
    let steps = gate::groups(findings).into_iter().map(|group| {
        Step::run(
            "workstation",
            format!(
                "kubectl get apiservices | grep -F .{group}\nkubectl get apiservices -o name | grep -F .{group} | xargs kubectl describe"
            ),
        )
    });
    let last = Step::manual(
        "workstation",
        "repair what the condition names: the Service, its pods, their certificate; where the API is available, read the adapter's log",
    );
    vec![Remedy {
        title: "Find out why the adapter does not answer".to_owned(),
        audience: Audience::Production,
        cost: String::new(),
        leaves: Vec::new(),
        steps: steps.chain([last]).collect(),
    }]
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::plan::testing::{answered, cpu, external, forbidden, hpa, offline, online, result, word};

    fn after(status: i64, values: &[&str]) -> &'static str {
        word(&result(&CHECK, &answered(status, values)))
    }

    #[test]
    fn the_answer_decides() {
        assert_eq!(after(200, &["3"]), "pass");
        assert_eq!(after(404, &[]), "pass");
        assert_eq!(after(503, &[]), "fail");
    }

    #[test]
    fn what_is_not_asked_is_not_judged() {
        let evidence = online(&[hpa("web", json!([cpu(80)]))]);
        assert_eq!(word(&result(&CHECK, &evidence)), "n/a");
        assert_eq!(word(&result(&CHECK, &offline(&[hpa("web", json!([external()]))]))), "n/a");
        let mut evidence = online(&[hpa("web", json!([external()]))]);
        evidence.gate.plans[0].metrics[0].answer = forbidden(Need::ExternalMetrics);
        assert_eq!(word(&result(&CHECK, &evidence)), "open");
    }
}
