//! Scenarios in which pods look: from metrics-server's place, and at the machines beneath.
//!
//! metrics-server runs on node1 in those with a fault.

use crate::expect::{CLEAN, Cure, Expect, Look, Mode, Scenario};

const fn probed(arguments: &'static [&'static str], expect: Expect) -> Look {
    Look {
        name: "probe",
        mode: Mode::Installed,
        api_only: false,
        user: "admin",
        machines: &[],
        through: "cp",
        probe: Some(arguments),
        expect,
    }
}

/// From metrics-server's place alone.
const fn in_place(expect: Expect) -> Look {
    probed(&[], expect)
}

/// And at the machines of the nodes that it chooses by itself.
const fn at_machines(expect: Expect) -> Look {
    probed(&["--host"], expect)
}

const SILENT: Expect = Expect::roots(&["cluster-dns-silent"]);

/// Every scenario of probes.
pub(crate) const PROBES: [Scenario; 7] = [
    Scenario {
        name: "probe-healthy",
        about: "a cluster that works, looked at by pods on every node",
        core: true,
        looks: &[probed(&["--host", "--all-nodes"], CLEAN)],
        cure: Cure::None,
    },
    Scenario {
        name: "probe-names-healthy",
        about: "metrics-server dials kubelets by names, and the cluster's name server knows them",
        core: false,
        looks: &[in_place(CLEAN)],
        cure: Cure::None,
    },
    Scenario {
        name: "dns-silent",
        about: "metrics-server dials kubelets by names, and the name server does not answer",
        core: true,
        looks: &[in_place(SILENT)],
        cure: Cure::None,
    },
    Scenario {
        name: "dns-without-endpoints",
        about: "metrics-server dials kubelets by names, and nobody is behind the name server's Service",
        core: false,
        looks: &[in_place(SILENT)],
        cure: Cure::None,
    },
    Scenario {
        name: "probe-forward-drop",
        about: "FORWARD policy DROP on metrics-server's node, found by a pod there",
        core: false,
        looks: &[at_machines(Expect::roots(&["forward-policy-drop"]).on(&["Node node1"]))],
        cure: Cure::None,
    },
    Scenario {
        name: "probe-forward-drop-legacy",
        about: "the same in iptables-legacy",
        core: false,
        looks: &[at_machines(Expect::roots(&["forward-policy-drop"]).on(&["Node node1"]))],
        cure: Cure::None,
    },
    Scenario {
        name: "probe-kubelet-port-dropped",
        about: "a firewall on node2, found by a pod there because its metrics are missing",
        core: false,
        looks: &[at_machines(Expect::roots(&["kubelet-port-filtered"]).on(&["Node node2"]))],
        cure: Cure::None,
    },
];
