//! The engine against what a kernel did: see `tests/filter/README.md`.

use std::sync::LazyLock;

use serde::Deserialize;

use crate::filter::{
    Addresses, Backend, Bits, Family, Filters, Hook, Interface, Outcome, Packet, Protocol, iptables, nft,
};

#[derive(Deserialize)]
pub(super) struct Case {
    pub(super) name: String,
    pub(super) hook: Hook,
    legacy: String,
    iptables_nft: String,
    nft: String,
    pub(super) packets: Vec<Sent>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Sent {
    source: String,
    destination: String,
    input: String,
    output: String,
    protocol: String,
    port: u16,
    pub(super) outcome: String,
}

impl Case {
    pub(super) fn filters(&self) -> Filters {
        let [four, six] = nft(&self.nft);
        let legacy = iptables(Backend::IptablesLegacy, Family::Ipv4, self.legacy.lines());
        let by_nft = iptables(Backend::IptablesNft, Family::Ipv4, self.iptables_nft.lines());
        Filters::new(vec![legacy, by_nft, four, six], Vec::new())
    }

    /// As if each listing had ended after this share of it, but not before its first line.
    pub(super) fn shortened(&self, share: f64) -> Filters {
        #[expect(clippy::cast_precision_loss, reason = "some share of it will do")]
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "it lies between 0 and the length"
        )]
        let cut = |text: &str| {
            let end = (text.len() as f64 * share) as usize;
            text.chars().take(end.max(40)).collect::<String>()
        };
        let case = Self {
            name: String::new(),
            hook: self.hook,
            legacy: cut(&self.legacy),
            iptables_nft: cut(&self.iptables_nft),
            nft: cut(&self.nft),
            packets: Vec::new(),
        };
        case.filters()
    }
}

impl Sent {
    pub(super) fn packet(&self) -> Packet {
        let address = |text: &str| Addresses::read(text).expect(text);
        let interface = |name: &str| match name {
            "" => Interface::None,
            name => Interface::Is(name.to_owned()),
        };
        let mut packet = Packet::tcp(address(&self.source), address(&self.destination), self.port);
        packet.protocol = Protocol::read(&self.protocol);
        packet.input = interface(&self.input);
        packet.output = interface(&self.output);
        packet.translated = Some(false);
        packet.mark = Bits::of(0);
        packet
    }
}

pub(super) fn cases() -> &'static [Case] {
    static CASES: LazyLock<Vec<Case>> = LazyLock::new(|| {
        let lines = include_str!("../../../tests/filter/cases.jsonl").lines();
        lines.map(|line| serde_json::from_str(line).expect("a case")).collect()
    });
    &CASES
}

/// Whether the kernel can be seen to refuse or to drop. On the way out the one looks like the other; and of chains with
/// one priority, the one that was made last comes first, which no listing shows.
fn tells(filters: &Filters, hook: Hook) -> bool {
    let bases = || filters.rulesets.iter().flat_map(|set| &set.bases).filter(|base| base.hook == hook);
    let alike = |priority| bases().filter(|base| base.priority == priority).count() > 1;
    hook != Hook::Output && !bases().any(|base| alike(base.priority))
}

fn agrees(tells: bool, outcome: &Outcome, kernel: &str) -> bool {
    match (outcome, kernel) {
        (Outcome::Accept, "accept") | (Outcome::Drop, "drop") | (Outcome::Reject(_), "reject") => true,
        (Outcome::Drop | Outcome::Reject(_), "drop" | "reject") => !tells,
        _ => false,
    }
}

#[test]
fn the_kernel_does_what_the_engine_says() {
    let (mut decided, mut open) = (0, Vec::new());
    let mut wrong = Vec::new();
    for case in cases() {
        let filters = case.filters();
        let tells = tells(&filters, case.hook);
        for sent in &case.packets {
            let packet = sent.packet();
            let passage = filters.decide(case.hook, &packet);
            match &passage.outcome {
                Outcome::Unknown(why) => open.push(format!("{}: {why}", case.name)),
                outcome if agrees(tells, outcome, &sent.outcome) => decided += 1,
                _ => wrong.push(format!("{}: {sent:?} and {passage:?}", case.name)),
            }
        }
    }
    assert!(wrong.is_empty(), "{} wrong\n{}", wrong.len(), wrong.join("\n"));
    println!("{decided} decided, {} open\n{}", open.len(), open.join("\n"));
    assert!(open.len() * 5 < decided, "{decided} decided, {} open", open.len());
}
