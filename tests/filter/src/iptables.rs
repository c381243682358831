//! Rules at random, in the syntax of iptables.

use std::fmt::Write as _;

use crate::dice::Dice;

const ADDRESSES: [&str; 9] = [
    "-s 10.1.0.0/24",
    "-s 10.1.0.7/32",
    "! -s 10.1.0.7/32",
    "-s 10.1.0.0/25",
    "-d 10.2.0.9/32",
    "! -d 10.2.0.0/28",
    "-d 10.2.0.0/28",
    "-m iprange --src-range 10.1.0.5-10.1.0.9",
    "-m iprange ! --dst-range 10.2.0.5-10.2.0.9",
];
const INPUT: [&str; 5] = ["-i cali7", "! -i cali7", "-i cali+", "! -i docker0", "-i eth+"];
const OUTPUT: [&str; 5] = ["-o eth0", "! -o eth0", "-o et+", "-o docker0", "! -o cali+"];
const PROTOCOLS: [&str; 15] = [
    "-p tcp",
    "-p udp",
    "! -p udp",
    "-p icmp",
    "-p tcp -m tcp --dport 443",
    "-p tcp -m tcp --dport 80:500",
    "-p tcp -m tcp ! --dport 443",
    "-p udp -m udp --dport 53",
    "-p udp -m udp --sport 1024:65535",
    "-p tcp -m multiport --dports 80,1000:2000",
    "-p tcp -m multiport ! --dports 80,443",
    "-p udp -m multiport --ports 53,80",
    "-p tcp -m tcp --tcp-flags FIN,SYN,RST,ACK SYN",
    "-p tcp -m tcp ! --tcp-flags FIN,SYN,RST,ACK SYN",
    "-p tcp -m tcp --tcp-flags SYN,ACK SYN,ACK",
];
const STATES: [&str; 14] = [
    "-m conntrack --ctstate NEW",
    "-m conntrack --ctstate RELATED,ESTABLISHED",
    "-m conntrack ! --ctstate NEW",
    "-m conntrack --ctstate INVALID",
    "-m conntrack --ctstate DNAT",
    "-m state --state NEW",
    "-m mark --mark 0x4000/0x4000",
    "-m mark ! --mark 0x4000/0x4000",
    "-m mark --mark 0x1",
    "-m addrtype --dst-type LOCAL",
    "-m addrtype ! --dst-type LOCAL",
    "-m addrtype --src-type LOCAL",
    "-m comment --comment \"a \\\"b\\\" c\"",
    "-m ttl --ttl-gt 1",
];
const VERDICTS: [&str; 14] = [
    "-j ACCEPT",
    "-j ACCEPT",
    "-j DROP",
    "-j DROP",
    "-j REJECT --reject-with icmp-host-prohibited",
    "-j REJECT",
    "-j RETURN",
    "-j MARK --set-xmark 0x4000/0x4000",
    "-j MARK --set-mark 0x1",
    "-j MARK --set-xmark 0x0/0xffff",
    "-j MARK --or-mark 0x4000",
    "-j CONNMARK --save-mark",
    "-j NFLOG --nflog-prefix \"x y\"",
    "",
];

fn rule(dice: &mut Dice, hook: &str, below: &[&str]) -> String {
    let mut words = Vec::new();
    let mut some = |dice: &mut Dice, list: &[&'static str], odds: usize| {
        if dice.roll(odds) == 0 {
            words.push(dice.one(list).to_owned());
        }
    };
    some(dice, &ADDRESSES, 3);
    if hook != "OUTPUT" {
        some(dice, &INPUT, 4);
    }
    if hook != "INPUT" {
        some(dice, &OUTPUT, 4);
    }
    some(dice, &PROTOCOLS, 2);
    some(dice, &STATES, 3);
    let verdict = match (below, dice.roll(3)) {
        ([_, ..], 0) => format!("{} {}", dice.one(&["-j", "-j", "-g"]), dice.one(below)),
        _ => dice.one(&VERDICTS).to_owned(),
    };
    words.push(verdict);
    words.join(" ")
}

/// One table with rules on one hook, for `iptables-restore`.
pub fn table(dice: &mut Dice, name: &str, hook: &str) -> String {
    let policy = dice.one(&["ACCEPT", "DROP"]);
    let mut text = format!("*{name}\n:{hook} {policy}\n:A -\n:B -\n:C -\n");
    for (chain, below) in [(hook, &["A", "B", "C"][..]), ("A", &["B", "C"]), ("B", &["C"]), ("C", &[])] {
        for _ in 0..=dice.roll(5) {
            // Writing to a String cannot fail.
            let mut rule = rule(dice, hook, below);
            if name != "filter" {
                // REJECT is for the table `filter` alone.
                rule =
                    rule.replace(" --reject-with icmp-host-prohibited", "").replace("-j REJECT", "-j DROP");
            }
            let _ = writeln!(text, "-A {chain} {rule}");
        }
    }
    text.push_str("COMMIT\n");
    text
}
