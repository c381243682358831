//! Rules over what a gate is asked about.

use super::view::everything;
use super::*;
use crate::evidence::{Evidence, Mode, Need};

fn gate() -> Evidence {
    Evidence { mode: Mode::Gate, ..everything() }
}

/// The result for the one autoscaler.
fn of_plan(condition: &str, evidence: &Evidence) -> Outcome {
    let results = sound("plans", condition).list[0].run(&View::new(evidence));
    let [(subject, outcome)] = results.as_slice() else { panic!("{condition}: {results:?}") };
    assert_eq!(subject.to_string(), "HorizontalPodAutoscaler shop/web");
    outcome.clone()
}

#[test]
fn what_a_gate_saw_can_be_read() {
    for condition in [
        "plan.spec.target.kind == 'Deployment' && plan.spec.max == 3",
        "plan.spec.metrics.exists(m, m.source.kind == 'ContainerResource' && m.source.container == 'c')",
        "plan.spec.metrics.exists(m, has(m.source.of) && m.source.of.kind == 'Service')",
        "plan.spec.metrics.exists(m, m.source.kind == 'Unusable' && !has(m.source.name))",
        "plan.target == 'scalable' && plan.scale_permitted.allowed",
        "plan.metrics.all(m, m.answer.status == 200 && m.answer.items[0].value == '3')",
        "plan.template.containers[0].requests['cpu'] == '100m'",
        "gate.manifests.documents.exists(d, d.kind == 'HorizontalPodAutoscaler' && d.name == plan.name)",
        "gate.target_minor == 34 && mode == 'gate'",
    ] {
        assert_eq!(word(&of_plan(condition, &gate())), "fail", "{condition}");
    }
}

#[test]
fn a_finding_tells_the_place_of_the_manifest() {
    let Outcome::Fail(finding) = of_plan("plan.spec.max < 5", &gate()) else { panic!("it fails") };
    let places: Vec<(&str, usize)> = finding
        .citations
        .iter()
        .filter_map(|citation| citation.place.as_ref())
        .map(|place| (place.file.as_str(), place.line))
        .collect();
    assert_eq!(places, [("web.yaml", 4)]);
    assert!(
        finding.citations.iter().any(|citation| citation.path == "plan.spec.max" && citation.value == "3")
    );
}

#[test]
fn what_was_not_seen_for_a_metric_is_named_by_its_own_kind() {
    let mut evidence = gate();
    let why =
        Why::Forbidden { verb: "list".to_owned(), resource: "queue.external.metrics.k8s.io".to_owned() };
    evidence.gate.plans[0].metrics[0].answer = crate::evidence::Obs::unseen(Need::ExternalMetrics, [], why);
    let Outcome::Undecided(missing) = of_plan("plan.metrics[0].answer.status != 200", &evidence) else {
        panic!("it is open")
    };
    assert_eq!(missing.need, Need::ExternalMetrics);
}

/// Outside of a gate no manifests were looked at, and none found is something else.
#[test]
fn outside_of_a_gate_there_is_none() {
    let elsewhere = everything();
    for (each, condition) in
        [("cluster", "gate.plans.all(p, p.spec.max > 100)"), ("plans", "plan.spec.max > 100")]
    {
        let results = sound(each, condition).list[0].run(&View::new(&elsewhere));
        let words: Vec<&str> = results.iter().map(|(_, outcome)| word(outcome)).collect();
        assert_eq!(words, ["undecided"], "{condition}");
    }
    let results = sound("cluster", "has(gate)").list[0].run(&View::new(&elsewhere));
    assert_eq!(word(&results[0].1), "pass");
}

#[test]
fn only_a_rule_that_names_the_gate_is_for_it() {
    let modes = |text: &str| load(text).expect("a rule").list[0].check().0.modes;
    let plain = one("plans", "plan.spec.max > 100");
    assert_eq!(modes(&plain), [Mode::Installed, Mode::BeforeInstall]);
    let gate = plain.replace("    forEach", "    modes: [gate, check]\n    forEach");
    assert_eq!(modes(&gate), [Mode::Installed, Mode::Gate]);
}
