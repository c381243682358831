//! The verdict in words, and what it is about.

use std::collections::HashSet;

use checks::check::Severity;
use checks::diagnosis::Verdict;
use checks::evidence::{Host, Mode};

use super::machines::machines;
use super::page::{BAD, FAINT, GOOD, Page, UNSURE};
use super::questions::questions;
use super::words::count;
use crate::exit::Exit;
use crate::report::gate::Scope;
use crate::report::{MACHINE_FIT, MACHINE_SEEN, Report};

/// Clocks may differ by so much without a word.
const CLOCK_OFFSET_S: i64 = 5;

/// The first lines.
pub(super) fn headline(page: &mut Page, report: &Report) {
    let (style, text) = match report.diagnosis.verdict {
        Verdict::Pass => (GOOD, pass(report)),
        Verdict::Fail => (BAD, fail(report)),
        Verdict::Undecided => (UNSURE, undecided(report)),
    };
    page.styled(0, style, &text);
    if report.exit == Exit::Interrupted {
        page.styled(0, UNSURE, "Interrupted: this is what was seen until then.");
    }
    page.styled(0, FAINT, &cluster(report));
    machines(page, report);
    let offset = report.evidence.cluster.clock_offset_s;
    if offset.abs() > CLOCK_OFFSET_S {
        let direction = if offset > 0 { "ahead of" } else { "behind" };
        let seconds = offset.unsigned_abs();
        page.styled(0, UNSURE, &format!("The clock here is {seconds} s {direction} the API server's."));
    }
    let (dialled, answered) = report.kubelets();
    if dialled > 0 && answered == 0 {
        let kubelets = count(dialled, "kubelet that was dialled", "kubelets that were dialled");
        page.styled(
            0,
            FAINT,
            &format!("Seen from outside the nodes' network: of {kubelets}, none answered."),
        );
    }
}

fn pass(report: &Report) -> String {
    if has_excused(report) {
        return format!("Passed: what was found is waived or known ({}).", found(report, 0));
    }
    let with = match report.root_causes().count() {
        0 => String::new(),
        number => format!(", with {}", count(number, "warning", "warnings")),
    };
    match report.diagnosis.mode {
        Mode::Installed => format!("The metrics pipeline works{with}."),
        Mode::BeforeInstall => format!("metrics-server will work on this cluster{with}."),
        Mode::Gate => format!("{}.", Scope::of(report).works(&with)),
        Mode::Host => format!("{}.", machine(report, &with)),
    }
}

/// What is said of a machine of which nothing broken was found; it is called fit only where all of it was seen.
fn machine(report: &Report, with: &str) -> String {
    match questions(report.diagnosis.undecided.iter()) {
        0 => format!("{MACHINE_FIT}{with}"),
        open => {
            format!("{MACHINE_SEEN}{with}, and {}", count(open, "question is open", "questions are open"))
        }
    }
}

fn fail(report: &Report) -> String {
    let errors: Vec<_> = report.root_causes().filter(|cause| cause.severity() == Severity::Error).collect();
    let hazards = errors.iter().filter(|cause| cause.class() == "hazard").count();
    let symptoms: HashSet<&str> = (report.diagnosis.unexplained.iter())
        .filter(|symptom| symptom.check.severity >= report.policy.fail_on)
        .map(|symptom| symptom.check.0.code)
        .collect();
    let (broken, works) = match report.diagnosis.mode {
        Mode::Installed => ("The metrics pipeline is broken", "The metrics pipeline works".to_owned()),
        Mode::BeforeInstall => (
            "metrics-server will not work on this cluster",
            "metrics-server will work on this cluster".to_owned(),
        ),
        Mode::Gate => (Scope::of(report).broken(), Scope::of(report).works("")),
        Mode::Host => ("This machine breaks the metrics pipeline", machine(report, "")),
    };
    let found = found(report, symptoms.len());
    if errors.is_empty() && symptoms.is_empty() {
        format!("{works}, but the threshold is `warning`: {found}.")
    } else if hazards == errors.len() && symptoms.is_empty() {
        format!("Nothing was found broken, but something is wide open: {found}.")
    } else {
        format!("{broken}: {found}.")
    }
}

/// `2 root causes, 1 warning`.
pub(super) fn found(report: &Report, symptoms: usize) -> String {
    let errors = report.root_causes().filter(|cause| cause.severity() == Severity::Error).count();
    let warnings = report.root_causes().count() - errors;
    let mut parts = Vec::new();
    if errors > 0 || (warnings == 0 && symptoms == 0) {
        parts.push(count(errors, "root cause", "root causes"));
    }
    if warnings > 0 {
        parts.push(count(warnings, "warning", "warnings"));
    }
    if symptoms > 0 {
        parts.push(count(symptoms, "symptom without an explanation", "symptoms without an explanation"));
    }
    parts.join(", ")
}

/// Whether anything at the threshold is not counted.
fn has_excused(report: &Report) -> bool {
    let (diagnosis, least) = (&report.diagnosis, report.policy.fail_on);
    let excused = |code: &str, about| !diagnosis.excused.counts(code, about);
    diagnosis
        .root_causes
        .iter()
        .filter(|it| it.severity() >= least)
        .any(|cause| cause.findings.iter().any(|finding| excused(cause.check.0.code, &finding.subject)))
        || diagnosis
            .unexplained
            .iter()
            .any(|it| it.check.severity >= least && excused(it.check.0.code, &it.finding.subject))
}

fn undecided(report: &Report) -> String {
    let open = questions(report.deciding());
    let panics = report.diagnosis.checks.iter().filter(|check| check.panic.is_some()).count();
    if open == 0 && panics > 0 {
        return "Undecided: nothing broken was found, but a check was lost to a bug in here.".to_owned();
    }
    let open = count(open, "question is open", "questions are open");
    if has_excused(report) {
        return format!("Undecided: what was found is waived or known, but {open}.");
    }
    format!("Undecided: nothing broken was found, but {open}.")
}

fn cluster(report: &Report) -> String {
    let cluster = &report.evidence.cluster;
    let version = cluster.version.peek().map_or("version unknown", |version| version.git_version.as_str());
    let distribution = match cluster.distribution.name() {
        "unknown" => String::new(),
        name => format!(" ({name})"),
    };
    let context = report.context.as_ref().map(|name| format!("context {name}, ")).unwrap_or_default();
    let time = report.evidence.taken_at.strftime("%Y-%m-%d %H:%M:%S UTC");
    let gate = &report.evidence.gate;
    if report.diagnosis.mode == Mode::Gate && gate.offline {
        let version = match gate.target_minor {
            Some(minor) => format!("for Kubernetes 1.{minor}"),
            None => "for every version of Kubernetes that is supported".to_owned(),
        };
        return format!("Judged by the manifests alone, {version}, {time}");
    }
    let judged = match gate.target_minor {
        Some(minor) if report.diagnosis.mode == Mode::Gate => format!("judged for Kubernetes 1.{minor}, "),
        Some(minor) => format!("flags on machines held against Kubernetes 1.{minor}, "),
        None => String::new(),
    };
    // A machine alone shows no version of the cluster.
    if report.diagnosis.mode == Mode::Host {
        return format!("{}{judged}{time}", report.evidence.hosts.first().map(described).unwrap_or_default());
    }
    format!("Kubernetes {version}{distribution}, {context}{judged}{time}")
}

/// The machine that was looked at alone: its name, system and kernel, and what SELinux does there, which is no fault.
fn described(host: &Host) -> String {
    let mut parts = vec![host.name.clone()];
    if let Some(identity) = host.identity.peek() {
        parts.extend(Some(&identity.system).filter(|system| !system.is_empty()).cloned());
        parts.extend(
            Some(&identity.kernel).filter(|kernel| !kernel.is_empty()).map(|it| format!("Linux {it}")),
        );
    }
    parts.push(match host.selinux.peek() {
        Some(Some(mode)) => format!("SELinux {mode}"),
        Some(None) => "no SELinux".to_owned(),
        None => "SELinux not seen".to_owned(),
    });
    format!("{}, ", parts.join(", "))
}
