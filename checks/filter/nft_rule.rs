//! The rules of nftables.

use serde_json::Value;

use super::nft::{Sets, verdict};
use super::nft_match::{Read, Scope};
use super::rule::{Among, Counters, Match, Protocol, Rule, Verdict};
use super::target::target;
use super::{Family, bounded};

/// The most statements of a rule that are read.
const STATEMENTS: usize = 256;

/// Statements that change or note something and let the packet go on (nft(8), "STATEMENTS").
const WITHOUT_EFFECT: [&str; 14] = [
    "log",
    "notrack",
    "ct helper",
    "ct timeout",
    "ct expectation",
    "secmark",
    "set",
    "map",
    "flow",
    "dup",
    "last",
    "tcp option",
    "reset",
    "optstrip",
];

/// The rules that stand for one rule of nftables: one, more where it has a map of verdicts, none where it can never
/// match.
pub(super) fn rules(family: Family, table: &str, number: u64, sets: &Sets, rule: &Value) -> Vec<Rule> {
    let mut reading = Reading {
        scope: Scope { family, table, sets },
        made: Vec::new(),
        rule: Rule {
            number,
            matches: Vec::new(),
            verdict: Verdict::Nothing,
            counters: None,
            comment: rule.get("comment").and_then(Value::as_str).map(bounded),
            text: String::new(),
        },
    };
    let statements = rule.get("expr").and_then(Value::as_array);
    let statements = statements.map(Vec::as_slice).unwrap_or_default();
    reading.rule.text = bounded(&text(statements));
    if statements.len() > STATEMENTS {
        reading.rule.verdict = Verdict::Unknown("a rule of very many statements".to_owned());
        return vec![reading.rule];
    }
    for statement in statements {
        if reading.statement(statement).is_none() {
            // It never matches, so what follows never happens.
            reading.rule.verdict = Verdict::Nothing;
            reading.rule.matches.clear();
            break;
        }
    }
    // A rule without effect holds its number, so that the next one has the right one.
    reading.made.push(reading.rule);
    reading.made
}

struct Reading<'a> {
    scope: Scope<'a>,
    made: Vec<Rule>,
    rule: Rule,
}

impl Reading<'_> {
    /// `None` where the rule can never match.
    fn statement(&mut self, statement: &Value) -> Option<()> {
        let Some((name, value)) = statement.as_object().and_then(|object| object.iter().next()) else {
            // Such as `"xt"` in older versions.
            self.unknown(statement);
            return Some(());
        };
        match name.as_str() {
            "match" => match self.scope.read(value) {
                Read::All(matches) => self.rule.matches.extend(matches),
                Read::Never => return None,
            },
            "counter" => {
                let number = |key: &str| value.get(key).and_then(Value::as_u64);
                self.rule.counters = number("packets")
                    .zip(number("bytes"))
                    .map(|(packets, bytes)| Counters { packets, bytes });
            }
            "vmap" => self.map(value),
            "mangle" => self.mangle(value),
            "xt" => self.extension(value),
            name if WITHOUT_EFFECT.contains(&name) => {}
            // `limit`, `quota`, `ct count`: a match, as it were.
            "limit" | "quota" | "ct count" => self.unknown(statement),
            name => match verdict(statement) {
                Some(verdict) => {
                    self.implied(value)?;
                    self.rule.verdict = verdict;
                }
                None => self.rule.verdict = Verdict::Unknown(bounded(name)),
            },
        }
        Some(())
    }

    /// What a rejection asks of a packet without saying so: nft leaves `meta nfproto ipv6` out of the listing where
    /// `reject with icmpv6` follows, and `meta l4proto tcp` before `reject with tcp reset`. Seen with nft 1.0.6.
    fn implied(&mut self, reject: &Value) -> Option<()> {
        match (reject.get("type").and_then(Value::as_str), self.scope.family) {
            (Some("icmp"), Family::Ipv6) | (Some("icmpv6"), Family::Ipv4) => None,
            (Some("tcp reset"), _) => {
                self.rule.matches.push(Match::Protocol(Among { not: false, of: vec![Protocol::TCP] }));
                Some(())
            }
            _ => Some(()),
        }
    }

    fn unknown(&mut self, what: &Value) {
        self.rule.matches.push(Match::Unknown(bounded(&what.to_string())));
    }

    /// A map of verdicts: one rule an entry. At most one entry matches a packet, so their order is of no concern.
    fn map(&mut self, map: &Value) {
        let elements = match &map["data"] {
            Value::String(name) if name.starts_with('@') => self
                .scope
                .sets
                .get(&(self.scope.table.to_owned(), name[1..].to_owned()))
                .and_then(Option::as_ref),
            other => other.get("set").and_then(Value::as_array),
        };
        let Some(elements) = elements else {
            let verdict = Verdict::Unknown(bounded(&format!("a map: {}", map["data"])));
            self.made.push(Rule { verdict, ..self.rule.clone() });
            self.unknown(map);
            return;
        };
        for element in elements {
            let pair = element.pointer("/elem/val").unwrap_or(element);
            let (Some(key), Some(value)) = (pair.get(0), pair.get(1)) else {
                let verdict = Verdict::Unknown("an entry of a map".to_owned());
                self.made.push(Rule { verdict, ..self.rule.clone() });
                continue;
            };
            let mut rule = self.rule.clone();
            match self.scope.key(&map["key"], key) {
                Read::All(matches) => rule.matches.extend(matches),
                Read::Never => continue,
            }
            rule.verdict = verdict(value).unwrap_or_else(|| Verdict::Unknown(bounded(&value.to_string())));
            self.made.push(rule);
        }
        // What follows holds only for what no entry matched, which is more than is worked out here.
        self.unknown(map);
    }

    fn mangle(&mut self, value: &Value) {
        if value.pointer("/key/meta/key").is_none_or(|key| key != "mark") {
            return;
        }
        // A change of the mark before a verdict cannot be said in one rule.
        self.made.push(Rule { verdict: mark(&value["value"]), ..self.rule.clone() });
        if self.rule.matches.iter().any(|one| matches!(one, Match::Mark { .. } | Match::Any(_))) {
            // The conditions were true of the mark before it.
            self.unknown(value);
        }
    }

    /// A match or a target of iptables, of which nftables shows the name alone.
    fn extension(&mut self, value: &Value) {
        let name = value.get("name").and_then(Value::as_str).unwrap_or_default();
        match value.get("type").and_then(Value::as_str) {
            Some("match") if name == "comment" => {}
            Some("match") => self.unknown(value),
            Some("watcher") => {}
            Some("target") => {
                self.rule.verdict = match target(name, &[]) {
                    Verdict::Reject(_) => Verdict::Reject("unknown".to_owned()),
                    verdict => verdict,
                };
            }
            // It may be either.
            _ => {
                self.unknown(value);
                if self.rule.verdict == Verdict::Nothing {
                    self.rule.verdict = Verdict::Unknown("an extension of iptables".to_owned());
                }
            }
        }
    }
}

/// What is put in the place of a mark: a number, or the mark with bits set, cleared or flipped.
fn mark(value: &Value) -> Verdict {
    let number = |value: &Value| value.as_u64().and_then(|value| u32::try_from(value).ok());
    let own = |value: &Value| value.pointer("/meta/key").is_some_and(|key| key == "mark");
    let operands = |name: &str| {
        let list = value.get(name)?;
        if own(list.get(0)?) { number(list.get(1)?) } else { None }
    };
    if let Some(value) = number(value) {
        Verdict::Mark { clear: u32::MAX, flip: value }
    } else if let Some(bits) = operands("|") {
        Verdict::Mark { clear: bits, flip: bits }
    } else if let Some(bits) = operands("&") {
        Verdict::Mark { clear: !bits, flip: 0 }
    } else if let Some(bits) = operands("^") {
        Verdict::Mark { clear: 0, flip: bits }
    } else {
        Verdict::Remark
    }
}

/// A rule in words that come close to those of nft(8).
fn text(statements: &[Value]) -> String {
    let mut words = Vec::new();
    for statement in statements.iter().take(STATEMENTS) {
        words.push(word(statement, 0));
    }
    words.join(" ")
}

fn word(value: &Value, depth: usize) -> String {
    let next = |value: &Value| word(value, depth + 1);
    let list = |values: &[Value], between: &str| {
        let more = if values.len() > 8 { ", .." } else { "" };
        let words: Vec<String> = values.iter().take(8).map(next).collect();
        format!("{}{more}", words.join(between))
    };
    if depth > 12 {
        return "..".to_owned();
    }
    let object = match value {
        Value::String(text) => return bounded(text),
        Value::Array(values) => return list(values, ","),
        Value::Object(object) => object,
        other => return other.to_string(),
    };
    let Some((name, inner)) = object.iter().next() else { return String::new() };
    let field = |key: &str| inner.get(key).map(next).unwrap_or_default();
    match name.as_str() {
        "match" => {
            let op = inner.get("op").and_then(Value::as_str).filter(|op| !matches!(*op, "==" | "in"));
            let op = op.map_or(String::new(), |op| format!("{op} "));
            format!("{} {op}{}", field("left"), field("right"))
        }
        "payload" => format!("{} {}", field("protocol"), field("field")),
        "meta" => format!("meta {}", field("key")),
        "ct" => format!("ct {}", field("key")),
        "fib" => format!("fib {} {}", field("flags"), field("result")),
        "prefix" => format!("{}/{}", field("addr"), field("len")),
        "range" => inner.as_array().map_or(String::new(), |ends| list(ends, "-")),
        "set" => format!("{{ {} }}", inner.as_array().map_or(next(inner), |values| list(values, ", "))),
        "concat" => inner.as_array().map_or(String::new(), |parts| list(parts, " . ")),
        "elem" => field("val"),
        "&" | "|" | "^" => inner.as_array().map_or(String::new(), |parts| list(parts, &format!(" {name} "))),
        "vmap" => format!("{} vmap {}", field("key"), field("data")),
        "mangle" => format!("{} set {}", field("key"), field("value")),
        "jump" | "goto" => format!("{name} {}", field("target")),
        "reject" if inner.is_object() => format!("reject with {} {}", field("type"), field("expr")),
        "xt" => format!("xt {}", field("name")),
        _ => name.clone(),
    }
}
