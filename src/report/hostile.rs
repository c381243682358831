//! Names and messages from a cluster are a stranger's words: whatever they hold, they stay words in every format.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::sync::LazyLock;

use checks::check::Outcome;
use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::TestRunner;
use pulldown_cmark::{Event, Options, Parser, TagEnd};

use super::json::{self, Document, Place};
use super::reading::{FORMATS, read, tags, yaml_value};
use super::text::clean;
use super::xmllint::refused;
use super::{Report, github, gitlab, html, junit, markdown, sarif, short, testing, yaml};
use crate::exit::Exit;

fn render(format: &str, document: &Document<'_>) -> String {
    match format {
        "short" => short::render(document),
        "json" => json::render(document),
        "yaml" => yaml::render(document),
        "junit" => junit::render(document),
        "sarif" => sarif::render(document),
        "github" => github::render(document),
        "gitlab" => gitlab::render(document),
        "markdown" => markdown::render(document),
        _ => html::render(document),
    }
}

/// A report in which every word that a cluster can choose is this one.
fn with_words(mut report: Report, word: &str) -> Report {
    let words = || word.to_owned();
    report.context = Some(words());
    report.server = Some(words());
    for request in &mut report.evidence.requests {
        request.request = words();
    }
    let findings = |finding: &mut checks::check::Finding| {
        finding.subject.name = word.to_owned();
        finding.subject.namespace = word.to_owned();
        finding.detail = word.to_owned();
        for citation in &mut finding.citations {
            (citation.path, citation.value, citation.expected) =
                (word.to_owned(), word.to_owned(), word.to_owned());
            citation.place.iter_mut().for_each(|place| place.file = word.to_owned());
        }
    };
    let step = |step: &mut checks::check::Step| {
        for text in [&mut step.run_on, &mut step.command, &mut step.manual, &mut step.verify] {
            *text = word.to_owned();
        }
    };
    for plan in &mut report.evidence.gate.plans {
        (plan.namespace, plan.name) = (words(), words());
        for metric in &mut plan.spec.metrics {
            metric.source = checks::plan::MetricRef::Resource { name: words() };
        }
    }
    for document in &mut report.evidence.gate.manifests.documents {
        document.place.file = words();
    }
    for reason in report
        .diagnosis
        .autoscalers
        .iter_mut()
        .flat_map(|it| &mut it.metrics)
        .flat_map(|metric| &mut metric.reasons)
    {
        reason.detail = words();
        reason.subject.name = words();
    }
    for cause in &mut report.diagnosis.root_causes {
        cause.findings.iter_mut().for_each(findings);
        cause.decide.iter_mut().for_each(step);
        for symptom in &mut cause.explains {
            symptom.subject.name = words();
            symptom.detail = words();
        }
        for remedy in &mut cause.remedies {
            remedy.title = words();
            remedy.cost = words();
            remedy.steps.iter_mut().for_each(step);
        }
    }
    report.diagnosis.unexplained.iter_mut().for_each(|symptom| findings(&mut symptom.finding));
    for open in &mut report.diagnosis.undecided {
        open.subject.name = words();
        open.missing.why = checks::evidence::Why::NotAsked(words());
    }
    for check in &mut report.diagnosis.checks {
        check.panic.iter_mut().for_each(|text| *text = word.to_owned());
        for (subject, outcome) in &mut check.results {
            subject.name = words();
            match outcome {
                Outcome::Fail(finding) => findings(finding),
                Outcome::NotApplicable(why) => *why = words(),
                Outcome::Undecided(missing) => missing.why = checks::evidence::Why::NotAsked(words()),
                Outcome::Pass => {}
            }
        }
    }
    report
}

/// What a format is made of when its words are taken out.
fn skeleton(format: &str, text: &str) -> String {
    let mut bones = String::new();
    match format {
        "html" => {
            let (code, others): (Vec<&str>, Vec<&str>) =
                tags(text).into_iter().partition(|tag| ["code", "/code"].contains(tag));
            assert!(code.chunks(2).all(|pair| pair == ["code", "/code"]), "code within code");
            return others.join("\n");
        }
        "junit" => {
            let document = roxmltree::Document::parse(text).expect("XML");
            for node in document.descendants().filter(roxmltree::Node::is_element) {
                let names: Vec<&str> = node.attributes().map(|attribute| attribute.name()).collect();
                let _ = writeln!(bones, "{} {names:?}", node.tag_name().name());
            }
        }
        "markdown" => bones = markdown_skeleton(text),
        "github" => {
            for line in text.lines() {
                let (properties, _) = line.trim_start_matches(':').split_once("::").expect("a command");
                let keys: Vec<&str> =
                    properties.split(',').map(|it| it.split('=').next().unwrap_or("")).collect();
                let _ = writeln!(bones, "{keys:?}");
            }
        }
        "short" => {
            for line in text.lines() {
                let _ = writeln!(bones, "{}", line.split(' ').next().unwrap_or_default());
            }
        }
        _ => {
            let value = if format == "yaml" {
                yaml_value(text).expect("YAML")
            } else {
                serde_json::from_str(text).expect("JSON")
            };
            keys(&mut bones, &value, 0);
        }
    }
    bones
}

fn keys(bones: &mut String, value: &serde_json::Value, depth: usize) {
    match value {
        serde_json::Value::Object(map) => map.iter().for_each(|(key, value)| {
            let _ = writeln!(bones, "{depth} {key}");
            keys(bones, value, depth + 1);
        }),
        serde_json::Value::Array(list) => list.iter().for_each(|value| keys(bones, value, depth + 1)),
        _ => {}
    }
}

/// Blocks and our own HTML. Words and code may take each other's place; nothing else may come of them, and what a
/// forge looks for in words (mentions, references, links) stands in code alone.
fn markdown_skeleton(text: &str) -> String {
    let mut bones = String::new();
    let mut html = String::new();
    let (mut code, mut block) = (0, false);
    for event in Parser::new_ext(text, Options::all() - Options::ENABLE_SMART_PUNCTUATION) {
        match event {
            Event::Text(words) if code == 0 && !block => {
                for sign in ["@", "#", "://", "www.", "[", "$", "!"] {
                    assert!(!words.contains(sign) || words.starts_with("? "), "{sign} in {words:?}");
                }
            }
            Event::Text(_) | Event::Code(_) | Event::SoftBreak => {}
            Event::InlineHtml(tag) if &*tag == "<code>" => code += 1,
            Event::InlineHtml(tag) if &*tag == "</code>" => code -= 1,
            Event::InlineHtml(tag) | Event::Html(tag) => html.push_str(&tag),
            Event::Start(tag) => {
                block |= matches!(tag, pulldown_cmark::Tag::CodeBlock(_));
                let _ = writeln!(bones, "{tag:?}");
            }
            Event::End(tag) => {
                block &= tag != TagEnd::CodeBlock;
                let _ = writeln!(bones, "{tag:?}");
            }
            other => {
                let _ = writeln!(bones, "{other:?}");
            }
        }
    }
    let tags = tags(&html).into_iter().filter(|tag| *tag != "code" && *tag != "/code").collect::<Vec<_>>();
    format!("{bones}{}", tags.join("\n"))
}

/// Pieces that mean something to one format or another.
const PIECES: [&str; 46] = [
    "\u{0}",
    "\u{1b}[31m",
    "\u{7f}",
    "\u{9b}31m",
    "\r\n",
    "\n",
    "\t",
    "\u{85}",
    "\u{2028}",
    "\u{202e}",
    "\u{2066}",
    "\u{feff}",
    "\u{fffe}",
    "\u{ffff}",
    "\u{200b}",
    "]]>",
    "<![CDATA[",
    "<!--",
    "-->",
    "</testsuite>",
    "&amp;",
    "&#x0;",
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "</style>",
    "\"",
    "'",
    "::",
    "%0A",
    "::error::x",
    "\n::set-output name=a::b",
    ",file=/etc/passwd",
    "`",
    "\n```\n",
    "|",
    "\\",
    "[x](javascript:a)",
    "@admin",
    "#1",
    "https://example.com",
    "www.example.com",
    "# x\n",
    "- x",
    "{{ x }}",
    ": x\n- y",
    "---\n",
];

fn words() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        4 => prop::sample::select(&PIECES[..]).prop_map(str::to_owned),
        1 => "\\PC{0,6}",
        1 => "[a-z ]{1,8}",
        1 => any::<char>().prop_map(String::from),
    ];
    let long = prop_oneof![9 => Just(1_usize), 1 => Just(400)];
    (prop::collection::vec(piece, 1..8), long)
        .prop_map(|(pieces, times)| pieces.concat().repeat(times))
        .prop_filter("a name is never empty", |word| !word.trim().is_empty())
}

/// The document of a report, with its first finding at a place in a file.
fn document<'r>(report: &'r Report, file: &str) -> Document<'r> {
    let mut document = json::document(report, None);
    for cause in &mut document.root_causes {
        cause.patch = cause.patch.as_ref().map(|_| file.to_owned());
    }
    if let Some(detail) = document.root_causes.first_mut().and_then(|cause| cause.details.first_mut()) {
        detail.place = Some(Place { file: file.to_owned(), line: 3, column: 7, end_line: None });
    }
    document
}

/// The skeletons of every format for a report whose words are plain.
type Bones = HashMap<&'static str, String>;

fn bones(plain: &Document<'_>) -> Bones {
    FORMATS.map(|format| (format, skeleton(format, &render(format, plain)))).into()
}

/// The reports, and the skeletons of each.
static REPORTS: LazyLock<Vec<(&'static str, Report, Bones)>> = LazyLock::new(|| {
    let reports = testing::reports().into_iter().filter(|(name, _)| *name != "undecided");
    reports
        .map(|(name, report)| {
            let plain = with_words(report.clone(), "plain");
            let bones = bones(&document(&plain, "plain"));
            (name, report, bones)
        })
        .collect()
});

fn check(name: &str, document: &Document<'_>, plain: &Bones) {
    let json = json::render(document);
    for format in FORMATS {
        let text = render(format, document);
        let said =
            read(format, &text).unwrap_or_else(|error| panic!("{name} {format}: {error}\n{text:.2000}"));
        said.agrees(document.verdict.unwrap_or("none"), document.exit_code.into())
            .unwrap_or_else(|error| panic!("{name} {format}: {error}\n{text:.2000}"));
        if !["json", "yaml"].contains(&format) {
            assert!(clean(&text) == text, "{name} {format}: something harmful is left in {text:.2000?}");
        }
        if text.contains(super::markdown::LEFT_OUT) {
            // What is too long is left out, and then there are fewer blocks.
            let _ = skeleton(format, &text);
            continue;
        }
        assert_eq!(
            skeleton(format, &text),
            plain[format],
            "{name} {format}: words have become more than words\n{text:.2000}"
        );
    }
    let yaml = yaml_value(&yaml::render(document)).expect("YAML");
    assert!(yaml == serde_json::from_str::<serde_json::Value>(&json).expect("JSON"), "{name}: {json:.2000}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 16, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn words_stay_words(word in words()) {
        for (name, report, bones) in &*REPORTS {
            check(name, &document(&with_words(report.clone(), &word), &word), bones);
        }
    }

    #[test]
    fn errors_stay_words(word in words()) {
        for exit in [Exit::Usage, Exit::Unreachable, Exit::Bug, Exit::Interrupted] {
            let error = |text: &str| json::Error {
                kind: "input",
                message: text.to_owned(),
                hint: Some(text.to_owned()),
            };
            let document = json::without_evidence("check", exit, &error(&word));
            check("error", &document, &bones(&json::without_evidence("check", exit, &error("plain"))));
        }
    }
}

/// As above, by a validator of XSD: every piece alone, and what the dice make of them.
#[test]
#[ignore = "it needs xmllint; .ci/run installs it and asks for this test"]
fn hostile_words_leave_junit_valid() {
    let mut runner = TestRunner::deterministic();
    let dice = (0..100).map(|_| words().new_tree(&mut runner).expect("words").current());
    let alone = PIECES.into_iter().map(|piece| format!("a{piece}b"));
    let mut documents = Vec::new();
    for word in alone.chain(dice) {
        for (name, report, _) in &*REPORTS {
            let report = with_words(report.clone(), &word);
            documents.push((format!("{name} {word:.200?}"), junit::render(&document(&report, &word))));
        }
        let error = json::Error { kind: "input", message: word.clone(), hint: Some(word.clone()) };
        let broken = json::without_evidence("check", Exit::Usage, &error);
        documents.push((format!("error {word:.200?}"), junit::render(&broken)));
    }
    let refused = refused(&documents);
    assert!(refused.is_empty(), "{} of {}: {refused:#?}", refused.len(), documents.len());
}

/// Wherever a finding stands in a file, the formats that can show it there do so.
#[test]
fn a_place_in_a_file_is_told() {
    let report = testing::broken();
    let document = document(&report, "deploy/hpa.yaml");
    for (format, expected) in [
        ("short", "(deploy/hpa.yaml:3:7)"),
        ("junit", "\nAt deploy/hpa.yaml:3\n"),
        ("sarif", "\"uri\": \"deploy/hpa.yaml\""),
        ("github", ",file=deploy/hpa.yaml,line=3,col=7::"),
        ("gitlab", "\"path\": \"deploy/hpa.yaml\""),
        ("markdown", "`deploy/hpa.yaml`:3: "),
        ("html", "<code>deploy/hpa.yaml:3</code>"),
    ] {
        let text = render(format, &document);
        assert!(text.contains(expected), "{format}: {text}");
    }
}

/// Every state that a run can end in, and not only those of recordings.
#[test]
fn every_format_agrees_with_every_report() {
    for (name, report) in testing::reports() {
        let document = json::document(&report, None);
        for format in FORMATS {
            let text = render(format, &document);
            let said =
                read(format, &text).unwrap_or_else(|error| panic!("{name} {format}: {error}\n{text:.2000}"));
            said.agrees(report.diagnosis.verdict.name(), report.exit.code().into())
                .unwrap_or_else(|error| panic!("{name} {format}: {error}\n{text:.2000}"));
        }
    }
}

/// A fingerprint is what a platform knows a finding by: neither a further node nor another line makes a new one.
#[test]
fn a_finding_keeps_its_fingerprint() {
    let prints = |document: &Document<'_>| -> Vec<String> {
        let text = gitlab::render(document);
        let list: Vec<serde_json::Value> = serde_json::from_str(&text).expect("JSON");
        list.iter().map(|entry| entry["fingerprint"].to_string()).collect()
    };
    let report = testing::broken();
    let mut fewer = report.clone();
    fewer.diagnosis.root_causes.iter_mut().for_each(|cause| cause.findings.truncate(1));
    let (whole, fewer) = (json::document(&report, None), json::document(&fewer, None));
    assert_eq!(prints(&whole), prints(&fewer));
    let (here, mut there) = (document(&report, "a"), document(&report, "a"));
    there.root_causes[0].details[0].place.as_mut().expect("a place").line = 9;
    assert_eq!(prints(&here), prints(&there));
    assert_ne!(prints(&here), prints(&document(&report, "b")));
}

#[test]
fn a_comment_on_a_pull_request_has_room_for_the_report() {
    let mut report = testing::broken();
    for cause in &mut report.diagnosis.root_causes {
        for remedy in &mut cause.remedies {
            remedy.steps.iter_mut().for_each(|step| step.command = "echo a long command\n".repeat(4_000));
        }
    }
    let document = json::document(&report, None);
    let text = markdown::render(&document);
    assert!(text.chars().count() < 65_536, "{}", text.chars().count());
    assert!(text.contains(markdown::LEFT_OUT) && text.contains("MP510"), "{text}");
    assert_eq!(read("markdown", &text).expect("a report").exit, Some(1));
}
