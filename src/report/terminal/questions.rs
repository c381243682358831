//! What has no explanation, what stays open, and what went wrong in here.

use checks::diagnosis::{CheckRef, OpenQuestion, Unexplained};
use checks::evidence::{Mode, Why};

use super::causes::proof;
use super::excused;
use super::page::{BAD, FAINT, Page, STRONG, UNSURE};
use super::words::{SHOWN, count, subjects};
use crate::report::{Report, push, would_decide};

/// Symptoms that no root cause explains, and what could.
pub(super) fn unexplained(page: &mut Page, report: &Report) {
    if report.diagnosis.unexplained.is_empty() {
        return;
    }
    page.gap();
    page.styled(0, BAD, "Seen, and not explained by anything that was found:");
    let mut by_check: Vec<(CheckRef, Vec<&Unexplained>)> = Vec::new();
    for symptom in &report.diagnosis.unexplained {
        push(&mut by_check, symptom.check, symptom);
    }
    for (check, symptoms) in by_check {
        let about = subjects(symptoms.iter().map(|symptom| &symptom.finding.subject));
        page.lead(2, 4, BAD, "✗", &format!("{} ({})", check.title, check.code));
        page.para(4, &format!("{}; concerns {about}.", check.name));
        excused::of(page, report, check.0.code, symptoms.iter().map(|symptom| &symptom.finding.subject));
        let mut could_be = Vec::new();
        for symptom in &symptoms {
            for name in &symptom.could_be {
                if !could_be.contains(name) {
                    could_be.push(*name);
                }
            }
        }
        let findings: Vec<_> = symptoms.iter().map(|symptom| symptom.finding.clone()).collect();
        if let Some(first) = findings.first().filter(|finding| !finding.detail.is_empty()) {
            page.para(4, &first.detail);
        }
        proof(page, 4, &findings, &report.evidence);
        if could_be.is_empty() {
            page.para(4, "No open question could explain it: this cause is not known in here.");
        } else {
            let more = could_be.len().saturating_sub(SHOWN);
            let mut names = could_be.into_iter().take(SHOWN).collect::<Vec<_>>().join(", ");
            if more > 0 {
                names = format!("{names} and {more} more");
            }
            page.lead(4, 6, STRONG, "It could be, if it could be seen:", &names);
        }
    }
}

/// The questions that the verdict rests on, by what would decide them; the others are counted.
pub(super) fn open(page: &mut Page, report: &Report) {
    listed(page, report, report.deciding(), "Open questions that the verdict rests on:");
    others(page, report);
}

/// Open questions, those with the same reason together.
fn listed<'r>(page: &mut Page, report: &Report, open: impl Iterator<Item = &'r OpenQuestion>, heading: &str) {
    let mut groups: Vec<(Reason, Vec<&OpenQuestion>)> = Vec::new();
    for question in open {
        push(&mut groups, Reason::of(question, report), question);
    }
    if !groups.is_empty() {
        page.gap();
        page.styled(0, UNSURE, heading);
    }
    for (reason, questions) in groups {
        let because = questions[0].missing.why.to_string();
        let alike = questions.iter().all(|question| question.missing.why == questions[0].missing.why);
        let because = match because.strip_prefix(&reason.word) {
            Some(rest) if !alike => {
                format!("{}, for example {}", reason.word, rest.trim_start_matches([':', ' ']))
            }
            _ => because,
        };
        page.lead(2, 4, UNSURE, "?", &because);
        let mut by_check: Vec<(CheckRef, Vec<&OpenQuestion>)> = Vec::new();
        for question in questions {
            push(&mut by_check, question.check, question);
        }
        for (check, questions) in by_check {
            let about = subjects(questions.iter().map(|question| &question.subject));
            page.para(6, &format!("{} ({}): {about}", check.name, check.code));
        }
        if let Some(decide) = &reason.decide {
            page.lead(4, 6, STRONG, "To decide it:", decide);
        }
    }
}

/// What open questions have in common: why they are open and what would decide them.
#[derive(PartialEq)]
struct Reason {
    word: String,
    decide: Option<String>,
}

impl Reason {
    fn of(question: &OpenQuestion, report: &Report) -> Self {
        let why = &question.missing.why;
        // The beginnings of their sentences: the rest names an address or an object of each subject, which would keep them apart.
        let word = match why {
            Why::TimedOut(_) => "no answer in time".to_owned(),
            Why::Unreachable(_) => "not reachable from here".to_owned(),
            Why::Unreadable(_) => "unreadable answer".to_owned(),
            Why::TooEarly(_) => "too early to tell".to_owned(),
            _ => why.to_string(),
        };
        Self { word, decide: would_decide(question, report) }
    }
}

/// How many checks have an open question.
pub(super) fn questions<'r>(open: impl Iterator<Item = &'r OpenQuestion>) -> usize {
    open.map(|open| open.check.0.code).collect::<std::collections::HashSet<_>>().len()
}

fn others(page: &mut Page, report: &Report) {
    let open = || report.diagnosis.undecided.iter().filter(|open| !report.is_deciding(open));
    let others = questions(open());
    // A machine alone has nothing else that would show a fault.
    if report.diagnosis.mode == Mode::Host {
        listed(page, report, open(), "Open as well, though the verdict does not rest on it:");
    } else if others > 0 {
        page.gap();
        let more = count(others, "further question is", "further questions are");
        let line = format!("{more} open that the verdict does not rest on (`-o json` has all).");
        page.styled(0, FAINT, &line);
    }
    permissions(page, report);
}

/// The permissions that would decide more, where something was found or is open.
fn permissions(page: &mut Page, report: &Report) {
    let mut lacking: Vec<String> = Vec::new();
    for question in report.diagnosis.undecided.iter().filter(|question| !question.settled) {
        if let Why::Forbidden { verb, resource } = &question.missing.why {
            let permission = format!("`{verb}` on `{resource}`");
            if !lacking.contains(&permission) {
                lacking.push(permission);
            }
        }
    }
    if !lacking.is_empty() {
        page.gap();
        page.lead(0, 2, STRONG, "These permissions would decide more:", &format!("{}.", lacking.join(", ")));
    }
}

/// Checks that panicked.
pub(super) fn panics(page: &mut Page, report: &Report) {
    for check in &report.diagnosis.checks {
        let Some(message) = &check.panic else { continue };
        page.gap();
        let text = format!(
            "the check {} ({}) failed with a defect of its own, and its results are lost: {message}",
            check.check.name, check.check.code
        );
        page.lead(0, 2, BAD, "A bug in this program:", &text);
        page.para(2, "Please report it, with a recording (`metrics-preflight capture`).");
    }
}
