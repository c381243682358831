//! Scenarios in which machines are looked at from within: what places leave open is certain then.
//!
//! metrics-server runs on node1 in those with a fault, so that it is known which machine brings it about.

use crate::expect::{CLEAN, Cure, Expect, Look, Mode, Scenario};

/// Joined with what every machine saw of itself.
const fn asked(expect: Expect) -> Look {
    Look {
        name: "machines",
        mode: Mode::Installed,
        api_only: false,
        user: "admin",
        machines: &["cp", "node1", "node2"],
        through: "cp",
        probe: None,
        expect,
    }
}

/// The same, seen from a place that reaches the API server alone.
const fn asked_from_afar(expect: Expect) -> Look {
    Look { name: "machines-api", api_only: true, ..asked(expect) }
}

const DROPPED: Expect = Expect::roots(&["forward-policy-drop"]).on(&["Node node1"]);
const HAZARDS: Expect = Expect::roots(&[
    "cgroup-drivers-hazard",
    "forwarding-hazard",
    "bridge-netfilter-off",
    "reverse-path-filter-strict",
])
.on(&["Node node2"])
.exit(0);
const FILTERED: Expect = Expect::roots(&["kubelet-port-filtered"]).on(&["Node node2"]);

/// Every scenario of machines.
pub(crate) const MACHINES: [Scenario; 21] = [
    Scenario {
        name: "machines-healthy",
        about: "a cluster that works, whose machines were all asked",
        core: true,
        looks: &[asked(CLEAN), asked_from_afar(CLEAN)],
        cure: Cure::None,
    },
    Scenario {
        name: "machines-nftables",
        about: "a cluster that works, with kube-proxy in its nftables mode",
        core: false,
        looks: &[asked(CLEAN)],
        cure: Cure::None,
    },
    Scenario {
        name: "machines-forward-drop",
        about: "FORWARD policy DROP in iptables-nft on metrics-server's node",
        core: true,
        looks: &[asked(DROPPED), asked_from_afar(DROPPED)],
        cure: Cure::Production,
    },
    Scenario {
        name: "machines-forward-drop-legacy",
        about: "FORWARD policy DROP in iptables-legacy on metrics-server's node",
        core: false,
        looks: &[asked(DROPPED)],
        cure: Cure::Production,
    },
    Scenario {
        name: "machines-forward-drop-nftables",
        about: "policy drop for forwarded packets in a table of nftables alone on metrics-server's node",
        core: false,
        looks: &[asked(DROPPED)],
        cure: Cure::Production,
    },
    Scenario {
        name: "machines-hazards",
        about: "a node without metrics-server: no forwarding, no bridge netfilter, strict about two ways, and a runtime with another cgroup driver",
        core: false,
        looks: &[asked(HAZARDS)],
        cure: Cure::Production,
    },
    Scenario {
        name: "machines-cgroup-drivers",
        about: "a containerd with systemd's cgroups under a kubelet with cgroupfs, where metrics-server is to start",
        core: false,
        looks: &[asked(Expect::roots(&["cgroup-drivers-differ"]).on(&["Node node1"]))],
        cure: Cure::Production,
    },
    Scenario {
        name: "machines-names-unresolved",
        about: "a kubelet that knows the API server by a name which its machine does not resolve",
        core: false,
        looks: &[asked(Expect::roots(&["host-names-unresolved"]).on(&["Node node2"]))],
        cure: Cure::None,
    },
    Scenario {
        name: "machines-wrong-address",
        about: "a Node that announces an address which its machine has no longer",
        core: false,
        looks: &[asked(Expect::roots(&["wrong-node-address"]).on(&["Node node2"]))],
        cure: Cure::None,
    },
    Scenario {
        name: "machines-ip-forward-off",
        about: "net.ipv4.ip_forward=0 on metrics-server's node",
        core: false,
        looks: &[asked(Expect::roots(&["ip-forward-off"]).on(&["Node node1"]))],
        cure: Cure::Production,
    },
    Scenario {
        name: "machines-kube-proxy-gone",
        about: "no kube-proxy on metrics-server's node, and none of its rules",
        core: false,
        looks: &[asked(Expect::roots(&["kube-proxy-not-programming"]).on(&["Node node1"]))],
        cure: Cure::Production,
    },
    Scenario {
        name: "machines-kubelet-port-dropped",
        about: "a firewall on node2 that drops what metrics-server sends to the kubelet",
        core: false,
        looks: &[asked(FILTERED), asked_from_afar(FILTERED)],
        cure: Cure::Production,
    },
    Scenario {
        name: "machines-kubelet-port-rejected",
        about: "a firewall in nftables on node2 that refuses what metrics-server sends to the kubelet",
        core: false,
        looks: &[asked(FILTERED)],
        cure: Cure::Production,
    },
    Scenario {
        name: "machines-no-pod-route",
        about: "a host of the control plane without a route to the pods",
        core: true,
        looks: &[asked(Expect::roots(&["control-plane-without-pod-route"]).on(&["Host cp"]))],
        cure: Cure::ByHand,
    },
    Scenario {
        name: "machines-kubelet-config-moved",
        about: "a kubelet that reads another file than the usual one, and accepts no tokens by it",
        core: false,
        looks: &[asked(Expect::roots(&["kubelet-webhook-authentication-off", "kubelet-config-not-read"]))],
        cure: Cure::None,
    },
    Scenario {
        name: "machines-kubelet-config-missing",
        about: "a kubelet that is told to read a file that is not there",
        core: false,
        looks: &[asked(Expect::roots(&["kubelet-config-missing"]).on(&["Node node2"]))],
        cure: Cure::None,
    },
    Scenario {
        name: "machines-flag-unknown",
        about: "a kubelet that is given flags which Kubernetes has taken out",
        core: false,
        looks: &[asked(Expect::roots(&["component-flag-unknown"]).on(&["Node node1"]))],
        cure: Cure::Production,
    },
    Scenario {
        name: "machines-front-proxy-expired",
        about: "a front-proxy certificate that has expired, beside a good one that the flags do not name",
        core: false,
        looks: &[asked(Expect::roots(&["proxy-client-cert-expired"]))],
        cure: Cure::Production,
    },
    Scenario {
        name: "machines-kubelet-port-taken",
        about: "another program at the kubelet's port, which the kubelet did not get when it started anew",
        core: false,
        looks: &[asked(Expect::roots(&["kubelet-port-taken"]).on(&["Node node2"]))],
        cure: Cure::ByHand,
    },
    Scenario {
        name: "machines-proxy",
        about: "a kube-apiserver with HTTPS_PROXY in its environment, and NO_PROXY without the Services' range",
        core: false,
        looks: &[asked(Expect::roots(&["proxy-catches-cluster"]).on(&["Host cp"]))],
        cure: Cure::Production,
    },
    Scenario {
        name: "machines-manifest-unread",
        about: "a manifest of kube-apiserver with other flags than those that it runs with",
        core: false,
        looks: &[asked(Expect::roots(&["apiserver-flags-not-running"]).on(&["Host cp"]).exit(0))],
        cure: Cure::ByHand,
    },
];
