//! HPAs as people deploy them, and what the HPA controller of a real cluster does with each.
//!
//! [`cases`] reads `cases/*.yaml`, [`Oracle::read`] reads `oracle.json`: for every metric of every HPA whether the
//! controller could read it. With the feature `run` the runner is there too, which asks the controller.

mod case;
mod oracle;

#[cfg(feature = "run")]
pub mod run;

pub use case::{Case, State, Value, cases};
pub use oracle::{Condition, Hpa, Metric, Oracle, Outcome, Versions, metric_name};

use std::path::Path;

/// This crate's folder: the cases and the oracle.
#[must_use]
pub fn folder() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}
