//! One rule: what it matches, and what it does with what it matches.

use serde::{Deserialize, Serialize};

use super::ranges::{Addresses, Ports};

/// One of several values, or none of them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Among<T> {
    /// Whether it has to be none of them.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub not: bool,
    /// The values.
    pub of: Vec<T>,
}

/// The number of a protocol above IP, with a name for the usual ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Protocol(pub u8);

/// The names that `iptables` and `nft` print (they stand in `/etc/protocols`).
const PROTOCOLS: [(&str, u8); 14] = [
    ("icmp", 1),
    ("igmp", 2),
    ("ipencap", 4),
    ("tcp", 6),
    ("udp", 17),
    ("dccp", 33),
    ("gre", 47),
    ("esp", 50),
    ("ah", 51),
    ("ipv6-icmp", 58),
    ("ospf", 89),
    ("vrrp", 112),
    ("sctp", 132),
    ("udplite", 136),
];

impl Protocol {
    /// TCP.
    pub const TCP: Self = Self(6);
    /// UDP.
    pub const UDP: Self = Self(17);

    /// Reads a name or a number.
    #[must_use]
    pub fn read(text: &str) -> Option<Self> {
        let name = match text {
            "icmpv6" => "ipv6-icmp",
            "ipip" => "ipencap",
            other => other,
        };
        let named = PROTOCOLS.iter().find(|(known, _)| *known == name).map(|(_, number)| *number);
        named.or_else(|| text.parse().ok()).map(Self)
    }
}

impl From<Protocol> for String {
    fn from(protocol: Protocol) -> Self {
        let named = PROTOCOLS.iter().find(|(_, number)| *number == protocol.0);
        named.map_or_else(|| protocol.0.to_string(), |(name, _)| (*name).to_owned())
    }
}

impl TryFrom<String> for Protocol {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        Self::read(&text).ok_or_else(|| format!("no protocol: {text}"))
    }
}

/// What connection tracking knows of a packet. The two last say whether its connection is translated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// The first of a connection.
    New,
    /// Of a connection that was answered.
    Established,
    /// Opened by another connection, or an error message about one.
    Related,
    /// Of no connection that could be.
    Invalid,
    /// Not tracked.
    Untracked,
    /// The source is translated.
    Snat,
    /// The destination is translated.
    Dnat,
}

impl State {
    pub(super) fn read(text: &str) -> Option<Self> {
        Some(match text.to_ascii_lowercase().as_str() {
            "new" => Self::New,
            "established" => Self::Established,
            "related" => Self::Related,
            "invalid" => Self::Invalid,
            "untracked" => Self::Untracked,
            "snat" => Self::Snat,
            "dnat" => Self::Dnat,
            _ => return None,
        })
    }
}

/// One condition of a rule.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Match {
    /// Where it comes from.
    Source(Among<Addresses>),
    /// Where it goes.
    Destination(Among<Addresses>),
    /// The interface by which it came; `*` at the end stands for any rest.
    In(Among<String>),
    /// The interface by which it leaves.
    Out(Among<String>),
    /// The protocol above IP.
    Protocol(Among<Protocol>),
    /// The port that it comes from.
    SourcePort(Among<Ports>),
    /// The port that it goes to.
    DestinationPort(Among<Ports>),
    /// What connection tracking says; one of these.
    State(Among<State>),
    /// The bits of its mark under `mask` are `value`.
    Mark {
        /// Whether they have to differ.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        not: bool,
        /// The bits.
        value: u32,
        /// Which bits are compared.
        mask: u32,
    },
    /// The flags of TCP under `mask` are `value`.
    TcpFlags {
        /// Whether they have to differ.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        not: bool,
        /// The bits, as in the header.
        value: u8,
        /// Which bits are compared.
        mask: u8,
    },
    /// The routing table's kind of the source: `local`, `unicast`, ..
    SourceKind(Among<String>),
    /// The routing table's kind of the destination.
    DestinationKind(Among<String>),
    /// All of the conditions in one of these lists.
    Any(Vec<Vec<Match>>),
    /// A condition that is not understood here.
    Unknown(String),
}

/// What a rule does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// The packet has passed this base chain.
    Accept,
    /// It is gone.
    Drop,
    /// It is gone, and its sender is told so in this way.
    Reject(String),
    /// Back to the chain that called this one.
    Return,
    /// Through another chain, and back behind this rule.
    Jump(String),
    /// Through another chain, and back behind the rule that called this one.
    Goto(String),
    /// A process decides.
    Queue,
    /// Sets the mark to `(mark & !clear) ^ flip`, and goes on.
    Mark {
        /// The bits that become 0 first.
        clear: u32,
        /// The bits that are flipped then.
        flip: u32,
    },
    /// Sets the mark to something that does not stand here, and goes on.
    Remark,
    /// Counts, logs or the like, and goes on.
    Nothing,
    /// Something that is not understood here.
    Unknown(String),
}

/// How often a rule matched.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counters {
    /// Packets.
    pub packets: u64,
    /// Bytes.
    pub bytes: u64,
}

/// One rule of a chain.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Rule {
    /// Its place in the chain, from 1. The entries of a map of verdicts share one.
    pub number: u64,
    /// All have to hold.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub matches: Vec<Match>,
    /// What it does.
    pub verdict: Verdict,
    /// How often it matched, where it counts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub counters: Option<Counters>,
    /// What somebody wrote beside it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub comment: Option<String>,
    /// As a person would write it; empty where that follows from the rest.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub text: String,
}
