//! What every check came to, and which questions stay open.

use serde::Serialize;

use super::Subject;

/// A check and its results.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(in crate::report) struct Check<'r> {
    /// Its code.
    pub(in crate::report) code: &'r str,
    /// Its name.
    pub(in crate::report) name: &'r str,
    /// One sentence that states the fault that it looks for.
    pub(in crate::report) title: &'r str,
    /// The link of the chain.
    pub(in crate::report) hop: &'static str,
    /// What a failure weighs.
    #[cfg_attr(test, schemars(extend("enum" = ["info", "warning", "error"])))]
    pub(in crate::report) severity: &'static str,
    /// The worst of its results: `panic`, `fail`, `undecided`, `pass` or `not-applicable`.
    #[cfg_attr(test, schemars(extend("enum" = ["panic", "fail", "undecided", "pass", "not-applicable"])))]
    pub(in crate::report) worst: &'static str,
    /// Its results, those with the same reason together.
    pub(in crate::report) groups: Vec<Group<'r>>,
    /// The message of the defect that cost the check its results; null otherwise.
    pub(in crate::report) panic: Option<&'r str>,
}

/// The subjects of a check with the same result for the same reason.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(in crate::report) struct Group<'r> {
    /// `fail`, `undecided`, `pass` or `not-applicable`.
    #[cfg_attr(test, schemars(extend("enum" = ["fail", "undecided", "pass", "not-applicable"])))]
    pub(in crate::report) result: &'static str,
    /// Why; null for what passed.
    pub(in crate::report) reason: Option<String>,
    /// What it is about.
    pub(in crate::report) subjects: Vec<Subject<'r>>,
}

/// A question that stays open.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(in crate::report) struct Open<'r> {
    /// The code of the check.
    pub(in crate::report) code: &'r str,
    /// Its name.
    pub(in crate::report) name: &'r str,
    /// What it is about.
    pub(in crate::report) subject: Subject<'r>,
    /// Why it is open.
    pub(in crate::report) reason: String,
    /// The kind of observation that is missing.
    pub(in crate::report) need: String,
    /// Whether the verdict rests on it.
    pub(in crate::report) deciding: bool,
    /// The permission that would decide it; null when no permission would.
    pub(in crate::report) permission: Option<Permission<'r>>,
    /// What would decide it, as a sentence; null when that is not known.
    pub(in crate::report) would_decide: Option<String>,
}

/// A permission of Kubernetes' RBAC.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(in crate::report) struct Permission<'r> {
    /// The verb.
    pub(in crate::report) verb: &'r str,
    /// The resource, as `resource.group` or `resource/subresource`.
    pub(in crate::report) resource: &'r str,
}
