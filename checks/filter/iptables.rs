//! Reads what `iptables-save` and `iptables -S` print.

use super::chains::Collecting;
use super::ranges::{Addresses, Ports};
use super::rule::{Among, Counters, Match, Protocol, Rule, State, Verdict};
use super::target::{masked, target};
use super::words::words;
use super::{Backend, BaseChain, Family, Hook, Policy, Ruleset, bounded};

/// The longest line that is read; a comment has at most 256 bytes, a rule some options more.
const LINE: usize = 16_384;
/// The most lines that are read.
const LINES: usize = 2_000_000;

/// The tables whose chains filter, with the priority of their chains (`enum nf_ip_hook_priorities` in Linux'
/// `include/uapi/linux/netfilter_ipv4.h`).
fn priority(table: &str) -> Option<i64> {
    match table {
        "raw" => Some(-300),
        "mangle" => Some(-150),
        "filter" => Some(0),
        "security" => Some(50),
        _ => None,
    }
}

/// Reads the output of `iptables-save`, with or without `-c`, or of `iptables -S`; it ends early where it is cut.
///
/// Of the table `nat` nothing is kept: its rules cannot stop a packet.
pub fn iptables<'a>(backend: Backend, family: Family, lines: impl IntoIterator<Item = &'a str>) -> Ruleset {
    let mut reading =
        Reading { set: Collecting::new(backend, family), table: None, saved: false, last: None };
    for (number, line) in lines.into_iter().enumerate() {
        if number >= LINES {
            reading.set.cut(&format!("what follows line {LINES}"));
            break;
        }
        let table = reading.table.clone();
        if line.len() > LINE || reading.line(line.trim()).is_none() {
            let what = format!("line {}: {}", number + 1, line.trim());
            match table {
                Some(table) => reading.set.cut_here(Some(&table), &what),
                None => reading.set.cut(&what),
            }
        }
    }
    match (&reading.table, reading.saved) {
        (Some(table), true) => {
            if let Some(chain) = &reading.last {
                reading.set.take_back(table, chain);
            }
            reading.set.cut_here(Some(table), &format!("the text ends within the table {table}"));
        }
        (Some(_), false) => reading.set.cut("other tables than filter: they are not shown by -S"),
        (None, _) => {}
    }
    reading.set.finish()
}

struct Reading {
    set: Collecting,
    /// The table whose rules follow.
    table: Option<String>,
    /// Whether it is the output of `iptables-save`.
    saved: bool,
    /// The chain of the rule that was read last.
    last: Option<String>,
}

impl Reading {
    /// `None` where a line is not understood.
    fn line(&mut self, line: &str) -> Option<()> {
        if line.is_empty() {
            return Some(());
        }
        if let Some(comment) = line.strip_prefix('#') {
            // "# Table `x' is incompatible, use 'nft' tool."
            return if comment.contains("incompatible") { None } else { Some(()) };
        }
        if let Some(table) = line.strip_prefix('*') {
            self.saved = true;
            self.last = None;
            let early = self.table.replace(table.to_owned()).is_some();
            return (!early).then_some(());
        }
        if line == "COMMIT" {
            return self.table.take().map(|_| ());
        }
        if self.table.is_none() && line.starts_with('-') && !self.saved {
            self.table = Some("filter".to_owned());
        }
        let table = self.table.clone()?;
        if table == "nat" {
            return Some(());
        }
        let priority = priority(&table)?;
        if let Some(chain) = line.strip_prefix(':') {
            let mut parts = chain.split_ascii_whitespace();
            let (name, policy) = (parts.next()?, parts.next()?);
            return self.declare(&table, priority, name, Some(policy).filter(|policy| *policy != "-"));
        }
        let (counters, rest) = counters(line);
        let all = words(rest)?;
        match all.first()?.as_str() {
            "-P" => self.declare(&table, priority, all.get(1)?, Some(all.get(2)?)),
            "-N" => self.declare(&table, priority, all.get(1)?, None),
            "-A" => {
                let chain = all.get(1)?;
                let text = rest.strip_prefix("-A")?.trim_start().strip_prefix(chain.as_str())?.trim();
                let number = self.set.next_number(&table, chain);
                let mut rule = Rule {
                    number,
                    matches: Vec::new(),
                    verdict: Verdict::Nothing,
                    counters,
                    comment: None,
                    text: bounded(text),
                };
                Options { words: &all, at: 2, rule: &mut rule }.read();
                if let Verdict::Unknown(name) = &rule.verdict
                    && self.set.has(&table, name)
                {
                    rule.verdict = Verdict::Jump(name.clone());
                }
                self.set.rules(&table, chain, vec![rule]);
                self.last = Some(chain.clone());
                Some(())
            }
            _ => None,
        }
    }

    fn declare(&mut self, table: &str, priority: i64, chain: &str, policy: Option<&str>) -> Option<()> {
        let policy = match policy {
            None => {
                self.set.chain(table, chain);
                return Some(());
            }
            Some("ACCEPT") => Policy::Accept,
            Some("DROP") => Policy::Drop,
            Some(_) => return None,
        };
        if let Some(hook) = Hook::read(chain) {
            let (table, chain) = (table.to_owned(), chain.to_owned());
            self.set.base(BaseChain { table, chain, hook, priority, policy });
        }
        Some(())
    }
}

/// The counters before a rule, and the rest.
fn counters(line: &str) -> (Option<Counters>, &str) {
    let parts = line.strip_prefix('[').and_then(|rest| rest.split_once(']'));
    let Some((numbers, rest)) = parts else { return (None, line) };
    let read = numbers.split_once(':').and_then(|(packets, bytes)| {
        Some(Counters { packets: packets.parse().ok()?, bytes: bytes.parse().ok()? })
    });
    (read, rest.trim_start())
}

/// The options of a rule, read from the left.
struct Options<'a> {
    words: &'a [String],
    at: usize,
    rule: &'a mut Rule,
}

impl Options<'_> {
    fn next(&mut self) -> Option<&str> {
        self.at += 1;
        self.words.get(self.at - 1).map(String::as_str)
    }

    fn unknown(&mut self, from: usize) {
        let text = self.words.get(from..self.at.min(self.words.len())).unwrap_or_default().join(" ");
        self.rule.matches.push(Match::Unknown(bounded(&text)));
    }

    fn read(&mut self) {
        let mut module = String::new();
        while self.at < self.words.len() {
            let from = self.at;
            let not = self.words[self.at] == "!";
            if not {
                self.at += 1;
            }
            match self.next().unwrap_or_default() {
                "-j" | "--jump" => {
                    let name = self.next().unwrap_or_default().to_owned();
                    self.rule.verdict = target(&name, self.words.get(self.at..).unwrap_or_default());
                    return;
                }
                "-g" | "--goto" => {
                    self.rule.verdict = Verdict::Goto(self.next().unwrap_or_default().to_owned());
                    return;
                }
                "-m" | "--match" => {
                    module = self.next().unwrap_or_default().to_owned();
                    // What stands alone says something all the same: `-m socket`, say.
                    let alone = self
                        .words
                        .get(self.at)
                        .is_none_or(|next| matches!(next.as_str(), "-j" | "-g" | "-m"));
                    if alone && !matches!(module.as_str(), "tcp" | "udp" | "comment" | "icmp" | "icmp6") {
                        self.unknown(from);
                    }
                }
                option => {
                    let option = option.to_owned();
                    if self.option(&module, &option, not).is_none() {
                        // Its values, as many as there are.
                        self.at = from + usize::from(not) + 1;
                        while self
                            .words
                            .get(self.at)
                            .is_some_and(|word| !word.starts_with('-') && word != "!")
                        {
                            self.at += 1;
                        }
                        self.unknown(from);
                    }
                }
            }
        }
    }

    /// One option with its value; `None` where it is not understood.
    fn option(&mut self, module: &str, option: &str, not: bool) -> Option<()> {
        let value = self.next()?.to_owned();
        let one = match option {
            "-s" | "--source" => Match::Source(list(not, &value, address)?),
            "-d" | "--destination" => Match::Destination(list(not, &value, address)?),
            "--src-range" => Match::Source(list(not, &value, Addresses::read)?),
            "--dst-range" => Match::Destination(list(not, &value, Addresses::read)?),
            "-i" | "--in-interface" => Match::In(list(not, &value, interface)?),
            "-o" | "--out-interface" => Match::Out(list(not, &value, interface)?),
            "-p" | "--protocol" => {
                if matches!(value.as_str(), "all" | "0") && !not {
                    return Some(());
                }
                Match::Protocol(list(not, &value, Protocol::read)?)
            }
            "--sport" | "--sports" | "--source-ports" if ports(module) => {
                Match::SourcePort(list(not, &value, port)?)
            }
            "--dport" | "--dports" | "--destination-ports" if ports(module) => {
                Match::DestinationPort(list(not, &value, port)?)
            }
            "--ports" if module == "multiport" && !not => {
                let (source, destination) = (list(false, &value, port)?, list(false, &value, port)?);
                Match::Any(vec![vec![Match::SourcePort(source)], vec![Match::DestinationPort(destination)]])
            }
            "--ctstate" | "--state" => Match::State(list(not, &value, State::read)?),
            "--mark" if module == "mark" => {
                let (value, mask) = masked(&value)?;
                Match::Mark { not, value, mask }
            }
            "--tcp-flags" if module == "tcp" => {
                let mask = flags(&value)?;
                let value = flags(self.next()?)?;
                Match::TcpFlags { not, value, mask }
            }
            "--src-type" if module == "addrtype" => Match::SourceKind(list(not, &value, kind)?),
            "--dst-type" if module == "addrtype" => Match::DestinationKind(list(not, &value, kind)?),
            "--comment" if module == "comment" => {
                self.rule.comment.get_or_insert_with(|| bounded(&value));
                return Some(());
            }
            _ => return None,
        };
        self.rule.matches.push(one);
        Some(())
    }
}

fn ports(module: &str) -> bool {
    matches!(module, "tcp" | "udp" | "udplite" | "sctp" | "dccp" | "multiport")
}

/// Values parted by commas; all of them have to be understood.
fn list<T>(not: bool, text: &str, read: impl Fn(&str) -> Option<T>) -> Option<Among<T>> {
    let of: Option<Vec<T>> = text.split(',').map(read).collect();
    Some(Among { not, of: of? })
}

/// An address, or one with a mask in either form; a mask with gaps is not understood.
fn address(text: &str) -> Option<Addresses> {
    if let Some((address, mask)) = text.split_once('/')
        && let Ok(mask) = mask.parse::<std::net::Ipv4Addr>()
    {
        let ones = mask.to_bits().leading_ones();
        let gaps = ones != mask.to_bits().count_ones();
        return if gaps { None } else { Addresses::network(address.parse().ok()?, u8::try_from(ones).ok()?) };
    }
    Addresses::read(text)
}

/// A name, where `+` at the end stands for any rest. A name with a star in it would be read as something else.
fn interface(text: &str) -> Option<String> {
    let (name, rest) = match text.strip_suffix('+') {
        Some(name) => (name, "*"),
        None => (text, ""),
    };
    (!name.contains('*')).then(|| bounded(&format!("{name}{rest}")))
}

/// A port or a range; an open end is 0 or 65535.
fn port(text: &str) -> Option<Ports> {
    match text.split_once(':') {
        Some((first, last)) => {
            let first = if first.is_empty() { 0 } else { first.parse().ok()? };
            let last = if last.is_empty() { u16::MAX } else { last.parse().ok()? };
            Ports::new(first, last)
        }
        None => text.parse::<u16>().ok().map(Ports::from),
    }
}

/// A kind of address, as the routing table has it.
fn kind(text: &str) -> Option<String> {
    let known = text.bytes().all(|byte| byte.is_ascii_uppercase());
    known.then(|| bounded(&text.to_ascii_lowercase()))
}

fn flags(text: &str) -> Option<u8> {
    let one = |name: &str| match name {
        "FIN" => Some(0x01),
        "SYN" => Some(0x02),
        "RST" => Some(0x04),
        "PSH" => Some(0x08),
        "ACK" => Some(0x10),
        "URG" => Some(0x20),
        "ALL" => Some(0x3f),
        "NONE" => Some(0),
        _ => None,
    };
    text.split(',').try_fold(0, |flags, name| Some(flags | one(name)?))
}
