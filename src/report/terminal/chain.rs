//! The chain, link by link, with a mark and a word each.

use anstyle::Style;
use checks::check::Hop;
use checks::diagnosis::Diagnosis;
use comfy_table::Table;
use comfy_table::presets::NOTHING;

use super::page::{BAD, FAINT, GOOD, Page, STRONG, UNSURE};

/// The state of every hop.
pub(super) fn chain(page: &mut Page, diagnosis: &Diagnosis) {
    let states: Vec<State> = Hop::ALL.iter().map(|hop| state(diagnosis.hop_state(*hop))).collect();
    let mut table = Table::new();
    table.load_style(NOTHING);
    for (hop, state) in Hop::ALL.iter().zip(&states) {
        table.add_row([hop.label(), state.word]);
    }
    for (row, state) in table.lines().zip(&states) {
        page.lead(2, 2, state.style, state.mark, row.trim());
    }
}

struct State {
    mark: &'static str,
    word: &'static str,
    style: Style,
}

fn state(name: &str) -> State {
    let (mark, word, style) = match name {
        "pass" => ("✓", "works", GOOD),
        "fail" => ("✗", "broken", BAD),
        "warn" => ("!", "warning", UNSURE),
        "symptom" => ("~", "suffers from a fault elsewhere", STRONG),
        "undecided" => ("?", "could not be decided", UNSURE),
        "partly" => ("·", "no fault seen, but not all of it was", FAINT),
        _ => ("·", "not seen", FAINT),
    };
    State { mark, word, style }
}
