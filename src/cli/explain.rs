//! `explain`: the page of a check.

use clap::Args;

use checks::check::Check;
use checks::diagnosis::{EXPIRED, UNUSED};

use super::failure::{Failure, Kind, no_output};
use super::rules::RuleArgs;
use crate::exit::Exit;
use crate::report::{catalogue, clean};
use crate::ui::Ui;

/// Explain a check: what it looks at, why it matters, how to fix what it finds
#[derive(Debug, Args)]
pub(super) struct ExplainArgs {
    /// The code or the name of a check, as the report prints them
    #[arg(value_name = "CODE|NAME")]
    check: String,
    #[command(flatten)]
    rules: RuleArgs,
}

pub(super) fn run(args: &ExplainArgs, ui: Ui) -> Exit {
    match print(args, ui) {
        Ok(()) => Exit::Clean,
        Err(failure) => failure.tell(ui),
    }
}

fn print(args: &ExplainArgs, ui: Ui) -> Result<(), Failure> {
    let mut checks = args.rules.checks()?;
    // Findings about waivers come from no check of the pipeline.
    checks.extend([EXPIRED, UNUSED]);
    let wanted = args.check.trim();
    let found = checks
        .iter()
        .find(|check| check.code.eq_ignore_ascii_case(wanted) || check.name.eq_ignore_ascii_case(wanted));
    match found {
        Some(check) => ui.out(&clean(&catalogue::page(check))).map_err(|error| no_output(&error)),
        None => Err(unknown(wanted, &checks)),
    }
}

fn unknown(wanted: &str, checks: &[Check]) -> Failure {
    let failure = Failure::new(Kind::Usage, format!("there is no check `{wanted}`"));
    let near = nearest(wanted, checks);
    if near.is_empty() {
        failure.hint("`metrics-preflight list` shows all of them.")
    } else {
        failure.hint(format!("Did you mean {}?", near.join(", ")))
    }
}

/// The codes and names that look most like what was written, at most three.
fn nearest(wanted: &str, checks: &[Check]) -> Vec<String> {
    let wanted = wanted.to_ascii_lowercase();
    let likeness = |text: &str| {
        let text = text.to_ascii_lowercase();
        let part = if wanted.len() > 3 && text.contains(&wanted) { 1.0 } else { 0.0 };
        strsim::jaro_winkler(&wanted, &text).max(part)
    };
    let mut scored: Vec<(f64, &Check)> =
        checks.iter().map(|check| (likeness(check.code).max(likeness(check.name)), check)).collect();
    scored.retain(|(score, _)| *score > 0.75);
    scored.sort_by(|(left, _), (right, _)| right.total_cmp(left));
    scored.iter().take(3).map(|(_, check)| format!("{} ({})", check.name, check.code)).collect()
}
