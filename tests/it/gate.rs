//! The gate on the manifests of the corpus: the table and the document as they were read and found good, the places of
//! findings in every format, and patches that cure what they are for.

use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::Value;

use crate::program::{Scratch, code, command, document, run};
use crate::reading::{FORMATS, read};
use crate::tree::{read as text_of, root, stems};

fn gate(file: &str, format: &str) -> Output {
    command(&["gate", "--offline", "-o", format, "-f", &format!("tests/corpus/{file}")])
        .current_dir(root())
        .output()
        .expect("the program starts")
}

fn stdout(output: Output) -> String {
    String::from_utf8(output.stdout).expect("text")
}

/// Faults with and without a patch, an open question, a warning, and nothing wrong.
const SHOWN: [&str; 6] = [
    "container-name-typo",
    "max-missing",
    "request-missing-in-one-container",
    "replicas-in-deployment",
    "clean-limits-only",
    "v2beta1",
];

#[test]
fn reports_on_the_corpus() {
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path("snapshots/gate");
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    let _guard = settings.bind_to_scope();
    for name in SHOWN {
        let table = without_time(&stdout(gate(&format!("{name}.yaml"), "table")));
        insta::assert_snapshot!(format!("{name}.table"), table);
        let mut json: Value =
            serde_json::from_str(&stdout(gate(&format!("{name}.yaml"), "json"))).expect("JSON");
        let fields = json.as_object_mut().expect("a document");
        // What every check came to and the links of the chain are in the snapshots of recordings already.
        for field in ["taken_at", "checks", "chain"] {
            fields.remove(field);
        }
        let json = serde_json::to_string_pretty(&json).expect("JSON");
        insta::assert_snapshot!(format!("{name}.json"), json);
    }
}

#[test]
fn too_many_autoscalers_are_not_judged() {
    let scratch = Scratch::new();
    let autoscaler = |index: usize| {
        format!(
            "apiVersion: autoscaling/v2\nkind: HorizontalPodAutoscaler\nmetadata: {{name: web-{index}}}\n\
             spec: {{scaleTargetRef: {{apiVersion: apps/v1, kind: Deployment, name: web-{index}}}, maxReplicas: 3}}\n"
        )
    };
    let all: Vec<String> = (0..501).map(autoscaler).collect();
    let output = run(&["gate", "--offline", "-f", &scratch.file("all.yaml", &all.join("---\n"))]);
    assert_eq!(code(&output), 2);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("there are 501 autoscalers") && said.contains("Judge them in parts"), "{said}");
    let output = run(&["gate", "--offline", "-f", &scratch.file("all.yaml", &all[..500].join("---\n"))]);
    assert_ne!(code(&output), 2, "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn a_report_does_not_overwrite_what_is_read() {
    let scratch = Scratch::new();
    let manifest = scratch.file("web.yaml", &text_of(&root().join("tests/corpus/max-missing.yaml")));
    for more in [["-o".to_owned(), format!("json={manifest}")], ["--record".to_owned(), manifest.clone()]] {
        let output = command(&["gate", "-f", &manifest]).args(more).output().expect("the program starts");
        assert_eq!(code(&output), 2, "{}", String::from_utf8_lossy(&output.stderr));
    }
    assert_eq!(text_of(Path::new(&manifest)), text_of(&root().join("tests/corpus/max-missing.yaml")));
}

#[test]
fn what_settles_a_deferred_metric_names_the_namespace() {
    let table = stdout(
        command(&["gate", "-n", "case-scaled-to-zero", "-f", "tests/gate/cases/scaled-to-zero.yaml"])
            .args(["--replay", "tests/gate/recordings/scaled-to-zero.running.jsonl"])
            .current_dir(root())
            .output()
            .expect("the program starts"),
    );
    let words = table.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(words.contains("gate --live -n case-scaled-to-zero --wait 7m"), "{table}");
}

/// The table without the time of the run, which stands before `UTC`.
fn without_time(table: &str) -> String {
    let end = table.find(" UTC").expect("a time");
    format!("{}TIME{}", &table[..end - "2026-11-21 08:00:00".len()], &table[end..])
}

#[test]
fn a_table_fits_eighty_columns() {
    for name in SHOWN {
        let table = stdout(gate(&format!("{name}.yaml"), "table"));
        for line in table.lines() {
            let is_verbatim = line.contains("kubectl ");
            assert!(is_verbatim || line.chars().count() <= 80, "{name}: {line}");
        }
        assert!(!table.contains("no request can show this"), "{name}: {table}");
    }
}

/// Files, codes, and the lines that the truth about the corpus says are at fault.
const PLACES: [(&str, &str, u64); 6] = [
    ("container-name-typo.yaml", "MP909", 47),
    ("replicas-in-deployment.yaml", "MP914", 8),
    ("resource-name-gpu.yaml", "MP908", 47),
    ("field-misspelt.yaml", "MP906", 49),
    ("v2beta1.yaml", "MP905", 31),
    ("min-equals-max.yaml", "MP915", 42),
];

#[test]
fn findings_stand_on_their_lines_in_every_format() {
    let truth: Value = serde_json::from_str(&text_of(&root().join("tests/corpus/truth.json"))).expect("JSON");
    for (file, code, line) in PLACES {
        let entry = truth["files"].as_array().expect("files").iter().find(|entry| entry["file"] == file);
        let faults = entry.expect("an entry")["faults"].as_array().expect("faults");
        assert!(faults.iter().any(|fault| fault["line"] == line), "{file}: the truth has another line");

        let path = format!("tests/corpus/{file}");
        let sarif: Value = serde_json::from_str(&stdout(gate(file, "sarif"))).expect("SARIF");
        let results = sarif["runs"][0]["results"].as_array().expect("results");
        let result = results.iter().find(|it| it["ruleId"] == code).expect("a result of the rule");
        let place = &result["locations"][0]["physicalLocation"];
        assert_eq!(place["artifactLocation"]["uri"], path, "{file}");
        assert_eq!(place["region"]["startLine"], line, "{file}");

        let annotations = stdout(gate(file, "github"));
        let expected = format!("file={path},line={line},");
        assert!(annotations.lines().any(|it| it.contains(&expected) && it.contains(code)), "{annotations}");

        let gitlab: Value = serde_json::from_str(&stdout(gate(file, "gitlab"))).expect("JSON");
        let entries = gitlab.as_array().expect("entries");
        let entry =
            entries.iter().find(|it| it["check_name"].as_str().is_some_and(|name| name.contains(code)));
        let location = &entry.unwrap_or_else(|| panic!("{file}: {gitlab:#}"))["location"];
        assert_eq!(location["path"], path);
        assert_eq!(location["lines"]["begin"], line, "{file}");
    }
}

#[test]
fn every_format_agrees_with_the_gate() {
    for name in SHOWN {
        let file = format!("{name}.yaml");
        let exit = i64::from(code(&gate(&file, "json")));
        let json: Value = serde_json::from_str(&stdout(gate(&file, "json"))).expect("JSON");
        let verdict = json["verdict"].as_str().expect("a verdict");
        for format in FORMATS {
            let output = gate(&file, format);
            assert_eq!(i64::from(code(&output)), exit, "{name} {format}");
            let text = stdout(output);
            let said = read(format, &text).unwrap_or_else(|error| panic!("{name} {format}: {error}\n{text}"));
            said.agrees(verdict, exit).unwrap_or_else(|error| panic!("{name} {format}: {error}\n{text}"));
        }
        let junit = stdout(gate(&file, "junit"));
        let parsed = roxmltree::Document::parse(&junit).expect("XML");
        let metrics = json["hpas"].as_array().expect("a list");
        let metrics: usize = metrics.iter().map(|hpa| hpa["metrics"].as_array().map_or(0, Vec::len)).sum();
        let suite =
            parsed.descendants().find(|node| node.attribute("name") == Some("hpas")).expect("a suite");
        assert_eq!(suite.attribute("tests"), Some(metrics.to_string().as_str()), "{name}");
    }
}

/// The whole corpus and every manifest that an API server has refused, in every format at once: JSON and SARIF by their
/// schemas, JUnit by our reader of its schema (`xsd.rs` asks a validator).
#[test]
fn every_format_agrees_on_every_manifest() {
    let scratch = Scratch::new();
    let mut looked = 0;
    for folder in ["tests/corpus", "tests/gate/refused"] {
        for stem in stems(&root().join(folder), ".yaml") {
            let file = format!("{folder}/{stem}.yaml");
            let path = |format: &str| scratch.path(&format!("report.{format}"));
            let others = FORMATS.into_iter().filter(|format| *format != "json");
            let mut args = vec!["gate".to_owned(), "--offline".to_owned(), "-f".to_owned(), file.clone()];
            args.extend(["-o".to_owned(), "json".to_owned()]);
            args.extend(
                others.clone().flat_map(|format| ["-o".to_owned(), format!("{format}={}", path(format))]),
            );
            let args: Vec<&str> = args.iter().map(String::as_str).collect();
            let output = command(&args).current_dir(root()).output().expect("the program starts");
            let json = document(&output);
            let verdict = json["verdict"].as_str().expect("a verdict");
            for format in others {
                let said = read(format, &text_of(path(format).as_ref()));
                let said = said.unwrap_or_else(|error| panic!("{file} {format}: {error}"));
                said.agrees(verdict, code(&output).into())
                    .unwrap_or_else(|error| panic!("{file} {format}: {error}"));
            }
            looked += 1;
        }
    }
    assert!(looked > 150, "{looked} manifests");
}

/// Files whose cure is a patch, and the code that goes with it.
const CURED: [(&str, &str); 12] = [
    ("container-name-typo.yaml", "MP909"),
    ("field-misspelt.yaml", "MP906"),
    ("keda-cpu-only-min-zero.yaml", "MP918"),
    ("object-metric-described-object-wrong-group.yaml", "MP921"),
    ("object-type-value-with-averagevalue.yaml", "MP908"),
    ("replicas-in-deployment.yaml", "MP914"),
    ("requests-zero.yaml", "MP901"),
    ("scale-up-disabled.yaml", "MP915"),
    ("string-instead-of-integer.yaml", "MP906"),
    ("target-group-extensions.yaml", "MP910"),
    ("v2beta1.yaml", "MP905"),
    ("v2beta1-fields-in-v2.yaml", "MP906"),
];

#[test]
fn a_patch_cures_what_it_is_for() {
    let codes = |document: &Value| -> Vec<String> {
        let causes = document["root_causes"].as_array().expect("root causes");
        causes.iter().map(|cause| cause["code"].as_str().expect("a code").to_owned()).collect()
    };
    for (file, wrong) in CURED {
        let scratch = Scratch::new();
        scratch.file("a b.yaml", &text_of(&root().join("tests/corpus").join(file)));
        let look = || {
            let output = command(&["gate", "--offline", "-o", "json", "-f", "a b.yaml"])
                .current_dir(scratch.path(""))
                .output();
            document(&output.expect("the program starts"))
        };
        let before = look();
        assert!(codes(&before).iter().any(|code| code == wrong), "{file}: {before:#}");
        let patches: String = before["root_causes"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(|it| it["patch"].as_str())
            .collect();
        let mut child = Command::new("patch")
            .args(["-p0", "--fuzz=0"])
            .current_dir(scratch.path(""))
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .expect("`patch` is installed");
        let mut input = child.stdin.take().expect("its input");
        std::io::Write::write_all(&mut input, patches.as_bytes()).expect("it reads");
        drop(input);
        assert!(child.wait().expect("it ends").success(), "{file}: {patches}");
        let after = look();
        assert_eq!(codes(&after), Vec::<String>::new(), "{file}: {patches}");
        assert_eq!(after["verdict"], "pass", "{file}");
    }
}

#[test]
fn standard_input_has_no_patch() {
    let text = text_of(&root().join("tests/corpus/v2beta1.yaml"));
    let mut child = command(&["gate", "--offline", "-o", "json", "-f", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the program starts");
    let mut input = child.stdin.take().expect("its input");
    std::io::Write::write_all(&mut input, text.as_bytes()).expect("it reads");
    drop(input);
    let document = document(&child.wait_with_output().expect("it ends"));
    assert_eq!(document["root_causes"][0]["code"], "MP905");
    assert_eq!(document["root_causes"][0]["patch"], Value::Null);
}

#[test]
fn the_headline_says_what_was_asked() {
    let scratch = Scratch::new();
    let deployment = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n---\napiVersion: v1\nkind: ConfigMap\n\
                      metadata: {name: b}\n";
    let none = scratch.file("none.yaml", deployment);
    let table = stdout(run(&["gate", "--offline", "-f", &none]));
    assert!(table.starts_with("There is no HorizontalPodAutoscaler to judge in 2 objects.\n"), "{table}");
    let table = stdout(gate("clean-limits-only.yaml", "table"));
    let first: Vec<&str> = table.lines().take(2).collect();
    let expected =
        "Nothing in the manifests keeps the autoscalers from reading their metrics; no cluster was asked.";
    assert_eq!(first.join(" "), expected);
    assert!(!table.contains("version unknown") && !table.contains("context"), "{table}");
}

/// A rule over autoscalers, for a gate.
const RULE: &str = "apiVersion: metrics-preflight/v1alpha1\nrules:\n  - code: ORG-1\n    name: hpa-too-large\n    \
                    title: The autoscaler may make more pods than a team is given\n    severity: error\n    \
                    modes: [gate]\n    forEach: plans\n    fails: has(plan.spec.max) && plan.spec.max > LIMIT\n";

#[test]
fn a_rule_for_a_gate_counts_and_leaves_the_line_of_the_autoscaler_alone() {
    let scratch = Scratch::new();
    let file = "tests/corpus/clean-limits-only.yaml";
    let look = |limit: &str, format: &str| {
        let rules = scratch.file("rules.yaml", &RULE.replace("LIMIT", limit));
        let mut command = command(&["gate", "--offline", "-o", format, "-f", file, "--rules", &rules]);
        command.current_dir(root()).output().expect("the program starts")
    };
    let found = document(&look("1", "json"));
    assert_eq!((&found["exit_code"], &found["verdict"]), (&1.into(), &"fail".into()));
    let cause = &found["root_causes"][0];
    assert_eq!((&cause["code"], &cause["details"][0]["place"]["file"]), (&"ORG-1".into(), &file.into()));
    assert_eq!(found["hpas"][0]["verdict"], "pass", "the controller reads it all the same");
    let table = stdout(look("1", "table"));
    assert!(table.starts_with("The manifests do not keep to rules of your own"), "{table}");
    for format in FORMATS {
        let said =
            read(format, &stdout(look("1", format))).unwrap_or_else(|error| panic!("{format}: {error}"));
        said.agrees("fail", 1).unwrap_or_else(|error| panic!("{format}: {error}"));
    }
    assert_eq!(code(&look("1000", "json")), 0);

    let rules = scratch.file("rules.yaml", &RULE.replace("LIMIT", "1").replace("    modes: [gate]\n", ""));
    let args = ["gate", "--offline", "-f", file, "--rules", &rules];
    let other = command(&args).current_dir(root()).output().expect("the program starts");
    assert_eq!(code(&other), 0, "it is a rule for `check`");
    assert!(crate::program::stderr(&other).contains("none of the rules is for a gate"));
}

#[test]
fn a_waiver_shows_on_the_line_of_the_autoscaler() {
    let scratch = Scratch::new();
    let file = "tests/corpus/container-name-typo.yaml";
    let plain = document(&gate("container-name-typo.yaml", "json"));
    let reason = &plain["hpas"][0]["metrics"][0]["reasons"][0];
    assert_eq!((&plain["exit_code"], &reason["code"]), (&1.into(), &"MP909".into()));
    assert!(reason.get("excused").is_none());
    let about = &plain["root_causes"][0]["subjects"][0];
    let name = |field: &str| about[field].as_str().expect("a name").to_owned();
    let subject = format!("{} {}/{}", name("kind"), name("namespace"), name("name"));
    let config = scratch.file(
        "c.yaml",
        &format!(
            "version: 1\nwaivers:\n  - code: MP909\n    subject: {subject:?}\n    reason: renamed in January\n    \
             owner: shop\n    expires: 2999-01-31\n"
        ),
    );
    let look = |format: &str| {
        let args = ["gate", "--offline", "-o", format, "-f", file, "--config", &config];
        command(&args).current_dir(root()).output().expect("the program starts")
    };
    let waived = document(&look("json"));
    assert_eq!((&waived["exit_code"], &waived["hpas"][0]["verdict"]), (&0.into(), &"fail".into()));
    let excuse = &waived["hpas"][0]["metrics"][0]["reasons"][0]["excused"];
    assert_eq!(excuse["why"], "waived until 2999-01-31 by shop: renamed in January");
    assert_eq!((&excuse["waiver"], &excuse["known"]), (&0.into(), &false.into()));
    let said = "not counted: waived until 2999-01-31 by shop: renamed in January";
    for format in ["table", "short", "junit", "markdown", "html"] {
        let text = stdout(look(format)).split_whitespace().collect::<Vec<_>>().join(" ").replace('\\', "");
        assert!(text.contains(&format!("(MP909); {said}")), "{format}: {text}");
    }
    for format in FORMATS {
        let text = stdout(look(format));
        let read = read(format, &text).unwrap_or_else(|error| panic!("{format}: {error}"));
        let verdict = waived["verdict"].as_str().expect("a verdict");
        read.agrees(verdict, 0).unwrap_or_else(|error| panic!("{format}: {error}"));
    }
}
