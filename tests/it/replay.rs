//! Every recording of the real cluster, replayed: the same findings as on the cluster, and the report as it was read
//! and found good.
//!
//! `scenarios --record` writes the recordings. A report that has changed on purpose is accepted with
//! `INSTA_UPDATE=always cargo test --test it replay`; what is expected of a look stands in the scenarios alone.

use std::collections::BTreeSet;
use std::panic::catch_unwind;
use std::path::PathBuf;
use std::process::{Command, Output};

use scenarios::{Expect, Mode, SCENARIOS};
use serde_json::Value;

use crate::reading::FORMATS;
use crate::tree::{read, root, stems};

/// A look that a scenario describes.
struct Recorded {
    /// `SCENARIO.LOOK`.
    name: String,
    mode: Mode,
    expect: &'static Expect,
}

impl Recorded {
    fn path(&self) -> PathBuf {
        recordings().join(format!("{}.jsonl", self.name))
    }
}

fn recordings() -> PathBuf {
    root().join("tests/recordings")
}

/// Every look of every scenario.
fn looks() -> Vec<Recorded> {
    let all = SCENARIOS.iter().flat_map(|scenario| scenario.looks.iter().map(move |look| (scenario, look)));
    all.map(|(scenario, look)| Recorded {
        name: format!("{}.{}", scenario.name, look.name),
        mode: look.mode,
        expect: &look.expect,
    })
    .collect()
}

/// The looks whose recordings are there; that none is missing is a test of its own.
fn recorded() -> Vec<Recorded> {
    looks().into_iter().filter(|look| look.path().exists()).collect()
}

fn replay(path: &std::path::Path, format: &str) -> Output {
    Command::new(env!("CARGO_BIN_EXE_metrics-preflight"))
        .args(["check", "-o", format, "--color", "never", "--replay"])
        .arg(path)
        .env_remove("KUBECONFIG")
        .output()
        .expect("the program starts")
}

fn code(output: &Output) -> i32 {
    output.status.code().expect("an exit code")
}

/// Runs a test over every recording and tells of all that fail, not of the first alone.
fn over_recordings(test: impl Fn(&Recorded) -> Result<(), String>) {
    let mut failures = Vec::new();
    for look in recorded() {
        if let Err(difference) = test(&look) {
            failures.push(format!("{}: {difference}", look.name));
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn every_look_has_its_recording_and_every_recording_its_look() {
    let described: BTreeSet<String> = looks().into_iter().map(|look| look.name).collect();
    let written: BTreeSet<String> = stems(&recordings(), ".jsonl").into_iter().collect();
    let missing: Vec<_> = described.difference(&written).collect();
    let strangers: Vec<_> = written.difference(&described).collect();
    assert!(missing.is_empty(), "looks without a recording (`scenarios --record`): {missing:#?}");
    assert!(strangers.is_empty(), "recordings that no scenario describes: {strangers:#?}");
    let reports = root().join("tests/it/snapshots");
    let written: BTreeSet<String> = stems(&reports, ".snap").into_iter().collect();
    let strangers: Vec<_> = written.iter().filter(|name| !is_known(name, &described)).collect();
    assert!(strangers.is_empty(), "reports of recordings that are gone: {strangers:#?}");
}

/// Whether a snapshot is that of a recording, of a sample in one of the formats, of the codes, or of the gate.
fn is_known(snapshot: &str, described: &BTreeSet<String>) -> bool {
    if snapshot.starts_with("it__gate__") {
        return true;
    }
    let sample = snapshot.rsplit_once('.').is_some_and(|(look, format)| {
        SAMPLES.contains(&look) && FORMATS.contains(&format) && described.contains(look)
    });
    snapshot == "codes" || described.contains(snapshot) || sample
}

/// The looks that are kept in every format: one fault, none, and a place whose cause is not known.
const SAMPLES: [&str; 3] = ["self-signed-all.nodes", "healthy-signed.nodes", "forward-drop.api"];

#[test]
fn samples_are_as_they_were_read_in_every_format() {
    let mut settings = insta::Settings::clone_current();
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    let _guard = settings.bind_to_scope();
    for look in SAMPLES {
        for format in FORMATS {
            let output = replay(&recordings().join(format!("{look}.jsonl")), format);
            let text = String::from_utf8(output.stdout).expect("text");
            let text = text.replace(env!("CARGO_PKG_VERSION"), "VERSION");
            insta::assert_snapshot!(format!("{look}.{format}"), text);
        }
    }
}

#[test]
fn recordings_show_what_the_cluster_showed() {
    over_recordings(|look| {
        let output = replay(&look.path(), "json");
        let document: Value =
            serde_json::from_slice(&output.stdout).map_err(|error| format!("no JSON document: {error}"))?;
        let mode = if look.mode == Mode::BeforeInstall { "before-install" } else { "check" };
        if document["mode"] != mode {
            return Err(format!("mode {} instead of {mode}", document["mode"]));
        }
        look.expect.verify(code(&output), &document)
    });
}

#[test]
fn documents_keep_to_the_schema() {
    let schema = read(&root().join("docs/report.schema.json"));
    let schema = serde_json::from_str(&schema).expect("the schema is JSON");
    let validator = jsonschema::draft202012::new(&schema).expect("the schema is one");
    over_recordings(|look| {
        let output = replay(&look.path(), "json");
        let document: Value =
            serde_json::from_slice(&output.stdout).map_err(|error| format!("no JSON document: {error}"))?;
        let faults: Vec<String> = validator
            .iter_errors(&document)
            .map(|fault| format!("{}: {fault}", fault.instance_path()))
            .collect();
        if faults.is_empty() { Ok(()) } else { Err(faults.join("; ")) }
    });
}

#[test]
fn a_recording_gives_the_same_bytes_each_time() {
    over_recordings(|look| {
        let (once, again) = (replay(&look.path(), "json"), replay(&look.path(), "json"));
        if once.stdout == again.stdout { Ok(()) } else { Err("two replays differ".to_owned()) }
    });
}

#[test]
fn reports_are_as_they_were_read() {
    let mut settings = insta::Settings::clone_current();
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    let _guard = settings.bind_to_scope();
    over_recordings(|look| {
        let report =
            String::from_utf8(replay(&look.path(), "table").stdout).map_err(|error| error.to_string())?;
        if report.contains('\u{1b}') {
            return Err("it is coloured".to_owned());
        }
        catch_unwind(|| insta::assert_snapshot!(look.name.as_str(), report))
            .map_err(|_| "the report has changed, see above".to_owned())
    });
}

/// A recording to damage: the smallest, so that this stays quick.
fn victim() -> Vec<u8> {
    let smallest =
        recorded().into_iter().min_by_key(|look| look.path().metadata().map_or(0, |file| file.len()));
    std::fs::read(smallest.expect("there is a recording").path()).expect("it can be read")
}

/// Replays these bytes as a recording; the exit code and the document.
fn replay_bytes(name: &str, bytes: &[u8]) -> (i32, Vec<u8>) {
    let path = std::env::temp_dir().join(format!("metrics-preflight-{name}-{}.jsonl", std::process::id()));
    std::fs::write(&path, bytes).expect("a scratch file");
    let output = replay(&path, "json");
    // What stays behind in the directory for temporary files does no harm.
    let _ = std::fs::remove_file(&path);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(!errors.contains("panicked"), "{name}: {errors}");
    (code(&output), output.stdout)
}

#[test]
fn a_recording_that_is_cut_off_is_refused() {
    let whole = victim();
    for part in 0..50 {
        let cut = &whole[..whole.len() * part / 50];
        assert_eq!(replay_bytes("cut", cut).0, 2, "{part} fiftieths of a recording were accepted");
    }
}

#[test]
fn a_recording_whose_lines_are_swapped_is_refused_or_read_the_same() {
    let whole = victim();
    let text = String::from_utf8(whole.clone()).expect("a recording is text");
    let lines: Vec<&str> = text.lines().collect();
    let backwards: Vec<&str> = lines.iter().rev().copied().collect();
    assert_eq!(replay_bytes("backwards", backwards.join("\n").as_bytes()).0, 2, "the trailer stands first");

    let (first, rest) = lines.split_first().expect("a header");
    let (last, body) = rest.split_last().expect("a trailer");
    let swapped: Vec<&str> = [first].into_iter().chain(body.iter().rev()).chain([last]).copied().collect();
    let (exit, document) = replay_bytes("swapped", (swapped.join("\n") + "\n").as_bytes());
    if exit != 2 {
        assert_eq!((exit, document), replay_bytes("straight", &whole), "the order of the lines shows");
    }
}
