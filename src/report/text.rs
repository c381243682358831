//! Text from the cluster, made harmless for a terminal.

use std::borrow::Cow;

/// Writes control characters, and characters that reorder or hide others, as escapes; line breaks
/// and tabs stay.
pub(crate) fn clean(text: &str) -> Cow<'_, str> {
    if !text.contains(is_harmful) {
        return Cow::Borrowed(text);
    }
    let mut clean = String::with_capacity(text.len() + 16);
    for char in text.chars() {
        if is_harmful(char) {
            clean.extend(char.escape_unicode());
        } else {
            clean.push(char);
        }
    }
    Cow::Owned(clean)
}

/// The same on one line.
pub(super) fn one_line(text: &str) -> Cow<'_, str> {
    if !text.contains(['\n', '\t']) {
        return clean(text);
    }
    Cow::Owned(clean(&text.split(['\n', '\t']).collect::<Vec<_>>().join(" ")).into_owned())
}

/// At most `limit` characters on one line; what is cut off is marked.
pub(super) fn excerpt(text: &str, limit: usize) -> String {
    let line = one_line(text);
    if line.chars().count() <= limit {
        return line.into_owned();
    }
    line.chars().take(limit.saturating_sub(1)).chain(['…']).collect()
}

fn is_harmful(char: char) -> bool {
    let breaks = matches!(char, '\n' | '\t');
    let reorders = matches!(char, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    let hides = matches!(
        char,
        '\u{ad}' | '\u{200b}'..='\u{200d}' | '\u{2028}' | '\u{2029}' | '\u{2060}'..='\u{2065}'
            | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e0fff}'
    );
    (char.is_control() && !breaks) || reorders || hides
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn harmful_characters_become_escapes() {
        assert_eq!(clean("node\u{1b}[31m1\r\n"), "node\\u{1b}[31m1\\u{d}\n");
        assert_eq!(clean("a\u{202e}b\u{200b}c\u{9b}d"), "a\\u{202e}b\\u{200b}c\\u{9b}d");
        assert_eq!(clean("Größe → 3 µs"), "Größe → 3 µs");
        assert_eq!(one_line("a\nb\u{7}"), "a b\\u{7}");
        assert_eq!(excerpt("abcdef", 4), "abc…");
    }
}
