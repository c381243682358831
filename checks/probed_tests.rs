use jiff::Timestamp;

use super::*;
use crate::check::{Check, Outcome};
use crate::evidence::{Answer, KubeletProbe, Look, NodeMetric, Pod, ProbeDial, unseen};
use crate::{api_access, kubelet as kubelets};

const NODE: &str = "node1";

fn seen<T>(need: Need, value: T) -> Obs<T> {
    Obs::seen(need, [0], value)
}

fn pod(ready: bool) -> Pod {
    Pod {
        namespace: "kube-system".to_owned(),
        name: "metrics-server-1".to_owned(),
        node: Some(NODE.to_owned()),
        phase: "Running".to_owned(),
        ready,
        created: Timestamp::UNIX_EPOCH,
        started: None,
        restarts: 5,
        waiting: None,
        waiting_message: None,
        container: "metrics-server".to_owned(),
        last_end: None,
        service_account: "metrics-server".to_owned(),
        labels: std::collections::BTreeMap::new(),
        image: "metrics-server:v0.9.0".to_owned(),
        ports: Vec::new(),
        host_network: false,
        unschedulable: None,
    }
}

fn node(address: &str) -> Node {
    fn nothing<T>(need: Need) -> Obs<T> {
        Obs::unseen(need, [], Why::NotRecorded)
    }
    Node {
        name: NODE.to_owned(),
        ready: true,
        created: Timestamp::UNIX_EPOCH,
        addresses: Vec::new(),
        kubelet_port: 10250,
        os: "linux".to_owned(),
        kubelet_version: "v1.36.2".to_owned(),
        labels: std::collections::BTreeMap::new(),
        pod_cidr: None,
        dial: seen(Need::Pods, Some((address.to_owned(), 10250))),
        handshake: nothing(Need::KubeletHandshake),
        anonymous: seen(Need::KubeletAnonymous, 401),
        configz: nothing(Need::Configz),
        api_server_alert: nothing(Need::Configz),
        csrs: nothing(Need::Csrs),
        scrape_log: nothing(Need::Logs),
    }
}

fn http(status: i64, message: &str) -> Reach {
    Reach::Http { status, message: message.to_owned() }
}

/// A cluster whose metrics-server is not Ready and says nothing, with one probe on its node.
fn evidence(mode: Mode, api: Reach, kubelet: Reach) -> Evidence {
    let mut evidence = unseen(mode);
    evidence.backend.pods = seen(Need::Pods, vec![pod(false)]);
    evidence.backend.args = seen(Need::Pods, Vec::new());
    evidence.backend.reviews.account = Some("system:serviceaccount:kube-system:metrics-server".to_owned());
    evidence.metrics.discovery = seen(Need::MetricsDiscovery, Answer { status: 503, message: String::new() });
    let answer = Answer { status: 503, message: String::new() };
    evidence.metrics.nodes_answer = seen(Need::NodeMetrics, answer);
    evidence.nodes = seen(Need::Nodes, vec![node("172.30.0.11")]);
    evidence.probes = vec![PodProbe {
        node: NODE.to_owned(),
        namespace: "kube-system".to_owned(),
        taken_at: Timestamp::UNIX_EPOCH,
        differs: Vec::new(),
        policies_differ: None,
        api: seen(Need::PodProbe, api),
        api_direct: seen(Need::PodProbe, Vec::new()),
        service: seen(Need::PodProbe, None),
        dns: seen(Need::PodProbe, None),
        kubelets: vec![KubeletProbe {
            node: NODE.to_owned(),
            address: "172.30.0.11:10250".to_owned(),
            reach: seen(Need::PodProbe, kubelet),
        }],
    }];
    evidence
}

/// The result as a word, with the sentence of a failure.
fn word(check: &Check, evidence: &Evidence) -> String {
    let outcomes = check.run(evidence);
    for need in &outcomes.read {
        assert!(check.needs.contains(need), "{} reads {need:?} and does not declare it", check.name);
    }
    let words: Vec<String> = outcomes
        .results
        .iter()
        .map(|(_, outcome)| match outcome {
            Outcome::Pass => "pass".to_owned(),
            Outcome::Fail(finding) => format!("fail: {}", finding.detail),
            Outcome::Undecided(_) => "open".to_owned(),
            Outcome::NotApplicable(_) => "n/a".to_owned(),
        })
        .collect();
    words.join(", ")
}

use api_access::pod_network_to_api_blocked::CHECK as API;
use kubelets::cluster_dns_silent::CHECK as DNS;
use kubelets::kubelet_rejects_metrics_server::CHECK as REJECTED;
use kubelets::kubelet_unreachable_from_pods::CHECK as UNREACHABLE;
use kubelets::kubelet_webhook_authentication_off::CHECK as WEBHOOK;
use kubelets::nodes_metrics_not_permitted::CHECK as PERMITTED;

#[test]
fn the_network_of_a_pod_is_proven_or_disproven_before_the_install_and_where_no_log_says_it() {
    for mode in [Mode::Installed, Mode::BeforeInstall] {
        let good = evidence(mode, http(200, ""), http(200, ""));
        assert_eq!(word(&API, &good), "pass", "{mode:?}");
        assert_eq!(word(&UNREACHABLE, &good), "pass", "{mode:?}");
        for bad in [Reach::TimedOut, Reach::Refused, Reach::NoRoute] {
            let bad = evidence(mode, bad.clone(), bad);
            assert!(
                word(&API, &bad).starts_with("fail: a pod on node node1, the API server's Service"),
                "{mode:?}"
            );
            assert!(
                word(&UNREACHABLE, &bad).starts_with("fail: a pod on node node1 dialled 172.30.0.11"),
                "{mode:?}"
            );
        }
        let odd = evidence(mode, Reach::Failed("reset".to_owned()), Reach::Failed("reset".to_owned()));
        assert_eq!((word(&API, &odd), word(&UNREACHABLE, &odd)), ("open".to_owned(), "open".to_owned()));
        let tls = evidence(mode, Reach::Tls("x".to_owned()), Reach::Tls("x".to_owned()));
        assert_eq!((word(&API, &tls), word(&UNREACHABLE, &tls)), ("pass".to_owned(), "pass".to_owned()));
    }
}

#[test]
fn what_answers_behind_the_service_is_told() {
    let mut evidence = evidence(Mode::Installed, Reach::TimedOut, http(200, ""));
    let direct = ProbeDial { address: "172.30.0.10:6443".to_owned(), reach: http(200, "") };
    evidence.probes[0].api_direct = seen(Need::PodProbe, vec![direct]);
    assert!(word(&API, &evidence).ends_with("; 172.30.0.10:6443, which stands behind it, answers there"));
}

#[test]
fn what_metrics_server_itself_shows_goes_before_a_probe() {
    let mut evidence = evidence(Mode::Installed, Reach::TimedOut, Reach::TimedOut);
    evidence.backend.pods = seen(Need::Pods, vec![pod(true)]);
    evidence.metrics.discovery = seen(Need::MetricsDiscovery, Answer { status: 200, message: String::new() });
    assert_eq!(word(&API, &evidence), "pass");
    evidence.metrics.discovery = Obs::unseen(Need::MetricsDiscovery, [], Why::NotRecorded);
    assert_eq!(word(&API, &evidence), "open", "whether it works is not known");
}

#[test]
fn where_policies_may_differ_a_probe_says_nothing_of_the_network() {
    for reach in [http(200, ""), Reach::TimedOut] {
        let mut evidence = evidence(Mode::Installed, reach.clone(), reach);
        evidence.probes[0].policies_differ = Some("NetworkPolicy x".to_owned());
        assert_eq!(word(&API, &evidence), "open");
        assert_eq!(word(&UNREACHABLE, &evidence), "open");
    }
}

#[test]
fn a_probe_on_another_node_says_nothing_of_metrics_servers_network() {
    let mut evidence = evidence(Mode::Installed, Reach::TimedOut, Reach::TimedOut);
    evidence.probes[0].node = "node2".to_owned();
    assert_eq!(word(&API, &evidence), "open");
    assert_eq!(word(&UNREACHABLE, &evidence), "open");
}

#[test]
fn a_refusal_is_read_by_its_body() {
    let account = "system:serviceaccount:kube-system:metrics-server";
    let forbidden = |user: &str| {
        http(403, &format!("Forbidden (user={user}, verb=get, resource=nodes, subresource(s)=[metrics])"))
    };
    let cases = [
        (http(200, ""), "pass", "pass", "pass"),
        (http(401, "Unauthorized"), "fail: it answers a pod with 401", "open", "fail: it answered a pod"),
        (
            forbidden("system:anonymous"),
            "fail: it takes a pod with a token",
            "open",
            "fail: it answered a pod",
        ),
        (forbidden(account), "pass", "fail: system:serviceaccount", "fail: it answered a pod"),
        (forbidden("system:serviceaccount:x:y"), "pass", "open", "fail: it answered a pod"),
        (http(500, "no"), "open", "open", "fail: it answered a pod"),
        (Reach::TimedOut, "open", "open", "open"),
    ];
    for (kubelet, webhook, permitted, rejected) in cases {
        let evidence = evidence(Mode::Installed, http(200, ""), kubelet.clone());
        for (check, wanted) in [(&WEBHOOK, webhook), (&PERMITTED, permitted), (&REJECTED, rejected)] {
            let word = word(check, &evidence);
            assert!(word.starts_with(wanted), "{} on {kubelet:?}: {word}", check.name);
        }
    }
}

#[test]
fn a_401_proves_nothing_where_the_api_server_does_not_take_the_token_either() {
    for api in [http(401, "Unauthorized"), Reach::TimedOut] {
        assert_eq!(word(&WEBHOOK, &evidence(Mode::Installed, api, http(401, "Unauthorized"))), "open");
    }
}

#[test]
fn a_kubelet_that_is_open_to_anyone_says_nothing_of_tokens() {
    let mut evidence = evidence(Mode::Installed, http(200, ""), http(200, ""));
    if let Look::Seen(nodes) = &mut evidence.nodes.look {
        nodes[0].anonymous = seen(Need::KubeletAnonymous, 200);
    }
    assert_eq!(word(&WEBHOOK, &evidence), "open");
}

#[test]
fn a_silent_name_server_matters_where_names_are_dialled() {
    let with = |address: &str, reach: Reach| {
        let mut evidence = evidence(Mode::Installed, http(200, ""), Reach::NameNotResolved);
        evidence.nodes = seen(Need::Nodes, vec![node(address)]);
        let dial = ProbeDial { address: "10.96.0.10:53".to_owned(), reach };
        evidence.probes[0].dns = seen(Need::PodProbe, Some(dial));
        evidence
    };
    assert_eq!(word(&DNS, &with("172.30.0.11", Reach::TimedOut)), "n/a");
    assert!(
        word(&DNS, &with(NODE, Reach::TimedOut)).starts_with("fail: a pod on node node1 asked 10.96.0.10:53")
    );
    assert_eq!(word(&DNS, &with(NODE, Reach::Answered)), "pass");
    assert_eq!(word(&DNS, &with(NODE, Reach::NameNotResolved)), "pass");
    assert_eq!(word(&DNS, &with(NODE, Reach::Failed("odd".to_owned()))), "open");
    let mut works = with(NODE, Reach::TimedOut);
    let sample = NodeMetric { node: NODE.to_owned(), timestamp: works.taken_at, window_s: 15 };
    works.metrics.nodes_answer = seen(Need::NodeMetrics, Answer { status: 200, message: String::new() });
    works.metrics.nodes = seen(Need::NodeMetrics, vec![sample]);
    assert_eq!(word(&DNS, &works), "pass", "its metrics are fresh, so metrics-server finds it");
}

/// Given twice, the flag's lists would be joined, with the name still first.
#[test]
fn the_flag_that_chooses_names_is_replaced_where_it_stands() {
    let patch = |args: &[&str]| {
        let mut evidence = evidence(Mode::Installed, http(200, ""), Reach::NameNotResolved);
        evidence.backend.workload = seen(
            Need::Workload,
            Some(crate::evidence::Workload {
                kind: "Deployment".to_owned(),
                namespace: "kube-system".to_owned(),
                name: "metrics-server".to_owned(),
                labels: std::collections::BTreeMap::new(),
                match_labels: std::collections::BTreeMap::new(),
                selector: String::new(),
                replicas: 1,
                ports: Vec::new(),
                container: 0,
                args: args.iter().map(|arg| (*arg).to_owned()).collect(),
                found_by: "owner".to_owned(),
                replica_failure: None,
                container_name: "metrics-server".to_owned(),
                node_selector: std::collections::BTreeMap::new(),
            }),
        );
        let remedies = (DNS.remedies)(&evidence, &[]);
        let step = &remedies.last().expect("a remedy").steps[0];
        format!("{}{}", step.command, step.manual)
    };
    let path = "/spec/template/spec/containers/0/args";
    let wanted = "--kubelet-preferred-address-types=InternalIP,ExternalIP,Hostname";
    let said = patch(&["--secure-port=10250", "--kubelet-preferred-address-types=Hostname"]);
    assert!(
        said.contains(&format!("\"op\":\"replace\",\"path\":\"{path}/1\",\"value\":\"{wanted}\"")),
        "{said}"
    );
    assert!(!said.contains("\"add\""), "{said}");
    let said = patch(&["--secure-port=10250"]);
    assert!(said.contains(&format!("\"op\":\"add\",\"path\":\"{path}/-\",\"value\":\"{wanted}\"")), "{said}");
    for odd in [
        &["--kubelet-preferred-address-types", "Hostname"][..],
        &["--kubelet-preferred-address-types=Hostname", "--kubelet-preferred-address-types=InternalDNS"],
        &["--kubelet-preferred-address-types='$(id)"],
    ] {
        let said = patch(odd);
        assert!(said.starts_with("give metrics-server"), "{said}");
    }
}

#[test]
fn the_user_of_a_refusal() {
    assert_eq!(forbidden_user("Forbidden (user=a:b, verb=get)"), Some("a:b"));
    assert_eq!(forbidden_user("Forbidden (user=a)"), Some("a"));
    assert_eq!(forbidden_user("Unauthorized"), None);
}
