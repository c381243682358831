//! YAML of a machine: bounded, because whoever writes a file there may let a few aliases stand for millions of values.

use serde_json::Value;
use serde_saphyr::Error;

/// Why a text is not read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Unread {
    /// It is no YAML.
    Broken(String),
    /// It is more than is read here; whoever it was written for may read it all the same.
    TooMuch(String),
}

/// Reads a text.
pub(super) fn read(text: &str) -> Result<Value, Unread> {
    let options = serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            max_events: 100_000,
            max_nodes: 50_000,
            max_depth: 64,
            flow_nesting_limit: 64,
            max_aliases: 1_000,
            max_anchors: 1_000,
            max_recorded_anchor_events: 50_000,
            max_recorded_anchor_bytes: 4 << 20,
        },
        alias_limits: serde_saphyr::alias_limits! {
            max_total_replayed_events: 10_000,
            max_replay_stack_depth: 16,
        },
        with_snippet: false,
    };
    // The words of the parser may quote the file: where it went wrong is enough.
    serde_saphyr::from_str_with_options(text, options).map_err(|error| {
        let place = match error.location() {
            Some(at) => format!(": line {}, column {}", at.line(), at.column()),
            None => String::new(),
        };
        let mut inner = error.without_snippet();
        // What goes wrong behind an alias is told with the place of both.
        while let Error::AliasError { error, .. } = inner {
            inner = error.without_snippet();
        }
        match inner {
            Error::Budget { .. }
            | Error::AliasReplayCounterOverflow { .. }
            | Error::AliasReplayLimitExceeded { .. }
            | Error::AliasExpansionLimitExceeded { .. }
            | Error::AliasReplayStackDepthExceeded { .. } => {
                Unread::TooMuch(format!("it has more values or aliases than are read here{place}"))
            }
            _ => Unread::Broken(format!("it is no YAML{place}")),
        }
    })
}

#[cfg(test)]
pub(super) mod tests {
    use std::fmt::Write as _;

    use super::*;

    /// Nine levels of nine aliases: 387 million values.
    pub(in crate::source::machine) fn bomb() -> String {
        let mut text = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n".to_owned();
        for level in 1..9 {
            let below = vec![format!("*a{}", level - 1); 9].join(", ");
            let _ = writeln!(text, "a{level}: &a{level} [{below}]");
        }
        text
    }

    #[test]
    fn aliases_are_read_until_they_are_too_many() {
        let few = read("a: &a {b: 1}\nc: [*a, *a]\n").expect("it is read");
        assert_eq!(few["c"][1]["b"], 1);
        assert!(matches!(read(&bomb()), Err(Unread::TooMuch(_))), "{:?}", read(&bomb()).err());
        let many = format!("a: &a 1\nb: [{}]\n", vec!["*a"; 200_000].join(", "));
        assert!(matches!(read(&many), Err(Unread::TooMuch(_))), "{:?}", read(&many).err());
        let deep = "[".repeat(100_000);
        assert!(read(&deep).is_err());
        let Err(Unread::Broken(words)) = read("a: [\n") else { panic!("it is no YAML") };
        assert!(words.starts_with("it is no YAML: line 1, "), "{words}");
    }
}
