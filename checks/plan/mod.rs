//! What an autoscaler asks for and what the manifests say of its target, as the controller would read it.

mod behavior;
mod change;
pub(crate) mod demand;
mod index;
pub(crate) mod keda;
pub(crate) mod kinds;
mod labels;
mod limits;
pub(crate) mod nearest;
mod quantity;
pub mod rbac;
pub(crate) mod requests;
pub(crate) mod rivals;
pub(crate) mod selection;
mod spec;
mod targets;
mod template;
#[cfg(test)]
pub(crate) mod testing;
mod v1;
pub(crate) mod vpa;

pub use behavior::{Behavior, Way};
pub use change::change;
pub use index::Index;
pub use labels::{Labels, Selector};
pub use limits::default_requests;
pub(crate) use limits::supplies;
pub use quantity::Quantity;
pub use spec::{HpaSpec, MetricRef, MetricSpec, MetricTarget, ObjectRef};
pub use targets::Definition;
pub(crate) use targets::Workload;
pub use template::read_template;
pub use vpa::{Controls, vpa_controls};

use crate::Context;
use crate::check::{Citation, Finding, Step, Subject, Undecided};
use crate::evidence::{Document, Evidence, Need, Plan, Why};
use crate::support::word;

/// How old a pod is, in seconds, for which there should be metrics: two scrapes at the slowest usual resolution.
pub const YOUNG_S: i64 = 120;

/// An autoscaler as a subject.
#[must_use]
pub fn subject(plan: &Plan) -> Subject {
    Subject::namespaced("HorizontalPodAutoscaler", &plan.namespace, &plan.name)
}

/// One of its metrics as a subject: `web[0] cpu`.
#[must_use]
pub fn metric_subject(plan: &Plan, index: usize) -> Subject {
    let name = plan.spec.metrics.get(index).map_or("", |metric| metric.source.name());
    Subject::namespaced("Metric", &plan.namespace, format!("{}[{index}] {name}", plan.name))
}

/// The minor version of Kubernetes 1 to judge by.
///
/// # Errors
///
/// When it was not given and the cluster's was not seen.
pub(crate) fn minor(ctx: &Context<'_>, evidence: &Evidence) -> Result<u32, Undecided> {
    match evidence.gate.target_minor {
        Some(minor) => Ok(minor),
        None if evidence.gate.offline => Err(Undecided {
            need: Need::Version,
            why: Why::NotAsked("the version of Kubernetes decides; name it with --target-version".to_owned()),
        }),
        None => ctx.need(&evidence.cluster.version).map(|version| version.minor),
    }
}

/// Whether it was seen that a namespace is not there.
pub(crate) fn is_absent(ctx: &Context<'_>, evidence: &Evidence, namespace: &str) -> bool {
    let seen = evidence.gate.namespaces.get(namespace).filter(|_| !evidence.gate.offline);
    seen.is_some_and(|seen| ctx.need(&seen.exists) == Ok(&false))
}

/// Cites a field of the autoscaler itself: in its manifest, or in the cluster where it is only there.
///
/// # Errors
///
/// When it is only in the cluster and the list that it came from was not seen.
pub(crate) fn cite_own(
    ctx: &Context<'_>,
    evidence: &Evidence,
    plan: &Plan,
    finding: Finding,
    (pointer, value, expected): (&str, &str, &str),
) -> Result<Finding, Undecided> {
    if let Some(document) = own(evidence, plan) {
        return Ok(finding.cite_manifest(document, pointer, value, expected));
    }
    let Some(namespace) = evidence.gate.namespaces.get(&plan.namespace) else { return Ok(finding) };
    ctx.need(&namespace.hpas)?;
    let at = format!("items[{}].{}", plan.name, path(pointer));
    Ok(finding.cite(&namespace.hpas, at, value, expected))
}

/// The manifest of an autoscaler.
pub(crate) fn own<'e>(evidence: &'e Evidence, plan: &Plan) -> Option<&'e Document> {
    evidence.gate.manifests.documents.get(plan.document?)
}

/// A JSON pointer as findings write it.
pub(crate) fn path(pointer: &str) -> String {
    pointer.trim_start_matches('/').replace('/', ".")
}

/// A key as a step of a JSON pointer.
pub(crate) fn escaped(key: &str) -> String {
    key.replace('~', "~0").replace('/', "~1")
}

/// Notes where a manifest is to be changed, and what is to be written there.
#[must_use]
pub(crate) fn edit(finding: Finding, document: &Document, pointer: &str, yaml: &str) -> Finding {
    let place = document.place_of(pointer);
    finding
        .fact("file", &place.file)
        .fact("line", place.line.to_string())
        .fact("object", format!("{} {}", document.kind, document.name))
        .fact("pointer", pointer)
        .fact("yaml", yaml)
}

/// What a proof says is to be written, as a step; nothing where it is not from a manifest.
pub(crate) fn rewrite(citation: &Citation) -> Option<Step> {
    let place = citation.place.as_ref()?;
    let (path, value, expected) = (&citation.path, &citation.value, &citation.expected);
    let what = match value.as_str() {
        "absent" => format!("add {path}: {expected}"),
        value => format!("at {path}, instead of {value} write {expected}"),
    };
    Some(Step::manual("the manifest", format!("{}:{}: {what}", place.file, place.line)))
}

/// What the proofs say is to be written, as steps, and for each file the command that shows whether the API takes it then.
pub(crate) fn rewritten(findings: &[&Finding]) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    let mut files: Vec<&str> = Vec::new();
    for citation in findings.iter().flat_map(|finding| &finding.citations) {
        let Some(place) = &citation.place else { continue };
        steps.extend(rewrite(citation).filter(|step| !steps.contains(step)));
        if place.file != "-" && !files.contains(&place.file.as_str()) {
            files.push(&place.file);
        }
    }
    let asked = |file: &str| format!("kubectl apply --dry-run=server --validate=strict -f {}", word(file));
    steps.extend(files.into_iter().map(|file| Step::run("workstation", asked(file))));
    steps
}

/// The changes of manifests that [`edit`] noted, each once, in the order of the findings.
pub(crate) fn edits(findings: &[&Finding]) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    for finding in findings {
        let fact = |name| finding.facts.get(name).map(String::as_str);
        let (Some(file), Some(line), Some(yaml)) = (fact("file"), fact("line"), fact("yaml")) else {
            continue;
        };
        let at = path(fact("pointer").unwrap_or_default());
        let object = fact("object").unwrap_or_default();
        let step = Step::manual("the manifest", format!("{file}:{line}: at {at} of {object} write {yaml}"));
        if !steps.contains(&step) {
            steps.push(step);
        }
    }
    steps
}
