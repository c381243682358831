//! HorizontalPodAutoscalers and what they scale.

use super::super::schema::{Field, Form, Object, Shape};
use super::CONDITION;
use crate::evidence::Need;

use Shape::{Bool, Int, List, Optional, Seen, Text, Texts, Time};

object! {
    /// A HorizontalPodAutoscaler.
    HPA "HorizontalPodAutoscaler" Fields {
        namespace: Text, "Its namespace.";
        name: Text, "Its name.";
        created: Time, "When it was created.";
        target: Shape::Object(&TARGET), "`spec.scaleTargetRef`.";
        metrics: List(&Shape::Object(&METRIC)), "`spec.metrics`.";
        filled: List(&Bool), "For every metric whether the controller has a value of it (`status.currentMetrics`).";
        conditions: List(&Shape::Object(&CONDITION)), "`status.conditions`.";
        scale: Seen(Need::HpaTarget, &Optional(&Shape::Object(&SCALE))), "The scale of its target; absent when there is no such object.";
        pods: Seen(Need::HpaPods, &List(&Shape::Object(&HPA_POD))), "The pods that the target's selector matches.";
    }
}

object! {
    /// The Lease that kube-controller-manager renews while it runs.
    CONTROLLER_LEASE "Lease" Fields {
        holder: Text, "Who holds it.";
        duration_s: Int, "So many seconds after the last renewal another one takes over.";
        renewed: Time, "When it was renewed last.";
    }
}

object! {
    /// What an autoscaler scales.
    TARGET "Target" Tuple {
        api_version: Text, "Such as `apps/v1`.";
        kind: Text, "Such as `Deployment`.";
        name: Text, "Its name.";
    }
}

object! {
    /// One entry of `spec.metrics`.
    METRIC "Metric" Fields {
        source: Text, "`Resource`, `ContainerResource`, `Pods`, `Object` or `External`.";
        name: Text, "`cpu`, `memory`, or the metric's name.";
        container: Optional(&Text), "For `ContainerResource`: the container.";
        utilization: Bool, "Whether the target is a percentage of the request.";
    }
}

object! {
    /// The scale subresource of a target.
    SCALE "Scale" Fields {
        replicas: Int, "`spec.replicas`.";
        selector: Text, "`status.selector`.";
    }
}

object! {
    /// A pod of an autoscaler's target.
    HPA_POD "TargetPod" Fields {
        name: Text, "Its name.";
        node: Optional(&Text), "Its node.";
        phase: Text, "`status.phase`.";
        ready: Bool, "Whether its condition `Ready` holds.";
        labels: Texts, "Its labels.";
        created: Time, "When it was created.";
        containers: List(&Shape::Object(&CONTAINER)), "The containers whose requests count.";
        pod_requests: Texts, "The requests of the pod as a whole, by resource.";
    }
}

object! {
    /// A container whose requests count.
    CONTAINER "Container" Fields {
        name: Text, "Its name.";
        requests: Texts, "What it requests, by resource.";
        limits: Texts, "Its limits, by resource.";
    }
}
