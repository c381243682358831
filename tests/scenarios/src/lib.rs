//! Faults on a real cluster, what must be named for each, and the cure that must work.
//!
//! [`SCENARIOS`] holds what is expected; it is data, and the replay of the recordings reads it as well.
//! With the feature `run` the faults and the runner are there too.

mod autoscalers;
mod expect;
mod instances;
mod list;
mod machines;
mod probes;
mod verify;

#[cfg(feature = "run")]
pub mod run;

use autoscalers::AUTOSCALERS;
pub use expect::{Cure, Expect, Look, Mode, Scenario};
use instances::INSTANCES;
use list::CHAIN;
use machines::MACHINES;
use probes::PROBES;

/// Every scenario: those of the chain, those of autoscalers, those of several kube-apiservers, those of the machines
/// beneath, and those in which pods look.
pub const SCENARIOS: &[Scenario] = &joined();

const PARTS: [&[Scenario]; 5] = [CHAIN, &AUTOSCALERS, &INSTANCES, &MACHINES, &PROBES];

const COUNT: usize = CHAIN.len() + AUTOSCALERS.len() + INSTANCES.len() + MACHINES.len() + PROBES.len();

const fn joined() -> [Scenario; COUNT] {
    let mut all = [MACHINES[0]; COUNT];
    let (mut at, mut part) = (0, 0);
    while part < PARTS.len() {
        let mut of_part = 0;
        while of_part < PARTS[part].len() {
            all[at] = PARTS[part][of_part];
            at += 1;
            of_part += 1;
        }
        part += 1;
    }
    all
}
