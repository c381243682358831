//! Which failures are causes, and which symptoms they explain.

use std::collections::{BTreeMap, BTreeSet};

use super::{CheckRef, CheckReport, RootCause, Symptom, Unexplained};
use crate::check::{Certainty, Finding, Hop, Kind, Outcome, Subject};
use crate::evidence::Evidence;
use crate::support;

/// Root causes, and symptoms that have none.
pub(super) struct Judged {
    pub(super) root_causes: Vec<RootCause>,
    pub(super) unexplained: Vec<Unexplained>,
}

/// Sorts the failures into root causes with what they explain, and what stays unexplained.
pub(super) fn explain(reports: &[CheckReport], evidence: &Evidence) -> Judged {
    let reach = Reach::new(reports);
    let found: Vec<Found> = reports
        .iter()
        .filter(|report| !matches!(report.check.kind, Kind::Symptom))
        .map(|report| found(report, reports))
        .collect();
    // What gave way is judged with the causes: whatever it would have explained, those explain that it gave way to.
    let mut causes: Vec<RootCause> = Vec::new();
    let mut stands_for: Vec<Option<BTreeSet<&'static str>>> = Vec::new();
    for Found { check, stand, gave_way } in found {
        causes.extend(root_cause(check, stand, evidence));
        stands_for.resize(causes.len(), None);
        let (findings, to): (Vec<Finding>, Vec<Vec<&'static str>>) = gave_way.into_iter().unzip();
        causes.extend(root_cause(check, findings, evidence));
        stands_for.resize(causes.len(), Some(to.into_iter().flatten().collect()));
    }
    let mut unexplained = Vec::new();
    for report in reports.iter().filter(|report| matches!(report.check.kind, Kind::Symptom)) {
        for finding in report.failures() {
            let explaining = explaining(&causes, report.check, finding, &reach);
            if explaining.is_empty() {
                let could_be = could_be(reports, report.check, &reach);
                unexplained.push(Unexplained { check: report.check, finding: finding.clone(), could_be });
            }
            for index in real(&causes, &stands_for, explaining) {
                causes[index].explains.push(Symptom {
                    check: report.check,
                    subject: finding.subject.clone(),
                    detail: finding.detail.clone(),
                });
            }
        }
    }
    let mut stand = stands_for.iter().map(Option::is_none);
    causes.retain(|_| stand.next().unwrap_or(true));
    // A stable sort: equal weights keep the order of the chain.
    causes.sort_by_key(|cause| {
        std::cmp::Reverse((cause.severity(), !cause.explains.is_empty(), cause.certainty))
    });
    Judged { root_causes: causes, unexplained }
}

/// The findings of a check that says what is wrong, or where.
struct Found {
    check: CheckRef,
    /// Those that stand.
    stand: Vec<Finding>,
    /// Those that give way, each with the names of the checks that found its cause.
    gave_way: Vec<(Finding, Vec<&'static str>)>,
}

fn found(report: &CheckReport, reports: &[CheckReport]) -> Found {
    let mut found = Found { check: report.check, stand: Vec::new(), gave_way: Vec::new() };
    for finding in report.failures() {
        let placed = match report.check.kind {
            Kind::Place(candidates) => place(finding, candidates, false, reports),
            Kind::Cause if !finding.candidates.is_empty() && !finding.at.is_empty() => {
                place(finding, &finding.candidates, true, reports)
            }
            _ => Placed::Stands(Box::new(finding.clone())),
        };
        match placed {
            Placed::Stands(finding) => found.stand.push(*finding),
            Placed::GivesWay(to) => found.gave_way.push((finding.clone(), to)),
        }
    }
    found
}

/// The causes that stand among these, where one that gave way is replaced by those that it gave way to. They may have
/// given way themselves.
fn real(
    causes: &[RootCause],
    stands_for: &[Option<BTreeSet<&'static str>>],
    indices: Vec<usize>,
) -> BTreeSet<usize> {
    let mut standing = BTreeSet::new();
    let mut seen = BTreeSet::new();
    let mut open = indices;
    while let Some(index) = open.pop() {
        if !seen.insert(index) {
            continue;
        }
        match &stands_for[index] {
            None => {
                standing.insert(index);
            }
            Some(names) => {
                open.extend((0..causes.len()).filter(|&other| names.contains(causes[other].check.name)));
            }
        }
    }
    standing
}

/// A root cause of these findings, if there are any.
fn root_cause(check: CheckRef, findings: Vec<Finding>, evidence: &Evidence) -> Option<RootCause> {
    let certainty = findings.iter().map(|finding| finding.certainty).min()?;
    let mut candidates: Vec<&'static str> = Vec::new();
    for candidate in findings.iter().flat_map(|finding| &finding.candidates) {
        if !candidates.contains(candidate) {
            candidates.push(candidate);
        }
    }
    let mut remedies = (check.remedies)(evidence, &findings.iter().collect::<Vec<_>>());
    if check.hop == Hop::Kubelet {
        support::name_real_files(evidence, &mut remedies);
    }
    let decide = findings.iter().find_map(|finding| finding.decide.clone());
    Some(RootCause { check, certainty, candidates, decide, findings, explains: Vec::new(), remedies })
}

/// What becomes of a finding that leaves room for several causes.
enum Placed {
    /// It stands, with the candidates that were not ruled out.
    Stands(Box<Finding>),
    /// These candidates were found at its place.
    GivesWay(Vec<&'static str>),
}

/// What is left of a place: nothing when one of its candidates was found there; otherwise the candidates that
/// were not ruled out. A likely cause gives way to what was found for certain alone, and is itself certain
/// when everything else was ruled out.
fn place(finding: &Finding, candidates: &[&'static str], is_cause: bool, reports: &[CheckReport]) -> Placed {
    let own = std::slice::from_ref(&finding.subject);
    let places = if finding.at.is_empty() { own } else { &finding.at };
    let here = |subject: &Subject| {
        !is_part(subject) || places.iter().any(|place| place == subject || !is_part(place))
    };
    let (mut left, mut given) = (Vec::new(), Vec::new());
    for name in candidates {
        let Some(report) = reports.iter().find(|report| report.check.name == *name) else {
            left.push(*name);
            continue;
        };
        // A machine that no address ties to its Node is asked about under its own name, and found to be that Node's.
        let is_here = |(subject, outcome): &&(Subject, Outcome)| {
            here(subject) || matches!(outcome, Outcome::Fail(found) if here(&found.subject))
        };
        let outcomes: Vec<&(Subject, Outcome)> = report.results.iter().filter(is_here).collect();
        let fails = |(_, outcome): &&(Subject, Outcome)| match outcome {
            Outcome::Fail(found) => !is_cause || found.certainty == Certainty::Certain,
            _ => false,
        };
        if outcomes.iter().any(fails) {
            given.push(*name);
            continue;
        }
        let passed =
            outcomes.iter().all(|(_, outcome)| matches!(outcome, Outcome::Pass | Outcome::NotApplicable(_)));
        if !passed || !looked_everywhere(report, places, &outcomes) {
            left.push(*name);
        }
    }
    if !given.is_empty() {
        return Placed::GivesWay(given);
    }
    let mut finding = finding.clone();
    finding.certainty = if is_cause && left.is_empty() { Certainty::Certain } else { Certainty::Likely };
    finding.candidates = left;
    Placed::Stands(Box::new(finding))
}

/// Whether a check has looked at the whole of a place: at each of its machines, or at the cluster for all of them. What
/// is beneath the chain is seen on the machines that were looked at, and no cluster stands for those that were not.
fn looked_everywhere(report: &CheckReport, places: &[Subject], outcomes: &[&(Subject, Outcome)]) -> bool {
    let whole = report.check.hop != Hop::Host && outcomes.iter().any(|(subject, _)| !is_part(subject));
    let beneath = report.check.hop == Hop::Host;
    let looked = |place: &Subject| {
        if is_part(place) {
            outcomes.iter().any(|(subject, _)| subject == place)
        } else {
            !beneath && !outcomes.is_empty()
        }
    };
    whole || places.iter().all(looked)
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
