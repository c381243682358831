//! A packet filter without what decides nothing that is asked says the same of what is asked, and nothing of the rest.

use super::kernel::cases;
use crate::filter::{
    Addresses, Backend, Bits, Family, Filters, Hook, Interface, Outcome, Packet, Protocol, State, Verdict,
    iptables, nft,
};

/// Packets of which the filter was pared for, with less and less known of them.
fn blurred(packet: &Packet) -> Vec<Packet> {
    let blur: [fn(&mut Packet); 6] = [
        |_| {},
        |packet| packet.source = None,
        |packet| packet.source = Addresses::read("10.1.0.0/24"),
        |packet| packet.destination = Addresses::read("0.0.0.0/0"),
        |packet| packet.input = Interface::of_the_cluster(),
        |packet| (packet.destination_port, packet.mark) = (None, Bits::unknown()),
    ];
    let blurred = blur.map(|blur| {
        let mut packet = packet.clone();
        blur(&mut packet);
        packet
    });
    blurred.into()
}

#[test]
fn it_decides_what_the_whole_filter_decides() {
    let (mut same, mut rules, mut kept) = (0, 0, 0);
    let count = |filters: &Filters| -> usize {
        let chains =
            filters.rulesets.iter().flat_map(|set| set.chains.values()).flat_map(|chains| chains.values());
        chains.map(|chain| chain.rules.len()).sum()
    };
    for case in cases() {
        let whole = case.filters();
        let pared = whole.pared();
        (rules, kept) = (rules + count(&whole), kept + count(&pared));
        for sent in &case.packets {
            for packet in blurred(&sent.packet()) {
                let full = whole.decide(case.hook, &packet);
                let found = pared.decide(case.hook, &packet);
                if packet.protocol != Some(Protocol::TCP) || case.hook == Hook::Output {
                    assert!(matches!(found.outcome, Outcome::Unknown(_)), "{}: {found:?}", case.name);
                    continue;
                }
                match (&full.outcome, &found.outcome) {
                    (Outcome::Unknown(_), Outcome::Unknown(_)) => {}
                    // Less may be in doubt, and then it has to be true.
                    (Outcome::Unknown(_), _) => {
                        let told = if found.outcome == Outcome::Accept { "accept" } else { "stopped" };
                        let truth = if sent.outcome == "accept" { "accept" } else { "stopped" };
                        assert_eq!(told, truth, "{}: {packet:?}: {full:?} and {found:?}", case.name);
                    }
                    (one, other) => {
                        assert_eq!(one, other, "{}: {packet:?}", case.name);
                        same += 1;
                    }
                }
            }
        }
    }
    assert!(same > 1_000 && kept * 10 < rules * 9, "{same} alike, {kept} of {rules} rules kept");
}

fn firewalls() -> Filters {
    let [four, six] = nft(include_str!("installed/firewalld-1.3.3.nft.json"));
    let of = |backend, text: &str| iptables(backend, Family::Ipv4, text.lines());
    let docker = of(Backend::IptablesNft, include_str!("installed/docker-20.10.24.iptables"));
    let ufw = of(Backend::IptablesLegacy, include_str!("installed/ufw-0.36.2.iptables"));
    Filters::new(vec![docker, ufw, four, six], Vec::new())
}

#[test]
fn installed_firewalls_say_the_same_of_whom_they_stop() {
    let whole = firewalls();
    let pared = whole.pared();
    let address = |text: &str| Addresses::read(text).expect(text);
    for hook in [Hook::Input, Hook::Forward] {
        for port in [22, 80, 443, 6443, 10250] {
            for input in
                [Interface::Unknown, Interface::of_the_cluster(), Interface::Is("docker0".to_owned())]
            {
                let mut packet = Packet::tcp(address("10.244.1.0/24"), address("10.2.0.9"), port);
                (packet.translated, packet.input) = (Some(false), input);
                let (full, found) = (whole.decide(hook, &packet), pared.decide(hook, &packet));
                assert_eq!(full, found, "{hook:?} {packet:?}");
            }
        }
    }
}

#[test]
fn a_rule_without_its_text_is_written_as_before() {
    let rules = [
        "-s 10.244.0.0/16 -j ACCEPT",
        "-d 10.96.3.4/32 -p tcp -m tcp --dport 80 -j REJECT --reject-with icmp-port-unreachable",
        "! -s 127.0.0.0/8 -i cali+ ! -o eth0 -p udp -m udp --dport 30000:32767 -j DROP",
        "-m conntrack --ctstate NEW,INVALID -g A",
        "-m mark --mark 0x10000/0x10000 -j RETURN",
        "-m mark ! --mark 0x1 -j MARK --set-xmark 0x0/0xe0000",
        "-p tcp -m tcp --tcp-flags FIN,SYN SYN -j A",
        "-m statistic --mode random --probability 0.5 -j A",
    ];
    let text = format!(
        "*filter\n:FORWARD DROP [0:0]\n:A - [0:0]\n-A FORWARD {}\nCOMMIT\n",
        rules.join("\n-A FORWARD ")
    );
    let mut set = iptables(Backend::IptablesNft, Family::Ipv4, text.lines());
    let chain = set.chains.get_mut("filter").and_then(|chains| chains.get_mut("FORWARD")).expect("a chain");
    for (rule, text) in chain.rules.iter_mut().zip(rules) {
        rule.forget_text(Backend::IptablesNft, Family::Ipv4);
        assert_eq!(rule.words(Family::Ipv4), text);
    }
    let kept: Vec<bool> = chain.rules.iter().map(|rule| !rule.text.is_empty()).collect();
    assert_eq!(kept, [false, false, false, false, false, false, true, true]);
}

#[test]
fn nothing_is_said_of_other_packets() {
    let [four, six] = nft(include_str!("installed/firewalld-1.3.3.nft.json"));
    let pared = Filters::new(vec![four, six], Vec::new()).pared();
    let address = |text: &str| Addresses::read(text).expect(text);
    let mut asked = Packet::tcp(address("10.244.1.0/24"), address("10.2.0.9"), 10250);
    (asked.translated, asked.input) = (Some(false), Interface::of_the_cluster());
    assert!(!matches!(pared.decide(Hook::Input, &asked).outcome, Outcome::Unknown(_)));
    let other: [fn(&mut Packet); 6] = [
        |packet| packet.protocol = Some(Protocol::read("udp").expect("a protocol")),
        |packet| packet.protocol = None,
        |packet| packet.state = Some(State::Established),
        |packet| packet.state = None,
        |packet| packet.translated = None,
        |packet| packet.source_port = None,
    ];
    for change in other {
        let mut packet = asked.clone();
        change(&mut packet);
        let found = pared.decide(Hook::Input, &packet).outcome;
        assert!(matches!(found, Outcome::Unknown(_)), "{packet:?}: {found:?}");
    }
    assert!(matches!(pared.decide(Hook::Output, &asked).outcome, Outcome::Unknown(_)));
}

#[test]
fn a_circle_and_what_is_missing_stay() {
    let text = "*filter\n:FORWARD DROP [0:0]\n:A - [0:0]\n:B - [0:0]\n:IDLE - [0:0]\n-A FORWARD -j IDLE\n-A IDLE -j LOG\n-A FORWARD -j A\n-A A -j B\n-A B -j A\nCOMMIT\n";
    let mut whole =
        Filters::new(vec![iptables(Backend::IptablesLegacy, Family::Ipv4, text.lines())], Vec::new());
    let pared = whole.pared();
    let chains = &pared.rulesets[0].chains["filter"];
    assert_eq!(chains.keys().collect::<Vec<_>>(), ["A", "B", "FORWARD"]);
    assert_eq!(chains["FORWARD"].rules[0].verdict, Verdict::Jump("A".to_owned()));
    assert_eq!(chains["FORWARD"].rules[0].number, 2);
    let chains = whole.rulesets[0].chains.get_mut("filter").expect("a table");
    chains.get_mut("IDLE").expect("a chain").left_out = 1;
    assert!(whole.pared().rulesets[0].chains["filter"].contains_key("IDLE"));
}
