//! Rules of firewalls as they stand where each was really installed: Debian 12's packages, each started in a network namespace of
//! its own with its default settings, and port 22 allowed in ufw. Listed by `iptables-save` 1.8.9 (`nf_tables`) and
//! `nft -j list ruleset`.

use crate::filter::{
    Addresses, Backend, Family, Filters, Hook, Interface, Outcome, Owner, Packet, Passage, iptables, nft,
};

const UFW: &str = include_str!("installed/ufw-0.36.2.iptables");
const DOCKER: &str = include_str!("installed/docker-20.10.24.iptables");
const FIREWALLD: &str = include_str!("installed/firewalld-1.3.3.nft.json");

fn of_iptables(text: &str) -> Filters {
    Filters::new(vec![iptables(Backend::IptablesNft, Family::Ipv4, text.lines())], Vec::new())
}

fn of_nft(text: &str) -> Filters {
    let [four, six] = nft(text);
    Filters::new(vec![four, six], Vec::new())
}

/// A new connection from a pod of another node, which nothing translates.
fn packet(to: &str, port: u16, output: Interface) -> Packet {
    let addresses = |text: &str| Addresses::read(text).expect("addresses");
    let mut packet = Packet::tcp(addresses("10.244.1.0/24"), addresses(to), port);
    packet.input = Interface::of_the_cluster();
    packet.output = output;
    packet.translated = Some(false);
    packet
}

fn incoming(filters: &Filters, port: u16) -> Passage {
    filters.decide(Hook::Input, &packet("10.2.0.9", port, Interface::None))
}

fn forwarded(filters: &Filters) -> Passage {
    filters.decide(Hook::Forward, &packet("10.2.0.9", 10250, Interface::of_the_cluster()))
}

fn by(passage: &Passage) -> Vec<Owner> {
    passage.by.iter().map(|decision| decision.whose).collect()
}

#[test]
fn ufw_stops_all_that_it_was_not_told_of() {
    let filters = of_iptables(UFW);
    assert_eq!(incoming(&filters, 10250).outcome, Outcome::Drop);
    assert_eq!(by(&incoming(&filters, 10250)), [Owner::Ufw]);
    assert_eq!(incoming(&filters, 22).outcome, Outcome::Accept, "`ufw allow 22/tcp`");
    assert_eq!(forwarded(&filters).outcome, Outcome::Drop);
    assert_eq!(by(&forwarded(&filters)), [Owner::Ufw]);
}

#[test]
fn docker_forwards_for_its_own_bridge_alone() {
    let filters = of_iptables(DOCKER);
    assert_eq!(incoming(&filters, 10250).outcome, Outcome::Accept);
    assert_eq!(forwarded(&filters).outcome, Outcome::Drop);
    assert_eq!(by(&forwarded(&filters)), [Owner::Docker], "it set the policy of FORWARD");
}

#[test]
fn firewalld_refuses_what_its_zone_does_not_allow() {
    let filters = of_nft(FIREWALLD);
    assert!(matches!(incoming(&filters, 10250).outcome, Outcome::Reject(_)));
    assert_eq!(by(&incoming(&filters, 10250)), [Owner::Firewalld]);
    assert_eq!(incoming(&filters, 22).outcome, Outcome::Accept, "the service ssh is in the zone public");
    assert!(matches!(forwarded(&filters).outcome, Outcome::Reject(_)));
    assert_eq!(by(&forwarded(&filters)), [Owner::Firewalld]);
}
