//! The conditions of nftables' rules.

use serde_json::Value;

use super::nft::Sets;
use super::ranges::{Addresses, Ports};
use super::rule::{Among, Match, Protocol, State};
use super::{Family, bounded};

/// The most values of a set that one condition holds.
const VALUES: usize = 1_000;

/// What a condition comes to for one version of IP.
pub(super) enum Read {
    /// All of these have to hold.
    All(Vec<Match>),
    /// It never holds.
    Never,
}

/// Where names are looked up.
#[derive(Clone, Copy)]
pub(super) struct Scope<'a> {
    pub(super) family: Family,
    pub(super) table: &'a str,
    pub(super) sets: &'a Sets,
}

impl Scope<'_> {
    /// Reads a `match`.
    pub(super) fn read(self, statement: &Value) -> Read {
        let (left, right) = (&statement["left"], &statement["right"]);
        let op = statement["op"].as_str().unwrap_or("==");
        let not = match op {
            "==" | "in" => false,
            "!=" => true,
            _ => return unknown(statement),
        };
        // `ct status == dnat` would ask for this bit and no other.
        if op != "in" && left.pointer("/ct/key").is_some_and(|key| key == "status") {
            return unknown(statement);
        }
        self.compare(left, not, right).unwrap_or_else(|| unknown(statement))
    }

    /// `left` is one of `right`, or none.
    pub(super) fn compare(self, left: &Value, not: bool, right: &Value) -> Option<Read> {
        if let Some(parts) = left.get("concat") {
            return self.concat(parts.as_array()?, not, right);
        }
        if let Some(masked) = left.get("&") {
            return masked_mark(masked, not, right);
        }
        let values = self.values(right)?;
        if let Some(payload) = left.get("payload") {
            let (protocol, field) = (payload.get("protocol")?.as_str()?, payload.get("field")?.as_str()?);
            return self.payload(protocol, field, not, &values);
        }
        if let Some(key) = left.pointer("/meta/key") {
            return self.meta(key.as_str()?, not, &values);
        }
        if let Some(key) = left.pointer("/ct/key") {
            return ct(key.as_str()?, not, &values);
        }
        if left.pointer("/fib/result")?.as_str()? == "type" {
            let flags = strings(left.pointer("/fib/flags")?)?;
            let of = among(not, &values, |value| {
                let kind = value.as_str()?;
                kind.bytes().all(|byte| byte.is_ascii_lowercase()).then(|| bounded(kind))
            })?;
            return match flags.as_slice() {
                ["saddr"] => Some(one(Match::SourceKind(of))),
                ["daddr"] => Some(one(Match::DestinationKind(of))),
                _ => None,
            };
        }
        None
    }

    /// The values on the right: one, several, or those of a set that is named.
    fn values(self, right: &Value) -> Option<Vec<Value>> {
        let values = match right {
            Value::String(name) if name.starts_with('@') => {
                self.sets.get(&(self.table.to_owned(), name[1..].to_owned()))?.clone()?
            }
            Value::Array(values) => values.clone(),
            other => match other.get("set") {
                Some(Value::Array(values)) => values.clone(),
                Some(one) => vec![one.clone()],
                None => vec![other.clone()],
            },
        };
        let plain = values.into_iter().map(|value| value.pointer("/elem/val").cloned().unwrap_or(value));
        let plain: Vec<Value> = plain.collect();
        (plain.len() <= VALUES).then_some(plain)
    }

    fn payload(self, protocol: &str, field: &str, not: bool, values: &[Value]) -> Option<Read> {
        match protocol {
            "ip" | "ip6" => {
                let family = if protocol == "ip" { Family::Ipv4 } else { Family::Ipv6 };
                if family != self.family {
                    return Some(Read::Never);
                }
                Some(one(match field {
                    "saddr" => Match::Source(among(not, values, addresses)?),
                    "daddr" => Match::Destination(among(not, values, addresses)?),
                    "protocol" => Match::Protocol(among(not, values, protocol_of)?),
                    _ => return None,
                }))
            }
            "th" => Some(one(port(field, not, values)?)),
            "tcp" | "udp" | "udplite" | "sctp" | "dccp" => {
                let first = is(Protocol::read(protocol)?);
                let second = if field == "flags" { None } else { port(field, not, values) };
                let second =
                    second.unwrap_or_else(|| Match::Unknown(bounded(&format!("{protocol} {field}"))));
                Some(Read::All(vec![first, second]))
            }
            // Other headers of the same layer: at least the protocol is clear.
            "icmp" | "icmpv6" | "esp" | "ah" | "igmp" => {
                let second = Match::Unknown(bounded(&format!("{protocol} {field}")));
                Some(Read::All(vec![is(Protocol::read(protocol)?), second]))
            }
            _ => None,
        }
    }

    fn meta(self, key: &str, not: bool, values: &[Value]) -> Option<Read> {
        Some(one(match key {
            "iifname" => Match::In(among(not, values, interface)?),
            "oifname" => Match::Out(among(not, values, interface)?),
            // By number in the kernel; nft prints the name where it has one.
            "iif" => Match::In(among(not, values, interface_by_number)?),
            "oif" => Match::Out(among(not, values, interface_by_number)?),
            "l4proto" => Match::Protocol(among(not, values, protocol_of)?),
            "mark" => return mark(u32::MAX, not, values),
            "nfproto" | "protocol" => {
                let own = match (key, self.family) {
                    ("nfproto", Family::Ipv4) => "ipv4",
                    ("nfproto", Family::Ipv6) => "ipv6",
                    (_, Family::Ipv4) => "ip",
                    (_, Family::Ipv6) => "ip6",
                };
                let names = values.iter().map(Value::as_str).collect::<Option<Vec<_>>>()?;
                return Some(if names.contains(&own) == not { Read::Never } else { Read::All(Vec::new()) });
            }
            _ => return None,
        }))
    }

    /// Several expressions side by side, against tuples.
    fn concat(self, parts: &[Value], not: bool, right: &Value) -> Option<Read> {
        if not {
            return None;
        }
        let mut lists = Vec::new();
        for tuple in self.values(right)? {
            if let Read::All(list) = self.tuple(parts, &tuple)? {
                lists.push(list);
            }
        }
        Some(if lists.is_empty() { Read::Never } else { one(Match::Any(lists)) })
    }

    fn tuple(self, parts: &[Value], tuple: &Value) -> Option<Read> {
        let values = tuple.get("concat")?.as_array()?;
        if values.len() != parts.len() {
            return None;
        }
        let mut list = Vec::new();
        for (part, value) in parts.iter().zip(values) {
            match self.compare(part, false, value)? {
                Read::All(more) => list.extend(more),
                Read::Never => return Some(Read::Never),
            }
        }
        Some(Read::All(list))
    }

    /// The condition that one key of a map stands for.
    pub(super) fn key(self, key: &Value, value: &Value) -> Read {
        let value = value.pointer("/elem/val").unwrap_or(value);
        let read = match key.get("concat").and_then(Value::as_array) {
            Some(parts) => self.tuple(parts, value),
            None if value == "*" => None,
            None => self.compare(key, false, value),
        };
        read.unwrap_or_else(|| unknown(value))
    }
}

fn one(found: Match) -> Read {
    Read::All(vec![found])
}

fn unknown(what: &Value) -> Read {
    one(Match::Unknown(bounded(&what.to_string())))
}

fn is(protocol: Protocol) -> Match {
    Match::Protocol(Among { not: false, of: vec![protocol] })
}

fn among<T>(not: bool, values: &[Value], read: impl Fn(&Value) -> Option<T>) -> Option<Among<T>> {
    let of: Option<Vec<T>> = values.iter().map(read).collect();
    Some(Among { not, of: of? })
}

fn strings(value: &Value) -> Option<Vec<&str>> {
    match value {
        Value::String(one) => Some(vec![one]),
        Value::Array(list) => list.iter().map(Value::as_str).collect(),
        _ => None,
    }
}

fn number(value: &Value) -> Option<u32> {
    u32::try_from(value.as_u64()?).ok()
}

fn addresses(value: &Value) -> Option<Addresses> {
    if let Some(prefix) = value.get("prefix") {
        let length = u8::try_from(prefix.get("len")?.as_u64()?).ok()?;
        return Addresses::network(prefix.get("addr")?.as_str()?.parse().ok()?, length);
    }
    if let Some(range) = value.get("range") {
        let end = |at: usize| range.get(at)?.as_str()?.parse().ok();
        return Addresses::new(end(0)?, end(1)?);
    }
    value.as_str()?.parse::<std::net::IpAddr>().ok().map(Addresses::from)
}

fn port(field: &str, not: bool, values: &[Value]) -> Option<Match> {
    let of = among(not, values, |value| {
        let end = |value: &Value| u16::try_from(value.as_u64()?).ok();
        match value.get("range") {
            Some(range) => Ports::new(end(range.get(0)?)?, end(range.get(1)?)?),
            None => end(value).map(Ports::from),
        }
    })?;
    match field {
        "sport" => Some(Match::SourcePort(of)),
        "dport" => Some(Match::DestinationPort(of)),
        _ => None,
    }
}

fn protocol_of(value: &Value) -> Option<Protocol> {
    match value {
        Value::String(name) => Protocol::read(name),
        other => u8::try_from(other.as_u64()?).ok().map(Protocol),
    }
}

/// A name with `*` at its end stands for any rest; `\*` is a star in the name itself.
fn interface(value: &Value) -> Option<String> {
    let name = value.as_str()?;
    let stars = name.strip_suffix('*').unwrap_or(name);
    (!stars.contains(['*', '\\'])).then(|| bounded(name))
}

fn interface_by_number(value: &Value) -> Option<String> {
    interface(value).filter(|name| !name.ends_with('*'))
}

fn mark(mask: u32, not: bool, values: &[Value]) -> Option<Read> {
    match values {
        [value] => Some(one(Match::Mark { not, value: number(value)?, mask })),
        several if !not => {
            let each = |value| Some(vec![Match::Mark { not: false, value: number(value)?, mask }]);
            Some(one(Match::Any(several.iter().map(each).collect::<Option<_>>()?)))
        }
        _ => None,
    }
}

/// `meta mark & MASK` against a value.
fn masked_mark(masked: &Value, not: bool, right: &Value) -> Option<Read> {
    let (left, mask) = (masked.get(0)?, number(masked.get(1)?)?);
    if left.pointer("/meta/key")?.as_str()? != "mark" {
        return None;
    }
    mark(mask, not, std::slice::from_ref(right))
}

fn ct(key: &str, not: bool, values: &[Value]) -> Option<Read> {
    let state = |value: &Value| State::read(value.as_str()?);
    match key {
        "state" => {
            let of = among(not, values, state)?;
            // `ct state snat` does not exist; the words of `ct status` do.
            let plain = of.of.iter().all(|state| !matches!(state, State::Snat | State::Dnat));
            plain.then(|| one(Match::State(of)))
        }
        "status" => {
            let of = among(not, values, state)?;
            let plain = of.of.iter().all(|state| matches!(state, State::Snat | State::Dnat));
            plain.then(|| one(Match::State(of)))
        }
        _ => None,
    }
}
