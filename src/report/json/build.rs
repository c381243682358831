//! From a report to its document.

use std::collections::BTreeMap;

use checks::check::{self, Audience, Certainty, Finding, Hop};
use checks::diagnosis::{self, Diagnosis};
use checks::evidence::{Evidence, Mode};
use serde::Serialize;

use super::excused;
use super::{
    Autoscaler, Check, Cluster, Detail, Document, Error, FORMAT_VERSION, Gate, Group, Link, Machine,
    MetricReason, MetricResult, Open, Permission, Place, Policy, Probe, Proof, Remedy, Requests, RootCause,
    Step, Subject, Symptom, Tool, Unexplained, Vantage,
};
use crate::exit::Exit;
use crate::report::{Report, groups, lacking, mode_name, patch, severity_name, would_decide};

/// The document of a report.
pub(crate) fn document<'r>(report: &'r Report, error: Option<&Error>) -> Document<'r> {
    let diagnosis = &report.diagnosis;
    let evidence = &report.evidence;
    Document {
        taken_at: Some(evidence.taken_at),
        vantage: vantage(report),
        cluster: Cluster {
            version: evidence.cluster.version.peek().map(|version| version.git_version.as_str()),
            distribution: Some(evidence.cluster.distribution.name()),
        },
        verdict: Some(diagnosis.verdict.name()),
        policy: Some(Policy { fail_on: severity_name(report.policy.fail_on), strict: report.policy.strict }),
        error: error.cloned(),
        chain: diagnosis.hops().map(|hop| link(hop, diagnosis)).collect(),
        root_causes: (report.root_causes())
            .zip(patch::patches(report.root_causes(), &evidence.gate.manifests))
            .map(|(cause, patch)| root_cause(cause, patch, report))
            .collect(),
        unexplained: diagnosis.unexplained.iter().map(|it| unexplained(it, report)).collect(),
        checks: diagnosis.checks.iter().map(check).collect(),
        undecided: diagnosis.undecided.iter().map(|it| open(it, report)).collect(),
        gate: (diagnosis.mode == Mode::Gate).then_some(Gate {
            offline: evidence.gate.offline,
            objects: evidence.gate.manifests.documents.len(),
            target_minor: evidence.gate.target_minor,
            pipeline: evidence.gate.pipeline,
        }),
        waivers: excused::waivers(&diagnosis.excused),
        baseline: excused::baseline(diagnosis),
        hpas: diagnosis.autoscalers.iter().map(|verdict| autoscaler(verdict, report)).collect(),
        requests: requests(evidence),
        ..empty(mode_name(diagnosis.mode), report.exit)
    }
}

/// The document of a run that decided nothing.
pub(crate) fn without_evidence(mode: &'static str, exit: Exit, error: &Error) -> Document<'static> {
    Document { error: Some(error.clone()), ..empty(mode, exit) }
}

fn empty(mode: &'static str, exit: Exit) -> Document<'static> {
    Document {
        format_version: FORMAT_VERSION,
        tool: Tool { name: "metrics-preflight", version: env!("CARGO_PKG_VERSION") },
        taken_at: None,
        mode,
        vantage: Vantage::default(),
        cluster: Cluster::default(),
        verdict: None,
        exit_code: exit.code(),
        policy: None,
        error: None,
        chain: Vec::new(),
        root_causes: Vec::new(),
        unexplained: Vec::new(),
        checks: Vec::new(),
        undecided: Vec::new(),
        gate: None,
        hpas: Vec::new(),
        waivers: Vec::new(),
        baseline: None,
        requests: Requests::default(),
    }
}

fn autoscaler<'r>(verdict: &'r diagnosis::AutoscalerVerdict, report: &'r Report) -> Autoscaler<'r> {
    let gate = &report.evidence.gate;
    let excuses = &report.diagnosis.excused;
    // Verdicts are of the plans of this very evidence.
    let plan = &gate.plans[verdict.plan];
    let document = plan.document.and_then(|index| gate.manifests.documents.get(index));
    let specs = plan.spec.metrics.iter();
    Autoscaler {
        subject: Subject {
            kind: "HorizontalPodAutoscaler",
            namespace: Some(&plan.namespace),
            name: &plan.name,
        },
        file: document.map(|document| document.place.file.as_str()),
        line: document.map(|document| document.place.line),
        verdict: verdict.verdict.name(),
        metrics: specs
            .zip(&verdict.metrics)
            .enumerate()
            .map(|(index, (spec, outcome))| MetricResult {
                index,
                kind: spec.source.kind(),
                name: spec.source.name(),
                verdict: outcome.verdict.name(),
                reasons: outcome
                    .reasons
                    .iter()
                    .map(|reason| MetricReason {
                        code: reason.code,
                        name: reason.name,
                        detail: &reason.detail,
                        // An open question cannot be waived.
                        excused: (outcome.verdict == diagnosis::MetricVerdict::Fail)
                            .then(|| excused::excuse(excuses, reason.code, &reason.subject))
                            .flatten(),
                    })
                    .collect(),
            })
            .collect(),
    }
}

fn link(hop: Hop, diagnosis: &Diagnosis) -> Link {
    Link { hop: hop.name(), label: hop.label(), state: diagnosis.hop_state(hop) }
}

fn vantage(report: &Report) -> Vantage<'_> {
    let (dialled, answered) = report.kubelets();
    let cluster = &report.evidence.cluster;
    let caller = cluster.whoami.peek();
    Vantage {
        context: report.context.as_deref(),
        server: report.server.as_deref(),
        caller: caller.map(|caller| caller.name.as_str()),
        system_masters: caller.map(checks::evidence::Identity::is_system_masters),
        kubelets_reached: (dialled > 0).then_some(answered > 0),
        kubelets_dialled: dialled,
        kubelets_answered: answered,
        clock_offset_s: (!report.evidence.gate.offline).then_some(cluster.clock_offset_s),
        hosts: report.evidence.hosts.iter().map(machine).collect(),
        hosts_not_sampled: report.not_sampled(),
        probes: report.evidence.probes.iter().map(probe).collect(),
    }
}

fn machine(host: &checks::evidence::Host) -> Machine<'_> {
    let identity = host.identity.peek();
    Machine {
        name: &host.name,
        node: host.node.as_deref(),
        seen_at: host.taken_at.to_string(),
        left_out: host.left_out().map(ToString::to_string),
        as_root: identity.map(|identity| identity.as_root),
        root: identity.map(|identity| identity.root.as_str()),
        system: identity.map(|identity| identity.system.as_str()),
        kernel: identity.map(|identity| identity.kernel.as_str()),
        selinux: host.selinux.peek().map(|mode| mode.as_deref().unwrap_or("none")),
    }
}

fn probe(probe: &checks::evidence::PodProbe) -> Probe<'_> {
    Probe {
        node: &probe.node,
        seen_at: probe.taken_at.to_string(),
        left_out: probe.left_out().map(ToString::to_string),
    }
}

fn root_cause<'r>(
    cause: &'r diagnosis::RootCause,
    patch: Option<String>,
    report: &'r Report,
) -> RootCause<'r> {
    let evidence = &report.evidence;
    let excuses = &report.diagnosis.excused;
    RootCause {
        code: cause.check.0.code,
        name: cause.check.0.name,
        severity: severity_name(cause.severity()),
        class: cause.class(),
        certainty: match cause.certainty {
            Certainty::Certain => "certain",
            Certainty::Likely => "likely",
        },
        candidates: &cause.candidates,
        title: cause.check.0.title,
        hop: cause.check.hop.name(),
        subjects: cause.findings.iter().map(|finding| subject(&finding.subject)).collect(),
        excused: cause
            .findings
            .iter()
            .filter_map(|finding| excused::excuse(excuses, cause.check.0.code, &finding.subject))
            .collect(),
        details: cause.findings.iter().map(detail).collect(),
        evidence: cause.findings.iter().flat_map(|finding| proofs(finding, evidence)).collect(),
        explains: cause.explains.iter().map(symptom).collect(),
        decide: cause.decide.as_ref().map(step),
        remedies: cause.remedies.iter().map(remedy).collect(),
        patch,
    }
}

fn detail(finding: &Finding) -> Detail<'_> {
    Detail { subject: subject(&finding.subject), detail: &finding.detail, place: place_of(finding) }
}

fn proofs<'r>(finding: &'r Finding, evidence: &'r Evidence) -> impl Iterator<Item = Proof<'r>> {
    finding.citations.iter().map(|citation| {
        let seen = citation.request.and_then(|id| evidence.requests.get(id));
        Proof {
            request: seen.map(|seen| seen.request.as_str()),
            path: &citation.path,
            value: &citation.value,
            expected: &citation.expected,
            seen_at: seen.map(|seen| seen.seen_at),
            place: citation.place.as_ref().map(place),
        }
    })
}

pub(super) fn place(place: &checks::evidence::Place) -> Place {
    Place {
        file: place.file.clone(),
        line: place.line,
        column: place.column,
        end_line: (place.end_line != place.line).then_some(place.end_line),
    }
}

/// Where the first of the proofs stands that stand in a manifest.
fn place_of(finding: &Finding) -> Option<Place> {
    finding.citations.iter().find_map(|citation| citation.place.as_ref()).map(place)
}

fn symptom(symptom: &diagnosis::Symptom) -> Symptom<'_> {
    Symptom {
        code: symptom.check.0.code,
        name: symptom.check.0.name,
        subject: subject(&symptom.subject),
        detail: &symptom.detail,
    }
}

fn unexplained<'r>(it: &'r diagnosis::Unexplained, report: &'r Report) -> Unexplained<'r> {
    Unexplained {
        code: it.check.0.code,
        name: it.check.0.name,
        severity: severity_name(it.check.severity),
        title: it.check.0.title,
        hop: it.check.hop.name(),
        subject: subject(&it.finding.subject),
        detail: &it.finding.detail,
        place: place_of(&it.finding),
        evidence: proofs(&it.finding, &report.evidence).collect(),
        excused: excused::excuse(&report.diagnosis.excused, it.check.0.code, &it.finding.subject),
        could_be: &it.could_be,
    }
}

fn remedy(remedy: &check::Remedy) -> Remedy<'_> {
    Remedy {
        title: &remedy.title,
        audience: match remedy.audience {
            Audience::Production => "production",
            Audience::Lab => "lab",
        },
        cost: &remedy.cost,
        leaves: &remedy.leaves,
        steps: remedy.steps.iter().map(step).collect(),
    }
}

fn step(step: &check::Step) -> Step<'_> {
    Step { run_on: &step.run_on, command: &step.command, manual: &step.manual, verify: &step.verify }
}

fn check(report: &diagnosis::CheckReport) -> Check<'_> {
    let groups = groups(report).into_iter().map(|group| Group {
        result: group.result,
        reason: group.reason,
        subjects: group.subjects.into_iter().map(subject).collect(),
    });
    Check {
        code: report.check.0.code,
        name: report.check.0.name,
        title: report.check.0.title,
        hop: report.check.hop.name(),
        severity: severity_name(report.check.severity),
        worst: report.worst(),
        groups: groups.collect(),
        panic: report.panic.as_deref(),
    }
}

fn open<'r>(open: &'r diagnosis::OpenQuestion, report: &Report) -> Open<'r> {
    Open {
        code: open.check.0.code,
        name: open.check.0.name,
        subject: subject(&open.subject),
        reason: open.missing.why.to_string(),
        need: word(&open.missing.need),
        deciding: open.deciding,
        permission: lacking(open).map(|(verb, resource)| Permission { verb, resource }),
        would_decide: would_decide(open, report),
    }
}

pub(super) fn subject(subject: &check::Subject) -> Subject<'_> {
    Subject {
        kind: &subject.kind,
        namespace: (!subject.namespace.is_empty()).then_some(&subject.namespace),
        name: &subject.name,
    }
}

/// The word that serde has for a variant without fields.
fn word(variant: &impl Serialize) -> String {
    let value = serde_json::to_value(variant).unwrap_or_default();
    value.as_str().unwrap_or_default().to_owned()
}

fn requests(evidence: &Evidence) -> Requests {
    let mut by_kind = BTreeMap::new();
    for seen in &evidence.requests {
        *by_kind.entry(kind(&seen.request)).or_default() += 1;
    }
    Requests { count: evidence.requests.len(), by_kind }
}

fn kind(request: &str) -> &'static str {
    if request.starts_with("handshake ") {
        "kubelet-handshake"
    } else if request.starts_with("dry run of ") {
        "dry-run"
    } else if request.starts_with("anonymous GET https://") {
        "kubelet-anonymous"
    } else if request.starts_with("anonymous ") {
        "anonymous-api"
    } else {
        "api"
    }
}
