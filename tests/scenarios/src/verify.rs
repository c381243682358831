//! Whether a document says what a scenario expects, and nothing else; the runner on the real cluster and the replay
//! of its recordings ask it alike.

use serde_json::Value;

use crate::Expect;

impl Expect {
    /// Compares an exit code and a JSON document with what is expected.
    ///
    /// # Errors
    ///
    /// The first difference, in words.
    pub fn verify(&self, code: i32, document: &Value) -> Result<(), String> {
        let seen = names(&document["root_causes"]);
        same("root causes", &seen, self.roots)?;
        let unexplained = names(&document["unexplained"]);
        same("unexplained", &unexplained, self.unexplained)?;
        ensure(code == self.exit, || format!("exit code {code} instead of {}", self.exit))?;
        let root = &document["root_causes"][0];
        let left = root["candidates"].as_array().map(Vec::as_slice).unwrap_or_default();
        for candidate in self.candidates {
            ensure(left.iter().any(|name| name == candidate), || {
                format!("candidate {candidate} is missing in {left:?}")
            })?;
        }
        let open = names(&document["undecided"]);
        for check in self.undecided {
            ensure(open.contains(check), || format!("{check} is decided; open are {open:?}"))?;
        }
        if !self.subjects.is_empty() {
            let mut subjects: Vec<String> =
                root["subjects"].as_array().into_iter().flatten().map(words).collect();
            subjects.sort();
            let subjects: Vec<&str> = subjects.iter().map(String::as_str).collect();
            same("subjects", &subjects, self.subjects)?;
        }
        ensure(!document.to_string().contains("\"panic\":\""), || "a check panicked".to_owned())
    }
}

fn ensure(holds: bool, otherwise: impl FnOnce() -> String) -> Result<(), String> {
    if holds { Ok(()) } else { Err(otherwise()) }
}

/// Compares a sorted list with an expected one in any order.
fn same(what: &str, seen: &[&str], expected: &[&str]) -> Result<(), String> {
    let mut sorted = expected.to_vec();
    sorted.sort_unstable();
    ensure(seen == sorted, || format!("{what} {seen:?} instead of {sorted:?}"))
}

/// The names in a list of objects, sorted, each once.
fn names(list: &Value) -> Vec<&str> {
    let mut names: Vec<&str> =
        list.as_array().into_iter().flatten().filter_map(|item| item["name"].as_str()).collect();
    names.sort_unstable();
    names.dedup();
    names
}

/// `Kind name` or `Kind namespace/name`.
fn words(subject: &Value) -> String {
    let field = |name: &str| subject[name].as_str().unwrap_or_default();
    match field("namespace") {
        "" => format!("{} {}", field("kind"), field("name")),
        namespace => format!("{} {namespace}/{}", field("kind"), field("name")),
    }
}
