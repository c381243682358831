use std::fmt::Write as _;

use checks::filter::{Backend, Family, Ruleset, iptables, nft, services_of_iptables};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

fn fact(value: Value) -> Outcome {
    Outcome::Fact { value }
}

/// Text that cannot be packed much: four letters of 64 for every three bytes.
fn noise(length: usize, seed: u32) -> String {
    let mut state = seed.wrapping_mul(2_654_435_761) | 1;
    let letters: Vec<char> = ('a'..='z').chain('A'..='Z').chain('0'..='9').chain(['.', '_']).collect();
    (0..length)
        .map(|_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            letters[(state >> 26) as usize % letters.len()]
        })
        .collect::<String>()
        // Words, because a long one looks like a secret.
        .as_bytes()
        .chunks(7)
        .map(|chunk| String::from_utf8_lossy(chunk).into_owned())
        .collect::<Vec<_>>()
        .join(" ")
}

fn said(pages: &[String]) -> Vec<&str> {
    pages.iter().map(String::as_str).collect()
}

/// Every fact that a machine tells has its place in the order: what is not known would be thrown away.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn the_order_has_every_fact() {
    use std::collections::BTreeSet;

    use crate::source::{Machine, MachineOptions};

    let options = MachineOptions {
        root: env!("CARGO_MANIFEST_DIR").into(),
        name: Some("one".to_owned()),
        dials: vec!["127.0.0.1:1".to_owned()],
    };
    let machine = Machine::look(&options).await.expect("it has a root");
    let told: BTreeSet<String> = machine.facts().into_keys().collect();
    let known: BTreeSet<String> =
        ORDER.iter().map(|name| (*name).to_owned()).chain(["dial 127.0.0.1:1".to_owned()]).collect();
    assert_eq!(told, known);
}

#[test]
fn what_fits_is_whole() {
    let facts: Facts = [
        ("identity".to_owned(), fact(json!({"hostname": "node1"}))),
        ("dial 10.0.0.1:443".to_owned(), fact(json!("Answered"))),
        (
            "swap".to_owned(),
            Outcome::Failed { kind: FailureKind::NotPermitted, message: "root only".to_owned() },
        ),
    ]
    .into();
    let pages = write(facts.clone());
    assert_eq!(pages.len(), 1);
    assert_eq!(read(&said(&pages), &["10.0.0.1:443".to_owned()]), Ok(facts.clone()));
    let without = read(&said(&pages), &[]).expect("it is read");
    assert_eq!(without.len(), 2, "nobody asked for that dial: {without:?}");
}

#[test]
fn what_is_larger_takes_more_pages_and_what_does_not_fit_was_not_seen() {
    for (length, pages_wanted) in [(4000, 2), (9000, 3)] {
        let facts: Facts = [("packet filter".to_owned(), fact(json!(noise(length, 1))))].into();
        let pages = write(facts.clone());
        assert_eq!(pages.len(), pages_wanted);
        assert!(pages.iter().all(|page| page.len() <= LIMIT));
        assert_eq!(read(&said(&pages), &[]), Ok(facts));
    }
    let facts: Facts = [
        ("kubelet certificates".to_owned(), fact(json!(noise(3000, 2)))),
        ("packet filter".to_owned(), fact(json!(noise(60_000, 3)))),
        ("routes".to_owned(), fact(json!(noise(3000, 4)))),
        ("identity".to_owned(), fact(json!({"hostname": "node1"}))),
    ]
    .into();
    let pages = write(facts.clone());
    let seen = read(&said(&pages), &[]).expect("it is read");
    assert_eq!(seen["identity"], facts["identity"]);
    assert_eq!(seen["kubelet certificates"], facts["kubelet certificates"]);
    assert_eq!(seen["routes"], facts["routes"]);
    assert!(
        matches!(&seen["packet filter"], Outcome::Failed { kind: FailureKind::Lacking, message } if message.contains("did not fit")),
        "{:?}",
        seen["packet filter"]
    );
}

/// A node as a recording has it, with another packet filter and other rules for Services.
fn node(rulesets: Vec<Ruleset>, services: usize) -> Facts {
    let recorded = include_str!("../../../tests/hosts/node-healthy.jsonl").lines();
    let mut facts: Facts = recorded
        .filter_map(|line| {
            let line: Value = serde_json::from_str(line).expect("a line");
            let name = line.pointer("/request/fact/fact")?.as_str()?.to_owned();
            Some((name, fact(line.pointer("/outcome/fact/value")?.clone())))
        })
        .collect();
    assert!(facts.len() > 15, "{:?}", facts.keys());
    let filters = Filters::new(rulesets, Vec::new());
    facts.insert("packet filter".to_owned(), fact(serde_json::to_value(filters).expect("JSON")));
    let mut nat = String::from("*nat\n:KUBE-SERVICES - [0:0]\n");
    for number in 0..services {
        let address = format!("10.{}.{}.{}", 96 + number % 15, number * 7919 % 256, number * 104_729 % 256);
        let _ = writeln!(
            nat,
            "-A KUBE-SERVICES -d {address}/32 -p tcp -m tcp --dport {} -j KUBE-SVC-{number}",
            80 + number % 9
        );
    }
    nat += "COMMIT\n";
    let listings = vec![services_of_iptables(nat.lines(), &[])];
    let rules = ServiceRules { listings, unread: Vec::new() };
    facts.insert("rules for Services".to_owned(), fact(serde_json::to_value(rules).expect("JSON")));
    facts
}

/// What kube-proxy, the kubelet, flannel and Docker write into the table `filter`, with so many Services without endpoints.
fn kube_proxy(without_endpoints: usize) -> Ruleset {
    let mut text =
        include_str!("../../../tests/filter/programs/docker-and-kube-proxy.forward.iptables").to_owned();
    text = text.replace("COMMIT\n", "");
    for number in 0..without_endpoints {
        let address = format!("10.{}.{}.{}", 96 + number % 15, number * 7919 % 256, number * 104_729 % 256);
        let _ = writeln!(
            text,
            "-A KUBE-SERVICES -d {address}/32 -p tcp -m comment --comment \"team-{}/service-{number}:http has no endpoints\" -m tcp --dport {} -j REJECT --reject-with icmp-port-unreachable",
            number % 17,
            80 + number % 9
        );
    }
    text += "-A FORWARD -s 10.244.0.0/16 -m comment --comment \"flanneld forward\" -j ACCEPT\nCOMMIT\n";
    iptables(Backend::IptablesNft, Family::Ipv4, text.lines())
}

/// What Felix writes for so many pods without policies (`felix/rules/endpoints.go`).
fn calico(pods: usize) -> Ruleset {
    let mut chains = String::new();
    let mut rules = String::new();
    let hash = |seed: usize| noise(16, u32::try_from(seed).expect("small")).replace(' ', "x");
    let mut count = 0;
    let mut rule = |rules: &mut String, text: &str| {
        count += 1;
        let (chain, rest) = text.split_once(' ').expect("a chain");
        let _ = writeln!(rules, "-A {chain} -m comment --comment \"cali:{}\" {rest}", hash(count));
    };
    rule(&mut rules, "FORWARD -j cali-FORWARD");
    rule(&mut rules, "cali-FORWARD -j MARK --set-xmark 0x0/0xe0000");
    rule(&mut rules, "cali-FORWARD -i cali+ -j cali-from-wl-dispatch");
    rule(&mut rules, "cali-FORWARD -o cali+ -j cali-to-wl-dispatch");
    for pod in 0..pods {
        let name: String = format!("{:016x}", (pod as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15))
            .chars()
            .take(11)
            .collect();
        for (way, side, profile) in [("fw", "from", "pro"), ("tw", "to", "pri")] {
            let chain = format!("cali-{way}-cali{name}");
            let _ = writeln!(chains, ":{chain} - [0:0]");
            let flag = if side == "from" { "-i" } else { "-o" };
            rule(&mut rules, &format!("cali-{side}-wl-dispatch {flag} cali{name} -g {chain}"));
            rule(&mut rules, &format!("{chain} -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT"));
            rule(&mut rules, &format!("{chain} -m conntrack --ctstate INVALID -j DROP"));
            rule(&mut rules, &format!("{chain} -j MARK --set-xmark 0x0/0x10000"));
            if side == "from" {
                rule(
                    &mut rules,
                    &format!(
                        "{chain} -p udp -m comment --comment \"Drop VXLAN encapped packets originating in workloads\" -m multiport --dports 4789 -j DROP"
                    ),
                );
                rule(
                    &mut rules,
                    &format!(
                        "{chain} -p ipencap -m comment --comment \"Drop IPinIP encapped packets originating in workloads\" -j DROP"
                    ),
                );
            }
            for kind in ["kns.default", "ksa.default.default"] {
                rule(&mut rules, &format!("{chain} -j cali-{profile}-{kind}"));
                rule(
                    &mut rules,
                    &format!(
                        "{chain} -m comment --comment \"Return if profile accepted\" -m mark --mark 0x10000/0x10000 -j RETURN"
                    ),
                );
            }
            rule(
                &mut rules,
                &format!("{chain} -m comment --comment \"Drop if no profiles matched\" -j DROP"),
            );
        }
    }
    for chain in [
        "cali-FORWARD",
        "cali-from-wl-dispatch",
        "cali-to-wl-dispatch",
        "cali-pro-ksa.default.default",
        "cali-pri-ksa.default.default",
        "cali-pro-kns.default",
        "cali-pri-kns.default",
    ] {
        let _ = writeln!(chains, ":{chain} - [0:0]");
    }
    for side in ["pro", "pri"] {
        rule(
            &mut rules,
            &format!(
                "cali-{side}-kns.default -m comment --comment \"Profile kns.default\" -j MARK --set-xmark 0x10000/0x10000"
            ),
        );
    }
    let text = format!(
        "*filter\n:INPUT ACCEPT [0:0]\n:FORWARD DROP [0:0]\n:OUTPUT ACCEPT [0:0]\n{chains}{rules}COMMIT\n"
    );
    iptables(Backend::IptablesNft, Family::Ipv4, text.lines())
}

#[test]
fn a_large_node_fits() {
    let firewalld =
        || nft(include_str!("../../../checks/filter/tests/installed/firewalld-1.3.3.nft.json")).to_vec();
    for (name, sets) in [
        ("kube-proxy, Docker and flannel", vec![kube_proxy(2)]),
        ("with firewalld", [vec![kube_proxy(2)], firewalld()].concat()),
        ("with firewalld and 200 Services without endpoints", [vec![kube_proxy(200)], firewalld()].concat()),
        ("with 500 Services without endpoints", vec![kube_proxy(500)]),
        ("with Calico and 60 pods", [vec![kube_proxy(2), calico(60)], firewalld()].concat()),
        ("with Calico and 110 pods", vec![kube_proxy(2), calico(110)]),
    ] {
        let facts = node(sets.clone(), 500);
        let size = packed(&facts).expect("it is packed").len();
        let fitted = fits(&packed(&facts).expect("it is packed"));
        let mut pared = facts.clone();
        pare(&mut pared);
        println!("{name}: {size} and pared {}", packed(&pared).expect("it is packed").len());
        let seen = read(&said(&write(facts.clone())), &[]).expect("it is read");
        for (fact, seen) in &seen {
            assert!(matches!(seen, Outcome::Fact { .. }), "{name}: {fact}: {seen:?}");
        }
        let Outcome::Fact { value } = &seen["packet filter"] else { panic!("{name}") };
        let filters = Filters::new(sets, Vec::new());
        let expected = if fitted { filters } else { filters.pared() };
        assert_eq!(serde_json::from_value::<Filters>(value.clone()).expect("a filter"), expected, "{name}");
    }
}

#[test]
fn chains_that_are_alike_are_told_once_and_do_not_fill_the_memory() {
    let chain = |text: &str| json!({"rules": [{"number": 1, "verdict": "accept", "text": text}]});
    let filters = |chains: Value| json!({"rulesets": [{"chains": {"filter": chains}}]});
    let whole = filters(json!({"a": chain("x"), "b": chain("y"), "c": chain("x")}));
    let mut told = whole.clone();
    each_table(&mut told, &mut name_alike);
    assert_eq!(told, filters(json!({"a": chain("x"), "b": chain("y"), "c": "a"})));
    let mut facts: Facts = [("packet filter".to_owned(), fact(told))].into();
    put_back(&mut facts);
    assert_eq!(facts["packet filter"], fact(whole));
    // A stranger's page that would become a thousand times as large.
    let mut chains = serde_json::Map::new();
    chains.insert("a".to_owned(), chain(&"x".repeat(1 << 20)));
    chains.extend((0..1000).map(|number| (format!("b{number}"), json!("a"))));
    chains.insert("c".to_owned(), json!("nobody"));
    let mut facts: Facts = [("packet filter".to_owned(), fact(filters(Value::Object(chains))))].into();
    put_back(&mut facts);
    let Outcome::Fact { value } = &facts["packet filter"] else { panic!("a fact") };
    let chains = value["rulesets"][0]["chains"]["filter"].as_object().expect("chains");
    assert!(chains.values().filter(|chain| chain.is_object()).count() <= 4);
    assert_eq!(chains["c"], json!("nobody"));
}

#[test]
fn a_page_that_is_missing_or_of_somebody_else_is_no_answer() {
    let pages = write([("packet filter".to_owned(), fact(json!(noise(9000, 5))))].into());
    let all = said(&pages);
    assert_eq!(read(&[], &[]), Err(Unreadable::Empty));
    assert_eq!(read(&all[..2], &[]), Err(Unreadable::Damaged));
    assert_eq!(read(&[all[0], all[2], all[1]], &[]), Err(Unreadable::Damaged));
    assert_eq!(read(&[&all[0][..4000], all[1], all[2]], &[]), Err(Unreadable::Damaged));
    assert!(matches!(read(&["exec format error"], &[]), Err(Unreadable::Foreign(_))));
}

#[test]
fn what_a_node_says_is_swept_and_unknown_facts_are_dropped() {
    let token = format!("Bearer {}", "aB3".repeat(20));
    let facts: Facts = [
        ("identity".to_owned(), fact(json!({"hostname": token}))),
        ("passwords".to_owned(), fact(json!("hunter2"))),
        ("swap".to_owned(), Outcome::NotTls),
    ]
    .into();
    let seen = read(&said(&write(facts)), &[]).expect("it is read");
    assert_eq!(seen.len(), 1, "{seen:?}");
    assert!(!format!("{seen:?}").contains("aB3aB3"), "{seen:?}");
}

proptest! {
    #[test]
    fn no_message_breaks_the_reader(texts in proptest::collection::vec(".{0,200}", 0..4)) {
        let said: Vec<&str> = texts.iter().map(String::as_str).collect();
        prop_assert!(read(&said, &[]).is_err());
    }
}
