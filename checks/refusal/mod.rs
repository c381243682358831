//! What an API server refuses of a `HorizontalPodAutoscaler`, and why.
//!
//! In the order of the API server: the fields and their types first (strict decoding), then `ValidateObjectMeta` and
//! `pkg/apis/autoscaling/validation/validation.go`. The answers of a real one to `tests/gate/refused` are the proof.

mod metadata;
mod metrics;
mod old_fields;
mod schema;
mod spec;
pub(crate) mod workload;

use std::collections::BTreeSet;

use serde_json::Value;

use crate::evidence::Document;

/// One thing that the API server refuses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    /// The JSON pointer of the field; of one that is missing, where it belongs.
    pub(crate) pointer: String,
    /// What is wrong, as a part of a sentence.
    pub(crate) what: String,
    /// What it holds; never empty.
    pub(crate) value: String,
    /// What is to be written there.
    pub(crate) expected: String,
    /// The first minor version of Kubernetes 1 that takes it; none where every version refuses it.
    pub(crate) until: Option<u32>,
    /// The changes that cure it, each a field and what it is to hold; empty where only its author knows.
    pub(crate) changes: Vec<Change>,
}

/// A field by its JSON pointer, and what it is to hold; nothing where it is to go.
pub(crate) type Change = (String, Option<Value>);

impl Fault {
    fn new(
        pointer: impl Into<String>,
        value: &Value,
        what: impl Into<String>,
        expected: impl Into<String>,
    ) -> Self {
        Self {
            pointer: pointer.into(),
            what: what.into(),
            value: shown(value),
            expected: expected.into(),
            until: None,
            changes: Vec::new(),
        }
    }

    fn missing(pointer: impl Into<String>, expected: impl Into<String>) -> Self {
        let pointer = pointer.into();
        let name = pointer.rsplit('/').next().unwrap_or_default();
        let what = format!("{name} is missing");
        Self {
            what,
            value: "absent".to_owned(),
            expected: expected.into(),
            until: None,
            changes: Vec::new(),
            pointer,
        }
    }

    /// The value that is certainly meant.
    fn write(mut self, value: impl Into<Value>) -> Self {
        self.changes = vec![(self.pointer.clone(), Some(value.into()))];
        self
    }

    /// The field has to go.
    fn remove(mut self) -> Self {
        self.changes = vec![(self.pointer.clone(), None)];
        self
    }

    fn until(mut self, minor: u32) -> Self {
        self.until = Some(minor);
        self
    }
}

/// Everything that is refused of an object of `autoscaling/v1` or `autoscaling/v2`.
pub(crate) fn faults(document: &Document) -> Vec<Fault> {
    let body = &document.body;
    let mut faults = schema::faults(body, document.api_version == "autoscaling/v1");
    metadata::faults(body, &mut faults);
    spec::faults(body, document.api_version == "autoscaling/v1", &mut faults);
    // A field is told of once; what only some versions refuse does not stand for what all do.
    let mut seen: BTreeSet<String> = BTreeSet::new();
    faults.retain(|fault| fault.until.is_some() || seen.insert(fault.pointer.clone()));
    faults
}

/// The changes that cure an object of all of this, of which some may have others for a cause; nothing where that is not
/// certain.
pub(crate) fn cure(document: &Document, faults: &[Fault]) -> Option<Vec<Change>> {
    let changes: Vec<Change> = faults.iter().flat_map(|fault| fault.changes.clone()).collect();
    let mut cured = document.clone();
    for (pointer, value) in &changes {
        crate::plan::change(&mut cured.body, pointer, value.as_ref())?;
    }
    let left = self::faults(&cured);
    left.iter().all(|fault| fault.until.is_some()).then_some(changes)
}

/// A value for a citation: short, and never empty.
fn shown(value: &Value) -> String {
    /// Longer values say no more.
    const LIMIT: usize = 80;
    let text = match value {
        Value::Null => "absent".to_owned(),
        Value::String(text) if text.is_empty() => "\"\"".to_owned(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    if text.chars().count() <= LIMIT {
        return text;
    }
    text.chars().take(LIMIT).chain(['…']).collect()
}

/// Whether nothing is given: the API server takes null for absent.
fn is_absent(value: &Value) -> bool {
    value.is_null()
}

/// Whether a text is missing or empty; one of another type is not missing.
fn lacks_text(value: &Value) -> bool {
    value.is_null() || value.as_str() == Some("")
}

/// Why a name cannot be a segment of a path, such as a name in a reference or that of a metric.
fn not_a_segment(name: &str) -> Option<&'static str> {
    match name {
        "." | ".." => Some("is a step of a path"),
        _ if name.contains('/') => Some("holds a slash"),
        _ if name.contains('%') => Some("holds a percent sign"),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
