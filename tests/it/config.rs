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

/// What a variable of the environment holds is not blamed on a flag that nobody gave.
#[test]
fn the_variable_that_cannot_be_read_is_named() {
    for (name, flag, wanted) in [
        ("METRICS_PREFLIGHT_FAIL_ON", "--fail-on", "error or warning"),
        ("METRICS_PREFLIGHT_STRICT", "--strict", "true or false"),
        ("METRICS_PREFLIGHT_ALLOW_UNDECIDED", "--allow-undecided", "true or false"),
        ("METRICS_PREFLIGHT_KUBELETS", "--kubelets", "auto, always or never"),
        ("METRICS_PREFLIGHT_NAMESPACE", "--namespace", "the name of a namespace"),
        ("METRICS_PREFLIGHT_TARGET_VERSION", "--target-version", "a version such as 1.34"),
    ] {
        let mut command = command(&["check", "--replay", &warned(), "--no-config"]);
        let output = command.env(name, "Nonsense!").output().expect("the program starts");
        let said = stderr(&output);
        assert_eq!(code(&output), 2, "{said}");
        assert!(said.contains(&format!("{name} is \"Nonsense!\"")) && said.contains(wanted), "{said}");
        assert!(!said.contains(flag), "{said}");
    }
    // A flag goes before it, whatever it holds.
    let mut command = command(&["check", "--replay", &warned(), "--no-config", "--fail-on", "error"]);
    let output = command.env("METRICS_PREFLIGHT_FAIL_ON", "Nonsense!").output().expect("the program starts");
    assert_eq!(code(&output), 0, "{}", stderr(&output));
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

/// A waiver of every finding of self-signed certificates.
fn waivers(subject: &str, expires: &str) -> String {
    format!(
        "version: 1\nwaivers:\n  - code: MP501\n    subject: {subject}\n    reason: replaced with the nodes\n    \
         owner: platform\n    expires: {expires}\n"
    )
}

/// The root cause of self-signed certificates.
fn self_signed(document: &serde_json::Value) -> &serde_json::Value {
    let causes = document["root_causes"].as_array().expect("a list");
    causes.iter().find(|cause| cause["code"] == "MP501").expect("the root cause stays in the report")
}

#[test]
fn a_waiver_in_force_is_shown_and_does_not_count_in_every_format() {
    let scratch = Scratch::new();
    let replay = recording("self-signed-all.nodes.jsonl");
    let run = |config: &str, format: &str| {
        let file = scratch.file("c.yaml", config);
        let output = command(&["check", "--replay", &replay, "--config", &file, "-o", format]).output();
        output.expect("the program starts")
    };
    let plain = document(&run("version: 1\n", "json"));
    assert_eq!(plain["exit_code"], 1);
    let causes = plain["root_causes"].as_array().expect("a list");
    let errors: Vec<_> = causes.iter().filter(|cause| cause["severity"] == "error").collect();
    assert_eq!(errors.len(), 1, "this test needs a recording with one root cause");
    let name = errors[0]["subjects"][0]["name"].as_str().expect("a name").to_owned();
    let all = waivers("Node *", "2027-01-31");
    for format in crate::reading::FORMATS {
        let output = run(&all, format);
        assert_ne!(code(&output), 1, "{format}: {}", stderr(&output));
        let text = String::from_utf8(output.stdout.clone()).expect("text");
        assert!(text.contains("replaced with the nodes") && text.contains("2027"), "{format}: {text}");
        let read = crate::reading::read(format, &text).expect("it is read");
        let verdict = document(&run(&all, "json"))["verdict"].as_str().expect("a verdict").to_owned();
        read.agrees(&verdict, code(&output).into()).unwrap_or_else(|error| panic!("{format}: {error}"));
    }
    let waived = document(&run(&all, "json"));
    assert_eq!(waived["waivers"][0]["state"], "in-force");
    assert_eq!(waived["waivers"][0]["place"]["line"], 3);
    let cause = self_signed(&waived);
    assert_eq!(cause["excused"].as_array().map(Vec::len), cause["subjects"].as_array().map(Vec::len));
    let said = cause["excused"][0]["why"].as_str().expect("a sentence");
    assert_eq!(said, "waived until 2027-01-31 by platform: replaced with the nodes");
    assert_eq!(waived["undecided"], plain["undecided"]);
    // One subject of several leaves the rest.
    let one = document(&run(&waivers(&format!("Node {name}"), "2027-01-31"), "json"));
    assert_eq!(one["exit_code"], 1);
    assert_eq!(self_signed(&one)["excused"].as_array().map(Vec::len), Some(1));
    // A waiver whose day was over when the recording was made.
    let expired = document(&run(&waivers("Node *", "2020-01-31"), "json"));
    assert_eq!(expired["exit_code"], 1);
    assert_eq!(expired["waivers"][0]["state"], "expired");
    let about = expired["root_causes"].as_array().expect("a list");
    let about = about.iter().find(|cause| cause["code"] == "MP091").expect("a finding");
    assert_eq!((&about["severity"], &about["details"][0]["place"]["line"]), (&"warning".into(), &3.into()));
}

#[test]
fn findings_about_waivers_are_listed_and_explained() {
    let output = command(&["list"]).output().expect("the program starts");
    let table = String::from_utf8(output.stdout).expect("text");
    for (code, name) in [("MP091", "waiver-expired"), ("MP092", "waiver-unused")] {
        assert!(table.lines().any(|line| line.starts_with(code) && line.contains(name)), "{table}");
        let output = command(&["explain", name]).output().expect("the program starts");
        assert!(String::from_utf8(output.stdout).expect("text").contains(code));
    }
}

#[test]
fn a_waiver_is_shown_when_all_is_well() {
    let scratch = Scratch::new();
    let file = scratch.file("c.yaml", &waivers("Node gone", "2027-01-31"));
    let replay = recording("healthy-signed.nodes.jsonl");
    for format in crate::reading::FORMATS.into_iter().chain(["table"]) {
        let output = command(&["check", "--replay", &replay, "--config", &file, "-o", format]).output();
        let output = output.expect("the program starts");
        assert_eq!(code(&output), 0, "{format}: {}", stderr(&output));
        let text = String::from_utf8(output.stdout).expect("text");
        assert!(text.contains("replaced with the nodes"), "{format}: {text}");
    }
}

#[test]
fn a_baseline_lets_only_what_is_new_fail() {
    let scratch = Scratch::new();
    let report = |name: &str, recording_name: &str, more: &[&str]| {
        let replay = recording(recording_name);
        let to = format!("json={}", scratch.path(name));
        let output = command(&[&["check", "--replay", &replay, "-o", &to], more].concat()).output();
        code(&output.expect("the program starts"))
    };
    let base = scratch.path("base.json");
    assert_eq!(report("base.json", "self-signed-all.nodes.jsonl", &[]), 1);
    let with: &[&str] = &["--baseline", &base];
    assert_ne!(report("again.json", "self-signed-all.nodes.jsonl", with), 1);
    let read = |name: &str| -> serde_json::Value {
        serde_json::from_slice(&std::fs::read(scratch.path(name)).expect("a report")).expect("JSON")
    };
    let again = read("again.json");
    assert_eq!(self_signed(&again)["excused"][0]["known"], true);
    assert_eq!(again["baseline"]["gone"].as_array().map(Vec::len), Some(0));
    // Another fault is new, and what was there before is told as gone.
    assert_eq!(report("other.json", "wrong-port.nodes.jsonl", with), 1);
    let gone = read("other.json");
    let gone = gone["baseline"]["gone"].as_array().expect("a list");
    assert!(gone.iter().any(|it| it["code"] == "MP501"), "{gone:?}");
    // Nothing overwrites it, and only a report of the same question will do.
    let before = std::fs::read(&base).expect("a report");
    assert_eq!(report("base.json", "self-signed-all.nodes.jsonl", with), 2);
    assert_eq!(std::fs::read(&base).expect("a report"), before);
    for text in ["", "{}", "[]", &String::from_utf8_lossy(&before).replace("\"check\"", "\"gate\"")] {
        let broken = scratch.file("broken.json", text);
        assert_eq!(report("x.json", "self-signed-all.nodes.jsonl", &["--baseline", &broken]), 2);
    }
    for path in ["/does/not/exist", "/dev/null", "/"] {
        assert_eq!(report("x.json", "self-signed-all.nodes.jsonl", &["--baseline", path]), 2);
    }
}

/// The rest of the settings in the environment: before the file, behind a flag, and nothing where a recording says it.
#[test]
fn the_environment_stands_in_for_flags() {
    let scratch = Scratch::new();
    let file = scratch.file("c.yaml", "version: 1\ntargetVersion: \"1.30\"\nnamespace: of-file\n");
    let look = |args: &[&str], variables: &[(&str, &str)]| {
        let manifest = "tests/corpus/clean-limits-only.yaml";
        let args = [&["gate", "--offline", "-f", manifest, "-o", "json"], args].concat();
        let mut command = command(&args);
        command.current_dir(root()).envs(variables.iter().copied());
        command.output().expect("the program starts")
    };
    let target = |output: &std::process::Output| document(output)["gate"]["target_minor"].clone();
    let (version, config) = ("METRICS_PREFLIGHT_TARGET_VERSION", "METRICS_PREFLIGHT_CONFIG");
    assert_eq!(target(&look(&["--config", &file], &[])), 30);
    assert_eq!(target(&look(&["--config", &file], &[(version, "1.33")])), 33);
    assert_eq!(target(&look(&["--config", &file, "--target-version", "1.34"], &[(version, "1.33")])), 34);
    assert_eq!(target(&look(&[], &[(config, &file)])), 30);
    assert_eq!(target(&look(&["--no-config"], &[(config, &file)])), serde_json::Value::Null);
    assert_eq!(target(&look(&[], &[(config, ""), (version, "")])), serde_json::Value::Null);
    for (name, value, wanted) in [
        (version, "2.1", "1.34"),
        ("METRICS_PREFLIGHT_NAMESPACE", "a/b", "the name of a namespace"),
        ("METRICS_PREFLIGHT_KUBELETS", "perhaps", "auto, always or never"),
        (config, "/does/not/exist", "--no-config"),
    ] {
        let output = look(&[], &[(name, value)]);
        assert_eq!(code(&output), 2, "{name}");
        let said = stderr(&output);
        let named = if name == config { value } else { name };
        assert!(said.contains(named) && said.contains(wanted), "{said}");
    }
    // A file that the environment names is read, so that no report goes there.
    let output = look(&["-o", &format!("short={file}")], &[(config, &file)]);
    assert_eq!(code(&output), 2, "{}", stderr(&output));
    // A recording holds where it was looked and how; a variable of the job is no contradiction.
    let variables = [("METRICS_PREFLIGHT_NAMESPACE", "shop"), ("METRICS_PREFLIGHT_KUBELETS", "never")];
    let args = ["check", "--replay", &warned(), "-o", "json"];
    let output = command(&args).envs(variables).output().expect("the program starts");
    assert_eq!(code(&output), 0, "{}", stderr(&output));
    let plain = command(&args).output().expect("the program starts");
    assert_eq!(output.stdout, plain.stdout);
}

#[test]
fn the_namespace_of_the_environment_is_where_manifests_go() {
    let look = |args: &[&str]| {
        let manifest = "tests/gate/editor/shop.yaml";
        let args = [&["gate", "--offline", "-f", manifest, "-o", "json"], args].concat();
        let mut command = command(&args);
        command.current_dir(root()).env("METRICS_PREFLIGHT_NAMESPACE", "of-the-job");
        document(&command.output().expect("the program starts"))["hpas"][0]["subject"]["namespace"].clone()
    };
    assert_eq!(look(&[]), "of-the-job");
    assert_eq!(look(&["-n", "of-the-flag"]), "of-the-flag");
}
