//! Scenarios of HorizontalPodAutoscalers on a pipeline that works.

use crate::expect::{CLEAN, Cure, Expect, Scenario};
use crate::list::{api, nodes};

const STOPPED: Expect = Expect::roots(&["hpa-controller-not-running"])
    .on(&["HorizontalPodAutoscaler team/late", "HorizontalPodAutoscaler team/web"]);

/// Every scenario of autoscalers.
pub(crate) const AUTOSCALERS: [Scenario; 6] = [
    Scenario {
        name: "hpa-works",
        about: "an HPA that reads its metric",
        core: false,
        looks: &[nodes(CLEAN), api(CLEAN)],
        cure: Cure::None,
    },
    Scenario {
        name: "hpa-without-request",
        about: "an HPA whose pods lack the CPU request",
        core: true,
        looks: &[
            nodes(Expect::roots(&["hpa-request-missing"]).on(&["HorizontalPodAutoscaler team/web"])),
            api(Expect::roots(&["hpa-request-missing"])),
        ],
        cure: Cure::Production,
    },
    Scenario {
        name: "hpa-without-target",
        about: "an HPA whose target does not exist",
        core: false,
        looks: &[nodes(Expect::roots(&["hpa-target-missing"])), api(Expect::roots(&["hpa-target-missing"]))],
        cure: Cure::None,
    },
    Scenario {
        name: "hpa-without-adapter",
        about: "an HPA on a custom metric that no adapter serves",
        core: false,
        looks: &[
            nodes(Expect::roots(&["hpa-metrics-api-missing"])),
            api(Expect::roots(&["hpa-metrics-api-missing"])),
        ],
        cure: Cure::None,
    },
    Scenario {
        name: "hpa-elected",
        about: "an HPA that reads its metric, and a kube-controller-manager that keeps a Lease",
        core: false,
        looks: &[nodes(CLEAN), api(CLEAN)],
        cure: Cure::None,
    },
    Scenario {
        name: "hpa-controller-stopped",
        about: "a kube-controller-manager that ended after it had read the metric of an HPA",
        core: false,
        looks: &[nodes(STOPPED), api(STOPPED)],
        cure: Cure::ByHand,
    },
];
