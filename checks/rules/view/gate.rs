//! What a gate is asked about, and what it saw for each autoscaler.

use super::super::schema::{Field, Form, Object, Shape};
use super::TEXTS;
use super::hpas::{CONTAINER, HPA, HPA_POD, SCALE};
use crate::evidence::Need;

use Shape::{Bool, Int, List, Optional, Seen, Text, Texts, Time};

object! {
    /// What a gate is asked about.
    GATE "Gate" Fields {
        namespace: Text, "The namespace of manifests that name none.";
        offline: Bool, "Whether no cluster is asked (`--offline`).";
        target_minor: Optional(&Int), "The minor version that the manifests are for (`--target-version`).";
        pipeline: Bool, "Whether the whole pipeline was looked at, as it is where the Metrics API gives nothing.";
        manifests: Shape::Object(&MANIFESTS), "The manifests.";
        plans: List(&Shape::Object(&PLAN)), "The autoscalers to judge.";
        trials: List(&Shape::Object(&TRIAL)), "With `--server-dry-run`: what the API server says of the objects.";
    }
}

object! {
    /// The manifests that were read.
    MANIFESTS "Manifests" Fields {
        documents: List(&Shape::Object(&DOCUMENT)), "Their objects, one by one.";
    }
}

object! {
    /// An object of a manifest.
    DOCUMENT "Document" Fields {
        api_version: Text, "`apiVersion`.";
        kind: Text, "`kind`.";
        namespace: Text, "`metadata.namespace`; empty where it is left to whoever applies it.";
        name: Text, "`metadata.name`; empty where there is none.";
    }
}

object! {
    /// A server-side dry run of an object.
    TRIAL "Trial" Fields {
        answer: Seen(Need::DryRun, &Shape::Object(&TRIED)), "What the API server says.";
    }
}

object! {
    /// What the API server says of an object.
    TRIED "Tried" Fields {
        accepted: Bool, "Whether it would take it.";
        status: Int, "The HTTP status.";
        message: Text, "Why not; empty where it would.";
        fields: TEXTS, "The fields at fault, such as `spec.maxReplicas`.";
    }
}

object! {
    /// An autoscaler to judge.
    PLAN "Plan" Fields {
        namespace: Text, "Its namespace.";
        name: Text, "Its name.";
        spec: Shape::Object(&SPEC), "What it asks for, with the defaults of the API.";
        live: Optional(&Shape::Object(&HPA)), "With `--live`: the autoscaler of this name in the cluster.";
        events: Seen(Need::Events, &List(&Shape::Object(&EVENT))), "With `--live`, where its conditions do not tell: the warnings of the HPA controller, the latest first.";
        target: Seen(Need::Kinds, &Text), "What its target is: `scalable`, `not_scalable` or `unknown`.";
        scale: Seen(Need::HpaTarget, &Optional(&Shape::Object(&SCALE))), "The scale of its target in the cluster; absent when there is no such object.";
        template: Seen(Need::Template, &Optional(&Shape::Object(&TEMPLATE))), "The template of its target in the cluster; absent when there is none.";
        pods: Seen(Need::HpaPods, &List(&Shape::Object(&HPA_POD))), "The pods in the cluster that the target's selector matches.";
        scale_permitted: Seen(Need::ControllerAccess, &Shape::Object(&PERMITTED)), "Whether the HPA controller may change the scale of its target.";
        metrics: List(&Shape::Object(&PLAN_METRIC)), "What was seen for each of `spec.metrics`, in their order.";
    }
}

object! {
    /// A warning of the HPA controller.
    EVENT "Event" Fields {
        reason: Text, "Such as `FailedGetResourceMetric`.";
        message: Text, "The sentence.";
        count: Int, "How often it was said.";
        last: Time, "When it was said last.";
    }
}

object! {
    /// The specification of an autoscaler.
    SPEC "Spec" Fields {
        target: Shape::Object(&OBJECT_REF), "`spec.scaleTargetRef`.";
        min: Int, "`spec.minReplicas`, 1 where it is not given.";
        max: Optional(&Int), "`spec.maxReplicas`.";
        metrics: List(&Shape::Object(&METRIC_SPEC)), "`spec.metrics`; CPU at 80 % where there are none.";
    }
}

object! {
    /// A reference to an object in the same namespace.
    OBJECT_REF "ObjectRef" Fields {
        api_version: Text, "Such as `apps/v1`.";
        kind: Text, "Such as `Deployment`.";
        name: Text, "Its name.";
    }
}

object! {
    /// One entry of `spec.metrics`.
    METRIC_SPEC "MetricSpec" Fields {
        source: Shape::Object(&METRIC_REF), "Where it comes from.";
        target: Shape::Object(&METRIC_TARGET), "What it is held against.";
    }
}

object! {
    /// Where a metric comes from; `has()` tells which of the parts there are.
    METRIC_REF "MetricRef" Variants {
        kind: Text, "`Resource`, `ContainerResource`, `Pods`, `Object`, `External`, or `Unusable` for an entry that the API refuses.";
        name: Optional(&Text), "The name of the resource or of the metric.";
        container: Optional(&Text), "`ContainerResource`: the container.";
        selector: Optional(&Text), "`Pods`, `Object`, `External`: the label selector of the metric as a query writes it.";
        of: Optional(&Shape::Object(&OBJECT_REF)), "`Object`: the object.";
    }
}

object! {
    /// What a metric is held against.
    METRIC_TARGET "MetricTarget" Fields {
        kind: Text, "`type`: `Utilization`, `Value` or `AverageValue`.";
        value: Optional(&Text), "`value`.";
        average_value: Optional(&Text), "`averageValue`.";
        average_utilization: Optional(&Int), "`averageUtilization`, in percent.";
    }
}

object! {
    /// What pods are made from.
    TEMPLATE "Template" Fields {
        labels: Texts, "Its labels.";
        annotations: Texts, "Its annotations, of which only those that the program knows are kept.";
        containers: List(&Shape::Object(&CONTAINER)), "The containers whose requests count.";
        init_requests: TEXTS, "The resources that its init containers request which run to their end.";
        pod_requests: Texts, "The requests of the pod as a whole, by resource.";
        pod_limits: Texts, "The limits of the pod as a whole, by resource.";
    }
}

object! {
    /// What was seen for one metric.
    PLAN_METRIC "PlanMetric" Fields {
        described: Seen(Need::Kinds, &Text), "`Object`: what the kind of the object is, as for `target`.";
        permitted: Seen(Need::ControllerAccess, &Shape::Object(&PERMITTED)), "Whether the HPA controller may read it.";
        answer: Seen(Need::CustomMetrics, &Shape::Object(&METRIC_ANSWER)), "What the API answers to the request that the controller makes.";
    }
}

object! {
    /// What the HPA controller may do.
    PERMITTED "Permitted" Fields {
        allowed: Bool, "Whether it may.";
        verb: Text, "The verb.";
        resource: Text, "The resource, as `resource.group`.";
        reason: Text, "What the authorizer said.";
    }
}

object! {
    /// The answer of a metrics API.
    METRIC_ANSWER "MetricAnswer" Fields {
        status: Int, "The HTTP status.";
        message: Text, "The message of an error.";
        items: List(&Shape::Object(&METRIC_ITEM)), "The values.";
    }
}

object! {
    /// A value of a metric.
    METRIC_ITEM "MetricItem" Fields {
        of: Text, "The pod or object that it is of; empty for an external metric.";
        value: Text, "The value as a quantity; empty for the metrics of a pod.";
        timestamp: Optional(&Time), "When it was measured.";
    }
}
