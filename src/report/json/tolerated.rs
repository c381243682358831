//! What the exit code does not count, and why: waivers and the baseline.

use serde::Serialize;

use super::{Place, Subject};

/// Why the exit code does not count a finding.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(in crate::report) struct Excuse<'r> {
    /// What has the fault.
    pub(in crate::report) subject: Subject<'r>,
    /// The waiver in force that names it: an index into `waivers`; null without one.
    pub(in crate::report) waiver: Option<usize>,
    /// Whether the baseline has it.
    pub(in crate::report) known: bool,
    /// The same as a sentence.
    pub(in crate::report) why: String,
}

/// A decision to live with a finding until a day.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(in crate::report) struct Waiver<'r> {
    /// The code of the check.
    pub(in crate::report) code: &'r str,
    /// The subject; a `*` at the end stands for any rest.
    pub(in crate::report) subject: &'r str,
    /// Why it may stay.
    pub(in crate::report) reason: &'r str,
    /// Who answers for it.
    pub(in crate::report) owner: &'r str,
    /// The last day on which it holds, in UTC.
    #[cfg_attr(test, schemars(extend("format" = "date")))]
    pub(in crate::report) expires: String,
    /// `in-force`; `unused` where it holds and what it names was not found; `expired` where it has no effect.
    #[cfg_attr(test, schemars(extend("enum" = ["in-force", "unused", "expired"])))]
    pub(in crate::report) state: &'static str,
    /// Where it is written.
    pub(in crate::report) place: Place,
}

/// What became of the findings of an earlier report.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(in crate::report) struct Baseline<'r> {
    /// How many findings of the baseline were found again.
    pub(in crate::report) known: usize,
    /// What the baseline has and this run did not find. It may be gone, or not have been seen.
    pub(in crate::report) gone: Vec<Gone<'r>>,
}

/// A finding of the baseline that was not found again.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(in crate::report) struct Gone<'r> {
    /// The code of the check.
    pub(in crate::report) code: &'r str,
    /// What it was about.
    pub(in crate::report) subject: Subject<'r>,
}
