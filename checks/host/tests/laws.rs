//! What holds for every check of a machine.

use super::*;

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
const HIDE: [fn(&mut Evidence, &mut Host); 20] = [
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
    |_, host| host.kubelet_file = not_seen(Need::HostKubelet),
    |_, host| host.swap_bytes = not_seen(Need::HostSystem),
    |_, host| host.swap_at_boot = not_seen(Need::HostSystem),
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
    let swapping = boot::swapping(boot::source(""), 0);
    for evidence in [healthy(), cluster()] {
        for host in [&machine(), &bare, &bypassed, &closed, &control_plane, &swapping] {
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
fn a_machine_that_was_to_be_looked_at_and_was_not_leaves_the_verdict_open() {
    use crate::diagnosis::{Policy, Verdict, diagnose};
    static CHECKS: [Check; 2] = [super::super::kubelet_config_missing::CHECK, forward_policy_drop::CHECK];
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
