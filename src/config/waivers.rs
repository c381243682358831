//! Waivers as the configuration file has them, checked.

use checks::diagnosis::Waiver;
use checks::evidence::Place;
use checks::registry::CHECKS;
use checks::rules::Problem;
use jiff::civil::Date;
use serde_saphyr::Spanned;

use super::file;

/// How many waivers there may be.
const MOST: usize = 1_000;
/// How many characters a text of a waiver may have.
const LONGEST: usize = 500;

/// The waivers that can be used; what cannot becomes a problem.
pub(super) fn read(
    name: &str,
    text: &str,
    written: &[file::Waiver],
    problems: &mut Vec<Problem>,
) -> Vec<Waiver> {
    if written.len() > MOST {
        problems.push(Problem::of_file(name, format!("it has more than {MOST} waivers")));
        return Vec::new();
    }
    let mut waivers = Vec::new();
    for it in written {
        let before = problems.len();
        let mut complain = |value: &Spanned<String>, message: &str| {
            problems.push(Problem::of(name, text, value, message));
        };
        for value in [&it.subject, &it.reason, &it.owner] {
            if value.value.trim().is_empty() {
                complain(value, "a waiver needs a text here");
            } else if value.value.chars().count() > LONGEST {
                complain(value, "this is too long");
            }
        }
        // A rule of the user has another code, and may be absent today.
        if it.code.value.starts_with("MP") && !CHECKS.iter().any(|check| check.code == it.code.value) {
            complain(&it.code, "there is no such check; `metrics-preflight list` shows all of them");
        }
        if !is_subject(&it.subject.value) {
            complain(
                &it.subject,
                "write the kind and the name as the report does, such as `Node node1`, with a `*` at the end for any rest",
            );
        }
        let expires: Option<Date> = it.expires.value.parse().ok();
        if expires.is_none() {
            complain(&it.expires, "give a day such as 2027-01-31");
        }
        if let (true, Some(expires)) = (problems.len() == before, expires) {
            waivers.push(Waiver {
                code: it.code.value.clone(),
                subject: it.subject.value.clone(),
                reason: it.reason.value.trim().to_owned(),
                owner: it.owner.value.trim().to_owned(),
                expires,
                place: place(name, &it.code),
            });
        }
    }
    waivers
}

/// `cluster`, or a kind and a name; a `*` only at the end, and never instead of the kind.
fn is_subject(text: &str) -> bool {
    let plain = text.strip_suffix('*').unwrap_or(text);
    let named = plain.split_once(' ').is_some_and(|(kind, name)| {
        !kind.is_empty() && !name.starts_with(' ') && (!name.is_empty() || text.ends_with('*'))
    });
    !plain.contains('*') && (text == "cluster" || named)
}

fn place(file: &str, value: &Spanned<String>) -> Place {
    let number = |number: u64| usize::try_from(number).unwrap_or(1).max(1);
    let (line, column) = (number(value.referenced.line()), number(value.referenced.column()));
    let end_column = column + value.value.chars().count();
    Place { file: file.to_owned(), line, column, end_line: line, end_column }
}
