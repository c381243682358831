//! Faults on a real cluster, what must be named for each, and the cure that must work.
//!
//! [`SCENARIOS`] holds what is expected; it is data, and the replay of the recordings reads it as well.
//! With the feature `run` the faults and the runner are there too.

mod expect;
mod list;
mod verify;

#[cfg(feature = "run")]
pub mod run;

pub use expect::{Cure, Expect, Look, Mode, Scenario};
pub use list::SCENARIOS;
