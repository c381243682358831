//! JUnit XML: a suite a link of the chain, a case a check. A run is red exactly when its exit code is not 0.

use quick_junit::{NonSuccessKind, Report, TestCase, TestCaseStatus, TestSuite, XmlString};

use super::gate::{metrics, name, outcome, why};
use super::items::{Item, Kind, items, subjects, verdict};
use super::json::{Autoscaler, Check, Document, MetricResult};
use super::text::{clean, excerpt, one_line};

/// How long a reason gets.
const REASON: usize = 400;

/// The document, which ends with a line break.
pub(crate) fn render(document: &Document<'_>) -> String {
    let items = items(document);
    let mut report = Report::new("metrics-preflight");
    report.add_test_suite(run(document, &items));
    if !document.hpas.is_empty() {
        let mut suite = TestSuite::new("hpas");
        let mut known = std::collections::HashSet::new();
        for (hpa, metric) in metrics(document) {
            let mut case = metric_case(document, hpa, metric);
            let mut number = 1;
            // One that is declared twice has the same metrics twice; cases have names of their own.
            while !known.insert((case.classname.clone(), case.name.clone())) {
                number += 1;
                case.name = line(&format!("{} ({number})", case_name(hpa, metric)));
            }
            suite.add_test_case(case);
        }
        report.add_test_suite(suite);
    }
    let mut hops: Vec<&str> = Vec::new();
    for check in &document.checks {
        if !hops.contains(&check.hop) {
            hops.push(check.hop);
        }
    }
    for hop in hops {
        let mut suite = TestSuite::new(hop);
        for check in document.checks.iter().filter(|check| check.hop == hop) {
            suite.add_test_case(case(document, check, &items));
        }
        report.add_test_suite(suite);
    }
    report.to_string().map_or_else(|_| String::new(), |text| format!("{}\n", plain(&text).trim_end()))
}

/// Without the count of skipped cases of all suites together, which the schema of Jenkins' xUnit plugin does not have.
fn plain(text: &str) -> String {
    let Some((before, rest)) = text.split_once("<testsuites ") else { return text.to_owned() };
    let Some((head, after)) = rest.split_once('>') else { return text.to_owned() };
    let kept = head.split_inclusive("\" ").filter(|attribute| !attribute.starts_with("skipped="));
    let kept: String = kept.collect();
    format!("{before}<testsuites {}>{after}", kept.trim_end())
}

/// The run as a whole: it fails when nothing could be decided, or not everything was seen. Its properties carry what
/// the format has no other place for.
fn run(document: &Document<'_>, items: &[Item<'_>]) -> TestSuite {
    let status = match items.iter().find(|item| item.kind == Kind::Run) {
        Some(item) => {
            let mut text = item.title.to_owned();
            if let Some(advice) = item.advice {
                text = format!("{text}\n{advice}");
            }
            broken(NonSuccessKind::Error, item.name, item.title, &text)
        }
        None => TestCaseStatus::success(),
    };
    let title = match document.gate {
        Some(gate) if gate.offline => "the manifests were looked at",
        _ => "the cluster was looked at",
    };
    let mut case = TestCase::new(title, status);
    case.set_classname("metrics-preflight.run");
    let waivers = items.iter().filter(|item| item.kind == Kind::Waiver).map(Item::sentence);
    let lines: Vec<String> = std::iter::once(verdict(document)).chain(waivers).collect();
    case.set_system_out(text(&lines.join("\n")));
    let mut suite = TestSuite::new("run");
    let taken_at = document.taken_at.map(|time| time.to_string());
    for (name, value) in [
        ("verdict", document.verdict),
        ("exit_code", Some(document.exit_code.to_string().as_str())),
        ("mode", Some(document.mode)),
        ("taken_at", taken_at.as_deref()),
        ("context", document.vantage.context),
        ("kubernetes", document.cluster.version),
        ("metrics-preflight", Some(document.tool.version)),
    ] {
        suite.add_property((XmlString::new(name), line(value.unwrap_or("none"))));
    }
    suite.add_test_case(case);
    suite
}

/// A metric of an autoscaler: it fails where the exit code counts what keeps it from being read.
fn metric_case(document: &Document<'_>, hpa: &Autoscaler<'_>, metric: &MetricResult<'_>) -> TestCase {
    let said = format!("{}: {}", outcome(metric.verdict), why(metric));
    let is_strict = document.policy.is_some_and(|policy| policy.strict);
    let counts = document.exit_code != 0;
    let open = counts && document.verdict == Some("undecided");
    let status = match metric.verdict {
        "pass" => TestCaseStatus::success(),
        "fail" if counts && !is_excused(metric) => broken(NonSuccessKind::Failure, "fail", &said, &said),
        "undecided" if open => broken(NonSuccessKind::Error, "undecided", &said, &said),
        "deferred" if open && is_strict => broken(NonSuccessKind::Error, "deferred", &said, &said),
        _ => skipped(&said),
    };
    let mut case = TestCase::new(line(&case_name(hpa, metric)), status);
    case.set_classname(line(&format!("metrics-preflight.hpas.{}", name(hpa))));
    // The schema has no attribute for a place.
    if let (Some(file), Some(at)) = (hpa.file, hpa.line) {
        case.set_system_out(text(&format!("At {file}:{at}")));
    }
    case
}

/// Whether the exit code counts nothing of what keeps a metric from being read.
fn is_excused(metric: &MetricResult<'_>) -> bool {
    !metric.reasons.is_empty() && metric.reasons.iter().all(|reason| reason.excused.is_some())
}

fn case_name(hpa: &Autoscaler<'_>, metric: &MetricResult<'_>) -> String {
    format!("{}[{}] {} {}", name(hpa), metric.index, metric.kind, excerpt(metric.name, REASON))
}

fn case(document: &Document<'_>, check: &Check<'_>, items: &[Item<'_>]) -> TestCase {
    let own: Vec<&Item<'_>> = items.iter().filter(|item| item.code == check.code).collect();
    let mut case =
        TestCase::new(line(&format!("{} {}", check.code, check.name)), status(document, check, &own));
    case.set_classname(line(&format!("metrics-preflight.{}", check.hop)));
    // A case that passes has no message; what is worth knowing all the same goes to its output.
    let notes: Vec<String> = own
        .iter()
        .filter(|item| !item.fails && matches!(item.kind, Kind::Cause | Kind::Unexplained))
        .map(|item| format!("{}: {}", item.severity, body(item)))
        .collect();
    if !notes.is_empty() {
        case.set_system_out(text(&notes.join("\n")));
    }
    case
}

fn status(document: &Document<'_>, check: &Check<'_>, own: &[&Item<'_>]) -> TestCaseStatus {
    let failing: Vec<&&Item<'_>> = own.iter().filter(|item| item.fails).collect();
    let found = failing.iter().any(|item| matches!(item.kind, Kind::Cause | Kind::Unexplained));
    if let Some(first) = failing.first() {
        let kind = if found { NonSuccessKind::Failure } else { NonSuccessKind::Error };
        let what = match first.kind {
            Kind::Cause => first.severity,
            Kind::Unexplained => "unexplained",
            Kind::Open => "undecided",
            Kind::Lost | Kind::Run | Kind::Waiver => "bug",
        };
        let bodies: Vec<String> = failing.iter().map(|item| body(item)).collect();
        return broken(kind, what, &first.sentence(), &bodies.join("\n\n"));
    }
    let below = own.iter().any(|item| matches!(item.kind, Kind::Cause | Kind::Unexplained));
    match check.worst {
        _ if below => TestCaseStatus::success(),
        "fail" => match explained_by(document, check) {
            Some(causes) => skipped(&format!("brought about by {causes}")),
            // Worth knowing and no more, or a place whose cause was found.
            None => TestCaseStatus::success(),
        },
        "undecided" => skipped(&format!("undecided: {}", reason(check, "undecided"))),
        "not-applicable" => skipped(&format!("not applicable: {}", reason(check, "not-applicable"))),
        _ => TestCaseStatus::success(),
    }
}

/// The root causes that bring about what a check found.
fn explained_by(document: &Document<'_>, check: &Check<'_>) -> Option<String> {
    let explains =
        document.root_causes.iter().filter(|cause| cause.explains.iter().any(|it| it.code == check.code));
    let names: Vec<String> = explains.map(|cause| format!("{} {}", cause.code, cause.name)).collect();
    (!names.is_empty()).then(|| names.join(", "))
}

fn reason(check: &Check<'_>, result: &str) -> String {
    let group = check.groups.iter().find(|group| group.result == result);
    excerpt(
        group
            .and_then(|group| group.reason.as_deref())
            .unwrap_or("there is nothing of the kind that it looks at"),
        REASON,
    )
}

/// What a person reads who opens the case.
fn body(item: &Item<'_>) -> String {
    let mut lines = vec![item.title.to_owned()];
    let about = subjects(&item.subjects);
    if !about.is_empty() {
        lines.push(format!("Concerns {about}."));
    }
    if let Some(place) = item.place {
        lines.push(format!("At {}:{}", place.file, place.line));
    }
    lines.extend(item.details.iter().map(|detail| format!("- {detail}")));
    if let Some(advice) = item.advice {
        lines.push(if item.kind == Kind::Cause { format!("Fix: {advice}") } else { advice.to_owned() });
    }
    lines.push(format!("More: metrics-preflight explain {}", item.code));
    lines.join("\n")
}

fn broken(kind: NonSuccessKind, what: &str, message: &str, body: &str) -> TestCaseStatus {
    let mut status = TestCaseStatus::non_success(kind);
    status.set_type(line(what)).set_message(line(message)).set_description(text(body));
    status
}

fn skipped(message: &str) -> TestCaseStatus {
    let mut status = TestCaseStatus::skipped();
    status.set_message(line(message));
    status
}

/// The value of an attribute.
fn line(value: &str) -> XmlString {
    text(&one_line(value))
}

/// Text without what XML 1.0 cannot hold.
fn text(value: &str) -> XmlString {
    let value = clean(value);
    XmlString::new(value.replace('\u{fffe}', "\\u{fffe}").replace('\u{ffff}', "\\u{ffff}"))
}
