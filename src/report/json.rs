//! The JSON document: public interface, versioned; its schema is `docs/report.schema.json`.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Serialize;

mod build;
mod excused;
#[cfg(test)]
mod schema;

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
    /// The machines that were looked at from within.
    pub(super) hosts: Vec<Machine<'r>>,
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
    /// Whether root looked; null where that was not seen.
    pub(super) as_root: Option<bool>,
    /// The root file system that was read; empty for the machine's own.
    pub(super) root: Option<&'r str>,
    /// Its operating system.
    pub(super) system: Option<&'r str>,
    /// Its kernel.
    pub(super) kernel: Option<&'r str>,
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

/// A fault to cure.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(super) struct RootCause<'r> {
    /// The code of the check; it never changes its meaning.
    pub(super) code: &'r str,
    /// The name of the check.
    pub(super) name: &'r str,
    /// `error` or `warning`.
    #[cfg_attr(test, schemars(extend("enum" = ["info", "warning", "error"])))]
    pub(super) severity: &'static str,
    /// `fault` for what is broken, `hazard` for what is dangerous.
    #[cfg_attr(test, schemars(extend("enum" = ["fault", "hazard"])))]
    pub(super) class: &'static str,
    /// `certain`, or `likely` when the evidence leaves room for the `candidates`.
    #[cfg_attr(test, schemars(extend("enum" = ["certain", "likely"])))]
    pub(super) certainty: &'static str,
    /// The names of the checks that could name the cause instead.
    pub(super) candidates: &'r [&'static str],
    /// One sentence that states the fault.
    pub(super) title: &'r str,
    /// The link of the chain.
    pub(super) hop: &'static str,
    /// What has the fault.
    pub(super) subjects: Vec<Subject<'r>>,
    /// The subjects that the exit code does not count, and why; missing when it counts all of them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) excused: Vec<Excuse<'r>>,
    /// The facts, subject by subject.
    pub(super) details: Vec<Detail<'r>>,
    /// The proof.
    pub(super) evidence: Vec<Proof<'r>>,
    /// The symptoms that it brings about.
    pub(super) explains: Vec<Symptom<'r>>,
    /// The command that decides between the candidates.
    pub(super) decide: Option<Step<'r>>,
    /// The cures, the first for production.
    pub(super) remedies: Vec<Remedy<'r>>,
    /// The change of the manifests that cures it, for `patch -p0`; null where that is not certain.
    pub(super) patch: Option<String>,
}

/// Something in the cluster.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(super) struct Subject<'r> {
    /// Its kind, such as `Node` or `Cluster`.
    pub(super) kind: &'r str,
    /// Its namespace; null for what has none.
    pub(super) namespace: Option<&'r str>,
    /// Its name.
    pub(super) name: &'r str,
}

/// The facts about one subject.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[expect(clippy::struct_field_names, reason = "the names are those of the document")]
pub(super) struct Detail<'r> {
    /// What has the fault.
    pub(super) subject: Subject<'r>,
    /// One sentence.
    pub(super) detail: &'r str,
    /// Where it stands in a file; missing for what was seen in the cluster alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) place: Option<Place>,
}

/// A place in an answer that proves something.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(super) struct Proof<'r> {
    /// The request whose answer it is; null for what no request can show.
    pub(super) request: Option<&'r str>,
    /// The field, log line or property of a certificate.
    pub(super) path: &'r str,
    /// What it held.
    pub(super) value: &'r str,
    /// What it should have held.
    pub(super) expected: &'r str,
    /// When the answer came.
    #[cfg_attr(test, schemars(with = "Option<String>", extend("format" = "date-time")))]
    pub(super) seen_at: Option<Timestamp>,
    /// Where it stands in a manifest; null for what a request has shown.
    pub(super) place: Option<Place>,
}

/// A symptom that has an explanation.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(super) struct Symptom<'r> {
    /// The code of the check that saw it.
    pub(super) code: &'r str,
    /// Its name.
    pub(super) name: &'r str,
    /// What it is about.
    pub(super) subject: Subject<'r>,
    /// One sentence with the facts.
    pub(super) detail: &'r str,
}

/// A symptom that no root cause explains.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(super) struct Unexplained<'r> {
    /// The code of the check that saw it.
    pub(super) code: &'r str,
    /// Its name.
    pub(super) name: &'r str,
    /// What it weighs.
    #[cfg_attr(test, schemars(extend("enum" = ["info", "warning", "error"])))]
    pub(super) severity: &'static str,
    /// One sentence that states the symptom.
    pub(super) title: &'r str,
    /// The link of the chain.
    pub(super) hop: &'static str,
    /// What it is about.
    pub(super) subject: Subject<'r>,
    /// One sentence with the facts.
    pub(super) detail: &'r str,
    /// Where it stands in a file; missing for what was seen in the cluster alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) place: Option<Place>,
    /// The proof.
    pub(super) evidence: Vec<Proof<'r>>,
    /// Why the exit code does not count it; missing when it does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) excused: Option<Excuse<'r>>,
    /// The names of the undecided checks that could explain it.
    pub(super) could_be: &'r [&'static str],
}

/// Why the exit code does not count a finding.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(super) struct Excuse<'r> {
    /// What has the fault.
    pub(super) subject: Subject<'r>,
    /// The waiver in force that names it: an index into `waivers`; null without one.
    pub(super) waiver: Option<usize>,
    /// Whether the baseline has it.
    pub(super) known: bool,
    /// The same as a sentence.
    pub(super) why: String,
}

/// A decision to live with a finding until a day.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(super) struct Waiver<'r> {
    /// The code of the check.
    pub(super) code: &'r str,
    /// The subject; a `*` at the end stands for any rest.
    pub(super) subject: &'r str,
    /// Why it may stay.
    pub(super) reason: &'r str,
    /// Who answers for it.
    pub(super) owner: &'r str,
    /// The last day on which it holds, in UTC.
    #[cfg_attr(test, schemars(extend("format" = "date")))]
    pub(super) expires: String,
    /// `in-force`; `unused` where it holds and what it names was not found; `expired` where it has no effect.
    #[cfg_attr(test, schemars(extend("enum" = ["in-force", "unused", "expired"])))]
    pub(super) state: &'static str,
    /// Where it is written.
    pub(super) place: Place,
}

/// What became of the findings of an earlier report.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(super) struct Baseline<'r> {
    /// How many findings of the baseline were found again.
    pub(super) known: usize,
    /// What the baseline has and this run did not find. It may be gone, or not have been seen.
    pub(super) gone: Vec<Gone<'r>>,
}

/// A finding of the baseline that was not found again.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(super) struct Gone<'r> {
    /// The code of the check.
    pub(super) code: &'r str,
    /// What it was about.
    pub(super) subject: Subject<'r>,
}

/// One way to cure a fault.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(super) struct Remedy<'r> {
    /// What it does.
    pub(super) title: &'r str,
    /// `production`, or `lab` for what no production cluster should do.
    #[cfg_attr(test, schemars(extend("enum" = ["production", "lab"])))]
    pub(super) audience: &'static str,
    /// What it costs; empty when it costs nothing.
    pub(super) cost: &'r str,
    /// The names of the checks that still warn afterwards.
    pub(super) leaves: &'r [&'static str],
    /// The steps, in order.
    pub(super) steps: Vec<Step<'r>>,
}

/// A step of a remedy.
#[derive(Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(super) struct Step<'r> {
    /// Where it runs: `workstation`, `node NAME`, `every node`, `every control-plane host`, or another place in words.
    pub(super) run_on: &'r str,
    /// A script for `sh`; empty for a step that a person has to do.
    pub(super) command: &'r str,
    /// What a person has to do where no command can; empty otherwise.
    pub(super) manual: &'r str,
    /// A command that shows whether the step worked; empty when the next step shows it.
    pub(super) verify: &'r str,
}

/// A check and its results.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(super) struct Check<'r> {
    /// Its code.
    pub(super) code: &'r str,
    /// Its name.
    pub(super) name: &'r str,
    /// One sentence that states the fault that it looks for.
    pub(super) title: &'r str,
    /// The link of the chain.
    pub(super) hop: &'static str,
    /// What a failure weighs.
    #[cfg_attr(test, schemars(extend("enum" = ["info", "warning", "error"])))]
    pub(super) severity: &'static str,
    /// The worst of its results: `panic`, `fail`, `undecided`, `pass` or `not-applicable`.
    #[cfg_attr(test, schemars(extend("enum" = ["panic", "fail", "undecided", "pass", "not-applicable"])))]
    pub(super) worst: &'static str,
    /// Its results, those with the same reason together.
    pub(super) groups: Vec<Group<'r>>,
    /// The message of the defect that cost the check its results; null otherwise.
    pub(super) panic: Option<&'r str>,
}

/// The subjects of a check with the same result for the same reason.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(super) struct Group<'r> {
    /// `fail`, `undecided`, `pass` or `not-applicable`.
    #[cfg_attr(test, schemars(extend("enum" = ["fail", "undecided", "pass", "not-applicable"])))]
    pub(super) result: &'static str,
    /// Why; null for what passed.
    pub(super) reason: Option<String>,
    /// What it is about.
    pub(super) subjects: Vec<Subject<'r>>,
}

/// A question that stays open.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(super) struct Open<'r> {
    /// The code of the check.
    pub(super) code: &'r str,
    /// Its name.
    pub(super) name: &'r str,
    /// What it is about.
    pub(super) subject: Subject<'r>,
    /// Why it is open.
    pub(super) reason: String,
    /// The kind of observation that is missing.
    pub(super) need: String,
    /// Whether the verdict rests on it.
    pub(super) deciding: bool,
    /// The permission that would decide it; null when no permission would.
    pub(super) permission: Option<Permission<'r>>,
    /// What would decide it, as a sentence; null when that is not known.
    pub(super) would_decide: Option<String>,
}

/// A permission of Kubernetes' RBAC.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(super) struct Permission<'r> {
    /// The verb.
    pub(super) verb: &'r str,
    /// The resource, as `resource.group` or `resource/subresource`.
    pub(super) resource: &'r str,
}

/// What the gate was asked about.
#[derive(Clone, Copy, Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(super) struct Gate {
    /// Whether no cluster was asked.
    pub(super) offline: bool,
    /// How many objects the manifests hold.
    pub(super) objects: usize,
    /// The minor version of Kubernetes 1 that the manifests are for; null for that of the cluster.
    pub(super) target_minor: Option<u32>,
    /// Whether the metrics pipeline was looked at too, as it is where a metric needs it.
    pub(super) pipeline: bool,
}

/// What becomes of an autoscaler.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(super) struct Autoscaler<'r> {
    /// The autoscaler.
    pub(super) subject: Subject<'r>,
    /// The file of its manifest; null for one that is in the cluster only.
    pub(super) file: Option<&'r str>,
    /// The line on which it begins there.
    pub(super) line: Option<usize>,
    /// The worst of its metrics: `pass`, `deferred`, `undecided` or `fail`.
    #[cfg_attr(test, schemars(extend("enum" = ["pass", "deferred", "undecided", "fail"])))]
    pub(super) verdict: &'static str,
    /// Its metrics, in their order.
    pub(super) metrics: Vec<MetricResult<'r>>,
}

/// What becomes of a metric.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(super) struct MetricResult<'r> {
    /// Its place among the autoscaler's metrics, from 0.
    pub(super) index: usize,
    /// Its type, such as `Resource`.
    #[serde(rename = "type")]
    pub(super) kind: &'static str,
    /// Its name, such as `cpu`.
    pub(super) name: &'r str,
    /// Whether the HPA controller will read it: `pass`; `deferred` when only the deploy can show it; `undecided` when
    /// something that decides it was not seen; `fail`.
    #[cfg_attr(test, schemars(extend("enum" = ["pass", "deferred", "undecided", "fail"])))]
    pub(super) verdict: &'static str,
    /// What keeps it from being read, or from being known.
    pub(super) reasons: Vec<MetricReason<'r>>,
}

/// Why a metric will not be read, or why that is not known.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(super) struct MetricReason<'r> {
    /// The code of the check.
    pub(super) code: &'r str,
    /// Its name.
    pub(super) name: &'r str,
    /// What it says.
    pub(super) detail: &'r str,
    /// Why the exit code does not count it; missing when it does. The controller does not read the metric all the same.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) excused: Option<Excuse<'r>>,
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
