//! The recordings of the real cluster as evidence, and what the checks make of it when parts of it are hidden.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::{LazyLock, Mutex, PoisonError};

use checks::check::{Check, Finding, Outcome, Subject};
use checks::diagnosis::{Diagnosis, Policy, Verdict, diagnose};
use checks::evidence::{Evidence, Mode, Need, RequestId, Why};
use checks::registry::CHECKS;
use serde::Deserialize;
use serde_json::{Value, json};

use super::dice::Dice;
use super::edited::edited;
use crate::collect::{CollectOptions, GateInput, HostLook, KubeletLook, ProbeLook, collect};
use crate::manifest;
use crate::source::{Header, Recording, Source};

/// How many random subsets of a recording are hidden.
pub(super) const SUBSETS: u64 = 40;
/// And of a recording of a gate, of which there are many that are small.
const GATE_SUBSETS: u64 = 10;

/// The result for one subject, without its words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Word {
    Pass,
    Fail,
    Undecided,
    /// Undecided because what is to be seen needs more time.
    TooEarly,
    NotApplicable,
}

impl Word {
    fn of(outcome: &Outcome) -> Self {
        match outcome {
            Outcome::Pass => Self::Pass,
            Outcome::Fail(_) => Self::Fail,
            Outcome::Undecided(missing) if matches!(missing.why, Why::TooEarly(_)) => Self::TooEarly,
            Outcome::Undecided(_) => Self::Undecided,
            Outcome::NotApplicable(_) => Self::NotApplicable,
        }
    }

    /// Whether nothing was decided.
    pub(super) fn is_open(self) -> bool {
        matches!(self, Self::Undecided | Self::TooEarly)
    }
}

/// Results by check and subject.
pub(super) type Results = BTreeMap<(&'static str, Subject), Word>;

/// What the checks made of some evidence.
pub(super) struct Seen {
    /// The recording, and what of it was hidden.
    pub(super) what: String,
    pub(super) mode: Mode,
    pub(super) verdict: Verdict,
    pub(super) results: Results,
    /// Checks that gave two results for one subject.
    pub(super) twice: Vec<String>,
    /// Checks that panicked.
    pub(super) panics: Vec<String>,
    /// The root causes, with the candidates that each leaves room for.
    pub(super) roots: BTreeMap<&'static str, Vec<&'static str>>,
    /// What each check read.
    pub(super) read: BTreeMap<&'static str, BTreeSet<Need>>,
    /// What is wrong with the proofs of the findings.
    pub(super) bad_proofs: Vec<String>,
}

impl Seen {
    /// Judges evidence.
    pub(super) fn of(what: String, evidence: &Evidence, seen: &BTreeSet<RequestId>) -> Self {
        let diagnosis = diagnose(CHECKS, evidence, Policy::default());
        let read = diagnosis.checks.iter().filter(|report| report.panic.is_none());
        let read = read.map(|report| (report.check.name, report.check.run(evidence).read)).collect();
        let (results, twice) = results(&diagnosis);
        let findings = diagnosis
            .checks
            .iter()
            .flat_map(|report| report.failures().map(|finding| (report.check.0.name, finding)));
        Self {
            what,
            mode: diagnosis.mode,
            verdict: diagnosis.verdict,
            results,
            twice,
            panics: diagnosis.checks.iter().filter_map(|report| report.panic.clone()).collect(),
            roots: diagnosis
                .root_causes
                .iter()
                .map(|cause| (cause.check.0.name, cause.candidates.clone()))
                .collect(),
            read,
            bad_proofs: findings
                .flat_map(|(name, finding)| bad_proofs(name, finding, evidence, seen))
                .collect(),
        }
    }
}

/// The results of a diagnosis, and the checks that gave two for one subject.
pub(super) fn results(diagnosis: &Diagnosis) -> (Results, Vec<String>) {
    let mut results = Results::new();
    let mut twice = Vec::new();
    for report in &diagnosis.checks {
        for (subject, outcome) in &report.results {
            let key = (report.check.0.name, subject.clone());
            if results.insert(key, Word::of(outcome)).is_some() {
                twice.push(format!("{} on {subject}", report.check.name));
            }
        }
    }
    (results, twice)
}

/// What is wrong with the proof of a finding: `seen` are the requests that show something.
fn bad_proofs(name: &str, finding: &Finding, evidence: &Evidence, seen: &BTreeSet<RequestId>) -> Vec<String> {
    let mut bad = Vec::new();
    let mut complain = |what: String| bad.push(format!("{name} on {}: {what}", finding.subject));
    if finding.citations.is_empty() {
        complain("no proof".to_owned());
    }
    for citation in &finding.citations {
        match citation.request {
            None if citation.place.is_some() => {}
            None => complain(format!("\"{}\" is of no request", citation.path)),
            Some(id) if id >= evidence.requests.len() => complain(format!("there is no request {id}")),
            Some(id) if !seen.contains(&id) => {
                let request = &evidence.requests[id].request;
                complain(format!("\"{}\" is of {request}, which showed nothing", citation.path));
            }
            Some(_) => {}
        }
        if citation.path.is_empty() || citation.value.is_empty() {
            complain(format!("\"{}\" holds \"{}\"", citation.path, citation.value));
        }
    }
    bad
}

/// A recording, judged whole and with parts hidden.
pub(super) struct Case {
    pub(super) name: String,
    /// Whether it is as the cluster showed it, and not edited.
    pub(super) is_recorded: bool,
    pub(super) evidence: Evidence,
    pub(super) whole: Seen,
    pub(super) hidden: Vec<Seen>,
}

impl Case {
    fn new(name: String, is_recorded: bool, evidence: Evidence) -> Self {
        let document = serde_json::to_value(&evidence).expect("evidence can be written");
        let count = if evidence.mode == Mode::Gate { GATE_SUBSETS } else { SUBSETS };
        let hidden = subsets(&name, &document, count).into_iter().map(|(words, places)| {
            let rest = hide(&document, &places);
            judge(format!("{name} without {}", words.replace("/look/seen", "")), &rest)
        });
        let hidden = hidden.collect();
        let whole = judge(name.clone(), &document);
        Self { name, is_recorded, evidence, whole, hidden }
    }

    /// What there is to judge of one recording: itself, and what is made of it by editing.
    fn read(path: &Path) -> Vec<Self> {
        let name = path.file_stem().expect("a name").to_string_lossy().into_owned();
        let evidence = evidence(path, &name);
        if evidence.mode == Mode::Gate {
            return vec![Self::new(name, true, evidence)];
        }
        let mut cases: Vec<Self> = edited(&name, &evidence)
            .into_iter()
            .map(|(words, edited)| Self::new(format!("{name}, {words}"), false, edited))
            .collect();
        cases.push(Self::new(name, true, evidence));
        cases
    }

    /// The whole recording and everything that is left of it.
    pub(super) fn all(&self) -> impl Iterator<Item = &Seen> {
        [&self.whole].into_iter().chain(&self.hidden)
    }
}

/// Every recording, and what is made of some by editing.
pub(super) static WORLD: LazyLock<Vec<Case>> = LazyLock::new(|| {
    let mut paths: Vec<PathBuf> =
        ["tests/recordings", "tests/gate/recordings", "tests/gate/warned", "tests/hosts"]
            .into_iter()
            .flat_map(|folder| std::fs::read_dir(root().join(folder)).expect("the recordings"))
            .map(|entry| entry.expect("an entry").path())
            .collect();
    paths.retain(|path| path.extension().is_some_and(|ending| ending == "jsonl"));
    paths.sort();
    assert!(
        !paths.is_empty(),
        "there are no recordings in tests/recordings; `scenarios --record` makes them"
    );
    let left = Mutex::new(paths.into_iter());
    let done = Mutex::new(Vec::new());
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let next = left.lock().unwrap_or_else(PoisonError::into_inner).next();
                    let Some(path) = next else { break };
                    let cases = Case::read(&path);
                    done.lock().unwrap_or_else(PoisonError::into_inner).extend(cases);
                }
            });
        }
    });
    let mut cases = done.into_inner().unwrap_or_else(PoisonError::into_inner);
    cases.sort_by(|one, other| one.name.cmp(&other.name));
    cases
});

/// The recording of this name.
pub(super) fn case(name: &str) -> &'static Case {
    WORLD.iter().find(|case| case.name == name).unwrap_or_else(|| panic!("there is no recording {name}"))
}

/// The check of this name.
pub(super) fn check(name: &str) -> Option<&'static Check> {
    CHECKS.iter().find(|check| check.name == name)
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Reads a recording as `check --replay` does, and that of a gate with the manifest of its case.
fn evidence(path: &Path, name: &str) -> Evidence {
    let recording = Recording::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let options = options(&recording.header, path, name);
    let source = Source::from(recording);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(collect(&source, &options))
}

fn options(header: &Header, recording: &Path, name: &str) -> CollectOptions {
    let argument = |name: &str| header.arguments.get(name).map(String::as_str);
    let namespace = argument("namespace").map(str::to_owned);
    let mode = match argument("mode") {
        Some("before-install") => Mode::BeforeInstall,
        Some("gate") => Mode::Gate,
        Some("host") => Mode::Host,
        _ => Mode::Installed,
    };
    let gate = || {
        let case = name.split('.').next().unwrap_or_default();
        // Some lie beside their manifest, which says how it was looked at.
        let beside = recording.with_extension("yaml");
        let path =
            if beside.is_file() { beside } else { root().join(format!("tests/gate/cases/{case}.yaml")) };
        let text = std::fs::read_to_string(&path).expect("the manifest of the case");
        let said = |key: &str| text.lines().find_map(|line| line.strip_prefix(key)).map(str::trim);
        let reading = manifest::read(&[path], std::io::empty()).expect("the manifest of the case");
        GateInput {
            manifests: reading.manifests,
            namespace: namespace.clone(),
            live: false,
            offline: false,
            pipeline: said("# pipeline:").is_some(),
            dry_run: said("# dry-run:").is_some(),
            target_minor: said("# target:").and_then(crate::config::minor),
        }
    };
    CollectOptions {
        target_minor: None,
        mode,
        gate: (mode == Mode::Gate).then(gate),
        namespace,
        kubelets: match argument("kubelets") {
            Some("never") => KubeletLook::Never,
            Some("always") => KubeletLook::Always,
            _ => KubeletLook::Auto,
        },
        all_nodes: argument("all-nodes") == Some("true"),
        hosts: HostLook::recorded(&header.arguments),
        probes: ProbeLook::recorded(&header.arguments),
    }
}

/// Judges evidence that is written as JSON.
pub(super) fn judge(what: String, document: &Value) -> Seen {
    let evidence: Evidence =
        Evidence::deserialize(document).unwrap_or_else(|error| panic!("{what}: {error}"));
    Seen::of(what, &evidence, &shown(document))
}

/// Something that was looked at: where it stands in the document, and its kind.
struct Place {
    pointer: String,
    need: String,
    is_seen: bool,
    from: Option<RequestId>,
}

/// Everything that was looked at, also within what was seen.
fn places(document: &Value) -> Vec<Place> {
    fn walk(value: &Value, pointer: &str, found: &mut Vec<Place>) {
        match value {
            Value::Object(fields) => {
                if let (Some(need), Some(look)) = (fields.get("need"), fields.get("look")) {
                    let from = fields.get("from").and_then(|from| from.as_array()?.last()?.as_u64());
                    found.push(Place {
                        pointer: pointer.to_owned(),
                        need: need.as_str().unwrap_or_default().to_owned(),
                        is_seen: is_seen(look),
                        from: from.and_then(|id| usize::try_from(id).ok()),
                    });
                }
                for (name, field) in fields {
                    walk(field, &format!("{pointer}/{name}"), found);
                }
            }
            Value::Array(items) => {
                for (index, item) in items.iter().enumerate() {
                    walk(item, &format!("{pointer}/{index}"), found);
                }
            }
            _ => {}
        }
    }
    let mut found = Vec::new();
    walk(document, "", &mut found);
    found
}

/// The requests whose answers show something that was seen.
fn shown(document: &Value) -> BTreeSet<RequestId> {
    places(document).into_iter().filter(|place| place.is_seen).filter_map(|place| place.from).collect()
}

/// Whether something was seen.
fn is_seen(look: &Value) -> bool {
    look.get("seen").is_some()
}

/// The document without what these pointers lead to.
pub(super) fn hide(document: &Value, pointers: &[String]) -> Value {
    let mut rest = document.clone();
    for pointer in pointers {
        if let Some(look) = rest.pointer_mut(&format!("{pointer}/look")).filter(|look| is_seen(look)) {
            *look = json!({ "unseen": "not_recorded" });
        }
    }
    rest
}

/// The document without anything that was seen.
pub(super) fn nothing(document: &Value) -> Value {
    hide(document, &places(document).into_iter().map(|place| place.pointer).collect::<Vec<_>>())
}

/// What to hide of a recording, each with its words: every single thing, every kind of thing, and random subsets.
pub(super) fn subsets(name: &str, document: &Value, count: u64) -> Vec<(String, Vec<String>)> {
    let seen: Vec<Place> = places(document).into_iter().filter(|place| place.is_seen).collect();
    let mut subsets: Vec<(String, Vec<String>)> =
        seen.iter().map(|place| (place.pointer.clone(), vec![place.pointer.clone()])).collect();
    let needs: BTreeSet<&str> = seen.iter().map(|place| place.need.as_str()).collect();
    for need in needs {
        let of_kind = seen.iter().filter(|place| place.need == need);
        subsets.push((format!("any {need}"), of_kind.map(|place| place.pointer.clone()).collect()));
    }
    let mut dice = Dice::new(name);
    for _ in 0..count {
        let share = 1 + dice.below(9);
        let chosen: Vec<String> =
            seen.iter().filter(|_| dice.below(10) < share).map(|place| place.pointer.clone()).collect();
        subsets.push((chosen.join(" "), chosen));
    }
    subsets
}
