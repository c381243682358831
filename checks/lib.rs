//! The core of metrics-preflight: the evidence, the checks over it, and the diagnosis.
//!
//! Everything here is pure: no I/O, no clock, no environment. The shell in `src/` observes a
//! cluster or reads a recording and hands over an [`evidence::Evidence`]; [`diagnosis::diagnose`]
//! runs the checks of [`registry::CHECKS`] over it.

mod api_access;
mod authorization;
mod cert;
pub mod check;
pub mod diagnosis;
pub mod evidence;
pub mod filter;
mod front_proxy;
mod host;
mod hpa;
mod kubelet;
mod metrics;
mod net;
mod page;
pub mod plan;
pub mod policy;
mod probed;
mod refusal;
mod registration;
pub mod registry;
pub mod removed_flags;
pub mod rules;
mod service;
mod support;
mod workload;

pub use check::Context;

/// How often a metrics-server with these arguments scrapes, in seconds.
#[must_use]
pub fn scrape_interval_s(args: &[String]) -> i64 {
    support::resolution_s(args)
}
