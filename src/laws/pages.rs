//! What a check says of itself.

use std::collections::BTreeSet;
use std::path::Path;

use checks::check::Kind;
use checks::registry::CHECKS;

use super::assert_none;
use super::world::{Case, WORLD, check};

/// The headings of every page, in this order.
const HEADINGS: [&str; 5] =
    ["What it looks at", "Why it matters", "How to fix it", "When it is wrong", "References"];

#[test]
fn every_page_has_its_title_and_headings() {
    let mut broken = Vec::new();
    for check in CHECKS {
        let page = check.page();
        let title = page.lines().next().and_then(|line| line.strip_prefix("# "));
        if title.is_none_or(str::is_empty) {
            broken.push(format!("{} has no title", check.name));
        }
        let headings: Vec<&str> = page.lines().filter_map(|line| line.strip_prefix("## ")).collect();
        if headings != HEADINGS {
            broken.push(format!("{} has the headings {headings:?}", check.name));
        }
        for section in page.split("\n## ").skip(1) {
            let (heading, text) = section.split_once('\n').unwrap_or((section, ""));
            if text.trim().is_empty() {
                broken.push(format!("{} says nothing under \"{heading}\"", check.name));
            }
        }
    }
    assert_none("every page has a title and five sections", &broken);
}

#[test]
fn codes_and_names_are_unique_and_say_the_fault() {
    let mut seen = BTreeSet::new();
    let mut broken = Vec::new();
    for check in CHECKS {
        let (code, name) = (check.code, check.name);
        let digits = code.strip_prefix("MP").unwrap_or_default();
        if digits.len() != 3 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            broken.push(format!("{code} is no code"));
        }
        let kebab = |part: &str| {
            !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
        };
        if !name.split('-').all(kebab) || name.starts_with("check") || name.starts_with("ensure") {
            broken.push(format!("{name} is no name of a fault"));
        }
        if !seen.insert(code) || !seen.insert(name) {
            broken.push(format!("{code} {name} is there twice"));
        }
        if check.title.is_empty() || check.title.ends_with('.') {
            broken.push(format!("{name} has the title \"{}\"", check.title));
        }
    }
    assert_none("codes and names are unique and well formed", &broken);
}

#[test]
fn lists_are_sorted_and_hold_each_thing_once() {
    let mut broken = Vec::new();
    for check in CHECKS {
        if !check.needs.is_sorted() {
            broken.push(format!("{} declares its needs out of the order of the chain", check.name));
        }
        let needs: BTreeSet<_> = check.needs.iter().collect();
        let explains: BTreeSet<_> = check.explains.iter().collect();
        let modes: BTreeSet<_> = check.modes.iter().collect();
        if needs.len() != check.needs.len() || explains.len() != check.explains.len() {
            broken.push(format!("{} names something twice", check.name));
        }
        if modes.len() != check.modes.len() || modes.is_empty() {
            broken.push(format!("{} applies in the modes {:?}", check.name, check.modes));
        }
    }
    assert_none("needs, explains and modes hold each thing once", &broken);
}

#[test]
fn explanations_lead_to_checks_and_never_in_a_circle() {
    for check in CHECKS {
        let mut path = Vec::new();
        follow(check.name, &mut path);
    }
}

/// Follows the edges; a name that is on the path already closes a circle.
fn follow(name: &'static str, path: &mut Vec<&'static str>) {
    let known = check(name).unwrap_or_else(|| panic!("{path:?} explains {name}, which is no check"));
    assert!(!path.contains(&name), "a circle: {path:?}, and again {name}");
    path.push(name);
    for next in known.explains {
        follow(next, path);
    }
    path.pop();
}

#[test]
fn candidates_are_checks_or_documented_names() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/src/names.md");
    let names = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let documented =
        |name: &str| names.split(|c: char| !c.is_alphanumeric() && c != '-').any(|word| word == name);
    let declared = CHECKS.iter().filter_map(|check| match check.kind {
        Kind::Place(candidates) => Some((check.name, candidates.to_vec())),
        _ => None,
    });
    let found = WORLD.iter().flat_map(Case::all).flat_map(|seen| seen.roots.clone());
    let broken: BTreeSet<String> = declared
        .chain(found)
        .flat_map(|(check, candidates)| candidates.into_iter().map(move |name| (check, name)))
        .filter(|(_, name)| check(name).is_none() && !documented(name))
        .map(|(check, name)| format!("{check} has the candidate {name}"))
        .collect();
    let broken: Vec<String> = broken.into_iter().collect();
    assert_none("a candidate is a check, or a name of a host's fault in docs/src/names.md", &broken);
}
