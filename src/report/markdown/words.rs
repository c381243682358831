//! Text from the cluster in Markdown: it stays text.
//!
//! Whatever could mean something to a renderer (markup, HTML, a link, a mention of somebody, a reference to an issue)
//! becomes code. Backslashes would not do: mentions are found after the Markdown has been read.

use crate::report::text::{clean, one_line};

/// A sentence: plain words stay words, everything else becomes code. Code in backticks stays code.
pub(super) fn prose(text: &str) -> String {
    sentence(text, code)
}

/// A sentence within `<summary>`, where Markdown is not read.
pub(super) fn summary(text: &str) -> String {
    sentence(text, entities)
}

fn sentence(text: &str, code: fn(&str) -> String) -> String {
    let text = one_line(text);
    let parts: Vec<&str> = text.split('`').collect();
    if parts.len().is_multiple_of(2) {
        // A backtick without its fellow is no markup.
        return words(&text, code, true);
    }
    let mut sentence = String::new();
    for (index, part) in parts.iter().enumerate() {
        if index % 2 == 1 {
            sentence.push_str(&code(part));
        } else {
            sentence.push_str(&words(part, code, sentence.is_empty()));
        }
    }
    sentence
}

/// `first` when nothing stands before it, where a dash or a number begins a list.
fn words(text: &str, code: fn(&str) -> String, mut first: bool) -> String {
    // Four spaces at the beginning would make a block of code of it.
    let text = if first { text.trim_start_matches(' ') } else { text };
    let mut out: Vec<String> = Vec::new();
    let mut risky: Vec<&str> = Vec::new();
    for word in text.split(' ') {
        if is_plain(word, first) {
            out.extend(marked(&std::mem::take(&mut risky), code));
            out.push(word.to_owned());
        } else {
            risky.push(word);
        }
        first = first && word.is_empty();
    }
    out.extend(marked(&risky, code));
    out.join(" ")
}

/// Words as code, without the punctuation of the sentence around them.
fn marked(words: &[&str], code: fn(&str) -> String) -> Option<String> {
    let text = words.join(" ");
    let core = text.trim_end_matches(['.', ',', ';']);
    if text.is_empty() {
        return None;
    }
    Some(if core.is_empty() { code(&text) } else { code(core) + &text[core.len()..] })
}

fn is_plain(word: &str, first: bool) -> bool {
    if word.is_empty() || (matches!(word, "-" | "→" | "…") && !first) {
        return true;
    }
    let core =
        word.trim_start_matches(['(', '"', '\'']).trim_end_matches(['.', ',', ';', ':', '?', ')', '"', '\'']);
    let begins_well =
        core.starts_with(|char: char| if first { char.is_alphabetic() } else { char.is_alphanumeric() });
    let begins_well = begins_well && (!first || word.starts_with(char::is_alphabetic));
    let is_address = core.to_ascii_lowercase().contains("www.");
    let harmless =
        |char: char| char.is_alphanumeric() || matches!(char, '-' | '.' | ',' | '\'' | '…' | '(' | ')');
    begins_well && !is_address && core.chars().all(harmless)
}

/// Text as code.
pub(super) fn code(text: &str) -> String {
    let text = one_line(text);
    let blank = text.starts_with(' ') || text.ends_with(' ');
    if text.is_empty() {
        String::new()
    } else if blank || text.contains(['`', '|', '\\']) {
        // Neither a code span nor a table's cell can hold these in every place.
        entities(&text)
    } else {
        format!("`{text}`")
    }
}

fn entities(text: &str) -> String {
    use std::fmt::Write as _;
    let mut out = String::from("<code>");
    for char in one_line(text).chars() {
        if char.is_ascii_alphanumeric() || matches!(char, ' ' | '-' | '.' | ',') {
            out.push(char);
        } else {
            let _ = write!(out, "&#{};", u32::from(char));
        }
    }
    out.push_str("</code>");
    out
}

/// A script as a block, behind a fence that nothing in it ends.
pub(super) fn fenced(text: &str, language: &str) -> String {
    let text = clean(text.trim_end_matches(['\n', '\r']));
    let longest = text.split(|char| char != '`').map(str::len).max().unwrap_or(0);
    let fence = "`".repeat(longest.max(2) + 1);
    format!("{fence}{language}\n{text}\n{fence}\n\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_words_stay_words() {
        for text in ["The kubelet's certificate (of node1) has expired.", "It says: no, 3 times."] {
            assert_eq!(prose(text), text);
        }
        assert_eq!(prose("`get` on `pods/log` is missing"), "`get` on `pods/log` is missing");
        assert_eq!(prose("dial tcp 10.0.0.1:443: i/o timeout"), "dial tcp `10.0.0.1:443: i/o` timeout");
    }

    #[test]
    fn what_could_mean_something_becomes_code() {
        for (text, expected) in [
            ("ask @admin", "ask `@admin`"),
            ("see #1 now", "see `#1` now"),
            ("- item", "`-` item"),
            ("1. item", "`1`. item"),
            ("a, kubernetes.io/x, and b", "a, `kubernetes.io/x`, and b"),
            ("a <img> b", "a `<img>` b"),
            ("[a](b) *c*", "`[a](b) *c*`"),
            ("go to www.example.com", "go to `www.example.com`"),
            ("a|b", "<code>a&#124;b</code>"),
            ("a ` b", "a <code>&#96;</code> b"),
        ] {
            assert_eq!(prose(text), expected);
        }
        assert_eq!(summary("a <b>"), "a <code>&#60;b&#62;</code>");
        assert_eq!(fenced("a\n````\nb", "sh"), "`````sh\na\n````\nb\n`````\n\n");
    }
}
