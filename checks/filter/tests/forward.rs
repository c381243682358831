//! Which packets of pods pass `forward`, with the rules that programs write there.

use crate::filter::{
    Addresses, Backend, Family, Filters, Hook, Interface, Outcome, Owner, Packet, Passage, iptables,
};

/// As kube-proxy writes it (`pkg/proxy/iptables/proxier.go`, Kubernetes 1.36).
const KUBE_FORWARD: &str = "\
-A FORWARD -m comment --comment \"kubernetes forwarding rules\" -j KUBE-FORWARD
-A FORWARD -m conntrack --ctstate NEW -m comment --comment \"kubernetes service portals\" -j KUBE-SERVICES
-A KUBE-FORWARD -m conntrack --ctstate INVALID -m nfacct --nfacct-name  ct_state_invalid_dropped_pkts -j DROP
-A KUBE-FORWARD -m comment --comment \"kubernetes forwarding rules\" -m mark --mark 0x4000/0x4000 -j ACCEPT
-A KUBE-FORWARD -m comment --comment \"kubernetes forwarding conntrack rule\" -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
";

/// As Docker 24 writes it.
const DOCKER: &str = "\
-A FORWARD -j DOCKER-USER
-A FORWARD -j DOCKER-ISOLATION-STAGE-1
-A FORWARD -o docker0 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
-A FORWARD -o docker0 -j DOCKER
-A FORWARD -i docker0 ! -o docker0 -j ACCEPT
-A FORWARD -i docker0 -o docker0 -j ACCEPT
-A DOCKER-ISOLATION-STAGE-1 -i docker0 ! -o docker0 -j DOCKER-ISOLATION-STAGE-2
-A DOCKER-ISOLATION-STAGE-1 -j RETURN
-A DOCKER-ISOLATION-STAGE-2 -o docker0 -j DROP
-A DOCKER-ISOLATION-STAGE-2 -j RETURN
-A DOCKER-USER -j RETURN
";

/// As flannel 0.26 writes it (`pkg/trafficmngr/iptables/iptables.go`).
const FLANNEL: &str = "\
-A FORWARD -m comment --comment \"flanneld forward\" -j FLANNEL-FWD
-A FLANNEL-FWD -s 10.244.0.0/16 -m comment --comment \"flanneld forward\" -j ACCEPT
-A FLANNEL-FWD -d 10.244.0.0/16 -m comment --comment \"flanneld forward\" -j ACCEPT
";

/// A table `filter` with these rules; each chain that they name is declared.
fn table(policy: &str, rules: &[&str]) -> String {
    let rules = rules.concat();
    let mut chains: Vec<&str> = Vec::new();
    for word in rules.split_ascii_whitespace() {
        if word.contains('-') && !word.starts_with('-') && word.starts_with(|c: char| c.is_ascii_alphabetic())
        {
            chains.push(word);
        }
    }
    chains.push("DOCKER");
    chains.push("KUBE-SERVICES");
    chains.sort_unstable();
    chains.dedup();
    let declared = chains.iter().fold(String::new(), |text, chain| format!("{text}:{chain} - [0:0]\n"));
    format!(
        "*filter\n:INPUT ACCEPT [0:0]\n:FORWARD {policy} [5:300]\n:OUTPUT ACCEPT [0:0]\n{declared}{rules}COMMIT\n"
    )
}

fn filters(text: &str) -> Filters {
    Filters::new(vec![iptables(Backend::IptablesLegacy, Family::Ipv4, text.lines())], Vec::new())
}

fn addresses(text: &str) -> Addresses {
    Addresses::read(text).expect(text)
}

/// A pod that dials the API server on another node.
fn pod() -> Packet {
    let mut packet = Packet::tcp(addresses("10.244.1.0/24"), addresses("192.168.56.10"), 6443);
    packet.input = Interface::of_the_cluster();
    packet.output = Interface::of_the_cluster();
    packet
}

fn pass(policy: &str, rules: &[&str]) -> Passage {
    let filters = filters(&table(policy, rules));
    assert_eq!(filters.rulesets[0].cut, Vec::<String>::new());
    let text = serde_json::to_string(&filters).expect("it is JSON");
    assert_eq!(serde_json::from_str::<Filters>(&text).expect("it is read back"), filters);
    filters.decide(Hook::Forward, &pod())
}

#[test]
fn a_bare_policy_of_drop_stops_pods() {
    let passage = pass("DROP", &[]);
    assert_eq!(passage.outcome, Outcome::Drop);
    assert_eq!(passage.by[0].number, None);
    assert_eq!(passage.by[0].to_string(), "iptables-legacy, table filter, chain FORWARD: policy DROP");
    assert_eq!(passage.by[0].whose, Owner::Person);
}

#[test]
fn a_policy_of_accept_lets_pods_through() {
    assert_eq!(pass("ACCEPT", &[]).outcome, Outcome::Accept);
    assert_eq!(pass("ACCEPT", &[KUBE_FORWARD, DOCKER]).outcome, Outcome::Accept);
}

#[test]
fn kube_proxy_accepts_no_new_packet_of_a_pod() {
    assert_eq!(pass("DROP", &[KUBE_FORWARD]).outcome, Outcome::Drop);
}

#[test]
fn kube_proxy_accepts_what_it_marked_and_what_was_answered() {
    let filters = filters(&table("DROP", &[KUBE_FORWARD]));
    let mut marked = pod();
    marked.mark = crate::filter::Bits::of(0x4000);
    let passage = filters.decide(Hook::Forward, &marked);
    assert_eq!(passage.outcome, Outcome::Accept);
    assert_eq!(passage.by[0].whose, Owner::KubeProxy);
    assert_eq!((passage.by[0].chain.as_str(), passage.by[0].number), ("KUBE-FORWARD", Some(2)));
    let mut unmarked = pod();
    unmarked.mark = crate::filter::Bits::unknown();
    assert!(matches!(filters.decide(Hook::Forward, &unmarked).outcome, Outcome::Unknown(_)));
    let mut answered = pod();
    answered.state = Some(crate::filter::State::Established);
    assert_eq!(filters.decide(Hook::Forward, &answered).outcome, Outcome::Accept);
}

#[test]
fn docker_accepts_its_own_containers_and_not_pods() {
    let passage = pass("DROP", &[KUBE_FORWARD, DOCKER]);
    assert_eq!(passage.outcome, Outcome::Drop);
    assert_eq!(passage.by[0].whose, Owner::Docker);
}

#[test]
fn where_the_interface_is_not_known_docker_leaves_it_open() {
    let filters = filters(&table("DROP", &[DOCKER]));
    let mut packet = pod();
    packet.input = Interface::Unknown;
    let passage = filters.decide(Hook::Forward, &packet);
    let Outcome::Unknown(why) = &passage.outcome else { panic!("{passage:?}") };
    assert!(why.contains("docker0"), "{why}");
    packet.input = Interface::Is("docker0".to_owned());
    assert_eq!(filters.decide(Hook::Forward, &packet).outcome, Outcome::Accept);
}

#[test]
fn flannel_accepts_its_pods() {
    let passage = pass("DROP", &[KUBE_FORWARD, DOCKER, FLANNEL]);
    assert_eq!(passage.outcome, Outcome::Accept);
    assert_eq!(passage.by[0].whose, Owner::Flannel);
    assert_eq!((passage.by[0].chain.as_str(), passage.by[0].number), ("FLANNEL-FWD", Some(1)));
}

#[test]
fn a_range_that_the_rule_holds_in_part_is_open() {
    let rule = "-A FORWARD -s 10.244.1.0/25 -j ACCEPT\n";
    let passage = pass("DROP", &[rule]);
    assert!(matches!(passage.outcome, Outcome::Unknown(_)), "{passage:?}");
    // Where both come to the same, it does not matter.
    assert_eq!(pass("ACCEPT", &[rule]).outcome, Outcome::Accept);
}

#[test]
fn the_last_rule_of_firewalld_refuses() {
    let rules = "\
-A FORWARD -m conntrack --ctstate RELATED,ESTABLISHED,DNAT -j ACCEPT
-A FORWARD -i lo -j ACCEPT
-A FORWARD -j FORWARD_direct
-A FORWARD -j REJECT --reject-with icmp-host-prohibited
";
    let text = table("ACCEPT", &[rules]).replace("*filter\n", "*filter\n:FORWARD_direct - [0:0]\n");
    let mut packet = pod();
    packet.translated = Some(false);
    let passage = filters(&text).decide(Hook::Forward, &packet);
    assert_eq!(passage.outcome, Outcome::Reject("icmp-host-prohibited".to_owned()));
    assert_eq!(passage.by[0].whose, Owner::Firewalld);
    packet.translated = Some(true);
    assert_eq!(filters(&text).decide(Hook::Forward, &packet).outcome, Outcome::Accept);
}
