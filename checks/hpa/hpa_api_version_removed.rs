//! # The cluster's version does not serve the HPA's API version
//!
//! ## What it looks at
//!
//! `apiVersion` of each autoscaler in the manifests, and the version of Kubernetes that they are for.
//!
//! ## Why it matters
//!
//! `autoscaling/v2beta1` is gone since Kubernetes 1.25 and `autoscaling/v2beta2` since 1.26: *no matches for kind
//! "HorizontalPodAutoscaler" in version "autoscaling/v2beta2"*. Autoscalers that were stored before live on, so the
//! fault shows with the next deploy only.
//!
//! ## How to fix it
//!
//! Write `autoscaling/v2`. The fields of `v2beta2` are the same. Those of `v2beta1` have another form, which is printed
//! with the values at hand. A release of Helm that was made with the old version needs its record
//! changed first (`helm mapkubeapis`).
//!
//! ## When it is wrong
//!
//! Where the version of the cluster is not known, it is taken for a supported one, 1.30 or newer.
//!
//! ## References
//!
//! - Failure catalogue: `hpa-removed-api-version` (AH-K02)
//! - Kubernetes, Deprecated API Migration Guide

use crate::check::{Audience, Check, Finding, Hop, Kind, Outcome, Question, Remedy, Results, Severity, fail};
use crate::evidence::{Document, Evidence, Mode, Need};
use crate::hpa::declared::declared;
use crate::{plan, refusal};

pub(crate) const CHECK: Check = Check {
    code: "MP905",
    name: "hpa-api-version-removed",
    title: "The cluster's version does not serve the HPA's API version",
    hop: Hop::Hpa,
    severity: Severity::Error,
    kind: Kind::Cause,
    modes: &[Mode::Gate],
    needs: &[Need::Version],
    explains: &["hpa-metrics-unreadable"],
    question: Question::Deciding { modes: &[Mode::Gate], unless: &[] },
    source: include_str!("hpa_api_version_removed.rs"),
    run,
    remedies,
};

/// The oldest version of Kubernetes 1 that is supported here.
const OLDEST: u32 = 30;

/// In which minor versions an API version is served: the first, and the first without it.
fn served(api_version: &str) -> Option<(u32, u32)> {
    match api_version {
        "autoscaling/v1" => Some((2, u32::MAX)),
        "autoscaling/v2" => Some((23, u32::MAX)),
        "autoscaling/v2beta2" => Some((12, 26)),
        "autoscaling/v2beta1" => Some((8, 25)),
        _ => None,
    }
}

fn run(evidence: &Evidence, results: &mut Results<'_>) {
    for (subject, documents) in declared(evidence) {
        results.about(subject.clone(), |ctx| {
            let minor = plan::minor(ctx, evidence).ok();
            let at = minor.unwrap_or(OLDEST);
            let is_served = |document: &Document| {
                served(&document.api_version).is_some_and(|(first, gone)| (first..gone).contains(&at))
            };
            let Some(document) = documents.into_iter().find(|document| !is_served(document)) else {
                return Ok(Outcome::Pass);
            };
            let version = &document.api_version;
            let detail = match served(version) {
                Some((_, gone)) if at >= gone => format!("{version} is not served since Kubernetes 1.{gone}"),
                Some((first, _)) => format!("{version} is served since Kubernetes 1.{first} only"),
                None => format!("no Kubernetes that is in use serves {version}"),
            };
            let instead = if at < 23 { "autoscaling/v1" } else { "autoscaling/v2" };
            let mut finding = Finding::new(subject, detail);
            finding = finding.cite_manifest(document, "/apiVersion", version.as_str(), instead);
            let mut changes = vec![("/apiVersion".to_owned(), Some(instead.into()))];
            let mut is_certain = true;
            if instead == "autoscaling/v2" {
                let renewed = Document { api_version: instead.to_owned(), ..document.clone() };
                let faults = refusal::faults(&renewed);
                let cure = refusal::cure(&renewed, &faults);
                is_certain = cure.is_some();
                changes.extend(cure.unwrap_or_default());
                for fault in faults.into_iter().filter(|fault| fault.value != "absent") {
                    finding = finding.cite_manifest(document, &fault.pointer, fault.value, &fault.expected);
                }
            }
            for (pointer, value) in changes.into_iter().filter(|_| is_certain) {
                finding = finding.change(document, pointer, value);
            }
            Ok(fail(finding))
        });
    }
}

fn remedies(_: &Evidence, findings: &[&Finding]) -> Vec<Remedy> {
    let citations = findings.iter().flat_map(|finding| &finding.citations);
    let steps = citations.filter_map(plan::rewrite);
    vec![Remedy {
        title: "Write the manifest in the version that the cluster serves".to_owned(),
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
    use crate::plan::testing::{offline, result, word, words};

    fn hpa(version: &str, metrics: &Value) -> Value {
        json!({"apiVersion": version, "kind": "HorizontalPodAutoscaler", "metadata": {"name": "web"},
               "spec": {"maxReplicas": 3, "metrics": metrics}})
    }

    #[test]
    fn the_version_of_the_cluster_decides() {
        let at = |version: &str, minor: Option<u32>| {
            let mut evidence = offline(&[hpa(version, &json!([]))]);
            evidence.gate.target_minor = minor;
            word(&result(&CHECK, &evidence))
        };
        for (version, minor, expected) in [
            ("autoscaling/v2", None, "pass"),
            ("autoscaling/v1", Some(20), "pass"),
            ("autoscaling/v2", Some(22), "fail"),
            ("autoscaling/v2beta2", None, "fail"),
            ("autoscaling/v2beta2", Some(25), "pass"),
            ("autoscaling/v2beta2", Some(26), "fail"),
            ("autoscaling/v2beta1", Some(24), "pass"),
            ("autoscaling/v2beta1", Some(25), "fail"),
            ("autoscaling/v3", None, "fail"),
            ("v1", None, "fail"),
        ] {
            assert_eq!(at(version, minor), expected, "{version} {minor:?}");
        }
    }

    #[test]
    fn the_fields_of_v2beta1_are_written_anew() {
        let old = json!([{"type": "Resource", "resource": {"name": "cpu", "targetAverageUtilization": 70}}]);
        let outcome = result(&CHECK, &offline(&[hpa("autoscaling/v2beta1", &old)]));
        assert_eq!(words(&outcome), "autoscaling/v2beta1 is not served since Kubernetes 1.25");
        let Outcome::Fail(finding) = outcome else { panic!("it passes") };
        let expected: Vec<&str> =
            finding.citations.iter().map(|citation| citation.expected.as_str()).collect();
        assert_eq!(expected, ["autoscaling/v2", "target: {averageUtilization: 70, type: Utilization}"]);
    }
}
