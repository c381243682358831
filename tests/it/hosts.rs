//! `host`: a look at a directory that stands for a machine, and recordings of real machines.
//!
//! `tests/hosts/` holds looks at the hosts of the reference cluster: as it was, without the kubelet's file, with a file
//! that the kubelet does not read, with an expired certificate of the front proxy, and a look at that cluster that they
//! were joined with.

use std::fs;

use serde_json::{Value, json};

use crate::program::{Scratch, code, command, document, run, stderr};
use crate::tree::{root, stems};

/// A directory with a kubelet whose file is not there.
fn machine(scratch: &Scratch) -> String {
    let top = scratch.path("machine");
    let write = |path: &str, text: &str| {
        let path = format!("{top}{path}");
        fs::create_dir_all(std::path::Path::new(&path).parent().expect("a parent")).expect("directories");
        fs::write(path, text).expect("a file");
    };
    write("/proc/1/cmdline", "/sbin/init\0");
    write("/proc/1/status", "NSpid:\t1\n");
    write(
        "/etc/systemd/system/kubelet.service",
        "[Service]\nExecStart=/usr/bin/kubelet --config=/etc/kubelet.yaml\n",
    );
    top
}

fn file_of(args: &[&str], path: &str) -> Vec<u8> {
    let output = run(args);
    fs::read(path).unwrap_or_else(|error| panic!("{error}: {}", stderr(&output)))
}

#[test]
fn a_replay_gives_the_same_bytes_as_the_look() {
    let scratch = Scratch::new();
    let (top, recording) = (machine(&scratch), scratch.path("one.jsonl"));
    let (live, again) = (scratch.path("live"), scratch.path("again"));
    for format in ["json", "yaml", "junit", "sarif", "github", "gitlab", "markdown", "html", "short", "table"]
    {
        let (to_live, to_again) = (format!("{format}={live}"), format!("{format}={again}"));
        let look = ["host", "--root", &top, "--name", "one", "-o", &recording, "-o", &to_live];
        let look = file_of(&look, &live);
        assert_eq!(look, file_of(&["check", "--replay", &recording, "-o", &to_again], &again), "{format}");
    }
}

#[test]
fn a_machine_without_its_kubelets_file_is_broken() {
    let scratch = Scratch::new();
    let top = machine(&scratch);
    let output = run(&["host", "--root", &top, "--name", "one", "-o", "json"]);
    assert_eq!(code(&output), 1, "{}", stderr(&output));
    let document = document(&output);
    assert_eq!(document["mode"], "host");
    assert_eq!(document["vantage"]["hosts"][0]["name"], "one");
    let causes = document["root_causes"].as_array().expect("root causes");
    assert_eq!(causes.iter().map(|cause| &cause["name"]).collect::<Vec<_>>(), ["kubelet-config-missing"]);
}

#[test]
fn a_machine_of_no_cluster_is_undecided() {
    let scratch = Scratch::new();
    let top = machine(&scratch);
    fs::remove_file(format!("{top}/etc/systemd/system/kubelet.service")).expect("it goes");
    let output = run(&["host", "--root", &top, "--name", "one"]);
    assert_eq!(code(&output), 3, "{}", stderr(&output));
    let text = String::from_utf8(output.stdout).expect("text");
    assert!(text.contains("no machine of a cluster"), "{text}");
    assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
}

#[test]
fn what_cannot_be_looked_at_is_refused() {
    let scratch = Scratch::new();
    let top = machine(&scratch);
    for (args, words) in [
        (vec!["--root", "/not/there"], "cannot open the root"),
        (vec!["--root", &top, "--name", "a b"], "a name has letters"),
        (vec!["--root", &top, "--dial", "fd00::1:443"], "an address and a port"),
        (vec!["--root", &top, "-o", "a.jsonl", "-o", "b.jsonl"], "one file takes the recording"),
        (vec!["--root", &top, "-o", "nonsense"], "nonsense"),
    ] {
        let output = command(&[&["host"], args.as_slice()].concat()).output().expect("the program starts");
        assert_eq!(code(&output), 2, "{args:?}");
        assert!(stderr(&output).contains(words), "{args:?}: {}", stderr(&output));
    }
}

#[test]
fn real_machines_are_judged_as_they_were() {
    let folder = root().join("tests/hosts");
    for name in stems(&folder, ".jsonl") {
        let path = folder.join(format!("{name}.jsonl"));
        let output = run(&["check", "--color", "never", "--replay", path.to_str().expect("a path")]);
        let text = String::from_utf8(output.stdout.clone()).expect("text");
        let whole = format!("exit code {}\n\n{text}", code(&output));
        insta::with_settings!({prepend_module_to_snapshot => false, snapshot_path => "snapshots/hosts"}, {
            insta::assert_snapshot!(name, whole);
        });
    }
}

/// What a machine of a joined recording said, as a recording of `host` there; `change` sees each line.
fn alone(scratch: &Scratch, name: &str, machine: &str, change: impl Fn(&mut Value)) -> String {
    let lines = lines(name);
    let vantage = format!("host {machine}");
    let own = |line: &&Value| line["request"]["fact"]["vantage"] == vantage.as_str();
    let mut head = lines[0].clone();
    head["arguments"] =
        json!({"mode": "host", "kubelets": "never", "all-nodes": "false", vantage.as_str(): ""});
    let mut facts: Vec<Value> = lines.iter().filter(own).cloned().collect();
    head["takenAt"] = facts[0]["seenAt"].clone();
    facts.iter_mut().for_each(change);
    let end = json!({"end": facts.len()});
    written(scratch, &[vec![head], facts, vec![end]].concat())
}

fn lines(name: &str) -> Vec<Value> {
    let text = crate::tree::read(&root().join("tests/recordings").join(name));
    text.lines().map(|line| serde_json::from_str(line).expect("a line of a recording")).collect()
}

fn written(scratch: &Scratch, lines: &[Value]) -> String {
    let lines: Vec<String> = lines.iter().map(ToString::to_string).collect();
    scratch.file("changed.jsonl", &(lines.join("\n") + "\n"))
}

fn said(args: &[&str]) -> (i32, String) {
    let output = run(args);
    // As it stands, without line breaks.
    let text = String::from_utf8_lossy(&output.stdout).split_whitespace().collect::<Vec<_>>().join(" ");
    (code(&output), text)
}

#[test]
fn a_healthy_machine_alone_is_fit_and_nothing_is_open() {
    for machine in ["cp", "node1", "node2"] {
        let scratch = Scratch::new();
        let file = alone(&scratch, "machines-healthy.machines.jsonl", machine, |_| {});
        let (code, text) = said(&["check", "--replay", &file, "--strict"]);
        assert_eq!(code, 0, "{text}");
        assert!(text.starts_with("This machine is fit for the metrics pipeline."), "{text}");
    }
}

#[test]
fn what_selinux_does_is_said_and_is_no_fault() {
    let enforcing = json!({"fact": {"value": "enforcing"}});
    let unseen = json!({"failed": {"kind": "lacking", "message": "/sys/fs is not there"}});
    for (outcome, words, selinux) in [
        (enforcing, "SELinux enforcing,", json!("enforcing")),
        (json!({"fact": {"value": null}}), "no SELinux,", json!("none")),
        (unseen, "SELinux not seen,", Value::Null),
    ] {
        let scratch = Scratch::new();
        let file = alone(&scratch, "machines-healthy.machines.jsonl", "node1", |line| {
            if line["request"]["fact"]["fact"] == "SELinux" {
                line["outcome"] = outcome.clone();
            }
        });
        let (code, text) = said(&["check", "--replay", &file]);
        assert_eq!(code, 0, "{text}");
        assert!(text.contains(words), "{text}");
        let report = document(&run(&["check", "-o", "json", "--replay", &file]));
        assert_eq!(report["vantage"]["hosts"][0]["selinux"], selinux);
    }
}

/// As somebody who is not root, without the programs that list rules, and with more rules than are walked.
#[test]
fn a_machine_alone_whose_packet_filter_was_not_seen_is_undecided() {
    let failed = |kind: &str, why: &str| json!({"failed": {"kind": kind, "message": why}});
    let cases = [
        (
            failed("notPermitted", "the packet filter is read by root only"),
            "Look again on that machine as root.",
        ),
        (failed("lacking", "no rules could be read (nftables: nft is not there)"), "Install that program"),
    ];
    for (outcome, decide) in cases {
        let scratch = Scratch::new();
        let file = alone(&scratch, "machines-forward-drop.machines.jsonl", "node1", |line| {
            if line["request"]["fact"]["fact"] == "packet filter" {
                line["outcome"] = outcome.clone();
            }
        });
        let (code, text) = said(&["check", "--replay", &file]);
        assert_eq!(code, 3, "{text}");
        assert!(!text.contains("is fit"), "{text}");
        for words in ["forward-policy-drop (MP011)", "kubelet-port-filtered (MP014)", decide] {
            assert!(text.contains(words), "{words}: {text}");
        }
    }
    let scratch = Scratch::new();
    let file = alone(&scratch, "machines-healthy.machines.jsonl", "node1", |line| {
        if line["request"]["fact"]["fact"] == "packet filter" {
            for set in line["outcome"]["fact"]["value"]["rulesets"].as_array_mut().expect("rulesets") {
                let chains = set["chains"].get_mut("filter").and_then(Value::as_object_mut);
                for chain in chains.into_iter().flat_map(|it| it.values_mut()) {
                    chain["left_out"] = json!(49_000);
                }
            }
        }
    });
    let (code, text) = said(&["check", "--replay", &file]);
    assert_eq!(code, 3, "{text}");
    assert!(text.contains("49000 rules at the end of the chain"), "{text}");
}

#[test]
fn what_was_joined_and_what_was_left_out_for_its_age_is_said() {
    let mut lines = lines("machines-healthy.machines.jsonl");
    let (code, text) = {
        let scratch = Scratch::new();
        said(&["check", "--replay", &written(&scratch, &lines)])
    };
    assert_eq!(code, 0, "{text}");
    assert!(text.contains("Machines looked at: cp at ") && !text.contains("left out"), "{text}");
    for line in lines.iter_mut().filter(|line| line["request"]["fact"]["vantage"] == "host node1") {
        line["seenAt"] = json!("2026-11-21T12:00:00Z");
    }
    let scratch = Scratch::new();
    let file = written(&scratch, &lines);
    let (code, text) = said(&["check", "--replay", &file]);
    assert_eq!(code, 0, "{text}");
    assert!(
        text.contains(
            "The machine node1 is left out: seen too long ago: node1 said so at 2026-11-21T12:00:00Z"
        ),
        "{text}"
    );
    let document = document(&run(&["check", "--replay", &file, "-o", "json"]));
    let hosts = document["vantage"]["hosts"].as_array().expect("hosts");
    let why = |name: &str| hosts.iter().find(|host| host["name"] == name).expect(name)["left_out"].clone();
    assert!(why("node1").as_str().expect("a reason").contains("too long ago"));
    assert_eq!(why("node2"), Value::Null);
}
