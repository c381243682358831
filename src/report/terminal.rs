//! The report for a person at a terminal: a verdict, the chain, what to fix and how.

mod autoscalers;
mod causes;
mod chain;
mod excused;
mod headline;
mod machines;
mod page;
mod questions;
mod words;

use checks::evidence::Mode;

use super::Report;
use page::{FAINT, Page};
use words::count;

/// The report at this width. It holds colours; the stream that it goes to drops them if need be.
pub(crate) fn render(report: &Report, width: usize) -> String {
    let mut page = Page::new(width);
    headline::headline(&mut page, report);
    page.gap();
    let is_gate = report.diagnosis.mode == Mode::Gate;
    if is_gate {
        autoscalers::autoscalers(&mut page, report);
        page.gap();
    }
    if !is_gate || report.evidence.gate.pipeline {
        chain::chain(&mut page, &report.diagnosis);
    }
    if !quiet(report) {
        let causes: Vec<_> = report.root_causes().collect();
        causes::root_causes(&mut page, &causes, report);
        questions::unexplained(&mut page, report);
        questions::panics(&mut page, report);
        questions::open(&mut page, report);
        causes::notes(&mut page, report.notes());
    }
    excused::excused(&mut page, report);
    page.gap();
    page.styled(0, FAINT, &counts(report));
    page.finish()
}

/// What a file says instead of the report when nothing could be decided.
pub(crate) fn without_evidence(error: &super::json::Error) -> String {
    let hint = error.hint.as_deref().map(|hint| format!("\n{hint}")).unwrap_or_default();
    super::clean(&format!("Nothing could be decided: {}{hint}\n", error.message)).into_owned()
}

/// Whether there is nothing to say but that all is well.
fn quiet(report: &Report) -> bool {
    let findings = report.root_causes().count() + report.diagnosis.unexplained.len();
    report.exit == crate::exit::Exit::Clean
        && report.diagnosis.verdict == checks::diagnosis::Verdict::Pass
        && findings == 0
        // A machine alone has no pipeline that works: what was not seen of it is named.
        && (report.diagnosis.mode != Mode::Host || report.diagnosis.undecided.is_empty())
}

fn counts(report: &Report) -> String {
    let with = |worst: &str| report.diagnosis.checks.iter().filter(|check| check.worst() == worst).count();
    let mut parts = Vec::new();
    for (worst, word) in [
        ("pass", "passed"),
        ("fail", "failed"),
        ("undecided", "undecided"),
        ("not-applicable", "not applicable"),
        ("panic", "lost"),
    ] {
        match with(worst) {
            0 => {}
            number => parts.push(format!("{number} {word}")),
        }
    }
    let checks = count(report.diagnosis.checks.len(), "check", "checks");
    let notes = match report.notes().count() {
        0 => String::new(),
        number => format!("; {}", count(number, "note", "notes")),
    };
    format!(
        "{checks}: {}; {}; {}{notes}; {}.",
        parts.join(", "),
        headline::found(report, 0),
        count(questions::questions(report.diagnosis.undecided.iter()), "open question", "open questions"),
        count(report.evidence.requests.len(), "request", "requests"),
    )
}
