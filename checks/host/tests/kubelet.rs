//! The kubelet's port and the machine's address, and the way from the control plane.

use super::*;

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
