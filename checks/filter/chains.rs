//! What is kept of a back end's rules: the chains that the hooks can reach, and of these so many rules.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::rule::{Rule, Verdict};
use super::{Backend, BaseChain, Chain, Family, Ruleset, bounded};

/// The most rules of one chain that are kept.
pub(super) const RULES_OF_A_CHAIN: usize = 1_000;
/// The most rules of a ruleset that are kept.
pub(super) const RULES: usize = 4_000;
/// The most rules that are held while reading, when it is not known yet which the hooks reach.
const HELD: usize = 60_000;
/// The most chains that are held while reading.
const CHAINS: usize = 60_000;
/// The longest name of a chain; the kernel has 28 for iptables and 255 for nftables.
const NAME: usize = 255;

/// Collects rules while a listing is read.
pub(super) struct Collecting {
    backend: Backend,
    family: Family,
    bases: Vec<BaseChain>,
    chains: BTreeMap<String, BTreeMap<String, Chain>>,
    held: usize,
    named: usize,
    /// Whether all chains on hooks are there.
    whole: bool,
    cut: Vec<String>,
}

impl Collecting {
    pub(super) fn new(backend: Backend, family: Family) -> Self {
        Self {
            backend,
            family,
            bases: Vec::new(),
            chains: BTreeMap::new(),
            held: 0,
            named: 0,
            whole: true,
            cut: Vec::new(),
        }
    }

    /// Notes that something is missing that could stop a packet: chains on hooks, perhaps.
    pub(super) fn cut(&mut self, what: &str) {
        self.whole = false;
        if self.cut.len() < 16 {
            self.cut.push(bounded(what));
        }
    }

    /// Notes that something is missing at this place, in any chain of a table or of all; so nothing that follows counts.
    pub(super) fn cut_here(&mut self, table: Option<&str>, what: &str) {
        self.cut(what);
        for (name, chains) in &mut self.chains {
            if table.is_none_or(|table| table == name) {
                for chain in chains.values_mut() {
                    chain.left_out += 1;
                }
            }
        }
    }

    /// Takes the last rule of a chain back: it may have been read in part only.
    pub(super) fn take_back(&mut self, table: &str, chain: &str) {
        if let Some(chain) = self.chains.get_mut(table).and_then(|chains| chains.get_mut(chain))
            && chain.left_out == 0
        {
            chain.rules.pop();
        }
    }

    pub(super) fn base(&mut self, base: BaseChain) {
        if self.bases.len() >= 1_000 {
            self.cut("more than 1000 chains on hooks");
            return;
        }
        self.chain(&base.table, &base.chain);
        let known = |other: &&mut BaseChain| other.table == base.table && other.chain == base.chain;
        match self.bases.iter_mut().find(known) {
            Some(other) => *other = base,
            None => self.bases.push(base),
        }
    }

    /// Whether a chain was declared; jumps go nowhere else.
    pub(super) fn has(&self, table: &str, chain: &str) -> bool {
        self.chains.get(table).is_some_and(|chains| chains.contains_key(chain))
    }

    pub(super) fn chain(&mut self, table: &str, chain: &str) -> Option<&mut Chain> {
        if !self.has(table, chain) {
            if self.named >= CHAINS || table.len() > NAME || chain.len() > NAME {
                self.cut("chains beyond what is held");
                return None;
            }
            self.named += 1;
        }
        Some(self.chains.entry(table.to_owned()).or_default().entry(chain.to_owned()).or_default())
    }

    /// Adds rules that stand at one place of a chain: all of them or none.
    pub(super) fn rules(&mut self, table: &str, chain: &str, rules: Vec<Rule>) {
        let room = self.held + rules.len() <= HELD;
        let count = rules.len();
        let Some(chain) = self.chain(table, chain) else { return };
        if room && chain.left_out == 0 && chain.rules.len() + count <= RULES_OF_A_CHAIN {
            chain.rules.extend(rules);
            self.held += count;
        } else {
            chain.left_out += 1;
        }
    }

    /// The number that the next rule of a chain has.
    pub(super) fn next_number(&self, table: &str, chain: &str) -> u64 {
        let known = self.chains.get(table).and_then(|chains| chains.get(chain));
        known.map_or(1, |chain| chain.rules.last().map_or(0, |rule| rule.number) + chain.left_out + 1)
    }

    /// Keeps what the hooks reach, the nearest first.
    pub(super) fn finish(mut self) -> Ruleset {
        let mut set = Ruleset::empty(self.backend, self.family);
        for what in &self.cut {
            set.note(what);
        }
        set.whole = self.whole;
        let mut kept = 0;
        let mut seen: BTreeSet<(String, String)> = BTreeSet::new();
        let mut queue: VecDeque<(String, String)> =
            self.bases.iter().map(|base| (base.table.clone(), base.chain.clone())).collect();
        while let Some((table, name)) = queue.pop_front() {
            if !seen.insert((table.clone(), name.clone())) {
                continue;
            }
            let found = self.chains.get_mut(&table).and_then(|chains| chains.remove(&name));
            let Some(mut chain) = found else { continue };
            shorten(&mut chain, RULES.saturating_sub(kept));
            kept += chain.rules.len();
            if chain.left_out > 0 {
                set.note(&format!("{} rules of the chain {name} in the table {table}", chain.left_out));
            }
            for rule in &chain.rules {
                if let Verdict::Jump(next) | Verdict::Goto(next) = &rule.verdict {
                    queue.push_back((table.clone(), next.clone()));
                }
            }
            set.chains.entry(table).or_default().insert(name, chain);
        }
        set.bases = self.bases;
        set
    }
}

/// Leaves the first `most` rules; those that share a number stay together.
fn shorten(chain: &mut Chain, most: usize) {
    if chain.rules.len() <= most {
        return;
    }
    let number = chain.rules[most].number;
    let keep = chain.rules.partition_point(|rule| rule.number < number);
    let last = chain.rules.last().map_or(0, |rule| rule.number);
    chain.left_out += last.saturating_sub(number) + 1;
    chain.rules.truncate(keep);
}
