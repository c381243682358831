//! # The HPA is declared twice
//!
//! ## What it looks at
//!
//! Whether two objects of the manifests are an autoscaler of the same name in the same namespace.
//!
//! ## Why it matters
//!
//! What is applied last wins, and which that is hangs on the order of the files. With the next deploy it may be the
//! other one.
//!
//! ## How to fix it
//!
//! Keep one. Where both come out of an overlay, hand over what is rendered for one environment.
//!
//! ## When it is wrong
//!
//! A directory may hold the manifests of several clusters, of which each is deployed alone: judge them one by one.
//! Manifests that name no namespace are taken for the one that is given by `-n`.
//!
//! ## References
//!
//! - Failure catalogue: `hpa-duplicates-in-manifest-set` (AH-K12)

use crate::check::{
    Audience, Check, Finding, Hop, Kind, Outcome, Question, Remedy, Results, Severity, Step, fail,
};
use crate::evidence::{Evidence, Mode};
use crate::hpa::declared::declared;

pub(crate) const CHECK: Check = Check {
    code: "MP927",
    name: "hpa-declared-twice",
    title: "The HPA is declared twice",
    hop: Hop::Hpa,
    severity: Severity::Warning,
    kind: Kind::Cause,
    modes: &[Mode::Gate],
    needs: &[],
    explains: &[],
    question: Question::Listed,
    source: include_str!("hpa_declared_twice.rs"),
    run,
    remedies,
};

fn run(evidence: &Evidence, results: &mut Results<'_>) {
    for (subject, documents) in declared(evidence) {
        results.about(subject.clone(), |_| {
            let [first, .., last] = documents.as_slice() else { return Ok(Outcome::Pass) };
            let places = format!("{}:{}", first.place.file, first.place.line);
            let detail = format!("it stands {} times, first at {places}", documents.len());
            // The last one is the one too many.
            let finding = Finding::new(subject, detail)
                .cite_manifest(last, "/metadata/name", last.name.as_str(), "one object of this name")
                .cite_manifest(first, "/metadata/name", first.name.as_str(), "");
            Ok(fail(finding))
        });
    }
}

fn remedies(_: &Evidence, findings: &[&Finding]) -> Vec<Remedy> {
    let steps = findings.iter().filter_map(|finding| {
        let places = finding.citations.iter().filter_map(|citation| citation.place.as_ref());
        let places: Vec<String> = places.map(|place| format!("{}:{}", place.file, place.line)).collect();
        let what = format!("keep one of {} ({}), and remove the rest", finding.subject, places.join(", "));
        (!places.is_empty()).then(|| Step::manual("the manifest", what))
    });
    vec![Remedy {
        title: "Keep one of them".to_owned(),
        audience: Audience::Production,
        cost: String::new(),
        leaves: Vec::new(),
        steps: steps.collect(),
    }]
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::plan::testing::{offline, results, words};

    fn hpa(namespace: Option<&str>) -> Value {
        json!({"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler",
               "metadata": {"name": "web", "namespace": namespace}})
    }

    #[test]
    fn the_same_name_in_the_same_namespace_is_twice() {
        // Without a namespace it ends up in that of the gate, which is `shop`.
        let objects = [hpa(Some("shop")), hpa(Some("other")), hpa(None)];
        let found: Vec<(String, String)> = results(&CHECK, &offline(&objects))
            .iter()
            .map(|(name, outcome)| (name.clone(), words(outcome)))
            .collect();
        assert_eq!(
            found,
            [
                ("other/web".to_owned(), "pass".to_owned()),
                ("shop/web".to_owned(), "it stands 2 times, first at app.yaml:1".to_owned()),
            ]
        );
    }
}
