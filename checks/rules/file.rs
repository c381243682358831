//! A file of rules as it is written: YAML, with the place of each text.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_saphyr::Spanned;

/// What `apiVersion` has to say.
pub const API_VERSION: &str = "metrics-preflight/v1alpha1";

/// A file of rules.
#[derive(Debug, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct File {
    /// The form of this file: `metrics-preflight/v1alpha1`.
    #[cfg_attr(test, schemars(with = "String"))]
    pub(super) api_version: Spanned<String>,
    /// The rules.
    pub(super) rules: Vec<Rule>,
    /// Cases that show what the rules do; `rules test` runs them.
    #[serde(default)]
    pub(super) tests: Vec<Case>,
}

/// A rule.
#[derive(Debug, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct Rule {
    /// The code that reports quote, such as `ORG-123`; `MP` is taken.
    #[cfg_attr(test, schemars(with = "String"))]
    pub(super) code: Spanned<String>,
    /// The name: words of small letters with dashes; it says the fault.
    #[cfg_attr(test, schemars(with = "String"))]
    pub(super) name: Spanned<String>,
    /// One sentence that states the fault as a fact.
    #[cfg_attr(test, schemars(with = "String"))]
    pub(super) title: Spanned<String>,
    /// What a failure weighs.
    pub(super) severity: Severity,
    /// The link of the chain that it belongs to; it follows from `forEach` when it is not given.
    pub(super) hop: Option<Hop>,
    /// `fault` for what is broken (the default), `hazard` for what works and is dangerous.
    pub(super) class: Option<Class>,
    /// When the rule applies; in `check` and `before-install` when it is not given.
    #[cfg_attr(test, schemars(with = "Option<Vec<Mode>>"))]
    pub(super) modes: Option<Spanned<Vec<Mode>>>,
    /// What the rule looks at one by one; the cluster as a whole when it is not given.
    pub(super) for_each: Option<Each>,
    /// A condition in CEL; where it is false the rule does not apply.
    #[cfg_attr(test, schemars(with = "Option<String>"))]
    pub(super) when: Option<Spanned<String>>,
    /// A condition in CEL; where it is true the rule has found something.
    #[cfg_attr(test, schemars(with = "Option<String>"))]
    pub(super) fails: Option<Spanned<String>>,
    /// The other way round: a condition in CEL that holds where all is well.
    #[cfg_attr(test, schemars(with = "Option<String>"))]
    pub(super) pass: Option<Spanned<String>>,
    /// A text in CEL with the facts of the subject.
    #[cfg_attr(test, schemars(with = "Option<String>"))]
    pub(super) detail: Option<Spanned<String>>,
    /// What reports show as expected beside what was seen.
    pub(super) expected: Option<String>,
    /// Whether the verdict is undecided while this is; by default for severity `error`.
    pub(super) deciding: Option<bool>,
    /// The cures, the first for production.
    #[serde(default)]
    pub(super) remedies: Vec<Remedy>,
    /// Markdown for `explain`.
    pub(super) page: Option<String>,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub(super) enum Severity {
    Error,
    Warning,
    Info,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub(super) enum Hop {
    Api,
    Registration,
    Service,
    Workload,
    ApiAccess,
    Kubelet,
    FrontProxy,
    Authorization,
    Metrics,
    Hpa,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub(super) enum Class {
    Fault,
    Hazard,
}

#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub(super) enum Mode {
    Check,
    BeforeInstall,
    Gate,
}

/// What a rule looks at one by one.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub(super) enum Each {
    Cluster,
    Nodes,
    Pods,
    Endpoints,
    Hpas,
    AnonymousBindings,
    Plans,
}

#[derive(Debug, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct Remedy {
    /// What it does.
    pub(super) title: String,
    /// Whom it is for; production when it is not given.
    pub(super) audience: Option<Audience>,
    /// What it costs.
    #[serde(default)]
    pub(super) cost: String,
    /// The steps, in order.
    #[serde(default)]
    pub(super) steps: Vec<Step>,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub(super) enum Audience {
    Production,
    Lab,
}

#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct Step {
    /// Where it runs, such as `workstation` or `node {name}`.
    pub(super) run_on: String,
    /// A script for `sh`; `{name}` and `{namespace}` are those of the subject, quoted.
    #[serde(default)]
    pub(super) command: String,
    /// What a person has to do where no command can.
    #[serde(default)]
    pub(super) manual: String,
    /// A command that shows whether it worked.
    #[serde(default)]
    pub(super) verify: String,
}

/// A case: evidence, and what the rules have to make of it.
#[derive(Debug, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct Case {
    /// What the case shows.
    #[cfg_attr(test, schemars(with = "String"))]
    pub(super) name: Spanned<String>,
    /// An excerpt of the evidence; what it leaves out was not seen.
    #[cfg_attr(test, schemars(with = "Option<serde_json::Value>"))]
    pub(super) evidence: Option<Spanned<serde_json::Value>>,
    /// The name of a recording, without a path.
    #[cfg_attr(test, schemars(with = "Option<String>"))]
    pub(super) recording: Option<Spanned<String>>,
    /// The results by subject, of each rule by its code or name.
    #[cfg_attr(test, schemars(with = "BTreeMap<String, BTreeMap<String, Word>>"))]
    pub(super) expect: Spanned<BTreeMap<String, BTreeMap<String, Word>>>,
}

/// The result for one subject.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, PartialOrd, Ord)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Word {
    /// Looked at, and fine.
    Pass,
    /// The rule found something.
    Fail,
    /// It could not be decided.
    Undecided,
    /// The question does not arise.
    NotApplicable,
}

impl Word {
    /// The word as a case writes it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Fail => "fail",
            Self::Undecided => "undecided",
            Self::NotApplicable => "not-applicable",
        }
    }
}

impl Rule {
    /// How long its expressions are.
    pub(super) fn length(&self) -> usize {
        let all = [&self.when, &self.fails, &self.pass, &self.detail];
        all.into_iter().flatten().map(|expression| expression.value.len()).sum()
    }
}
