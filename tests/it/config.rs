//! The configuration file, as the built program reads it.

use crate::program::{Scratch, code, command, document, stderr};
use crate::tree::root;

fn recording(name: &str) -> String {
    root().join("tests/recordings").join(name).display().to_string()
}

/// A cluster with a warning and nothing worse.
fn warned() -> String {
    recording("healthy-insecure.nodes.jsonl")
}

#[test]
fn flags_go_before_the_environment_and_that_before_the_file() {
    let scratch = Scratch::new();
    let file = scratch.file("c.yaml", "version: 1\nfailOn: warning\n");
    let replay = warned();
    for (args, environment, expected) in [
        (&["--no-config"][..], None, 0),
        (&["--config", &file], None, 1),
        (&["--config", &file], Some("error"), 0),
        (&["--config", &file, "--fail-on", "warning"], Some("error"), 1),
        (&["--no-config"], Some("warning"), 1),
        (&["--no-config"], Some("nonsense"), 2),
    ] {
        let mut command = command(&["check", "--replay", &replay, "-o", "json"]);
        command.args(args);
        if let Some(value) = environment {
            command.env("METRICS_PREFLIGHT_FAIL_ON", value);
        }
        let output = command.output().expect("the program starts");
        assert_eq!(code(&output), expected, "{args:?} {environment:?}: {}", stderr(&output));
        document(&output);
        let told = stderr(&output).contains("sets: failOn warning.");
        assert_eq!(told, args[0] == "--config", "{}", stderr(&output));
    }
}

#[test]
fn a_switch_of_the_file_can_be_switched_off() {
    let scratch = Scratch::new();
    let file = scratch.file("c.yaml", "version: 1\nstrict: true\n");
    let run = |more: &[&str]| {
        let replay = warned();
        let args = [&["check", "--replay", &replay, "--config", &file, "-o", "json"], more].concat();
        document(&command(&args).output().expect("the program starts"))
    };
    assert_eq!(run(&[])["policy"]["strict"], true);
    assert_eq!(run(&["--strict=false"])["policy"]["strict"], false);
}

#[test]
fn the_file_of_the_current_directory_is_found() {
    let scratch = Scratch::new();
    let file = scratch.file("metrics-preflight.yaml", "version: 1\nfailOn: warning\n");
    let folder = std::path::Path::new(&file).parent().expect("a directory");
    let run = |args: &[&str]| {
        let mut command = command(&["check", "--replay", &warned()]);
        code(&command.args(args).current_dir(folder).output().expect("the program starts"))
    };
    assert_eq!((run(&[]), run(&["--no-config"])), (1, 0));
    scratch.file("metrics-preflight.yaml", "version: 1\ncontext: production\n");
    assert_eq!((run(&[]), run(&["--no-config"])), (2, 0));
}

#[test]
fn a_broken_file_is_told_with_its_place() {
    let scratch = Scratch::new();
    let file = scratch.file("c.yaml", "version: 1\nfailon: error\n");
    let replay = warned();
    let output = command(&["check", "--replay", &replay, "--config", &file, "-o", "json"])
        .output()
        .expect("the program starts");
    assert_eq!(document(&output)["error"]["kind"], "configuration");
    let said = stderr(&output);
    assert_eq!(code(&output), 2, "{said}");
    assert!(said.contains("c.yaml:2:1") && said.contains("did you mean `failOn`?"), "{said}");
    for path in ["/does/not/exist", "/dev/null", "/"] {
        let output = command(&["check", "--replay", &replay, "--config", path]).output().expect("it starts");
        assert_eq!(code(&output), 2, "{path}: {}", stderr(&output));
    }
}

#[test]
fn no_report_overwrites_the_file() {
    let scratch = Scratch::new();
    let text = "version: 1\n";
    let file = scratch.file("c.yaml", text);
    let to = format!("json={file}");
    let output = command(&["check", "--replay", &warned(), "--config", &file, "-o", &to])
        .output()
        .expect("the program starts");
    assert_eq!(code(&output), 2, "{}", stderr(&output));
    assert_eq!(std::fs::read_to_string(&file).expect("the file"), text);
}
