//! # The namespace is not there, and no manifest makes it
//!
//! ## What it looks at
//!
//! Whether the namespace of each autoscaler is in the cluster or among the manifests: as a `Namespace`, or as
//! Red Hat's `Project` or `ProjectRequest`. And whether the cluster is just deleting it.
//!
//! ## Why it matters
//!
//! `kubectl apply` refuses whatever goes to a namespace that is not there. And nothing of it can be judged before: its
//! LimitRanges, its quotas and its pods come with it or after it, so that metrics there are left to a look after the deploy.
//!
//! ## How to fix it
//!
//! Correct the name, or `-n` where the manifests name none; or put the namespace among the manifests.
//!
//! ## When it is wrong
//!
//! Where the deploy itself makes the namespace, as `helm install --create-namespace` and `CreateNamespace=true` of Argo
//! CD do, it is right that it is not there before the first time. A waiver for it says so.
//!
//! ## References
//!
//! - Kubernetes `plugin/pkg/admission/namespace/lifecycle`, which refuses what goes to a namespace that is not there
//! - <https://kubernetes.io/docs/concepts/overview/working-with-objects/namespaces/>

use std::collections::BTreeMap;

use crate::check::{
    Audience, Check, Finding, Hop, Kind, Outcome, Question, Remedy, Results, Severity, Step, Subject, fail,
    not_applicable,
};
use crate::evidence::{Document, Evidence, Mode, Namespace, Need, Plan};
use crate::hpa;
use crate::plan::nearest::is_near;
use crate::plan::{self, own};

pub(crate) const CHECK: Check = Check {
    code: "MP934",
    name: "namespace-missing",
    title: "The namespace is not there, and no manifest makes it",
    hop: Hop::Hpa,
    severity: Severity::Warning,
    kind: Kind::Cause,
    modes: &[Mode::Gate],
    needs: &[Need::Hpas, Need::HpaTarget, Need::Namespaces],
    explains: &[],
    question: Question::Listed,
    source: include_str!("namespace_missing.rs"),
    run,
    remedies,
};

fn run(evidence: &Evidence, results: &mut Results<'_>) {
    let mut plans: BTreeMap<&str, Vec<&Plan>> = BTreeMap::new();
    for plan in hpa::applied(evidence) {
        plans.entry(&plan.namespace).or_default().push(plan);
    }
    for (name, plans) in plans {
        let subject = Subject::cluster_scoped("Namespace", name);
        results.about(subject.clone(), |ctx| {
            if evidence.gate.offline {
                return Ok(not_applicable("manifests alone are judged"));
            }
            let seen = evidence.gate.namespaces.get(name);
            if let Some(seen) = seen.filter(|seen| seen.ends) {
                ctx.need(&seen.exists)?;
                let detail =
                    format!("the namespace {name} is being deleted, and takes nothing new until it is gone");
                let finding = Finding::new(subject, detail).fact("ends", name);
                return Ok(fail(finding.cite(&seen.exists, "status.phase", "Terminating", "Active")));
            }
            if made(evidence).any(|document| document.name == name) {
                return Ok(Outcome::Pass);
            }
            let Some(seen) = seen else {
                return Ok(not_applicable("nobody was asked about it"));
            };
            // What is in it shows that it is there to those who may not read it.
            let holds = |space: &Namespace| ctx.need(&space.hpas).is_ok_and(|hpas| !hpas.is_empty());
            let has_target = |plan: &&Plan| matches!(ctx.need(&plan.scale), Ok(Some(_)));
            if holds(seen) || plans.iter().any(has_target) || *ctx.need(&seen.exists)? {
                return Ok(Outcome::Pass);
            }
            let near = made(evidence).find(|document| is_near(&document.name, name));
            let place = near.map(|near| format!("; {} {} is at {}", near.kind, near.name, near.place));
            let detail = format!(
                "there is no namespace {name}, neither in the cluster nor in the manifests{}",
                place.unwrap_or_default()
            );
            let finding = Finding::new(subject, detail);
            let mut finding = finding.cite(&seen.exists, "status", "404 Not Found", "200 OK");
            let named = plans.iter().filter_map(|plan| own(evidence, plan)).find(|it| it.namespace == name);
            if let Some(named) = named {
                let expected = near.map_or("a namespace that is there", |near| near.name.as_str());
                finding = finding.cite_manifest(named, "/metadata/namespace", name, expected);
            }
            if let (Some(named), Some(near)) = (named, near) {
                let yaml = format!("namespace: {}", near.name);
                finding = plan::edit(finding, named, "/metadata/namespace", &yaml);
            }
            Ok(fail(finding))
        });
    }
}

/// The objects of the manifests that make a namespace.
fn made(evidence: &Evidence) -> impl Iterator<Item = &Document> {
    evidence.gate.manifests.documents.iter().filter(|document| {
        matches!(
            (document.group(), document.kind.as_str()),
            ("", "Namespace") | ("project.openshift.io", "Project" | "ProjectRequest")
        )
    })
}

fn remedies(_: &Evidence, findings: &[&Finding]) -> Vec<Remedy> {
    let is_label = |name: &str| {
        name.starts_with(|first: char| first.is_ascii_alphanumeric())
            && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
    };
    let ends = |finding: &&Finding| finding.facts.contains_key("ends");
    let (ending, missing): (Vec<&Finding>, Vec<&Finding>) = findings.iter().copied().partition(ends);
    let mut remedies = Vec::new();
    if !ending.is_empty() {
        let names = ending.iter().map(|finding| finding.subject.name.as_str()).filter(|name| is_label(name));
        let wait = |name: &str| {
            Step::run("workstation", format!("kubectl wait --for=delete namespace/{name} --timeout=10m"))
                .verify(format!("! kubectl get namespace {name}"))
        };
        remedies.push(remedy("Wait until the namespace is gone, and deploy then", names.map(wait).collect()));
    }
    if missing.is_empty() {
        return remedies;
    }
    let findings = missing.as_slice();
    let mut steps = plan::edits(findings);
    let what = "correct the namespace, or put a Namespace among the manifests; where the deploy makes it, there is nothing to do";
    steps.push(Step::manual("the manifest", what));
    let names = findings.iter().map(|finding| finding.subject.name.as_str());
    steps.extend(names.filter(|name| is_label(name)).map(|name| {
        Step::run("workstation", format!("kubectl create namespace {name}"))
            .verify(format!("kubectl get namespace {name}"))
    }));
    remedies.push(remedy("Name a namespace that is there, or make it", steps));
    remedies
}

fn remedy(title: &str, steps: Vec<Step>) -> Remedy {
    Remedy {
        title: title.to_owned(),
        audience: Audience::Production,
        cost: String::new(),
        leaves: Vec::new(),
        steps,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::evidence::Why;
    use crate::plan::testing::{cpu, forbidden, hpa, offline, online, result, scale, seen, word};

    /// An autoscaler of a namespace that is not there, beside these objects.
    fn absent(others: &[Value]) -> Evidence {
        let mut evidence = online(&[&[hpa("web", json!([cpu(80)]))], others].concat());
        let why = || Why::Deferred("the namespace shop is not there yet".to_owned());
        evidence.gate.namespaces.get_mut("shop").expect("the namespace").exists =
            seen(Need::Namespaces, false);
        evidence.gate.plans[0].scale.look = crate::evidence::Look::Unseen(why());
        evidence
    }

    fn namespace(name: &str) -> Value {
        json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
    }

    #[test]
    fn a_namespace_that_nobody_makes_is_told() {
        let Outcome::Fail(finding) = result(&CHECK, &absent(&[])) else { panic!() };
        assert_eq!(finding.detail, "there is no namespace shop, neither in the cluster nor in the manifests");
        assert_eq!(finding.citations.len(), 2);
        let Outcome::Fail(finding) = result(&CHECK, &absent(&[namespace("shp")])) else { panic!() };
        assert!(finding.detail.ends_with("; Namespace shp is at app.yaml:101:1"), "{}", finding.detail);
        assert_eq!(finding.facts["yaml"], "namespace: shp");
    }

    #[test]
    fn whoever_makes_it_is_enough() {
        let project = json!({
            "apiVersion": "project.openshift.io/v1", "kind": "ProjectRequest", "metadata": {"name": "shop"},
        });
        for object in [namespace("shop"), project] {
            assert_eq!(word(&result(&CHECK, &absent(&[object]))), "pass");
        }
        let evidence = online(&[hpa("web", json!([cpu(80)]))]);
        assert_eq!(word(&result(&CHECK, &evidence)), "pass");
        assert_eq!(word(&result(&CHECK, &offline(&[hpa("web", json!([cpu(80)]))]))), "n/a");
    }

    #[test]
    fn one_that_is_being_deleted_takes_nothing() {
        let mut evidence = absent(&[namespace("shop")]);
        evidence.gate.namespaces.get_mut("shop").expect("the namespace").ends = true;
        let Outcome::Fail(finding) = result(&CHECK, &evidence) else { panic!("it is refused") };
        assert!(finding.detail.contains("is being deleted"), "{}", finding.detail);
        let [cure] = &remedies(&evidence, &[&*finding])[..] else { panic!("one cure") };
        assert_eq!(cure.steps[0].command, "kubectl wait --for=delete namespace/shop --timeout=10m");
        evidence.gate.namespaces.get_mut("shop").expect("the namespace").exists = forbidden(Need::Namespaces);
        assert_eq!(word(&result(&CHECK, &evidence)), "open");
    }

    #[test]
    fn what_may_not_be_read_is_not_missing() {
        let mut evidence = online(&[hpa("web", json!([cpu(80)]))]);
        evidence.gate.namespaces.get_mut("shop").expect("the namespace").exists = forbidden(Need::Namespaces);
        assert_eq!(word(&result(&CHECK, &evidence)), "open");
        evidence.gate.plans[0].scale = scale("app=web");
        assert_eq!(word(&result(&CHECK, &evidence)), "pass");
    }
}
