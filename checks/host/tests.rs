//! Machines as they are found, and what each check makes of them.

#![cfg(test)]

use crate::check::{Check, Outcome};
use crate::evidence::{
    BootValue, Component, Dial, Endpoint, EndpointPort, Evidence, Filters, Host, HostIdentity, Listener,
    Mode, Need, Node, NodeAddress, NodeMetric, Obs, Process, Reach, Route, ServiceRules, Setting, Unit, Why,
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
    let mut evidence: Evidence = serde_json::from_str(include_str!("../rules/tests/everything.json"))
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

#[test]
fn a_healthy_machine_has_no_fault() {
    for evidence in [healthy(), cluster()] {
        for check in ALL {
            let outcome = judge(check, evidence.clone(), machine());
            let fine = matches!(outcome, Outcome::Pass | Outcome::NotApplicable(_));
            assert!(fine, "{}: {outcome:?}", check.name);
        }
    }
}

#[test]
fn a_machine_of_which_nothing_was_seen_has_no_fault_and_is_not_fine() {
    let mut host = machine();
    host.settings = not_seen(Need::HostSettings);
    host.filters = not_seen(Need::HostFilters);
    host.service_rules = not_seen(Need::HostServiceRules);
    host.listeners = not_seen(Need::HostListeners);
    host.routes = not_seen(Need::HostRoutes);
    host.api_server = not_seen(Need::HostControlPlane);
    for check in ALL.into_iter().filter(|check| check.name != "wrong-node-address") {
        // A hazard is what does no harm yet.
        let evidence = if check.name == "forwarding-hazard" { healthy() } else { cluster() };
        let outcome = judge(check, evidence, host.clone());
        assert!(matches!(outcome, Outcome::Undecided(_)), "{}: {outcome:?}", check.name);
    }
}

/// Hides one thing of the evidence.
const HIDE: [fn(&mut Evidence, &mut Host); 17] = [
    |evidence, _| evidence.nodes = not_seen(Need::Nodes),
    |evidence, _| evidence.backend.pods = not_seen(Need::Pods),
    |evidence, _| evidence.backend.endpoints = not_seen(Need::EndpointSlices),
    |evidence, _| evidence.metrics.discovery = not_seen(Need::MetricsDiscovery),
    |evidence, _| evidence.metrics.nodes_answer = not_seen(Need::NodeMetrics),
    |evidence, _| evidence.metrics.nodes = not_seen(Need::NodeMetrics),
    |_, host| host.identity = not_seen(Need::HostIdentity),
    |_, host| host.settings = not_seen(Need::HostSettings),
    |_, host| host.filters = not_seen(Need::HostFilters),
    |_, host| host.filter_loaders = not_seen(Need::HostFilters),
    |_, host| host.service_rules = not_seen(Need::HostServiceRules),
    |_, host| host.kubelet = not_seen(Need::HostKubelet),
    |_, host| host.kubelet_unit = not_seen(Need::HostKubelet),
    |_, host| host.kube_proxy = not_seen(Need::HostKubeProxy),
    |_, host| host.api_server = not_seen(Need::HostControlPlane),
    |_, host| host.listeners = not_seen(Need::HostListeners),
    |_, host| host.routes = not_seen(Need::HostRoutes),
];

#[test]
fn what_is_hidden_only_opens_questions() {
    let bare = Host { filters: rules("DROP", KUBE), ..machine() };
    let mut bypassed = bare.clone();
    let route =
        Route { destination: "10.244.0.0/16".to_owned(), via: None, device: "cilium_host".to_owned() };
    bypassed.routes = seen(Need::HostRoutes, vec![route]);
    let closed = Host {
        filters: filters(&text("ACCEPT", "", "-A INPUT -j DROP\n")),
        service_rules: services(""),
        kube_proxy: seen(Need::HostKubeProxy, None),
        listeners: seen(Need::HostListeners, Vec::new()),
        ..machine()
    };
    let server = server_with([].into());
    let control_plane = Host {
        node: Some("n1".to_owned()),
        api_server: seen(Need::HostControlPlane, Some(server)),
        ..closed.clone()
    };
    for evidence in [healthy(), cluster()] {
        for host in [&machine(), &bare, &bypassed, &closed, &control_plane] {
            for (number, hide) in HIDE.iter().enumerate() {
                let (mut less, mut host_less) = (evidence.clone(), host.clone());
                hide(&mut less, &mut host_less);
                for check in ALL {
                    let (full, less) = (
                        judge(check, evidence.clone(), host.clone()),
                        judge(check, less.clone(), host_less.clone()),
                    );
                    let word = std::mem::discriminant::<Outcome>;
                    let only_opens = matches!(less, Outcome::Undecided(_)) || word(&less) == word(&full);
                    assert!(only_opens, "{} with {number} hidden: {full:?} and {less:?}", check.name);
                }
            }
        }
    }
}

#[test]
fn kube_proxy_alone_does_not_save_pods_from_the_policy() {
    let host = Host { filters: rules("DROP", KUBE), ..machine() };
    let outcome = judge(&forward_policy_drop::CHECK, cluster(), host.clone());
    fails(&outcome, "packets from 10.244.1.0/24 to the kubelet of n1 at 192.168.56.10 are dropped by");
    fails(&outcome, "policy DROP");
    // What works is no root cause; it is still to be known.
    assert_eq!(judge(&forward_policy_drop::CHECK, healthy(), host.clone()), Outcome::Pass);
    fails(&judge(&forwarding_hazard::CHECK, healthy(), host.clone()), "policy DROP");
    is_not_applicable(&judge(&forwarding_hazard::CHECK, cluster(), host.clone()));
    // Without a cluster, or before metrics-server is installed, any pod would be hit.
    for mode in [Mode::Host, Mode::BeforeInstall] {
        fails(
            &judge(&forward_policy_drop::CHECK, Evidence { mode, ..cluster() }, host.clone()),
            "policy DROP",
        );
    }
}

#[test]
fn a_machine_without_metrics_server_is_not_the_cause() {
    let host = Host { filters: rules("DROP", KUBE), node: Some("n1".to_owned()), ..machine() };
    is_not_applicable(&judge(&forward_policy_drop::CHECK, cluster(), host.clone()));
    fails(&judge(&forwarding_hazard::CHECK, cluster(), host), "policy DROP");
}

#[test]
fn where_nothing_leaves_the_machine_the_policy_is_harmless() {
    let mut evidence = cluster();
    evidence.nodes = seen(Need::Nodes, vec![evidence.nodes.peek().expect("nodes")[1].clone()]);
    let server = server_with([].into());
    let api_server = seen(Need::HostControlPlane, Some(server));
    let host = Host { filters: rules("DROP", KUBE), api_server, ..machine() };
    is_not_applicable(&judge(&forward_policy_drop::CHECK, evidence.clone(), host));
    // The API server is elsewhere.
    let host = Host { filters: rules("DROP", KUBE), ..machine() };
    fails(&judge(&forward_policy_drop::CHECK, evidence, host), "policy DROP");
}

#[test]
fn who_forwards_past_the_packet_filter_leaves_it_open() {
    let mut host = Host { filters: rules("DROP", KUBE), ..machine() };
    let route =
        Route { destination: "10.244.0.0/16".to_owned(), via: None, device: "cilium_host".to_owned() };
    host.routes = seen(Need::HostRoutes, vec![route]);
    is_open(&judge(&forward_policy_drop::CHECK, cluster(), host.clone()), "Cilium");
    host.service_rules = services("");
    is_open(&judge(&kube_proxy_not_programming::CHECK, cluster(), host), "Cilium");
}

#[test]
fn a_back_end_that_was_not_read_leaves_an_accept_open() {
    let mut host = machine();
    let mut filters = host.filters.peek().expect("filters").clone();
    filters.unread.push(filter::Unread { backend: Backend::Nftables, why: "nft is not there".to_owned() });
    host.filters = seen(Need::HostFilters, filters.clone());
    is_open(&judge(&forward_policy_drop::CHECK, cluster(), host.clone()), "nft is not there");
    is_open(&judge(&kubelet_port_filtered::CHECK, cluster(), host), "nft is not there");
}

#[test]
fn forwarding_that_is_off_is_named() {
    let set = |name: &str, now: &str| {
        let mut host = machine();
        let mut settings = host.settings.peek().expect("settings").clone();
        let one = settings.iter_mut().find(|setting| setting.name == name).expect(name);
        one.now = Some(now.to_owned());
        host.settings = seen(Need::HostSettings, settings);
        host
    };
    let off = set("net.ipv4.ip_forward", "0");
    fails(&judge(&ip_forward_off::CHECK, cluster(), off.clone()), "`net.ipv4.ip_forward` is 0");
    assert_eq!(judge(&ip_forward_off::CHECK, healthy(), off.clone()), Outcome::Pass);
    fails(&judge(&forwarding_hazard::CHECK, healthy(), off), "`net.ipv4.ip_forward` is 0");
    let full = set("net.netfilter.nf_conntrack_count", "131072");
    fails(&judge(&conntrack_full::CHECK, cluster(), full), "room for 131072");
    let bridge = set("net.bridge.bridge-nf-call-iptables", "0");
    fails(&judge(&bridge_netfilter_off::CHECK, cluster(), bridge), "cni0");
}

#[test]
fn services_that_nobody_translates_are_named() {
    let host = Host { service_rules: services(""), kube_proxy: seen(Need::HostKubeProxy, None), ..machine() };
    fails(&judge(&kube_proxy_not_programming::CHECK, cluster(), host.clone()), "kube-proxy does not run");
    assert_eq!(judge(&kube_proxy_not_programming::CHECK, healthy(), host.clone()), Outcome::Pass);
    let elsewhere = Host { node: Some("n1".to_owned()), ..host.clone() };
    is_not_applicable(&judge(&kube_proxy_not_programming::CHECK, cluster(), elsewhere.clone()));
    let server = |flags: &[(&str, &str)]| {
        let flags = flags.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let server = server_with(flags);
        Host { api_server: seen(Need::HostControlPlane, Some(server)), ..elsewhere.clone() }
    };
    fails(&judge(&kube_proxy_not_programming::CHECK, cluster(), server(&[])), "kube-proxy does not run");
    let routing = server(&[("enable-aggregator-routing", "true")]);
    is_not_applicable(&judge(&kube_proxy_not_programming::CHECK, cluster(), routing));
    let mut rules = host.service_rules.peek().expect("rules").clone();
    rules.unread.push(UnreadRules { mode: filter::ProxyMode::Nftables, why: "nft is not there".to_owned() });
    let unread = Host { service_rules: seen(Need::HostServiceRules, rules), ..host };
    is_open(&judge(&kube_proxy_not_programming::CHECK, cluster(), unread), "nft is not there");
}

#[test]
fn a_filter_before_the_kubelet_is_named_and_a_source_that_cannot_be_told_is_open() {
    let mut evidence = cluster();
    let mut pods = evidence.backend.pods.peek().expect("pods").clone();
    pods[0].node = Some("n1".to_owned());
    evidence.backend.pods = seen(Need::Pods, pods);
    let with = |input: &str| Host { filters: filters(&text("ACCEPT", "", input)), ..machine() };
    let all = with(
        "-A INPUT -s 127.0.0.0/8 -j ACCEPT\n-A INPUT -p tcp -m tcp --dport 22 -j ACCEPT\n-A INPUT -j REJECT --reject-with icmp-host-prohibited\n",
    );
    fails(
        &judge(&kubelet_port_filtered::CHECK, evidence.clone(), all.clone()),
        "packets from pods on n1 to port 10250 are refused",
    );
    assert_eq!(judge(&kubelet_port_filtered::CHECK, healthy(), all), Outcome::Pass);
    let pods_only = with("-A INPUT -s 10.244.0.0/16 -p tcp -m tcp --dport 10250 -j DROP\n");
    is_open(&judge(&kubelet_port_filtered::CHECK, evidence.clone(), pods_only.clone()), "fare differently");
    // From the own node there is no translation.
    fails(&judge(&kubelet_port_filtered::CHECK, cluster(), pods_only), "pods on n2");
    let other = with("-A INPUT -p tcp -m tcp --dport 10255 -j DROP\n");
    assert_eq!(judge(&kubelet_port_filtered::CHECK, evidence, other), Outcome::Pass);
}

#[test]
fn a_kubelet_that_listens_elsewhere_is_named() {
    let with =
        |listeners: Vec<Listener>| Host { listeners: seen(Need::HostListeners, listeners), ..machine() };
    let check = &kubelet_not_listening_there::CHECK;
    fails(
        &judge(check, cluster(), with(vec![listener("127.0.0.1", 10250)])),
        "nobody listens but on 127.0.0.1",
    );
    fails(&judge(check, cluster(), with(vec![listener("192.168.56.99", 10250)])), "192.168.56.99");
    fails(&judge(check, cluster(), with(vec![listener("0.0.0.0", 10255)])), "though the kubelet runs");
    assert_eq!(judge(check, cluster(), with(vec![listener("192.168.56.11", 10250)])), Outcome::Pass);
    assert_eq!(judge(check, cluster(), with(vec![listener("0.0.0.0", 10250)])), Outcome::Pass);
    assert_eq!(judge(check, healthy(), with(Vec::new())), Outcome::Pass);
    let down = Host { kubelet: seen(Need::HostKubelet, None), ..with(Vec::new()) };
    fails(&judge(check, cluster(), down), "the kubelet does not run");
}

#[test]
fn an_address_of_another_machine_is_likely_the_fault() {
    let mut host = Host { node: None, ..machine() };
    let identity = host.identity.peek().expect("an identity").clone();
    host.identity = seen(
        Need::HostIdentity,
        HostIdentity { addresses: vec!["192.168.56.77".to_owned()], ..identity.clone() },
    );
    let outcome = judge(&wrong_node_address::CHECK, cluster(), host.clone());
    fails(&outcome, "the Node announces 192.168.56.11; the machine of its name has 192.168.56.77");
    let Outcome::Fail(finding) = outcome else { panic!("it fails") };
    assert_eq!(finding.certainty, crate::check::Certainty::Likely);
    host.identity = seen(Need::HostIdentity, HostIdentity { hostname: "other".to_owned(), ..identity });
    is_not_applicable(&judge(&wrong_node_address::CHECK, cluster(), host));
}

#[test]
fn a_control_plane_that_does_not_reach_the_pod_is_named() {
    let mut evidence = cluster();
    let endpoint = Endpoint {
        address: "10.244.1.5".to_owned(),
        ready: false,
        pod: Some("metrics-server".to_owned()),
        ports: vec![EndpointPort { name: "https".to_owned(), port: 10250 }],
    };
    evidence.backend.endpoints = seen(Need::EndpointSlices, vec![endpoint]);
    let server = server_with([].into());
    let host = |routes: &[(&str, &str)], reach: Option<Reach>| {
        let routes = routes.iter().map(|(to, device)| Route {
            destination: (*to).to_owned(),
            via: None,
            device: (*device).to_owned(),
        });
        let dial = reach.map(|reach| Dial {
            address: "10.244.1.5".to_owned(),
            port: 10250,
            reach: seen(Need::HostDials, reach),
        });
        Host {
            node: Some("n1".to_owned()),
            api_server: seen(Need::HostControlPlane, Some(server.clone())),
            routes: seen(Need::HostRoutes, routes.collect()),
            dials: dial.into_iter().collect(),
            ..machine()
        }
    };
    let check = &control_plane_without_pod_route::CHECK;
    let default = [("0.0.0.0/0", "eth0")];
    fails(
        &judge(check, evidence.clone(), host(&default, Some(Reach::TimedOut))),
        "10.244.1.5: no answer in time",
    );
    assert_eq!(judge(check, evidence.clone(), host(&default, Some(Reach::Refused))), Outcome::Pass);
    is_open(&judge(check, evidence.clone(), host(&default, None)), "only the default route");
    fails(
        &judge(check, evidence.clone(), host(&[("0.0.0.0/0", "eth0"), ("10.244.0.0/16", "")], None)),
        "refuses",
    );
    fails(&judge(check, evidence.clone(), host(&[("192.168.56.0/24", "eth0")], None)), "has no route");
    let overlay = [("0.0.0.0/0", "eth0"), ("10.244.1.0/24", "flannel.1")];
    // A route is no proof that somebody answers at its end.
    is_open(&judge(check, evidence.clone(), host(&overlay, None)), "there is a route");
    is_not_applicable(&judge(check, evidence, machine()));
}

#[test]
fn what_a_boot_will_undo_is_a_hazard() {
    let check = &setting_lost_at_boot::CHECK;
    let boot = |boot: Option<BootValue>| {
        let mut host = machine();
        let mut settings = host.settings.peek().expect("settings").clone();
        settings[0].boot = boot;
        host.settings = seen(Need::HostSettings, settings);
        host
    };
    let zero = BootValue { value: "0".to_owned(), file: "/etc/sysctl.d/99-hardening.conf".to_owned() };
    fails(&judge(check, healthy(), boot(Some(zero))), "/etc/sysctl.d/99-hardening.conf sets it to 0 at boot");
    is_open(&judge(check, healthy(), boot(None)), "no file sets");
    let loader = crate::evidence::FilterLoader {
        name: "ufw".to_owned(),
        file: "/etc/default/ufw".to_owned(),
        forward_policy: Some("DROP".to_owned()),
    };
    let loaders = seen(Need::HostFilters, vec![loader]);
    let bare = Host { filters: rules("ACCEPT", KUBE), filter_loaders: loaders.clone(), ..machine() };
    fails(&judge(check, healthy(), bare), "ufw loads DROP at boot");
    let any = "-A FORWARD -j ACCEPT\n";
    let kept = Host { filters: rules("ACCEPT", any), filter_loaders: loaders, ..machine() };
    assert_eq!(judge(check, healthy(), kept), Outcome::Pass);
    let mut disabled = machine();
    let mut unit = disabled.kubelet_unit.peek().expect("a unit").clone().expect("one");
    unit.enabled = false;
    disabled.kubelet_unit = seen(Need::HostKubelet, Some(unit));
    fails(&judge(check, healthy(), disabled), "systemd does not start it at boot");
}

#[test]
fn what_a_boot_will_undo_of_bridges_and_reverse_paths_is_a_hazard_where_routes_need_it() {
    let check = &setting_lost_at_boot::CHECK;
    let at_boot = |name: &str, value: &str| {
        let mut host = machine();
        let mut settings = host.settings.peek().expect("settings").clone();
        let one = settings.iter_mut().find(|setting| setting.name == name).expect(name);
        one.boot = Some(BootValue { value: value.to_owned(), file: "/etc/sysctl.d/99-x.conf".to_owned() });
        host.settings = seen(Need::HostSettings, settings);
        host
    };
    let bridge = at_boot("net.bridge.bridge-nf-call-iptables", "0");
    fails(&judge(check, healthy(), bridge.clone()), "99-x.conf sets it to 0 at boot");
    let routes = bridge.routes.peek().expect("routes")[..1].to_vec();
    let elsewhere = Host { routes: seen(Need::HostRoutes, routes.clone()), ..bridge };
    assert_eq!(judge(check, healthy(), elsewhere), Outcome::Pass);
    let mut strict = at_boot("net.ipv4.conf.all.rp_filter", "1");
    assert_eq!(judge(check, healthy(), strict.clone()), Outcome::Pass);
    let second = Route { device: "eth1".to_owned(), ..routes[0].clone() };
    strict.routes = seen(Need::HostRoutes, [routes, vec![second]].concat());
    fails(&judge(check, healthy(), strict), "`net.ipv4.conf.all.rp_filter` is 0");
}

#[test]
fn a_strict_filter_of_reverse_paths_matters_with_two_ways_only() {
    let check = &reverse_path_filter_strict::CHECK;
    is_not_applicable(&judge(check, cluster(), machine()));
    let mut host = machine();
    let mut routes = host.routes.peek().expect("routes").clone();
    routes.push(Route { device: "eth1".to_owned(), ..routes[0].clone() });
    host.routes = seen(Need::HostRoutes, routes);
    fails(&judge(check, cluster(), host.clone()), "by eth0 and by eth1");
    let mut settings = host.settings.peek().expect("settings").clone();
    for setting in settings.iter_mut().filter(|setting| setting.name == "net.ipv4.conf.all.rp_filter") {
        setting.now = Some("2".to_owned());
    }
    host.settings = seen(Need::HostSettings, settings);
    assert_eq!(judge(check, cluster(), host), Outcome::Pass);
}

#[test]
fn a_machine_that_was_to_be_looked_at_and_was_not_leaves_the_verdict_open() {
    use crate::diagnosis::{Policy, Verdict, diagnose};
    static CHECKS: [Check; 2] = [super::kubelet_config_missing::CHECK, forward_policy_drop::CHECK];
    let verdict = |why: Why| {
        let host = Host::unseen("n2", machine().taken_at, &why);
        diagnose(&CHECKS, &Evidence { hosts: vec![host], ..healthy() }, Policy::default()).verdict
    };
    assert_eq!(verdict(Why::Lacking("namespaces is forbidden".to_owned())), Verdict::Undecided);
    // What was seen too long ago is left out, and the report says so.
    assert_eq!(verdict(Why::Outdated("n2 said so yesterday".to_owned())), Verdict::Pass);
    // Whose Node it is was not seen: it may be the one with metrics-server's pod.
    let unknown = Host { node: None, identity: not_seen(Need::HostIdentity), ..machine() };
    assert!(matches!(judge(&forward_policy_drop::CHECK, cluster(), unknown), Outcome::Undecided(_)));
}
