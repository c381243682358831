//! What becomes of each autoscaler that a gate was asked about, metric by metric.

use checks::diagnosis::{AutoscalerVerdict, MetricOutcome, MetricVerdict};
use checks::evidence::{Gate, Plan};
use comfy_table::Table;
use comfy_table::presets::NOTHING;

use super::page::{BAD, FAINT, GOOD, Page, STRONG, UNSURE};
use crate::report::Report;
use anstyle::Style;

/// So many autoscalers without anything to say are listed one by one.
const SHOWN: usize = 40;

/// Every autoscaler with its metrics; those that will work come last.
pub(super) fn autoscalers(page: &mut Page, report: &Report) {
    let gate = &report.evidence.gate;
    let mut verdicts: Vec<&AutoscalerVerdict> = report.diagnosis.autoscalers.iter().collect();
    verdicts.sort_by_key(|verdict| std::cmp::Reverse(verdict.verdict));
    for verdict in verdicts.iter().take(SHOWN) {
        let plan = &gate.plans[verdict.plan];
        let (mark, style) = mark(verdict.verdict);
        page.lead(2, 4, style, mark, &format!("{}/{}{}", plan.namespace, plan.name, place(gate, plan)));
        metrics(page, plan, &verdict.metrics);
    }
    if verdicts.len() > SHOWN {
        page.styled(2, FAINT, &format!("and {} more (`-o json` has them all)", verdicts.len() - SHOWN));
    }
}

fn place(gate: &Gate, plan: &Plan) -> String {
    let document = plan.document.and_then(|index| gate.manifests.documents.get(index));
    document.map_or_else(
        || " (in the cluster)".to_owned(),
        |document| format!(" ({}:{})", document.place.file, document.place.line),
    )
}

fn metrics(page: &mut Page, plan: &Plan, outcomes: &[MetricOutcome]) {
    let mut table = Table::new();
    table.load_style(NOTHING);
    let specs: Vec<_> = plan.spec.metrics.iter().zip(outcomes).collect();
    for (spec, outcome) in &specs {
        table.add_row([spec.source.kind(), spec.source.name(), word(outcome)]);
    }
    for (row, (_, outcome)) in table.lines().zip(&specs) {
        let (mark, style) = mark(outcome.verdict);
        page.lead(6, 8, style, mark, row.trim());
    }
}

/// What becomes of a metric, in a few words.
fn word(outcome: &MetricOutcome) -> &'static str {
    match outcome.verdict {
        MetricVerdict::Pass => "will be read",
        MetricVerdict::Deferred => "only the deploy will show",
        MetricVerdict::Undecided => "could not be decided",
        MetricVerdict::Fail => outcome.reasons.first().map_or("will not be read", |reason| reason.name),
    }
}

fn mark(verdict: MetricVerdict) -> (&'static str, Style) {
    match verdict {
        MetricVerdict::Pass => ("✓", GOOD),
        MetricVerdict::Deferred => ("·", STRONG),
        MetricVerdict::Undecided => ("?", UNSURE),
        MetricVerdict::Fail => ("✗", BAD),
    }
}
