//! Root causes and symptoms, with their proof and their cures.

use jiff::Timestamp;
use serde::Serialize;

use super::{Excuse, Place};

/// A fault to cure.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(in crate::report) struct RootCause<'r> {
    /// The code of the check; it never changes its meaning.
    pub(in crate::report) code: &'r str,
    /// The name of the check.
    pub(in crate::report) name: &'r str,
    /// `error` or `warning`.
    #[cfg_attr(test, schemars(extend("enum" = ["info", "warning", "error"])))]
    pub(in crate::report) severity: &'static str,
    /// `fault` for what is broken, `hazard` for what is dangerous.
    #[cfg_attr(test, schemars(extend("enum" = ["fault", "hazard"])))]
    pub(in crate::report) class: &'static str,
    /// `certain`, or `likely` when the evidence leaves room for the `candidates`.
    #[cfg_attr(test, schemars(extend("enum" = ["certain", "likely"])))]
    pub(in crate::report) certainty: &'static str,
    /// The names of the checks that could name the cause instead.
    pub(in crate::report) candidates: &'r [&'static str],
    /// One sentence that states the fault.
    pub(in crate::report) title: &'r str,
    /// The link of the chain.
    pub(in crate::report) hop: &'static str,
    /// What has the fault.
    pub(in crate::report) subjects: Vec<Subject<'r>>,
    /// The subjects that the exit code does not count, and why; missing when it counts all of them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(in crate::report) excused: Vec<Excuse<'r>>,
    /// The facts, subject by subject.
    pub(in crate::report) details: Vec<Detail<'r>>,
    /// The proof.
    pub(in crate::report) evidence: Vec<Proof<'r>>,
    /// The symptoms that it brings about.
    pub(in crate::report) explains: Vec<Symptom<'r>>,
    /// The command that decides between the candidates.
    pub(in crate::report) decide: Option<Step<'r>>,
    /// The cures, the first for production.
    pub(in crate::report) remedies: Vec<Remedy<'r>>,
    /// The change of the manifests that cures it, for `patch -p0`; null where that is not certain.
    pub(in crate::report) patch: Option<String>,
}

/// Something in the cluster.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(in crate::report) struct Subject<'r> {
    /// Its kind, such as `Node` or `Cluster`.
    pub(in crate::report) kind: &'r str,
    /// Its namespace; null for what has none.
    pub(in crate::report) namespace: Option<&'r str>,
    /// Its name.
    pub(in crate::report) name: &'r str,
}

/// The facts about one subject.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[expect(clippy::struct_field_names, reason = "the names are those of the document")]
pub(in crate::report) struct Detail<'r> {
    /// What has the fault.
    pub(in crate::report) subject: Subject<'r>,
    /// One sentence.
    pub(in crate::report) detail: &'r str,
    /// Where it stands in a file; missing for what was seen in the cluster alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::report) place: Option<Place>,
}

/// A place in an answer that proves something.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(in crate::report) struct Proof<'r> {
    /// The request whose answer it is; null for what no request can show.
    pub(in crate::report) request: Option<&'r str>,
    /// The field, log line or property of a certificate.
    pub(in crate::report) path: &'r str,
    /// What it held.
    pub(in crate::report) value: &'r str,
    /// What it should have held.
    pub(in crate::report) expected: &'r str,
    /// When the answer came.
    #[cfg_attr(test, schemars(with = "Option<String>", extend("format" = "date-time")))]
    pub(in crate::report) seen_at: Option<Timestamp>,
    /// Where it stands in a manifest; null for what a request has shown.
    pub(in crate::report) place: Option<Place>,
}

/// A symptom that has an explanation.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(in crate::report) struct Symptom<'r> {
    /// The code of the check that saw it.
    pub(in crate::report) code: &'r str,
    /// Its name.
    pub(in crate::report) name: &'r str,
    /// What it is about.
    pub(in crate::report) subject: Subject<'r>,
    /// One sentence with the facts.
    pub(in crate::report) detail: &'r str,
}

/// A symptom that no root cause explains.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(in crate::report) struct Unexplained<'r> {
    /// The code of the check that saw it.
    pub(in crate::report) code: &'r str,
    /// Its name.
    pub(in crate::report) name: &'r str,
    /// What it weighs.
    #[cfg_attr(test, schemars(extend("enum" = ["info", "warning", "error"])))]
    pub(in crate::report) severity: &'static str,
    /// One sentence that states the symptom.
    pub(in crate::report) title: &'r str,
    /// The link of the chain.
    pub(in crate::report) hop: &'static str,
    /// What it is about.
    pub(in crate::report) subject: Subject<'r>,
    /// One sentence with the facts.
    pub(in crate::report) detail: &'r str,
    /// Where it stands in a file; missing for what was seen in the cluster alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::report) place: Option<Place>,
    /// The proof.
    pub(in crate::report) evidence: Vec<Proof<'r>>,
    /// Why the exit code does not count it; missing when it does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::report) excused: Option<Excuse<'r>>,
    /// The names of the undecided checks that could explain it.
    pub(in crate::report) could_be: &'r [&'static str],
}

/// One way to cure a fault.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(in crate::report) struct Remedy<'r> {
    /// What it does.
    pub(in crate::report) title: &'r str,
    /// `production`, or `lab` for what no production cluster should do.
    #[cfg_attr(test, schemars(extend("enum" = ["production", "lab"])))]
    pub(in crate::report) audience: &'static str,
    /// What it costs; empty when it costs nothing.
    pub(in crate::report) cost: &'r str,
    /// The names of the checks that still warn afterwards.
    pub(in crate::report) leaves: &'r [&'static str],
    /// The steps, in order.
    pub(in crate::report) steps: Vec<Step<'r>>,
}

/// A step of a remedy.
#[derive(Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(in crate::report) struct Step<'r> {
    /// Where it runs: `workstation`, `node NAME`, `every node`, `every control-plane host`, or another place in words.
    pub(in crate::report) run_on: &'r str,
    /// A script for `sh`; empty for a step that a person has to do.
    pub(in crate::report) command: &'r str,
    /// What a person has to do where no command can; empty otherwise.
    pub(in crate::report) manual: &'r str,
    /// A command that shows whether the step worked; empty when the next step shows it.
    pub(in crate::report) verify: &'r str,
}
