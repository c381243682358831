//! The laws that hold for every check, tested over all of them at once: on the recordings of the real cluster, and on
//! what is left of each when parts of it are hidden.
//!
//! What is printed when a law fails names the recording, the check, the subject and what was hidden. Then a check is
//! wrong, never the law: "could not look" has become "fine", or a proof proves nothing.

mod dice;
mod edited;
mod order;
mod pages;
mod proof;
mod refused;
mod rules;
mod shape;
mod world;

use std::fmt::Write as _;

/// Fails with a list of everything that breaks a law, the first of them in full.
fn assert_none(law: &str, broken: &[String]) {
    let mut text = String::new();
    for line in broken.iter().take(40) {
        let _ = writeln!(text, "  {line}");
    }
    assert!(broken.is_empty(), "{law}; broken {} times:\n{text}", broken.len());
}
