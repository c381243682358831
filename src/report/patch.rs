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

/// How many lines around a change are shown. Another document, such as a Secret, has no part in it. `patch` takes a
/// hunk with less on one side for one at that end of the file, so where one side is cut short, the other is as well.
fn around(before: &[Row<'_>], after: &[Row<'_>]) -> (usize, usize) {
    // The separator itself tells nothing, and without any line around it a change could end up elsewhere.
    let own = |rows: &mut dyn Iterator<Item = &Row<'_>>| {
        let rows: Vec<bool> = rows.take(CONTEXT).map(|row| row.text.starts_with("---")).collect();
        rows.iter().position(|is_separator| *is_separator).map_or(rows.len(), |at| at + 1)
    };
    let (above, below) = (own(&mut before.iter().rev()), own(&mut after.iter()));
    let (is_cut_above, is_cut_below) = (above < CONTEXT.min(before.len()), below < CONTEXT.min(after.len()));
    (if is_cut_below { above.min(below) } else { above }, if is_cut_above { below.min(above) } else { below })
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
        let (before, after) = around(&rows[..first], &rows[last + 1..]);
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

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};
    use std::sync::atomic::{AtomicUsize, Ordering};

    use checks::check::{Finding, Subject};
    use serde_json::{Value, json};

    use super::super::testing;
    use super::*;
    use crate::manifest::read_text;

    const WEB: &str = "# The web.\napiVersion: apps/v1\nkind: Deployment\nmetadata:\n  name: web\nspec:\n  replicas: 2 # two\n  \
                       template:\n    spec:\n      containers:\n        - name: web\n          resources: {}\n        - name: \
                       log\n---\napiVersion: v1\nkind: Secret\nmetadata: {name: s}\n";

    /// The patch that makes these changes to the first document of a file.
    fn patch_of(file: &str, text: &str, changes: &[(&str, Option<Value>)]) -> Option<String> {
        let manifests = read_text(file, text).manifests;
        let mut cause = testing::gate().diagnosis.root_causes.remove(0);
        let mut finding = Finding::new(Subject::cluster(), "");
        for (pointer, value) in changes {
            finding = finding.change(&manifests.documents[0], *pointer, value.clone());
        }
        cause.findings = vec![finding];
        patches([&cause], &manifests).remove(0)
    }

    /// What `patch` makes of the text.
    fn patched(text: &str, patch: &str) -> String {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("metrics-preflight-patch-{}-{number}", std::process::id());
        let folder = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&folder).expect("a folder");
        std::fs::write(folder.join("a.yaml"), text).expect("a file");
        let mut child = Command::new("patch")
            .args(["-p0", "--fuzz=0"])
            .current_dir(&folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .expect("`patch` is installed");
        let mut input = child.stdin.take().expect("its input");
        std::io::Write::write_all(&mut input, patch.as_bytes()).expect("it reads");
        drop(input);
        assert!(child.wait().expect("it ends").success(), "{patch}");
        let result = std::fs::read_to_string(folder.join("a.yaml")).expect("the file");
        std::fs::remove_dir_all(&folder).expect("the folder goes");
        result
    }

    #[test]
    fn fields_are_written_added_and_removed() {
        let changes = [
            ("/spec/replicas", None),
            ("/spec/template/spec/containers/0/resources/requests/cpu", Some(json!("100m"))),
            ("/spec/template/spec/containers/1/resources/requests/cpu", Some(json!("100m"))),
            ("/metadata/name", Some(json!("true"))),
        ];
        let patch = patch_of("a.yaml", WEB, &changes).expect("a patch");
        let expected = WEB
            .replace("  replicas: 2 # two\n", "")
            .replace("resources: {}", "resources: {requests: {cpu: 100m}}")
            .replace(
                "name: log\n",
                "name: log\n          resources:\n            requests:\n              cpu: 100m\n",
            )
            .replace("  name: web\nspec", "  name: \"true\"\nspec");
        assert_eq!(patched(WEB, &patch), expected, "{patch}");
        assert!(!patch.contains("Secret") && !patch.contains("apiVersion: v1\n"), "{patch}");
    }

    #[test]
    fn an_open_end_is_kept_or_closed() {
        let text = "apiVersion: v1\nkind: Pod\nmetadata:\n  name: a";
        let patch = patch_of("a.yaml", text, &[("/metadata/name", Some(json!("b")))]).expect("a patch");
        assert_eq!(patched(text, &patch), "apiVersion: v1\nkind: Pod\nmetadata:\n  name: b\n");
        let patch = patch_of("a.yaml", text, &[("/metadata/namespace", Some(json!("b")))]).expect("a patch");
        assert_eq!(patched(text, &patch), format!("{text}\n  namespace: b\n"));
        let patch = patch_of("a.yaml", text, &[("/kind", Some(json!("b")))]).expect("a patch");
        assert_eq!(patched(text, &patch), text.replace("Pod", "b"));
    }

    #[test]
    fn what_is_not_certain_is_left_in_words() {
        let name = [("/metadata/name", Some(json!("b")))];
        let text = "apiVersion: v1\nkind: Pod\nmetadata:\n  name: a\n";
        assert!(patch_of("a.yaml", text, &name).is_some());
        // The file is not one, or its name would say something else in a patch.
        for file in ["-", "a\nb", "a\"b", " a", "a\\b", "a\u{1b}", "a\u{202e}", "/dev/null"] {
            assert_eq!(patch_of(file, text, &name), None, "{file:?}");
        }
        // Its bytes are not known, or are not for a terminal.
        for text in
            [text.replace('\n', "\r\n"), format!("\u{feff}{text}"), text.replace("a\n", "a # \u{202e}\n")]
        {
            assert_eq!(patch_of("a.yaml", &text, &name), None, "{text:?}");
        }
        // The change would reach further than it is meant to, or not at all.
        let anchored = "apiVersion: v1\nkind: Pod\nmetadata: &m\n  name: a\nspec: *m\n";
        assert_eq!(patch_of("a.yaml", anchored, &name), None);
        assert_eq!(patch_of("a.yaml", text, &[("/metadata/name/b", Some(json!("b")))]), None);
        // All of a cure, or nothing of it.
        assert_eq!(patch_of("a.yaml", text, &[("/kind", Some(json!("b"))), ("/spec", None)]), None);
    }
}
