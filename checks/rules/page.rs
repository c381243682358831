//! The page of a rule, in the form in which checks carry theirs.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use super::file::Rule;
use crate::evidence::Need;

/// The name of a kind of observation.
fn word(need: Need) -> Option<String> {
    serde_json::to_value(need).ok()?.as_str().map(str::to_owned)
}

/// The page as the comment that a check's file begins with.
pub(super) fn source(rule: &Rule, needs: &BTreeSet<Need>) -> String {
    let mut page = format!(
        "# {}\n\nA rule that was loaded with `--rules`; it is no check of this program.\n",
        rule.title.value.trim()
    );
    if let Some(text) = &rule.page {
        // Writing to a string cannot fail.
        let _ = write!(page, "\n{}\n", text.trim_end());
    }
    page.push_str("\n## The rule\n");
    let parts =
        [("when", &rule.when), ("fails", &rule.fails), ("pass", &rule.pass), ("detail", &rule.detail)];
    for (name, expression) in parts {
        if let Some(expression) = expression {
            let indented = expression.value.trim_end().replace('\n', "\n    ");
            let _ = write!(page, "\n`{name}`:\n\n    {indented}\n");
        }
    }
    if !needs.is_empty() {
        let names: Vec<String> = needs.iter().filter_map(|need| word(*need)).collect();
        let _ = write!(page, "\nIt reads: {}.\n", names.join(", "));
    }
    let mut source = String::new();
    for line in page.lines() {
        let _ = writeln!(source, "//! {line}");
    }
    source
}
