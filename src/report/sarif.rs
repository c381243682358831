//! SARIF 2.1.0: the checks are its rules, the findings its results, and what stayed open its notifications.
//!
//! <https://docs.oasis-open.org/sarif/sarif/v2.1.0/sarif-v2.1.0.html>

mod model;

use std::collections::HashSet;

use checks::registry::CHECKS;

use super::hash::fingerprint;
use super::items::{Item, Kind, items, verdict};
use super::json::{Check, Document, Place, Subject};
use super::text::{clean, one_line};
use model::{
    Artifact, Configuration, Descriptor, Driver, Fingerprints, Invocation, Location, Log, Logical, Message,
    Multiformat, Notification, Physical, Properties, Region, Rule, RuleProperties, Run, SarifResult,
    Suppression, Tool,
};

/// How many subjects of a result become logical locations: more of them nobody reads.
const LOCATIONS: usize = 100;

/// The log, which ends with a line break.
pub(crate) fn render(document: &Document<'_>) -> String {
    let items = items(document);
    let found = |item: &&Item<'_>| matches!(item.kind, Kind::Cause | Kind::Unexplained);
    let results: Vec<SarifResult> =
        items.iter().filter(found).map(|item| result(item, &document.checks)).collect();
    let with_result: HashSet<&str> = items.iter().filter(found).map(|item| item.code).collect();
    let rules = document.checks.iter().map(|check| rule(check, with_result.contains(check.code)));
    let log = Log {
        schema: "https://json.schemastore.org/sarif-2.1.0.json",
        version: "2.1.0",
        runs: [Run {
            tool: Tool {
                driver: Driver {
                    name: document.tool.name,
                    semantic_version: document.tool.version,
                    rules: rules.collect(),
                },
            },
            invocations: [Invocation {
                exit_code: document.exit_code,
                exit_code_description: verdict(document),
                // Undecided is not a success: nobody may take an empty list of results for a clean cluster.
                execution_successful: document.exit_code <= 1,
                tool_execution_notifications: items
                    .iter()
                    .filter(|item| !found(item))
                    .map(|item| notification(item, &document.checks))
                    .collect(),
            }],
            column_kind: "unicodeCodePoints",
            results,
            properties: Properties {
                verdict: document.verdict,
                mode: document.mode,
                taken_at: document.taken_at.map(|time| time.to_string()),
                context: document.vantage.context.map(|context| clean(context).into_owned()),
                kubernetes: document.cluster.version.map(|version| clean(version).into_owned()),
            },
        }],
    };
    let mut text = serde_json::to_string_pretty(&log).unwrap_or_else(|_| "{}".to_owned());
    text.push('\n');
    text
}

/// A check. Its page is given where there is a result: as text, and as Markdown for who can show it.
fn rule(check: &Check<'_>, with_page: bool) -> Rule {
    let page = CHECKS.iter().find(|known| known.code == check.code && with_page).map(|known| {
        let page = known.page();
        Multiformat { text: page.clone(), markdown: Some(page) }
    });
    let explain =
        || Multiformat { text: format!("metrics-preflight explain {}", check.code), markdown: None };
    Rule {
        id: clean(check.code).into_owned(),
        name: clean(check.name).into_owned(),
        short_description: Multiformat { text: clean(check.title).into_owned(), markdown: None },
        help: page.unwrap_or_else(explain),
        default_configuration: Configuration { level: level(check.severity) },
        properties: RuleProperties { tags: vec!["kubernetes", check.hop] },
    }
}

fn result(item: &Item<'_>, checks: &[Check<'_>]) -> SarifResult {
    let mut message = item.sentence();
    if item.kind == Kind::Unexplained {
        message = format!("{message} (no root cause explains it)");
    }
    if let Some(advice) = item.advice {
        message = format!("{message}\nFix: {advice}");
    }
    SarifResult {
        rule_id: clean(item.code).into_owned(),
        rule_index: rule_index(item, checks),
        kind: "fail",
        level: level(item.severity),
        message: Message { text: clean(&message).into_owned() },
        locations: [location(item)],
        partial_fingerprints: Fingerprints { finding: fingerprint(item) },
        suppressions: item
            .excused
            .iter()
            .map(|why| Suppression { kind: "external", justification: clean(why).into_owned() })
            .collect(),
    }
}

fn notification(item: &Item<'_>, checks: &[Check<'_>]) -> Notification {
    let rule = |_: &str| Descriptor { id: clean(item.code).into_owned(), index: rule_index(item, checks) };
    Notification {
        level: match (item.fails, item.rests) {
            (true, _) => "error",
            (false, true) => "warning",
            (false, false) => "note",
        },
        message: Message { text: clean(&item.sentence()).into_owned() },
        associated_rule: Some(item.code).filter(|code| !code.is_empty()).map(rule),
    }
}

fn rule_index(item: &Item<'_>, checks: &[Check<'_>]) -> Option<usize> {
    checks.iter().position(|check| check.code == item.code)
}

fn level(severity: &str) -> &'static str {
    match severity {
        "error" => "error",
        "warning" => "warning",
        _ => "note",
    }
}

/// The place in a file, or a path that stands in for it, for code scanning shows no result without one; and the
/// subjects.
fn location(item: &Item<'_>) -> Location {
    let mut seen = HashSet::new();
    let subjects = item.subjects.iter().map(|subject| logical(subject));
    Location {
        physical_location: match item.place {
            Some(place) => physical(place),
            None => Physical {
                artifact_location: Artifact { uri: uri(&item.stand_in()) },
                region: Region { start_line: 1, start_column: 1, end_line: None },
            },
        },
        logical_locations: subjects
            .filter(|logical| seen.insert(logical.fully_qualified_name.clone()))
            .take(LOCATIONS)
            .collect(),
    }
}

fn logical(subject: &Subject<'_>) -> Logical {
    let parts = [Some(subject.kind), subject.namespace, Some(subject.name)];
    let whole = parts.into_iter().flatten().collect::<Vec<_>>().join("/");
    Logical {
        name: one_line(subject.name).into_owned(),
        fully_qualified_name: one_line(&whole).into_owned(),
        kind: "resource",
    }
}

fn physical(place: &Place) -> Physical {
    Physical {
        artifact_location: Artifact { uri: uri(&place.file) },
        region: Region {
            start_line: place.line.max(1),
            start_column: place.column.max(1),
            end_line: place.end_line.filter(|end| *end >= place.line),
        },
    }
}

/// A path as a reference to a file: what is not plain is encoded, and the first segment is never a scheme.
fn uri(path: &str) -> String {
    use std::fmt::Write as _;
    let mut uri = String::new();
    for byte in path.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'/' | b'.' | b'-' | b'_' | b'~' => {
                uri.push(byte.into());
            }
            other => {
                let _ = write!(uri, "%{other:02X}");
            }
        }
    }
    if uri.starts_with('/') { format!("file://{uri}") } else { uri.trim_start_matches("./").to_owned() }
}

#[cfg(test)]
mod tests {
    use super::uri;

    #[test]
    fn a_path_is_a_reference() {
        for (path, expected) in [
            ("deploy/hpa.yaml", "deploy/hpa.yaml"),
            ("./deploy/hpa.yaml", "deploy/hpa.yaml"),
            ("/srv/a b.yaml", "file:///srv/a%20b.yaml"),
            ("javascript:alert(1)", "javascript%3Aalert%281%29"),
            ("a?b#c%", "a%3Fb%23c%25"),
        ] {
            assert_eq!(uri(path), expected);
        }
    }
}
