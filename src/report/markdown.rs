//! A report for people who were not there: a comment on a pull request, a job's summary, a ticket.
//!
//! A comment on GitHub holds 65,536 characters. What does not fit is left out, the cures of the last causes first, and
//! the report says so.

mod words;

use std::fmt::Write as _;

use super::gate;
use super::items::{Item, Kind, headline, items, subjects, verdict};
use super::json::{Document, Remedy, RootCause, Step, Unexplained};
use super::text::excerpt;
use super::{place_name, same_cure, state_word};
use words::{code, fenced, prose, summary};

/// How many characters a report may have.
const LIMIT: usize = 60_000;
/// What a report says that does not hold everything.
pub(super) const LEFT_OUT: &str =
    "_The rest was left out, because a comment holds no more. `-o html` has all of it._\n";
/// How many subjects and proofs are written out.
const SHOWN: usize = 5;
/// How much of a value is shown.
const VALUE: usize = 300;
/// How many metrics the table lists.
const METRICS: usize = 50;
/// How much of an error is shown.
const MESSAGE: usize = 1_000;

/// A part of the report, and how well it can be missed: 0 least.
struct Part {
    text: String,
    spare: u8,
}

/// The report, which ends with a line break.
pub(crate) fn render(document: &Document<'_>) -> String {
    let items = items(document);
    let mut parts = vec![Part { text: head(document), spare: 0 }];
    for (index, cause) in document.root_causes.iter().enumerate() {
        root_cause(&mut parts, index + 1, cause, &items);
        remedies(&mut parts, document, index);
    }
    for symptom in &document.unexplained {
        parts.push(Part { text: unexplained(symptom), spare: 0 });
    }
    for item in items.iter().filter(|item| item.kind == Kind::Lost) {
        let text = format!("### A bug in this program\n\n{}\n\n", prose(&item.sentence()));
        parts.push(Part { text, spare: 0 });
    }
    parts.push(Part { text: waivers(&items), spare: 0 });
    parts.push(Part { text: open(document, &items), spare: 0 });
    fit(parts)
}

fn fit(mut parts: Vec<Part>) -> String {
    let mut left_out = 0;
    let size = |parts: &[Part]| parts.iter().map(|part| part.text.chars().count()).sum::<usize>();
    for spare in [2, 1, 0] {
        while size(&parts) > LIMIT
            && let Some(last) = parts.iter().rposition(|part| part.spare == spare).filter(|last| *last > 0)
        {
            parts.remove(last);
            left_out += 1;
        }
    }
    let mut text: String = parts.into_iter().map(|part| part.text).collect();
    if left_out > 0 {
        text.push_str(LEFT_OUT);
    }
    format!("{}\n", text.trim_end())
}

fn head(document: &Document<'_>) -> String {
    let mark = match (document.verdict, document.exit_code) {
        (Some("pass"), 0) => "✅",
        (Some("fail"), _) => "❌",
        (Some(_), 0 | 3) => "❔",
        _ => "💥",
    };
    let mut text = format!("## {mark} {}\n\n", prose(&headline(document)));
    let _ = writeln!(text, "**{}**\n", verdict(document));
    if let Some(error) = &document.error {
        let _ = writeln!(text, "{}\n", prose(&excerpt(&error.message, MESSAGE)));
        if let Some(hint) = &error.hint {
            let _ = writeln!(text, "{}\n", prose(&excerpt(hint, MESSAGE)));
        }
    }
    if let Some(time) = document.taken_at {
        let version = document.cluster.version.map_or_else(|| "of an unknown version".to_owned(), code);
        let distribution = match document.cluster.distribution {
            None | Some("unknown") => String::new(),
            Some(name) => format!(" ({name})"),
        };
        let context =
            document.vantage.context.map(|name| format!(", context {}", code(&excerpt(name, VALUE))));
        let time = time.strftime("%Y-%m-%d %H:%M:%S UTC");
        let context = context.unwrap_or_default();
        let _ = match document.gate {
            Some(gate) if gate.offline => {
                writeln!(text, "Judged by the manifests alone{}, {time}.\n", gate::version(gate))
            }
            Some(gate) => {
                let judged = gate::version(gate);
                writeln!(text, "Kubernetes {version}{distribution}{context}{judged}, seen {time}.\n")
            }
            None => writeln!(text, "Kubernetes {version}{distribution}{context}, seen {time}.\n"),
        };
    }
    autoscalers(&mut text, document);
    if !document.chain.is_empty() && document.gate.is_none_or(|gate| gate.pipeline) {
        text.push_str("| | Link of the chain | State |\n|---|---|---|\n");
        for link in &document.chain {
            let _ = writeln!(text, "| {} | {} | {} |", sign(link.state), link.label, state_word(link.state));
        }
        text.push('\n');
    }
    text
}

/// The autoscalers, metric by metric.
fn autoscalers(text: &mut String, document: &Document<'_>) {
    let all = gate::metrics(document);
    if all.is_empty() {
        return;
    }
    text.push_str("| | Autoscaler | Metric | Why |\n|---|---|---|---|\n");
    for (hpa, metric) in all.iter().take(METRICS) {
        let place = match (hpa.file, hpa.line) {
            (Some(file), Some(line)) => format!(" {}", code(&excerpt(&format!("{file}:{line}"), VALUE))),
            _ => String::new(),
        };
        let why = match metric.verdict {
            "pass" => gate::outcome("pass").to_owned(),
            verdict => format!("{}: {}", gate::outcome(verdict), prose(&gate::why(metric))),
        };
        let sign = match metric.verdict {
            "pass" => "✅",
            "fail" => "❌",
            "undecided" => "❔",
            _ => "➖",
        };
        let name = code(&gate::name(hpa));
        let _ = writeln!(text, "| {sign} | {name}{place} | {} {} | {why} |", metric.kind, code(metric.name));
    }
    if all.len() > METRICS {
        let _ = writeln!(text, "\nAnd {} more.", all.len() - METRICS);
    }
    text.push('\n');
}

fn sign(state: &str) -> &'static str {
    match state {
        "pass" => "✅",
        "fail" => "❌",
        "warn" => "🟡",
        "symptom" => "🟣",
        "undecided" => "❔",
        _ => "➖",
    }
}

fn root_cause(parts: &mut Vec<Part>, number: usize, cause: &RootCause<'_>, items: &[Item<'_>]) {
    let severity = if cause.severity == "error" { "Error" } else { "Warning" };
    let mut text = format!("### {number}. {severity}: {}\n\n", prose(cause.title));
    let _ = write!(text, "{} {}", code(cause.code), code(cause.name));
    if cause.class == "hazard" {
        text.push_str(", a hazard");
    }
    if cause.certainty == "likely" {
        text.push_str(", likely");
    }
    let about: Vec<_> = cause.subjects.iter().collect();
    let _ = writeln!(text, ". Concerns {}.\n", prose(&subjects(&about)));
    for item in items.iter().filter(|item| item.kind == Kind::Cause && item.code == cause.code) {
        for detail in &item.details {
            let place = item.place.map(|place| format!("{}:{}", code(&place.file), place.line));
            let place = place.map(|place| format!("{place}: ")).unwrap_or_default();
            let _ = writeln!(text, "- {place}{}", prose(detail));
        }
    }
    if !cause.explains.is_empty() {
        let mut names: Vec<String> = cause
            .explains
            .iter()
            .map(|symptom| format!("{} {}", code(symptom.code), code(symptom.name)))
            .collect();
        names.dedup();
        let _ = writeln!(text, "\nThis explains {}.", names.join(", "));
    }
    if !cause.candidates.is_empty() {
        let names: Vec<String> = cause.candidates.iter().map(|name| code(name)).collect();
        let _ = writeln!(text, "\nIt could also be {}.", names.join(", "));
    }
    text.push('\n');
    if let Some(step) = &cause.decide {
        let _ = writeln!(text, "To find out, {}:\n", prose(&place_name(step.run_on)));
        body(&mut text, step, "And then:");
    }
    parts.push(Part { text, spare: 0 });
    parts.push(Part { text: proof(&cause.evidence), spare: 1 });
}

fn remedies(parts: &mut Vec<Part>, document: &Document<'_>, cause: usize) {
    if let Some(patch) = &document.root_causes[cause].patch {
        let fenced = fenced(patch, "diff");
        let text = format!("<details><summary>Fix: as a patch</summary>\n\n{fenced}</details>\n\n");
        parts.push(Part { text, spare: 2 });
    }
    for it in &document.root_causes[cause].remedies {
        let part = match same_cure(&document.root_causes, cause, it) {
            Some(earlier) => {
                let text = format!("{}{}: the same as for {earlier}.\n\n", lead(it), prose(it.title));
                Part { text, spare: 0 }
            }
            None => Part { text: remedy(it), spare: 2 },
        };
        parts.push(part);
    }
}

fn lead(remedy: &Remedy<'_>) -> &'static str {
    if remedy.audience == "lab" { "Quick fix for a lab: " } else { "Fix: " }
}

fn proof(evidence: &[super::json::Proof<'_>]) -> String {
    if evidence.is_empty() {
        return String::new();
    }
    let mut text = String::from(
        "<details><summary>Proof</summary>\n\n| Request or place | Field | Value | Expected |\n|---|---|---|---|\n",
    );
    for proof in evidence.iter().take(SHOWN) {
        let cell = |value: &str| code(&excerpt(value, VALUE));
        let request = match (proof.request, &proof.place) {
            (Some(request), _) => cell(request),
            (None, Some(place)) => cell(&format!("{}:{}:{}", place.file, place.line, place.column)),
            (None, None) => "no request can show this".to_owned(),
        };
        let (path, value) = (cell(proof.path), cell(proof.value));
        let _ = writeln!(text, "| {request} | {path} | {value} | {} |", cell(proof.expected));
    }
    if evidence.len() > SHOWN {
        let _ = writeln!(text, "\nAnd {} more.", evidence.len() - SHOWN);
    }
    text.push_str("\n</details>\n\n");
    text
}

fn remedy(remedy: &Remedy<'_>) -> String {
    let mut text = format!("<details><summary>{}{}</summary>\n\n", lead(remedy), summary(remedy.title));
    if !remedy.cost.is_empty() {
        let _ = writeln!(text, "**Cost:** {}\n", prose(remedy.cost));
    }
    if !remedy.leaves.is_empty() {
        let left: Vec<String> = remedy.leaves.iter().map(|name| code(name)).collect();
        let _ = writeln!(text, "Afterwards this still warns: {}.\n", left.join(", "));
    }
    for (index, step) in remedy.steps.iter().enumerate() {
        let _ = writeln!(text, "**Step {}**, {}:\n", index + 1, prose(&place_name(step.run_on)));
        body(&mut text, step, "It worked when this succeeds:");
    }
    text.push_str("</details>\n\n");
    text
}

fn body(text: &mut String, step: &Step<'_>, verify: &str) {
    if !step.manual.is_empty() {
        let _ = writeln!(text, "{}\n", prose(step.manual));
    }
    if !step.command.is_empty() {
        text.push_str(&fenced(step.command, "sh"));
    }
    if !step.verify.is_empty() {
        let _ = writeln!(text, "{verify}\n\n{}", fenced(step.verify, "sh").trim_end());
        text.push('\n');
    }
}

fn unexplained(symptom: &Unexplained<'_>) -> String {
    let mut text = format!("### Seen, and not explained: {}\n\n", prose(symptom.title));
    let (code_, name) = (code(symptom.code), code(symptom.name));
    let _ = writeln!(text, "{code_} {name}. Concerns {}.\n", prose(&subjects(&[&symptom.subject])));
    if !symptom.detail.is_empty() {
        let _ = writeln!(text, "- {}\n", prose(&excerpt(symptom.detail, VALUE)));
    }
    if !symptom.could_be.is_empty() {
        let names: Vec<String> = symptom.could_be.iter().take(SHOWN).map(|name| code(name)).collect();
        let _ = writeln!(text, "It could be, if it could be seen: {}.\n", names.join(", "));
    }
    text.push_str(&proof(&symptom.evidence));
    text
}

fn waivers(items: &[Item<'_>]) -> String {
    let waivers: Vec<&Item<'_>> = items.iter().filter(|item| item.kind == Kind::Waiver).collect();
    if waivers.is_empty() {
        return String::new();
    }
    let mut text = "### Waivers in force\n\n".to_owned();
    for item in waivers {
        let _ = writeln!(text, "- {}", prose(&item.details.join("; ")));
    }
    text.push('\n');
    text
}

fn open(document: &Document<'_>, items: &[Item<'_>]) -> String {
    let rests = |item: &&Item<'_>| item.kind == Kind::Open && item.rests;
    let others = |item: &&Item<'_>| item.kind == Kind::Open && !item.rests;
    let mut text = String::new();
    if items.iter().any(|item| rests(&item)) {
        text.push_str("### Open questions that the verdict rests on\n\n");
        table(&mut text, items.iter().filter(rests));
    }
    if items.iter().any(|item| others(&item)) {
        let count = items.iter().filter(others).count();
        let _ = writeln!(text, "<details><summary>Other open questions: {count}</summary>\n");
        table(&mut text, items.iter().filter(others));
        text.push_str("</details>\n\n");
    }
    let (tool, version) = (document.tool.name, document.tool.version);
    let _ = writeln!(text, "<sub>{tool} {version}, {} requests</sub>", document.requests.count);
    text
}

fn table<'i>(text: &mut String, items: impl Iterator<Item = &'i Item<'i>>) {
    text.push_str("| Check | Concerns | Why it is open | What would decide it |\n|---|---|---|---|\n");
    for item in items {
        let check = format!("{} {}", code(item.code), code(item.name));
        let (about, why) = (prose(&subjects(&item.subjects)), prose(&item.details.join("; ")));
        let _ = writeln!(text, "| {check} | {about} | {why} | {} |", prose(item.advice.unwrap_or_default()));
    }
    text.push('\n');
}
