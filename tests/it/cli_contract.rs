//! What scripts rely on: exit codes, the JSON document for every one of them, and a quiet standard error.

use std::io::Write as _;
use std::net::TcpListener;
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::program::{Scratch, closed_port, code, command, document, run, stderr};

#[test]
fn help_and_version_are_no_errors() {
    for args in [&["--help"][..], &["--version"], &["check", "--help"], &["help", "capture"], &["list"]] {
        let output = run(args);
        assert_eq!(code(&output), 0, "{args:?}");
        assert_eq!(stderr(&output), "", "{args:?}");
        assert!(!output.stdout.is_empty(), "{args:?}");
    }
}

#[test]
fn wrong_arguments_exit_with_2() {
    for args in
        [&[][..], &["diagnose"], &["check", "--wait", "30"], &["check", "--fail-on", "info"], &["capture"]]
    {
        assert_eq!(code(&run(args)), 2, "{args:?}");
    }
}

#[test]
fn a_recording_takes_no_cluster() {
    for (name, value) in [("--context", "lab"), ("--kubeconfig", "x"), ("--wait", "5s"), ("--record", "x")] {
        let output = run(&["check", "--replay", "x", name, value, "-o", "json"]);
        assert_eq!(code(&output), 2, "{name}");
        assert_eq!(document(&output)["error"]["kind"], "usage", "{name}");
        assert!(stderr(&output).starts_with(&format!("error: {name} and --replay")), "{}", stderr(&output));
    }
}

#[test]
fn an_unreadable_recording_exits_with_2() {
    let scratch = Scratch::new();
    for path in [scratch.file("noise", "\u{0}\u{1}{"), "/does/not/exist".to_owned()] {
        let output = run(&["check", "--replay", &path, "-o", "json"]);
        assert_eq!(code(&output), 2);
        let document = document(&output);
        assert_eq!(document["error"]["kind"], "input");
        assert_eq!(document["verdict"], Value::Null);
    }
}

#[test]
fn a_kubeconfig_that_is_missing_exits_with_2() {
    let output = run(&["check", "--kubeconfig", "/does/not/exist", "-o", "json"]);
    assert_eq!(code(&output), 2);
    assert_eq!(document(&output)["error"]["kind"], "configuration");
    assert!(stderr(&output).contains("hint: "), "{}", stderr(&output));
}

#[test]
fn a_cluster_that_is_away_exits_with_4() {
    let scratch = Scratch::new();
    let kubeconfig = scratch.kubeconfig(closed_port());
    let output = run(&["check", "--before-install", "--kubeconfig", &kubeconfig, "-o", "json"]);
    assert_eq!(code(&output), 4, "{}", stderr(&output));
    let document = document(&output);
    assert_eq!(document["error"]["kind"], "unreachable");
    assert_eq!(document["mode"], "before-install");
    assert!(stderr(&output).contains("the connection was refused"), "{}", stderr(&output));
    assert!(stderr(&output).contains("context lab"), "{}", stderr(&output));
    assert!(!stderr(&output).contains("not-a-token"));
}

#[test]
fn a_cluster_that_says_nothing_exits_with_4() {
    let scratch = Scratch::new();
    let silent = TcpListener::bind("127.0.0.1:0").expect("a port");
    let kubeconfig = scratch.kubeconfig(silent.local_addr().expect("an address").port());
    let output = run(&["check", "--kubeconfig", &kubeconfig, "--timeout", "300ms"]);
    assert_eq!(code(&output), 4, "{}", stderr(&output));
    assert!(stderr(&output).contains("no answer came in time"), "{}", stderr(&output));
    assert!(output.stdout.is_empty());
}

#[test]
fn waiting_ends_when_the_time_is_up() {
    let scratch = Scratch::new();
    let kubeconfig = scratch.kubeconfig(closed_port());
    let begin = std::time::Instant::now();
    let output = run(&["check", "--kubeconfig", &kubeconfig, "--wait", "1s"]);
    assert_eq!(code(&output), 4);
    assert!(begin.elapsed() >= std::time::Duration::from_secs(1));
}

#[test]
fn an_empty_recording_decides_nothing() {
    let scratch = Scratch::new();
    for (recorded, flag) in
        [("check", None), ("before-install", None), ("before-install", Some("--before-install"))]
    {
        let path = scratch.empty_recording(recorded);
        let mut args = vec!["check", "--replay", &path, "-o", "json"];
        args.extend(flag);
        let output = run(&args);
        let document = document(&output);
        assert_eq!(code(&output), 3, "{document:#}");
        assert_eq!(document["verdict"], "undecided");
        assert_eq!(document["mode"], recorded);
        assert_eq!(document["root_causes"], Value::Array(Vec::new()));
        args.push("--allow-undecided");
        assert_eq!(code(&run(&args)), 0);
    }
}

#[test]
fn a_recording_keeps_its_mode() {
    let scratch = Scratch::new();
    let path = scratch.empty_recording("check");
    let output = run(&["check", "--replay", &path, "--before-install"]);
    assert_eq!(code(&output), 2);
    assert!(stderr(&output).contains("not made with --before-install"), "{}", stderr(&output));
}

#[test]
fn a_recording_gives_the_same_bytes_each_time() {
    let scratch = Scratch::new();
    let path = scratch.empty_recording("check");
    for format in ["table", "json"] {
        let args = ["check", "--replay", &path, "-o", format];
        assert_eq!(run(&args).stdout, run(&args).stdout);
    }
}

#[test]
fn a_recording_may_come_from_standard_input() {
    let scratch = Scratch::new();
    let text = std::fs::read(scratch.empty_recording("check")).expect("the recording");
    let mut command = command(&["check", "--replay", "-"]);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("the program starts");
    child.stdin.take().expect("a pipe").write_all(&text).expect("it reads");
    let output = child.wait_with_output().expect("it ends");
    assert_eq!(code(&output), 3);
    assert!(String::from_utf8(output.stdout).expect("text").starts_with("Undecided: "));
}

#[test]
fn an_unknown_check_has_neighbours() {
    let output = run(&["explain", "kubelet-csr-pendin"]);
    assert_eq!(code(&output), 2);
    assert!(stderr(&output).contains("Did you mean kubelet-csr-pending"), "{}", stderr(&output));
}

#[test]
fn every_check_has_a_page() {
    let list: Value = serde_json::from_slice(&run(&["list", "-o", "json"]).stdout).expect("JSON");
    for check in list["checks"].as_array().expect("a list") {
        for key in ["code", "name"] {
            let output = run(&["explain", check[key].as_str().expect("text")]);
            let page = String::from_utf8(output.stdout.clone()).expect("text");
            assert_eq!(code(&output), 0);
            assert!(page.starts_with("# "), "{page}");
            assert!(page.contains(&format!("- Code: {}", check["code"].as_str().expect("text"))), "{page}");
        }
    }
}

#[test]
fn a_reader_who_goes_away_is_no_error() {
    let mut command = command(&["list", "-o", "json"]);
    let mut child =
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the program starts");
    drop(child.stdout.take());
    let output = child.wait_with_output().expect("it ends");
    assert_eq!(code(&output), 0);
    assert_eq!(stderr(&output), "");
}

#[test]
fn colour_is_for_those_who_want_it() {
    let scratch = Scratch::new();
    let path = scratch.empty_recording("check");
    let escapes = |args: &[&str], variable: Option<(&str, &str)>| {
        let mut command = command(args);
        command.envs(variable);
        command.output().expect("the program starts").stdout.contains(&0x1b)
    };
    let check = ["check", "--replay", &path];
    assert!(!escapes(&check, None));
    assert!(escapes(&[&check[..], &["--color", "always"]].concat(), Some(("NO_COLOR", "1"))));
    assert!(!escapes(&[&check[..], &["--color", "never"]].concat(), Some(("CLICOLOR_FORCE", "1"))));
    assert!(escapes(&check, Some(("CLICOLOR_FORCE", "1"))));
}

#[cfg(unix)]
#[test]
fn an_interrupt_exits_with_130() {
    let scratch = Scratch::new();
    let silent = TcpListener::bind("127.0.0.1:0").expect("a port");
    let kubeconfig = scratch.kubeconfig(silent.local_addr().expect("an address").port());
    let mut command = command(&["check", "--kubeconfig", &kubeconfig, "--timeout", "60s", "-o", "json"]);
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the program starts");
    // It listens for the signal before it connects.
    let _held = silent.accept().expect("it connects");
    let killed = Command::new("kill").args(["-INT", &child.id().to_string()]).status().expect("kill");
    assert!(killed.success());
    let output = child.wait_with_output().expect("it ends");
    assert_eq!(code(&output), 130);
    assert_eq!(document(&output)["error"]["kind"], "interrupted");
}
