//! Which failures are causes, and which symptoms they explain.

use std::collections::{BTreeMap, BTreeSet};

use super::{CheckRef, CheckReport, RootCause, Symptom, Unexplained};
use crate::check::{Certainty, Finding, Hop, Kind, Outcome, Subject};
use crate::evidence::Evidence;

/// Root causes, and symptoms that have none.
pub(super) struct Judged {
    pub(super) root_causes: Vec<RootCause>,
    pub(super) unexplained: Vec<Unexplained>,
}

/// Sorts the failures into root causes with what they explain, and what stays unexplained.
pub(super) fn explain(reports: &[CheckReport], evidence: &Evidence) -> Judged {
    let reach = Reach::new(reports);
    let mut causes: Vec<RootCause> = reports
        .iter()
        .filter(|report| !matches!(report.check.kind, Kind::Symptom))
        .filter_map(|report| root_cause(report, reports, evidence))
        .collect();
    let mut unexplained = Vec::new();
    for report in reports.iter().filter(|report| matches!(report.check.kind, Kind::Symptom)) {
        for finding in report.failures() {
            let explaining = explaining(&causes, report.check, finding, &reach);
            if explaining.is_empty() {
                let could_be = could_be(reports, report.check, &reach);
                unexplained.push(Unexplained { check: report.check, finding: finding.clone(), could_be });
            }
            for index in explaining {
                causes[index].explains.push(Symptom {
                    check: report.check,
                    subject: finding.subject.clone(),
                    detail: finding.detail.clone(),
                });
            }
        }
    }
    // A stable sort: equal weights keep the order of the chain.
    causes.sort_by_key(|cause| {
        std::cmp::Reverse((cause.severity(), !cause.explains.is_empty(), cause.certainty))
    });
    Judged { root_causes: causes, unexplained }
}

/// The root cause that a check found, if any of its findings stands.
fn root_cause(report: &CheckReport, reports: &[CheckReport], evidence: &Evidence) -> Option<RootCause> {
    let findings: Vec<Finding> = match report.check.kind {
        Kind::Place(candidates) => {
            report.failures().filter_map(|finding| place(finding, candidates, reports)).collect()
        }
        _ => report.failures().cloned().collect(),
    };
    let certainty = findings.iter().map(|finding| finding.certainty).min()?;
    let mut candidates: Vec<&'static str> = Vec::new();
    for candidate in findings.iter().flat_map(|finding| &finding.candidates) {
        if !candidates.contains(candidate) {
            candidates.push(candidate);
        }
    }
    let remedies = (report.check.remedies)(evidence, &findings.iter().collect::<Vec<_>>());
    let decide = findings.iter().find_map(|finding| finding.decide.clone());
    Some(RootCause {
        check: report.check,
        certainty,
        candidates,
        decide,
        findings,
        explains: Vec::new(),
        remedies,
    })
}

/// What is left of a place: nothing when one of its candidates was found there; otherwise the
/// candidates that were not ruled out.
fn place(finding: &Finding, candidates: &'static [&'static str], reports: &[CheckReport]) -> Option<Finding> {
    let own = std::slice::from_ref(&finding.subject);
    let places = if finding.at.is_empty() { own } else { &finding.at };
    let here = |subject: &Subject| {
        !is_part(subject) || places.iter().any(|place| place == subject || !is_part(place))
    };
    let mut left = Vec::new();
    for name in candidates {
        let report = reports.iter().find(|report| report.check.name == *name);
        let Some(report) = report else {
            left.push(*name);
            continue;
        };
        let outcomes: Vec<&Outcome> =
            report.results.iter().filter(|(subject, _)| here(subject)).map(|(_, outcome)| outcome).collect();
        if outcomes.iter().any(|outcome| matches!(outcome, Outcome::Fail(_))) {
            return None;
        }
        let ruled_out = !outcomes.is_empty()
            && outcomes.iter().all(|outcome| matches!(outcome, Outcome::Pass | Outcome::NotApplicable(_)));
        if !ruled_out {
            left.push(*name);
        }
    }
    let mut finding = finding.clone();
    finding.certainty = Certainty::Likely;
    finding.candidates = left;
    Some(finding)
}

/// Whether a subject is one of many, so that a fault of it is not a fault of all.
fn is_part(subject: &Subject) -> bool {
    matches!(subject.kind.as_str(), "Node" | "Host" | "HorizontalPodAutoscaler" | "Metric" | "File")
}

/// Whether a fault of one subject is a fault of another: of itself, or of the autoscaler whose metric it is.
fn is_about(cause: &Subject, subject: &Subject) -> bool {
    let of_metric = || {
        cause.kind == "HorizontalPodAutoscaler"
            && subject.kind == "Metric"
            && cause.namespace == subject.namespace
            && subject.name.strip_prefix(&cause.name).is_some_and(|rest| rest.starts_with('['))
    };
    cause == subject || of_metric()
}

/// The indices of the causes that together cover a symptom; empty when they do not.
fn explaining(causes: &[RootCause], symptom: CheckRef, finding: &Finding, reach: &Reach) -> Vec<usize> {
    let able: Vec<usize> =
        (0..causes.len()).filter(|&index| reach.explains(causes[index].check, symptom)).collect();
    let of_all = |index: &usize| causes[*index].findings.iter().any(|finding| !is_part(&finding.subject));
    let whole: Vec<usize> = able.iter().copied().filter(of_all).collect();
    if !whole.is_empty() {
        return whole;
    }
    let own: Vec<usize> = able
        .iter()
        .copied()
        .filter(|&index| {
            causes[index].findings.iter().any(|cause| is_about(&cause.subject, &finding.subject))
        })
        .collect();
    if !own.is_empty() {
        return own;
    }
    let of_machines: Vec<usize> =
        able.iter().copied().filter(|&index| causes[index].check.hop == Hop::Host).collect();
    let beneath = covering(causes, of_machines, &finding.at);
    if beneath.is_empty() { covering(causes, able, &finding.over) } else { beneath }
}

/// Those of the causes that are about any of the subjects, if together they are about every one of them.
fn covering(causes: &[RootCause], able: Vec<usize>, needed: &[Subject]) -> Vec<usize> {
    let needed: BTreeSet<&Subject> = needed.iter().collect();
    let covered =
        |index: &usize| causes[*index].findings.iter().any(|finding| needed.contains(&finding.subject));
    let contributing: Vec<usize> = able.into_iter().filter(covered).collect();
    let union: BTreeSet<&Subject> = contributing
        .iter()
        .flat_map(|&index| causes[index].findings.iter().map(|finding| &finding.subject))
        .collect();
    if needed.is_subset(&union) { contributing } else { Vec::new() }
}

/// The undecided checks that could explain a symptom.
fn could_be(reports: &[CheckReport], symptom: CheckRef, reach: &Reach) -> Vec<&'static str> {
    let open = |report: &&CheckReport| {
        report.results.iter().any(|(_, outcome)| matches!(outcome, Outcome::Undecided(_)))
    };
    reports
        .iter()
        .filter(open)
        .filter(|report| !matches!(report.check.kind, Kind::Symptom) && reach.explains(report.check, symptom))
        .map(|report| report.check.name)
        .collect()
}

/// The closure of the `explains` edges.
struct Reach {
    closure: BTreeMap<&'static str, BTreeSet<&'static str>>,
}

impl Reach {
    fn new(reports: &[CheckReport]) -> Self {
        let edges: BTreeMap<&'static str, &'static [&'static str]> =
            reports.iter().map(|report| (report.check.name, report.check.explains)).collect();
        let mut closure = BTreeMap::new();
        for &name in edges.keys() {
            let mut seen = BTreeSet::new();
            let mut open: Vec<&'static str> = edges[name].to_vec();
            while let Some(next) = open.pop() {
                if seen.insert(next) {
                    open.extend(edges.get(next).copied().unwrap_or_default());
                }
            }
            closure.insert(name, seen);
        }
        Self { closure }
    }

    fn explains(&self, cause: CheckRef, symptom: CheckRef) -> bool {
        self.closure.get(cause.name).is_some_and(|reached| reached.contains(symptom.name))
    }
}
