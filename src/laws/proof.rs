//! What can be concluded from what was seen, and what cannot.

use std::collections::{BTreeMap, BTreeSet};

use checks::check::{Check, Hop, Kind, Outcome, Question, Subject};
use checks::diagnosis::{Policy, Verdict, diagnose};
use checks::evidence::{Condition, Evidence, Look, Mode, Need};
use checks::registry::CHECKS;
use jiff::SignedDuration;

use super::assert_none;
use super::world::{Case, Seen, WORLD, Word, case, check, judge, nothing};

#[test]
fn without_evidence_everything_is_undecided() {
    let mut broken = Vec::new();
    for mode in [Mode::Installed, Mode::BeforeInstall] {
        let like = Evidence { mode, ..case("healthy-signed.nodes").evidence.clone() };
        let document = serde_json::to_value(&like).expect("evidence can be written");
        let seen = judge(format!("nothing in mode {mode:?}"), &nothing(&document));
        for ((check, subject), word) in &seen.results {
            if !word.is_open() {
                broken.push(format!("{}: {check} on {subject} is {word:?}", seen.what));
            }
        }
        assert_ne!(seen.verdict, Verdict::Pass, "{}", seen.what);
        assert!(seen.roots.is_empty(), "{}: {:?}", seen.what, seen.roots);
    }
    assert_none("no evidence leaves everything undecided", &broken);
}

#[test]
fn hiding_decides_nothing() {
    let mut broken = Vec::new();
    for (case, seen) in hidden() {
        for ((name, subject), word) in &seen.results {
            let before = case.whole.results.get(&(*name, subject.clone())).copied();
            if !may_become(name, before, *word) {
                let before = before.map_or("not there".to_owned(), |word| format!("{word:?}"));
                broken.push(format!("{name} on {subject} was {before} and is {word:?}: {}", seen.what));
            }
        }
    }
    assert_none("hiding what was seen moves results only towards undecided", &broken);
}

/// Whether a result may become this one when something is hidden.
///
/// A symptom is a plain fact. That it is too early to hold it against anybody is known from the age of the pods alone;
/// where they are not seen, the symptom stands, and unexplained.
fn may_become(name: &str, before: Option<Word>, after: Word) -> bool {
    let is_symptom = check(name).is_some_and(|check| matches!(check.kind, Kind::Symptom));
    match (before, after) {
        (_, Word::Undecided) => true,
        (Some(Word::TooEarly), Word::Fail) => is_symptom,
        (Some(before), after) => before == after || before.is_open() && after.is_open(),
        (None, after) => after.is_open(),
    }
}

#[test]
fn hiding_finds_no_cause() {
    let mut broken = Vec::new();
    for (case, seen) in hidden() {
        for (root, candidates) in &seen.roots {
            let known = case.whole.roots.contains_key(root);
            let of_known = candidates.iter().any(|name| case.whole.roots.contains_key(name));
            if !known && !of_known {
                let before: Vec<_> = case.whole.roots.keys().collect();
                broken.push(format!("{root} appears besides {before:?}: {}", seen.what));
            }
        }
    }
    assert_none("hiding makes no root cause, other than a place that has one among its candidates", &broken);
}

/// Causes whose open question is listed and not counted, and why: the Metrics API can work while they are there, and
/// whoever may not look at them still gets a verdict on the pipeline.
const NOT_COUNTED: &[(&str, &str)] = &[
    ("anonymous-granted-privileges", "a hazard: fresh metrics say nothing of it, and few may list bindings"),
    ("kubelet-open-to-anyone", "a hazard: few reach the kubelets, and nobody is asked to grant nodes/proxy"),
    ("hpa-request-missing", "of one autoscaler, not of the pipeline"),
    ("hpa-target-missing", "of one autoscaler, not of the pipeline"),
    ("hpa-metrics-api-missing", "of one autoscaler, not of the pipeline"),
    ("hpa-controller-not-running", "of autoscalers, not of the pipeline, and few may read the Lease"),
    ("proxy-client-cert-missing", "hidden by anonymous privileges, with which the Metrics API answers"),
];

/// Whether nothing but causes that are not counted was found, and all of them are open now.
fn is_not_counted(whole: &Seen, seen: &Seen) -> bool {
    let open = |name: &str| {
        seen.results.iter().any(|((check, _), word)| *check == name && word.is_open())
            && !seen.results.iter().any(|((check, _), word)| *check == name && *word == Word::Fail)
    };
    whole.verdict == Verdict::Fail
        && whole.roots.keys().all(|root| NOT_COUNTED.iter().any(|(name, _)| name == root) && open(root))
}

#[test]
fn hiding_lets_nothing_pass() {
    let mut broken = Vec::new();
    for (case, seen) in hidden() {
        let passes = seen.verdict == Verdict::Pass && case.whole.verdict != Verdict::Pass;
        if passes && !is_not_counted(&case.whole, seen) {
            let roots: Vec<_> = case.whole.roots.keys().collect();
            broken.push(format!("it was {:?} ({roots:?}) and passes: {}", case.whole.verdict, seen.what));
        }
    }
    assert_none("hiding lets nothing pass", &broken);
}

#[test]
fn what_is_not_counted_is_listed() {
    for (name, reason) in NOT_COUNTED {
        let check = check(name).unwrap_or_else(|| panic!("{name} is no check"));
        let counts = match check.question {
            Question::Listed => false,
            // The autoscalers that a gate is asked about are what its verdict is on, and so is the machine that `host` looks at.
            Question::Deciding { modes, .. } => {
                modes.iter().any(|mode| !matches!(mode, Mode::Gate | Mode::Host))
            }
        };
        assert!(!counts, "{name} counts, though it is said to be {reason}");
    }
}

#[test]
fn hiding_changes_no_mode() {
    let broken: Vec<String> = hidden()
        .filter(|(case, seen)| seen.mode != case.whole.mode)
        .map(|(_, seen)| format!("its mode is {:?}: {}", seen.mode, seen.what))
        .collect();
    assert_none("hiding changes no mode", &broken);
}

fn hidden() -> impl Iterator<Item = (&'static Case, &'static Seen)> {
    WORLD.iter().flat_map(|case| case.hidden.iter().map(move |seen| (case, seen)))
}

fn everything() -> impl Iterator<Item = &'static Seen> {
    WORLD.iter().flat_map(Case::all)
}

#[test]
fn every_finding_is_proved_by_what_was_seen() {
    let broken: BTreeMap<&str, &str> = everything()
        .flat_map(|seen| seen.bad_proofs.iter().map(|bad| (bad.as_str(), seen.what.as_str())))
        .collect();
    let broken: Vec<String> = broken.into_iter().map(|(bad, what)| format!("{bad}: {what}")).collect();
    assert_none("every finding cites requests that showed something, with a path and a value", &broken);
}

#[test]
fn no_check_panics_or_repeats_itself() {
    let broken: Vec<String> = everything()
        .flat_map(|seen| seen.panics.iter().chain(&seen.twice).map(|what| format!("{what}: {}", seen.what)))
        .collect();
    assert_none("a check gives each subject one result", &broken);
}

/// What no recording of a gate makes a check read: autoscalers that are in the cluster only, targets that are not in the
/// manifests, versions that decide. The cases beside these checks read it.
const READ_ELSEWHERE: &[(&str, Need)] = &[
    ("forward-policy-drop", Need::HostControlPlane),
    ("hpa-metric-without-data", Need::Hpas),
    ("cgroup-drivers-differ", Need::Nodes),
    ("cgroup-drivers-hazard", Need::Nodes),
    ("cgroup-drivers-hazard", Need::Pods),
    ("host-names-unresolved", Need::NodeMetrics),
    ("kubelet-cert-self-signed", Need::HostKubelet),
    ("kubelet-csr-denied", Need::HostKubelet),
    ("kubelet-csr-pending", Need::HostKubelet),
    ("kubelet-open-to-anyone", Need::HostKubelet),
    ("kubelet-webhook-authentication-off", Need::HostKubelet),
    ("requestheader-ca-missing", Need::HostControlPlane),
    ("forwarding-hazard", Need::HostControlPlane),
    ("forwarding-hazard", Need::HostRoutes),
    ("reverse-path-filter-strict", Need::HostSettings),
    ("kubelet-config-not-read", Need::Nodes),
    ("kubelet-config-not-read", Need::Configz),
    ("hpa-request-missing", Need::Version),
    ("hpa-request-missing", Need::Template),
    ("hpa-manifest-refused", Need::Version),
    ("hpa-container-missing", Need::Hpas),
    ("hpa-container-missing", Need::HpaTarget),
    ("hpa-container-missing", Need::Template),
    ("hpa-target-not-scalable", Need::Hpas),
    ("hpa-target-shared", Need::HpaPods),
    ("hpa-shares-resource-with-vpa", Need::Hpas),
    ("scaledobject-cannot-scale", Need::Version),
    ("scaledobject-cannot-scale", Need::LimitRanges),
    ("hpa-readiness-unknown", Need::Template),
    ("hpa-growth-blocked", Need::Hpas),
    ("hpa-growth-blocked", Need::Template),
    ("hpa-described-object-missing", Need::Hpas),
    ("hpa-described-object-missing", Need::Kinds),
    ("hpa-sidecar-request-unknown", Need::HpaPods),
    ("hpa-sidecar-request-unknown", Need::LimitRanges),
];

/// Whether recordings can say something of a check. Those of machines run where a machine was looked at only; as soon as one
/// recording holds a machine, they are held to all laws. Until then `checks/host/tests.rs` does.
fn is_recorded(check: &Check) -> bool {
    check.hop != Hop::Host || WORLD.iter().any(|case| !case.evidence.hosts.is_empty())
}

#[test]
fn checks_read_what_they_declare() {
    let mut read: BTreeMap<&str, BTreeSet<Need>> = BTreeMap::new();
    for seen in everything() {
        for (name, needs) in &seen.read {
            read.entry(name).or_default().extend(needs);
        }
    }
    let mut broken = Vec::new();
    for check in CHECKS.iter().filter(|check| is_recorded(check)) {
        let declared: BTreeSet<Need> = check.needs.iter().copied().collect();
        let read = read.remove(check.name).unwrap_or_default();
        for need in read.difference(&declared) {
            broken.push(format!("{} reads {need:?} and does not declare it", check.name));
        }
        for need in declared.difference(&read) {
            if READ_ELSEWHERE.contains(&(check.name, *need)) {
                continue;
            }
            broken.push(format!("{} declares {need:?} and never reads it", check.name));
        }
    }
    assert_none("what a check declares is what it reads", &broken);
}

/// Checks that no recording can show failing, with the reason.
const NEVER_FAILS: &[(&str, &str)] = &[
    (
        "component-flag-removed",
        "the programs of the reference cluster are newer than every flag that was removed",
    ),
    ("conntrack-full", "the limit is one for the whole kernel, and no namespace may change it"),
    ("swap-stops-kubelet", "the reference machine has no swap"),
    ("host-clock-wrong", "the hosts of the reference cluster share one clock"),
    ("host-clock-drifting", "the hosts of the reference cluster share one clock"),
    ("manifest-unreadable", "a file that cannot be read has no case"),
    ("hpa-declared-twice", "a case declares each autoscaler once"),
];

/// Checks that no recording can show passing, with the reason.
const NEVER_PASSES: &[(&str, &str)] = &[
    ("reverse-path-filter-strict", "the reference machines have one way each"),
    ("scaledobject-cannot-scale", "KEDA does not run on the reference cluster"),
];

#[test]
fn every_check_fails_and_passes_somewhere() {
    let mut seen: BTreeSet<(&str, Word)> = BTreeSet::new();
    let recorded = WORLD.iter().filter(|case| case.is_recorded).flat_map(Case::all);
    for results in recorded.map(|seen| &seen.results) {
        seen.extend(results.iter().map(|((name, _), word)| (*name, *word)));
    }
    let mut broken = Vec::new();
    for (word, exceptions) in [(Word::Fail, NEVER_FAILS), (Word::Pass, NEVER_PASSES)] {
        for check in CHECKS.iter().filter(|check| is_recorded(check)) {
            let excepted = exceptions.iter().any(|(name, _)| *name == check.name);
            match (seen.contains(&(check.name, word)), excepted) {
                (false, false) => broken.push(format!("{} is {word:?} in no recording", check.name)),
                (true, true) => broken.push(format!("{} is {word:?}, and excepted for nothing", check.name)),
                _ => {}
            }
        }
    }
    assert_none("every check fails in a recording and passes in one", &broken);
}

/// The recording of a scenario in which metrics-server has run for an hour: its pods are warm, and not Ready.
fn long_after(name: &str) -> Evidence {
    let mut evidence = case(name).evidence.clone();
    let long_ago = evidence.taken_at - SignedDuration::from_hours(1);
    let Look::Seen(pods) = &mut evidence.backend.pods.look else { panic!("no pods") };
    for pod in pods {
        (pod.ready, pod.created, pod.started) = (false, long_ago, Some(long_ago));
    }
    evidence
}

/// A cluster with one bad kubelet of two, and a Metrics API that does not answer for a reason of its own.
fn one_bad_node_and_no_api() -> Evidence {
    let mut evidence = long_after("self-signed-one.nodes");
    let Look::Seen(Some(apiservice)) = &mut evidence.registration.look else { panic!("no APIService") };
    apiservice.available = Some(Condition {
        kind: "Available".to_owned(),
        status: "False".to_owned(),
        reason: "MissingEndpoints".to_owned(),
        message: "endpoints for service/metrics-server have no addresses".to_owned(),
        since: None,
    });
    let Look::Seen(answer) = &mut evidence.metrics.discovery.look else { panic!("no answer") };
    (answer.status, answer.message) = (503, "service unavailable".to_owned());
    evidence
}

#[test]
fn one_bad_node_of_several_does_not_explain_an_unavailable_api() {
    let evidence = one_bad_node_and_no_api();
    let diagnosis = diagnose(CHECKS, &evidence, Policy::default());
    let unexplained: Vec<&str> = diagnosis.unexplained.iter().map(|symptom| symptom.check.0.name).collect();
    for symptom in ["apiservice-unavailable", "metrics-server-not-ready", "metrics-api-unanswered"] {
        assert!(
            unexplained.contains(&symptom),
            "{symptom} counts as explained; unexplained: {unexplained:?}"
        );
    }
    let explained: Vec<&Subject> = diagnosis
        .root_causes
        .iter()
        .filter(|cause| cause.check.name == "kubelet-cert-self-signed")
        .flat_map(|cause| cause.explains.iter().map(|symptom| &symptom.subject))
        .collect();
    assert!(explained.iter().all(|subject| subject.kind == "Node"), "{explained:?}");
}

#[test]
fn all_bad_nodes_together_explain_an_unavailable_api() {
    let evidence = long_after("self-signed-all.nodes");
    let diagnosis = diagnose(CHECKS, &evidence, Policy::default());
    let [cause] = diagnosis.root_causes.as_slice() else { panic!("{:?}", diagnosis.root_causes) };
    let explained: Vec<&str> = cause.explains.iter().map(|symptom| symptom.check.0.name).collect();
    assert!(explained.contains(&"metrics-api-unanswered"), "{explained:?}");
}

/// A second pod beside one that runs: what keeps it away is not why the first does not serve.
#[test]
fn a_pod_that_is_one_too_many_is_no_cause() {
    type Edit = fn(&mut checks::evidence::Pod);
    let edits: [(&str, Edit); 2] = [
        ("no node takes it", |pod| {
            pod.node = None;
            pod.unschedulable = Some("0/2 nodes are available: 2 Insufficient cpu.".to_owned());
        }),
        ("its image is not there", |pod| {
            pod.waiting = Some("ImagePullBackOff".to_owned());
            pod.waiting_message = Some("not found".to_owned());
        }),
    ];
    let roots = |evidence: &Evidence| -> Vec<&str> {
        diagnose(CHECKS, evidence, Policy::default())
            .root_causes
            .iter()
            .map(|cause| cause.check.0.name)
            .collect()
    };
    for (what, edit) in edits {
        let mut evidence = long_after("self-signed-all.nodes");
        let Look::Seen(pods) = &mut evidence.backend.pods.look else { panic!("no pods") };
        let mut second = pods[0].clone();
        (second.name, second.started, second.ready) = ("metrics-server-second".to_owned(), None, false);
        edit(&mut second);
        pods.push(second);
        assert_eq!(roots(&evidence), ["kubelet-cert-self-signed"], "{what}");
    }
    let mut evidence = long_after("self-signed-all.nodes");
    let Look::Seen(Some(workload)) = &mut evidence.backend.workload.look else { panic!("no workload") };
    workload.replica_failure = Some("pods \"x\" is forbidden: exceeded quota: small".to_owned());
    assert_eq!(roots(&evidence), ["kubelet-cert-self-signed"], "a quota refuses it");
}

#[test]
fn a_check_that_panics_costs_its_own_result_only() {
    let evidence = &case("self-signed-all.nodes").evidence;
    // A check of machines does not run where none was looked at, nor one of probes where there was none.
    let runs = |check: &Check| check.hop != Hop::Host && !check.needs.contains(&Need::PodProbe);
    let first = CHECKS.iter().position(runs).expect("there are checks");
    let victim = &CHECKS[first];
    let mut list = CHECKS.to_vec();
    list[first].run = |_, _| panic!("a defect");
    let list: &'static [_] = list.leak();
    let damaged = diagnose(list, evidence, Policy::default());
    let sound = diagnose(CHECKS, evidence, Policy::default());
    for (damaged, sound) in damaged.checks.iter().zip(&sound.checks) {
        let results = |list: &[(Subject, Outcome)]| format!("{list:?}");
        if damaged.check.code == victim.code {
            assert_eq!(damaged.panic.as_deref(), Some("a defect"));
            assert!(damaged.results.is_empty());
        } else {
            assert_eq!(results(&damaged.results), results(&sound.results), "{}", damaged.check.name);
        }
    }
    assert_eq!(damaged.verdict, sound.verdict);
    let healthy = diagnose(list, &case("healthy-signed.nodes").evidence, Policy::default());
    assert_eq!(healthy.verdict, Verdict::Undecided, "what a broken check would have said is open");
}
