//! A rule's look at the evidence.

use std::collections::BTreeMap;

use serde_json::Value as Json;

use super::eval::{Evaluator, Proof};
use super::rule::{List, Rule};
use super::schema::Shape;
use super::value::{Data, Stop, Value, read};
use super::view::EVIDENCE;
use crate::check::{Certainty, Citation, Finding, Outcome, Subject, Undecided};
use crate::evidence::{Evidence, Mode, Need, Place, Why};

/// How many steps one rule may take over all its subjects: 400 for each of 5,000 nodes.
pub(super) const STEPS: u64 = 2_000_000;
/// How many all rules together may take.
pub(super) const STEPS_OF_ALL: u64 = 40_000_000;
/// How many characters of a detail are kept.
const LONGEST_DETAIL: usize = 500;

pub(super) static WHOLE: Shape = Shape::Object(&EVIDENCE);

/// The evidence in the form that rules read.
#[derive(Debug)]
pub struct View {
    json: Json,
    /// The steps that are left for all rules together.
    steps: std::cell::Cell<u64>,
}

impl View {
    /// The view of some evidence; nothing when it cannot be written down, which no evidence is known to do.
    #[must_use]
    pub fn new(evidence: &Evidence) -> Self {
        let mut json = serde_json::to_value(evidence).unwrap_or(Json::Null);
        // Nobody was asked about manifests, and none of them is not the same as that.
        if evidence.mode != Mode::Gate
            && let Some(gate) = json.get_mut("gate")
        {
            *gate = Json::Null;
        }
        Self::of_json(json)
    }

    /// The view of an excerpt.
    pub(super) fn of_json(json: Json) -> Self {
        Self { json, steps: std::cell::Cell::new(STEPS_OF_ALL) }
    }

    /// With this many steps for all rules together.
    #[cfg(test)]
    pub(super) fn with_steps(self, steps: u64) -> Self {
        self.steps.set(steps);
        self
    }

    fn data(&self) -> Data<'_> {
        Data { json: &self.json, shape: &WHOLE, from: None }
    }
}

impl Rule {
    /// Looks, and gives the result of every subject.
    #[must_use]
    pub fn run(&self, view: &View) -> Vec<(Subject, Outcome)> {
        let given = STEPS.min(view.steps.get());
        let mut left = given;
        let results = self.look(view.data(), &mut left);
        view.steps.set(view.steps.get() - (given - left));
        results.unwrap_or_else(|| {
            // Which subjects came first must not matter.
            let why = Why::RuleFailed(format!(
                "it takes more than the {given} steps that are left for it; look at fewer lists within lists"
            ));
            vec![(Subject::cluster(), Outcome::Undecided(Undecided { need: self.need(), why }))]
        })
    }

    fn need(&self) -> Need {
        self.check.needs.first().copied().unwrap_or(Need::Version)
    }

    /// The results; nothing when the steps do not suffice.
    fn look(&self, evidence: Data<'_>, steps: &mut u64) -> Option<Vec<(Subject, Outcome)>> {
        let Some(list) = self.each.list() else {
            let outcome = self.about(&Subject::cluster(), None, evidence, steps)?;
            return Some(vec![(Subject::cluster(), outcome)]);
        };
        let items = match items(&list, evidence) {
            Ok(items) => items,
            Err(stop) => return Some(vec![(Subject::cluster(), self.open(stop)?)]),
        };
        let mut results = Vec::with_capacity(items.len());
        for item in items {
            let subject = match &item {
                Value::Data(data) => subject(&list, data.json),
                _ => continue,
            };
            let outcome = self.about(&subject, Some(item), evidence, steps)?;
            results.push((subject, outcome));
        }
        Some(results)
    }

    fn about<'e>(
        &self,
        subject: &Subject,
        item: Option<Value<'e>>,
        evidence: Data<'e>,
        steps: &mut u64,
    ) -> Option<Outcome> {
        let (from, place) = match &item {
            Some(Value::Data(data)) => (data.from, place(evidence.json, data.json)),
            _ => (None, None),
        };
        let mut evaluator = Evaluator::new(evidence, item, steps);
        if let Some((when, text)) = &self.when {
            match evaluator.bool(when) {
                Ok(true) => {}
                Ok(false) => {
                    return Some(Outcome::NotApplicable(format!(
                        "its condition does not hold: {}",
                        flat(text)
                    )));
                }
                Err(stop) => return self.open(stop),
            }
        }
        let (condition, failure) = &self.condition;
        match evaluator.bool(condition) {
            Ok(result) if result == *failure => {}
            Ok(_) => return Some(Outcome::Pass),
            Err(stop) => return self.open(stop),
        }
        // A detail that cannot be told takes nothing from the finding.
        let detail = self.detail.as_ref().and_then(|detail| evaluator.text(detail).ok());
        let detail = detail.filter(|detail| !detail.trim().is_empty());
        let detail = detail.unwrap_or_else(|| self.check.title.to_owned());
        let mut proofs = evaluator.proofs(condition);
        if proofs.is_empty() {
            proofs.push(Proof { request: from, path: "name".to_owned(), value: subject.name.clone() });
        }
        let mut citations: Vec<Citation> = proofs.into_iter().map(|proof| self.citation(proof)).collect();
        citations.extend(place.map(|place| Citation {
            request: None,
            path: "metadata.name".to_owned(),
            value: subject.name.clone(),
            expected: self.expected.clone(),
            place: Some(place),
        }));
        Some(Outcome::Fail(Box::new(Finding {
            subject: subject.clone(),
            detail: flat(&detail).chars().take(LONGEST_DETAIL).collect(),
            citations,
            certainty: Certainty::Certain,
            candidates: Vec::new(),
            decide: None,
            over: Vec::new(),
            at: Vec::new(),
            facts: BTreeMap::new(),
            edits: Vec::new(),
        })))
    }

    fn citation(&self, proof: Proof) -> Citation {
        let Proof { request, path, value } = proof;
        Citation { request, path, value, expected: self.expected.clone(), place: None }
    }

    /// What stopped the evaluation, as a result; nothing when it was the budget.
    fn open(&self, stop: Stop) -> Option<Outcome> {
        let undecided = match stop {
            Stop::Unseen(undecided) => undecided,
            Stop::Absent => self.failed("it reads what is absent".to_owned()),
            Stop::Failed(message) => self.failed(message),
            Stop::Budget => return None,
        };
        Some(Outcome::Undecided(undecided))
    }

    fn failed(&self, message: String) -> Undecided {
        Undecided { need: self.need(), why: Why::RuleFailed(message) }
    }
}

fn items<'e>(list: &List, evidence: Data<'e>) -> Result<Vec<Value<'e>>, Stop> {
    let above = match list.above {
        None => evidence,
        Some(name) => match evidence.json.get(name) {
            Some(json) => Data { json, ..evidence },
            None => return Err(Stop::Unseen(Undecided { need: list.need, why: Why::NotRecorded })),
        },
    };
    let Some(json) = above.json.get(list.field.key) else {
        return Err(Stop::Unseen(Undecided { need: list.need, why: Why::NotRecorded }));
    };
    match read(json, &list.field.shape, None)? {
        Value::Data(data) => data.items().iter().map(|item| data.item(item)).collect(),
        _ => Err(Stop::Failed("the evidence holds no list here".to_owned())),
    }
}

/// What an item is, to a report.
fn subject(list: &List, json: &Json) -> Subject {
    let field = |name: &str| json.get(name).and_then(Json::as_str).unwrap_or_default();
    match list.kind {
        "Endpoint" => Subject::cluster_scoped(list.kind, field("address")),
        "Binding" => Subject::cluster_scoped(field("kind"), field("name")),
        kind if field("namespace").is_empty() => Subject::cluster_scoped(kind, field("name")),
        kind => Subject::namespaced(kind, field("namespace"), field("name")),
    }
}

/// Where the manifest of an item stands, if it has one.
fn place(evidence: &Json, item: &Json) -> Option<Place> {
    let document = evidence.pointer("/gate/manifests/documents")?.get(index(item.get("document")?)?)?;
    let name = document.get("places").and_then(|places| places.get("/metadata/name"));
    serde_json::from_value(name.or_else(|| document.get("place"))?.clone()).ok()
}

fn index(json: &Json) -> Option<usize> {
    usize::try_from(json.as_u64()?).ok()
}

/// On one line.
fn flat(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
