//! A rule as `iptables-save` writes it, from what was read of it.

use std::fmt::Write as _;

use super::ranges::Addresses;
use super::rule::{Among, Match, Protocol, Rule, State, Verdict};
use super::{Backend, Family};

impl Rule {
    /// The rule as a person would write it.
    pub(super) fn words(&self, family: Family) -> String {
        if self.text.is_empty() { self.written(family).unwrap_or_default() } else { self.text.clone() }
    }

    /// Forgets the text where it follows from the rest, so that [`Rule::words`] gives it again.
    pub(super) fn forget_text(&mut self, backend: Backend, family: Family) {
        if backend != Backend::Nftables && self.written(family).as_ref() == Some(&self.text) {
            self.text.clear();
        }
    }

    /// What `iptables-save` prints behind the chain; nothing where there is more to it than is done here.
    fn written(&self, family: Family) -> Option<String> {
        let mut text = String::new();
        let mut module = String::new();
        let mut protocol = String::new();
        for one in &self.matches {
            let mut load = |text: &mut String, name: &str| {
                if module != name {
                    name.clone_into(&mut module);
                    let _ = write!(text, "-m {name} ");
                }
            };
            match one {
                Match::Source(among) => option(&mut text, "-s", among, |range| network(*range, family))?,
                Match::Destination(among) => option(&mut text, "-d", among, |range| network(*range, family))?,
                Match::In(among) => option(&mut text, "-i", among, |name| Some(interface(name)))?,
                Match::Out(among) => option(&mut text, "-o", among, |name| Some(interface(name)))?,
                Match::Protocol(among) => {
                    option(&mut text, "-p", among, |one: &Protocol| Some(String::from(*one)))?;
                    protocol = among.of.first().map(|one| String::from(*one)).unwrap_or_default();
                }
                Match::DestinationPort(among) if among.of.len() == 1 && !protocol.is_empty() => {
                    load(&mut text, &protocol);
                    option(&mut text, "--dport", among, |ports| {
                        Some(String::from(*ports).replace('-', ":"))
                    })?;
                }
                Match::State(among) => {
                    load(&mut text, "conntrack");
                    let names: Option<Vec<String>> = among.of.iter().copied().map(name).collect();
                    let names = Among { not: among.not, of: vec![names?.join(",")] };
                    option(&mut text, "--ctstate", &names, |names| Some(names.clone()))?;
                }
                Match::Mark { not, value, mask } => {
                    load(&mut text, "mark");
                    let mark = if *mask == u32::MAX {
                        format!("{value:#x}")
                    } else {
                        format!("{value:#x}/{mask:#x}")
                    };
                    let mark = Among { not: *not, of: vec![mark] };
                    option(&mut text, "--mark", &mark, |mark| Some(mark.clone()))?;
                }
                _ => return None,
            }
        }
        match &self.verdict {
            Verdict::Accept => text.push_str("-j ACCEPT"),
            Verdict::Drop => text.push_str("-j DROP"),
            Verdict::Return => text.push_str("-j RETURN"),
            Verdict::Reject(with) => {
                let _ = write!(text, "-j REJECT --reject-with {with}");
            }
            Verdict::Jump(to) => {
                let _ = write!(text, "-j {to}");
            }
            Verdict::Goto(to) => {
                let _ = write!(text, "-g {to}");
            }
            Verdict::Mark { clear, flip } => {
                let _ = write!(text, "-j MARK --set-xmark {flip:#x}/{clear:#x}");
            }
            _ => return None,
        }
        Some(text)
    }
}

/// One option with one value.
fn option<T>(
    text: &mut String,
    name: &str,
    among: &Among<T>,
    value: impl Fn(&T) -> Option<String>,
) -> Option<()> {
    let [one] = among.of.as_slice() else { return None };
    let not = if among.not { "! " } else { "" };
    // Writing to a String cannot fail.
    let _ = write!(text, "{not}{name} {} ", value(one)?);
    Some(())
}

fn network(range: Addresses, family: Family) -> Option<String> {
    let bits = if family == Family::Ipv4 { 32 } else { 128 };
    match range.to_string() {
        single if range.is_single() => Some(format!("{single}/{bits}")),
        network if network.contains('/') => Some(network),
        _ => None,
    }
}

fn interface(name: &str) -> String {
    name.strip_suffix('*').map_or_else(|| name.to_owned(), |start| format!("{start}+"))
}

/// A state's name, as it is read.
fn name(state: State) -> Option<String> {
    let name = serde_json::to_value(state).ok()?;
    name.as_str().map(str::to_ascii_uppercase)
}
