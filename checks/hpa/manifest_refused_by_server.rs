//! # The API server does not take a manifest
//!
//! ## What it looks at
//!
//! With `gate --server-dry-run`: what the API server says of each object of the manifests when it is asked to apply it
//! and to change nothing (server-side apply with `dryRun=All` and strict validation of fields). Schemas of custom
//! resources, defaults, quotas and the admission webhooks of the cluster have their say there.
//!
//! ## Why it matters
//!
//! What is refused in a dry run is refused in the deploy. An autoscaler that is not there reads nothing, and one whose
//! workload is refused has nothing to scale.
//!
//! ## How to fix it
//!
//! Change the manifest as the API server says, or the policy that refuses it.
//!
//! ## When it is wrong
//!
//! A dry run takes each object by itself: one that another object of the same deploy makes possible is refused. Webhooks
//! that have side effects are not asked. KEDA's webhook does not look at the requests of containers in a dry run.
//! Objects without a name, Secrets, ServiceAccounts, and kinds that another server than kube-apiserver serves are not
//! sent.
//!
//! What the manifest alone shows to be refused is told by `hpa-manifest-refused`, `hpa-target-refused` or
//! `hpa-api-version-removed`, with its cure, and not once more here.
//!
//! ## References
//!
//! - Failure catalogue: section on what a gate checks (AH, 19)
//! - <https://kubernetes.io/docs/reference/using-api/api-concepts/#dry-run>

use crate::check::{
    Audience, Check, Finding, Hop, Kind, Outcome, Question, Remedy, Results, Severity, Step, Subject, fail,
    not_applicable,
};
use crate::evidence::{Document, Evidence, Mode, Need, Plan, Trial, Tried};
use crate::hpa::{self, hpa_api_version_removed, hpa_manifest_refused, hpa_target_refused};
use crate::plan;
use crate::refusal::{self, Fault};

pub(crate) const CHECK: Check = Check {
    code: "MP928",
    name: "manifest-refused-by-server",
    title: "The API server does not take a manifest",
    hop: Hop::Hpa,
    severity: Severity::Error,
    kind: Kind::Cause,
    modes: &[Mode::Gate],
    needs: &[Need::DryRun],
    explains: &[],
    question: Question::Deciding { modes: &[Mode::Gate], unless: &[] },
    source: include_str!("manifest_refused_by_server.rs"),
    run,
    remedies,
};

fn run(evidence: &Evidence, results: &mut Results<'_>) {
    let trials = &evidence.gate.trials;
    if trials.is_empty() {
        results.about(Subject::cluster(), |_| Ok(not_applicable("no dry run was asked for")));
        return;
    }
    for Trial { document, answer } in trials {
        let Some(document) = evidence.gate.manifests.documents.get(*document) else { continue };
        let subject = subject(evidence, document);
        results.about(subject.clone(), |ctx| {
            let tried = ctx.need(answer)?;
            if tried.accepted {
                return Ok(Outcome::Pass);
            }
            let finding = Finding::new(subject, format!("{}: {}", tried.status, tried.message))
                .cite(answer, "status", tried.status.to_string(), "200")
                .cite_manifest(document, &pointer(document, tried), "refused", "what the API server takes");
            let (known, at) = known(evidence, document, tried);
            // What the manifest alone shows is told by its own check, with its cure.
            Ok(fail(Finding { candidates: known, at, ..finding }))
        });
    }
}

/// The checks that name the same fault from the manifest alone, and the autoscalers that they name it for. None where the
/// API server refuses anything besides.
fn known(evidence: &Evidence, document: &Document, tried: &Tried) -> (Vec<&'static str>, Vec<Subject>) {
    let subject = subject(evidence, document);
    let none = || (Vec::new(), Vec::new());
    if document.kind == "HorizontalPodAutoscaler" && document.group() == "autoscaling" {
        if !hpa_manifest_refused::knows(document) {
            let check = hpa_api_version_removed::CHECK.name;
            return if tried.status == 404 { (vec![check], vec![subject]) } else { none() };
        }
        let is_same = is_same(tried, &refusal::faults(document));
        return if is_same { (vec![hpa_manifest_refused::CHECK.name], vec![subject]) } else { none() };
    }
    let targets =
        |plan: &&Plan| evidence.gate.target_of(plan).is_some_and(|target| std::ptr::eq(target, document));
    let scaled: Vec<Subject> = hpa::applied(evidence).filter(targets).map(plan::subject).collect();
    if scaled.is_empty() || !is_same(tried, &refusal::workload::faults(document)) {
        return none();
    }
    (vec![hpa_target_refused::CHECK.name], scaled)
}

/// Whether all that the API server refuses is among these faults. Of a quantity it does not say which; and a version that
/// it does not serve it does not find.
fn is_same(tried: &Tried, faults: &[Fault]) -> bool {
    if tried.fields.is_empty() {
        let of_quantity = tried.message.contains("quantit") || tried.message.contains("parse numeric part");
        return faults.iter().any(|fault| {
            of_quantity && fault.expected.starts_with("a quantity")
                || tried.status == 404 && fault.pointer == "/apiVersion"
        });
    }
    let within = |one: &str, other: &str| {
        one == other || one.strip_prefix(other).is_some_and(|rest| rest.starts_with('/'))
    };
    tried.fields.iter().all(|field| {
        let parts = field.split(['.', '[', ']']).filter(|part| !part.is_empty());
        let pointer = parts.fold(String::new(), |pointer, part| format!("{pointer}/{part}"));
        let is_named = |fault: &Fault| within(&fault.pointer, &pointer) || within(&pointer, &fault.pointer);
        // What is said of the object as a whole is said of no field.
        pointer.matches('/').count() > 1 && faults.iter().any(is_named)
    })
}

/// The object, by the name that checks of autoscalers know it by.
fn subject(evidence: &Evidence, document: &Document) -> Subject {
    let namespace = evidence.gate.namespace_of(document);
    Subject::namespaced(&document.kind, namespace, document.name_or_place())
}

/// The first field at fault, as far as the manifest has it: `spec.metrics[0].type` is `/spec/metrics/0/type`.
fn pointer(document: &Document, tried: &Tried) -> String {
    let Some(field) = tried.fields.first() else { return "/metadata/name".to_owned() };
    let parts = field.split(['.', '[', ']']).filter(|part| !part.is_empty());
    let mut pointer = String::new();
    for part in parts {
        let deeper = format!("{pointer}/{part}");
        if document.body.pointer(&deeper).is_none() {
            break;
        }
        pointer = deeper;
    }
    if pointer.is_empty() { "/metadata/name".to_owned() } else { pointer }
}

fn remedies(_: &Evidence, findings: &[&Finding]) -> Vec<Remedy> {
    let steps = findings.iter().take(20).map(|finding| {
        let place = finding.citations.iter().find_map(|citation| citation.place.as_ref());
        let place = place.map(|place| format!("{}:{}: ", place.file, place.line)).unwrap_or_default();
        Step::manual("the manifest", format!("{place}{}: {}", finding.subject, finding.detail))
    });
    vec![Remedy {
        title: "Change the manifest as the API server says, or the policy that refuses it".to_owned(),
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
    use crate::diagnosis::{Policy, RootCause, diagnose};
    use crate::evidence::Obs;
    use crate::plan::testing::{cpu, deployment, forbidden, hpa, online, result, seen, words};
    use crate::registry::CHECKS;

    fn evidence(answer: Option<Obs<Tried>>) -> Evidence {
        let mut evidence = online(&[hpa("web", json!([cpu(80)]))]);
        evidence.gate.trials = answer.map(|answer| Trial { document: 0, answer }).into_iter().collect();
        evidence
    }

    fn tried(status: i64, message: &str, fields: &[&str]) -> Obs<Tried> {
        let fields = fields.iter().map(|field| (*field).to_owned()).collect();
        let tried = Tried { accepted: status < 300, status, message: message.to_owned(), fields };
        seen(Need::DryRun, tried)
    }

    #[test]
    fn what_the_api_server_says_decides() {
        let said = |answer| words(&result(&CHECK, &evidence(answer)));
        assert_eq!(said(Some(tried(200, "", &[]))), "pass");
        assert_eq!(said(Some(tried(403, "exceeded quota", &[]))), "403: exceeded quota");
        assert_eq!(said(Some(forbidden(Need::DryRun))), "open: not permitted: needs `list` on `things`");
        assert_eq!(said(None), "n/a: no dry run was asked for");
    }

    /// The root causes that are told of an autoscaler with these changes, and of the Deployment beside it.
    fn roots(changes: &[(&str, Value)], answers: Vec<(usize, Obs<Tried>)>) -> Vec<&'static str> {
        let container =
            json!([{"name": "app", "image": "web:1", "resources": {"requests": {"cpu": "100m"}}}]);
        let mut objects = [hpa("web", json!([cpu(80)])), deployment("web", container)];
        for (pointer, value) in changes {
            let object = objects.iter_mut().find_map(|object| object.pointer_mut(pointer));
            *object.expect("a field") = value.clone();
        }
        let mut evidence = online(&objects);
        evidence.gate.trials =
            answers.into_iter().map(|(document, answer)| Trial { document, answer }).collect();
        let judged = diagnose(CHECKS, &evidence, Policy::default());
        let error = |it: &&RootCause| it.severity() == Severity::Error;
        judged.root_causes.iter().filter(error).map(|cause| cause.check.0.code).collect()
    }

    /// As kube-apiserver 1.36 says it of an autoscaler that is applied with a malformed quantity.
    const QUANTITY: &str = "failed to convert new object (shop/web; autoscaling/v2, Kind=HorizontalPodAutoscaler) to proper \
                            version: unable to convert unstructured object to autoscaling/v2, \
                            Kind=HorizontalPodAutoscaler: quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'";

    #[test]
    fn one_fault_is_told_once() {
        let max = ("/spec/maxReplicas", json!(1));
        let refused = |fields| vec![(0, tried(422, "no", fields))];
        assert_eq!(roots(std::slice::from_ref(&max), refused(&["spec.maxReplicas"])), ["MP906"]);
        // What it says besides is another fault.
        let both = ["MP906", "MP928"];
        assert_eq!(
            roots(std::slice::from_ref(&max), refused(&["spec.maxReplicas", "spec.metrics[0]"])),
            both
        );
        assert_eq!(roots(&[max], vec![(0, tried(403, "a team has at most 3 pods", &[]))]), both);
        assert_eq!(roots(&[], refused(&["spec.maxReplicas"])), ["MP928"]);

        let amount = json!([{"type": "Resource", "resource": {
            "name": "cpu", "target": {"type": "AverageValue", "averageValue": "1OO m"},
        }}]);
        let of_quantity = || vec![(0, tried(500, QUANTITY, &[]))];
        assert_eq!(roots(&[("/spec/metrics", amount)], of_quantity()), ["MP906"]);
        assert_eq!(roots(&[("/spec/maxReplicas", json!(1))], of_quantity()), both);

        let version = ("/apiVersion", json!("autoscaling/v2beta2"));
        let not_found = vec![(0, tried(404, "the server could not find the requested resource", &[]))];
        assert_eq!(roots(&[version], not_found), ["MP905"]);
    }

    #[test]
    fn a_target_that_is_refused_is_told_once() {
        let none = ("/spec/template/spec/containers/0/image", json!(""));
        let field = "spec.template.spec.containers[0].image";
        assert_eq!(roots(&[none], vec![(1, tried(422, "Required value", &[field]))]), ["MP932"]);
        assert_eq!(roots(&[], vec![(1, tried(422, "Required value", &[field]))]), ["MP928"]);
    }

    #[test]
    fn it_stands_at_the_field() {
        for (fields, expected) in [
            (&["spec.maxReplicas"][..], "/spec/maxReplicas"),
            (&["spec.metrics[0].resource.target"], "/spec/metrics/0/resource/target"),
            (&["spec.metrics[0].resource.none"], "/spec/metrics/0/resource"),
            (&["nothing.of.this"], "/metadata/name"),
            (&[], "/metadata/name"),
        ] {
            let evidence = evidence(Some(tried(422, "no", fields)));
            let Outcome::Fail(finding) = result(&CHECK, &evidence) else { panic!("it fails") };
            let proof = finding.citations.iter().find(|it| it.place.is_some()).expect("a place");
            assert_eq!(finding.subject.to_string(), "HorizontalPodAutoscaler shop/web");
            assert_eq!(format!("/{}", proof.path.replace('.', "/")), expected);
            let own = &evidence.gate.manifests.documents[0];
            assert_eq!(proof.place.as_ref(), Some(own.place_of(expected)));
        }
    }
}
