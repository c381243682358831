//! The chain, link by link, with a mark and a word each.

use anstyle::Style;
use checks::check::Hop;
use checks::diagnosis::Diagnosis;
use comfy_table::Table;
use comfy_table::presets::NOTHING;

use crate::report::{state_mark, state_word};

use super::page::{BAD, FAINT, GOOD, Page, STRONG, UNSURE};

/// The state of every hop.
pub(super) fn chain(page: &mut Page, diagnosis: &Diagnosis) {
    let hops: Vec<Hop> = diagnosis.hops().collect();
    let states: Vec<State> = hops.iter().map(|hop| state(diagnosis.hop_state(*hop))).collect();
    let mut table = Table::new();
    table.load_style(NOTHING);
    for (hop, state) in hops.iter().zip(&states) {
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
    let style = match name {
        "pass" => GOOD,
        "fail" => BAD,
        "warn" | "undecided" => UNSURE,
        "symptom" => STRONG,
        _ => FAINT,
    };
    State { mark: state_mark(name), word: state_word(name), style }
}
