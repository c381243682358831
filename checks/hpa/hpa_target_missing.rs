//! # The HPA's target does not exist
//!
//! ## What it looks at
//!
//! `spec.scaleTargetRef` of the HPA, and whether that object has a scale in the HPA's namespace. In a gate:
//! whether the object is among the manifests or in the cluster.
//!
//! ## Why it matters
//!
//! The controller cannot read the target's size (`FailedGetScale`) and does nothing at all. What the
//! condition `ScalingActive` says then is from an earlier time.
//!
//! ## How to fix it
//!
//! Correct the name, kind or API version; a target is always in the HPA's own namespace.
//!
//! ## When it is wrong
//!
//! Between the deployment of an HPA and of its target it is true for a moment. Without a cluster a gate does
//! not know what is deployed from elsewhere, and leaves it open.
//!
//! ## References
//!
//! - Failure catalogue: `hpa-target-not-found` (AH-H01), `hpa-target-kind-unknown` (AH-H02)

use crate::check::{
    Audience, Check, Finding, Hop, Kind, Outcome, Question, Remedy, Results, Severity, Step, Undecided, fail,
    not_applicable,
};
use crate::evidence::{Document, Evidence, Mode, Need, Plan, TargetKind, Why};
use crate::hpa;
use crate::plan::nearest::is_near;
use crate::plan::{self, cite_own, kinds, own};

pub(crate) const CHECK: Check = Check {
    code: "MP902",
    name: "hpa-target-missing",
    title: "The HPA's target does not exist",
    hop: Hop::Hpa,
    severity: Severity::Error,
    kind: Kind::Cause,
    modes: hpa::BOTH,
    needs: &[Need::Hpas, Need::HpaTarget, Need::Namespaces],
    explains: &["hpa-metrics-unreadable"],
    question: Question::Deciding { modes: hpa::GATE, unless: &[] },
    source: include_str!("hpa_target_missing.rs"),
    run,
    remedies,
};

fn run(evidence: &Evidence, results: &mut Results<'_>) {
    if evidence.mode == Mode::Gate {
        return gate(evidence, results);
    }
    results.each(&evidence.hpas, hpa::subject, |ctx, hpa, subject| {
        if ctx.need(&hpa.scale)?.is_some() {
            return Ok(Outcome::Pass);
        }
        let (version, kind, name) = &hpa.target;
        let detail = format!("there is no {kind} {name} ({version}) in namespace {}", hpa.namespace);
        Ok(fail(
            Finding::new(subject, detail)
                .cite(
                    &evidence.hpas,
                    format!("items[{}].spec.scaleTargetRef", hpa.name),
                    format!("{kind}/{name}"),
                    "an object that exists",
                )
                .cite(&hpa.scale, "status", "404 Not Found", "200 OK"),
        ))
    });
}

fn gate(evidence: &Evidence, results: &mut Results<'_>) {
    hpa::each_plan(evidence, results, |ctx, plan, subject| {
        let target = &plan.spec.target;
        let kind = evidence.gate.kind(target.group(), &target.kind);
        if matches!(kind, Some(TargetKind::NotScalable | TargetKind::Unknown)) {
            return Ok(not_applicable("its target is of a kind that cannot be scaled"));
        }
        if evidence.gate.target_of(plan).is_some() {
            return Ok(Outcome::Pass);
        }
        let near = nearest(evidence, plan);
        let place = near.map(|document| {
            let namespace = evidence.gate.namespace_of(document);
            format!("; {} {} of namespace {namespace} is at {}", document.kind, document.name, document.place)
        });
        let place = place.unwrap_or_default();
        let name = format!("{} {}", target.kind, target.name);
        if evidence.gate.offline {
            let because = format!(
                "{name} is in none of the manifests in namespace {}, and the cluster was not asked{place}",
                plan.namespace,
            );
            return Err(Undecided { need: Need::HpaTarget, why: Why::NotAsked(because) });
        }
        let scale = ctx.need(&plan.scale);
        // What will be in a namespace that is not there yet, only the deploy shows; a slip it does not cure.
        let absent = scale.is_err()
            && near.is_some_and(|near| is_a_slip(evidence, plan, near))
            && plan::is_absent(ctx, evidence, &plan.namespace);
        if !absent && scale?.is_some() {
            return Ok(Outcome::Pass);
        }
        let detail = format!(
            "there is no {name} in namespace {}, neither in the manifests nor in the cluster{place}",
            plan.namespace,
        );
        let finding = Finding::new(subject, detail);
        let cited = ("/spec/scaleTargetRef/name", target.name.as_str(), "an object that exists");
        let finding = cite_own(ctx, evidence, plan, finding, cited)?;
        let (path, value, expected) = ("status", "404 Not Found", "200 OK");
        let mut finding = match evidence.gate.namespaces.get(&plan.namespace).filter(|_| absent) {
            Some(namespace) => finding.cite(&namespace.exists, path, value, expected),
            None => finding.cite(&plan.scale, path, value, expected),
        };
        if let Some(near) = near {
            finding = finding.cite_manifest(near, "/metadata/name", &near.name, &target.name);
            finding = match own(evidence, plan) {
                Some(own) if evidence.gate.namespace_of(near) != plan.namespace => {
                    let yaml = format!("namespace: {}", evidence.gate.namespace_of(near));
                    let namespace = Some(evidence.gate.namespace_of(near).into());
                    plan::edit(finding, own, "/metadata/namespace", &yaml).change(
                        own,
                        "/metadata/namespace",
                        namespace,
                    )
                }
                Some(own) => {
                    let yaml = format!("kind: {} and name: {}", near.kind, near.name);
                    let finding = plan::edit(finding, own, "/spec/scaleTargetRef", &yaml);
                    corrections(target, near).fold(finding, |finding, (field, value)| {
                        let pointer = format!("/spec/scaleTargetRef/{field}");
                        finding.change(own, pointer, Some(value.into()))
                    })
                }
                None => finding,
            };
        }
        Ok(fail(finding))
    });
}

/// Whether a reference means this object although it does not say so: it is of the same namespace, and no other
/// autoscaler's target. Of two that are alike each may have its own, and another deploy may bring one.
fn is_a_slip(evidence: &Evidence, plan: &Plan, near: &Document) -> bool {
    let is_target =
        |other: &Plan| evidence.gate.target_of(other).is_some_and(|target| std::ptr::eq(target, near));
    evidence.gate.namespace_of(near) == plan.namespace && !hpa::applied(evidence).any(is_target)
}

/// The fields of a reference that differ from what it is to mean.
fn corrections<'e>(
    target: &'e plan::ObjectRef,
    near: &'e Document,
) -> impl Iterator<Item = (&'static str, &'e str)> {
    [
        ("apiVersion", target.api_version.as_str(), near.api_version.as_str()),
        ("kind", target.kind.as_str(), near.kind.as_str()),
        ("name", target.name.as_str(), near.name.as_str()),
    ]
    .into_iter()
    .filter(|(_, is, should)| is != should)
    .map(|(field, _, should)| (field, should))
}

/// What the reference may have meant: the same in another namespace, another kind of the same name, a slip in the
/// name.
fn nearest<'e>(evidence: &'e Evidence, plan: &'e Plan) -> Option<&'e Document> {
    let gate = &evidence.gate;
    let target = &plan.spec.target;
    let here = |document: &Document| gate.namespace_of(document) == plan.namespace;
    let same_kind =
        |document: &Document| document.group() == target.group() && kinds::is(&target.kind, &document.kind);
    let scalable =
        |document: &Document| gate.kind(document.group(), &document.kind) == Some(TargetKind::Scalable);
    let documents = || gate.manifests.documents.iter();
    let mut elsewhere = documents().filter(|it| it.name == target.name && same_kind(it));
    let mut other_kinds = documents().filter(|it| it.name == target.name && here(it) && scalable(it));
    let mut slips = gate
        .objects(target.group(), &target.kind, &plan.namespace)
        .filter(|it| is_near(&it.name, &target.name));
    elsewhere.next().or_else(|| other_kinds.next()).or_else(|| slips.next())
}

fn remedies(evidence: &Evidence, findings: &[&Finding]) -> Vec<Remedy> {
    if evidence.mode == Mode::Gate {
        let mut steps = plan::edits(findings);
        if steps.is_empty() {
            let what = "correct spec.scaleTargetRef of the HPA, or deploy its target with it";
            steps.push(Step::manual("the manifest", what));
        }
        return vec![Remedy {
            title: "Point the HPA at an object that exists".to_owned(),
            audience: Audience::Production,
            cost: String::new(),
            leaves: Vec::new(),
            steps,
        }];
    }
    let namespaces: Vec<&str> = findings.iter().map(|finding| finding.subject.namespace.as_str()).collect();
    let Some(namespace) = namespaces.first() else { return Vec::new() };
    vec![Remedy {
        title: "Point the HPA at an object that exists".to_owned(),
        audience: Audience::Production,
        cost: String::new(),
        leaves: Vec::new(),
        steps: vec![
            Step::run("workstation", format!("kubectl -n {namespace} get deployments,statefulsets")),
            Step::manual(
                "workstation",
                "correct spec.scaleTargetRef in the HPA's manifest and apply it, or deploy the target",
            ),
        ],
    }]
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::evidence::Obs;
    use crate::plan::testing::{
        cpu, deployment, forbidden, hpa as autoscaler, offline, online, result, scale, seen, word, words,
    };

    fn target(name: &str, others: &[Value]) -> Vec<Value> {
        let mut object = autoscaler("web", json!([cpu(70)]));
        object["spec"]["scaleTargetRef"]["name"] = json!(name);
        [&[object], others].concat()
    }

    #[test]
    fn a_target_among_the_manifests_is_there() {
        let objects = target("web", &[deployment("web", json!([]))]);
        assert_eq!(word(&result(&CHECK, &offline(&objects))), "pass");
        assert_eq!(word(&result(&CHECK, &online(&objects))), "pass");
    }

    #[test]
    fn a_target_in_the_cluster_is_there() {
        let mut evidence = online(&target("web", &[]));
        evidence.gate.plans[0].scale = scale("app=web");
        assert_eq!(word(&result(&CHECK, &evidence)), "pass");
        evidence.gate.plans[0].scale = forbidden(Need::HpaTarget);
        assert_eq!(word(&result(&CHECK, &evidence)), "open");
    }

    #[test]
    fn the_nearest_object_is_proposed() {
        let mut elsewhere = deployment("web", json!([]));
        elsewhere["metadata"]["namespace"] = json!("other");
        let mut stateful = deployment("web", json!([]));
        stateful["kind"] = json!("StatefulSet");
        for (near, words_of, yaml) in [
            (elsewhere, "Deployment web of namespace other", "namespace: other"),
            (stateful, "StatefulSet web of namespace shop", "kind: StatefulSet and name: web"),
        ] {
            let evidence = online(&target("web", &[near]));
            let Outcome::Fail(finding) = result(&CHECK, &evidence) else { panic!() };
            assert!(finding.detail.contains(words_of), "{}", finding.detail);
            assert_eq!(finding.facts["yaml"], yaml);
        }
        let typo = target("wbe", &[deployment("web", json!([]))]);
        let open = words(&result(&CHECK, &offline(&typo)));
        assert!(open.starts_with("open:") && open.contains("Deployment web of namespace shop"), "{open}");
        let Outcome::Fail(finding) = result(&CHECK, &online(&typo)) else { panic!() };
        assert_eq!(finding.facts["yaml"], "kind: Deployment and name: web");
    }

    /// What is deployed into a namespace that is not there yet nobody knows; a slip within the manifests is one all the same.
    #[test]
    fn a_namespace_that_is_not_there_leaves_it_to_the_deploy() {
        let why = || Why::Deferred("the namespace shop is not there yet".to_owned());
        let of = |objects: &[Value]| {
            let mut evidence = online(objects);
            evidence.gate.namespaces.get_mut("shop").expect("the namespace").exists =
                seen(Need::Namespaces, false);
            evidence.gate.plans[0].scale = Obs::unseen(Need::HpaTarget, [0], why());
            result(&CHECK, &evidence)
        };
        assert_eq!(
            of(&target("api", &[])),
            Outcome::Undecided(Undecided { need: Need::HpaTarget, why: why() })
        );
        assert_eq!(word(&of(&target("web", &[deployment("web", json!([]))]))), "pass");
        assert_eq!(word(&of(&target("wbe", &[deployment("web", json!([]))]))), "fail");
        // Whoever is another autoscaler's target is not meant, nor who is elsewhere.
        let first = autoscaler("worker-1", json!([cpu(80)]));
        let mut beside = target("worker-2", &[deployment("worker-1", json!([])), first]);
        beside[2]["spec"]["scaleTargetRef"]["name"] = json!("worker-1");
        let mut elsewhere = deployment("web", json!([]));
        elsewhere["metadata"]["namespace"] = json!("other");
        for objects in [beside, target("web", &[elsewhere])] {
            let mut evidence = online(&objects);
            evidence.gate.namespaces.get_mut("shop").expect("the namespace").exists =
                seen(Need::Namespaces, false);
            evidence.gate.plans[0].scale = Obs::unseen(Need::HpaTarget, [0], why());
            assert_eq!(word(&CHECK.run(&evidence).results[0].1), "open", "{objects:?}");
        }
    }

    #[test]
    fn another_check_speaks_of_kinds_that_cannot_be_scaled() {
        let mut objects = target("web", &[]);
        objects[0]["spec"]["scaleTargetRef"]["kind"] = json!("DaemonSet");
        assert_eq!(word(&result(&CHECK, &online(&objects))), "n/a");
    }
}
