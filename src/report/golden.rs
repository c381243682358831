//! Whole reports, compared with the ones that were read and found good.

use super::{terminal, testing};

fn plain(text: &str) -> String {
    anstream::adapter::strip_str(text).to_string()
}

#[test]
fn terminal_reports() {
    for (name, report) in testing::reports() {
        insta::assert_snapshot!(format!("terminal_{name}"), plain(&terminal::render(&report, 80)));
    }
}

#[test]
fn json_documents() {
    // The report with two hundred subjects is long, and holds nothing that the others do not.
    for (name, document) in testing::documents().into_iter().filter(|(name, _)| *name != "undecided") {
        let document = document.replace(concat!('"', env!("CARGO_PKG_VERSION"), '"'), "\"VERSION\"");
        insta::assert_snapshot!(format!("json_{name}"), document);
    }
}

#[test]
fn no_line_but_a_command_is_longer_than_the_terminal() {
    for (name, report) in testing::reports() {
        let commands: Vec<&str> = report
            .diagnosis
            .root_causes
            .iter()
            .flat_map(|cause| &cause.remedies)
            .flat_map(|remedy| &remedy.steps)
            .flat_map(|step| step.command.lines())
            .collect();
        for line in plain(&terminal::render(&report, 60)).lines() {
            let fits = line.chars().count() <= 60;
            assert!(fits || commands.contains(&line.trim()), "{name}: {line}");
        }
    }
}

#[test]
fn only_our_own_escapes_reach_the_terminal() {
    let coloured = terminal::render(&testing::hostile(), 80);
    let plain = plain(&coloured);
    let harmful = |text: &str| text.chars().any(|char| char.is_control() && char != '\n');
    assert!(!harmful(&plain));
    for sequence in coloured.split('\u{1b}').skip(1) {
        let (code, _) = sequence.split_once('m').expect("an SGR sequence");
        assert!(
            code.starts_with('[') && code[1..].bytes().all(|b| b.is_ascii_digit() || b == b';'),
            "{code:?}"
        );
    }
}

#[test]
fn glyphs_tell_the_states_apart_without_colour() {
    let plain = plain(&terminal::render(&testing::broken(), 80));
    for mark in ["✓", "✗", "~", "!", "·"] {
        assert!(plain.contains(mark), "{mark}");
    }
}
