//! Reads what `nft -j list ruleset` prints (libnftables-json(5)).

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{Deserializer as _, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::Value;

use super::chains::Collecting;
use super::nft_rule::rules;
use super::rule::{Rule, Verdict};
use super::{Backend, BaseChain, Family, Hook, Policy, Ruleset};

/// The most text that is read. Rules take 500 bytes each.
const TEXT: usize = 64 << 20;
/// The most elements of a set or a map that are kept.
const ELEMENTS: usize = 1_000;
/// The most elements of all sets together.
const ALL_ELEMENTS: usize = 20_000;

/// The most chains that are read.
const CHAINS: usize = 60_000;

/// The elements of a named set or map; `None` where there are too many.
pub(super) type Sets = BTreeMap<(String, String), Option<Vec<Value>>>;

/// Reads a listing: the rulesets of IP version 4 and 6. A table `inet` stands in both.
///
/// The listing is read twice, because a rule may stand before the set that it names; nothing of it is held but what is
/// kept.
#[must_use]
pub fn nft(text: &str) -> [Ruleset; 2] {
    let mut objects = Objects { sets: Sets::new(), chains: Vec::new(), elements: 0 };
    let first = each(text, &mut |object| objects.note(&object));
    [Family::Ipv4, Family::Ipv6].map(|family| {
        let mut set = Collecting::new(Backend::Nftables, family);
        for (table, base) in &objects.chains {
            if !holds(family, table) {
                continue;
            }
            match base {
                Ok(base) => set.base(base.clone()),
                Err((chain, None)) => {
                    set.chain(table, chain);
                }
                Err((_, Some(why))) => set.cut(why),
            }
        }
        let _ = each(text, &mut |object| read_rule(family, &objects.sets, &mut set, &object));
        if let Err(why) = &first {
            set.cut_here(None, &format!("the list of nftables ends early: {why}"));
        }
        set.finish()
    })
}

/// Whether a table, with its family before its name, filters packets of a version of IP.
fn holds(family: Family, table: &str) -> bool {
    match table.split(' ').next() {
        Some("inet") => true,
        Some("ip") => family == Family::Ipv4,
        Some("ip6") => family == Family::Ipv6,
        // `arp`, `bridge` and `netdev` do not see packets on these hooks.
        _ => false,
    }
}

fn read_rule(family: Family, sets: &Sets, set: &mut Collecting, object: &Value) {
    let Some(rule) = object.get("rule") else { return };
    let Some((table, chain)) = place(rule, "chain") else { return };
    if !holds(family, &table) || !set.has(&table, &chain) {
        return;
    }
    let number = set.next_number(&table, &chain);
    let read: Vec<Rule> = rules(family, &table, number, sets, rule);
    set.rules(&table, &chain, read);
}

/// Family and name of its table, and its own name.
pub(super) fn place(object: &Value, name: &str) -> Option<(String, String)> {
    let text = |key: &str| object.get(key).and_then(Value::as_str);
    Some((format!("{} {}", text("family")?, text("table")?), text(name)?.to_owned()))
}

struct Objects {
    sets: Sets,
    /// Chains with their tables: a base chain, or the name of another, or why a base chain is not understood.
    #[expect(clippy::type_complexity, reason = "it is used here alone")]
    chains: Vec<(String, Result<BaseChain, (String, Option<String>)>)>,
    elements: usize,
}

impl Objects {
    fn note(&mut self, object: &Value) {
        if let Some(chain) = object.get("chain")
            && let Some((table, name)) = place(chain, "name")
        {
            let read = if self.chains.len() < CHAINS {
                base(&table, &name, chain)
            } else {
                Err((name, Some(format!("chains beyond {CHAINS}"))))
            };
            // One more says that there are more.
            if self.chains.len() <= CHAINS {
                self.chains.push((table, read));
            }
        }
        let named = object.get("set").or_else(|| object.get("map"));
        if let Some(set) = named
            && let Some(at) = place(set, "name")
        {
            let elements = set.get("elem").and_then(Value::as_array);
            let count = elements.map_or(0, Vec::len);
            let room =
                count <= ELEMENTS && self.elements + count <= ALL_ELEMENTS && self.sets.len() < ALL_ELEMENTS;
            if room {
                self.elements += count;
                self.sets.insert(at, Some(elements.cloned().unwrap_or_default()));
            } else if self.sets.len() < ALL_ELEMENTS {
                self.sets.insert(at, None);
            }
        }
    }
}

fn base(table: &str, name: &str, chain: &Value) -> Result<BaseChain, (String, Option<String>)> {
    let Some(hook) = chain.get("hook").and_then(Value::as_str) else { return Err((name.to_owned(), None)) };
    let kind = chain.get("type").and_then(Value::as_str).unwrap_or_default();
    let Some(hook) = Hook::read(hook).filter(|_| kind != "nat") else { return Err((name.to_owned(), None)) };
    let policy = match chain.get("policy").and_then(Value::as_str) {
        None | Some("accept") => Policy::Accept,
        Some("drop") => Policy::Drop,
        Some(other) => return Err((name.to_owned(), Some(format!("the policy {other} of {table} {name}")))),
    };
    let Some(priority) = chain.get("prio").and_then(Value::as_i64) else {
        return Err((name.to_owned(), Some(format!("the priority of {table} {name}"))));
    };
    Ok(BaseChain { table: table.to_owned(), chain: name.to_owned(), hook, priority, policy })
}

/// Calls `seen` with each object of a listing, one at a time; says why where it cannot be read to its end.
pub(super) fn each(text: &str, seen: &mut dyn FnMut(Value)) -> Result<(), String> {
    if text.len() > TEXT {
        return Err(format!("it has more than {} MiB", TEXT >> 20));
    }
    let mut reader = serde_json::Deserializer::from_str(text);
    let found = reader.deserialize_map(Document { seen }).map_err(|error| error.to_string())?;
    if found {
        reader.end().map_err(|error| error.to_string())
    } else {
        Err("it holds no list `nftables`".to_owned())
    }
}

struct Document<'a> {
    seen: &'a mut dyn FnMut(Value),
}

impl<'de> Visitor<'de> for Document<'_> {
    type Value = bool;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object with the list `nftables`")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<bool, A::Error> {
        let mut found = false;
        while let Some(key) = map.next_key::<String>()? {
            if key == "nftables" {
                found = true;
                map.next_value_seed(List { seen: &mut *self.seen })?;
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(found)
    }
}

struct List<'a> {
    seen: &'a mut dyn FnMut(Value),
}

impl<'de> serde::de::DeserializeSeed<'de> for List<'_> {
    type Value = ();

    fn deserialize<D: serde::Deserializer<'de>>(self, reader: D) -> Result<(), D::Error> {
        reader.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for List<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        while let Some(object) = list.next_element::<Value>()? {
            (self.seen)(object);
        }
        Ok(())
    }
}

/// A verdict as nftables writes it: `{"accept": null}`, `{"jump": {"target": "x"}}`.
pub(super) fn verdict(object: &Value) -> Option<Verdict> {
    let object = object.as_object()?;
    let (name, value) = object.iter().next()?;
    let to = || value.get("target").and_then(Value::as_str).map(str::to_owned);
    Some(match name.as_str() {
        "accept" => Verdict::Accept,
        "drop" => Verdict::Drop,
        "return" => Verdict::Return,
        "continue" => Verdict::Nothing,
        "jump" => Verdict::Jump(to()?),
        "goto" => Verdict::Goto(to()?),
        "queue" => Verdict::Queue,
        "reject" => Verdict::Reject(match (value.get("type"), value.get("expr")) {
            (None, _) => "icmp-port-unreachable".to_owned(),
            (Some(Value::String(kind)), Some(Value::String(code))) => {
                super::bounded(&format!("{kind} {code}"))
            }
            (Some(kind), _) => super::bounded(kind.as_str().unwrap_or("in a way that is not understood")),
        }),
        _ => return None,
    })
}
