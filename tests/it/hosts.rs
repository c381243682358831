//! `host`: a look at a directory that stands for a machine, and recordings of real machines.
//!
//! `tests/hosts/` holds looks at the hosts of the reference cluster: as it was, without the kubelet's file, with a file
//! that the kubelet does not read, with an expired certificate of the front proxy, and a look at that cluster that they
//! were joined with.

use std::fs;

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
