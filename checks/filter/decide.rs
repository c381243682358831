//! What becomes of a packet.

use serde::{Deserialize, Serialize};

use super::owner::{Owner, of_chain, of_rule, of_table};
use super::packet::{Bits, Fit, Packet};
use super::rule::{Match, Rule, Verdict};
use super::{Backend, BaseChain, Filters, Hook, Policy, Ruleset, bounded};

/// The most rules that are tried for one packet.
const STEPS: usize = 200_000;
/// How deep chains may call each other. nftables allows 16; CNIs come to 6.
const DEPTH: usize = 48;

/// Whether a packet passes a hook.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// No chain on this hook stops it.
    Accept,
    /// It is dropped: its sender waits in vain.
    Drop,
    /// It is refused, and its sender is told so in this way.
    Reject(String),
    /// It cannot be told, because of this.
    Unknown(String),
}

impl Outcome {
    /// Whether it is gone for certain.
    #[must_use]
    pub fn is_stopped(&self) -> bool {
        matches!(self, Self::Drop | Self::Reject(_))
    }
}

/// The rule or the policy that decides, or that might.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Decision {
    /// Who holds the rule.
    pub backend: Backend,
    /// Its table.
    pub table: String,
    /// The chain that it stands in.
    pub chain: String,
    /// Its place in the chain, from 1; none where it is the policy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub number: Option<u64>,
    /// The rule; of a policy, what it says.
    pub text: String,
    /// Whose it is, by names.
    pub whose: Owner,
}

impl std::fmt::Display for Decision {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { backend, table, chain, text, .. } = self;
        match self.number {
            Some(number) => write!(f, "{backend}, table {table}, chain {chain}, rule {number}: {text}"),
            None => write!(f, "{backend}, table {table}, chain {chain}: {text}"),
        }
    }
}

/// What becomes of a packet at a hook, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Passage {
    /// What becomes of it.
    pub outcome: Outcome,
    /// Where it is stopped: the one that stops it. Where it passes: one for each chain on the hook, in their order; none
    /// where there is no such chain. Where it cannot be told: those that might decide.
    pub by: Vec<Decision>,
}

/// What one base chain does.
#[derive(Default)]
struct Possible {
    accept: Option<Decision>,
    stop: Option<(Outcome, Decision)>,
    /// Why it cannot be told, and the rule that is not understood.
    unknown: Option<(String, Option<Decision>)>,
}

struct Walk<'a> {
    set: &'a Ruleset,
    base: &'a BaseChain,
    packet: &'a Packet,
    mark: Bits,
    steps: usize,
    path: Vec<&'a str>,
    possible: Possible,
    /// The first condition of which it is not known whether it holds, where that led to a verdict.
    doubt: Option<String>,
}

/// How a walk through a chain ends.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    /// It is decided.
    Decided,
    /// The packet comes, or may come, to the rule behind the one that called the chain.
    Open,
}

impl Filters {
    /// What becomes of a packet at a hook.
    ///
    /// Every chain on the hook sees it, by priority: what one drops is gone, what one accepts goes on to the next
    /// (nft(8), "VERDICT STATEMENTS"). A back end that was not read may drop the packet, so that it is not accepted for
    /// certain; that one might set a mark for which another accepts the packet is not reckoned with.
    #[must_use]
    pub fn decide(&self, hook: Hook, packet: &Packet) -> Passage {
        if self.is_without(hook, packet) {
            let why = "only rules about new connections by TCP from outside were kept of this packet filter";
            return Passage { outcome: Outcome::Unknown(why.to_owned()), by: Vec::new() };
        }
        let sets = || self.rulesets.iter().filter(|set| set.family == packet.family);
        let mut bases: Vec<(&Ruleset, &BaseChain)> = sets()
            .flat_map(|set| set.bases.iter().map(move |base| (set, base)))
            .filter(|(_, base)| base.hook == hook)
            .collect();
        bases.sort_by_key(|(_, base)| base.priority);
        // What is missing of a ruleset may change the mark.
        let mut mark = if sets().all(|set| set.whole) { packet.mark } else { Bits::unknown() };
        let mut steps = STEPS;
        let mut accepted = Vec::new();
        let mut doubt: Option<(String, Vec<Decision>)> = None;
        for (at, (set, base)) in bases.iter().enumerate() {
            // In which order the kernel calls chains of one priority is not known: what they make of the mark neither.
            let alike = bases.iter().enumerate().any(|(other, (_, chain))| {
                other != at && chain.priority == base.priority && changes_marks(bases[other].0, chain)
            });
            if alike {
                mark = Bits::unknown();
            }
            let mut walk = Walk {
                set,
                base,
                packet,
                mark,
                steps,
                path: Vec::new(),
                possible: Possible::default(),
                doubt: None,
            };
            walk.base();
            (mark, steps) = (walk.mark, walk.steps);
            let because = walk.doubt;
            let Possible { accept, stop, unknown } = walk.possible;
            match (accept, stop, unknown) {
                (None, Some((outcome, by)), None) => return Passage { outcome, by: vec![by] },
                (Some(by), None, None) => accepted.push(by),
                (accept, stop, unknown) => {
                    let (why, at) = unknown.unwrap_or_default();
                    let why = if why.is_empty() { because.unwrap_or_default() } else { why };
                    let by = accept.into_iter().chain(stop.map(|(_, by)| by)).chain(at).collect();
                    doubt.get_or_insert((why, by));
                }
            }
        }
        if let Some((why, by)) = doubt {
            return Passage { outcome: Outcome::Unknown(why), by };
        }
        let missing =
            self.unread.first().map(|unread| format!("{} was not read: {}", unread.backend, unread.why));
        let missing = missing.or_else(|| {
            let cut = sets().find(|set| !set.whole)?;
            let what = cut.cut.first().map_or("what it is was not noted", String::as_str);
            Some(format!("of {} something is missing: {what}", cut.backend))
        });
        let missing =
            missing.or_else(|| sets().next().is_none().then(|| "no packet filter was read".to_owned()));
        match missing {
            Some(why) => Passage { outcome: Outcome::Unknown(bounded(&why)), by: accepted },
            None => Passage { outcome: Outcome::Accept, by: accepted },
        }
    }
}

/// Whether a base chain may change marks: whether its table has a rule that does, or rules that are not shown.
fn changes_marks(set: &Ruleset, base: &BaseChain) -> bool {
    let chains = || set.chains.get(&base.table).into_iter().flat_map(|chains| chains.values());
    let changes = |rule: &Rule| {
        matches!(rule.verdict, Verdict::Mark { .. } | Verdict::Remark | Verdict::Queue | Verdict::Unknown(_))
    };
    let calls_the_missing = |rule: &Rule| match &rule.verdict {
        Verdict::Jump(to) | Verdict::Goto(to) => {
            set.chains.get(&base.table).is_none_or(|chains| !chains.contains_key(to))
        }
        _ => false,
    };
    chains().any(|chain| {
        chain.left_out > 0 || chain.rules.iter().any(|rule| changes(rule) || calls_the_missing(rule))
    })
}

impl<'a> Walk<'a> {
    fn base(&mut self) {
        let base = self.base;
        if self.chain(&base.chain) == End::Decided {
            return;
        }
        let text = match base.policy {
            Policy::Accept => "policy ACCEPT",
            Policy::Drop => "policy DROP",
        };
        let by = Decision {
            backend: self.set.backend,
            table: base.table.clone(),
            chain: base.chain.clone(),
            number: None,
            text: text.to_owned(),
            whose: self.owner_of_policy(),
        };
        match base.policy {
            Policy::Accept => self.possible.accept = self.possible.accept.take().or(Some(by)),
            Policy::Drop => self.possible.stop = Some((Outcome::Drop, by)),
        }
    }

    fn chain(&mut self, name: &'a str) -> End {
        let found = self.set.chains.get(&self.base.table).and_then(|chains| chains.get(name));
        let Some(chain) = found else {
            self.lost(&format!("the chain {name} is not shown"));
            return End::Open;
        };
        if self.path.len() >= DEPTH {
            self.lost("chains call each other too deep");
            return End::Open;
        }
        self.path.push(name);
        let end = self.rules(&chain.rules, chain.left_out, name);
        self.path.pop();
        end
    }

    fn rules(&mut self, rules: &'a [Rule], left_out: u64, chain: &str) -> End {
        // Whether the packet is still in this chain for certain, if it came here.
        let mut sure = true;
        // A packet that went back early has the mark that it had then.
        let mut left: Option<Bits> = None;
        for rule in rules {
            if self.steps == 0 {
                self.lost("the chains call each other too often to be walked to the end");
                return End::Open;
            }
            self.steps -= 1;
            let (fit, doubt) = rule.fit(self.base.hook, self.packet, self.mark);
            if fit == Fit::No || rule.verdict == Verdict::Nothing {
                continue;
            }
            if let (Some(doubt), None) = (doubt, &self.doubt) {
                self.doubt = Some(self.perhaps(chain, rule, doubt));
            }
            let matches = fit == Fit::Yes;
            match &rule.verdict {
                Verdict::Nothing => {}
                Verdict::Mark { .. } | Verdict::Remark => {
                    let after = match rule.verdict {
                        Verdict::Mark { clear, flip } => self.mark.set(clear, flip),
                        _ => Bits::unknown(),
                    };
                    self.mark = if matches { after } else { self.mark.or(after) };
                }
                Verdict::Return if matches => return self.back(left, End::Open, sure),
                Verdict::Return => {
                    left = Some(left.map_or(self.mark, |bits| bits.or(self.mark)));
                    sure = false;
                }
                Verdict::Jump(to) | Verdict::Goto(to) => {
                    let goto = matches!(rule.verdict, Verdict::Goto(_));
                    let before = self.mark;
                    let end = self.chain(to);
                    match (matches, end, goto) {
                        (true, End::Decided, _) => return self.back(left, End::Decided, sure),
                        (true, End::Open, true) => return self.back(left, End::Open, sure),
                        (true, End::Open, false) => {}
                        (false, _, false) => self.mark = self.mark.or(before),
                        (false, _, true) => {
                            left = Some(left.map_or(self.mark, |bits| bits.or(self.mark)));
                            self.mark = before;
                            sure = false;
                        }
                    }
                }
                verdict => {
                    self.possible(verdict, chain, rule);
                    if matches && !matches!(verdict, Verdict::Unknown(_)) {
                        return self.back(left, End::Decided, sure);
                    }
                }
            }
        }
        if left_out > 0 {
            self.lost(&format!("{left_out} rules at the end of the chain {chain} are not shown"));
        }
        self.back(left, End::Open, sure)
    }

    /// Leaves a chain.
    fn back(&mut self, left: Option<Bits>, end: End, sure: bool) -> End {
        match (left, end) {
            // What is decided has no mark any more; what went back before has the one of then.
            (Some(bits), End::Decided) => self.mark = bits,
            (Some(bits), End::Open) => self.mark = self.mark.or(bits),
            (None, _) => {}
        }
        if sure { end } else { End::Open }
    }

    /// Something may happen that cannot be seen.
    fn lost(&mut self, why: &str) {
        self.mark = Bits::unknown();
        self.possible.unknown.get_or_insert_with(|| (bounded(why), None));
    }

    fn possible(&mut self, verdict: &Verdict, chain: &str, rule: &Rule) {
        let by = self.decision(chain, rule);
        match verdict {
            Verdict::Accept => self.possible.accept = self.possible.accept.take().or(Some(by)),
            Verdict::Drop => self.possible.stop = Some((Outcome::Drop, by)),
            Verdict::Reject(with) => self.possible.stop = Some((Outcome::Reject(with.clone()), by)),
            other => {
                let why = match other {
                    Verdict::Queue => "a process decides".to_owned(),
                    Verdict::Unknown(what) => format!("not understood here: {what}"),
                    _ => "not understood here".to_owned(),
                };
                let why = bounded(&format!("{why} ({by})"));
                self.mark = Bits::unknown();
                self.possible.unknown.get_or_insert((why, Some(by)));
            }
        }
    }

    fn perhaps(&self, chain: &str, rule: &Rule, doubt: &Match) -> String {
        let by = self.decision(chain, rule);
        match doubt {
            Match::Unknown(text) => bounded(&format!("whether `{text}` holds is not known ({by})")),
            _ => bounded(&format!("it may match some of these packets or none ({by})")),
        }
    }

    fn decision(&self, chain: &str, rule: &Rule) -> Decision {
        let mut chains = self.path.iter().rev();
        let own = self.path.last().and_then(|chain| of_chain(chain));
        let whose = own
            .or_else(|| of_rule(rule))
            .or_else(|| chains.find_map(|chain| of_chain(chain)))
            .or_else(|| of_table(&self.base.table))
            .or_else(|| self.owner_of_the_last(rule))
            .unwrap_or(Owner::Person);
        Decision {
            backend: self.set.backend,
            table: self.base.table.clone(),
            chain: chain.to_owned(),
            number: Some(rule.number),
            text: rule.words(self.set.family),
            whose,
        }
    }

    fn calls(&self) -> impl Iterator<Item = Owner> {
        let chains = self.set.chains.get(&self.base.table);
        let rules = chains.and_then(|chains| chains.get(&self.base.chain)).map(|chain| &chain.rules);
        rules.into_iter().flatten().filter_map(|rule| match &rule.verdict {
            Verdict::Jump(to) | Verdict::Goto(to) => of_chain(to),
            _ => None,
        })
    }

    /// firewalld ends the chains of iptables with a rule that refuses everything, and leaves the policy ACCEPT.
    fn owner_of_the_last(&self, rule: &Rule) -> Option<Owner> {
        let refuses = matches!(rule.verdict, Verdict::Reject(_) | Verdict::Drop);
        (refuses && self.calls().any(|owner| owner == Owner::Firewalld)).then_some(Owner::Firewalld)
    }

    /// Policies bear no name. ufw and Docker set that of FORWARD to DROP, and call chains of their own there.
    fn owner_of_policy(&self) -> Owner {
        if let Some(owner) = of_table(&self.base.table) {
            return owner;
        }
        let mut owners: Vec<Owner> = self.calls().collect();
        // DOCKER-USER counts as a person's.
        owners.sort_by_key(|owner| match owner {
            Owner::Ufw => 0,
            Owner::Docker if self.base.hook == Hook::Forward => 1,
            _ => 2,
        });
        match owners.first() {
            Some(Owner::Ufw) => Owner::Ufw,
            Some(Owner::Docker) if self.base.hook == Hook::Forward && self.base.policy == Policy::Drop => {
                Owner::Docker
            }
            _ => Owner::Person,
        }
    }
}
