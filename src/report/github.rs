//! Workflow commands of GitHub Actions: each becomes an annotation.
//!
//! <https://docs.github.com/actions/reference/workflow-commands-for-github-actions>

use std::fmt::Write as _;

use super::items::{Item, Kind, items, verdict};
use super::json::Document;
use super::text::clean;

/// One command a line; the verdict is the last one.
pub(crate) fn render(document: &Document<'_>) -> String {
    let mut text = String::new();
    for item in items(document).iter().filter(|item| item.kind != Kind::Open || item.fails) {
        command(&mut text, item);
    }
    // What ends with 1 has an annotation already; of the others this may be the only one.
    let level = if document.exit_code > 1 { "error" } else { "notice" };
    let _ = writeln!(text, "::{level} title=metrics-preflight::{}", data(&verdict(document)));
    text
}

fn command(text: &mut String, item: &Item<'_>) {
    let level = match item.severity {
        "error" => "error",
        "warning" => "warning",
        _ => "notice",
    };
    let _ = write!(text, "::{level} title={}", property(&item.heading()));
    if let Some(place) = item.place {
        let _ = write!(text, ",file={},line={}", property(&place.file), place.line);
        match place.end_line {
            // A column means nothing to GitHub where the lines differ.
            Some(end) => write!(text, ",endLine={end}"),
            None => write!(text, ",col={}", place.column),
        }
        .unwrap_or_default();
    }
    let mut message = item.sentence();
    if let Some(advice) = item.advice {
        let lead = if item.kind == Kind::Cause { "Fix: " } else { "" };
        let _ = write!(message, "\n{lead}{advice}");
    }
    if !item.code.is_empty() {
        let _ = write!(message, "\nmetrics-preflight explain {}", item.code);
    }
    let _ = writeln!(text, "::{}", data(&message));
}

/// The text of a message.
fn data(text: &str) -> String {
    clean(text).replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

/// The value of a property.
fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_ends_a_command_or_a_property_is_escaped() {
        assert_eq!(data("100%\n::error::x"), "100%25%0A::error::x");
        assert_eq!(data("%0A"), "%250A");
        assert_eq!(property("a,file=b::c"), "a%2Cfile=b%3A%3Ac");
        assert!(!data("a\rb").contains('\r'));
    }
}
