//! Flags that components of Kubernetes had once and have no longer.
//!
//! Whoever starts a component with a flag that it does not know sees it end at once with `unknown flag: --NAME` (pflag).
//! Each row names the first minor version without the flags, and the pull request that took them out; its release note
//! is in `CHANGELOG/CHANGELOG-1.NN.md` of kubernetes/kubernetes. The tests of the real cluster hold the table against
//! the programs themselves.

/// Flags that were taken out of components at the same time.
#[derive(Clone, Copy, Debug)]
pub struct Removed {
    /// The components that had them.
    pub components: &'static [&'static str],
    /// The names of the flags, without their dashes.
    pub names: &'static [&'static str],
    /// The first minor version of Kubernetes 1 that does not know them.
    pub minor: u32,
    /// The number of the pull request in kubernetes/kubernetes.
    pub pull: u32,
    /// What to do in their place; empty where they did nothing any more.
    pub instead: &'static str,
}

/// The components whose flags are known here.
pub const COMPONENTS: &[&str] =
    &["kubelet", "kube-proxy", "kube-apiserver", "kube-controller-manager", "kube-scheduler"];

const API_SERVER: &[&str] = &["kube-apiserver"];
const MANAGER: &[&str] = &["kube-controller-manager"];
const KUBELET: &[&str] = &["kubelet"];

/// All of them, by version. [`removed`] looks for one.
pub const REMOVED: &[Removed] = &[
    row(KUBELET, &["cadvisor-port"], 12, 65707, "metrics come from the kubelet's own port"),
    row(KUBELET, &["allow-privileged"], 15, 77820, ""),
    row(
        API_SERVER,
        &["basic-auth-file"],
        19,
        89069,
        "users with passwords are gone; give them certificates or OIDC",
    ),
    row(API_SERVER, &["kubelet-https"], 22, 101_178, ""),
    row(MANAGER, &["horizontal-pod-autoscaler-use-rest-clients"], 22, 90368, ""),
    row(
        &["kube-scheduler"],
        &["policy-config-file", "policy-configmap", "policy-configmap-namespace", "use-legacy-policy-config"],
        23,
        105_424,
        "the policy becomes a KubeSchedulerConfiguration, which `--config` names",
    ),
    row(
        API_SERVER,
        &["address", "insecure-bind-address", "port", "insecure-port"],
        24,
        106_859,
        "nothing serves without TLS: clients of port 8080 need a kubeconfig",
    ),
    row(
        MANAGER,
        &["address", "port"],
        24,
        106_860,
        "`--bind-address` and `--secure-port` say where it serves",
    ),
    row(API_SERVER, &["enable-swagger-ui"], 24, 105_032, ""),
    row(
        API_SERVER,
        &["experimental-encryption-provider-config"],
        24,
        108_423,
        "`--encryption-provider-config`",
    ),
    row(API_SERVER, &["deserialization-cache-size"], 24, 108_448, ""),
    row(API_SERVER, &["target-ram-mb"], 24, 108_457, ""),
    row(MANAGER, &["deployment-controller-sync-period"], 24, 107_178, ""),
    row(
        KUBELET,
        &[
            "cni-bin-dir",
            "cni-cache-dir",
            "cni-conf-dir",
            "docker-endpoint",
            "experimental-dockershim-root-directory",
            "image-pull-progress-deadline",
            "network-plugin",
            "network-plugin-mtu",
        ],
        24,
        106_907,
        "the container runtime, containerd, CRI-O or cri-dockerd, sets up the pod network by its own configuration",
    ),
    row(
        KUBELET,
        &["non-masquerade-cidr"],
        24,
        107_096,
        "the CNI or ip-masq-agent decides what is masqueraded",
    ),
    row(KUBELET, &["really-crash-for-testing"], 24, 101_719, ""),
    row(KUBELET, &["dynamic-config-dir"], 24, 106_932, "`--config` names a file"),
    row(KUBELET, &["experimental-check-node-capabilities-before-mount"], 24, 104_732, ""),
    // KEP-2845: of klog's flags `-v` and `-vmodule` are left.
    row(
        COMPONENTS,
        &[
            "add-dir-header",
            "alsologtostderr",
            "log-backtrace-at",
            "log-dir",
            "log-file",
            "log-file-max-size",
            "logtostderr",
            "one-output",
            "skip-headers",
            "skip-log-headers",
            "stderrthreshold",
        ],
        26,
        112_120,
        "logs go to standard error; systemd's journal or the container runtime keeps them",
    ),
    row(
        KUBELET,
        &["container-runtime"],
        27,
        114_017,
        "`--container-runtime-endpoint` names the runtime's socket",
    ),
    row(
        MANAGER,
        &["enable-taint-manager", "pod-eviction-timeout"],
        27,
        115_840,
        "kube-apiserver's `--default-not-ready-toleration-seconds` and `--default-unreachable-toleration-seconds` \
         say how long pods stay",
    ),
    row(
        MANAGER,
        &["horizontal-pod-autoscaler-downscale-delay", "horizontal-pod-autoscaler-upscale-delay"],
        31,
        124_948,
        "`--horizontal-pod-autoscaler-downscale-stabilization`, or `spec.behavior` of the autoscaler",
    ),
    row(KUBELET, &["keep-terminated-pod-volumes"], 31, 122_082, ""),
    row(
        API_SERVER,
        &["cloud-config", "cloud-provider"],
        33,
        130_162,
        "a cloud-controller-manager of your provider",
    ),
    row(KUBELET, &["cloud-config"], 34, 130_161, "a cloud-controller-manager of your provider"),
    row(
        KUBELET,
        &["pod-infra-container-image"],
        35,
        133_779,
        "the container runtime's configuration names the image of the sandbox",
    ),
];

const fn row(
    components: &'static [&'static str],
    names: &'static [&'static str],
    minor: u32,
    pull: u32,
    instead: &'static str,
) -> Removed {
    Removed { components, names, minor, pull, instead }
}

/// The row of a component's flag; nothing where no version is known to have taken it out.
#[must_use]
pub fn removed(component: &str, name: &str) -> Option<&'static Removed> {
    REMOVED.iter().find(|row| row.components.contains(&component) && row.names.contains(&name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flag_of_a_component_has_one_row_and_rows_go_by_version() {
        for component in COMPONENTS {
            for row in REMOVED.iter().filter(|row| row.components.contains(component)) {
                for name in row.names {
                    let found = removed(component, name).expect("it is in the table");
                    assert_eq!((found.minor, found.pull), (row.minor, row.pull), "{component} --{name}");
                    assert!(!name.starts_with('-') && !name.contains('_'), "{name}");
                }
            }
        }
        assert!(REMOVED.is_sorted_by_key(|row| row.minor));
        assert!(removed("kubelet", "config").is_none());
        // A scheduler's `--address` was another one than the controller manager's.
        assert!(removed("kube-scheduler", "address").is_none());
    }
}
