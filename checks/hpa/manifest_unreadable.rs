//! # A manifest cannot be read
//!
//! ## What it looks at
//!
//! Whether each file that was named is YAML or JSON as kubectl reads it, with objects of Kubernetes in it, each key
//! once, and no template left in a field that decides.
//!
//! ## Why it matters
//!
//! What cannot be read cannot be judged: an autoscaler in it may be broken, and may not exist at all after the deploy.
//! Of a key that stands twice kubectl takes the last without a word.
//!
//! ## How to fix it
//!
//! Correct the place that is named. Render templates before they are judged, as they are before they are
//! applied: `helm template DIR | metrics-preflight gate -f -`.
//!
//! ## When it is wrong
//!
//! A `$` with braces in a name may be meant. In a directory, files that are no manifests are passed over; one that
//! is broken and speaks of `apiVersion` and `kind` is not.
//!
//! ## References
//!
//! - Failure catalogue: section on what a gate checks (AH, 19)
//! - Kubernetes `sigs.k8s.io/yaml`

use std::collections::BTreeMap;

use crate::check::{
    Audience, Check, Citation, Finding, Hop, Kind, Outcome, Question, Remedy, Results, Severity, Step,
    Subject, fail,
};
use crate::evidence::{Evidence, Mode, Problem, ProblemKind};

pub(crate) const CHECK: Check = Check {
    code: "MP907",
    name: "manifest-unreadable",
    title: "A manifest cannot be read",
    hop: Hop::Hpa,
    severity: Severity::Error,
    kind: Kind::Cause,
    modes: &[Mode::Gate],
    needs: &[],
    explains: &[],
    question: Question::Deciding { modes: &[Mode::Gate], unless: &[] },
    source: include_str!("manifest_unreadable.rs"),
    run,
    remedies,
};

fn run(evidence: &Evidence, results: &mut Results<'_>) {
    let manifests = &evidence.gate.manifests;
    let mut files: BTreeMap<&str, Vec<&Problem>> = BTreeMap::new();
    for file in manifests.files.keys() {
        files.insert(file, Vec::new());
    }
    for problem in &manifests.problems {
        files.entry(&problem.place.file).or_default().push(problem);
    }
    for (file, problems) in files {
        let subject = Subject::cluster_scoped("File", file);
        results.about(subject.clone(), |_| {
            let Some(first) = problems.first() else { return Ok(Outcome::Pass) };
            let more = match problems.len() - 1 {
                0 => String::new(),
                1 => ", and there is one more problem".to_owned(),
                more => format!(", and there are {more} more problems"),
            };
            let mut finding =
                Finding::new(subject, format!("line {}: {}{more}", first.place.line, first.message));
            finding.citations.extend(problems.iter().map(|problem| citation(problem)));
            Ok(fail(finding))
        });
    }
}

fn citation(problem: &Problem) -> Citation {
    let path = match problem.kind {
        ProblemKind::Syntax => "syntax",
        ProblemKind::DuplicateKey => "keys",
        ProblemKind::Template => "template",
        ProblemKind::NotAnObject => "object",
        ProblemKind::TooLarge => "size",
        ProblemKind::Unreadable => "file",
    };
    Citation {
        request: None,
        path: path.to_owned(),
        value: problem.message.clone(),
        expected: problem.hint.clone(),
        place: Some(problem.place.clone()),
    }
}

fn remedies(_: &Evidence, findings: &[&Finding]) -> Vec<Remedy> {
    let mut steps = Vec::new();
    for citation in findings.iter().flat_map(|finding| &finding.citations) {
        let Some(place) = &citation.place else { continue };
        let hint = if citation.expected.is_empty() { "correct this place" } else { &citation.expected };
        let what = format!("{}:{}:{}: {}: {hint}", place.file, place.line, place.column, citation.value);
        steps.push(Step::manual("the manifest", what));
    }
    vec![Remedy {
        title: "Correct the file, or hand over what is rendered from it".to_owned(),
        audience: Audience::Production,
        cost: String::new(),
        leaves: Vec::new(),
        steps,
    }]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::Place;
    use crate::plan::testing::{offline, results, words};

    #[test]
    fn each_file_has_one_result() {
        let mut evidence = offline(&[]);
        let manifests = &mut evidence.gate.manifests;
        for file in ["a.yaml", "b.yaml"] {
            manifests.files.insert(file.to_owned(), vec!["kind: [".to_owned()]);
        }
        for (line, message) in [(1, "this is neither YAML nor JSON"), (4, "the key \"a\" stands twice")] {
            let place = Place { file: "b.yaml".to_owned(), line, column: 7, end_line: line, end_column: 7 };
            let kind = if line == 1 { ProblemKind::Syntax } else { ProblemKind::DuplicateKey };
            manifests.problems.push(Problem {
                place,
                kind,
                message: message.to_owned(),
                hint: String::new(),
            });
        }
        let found: Vec<(String, String)> =
            results(&CHECK, &evidence).iter().map(|(file, outcome)| (file.clone(), words(outcome))).collect();
        let broken = "line 1: this is neither YAML nor JSON, and there is one more problem";
        assert_eq!(
            found,
            [("/a.yaml".to_owned(), "pass".to_owned()), ("/b.yaml".to_owned(), broken.to_owned())]
        );
    }
}
