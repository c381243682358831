//! The pod that looks at a machine, with the least that its checks need, and the namespace that permits it.
//!
//! It is not privileged. Root of the machine it is all the same, as far as reading goes: it sees every file that the
//! machine's root sees.
//!
//! | what                       | what for                                                                          |
//! |----------------------------|-----------------------------------------------------------------------------------|
//! | the machine's network      | its packet filter, settings, addresses, listeners; and dials from there           |
//! | its root, read-only        | the kubelet's configuration, certificates, units, and `/proc`, in which processes are |
//! | user 0                     | files that only root reads                                                        |
//! | `NET_ADMIN`                | reading nftables (`nfnetlink_rcv` in Linux' `net/netfilter/nfnetlink.c`)          |
//! | `NET_RAW`                  | the raw socket through which `iptables-legacy-save` asks                          |
//! | `SYS_CHROOT`               | running the machine's own `iptables-save` and `nft`, which the image has not      |
//! | `SYS_PTRACE`               | namespaces, environments and sockets of processes (`ptrace_may_access`, proc(5))  |
//! | `AppArmor` unconfined      | the same: the profile of containerd forbids to look at what it does not confine   |
//! | `SELinux` type `spc_t`     | files of the machine, which no container's type may read; without SELinux nothing |
//!
//! The machine's process namespace is not shared: the mount brings the machine's `/proc` along. `spec.nodeName` stands
//! instead of an affinity, so that neither a taint nor the scheduler keeps the pod away from just the machine that is in
//! question; the toleration keeps `NoExecute` from ending it.

use serde_json::{Value, json};

use super::{MachinePlan, MachinePod};
use crate::probe::labels::marked;
use crate::probe::run::{REMOVE_AFTER, Run};

/// Where the machine's root is mounted.
pub const ROOT: &str = "/host";
/// Where the pages lie that the other containers say.
pub const PAGES: &str = "/pages";
/// The container that looks, and those that say what does not fit into its message. The kubelet keeps 12 KiB for all
/// containers of a pod, the same for each (`pkg/kubelet/status/status_manager.go`), and 4 KiB of one: three are the most
/// that help.
pub const CONTAINERS: [&str; 3] = ["probe", "page-2", "page-3"];
/// The subcommand that looks, and the one that says a page.
pub const LOOK: &str = "probe-machine";
/// See [`LOOK`].
pub const PAGE: &str = "probe-page";
/// What the container that looks may do.
pub const CAPABILITIES: [&str; 4] = ["NET_ADMIN", "NET_RAW", "SYS_CHROOT", "SYS_PTRACE"];
/// As whom the others run (`docs/container/Containerfile`).
const USER: u32 = 65532;

/// The namespace of a run.
#[must_use]
pub fn namespace(run: &Run) -> Value {
    let mut labels = marked(&std::collections::BTreeMap::new(), &run.id);
    for mode in ["enforce", "audit", "warn"] {
        labels.insert(format!("pod-security.kubernetes.io/{mode}"), "privileged".to_owned());
    }
    json!({
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {
            "name": run.namespace(),
            "labels": labels,
            "annotations": {REMOVE_AFTER: run.remove_after.to_string()},
        },
    })
}

/// The manifest of one pod.
#[must_use]
pub fn pod(plan: &MachinePlan, pod: &MachinePod, owner: Option<(&str, &str)>) -> Value {
    let run = &plan.run;
    let mut metadata = json!({
        "name": pod.name,
        "namespace": plan.namespace,
        "labels": marked(&std::collections::BTreeMap::new(), &run.id),
        "annotations": {REMOVE_AFTER: run.remove_after.to_string()},
    });
    if let Some((name, uid)) = owner {
        metadata["ownerReferences"] = json!([{"apiVersion": "v1", "kind": "Pod", "name": name, "uid": uid}]);
    }
    let mut arguments = vec![
        LOOK.to_owned(),
        format!("--root={ROOT}"),
        format!("--name={}", pod.node),
        format!("--pages={PAGES}"),
    ];
    arguments.extend(pod.dials.iter().map(|address| format!("--dial={address}")));
    let mut containers = vec![json!({
        "name": CONTAINERS[0],
        "image": plan.image,
        "imagePullPolicy": "IfNotPresent",
        "args": arguments,
        "resources": {
            "requests": {"cpu": "20m", "memory": "32Mi"},
            "limits": {"cpu": "1", "memory": "256Mi"},
        },
        "securityContext": {
            "allowPrivilegeEscalation": false,
            "appArmorProfile": {"type": "Unconfined"},
            "capabilities": {"drop": ["ALL"], "add": CAPABILITIES},
            "readOnlyRootFilesystem": true,
            "runAsGroup": 0,
            "runAsNonRoot": false,
            "runAsUser": 0,
            "seLinuxOptions": {"type": "spc_t"},
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "terminationMessagePath": "/dev/termination-log",
        "terminationMessagePolicy": "File",
        "volumeMounts": [
            // From 1.33 on the mounts below it are read-only as well, where the node can do that.
            {"name": "root", "mountPath": ROOT, "readOnly": true, "recursiveReadOnly": "IfPossible"},
            {"name": "pages", "mountPath": PAGES},
        ],
    })];
    containers.extend(CONTAINERS.iter().enumerate().skip(1).map(|(place, name)| {
        json!({
            "name": name,
            "image": plan.image,
            "imagePullPolicy": "IfNotPresent",
            "args": [PAGE, format!("--pages={PAGES}"), format!("--number={}", place + 1)],
            "resources": {
                "requests": {"cpu": "5m", "memory": "16Mi"},
                "limits": {"cpu": "100m", "memory": "64Mi"},
            },
            "securityContext": {
                "allowPrivilegeEscalation": false,
                "capabilities": {"drop": ["ALL"]},
                "readOnlyRootFilesystem": true,
                "runAsGroup": USER,
                "runAsNonRoot": true,
                "runAsUser": USER,
                "seccompProfile": {"type": "RuntimeDefault"},
            },
            "terminationMessagePath": "/dev/termination-log",
            "terminationMessagePolicy": "File",
            "volumeMounts": [{"name": "pages", "mountPath": PAGES, "readOnly": true}],
        })
    }));
    json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": metadata,
        "spec": {
            "activeDeadlineSeconds": plan.deadline_s,
            "automountServiceAccountToken": false,
            "containers": containers,
            "dnsPolicy": "Default",
            "enableServiceLinks": false,
            "hostNetwork": true,
            "nodeName": pod.node,
            "restartPolicy": "Never",
            "terminationGracePeriodSeconds": 1,
            "tolerations": [{"operator": "Exists"}],
            "volumes": [
                {"name": "root", "hostPath": {"path": "/", "type": "Directory"}},
                {"name": "pages", "emptyDir": {"medium": "Memory", "sizeLimit": "1Mi"}},
            ],
        },
    })
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::probe::errand::Errand;
    use crate::probe::guard;

    /// A plan of one pod.
    fn plan() -> MachinePlan {
        let run = Run::begin(Timestamp::UNIX_EPOCH, 300).expect("a run");
        let pod = MachinePod {
            name: run.name(0),
            node: "node1".to_owned(),
            dials: vec!["10.0.0.1:443".to_owned()],
        };
        MachinePlan {
            namespace: run.namespace(),
            run,
            image: "registry.local/metrics-preflight:test".to_owned(),
            deadline_s: 90,
            pods: vec![pod],
        }
    }

    #[test]
    fn what_is_made_passes_the_guard() {
        let plan = plan();
        let namespace = plan.own_namespace().expect("it has one").to_string();
        assert_eq!(guard::check("POST", "/api/v1/namespaces", Some(&namespace)), Ok(()), "{namespace}");
        for owner in [None, Some(("metrics-preflight-probe-0123456789-0", "uid"))] {
            let pod = plan.manifest(0, owner).to_string();
            let path = format!("/api/v1/namespaces/{}/pods", plan.namespace);
            assert_eq!(guard::check("POST", &path, Some(&pod)), Ok(()), "{pod}");
            let elsewhere = pod.replace(&plan.namespace, "kube-system");
            let refused = guard::check("POST", "/api/v1/namespaces/kube-system/pods", Some(&elsewhere));
            assert!(refused.is_err(), "in its own namespace alone");
        }
    }

    #[test]
    fn nothing_is_privileged_and_only_one_container_sees_the_machine() {
        let plan = plan();
        let pod = plan.manifest(0, None);
        let text = pod.to_string();
        for word in ["\"privileged\"", "hostPID", "hostIPC", "SYS_ADMIN", "DAC_OVERRIDE"] {
            assert!(!text.contains(word), "{word}");
        }
        let containers = pod["spec"]["containers"].as_array().expect("containers");
        assert_eq!(containers.len(), CONTAINERS.len());
        for (place, container) in containers.iter().enumerate() {
            let mounts = container["volumeMounts"].as_array().expect("mounts");
            let root = mounts.iter().find(|mount| mount["name"] == "root");
            assert_eq!(root.is_some(), place == 0);
            assert!(root.is_none_or(|mount| mount["readOnly"] == true));
        }
    }
}
