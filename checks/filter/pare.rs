//! What is left of a packet filter where there is little room to tell it: what decides about new connections by TCP that
//! come to a machine or go through it, which is all that is asked here.
//!
//! Everything that is taken away provably decides about no such packet: the hook `output`, rules that match none of them, rules
//! that only count or log, and chains in which nothing is left. What is asked of another packet is not known then. Counters
//! go as well, and comments but for what tells whose a rule is.

use std::collections::{BTreeMap, BTreeSet};

use super::owner::{beginning, of_chain};
use super::packet::{Bits, Fit, Interface, Packet};
use super::rule::{Protocol, Rule, State, Verdict};
use super::words::words;
use super::{Backend, Chain, Filters, Hook, Ports, Ruleset};

/// The hooks that are kept.
const HOOKS: [Hook; 2] = [Hook::Input, Hook::Forward];

impl Filters {
    /// What decides about new connections by TCP from unprivileged ports that nothing translates, at the hooks `input` and
    /// `forward`. Of all other packets the answer is [`super::Outcome::Unknown`].
    #[must_use]
    pub fn pared(&self) -> Self {
        let rulesets = self.rulesets.iter().map(Ruleset::pared).collect();
        Self { rulesets, unread: self.unread.clone(), pared: true }
    }

    /// Whether rules about such a packet may have been taken away.
    pub(super) fn is_without(&self, hook: Hook, packet: &Packet) -> bool {
        let any = any(packet.family);
        let port = |ports: Ports| any.source_port.is_some_and(|all| all.holds(ports));
        self.pared
            && !(HOOKS.contains(&hook)
                && packet.protocol == any.protocol
                && packet.state == any.state
                && packet.translated == any.translated
                && packet.source_port.is_some_and(port))
    }
}

/// Any of the packets that are asked about: what is not known of it may be anything.
fn any(family: super::Family) -> Packet {
    Packet {
        family,
        source: None,
        destination: None,
        never: Vec::new(),
        input: Interface::Unknown,
        output: Interface::Unknown,
        protocol: Some(Protocol::TCP),
        source_port: Ports::new(1024, u16::MAX),
        destination_port: None,
        state: Some(State::New),
        translated: Some(false),
        mark: Bits::unknown(),
    }
}

impl Ruleset {
    fn pared(&self) -> Self {
        let mut set = self.clone();
        set.bases.retain(|base| HOOKS.contains(&base.hook));
        let packet = any(self.family);
        let matches =
            |rule: &Rule| HOOKS.iter().any(|hook| rule.fit(*hook, &packet, packet.mark).0 != Fit::No);
        let mut chains = std::mem::take(&mut set.chains);
        for (table, chains) in &mut chains {
            for (name, chain) in chains.iter_mut() {
                chain.rules.retain(|rule| rule.verdict != Verdict::Nothing && matches(rule));
                let is_base = set.bases.iter().any(|base| base.table == *table && base.chain == *name);
                if !is_base {
                    end_at_the_last(chain);
                }
            }
            let idle = idle(chains);
            for (name, chain) in chains.iter_mut() {
                let is_base = set.bases.iter().any(|base| base.table == *table && base.chain == *name);
                // Whose chains a base chain calls says whose its policy is.
                let says_whose = |to: &str| is_base && of_chain(to).is_some();
                chain.rules.retain(|rule| match &rule.verdict {
                    Verdict::Jump(to) => !idle.contains(to) || says_whose(to),
                    _ => true,
                });
                for rule in &mut chain.rules {
                    shorten(rule, self.backend);
                    rule.forget_text(self.backend, self.family);
                }
            }
            for (name, chain) in chains.iter_mut().filter(|(name, _)| idle.contains(*name)) {
                // What a base chain calls is kept above.
                if !set.bases.iter().any(|base| base.table == *table && base.chain == *name) {
                    chain.rules.clear();
                }
            }
        }
        set.chains = chains;
        set.forget_the_unreachable();
        set
    }

    /// Keeps the chains that the hooks reach.
    fn forget_the_unreachable(&mut self) {
        let mut seen: BTreeSet<(String, String)> = BTreeSet::new();
        let mut left: Vec<(String, String)> =
            self.bases.iter().map(|base| (base.table.clone(), base.chain.clone())).collect();
        while let Some((table, name)) = left.pop() {
            if !seen.insert((table.clone(), name.clone())) {
                continue;
            }
            let chain = self.chains.get(&table).and_then(|chains| chains.get(&name));
            for rule in chain.into_iter().flat_map(|chain| &chain.rules) {
                if let Verdict::Jump(to) | Verdict::Goto(to) = &rule.verdict {
                    left.push((table.clone(), to.clone()));
                }
            }
        }
        for (table, chains) in &mut self.chains {
            chains.retain(|name, _| seen.contains(&(table.clone(), name.clone())));
        }
        self.chains.retain(|_, chains| !chains.is_empty());
    }
}

/// Behind a rule that takes every packet away nothing is met, be it shown or not.
fn end_at_the_last(chain: &mut Chain) {
    let is_last = |rule: &Rule| {
        rule.matches.is_empty()
            && matches!(
                rule.verdict,
                Verdict::Accept | Verdict::Drop | Verdict::Reject(_) | Verdict::Return | Verdict::Goto(_)
            )
    };
    if let Some(at) = chain.rules.iter().position(is_last) {
        chain.rules.truncate(at + 1);
        chain.left_out = 0;
    }
}

/// Chains from which every packet comes back as it went in. Chains that call each other in a circle are not among them.
fn idle(chains: &BTreeMap<String, Chain>) -> BTreeSet<String> {
    let mut idle: BTreeSet<String> = BTreeSet::new();
    loop {
        let harmless = |rule: &Rule| match &rule.verdict {
            Verdict::Nothing | Verdict::Return => true,
            Verdict::Jump(to) | Verdict::Goto(to) => idle.contains(to),
            _ => false,
        };
        let more: Vec<String> = chains
            .iter()
            .filter(|(name, chain)| {
                !idle.contains(*name) && chain.left_out == 0 && chain.rules.iter().all(harmless)
            })
            .map(|(name, _)| name.clone())
            .collect();
        if more.is_empty() {
            return idle;
        }
        idle.extend(more);
    }
}

/// Takes from a rule what decides nothing.
fn shorten(rule: &mut Rule, backend: Backend) {
    rule.counters = None;
    rule.comment = rule.comment.as_deref().and_then(beginning).map(str::to_owned);
    if backend == Backend::Nftables {
        return;
    }
    let Some(mut all) = words(&rule.text) else { return };
    while let Some(at) = all.iter().position(|word| word == "--comment") {
        let from = if at >= 2 && all[at - 2] == "-m" && all[at - 1] == "comment" { at - 2 } else { at };
        all.drain(from..(at + 2).min(all.len()));
    }
    rule.text = all.join(" ");
}
