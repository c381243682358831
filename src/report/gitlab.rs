//! A Code Quality report of GitLab.
//!
//! <https://docs.gitlab.com/ci/testing/code_quality/#code-quality-report-format>

use serde::Serialize;

use super::hash::fingerprint;
use super::items::{Item, Kind, items};
use super::json::Document;
use super::text::one_line;

/// A violation.
#[derive(Serialize)]
struct Violation {
    description: String,
    check_name: String,
    fingerprint: String,
    severity: &'static str,
    location: Location,
}

#[derive(Serialize)]
struct Location {
    path: String,
    lines: Lines,
}

#[derive(Serialize)]
struct Lines {
    begin: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    end: Option<usize>,
}

/// The list of violations, which ends with a line break.
pub(crate) fn render(document: &Document<'_>) -> String {
    let violations: Vec<Violation> =
        items(document).iter().filter(|item| item.kind != Kind::Open || item.fails).map(violation).collect();
    let mut text = serde_json::to_string_pretty(&violations).unwrap_or_else(|_| "[]".to_owned());
    text.push('\n');
    text
}

fn violation(item: &Item<'_>) -> Violation {
    let check_name = if item.code.is_empty() {
        format!("metrics-preflight-{}", item.name)
    } else {
        format!("{} {}", item.code, item.name)
    };
    let (path, lines) = match item.place {
        Some(place) => (relative(&place.file), Lines { begin: place.line, end: place.end_line }),
        None => (item.stand_in(), Lines { begin: 1, end: None }),
    };
    Violation {
        description: one_line(&item.sentence()).into_owned(),
        check_name,
        fingerprint: fingerprint(item),
        severity: severity(item),
        location: Location { path: one_line(&path).into_owned(), lines },
    }
}

/// `major` and above for what the exit code counts, less for the rest.
fn severity(item: &Item<'_>) -> &'static str {
    match (item.kind, item.fails, item.severity) {
        (Kind::Run | Kind::Lost, ..) => "blocker",
        (Kind::Open, true, _) | (_, true, "warning") => "major",
        (_, true, _) => "critical",
        (_, false, "info") => "info",
        (_, false, _) => "minor",
    }
}

/// A path below the root of the repository, as GitLab writes it.
fn relative(path: &str) -> String {
    let mut segments: Vec<&str> = Vec::new();
    for segment in path.split('/') {
        match segment {
            "" | "." => {}
            ".." => drop(segments.pop()),
            segment => segments.push(segment),
        }
    }
    if segments.is_empty() { "file".to_owned() } else { segments.join("/") }
}

#[cfg(test)]
mod tests {
    use super::relative;

    #[test]
    fn a_path_stays_below_the_root() {
        for (path, expected) in [
            ("deploy/hpa.yaml", "deploy/hpa.yaml"),
            ("./deploy//hpa.yaml", "deploy/hpa.yaml"),
            ("deploy/../hpa.yaml", "hpa.yaml"),
            ("/srv/hpa.yaml", "srv/hpa.yaml"),
            ("../../hpa.yaml", "hpa.yaml"),
            ("/", "file"),
        ] {
            assert_eq!(relative(path), expected);
        }
    }
}
