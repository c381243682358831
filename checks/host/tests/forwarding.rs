//! What pods send to other machines, and what the rules for Services do with it.

use super::*;

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
