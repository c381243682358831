//! All formats say the same, of every recording and under every policy, and of runs that decide nothing too.

use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::Value;

use crate::program::{Scratch, closed_port, code, command, run, stderr};
use crate::reading::{FORMATS, read, yaml_value};
use crate::tree::{entries, root};

/// What changes the verdict or the exit code.
const POLICIES: [&[&str]; 5] = [
    &[],
    &["--strict"],
    &["--allow-undecided"],
    &["--fail-on", "warning"],
    &["--strict", "--allow-undecided", "--fail-on", "warning"],
];

fn recordings() -> Vec<PathBuf> {
    let folder = root().join("tests/recordings");
    let mut paths: Vec<PathBuf> = entries(&folder).into_iter().map(|name| folder.join(name)).collect();
    paths.retain(|path| path.extension().is_some_and(|ending| ending == "jsonl"));
    assert!(paths.len() > 50, "the recordings are gone");
    paths
}

/// Runs the program with a file for every format, and holds the files against each other.
fn agree(args: &[&str], scratch: &Scratch) -> Result<i32, String> {
    let mut args: Vec<String> = args.iter().map(|arg| (*arg).to_owned()).collect();
    let path = |format: &str| scratch.path(&format!("report.{format}"));
    for format in FORMATS {
        args.extend(["-o".to_owned(), format!("{format}={}", path(format))]);
    }
    let output = run(&args.iter().map(String::as_str).collect::<Vec<_>>());
    let exit = i64::from(code(&output));
    let text = |format: &str| std::fs::read_to_string(path(format)).map_err(|error| error.to_string());
    let document: Value = serde_json::from_str(&text("json")?).map_err(|error| error.to_string())?;
    let verdict = document["verdict"].as_str().unwrap_or("none");
    for format in FORMATS {
        let said = read(format, &text(format)?).map_err(|error| format!("{format}: {error}"))?;
        said.agrees(verdict, exit).map_err(|error| format!("{format}: {error}"))?;
    }
    if yaml_value(&text("yaml")?)? != document {
        return Err("the YAML is another document".to_owned());
    }
    let table = String::from_utf8_lossy(&output.stdout).into_owned();
    headline(table.lines().next().unwrap_or_default(), verdict)?;
    Ok(code(&output))
}

/// The table for people says in words what the verdict is.
fn headline(line: &str, verdict: &str) -> Result<(), String> {
    let fits = match verdict {
        "pass" => line.contains("works") || line.contains("will work"),
        "fail" => {
            [" broken", " wide open", "will not work", "the threshold is"].iter().any(|it| line.contains(it))
        }
        "undecided" => line.starts_with("Undecided: "),
        _ => line.is_empty(),
    };
    if fits { Ok(()) } else { Err(format!("the table begins with {line:?} where the verdict is {verdict}")) }
}

#[test]
fn every_format_says_the_same_of_every_recording() {
    // Each recording under the usual policy and under one of the others in turn: that is quick, and every policy
    // meets every kind of verdict.
    let both = |(index, path): (usize, PathBuf)| {
        [POLICIES[0], POLICIES[1 + index % (POLICIES.len() - 1)]].map(|policy| (path.clone(), policy))
    };
    let jobs: Vec<(PathBuf, &[&str])> = recordings().into_iter().enumerate().flat_map(both).collect();
    let next = AtomicUsize::new(0);
    let broken = Mutex::new(Vec::new());
    let codes = Mutex::new(std::collections::BTreeSet::new());
    let work = || {
        let scratch = Scratch::new();
        while let Some((path, policy)) = jobs.get(next.fetch_add(1, Ordering::Relaxed)) {
            let path = path.display().to_string();
            let args = [&["check", "--replay", &path], *policy].concat();
            match agree(&args, &scratch) {
                Ok(code) => drop(codes.lock().expect("a list").insert(code)),
                Err(error) => broken.lock().expect("a list").push(format!("{path} {policy:?}: {error}")),
            }
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, std::num::NonZero::get) {
            scope.spawn(work);
        }
    });
    let broken = broken.into_inner().expect("a list");
    assert!(broken.is_empty(), "{} of {}:\n{}", broken.len(), jobs.len(), broken.join("\n"));
    let codes: Vec<i32> = codes.into_inner().expect("a list").into_iter().collect();
    assert_eq!(codes, [0, 1, 3], "the recordings no longer come to every verdict");
}

/// A run that decides nothing, in every format on standard output.
fn decides_nothing(args: &[&str], exit: i32) {
    for format in FORMATS {
        let output = run(&[args, &["-o", format]].concat());
        assert_eq!(code(&output), exit, "{args:?} {}", stderr(&output));
        let text = String::from_utf8(output.stdout).expect("text");
        let said = read(format, &text).unwrap_or_else(|error| panic!("{args:?} {format}: {error}\n{text}"));
        said.agrees("none", i64::from(exit)).unwrap_or_else(|error| panic!("{args:?} {format}: {error}"));
    }
}

#[test]
fn runs_that_decide_nothing_are_not_green() {
    let scratch = Scratch::new();
    let kubeconfig = scratch.kubeconfig(closed_port());
    decides_nothing(&["check", "--kubeconfig", &kubeconfig], 4);
    decides_nothing(&["check", "--before-install", "--kubeconfig", "/does/not/exist"], 2);
    decides_nothing(&["check", "--replay", "/does/not/exist"], 2);
    decides_nothing(&["check", "--replay", "x", "--context", "lab"], 2);
    // Arguments that are refused before the program knows what is wanted.
    decides_nothing(&["check", "--wait", "30"], 2);
    decides_nothing(&["check", "--no-such-option"], 2);
    decides_nothing(&["check", "--before-install", "--fail-on", "nothing"], 2);
}

#[test]
fn files_of_a_run_that_decides_nothing_are_written() {
    let scratch = Scratch::new();
    let code = agree(&["check", "--replay", "/does/not/exist"], &scratch).expect("all agree");
    assert_eq!(code, 2);
    let table = scratch.file("table", "The metrics pipeline works.\n");
    let output =
        run(&["check", "--replay", "/does/not/exist", "-o", &format!("table={table}"), "-o", "json"]);
    assert_eq!(crate::program::document(&output)["error"]["kind"], "input");
    let text = std::fs::read_to_string(&table).expect("the table");
    assert!(text.starts_with("Nothing could be decided: "), "{text}");
}

#[test]
fn the_table_goes_to_standard_output_unless_something_else_does() {
    let scratch = Scratch::new();
    let recording = scratch.empty_recording("check");
    let file = scratch.path("report");
    let table = run(&["check", "--replay", &recording]).stdout;
    assert!(table.starts_with(b"Undecided: "));
    let said = run(&["check", "--replay", &recording, "-o", &format!("json={file}")]);
    assert_eq!(said.stdout, table);
    let both = run(&["check", "--replay", &recording, "-o", &format!("table={file}"), "-o", "short=-"]);
    assert_eq!(read("short", &String::from_utf8(both.stdout).expect("text")).expect("a list").exit, Some(3));
    let text = std::fs::read_to_string(&file).expect("the table");
    assert!(text.starts_with("Undecided: ") && !text.contains('\u{1b}'), "{text}");
}

#[test]
fn what_cannot_be_written_is_refused_and_nothing_is_touched() {
    let scratch = Scratch::new();
    let recording = scratch.empty_recording("check");
    let before = std::fs::read(&recording).expect("the recording");
    let one = scratch.file("one", "old");
    let two = scratch.path("./two");
    let link = scratch.path("two");
    let missing = scratch.path("missing/report");
    let folder = scratch.path("");
    for (wanted, word) in [
        (vec!["json".to_owned(), "yaml".to_owned()], "standard output together"),
        (vec![format!("json={two}"), format!("yaml={link}")], "the same file"),
        (vec![format!("json={recording}")], "--replay"),
        (vec![format!("json={one}"), format!("yaml={missing}")], "does not exist; make it first"),
        (vec![format!("json={folder}")], "is a directory"),
        (vec!["json=".to_owned()], "the name of the file is missing"),
        (vec!["xml".to_owned()], "possible values"),
    ] {
        let mut args = vec!["check", "--replay", &recording];
        for wanted in &wanted {
            args.extend(["-o", wanted]);
        }
        let output = run(&args);
        assert_eq!(code(&output), 2, "{wanted:?}");
        assert!(stderr(&output).contains(word), "{wanted:?}: {}", stderr(&output));
        assert!(output.stdout.is_empty(), "{wanted:?}");
        assert_eq!(std::fs::read(&recording).expect("the recording"), before, "{wanted:?}");
        assert!(!Path::new(&link).exists(), "{wanted:?}");
    }
    // The file that can be written says that nothing was decided; nothing else has appeared.
    let text = std::fs::read_to_string(&one).expect("the file");
    assert_eq!(read("json", &text).expect("a document").exit, Some(2));
    assert_eq!(entries(Path::new(&folder)), ["one", "recording"]);
}

#[test]
fn a_recording_does_not_mix_with_the_report() {
    let output = command(&["check", "--record", "-", "-o", "json"]).output().expect("the program starts");
    assert_eq!(crate::program::document(&output)["error"]["kind"], "usage");
}
