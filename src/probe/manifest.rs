//! The pod of a probe: on one node, with metrics-server's identity, and with no more than the `PodSecurity` profile
//! `restricted` permits.

use serde_json::{Value, json};

use super::labels::marked;
use super::plan::{Place, PodPlan};
use super::run::{REMOVE_AFTER, Run};

/// Where the program stands in the image, and as whom it runs (`docs/container/Containerfile`).
const USER: u32 = 65532;

/// What the container of a probe is called.
pub const CONTAINER: &str = "probe";

/// The manifest of one pod. The first pod of a run owns the others, so that they go when it goes.
#[must_use]
pub fn pod(place: &Place, run: &Run, plan: &PodPlan, owner: Option<(&str, &str)>) -> Value {
    let mut metadata = json!({
        "name": plan.name,
        "namespace": place.namespace,
        "labels": marked(&place.labels, &run.id),
        "annotations": {REMOVE_AFTER: run.remove_after.to_string()},
    });
    if let Some((name, uid)) = owner {
        metadata["ownerReferences"] = json!([{"apiVersion": "v1", "kind": "Pod", "name": name, "uid": uid}]);
    }
    let mut spec = json!({
        "activeDeadlineSeconds": place.deadline_s,
        "automountServiceAccountToken": true,
        "enableServiceLinks": false,
        "nodeName": plan.node,
        "restartPolicy": "Never",
        "securityContext": {
            "runAsNonRoot": true,
            "runAsUser": USER,
            "runAsGroup": USER,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "serviceAccountName": place.service_account,
        "terminationGracePeriodSeconds": 1,
        "tolerations": place.tolerations,
        "containers": [{
            "name": CONTAINER,
            "image": place.image,
            "imagePullPolicy": "IfNotPresent",
            "args": plan.task.arguments(),
            "resources": {
                "requests": {"cpu": "20m", "memory": "32Mi"},
                "limits": {"cpu": "500m", "memory": "96Mi"},
            },
            "securityContext": {
                "allowPrivilegeEscalation": false,
                "capabilities": {"drop": ["ALL"]},
                "readOnlyRootFilesystem": true,
            },
            "terminationMessagePath": "/dev/termination-log",
            "terminationMessagePolicy": "File",
        }],
    });
    if place.host_network {
        spec["hostNetwork"] = json!(true);
    }
    if let Some(policy) = &place.dns_policy {
        spec["dnsPolicy"] = json!(policy);
    }
    json!({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec})
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::probe::guard;
    use crate::probe::task::Task;

    #[test]
    fn every_pod_that_is_made_passes_the_guard() {
        let run = Run::begin(Timestamp::UNIX_EPOCH, 150).expect("a run");
        let plan = PodPlan { name: run.name(0), node: "node1".to_owned(), task: Task::default() };
        let mut place = Place {
            namespace: "kube-system".to_owned(),
            service_account: "metrics-server".to_owned(),
            image: "registry.local/metrics-preflight:test".to_owned(),
            deadline_s: 90,
            ..Place::default()
        };
        for host_network in [false, true] {
            place.host_network = host_network;
            place.dns_policy = host_network.then(|| "ClusterFirstWithHostNet".to_owned());
            for owner in [None, Some(("metrics-preflight-probe-0123456789-0", "uid"))] {
                let pod = pod(&place, &run, &plan, owner).to_string();
                let path = "/api/v1/namespaces/kube-system/pods";
                assert_eq!(guard::check("POST", path, Some(&pod)), Ok(()), "{pod}");
            }
        }
    }
}
