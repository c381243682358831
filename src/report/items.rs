//! What a document has to tell, one entry a thing to act on: the same list for every format that is made of entries.
//!
//! The exit code is not 0 exactly when one of the entries fails; a test holds every format to that.

use std::fmt::Write as _;

use super::gate::Scope;
use super::json::{Document, Excuse, Open, Place, RootCause, Subject, Unexplained, Waiver};
use super::push;
use super::text::excerpt;

/// How many subjects and details an entry writes out.
const SHOWN: usize = 5;
/// How long a detail gets.
const DETAIL: usize = 400;

/// The cluster as a subject, in words.
const CLUSTER: &str = "the cluster";

/// What kind of thing an entry is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Nothing could be decided, or the report is not whole.
    Run,
    /// A fault to cure.
    Cause,
    /// A symptom that nothing explains.
    Unexplained,
    /// A check that was lost to a defect of this program.
    Lost,
    /// An open question.
    Open,
    /// A waiver that holds.
    Waiver,
}

/// A thing to act on.
#[derive(Clone, Debug)]
pub(super) struct Item<'d> {
    pub(super) kind: Kind,
    /// The code of the check; empty for the run as a whole.
    pub(super) code: &'d str,
    /// The name of the check, or the kind of the error.
    pub(super) name: &'d str,
    /// `error`, `warning` or `info`.
    pub(super) severity: &'static str,
    /// Whether the exit code counts it.
    pub(super) fails: bool,
    /// Whether it is an open question that the verdict rests on.
    pub(super) rests: bool,
    /// One sentence that states it.
    pub(super) title: &'d str,
    /// What it is about.
    pub(super) subjects: Vec<&'d Subject<'d>>,
    /// The facts, each once.
    pub(super) details: Vec<String>,
    /// Where it stands in a file.
    pub(super) place: Option<&'d Place>,
    /// Why the exit code does not count any of it.
    pub(super) excused: Vec<&'d str>,
    /// What to do about it.
    pub(super) advice: Option<&'d str>,
}

/// Every entry, the gravest first.
pub(super) fn items<'d>(document: &'d Document<'_>) -> Vec<Item<'d>> {
    let mut items = Vec::new();
    items.extend(document.error.as_ref().map(|error| Item {
        kind: Kind::Run,
        code: "",
        name: error.kind,
        severity: "error",
        fails: document.exit_code != 0,
        rests: false,
        title: &error.message,
        subjects: Vec::new(),
        details: Vec::new(),
        place: None,
        excused: Vec::new(),
        advice: error.hint.as_deref(),
    }));
    items.extend(document.root_causes.iter().flat_map(|cause| root_cause(document, cause)));
    items.extend(unexplained(document));
    items.extend(document.checks.iter().filter_map(|check| {
        Some(Item {
            kind: Kind::Lost,
            code: check.code,
            name: check.name,
            severity: "error",
            fails: true,
            rests: false,
            title: "A bug in this program: the check failed with a defect of its own, and its results are lost",
            subjects: Vec::new(),
            details: vec![excerpt(check.panic?, DETAIL)],
            place: None,
            excused: Vec::new(),
            advice: Some("Please report it, with a recording (`metrics-preflight capture`)."),
        })
    }));
    items.extend(open(document));
    items.extend(waivers(document));
    items
}

/// Whether the exit code counts what weighs so much.
fn fails(document: &Document<'_>, severity: &str) -> bool {
    let weight = |name: &str| ["info", "warning", "error"].iter().position(|known| *known == name);
    document.policy.is_some_and(|policy| weight(severity) >= weight(policy.fail_on))
}

/// One entry for what was seen in the cluster, and one for each place in a file.
fn root_cause<'d>(document: &'d Document<'_>, cause: &'d RootCause<'_>) -> Vec<Item<'d>> {
    let mut places: Vec<(Option<&Place>, Vec<_>)> = Vec::new();
    for detail in &cause.details {
        push(&mut places, detail.place.as_ref(), detail);
    }
    let advice = cause.remedies.first().map(|remedy| remedy.title);
    let why = |subject: &Subject<'_>| cause.excused.iter().find(|it| it.subject == *subject);
    let entries = places.into_iter().map(|(place, found)| {
        let excuses: Vec<&Excuse<'_>> = found.iter().filter_map(|detail| why(&detail.subject)).collect();
        let counts = excuses.len() < found.len();
        let mut details = distinct(found.iter().map(|detail| detail.detail));
        details.extend(distinct_excuses(&excuses));
        Item {
            kind: Kind::Cause,
            code: cause.code,
            name: cause.name,
            severity: if counts { cause.severity } else { "info" },
            fails: counts && fails(document, cause.severity),
            rests: false,
            title: cause.title,
            subjects: found.iter().map(|detail| &detail.subject).collect(),
            details,
            place,
            excused: if counts { Vec::new() } else { whys(&excuses) },
            advice,
        }
    });
    entries.collect()
}

fn unexplained<'d>(document: &'d Document<'_>) -> impl Iterator<Item = Item<'d>> {
    let mut groups: Vec<(_, Vec<&Unexplained<'_>>)> = Vec::new();
    for symptom in &document.unexplained {
        push(&mut groups, (symptom.code, symptom.place.as_ref()), symptom);
    }
    groups.into_iter().map(|((code, place), found)| {
        let excuses: Vec<&Excuse<'_>> = found.iter().filter_map(|symptom| symptom.excused.as_ref()).collect();
        let counts = excuses.len() < found.len();
        let mut details = distinct(found.iter().map(|symptom| symptom.detail));
        details.extend(distinct_excuses(&excuses));
        Item {
            kind: Kind::Unexplained,
            code,
            name: found[0].name,
            severity: if counts { found[0].severity } else { "info" },
            fails: counts && fails(document, found[0].severity),
            rests: false,
            title: found[0].title,
            subjects: found.iter().map(|symptom| &symptom.subject).collect(),
            details,
            place,
            excused: if counts { Vec::new() } else { whys(&excuses) },
            advice: None,
        }
    })
}

/// The reasons, each once.
fn whys<'d>(excuses: &[&'d Excuse<'d>]) -> Vec<&'d str> {
    let mut whys: Vec<&str> = excuses.iter().map(|it| it.why.as_str()).collect();
    whys.dedup();
    whys
}

/// What is not counted, subject by subject, as facts of an entry.
fn distinct_excuses(excuses: &[&Excuse<'_>]) -> Vec<String> {
    let mut by_why: Vec<(&str, Vec<&Subject<'_>>)> = Vec::new();
    for it in excuses {
        push(&mut by_why, it.why.as_str(), &it.subject);
    }
    let lines = by_why.iter().take(SHOWN);
    lines
        .map(|(why, about)| excerpt(&format!("not counted for {}: {why}", subjects(about)), 2 * DETAIL))
        .collect()
}

/// A waiver that holds is told each time, whether it has anything to do or not.
fn waivers<'d>(document: &'d Document<'_>) -> impl Iterator<Item = Item<'d>> {
    document.waivers.iter().filter(|waiver| waiver.state != "expired").map(|waiver| Item {
        kind: Kind::Waiver,
        code: waiver.code,
        name: "waiver",
        severity: "info",
        fails: false,
        rests: false,
        title: if waiver.state == "unused" {
            "A waiver is in force, and what it names was not found"
        } else {
            "A waiver is in force"
        },
        subjects: Vec::new(),
        details: vec![waiver_sentence(waiver)],
        place: Some(&waiver.place),
        excused: Vec::new(),
        advice: None,
    })
}

/// `MP501 Node node1, until 2027-01-31, by ops: they go`.
fn waiver_sentence(waiver: &Waiver<'_>) -> String {
    let Waiver { code, subject, expires, owner, reason, .. } = waiver;
    excerpt(&format!("{code} {subject}, until {expires}, by {owner}: {reason}"), 2 * DETAIL)
}

/// Whether anything that was found is not counted.
fn has_excused(document: &Document<'_>) -> bool {
    let threshold = |severity: &str| fails(document, severity);
    document.root_causes.iter().any(|it| !it.excused.is_empty() && threshold(it.severity))
        || document.unexplained.iter().any(|it| it.excused.is_some() && threshold(it.severity))
}

/// The open questions of a check are one entry, those that the verdict rests on apart from the others.
fn open<'d>(document: &'d Document<'_>) -> impl Iterator<Item = Item<'d>> {
    let mut groups: Vec<((&str, bool), Vec<&Open<'_>>)> = Vec::new();
    for open in &document.undecided {
        push(&mut groups, (open.code, rests(document, open)), open);
    }
    // Where something was found, that is why the run fails, and not what stays open besides.
    let counts = document.verdict == Some("undecided") && document.exit_code != 0;
    groups.into_iter().map(move |((code, rests), found)| Item {
        kind: Kind::Open,
        code,
        name: found[0].name,
        severity: if rests { "error" } else { "info" },
        fails: rests && counts,
        rests,
        title: "Undecided",
        subjects: found.iter().map(|open| &open.subject).collect(),
        details: distinct(found.iter().map(|open| open.reason.as_str())),
        place: None,
        excused: Vec::new(),
        advice: found.iter().find_map(|open| open.would_decide.as_deref()),
    })
}

/// Whether the verdict rests on an open question.
fn rests(document: &Document<'_>, open: &Open<'_>) -> bool {
    open.deciding || document.policy.is_some_and(|policy| policy.strict)
}

/// The first few different sentences, and how many there are besides.
fn distinct<'s>(sentences: impl Iterator<Item = &'s str>) -> Vec<String> {
    let mut seen = std::collections::HashSet::new();
    let mut shown = Vec::new();
    for sentence in sentences.filter(|sentence| !sentence.is_empty() && seen.insert(*sentence)) {
        if shown.len() < SHOWN {
            shown.push(excerpt(sentence, DETAIL));
        }
    }
    if seen.len() > SHOWN {
        shown.push(format!("and {} more of this kind", seen.len() - SHOWN));
    }
    shown
}

impl Item<'_> {
    /// The title of an annotation: the check by code and name, or what went wrong.
    pub(super) fn heading(&self) -> String {
        match self.kind {
            Kind::Run => format!("metrics-preflight: {}", self.name),
            _ => format!("{} {}", self.code, self.name),
        }
    }

    /// Title, subjects and facts on one line.
    pub(super) fn sentence(&self) -> String {
        let mut text = excerpt(self.title, DETAIL);
        let about = subjects(&self.subjects);
        if !about.is_empty() && about != CLUSTER {
            text = format!("{text} ({about})");
        }
        if !self.details.is_empty() {
            text = format!("{text}: {}", self.details.join("; "));
        }
        text
    }
}

impl Item<'_> {
    /// A path for tools that want a file where there is none: `cluster/KIND/NAME`, `cluster/KIND/NAMESPACE/NAME` or
    /// `cluster`, by the first subject.
    pub(super) fn stand_in(&self) -> String {
        match self.subjects.first() {
            None => "cluster".to_owned(),
            Some(subject) if subject.kind == "Cluster" => "cluster".to_owned(),
            Some(subject) => ["cluster", subject.kind]
                .into_iter()
                .chain(subject.namespace)
                .chain([subject.name])
                .map(segment)
                .collect::<Vec<_>>()
                .join("/"),
        }
    }
}

/// A name as one segment of a path.
fn segment(name: &str) -> String {
    let name = excerpt(&name.replace(['/', '\\'], "_"), DETAIL);
    if name.chars().all(|char| char == '.') { "_".repeat(name.len().max(1)) } else { name }
}

/// What was found, as a headline.
pub(super) fn headline(document: &Document<'_>) -> String {
    let gate = Scope::told(document);
    let words = gate.map(|gate| gate.works(""));
    let (broken, works) = match (document.mode, &words) {
        (_, Some(words)) => (gate.unwrap_or_default().broken(), words.as_str()),
        ("before-install", _) => {
            ("metrics-server will not work on this cluster", "metrics-server will work on this cluster")
        }
        ("host", _) => (
            "This machine breaks the metrics pipeline",
            if document.undecided.is_empty() { super::MACHINE_FIT } else { super::MACHINE_SEEN },
        ),
        _ => ("The metrics pipeline is broken", "The metrics pipeline works"),
    };
    let errors = || document.root_causes.iter().filter(|cause| cause.severity == "error");
    let symptom = document.unexplained.iter().any(|symptom| fails(document, symptom.severity));
    match document.verdict {
        Some("pass") if has_excused(document) => "Passed: what was found is waived or known".to_owned(),
        Some("undecided") if has_excused(document) => {
            "Undecided: what was found is waived or known".to_owned()
        }
        Some("pass") => works.to_owned(),
        Some("fail") if symptom || errors().any(|cause| cause.class != "hazard") => broken.to_owned(),
        Some("fail") if errors().next().is_some() => {
            "Nothing was found broken, but something is wide open".to_owned()
        }
        Some("fail") => format!("{works}, but the threshold is `warning`"),
        Some(_) => "Undecided: nothing broken was found".to_owned(),
        None => "Nothing could be decided".to_owned(),
    }
}

/// The first few subjects and how many there are besides; the kind is said once when it is common.
pub(super) fn subjects(subjects: &[&Subject<'_>]) -> String {
    let mut seen = Vec::new();
    for subject in subjects {
        let key = (subject.kind, subject.namespace, subject.name);
        if seen.len() <= SHOWN && !seen.contains(&key) {
            seen.push(key);
        }
    }
    let alike = seen.windows(2).all(|pair| pair[0].0 == pair[1].0);
    let names = seen.iter().take(SHOWN).enumerate().map(|(index, (kind, namespace, name))| {
        let name = match namespace {
            Some(namespace) => format!("{namespace}/{name}"),
            None => (*name).to_owned(),
        };
        match *kind {
            "Cluster" => CLUSTER.to_owned(),
            _ if alike && index > 0 => excerpt(&name, DETAIL),
            kind => excerpt(&format!("{kind} {name}"), DETAIL),
        }
    });
    let names = names.collect::<Vec<_>>().join(", ");
    if seen.len() > SHOWN {
        let all: std::collections::HashSet<_> =
            subjects.iter().map(|subject| (subject.kind, subject.namespace, subject.name)).collect();
        return format!("{names} and {} more", all.len() - SHOWN);
    }
    names
}

/// The verdict, the exit code and what was counted, as the last line of a list says it.
pub(super) fn verdict(document: &Document<'_>) -> String {
    let verdict = document.verdict.unwrap_or("none");
    let with = |severity: &str| document.root_causes.iter().filter(|it| it.severity == severity).count();
    let errors = document.root_causes.len() - with("warning");
    let mut text = format!("verdict {verdict}, exit code {}", document.exit_code);
    if document.verdict.is_some() {
        let open: std::collections::HashSet<&str> = document.undecided.iter().map(|open| open.code).collect();
        let counts = [
            (errors, "root cause", "root causes"),
            (with("warning"), "warning", "warnings"),
            (document.unexplained.len(), "unexplained symptom", "unexplained symptoms"),
            (open.len(), "open question", "open questions"),
        ];
        let found: Vec<String> = counts
            .into_iter()
            .filter(|(number, ..)| *number > 0)
            .map(|(number, one, many)| format!("{number} {}", if number == 1 { one } else { many }))
            .collect();
        if !found.is_empty() {
            text = format!("{text}: {}", found.join(", "));
        }
        if let Some(baseline) = &document.baseline {
            let _ =
                write!(text, "; baseline: {} known, {} not found again", baseline.known, baseline.gone.len());
        }
    }
    text
}
