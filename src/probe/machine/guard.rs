//! What may leave for a look at machines, field by field. It is written down apart from the manifest, so that a slip there
//! does not leave.

use serde_json::{Value, json};

use crate::probe::guard::{has_only, is_bounded, is_marked};
use crate::probe::run::is_namespace;

const SPEC: &[&str] = &[
    "activeDeadlineSeconds",
    "automountServiceAccountToken",
    "containers",
    "dnsPolicy",
    "enableServiceLinks",
    "hostNetwork",
    "nodeName",
    "restartPolicy",
    "terminationGracePeriodSeconds",
    "tolerations",
    "volumes",
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
    "volumeMounts",
];

/// Whether a namespace is one of a probe: its name, its mark, and nothing but labels and annotations.
pub fn is_own_namespace(namespace: &Value) -> bool {
    let meta = &namespace["metadata"];
    namespace["kind"] == "Namespace"
        && has_only(namespace, &["apiVersion", "kind", "metadata"])
        && has_only(meta, &["annotations", "labels", "name"])
        && meta["name"].as_str().is_some_and(is_namespace)
        && is_marked(meta)
}

/// Whether this lets go of a namespace and changes nothing else in it.
pub fn is_release(namespace: &Value, name: &str) -> bool {
    let meta = &namespace["metadata"];
    is_namespace(name)
        && namespace["kind"] == "Namespace"
        && has_only(namespace, &["apiVersion", "kind", "metadata", "spec"])
        && has_only(meta, &["name", "resourceVersion"])
        && meta["name"] == name
        && meta["resourceVersion"].is_string()
        && namespace["spec"] == json!({"finalizers": []})
}

/// Whether the spec of a pod is that of a look at a machine: in a namespace of its own, not privileged, without a token, the
/// root read-only and in one container alone.
pub fn is_look(spec: &Value, namespace: &str) -> bool {
    let Some([look, pages @ ..]) = spec["containers"].as_array().map(Vec::as_slice) else { return false };
    is_namespace(namespace)
        && is_bounded(spec)
        && has_only(spec, SPEC)
        && spec["automountServiceAccountToken"] == false
        && spec["volumes"]
            == json!([
                {"name": "root", "hostPath": {"path": "/", "type": "Directory"}},
                {"name": "pages", "emptyDir": {"medium": "Memory", "sizeLimit": "1Mi"}},
            ])
        && has_only(look, CONTAINER)
        && look["args"][0] == "probe-machine"
        && look["securityContext"]
            == json!({
                "allowPrivilegeEscalation": false,
                "appArmorProfile": {"type": "Unconfined"},
                "capabilities": {"drop": ["ALL"], "add": ["NET_ADMIN", "NET_RAW", "SYS_CHROOT", "SYS_PTRACE"]},
                "readOnlyRootFilesystem": true,
                "runAsGroup": 0,
                "runAsNonRoot": false,
                "runAsUser": 0,
                "seLinuxOptions": {"type": "spc_t"},
                "seccompProfile": {"type": "RuntimeDefault"},
            })
        && look["volumeMounts"]
            == json!([
                {"name": "root", "mountPath": "/host", "readOnly": true, "recursiveReadOnly": "IfPossible"},
                {"name": "pages", "mountPath": "/pages"},
            ])
        && pages.len() == 2
        && pages.iter().all(is_page)
}

fn is_page(container: &Value) -> bool {
    has_only(container, CONTAINER)
        && container["args"][0] == "probe-page"
        && container["securityContext"]
            == json!({
                "allowPrivilegeEscalation": false,
                "capabilities": {"drop": ["ALL"]},
                "readOnlyRootFilesystem": true,
                "runAsGroup": 65532,
                "runAsNonRoot": true,
                "runAsUser": 65532,
                "seccompProfile": {"type": "RuntimeDefault"},
            })
        && container["volumeMounts"] == json!([{"name": "pages", "mountPath": "/pages", "readOnly": true}])
}
