use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::*;
use crate::evidence::Peer;

const MACHINE: &str = "192.0.2.10";

fn labels(pairs: &[(&str, &str)]) -> Labels {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

fn pod() -> Pod {
    Pod {
        namespace: "kube-system".to_owned(),
        name: "metrics-server-1".to_owned(),
        node: Some("node1".to_owned()),
        phase: "Running".to_owned(),
        ready: true,
        created: Timestamp::UNIX_EPOCH,
        started: None,
        restarts: 0,
        waiting: None,
        waiting_message: None,
        container: "metrics-server".to_owned(),
        last_end: None,
        service_account: "metrics-server".to_owned(),
        labels: labels(&[("k8s-app", "metrics-server")]),
        image: String::new(),
        ports: vec![EndpointPort { name: "https".to_owned(), port: 10250 }],
        host_network: false,
        unschedulable: None,
    }
}

fn policy(name: &str, selector: Value) -> NetworkPolicy {
    NetworkPolicy {
        namespace: "kube-system".to_owned(),
        name: name.to_owned(),
        pod_selector: selector,
        ingress: None,
        egress: None,
    }
}

/// A policy of every pod with these rules of egress.
fn egress(rules: Vec<PolicyRule>) -> NetworkPolicy {
    NetworkPolicy { egress: Some(rules), ..policy("out", json!({})) }
}

/// A policy of every pod with these rules of ingress.
fn ingress(rules: Vec<PolicyRule>) -> NetworkPolicy {
    NetworkPolicy { ingress: Some(rules), ..policy("in", json!({})) }
}

fn block(cidr: &str, except: &[&str]) -> Peer {
    Peer::Block { cidr: cidr.to_owned(), except: except.iter().map(|range| (*range).to_owned()).collect() }
}

fn port(protocol: &str, port: Option<&str>, end: Option<i64>) -> PolicyPort {
    PolicyPort { protocol: protocol.to_owned(), port: port.map(str::to_owned), end }
}

fn to(peers: Vec<Peer>, ports: Vec<PolicyPort>) -> PolicyRule {
    PolicyRule { peers, ports }
}

fn machine(address: &str) -> Other<'static> {
    Other::Machine { address: address.parse().expect("an address"), also: Some(Vec::new()), as_pod: false }
}

fn way<'a>(direction: Direction, pod: &'a Pod, other: Other<'a>, port: i64) -> Way<'a> {
    Way { direction, pod, own_node: &[], other, port, protocol: "TCP", blocks_miss_machines: false }
}

fn out(policies: &[NetworkPolicy], address: &str, port: i64) -> Verdict {
    judge(policies, &way(Direction::Egress, &pod(), machine(address), port))
}

fn into(policies: &[NetworkPolicy], other: Other<'_>, port: i64) -> Verdict {
    judge(policies, &way(Direction::Ingress, &pod(), other, port))
}

fn denied(names: &[&str]) -> Verdict {
    Verdict::Denied(names.iter().map(|name| format!("kube-system/{name}")).collect())
}

#[test]
fn a_pod_that_nobody_selects_is_open() {
    assert_eq!(out(&[], MACHINE, 6443), Verdict::Allowed);
    let other = policy("other", json!({"matchLabels": {"k8s-app": "dns"}}));
    let other = NetworkPolicy { egress: Some(Vec::new()), ..other };
    assert_eq!(out(&[other], MACHINE, 6443), Verdict::Allowed);
    let elsewhere = NetworkPolicy { namespace: "default".to_owned(), ..egress(Vec::new()) };
    assert_eq!(out(&[elsewhere], MACHINE, 6443), Verdict::Allowed);
}

#[test]
fn a_policy_of_one_direction_says_nothing_of_the_other() {
    assert_eq!(out(&[ingress(Vec::new())], MACHINE, 6443), Verdict::Allowed);
    assert_eq!(out(&[egress(Vec::new())], MACHINE, 6443), denied(&["out"]));
    assert_eq!(into(&[egress(Vec::new())], machine(MACHINE), 10250), Verdict::Allowed);
    assert_eq!(into(&[ingress(Vec::new())], machine(MACHINE), 10250), denied(&["in"]));
}

#[test]
fn policies_add_up() {
    let shut = egress(Vec::new());
    let own = policy("own", json!({"matchExpressions": [{"key": "k8s-app", "operator": "Exists"}]}));
    let own = NetworkPolicy { egress: Some(vec![to(vec![block("192.0.2.10/32", &[])], Vec::new())]), ..own };
    assert_eq!(out(&[shut.clone(), own.clone()], MACHINE, 6443), Verdict::Allowed);
    assert_eq!(out(&[shut, own], "192.0.2.11", 6443), denied(&["out", "own"]));
}

#[test]
fn an_empty_list_is_everybody_and_everything() {
    assert_eq!(out(&[egress(vec![PolicyRule::default()])], MACHINE, 6443), Verdict::Allowed);
    let any_port = to(vec![block("192.0.2.0/24", &[])], Vec::new());
    assert_eq!(out(&[egress(vec![any_port])], MACHINE, 6443), Verdict::Allowed);
    let any_peer = to(Vec::new(), vec![port("TCP", Some("443"), None)]);
    assert_eq!(out(&[egress(vec![any_peer.clone()])], MACHINE, 443), Verdict::Allowed);
    assert_eq!(out(&[egress(vec![any_peer])], MACHINE, 6443), denied(&["out"]));
}

#[test]
fn a_rule_holds_where_a_peer_and_a_port_of_it_do() {
    let rule = |peers: Vec<Peer>, ports: Vec<PolicyPort>| egress(vec![to(peers, ports)]);
    let any = || vec![block("0.0.0.0/0", &[])];
    for (ports, dialled, expected) in [
        (vec![port("TCP", Some("6443"), None)], 6443, true),
        (vec![port("TCP", Some("6443"), None)], 443, false),
        (vec![port("UDP", Some("6443"), None)], 6443, false),
        (vec![port("UDP", None, None), port("TCP", None, None)], 1, true),
        (vec![port("TCP", Some("6000"), Some(6443))], 6443, true),
        (vec![port("TCP", Some("6000"), Some(6442))], 6443, false),
        (vec![port("TCP", Some("6443"), Some(6443))], 6443, true),
        // No machine has ports with names.
        (vec![port("TCP", Some("https"), None)], 6443, false),
    ] {
        let verdict = out(&[rule(any(), ports.clone())], MACHINE, dialled);
        assert_eq!(verdict == Verdict::Allowed, expected, "{ports:?} {dialled}");
    }
    for (peer, expected) in [
        (block("192.0.2.0/24", &[]), true),
        (block("192.0.2.0/24", &["192.0.2.8/29"]), false),
        (block("192.0.2.0/24", &["192.0.2.16/29"]), true),
        (block("198.51.100.0/24", &[]), false),
        (block("::/0", &[]), false),
        (Peer::Pods { pods: Some(json!({})), namespaces: Some(json!({})) }, false),
        (Peer::Pods { pods: None, namespaces: Some(json!({})) }, false),
    ] {
        let verdict = out(&[rule(vec![peer.clone()], Vec::new())], MACHINE, 6443);
        assert_eq!(verdict == Verdict::Allowed, expected, "{peer:?}");
    }
    assert_eq!(
        out(&[rule(vec![block("2001:db8::/32", &[])], Vec::new())], "2001:db8::1", 1),
        Verdict::Allowed
    );
}

#[test]
fn a_named_port_of_ingress_is_one_of_the_pods_own() {
    let named = |name: &str| ingress(vec![to(Vec::new(), vec![port("TCP", Some(name), None)])]);
    assert_eq!(into(&[named("https")], machine(MACHINE), 10250), Verdict::Allowed);
    assert_eq!(into(&[named("https")], machine(MACHINE), 443), denied(&["in"]));
    assert_eq!(into(&[named("http")], machine(MACHINE), 10250), denied(&["in"]));
}

#[test]
fn a_pod_and_its_own_node_reach_each_other() {
    let pod = pod();
    let own = [MACHINE.parse().expect("an address")];
    let shut = [NetworkPolicy { egress: Some(Vec::new()), ..ingress(Vec::new()) }];
    for direction in [Direction::Ingress, Direction::Egress] {
        let to_own = Way { own_node: &own, ..way(direction, &pod, machine(MACHINE), 10250) };
        assert_eq!(judge(&shut, &to_own), Verdict::Allowed);
        let to_other = Way { own_node: &own, ..way(direction, &pod, machine("192.0.2.11"), 10250) };
        assert_eq!(judge(&shut, &to_other), denied(&["in"]));
    }
}

#[test]
fn what_the_objects_do_not_say_is_unknown() {
    let is_unknown = |verdict: Verdict| matches!(verdict, Verdict::Unknown(_));
    let of_host = Pod { host_network: true, ..pod() };
    assert!(is_unknown(judge(&[], &way(Direction::Egress, &of_host, machine(MACHINE), 1))));
    let odd = policy("odd", json!({"matchExpressions": [{"key": "a", "operator": "Like"}]}));
    let odd = NetworkPolicy { egress: Some(Vec::new()), ..odd };
    assert!(is_unknown(out(&[egress(Vec::new()), odd], MACHINE, 1)));
    let broken = egress(vec![to(vec![block("192.0.2.0", &[])], Vec::new())]);
    assert!(is_unknown(out(std::slice::from_ref(&broken), MACHINE, 1)));
    // Another rule settles it.
    assert_eq!(out(&[broken, egress(vec![PolicyRule::default()])], MACHINE, 1), Verdict::Allowed);
    let blocks = [egress(vec![to(vec![block("0.0.0.0/0", &[])], Vec::new())])];
    let pod = pod();
    let cilium = Way { blocks_miss_machines: true, ..way(Direction::Egress, &pod, machine(MACHINE), 1) };
    assert!(is_unknown(judge(&blocks, &cilium)));
    let open = [egress(vec![PolicyRule::default()])];
    assert_eq!(judge(&open, &cilium), Verdict::Allowed);
    let agent = Other::Machine { address: MACHINE.parse().expect("one"), also: None, as_pod: true };
    let pods = ingress(vec![to(vec![Peer::Pods { pods: None, namespaces: Some(json!({})) }], Vec::new())]);
    assert!(is_unknown(into(&[pods], agent.clone(), 10250)));
    assert_eq!(into(&[ingress(Vec::new())], agent, 10250), denied(&["in"]));
}

#[test]
fn a_machine_of_an_overlay_sends_from_two_addresses() {
    let from = |also: Option<&[&str]>| Other::Machine {
        address: MACHINE.parse().expect("an address"),
        also: also.map(|ranges| ranges.iter().map(|range| (*range).to_owned()).collect()),
        as_pod: false,
    };
    let allow = |cidrs: &[&str]| {
        let peers = cidrs.iter().map(|cidr| block(cidr, &[])).collect();
        [ingress(vec![to(peers, Vec::new())])]
    };
    let verdict = |cidrs: &[&str], also: Option<&[&str]>| match into(&allow(cidrs), from(also), 10250) {
        Verdict::Allowed => "allowed",
        Verdict::Denied(_) => "denied",
        Verdict::Unknown(_) => "unknown",
    };
    let pods: Option<&[&str]> = Some(&["10.244.0.0/24"]);
    assert_eq!(verdict(&["0.0.0.0/0"], pods), "allowed");
    assert_eq!(verdict(&["0.0.0.0/0"], None), "allowed");
    assert_eq!(verdict(&["192.0.2.10/32"], Some(&[])), "allowed");
    assert_eq!(verdict(&["192.0.2.10/32"], pods), "unknown");
    assert_eq!(verdict(&["192.0.2.10/32"], None), "unknown");
    assert_eq!(verdict(&["10.244.0.0/16"], pods), "unknown");
    assert_eq!(verdict(&["203.0.113.0/24"], pods), "denied");
    assert_eq!(verdict(&["203.0.113.0/24"], None), "unknown");
}

#[test]
fn a_peer_may_ask_for_namespace_and_pod_at_once() {
    let of = labels(&[("app", "konnectivity-agent")]);
    let team = labels(&[("team", "a")]);
    let peer = |namespace: &'static str, of_namespace| Other::Pod {
        address: "10.244.1.7".parse().expect("an address"),
        namespace,
        labels: &of,
        of_namespace,
        ports: &[],
    };
    let rule = |pods: Option<Value>, namespaces: Option<Value>| {
        [ingress(vec![to(vec![Peer::Pods { pods, namespaces }], Vec::new())])]
    };
    let agent = || Some(json!({"matchLabels": {"app": "konnectivity-agent"}}));
    let of_team = || Some(json!({"matchLabels": {"team": "a"}}));
    for (pods, namespaces, namespace, known, expected) in [
        (agent(), None, "kube-system", None, "allowed"),
        (agent(), None, "default", None, "denied"),
        (Some(json!({"matchLabels": {"app": "x"}})), None, "kube-system", None, "denied"),
        (None, Some(json!({})), "default", None, "allowed"),
        (agent(), of_team(), "default", Some(&team), "allowed"),
        (Some(json!({"matchLabels": {"app": "x"}})), of_team(), "default", Some(&team), "denied"),
        (agent(), of_team(), "default", None, "unknown"),
        (Some(json!({"matchLabels": {"app": "x"}})), of_team(), "default", None, "denied"),
        (
            agent(),
            Some(json!({"matchLabels": {"kubernetes.io/metadata.name": "default"}})),
            "default",
            None,
            "allowed",
        ),
        (
            agent(),
            Some(json!({"matchLabels": {"kubernetes.io/metadata.name": "default"}})),
            "kube-system",
            None,
            "denied",
        ),
    ] {
        let verdict = match into(&rule(pods.clone(), namespaces.clone()), peer(namespace, known), 10250) {
            Verdict::Allowed => "allowed",
            Verdict::Denied(_) => "denied",
            Verdict::Unknown(_) => "unknown",
        };
        assert_eq!(verdict, expected, "{pods:?} {namespaces:?} {namespace}");
    }
}

#[test]
fn a_named_port_of_egress_is_one_of_the_other_pods() {
    let ports = [EndpointPort { name: "dns-tcp".to_owned(), port: 53 }];
    let none = BTreeMap::new();
    let dns = Other::Pod {
        address: "10.244.1.2".parse().expect("an address"),
        namespace: "kube-system",
        labels: &none,
        of_namespace: None,
        ports: &ports,
    };
    let policies = [egress(vec![to(Vec::new(), vec![port("TCP", Some("dns-tcp"), None)])])];
    let pod = pod();
    assert_eq!(judge(&policies, &way(Direction::Egress, &pod, dns.clone(), 53)), Verdict::Allowed);
    assert_eq!(judge(&policies, &way(Direction::Egress, &pod, dns, 54)), denied(&["out"]));
}
