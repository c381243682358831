//! A file of rules as it is written: YAML, with the place of each text.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_saphyr::Spanned;

use super::problem::Problem;

/// What `apiVersion` has to say.
pub const API_VERSION: &str = "metrics-preflight/v1alpha1";

/// A file of rules.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct File {
    pub(super) api_version: Spanned<String>,
    pub(super) rules: Vec<Rule>,
    #[serde(default)]
    pub(super) tests: Vec<Case>,
}

/// A rule.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct Rule {
    pub(super) code: Spanned<String>,
    pub(super) name: Spanned<String>,
    pub(super) title: Spanned<String>,
    pub(super) severity: Severity,
    pub(super) hop: Option<Hop>,
    pub(super) class: Option<Class>,
    pub(super) modes: Option<Spanned<Vec<Mode>>>,
    pub(super) for_each: Option<Each>,
    pub(super) when: Option<Spanned<String>>,
    pub(super) fails: Option<Spanned<String>>,
    pub(super) pass: Option<Spanned<String>>,
    pub(super) detail: Option<Spanned<String>>,
    pub(super) expected: Option<String>,
    pub(super) deciding: Option<bool>,
    #[serde(default)]
    pub(super) remedies: Vec<Remedy>,
    pub(super) page: Option<String>,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Severity {
    Error,
    Warning,
    Info,
}

#[derive(Clone, Copy, Debug, Deserialize)]
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
#[serde(rename_all = "kebab-case")]
pub(super) enum Class {
    Fault,
    Hazard,
}

#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Mode {
    Check,
    BeforeInstall,
}

/// What a rule looks at one by one.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub(super) enum Each {
    Cluster,
    Nodes,
    Pods,
    Endpoints,
    Hpas,
    AnonymousBindings,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct Remedy {
    pub(super) title: String,
    pub(super) audience: Option<Audience>,
    #[serde(default)]
    pub(super) cost: String,
    #[serde(default)]
    pub(super) steps: Vec<Step>,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Audience {
    Production,
    Lab,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct Step {
    pub(super) run_on: String,
    #[serde(default)]
    pub(super) command: String,
    #[serde(default)]
    pub(super) manual: String,
    #[serde(default)]
    pub(super) verify: String,
}

/// A case: evidence, and what the rules have to make of it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct Case {
    pub(super) name: Spanned<String>,
    pub(super) evidence: Option<Spanned<serde_json::Value>>,
    pub(super) recording: Option<Spanned<String>>,
    pub(super) expect: Spanned<BTreeMap<String, BTreeMap<String, Word>>>,
}

/// The result for one subject.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, PartialOrd, Ord)]
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

/// Reads a file. Anchors and aliases are not needed, and not taken.
pub(super) fn read(name: &str, text: &str) -> Result<File, Problem> {
    let options = serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            max_events: 50_000,
            max_nodes: 25_000,
            max_depth: 24,
            flow_nesting_limit: 24,
            max_aliases: 0,
            max_anchors: 0,
            max_documents: 1,
        },
        with_snippet: false,
    };
    serde_saphyr::from_str_with_options(text, options).map_err(|error| {
        let location = error.location();
        let message: String = error.without_snippet().to_string().chars().take(400).collect();
        let place = location.map(|location| (location.line(), location.column()));
        Problem::at(name, text, place, message.replace('\n', " "))
    })
}
