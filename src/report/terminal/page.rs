//! A page of text: wraps, indents and colours. Whatever is put on it is made harmless first.

use std::fmt::Write as _;

use anstyle::{AnsiColor, Style};
use textwrap::{Options, WordSeparator, WordSplitter};

use crate::report::text::{clean, one_line};

/// What must be seen first.
pub(super) const STRONG: Style = Style::new().bold();
/// What is broken.
pub(super) const BAD: Style = AnsiColor::Red.on_default().bold();
/// What is dangerous, or open.
pub(super) const UNSURE: Style = AnsiColor::Yellow.on_default().bold();
/// What works.
pub(super) const GOOD: Style = AnsiColor::Green.on_default();
/// What may be skipped.
pub(super) const FAINT: Style = Style::new().dimmed();
/// What is to be copied.
pub(super) const COMMAND: Style = AnsiColor::Cyan.on_default();
/// Nothing special.
pub(super) const PLAIN: Style = Style::new();

/// A page that grows line by line.
pub(super) struct Page {
    width: usize,
    text: String,
}

impl Page {
    pub(super) fn new(width: usize) -> Self {
        Self { width: width.max(40), text: String::new() }
    }

    pub(super) fn width(&self) -> usize {
        self.width
    }

    pub(super) fn finish(self) -> String {
        self.text
    }

    /// An empty line; never two of them.
    pub(super) fn gap(&mut self) {
        if !self.text.is_empty() && !self.text.ends_with("\n\n") {
            self.text.push('\n');
        }
    }

    /// A paragraph, wrapped.
    pub(super) fn para(&mut self, indent: usize, text: &str) {
        self.lead(indent, indent, PLAIN, "", text);
    }

    /// A paragraph in one style.
    pub(super) fn styled(&mut self, indent: usize, style: Style, text: &str) {
        for line in self.wrap(indent, indent, &one_line(text)) {
            let (blank, words) = line.split_at(line.len() - line.trim_start().len());
            self.put(format_args!("{blank}{}", paint(style, words)));
        }
    }

    /// A paragraph that begins with a styled word and continues at the indentation `hang`.
    pub(super) fn lead(&mut self, indent: usize, hang: usize, style: Style, lead: &str, text: &str) {
        let lead = one_line(lead);
        let space = if lead.is_empty() { "" } else { " " };
        let whole = format!("{lead}{space}{}", one_line(text));
        for (index, line) in self.wrap(indent, hang, &whole).into_iter().enumerate() {
            let (blank, words) = line.split_at(line.len() - line.trim_start().len());
            match words.strip_prefix(&*lead) {
                Some(rest) if index == 0 => self.put(format_args!("{blank}{}{rest}", paint(style, &lead))),
                _ => self.put(format_args!("{line}")),
            }
        }
    }

    /// Something to be copied: on lines of its own, never wrapped.
    pub(super) fn verbatim(&mut self, indent: usize, text: &str) {
        for line in clean(text.trim_end_matches('\n')).lines() {
            if line.is_empty() {
                self.text.push('\n');
            } else {
                self.put(format_args!("{:indent$}{}", "", paint(COMMAND, line)));
            }
        }
    }

    fn wrap(&self, indent: usize, hang: usize, text: &str) -> Vec<String> {
        let (first, rest) = (" ".repeat(indent), " ".repeat(hang));
        let options = Options::new(self.width)
            .initial_indent(&first)
            .subsequent_indent(&rest)
            .break_words(false)
            .word_separator(WordSeparator::AsciiSpace)
            .word_splitter(WordSplitter::NoHyphenation);
        textwrap::wrap(text, options).into_iter().map(std::borrow::Cow::into_owned).collect()
    }

    fn put(&mut self, line: std::fmt::Arguments<'_>) {
        // Writing to a string cannot fail.
        let _ = writeln!(self.text, "{line}");
    }
}

fn paint(style: Style, text: &str) -> String {
    if style.is_plain() || text.is_empty() { text.to_owned() } else { format!("{style}{text}{style:#}") }
}
