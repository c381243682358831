//! `gate --live --wait` against an API server on which autoscalers come to read their metrics, or do not.

use std::collections::BTreeMap;
use std::net::{TcpListener, TcpStream};
use std::process::Output;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Value, json};

use crate::http;
use crate::program::{Scratch, code, command, document, stderr};
use crate::tree::root;

/// The autoscalers of the namespace, which each look lists once.
const HPAS: &str = "GET /apis/autoscaling/v2/namespaces/part/horizontalpodautoscalers?limit=500";
const PODS: &str = "GET /api/v1/namespaces/part/pods?labelSelector=app%3Dweb&limit=500";
const EVENTS: &str = "/events?";

/// An autoscaler of two metrics, of which memory was read and CPU was not, as a real cluster showed it. There its pod
/// lacked the request for CPU, which it has here.
fn answers() -> BTreeMap<String, (u64, Value)> {
    let mut answers = http::recorded(&root().join("tests/gate/live/event.jsonl"));
    let pods = &mut answers.get_mut(PODS).expect("its pods").1;
    pods["items"][0]["spec"]["containers"][0]["resources"]["requests"]["cpu"] = json!("10m");
    let namespace = json!({"kind": "Namespace", "apiVersion": "v1", "metadata": {"name": "part"}});
    answers.insert("GET /api/v1/namespaces/part".to_owned(), (200, namespace));
    answers
}

/// Its list once the controller has read CPU as well.
fn filled(list: &Value) -> Value {
    let mut list = list.clone();
    let item = &mut list["items"][0];
    item["status"]["currentMetrics"][1] = json!({
        "type": "Resource",
        "resource": {"name": "cpu", "current": {"averageUtilization": 3, "averageValue": "1m"}},
    });
    item["metadata"]["resourceVersion"] = json!("1000000");
    list
}

/// A server whose autoscaler reads all its metrics from this look on; the port, and the number of looks.
fn serve(answers: BTreeMap<String, (u64, Value)>, from: usize) -> (u16, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let (answers, looks) = (Arc::new(answers), Arc::new(AtomicUsize::new(0)));
    let counted = Arc::clone(&looks);
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let (answers, looks) = (Arc::clone(&answers), Arc::clone(&counted));
            std::thread::spawn(move || answer(&stream, &answers, &looks, from));
        }
    });
    (port, looks)
}

fn answer(
    stream: &TcpStream,
    answers: &BTreeMap<String, (u64, Value)>,
    looks: &AtomicUsize,
    from: usize,
) -> Option<()> {
    let (method, path, _) = http::read(stream)?;
    let key = format!("{method} {path}");
    let Some((status, body)) = answers.get(&key) else {
        return http::answer(stream, 404, &json!({"kind": "Status", "status": "Failure", "code": 404}));
    };
    if key == HPAS && looks.fetch_add(1, Ordering::SeqCst) + 1 >= from {
        return http::answer(stream, *status, &filled(body));
    }
    http::answer(stream, *status, body)
}

/// Waits for the autoscalers of this server.
fn wait(port: u16, time: &str) -> Output {
    let scratch = Scratch::new();
    let kubeconfig = format!(
        "apiVersion: v1\nkind: Config\ncurrent-context: lab\n\
         contexts: [{{name: lab, context: {{cluster: lab, user: lab}}}}]\n\
         clusters: [{{name: lab, cluster: {{server: \"http://127.0.0.1:{port}\"}}}}]\n\
         users: [{{name: lab, user: {{}}}}]\n",
    );
    let kubeconfig = scratch.file("kubeconfig", &kubeconfig);
    let args = ["gate", "--live", "-n", "part", "--no-config", "-o", "json", "--kubeconfig", &kubeconfig];
    command(&args).args(["--wait", time]).output().expect("the program starts")
}

/// The verdicts on the metrics of the autoscaler.
fn verdicts(document: &Value) -> Vec<&str> {
    let metrics = document["hpas"][0]["metrics"].as_array().expect("metrics");
    metrics.iter().filter_map(|metric| metric["verdict"].as_str()).collect()
}

#[test]
fn a_metric_that_comes_to_be_read_ends_the_wait() {
    let (port, looks) = serve(answers(), 2);
    let output = wait(port, "5m");
    let document = document(&output);
    assert_eq!(code(&output), 0, "{document:#}");
    assert_eq!(verdicts(&document), ["pass", "pass"]);
    assert!(looks.load(Ordering::SeqCst) >= 2, "it looked once and was content");
    assert!(!stderr(&output).contains("are over"), "{}", stderr(&output));
}

#[test]
fn what_was_waited_for_in_vain_is_named() {
    let (port, looks) = serve(answers(), usize::MAX);
    let output = wait(port, "1s");
    let document = document(&output);
    assert_eq!(code(&output), 1, "{document:#}");
    assert_eq!(verdicts(&document), ["pass", "fail"]);
    assert!(looks.load(Ordering::SeqCst) >= 2, "it did not look again when the time was over");
    let words = "the 1 s to wait are over, and these are not seen to be read: Metric part/web[1] cpu (fail)";
    assert!(stderr(&output).contains(words), "{}", stderr(&output));
}

/// What is too young to be held against anybody stays open, and is no pass.
#[test]
fn what_is_too_young_when_the_time_is_over_is_undecided() {
    let mut answers = answers();
    let now = jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    answers.get_mut(HPAS).expect("autoscalers").1["items"][0]["metadata"]["creationTimestamp"] = json!(now);
    answers.retain(|path, _| !path.contains(EVENTS));
    let (port, _) = serve(answers, usize::MAX);
    let output = wait(port, "1s");
    let document = document(&output);
    assert_eq!(code(&output), 3, "{document:#}");
    assert_eq!(verdicts(&document), ["pass", "undecided"]);
    assert!(stderr(&output).contains("Metric part/web[1] cpu (undecided)"), "{}", stderr(&output));
}
