//! A line for each thing to act on, for `grep` and `awk`; the verdict is the last line.

use std::fmt::Write as _;

use super::gate::{metrics, name, why};
use super::items::{Item, Kind, items, subjects, verdict};
use super::json::Document;
use super::text::one_line;

/// The lines.
pub(crate) fn render(document: &Document<'_>) -> String {
    let mut text = String::new();
    for item in items(document).iter().filter(|item| item.kind != Kind::Open || item.rests) {
        text.push_str(&one_line(&line(item)));
        text.push('\n');
    }
    for (hpa, metric) in metrics(document).into_iter().filter(|(_, metric)| metric.verdict != "pass") {
        let place = match (hpa.file, hpa.line) {
            (Some(file), Some(line)) => format!(" ({file}:{line})"),
            _ => String::new(),
        };
        let (word, why) = (metric.verdict, why(metric));
        let line = format!(
            "metric {word} {}[{}] {} {}: {why}{place}",
            name(hpa),
            metric.index,
            metric.kind,
            metric.name
        );
        text.push_str(&one_line(&line));
        text.push('\n');
    }
    text.push_str(&verdict(document));
    text.push('\n');
    text
}

/// `error MP501 kubelet-cert-self-signed Node node1, node2: title: detail`.
fn line(item: &Item<'_>) -> String {
    let word = match item.kind {
        Kind::Run | Kind::Cause => item.severity,
        Kind::Unexplained => "unexplained",
        Kind::Lost => "bug",
        Kind::Open => "undecided",
        Kind::Waiver => "waiver",
    };
    let mut line = word.to_owned();
    for part in [item.code, item.name, &subjects(&item.subjects)] {
        if !part.is_empty() {
            line.push(' ');
            line.push_str(part);
        }
    }
    let facts = match (item.kind, item.details.as_slice()) {
        (Kind::Open, details) => details.join("; "),
        (_, []) => item.title.to_owned(),
        (_, details) => format!("{}: {}", item.title, details.join("; ")),
    };
    line.push_str(": ");
    line.push_str(&facts);
    if let Some(place) = item.place {
        let _ = write!(line, " ({}:{}:{})", place.file, place.line, place.column);
    }
    line
}
