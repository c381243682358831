//! Machines as they are found, and what each check makes of them.

#![cfg(test)]

mod boot;
mod forwarding;
mod kubelet;
mod laws;

use crate::check::{Check, Outcome};
use crate::evidence::{
    BootValue, Component, Dial, Endpoint, EndpointPort, Evidence, Filters, Host, HostIdentity, Listener,
    Mode, Need, Node, NodeAddress, NodeMetric, Obs, Process, Reach, Route, ServiceRules, Setting, SwapAtBoot,
    Unit, Why,
};
use crate::filter::{self, Backend, Family, UnreadRules};

use super::{
    bridge_netfilter_off, conntrack_full, control_plane_without_pod_route, forward_policy_drop,
    forwarding_hazard, ip_forward_off, kube_proxy_not_programming, kubelet_not_listening_there,
    kubelet_port_filtered, reverse_path_filter_strict, setting_lost_at_boot, wrong_node_address,
};

fn server_with(flags: crate::evidence::Flags) -> Component {
    Component { seen_as: "process".to_owned(), path: String::new(), flags, started: None, declared: None }
}

fn seen<T>(need: Need, value: T) -> Obs<T> {
    Obs::seen(need, [0], value)
}

fn not_seen<T>(need: Need) -> Obs<T> {
    Obs::unseen(need, [], Why::NotRecorded)
}

/// A machine of a healthy cluster of two: `n2`, with flannel's rules and kube-proxy.
fn machine() -> Host {
    let setting = |name: &str, now: &str| Setting {
        name: name.to_owned(),
        now: Some(now.to_owned()),
        boot: Some(BootValue { value: now.to_owned(), file: "/etc/sysctl.d/k8s.conf".to_owned() }),
    };
    let route = |destination: &str, device: &str| Route {
        destination: destination.to_owned(),
        via: None,
        device: device.to_owned(),
    };
    let process = || Process { pid: 7, flags: [].into(), started: None };
    Host {
        node: Some("n2".to_owned()),
        identity: seen(
            Need::HostIdentity,
            HostIdentity {
                hostname: "N2".to_owned(),
                addresses: vec!["192.168.56.11".to_owned()],
                ..HostIdentity::default()
            },
        ),
        settings: seen(
            Need::HostSettings,
            vec![
                setting("net.ipv4.ip_forward", "1"),
                setting("net.bridge.bridge-nf-call-iptables", "1"),
                setting("net.ipv4.conf.all.rp_filter", "0"),
                setting("net.ipv4.conf.eth0.rp_filter", "1"),
                setting("net.ipv4.conf.eth1.rp_filter", "1"),
                setting("net.netfilter.nf_conntrack_count", "100"),
                setting("net.netfilter.nf_conntrack_max", "131072"),
                setting("module br_netfilter", "loaded"),
            ],
        ),
        filters: rules("DROP", FLANNEL),
        filter_loaders: seen(Need::HostFilters, Vec::new()),
        service_rules: services(
            "-A KUBE-SERVICES -d 10.96.0.1/32 -p tcp -m tcp --dport 443 -j KUBE-SVC-NPX46M4PTMTKRN6Y\n",
        ),
        kubelet: seen(Need::HostKubelet, Some(process())),
        kubelet_unit: seen(
            Need::HostKubelet,
            Some(Unit {
                file: "/lib/systemd/system/kubelet.service".to_owned(),
                drop_ins: Vec::new(),
                enabled: true,
                flags: [].into(),
            }),
        ),
        kubelet_file: seen(Need::HostKubelet, None),
        kube_proxy: seen(Need::HostKubeProxy, Some(process())),
        api_server: seen(Need::HostControlPlane, None),
        listeners: seen(Need::HostListeners, vec![listener("::", 10250)]),
        routes: seen(Need::HostRoutes, vec![route("0.0.0.0/0", "eth0"), route("10.244.1.0/24", "cni0")]),
        swap_bytes: seen(Need::HostSystem, 0),
        swap_at_boot: seen(Need::HostSystem, SwapAtBoot::default()),
        ..Host::unseen("machine-2", "2026-11-21T12:00:00Z".parse().expect("a time"), &Why::NotRecorded)
    }
}

const KUBE: &str = "-A FORWARD -j KUBE-FORWARD\n-A KUBE-FORWARD -m conntrack --ctstate INVALID -j DROP\n-A KUBE-FORWARD -m mark --mark 0x4000/0x4000 -j ACCEPT\n-A KUBE-FORWARD -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT\n";
const FLANNEL: &str = "-A FORWARD -j KUBE-FORWARD\n-A FORWARD -s 10.244.0.0/16 -m comment --comment \"flanneld forward\" -j ACCEPT\n-A FORWARD -d 10.244.0.0/16 -m comment --comment \"flanneld forward\" -j ACCEPT\n";

fn listener(address: &str, port: i64) -> Listener {
    Listener { address: address.to_owned(), port, process: Some("kubelet".to_owned()) }
}

fn text(policy: &str, forward: &str, input: &str) -> String {
    format!(
        "*filter\n:INPUT ACCEPT\n:FORWARD {policy}\n:OUTPUT ACCEPT\n:KUBE-FORWARD -\n{forward}{input}COMMIT\n"
    )
}

fn filters(text: &str) -> Obs<Filters> {
    let legacy = filter::iptables(Backend::IptablesLegacy, Family::Ipv4, text.lines());
    seen(Need::HostFilters, Filters::new(vec![legacy], Vec::new()))
}

fn rules(policy: &str, forward: &str) -> Obs<Filters> {
    filters(&text(policy, forward, ""))
}

fn services(rules: &str) -> Obs<ServiceRules> {
    let nat = format!("*nat\n:KUBE-SERVICES -\n{rules}COMMIT\n");
    let listings = vec![filter::services_of_iptables(nat.lines(), &[])];
    seen(Need::HostServiceRules, ServiceRules { listings, unread: Vec::new() })
}

/// A cluster of `n1` and `n2` in which metrics-server runs on `n2` and nothing answers.
fn cluster() -> Evidence {
    let mut evidence: Evidence = serde_json::from_str(include_str!("../../rules/tests/everything.json"))
        .expect("the evidence of the rules' tests");
    evidence.mode = Mode::Installed;
    let node = |name: &str, address: &str, range: &str| {
        let mut node: Node = evidence.nodes.peek().expect("nodes")[0].clone();
        node.name = name.to_owned();
        node.addresses = vec![NodeAddress { kind: "InternalIP".to_owned(), address: address.to_owned() }];
        (node.pod_cidr, node.kubelet_port) = (Some(range.to_owned()), 10250);
        node.labels.clear();
        node.dial = seen(Need::Pods, Some((address.to_owned(), 10250)));
        node
    };
    let nodes =
        vec![node("n1", "192.168.56.10", "10.244.0.0/24"), node("n2", "192.168.56.11", "10.244.1.0/24")];
    evidence.nodes = seen(Need::Nodes, nodes);
    let mut pod = evidence.backend.pods.peek().expect("pods")[0].clone();
    (pod.node, pod.ready, pod.host_network) = (Some("n2".to_owned()), false, false);
    evidence.backend.pods = seen(Need::Pods, vec![pod]);
    answer(&mut evidence, 503);
    evidence
}

fn answer(evidence: &mut Evidence, status: i64) {
    let answer = crate::evidence::Answer { status, message: String::new() };
    evidence.metrics.discovery = seen(Need::MetricsDiscovery, answer.clone());
    evidence.metrics.nodes_answer = seen(Need::NodeMetrics, answer);
    evidence.metrics.nodes = if status == 200 {
        let sample =
            |node: &str| NodeMetric { node: node.to_owned(), timestamp: evidence.taken_at, window_s: 15 };
        seen(Need::NodeMetrics, vec![sample("n1"), sample("n2")])
    } else {
        not_seen(Need::NodeMetrics)
    };
}

/// metrics-server is Ready and the Metrics API answers.
fn healthy() -> Evidence {
    let mut evidence = cluster();
    let mut pods = evidence.backend.pods.peek().expect("pods").clone();
    pods[0].ready = true;
    evidence.backend.pods = seen(Need::Pods, pods);
    answer(&mut evidence, 200);
    evidence
}

fn judge(check: &Check, mut evidence: Evidence, host: Host) -> Outcome {
    evidence.hosts = vec![host];
    let outcomes = check.run(&evidence);
    assert_eq!(outcomes.results.len(), 1);
    for need in &outcomes.read {
        assert!(check.needs.contains(need), "{} reads {need:?}", check.name);
    }
    let outcome = outcomes.results[0].1.clone();
    if let Outcome::Fail(finding) = &outcome {
        assert!(!finding.citations.is_empty(), "{} has no proof", check.name);
        assert!(!(check.remedies)(&evidence, &[finding]).is_empty(), "{} has no cure", check.name);
    }
    outcome
}

fn fails(outcome: &Outcome, with: &str) {
    let Outcome::Fail(finding) = outcome else { panic!("{outcome:?}") };
    assert!(finding.detail.contains(with), "{}", finding.detail);
}

fn is_open(outcome: &Outcome, with: &str) {
    let Outcome::Undecided(undecided) = outcome else { panic!("{outcome:?}") };
    assert!(undecided.why.to_string().contains(with), "{}", undecided.why);
}

fn is_not_applicable(outcome: &Outcome) {
    assert!(matches!(outcome, Outcome::NotApplicable(_)), "{outcome:?}");
}

const ALL: [&Check; 12] = [
    &forward_policy_drop::CHECK,
    &ip_forward_off::CHECK,
    &kube_proxy_not_programming::CHECK,
    &kubelet_port_filtered::CHECK,
    &kubelet_not_listening_there::CHECK,
    &wrong_node_address::CHECK,
    &control_plane_without_pod_route::CHECK,
    &forwarding_hazard::CHECK,
    &setting_lost_at_boot::CHECK,
    &bridge_netfilter_off::CHECK,
    &conntrack_full::CHECK,
    &reverse_path_filter_strict::CHECK,
];
