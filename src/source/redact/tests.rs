#![expect(clippy::unwrap_used, reason = "a test may")]

use serde_json::json;

use super::*;

const CANARY: &str = "canary-5ecret";

fn redacted(path: &str, document: &Value) -> Value {
    match body(path, 200, document.to_string().as_bytes(), no_logs).body {
        Body::Json(value) => value,
        other => panic!("{other:?}"),
    }
}

/// Puts the canary beside every declared field, at every depth, and under names that look harmless.
fn with_canaries(value: Value) -> Value {
    match value {
        Value::Object(map) => {
            let mut map: Map<String, Value> =
                map.into_iter().map(|(key, value)| (key, with_canaries(value))).collect();
            for name in ["password", "undeclared", "managedFields", "token"] {
                map.insert(name.to_owned(), json!({"deep": [CANARY, {"name": CANARY}]}));
            }
            map.into()
        }
        Value::Array(items) => items.into_iter().map(with_canaries).collect(),
        other => other,
    }
}

/// An object that holds every declared field of a kind that is not kept whole, so that a canary beside each of them
/// has a place to hide in.
fn skeleton(field: &Field) -> Value {
    match &field.rule {
        Rule::Fields(fields) => {
            fields.iter().map(|(name, field)| (name.clone(), skeleton(field))).collect::<Map<_, _>>().into()
        }
        Rule::Scalars => json!(["kept", {"name": CANARY}, [CANARY]]),
        Rule::Command => json!([CANARY, "--token=canary-5ecret"]),
        Rule::Arguments => json!(["--password=canary-5ecret", "--token", CANARY, "-pcanary-5ecret", CANARY]),
        Rule::Environment => json!([{"name": "TOKEN", "value": CANARY}, {"name": CANARY}]),
        Rule::Annotations => json!({"kubectl.kubernetes.io/last-applied-configuration": CANARY}),
        Rule::ConfigMap => json!({"key": CANARY}),
        Rule::Scalar | Rule::Whole => json!("kept"),
    }
}

#[test]
fn no_undeclared_field_of_any_kind_survives() {
    for kind in fields::kinds() {
        let mut object = with_canaries(skeleton(fields::kind(kind).unwrap()));
        object["kind"] = kind.into();
        if kind == "Configz" {
            object.as_object_mut().unwrap().remove("kind");
        }
        // The program of a command is kept; here it must not be the canary.
        let path = if kind == "Configz" { "/api/v1/nodes/n/proxy/configz" } else { "/x" };
        let text = redacted(path, &object).to_string().replace(&format!("[\"{CANARY}\""), "[\"program\"");
        assert!(!text.contains(CANARY), "{kind}: {text}");
        let list = json!({"kind": format!("{kind}List"), "items": [object, with_canaries(json!({}))], "secret": CANARY});
        let text = redacted("/x", &list).to_string().replace(&format!("[\"{CANARY}\""), "[\"program\"");
        assert!(!text.contains(CANARY), "{kind}List: {text}");
    }
}

#[test]
fn every_declared_field_of_every_kind_survives() {
    fn leaves(field: &Field) -> usize {
        match &field.rule {
            Rule::Fields(fields) => fields.values().map(leaves).sum(),
            _ => 1,
        }
    }
    fn count(value: &Value) -> usize {
        match value {
            Value::Object(map) if !map.is_empty() && !map.contains_key("key") => {
                map.values().map(count).sum()
            }
            _ => 1,
        }
    }
    for kind in fields::kinds() {
        let declared = fields::kind(kind).unwrap();
        let kept = keep(&skeleton(declared), declared, "").unwrap();
        assert_eq!(count(&kept), leaves(declared), "{kind}: {kept}");
        assert!(
            leaves(declared) > 2 || !matches!(declared.rule, Rule::Fields(_)) || kind == "Role",
            "{kind} is empty"
        );
    }
}

#[test]
fn unknown_kinds_and_documents_without_one_keep_nothing() {
    let secret =
        json!({"kind": "Secret", "apiVersion": "v1", "metadata": {"name": "n"}, "data": {"token": CANARY}});
    assert_eq!(
        redacted("/x", &secret),
        json!({"kind": "Secret", "apiVersion": "v1", "metadata": {"name": "n"}})
    );
    let list = json!({"kind": "SecretList", "items": [{"data": CANARY, "metadata": {"name": "n"}}, CANARY]});
    assert_eq!(
        redacted("/x", &list),
        json!({"kind": "SecretList", "items": [{"metadata": {"name": "n"}}, {}]})
    );
    assert_eq!(redacted("/x", &json!({"data": CANARY})), json!({}));
    assert_eq!(redacted("/x", &json!([CANARY])), json!({}));
    assert_eq!(redacted("/x", &json!({"kind": ["Pod"], "spec": CANARY})), json!({}));
}

#[test]
fn a_pod_keeps_what_the_checks_need() {
    let pod = json!({
        "kind": "Pod",
        "metadata": {
            "name": "metrics-server-x", "namespace": "kube-system", "labels": {"k8s-app": "metrics-server"},
            "annotations": {"a": CANARY, "metrics.k8s.io/resource-metrics-path": "/m"},
            "ownerReferences": [{"kind": "ReplicaSet", "name": "r", "uid": "u", "controller": true, "x": CANARY}],
        },
        "spec": {
            "nodeName": "worker", "hostNetwork": true,
            "volumes": [{"name": "tmp", "emptyDir": {}}, {"name": "s", "secret": {"secretName": CANARY}}, {"name": "c", "configMap": {"name": "cm"}}],
            "containers": [{
                "name": "metrics-server", "image": "i:v1",
                "command": ["/metrics-server", "--kubelet-insecure-tls", "--password", CANARY],
                "args": [
                    "--secure-port=10250", "--kubelet-preferred-address-types=InternalIP", "--token=canary-5ecret",
                    "--metric-resolution", "15s", "--kubelet-use-node-status-port --token=canary-5ecret",
                    "--cert-dir=/tmp --token=canary-5ecret", "-v=2", CANARY,
                ],
                "env": [
                    {"name": "HTTPS_PROXY", "value": "http://user:canary-5ecret@proxy:3128"},
                    {"name": "no_proxy", "value": "10.0.0.0/8,.svc"},
                    {"name": "KUBERNETES_SERVICE_HOST", "value": "10.0.0.1"},
                    {"name": "DB_PASSWORD", "value": CANARY},
                ],
                "envFrom": [{"secretRef": {"name": CANARY}}],
                "readinessProbe": {"httpGet": {"path": "/readyz", "port": "https", "httpHeaders": [{"value": CANARY}]}},
            }],
        },
        "status": {
            "phase": "Running",
            "containerStatuses": [{
                "name": "metrics-server", "restartCount": 4,
                "state": {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 5m0s"}},
                "lastState": {"terminated": {"reason": "Error", "exitCode": 1, "message": CANARY}},
            }],
        },
    });
    let kept = redacted("/api/v1/namespaces/kube-system/pods/metrics-server-x", &pod);
    assert!(!kept.to_string().contains(CANARY), "{kept}");
    let container = &kept["spec"]["containers"][0];
    assert_eq!(
        container["command"],
        json!(["/metrics-server", "--kubelet-insecure-tls", "--password", "<redacted>"])
    );
    assert_eq!(
        container["args"],
        json!([
            "--secure-port=10250",
            "--kubelet-preferred-address-types=InternalIP",
            "--token=<redacted>",
            "--metric-resolution",
            "15s",
            "--kubelet-use-node-status-port <redacted>",
            "--cert-dir=/tmp <redacted>",
            "-v=2",
            "<redacted>",
        ])
    );
    assert_eq!(
        container["env"],
        json!([
            {"name": "HTTPS_PROXY", "value": "http://proxy:3128"},
            {"name": "no_proxy", "value": "10.0.0.0/8,.svc"},
            {"name": "KUBERNETES_SERVICE_HOST", "value": "10.0.0.1"},
        ])
    );
    assert_eq!(kept["metadata"]["annotations"], json!({"metrics.k8s.io/resource-metrics-path": "/m"}));
    assert_eq!(
        kept["spec"]["volumes"],
        json!([{"name": "tmp"}, {"name": "s"}, {"name": "c", "configMap": {"name": "cm"}}])
    );
    assert_eq!(kept["status"]["containerStatuses"][0]["state"]["waiting"]["reason"], "CrashLoopBackOff");
    assert_eq!(kept["status"]["containerStatuses"][0]["lastState"]["terminated"]["exitCode"], 1);
    // In a workload's template the same rules hold.
    let deployment = json!({"kind": "Deployment", "spec": {"replicas": 1, "template": pod}});
    let template = redacted("/x", &deployment);
    assert_eq!(template["spec"]["template"]["spec"]["containers"], kept["spec"]["containers"]);
    assert!(!template.to_string().contains(CANARY));
}

#[test]
fn config_maps_keep_values_of_three_names_only() {
    let map =
        |name: &str, data: Value| json!({"kind": "ConfigMap", "metadata": {"name": name}, "data": data});
    let data = |name: &str, data: Value| redacted("/x", &map(name, data))["data"].clone();
    assert_eq!(
        data("other", json!({"a": CANARY, "ca.crt": CANARY})),
        json!({"a": "<redacted>", "ca.crt": "<redacted>"})
    );
    assert_eq!(
        data("kube-root-ca.crt", json!({"ca.crt": "PEM", "x": CANARY})),
        json!({"ca.crt": "PEM", "x": "<redacted>"})
    );
    assert_eq!(
        data("extension-apiserver-authentication", json!({"requestheader-allowed-names": "[\"front\"]"})),
        json!({"requestheader-allowed-names": "[\"front\"]"})
    );
    let cluster = "apiServer:\n  extraArgs:\n    token: canary-5ecret\nclusterName: c\netcd:\n  podSubnet:\n  external: canary-5ecret\nnetworking:\n  podSubnet: 10.244.0.0/16\n  serviceSubnet: 10.96.0.0/12\n";
    let kept = data("kubeadm-config", json!({"ClusterConfiguration": cluster, "ClusterStatus": CANARY}));
    assert_eq!(
        kept,
        json!({
            "ClusterConfiguration": "clusterName: c\nnetworking:\n  podSubnet: 10.244.0.0/16\n  serviceSubnet: 10.96.0.0/12\n",
            "ClusterStatus": "<redacted>",
        })
    );
}

#[test]
fn documents_without_a_kind_are_known_by_their_path() {
    let version = json!({"major": "1", "gitVersion": "v1.37.0", "x": CANARY});
    assert_eq!(redacted("/version", &version), json!({"major": "1", "gitVersion": "v1.37.0"}));
    let configz = json!({"kubeletconfig": {
        "port": 10250, "serverTLSBootstrap": true, "authentication": {"anonymous": {"enabled": false}},
        "staticPodURLHeader": {"Authorization": [CANARY]},
    }});
    let kept = redacted("/api/v1/nodes/worker/proxy/configz", &configz);
    assert_eq!(kept["kubeletconfig"]["serverTLSBootstrap"], true);
    assert_eq!(kept["kubeletconfig"]["authentication"]["anonymous"]["enabled"], false);
    assert!(!kept.to_string().contains(CANARY));
}

#[test]
fn flagz_keeps_catalogued_flags() {
    let page = "kube-apiserver flags\nWarning: not stable\n\nanonymous-auth=true\ntoken-auth-file=canary-5ecret\nkubelet-certificate-authority=\nauthorization-mode=[Node,RBAC]\ncanary-5ecret\n";
    let Body::Text(text) = body("/flagz", 200, page.as_bytes(), no_logs).body else { panic!() };
    assert_eq!(text, "anonymous-auth=true\nkubelet-certificate-authority=\nauthorization-mode=[Node,RBAC]\n");
    let page =
        json!({"kind": "Flagz", "flags": {"anonymous-auth": "true", "token-auth-file": CANARY}, "x": CANARY});
    assert_eq!(redacted("/flagz", &page), json!({"kind": "Flagz", "flags": {"anonymous-auth": "true"}}));
}

#[test]
fn logs_go_through_the_filter_and_nowhere_else() {
    fn filter(log: &str) -> Value {
        json!({"lines": log.lines().count(), "slipped": "Bearer s3cr3t-token-value"})
    }
    let path = "/api/v1/namespaces/kube-system/pods/p/log?tailLines=10";
    let redacted = body(path, 200, b"canary-5ecret\n{\"token\": 1}\n\xff\n", filter);
    assert_eq!(redacted.body, Body::Json(json!({"lines": 3, "slipped": "Bearer <masked>"})));
    assert_eq!(redacted.masked, 1);
    assert_eq!(body(path, 200, CANARY.as_bytes(), no_logs).body, Body::Json(Value::Null));
    assert_eq!(
        body(path, 200, b"", filter).body,
        Body::Json(json!({"lines": 0, "slipped": "Bearer <masked>"}))
    );
    // An error is an answer of the API server or kubelet, not a log.
    let status = json!({"kind": "Status", "status": "Failure", "message": "container is waiting to start", "code": 400});
    assert_eq!(body(path, 400, status.to_string().as_bytes(), no_logs).body, Body::Json(status));
}

#[test]
fn status_is_kept_whole_and_swept() {
    let status = json!({
        "kind": "Status", "apiVersion": "v1", "status": "Failure", "message": "Bearer abcdef0123456789 is refused",
        "reason": "ServiceUnavailable", "details": {"causes": [{"message": "x"}]}, "code": 503, "metadata": {},
    });
    let Redacted { body, masked } =
        body("/apis/metrics.k8s.io/v1beta1/nodes", 503, status.to_string().as_bytes(), no_logs);
    let Body::Json(kept) = body else { panic!() };
    assert_eq!(kept["message"], "Bearer <masked> is refused");
    assert_eq!(kept["reason"], "ServiceUnavailable");
    assert_eq!(kept["code"], 503);
    assert_eq!(kept["details"]["causes"][0]["message"], "x");
    assert_eq!(masked, 1);
}

#[test]
fn text_is_swept_and_cut() {
    let text = |bytes: &[u8]| match body("/apis", 503, bytes, no_logs).body {
        Body::Text(text) => text,
        other => panic!("{other:?}"),
    };
    assert_eq!(text(b"service unavailable\n"), "service unavailable\n");
    assert_eq!(text("é".repeat(5000).as_bytes()).len(), TEXT_LIMIT);
    assert_eq!(text(&[0xff; 9000]).chars().count(), TEXT_LIMIT / 3);
    assert_eq!(text(b"{broken"), "{broken");
    assert_eq!(body("/apis", 200, b" \n", no_logs).body, Body::None);
    let secret = format!("{} Bearer abcdef0123456789abcdef", "x".repeat(TEXT_LIMIT - 13));
    assert!(!text(secret.as_bytes()).contains("abcd"));
}

#[test]
fn deep_nesting_is_text_not_a_crash() {
    let deep = "[".repeat(100_000);
    assert!(matches!(body("/x", 200, deep.as_bytes(), no_logs).body, Body::Text(_)));
}

#[test]
fn proxies_lose_their_user() {
    for (url, expected) in [
        ("http://proxy:3128", "http://proxy:3128"),
        ("http://u:p@proxy:3128", "http://proxy:3128"),
        ("http://u:p/a@ss@proxy:3128/", "http://proxy:3128/"),
        ("u:p@proxy:3128", "proxy:3128"),
        ("u:p://x@proxy", "u:p://proxy"),
        ("", ""),
    ] {
        assert_eq!(flags::proxy(url), expected, "{url}");
    }
}
