//! Waivers and baselines over invented checks, and their laws.

use std::collections::BTreeSet;

use jiff::Timestamp;
use proptest::prelude::*;

use super::waivers::{Waiver, WaiverState};
use super::{Diagnosis, Policy, Verdict, diagnose};
use crate::check::Undecided;
use crate::check::{Check, Finding, Hop, Kind, Outcome, Question, Results, Severity, Subject, no_remedies};
use crate::evidence::{Evidence, Mode, Need, Place, Why};

const NODES: [&str; 3] = ["n1", "n2", "n3"];

fn found(_: &Evidence, results: &mut Results<'_>) {
    for node in NODES {
        let subject = Subject::node(node);
        results.about(subject.clone(), |_| Ok(Outcome::Fail(Box::new(Finding::new(subject, "broken")))));
    }
}

fn open(_: &Evidence, results: &mut Results<'_>) {
    let missing = Undecided { need: Need::Nodes, why: Why::NotRecorded };
    results.about_cluster(|_| Err(missing));
}

const fn check(code: &'static str, severity: Severity, run: fn(&Evidence, &mut Results<'_>)) -> Check {
    let question = Question::Deciding { modes: &[Mode::Installed], unless: &[] };
    Check {
        code,
        name: code,
        title: "",
        hop: Hop::Kubelet,
        severity,
        kind: Kind::Cause,
        modes: &[Mode::Installed],
        needs: &[],
        explains: &[],
        question,
        source: "",
        run,
        remedies: no_remedies,
    }
}

static BROKEN: [Check; 1] = [check("A", Severity::Error, found)];
static OPEN: [Check; 2] = [check("A", Severity::Error, found), check("B", Severity::Error, open)];

fn waiver(code: &str, subject: &str, expires: &str) -> Waiver {
    Waiver {
        code: code.to_owned(),
        subject: subject.to_owned(),
        reason: "it will be replaced".to_owned(),
        owner: "team".to_owned(),
        expires: expires.parse().expect("a day"),
        place: Place { file: "f".to_owned(), line: 3, column: 5, end_line: 3, end_column: 6 },
    }
}

fn now() -> Timestamp {
    "2026-11-20T23:59:59Z".parse().expect("a time")
}

fn excused(checks: &'static [Check], waivers: &[Waiver], known: &[&str], policy: Policy) -> Diagnosis {
    let mut diagnosis = diagnose(checks, &crate::evidence::unseen(Mode::Installed), policy);
    let baseline = known.iter().map(|node| ("A".to_owned(), Subject::node(*node))).collect::<BTreeSet<_>>();
    diagnosis.excuse(waivers, (!known.is_empty()).then_some(baseline), now(), policy);
    diagnosis
}

fn verdict(waivers: &[Waiver], known: &[&str]) -> Verdict {
    excused(&BROKEN, waivers, known, Policy::default()).verdict
}

#[test]
fn what_is_not_waived_counts() {
    let of = |subject| waiver("A", subject, "2026-11-20");
    assert_eq!(verdict(&[], &[]), Verdict::Fail);
    assert_eq!(verdict(&[of("Node n1"), of("Node n2")], &[]), Verdict::Fail);
    assert_eq!(verdict(&[of("Node n1"), of("Node n2"), of("Node n3")], &[]), Verdict::Pass);
    assert_eq!(verdict(&[of("Node n*")], &[]), Verdict::Pass);
    assert_eq!(verdict(&[of("Node n")], &[]), Verdict::Fail);
    assert_eq!(verdict(&[of("Pod n*")], &[]), Verdict::Fail);
    assert_eq!(verdict(&[waiver("B", "Node n*", "2026-11-20")], &[]), Verdict::Fail);
    assert_eq!(verdict(&[of("Node n1")], &["n2", "n3"]), Verdict::Pass);
    assert_eq!(verdict(&[], &["n1", "n3"]), Verdict::Fail);
}

#[test]
fn a_waiver_whose_day_is_over_has_no_effect_and_is_a_warning() {
    let waivers = [waiver("A", "Node n*", "2026-11-19")];
    let diagnosis = excused(&BROKEN, &waivers, &[], Policy::default());
    assert_eq!(diagnosis.verdict, Verdict::Fail);
    assert_eq!(diagnosis.excused.waivers[0].1, WaiverState::Expired);
    let about = diagnosis.root_causes.iter().find(|it| it.check.0.code == "MP091").expect("a finding");
    assert_eq!(about.severity(), Severity::Warning);
    assert_eq!(about.findings[0].citations[0].place.as_ref().map(|place| place.line), Some(3));
    // Where warnings fail, a baseline with everything else does not hide that the day is over.
    let policy = Policy { fail_on: Severity::Warning, strict: false };
    assert_eq!(excused(&BROKEN, &waivers, &NODES, policy).verdict, Verdict::Fail);
    assert_eq!(excused(&BROKEN, &waivers, &NODES, Policy::default()).verdict, Verdict::Pass);
}

#[test]
fn only_what_was_looked_at_in_full_makes_a_waiver_unused() {
    let state = |code: &str, subject: &str| {
        let waivers = [waiver(code, subject, "2027-01-01")];
        excused(&OPEN, &waivers, &[], Policy::default()).excused.waivers[0].1
    };
    assert_eq!(state("A", "Node n1"), WaiverState::InForce);
    assert_eq!(state("A", "Node other"), WaiverState::Unused);
    assert_eq!(state("B", "cluster"), WaiverState::InForce);
    assert_eq!(state("C", "Node n1"), WaiverState::InForce);
    let unused = excused(&BROKEN, &[waiver("A", "Node x", "2027-01-01")], &NODES, Policy::default());
    assert_eq!(unused.verdict, Verdict::Pass);
    assert!(unused.root_causes.iter().any(|it| it.check.0.code == "MP092"));
}

fn any_waiver() -> impl Strategy<Value = Waiver> {
    let subjects = ["Node n1", "Node n2", "Node n3", "Node n*", "*", "cluster", "Node x"];
    let days = ["2026-11-19", "2026-11-20", "2030-01-01"];
    (
        prop::sample::select(&["A", "B", "C"]),
        prop::sample::select(subjects.to_vec()),
        prop::sample::select(days.to_vec()),
    )
        .prop_map(|(code, subject, day)| waiver(code, subject, day))
}

proptest! {
    /// Nothing that is excused closes an open question, and nothing goes from the report.
    #[test]
    fn an_open_question_stays_open(
        waivers in prop::collection::vec(any_waiver(), 0..6),
        known in prop::sample::subsequence(NODES.to_vec(), 0..=3),
        strict: bool,
    ) {
        let policy = Policy { fail_on: Severity::Error, strict };
        let plain = diagnose(&OPEN, &crate::evidence::unseen(Mode::Installed), policy);
        let excused = excused(&OPEN, &waivers, &known, policy);
        prop_assert_ne!(excused.verdict, Verdict::Pass);
        prop_assert_eq!(&excused.undecided, &plain.undecided);
        for cause in &plain.root_causes {
            let kept = excused.root_causes.iter().find(|it| it.check == cause.check);
            prop_assert_eq!(kept.map(|it| &it.findings), Some(&cause.findings));
        }
    }

    /// What no waiver in force names and no baseline has decides as before.
    #[test]
    fn what_is_not_named_is_not_touched(
        waivers in prop::collection::vec(any_waiver(), 0..6),
        known in prop::sample::subsequence(NODES.to_vec(), 0..=3),
    ) {
        let expected = NODES.iter().any(|node| {
            let waived = waivers.iter().any(|waiver| {
                waiver.code == "A"
                    && waiver.expires.to_string().as_str() >= "2026-11-20"
                    && [format!("Node {node}").as_str(), "Node n*", "*"].contains(&waiver.subject.as_str())
            });
            !waived && !known.contains(node)
        });
        let verdict = verdict(&waivers, &known);
        prop_assert_eq!(verdict, if expected { Verdict::Fail } else { Verdict::Pass });
    }
}
