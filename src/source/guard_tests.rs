#![expect(clippy::unwrap_used, reason = "a test may")]

use proptest::prelude::*;

use super::*;

#[test]
fn what_the_collectors_ask_is_allowed() {
    for path in [
        "/version",
        "/flagz",
        "/apis",
        "/apis/metrics.k8s.io/v1beta1",
        "/apis/metrics.k8s.io/v1beta1/nodes?limit=500&continue=abc%3D",
        "/apis/metrics.k8s.io/v1beta1/namespaces/kube-system/pods?labelSelector=k8s-app%3Dmetrics-server",
        "/api/v1/nodes?limit=500",
        "/api/v1/nodes/ip-10-0-0-1.eu-west-1.compute.internal",
        "/api/v1/nodes/worker-1/proxy/configz",
        "/api/v1/namespaces/external-secrets/pods",
        "/api/v1/namespaces/kube-system/pods/secrets/log?previous=true&tailLines=200&container=metrics-server",
        "/api/v1/namespaces/kube-system/configmaps/extension-apiserver-authentication",
        "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices?labelSelector=kubernetes.io%2Fservice-name%3Dkubernetes",
        "/apis/apps/v1/namespaces/a/deployments/d/scale",
        "/apis/argoproj.io/v1alpha1/namespaces/a/rollouts/r/scale",
        "/apis/autoscaling/v2/horizontalpodautoscalers",
        "/apis/apiregistration.k8s.io/v1/apiservices/v1beta1.metrics.k8s.io",
        "/apis/certificates.k8s.io/v1/certificatesigningrequests?fieldSelector=spec.signerName%3Dx",
        "/apis/rbac.authorization.k8s.io/v1/clusterroles/system:aggregated-metrics-reader",
        "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases/worker-1",
        "/apis/custom.metrics.k8s.io/v1beta2/namespaces/a/pods/*/requests_per_second?metricLabelSelector=a%3Db",
        "/apis/external.metrics.k8s.io/v1beta1/namespaces/a/queue_length?labelSelector=a%3Db",
    ] {
        assert_eq!(check("GET", path), Ok(()), "{path}");
    }
    for path in POST {
        assert_eq!(check("POST", path), Ok(()));
        assert_eq!(check("POST", &format!("{path}?")), Ok(()), "an empty query is none");
    }
}

#[test]
fn everything_else_is_refused() {
    for path in [
        "",
        "version",
        "/",
        "//version",
        "/version/",
        "/healthz",
        "/api/v1/pods",
        "/api/v1/secrets",
        "/api/v1/namespaces/a/secrets",
        "/api/v1/namespaces/a/secrets/b",
        "/api/v1/namespaces/a/pods/b/exec",
        "/api/v1/namespaces/a/pods/b/exec?command=sh",
        "/api/v1/namespaces/a/pods/b/attach",
        "/api/v1/namespaces/a/pods/b/portforward",
        "/api/v1/namespaces/a/pods/b/proxy",
        "/api/v1/namespaces/a/pods/b:10250/proxy/healthz",
        "/api/v1/namespaces/a/services/b/proxy/x",
        "/api/v1/nodes/n/proxy",
        "/api/v1/nodes/n/proxy/run/ns/pod/c?cmd=id",
        "/api/v1/nodes/n/proxy/configz/x",
        "/api/v1/nodes/https:n:8443/proxy/configz",
        "/api/v1/nodes/n%3A8443/proxy/configz",
        "/api/v1/nodes/n/proxy/x/../configz",
        "/api/v1/nodes/../namespaces/a/secrets",
        "/api/v1/nodes/%2e%2e/secrets",
        "/api/v1/nodes/a%2Fproxy",
        "/api/v1/nodes/a%252Fb",
        "/api/v1/nodes/a%5cb",
        "/api/v1/nodes/a%00",
        "/api/v1/nodes/a%",
        "/api/v1/nodes/a%zz",
        "/api/v1/nodes/a%ff",
        "/api/v1/nodes/a\\b",
        "/api/v1/nodes/a b",
        "/api/v1/nodes/a\r\nHost: x",
        "/api/v1/nodes#x",
        "/api/v1/watch/nodes",
        "/api/v1/nodes?watch=true",
        "/api/v1/nodes?watch",
        "/api/v1/nodes?limit=1&watch=1",
        "/api/v1/nodes?%77atch=1",
        "/api/v1/nodes?limit=1;watch=1",
        "/api/v1/nodes?limit=a b",
        "/api/v1/nodes?limit=1\r\nX: y",
        "/api/v1/namespaces/a/pods/b/log?follow=true",
        "/apis/apps/v1/namespaces/a/secrets/b/scale",
        "/apis/x/v1/namespaces/a/serviceaccounts/b/token",
        "/apis/metrics.k8s.io/v2/nodes",
        "/apis/custom.metrics.k8s.io/v1beta2/secrets/a/b",
        "/apis/authentication.k8s.io/v1/tokenreviews",
        "https://elsewhere/version",
    ] {
        assert!(check("GET", path).is_err(), "{path}");
    }
    for path in [
        "/apis/authentication.k8s.io/v1/tokenreviews",
        "/apis/authorization.k8s.io/v1/namespaces/a/localsubjectaccessreviews",
        "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews?dryRun=All",
        "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews/",
        "/api/v1/nodes",
        "/version",
    ] {
        assert!(check("POST", path).is_err(), "{path}");
    }
    for method in ["PUT", "PATCH", "DELETE", "OPTIONS", "CONNECT", "HEAD", "get", "GET ", ""] {
        assert!(check(method, "/version").is_err(), "{method}");
    }
    assert!(check("GET", &format!("/api/v1/nodes/{}", "a".repeat(9000))).is_err());
}

#[test]
fn segments_are_encoded_or_refused() {
    assert_eq!(segment("system:auth-delegator").unwrap(), "system:auth-delegator");
    assert_eq!(segment("a b?c#d").unwrap(), "a%20b%3Fc%23d");
    assert_eq!(segment("é").unwrap(), "%C3%A9");
    for text in ["", ".", "..", "a/b", "a\\b", "a%2fb", "a\n"] {
        assert!(segment(text).is_err(), "{text:?}");
    }
    assert_eq!(query_value("a=b,c in (d)&watch=1"), "a%3Db%2Cc%20in%20%28d%29%26watch%3D1");
}

/// Where a word stands for a resource or subresource, written without the table: the n-th segment below the
/// namespace, or below the group and version for what has none.
fn resource_words(path: &str) -> Vec<String> {
    let path = path.split('?').next().unwrap();
    let segments: Vec<String> =
        path.split('/').skip(1).map(|part| decode(part).unwrap_or_default()).collect();
    let below = match segments.first().map(String::as_str) {
        Some("api") => segments.get(2..),
        Some("apis") => segments.get(3..),
        _ => None,
    };
    let below = below.unwrap_or_default();
    let below = if below.first().is_some_and(|first| first == "namespaces") {
        below.get(2..).unwrap_or_default()
    } else {
        below
    };
    // Names stand at the odd places. In the custom metrics API the third place is the name of a metric.
    let metrics = path.contains("/custom.metrics.k8s.io/") || path.contains("/external.metrics.k8s.io/");
    let places = if metrics { below.len().min(1) } else { below.len() };
    if metrics && below.len() == 1 {
        return Vec::new();
    }
    below[..places].iter().step_by(2).cloned().collect()
}

fn parts() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => prop::sample::select(vec![
            "api", "apis", "v1", "v1beta1", "v2", "namespaces", "nodes", "pods", "services", "configmaps", "log", "scale",
            "proxy", "configz", "exec", "attach", "portforward", "secrets", "watch", "token", "apps", "deployments",
            "metrics.k8s.io", "custom.metrics.k8s.io", "external.metrics.k8s.io", "kube-system", "a", "*", "..", ".", "",
            "%2e%2e", "exec%2F", "n:1", "https:n:1", "EXEC", "%65xec", "secrets%00", "serviceaccounts",
        ]).prop_map(str::to_owned),
        1 => "[ -~]{0,12}",
        1 => any::<String>(),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(20_000))]

    #[test]
    fn no_way_into_a_pod_or_a_secret(
        start in prop::sample::select(vec!["/api/v1", "/apis/apps/v1", "/apis", "/api", "", "/apis/custom.metrics.k8s.io/v1beta2"]),
        namespaced in any::<bool>(),
        parts in prop::collection::vec(parts(), 0..6),
        query in prop_oneof![Just(String::new()), "\\?[a-z=&%]{0,20}", Just("?watch=1".to_owned()), Just("?follow".to_owned())],
    ) {
        let namespace = if namespaced { "/namespaces/a" } else { "" };
        let path = format!("{start}{namespace}/{}{query}", parts.join("/"));
        if check("GET", &path).is_ok() {
            let words = resource_words(&path);
            for word in ["exec", "attach", "portforward", "secrets", "token", "watch"] {
                prop_assert!(!words.iter().any(|one| one == word), "{path}: {words:?}");
            }
            prop_assert!(!words.iter().any(|one| one == "proxy") || path.ends_with("/proxy/configz"), "{path}");
            prop_assert!(!path.contains("watch=") && !path.contains("follow"), "{path}");
        }
        prop_assert_eq!(check("POST", &path).is_ok(), POST.contains(&path.trim_end_matches('?')));
    }

    #[test]
    fn no_other_method(method in "[A-Za-z]{1,8}", path in prop::sample::select(vec!["/version", ANONYMOUS_REVIEW])) {
        prop_assert!(check(&method, path).is_err() || matches!(method.as_str(), "GET" | "POST"));
    }

    #[test]
    fn any_text_is_one_segment_or_refused(text in any::<String>()) {
        if let Ok(encoded) = segment(&text) {
            prop_assert!(!encoded.contains(['/', '?', '#', ' ', '\\']));
            prop_assert_eq!(decode(&encoded), Ok(text));
        }
    }

    #[test]
    fn nothing_panics(method in any::<String>(), path in any::<String>()) {
        let _ = check(&method, &path);
        let _ = check("GET", &path);
    }
}
