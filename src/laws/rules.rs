//! The laws over rules of the user: what is hidden from them makes them undecided, and nothing else.

use std::collections::BTreeMap;
use std::path::Path;

use checks::check::{Outcome, Subject};
use checks::diagnosis::{Policy, diagnose_with};
use checks::evidence::Evidence;
use checks::registry::CHECKS;
use checks::rules::{Rules, Text, View};
use serde_json::Value;

use super::assert_none;
use super::world::{SUBSETS, WORLD, case, hide, nothing, subsets};

/// The recordings that the law is tried on; hiding takes its time.
const TRIED: &[&str] = &[
    "healthy-signed.nodes",
    "healthy-insecure.nodes",
    "cert-expired.nodes",
    "kubelet-open.nodes",
    "anonymous-admin.nodes",
    "hpa-without-request.nodes",
    "not-installed-ready.before",
    "no-auth-reader.nodes",
    "partial-three-metrics.running",
    "object-service.running",
    "forbidden-pods.before",
];

/// Conditions that try to take what is missing for an answer.
const SLY: &[(&str, &str)] = &[
    ("cluster", "size(nodes) == 0 || nodes.all(n, !has(n.handshake.certificates))"),
    ("cluster", "!nodes.exists(n, n.configz.anonymous)"),
    ("cluster", "nodes.filter(n, has(n.configz.port)).size() < 2"),
    ("cluster", "!has(registration) || !has(backend.workload)"),
    ("cluster", "size(backend.logs.map(l, l.signature.kind)) == 0"),
    ("cluster", "size(hpas) == 0 || hpas.all(h, !has(h.scale))"),
    ("cluster", "cluster.distribution != 'eks' && cluster.whoami.groups == []"),
    (
        "cluster",
        "backend.reviews.list_nodes ? metrics.discovery.status == 200 : front_proxy.anonymous_access == 'off'",
    ),
    ("nodes", "!has(node.scrape_log) || !has(node.api_server_alert)"),
    ("nodes", "node.anonymous != 200 || size(node.csrs) == 0"),
    ("nodes", "node.csrs.exists_one(c, c.state == 'issued') && !has(node.dial)"),
    ("nodes", "!(metrics.nodes.exists(m, m.node == node.name))"),
    ("pods", "pod.restarts > 0 || !backend.endpoints.exists(e, has(e.pod) && e.pod == pod.name)"),
    ("hpas", "hpa.pods.all(p, p.containers.all(c, !('cpu' in c.requests)))"),
    ("anonymous_bindings", "binding.role.startsWith('system:')"),
    ("cluster", "gate.plans.all(p, p.metrics.all(m, m.answer.items.size() == 0))"),
    ("plans", "plan.target != 'unknown' && !has(plan.template)"),
    ("plans", "plan.pods.all(p, p.ready) || !plan.scale_permitted.allowed"),
    ("plans", "plan.metrics.exists(m, m.permitted.allowed && m.answer.status == 200)"),
];

fn rules() -> Rules {
    let mut sly = "apiVersion: metrics-preflight/v1alpha1\nrules:\n".to_owned();
    for (index, (each, condition)) in SLY.iter().enumerate() {
        let condition = serde_json::to_string(condition).expect("a text");
        for (word, way) in [("sly", "fails"), ("not", "pass")] {
            let code = word.to_ascii_uppercase();
            let rule = format!(
                "code: {code}-{index}, name: {word}-{index}, title: Sly, severity: error, forEach: {each}"
            );
            sly.extend(["  - {", &rule, ", ", way, ": ", &condition, "}\n"]);
        }
    }
    let mut files = vec![Text { name: "sly.yaml".to_owned(), text: sly }];
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/rules");
    for entry in std::fs::read_dir(folder).expect("the examples") {
        let path = entry.expect("an entry").path();
        let text = std::fs::read_to_string(&path).expect("an example");
        files.push(Text { name: path.display().to_string(), text });
    }
    Rules::load(&files).unwrap_or_else(|problems| panic!("{problems:#?}"))
}

type Results = BTreeMap<(&'static str, Subject), &'static str>;

fn results(rules: &Rules, evidence: &Evidence) -> Results {
    let view = View::new(evidence);
    let each = rules.list.iter().flat_map(|rule| {
        let code = rule.check().0.code;
        rule.run(&view).into_iter().map(move |(subject, outcome)| {
            let word = match outcome {
                Outcome::Pass => "pass",
                Outcome::Fail(_) => "fail",
                Outcome::Undecided(_) => "undecided",
                Outcome::NotApplicable(_) => "not-applicable",
            };
            ((code, subject), word)
        })
    });
    each.collect()
}

fn evidence(document: &Value) -> Evidence {
    serde_json::from_value(document.clone()).expect("evidence")
}

#[test]
fn hiding_makes_rules_undecided_and_nothing_else() {
    let rules = rules();
    let mut broken = Vec::new();
    let mut decided = 0;
    for name in TRIED {
        let document = serde_json::to_value(&case(name).evidence).expect("evidence can be written");
        let whole = results(&rules, &evidence(&document));
        decided += whole.values().filter(|word| **word != "undecided").count();
        for (words, places) in subsets(name, &document, SUBSETS) {
            for (key, word) in results(&rules, &evidence(&hide(&document, &places))) {
                let before = whole.get(&key).copied();
                if word != "undecided" && before != Some(word) {
                    let (code, subject) = key;
                    broken.push(format!(
                        "{code} on {subject} was {before:?} and is {word}: {name} without {words}"
                    ));
                }
            }
        }
    }
    assert!(decided > 200, "the rules decide only {decided} times, so that the law says little");
    assert_none("hiding what was seen moves the results of rules only towards undecided", &broken);
}

#[test]
fn without_evidence_rules_are_undecided() {
    let rules = rules();
    let document =
        serde_json::to_value(&case("healthy-signed.nodes").evidence).expect("evidence can be written");
    let seen = results(&rules, &evidence(&nothing(&document)));
    let broken: Vec<String> = seen
        .iter()
        .filter(|(_, word)| **word != "undecided")
        .map(|((code, subject), word)| format!("{code} on {subject} is {word}"))
        .collect();
    assert_eq!(seen.len(), rules.list.len());
    assert_none("no evidence leaves every rule undecided", &broken);
}

#[test]
fn rules_take_nothing_from_the_checks() {
    let rules = rules();
    let evidence = &case("healthy-signed.nodes").evidence;
    let alone = diagnose_with(CHECKS, &Rules::default(), evidence, Policy::default());
    let beside = diagnose_with(CHECKS, &rules, evidence, Policy::default());
    let apply = rules.list.iter().filter(|rule| rule.check().0.modes.contains(&evidence.mode)).count();
    assert!(apply >= 20 && apply < rules.list.len(), "some are for a gate alone");
    assert_eq!(beside.checks.len(), alone.checks.len() + apply);
    for (one, other) in alone.checks.iter().zip(&beside.checks) {
        assert_eq!(format!("{:?}", one.results), format!("{:?}", other.results), "{}", one.check.name);
    }
}

#[test]
fn findings_of_rules_cite_requests_that_were_made() {
    let rules = rules();
    let mut broken = Vec::new();
    for case in WORLD.iter().filter(|case| case.is_recorded) {
        let view = View::new(&case.evidence);
        for rule in &rules.list {
            for (subject, outcome) in rule.run(&view) {
                let Outcome::Fail(finding) = outcome else { continue };
                let bad = finding.citations.is_empty()
                    || finding.citations.iter().any(|citation| {
                        citation.path.is_empty()
                            || citation.value.is_empty()
                            || citation.request.is_some_and(|id| id >= case.evidence.requests.len())
                    });
                if bad {
                    broken.push(format!(
                        "{} on {subject}: {:?}: {}",
                        rule.check().code,
                        finding.citations,
                        case.name
                    ));
                }
            }
        }
    }
    assert_none("findings of rules cite what was read", &broken);
}

#[test]
fn rules_know_the_marks_of_redaction() {
    assert_eq!(
        checks::rules::NOT_KEPT,
        [crate::source::redact::REDACTED, crate::source::redact::sweep::MASKED]
    );
}
