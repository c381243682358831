//! What the program says of autoscalers on recordings of the real cluster, held against what the HPA controller did
//! there, and what an account with little more than `edit` gets to know.

use std::path::Path;
use std::process::{Command, Output};

use serde_json::{Value, json};

use crate::program::Scratch;
use crate::tree::{read, root, stems};

/// Replays a recording with its manifest.
fn gate(manifest: &Path, recording: &Path, namespace: &str) -> (i32, Value) {
    let Output { status, stdout, stderr } = Command::new(env!("CARGO_BIN_EXE_metrics-preflight"))
        .args(["gate", "-o", "json", "-n", namespace, "-f"])
        .arg(manifest)
        .arg("--replay")
        .arg(recording)
        .env_remove("KUBECONFIG")
        .output()
        .expect("the program starts");
    let document = serde_json::from_slice(&stdout).unwrap_or_else(|error| {
        panic!("{}: {error}: {}", recording.display(), String::from_utf8_lossy(&stderr))
    });
    (status.code().expect("an exit code"), document)
}

/// The verdict on a metric of the autoscaler of this name.
fn verdict<'d>(document: &'d Value, name: &str, index: usize) -> Option<&'d str> {
    let hpas = document["hpas"].as_array()?;
    let hpa = hpas.iter().find(|hpa| hpa["subject"]["name"] == name)?;
    hpa["metrics"][index]["verdict"].as_str()
}

#[test]
fn verdicts_are_what_the_controller_did() {
    let folder = root().join("tests/gate");
    let oracle: Value = serde_json::from_str(&read(&folder.join("oracle.json"))).expect("JSON");
    let recordings = stems(&folder.join("recordings"), ".jsonl");
    assert!(recordings.len() >= 20, "there are {} recordings", recordings.len());
    let mut wrong = Vec::new();
    let mut promised = [0, 0];
    for recording in recordings {
        let (case, _) = recording.split_once('.').expect("CASE.MOMENT");
        let (code, document) = gate(
            &folder.join(format!("cases/{case}.yaml")),
            &folder.join(format!("recordings/{recording}.jsonl")),
            &format!("case-{case}"),
        );
        let hpas = oracle["cases"][case]["hpas"].as_array().expect("what the controller did");
        assert!(!hpas.is_empty(), "{case}");
        for hpa in hpas {
            let name = hpa["name"].as_str().expect("a name");
            for metric in hpa["metrics"].as_array().expect("its metrics") {
                let index = usize::try_from(metric["index"].as_u64().expect("an index")).expect("small");
                let filled = metric["filled"].as_bool().expect("whether it was read");
                match verdict(&document, name, index) {
                    Some("pass") if filled => promised[0] += 1,
                    Some("fail") if !filled => promised[1] += 1,
                    Some("deferred" | "undecided") => {}
                    other => wrong.push(format!("{recording}: {name}[{index}] is {other:?}, read: {filled}")),
                }
            }
            if !hpa["refused"].is_null() && code != 1 {
                wrong
                    .push(format!("{recording}: the API server refuses {name}, and the exit code is {code}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(
        promised.iter().all(|count| *count >= 5),
        "too few verdicts are held against anything: {promised:?}"
    );
}

/// What the account with `edit` in one namespace sees: the code, the document.
fn editor(manifest: &str, recording: &str, namespace: &str) -> (i32, Value) {
    let folder = root().join("tests/gate/editor");
    gate(&folder.join(format!("{manifest}.yaml")), &folder.join(format!("{recording}.jsonl")), namespace)
}

#[test]
fn edit_decides_where_an_autoscaler_works() {
    let (code, document) = editor("shop", "working", "team");
    assert_eq!((code, verdict(&document, "shop", 0)), (0, Some("pass")), "{}", document["undecided"]);
}

#[test]
fn edit_sees_a_missing_request() {
    let (code, document) = editor("shop-no-request", "no-request", "team");
    assert_eq!((code, verdict(&document, "shop", 0)), (1, Some("fail")));
    assert_eq!(document["root_causes"][0]["name"], "hpa-request-missing");
}

#[test]
fn edit_in_an_empty_namespace_is_told_what_would_decide() {
    let (code, document) = editor("shop", "empty", "empty");
    assert_eq!((code, verdict(&document, "shop", 0)), (3, Some("undecided")));
    let open = document["undecided"].to_string();
    for words in ["subjectaccessreviews.authorization.k8s.io", "nodes.metrics.k8s.io"] {
        assert!(open.contains(words), "{words} is not in {open}");
    }
}

/// An account with `edit` in its namespace that may read roles, and may not ask what others may.
#[test]
fn roles_prove_what_the_controller_may() {
    let results = |document: &Value| {
        let check = document["checks"].as_array()?.iter().find(|check| check["code"] == "MP924")?;
        Some(check["worst"].as_str()?.to_owned())
    };
    let (code, document) = editor("shop", "roles", "shop");
    assert_eq!((code, verdict(&document, "shop", 0)), (0, Some("pass")), "{}", document["undecided"]);
    assert_eq!(results(&document).as_deref(), Some("pass"));
    // Without the rule about metrics in the role of the controller. Another authorizer may still let it through.
    let (code, document) = editor("shop", "roles-without", "shop");
    assert_eq!((code, verdict(&document, "shop", 0)), (3, Some("undecided")));
    assert_eq!(results(&document).as_deref(), Some("undecided"));
    let open = document["undecided"].to_string();
    assert!(open.contains("subjectaccessreviews.authorization.k8s.io"), "{open}");
}

/// An autoscaler of the cluster with two metrics: `ScalingActive` is True because of the one that was read.
#[test]
fn an_event_says_what_no_condition_does() {
    let recording = root().join("tests/gate/live/event.jsonl");
    let output = Command::new(env!("CARGO_BIN_EXE_metrics-preflight"))
        .args(["gate", "--live", "-n", "part", "-o", "json", "--replay"])
        .arg(recording)
        .output()
        .expect("the program starts");
    let document: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let verdicts = [0, 1].map(|index| verdict(&document, "web", index));
    assert_eq!((output.status.code(), verdicts), (Some(1), [Some("pass"), Some("fail")]));
    let symptom = &document["root_causes"][0]["explains"][0];
    let said = symptom["detail"].as_str().expect("a sentence");
    let words = "the HPA controller has not read it; its last event about it: FailedGetResourceMetric: failed to get cpu \
                 utilization: missing request for cpu in container app";
    assert!(said.starts_with(words), "{said}");
}

/// The recording above, as an account saw it that may list the autoscalers of its own namespace at most.
fn narrow(scratch: &Scratch, may_list_own: bool) -> Output {
    let text = read(&root().join("tests/gate/live/event.jsonl"));
    let own = "/apis/autoscaling/v2/namespaces/part/horizontalpodautoscalers?limit=500";
    let all = own.replace("namespaces/part/", "");
    let refused = |path: &str| {
        let status = json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "Forbidden", "code": 403});
        let response = json!({"body": {"json": status}, "contentType": "application/json", "status": 403});
        let request = json!({"api": {"method": "GET", "path": path}});
        json!({"outcome": {"response": response}, "request": request, "seenAt": "2026-11-21T12:02:12Z"})
    };
    let mut lines: Vec<Value> =
        text.lines().map(|line| serde_json::from_str(line).expect("a recording")).collect();
    lines[0]["connection"]["namespace"] = json!("part");
    if !may_list_own {
        lines.retain(|line| line["request"]["api"]["path"] != own);
        lines.push(refused(own));
    }
    lines.push(refused(&all));
    lines.retain(|line| line.get("end").is_none());
    lines.push(json!({"end": lines.len() - 1}));
    let lines: Vec<String> = lines.iter().map(Value::to_string).collect();
    Command::new(env!("CARGO_BIN_EXE_metrics-preflight"))
        .args(["gate", "--live", "--fail-if-none", "-o", "json", "--replay"])
        .arg(scratch.file("narrow.jsonl", &(lines.join("\n") + "\n")))
        .output()
        .expect("the program starts")
}

#[test]
fn one_namespace_in_place_of_the_cluster_is_told() {
    let output = narrow(&Scratch::new(), true);
    let document: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(verdict(&document, "web", 0), Some("pass"), "{document:#}");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("only those of namespace part were judged"), "{said}");
}

#[test]
fn what_may_not_be_listed_is_not_said_to_be_none() {
    let output = narrow(&Scratch::new(), false);
    let document: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(output.status.code(), Some(3), "{}", String::from_utf8_lossy(&output.stderr));
    let open = document["undecided"].to_string();
    assert!(open.contains("horizontalpodautoscalers.autoscaling"), "{open}");
}

/// Faults that leave metrics readable, recorded on a cluster with the kinds of `VerticalPodAutoscaler` and KEDA. Each
/// manifest says which checks fail, and for which version it is.
#[test]
fn warnings_are_named_and_nothing_else() {
    let folder = root().join("tests/gate/warned");
    let names = stems(&folder, ".yaml");
    assert!(names.len() >= 12, "there are {} manifests", names.len());
    for name in names {
        let manifest = folder.join(format!("{name}.yaml"));
        let text = read(&manifest);
        let said = |key: &str| text.lines().find_map(|line| line.strip_prefix(key)).map(str::trim);
        let mut command = Command::new(env!("CARGO_BIN_EXE_metrics-preflight"));
        let own = format!("warned-{name}");
        let namespace = said("# namespace:").unwrap_or(&own);
        command.args(["gate", "-o", "json", "-n", namespace, "-f"]).arg(&manifest);
        command.arg("--replay").arg(folder.join(format!("{name}.jsonl")));
        if let Some(version) = said("# target:") {
            command.args(["--target-version", version]);
        }
        if said("# dry-run:").is_some() {
            command.arg("--server-dry-run");
        }
        if said("# pipeline:").is_some() {
            command.arg("--pipeline");
        }
        let output = command.output().expect("the program starts");
        let document: Value = serde_json::from_slice(&output.stdout).expect("JSON");
        let checks = document["checks"].as_array().expect("checks");
        let failed: Vec<&str> =
            checks.iter().filter(|it| it["worst"] == "fail").filter_map(|it| it["code"].as_str()).collect();
        let expected: Vec<&str> =
            said("# expect:").expect("what it expects").split(' ').filter(|code| *code != "none").collect();
        assert_eq!(failed, expected, "{name}: {document:#}");
        let is_error = ["MP701", "MP918", "MP928", "MP932"].iter().any(|code| expected == [*code]);
        let verdict = if is_error { "fail" } else { "pass" };
        assert_eq!(document["verdict"], verdict, "{name}");
    }
}

/// A namespace that is not there yet, as a real API server tells it: nothing in it is held against the manifests.
#[test]
fn a_namespace_that_is_not_there_yet_is_left_to_the_deploy() {
    let folder = root().join("tests/gate/warned");
    for (name, namespace) in [("namespace-missing", "warned-namespace-missing"), ("namespace-made", "shop")] {
        let file = |ending: &str| folder.join(format!("{name}.{ending}"));
        let (code, document) = gate(&file("yaml"), &file("jsonl"), namespace);
        assert_eq!((code, verdict(&document, "web", 0)), (0, Some("deferred")), "{name}: {document:#}");
        let open = document["undecided"].to_string();
        assert!(open.contains(&format!("the namespace {namespace} is not there yet")), "{name}: {open}");
        let output = Command::new(env!("CARGO_BIN_EXE_metrics-preflight"))
            .args(["gate", "-n", namespace, "-f"])
            .arg(file("yaml"))
            .arg("--replay")
            .arg(file("jsonl"))
            .output()
            .expect("the program starts");
        let table = String::from_utf8(output.stdout).expect("text");
        let words = table.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(words.contains(&format!("gate --live -n {namespace} --wait 7m")), "{table}");
    }
}

/// A fault of the pipeline that keeps no metric from being read is looked for when that is asked.
#[test]
fn the_pipeline_is_looked_at_when_asked() {
    let folder = root().join("tests/gate/warned");
    let run = |more: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_metrics-preflight"))
            .args(["gate", "-n", "warned-anonymous", "-o", "json", "-f"])
            .arg(folder.join("anonymous.yaml"))
            .arg("--replay")
            .arg(folder.join("anonymous.jsonl"))
            .args(more)
            .output()
            .expect("the program starts");
        (output.status.code(), serde_json::from_slice::<Value>(&output.stdout).expect("JSON"))
    };
    let (code, document) = run(&["--pipeline"]);
    assert_eq!((code, verdict(&document, "web", 0)), (Some(1), Some("pass")));
    assert_eq!(document["root_causes"][0]["code"], "MP701");
    let looked_at = |document: &Value, code: &str| {
        document["checks"].as_array().expect("checks").iter().any(|check| check["code"] == code)
    };
    assert!(["MP601", "MP802"].iter().all(|code| looked_at(&document, code)), "{document:#}");
    let (code, document) = run(&[]);
    assert_eq!((code, verdict(&document, "web", 0)), (Some(0), Some("pass")));
    assert!(!looked_at(&document, "MP701"));
}

/// A policy of the cluster refuses an autoscaler in a dry run, in which the Deployment is taken.
#[test]
fn a_refused_dry_run_stands_at_its_place() {
    let folder = root().join("tests/gate/warned");
    let run = |more: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_metrics-preflight"))
            .args(["gate", "-n", "dry", "-o", "json", "-f"])
            .arg(folder.join("refused-by-policy.yaml"))
            .arg("--replay")
            .arg(folder.join("refused-by-policy.jsonl"))
            .args(more)
            .output()
            .expect("the program starts");
        serde_json::from_slice::<Value>(&output.stdout).expect("JSON")
    };
    let document = run(&["--server-dry-run"]);
    let detail = &document["root_causes"][0]["details"][0];
    assert!(
        detail["detail"].as_str().is_some_and(|it| it.ends_with("a team has at most 3 pods")),
        "{detail}"
    );
    assert_eq!(detail["place"]["line"], 23);
    assert_eq!(document["requests"]["by_kind"]["dry-run"], 2);
    // Without the flag nobody is asked.
    let document = run(&[]);
    assert_eq!(
        (&document["verdict"], document["requests"]["by_kind"].get("dry-run")),
        (&"pass".into(), None)
    );
}
