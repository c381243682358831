use serde_json::json;

use super::*;

const PODS: &str = "/api/v1/namespaces/kube-system/pods";
const NAME: &str = "metrics-preflight-probe-0123456789-0";

fn pod() -> Value {
    json!({
        "kind": "Pod",
        "metadata": {"name": NAME, "namespace": "kube-system", "labels": {MARK: "0123456789"}},
        "spec": {
            "restartPolicy": "Never",
            "activeDeadlineSeconds": 90,
            "containers": [{
                "args": ["probe-inside", "--seconds=30"],
                "securityContext": {"allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}},
            }],
        },
    })
}

fn post(pod: &Value) -> bool {
    check("POST", PODS, Some(&pod.to_string())).is_ok()
}

#[test]
fn its_own_pods_may_be_made_listed_and_removed() {
    assert!(post(&pod()));
    for target in [format!("{PODS}?{SELECTOR}"), format!("/api/v1/pods?{SELECTOR}%3D0123456789")] {
        assert_eq!(check("GET", &target, None), Ok(()), "{target}");
    }
    let options = json!({"kind": "DeleteOptions"}).to_string();
    assert_eq!(check("DELETE", &format!("{PODS}/{NAME}"), Some(&options)), Ok(()));
}

const OWN: &str = "metrics-preflight-probe-0123456789";

#[test]
fn its_own_namespaces_may_be_made_listed_let_go_and_removed() {
    let options = json!({"kind": "DeleteOptions"}).to_string();
    let target = format!("/api/v1/namespaces/{OWN}");
    assert_eq!(check("DELETE", &target, Some(&options)), Ok(()));
    assert_eq!(check("GET", &format!("/api/v1/namespaces?{SELECTOR}"), None), Ok(()));
    let finalize = |name: &str, change: Value| {
        let mut body = json!({
            "apiVersion": "v1", "kind": "Namespace",
            "metadata": {"name": name, "resourceVersion": "7"}, "spec": {"finalizers": []},
        });
        for (key, value) in change.as_object().expect("an object") {
            body[key] = value.clone();
        }
        check("PUT", &format!("/api/v1/namespaces/{name}/finalize"), Some(&body.to_string())).is_ok()
    };
    assert!(finalize(OWN, json!({})));
    assert!(!finalize("kube-system", json!({})));
    assert!(!finalize(OWN, json!({"spec": {"finalizers": ["x"]}})));
    assert!(!finalize(OWN, json!({"metadata": {"name": "kube-system", "resourceVersion": "7"}})));
    assert!(!finalize(OWN, json!({"metadata": {"name": OWN}})), "whatever somebody did to it meanwhile");
    let namespace = |name: &str, labels: Value| {
        let body =
            json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}});
        check("POST", "/api/v1/namespaces", Some(&body.to_string())).is_ok()
    };
    assert!(namespace(OWN, json!({MARK: "0123456789"})));
    assert!(!namespace("kube-system", json!({MARK: "0123456789"})));
    assert!(!namespace(NAME, json!({MARK: "0123456789"})));
    assert!(!namespace(OWN, json!({})));
}

#[test]
fn nothing_else_leaves() {
    let options = json!({"kind": "DeleteOptions"}).to_string();
    let body = pod().to_string();
    for (method, target, body) in [
        ("GET", PODS, None),
        ("GET", "/api/v1/pods", None),
        ("GET", "/api/v1/secrets?labelSelector=metrics-preflight%2Fprobe", None),
        ("GET", "/api/v1/pods?labelSelector=metrics-preflight%2Fprobe&watch=true", None),
        ("GET", "/api/v1/pods?labelSelector=metrics-preflight%2Fprobe%3D0123456789,x", None),
        ("DELETE", PODS, Some(&options)),
        ("DELETE", "/api/v1/namespaces/kube-system/pods/metrics-server-abc", Some(&options)),
        ("DELETE", "/api/v1/namespaces/kube-system/pods/metrics-preflight-probe-", Some(&options)),
        ("DELETE", "/api/v1/namespaces/kube-system", Some(&options)),
        ("POST", "/api/v1/namespaces/kube-system/pods/metrics-server-abc/exec", Some(&body)),
        ("DELETE", "/api/v1/namespaces", Some(&options)),
        ("GET", "/api/v1/namespaces", None),
        ("GET", "/api/v1/namespaces/kube-system", None),
        ("PUT", "/api/v1/namespaces/metrics-preflight-probe-0123456789", Some(&body)),
        ("POST", "/api/v1/namespaces/other/pods", Some(&body)),
        ("POST", "/api/v1/namespaces/kube-system/pods?dryRun=All", Some(&body)),
        ("POST", "/api/v1/namespaces/kube-system/../kube-system/pods", Some(&body)),
        ("PUT", "/api/v1/namespaces/kube-system/pods/metrics-preflight-probe-0123456789-0", Some(&body)),
        ("PATCH", "/api/v1/namespaces/kube-system/pods/metrics-preflight-probe-0123456789-0", Some(&body)),
        ("POST", "/api/v1/namespaces/kube-system/serviceaccounts/metrics-server/token", Some(&body)),
    ] {
        assert!(check(method, target, body.map(String::as_str)).is_err(), "{method} {target}");
    }
}

#[test]
fn a_pod_that_is_more_than_a_probe_does_not_leave() {
    let change = |pointer: &str, value: Value| {
        let mut pod = pod();
        let (parent, key) = pointer.rsplit_once('/').expect("a pointer");
        pod.pointer_mut(parent).expect("a parent")[key] = value;
        pod
    };
    for (pointer, value) in [
        ("/metadata/name", json!("metrics-server")),
        ("/metadata/labels", json!({})),
        ("/metadata/namespace", json!("default")),
        ("/spec/restartPolicy", json!("Always")),
        ("/spec/activeDeadlineSeconds", json!(null)),
        ("/spec/volumes", json!([{"name": "host", "hostPath": {"path": "/"}}])),
        ("/spec/initContainers", json!([])),
        ("/spec/hostPID", json!(true)),
        ("/spec/containers/0/env", json!([])),
        ("/spec/containers/0/securityContext/privileged", json!(true)),
        ("/spec/containers/0/command", json!(["sh"])),
        ("/spec/containers/0/args", json!(["check"])),
        ("/spec/containers/0/securityContext/allowPrivilegeEscalation", json!(true)),
        ("/spec/containers/0/securityContext/capabilities", json!({})),
        ("/spec/containers", json!([])),
    ] {
        assert!(!post(&change(pointer, value)), "{pointer}");
    }
}
