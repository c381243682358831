//! An earlier report as the baseline of a run: what stands in it does not fail.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::Read as _;
use std::path::Path;

use checks::check::Subject;
use serde::Deserialize;

use super::failure::{Failure, Kind};
use crate::report::json::FORMAT_VERSION;

/// The largest report that is read, in bytes.
const LARGEST: u64 = 64 * 1024 * 1024;

/// What an earlier report found.
#[derive(Clone, Debug)]
pub(super) struct Baseline {
    /// The findings by code and subject.
    pub(super) findings: BTreeSet<(String, Subject)>,
}

#[derive(Deserialize)]
struct Document {
    format_version: u32,
    tool: Tool,
    mode: String,
    verdict: Option<String>,
    error: Option<serde::de::IgnoredAny>,
    root_causes: Vec<Cause>,
    unexplained: Vec<Symptom>,
}

#[derive(Deserialize)]
struct Tool {
    name: String,
}

#[derive(Deserialize)]
struct Cause {
    code: String,
    subjects: Vec<About>,
}

#[derive(Deserialize)]
struct Symptom {
    code: String,
    subject: About,
}

#[derive(Deserialize)]
struct About {
    kind: String,
    namespace: Option<String>,
    name: String,
}

impl From<About> for Subject {
    fn from(about: About) -> Self {
        Self { kind: about.kind, namespace: about.namespace.unwrap_or_default(), name: about.name }
    }
}

/// Reads the report of an earlier run that was asked the same question.
pub(super) fn read(path: &Path, mode: &str) -> Result<Baseline, Failure> {
    let document = bytes(path).and_then(|bytes| parse(&bytes, mode));
    let document = document.map_err(|why| {
        Failure::new(Kind::Input, format!("the baseline {} cannot be used", path.display()))
            .context(why)
            .hint("A baseline is the report of an earlier run of the same command, written with `-o json=FILE`.")
    })?;
    let causes = document.root_causes.into_iter().flat_map(|cause| {
        let code = cause.code;
        cause.subjects.into_iter().map(move |subject| (code.clone(), subject.into()))
    });
    let symptoms = document.unexplained.into_iter().map(|it| (it.code, it.subject.into()));
    Ok(Baseline { findings: causes.chain(symptoms).collect() })
}

fn bytes(path: &Path) -> Result<Vec<u8>, String> {
    // A pipe would be waited for without end, so the kind is looked at before it is opened.
    if !fs::metadata(path).map_err(|error| error.to_string())?.is_file() {
        return Err("it is no regular file".to_owned());
    }
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(|error| error.to_string())?;
    let length = file.take(LARGEST + 1).read_to_end(&mut bytes).map_err(|error| error.to_string())?;
    if u64::try_from(length).is_ok_and(|length| length <= LARGEST) {
        Ok(bytes)
    } else {
        Err(format!("it holds more than {LARGEST} bytes"))
    }
}

fn parse(bytes: &[u8], mode: &str) -> Result<Document, String> {
    let document: Document =
        serde_json::from_slice(bytes).map_err(|error| format!("it is no report: {error}"))?;
    if document.tool.name != "metrics-preflight" || document.format_version != FORMAT_VERSION {
        return Err(format!("it is no report of metrics-preflight in format {FORMAT_VERSION}"));
    }
    if document.verdict.is_none() || document.error.is_some() {
        return Err("its run decided nothing, or not everything".to_owned());
    }
    if document.mode != mode {
        return Err(format!("it answers another question: `{}`, and not `{mode}`", document.mode));
    }
    Ok(document)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::testing;

    #[test]
    fn every_whole_report_is_a_baseline_and_nothing_else() {
        for (name, text) in testing::documents() {
            let whole = testing::reports().iter().any(|(known, _)| *known == name);
            let (own, other) = if name == "gate" { ("gate", "check") } else { ("check", "gate") };
            assert_eq!(parse(text.as_bytes(), own).is_ok(), whole, "{name}");
            assert!(parse(text.as_bytes(), other).is_err(), "{name}");
            assert!(parse(text.replace("\"metrics-preflight\"", "\"other\"").as_bytes(), own).is_err());
        }
        for text in ["", "[]", "{}", "null", "\u{0}"] {
            assert!(parse(text.as_bytes(), "check").is_err(), "{text:?}");
        }
    }
}
