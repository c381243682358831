//! What may leave for a probe: nothing but the making, reading and removing of its own pods and namespaces.
//!
//! The read-only rule of everything else is `src/source/guard.rs`; this list is for the client of `probe` alone.

use serde_json::Value;

use super::labels::MARK;
use super::machine::guard::{is_look, is_own_namespace, is_release};
use super::run::{is_name, is_namespace};
use crate::source::guard::Refused;

/// How a list is asked for: the objects that carry the mark of a probe, and of one run where it is named.
pub const SELECTOR: &str = "labelSelector=metrics-preflight%2Fprobe";

/// Whether this may be sent to the API server. `target` is the path with its query.
///
/// # Errors
/// When it is none of the allowed shapes.
pub fn check(method: &str, target: &str, body: Option<&str>) -> Result<(), Refused> {
    let refused = |reason: &str| Err(Refused { reason: format!("{method} {target}: {reason}") });
    let (path, query) = target.split_once('?').map_or((target, None), |(path, query)| (path, Some(query)));
    let segments: Vec<&str> = path.strip_prefix('/').unwrap_or_default().split('/').collect();
    let body: Option<Value> = match body.map(serde_json::from_str).transpose() {
        Ok(body) => body,
        Err(_) => return refused("the body is not JSON"),
    };
    match (method, segments.as_slice(), query, body) {
        ("GET", ["api", "v1", "pods" | "namespaces"], Some(query), None) if is_selector(query) => Ok(()),
        ("GET", ["api", "v1", "namespaces", namespace, "pods"], Some(query), None)
            if is_label(namespace) && is_selector(query) =>
        {
            Ok(())
        }
        ("POST", ["api", "v1", "namespaces", namespace, "pods"], None, Some(body)) if is_label(namespace) => {
            if is_probe(&body, namespace) {
                Ok(())
            } else {
                refused("only the pod of a probe is created")
            }
        }
        ("DELETE", ["api", "v1", "namespaces", namespace, "pods", name], None, Some(body))
            if is_label(namespace) =>
        {
            if is_name(name) && body["kind"] == "DeleteOptions" {
                Ok(())
            } else {
                refused("only pods of probes are removed")
            }
        }
        ("POST", ["api", "v1", "namespaces"], None, Some(body)) => {
            if is_own_namespace(&body) {
                Ok(())
            } else {
                refused("only the namespace of a probe is created")
            }
        }
        ("DELETE", ["api", "v1", "namespaces", name], None, Some(body)) => {
            if is_namespace(name) && body["kind"] == "DeleteOptions" {
                Ok(())
            } else {
                refused("only namespaces of probes are removed")
            }
        }
        ("PUT", ["api", "v1", "namespaces", name, "finalize"], None, Some(body)) => {
            if is_release(&body, name) { Ok(()) } else { refused("only namespaces of probes are let go") }
        }
        _ => refused("it is not on the list of what a probe may ask"),
    }
}

fn is_selector(query: &str) -> bool {
    let Some(rest) = query.strip_prefix(SELECTOR) else { return false };
    let run = rest.strip_prefix("%3D").unwrap_or_default();
    rest.is_empty() || (run.len() == 10 && run.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

fn is_label(text: &str) -> bool {
    (1..=63).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
}

/// The fields that a probe's pod may have: no volume, no host's process table, no command, no environment.
const SPEC: &[&str] = &[
    "activeDeadlineSeconds",
    "automountServiceAccountToken",
    "containers",
    "dnsPolicy",
    "enableServiceLinks",
    "hostNetwork",
    "nodeName",
    "restartPolicy",
    "securityContext",
    "serviceAccountName",
    "terminationGracePeriodSeconds",
    "tolerations",
];
const CONTAINER: &[&str] = &[
    "args",
    "image",
    "imagePullPolicy",
    "name",
    "resources",
    "securityContext",
    "terminationMessagePath",
    "terminationMessagePolicy",
];
const SECURITY: &[&str] =
    &["allowPrivilegeEscalation", "capabilities", "readOnlyRootFilesystem", "runAsNonRoot", "seccompProfile"];

pub(super) fn has_only(object: &Value, fields: &[&str]) -> bool {
    object.as_object().is_some_and(|object| object.keys().all(|key| fields.contains(&key.as_str())))
}

/// Whether it has the mark by which leftovers are found.
pub(super) fn is_marked(meta: &Value) -> bool {
    meta["labels"][MARK].is_string()
}

/// Whether a pod ends by itself.
pub(super) fn is_bounded(spec: &Value) -> bool {
    spec["restartPolicy"] == "Never"
        && spec["activeDeadlineSeconds"].as_u64().is_some_and(|seconds| seconds <= 3600)
}

/// Whether a pod is one of a probe: its name, its mark, its end, and one of the two shapes.
fn is_probe(pod: &Value, namespace: &str) -> bool {
    let (meta, spec) = (&pod["metadata"], &pod["spec"]);
    pod["kind"] == "Pod"
        && meta["namespace"] == namespace
        && meta["name"].as_str().is_some_and(is_name)
        && is_marked(meta)
        && is_bounded(spec)
        && (is_in_place(spec) || is_look(spec, namespace))
}

/// Whether nothing in a pod reaches out of it.
fn is_in_place(spec: &Value) -> bool {
    let container = &spec["containers"][0];
    spec["containers"].as_array().is_some_and(|containers| containers.len() == 1)
        && has_only(spec, SPEC)
        && has_only(container, CONTAINER)
        && has_only(&container["securityContext"], SECURITY)
        && container["args"][0] == super::task::INSIDE
        && container["securityContext"]["allowPrivilegeEscalation"] == false
        && container["securityContext"]["capabilities"] == serde_json::json!({"drop": ["ALL"]})
}

#[cfg(test)]
#[path = "guard_tests.rs"]
mod tests;
