//! Tests of rules: what is refused when they are loaded, what they make of evidence, and what a hostile one may cost.

use serde_json::{Value as Json, json};

use super::run::View;
use super::{Problem, Rules, Text};
use crate::check::{Outcome, Subject};
use crate::evidence::Why;

/// A file with one rule that has this condition.
fn one(each: &str, condition: &str) -> String {
    let quoted = serde_json::to_string(condition).expect("a text");
    format!(
        "apiVersion: metrics-preflight/v1alpha1\nrules:\n  - code: X-1\n    name: my-rule\n    title: Something is wrong\n    \
         severity: error\n    forEach: {each}\n    fails: {quoted}\n"
    )
}

fn load(text: &str) -> Result<Rules, Vec<Problem>> {
    Rules::load(&[Text { name: "a.yaml".to_owned(), text: text.to_owned() }])
}

fn sound(each: &str, condition: &str) -> Rules {
    load(&one(each, condition)).unwrap_or_else(|problems| panic!("{condition}: {problems:?}"))
}

/// What is wrong with a condition.
fn refused(condition: &str) -> Problem {
    let mut problems = load(&one("nodes", condition)).map(|_| ()).expect_err(condition);
    problems.remove(0)
}

/// What a rule makes of an excerpt.
fn outcomes(each: &str, condition: &str, evidence: &Json) -> Vec<(Subject, Outcome)> {
    sound(each, condition).list[0].run(&View::of_json(evidence.clone()))
}

fn word(outcome: &Outcome) -> &'static str {
    match outcome {
        Outcome::Pass => "pass",
        Outcome::Fail(_) => "fail",
        Outcome::Undecided(_) => "undecided",
        Outcome::NotApplicable(_) => "not applicable",
    }
}

/// The result for the cluster, or for the one node.
fn result(each: &str, condition: &str, evidence: &Json) -> &'static str {
    let results = outcomes(each, condition, evidence);
    let [(_, outcome)] = results.as_slice() else { panic!("{condition}: {results:?}") };
    word(outcome)
}

fn unseen() -> Json {
    json!({"need": "configz", "from": [3], "look": {"unseen": {"forbidden": {"verb": "get", "resource": "nodes/proxy"}}}})
}

/// Two nodes: of the first everything was seen, of the second no configuration.
fn nodes() -> Json {
    json!({
        "taken_at": "2026-11-21T12:00:00Z",
        "cluster": {"distribution": "kubeadm"},
        "nodes": {"need": "nodes", "from": [1], "look": {"seen": [
            {
                "name": "n1", "ready": true, "labels": {"pool": "a", "topology.kubernetes.io/zone": "z"},
                "kubelet_version": "v1.36.2", "pod_cidr": null, "created": "2026-11-20T12:00:00Z",
                "dial": {"need": "pods", "from": [1], "look": {"seen": ["10.0.0.1", 10250]}},
                "handshake": {"need": "kubelet-handshake", "from": [4], "look": {"seen": {"alert": "internal_error"}}},
                "configz": {"need": "configz", "from": [2], "look": {"seen": {"anonymous": true, "read_only_port": 10255}}},
            },
            {
                "name": "n2", "ready": false, "labels": {}, "kubelet_version": "v1.35.0", "pod_cidr": "10.2.0.0/24",
                "created": "2026-11-21T11:00:00Z",
                "handshake": {"need": "kubelet-handshake", "from": [4], "look": {"seen": "not_tls"}},
                "configz": unseen(),
            },
        ]}},
    })
}

mod gate;
mod language;
mod load;
mod monsters;
mod schema;
mod unseen;
mod view;
