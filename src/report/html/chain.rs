//! The chain as a picture: a card a link, in the order in which a request takes them.

use super::{state_mark, state_word};
use crate::report::json::Link;

/// How the cards are laid out.
#[derive(Clone, Copy)]
pub(super) struct Layout {
    name: &'static str,
    columns: usize,
    card: (usize, usize),
    gap: (usize, usize),
    /// How many characters of the label and of the state fit on a line.
    letters: (usize, usize),
    /// Where mark, label and state stand in a card.
    mark: (usize, usize),
    label: (usize, usize),
    state: (usize, usize),
}

/// Two rows, for a screen on a desk.
pub(super) const WIDE: Layout = Layout {
    name: "wide",
    columns: 5,
    card: (172, 136),
    gap: (25, 40),
    letters: (17, 22),
    mark: (27, 28),
    label: (14, 64),
    state: (14, 106),
};

/// One column, for a screen in a hand.
pub(super) const NARROW: Layout = Layout {
    name: "narrow",
    columns: 1,
    card: (341, 62),
    gap: (0, 16),
    letters: (40, 44),
    mark: (30, 31),
    label: (58, 27),
    state: (58, 46),
};

/// How far lines of text are apart.
const LINE: usize = 17;

/// What the template draws.
pub(super) struct Drawing<'d> {
    pub(super) name: &'static str,
    pub(super) width: usize,
    pub(super) height: usize,
    pub(super) cards: Vec<Card<'d>>,
    pub(super) arrows: Vec<String>,
}

/// A link of the chain.
pub(super) struct Card<'d> {
    pub(super) title: String,
    pub(super) state: &'d str,
    pub(super) mark: &'static str,
    pub(super) x: usize,
    pub(super) y: usize,
    pub(super) width: usize,
    pub(super) height: usize,
    pub(super) mark_at: (usize, usize),
    pub(super) label: Vec<Line>,
    pub(super) words: Vec<Line>,
}

/// A line of text at its place.
pub(super) struct Line {
    pub(super) x: usize,
    pub(super) y: usize,
    pub(super) text: String,
}

pub(super) fn draw(chain: &[Link], layout: Layout) -> Drawing<'_> {
    let rows = chain.len().div_ceil(layout.columns);
    let (width, height) = layout.card;
    let size = |count: usize, card: usize, gap: usize| (count * (card + gap)).saturating_sub(gap) + 4;
    Drawing {
        name: layout.name,
        width: size(layout.columns, width, layout.gap.0),
        height: size(rows, height, layout.gap.1),
        cards: chain.iter().enumerate().map(|(index, link)| card(index, link, layout)).collect(),
        arrows: (1..chain.len()).map(|index| arrow(index, layout)).collect(),
    }
}

/// The upper left corner of a card.
fn corner(index: usize, layout: Layout) -> (usize, usize) {
    let (column, row) = (index % layout.columns, index / layout.columns);
    (2 + column * (layout.card.0 + layout.gap.0), 2 + row * (layout.card.1 + layout.gap.1))
}

fn card(index: usize, link: &Link, layout: Layout) -> Card<'_> {
    let (x, y) = corner(index, layout);
    let lines = |(left, top): (usize, usize), text: &str, letters: usize| {
        let texts = wrap(text, letters).into_iter().enumerate();
        texts.map(|(line, text)| Line { x: x + left, y: y + top + line * LINE, text }).collect()
    };
    let word = state_word(link.state);
    Card {
        title: format!("{}: {word}", link.label),
        state: link.state,
        mark: state_mark(link.state),
        x,
        y,
        width: layout.card.0,
        height: layout.card.1,
        mark_at: (x + layout.mark.0, y + layout.mark.1),
        label: lines(layout.label, link.label, layout.letters.0),
        words: lines(layout.state, word, layout.letters.1),
    }
}

/// The path from the card before to this one: to the right, down, or back to the left on the next row.
fn arrow(index: usize, layout: Layout) -> String {
    let ((from_x, from_y), (to_x, to_y)) = (corner(index - 1, layout), corner(index, layout));
    let (width, height) = layout.card;
    if from_y == to_y {
        let y = from_y + height / 2;
        return format!("M{} {y}H{}", from_x + width + 2, to_x - 5);
    }
    let (from, to) = (from_x + width / 2, to_x + width / 2);
    let middle = from_y + height + layout.gap.1 / 2;
    format!("M{from} {}V{middle}H{to}V{}", from_y + height + 2, to_y - 5)
}

/// Breaks a text between words, and a long word before a capital letter.
fn wrap(text: &str, letters: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split(' ') {
        let mut word = word;
        while word.chars().count() > letters
            && let Some((cut, _)) =
                word.char_indices().take(letters).filter(|(at, char)| *at > 0 && char.is_uppercase()).last()
        {
            lines.push(word[..cut].to_owned());
            word = &word[cut..];
        }
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= letters => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use checks::check::Hop;

    use super::*;

    #[test]
    fn every_label_and_every_state_fits_its_card() {
        let states = ["pass", "fail", "warn", "symptom", "undecided", "partly", "not-seen"];
        for layout in [WIDE, NARROW] {
            for hop in Hop::ALL {
                for state in states {
                    let link = Link { hop: hop.name(), label: hop.label(), state };
                    let card = card(0, &link, layout);
                    for (lines, letters) in [(&card.label, layout.letters.0), (&card.words, layout.letters.1)]
                    {
                        assert!(lines.len() <= 2, "{}", card.title);
                        assert!(
                            lines.iter().all(|line| line.text.chars().count() <= letters),
                            "{}",
                            card.title
                        );
                        assert!(
                            lines.iter().all(|line| line.y <= card.y + card.height - 8),
                            "{}",
                            card.title
                        );
                    }
                    let last = card.label.iter().map(|line| line.y).max();
                    assert!(last < card.words.iter().map(|line| line.y).min(), "{}", card.title);
                }
            }
        }
    }
}
