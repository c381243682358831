//! What is cut, hostile or huge.

use proptest::prelude::*;

use crate::filter::{Addresses, Backend, Family, Filters, Hook, Outcome, Packet, iptables, nft};

fn packet() -> Packet {
    let address = |text: &str| Addresses::read(text).expect(text);
    Packet::tcp(address("10.1.0.7"), address("10.2.0.9"), 443)
}

fn filters(text: &str) -> Filters {
    Filters::new(vec![iptables(Backend::IptablesLegacy, Family::Ipv4, text.lines())], Vec::new())
}

fn outcome(text: &str) -> Outcome {
    filters(text).decide(Hook::Forward, &packet()).outcome
}

#[test]
fn a_text_that_ends_early_decides_nothing_by_the_policy() {
    let whole = "*filter\n:FORWARD DROP [0:0]\n-A FORWARD -s 10.3.0.0/16 -j ACCEPT\n-A FORWARD -s 10.1.0.0/16 -j ACCEPT\nCOMMIT\n";
    assert_eq!(outcome(whole), Outcome::Accept);
    for end in 0..whole.len() - 1 {
        let found = outcome(&whole[..end]);
        let empty = whole[..end].trim().is_empty();
        // Nothing at all is what iptables-legacy-save prints of a kernel without rules.
        assert!(empty || matches!(found, Outcome::Unknown(_)) || end == whole.len() - 2, "{end}: {found:?}");
    }
}

#[test]
fn a_rule_before_the_cut_decides() {
    let text =
        "*filter\n:FORWARD ACCEPT [0:0]\n-A FORWARD -s 10.1.0.0/16 -j DROP\n-A FORWARD -s 10.3.0.0/16 -j ACC";
    assert_eq!(outcome(text), Outcome::Drop);
}

#[test]
fn chains_that_call_each_other_end() {
    let text = "*filter\n:FORWARD DROP [0:0]\n:A - [0:0]\n:B - [0:0]\n-A FORWARD -j A\n-A A -j B\n-A A -j B\n-A B -j A\n-A B -j A\nCOMMIT\n";
    assert!(matches!(outcome(text), Outcome::Unknown(_)));
}

#[test]
fn fifty_thousand_rules_are_cut_and_said() {
    use std::fmt::Write as _;
    let mut text = String::from("*nat\n:KUBE-SERVICES - [0:0]\n");
    for n in 0..50_000 {
        let _ = writeln!(text, "-A KUBE-SVC-{n} -m comment --comment \"a/b:{n}\" -j KUBE-SEP-{n}");
    }
    text.push_str("COMMIT\n*filter\n:FORWARD DROP [0:0]\n");
    for n in 0..50_000 {
        let _ = writeln!(
            text,
            "-A FORWARD -s 10.{}.{}.0/24 -p tcp -m tcp --dport 80 -j ACCEPT",
            n / 256,
            n % 256
        );
    }
    text.push_str("COMMIT\n");
    let filters = filters(&text);
    let set = &filters.rulesets[0];
    assert!(set.chains["filter"]["FORWARD"].rules.len() <= 1_000);
    assert!(set.cut[0].contains("49000 rules of the chain FORWARD"), "{:?}", set.cut);
    assert!(!set.chains.contains_key("nat"));
    let passage = filters.decide(Hook::Forward, &packet());
    assert!(matches!(passage.outcome, Outcome::Unknown(_)), "{passage:?}");
}

proptest! {
    #[test]
    fn no_text_is_too_odd(text in "(?s).{0,400}", lines in proptest::collection::vec("(-A FORWARD|-P|:|\\*filter|COMMIT|-N|\\[1:2\\] -A A)( (-s|-d|-i|-o|-p|-m|!|-j|-g|tcp|--dport|10\\.0\\.0\\.0/8|ACCEPT|\"|A|FORWARD|DROP)){0,6}", 0..12)) {
        let both = format!("{}\n{text}", lines.join("\n"));
        for text in [&text, &both] {
            let _ = outcome(text);
            let [four, six] = nft(text);
            prop_assert!(!four.whole && !six.whole);
        }
    }
}
