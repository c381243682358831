//! What a machine is seen to be, in the termination messages of three containers: 4096 bytes each.
//!
//! Every page is `mpm1 CHECKSUM PLACE/COUNT TEXT`; the texts together are base64 of deflated JSON, the facts by their
//! names. Where they do not fit, the packet filter is told without what decides nothing that is asked. What does not fit then is
//! left out fact by fact, from the end of [`ORDER`], and says so in its place: it was not
//! seen. A machine of a small cluster takes one page; a CNI that writes rules for every pod can fill all of them.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::io::{Read as _, Write as _};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use checks::evidence::{Filters, ServiceRules};
use flate2::Compression;
use flate2::read::DeflateDecoder;
use flate2::write::DeflateEncoder;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::Facts;
use super::manifest::CONTAINERS;
use crate::probe::message::{LIMIT, Unreadable, checksum};
use crate::source::redact::{self, sweep};
use crate::source::{FailureKind, Outcome};

/// The facts of a machine, by what is told first: what is small and decides, then the packet filter, then what can be large.
/// Dials stand before all.
const ORDER: &[&str] = &[
    "identity",
    "clock",
    "settings",
    "kubelet process",
    "kubelet unit",
    "kubelet configuration",
    "kube-proxy process",
    "kube-apiserver",
    "kube-controller-manager",
    "component flags",
    "container runtime",
    "swap",
    "swap at boot",
    "SELinux",
    "resolver",
    "listeners",
    "packet filter at boot",
    "proxies",
    "packet filter",
    "rules for Services",
    "routes",
    "front-proxy certificates",
    "kubelet certificates",
];
/// The frame of a page: `mpm1 01234567 1/3 `.
const FRAME: usize = 18;
/// The most that the pages may unpack to.
const UNPACKED: u64 = 4 << 20;

/// Where a fact stands in the order.
fn rank(fact: &str) -> usize {
    if fact.starts_with("dial ") {
        return 0;
    }
    ORDER.iter().position(|name| *name == fact).map_or(ORDER.len() + 1, |place| place + 1)
}

/// The pages, one at least and no more than there are containers.
#[must_use]
pub fn write(mut facts: Facts) -> Vec<String> {
    let mut whole = packed(&facts).filter(|text| fits(text));
    if whole.is_none() {
        pare(&mut facts);
        whole = packed(&facts).filter(|text| fits(text));
    }
    let text = whole.unwrap_or_else(|| {
        let mut names: Vec<String> = facts.keys().cloned().collect();
        names.sort_by_key(|name| rank(name));
        let mut kept: Facts = names
            .iter()
            .map(|name| {
                (
                    name.clone(),
                    Outcome::Failed {
                        kind: FailureKind::Lacking,
                        message: "it did not fit into what a pod can say (12 KiB)".to_owned(),
                    },
                )
            })
            .collect();
        let mut best = String::new();
        for name in names {
            let Some(fact) = facts.remove(&name) else { continue };
            let without = kept.insert(name.clone(), fact);
            match packed(&kept).filter(|text| fits(text)) {
                Some(text) => best = text,
                None => {
                    if let Some(without) = without {
                        kept.insert(name, without);
                    }
                }
            }
        }
        best
    });
    let parts: Vec<&str> = (0..text.len())
        .step_by(LIMIT - FRAME)
        .filter_map(|from| text.get(from..text.len().min(from + LIMIT - FRAME)))
        .collect();
    let count = parts.len();
    let page =
        |(place, part): (usize, &&str)| format!("mpm1 {} {}/{count} {part}", checksum(part), place + 1);
    parts.iter().enumerate().map(page).collect()
}

/// Takes from what is large all that the checks need not know: see [`Filters::pared`].
fn pare(facts: &mut Facts) {
    fn each<T: DeserializeOwned + Serialize>(facts: &mut Facts, fact: &str, pared: fn(&T) -> T) {
        let Some(Outcome::Fact { value }) = facts.get_mut(fact) else { return };
        let shorter = T::deserialize(&*value).ok().and_then(|seen| serde_json::to_value(pared(&seen)).ok());
        if let Some(shorter) = shorter {
            *value = shorter;
        }
    }
    each(facts, "packet filter", Filters::pared);
    each(facts, "rules for Services", ServiceRules::pared);
    if let Some(Outcome::Fact { value }) = facts.get_mut("packet filter") {
        each_table(value, &mut name_alike);
    }
}

/// Calls `see` with the chains of each table of a packet filter, by their names.
fn each_table(filters: &mut Value, see: &mut dyn FnMut(&mut Map<String, Value>)) {
    let sets = filters.get_mut("rulesets").and_then(Value::as_array_mut);
    for set in sets.into_iter().flatten() {
        let tables = set.get_mut("chains").and_then(Value::as_object_mut);
        tables.into_iter().flat_map(Map::values_mut).filter_map(Value::as_object_mut).for_each(&mut *see);
    }
}

/// Puts the name of the first chain that is alike in the place of a chain: a CNI writes the same for every pod.
fn name_alike(chains: &mut Map<String, Value>) {
    let mut firsts: BTreeMap<String, String> = BTreeMap::new();
    for (name, chain) in chains {
        match firsts.entry(chain.to_string()) {
            Entry::Vacant(first) => {
                first.insert(name.clone());
            }
            Entry::Occupied(first) => *chain = Value::String(first.get().clone()),
        }
    }
}

/// Puts the chains back, as far as there is room for them: what stays a name is no chain, and not read.
fn put_back(facts: &mut Facts) {
    let Some(Outcome::Fact { value }) = facts.get_mut("packet filter") else { return };
    let mut room = usize::try_from(UNPACKED).unwrap_or_default();
    each_table(value, &mut |chains| {
        let firsts: BTreeMap<String, (Value, usize)> = chains
            .iter()
            .filter(|(_, chain)| chain.is_object())
            .map(|(name, chain)| (name.clone(), (chain.clone(), chain.to_string().len())))
            .collect();
        for chain in chains.values_mut() {
            let Some((first, size)) = chain.as_str().and_then(|name| firsts.get(name)) else { continue };
            if *size <= room {
                room -= size;
                *chain = first.clone();
            }
        }
    });
}

fn fits(text: &str) -> bool {
    text.len() <= CONTAINERS.len() * (LIMIT - FRAME)
}

fn packed(facts: &Facts) -> Option<String> {
    let json = serde_json::to_string(facts).ok()?;
    let mut encoder = DeflateEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(json.as_bytes()).ok()?;
    Some(STANDARD_NO_PAD.encode(encoder.finish().ok()?))
}

/// Reads the pages. Only the facts that are known are taken, and of dials those that were asked for; all of it is swept
/// once more, because whoever has the node may have written it.
///
/// # Errors
/// When they are none, or when one of them is missing.
pub fn read(said: &[&str], dials: &[String]) -> Result<Facts, Unreadable> {
    let mut text = String::new();
    let mut count = 1;
    for place in 1..=CONTAINERS.len() {
        if place > count {
            break;
        }
        let page = said.get(place - 1).copied().unwrap_or_default();
        let (pages, part) = read_page(page, place)?;
        count = pages;
        text.push_str(part);
    }
    let packed = STANDARD_NO_PAD.decode(text).map_err(|_| Unreadable::Damaged)?;
    let mut json = Vec::new();
    let mut decoder = DeflateDecoder::new(packed.as_slice()).take(UNPACKED);
    decoder.read_to_end(&mut json).map_err(|_| Unreadable::Damaged)?;
    let mut facts: Facts = serde_json::from_slice(&json)
        .map_err(|_| Unreadable::Foreign(String::from_utf8_lossy(&json).chars().take(120).collect()))?;
    put_back(&mut facts);
    let is_known = |name: &str| {
        ORDER.contains(&name)
            || name.strip_prefix("dial ").is_some_and(|target| dials.iter().any(|dial| dial == target))
    };
    let swept = facts.into_iter().filter(|(name, _)| is_known(name)).filter_map(|(name, outcome)| {
        let outcome = match outcome {
            Outcome::Fact { value } => Outcome::Fact { value: sweep::value(value, &mut 0) },
            Outcome::Failed { kind, message } => {
                Outcome::Failed { kind, message: redact::message(&message).0 }
            }
            // Of a machine nothing else is ever said.
            _ => return None,
        };
        Some((name, outcome))
    });
    Ok(swept.collect())
}

/// How many pages there are, and the text of this one.
fn read_page(page: &str, place: usize) -> Result<(usize, &str), Unreadable> {
    let page = page.trim();
    if page.is_empty() {
        return Err(if place == 1 { Unreadable::Empty } else { Unreadable::Damaged });
    }
    let foreign = || Unreadable::Foreign(page.chars().take(120).collect());
    let mut parts = page.splitn(4, ' ');
    let (Some("mpm1"), Some(sum), Some(number), Some(text)) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Err(foreign());
    };
    let (own, count) = number.split_once('/').ok_or_else(foreign)?;
    let (own, count): (usize, usize) = match (own.parse(), count.parse()) {
        (Ok(own), Ok(count)) => (own, count),
        _ => return Err(foreign()),
    };
    if sum != checksum(text) || own != place || !(1..=CONTAINERS.len()).contains(&count) || own > count {
        return Err(Unreadable::Damaged);
    }
    Ok((count, text))
}

#[cfg(test)]
#[path = "pages_tests.rs"]
mod tests;
