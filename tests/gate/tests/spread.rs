//! The oracle holds what the gate must be compared with: every case, and enough of every kind.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Result;
use gate_cases::{Case, Hpa, Oracle, cases, metric_name};

/// The errors of the controller that the cases shall bring about at least: parts of its messages.
const ERRORS: [&str; 20] = [
    "missing request for cpu in container",
    "missing pod-level request for cpu in Pod",
    "container app not found in Pod",
    "did not receive metrics for targeted pods (pods might be unready)",
    "no metrics returned matched known pods",
    "no metrics returned from resource metrics API",
    "no metrics returned from custom metrics API",
    "no metrics returned from external metrics API",
    "no pods returned by selector while calculating replica count",
    "the server could not find the metric",
    "no custom metrics API (custom.metrics.k8s.io) registered",
    "the server could not find the requested resource (get pods.metrics.k8s.io)",
    "the server is currently unable to handle the request (get pods.metrics.k8s.io)",
    "unable to map kind",
    "invalid object metric source: neither a value target nor an average value target was set",
    "the HPA target's scale is missing a selector",
    "are controlled by multiple HPAs",
    "scaling is disabled since the replica count of the target is zero",
    "no matches for kind \"Rollout\" in group \"argoproj.io\"",
    "deployments.apps \"wbe\" not found",
];

/// What an HPA's conditions or its refusal say.
fn said(hpa: &Hpa) -> String {
    let messages = hpa.conditions.iter().filter(|condition| condition.status == "False");
    let messages: Vec<&str> = messages.map(|condition| condition.message.as_str()).collect();
    format!("{}{}", messages.join("\n"), hpa.refused.as_deref().unwrap_or_default())
}

#[test]
fn every_case_has_an_outcome_and_every_outcome_a_case() -> Result<()> {
    let (cases, oracle) = (cases()?, Oracle::read()?);
    let known: Vec<&String> = cases.iter().map(|case| &case.name).collect();
    let judged: Vec<&String> = oracle.cases.keys().collect();
    assert_eq!(known, judged);
    for case in &cases {
        let hpas = &oracle.cases[&case.name].hpas;
        let names: Vec<&str> = case.hpas().filter_map(|hpa| hpa["metadata"]["name"].as_str()).collect();
        let judged: Vec<&str> = hpas.iter().map(|hpa| hpa.name.as_str()).collect();
        assert_eq!(names, judged, "{}", case.name);
        for (object, hpa) in case.hpas().zip(hpas) {
            same_metrics(case, object, hpa);
        }
    }
    Ok(())
}

/// The oracle's metrics are those of the file; where the file has none, the API server has filled in its default.
fn same_metrics(case: &Case, object: &serde_json::Value, hpa: &Hpa) {
    assert!(!hpa.unsettled, "{}: the controller had not decided", case.name);
    assert_eq!(hpa.refused.is_none(), !hpa.conditions.is_empty(), "{}", case.name);
    assert!(hpa.refused.is_none() || !hpa.works(), "{}", case.name);
    let indexes: Vec<usize> = hpa.metrics.iter().map(|metric| metric.index).collect();
    assert_eq!(indexes, (0..hpa.metrics.len()).collect::<Vec<_>>(), "{}", case.name);
    let wanted: Vec<String> =
        object["spec"]["metrics"].as_array().into_iter().flatten().map(metric_name).collect();
    let seen: Vec<&str> = hpa.metrics.iter().map(|metric| metric.name.as_str()).collect();
    if wanted.is_empty() {
        assert_eq!(seen.len(), 1, "{}: {seen:?}", case.name);
    } else {
        assert_eq!(wanted, seen, "{}", case.name);
    }
}

#[test]
fn the_cases_span_all_types_of_metrics_both_ways() -> Result<()> {
    let oracle = Oracle::read()?;
    let mut types: BTreeMap<(&str, bool), usize> = BTreeMap::new();
    for metric in oracle.hpas().flat_map(|hpa| &hpa.metrics) {
        *types.entry((&metric.kind, metric.filled)).or_default() += 1;
    }
    for kind in ["ContainerResource", "External", "Object", "Pods", "Resource"] {
        for filled in [true, false] {
            assert!(types.contains_key(&(kind, filled)), "no {kind} metric that is filled: {filled}");
        }
    }
    assert_eq!(types.len(), 10, "{types:?}");
    Ok(())
}

#[test]
fn the_cases_span_the_errors_of_the_controller() -> Result<()> {
    let oracle = Oracle::read()?;
    let seen: Vec<String> = oracle.hpas().filter(|hpa| !hpa.works()).map(said).collect();
    for error in ERRORS {
        assert!(seen.iter().any(|said| said.contains(error)), "no case says {error:?}");
    }
    let reasons: BTreeSet<&str> = oracle
        .hpas()
        .flat_map(|hpa| &hpa.conditions)
        .filter(|condition| condition.status == "False" && condition.kind != "ScalingLimited")
        .map(|condition| condition.reason.as_str())
        .collect();
    let expected = [
        "AmbiguousSelector",
        "FailedGetContainerResourceMetric",
        "FailedGetExternalMetric",
        "FailedGetObjectMetric",
        "FailedGetPodsMetric",
        "FailedGetResourceMetric",
        "FailedGetScale",
        "InvalidSelector",
        "ScalingDisabled",
    ];
    assert_eq!(reasons.into_iter().collect::<Vec<_>>(), expected);
    Ok(())
}

#[test]
fn enough_cases_work_enough_fail_and_some_do_both() -> Result<()> {
    let oracle = Oracle::read()?;
    let working = oracle.hpas().filter(|hpa| hpa.works()).count();
    let failing = oracle.hpas().filter(|hpa| hpa.metrics.iter().all(|metric| !metric.filled)).count();
    let partly = oracle.hpas().count() - working - failing;
    let refused = oracle.hpas().filter(|hpa| hpa.refused.is_some()).count();
    assert!(working >= 20, "{working} HPAs work");
    assert!(failing - refused >= 20, "{failing} HPAs fail, {refused} of them refused");
    assert!(partly >= 2, "{partly} HPAs work in part");
    Ok(())
}
