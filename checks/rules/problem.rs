//! What is wrong with a file of rules, with its place.

use std::ops::Range;

use serde_saphyr::Spanned;

/// Something in a file of rules that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// `FILE:LINE:COLUMN`, or the file alone.
    pub place: String,
    /// What is wrong.
    pub message: String,
    /// The line, and below it what is meant.
    pub snippet: Option<String>,
    /// What to write instead.
    pub hint: Option<String>,
}

impl std::fmt::Display for Problem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.place, self.message)?;
        if let Some(hint) = &self.hint {
            write!(f, "; {hint}")?;
        }
        if let Some(snippet) = &self.snippet {
            write!(f, "\n{snippet}")?;
        }
        Ok(())
    }
}

/// How much of a line is shown.
const WIDEST: usize = 160;

impl Problem {
    /// A problem of a file as a whole.
    #[must_use]
    pub fn of_file(file: &str, message: impl Into<String>) -> Self {
        Self { place: file.to_owned(), message: message.into(), snippet: None, hint: None }
    }

    /// A problem at a line and a column, both from 1.
    #[must_use]
    pub fn at(file: &str, text: &str, place: Option<(u64, u64)>, message: impl Into<String>) -> Self {
        let Some((line, column)) = place.filter(|(line, _)| *line > 0) else {
            return Self::of_file(file, message);
        };
        Self {
            place: format!("{file}:{line}:{column}"),
            message: message.into(),
            snippet: line_of(text, line).map(|shown| draw(shown, column, 1)),
            hint: None,
        }
    }

    /// A problem of a value.
    #[must_use]
    pub fn of<T>(file: &str, text: &str, value: &Spanned<T>, message: impl Into<String>) -> Self {
        let place = value.referenced;
        Self::at(file, text, Some((place.line(), place.column())), message)
    }

    /// A problem within a text, at this range of its bytes.
    pub(super) fn within(
        file: &str,
        text: &str,
        value: &Spanned<String>,
        at: &Range<usize>,
        message: impl Into<String>,
    ) -> Self {
        let message = message.into();
        let Some((line, column)) = locate(text, value, at.start) else {
            // The text was folded or written with escapes: the place of the whole, and the part in words.
            let mut problem = Self::of(file, text, value, message);
            let part = value.value.get(at.clone()).unwrap_or_default();
            if !part.is_empty() {
                problem.snippet = Some(format!("| {}", part.chars().take(WIDEST).collect::<String>()));
            }
            return problem;
        };
        let width =
            value.value.get(at.clone()).map_or(1, |part| part.lines().next().unwrap_or("").chars().count());
        let snippet = line_of(text, line).map(|shown| draw(shown, column, width));
        Self { snippet, ..Self::at(file, text, Some((line, column)), message) }
    }

    /// With what to write instead.
    #[must_use]
    pub fn hint(mut self, hint: Option<String>) -> Self {
        self.hint = hint;
        self
    }
}

fn line_of(text: &str, line: u64) -> Option<&str> {
    text.lines().nth(usize::try_from(line).ok()?.checked_sub(1)?)
}

/// The line and column of a byte of a value, where the file has the value's line as it is.
fn locate(text: &str, value: &Spanned<String>, byte: usize) -> Option<(u64, u64)> {
    let before = value.value.get(..byte)?;
    let row = before.matches('\n').count();
    let line_start = before.rfind('\n').map_or(0, |index| index + 1);
    let wanted = value.value.lines().nth(row)?;
    let first = usize::try_from(value.referenced.line()).ok()?.checked_sub(1)?;
    // A block begins on the line after its `|`.
    for (index, line) in text.lines().enumerate().skip(first + row).take(2) {
        let from = if index == first {
            let column = usize::try_from(value.referenced.column()).ok()?.saturating_sub(1);
            line.char_indices().nth(column).map_or(line.len(), |(index, _)| index)
        } else {
            0
        };
        if let Some(found) = line.get(from..).and_then(|rest| rest.find(wanted)) {
            let column =
                line[..from + found].chars().count() + value.value[line_start..byte].chars().count() + 1;
            return Some((u64::try_from(index + 1).ok()?, u64::try_from(column).ok()?));
        }
    }
    None
}

/// The line, and marks below the part that is meant.
fn draw(line: &str, column: u64, width: usize) -> String {
    let column = usize::try_from(column).unwrap_or(1).max(1) - 1;
    let plain: Vec<char> = line.chars().map(|char| if char == '\t' { ' ' } else { char }).collect();
    let from = column.saturating_sub(WIDEST / 2);
    let shown: String = plain.iter().skip(from).take(WIDEST).collect();
    let marks = width.clamp(1, plain.len().saturating_sub(column).clamp(1, WIDEST));
    format!("| {}\n| {}{}", shown.trim_end(), " ".repeat(column - from), "^".repeat(marks))
}
