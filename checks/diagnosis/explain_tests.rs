//! Places, machines and symptoms, over invented checks.

use super::explain::{Judged, explain};
use super::{CheckRef, CheckReport};
use crate::check::{
    Certainty, Check, Finding, Hop, Kind, Outcome, Question, Results, Severity, Subject, no_remedies,
};
use crate::evidence::{Evidence, Mode, Need, Why};

fn nothing(_: &Evidence, _: &mut Results<'_>) {}

const fn check(name: &'static str, hop: Hop, kind: Kind, explains: &'static [&'static str]) -> Check {
    Check {
        code: name,
        name,
        title: "",
        hop,
        severity: Severity::Error,
        kind,
        modes: &[Mode::Installed],
        needs: &[],
        explains,
        question: Question::Listed,
        source: "",
        run: nothing,
        remedies: no_remedies,
    }
}

static PLACE: Check = check("place", Hop::ApiAccess, Kind::Place(&["drop", "off", "policy"]), &["crash"]);
static POLICY: Check = check("policy", Hop::ApiAccess, Kind::Cause, &["crash"]);
static DROP: Check = check("drop", Hop::Host, Kind::Cause, &[]);
static OFF: Check = check("off", Hop::Host, Kind::Cause, &["crash"]);
static CRASH: Check = check("crash", Hop::Workload, Kind::Symptom, &[]);

fn report(check: &'static Check, results: Vec<(Subject, Outcome)>) -> CheckReport {
    CheckReport { check: CheckRef(check), results, panic: None }
}

fn fails(subject: Subject) -> (Subject, Outcome) {
    (subject.clone(), crate::check::fail(Finding::new(subject, "broken")))
}

fn found(finding: Finding) -> (Subject, Outcome) {
    (finding.subject.clone(), crate::check::fail(finding))
}

fn passes(subject: Subject) -> (Subject, Outcome) {
    (subject, Outcome::Pass)
}

fn open(subject: Subject) -> (Subject, Outcome) {
    let missing = crate::check::Undecided { need: Need::HostFilters, why: Why::NotRecorded };
    (subject, Outcome::Undecided(missing))
}

fn node(name: &str) -> Subject {
    Subject::node(name)
}

fn machine(name: &str) -> Subject {
    Subject::cluster_scoped("Host", name)
}

/// The place on these machines, and the crash that it brings about.
fn place(at: &[Subject]) -> [CheckReport; 2] {
    let finding = Finding::new(Subject::cluster(), "blocked").at(at.iter().cloned());
    [report(&PLACE, vec![found(finding)]), report(&CRASH, vec![fails(Subject::cluster())])]
}

fn judge(reports: impl IntoIterator<Item = CheckReport>) -> Judged {
    let reports: Vec<CheckReport> = reports.into_iter().collect();
    explain(&reports, &crate::evidence::unseen(Mode::Installed))
}

/// The root causes, each with its candidates and with whether it explains the crash.
fn roots(judged: &Judged) -> Vec<(&'static str, Vec<&'static str>, bool)> {
    let of =
        |cause: &super::RootCause| (cause.check.name, cause.candidates.clone(), !cause.explains.is_empty());
    judged.root_causes.iter().map(of).collect()
}

#[test]
fn a_fault_of_another_machine_explains_nothing_of_a_place() {
    let judged = judge(place(&[node("n1")]).into_iter().chain([report(&DROP, vec![fails(node("n2"))])]));
    assert_eq!(
        roots(&judged),
        [("place", vec!["drop", "off", "policy"], true), ("drop", Vec::new(), false)],
        "n1 was not looked at"
    );
    let looked = report(&DROP, vec![passes(node("n1")), fails(node("n2"))]);
    let judged = judge(place(&[node("n1")]).into_iter().chain([looked]));
    assert_eq!(roots(&judged), [("place", vec!["off", "policy"], true), ("drop", Vec::new(), false)]);
}

#[test]
fn a_fault_of_its_own_machine_takes_the_place_and_what_it_explains() {
    let judged = judge(place(&[node("n1")]).into_iter().chain([report(&DROP, vec![fails(node("n1"))])]));
    assert_eq!(roots(&judged), [("drop", Vec::new(), true)], "though its own edges lead nowhere");
    assert!(judged.unexplained.is_empty());
}

#[test]
fn a_candidate_is_ruled_out_on_all_machines_of_a_place_or_not_at_all() {
    let at = [node("n1"), machine("cp")];
    let with = |results| roots(&judge(place(&at).into_iter().chain([report(&DROP, results)])))[0].1.clone();
    assert_eq!(with(vec![passes(node("n1"))]), ["drop", "off", "policy"]);
    assert_eq!(with(vec![passes(node("n1")), passes(node("n2"))]), ["drop", "off", "policy"]);
    assert_eq!(with(vec![passes(node("n1")), open(machine("cp"))]), ["drop", "off", "policy"]);
    assert_eq!(with(vec![passes(node("n1")), passes(machine("cp"))]), ["off", "policy"]);
    assert_eq!(with(vec![passes(node("n1")), passes(machine("cp")), open(node("n2"))]), ["off", "policy"]);
}

#[test]
fn machines_that_were_looked_at_do_not_stand_for_a_place_that_names_none() {
    let judged = judge(place(&[]).into_iter().chain([report(&DROP, vec![passes(node("n1"))])]));
    assert_eq!(roots(&judged), [("place", vec!["drop", "off", "policy"], true)]);
    // What is asked of the cluster as a whole is settled by one answer.
    let judged = judge(place(&[]).into_iter().chain([report(&POLICY, vec![passes(Subject::cluster())])]));
    assert_eq!(roots(&judged), [("place", vec!["drop", "off"], true)]);
}

#[test]
fn faults_of_machines_explain_a_symptom_when_they_are_on_all_of_its_machines() {
    let crash = |at: &[Subject]| {
        let finding = Finding::new(Subject::namespaced("Pod", "kube-system", "p"), "ended");
        report(&CRASH, vec![found(finding.at(at.iter().cloned()))])
    };
    let both = [node("n1"), node("n2")];
    let judged = judge([crash(&both), report(&OFF, vec![fails(node("n1"))])]);
    assert_eq!((roots(&judged), judged.unexplained.len()), (vec![("off", Vec::new(), false)], 1));
    let judged = judge([crash(&both), report(&OFF, both.iter().cloned().map(fails).collect())]);
    assert_eq!((roots(&judged), judged.unexplained.len()), (vec![("off", Vec::new(), true)], 0));
    let judged = judge([crash(&both[..1]), report(&OFF, vec![fails(node("n1"))])]);
    assert_eq!((roots(&judged), judged.unexplained.len()), (vec![("off", Vec::new(), true)], 0));
    let judged = judge([crash(&[]), report(&OFF, vec![fails(node("n1"))])]);
    assert_eq!(judged.unexplained.len(), 1, "nobody knows where it happened");
}

#[test]
fn a_likely_cause_gives_way_to_a_certain_one_at_its_machines() {
    let likely = || {
        let finding = Finding::new(Subject::cluster(), "a policy denies it").likely(&["drop", "off"]);
        report(&POLICY, vec![found(finding.at([node("n1")]))])
    };
    let judged = judge(place(&[node("n1")]).into_iter().chain([likely()]));
    assert_eq!(roots(&judged), [("policy", vec!["drop", "off"], true)]);
    assert_eq!(judged.root_causes[0].certainty, Certainty::Likely);

    let judged =
        judge(place(&[node("n1")]).into_iter().chain([likely(), report(&DROP, vec![fails(node("n1"))])]));
    assert_eq!(roots(&judged), [("drop", Vec::new(), true)], "over two that gave way");

    let elsewhere = report(&DROP, vec![passes(node("n1")), fails(node("n2"))]);
    let judged = judge(place(&[node("n1")]).into_iter().chain([likely(), elsewhere]));
    assert_eq!(roots(&judged), [("policy", vec!["off"], true), ("drop", Vec::new(), false)]);

    let other = report(&DROP, vec![found(Finding::new(node("n1"), "perhaps").likely(&[]))]);
    let judged = judge(place(&[node("n1")]).into_iter().chain([likely(), other]));
    assert!(roots(&judged).iter().any(|(name, ..)| *name == "policy"), "{:?}", roots(&judged));

    let ruled_out = [report(&DROP, vec![passes(node("n1"))]), report(&OFF, vec![passes(node("n1"))])];
    let judged = judge(place(&[node("n1")]).into_iter().chain([likely()]).chain(ruled_out));
    assert_eq!(roots(&judged), [("policy", Vec::new(), true)]);
    assert_eq!(judged.root_causes[0].certainty, Certainty::Certain);
}
