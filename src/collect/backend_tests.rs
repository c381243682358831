//! What is read of a workload.

use serde_json::json;

use super::*;

#[test]
fn expressions_of_a_selector_count() {
    let labels = json!({"matchLabels": {"k8s-app": "metrics-server", "a": "b"}});
    assert_eq!(selector(&labels), "a=b,k8s-app=metrics-server");
    let expressions = json!({"matchLabels": {"a": "b"}, "matchExpressions": [
        {"key": "tier", "operator": "In", "values": ["x", "y"]}, {"key": "canary", "operator": "DoesNotExist"},
    ]});
    assert_eq!(selector(&expressions), "a=b,tier in (x,y),!canary");
    let hostile = json!({"matchLabels": {"a": "b\n$(reboot)"}});
    assert_eq!((selector(&hostile), selector(&Value::Null)), (String::new(), String::new()));
}
