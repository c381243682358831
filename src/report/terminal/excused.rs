//! What the verdict does not count: told each time, also when all is well.

use checks::check::Subject;
use checks::diagnosis::WaiverState;

use super::page::{FAINT, Page, STRONG};
use super::words::{SHOWN, count, subjects};
use crate::report::json::why_not_counted;
use crate::report::{Report, push};

/// The waivers in force, and what became of the baseline.
pub(super) fn excused(page: &mut Page, report: &Report) {
    let excused = &report.diagnosis.excused;
    let holds: Vec<_> = excused.waivers.iter().filter(|(_, state)| *state != WaiverState::Expired).collect();
    if !holds.is_empty() {
        page.gap();
        page.styled(0, STRONG, "Waivers in force:");
    }
    for (waiver, state) in holds {
        let place = format!("{}:{}", waiver.place.file, waiver.place.line);
        let unused = match state {
            WaiverState::Unused => format!(" ({place}, not found in this run)"),
            _ => format!(" ({place})"),
        };
        let (expires, owner, reason) = (waiver.expires, &waiver.owner, &waiver.reason);
        let text = format!(
            "{} {}{unused}: waived until {expires} by {owner}: {reason}",
            waiver.code, waiver.subject
        );
        page.lead(2, 4, FAINT, "-", &text);
    }
    if let Some(baseline) = &excused.baseline {
        let gone = report.diagnosis.gone();
        let known = count(baseline.len() - gone.len(), "finding is known", "findings are known");
        let mut names: Vec<String> =
            gone.iter().take(SHOWN).map(|(code, about)| format!("{code} {about}")).collect();
        if gone.len() > SHOWN {
            names.push(format!("{} more", gone.len() - SHOWN));
        }
        let names = if names.is_empty() { String::new() } else { format!(" ({})", names.join(", ")) };
        page.gap();
        page.para(0, &format!("Against the baseline: {known}, {} not found again{names}.", gone.len()));
    }
}

/// What of a root cause or a symptom is not counted.
pub(super) fn of<'r>(page: &mut Page, report: &Report, code: &str, about: impl Iterator<Item = &'r Subject>) {
    let excused = &report.diagnosis.excused;
    let mut by_why: Vec<(String, Vec<&Subject>)> = Vec::new();
    for subject in about {
        if let Some(why) = why_not_counted(excused, code, subject) {
            push(&mut by_why, why, subject);
        }
    }
    for (why, about) in by_why {
        page.lead(3, 5, STRONG, "Not counted", &format!("for {}: {why}", subjects(about)));
    }
}
