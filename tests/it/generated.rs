//! What is made from the checks and from the command line: the registry, a page a check, the reference.
//!
//! `UPDATE=1 cargo test --test it generated` writes all of it anew; without it, a test fails on what is stale.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use checks::check::{Check, Kind, Severity};
use checks::evidence::{Grant, Mode, Need};
use checks::registry::CHECKS;

use crate::tree::{entries, read, root, stems};

fn is_update() -> bool {
    std::env::var_os("UPDATE").is_some_and(|value| value == "1")
}

/// Compares a file with what it must hold, or writes it.
fn settle(path: &Path, content: &str) {
    let stands = std::fs::read_to_string(path).unwrap_or_default();
    if stands == content {
        return;
    }
    assert!(
        is_update(),
        "{} is stale; write it anew: UPDATE=1 cargo test --test it generated",
        path.display()
    );
    std::fs::create_dir_all(path.parent().expect("a folder")).expect("the folder can be made");
    std::fs::write(path, content).expect("the file can be written");
}

/// The files of checks: the code, the hop's folder and the module of each.
fn check_files() -> BTreeMap<String, (String, String)> {
    let checks = root().join("checks");
    let mut found = BTreeMap::new();
    for hop in entries(&checks).into_iter().filter(|name| checks.join(name).is_dir()) {
        for module in stems(&checks.join(&hop), ".rs") {
            let text = read(&checks.join(&hop).join(format!("{module}.rs")));
            let code =
                text.lines().find_map(|line| line.trim().strip_prefix("code: \"")?.strip_suffix("\","));
            if let Some(code) = code.filter(|code| code.starts_with("MP")) {
                let other = found.insert(code.to_owned(), (hop.clone(), module.clone()));
                assert_eq!(other, None, "{code} stands in two files, one of them {hop}/{module}.rs");
            }
        }
    }
    found
}

#[test]
fn the_registry_holds_every_check() {
    let mut text = String::from(
        "//! Every check, in the order of the chain and of its code.\n//!\n\
         //! Written by `UPDATE=1 cargo test --test it generated`; a test fails when it is stale.\n\n\
         use crate::check::Check;\nuse crate::page::pages;\n\n/// Every check.\npub static CHECKS: &[Check] = pages![\n",
    );
    for (hop, module) in check_files().values() {
        let _ = writeln!(text, "    crate::{hop}::{module}::CHECK,");
    }
    text.push_str("];\n");
    settle(&root().join("checks/registry.rs"), &text);
}

#[test]
fn a_check_lives_in_the_file_of_its_name() {
    let files = check_files();
    for check in CHECKS {
        let (hop, module) = files.get(check.code).unwrap_or_else(|| panic!("{} has no file", check.code));
        assert_eq!(*module, check.name.replace('-', "_"), "{}", check.code);
        assert_eq!(*hop, check.hop.name().replace('-', "_"), "{} is in another hop's folder", check.name);
    }
}

/// The files of checks are declared by what is there; what else a hop's `mod.rs` holds stays.
#[test]
fn every_hop_declares_its_checks() {
    let files = check_files();
    let hops: BTreeSet<&String> = files.values().map(|(hop, _)| hop).collect();
    for hop in hops {
        let path = root().join("checks").join(hop).join("mod.rs");
        let text = read(&path);
        let (declared, others): (Vec<&str>, Vec<&str>) =
            text.lines().partition(|line| module(line).is_some());
        let mut lines: BTreeMap<&str, String> =
            declared.iter().filter_map(|line| Some((module(line)?, (*line).to_owned()))).collect();
        lines.retain(|name, line| !line.starts_with("pub") || files.values().any(|(_, known)| known == name));
        for (_, name) in files.values().filter(|(of, _)| of == hop) {
            lines.insert(name, format!("pub(crate) mod {name};"));
        }
        let comment = others.iter().take_while(|line| line.starts_with("//!")).count();
        let mut whole: Vec<String> = others[..comment].iter().map(|line| (*line).to_owned()).collect();
        whole.push(String::new());
        whole.extend(lines.into_values());
        let rest = &others[comment..];
        let rest = &rest[rest.iter().take_while(|line| line.is_empty()).count()..];
        if !rest.is_empty() {
            whole.push(String::new());
        }
        whole.extend(rest.iter().map(|line| (*line).to_owned()));
        settle(&path, &(whole.join("\n") + "\n"));
    }
}

/// The module that a line declares.
fn module(line: &str) -> Option<&str> {
    line.strip_prefix("pub(crate) ").unwrap_or(line).strip_prefix("mod ")?.strip_suffix(';')
}

/// A code is part of what users write into scripts and tickets: it never changes its meaning, and the code of a check
/// that is gone is never used for another. So this list only ever grows, and a line that changes or goes is a question
/// to its reviewer.
#[test]
fn codes_keep_their_meaning() {
    let list: Vec<String> = CHECKS.iter().map(|check| format!("{} {}", check.code, check.name)).collect();
    let mut settings = insta::Settings::clone_current();
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.bind(|| insta::assert_snapshot!("codes", list.join("\n")));
}

fn pages() -> PathBuf {
    root().join("docs/src/checks")
}

#[test]
fn every_check_has_its_page_and_every_page_its_check() {
    for check in CHECKS {
        settle(&pages().join(format!("{}.md", check.name)), &page(check));
    }
    settle(&pages().join("README.md"), &index());
    let known: BTreeSet<&str> = CHECKS.iter().map(|check| check.name).chain(["README"]).collect();
    for stem in stems(&pages(), ".md").into_iter().filter(|stem| !known.contains(stem.as_str())) {
        let path = pages().join(format!("{stem}.md"));
        assert!(is_update(), "{} is the page of no check", path.display());
        std::fs::remove_file(&path).expect("the page can be removed");
    }
}

#[test]
fn the_book_lists_every_page() {
    let path = root().join("docs/src/SUMMARY.md");
    let text = read(&path);
    let is_page = |line: &&str| line.starts_with("  - [MP");
    let before = text.lines().take_while(|line| !is_page(line));
    let after = text.lines().skip_while(|line| !is_page(line)).skip_while(is_page);
    let pages = CHECKS.iter().map(|check| format!("  - [{0} {1}](checks/{1}.md)", check.code, check.name));
    let lines: Vec<String> = before.map(str::to_owned).chain(pages).chain(after.map(str::to_owned)).collect();
    settle(&path, &(lines.join("\n") + "\n"));
}

/// The sample in the README is what the program prints; `[...]` stands for what was cut.
#[test]
fn the_sample_report_is_true() {
    let readme = read(&root().join("README.md"));
    let sample = readme.split("```text\n").nth(1).and_then(|rest| rest.split("\n```").next());
    let sample = sample.expect("the README has a sample in a ```text block");
    let output = Command::new(env!("CARGO_BIN_EXE_metrics-preflight"))
        .current_dir(root())
        .args(["check", "--replay", "tests/recordings/self-signed-all.nodes.jsonl"])
        .output()
        .expect("the program runs");
    let report = String::from_utf8_lossy(&output.stdout).into_owned();
    let mut left = report.lines();
    for line in sample.lines().filter(|line| !line.trim().starts_with("$ ") && !line.contains("[...]")) {
        assert!(
            left.any(|printed| printed.trim_end() == line.trim_end()),
            "not printed (in this order): {line}"
        );
    }
}

#[test]
fn every_check_stands_among_the_names() {
    let names = read(&root().join("docs/src/names.md"));
    let holds = |word: &str| names.split(|c: char| !c.is_alphanumeric() && c != '-').any(|part| part == word);
    for check in CHECKS {
        assert!(
            holds(check.code) && holds(check.name),
            "docs/src/names.md lacks {} {}",
            check.code,
            check.name
        );
    }
}

/// The page of a check in the book: its metadata below the title, then what its file says.
fn page(check: &Check) -> String {
    let text = check.page();
    let (title, rest) = text.split_once('\n').expect("a page has a title");
    let mut page = format!("{title}\n\n{}", head(check));
    page.push_str(rest.trim_end());
    page.push('\n');
    page
}

/// The metadata of a check as a table.
fn head(check: &Check) -> String {
    let mut rows = vec![
        ("Code", check.code.to_owned()),
        ("Name", format!("`{}`", check.name)),
        ("Link of the chain", check.hop.label().to_owned()),
        ("Severity", severity(check.severity).to_owned()),
        ("Class", class(check).to_owned()),
        ("Applies", modes(check)),
    ];
    rows.push(("Reads", check.needs.iter().map(|need| reads(*need)).collect::<Vec<_>>().join("<br>")));
    if !check.explains.is_empty() {
        let links: Vec<String> = check.explains.iter().map(|name| format!("[{name}]({name}.md)")).collect();
        rows.push(("Can explain", links.join(", ")));
    }
    if let Kind::Place(candidates) = check.kind {
        let known = |name: &str| CHECKS.iter().any(|check| check.name == name);
        let words: Vec<String> = candidates
            .iter()
            .map(|name| if known(name) { format!("[{name}]({name}.md)") } else { format!("`{name}`") })
            .collect();
        rows.push(("Gives way to", words.join(", ")));
    }
    let mut table = String::from("| | |\n|---|---|\n");
    for (key, value) in rows {
        let _ = writeln!(table, "| {key} | {value} |");
    }
    table
}

/// All checks as a table.
fn index() -> String {
    let mut text = String::from(
        "# The checks\n\nEvery check, in the order of the chain. `metrics-preflight explain CODE` prints the same page.\n\n\
         | Code | Check | What it states | Severity | Class |\n|---|---|---|---|---|\n",
    );
    for check in CHECKS {
        let (code, name, title) = (check.code, check.name, check.title);
        let (severity, class) = (severity(check.severity), class(check));
        let _ = writeln!(text, "| {code} | [{name}]({name}.md) | {title} | {severity} | {class} |");
    }
    text
}

fn severity(severity: Severity) -> &'static str {
    match severity {
        Severity::Info => "info",
        Severity::Warning => "warning",
        Severity::Error => "error",
    }
}

/// What a failure is to a diagnosis.
fn class(check: &Check) -> &'static str {
    match check.kind {
        Kind::Cause => "cause",
        Kind::Hazard => "hazard",
        Kind::Symptom => "symptom",
        Kind::Place(_) => "place",
    }
}

fn modes(check: &Check) -> String {
    let words = check.modes.iter().map(|mode| match mode {
        Mode::Installed => "`check`",
        Mode::BeforeInstall => "`check --before-install`",
        Mode::Gate => "`gate`",
        Mode::Host => "`host`",
    });
    words.collect::<Vec<_>>().join(", ")
}

/// A kind of observation and what it takes to make it.
fn reads(need: Need) -> String {
    let name = serde_json::to_value(need).expect("a name");
    let name = name.as_str().expect("a name");
    match need.grant() {
        Grant::Everyone => format!("{name}: every authenticated user may"),
        Grant::Cluster(verb, resource) => format!("{name}: `{verb}` on `{resource}`"),
        Grant::Namespaced(verb, resource) => format!("{name}: `{verb}` on `{resource}` in one namespace"),
        Grant::NonResource(path) => format!("{name}: `get` on the path `{path}`"),
        Grant::Nothing => format!("{name}: no permission, it stands in the files at hand"),
        Grant::Host => format!("{name}: `host` on the machine"),
        Grant::Probe => format!("{name}: `probe`"),
        Grant::KubeletNetwork => format!("{name}: a network path to the kubelet's port"),
    }
}

/// Where the part of the page of rules begins that is made here.
const FROM_HERE: &str = "<!-- From here on: UPDATE=1 cargo test --test it generated -->\n";

#[test]
fn the_page_of_rules_has_the_whole_reference() {
    let path = root().join("docs/src/rules.md");
    let stands = read(&path);
    let (written, _) = stands.split_once(FROM_HERE).expect("the mark of what is generated");
    settle(&path, &format!("{written}{FROM_HERE}\n{}", checks::rules::reference::markdown()));
}

/// What the program prints for these arguments, as wide as a page.
fn help(arguments: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_metrics-preflight"))
        .args(arguments)
        .arg("--help")
        .env("COLUMNS", "100")
        .output()
        .expect("the program starts");
    assert!(output.status.success(), "{arguments:?}");
    String::from_utf8(output.stdout).expect("text")
}

/// The subcommands that a help text lists.
fn subcommands(help: &str) -> Vec<String> {
    let listed = help.lines().skip_while(|line| *line != "Commands:").skip(1);
    listed
        .take_while(|line| !line.is_empty())
        .filter_map(|line| line.strip_prefix("  ")?.split(' ').next())
        .filter(|name| !name.is_empty() && *name != "help")
        .map(str::to_owned)
        .collect()
}

#[test]
fn the_reference_shows_the_help_of_every_subcommand() {
    let mut text =
        String::from("# The command line\n\nWhat `--help` prints, for the program and each subcommand.\n");
    let whole = help(&[]);
    let subcommands = subcommands(&whole);
    assert!(subcommands.iter().any(|name| name == "check"), "{whole}");
    let mut chapter = |title: &str, help: &str| {
        let help: Vec<&str> = help.trim_end().lines().map(str::trim_end).collect();
        let _ = write!(text, "\n## `{title}`\n\n```text\n{}\n```\n", help.join("\n"));
    };
    chapter("metrics-preflight", &whole);
    for name in subcommands {
        let help_of_name = help(&[&name]);
        chapter(&format!("metrics-preflight {name}"), &help_of_name);
        for below in self::subcommands(&help_of_name) {
            chapter(&format!("metrics-preflight {name} {below}"), &help(&[&name, &below]));
        }
    }
    settle(&root().join("docs/src/cli.md"), &text);
}
