//! What is cut, hostile or huge.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::kernel::cases;
use crate::filter::{
    Addresses, Backend, Bits, Family, Filters, Hook, Interface, Outcome, Packet, Unread, iptables, nft,
};

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

/// Whether `less`, seen with something hidden, claims nothing that `full` does not.
fn claims_less(less: &Outcome, full: &Outcome) -> bool {
    match (less, full) {
        (Outcome::Unknown(_), _) | (Outcome::Accept, Outcome::Accept) => true,
        // By which of two it is stopped may hang on what is hidden; that it is stopped may not.
        _ => less.is_stopped() && full.is_stopped(),
    }
}

/// Leaves the first rules of a chain.
fn hide(filters: &mut Filters, chain: usize, keep: usize) {
    let count: usize = filters.rulesets.iter().flat_map(|set| set.chains.values()).map(BTreeMap::len).sum();
    let mut chains = filters
        .rulesets
        .iter_mut()
        .flat_map(|set| set.chains.values_mut())
        .flat_map(|chains| chains.values_mut());
    if let Some(chain) = chains.nth(chain % count.max(1))
        && keep < chain.rules.len()
    {
        chain.rules.truncate(keep);
        chain.left_out += 1;
    }
}

#[test]
fn what_is_not_known_of_a_packet_only_opens_the_answer() {
    for case in cases() {
        let filters = case.filters();
        for sent in &case.packets {
            let full = filters.decide(case.hook, &sent.packet()).outcome;
            let blur: [fn(&mut Packet); 8] = [
                |packet| packet.source = None,
                |packet| packet.source = Addresses::read("10.1.0.0/24"),
                |packet| packet.destination = None,
                |packet| packet.input = Interface::Unknown,
                |packet| packet.output = Interface::Unknown,
                |packet| packet.protocol = None,
                |packet| packet.mark = Bits::unknown(),
                |packet| (packet.state, packet.destination_port, packet.translated) = (None, None, None),
            ];
            for blur in blur {
                let mut packet = sent.packet();
                blur(&mut packet);
                let less = filters.decide(case.hook, &packet).outcome;
                assert!(claims_less(&less, &full), "{}: {less:?} and {full:?}: {packet:?}", case.name);
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_hidden_only_opens_the_answer(
        case in any::<prop::sample::Index>(),
        hidden in proptest::collection::vec((0..9_usize, 0..5_usize), 1..4),
        unread in any::<bool>(),
        lost in 0..6_usize,
    ) {
        let case = case.get(cases());
        let whole = case.filters();
        let mut less = whole.clone();
        for (chain, keep) in &hidden {
            hide(&mut less, *chain, *keep);
        }
        if let Some(set) = less.rulesets.get_mut(lost) {
            // A chain on a hook that was lost: what is left of a text that ended early.
            set.cut_short("the text ended early");
            set.bases.pop();
        }
        if unread {
            less.unread.push(Unread { backend: Backend::Nftables, why: "not permitted".to_owned() });
        }
        for sent in &case.packets {
            let [found, full] = [&less, &whole].map(|filters| filters.decide(case.hook, &sent.packet()).outcome);
            prop_assert!(claims_less(&found, &full), "{}: {found:?} and {full:?}", case.name);
        }
    }

    #[test]
    fn a_listing_that_ends_early_only_opens_the_answer(case in any::<prop::sample::Index>(), share in 0.0..1.0_f64) {
        let case = case.get(cases());
        let (short, whole) = (case.shortened(share), case.filters());
        for sent in &case.packets {
            let [found, full] = [&short, &whole].map(|filters| filters.decide(case.hook, &sent.packet()).outcome);
            prop_assert!(claims_less(&found, &full), "{}: {found:?} and {full:?}", case.name);
        }
    }

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
