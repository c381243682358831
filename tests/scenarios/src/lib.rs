//! Faults on a real cluster, what must be named for each, and the cure that must work.
//!
//! [`SCENARIOS`] holds what is expected; it is data, and the replay of the recordings reads it as well.
//! With the feature `run` the faults and the runner are there too.

mod expect;
mod list;
mod machines;
mod probes;
mod verify;

#[cfg(feature = "run")]
pub mod run;

pub use expect::{Cure, Expect, Look, Mode, Scenario};
use list::CHAIN;
use machines::MACHINES;
use probes::PROBES;

/// Every scenario: those of the chain, those of the machines beneath, and those in which pods look.
pub const SCENARIOS: &[Scenario] = &joined();

const fn joined() -> [Scenario; CHAIN.len() + MACHINES.len() + PROBES.len()] {
    let mut all = [MACHINES[0]; CHAIN.len() + MACHINES.len() + PROBES.len()];
    let mut at = 0;
    while at < all.len() {
        all[at] = if at < CHAIN.len() {
            CHAIN[at]
        } else if at < CHAIN.len() + MACHINES.len() {
            MACHINES[at - CHAIN.len()]
        } else {
            PROBES[at - CHAIN.len() - MACHINES.len()]
        };
        at += 1;
    }
    all
}
