//! The list of all checks, and the page of one.

use std::fmt::Write as _;

use checks::check::{Check, Kind};
use checks::evidence::Mode;
use comfy_table::Table;
use comfy_table::presets::NOTHING;
use serde::Serialize;

use super::{mode_name, severity_name};

/// All checks as a table: a line each, which `grep` finds whole.
pub(crate) fn table(checks: &[Check]) -> String {
    let mut table = Table::new();
    table.load_style(NOTHING).set_header(["CODE", "NAME", "HOP", "SEVERITY"]);
    for check in checks {
        table.add_row([check.code, check.name, check.hop.name(), severity_name(check.severity)]);
    }
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    let mut text = String::new();
    for line in table.lines() {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{}", line.trim_end());
    }
    text
}

/// All checks as a JSON document.
pub(crate) fn json(checks: &[Check]) -> String {
    let entries: Vec<Entry<'_>> = checks.iter().map(Entry::new).collect();
    let list = List { format_version: 1, checks: entries };
    let mut text = serde_json::to_string_pretty(&list).unwrap_or_else(|_| "{}".to_owned());
    text.push('\n');
    text
}

/// The page of a check, with its metadata below the title.
pub(crate) fn page(check: &Check) -> String {
    let text = check.page();
    let (title, rest) = match text.strip_prefix("# ").and_then(|text| text.split_once('\n')) {
        Some((title, rest)) => (title, rest.trim_start_matches('\n')),
        None => (check.title, text.as_str()),
    };
    let (code, name, hop) = (check.code, check.name, check.hop.label());
    let (severity, kind, modes) = (severity_name(check.severity), kind(check), modes(check));
    format!(
        "# {title}\n\n- Code: {code}\n- Name: {name}\n- Hop: {hop}\n- Severity: {severity}\n\
         - Kind: {kind}\n- Modes: {modes}\n\n{}\n",
        rest.trim_end()
    )
}

#[derive(Serialize)]
struct List<'c> {
    format_version: u32,
    checks: Vec<Entry<'c>>,
}

#[derive(Serialize)]
struct Entry<'c> {
    code: &'c str,
    name: &'c str,
    title: &'c str,
    hop: &'static str,
    severity: &'static str,
    kind: &'static str,
    modes: Vec<&'static str>,
    explains: &'c [&'static str],
}

impl<'c> Entry<'c> {
    fn new(check: &'c Check) -> Self {
        Self {
            code: check.code,
            name: check.name,
            title: check.title,
            hop: check.hop.name(),
            severity: severity_name(check.severity),
            kind: kind(check),
            modes: check.modes.iter().copied().map(mode_name).collect(),
            explains: check.explains,
        }
    }
}

fn kind(check: &Check) -> &'static str {
    match check.kind {
        Kind::Cause => "cause",
        Kind::Hazard => "hazard",
        Kind::Symptom => "symptom",
        Kind::Place(_) => "place",
    }
}

fn modes(check: &Check) -> String {
    let names: Vec<&str> = check.modes.iter().map(|mode: &Mode| mode_name(*mode)).collect();
    names.join(", ")
}
