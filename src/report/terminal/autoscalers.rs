//! What becomes of each autoscaler that a gate was asked about, metric by metric.

use anstyle::Style;
use checks::diagnosis::{AutoscalerVerdict, MetricOutcome, MetricVerdict};
use checks::evidence::{Gate, Plan};
use checks::plan::MetricSpec;

use super::page::{BAD, GOOD, Page, STRONG, UNSURE};
use super::words::count;
use crate::report::Report;
use crate::report::gate;
use crate::report::json::why_not_counted;
use crate::report::text::excerpt;

/// So many autoscalers that have something to say are listed one by one, and so many of those that have not.
const SHOWN: usize = 40;
/// How much of a reason is shown.
const REASON: usize = 300;

/// Every autoscaler with its metrics; those that will work come last.
pub(super) fn autoscalers(page: &mut Page, report: &Report) {
    let gate = &report.evidence.gate;
    let mut verdicts: Vec<&AutoscalerVerdict> = report.diagnosis.autoscalers.iter().collect();
    verdicts.sort_by_key(|verdict| std::cmp::Reverse(verdict.verdict));
    for verdict in verdicts.iter().take(SHOWN) {
        let plan = &gate.plans[verdict.plan];
        let (mark, style) = mark(verdict.verdict);
        page.lead(2, 4, style, mark, &format!("{}/{}{}", plan.namespace, plan.name, place(gate, plan)));
        metrics(page, plan, &verdict.metrics, report);
    }
    if verdicts.iter().flat_map(|it| &it.metrics).any(|it| it.verdict == MetricVerdict::Deferred) {
        let how = crate::report::after_deploy(gate);
        page.lead(
            2,
            4,
            STRONG,
            "What only the deploy will show:",
            &format!("look again after it with `{how}`."),
        );
    }
    let Some(rest) = verdicts.get(SHOWN..).filter(|rest| !rest.is_empty()) else { return };
    let mut words = Vec::new();
    for (verdict, word) in [
        (MetricVerdict::Fail, "that will not be read"),
        (MetricVerdict::Undecided, "that could not be decided"),
        (MetricVerdict::Deferred, "that only the deploy will show"),
        (MetricVerdict::Pass, "without a fault"),
    ] {
        match rest.iter().filter(|it| it.verdict == verdict).count() {
            0 => {}
            number => words.push(format!("{number} {word}")),
        }
    }
    let rest = count(rest.len(), "autoscaler", "autoscalers");
    page.para(2, &format!("and {rest} more: {} (`-o json` has them all)", words.join(", ")));
}

fn place(gate: &Gate, plan: &Plan) -> String {
    let document = plan.document.and_then(|index| gate.manifests.documents.get(index));
    document.map_or_else(
        || " (in the cluster)".to_owned(),
        |document| format!(" ({}:{})", document.place.file, document.place.line),
    )
}

/// A line for each metric; what is true of all of them for the same reason stands once.
fn metrics(page: &mut Page, plan: &Plan, outcomes: &[MetricOutcome], report: &Report) {
    let name = |spec: &MetricSpec| format!("{} {}", spec.source.kind(), spec.source.name());
    let said: Vec<(String, MetricVerdict, String)> = (plan.spec.metrics.iter().zip(outcomes))
        .map(|(spec, outcome)| (name(spec), outcome.verdict, word(outcome, report)))
        .collect();
    let alike = said.windows(2).all(|pair| pair[0].1 == pair[1].1 && pair[0].2 == pair[1].2);
    match said.as_slice() {
        [(_, verdict, word), _, ..] if alike && *verdict != MetricVerdict::Pass => {
            let names: Vec<&str> = said.iter().map(|(name, ..)| name.as_str()).collect();
            let (mark, style) = mark(*verdict);
            page.lead(6, 8, style, mark, &excerpt(&format!("{}: {word}", names.join(", ")), 2 * REASON));
        }
        _ => {
            for (name, verdict, word) in &said {
                let (mark, style) = mark(*verdict);
                page.lead(6, 8, style, mark, &excerpt(&format!("{name}: {word}"), 2 * REASON));
            }
        }
    }
}

/// What becomes of a metric, and why.
fn word(outcome: &MetricOutcome, report: &Report) -> String {
    let word = match outcome.verdict {
        MetricVerdict::Pass => return "will be read".to_owned(),
        MetricVerdict::Deferred => "only the deploy will show it",
        MetricVerdict::Undecided => "could not be decided",
        MetricVerdict::Fail => "will not be read",
    };
    let Some(first) = outcome.reasons.first() else { return word.to_owned() };
    let more = match outcome.reasons.len() - 1 {
        0 => String::new(),
        1 => ", and one more reason".to_owned(),
        more => format!(", and {more} more reasons"),
    };
    if outcome.verdict == MetricVerdict::Deferred {
        return format!("{} ({}{more})", excerpt(&first.detail, REASON), first.code);
    }
    let detail = first.detail.strip_prefix("not looked at: ").unwrap_or(&first.detail);
    let excused = match outcome.verdict {
        MetricVerdict::Fail => excused(outcome, report),
        _ => String::new(),
    };
    format!("{word}: {} ({}{more}){excused}", excerpt(detail, REASON), first.code)
}

/// What of its reasons does not count.
fn excused(outcome: &MetricOutcome, report: &Report) -> String {
    let excused = &report.diagnosis.excused;
    let whys = outcome.reasons.iter().map(|reason| why_not_counted(excused, reason.code, &reason.subject));
    gate::not_counted(whys)
}

fn mark(verdict: MetricVerdict) -> (&'static str, Style) {
    match verdict {
        MetricVerdict::Pass => ("✓", GOOD),
        MetricVerdict::Deferred => ("·", STRONG),
        MetricVerdict::Undecided => ("?", UNSURE),
        MetricVerdict::Fail => ("✗", BAD),
    }
}
