//! The JSON document: public interface, versioned; its schema is `docs/report.schema.json`.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Serialize;

use super::Report;
use crate::exit::Exit;

mod build;
#[cfg(test)]
mod schema;

/// Raised when a field changes its meaning or goes; new fields do not raise it.
pub(crate) const FORMAT_VERSION: u32 = 1;

/// What `check -o json` prints: one document for every exit code.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct Document<'r> {
    /// 1. Raised when a field changes its meaning or goes; new fields may come at any time.
    format_version: u32,
    /// The program that wrote this.
    tool: Tool,
    /// The API server's time when the look began; null when nothing was seen.
    #[cfg_attr(test, schemars(with = "Option<String>", extend("format" = "date-time")))]
    taken_at: Option<Timestamp>,
    /// The question that was asked: `check` (does the pipeline work), `before-install` or `gate`.
    #[cfg_attr(test, schemars(extend("enum" = ["check", "before-install", "gate"])))]
    mode: &'static str,
    /// From where the cluster was seen.
    vantage: Vantage<'r>,
    /// The cluster.
    cluster: Cluster<'r>,
    /// `pass`, `fail` or `undecided`; null when nothing could be decided, see `error`.
    #[cfg_attr(test, schemars(extend("enum" = ["pass", "fail", "undecided", null])))]
    verdict: Option<&'static str>,
    /// The exit code of the program.
    #[cfg_attr(test, schemars(extend("enum" = [0, 1, 2, 3, 4, 5, 130])))]
    exit_code: u8,
    /// Why nothing could be decided, or why the report is not whole; null otherwise.
    error: Option<Error>,
    /// What to cure, the gravest first.
    root_causes: Vec<RootCause<'r>>,
    /// Symptoms that no root cause explains.
    unexplained: Vec<Unexplained<'r>>,
    /// Every check that applies, in the order of the chain.
    checks: Vec<Check<'r>>,
    /// Every question that stays open, those that the verdict rests on first.
    undecided: Vec<Open<'r>>,
    /// What becomes of every autoscaler that the gate was asked about; empty for other questions.
    hpas: Vec<Autoscaler<'r>>,
    /// What the look took.
    requests: Requests,
}

/// The document of a report, as text that ends with a line break.
pub(crate) fn render(report: &Report, error: Option<&Error>) -> String {
    text(&build::document(report, error))
}

/// The document of a run that decided nothing.
pub(crate) fn render_error(mode: &'static str, exit: Exit, error: &Error) -> String {
    text(&build::without_evidence(mode, exit, error))
}

fn text(document: &impl Serialize) -> String {
    // A struct of strings, numbers and lists always has a JSON form.
    let mut text = serde_json::to_string_pretty(document).unwrap_or_else(|_| "{}".to_owned());
    text.push('\n');
    text
}

/// The program that wrote the document.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct Tool {
    /// `metrics-preflight`.
    name: &'static str,
    /// Its version.
    version: &'static str,
}

/// From where the cluster was seen, and as whom.
#[derive(Debug, Default, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct Vantage<'r> {
    /// The context of the kubeconfig.
    context: Option<&'r str>,
    /// The address of the API server that answered.
    server: Option<&'r str>,
    /// Who the API server took the caller for.
    caller: Option<&'r str>,
    /// Whether every aggregated server lets the caller through without asking (`system:masters`).
    system_masters: Option<bool>,
    /// Whether any kubelet answered; null when none was dialled.
    kubelets_reached: Option<bool>,
    /// How many kubelets were dialled.
    kubelets_dialled: usize,
    /// How many of them answered a TLS handshake.
    kubelets_answered: usize,
    /// The local clock less the API server's, in seconds; null when the API server told no time.
    clock_offset_s: Option<i64>,
}

/// The cluster.
#[derive(Debug, Default, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct Cluster<'r> {
    /// The API server's version, as it writes it.
    version: Option<&'r str>,
    /// What installed the cluster, such as `kubeadm` or `k3s`; `unknown` when it could not be told.
    distribution: Option<&'static str>,
}

/// Why nothing could be decided.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct Error {
    /// `usage`, `configuration`, `input`, `unreachable`, `interrupted`, `output` or `bug`.
    #[cfg_attr(test, schemars(extend("enum" = ["usage", "configuration", "input", "unreachable", "interrupted", "output", "bug"])))]
    pub(crate) kind: &'static str,
    /// What failed, and why.
    pub(crate) message: String,
    /// What to do about it.
    pub(crate) hint: Option<String>,
}

/// A fault to cure.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct RootCause<'r> {
    /// The code of the check; it never changes its meaning.
    code: &'r str,
    /// The name of the check.
    name: &'r str,
    /// `error` or `warning`.
    #[cfg_attr(test, schemars(extend("enum" = ["info", "warning", "error"])))]
    severity: &'static str,
    /// `fault` for what is broken, `hazard` for what is dangerous.
    #[cfg_attr(test, schemars(extend("enum" = ["fault", "hazard"])))]
    class: &'static str,
    /// `certain`, or `likely` when the evidence leaves room for the `candidates`.
    #[cfg_attr(test, schemars(extend("enum" = ["certain", "likely"])))]
    certainty: &'static str,
    /// The names of the checks that could name the cause instead.
    candidates: &'r [&'static str],
    /// One sentence that states the fault.
    title: &'r str,
    /// The link of the chain.
    hop: &'static str,
    /// What has the fault.
    subjects: Vec<Subject<'r>>,
    /// The facts, subject by subject.
    details: Vec<Detail<'r>>,
    /// The proof.
    evidence: Vec<Proof<'r>>,
    /// The symptoms that it brings about.
    explains: Vec<Symptom<'r>>,
    /// The command that decides between the candidates.
    decide: Option<Step<'r>>,
    /// The cures, the first for production.
    remedies: Vec<Remedy<'r>>,
}

/// Something in the cluster.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct Subject<'r> {
    /// Its kind, such as `Node` or `Cluster`.
    kind: &'r str,
    /// Its namespace; null for what has none.
    namespace: Option<&'r str>,
    /// Its name.
    name: &'r str,
}

/// The facts about one subject.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct Detail<'r> {
    /// What has the fault.
    subject: Subject<'r>,
    /// One sentence.
    detail: &'r str,
}

/// A place in an answer that proves something.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct Proof<'r> {
    /// The request whose answer it is; null for what no request can show.
    request: Option<&'r str>,
    /// The field, log line or property of a certificate.
    path: &'r str,
    /// What it held.
    value: &'r str,
    /// What it should have held.
    expected: &'r str,
    /// When the answer came.
    #[cfg_attr(test, schemars(with = "Option<String>", extend("format" = "date-time")))]
    seen_at: Option<Timestamp>,
    /// Where it stands in a manifest; null for what a request has shown.
    place: Option<Place<'r>>,
}

/// A place in a file; lines and columns count from 1.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct Place<'r> {
    /// The file as it was given; `-` is standard input.
    file: &'r str,
    /// The line on which it begins.
    line: usize,
    /// The column at which it begins, in characters.
    column: usize,
    /// The line on which it ends.
    end_line: usize,
    /// The column behind its last character.
    end_column: usize,
}

/// A symptom that has an explanation.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct Symptom<'r> {
    /// The code of the check that saw it.
    code: &'r str,
    /// Its name.
    name: &'r str,
    /// What it is about.
    subject: Subject<'r>,
    /// One sentence with the facts.
    detail: &'r str,
}

/// A symptom that no root cause explains.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct Unexplained<'r> {
    /// The code of the check that saw it.
    code: &'r str,
    /// Its name.
    name: &'r str,
    /// What it weighs.
    #[cfg_attr(test, schemars(extend("enum" = ["info", "warning", "error"])))]
    severity: &'static str,
    /// One sentence that states the symptom.
    title: &'r str,
    /// The link of the chain.
    hop: &'static str,
    /// What it is about.
    subject: Subject<'r>,
    /// One sentence with the facts.
    detail: &'r str,
    /// The proof.
    evidence: Vec<Proof<'r>>,
    /// The names of the undecided checks that could explain it.
    could_be: &'r [&'static str],
}

/// One way to cure a fault.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct Remedy<'r> {
    /// What it does.
    title: &'r str,
    /// `production`, or `lab` for what no production cluster should do.
    #[cfg_attr(test, schemars(extend("enum" = ["production", "lab"])))]
    audience: &'static str,
    /// What it costs; empty when it costs nothing.
    cost: &'r str,
    /// The names of the checks that still warn afterwards.
    leaves: &'r [&'static str],
    /// The steps, in order.
    steps: Vec<Step<'r>>,
}

/// A step of a remedy.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct Step<'r> {
    /// Where it runs: `workstation`, `node NAME`, `every node`, `every control-plane host`, or another place in words.
    run_on: &'r str,
    /// A script for `sh`; empty for a step that a person has to do.
    command: &'r str,
    /// What a person has to do where no command can; empty otherwise.
    manual: &'r str,
    /// A command that shows whether the step worked; empty when the next step shows it.
    verify: &'r str,
}

/// A check and its results.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct Check<'r> {
    /// Its code.
    code: &'r str,
    /// Its name.
    name: &'r str,
    /// The link of the chain.
    hop: &'static str,
    /// What a failure weighs.
    #[cfg_attr(test, schemars(extend("enum" = ["info", "warning", "error"])))]
    severity: &'static str,
    /// The worst of its results: `panic`, `fail`, `undecided`, `pass` or `not-applicable`.
    #[cfg_attr(test, schemars(extend("enum" = ["panic", "fail", "undecided", "pass", "not-applicable"])))]
    worst: &'static str,
    /// Its results, those with the same reason together.
    groups: Vec<Group<'r>>,
    /// The message of the defect that cost the check its results; null otherwise.
    panic: Option<&'r str>,
}

/// The subjects of a check with the same result for the same reason.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct Group<'r> {
    /// `fail`, `undecided`, `pass` or `not-applicable`.
    #[cfg_attr(test, schemars(extend("enum" = ["fail", "undecided", "pass", "not-applicable"])))]
    result: &'static str,
    /// Why; null for what passed.
    reason: Option<String>,
    /// What it is about.
    subjects: Vec<Subject<'r>>,
}

/// A question that stays open.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct Open<'r> {
    /// The code of the check.
    code: &'r str,
    /// Its name.
    name: &'r str,
    /// What it is about.
    subject: Subject<'r>,
    /// Why it is open.
    reason: String,
    /// The kind of observation that is missing.
    need: String,
    /// Whether the verdict rests on it.
    deciding: bool,
    /// The permission that would decide it; null when no permission would.
    permission: Option<Permission<'r>>,
    /// What would decide it, as a sentence; null when that is not known.
    would_decide: Option<String>,
}

/// A permission of Kubernetes' RBAC.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct Permission<'r> {
    /// The verb.
    verb: &'r str,
    /// The resource, as `resource.group` or `resource/subresource`.
    resource: &'r str,
}

/// What becomes of an autoscaler.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct Autoscaler<'r> {
    /// The autoscaler.
    subject: Subject<'r>,
    /// The file of its manifest; null for one that is in the cluster only.
    file: Option<&'r str>,
    /// The line on which it begins there.
    line: Option<usize>,
    /// The worst of its metrics: `pass`, `deferred`, `undecided` or `fail`.
    #[cfg_attr(test, schemars(extend("enum" = ["pass", "deferred", "undecided", "fail"])))]
    verdict: &'static str,
    /// Its metrics, in their order.
    metrics: Vec<MetricResult<'r>>,
}

/// What becomes of a metric.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct MetricResult<'r> {
    /// Its place among the autoscaler's metrics, from 0.
    index: usize,
    /// Its type, such as `Resource`.
    #[serde(rename = "type")]
    kind: &'static str,
    /// Its name, such as `cpu`.
    name: &'r str,
    /// Whether the HPA controller will read it: `pass`; `deferred` when only the deploy can show it; `undecided` when
    /// something that decides it was not seen; `fail`.
    #[cfg_attr(test, schemars(extend("enum" = ["pass", "deferred", "undecided", "fail"])))]
    verdict: &'static str,
    /// What keeps it from being read, or from being known.
    reasons: Vec<MetricReason<'r>>,
}

/// Why a metric will not be read, or why that is not known.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct MetricReason<'r> {
    /// The code of the check.
    code: &'r str,
    /// Its name.
    name: &'r str,
    /// What it says.
    detail: &'r str,
}

/// What the look took.
#[derive(Debug, Default, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
struct Requests {
    /// All of them.
    count: usize,
    /// By kind: `api`, `anonymous-api`, `kubelet-handshake`, `kubelet-anonymous`.
    by_kind: BTreeMap<&'static str, usize>,
}
