//! Rules of the user, from outside: the examples of the book, exit codes, and directories of strangers.

use std::path::Path;

use serde_json::Value;

use crate::program::{Scratch, code, document, run, stderr};
use crate::tree::{entries, read, root};

const RULE: &str = "apiVersion: metrics-preflight/v1alpha1\nrules:\n  - code: X-1\n    name: my-rule\n    title: The kubelet lets \
                    nobody in\n    severity: error\n    forEach: nodes\n    fails: CONDITION\n";

fn rule(condition: &str) -> String {
    RULE.replace("CONDITION", &serde_json::to_string(condition).expect("a text"))
}

fn recording(name: &str) -> String {
    root().join(format!("tests/recordings/{name}.jsonl")).display().to_string()
}

fn examples() -> String {
    root().join("docs/rules").display().to_string()
}

/// The exit code and the document of `check` on a recording with rules.
fn check(name: &str, rules: &str, more: &[&str]) -> (i32, Value) {
    let recording = recording(name);
    let args = [&["check", "-o", "json", "--replay", &recording, "--rules", rules], more].concat();
    let output = run(&args);
    (code(&output), document(&output))
}

#[test]
fn the_examples_of_the_book_hold() {
    let recordings = root().join("tests/recordings").display().to_string();
    let output = run(&["rules", "test", &examples(), "--recordings", &recordings]);
    let shown = String::from_utf8_lossy(&output.stdout);
    assert_eq!(code(&output), 0, "{shown}{}", stderr(&output));
    assert!(!shown.contains("FAIL"), "{shown}");
    assert!(shown.lines().filter(|line| line.starts_with("ok ")).count() >= 10, "{shown}");
    let files = entries(Path::new(&examples())).len();
    assert!(files >= 5, "{files} files of examples");
}

#[test]
fn the_examples_keep_to_the_schema() {
    let schema: Value = serde_json::from_str(&read(&root().join("docs/rules.schema.json"))).expect("JSON");
    let validator = jsonschema::draft202012::new(&schema).expect("a schema");
    let valid = |text: &str| {
        let document: Value = serde_saphyr::from_str(text).expect("YAML");
        validator.is_valid(&document)
    };
    for name in entries(Path::new(&examples())) {
        assert!(valid(&read(&Path::new(&examples()).join(&name))), "{name}");
    }
    let sound = rule("node.ready");
    assert!(valid(&sound));
    for (what, other) in [
        ("severity: error", "severity: fatal"),
        ("forEach: nodes", "forEach: secrets"),
        ("fails:", "failz:"),
        ("    name: my-rule\n", ""),
    ] {
        assert!(!valid(&sound.replace(what, other)), "{other}");
    }
}

#[test]
fn a_rule_counts_like_a_check() {
    let scratch = Scratch::new();
    let found = scratch.file("found.yaml", &rule("!node.configz.anonymous"));
    let (exit, document) = check("healthy-signed.nodes", &found, &[]);
    assert_eq!((exit, &document["verdict"]), (1, &Value::from("fail")));
    let cause = &document["root_causes"][0];
    assert_eq!((&cause["code"], &cause["hop"]), (&Value::from("X-1"), &Value::from("kubelet")));
    assert_eq!(cause["subjects"][0]["name"], "node1");
    let proof = &cause["evidence"][0];
    assert_eq!(
        (&proof["path"], &proof["value"]),
        (&Value::from("node.configz.anonymous"), &Value::from("false"))
    );
    assert!(proof["request"].as_str().is_some_and(|request| request.ends_with("/proxy/configz")), "{proof}");
    let listed = document["checks"].as_array().expect("checks").iter().find(|check| check["code"] == "X-1");
    assert_eq!(listed.map(|check| &check["worst"]), Some(&Value::from("fail")));

    let passed = scratch.file("passed.yaml", &rule("node.configz.anonymous"));
    assert_eq!(check("healthy-signed.nodes", &passed, &[]).0, 0);

    let warning = scratch.file(
        "warning.yaml",
        &rule("!node.configz.anonymous").replace("severity: error", "severity: warning"),
    );
    assert_eq!(check("healthy-signed.nodes", &warning, &[]).0, 0);
    assert_eq!(check("healthy-signed.nodes", &warning, &["--fail-on", "warning"]).0, 1);
}

#[test]
fn a_rule_that_was_not_seen_leaves_the_verdict_undecided() {
    let scratch = Scratch::new();
    let text = rule("node.handshake.kind == 'alert'");
    let (exit, document) = check("healthy-signed.api", &scratch.file("a.yaml", &text), &[]);
    assert_eq!((exit, &document["verdict"]), (3, &Value::from("undecided")));
    let open = document["undecided"].as_array().expect("questions").iter().find(|open| open["code"] == "X-1");
    let open = open.expect("the rule's question");
    assert_eq!((&open["deciding"], &open["need"]), (&Value::from(true), &Value::from("kubelet-handshake")));

    let listed = text.replace("    fails:", "    deciding: false\n    fails:");
    assert_eq!(check("healthy-signed.api", &scratch.file("b.yaml", &listed), &[]).0, 0);
    assert_eq!(check("healthy-signed.api", &scratch.file("b.yaml", &listed), &["--strict"]).0, 3);
}

#[test]
fn a_rule_that_cannot_be_used_is_an_error_with_its_place() {
    let scratch = Scratch::new();
    let path = scratch.file("typo.yaml", &rule("node.configs.anonymous"));
    let (exit, document) = check("healthy-signed.nodes", &path, &[]);
    assert_eq!((exit, &document["error"]["kind"]), (2, &Value::from("input")));
    let message = document["error"]["message"].as_str().expect("a message");
    assert!(
        message.contains("typo.yaml:8:18: Node has no field `configs`; did you mean `configz`?"),
        "{message}"
    );
    for args in
        [&["list", "--rules", &path][..], &["explain", "X-1", "--rules", &path], &["rules", "test", &path]]
    {
        let output = run(args);
        assert_eq!(code(&output), 2, "{args:?}");
        assert!(stderr(&output).contains("^^^^^^^"), "{}", stderr(&output));
    }
}

#[test]
fn rules_are_listed_and_explained() {
    let output = run(&["list", "--rules", &examples()]);
    let table = String::from_utf8_lossy(&output.stdout);
    assert!(table.contains("\nEXAMPLE-101  kubelet-cert-expires-soon"), "{table}");
    let output = run(&["explain", "kubelet-cert-expires-soon", "--rules", &examples()]);
    let page = String::from_utf8_lossy(&output.stdout);
    assert!(page.starts_with("# The kubelet's serving certificate expires within 30 days\n"), "{page}");
    assert!(
        page.contains("- Code: EXAMPLE-101\n") && page.contains("It reads: nodes, kubelet-handshake."),
        "{page}"
    );
}

#[test]
fn cases_that_do_not_hold_exit_with_1() {
    let scratch = Scratch::new();
    let case = "tests:\n  - name: nobody is in\n    evidence: {nodes: [{name: n1, ready: true}]}\n    expect: {X-1: {Node n1: pass}}\n";
    let output = run(&["rules", "test", &scratch.file("a.yaml", &(rule("node.ready") + case))]);
    let shown = String::from_utf8_lossy(&output.stdout);
    assert_eq!(code(&output), 1, "{shown}");
    assert!(
        shown.contains("X-1 on Node n1 is fail (The kubelet lets nobody in) and should be pass"),
        "{shown}"
    );
    assert!(shown.contains("0 of 1 cases hold; 1 of 1 rules lack a case."), "{shown}");

    let output = run(&["rules", "test", &scratch.file("a.yaml", &rule("node.ready"))]);
    assert_eq!(code(&output), 1, "a rule without cases proves nothing");

    let case = "tests:\n  - name: gone\n    recording: nothing-here\n    expect: {X-1: {Node n1: pass}}\n";
    let output = run(&["rules", "test", &scratch.file("a.yaml", &(rule("node.ready") + case))]);
    assert_eq!(code(&output), 2);
    assert!(stderr(&output).contains("there is no recording nothing-here"), "{}", stderr(&output));
}

/// `list` with these rules is refused, for this reason.
fn refused(path: &Path, reason: &str) {
    let output = run(&["list", "--rules", &path.display().to_string()]);
    assert_eq!(code(&output), 2, "{}", path.display());
    assert!(stderr(&output).contains(reason), "{}: {}", path.display(), stderr(&output));
}

#[test]
fn directories_of_strangers_are_harmless() {
    use std::os::unix::fs::symlink;
    let scratch = Scratch::new();
    let folder = |name: &str| {
        let path = Path::new(&scratch.file(&format!("{name}.txt"), "")).with_file_name(name);
        std::fs::create_dir(&path).expect("a folder");
        path
    };
    refused(Path::new("/does/not/exist"), "cannot read /does/not/exist");
    refused(Path::new("/dev/zero"), "no regular file");
    refused(&folder("empty"), "there are no rules in");

    let out = folder("out");
    symlink("/etc/passwd", out.join("a.yaml")).expect("a link");
    refused(&out, "it is a link that leads out of the directory");
    let around = folder("around");
    symlink("a.yaml", around.join("b.yaml")).expect("a link");
    symlink("b.yaml", around.join("a.yaml")).expect("a link");
    refused(&around, "cannot read");
    let directory = folder("directory");
    std::fs::create_dir(directory.join("a.yaml")).expect("a folder");
    refused(&directory, "no regular file");
    let pipe = folder("pipe");
    let made = std::process::Command::new("mkfifo").arg(pipe.join("a.yaml")).status().expect("mkfifo starts");
    assert!(made.success());
    refused(&pipe, "no regular file");
    let large = folder("large");
    std::fs::write(large.join("a.yaml"), vec![b'#'; 600 * 1024]).expect("a large file");
    refused(&large, "more than 524288 bytes");
    let noise = folder("noise");
    std::fs::write(noise.join("a.yaml"), [0xff, 0xfe, 0x00]).expect("noise");
    refused(&noise, "no text in UTF-8");

    // As a ConfigMap is mounted: links that stay within.
    let mounted = folder("mounted");
    std::fs::create_dir(mounted.join("..data")).expect("a folder");
    std::fs::write(mounted.join("..data/a.yaml"), rule("node.ready")).expect("a rule");
    symlink("..data/a.yaml", mounted.join("a.yaml")).expect("a link");
    std::fs::write(mounted.join("notes.txt"), "no rule").expect("a note");
    let output = run(&["list", "--rules", &mounted.display().to_string()]);
    assert_eq!(code(&output), 0, "{}", stderr(&output));
}
