//! The autoscalers that the manifests declare, each with every object that declares it.

use std::collections::BTreeMap;

use crate::check::Subject;
use crate::evidence::{Document, Evidence};

/// The autoscalers of the manifests of any version, in the order of their names.
pub(crate) fn declared(evidence: &Evidence) -> BTreeMap<Subject, Vec<&Document>> {
    let mut declared: BTreeMap<Subject, Vec<&Document>> = BTreeMap::new();
    for document in &evidence.gate.manifests.documents {
        let is_autoscaler = document.kind == "HorizontalPodAutoscaler"
            && matches!(document.group(), "autoscaling" | "extensions" | "");
        if is_autoscaler {
            declared.entry(subject(evidence, document)).or_default().push(document);
        }
    }
    declared
}

/// An autoscaler as a subject.
fn subject(evidence: &Evidence, document: &Document) -> Subject {
    let namespace = evidence.gate.namespace_of(document);
    Subject::namespaced("HorizontalPodAutoscaler", namespace, document.name_or_place())
}
