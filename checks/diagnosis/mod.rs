//! From the results of the checks to root causes.
//!
//! Only causes can be root causes. A symptom is explained when failed causes upstream cover what it
//! is about; what nothing covers stands alone as unexplained. A place gives way to any of its
//! candidate causes.

mod autoscalers;
mod explain;
#[cfg(test)]
mod explain_tests;
mod verdict;
mod waivers;
#[cfg(test)]
mod waivers_tests;

use crate::check::{
    Certainty, Check, Finding, Hop, Kind, Outcome, Remedy, Severity, Step, Subject, Undecided,
};
use crate::evidence::{Evidence, Mode};
use crate::rules::{Rule, Rules, View};

pub use autoscalers::{AutoscalerVerdict, MetricOutcome, MetricVerdict, Reason};
pub use verdict::{Policy, Verdict};
pub(crate) use verdict::{fresh_s, has_fresh_metrics};
pub use waivers::{EXPIRED, Excused, UNUSED, Waiver, WaiverState};

/// What is wrong with the pipeline, and what could not be decided.
#[derive(Clone, Debug)]
pub struct Diagnosis {
    /// The question that was asked.
    pub mode: Mode,
    /// The answer.
    pub verdict: Verdict,
    /// The faults to cure, the gravest first.
    pub root_causes: Vec<RootCause>,
    /// Symptoms that no decided cause covers.
    pub unexplained: Vec<Unexplained>,
    /// Every check that applies, in the order of the chain.
    pub checks: Vec<CheckReport>,
    /// The questions that stay open, those that the verdict rests on first.
    pub undecided: Vec<OpenQuestion>,
    /// For a gate: what becomes of every autoscaler.
    pub autoscalers: Vec<AutoscalerVerdict>,
    /// What the verdict does not count: see [`Diagnosis::excuse`].
    pub excused: Excused,
}

/// A fault to cure.
#[derive(Clone, Debug)]
pub struct RootCause {
    /// The check that found it.
    pub check: CheckRef,
    /// How sure it is: the least sure of its findings.
    pub certainty: Certainty,
    /// The other causes that the evidence leaves room for.
    pub candidates: Vec<&'static str>,
    /// The command that decides between them.
    pub decide: Option<Step>,
    /// The fault, subject by subject.
    pub findings: Vec<Finding>,
    /// The symptoms that it brings about.
    pub explains: Vec<Symptom>,
    /// The cures, the first for production.
    pub remedies: Vec<Remedy>,
}

/// A symptom that has an explanation.
#[derive(Clone, Debug, PartialEq)]
pub struct Symptom {
    /// The check that found it.
    pub check: CheckRef,
    /// What it is about.
    pub subject: Subject,
    /// The sentence with its facts.
    pub detail: String,
}

/// A symptom without an explanation.
#[derive(Clone, Debug)]
pub struct Unexplained {
    /// The check that found it.
    pub check: CheckRef,
    /// The symptom.
    pub finding: Finding,
    /// The undecided checks that could explain it.
    pub could_be: Vec<&'static str>,
}

/// The results of one check.
#[derive(Clone, Debug)]
pub struct CheckReport {
    /// The check.
    pub check: CheckRef,
    /// One result a subject.
    pub results: Vec<(Subject, Outcome)>,
    /// The message of a panic: a defect of the check, whose results are lost.
    pub panic: Option<String>,
}

/// A question that stays open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenQuestion {
    /// The check.
    pub check: CheckRef,
    /// What it is about.
    pub subject: Subject,
    /// What was missing.
    pub missing: Undecided,
    /// Whether the verdict rests on it.
    pub deciding: bool,
    /// Whether a proof further down the chain shows that the link works all the same.
    pub settled: bool,
}

/// A check in a diagnosis: compares and prints by its name.
#[derive(Clone, Copy)]
pub struct CheckRef(pub &'static Check);

impl std::ops::Deref for CheckRef {
    type Target = Check;
    fn deref(&self) -> &Check {
        self.0
    }
}

impl PartialEq for CheckRef {
    fn eq(&self, other: &Self) -> bool {
        self.0.code == other.0.code
    }
}

impl Eq for CheckRef {}

impl std::fmt::Debug for CheckRef {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.0.name)
    }
}

/// Runs `checks` over the evidence and judges the results.
#[must_use]
pub fn diagnose(checks: &'static [Check], evidence: &Evidence, policy: Policy) -> Diagnosis {
    diagnose_with(checks, &Rules::default(), evidence, policy)
}

/// The same, with the rules of the user behind the checks.
#[must_use]
pub fn diagnose_with(
    checks: &'static [Check],
    rules: &Rules,
    evidence: &Evidence,
    policy: Policy,
) -> Diagnosis {
    let mut reports: Vec<CheckReport> =
        checks.iter().filter(|check| applies(check, evidence)).map(|check| look(check, evidence)).collect();
    // A rule says what somebody demands, and not what the controller will do.
    let autoscalers = autoscalers::verdicts(&reports, evidence);
    reports.extend(by_rules(rules, evidence));
    let mut judged = explain::explain(&reports, evidence);
    for cause in &mut judged.root_causes {
        if let Some(rule) = rules.get(cause.check.code) {
            cause.remedies = rule.remedies(&cause.findings);
        }
    }
    let undecided = verdict::open_questions(&reports, evidence);
    let verdict = verdict::verdict(&reports, &judged, &undecided, policy);
    Diagnosis {
        mode: evidence.mode,
        autoscalers,
        verdict,
        root_causes: judged.root_causes,
        unexplained: judged.unexplained,
        checks: reports,
        undecided,
        excused: Excused::default(),
    }
}

/// The checks that nothing but a pod of `probe` decides.
const BY_PROBES: &[&str] = &["cluster-dns-silent"];

/// Whether a check belongs to the question. Where a gate had to look for the reason why the Metrics API gives nothing,
/// the checks of the installed pipeline do as well; those of autoscalers have an eye of their own for a gate.
fn applies(check: &Check, evidence: &Evidence) -> bool {
    // Machines that nobody has looked at, or from, leave no list of open questions in every report.
    if check.hop == Hop::Host && evidence.hosts.is_empty() {
        return false;
    }
    if BY_PROBES.contains(&check.name) && evidence.probes.is_empty() {
        return false;
    }
    let below = evidence.mode == Mode::Gate && evidence.gate.pipeline && check.hop != Hop::Hpa;
    check.modes.contains(&evidence.mode) || (below && check.modes.contains(&Mode::Installed))
}

/// What the rules come to.
fn by_rules(rules: &Rules, evidence: &Evidence) -> Vec<CheckReport> {
    let applies = |rule: &&Rule| rule.check().modes.contains(&evidence.mode);
    if !rules.list.iter().any(|rule| applies(&rule)) {
        return Vec::new();
    }
    let view = View::new(evidence);
    let mut reports = Vec::new();
    for rule in rules.list.iter().filter(applies) {
        let looked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| rule.run(&view)));
        let (results, panic) = match looked {
            Ok(results) => (results, None),
            Err(payload) => (Vec::new(), Some(panic_text(&*payload))),
        };
        reports.push(CheckReport { check: rule.check(), results, panic });
    }
    reports
}

/// Runs one check; its panic costs its own results only.
fn look(check: &'static Check, evidence: &Evidence) -> CheckReport {
    match std::panic::catch_unwind(|| check.run(evidence)) {
        Ok(outcomes) => CheckReport { check: CheckRef(check), results: outcomes.results, panic: None },
        Err(payload) => {
            CheckReport { check: CheckRef(check), results: Vec::new(), panic: Some(panic_text(&*payload)) }
        }
    }
}

fn panic_text(payload: &(dyn std::any::Any + Send)) -> String {
    payload
        .downcast_ref::<&str>()
        .map(|text| (*text).to_owned())
        .or_else(|| payload.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "a panic without a message".to_owned())
}

impl CheckReport {
    /// The findings of the check.
    pub fn failures(&self) -> impl Iterator<Item = &Finding> {
        self.results.iter().filter_map(|(_, outcome)| match outcome {
            Outcome::Fail(finding) => Some(&**finding),
            _ => None,
        })
    }

    /// The state of the check as one word: the worst of its results.
    #[must_use]
    pub fn worst(&self) -> &'static str {
        let has = |wanted: fn(&Outcome) -> bool| self.results.iter().any(|(_, outcome)| wanted(outcome));
        if self.panic.is_some() {
            "panic"
        } else if has(|o| matches!(o, Outcome::Fail(_))) {
            "fail"
        } else if has(|o| matches!(o, Outcome::Undecided(_))) {
            "undecided"
        } else if has(|o| matches!(o, Outcome::Pass)) {
            "pass"
        } else {
            "not-applicable"
        }
    }
}

impl RootCause {
    /// `fault` for what is broken, `hazard` for what is dangerous.
    #[must_use]
    pub fn class(&self) -> &'static str {
        if matches!(self.check.kind, Kind::Hazard) { "hazard" } else { "fault" }
    }

    /// What the fault weighs.
    #[must_use]
    pub fn severity(&self) -> Severity {
        self.check.severity
    }
}

impl Diagnosis {
    /// The links that a report shows: the chain, and what lies beneath it where a machine was looked at.
    pub fn hops(&self) -> impl Iterator<Item = Hop> + '_ {
        let beneath = self.checks.iter().any(|report| report.check.hop == Hop::Host);
        let alone = self.mode == Mode::Host;
        // A machine of the control plane shows links of the chain as well.
        let decided = |hop: Hop| {
            let of_hop = self.checks.iter().filter(move |report| report.check.hop == hop);
            let mut results = of_hop.flat_map(|report| &report.results);
            results.any(|(_, outcome)| matches!(outcome, Outcome::Pass | Outcome::Fail(_)))
        };
        Hop::ALL.into_iter().filter(move |hop| match *hop {
            Hop::Host => beneath || alone,
            hop => !alone || decided(hop),
        })
    }

    /// The state of a hop as one word: the worst of its root causes, symptoms and open questions.
    ///
    /// `fail` and `warn` for findings, `symptom` for what another hop brings about, `undecided`
    /// where a question that the verdict rests on is open, `pass`, `partly` where something else of the hop
    /// was not seen and nothing settles it, or `not-seen` where nothing of the hop was decided.
    #[must_use]
    pub fn hop_state(&self, hop: Hop) -> &'static str {
        let roots = self.root_causes.iter().filter(|cause| cause.check.hop == hop);
        let worst = roots.map(RootCause::severity).max();
        if hop == Hop::Api {
            // There is a diagnosis only where the API server has answered, or where it was not the question.
            return if self.mode == Mode::Host { "not-seen" } else { "pass" };
        }
        let reports = || self.checks.iter().filter(|report| report.check.hop == hop);
        let passed = reports().any(|report| report.results.iter().any(|(_, o)| matches!(o, Outcome::Pass)));
        let deciding = self.undecided.iter().any(|open| open.deciding && open.check.hop == hop);
        let unsettled = self.undecided.iter().any(|open| !open.settled && open.check.hop == hop);
        let symptom = reports().any(|report| report.failures().next().is_some());
        let unexplained = self.unexplained.iter().any(|symptom| symptom.check.hop == hop);
        match worst {
            Some(Severity::Error) => "fail",
            Some(Severity::Warning) => "warn",
            _ if unexplained => "fail",
            _ if symptom && worst.is_none() => "symptom",
            _ if deciding => "undecided",
            // A machine alone sees one end of a link.
            _ if passed && (unsettled || (self.mode == Mode::Host && hop != Hop::Host)) => "partly",
            _ if passed => "pass",
            _ => "not-seen",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::{Question, Results, no_remedies};

    fn panics(_: &Evidence, _: &mut Results<'_>) {
        panic!("a defect");
    }

    fn passes(_: &Evidence, results: &mut Results<'_>) {
        results.about_cluster(|_| Ok(Outcome::Pass));
    }

    const fn check(code: &'static str, run: fn(&Evidence, &mut Results<'_>)) -> Check {
        Check {
            code,
            name: code,
            title: "",
            hop: Hop::Api,
            severity: Severity::Error,
            kind: Kind::Cause,
            modes: &[Mode::Installed],
            needs: &[],
            explains: &[],
            question: Question::Listed,
            source: "",
            run,
            remedies: no_remedies,
        }
    }

    static CHECKS: [Check; 2] = [check("broken", panics), check("sound", passes)];

    /// Runs in the release profile too (`cargo test --profile release-quick -p metrics-preflight-checks`): a profile that
    /// aborts on panics would lose the whole report.
    #[test]
    fn a_check_that_panics_costs_its_own_result_only() {
        let evidence = crate::evidence::unseen(Mode::Installed);
        let diagnosis = diagnose(&CHECKS, &evidence, Policy::default());
        let words: Vec<&str> = diagnosis.checks.iter().map(CheckReport::worst).collect();
        assert_eq!(words, ["panic", "pass"]);
        assert_eq!(diagnosis.checks[0].panic.as_deref(), Some("a defect"));
        assert_eq!(diagnosis.verdict, Verdict::Undecided);
    }
}
