//! JUnit as the program writes it, held against the schema by a validator of XSD: every recording, the gate on every
//! manifest there is, machines, and runs that decide nothing. Hostile words go the same way in `src/report/hostile.rs`.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::program::{run, stderr};
use crate::reading::{SOUND, WRONG, suite};
use crate::tree::{root, stems};
use crate::xmllint::refused;

/// The arguments of every run whose report is looked at.
fn runs() -> Vec<Vec<String>> {
    let files = |folder: &str, ending: &str| -> Vec<(String, String)> {
        let folder = root().join(folder);
        let stems = stems(&folder, ending);
        stems
            .into_iter()
            .map(|stem| (folder.join(format!("{stem}{ending}")).display().to_string(), stem))
            .collect()
    };
    let owned = |args: &[&str]| args.iter().map(|arg| (*arg).to_owned()).collect::<Vec<_>>();
    let mut runs = Vec::new();
    for folder in ["tests/recordings", "tests/hosts", "tests/gate/editor"] {
        for (path, _) in files(folder, ".jsonl") {
            runs.push(owned(&["check", "--replay", &path]));
            runs.push(owned(&["check", "--replay", &path, "--strict", "--fail-on", "warning"]));
        }
    }
    for (path, _) in files("tests/recordings", ".jsonl") {
        runs.push(owned(&["gate", "-f", "tests/corpus", "--replay", &path]));
    }
    for folder in ["tests/corpus", "tests/gate/cases", "tests/gate/refused", "tests/gate/warned"] {
        for (path, _) in files(folder, ".yaml") {
            runs.push(owned(&["gate", "--offline", "-f", &path]));
        }
    }
    for (path, stem) in files("tests/gate/recordings", ".jsonl") {
        let case = stem.split_once('.').map_or(stem.as_str(), |(case, _)| case);
        let manifest = root().join(format!("tests/gate/cases/{case}.yaml")).display().to_string();
        runs.push(owned(&["gate", "-n", &format!("case-{case}"), "-f", &manifest, "--replay", &path]));
    }
    runs.push(owned(&["gate", "--offline", "--strict", "-f", "tests/corpus"]));
    runs.push(owned(&["check", "--replay", "/does/not/exist"]));
    runs.push(owned(&["gate", "--offline", "-f", "/does/not/exist"]));
    runs.push(owned(&["check", "--no-such-option"]));
    runs
}

#[test]
#[ignore = "it needs xmllint; .ci/run installs it and asks for this test"]
fn junit_is_valid_whatever_was_seen() {
    let runs = runs();
    assert!(runs.len() > 500, "{} runs", runs.len());
    let next = AtomicUsize::new(0);
    let documents = Mutex::new(Vec::new());
    let work = || {
        while let Some(args) = runs.get(next.fetch_add(1, Ordering::Relaxed)) {
            let mut all: Vec<&str> = args.iter().map(String::as_str).collect();
            all.extend(["-o", "junit"]);
            let output = run(&all);
            let text = String::from_utf8(output.stdout.clone()).expect("text");
            assert!(!text.is_empty(), "{args:?}: {}", stderr(&output));
            documents.lock().expect("a list").push((args.join(" "), text));
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, std::num::NonZero::get) {
            scope.spawn(work);
        }
    });
    let documents = documents.into_inner().expect("a list");
    assert_eq!(documents.len(), runs.len());
    let refused = refused(&documents);
    assert!(refused.is_empty(), "{} of {}: {refused:#?}", refused.len(), documents.len());
}

/// Our own reader, which the fast tests use, and the validator are of one mind about what is wrong.
#[test]
#[ignore = "it needs xmllint; .ci/run installs it and asks for this test"]
fn the_validator_refuses_what_the_fast_tests_refuse() {
    assert_eq!(refused(&[("sound".to_owned(), suite(SOUND))]), []);
    let wrong: Vec<(String, String)> =
        WRONG.iter().map(|(inner, _)| ((*inner).to_owned(), suite(inner))).collect();
    let all = refused(&wrong);
    let named = |list: &[(String, String)]| list.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>();
    assert_eq!(named(&all), named(&wrong), "{all:#?}");
    // What only XSD knows: the order of elements, types, and what stands where no text may stand.
    for inner in ["words", "<testcase name='a'><failure message='m'><b/></failure></testcase>"] {
        assert_eq!(refused(&[(String::new(), suite(inner))]).len(), 1, "{inner}");
    }
    // The schema bounds names and patterns; a broken document is refused before it.
    assert_eq!(refused(&[(String::new(), "<testsuites>".to_owned())]).len(), 1);
}
