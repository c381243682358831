//! A packet of which some is known, and whether a rule matches it.

use super::ranges::{Addresses, Ports};
use super::rule::{Among, Match, Protocol, Rule, State};
use super::{Family, Hook};

/// What is known of an interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Interface {
    /// Nothing.
    Unknown,
    /// There is none: a packet for this host leaves by none.
    None,
    /// Its name.
    Is(String),
    /// What it is not; `*` at the end stands for any rest.
    Not(Vec<String>),
}

impl Interface {
    /// One that leads to pods or to another node, but to no container of Docker, no virtual machine and not to this host.
    ///
    /// Docker names its bridges `docker0`, `docker_gwbridge` and `br-` with an identifier, libvirt `virbr0`.
    #[must_use]
    pub fn of_the_cluster() -> Self {
        let names = ["lo", "docker0", "docker_gwbridge", "br-*", "virbr*"];
        Self::Not(names.iter().map(|name| (*name).to_owned()).collect())
    }
}

/// The bits of a mark, as far as they are known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bits {
    /// The bits; those that are not known are 0.
    pub value: u32,
    /// Which are known.
    pub known: u32,
}

impl Bits {
    /// All bits are known.
    #[must_use]
    pub fn of(value: u32) -> Self {
        Self { value, known: u32::MAX }
    }

    /// No bit is known.
    #[must_use]
    pub fn unknown() -> Self {
        Self { value: 0, known: 0 }
    }

    /// `(mark & !clear) ^ flip`.
    pub(super) fn set(self, clear: u32, flip: u32) -> Self {
        let known = self.known | clear;
        Self { value: ((self.value & !clear) ^ flip) & known, known }
    }

    /// What is known where it may be one or the other.
    pub(super) fn or(self, other: Self) -> Self {
        let known = self.known & other.known & !(self.value ^ other.value);
        Self { value: self.value & known, known }
    }
}

/// A packet that comes to a hook: the first of a connection, unless `state` says other.
///
/// What is `None` is not known. A range of addresses or ports stands for each of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Packet {
    /// The version of IP.
    pub family: Family,
    /// Where it comes from, at this hook.
    pub source: Option<Addresses>,
    /// Where it goes, after translation of the destination.
    pub destination: Option<Addresses>,
    /// Addresses that it neither comes from nor goes to, where source or destination are known in part only.
    pub never: Vec<Addresses>,
    /// The interface by which it came.
    pub input: Interface,
    /// The interface by which it leaves.
    pub output: Interface,
    /// The protocol above IP.
    pub protocol: Option<Protocol>,
    /// The port that it comes from.
    pub source_port: Option<Ports>,
    /// The port that it goes to, after translation.
    pub destination_port: Option<Ports>,
    /// What connection tracking says.
    pub state: Option<State>,
    /// Whether its destination is translated: by kube-proxy, say.
    pub translated: Option<bool>,
    /// Its mark.
    pub mark: Bits,
}

impl Packet {
    /// The first packet of a connection by TCP, from an unprivileged port to `port`. Nothing is known of the interfaces,
    /// and its mark is 0.
    #[must_use]
    pub fn tcp(source: Addresses, destination: Addresses, port: u16) -> Self {
        Self {
            family: destination.family(),
            source: Some(source),
            destination: Some(destination),
            never: Vec::new(),
            input: Interface::Unknown,
            output: Interface::Unknown,
            protocol: Some(Protocol::TCP),
            source_port: Ports::new(1024, u16::MAX),
            destination_port: Some(port.into()),
            state: Some(State::New),
            translated: None,
            mark: Bits::of(0),
        }
    }
}

/// Whether something holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fit {
    Yes,
    No,
    Maybe,
}

impl Fit {
    fn of(holds: bool) -> Self {
        if holds { Self::Yes } else { Self::No }
    }

    fn not(self) -> Self {
        match self {
            Self::Yes => Self::No,
            Self::No => Self::Yes,
            Self::Maybe => Self::Maybe,
        }
    }

    fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::No, _) | (_, Self::No) => Self::No,
            (Self::Yes, Self::Yes) => Self::Yes,
            _ => Self::Maybe,
        }
    }

    fn or(self, other: Self) -> Self {
        self.not().and(other.not()).not()
    }
}

impl<T> Among<T> {
    /// Whether the value is among these, where `fit` tells it of one.
    fn fit(&self, fit: impl FnMut(&T) -> Fit) -> Fit {
        let found = self.of.iter().map(fit).fold(Fit::No, Fit::or);
        if self.not { found.not() } else { found }
    }
}

fn addresses(among: &Among<Addresses>, value: Option<Addresses>, never: &[Addresses]) -> Fit {
    among.fit(|range| {
        // What is known to be there is there.
        let apart = |outer: &&Addresses| !value.is_some_and(|value| outer.holds(value));
        if never.iter().filter(apart).any(|outer| outer.holds(*range)) {
            return Fit::No;
        }
        let Some(value) = value else { return Fit::Maybe };
        match (range.holds(value), range.meets(value)) {
            (true, _) => Fit::Yes,
            (_, true) => Fit::Maybe,
            _ => Fit::No,
        }
    })
}

fn ports(among: &Among<Ports>, value: Option<Ports>) -> Fit {
    let Some(value) = value else { return Fit::Maybe };
    among.fit(|range| match (range.holds(value), range.meets(value)) {
        (true, _) => Fit::Yes,
        (_, true) => Fit::Maybe,
        _ => Fit::No,
    })
}

/// Whether every name of pattern `inner` is a name of pattern `outer`.
fn covers(outer: &str, inner: &str) -> bool {
    match outer.strip_suffix('*') {
        Some(start) => inner.strip_suffix('*').unwrap_or(inner).starts_with(start),
        None => outer == inner,
    }
}

fn interface(among: &Among<String>, value: &Interface) -> Fit {
    let any = among.of.iter().any(|pattern| pattern == "*");
    match value {
        _ if any && !among.not => Fit::Yes,
        Interface::Is(name) => among.fit(|pattern| Fit::of(covers(pattern, name))),
        Interface::Not(not) => among
            .fit(|pattern| if not.iter().any(|outer| covers(outer, pattern)) { Fit::No } else { Fit::Maybe }),
        // With no interface the comparison fails in some kernels and compares with an empty name in others.
        Interface::None if !among.not => Fit::No,
        Interface::None | Interface::Unknown => Fit::Maybe,
    }
}

/// The kind of an address of a packet at a hook: who comes to `input` goes to an address of this host.
fn kind(among: &Among<String>, local: Option<bool>) -> Fit {
    among.fit(|kind| match (kind.as_str(), local) {
        ("local", Some(local)) => Fit::of(local),
        // The packets in question go from one host to one other.
        ("multicast" | "broadcast" | "anycast", Some(true)) => Fit::No,
        _ => Fit::Maybe,
    })
}

fn state(among: &Among<State>, packet: &Packet) -> Fit {
    among.fit(|wanted| match (wanted, packet.state) {
        (State::Dnat, _) => packet.translated.map_or(Fit::Maybe, Fit::of),
        (State::Snat, _) | (_, None) => Fit::Maybe,
        (wanted, Some(state)) => Fit::of(*wanted == state),
    })
}

const SYN: u8 = 0x02;
/// Congestion notification, which the first packet of a connection may bear.
const ECN: u8 = 0xc0;

fn tcp_flags(packet: &Packet, value: u8, mask: u8) -> Fit {
    match (packet.protocol, packet.state) {
        (Some(Protocol::TCP), Some(State::New)) if mask & ECN == 0 => Fit::of(SYN & mask == value),
        (Some(protocol), _) if protocol != Protocol::TCP => Fit::No,
        _ => Fit::Maybe,
    }
}

impl Match {
    fn fit(&self, hook: Hook, packet: &Packet, mark: Bits) -> Fit {
        let negated = |fit: Fit, not: bool| if not { fit.not() } else { fit };
        match self {
            Self::Source(among) => addresses(among, packet.source, &packet.never),
            Self::Destination(among) => addresses(among, packet.destination, &packet.never),
            Self::In(among) => interface(among, &packet.input),
            Self::Out(among) => interface(among, &packet.output),
            Self::Protocol(among) => match packet.protocol {
                Some(protocol) => among.fit(|wanted| Fit::of(*wanted == protocol)),
                None => Fit::Maybe,
            },
            Self::SourcePort(among) => ports(among, packet.source_port),
            Self::DestinationPort(among) => ports(among, packet.destination_port),
            Self::State(among) => state(among, packet),
            Self::Mark { not, value, mask } => {
                let fit = if (mark.value ^ value) & mask & mark.known != 0 || value & !mask != 0 {
                    Fit::No
                } else if mask & !mark.known == 0 {
                    Fit::Yes
                } else {
                    Fit::Maybe
                };
                negated(fit, *not)
            }
            Self::TcpFlags { not, value, mask } => match tcp_flags(packet, *value, *mask) {
                // Another protocol has no flags: the rule does not match, negated or not.
                Fit::No if packet.protocol != Some(Protocol::TCP) => Fit::No,
                fit => negated(fit, *not),
            },
            Self::SourceKind(among) => kind(among, (hook == Hook::Output).then_some(true)),
            Self::DestinationKind(among) => kind(
                among,
                match hook {
                    Hook::Input => Some(true),
                    Hook::Forward => Some(false),
                    Hook::Output => None,
                },
            ),
            Self::Any(lists) => {
                lists.iter().map(|list| all(list, hook, packet, mark).0).fold(Fit::No, Fit::or)
            }
            Self::Unknown(_) => Fit::Maybe,
        }
    }
}

/// Whether all hold, and the first that may hold or not.
fn all<'a>(matches: &'a [Match], hook: Hook, packet: &Packet, mark: Bits) -> (Fit, Option<&'a Match>) {
    let mut fit = Fit::Yes;
    let mut doubt = None;
    for one in matches {
        let found = one.fit(hook, packet, mark);
        if found == Fit::Maybe && doubt.is_none() {
            doubt = Some(one);
        }
        fit = fit.and(found);
    }
    (fit, doubt)
}

impl Rule {
    pub(super) fn fit(&self, hook: Hook, packet: &Packet, mark: Bits) -> (Fit, Option<&Match>) {
        all(&self.matches, hook, packet, mark)
    }
}
