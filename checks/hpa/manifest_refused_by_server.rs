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
//! ## References
//!
//! - Failure catalogue: section on what a gate checks (AH, 19)
//! - <https://kubernetes.io/docs/reference/using-api/api-concepts/#dry-run>

use crate::check::{
    Audience, Check, Finding, Hop, Kind, Outcome, Question, Remedy, Results, Severity, Step, Subject, fail,
    not_applicable,
};
use crate::evidence::{Document, Evidence, Mode, Need, Trial, Tried};

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
            Ok(fail(finding))
        });
    }
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
    use serde_json::json;

    use super::*;
    use crate::evidence::Obs;
    use crate::plan::testing::{cpu, forbidden, hpa, online, result, seen, words};

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
