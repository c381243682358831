//! The JSON document: public interface, versioned; its schema is `docs/report.schema.json`.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Serialize;

mod build;
mod excused;
mod finding;
mod gate;
mod results;
#[cfg(test)]
mod schema;
mod tolerated;

/// Raised when a field changes its meaning or goes; new fields do not raise it.
pub(crate) const FORMAT_VERSION: u32 = 1;

/// What `check -o json` prints: one document for every exit code.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct Document<'r> {
    /// 1. Raised when a field changes its meaning or goes; new fields may come at any time.
    pub(super) format_version: u32,
    /// The program that wrote this.
    pub(super) tool: Tool,
    /// The API server's time when the look began; null when nothing was seen.
    #[cfg_attr(test, schemars(with = "Option<String>", extend("format" = "date-time")))]
    pub(super) taken_at: Option<Timestamp>,
    /// The question that was asked: `check` (does the pipeline work), `before-install` or `gate`.
    #[cfg_attr(test, schemars(extend("enum" = ["check", "before-install", "gate", "host"])))]
    pub(super) mode: &'static str,
    /// From where the cluster was seen.
    pub(super) vantage: Vantage<'r>,
    /// The cluster.
    pub(super) cluster: Cluster<'r>,
    /// `pass`, `fail` or `undecided`; null when nothing could be decided, see `error`.
    #[cfg_attr(test, schemars(extend("enum" = ["pass", "fail", "undecided", null])))]
    pub(super) verdict: Option<&'static str>,
    /// The exit code of the program.
    #[cfg_attr(test, schemars(extend("enum" = [0, 1, 2, 3, 4, 5, 130])))]
    pub(super) exit_code: u8,
    /// What counts as a failure; null when nothing could be decided.
    pub(super) policy: Option<Policy>,
    /// Why nothing could be decided, or why the report is not whole; null otherwise.
    pub(super) error: Option<Error>,
    /// The links of the chain in their order, each with its state; empty when nothing could be decided.
    pub(super) chain: Vec<Link>,
    /// What to cure, the gravest first.
    pub(super) root_causes: Vec<RootCause<'r>>,
    /// Symptoms that no root cause explains.
    pub(super) unexplained: Vec<Unexplained<'r>>,
    /// Every check that applies, in the order of the chain.
    pub(super) checks: Vec<Check<'r>>,
    /// Every question that stays open, those that the verdict rests on first.
    pub(super) undecided: Vec<Open<'r>>,
    /// What the gate was asked about; null for other questions, and when nothing could be decided.
    pub(super) gate: Option<Gate>,
    /// What becomes of every autoscaler that the gate was asked about; empty for other questions.
    pub(super) hpas: Vec<Autoscaler<'r>>,
    /// Every waiver of the configuration; missing when there is none.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) waivers: Vec<Waiver<'r>>,
    /// What the baseline comes to; missing without one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) baseline: Option<Baseline<'r>>,
    /// What the look took.
    pub(super) requests: Requests,
}

pub(crate) use build::{document, without_evidence};
pub(super) use excused::why as why_not_counted;
pub(super) use finding::{Detail, Proof, Remedy, RootCause, Step, Subject, Symptom, Unexplained};
pub(super) use gate::{Autoscaler, Gate, MetricReason, MetricResult};
pub(super) use results::{Check, Group, Open, Permission};
pub(super) use tolerated::{Baseline, Excuse, Gone, Waiver};

/// The document as text that ends with a line break.
pub(crate) fn render(document: &Document<'_>) -> String {
    // A struct of strings, numbers and lists always has a JSON form.
    let mut text = serde_json::to_string_pretty(document).unwrap_or_else(|_| "{}".to_owned());
    text.push('\n');
    text
}

/// The program that wrote the document.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(super) struct Tool {
    /// `metrics-preflight`.
    pub(super) name: &'static str,
    /// Its version.
    pub(super) version: &'static str,
}

/// From where the cluster was seen, and as whom.
#[derive(Debug, Default, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(super) struct Vantage<'r> {
    /// The context of the kubeconfig.
    pub(super) context: Option<&'r str>,
    /// The address of the API server that answered.
    pub(super) server: Option<&'r str>,
    /// Who the API server took the caller for.
    pub(super) caller: Option<&'r str>,
    /// Whether every aggregated server lets the caller through without asking (`system:masters`).
    pub(super) system_masters: Option<bool>,
    /// Whether any kubelet answered; null when none was dialled.
    pub(super) kubelets_reached: Option<bool>,
    /// How many kubelets were dialled.
    pub(super) kubelets_dialled: usize,
    /// How many of them answered a TLS handshake.
    pub(super) kubelets_answered: usize,
    /// The local clock less the API server's, in seconds; null when the API server told no time.
    pub(super) clock_offset_s: Option<i64>,
    /// The machines that were looked at from within, or were to be.
    pub(super) hosts: Vec<Machine<'r>>,
    /// The Nodes whose machines were not looked at, where others were.
    pub(super) hosts_not_sampled: Vec<&'r str>,
    /// The nodes from which pods of `probe` looked, or were to.
    pub(super) probes: Vec<Probe<'r>>,
}

/// A node from which a pod of `probe` looked.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(super) struct Probe<'r> {
    /// The node.
    pub(super) node: &'r str,
    /// When it looked.
    pub(super) seen_at: String,
    /// Why what it saw was left out, or why it saw nothing; null where it counts.
    pub(super) left_out: Option<String>,
}

/// A machine that was looked at from within.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(super) struct Machine<'r> {
    /// What it is called.
    pub(super) name: &'r str,
    /// The Node that it is; null where it is none or no cluster was asked.
    pub(super) node: Option<&'r str>,
    /// When it was looked at.
    pub(super) seen_at: String,
    /// Why what was seen of it was left out, or why nothing was seen; null where it counts.
    pub(super) left_out: Option<String>,
    /// Whether root looked; null where that was not seen.
    pub(super) as_root: Option<bool>,
    /// The root file system that was read; empty for the machine's own.
    pub(super) root: Option<&'r str>,
    /// Its operating system.
    pub(super) system: Option<&'r str>,
    /// Its kernel.
    pub(super) kernel: Option<&'r str>,
    /// What SELinux does: `enforcing`, `permissive`, `disabled`, or `none` where the kernel has none; null where that was not
    /// seen.
    pub(super) selinux: Option<&'r str>,
}

/// The cluster.
#[derive(Debug, Default, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(super) struct Cluster<'r> {
    /// The API server's version, as it writes it.
    pub(super) version: Option<&'r str>,
    /// What installed the cluster, such as `kubeadm` or `k3s`; `unknown` when it could not be told.
    pub(super) distribution: Option<&'static str>,
}

/// What counts as a failure: the exit code follows from it.
#[derive(Clone, Copy, Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(super) struct Policy {
    /// The least severity that fails (`--fail-on`).
    #[cfg_attr(test, schemars(extend("enum" = ["info", "warning", "error"])))]
    pub(super) fail_on: &'static str,
    /// Whether every open question counts, not only the deciding ones (`--strict`).
    pub(super) strict: bool,
}

/// A link of the chain.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(super) struct Link {
    /// Its name.
    pub(super) hop: &'static str,
    /// What it is, for a person.
    pub(super) label: &'static str,
    /// `fail` and `warn` for findings, `symptom` for what another link brings about, `undecided` where a question
    /// that the verdict rests on is open, `pass`, `partly` where something else was not seen, or `not-seen`.
    #[cfg_attr(test, schemars(extend("enum" = ["pass", "fail", "warn", "symptom", "undecided", "partly", "not-seen"])))]
    pub(super) state: &'static str,
}

/// A place in a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct Place {
    /// The file, as it was named on the command line.
    pub(crate) file: String,
    /// The line, counted from 1.
    pub(crate) line: usize,
    /// The column, counted from 1.
    pub(crate) column: usize,
    /// The last line; missing for a place on one line.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) end_line: Option<usize>,
}

/// Why nothing could be decided.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct Error {
    /// `usage`, `configuration`, `input`, `unreachable`, `probe`, `interrupted`, `output` or `bug`.
    #[cfg_attr(test, schemars(extend("enum" = ["usage", "configuration", "input", "unreachable", "probe", "interrupted", "output", "bug"])))]
    pub(crate) kind: &'static str,
    /// What failed, and why.
    pub(crate) message: String,
    /// What to do about it.
    pub(crate) hint: Option<String>,
}

/// What the look took.
#[derive(Debug, Default, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(super) struct Requests {
    /// All of them.
    pub(super) count: usize,
    /// By kind: `api`, `anonymous-api`, `kubelet-handshake`, `kubelet-anonymous`, `dry-run`.
    pub(super) by_kind: BTreeMap<&'static str, usize>,
}
