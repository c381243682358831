//! The corpus of HPA manifests: what is said of each file, and what the comparison with other tools says of the corpus.

use std::collections::BTreeSet;
use std::path::PathBuf;

use serde_json::Value;

use crate::tree::{read, root, stems};

fn folder() -> PathBuf {
    root().join("tests/corpus")
}

fn json(path: &str) -> Value {
    let path = root().join(path);
    serde_json::from_str(&read(&path)).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The entries of `truth.json`.
fn truth() -> Vec<Value> {
    json("tests/corpus/truth.json")["files"].as_array().expect("a list of files").clone()
}

fn text<'a>(value: &'a Value, field: &str) -> &'a str {
    value[field].as_str().unwrap_or_else(|| panic!("`{field}` is no text in {value}"))
}

fn names() -> BTreeSet<String> {
    truth().iter().map(|entry| text(entry, "file").to_owned()).collect()
}

#[test]
fn every_file_stands_in_the_truth_once() {
    let truth = truth();
    let listed = names();
    assert_eq!(listed.len(), truth.len(), "a file is listed twice");
    // truth.json and reading.json are no manifests.
    let json = stems(&folder(), ".json").into_iter().filter(|name| name.starts_with("clean-"));
    let manifests: BTreeSet<String> = stems(&folder(), ".yaml")
        .iter()
        .map(|name| format!("{name}.yaml"))
        .chain(json.map(|name| format!("{name}.json")))
        .collect();
    assert_eq!(listed, manifests);
    assert!(truth.len() >= 44, "{} files", truth.len());
    let clean = truth.iter().filter(|entry| entry["clean"] == true).count();
    assert!(clean >= 12, "{clean} right files");
}

#[test]
fn a_right_file_has_no_fault_and_a_broken_one_has_a_whole_one() {
    for entry in truth() {
        let file = text(&entry, "file");
        let faults = entry["faults"].as_array().cloned().unwrap_or_default();
        let clean = entry["clean"].as_bool().unwrap_or_else(|| panic!("{file}: `clean` is missing"));
        assert_eq!(clean, faults.is_empty(), "{file}");
        assert_eq!(clean, file.starts_with("clean-"), "{file}: the name says whether it is right");
        assert_eq!(clean, entry["looks_like"].is_string(), "{file}: what a right file is mistaken for");
        let content = read(&folder().join(file));
        for fault in &faults {
            let line = fault["line"].as_u64().and_then(|line| usize::try_from(line).ok()).expect("a line");
            let at = content.lines().nth(line.checked_sub(1).expect("lines begin with 1"));
            assert!(at.is_some_and(|at| !at.trim().is_empty() && !at.starts_with('#')), "{file}:{line}");
            assert!(["error", "warning", "info"].contains(&text(fault, "severity")), "{file}");
            assert!(["manifests", "cluster"].contains(&text(fault, "proof")), "{file}");
            assert!(!text(fault, "what").is_empty() && !text(fault, "id").is_empty(), "{file}");
            for list in ["topics", "says", "codes"] {
                assert!(fault[list].as_array().is_some_and(|list| !list.is_empty()), "{file}: {list}");
            }
        }
    }
}

#[test]
fn the_head_of_a_file_says_what_the_truth_says() {
    for entry in truth() {
        let file = text(&entry, "file");
        if file.strip_suffix(".yaml").is_none() {
            continue;
        }
        let content = read(&folder().join(file));
        let head: Vec<&str> = content.lines().map_while(|line| line.strip_prefix("# ")).collect();
        let about = text(&entry, "about");
        assert!(head.join(" ").starts_with(about), "{file}: {about}");
    }
}

#[test]
fn the_comparison_is_about_this_corpus() {
    let names = names();
    let page = read(&root().join("docs/src/comparison.md"));
    for name in &names {
        assert!(page.contains(&format!("`{name}`")), "{name} is not in the tables: run tests/corpus/compare");
    }
    let data = json("docs/src/comparison-data.json");
    for (tool, column) in data["tools"].as_object().expect("columns") {
        let cells: BTreeSet<String> = column["cells"].as_object().expect("cells").keys().cloned().collect();
        assert_eq!(cells, names, "{tool}: run tests/corpus/compare");
    }
    for (tool, read) in json("tests/corpus/reading.json").as_object().expect("tools") {
        for check in read["checks"].as_array().expect("checks") {
            assert!(!text(check, "where").is_empty(), "{tool}: where it was read");
            for (list, clean) in [("found", false), ("false_alarm", true)] {
                for file in check[list].as_array().expect("a list") {
                    let file = file.as_str().expect("a name");
                    assert!(names.contains(file), "{tool}: {file}");
                    assert_eq!(file.starts_with("clean-"), clean, "{tool}: {file} stands in `{list}`");
                }
            }
        }
    }
}
