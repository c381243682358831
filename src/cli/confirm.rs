//! Before an error is reported, the objects that it cites are read once more: a rollout in progress
//! makes no root causes.

use std::collections::BTreeSet;

use checks::check::Severity;
use serde_json::Value;

use super::look::Seen;
use crate::source::{Observation, Request, Source};

/// How many objects and lists are read once more.
const LIMIT: usize = 30;

/// Whether an object that an error rests on has changed since it was seen.
pub(super) async fn has_changed(seen: &Seen, fresh: &Source) -> bool {
    for path in cited(seen) {
        let before = seen.source.ask(Request::get(path.as_str())).await;
        let now = fresh.ask(Request::get(path.as_str())).await;
        if let (Some(before), Some(now)) = (state(&before), state(&now))
            && before != now
        {
            return true;
        }
    }
    false
}

/// Whether there is anything to read once more.
pub(super) fn is_due(seen: &Seen) -> bool {
    matches!(seen.source, Source::Live(_)) && !seen.interrupted && !cited(seen).is_empty()
}

/// The paths that the errors cite, without those whose answers differ each time.
fn cited(seen: &Seen) -> BTreeSet<String> {
    let errors = seen.diagnosis.root_causes.iter().filter(|cause| cause.severity() == Severity::Error);
    errors
        .flat_map(|cause| &cause.findings)
        .flat_map(|finding| &finding.citations)
        .filter_map(|citation| seen.evidence.requests.get(citation.request?))
        .filter_map(|seen| seen.request.strip_prefix("GET "))
        .filter(|path| path.starts_with('/') && !path.split('?').next().unwrap_or_default().ends_with("/log"))
        .map(str::to_owned)
        .take(LIMIT)
        .collect()
}

/// What tells an answer apart from a later one: its status, and the version of each object in it.
#[derive(PartialEq)]
struct State {
    status: u16,
    objects: BTreeSet<(String, String, String)>,
}

/// The state of an answer; nothing where there is no answer.
fn state(answer: &Observation) -> Option<State> {
    let (status, _) = answer.response()?;
    let mut objects = BTreeSet::new();
    if let Some(body) = answer.json() {
        match body["items"].as_array() {
            Some(items) => objects.extend(items.iter().map(object)),
            None => {
                objects.insert(object(body));
            }
        }
    }
    Some(State { status, objects })
}

fn object(object: &Value) -> (String, String, String) {
    let field = |name: &str| object["metadata"][name].as_str().unwrap_or_default().to_owned();
    (field("namespace"), field("name"), field("resourceVersion"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::{Body, Outcome};
    use serde_json::json;

    fn answer(status: u16, body: Value) -> Observation {
        Observation {
            request: Request::get("/api/v1/nodes"),
            seen_at: jiff::Timestamp::UNIX_EPOCH,
            outcome: Outcome::Response {
                status,
                content_type: "application/json".to_owned(),
                date: None,
                body: Body::Json(body),
            },
        }
    }

    fn same(left: &Observation, right: &Observation) -> bool {
        state(left) == state(right)
    }

    #[test]
    fn objects_are_compared_by_their_version() {
        let object =
            |version: &str| answer(200, json!({"metadata": {"name": "a", "resourceVersion": version}}));
        assert!(same(&object("1"), &object("1")));
        assert!(!same(&object("1"), &object("2")));
        assert!(!same(&object("1"), &answer(404, json!({"kind": "Status"}))));
    }

    #[test]
    fn lists_are_compared_by_the_versions_of_their_items() {
        let list = |version: &str, items: &[(&str, &str)]| {
            let items: Vec<Value> = items
                .iter()
                .map(|(name, version)| json!({"metadata": {"name": name, "resourceVersion": version}}))
                .collect();
            answer(200, json!({"metadata": {"resourceVersion": version}, "items": items}))
        };
        assert!(same(&list("7", &[("a", "1"), ("b", "2")]), &list("8", &[("b", "2"), ("a", "1")])));
        assert!(!same(&list("7", &[("a", "1")]), &list("7", &[("a", "2")])));
        assert!(!same(&list("7", &[("a", "1")]), &list("7", &[])));
    }
}
