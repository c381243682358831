//! `check --config-map` against an API server that has a place for the report, has none, or gives none away.

use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::{Value, json};

use crate::http;
use crate::program::{Scratch, code, command, stderr};

const ALL: &str = "/api/v1/namespaces/ops/configmaps";
const ONE: &str = "/api/v1/namespaces/ops/configmaps/report";

/// What the server was asked about ConfigMaps: method, path and body.
type Asked = Arc<Mutex<Vec<(String, String, Value)>>>;

/// Answers what is asked about ConfigMaps with these statuses and bodies, one after the other; its version; and 404.
fn server(answers: &[(u64, Value)]) -> (u16, Asked) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let asked = Asked::default();
    let (shared, answers) = (Arc::clone(&asked), answers.to_vec());
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            serve(&stream, &shared, &answers);
        }
    });
    (port, asked)
}

fn serve(stream: &TcpStream, asked: &Asked, answers: &[(u64, Value)]) -> Option<()> {
    let (method, path, body) = http::read(stream)?;
    let (status, answer) = if path.starts_with(ALL) {
        let mut asked = asked.lock().unwrap_or_else(PoisonError::into_inner);
        asked.push((method, path, body));
        answers.get(asked.len() - 1).cloned()?
    } else if path == "/version" {
        (200, json!({"major": "1", "minor": "36", "gitVersion": "v1.36.0"}))
    } else {
        (404, json!({"kind": "Status", "status": "Failure", "reason": "NotFound", "code": 404}))
    };
    http::answer(stream, status, &answer)
}

/// Runs `check` and gives its exit code, the document, standard error and what was asked.
fn check(answers: &[(u64, Value)]) -> (i32, Value, String, Vec<(String, String, Value)>) {
    let (port, asked) = server(answers);
    let scratch = Scratch::new();
    let kubeconfig = format!(
        "apiVersion: v1\nkind: Config\ncurrent-context: lab\ncontexts: [{{name: lab, context: {{cluster: lab, user: lab}}}}]\n\
         clusters: [{{name: lab, cluster: {{server: \"http://127.0.0.1:{port}\"}}}}]\nusers: [{{name: lab, user: {{}}}}]\n"
    );
    let kubeconfig = scratch.file("kubeconfig", &kubeconfig);
    let args = [
        "check",
        "--kubeconfig",
        &kubeconfig,
        "--kubelets",
        "never",
        "-o",
        "json",
        "--config-map",
        "ops/report",
    ];
    let output = command(&args).output().expect("the program ends");
    let document = serde_json::from_slice(&output.stdout).expect("a document");
    let asked = asked.lock().unwrap_or_else(PoisonError::into_inner).clone();
    (code(&output), document, stderr(&output), asked)
}

fn methods(asked: &[(String, String, Value)]) -> Vec<(&str, &str)> {
    asked.iter().map(|(method, path, _)| (method.as_str(), path.as_str())).collect()
}

fn refusal(status: u64, message: &str) -> (u64, Value) {
    (status, json!({"kind": "Status", "status": "Failure", "message": message, "code": status}))
}

#[test]
fn a_report_is_created_and_says_what_is_printed() {
    let (exit, document, said, asked) = check(&[refusal(404, "not found"), (201, json!({}))]);
    assert_eq!(methods(&asked), [("GET", ONE), ("POST", ALL)], "{said}");
    assert_eq!((exit, &document["exit_code"], &document["error"]), (1, &json!(1), &Value::Null), "{said}");
    let written = &asked[1].2;
    assert_eq!(written["data"]["exit-code"], "1");
    let kept: Value =
        serde_json::from_str(written["data"]["report.json"].as_str().expect("a document")).expect("JSON");
    assert_eq!(kept, document);
    assert_eq!(written["data"]["looked-at"], document["taken_at"]);
    let table = written["data"]["report.txt"].as_str().expect("a report");
    assert!(table.contains("MP") && !table.contains('\u{1b}'), "{table}");
}

#[test]
fn an_earlier_report_is_replaced_as_it_was_seen() {
    let meta = json!({"namespace": "ops", "name": "report", "resourceVersion": "12", "uid": "u",
                      "labels": {"metrics-preflight/report": "true"}});
    let there = json!({"kind": "ConfigMap", "metadata": meta, "data": {"exit-code": "0"}});
    let (exit, _, said, asked) = check(&[(200, there), (200, json!({}))]);
    assert_eq!((exit, methods(&asked)), (1, vec![("GET", ONE), ("PUT", ONE)]), "{said}");
    assert_eq!((&asked[1].2["metadata"], &asked[1].2["data"]["exit-code"]), (&meta, &json!("1")));
}

#[test]
fn a_report_that_cannot_be_kept_is_printed_all_the_same() {
    let foreign = json!({"kind": "ConfigMap", "metadata": {"name": "report"}, "data": {"Corefile": "."}});
    for (answers, words) in [
        (vec![refusal(403, "configmaps \"report\" is forbidden")], "rbac --config-map ops/report"),
        (vec![refusal(404, "not found"), refusal(404, "namespaces \"ops\" not found")], "a namespace ops"),
        (vec![refusal(404, "not found"), refusal(403, "cannot create")], "the verb create"),
        (vec![(200, foreign)], "no report of this program"),
        // It hangs up.
        (vec![], "ConfigMap ops/report"),
    ] {
        let (exit, document, said, asked) = check(&answers);
        assert_eq!(
            (exit, &document["exit_code"], &document["error"]["kind"]),
            (2, &json!(2), &json!("output")),
            "{said}"
        );
        assert!(said.contains(words) && said.contains("cannot keep the report"), "{said}");
        assert!(document["root_causes"].as_array().is_some_and(|found| !found.is_empty()));
        assert_eq!(asked.len(), answers.len().max(1));
    }
}

#[test]
fn it_goes_with_a_cluster_only_and_to_a_place_only() {
    for args in [
        ["check", "--config-map", "report", "-v"].as_slice(),
        &["check", "--config-map", "ops/../report"],
        &["check", "--config-map", "ops/report", "--replay", "tests/recordings/healthy-signed.nodes.jsonl"],
    ] {
        let output = command(args).output().expect("the program ends");
        assert_eq!(code(&output), 2, "{args:?}");
        assert!(stderr(&output).contains("--config-map"), "{}", stderr(&output));
    }
}
