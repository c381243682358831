//! The place of a fault, as it is shown.

use checks::evidence::{Manifests, Place};
use textwrap::core::display_width;

use crate::report::clean;

/// What a tab is shown as, so that what is below it stays below it.
const TAB: &str = "    ";

/// The line of a place with its number, and what is meant underlined; nothing where the file is not at hand. No line is
/// wider than `width`.
pub(crate) fn snippet(manifests: &Manifests, place: &Place, width: usize) -> Vec<String> {
    let Some(line) = manifests.files.get(&place.file).and_then(|lines| lines.get(place.line.checked_sub(1)?))
    else {
        return Vec::new();
    };
    let number = place.line.to_string();
    let room = width.saturating_sub(number.len() + 5).max(20);
    let characters: Vec<char> = line.chars().collect();
    let begin = place.column.saturating_sub(1).min(characters.len());
    let ends_here = place.end_line <= place.line;
    let end = if ends_here { place.end_column.saturating_sub(1) } else { characters.len() };
    let end = end.clamp(begin, characters.len());

    // A long line is shown from shortly before the place.
    let shown =
        |from: usize, to: usize| -> String { characters[from..to].iter().map(|c| visible(*c)).collect() };
    let too_wide = display_width(&shown(0, characters.len().min(4 * room))) > room;
    let from = if too_wide && display_width(&shown(0, begin.min(4 * room))) > room / 2 {
        begin.saturating_sub(room / 8)
    } else {
        0
    };
    let head = if from > 0 { "…" } else { "" };
    let mut text = head.to_owned();
    let mut marks = " ".repeat(display_width(head));
    for (index, character) in characters.iter().enumerate().skip(from) {
        let piece = visible(*character);
        let wide = display_width(&piece);
        if display_width(&text) + wide + 1 > room {
            text.push('…');
            break;
        }
        text.push_str(&piece);
        let mark = if (begin..end).contains(&index) { "^" } else { " " };
        marks.push_str(&mark.repeat(wide));
    }
    // A place between two characters, such as that of a value that is left out.
    if begin == end {
        let before = display_width(head) + display_width(&shown(from.min(begin), begin));
        marks = " ".repeat(before.min(room.saturating_sub(1))) + "^";
    }
    let gutter = " ".repeat(number.len());
    vec![format!("{number} | {text}").trim_end().to_owned(), format!("{gutter} | {}", marks.trim_end())]
}

/// A character as a terminal may have it.
fn visible(character: char) -> String {
    match character {
        '\t' => TAB.to_owned(),
        character => clean(character.encode_utf8(&mut [0; 4])).into_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn show(line: &str, column: usize, end_column: usize, width: usize) -> Vec<String> {
        let manifests = Manifests {
            files: BTreeMap::from([("a.yaml".to_owned(), vec![String::new(), line.to_owned()])]),
            ..Manifests::default()
        };
        let place = Place { file: "a.yaml".to_owned(), line: 2, column, end_line: 2, end_column };
        snippet(&manifests, &place, width)
    }

    #[test]
    fn what_is_meant_is_underlined() {
        assert_eq!(show("  name: memroy", 9, 15, 80), ["2 |   name: memroy", "  |         ^^^^^^"]);
        assert_eq!(show("  name:", 8, 8, 80), ["2 |   name:", "  |        ^"]);
    }

    #[test]
    fn wide_and_harmful_characters_keep_the_marks_below() {
        assert_eq!(show("名: \u{1b}x", 4, 6, 80), ["2 | 名: \\u{1b}x", "  |     ^^^^^^^"]);
        assert_eq!(show("\tname: x", 8, 9, 80), ["2 |     name: x", "  |           ^"]);
    }

    #[test]
    fn long_lines_are_cut_around_the_place() {
        let line = format!("{}{}{}", "a".repeat(500), "HERE", "b".repeat(500));
        let shown = show(&line, 501, 505, 60);
        let at = shown[1].find('^').expect("a mark");
        assert_eq!(shown[0].chars().skip(at).take(4).collect::<String>(), "HERE");
        assert!(shown.iter().all(|line| display_width(line) <= 60), "{shown:?}");
        assert!(shown[1].ends_with("^^^^") && shown[0].contains('…'));
        let shown = show(&line, 1, 1001, 60);
        assert!(shown.iter().all(|line| display_width(line) <= 60), "{shown:?}");
    }

    #[test]
    fn places_outside_of_the_file_show_what_there_is() {
        assert_eq!(show("ab", 9, 12, 80), ["2 | ab", "  |   ^"]);
        assert_eq!(show("", 1, 1, 80), ["2 |", "  | ^"]);
        assert!(
            snippet(
                &Manifests::default(),
                &Place { file: "b".to_owned(), line: 0, column: 0, end_line: 0, end_column: 0 },
                80
            )
            .is_empty()
        );
    }
}
