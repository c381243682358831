//! KEDA's ScaledObjects, each of which makes an autoscaler.

use super::ObjectRef;
use crate::evidence::{Document, Gate};

/// What a ScaledObject among the manifests makes.
#[derive(Clone, Debug)]
pub(crate) struct Scaled<'e> {
    /// Its object.
    pub(crate) document: &'e Document,
    /// What it scales.
    pub(crate) target: ObjectRef,
    /// The name of the autoscaler that KEDA makes of it.
    pub(crate) hpa: String,
}

impl Gate {
    /// The ScaledObjects of a namespace.
    pub(crate) fn scaled_objects<'e>(&'e self, namespace: &'e str) -> impl Iterator<Item = Scaled<'e>> {
        self.objects("keda.sh", "ScaledObject", namespace).map(read)
    }
}

/// Reads a ScaledObject, with the defaults of KEDA.
pub(crate) fn read(document: &Document) -> Scaled<'_> {
    let mut target = ObjectRef::read(document.at("/spec/scaleTargetRef"));
    if target.api_version.is_empty() {
        "apps/v1".clone_into(&mut target.api_version);
    }
    if target.kind.is_empty() {
        "Deployment".clone_into(&mut target.kind);
    }
    let given = document.at("/spec/advanced/horizontalPodAutoscalerConfig/name").as_str();
    let hpa = given.map_or_else(|| format!("keda-hpa-{}", document.name), str::to_owned);
    Scaled { document, target, hpa }
}
