//! What LimitRanges add to containers.

use serde_json::Value;

use crate::Context;
use crate::check::Undecided;
use crate::evidence::{Document, Evidence, Need, Why};

/// The resources that every container of a namespace requests once it has this `spec` of a LimitRange.
///
/// A default limit becomes a default request, and so do `max` and `min`: the API server fills in each from the other
/// (`SetDefaults_LimitRangeItem`).
#[must_use]
pub fn default_requests(spec: &Value) -> Vec<String> {
    let limits = spec["limits"].as_array().into_iter().flatten();
    let mut resources: Vec<String> = limits
        .filter(|limit| limit["type"] == "Container")
        .flat_map(|limit| ["defaultRequest", "default", "max", "min"].map(|field| &limit[field]))
        .flat_map(|map| map.as_object().into_iter().flatten())
        .map(|(resource, _)| resource.clone())
        .collect();
    resources.sort();
    resources.dedup();
    resources
}

/// Whether a LimitRange gives every container of a namespace a request for a resource.
///
/// # Errors
///
/// When the manifests hold none that does and those of the cluster were not seen; `lacking` says what they would have
/// to supply.
pub(crate) fn supplies(
    ctx: &Context<'_>,
    evidence: &Evidence,
    namespace: &str,
    resource: &str,
    lacking: impl FnOnce() -> String,
) -> Result<bool, Undecided> {
    let gate = &evidence.gate;
    let supplies =
        |document: &Document| default_requests(document.at("/spec")).iter().any(|it| it == resource);
    if gate.objects("", "LimitRange", namespace).any(supplies) {
        return Ok(true);
    }
    let seen = gate.namespaces.get(namespace).filter(|_| !gate.offline);
    match seen {
        Some(seen) => Ok(ctx.need(&seen.default_requests)?.iter().any(|it| it == resource)),
        None => Err(Undecided {
            need: Need::LimitRanges,
            why: Why::NotAsked(format!(
                "{}; a LimitRange of namespace {namespace} could supply it, and the cluster was not asked",
                lacking(),
            )),
        }),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_default_of_containers_becomes_a_request() {
        let spec = json!({"limits": [
            {"type": "Container", "default": {"cpu": "1"}, "min": {"memory": "1Mi"}},
            {"type": "Pod", "max": {"ephemeral-storage": "1Gi"}},
        ]});
        assert_eq!(default_requests(&spec), ["cpu", "memory"]);
        let spec = json!({"limits": [{"type": "Container", "maxLimitRequestRatio": {"cpu": "2"}}]});
        assert!(default_requests(&spec).is_empty());
        assert!(default_requests(&Value::Null).is_empty());
    }
}
