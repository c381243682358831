//! Scenarios of a control plane with two kube-apiservers, `cp` and `cp2`, of which kubeconfigs name one.

use crate::expect::{CLEAN, Cure, Expect, Look, Scenario};
// From the nodes' network both can be asked, and else only that of the kubeconfig.
use crate::list::{api, nodes};

/// With a kubeconfig that names the other one.
const fn second(expect: Expect) -> Look {
    Look { name: "second", through: "cp2", ..nodes(expect) }
}

const MACHINES: &[&str] = &["cp", "cp2", "node1", "node2"];

const fn asked(expect: Expect) -> Look {
    Look { name: "machines", machines: MACHINES, ..nodes(expect) }
}

const fn asked_from_afar(expect: Expect) -> Look {
    Look { name: "machines-api", api_only: true, ..asked(expect) }
}

const DIFFER: Expect = Expect::roots(&["apiserver-instances-differ"])
    .candidates(&["control-plane-without-pod-route", "network-policy-blocks-ingress"]);
const NO_ROUTE: Expect = Expect::roots(&["control-plane-without-pod-route"]).on(&["Host cp2"]);

/// Every scenario of several kube-apiservers.
pub(crate) const INSTANCES: [Scenario; 2] = [
    Scenario {
        name: "instances-healthy",
        about: "two kube-apiservers, and a pipeline that works through both",
        core: true,
        looks: &[nodes(CLEAN), api(CLEAN), second(CLEAN), asked(CLEAN)],
        cure: Cure::None,
    },
    Scenario {
        name: "instances-differ",
        about: "two kube-apiservers, of which one has no route to the pods",
        core: false,
        looks: &[
            nodes(DIFFER),
            // Through the first all is well; that Available is never older than some seconds keeps it open.
            api(Expect::open(&["apiserver-instances-differ"])),
            second(DIFFER.undecided(&["node-metrics-missing"])),
            asked(NO_ROUTE),
            asked_from_afar(NO_ROUTE),
        ],
        cure: Cure::None,
    },
];
