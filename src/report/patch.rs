//! The cures of manifests as patches: what `patch -p0` takes.

use std::fmt::Write as _;

use checks::check::Edit;
use checks::diagnosis::RootCause;
use checks::evidence::{Manifests, Odd};

use super::clean;
use crate::manifest::{Change, Draft, Line};

/// So many bytes of manifests are read anew to see what came of changes; what is beyond stays in words.
const READ: usize = 32 << 20;
/// So many lines stand around a change.
const CONTEXT: usize = 3;

/// The patch of each of these root causes, nothing where its cure is no certain change of a file. A change that an
/// earlier one makes is not made twice.
pub(crate) fn patches<'r>(
    causes: impl IntoIterator<Item = &'r RootCause>,
    manifests: &Manifests,
) -> Vec<Option<String>> {
    let mut made: Vec<&Edit> = Vec::new();
    let mut left = READ;
    causes.into_iter().map(|cause| patch(cause, manifests, &mut made, &mut left)).collect()
}

fn patch<'r>(
    cause: &'r RootCause,
    manifests: &Manifests,
    made: &mut Vec<&'r Edit>,
    left: &mut usize,
) -> Option<String> {
    let mut drafts: Vec<(&str, Draft)> = Vec::new();
    for finding in cause.findings.iter().filter(|finding| !finding.edits.is_empty()) {
        let edits: Vec<&Edit> = finding.edits.iter().filter(|edit| !made.contains(edit)).collect();
        let Some(file) = finding.edits.first().map(|edit| edit.document.file.as_str()) else { continue };
        // A cure in more than one file at a time is no single patch of one.
        if edits.is_empty() || !can_patch(file, manifests) || edits.iter().any(|it| it.document.file != file)
        {
            continue;
        }
        let bytes: usize = manifests.files[file].iter().map(String::len).sum();
        let Some(rest) = left.checked_sub(bytes.saturating_mul(edits.len() + 1)) else { continue };
        *left = rest;
        if !drafts.iter().any(|(name, _)| *name == file) {
            drafts.extend(Draft::new(manifests, file).map(|draft| (file, draft)));
        }
        let Some((_, draft)) = drafts.iter_mut().find(|(name, _)| *name == file) else { continue };
        let change = |edit: &&'r Edit| -> Option<Change<'r>> {
            Some((draft.document(&edit.document)?, &edit.pointer, edit.value.as_ref()))
        };
        let changes: Option<Vec<Change<'_>>> = edits.iter().map(change).collect();
        if changes.is_some_and(|changes| draft.apply(&changes)) {
            made.extend(edits);
        }
    }
    let text: String = drafts
        .iter()
        .map(|(file, draft)| {
            diff(file, &manifests.files[*file], draft.lines(), manifests.odd.get(*file).copied())
        })
        .collect();
    // What a terminal must not see would not be the patch any more.
    (!text.is_empty() && clean(&text) == text).then_some(text)
}

/// Whether a patch can name this file, and knows its bytes.
fn can_patch(file: &str, manifests: &Manifests) -> bool {
    let is_plain = !file.contains(|c: char| c.is_control() || matches!(c, '"' | '\\')) && file.trim() == file;
    is_plain
        && !matches!(file, "" | "-" | "/dev/null")
        && manifests.files.contains_key(file)
        && manifests.odd.get(file) != Some(&Odd::Other)
}

/// One line of the output.
struct Row<'t> {
    sign: char,
    text: &'t str,
    /// Whether the text ends with it and without a line feed.
    is_open: bool,
}

fn rows<'t>(old: &'t [String], new: &'t [Line], odd: Option<Odd>) -> Vec<Row<'t>> {
    let mut rows = Vec::new();
    let mut next = 0;
    let is_open = |index: usize| odd == Some(Odd::OpenEnd) && index + 1 == old.len();
    let gone = |index: usize| Row { sign: '-', text: &old[index], is_open: is_open(index) };
    let fresh = |text| Row { sign: '+', text, is_open: false };
    for (at, (origin, text)) in new.iter().enumerate() {
        match origin {
            Some(index) => {
                rows.extend((next..*index).map(gone));
                // The end of the text moves away from this line, and so the line changes.
                if is_open(*index) && at + 1 < new.len() {
                    rows.extend([gone(*index), fresh(text)]);
                } else {
                    rows.push(Row { sign: ' ', text, is_open: is_open(*index) });
                }
                next = index + 1;
            }
            None => rows.push(fresh(text)),
        }
    }
    rows.extend((next..old.len()).map(gone));
    // What goes comes before what takes its place.
    for block in rows.chunk_by_mut(|one, other| one.sign != ' ' && other.sign != ' ') {
        block.sort_by_key(|row| row.sign == '+');
    }
    rows
}

/// The difference as `diff -u` writes it; empty where there is none.
fn diff(file: &str, old: &[String], new: &[Line], odd: Option<Odd>) -> String {
    let rows = rows(old, new, odd);
    let changed: Vec<usize> =
        rows.iter().enumerate().filter(|(_, row)| row.sign != ' ').map(|(index, _)| index).collect();
    if changed.is_empty() {
        return String::new();
    }
    // Behind a name with a blank in it, a tab says where it ends.
    let name = if file.contains(' ') { format!("{file}\t") } else { file.to_owned() };
    let mut text = format!("--- {name}\n+++ {name}\n");
    for group in changed.chunk_by(|one, other| other - one <= 2 * CONTEXT) {
        let (first, last) = (group[0], group[group.len() - 1]);
        // Another document, such as a Secret, has no part in it.
        let is_inside = |row: &&Row<'_>| !row.text.starts_with("---");
        let before = rows[..first].iter().rev().take(CONTEXT).take_while(is_inside).count();
        let after = rows[last + 1..].iter().take(CONTEXT).take_while(is_inside).count();
        let count = |rows: &[Row<'_>], sign| rows.iter().filter(|row| row.sign != sign).count();
        let (from, to) = (first - before, last + after + 1);
        let range = |sign| {
            let (start, length) = (count(&rows[..from], sign), count(&rows[from..to], sign));
            format!("{},{length}", if length == 0 { start } else { start + 1 })
        };
        let _ = writeln!(text, "@@ -{} +{} @@", range('+'), range('-'));
        for row in &rows[from..to] {
            let _ = writeln!(text, "{}{}", row.sign, row.text);
            if row.is_open {
                text.push_str("\\ No newline at end of file\n");
            }
        }
    }
    text
}
