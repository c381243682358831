//! Rules at random, in the syntax of nftables.

use std::fmt::Write as _;

use crate::dice::Dice;

const MATCHES: [&str; 36] = [
    "ip saddr 10.1.0.0/24",
    "ip saddr != 10.1.0.7",
    "ip saddr { 10.1.0.7, 10.1.0.128/25 }",
    "ip saddr 10.1.0.5-10.1.0.9",
    "ip saddr @sources",
    "ip saddr != @sources",
    "ip daddr 10.2.0.9",
    "ip daddr != { 10.2.0.9, 10.2.0.64/26 }",
    "ip6 saddr fe80::/10",
    "ip protocol tcp",
    "iifname \"cali7\"",
    "iifname != \"cali*\"",
    "iifname \"cali*\"",
    "iifname { \"lo\", \"cali7\" }",
    "oifname \"eth0\"",
    "oifname != \"docker0\"",
    "oifname \"et*\"",
    "meta l4proto { tcp, udp }",
    "meta l4proto udp",
    "meta nfproto ipv6",
    "meta nfproto ipv4",
    "tcp dport 443",
    "tcp dport != 443",
    "tcp dport { 80, 1000-2000 }",
    "udp dport 53",
    "meta l4proto { tcp, udp } th dport 53-443",
    "ct state new",
    "ct state established,related",
    "ct state != new",
    "ct status dnat",
    "meta mark & 0x4000 == 0x4000",
    "meta mark 0x1",
    "fib daddr type local",
    "tcp flags & (syn | ack) == syn",
    "ip daddr . meta l4proto . th dport @places",
    "ip ttl > 1",
];
const VERDICTS: [&str; 18] = [
    "accept",
    "accept",
    "drop",
    "drop",
    "reject",
    "reject with icmpx admin-prohibited",
    "reject with icmp host-prohibited",
    "return",
    "counter",
    "counter drop comment \"a b\"",
    "meta mark set 0x1",
    "meta mark set meta mark | 0x4000",
    "meta mark set meta mark & 0xffffbfff",
    "ct mark set meta mark",
    "iifname vmap { \"cali7\" : jump C, \"lo\" : accept, \"eth0\" : goto C }",
    "ip daddr . meta l4proto . th dport vmap @ways",
    "ct state vmap { established : accept, related : accept, invalid : drop }",
    "meta l4proto vmap { tcp : jump C, udp : return }",
];

fn rule(dice: &mut Dice, below: &[&str], family: &str) -> String {
    let mut words = Vec::new();
    for odds in [1, 2, 4] {
        if dice.roll(odds + 1) != 0 {
            continue;
        }
        let one = dice.one(&MATCHES);
        // These are of another family, or ask for two at once.
        if family == "inet" || !one.starts_with("ip6") {
            words.push(one.to_owned());
        }
    }
    let verdict = match (below, dice.roll(3)) {
        ([_, ..], 0) => format!("{} {}", dice.one(&["jump", "jump", "goto"]), dice.one(below)),
        _ => dice.one(&VERDICTS).to_owned(),
    };
    // A chain does not call itself.
    words.push(if below.is_empty() && (verdict.contains(" C") || verdict.contains("@ways")) {
        "counter".to_owned()
    } else {
        verdict
    });
    words.join(" ")
}

/// A table with chains on one hook, for `nft -f`.
pub fn table(dice: &mut Dice, hook: &str) -> String {
    let family = dice.one(&["inet", "ip"]);
    let mut text = format!(
        "table {family} dice {{
set sources {{ type ipv4_addr; flags interval; elements = {{ 10.1.0.0-10.1.0.100, 192.168.0.0/16 }} }}
set places {{ type ipv4_addr . inet_proto . inet_service; elements = {{ 10.2.0.9 . tcp . 443, 10.2.0.20 . udp . 53, 10.1.0.1 . tcp . 80 }} }}
map ways {{ type ipv4_addr . inet_proto . inet_service : verdict; elements = {{ 10.2.0.9 . tcp . 80 : drop, 10.2.0.20 . tcp . 443 : accept, 10.2.0.9 . udp . 53 : goto C, 10.1.0.1 . tcp . 443 : drop }} }}
"
    );
    let mut chain = |dice: &mut Dice, head: &str, below: &[&str]| {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "chain {head}");
        for _ in 0..=dice.roll(5) {
            let _ = writeln!(text, "{}", rule(dice, below, family));
        }
        text.push_str("}\n");
    };
    chain(dice, "C {", &[]);
    chain(dice, "B {", &["C"]);
    for number in 0..=dice.roll(2) {
        let priority = dice.one(&["filter", "filter - 10", "filter + 10", "-150"]);
        let policy = dice.one(&["accept", "accept", "drop"]);
        let head = format!("base{number} {{ type filter hook {hook} priority {priority}; policy {policy};");
        chain(dice, &head, &["B", "C"]);
    }
    text.push_str("}\n");
    text
}
