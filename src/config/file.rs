//! The configuration file as it is written.
//!
//! It may come with a stranger's change. It can name no kubeconfig, no context, no credential and no file that is
//! written, so there are no keys for them.

use serde::Deserialize;
use serde_saphyr::Spanned;

/// `metrics-preflight.yaml`. A flag goes before the environment, and the environment before this file.
#[derive(Debug, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct File {
    /// The form of this file: 1.
    #[cfg_attr(test, schemars(with = "u32", extend("const" = 1)))]
    pub(super) version: Spanned<u32>,
    /// The least severity that fails.
    pub(super) fail_on: Option<FailOn>,
    /// Whether every open question leaves the verdict undecided.
    pub(super) strict: Option<bool>,
    /// Whether to exit with 0 instead of 3 when the verdict is undecided.
    pub(super) allow_undecided: Option<bool>,
    /// Whether `check` dials the kubelets.
    pub(super) kubelets: Option<Kubelets>,
    /// The only namespace whose autoscalers `check` looks at; where manifests of a `gate` go that name none.
    #[cfg_attr(test, schemars(with = "Option<String>"))]
    pub(super) namespace: Option<Spanned<String>>,
    /// The version of Kubernetes that the manifests of a `gate` are for, and that `host` and `check` hold the flags on machines
    /// against, in quotes, such as "1.34".
    #[cfg_attr(test, schemars(with = "Option<String>"))]
    pub(super) target_version: Option<Spanned<String>>,
    /// Files of rules, and directories of them, in or below the directory of this file.
    #[serde(default)]
    #[cfg_attr(test, schemars(with = "Vec<String>"))]
    pub(super) rules: Vec<Spanned<String>>,
    /// Findings that do not count until a day.
    #[serde(default)]
    pub(super) waivers: Vec<Waiver>,
}

/// A finding that somebody has decided to live with for a while. Reports show it all the same.
#[derive(Debug, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct Waiver {
    /// The code of the check, such as `MP501`.
    #[cfg_attr(test, schemars(with = "String"))]
    pub(super) code: Spanned<String>,
    /// What the finding is about, as reports print it: `Node node1`, `Service kube-system/metrics-server`, `cluster`.
    /// A `*` at the end stands for any rest.
    #[cfg_attr(test, schemars(with = "String"))]
    pub(super) subject: Spanned<String>,
    /// Why it may stay.
    #[cfg_attr(test, schemars(with = "String"))]
    pub(super) reason: Spanned<String>,
    /// Who answers for it.
    #[cfg_attr(test, schemars(with = "String"))]
    pub(super) owner: Spanned<String>,
    /// The last day on which it holds, in UTC.
    #[cfg_attr(test, schemars(with = "String", extend("format" = "date")))]
    pub(super) expires: Spanned<String>,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub(super) enum FailOn {
    Error,
    Warning,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub(super) enum Kubelets {
    Auto,
    Always,
    Never,
}
