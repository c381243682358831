//! A file cut into pieces that are read one by one, so that a fault in one costs no other.

use serde::de::IgnoredAny;

use super::tree::At;

/// A part of a file that holds a document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Piece<'t> {
    pub(super) text: &'t str,
    /// Where it begins in its file.
    pub(super) start: At,
}

/// Cuts a file as kubectl does: at lines of `---` with nothing but a comment behind it, and between JSON documents that
/// follow one another.
pub(super) fn pieces(text: &str) -> Vec<Piece<'_>> {
    let mut pieces = Vec::new();
    let (mut begin, mut start) = (0, At { line: 1, column: 1 });
    let mut offset = 0;
    for (index, line) in raw_lines(text).enumerate() {
        let next = offset + line.len();
        if is_separator(line) {
            push(&mut pieces, &text[begin..offset], start);
            (begin, start) = (next, At { line: index + 2, column: 1 });
        }
        offset = next;
    }
    push(&mut pieces, &text[begin..], start);
    pieces
}

/// The lines of a text without their ends.
pub(super) fn lines(text: &str) -> impl Iterator<Item = &str> {
    raw_lines(text).map(|line| line.trim_end_matches(['\r', '\n']))
}

/// The lines of a text with their ends, which are those of YAML: LF, CR LF or CR.
fn raw_lines(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let end = match rest.find(['\r', '\n']) {
            Some(at) if rest[at..].starts_with("\r\n") => at + 2,
            Some(at) => at + 1,
            None => rest.len(),
        };
        let (line, after) = rest.split_at(end);
        rest = after;
        Some(line)
    })
}

fn is_separator(line: &str) -> bool {
    let rest = line.strip_prefix("---").map(str::trim);
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('#'))
}

fn push<'t>(pieces: &mut Vec<Piece<'t>>, text: &'t str, start: At) {
    let says_nothing = |line: &str| line.trim().is_empty() || line.starts_with(['#', '%']);
    if lines(text).all(says_nothing) {
        return;
    }
    // Files with a byte order mark that were put behind one another.
    let (text, start) = match text.strip_prefix('\u{feff}') {
        Some(rest) => (rest, At { column: start.column + 1, ..start }),
        None => (text, start),
    };
    let mut ends = json_ends(text);
    if ends.len() < 2 {
        pieces.push(Piece { text, start });
        return;
    }
    // What is behind the last whole document belongs to it: it is a fault, and is told.
    ends.pop();
    let (mut begin, mut at) = (0, start);
    for end in ends {
        pieces.push(Piece { text: &text[begin..end], start: at });
        at = advance(at, &text[begin..end]);
        begin = end;
    }
    pieces.push(Piece { text: &text[begin..], start: at });
}

/// Where the JSON documents of a text end; none for what is no JSON.
fn json_ends(text: &str) -> Vec<usize> {
    if !text.trim_start().starts_with('{') {
        return Vec::new();
    }
    let mut stream = serde_json::Deserializer::from_str(text).into_iter::<IgnoredAny>();
    let mut ends = Vec::new();
    while let Some(Ok(IgnoredAny)) = stream.next() {
        ends.push(stream.byte_offset());
    }
    ends
}

fn advance(from: At, over: &str) -> At {
    let mut at = from;
    for line in raw_lines(over) {
        if line.ends_with(['\r', '\n']) {
            at = At { line: at.line + 1, column: 1 };
        } else {
            at.column += line.chars().count();
        }
    }
    at
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut(text: &str) -> Vec<(&str, usize, usize)> {
        pieces(text).into_iter().map(|piece| (piece.text, piece.start.line, piece.start.column)).collect()
    }

    #[test]
    fn documents_are_cut_where_kubectl_cuts_them() {
        assert_eq!(cut("a: 1\n---\nb: 2\n"), [("a: 1\n", 1, 1), ("b: 2\n", 3, 1)]);
        assert_eq!(cut("---\r\na: 1\r\n--- # two\r\nb: 2"), [("a: 1\r\n", 2, 1), ("b: 2", 4, 1)]);
        assert_eq!(cut("%YAML 1.2\n---\na: 1\n---\n# nothing\n\n---\n"), [("a: 1\n", 3, 1)]);
        assert_eq!(cut("a: |\n  ---\n  b\n"), [("a: |\n  ---\n  b\n", 1, 1)]);
        assert_eq!(cut("--- {a: 1}\n"), [("--- {a: 1}\n", 1, 1)]);
        assert_eq!(cut(""), []);
    }

    #[test]
    fn json_documents_may_follow_one_another() {
        assert_eq!(
            cut("{\"a\":1}\n{\"b\":2} {}\n"),
            [("{\"a\":1}", 1, 1), ("\n{\"b\":2}", 1, 8), (" {}\n", 2, 8)]
        );
        assert_eq!(cut("{\"a\":1} x\n"), [("{\"a\":1} x\n", 1, 1)]);
    }

    #[test]
    fn lines_end_as_in_yaml() {
        assert_eq!(lines("a\nb\r\nc\rd\n\ne").collect::<Vec<_>>(), ["a", "b", "c", "d", "", "e"]);
    }
}
