use serde_json::json;

use super::*;

#[expect(clippy::needless_pass_by_value, reason = "cases are written down where they are used")]
fn policy(spec: Value) -> Option<NetworkPolicy> {
    read_policy(&json!({"metadata": {"namespace": "kube-system", "name": "p"}, "spec": spec}))
}

#[test]
fn types_that_are_absent_are_those_that_kubernetes_fills_in() {
    let directions = |spec: Value| {
        let read = policy(spec).expect("a policy");
        (read.ingress.is_some(), read.egress.is_some())
    };
    assert_eq!(directions(json!({"podSelector": {}})), (true, false));
    assert_eq!(directions(json!({"podSelector": {}, "egress": []})), (true, false));
    assert_eq!(directions(json!({"podSelector": {}, "egress": [{}]})), (true, true));
    assert_eq!(directions(json!({"policyTypes": ["Egress"], "ingress": [{}]})), (false, true));
    assert_eq!(directions(json!({"policyTypes": ["Ingress", "Egress"]})), (true, true));
}

#[test]
fn an_absent_list_and_an_empty_one_are_the_same() {
    let spec = |rule: Value| json!({"policyTypes": ["Egress"], "egress": [rule]});
    let absent = policy(spec(json!({}))).expect("a policy");
    let empty = policy(spec(json!({"to": [], "ports": []}))).expect("a policy");
    assert_eq!(absent, empty);
    assert_eq!(absent.egress, Some(vec![PolicyRule::default()]));
    let none = policy(json!({"policyTypes": ["Egress"], "egress": []})).expect("a policy");
    assert_eq!(none.egress, Some(Vec::new()), "no rule allows nothing");
}

#[test]
fn peers_and_ports_are_read_as_they_stand() {
    let read = policy(json!({
        "podSelector": {"matchLabels": {"k8s-app": "metrics-server"}},
        "policyTypes": ["Ingress"],
        "ingress": [{
            "from": [
                {"ipBlock": {"cidr": "10.0.0.0/8", "except": ["10.1.0.0/16"]}},
                {"podSelector": {}, "namespaceSelector": {"matchLabels": {"team": "a"}}},
                {"namespaceSelector": {}},
            ],
            "ports": [{"port": "https"}, {"protocol": "UDP", "port": 53}, {"port": 8000, "endPort": 9000}, {}],
        }],
    }))
    .expect("a policy");
    let rules = read.ingress.expect("of ingress");
    assert_eq!(
        rules[0].peers,
        [
            Peer::Block { cidr: "10.0.0.0/8".to_owned(), except: vec!["10.1.0.0/16".to_owned()] },
            Peer::Pods { pods: Some(json!({})), namespaces: Some(json!({"matchLabels": {"team": "a"}})) },
            Peer::Pods { pods: None, namespaces: Some(json!({})) },
        ]
    );
    let port = |protocol: &str, port: Option<&str>, end| PolicyPort {
        protocol: protocol.to_owned(),
        port: port.map(str::to_owned),
        end,
    };
    assert_eq!(
        rules[0].ports,
        [
            port("TCP", Some("https"), None),
            port("UDP", Some("53"), None),
            port("TCP", Some("8000"), Some(9000)),
            port("TCP", None, None),
        ]
    );
    assert_eq!(read.egress, None);
}

#[test]
fn what_is_of_another_form_is_no_policy() {
    for egress in [
        json!("x"),
        json!([{"to": [{}]}]),
        json!([{"to": [{"ipBlock": {}}]}]),
        json!([{"to": [{"ipBlock": {"cidr": "::/0"}, "podSelector": {}}]}]),
        json!([{"ports": [{"port": {}}]}]),
        json!([7]),
        Value::Array(vec![json!({}); MAX_PARTS + 1]),
    ] {
        assert_eq!(policy(json!({"policyTypes": ["Egress"], "egress": egress})), None, "{egress}");
    }
}
