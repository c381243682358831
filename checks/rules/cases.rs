//! Cases of rules: evidence, as an excerpt or a recording, and what each rule has to make of it.

use std::collections::BTreeMap;

use serde_json::Value as Json;

use super::Rules;
use super::file::{self, Word};
use super::nearest::nearest;
use super::rule::{Reader, Rule};
use super::run::{View, WHOLE};
use super::schema::{Form, Object, Shape};
use crate::check::{Outcome, Subject};

/// A case.
#[derive(Clone, Debug)]
pub struct Case {
    /// The file that it stands in.
    pub file: String,
    /// What it shows.
    pub name: String,
    /// The evidence.
    pub given: Given,
    /// The results by subject, of each rule by its code or name.
    expect: BTreeMap<String, BTreeMap<String, Word>>,
}

/// The evidence of a case.
#[derive(Clone, Debug)]
pub enum Given {
    /// An excerpt: what it leaves out was not seen.
    Excerpt(Json),
    /// The name of a recording, without a path.
    Recording(String),
}

/// What a case shows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Shown {
    /// What is not as expected, a sentence each.
    pub wrong: Vec<String>,
    /// The results that the rules came to, of each rule by its code.
    pub results: Vec<(&'static str, Word)>,
}

impl Case {
    /// The view of an excerpt; nothing for a recording, which the caller has to read.
    #[must_use]
    pub fn view(&self) -> Option<View> {
        match &self.given {
            Given::Excerpt(json) => Some(View::of_json(json.clone())),
            Given::Recording(_) => None,
        }
    }

    /// Runs the rules that the case expects something of.
    #[must_use]
    pub fn run(&self, rules: &Rules, view: &View) -> Shown {
        let mut shown = Shown::default();
        for (wanted, expected) in &self.expect {
            let rule =
                rules.list.iter().find(|rule| rule.check().code == wanted || rule.check().name == wanted);
            let Some(rule) = rule else { continue };
            Self::compare(rule, expected, &rule.run(view), &mut shown);
        }
        shown
    }

    fn compare(
        rule: &Rule,
        expected: &BTreeMap<String, Word>,
        results: &[(Subject, Outcome)],
        shown: &mut Shown,
    ) {
        let code = rule.check().code;
        for (subject, word) in expected {
            let found = results.iter().find(|(other, _)| other.to_string() == *subject);
            match found {
                Some((_, outcome)) if word_of(outcome) == *word => shown.results.push((code, *word)),
                Some((_, outcome)) => {
                    let reason = reason(outcome).map(|reason| format!(" ({reason})")).unwrap_or_default();
                    let was = word_of(outcome).name();
                    shown
                        .wrong
                        .push(format!("{code} on {subject} is {was}{reason} and should be {}", word.name()));
                }
                None => {
                    let there: Vec<String> =
                        results.iter().take(5).map(|(other, _)| other.to_string()).collect();
                    let there = if there.is_empty() { "nothing".to_owned() } else { there.join(", ") };
                    shown.wrong.push(format!("{code} has no result on {subject}; it looked at {there}"));
                }
            }
        }
        for (subject, outcome) in results {
            let failed = matches!(outcome, Outcome::Fail(_));
            if failed && !expected.contains_key(&subject.to_string()) {
                shown.wrong.push(format!("{code} fails on {subject}, which the case does not expect"));
            }
        }
    }
}

fn word_of(outcome: &Outcome) -> Word {
    match outcome {
        Outcome::Pass => Word::Pass,
        Outcome::Fail(_) => Word::Fail,
        Outcome::Undecided(_) => Word::Undecided,
        Outcome::NotApplicable(_) => Word::NotApplicable,
    }
}

fn reason(outcome: &Outcome) -> Option<String> {
    match outcome {
        Outcome::Pass => None,
        Outcome::Fail(finding) => Some(finding.detail.clone()),
        Outcome::Undecided(undecided) => Some(undecided.why.to_string()),
        Outcome::NotApplicable(why) => Some(why.clone()),
    }
}

/// Reads a case; nothing when it cannot be used, and the problems say why.
pub(super) fn read(
    reader: &mut Reader<'_>,
    case: file::Case,
    known: &BTreeMap<String, String>,
) -> Option<Case> {
    let before = reader.problems.len();
    if case.expect.value.is_empty() {
        reader.complain(&case.expect, "a case expects something of at least one rule");
    }
    for wanted in case.expect.value.keys().filter(|wanted| !known.contains_key(*wanted)) {
        let names: Vec<&str> = known.keys().map(String::as_str).collect();
        let near =
            nearest(wanted, &names).map(|near| format!("; did you mean `{near}`?")).unwrap_or_default();
        reader.complain(&case.expect, format!("there is no rule `{wanted}`{near}"));
    }
    let given = match (case.evidence, case.recording) {
        (Some(evidence), None) => {
            if let Err(message) = fits(&evidence.value, &WHOLE, "evidence") {
                reader.complain(&evidence, message);
            }
            Given::Excerpt(evidence.value)
        }
        (None, Some(recording)) => {
            if !is_plain(&recording.value) {
                let message =
                    "a recording is named without a path: letters, digits, dots, dashes and underscores";
                reader.complain(&recording, message);
            }
            Given::Recording(recording.value)
        }
        _ => {
            reader.complain(&case.name, "a case has either `evidence` or `recording`");
            return None;
        }
    };
    (reader.problems.len() == before).then(|| Case {
        file: reader.name.to_owned(),
        name: case.name.value,
        given,
        expect: case.expect.value,
    })
}

/// Whether a name is one of a file in a folder, and of no other.
fn is_plain(name: &str) -> bool {
    let sound = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    (1..=100).contains(&name.len())
        && name.bytes().all(sound)
        && !name.starts_with(['.', '-'])
        && !name.contains("..")
}

/// Whether an excerpt is of the shape of the evidence.
pub(super) fn fits(json: &Json, shape: &'static Shape, path: &str) -> Result<(), String> {
    let sound = match shape {
        Shape::Optional(_) if json.is_null() => true,
        Shape::Seen(_, inner) | Shape::Optional(inner) => return fits(json, inner, path),
        Shape::Bool => json.is_boolean(),
        Shape::Int => json.is_i64(),
        Shape::Text | Shape::TextUnless(..) => json.is_string(),
        Shape::Time => json.as_str().is_some_and(|text| text.parse::<jiff::Timestamp>().is_ok()),
        Shape::Texts | Shape::SomeTexts(_) => {
            json.as_object().is_some_and(|fields| fields.values().all(Json::is_string))
        }
        Shape::List(inner) => {
            let Some(items) = json.as_array() else { return Err(format!("`{path}` is a list")) };
            for (index, item) in items.iter().enumerate() {
                fits(item, inner, &format!("{path}[{index}]"))?;
            }
            true
        }
        Shape::Object(object) => return fits_object(json, object, path),
    };
    if sound { Ok(()) } else { Err(format!("`{path}` is {}", words(shape))) }
}

fn fits_object(json: &Json, object: &'static Object, path: &str) -> Result<(), String> {
    if object.form == Form::Certificate && json.is_string() {
        return Ok(());
    }
    let Some(fields) = json.as_object() else {
        return Err(format!("`{path}` is an object, {}", object.name));
    };
    for (name, value) in fields {
        let Some(field) = object.field(name) else {
            let known: Vec<&str> = object.fields.iter().map(|field| field.name).collect();
            let near =
                nearest(name, &known).map(|near| format!("; did you mean `{near}`?")).unwrap_or_default();
            return Err(format!("`{path}` has no field `{name}`{near}"));
        };
        fits(value, &field.shape, &format!("{path}.{name}"))?;
    }
    if object.form == Form::Variants && !fields.contains_key("kind") {
        return Err(format!("`{path}` needs a `kind`"));
    }
    Ok(())
}

fn words(shape: &Shape) -> &'static str {
    match shape {
        Shape::Bool => "true or false",
        Shape::Int => "a whole number",
        Shape::Time => "a time such as 2026-01-31T12:00:00Z",
        Shape::Texts | Shape::SomeTexts(_) => "a map of texts",
        _ => "a text",
    }
}
