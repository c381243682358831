//! A root cause: what it is, its proof, what it brings about, and its cures.

use anstyle::Style;
use checks::check::{Audience, Certainty, Citation, Finding, Remedy, Severity, Step};
use checks::diagnosis::{RootCause, Symptom};
use checks::evidence::Evidence;

use super::excused;
use super::page::{BAD, FAINT, Page, STRONG, UNSURE};
use super::words::{SHOWN, count, names, subjects};
use crate::manifest::snippet;
use crate::report::patch::patches;
use crate::report::text::excerpt;
use crate::report::{Report, place_name, push, severity_name};

/// How much of a value is shown.
const VALUE: usize = 300;

/// The root causes in their order. A cure that an earlier one has is named, not printed again.
pub(super) fn root_causes(page: &mut Page, causes: &[&RootCause], report: &Report) {
    let patches = patches(causes.iter().copied(), &report.evidence.gate.manifests);
    for (index, (cause, patch)) in causes.iter().zip(patches).enumerate() {
        root_cause(page, index + 1, cause, report);
        for remedy in &cause.remedies {
            let same =
                |earlier: &&RootCause| earlier.remedies.iter().any(|other| other.steps == remedy.steps);
            match causes[..index].iter().position(same) {
                Some(earlier) => {
                    page.gap();
                    let lead = lead(remedy.audience);
                    page.lead(
                        3,
                        5,
                        lead.1,
                        lead.0,
                        &format!("{} - the same as for {}.", remedy.title, earlier + 1),
                    );
                }
                None => self::remedy(page, remedy),
            }
        }
        if let Some(patch) = patch {
            page.styled(5, STRONG, "The same as a patch (`patch -p0`):");
            page.verbatim(7, &patch);
        }
    }
}

/// One root cause with its number.
fn root_cause(page: &mut Page, number: usize, cause: &RootCause, report: &Report) {
    let style = if cause.severity() == Severity::Error { BAD } else { UNSURE };
    let certainty = match cause.certainty {
        Certainty::Certain => "certain",
        Certainty::Likely => "likely",
    };
    page.gap();
    let lead = format!("{number}. {} ({certainty}):", severity_name(cause.severity()).to_uppercase());
    page.lead(0, 3, style, &lead, cause.check.title);
    let class = if cause.class() == "hazard" { ", a hazard" } else { "" };
    let hop = cause.check.hop.label();
    page.styled(3, FAINT, &format!("{} {}{class}, at: {hop}", cause.check.code, cause.check.name));
    page.para(3, &format!("Concerns {}.", subjects(cause.findings.iter().map(|f| &f.subject))));
    excused::of(page, report, cause.check.0.code, cause.findings.iter().map(|f| &f.subject));
    details(page, &cause.findings);
    proof(page, 3, &cause.findings, &report.evidence);
    explains(page, &cause.explains);
    candidates(page, cause);
}

/// The facts of each finding; where several subjects share one, it stands once with their names.
fn details(page: &mut Page, findings: &[Finding]) {
    let mut by_detail: Vec<(&str, Vec<&Finding>)> = Vec::new();
    for finding in findings.iter().filter(|finding| !finding.detail.is_empty()) {
        push(&mut by_detail, finding.detail.as_str(), finding);
    }
    for (detail, about) in by_detail.iter().take(SHOWN) {
        if findings.len() == 1 {
            page.lead(3, 5, FAINT, "-", detail);
        } else {
            let names = names(about.iter().map(|finding| &finding.subject));
            page.lead(3, 5, FAINT, "-", &format!("{names}: {detail}"));
        }
    }
    if by_detail.len() > SHOWN {
        page.styled(3, FAINT, "- and more of this kind (`-o json` has them all)");
    }
}

/// The proofs of the findings: request, field, value, what was expected.
pub(super) fn proof(page: &mut Page, indent: usize, findings: &[Finding], evidence: &Evidence) {
    let mut cited: Vec<&Citation> = Vec::new();
    for citation in findings.iter().flat_map(|finding| &finding.citations) {
        if cited.len() <= SHOWN && !cited.contains(&citation) {
            cited.push(citation);
        }
    }
    if cited.is_empty() {
        return;
    }
    page.styled(indent, STRONG, "Proof:");
    let mut last = None;
    for citation in cited.iter().take(SHOWN) {
        let from = (citation.request, citation.place.as_ref());
        if last != Some(from) {
            let request = citation.request.and_then(|id| evidence.requests.get(id));
            if let Some(place) = citation.place.as_ref().filter(|_| request.is_none()) {
                page.para(indent + 2, &excerpt(&place.to_string(), VALUE));
                let room = page.width().saturating_sub(indent + 4);
                for line in snippet(&evidence.gate.manifests, place, room) {
                    page.verbatim(indent + 4, &line);
                }
            } else {
                let request = request.map_or("no request can show this", |seen| seen.request.as_str());
                page.para(indent + 2, &excerpt(request, VALUE));
            }
        }
        last = Some(from);
        let value = excerpt(&citation.value, VALUE);
        page.para(indent + 4, &format!("{}: {value}", excerpt(&citation.path, VALUE)));
        if !citation.expected.is_empty() {
            page.lead(indent + 4, indent + 6, FAINT, "expected:", &excerpt(&citation.expected, VALUE));
        }
    }
    let more = findings.iter().map(|f| f.citations.len()).sum::<usize>().saturating_sub(SHOWN);
    if cited.len() > SHOWN {
        page.styled(indent + 2, FAINT, &format!("and {more} more (`-o json` has them all)"));
    }
}

/// One line for each check whose failure this brings about.
fn explains(page: &mut Page, symptoms: &[Symptom]) {
    let mut by_check = Vec::new();
    for symptom in symptoms {
        push(&mut by_check, symptom.check, symptom);
    }
    if by_check.is_empty() {
        return;
    }
    page.styled(3, STRONG, "Explains:");
    for (check, symptoms) in by_check {
        let about = subjects(symptoms.iter().map(|symptom| &symptom.subject));
        page.para(5, &format!("{} ({}): {about}", check.name, check.code));
    }
}

fn candidates(page: &mut Page, cause: &RootCause) {
    if !cause.candidates.is_empty() {
        page.lead(3, 5, STRONG, "It could also be:", &cause.candidates.join(", "));
    }
    if let Some(step) = &cause.decide {
        page.lead(3, 5, STRONG, "To find out,", &format!("{}:", place_name(&step.run_on)));
        body(page, 5, step, "and then:");
    }
}

fn lead(audience: Audience) -> (&'static str, Style) {
    match audience {
        Audience::Production => ("Fix (production):", STRONG),
        Audience::Lab => ("Quick fix for a lab:", UNSURE),
    }
}

fn remedy(page: &mut Page, remedy: &Remedy) {
    let (lead, style) = lead(remedy.audience);
    page.gap();
    page.lead(3, 5, style, lead, &remedy.title);
    if !remedy.cost.is_empty() {
        page.lead(5, 7, UNSURE, "Cost:", &remedy.cost);
    }
    if !remedy.leaves.is_empty() {
        let left = remedy.leaves.join(", ");
        page.para(5, &format!("Afterwards this still warns: {left}."));
    }
    for (index, step) in remedy.steps.iter().enumerate() {
        page.lead(5, 8, STRONG, &format!("{}.", index + 1), &format!("{}:", place_name(&step.run_on)));
        body(page, 8, step, "It worked when this succeeds:");
    }
}

/// What a step says to do, and how to see what came of it.
fn body(page: &mut Page, indent: usize, step: &Step, verify: &str) {
    if !step.manual.is_empty() {
        page.para(indent, &step.manual);
    }
    page.verbatim(indent + 2, &step.command);
    if !step.verify.is_empty() {
        page.styled(indent, FAINT, verify);
        page.verbatim(indent + 2, &step.verify);
    }
}

/// Findings that are worth knowing and no more: a line each.
pub(super) fn notes<'r>(page: &mut Page, notes: impl Iterator<Item = &'r RootCause>) {
    let mut notes = notes.peekable();
    if notes.peek().is_none() {
        return;
    }
    page.gap();
    page.styled(0, STRONG, "Worth knowing:");
    for note in notes {
        let about = subjects(note.findings.iter().map(|finding| &finding.subject));
        let place = count(note.findings.len(), "place", "places");
        let about = if about.is_empty() { place } else { about };
        page.lead(2, 4, FAINT, "-", &format!("{} ({}): {about}", note.check.title, note.check.code));
    }
}

#[cfg(test)]
mod tests {
    use super::place_name;

    #[test]
    fn a_place_reads_as_one() {
        for (run_on, expected) in [
            ("", "on your workstation"),
            ("workstation", "on your workstation"),
            ("node worker-1", "on worker-1"),
            ("every node", "on every node"),
            ("every control-plane host", "on every control-plane host"),
            ("a host that reaches the node", "on a host that reaches the node"),
        ] {
            assert_eq!(place_name(run_on), expected);
        }
    }
}
