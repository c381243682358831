//! The evidence as rules see it: a table that is compared with the evidence itself by a test, and from which the
//! reference in the book is made.

use super::schema::{Field, Form, Object, Shape};
use crate::evidence::Need;

/// Fields of the evidence that a rule does not see, with the reason.
#[cfg(test)]
pub(super) const LEFT_OUT: &[(&str, &str)] = &[
    ("Gate.live", "it says that the autoscalers of the cluster were listed, and these stand in `plans`"),
    ("Gate.namespaces", "rules know no maps of objects"),
    ("Manifests.problems", "a file that cannot be read is found without a rule"),
    ("Manifests.files", "texts are for showing a place"),
    ("Manifests.odd", "it is about texts, which are for showing a place"),
    ("Document.body", "its fields have no types that a rule could be checked against"),
    ("Document.place", "a finding tells it"),
    ("Document.places", "a finding tells it"),
    ("Plan.document", "a finding tells its place"),
    ("Trial.document", "it is an index into the manifests"),
    ("MetricSpec.pointer", "it is the place of the entry among the metrics"),
    ("MetricItem.containers", "rules know no maps of lists"),
    ("HorizontalPodAutoscaler.spec", "what it says stands in `target` and `metrics`"),
    ("HorizontalPodAutoscaler.status", "no rule has asked for it"),
    ("Spec.behavior", "no rule has asked for it"),
    ("TargetPod.owner", "no rule has asked for it"),
    ("Container.probed", "it is of templates, which rules do not see"),
    ("Container.pointer", "it is of templates, which rules do not see"),
    ("evidence.requests", "what was asked is no fact of the cluster"),
    ("evidence.hosts", "no rule has asked for machines yet"),
    ("evidence.probes", "no rule has asked for probes yet"),
    ("evidence.policies", "no rule has asked for NetworkPolicies yet"),
    ("evidence.api_servers", "no rule has asked for single kube-apiservers yet"),
    ("Cluster.clock_offset_s", "it is 0 where the API server told no time"),
    ("Reviews.account", "it is absent where the pods were not seen"),
];

macro_rules! object {
    ($(#[doc = $about:literal])+ $constant:ident $name:literal $form:ident { $($field:ident $(= $key:literal)?: $shape:expr, $doc:literal;)+ }) => {
        $(#[doc = $about])+
        pub static $constant: Object = Object {
            name: $name,
            doc: concat!($($about),+),
            form: Form::$form,
            fields: &[$(Field {
                name: stringify!($field),
                key: object!(@key $field $($key)?),
                doc: $doc,
                shape: $shape,
            }),+],
        };
    };
    (@key $field:ident $key:literal) => { $key };
    (@key $field:ident) => { stringify!($field) };
}

mod gate;
mod hpas;
mod nodes;

use Shape::{Bool, Int, List, Optional, Seen, SomeTexts, Text, TextUnless, Texts, Time};
pub use gate::GATE;
use hpas::{CONTROLLER_LEASE, HPA};
use nodes::{CERTIFICATE, NODE};

const TEXTS: Shape = List(&Text);
const CERTIFICATES: Shape = List(&Shape::Object(&CERTIFICATE));
const PORTS: Shape = List(&Shape::Object(&PORT));

object! {
    /// The whole evidence: the names that every expression knows.
    EVIDENCE "evidence" Fields {
        now = "taken_at": Time, "The API server's time when the look began.";
        mode: Text, "`installed` for `check`, `before-install` for `check --before-install`, `gate` for `gate`.";
        cluster: Shape::Object(&CLUSTER), "The API server and the caller.";
        registration: Seen(Need::ApiService, &Optional(&Shape::Object(&API_SERVICE))),
            "The APIService of the Metrics API; absent where it is not registered.";
        backend: Shape::Object(&BACKEND), "What stands behind the APIService.";
        nodes: Seen(Need::Nodes, &List(&Shape::Object(&NODE))), "The nodes.";
        front_proxy: Shape::Object(&FRONT_PROXY), "The identity with which kube-apiserver calls metrics-server.";
        metrics: Shape::Object(&METRICS), "What the Metrics API answers.";
        hpas: Seen(Need::Hpas, &List(&Shape::Object(&HPA))), "The HorizontalPodAutoscalers.";
        controller_lease: Seen(Need::ControllerLease, &Optional(&Shape::Object(&CONTROLLER_LEASE))),
            "The Lease of kube-controller-manager; absent where it runs without election of a leader.";
        gate: Optional(&Shape::Object(&GATE)), "What a `gate` is asked about; absent in the other modes.";
    }
}

object! {
    /// The API server and the caller.
    CLUSTER "Cluster" Fields {
        version: Seen(Need::Version, &Shape::Object(&VERSION)), "The API server's version.";
        whoami: Seen(Need::Whoami, &Shape::Object(&IDENTITY)), "Who the API server takes the caller for.";
        groups: Seen(Need::Groups, &List(&Shape::Object(&GROUP))), "The API groups that are served.";
        distribution: TextUnless("unknown", Need::Nodes),
            "`kubeadm`, `k3s`, `rke2`, `eks`, `gke`, `aks`, `open-shift` or `talos`; not seen where it cannot be told.";
    }
}

object! {
    /// The API server's version.
    VERSION "Version" Fields {
        git_version: Text, "As the server writes it, such as `v1.36.2+k3s1`.";
        minor: Int, "The minor number, such as 36.";
    }
}

object! {
    /// A caller as the API server sees it.
    IDENTITY "Identity" Fields {
        name: Text, "The user name.";
        groups: TEXTS, "The groups.";
    }
}

object! {
    /// A served API group and one of its versions.
    GROUP "Group" Fields {
        group: Text, "The group, such as `custom.metrics.k8s.io`.";
        version: Text, "The version, such as `v1beta2`.";
    }
}

object! {
    /// The APIService `v1beta1.metrics.k8s.io`.
    API_SERVICE "APIService" Fields {
        created: Time, "When it was created.";
        service: Optional(&Shape::Object(&SERVICE_REF)), "The Service that it routes to.";
        insecure_skip_tls_verify: Bool, "`spec.insecureSkipTLSVerify`.";
        has_ca_bundle: Bool, "Whether `spec.caBundle` is set.";
        available: Optional(&Shape::Object(&CONDITION)), "The `Available` condition.";
    }
}

object! {
    /// A reference to a port of a Service.
    SERVICE_REF "ServiceRef" Fields {
        namespace: Text, "Its namespace.";
        name: Text, "Its name.";
        port: Int, "The Service's port.";
    }
}

object! {
    /// A condition as Kubernetes objects carry it.
    CONDITION "Condition" Fields {
        kind: Text, "Its type, such as `Available` or `ScalingActive`.";
        status: Text, "`True`, `False` or `Unknown`.";
        reason: Text, "The machine-readable reason.";
        message: Text, "The sentence.";
        since: Optional(&Time), "When the status last changed.";
    }
}

object! {
    /// What stands behind the APIService.
    BACKEND "Backend" Fields {
        service: Seen(Need::Service, &Optional(&Shape::Object(&SERVICE))), "The Service that the APIService names.";
        endpoints: Seen(Need::EndpointSlices, &List(&Shape::Object(&ENDPOINT))), "The endpoints of that Service.";
        pods: Seen(Need::Pods, &List(&Shape::Object(&POD))), "The pods of metrics-server.";
        workload: Seen(Need::Workload, &Optional(&Shape::Object(&WORKLOAD))), "The workload that owns the pods.";
        logs: Seen(Need::Logs, &List(&Shape::Object(&LOG))), "What the logs of the pods say, oldest first.";
        root_ca: Seen(Need::RootCa, &CERTIFICATES), "The CA bundle that pods in that namespace trust.";
        reviews: Shape::Object(&REVIEWS), "What the ServiceAccount of the pods may do.";
        candidates: Seen(Need::Service, &List(&Shape::Object(&SERVICE_REF))),
            "Where the Service is missing: the Services that do select pods of metrics-server.";
        args: Seen(Need::Pods, &TEXTS), "The arguments of metrics-server, such as `--kubelet-insecure-tls`.";
    }
}

object! {
    /// A Service.
    SERVICE "Service" Fields {
        namespace: Text, "Its namespace.";
        name: Text, "Its name.";
        kind: Text, "`spec.type`.";
        cluster_ip: Text, "`spec.clusterIP`; the word `None` for a headless Service.";
        selector: Texts, "The labels that it selects pods by.";
        ports: List(&Shape::Object(&SERVICE_PORT)), "Its ports.";
    }
}

object! {
    /// A port of a Service.
    SERVICE_PORT "ServicePort" Fields {
        name: Text, "Its name; empty when it has none.";
        port: Int, "The port of the Service.";
        target: Text, "The container port's name or number.";
    }
}

object! {
    /// One endpoint of an EndpointSlice.
    ENDPOINT "Endpoint" Fields {
        address: Text, "The address.";
        ready: Bool, "`conditions.ready`; absent counts as ready.";
        pod: Optional(&Text), "The pod behind it.";
        ports: PORTS, "The ports of its slice.";
    }
}

object! {
    /// A port of an EndpointSlice or of a container.
    PORT "Port" Fields {
        name: Text, "Its name; empty when it has none.";
        port: Int, "The number; 0 when there is none.";
    }
}

object! {
    /// A pod of metrics-server.
    POD "Pod" Fields {
        namespace: Text, "Its namespace.";
        name: Text, "Its name.";
        node: Optional(&Text), "The node that it runs on.";
        phase: Text, "`status.phase`.";
        ready: Bool, "The `Ready` condition is `True`.";
        created: Time, "When it was created.";
        started: Optional(&Time), "When the container that runs now was started.";
        container: Text, "The name of the metrics-server container.";
        restarts: Int, "How often the container was restarted.";
        waiting: Optional(&Text), "Why the container waits, such as `CrashLoopBackOff`.";
        waiting_message: Optional(&Text), "What the kubelet says about that.";
        last_end: Optional(&Shape::Object(&TERMINATION)), "How the container ended last.";
        service_account: Text, "The ServiceAccount that it runs as.";
        labels: Texts, "Its labels.";
        image: Text, "The image of the metrics-server container.";
        ports: PORTS, "The container's ports.";
        host_network: Bool, "Whether it shares the node's network.";
        unschedulable: Optional(&Text), "Why the scheduler has not placed it.";
    }
}

object! {
    /// How a container ended.
    TERMINATION "Termination" Fields {
        reason: Text, "The reason, such as `Error` or `OOMKilled`.";
        exit_code: Int, "The exit code.";
        at: Optional(&Time), "When it ended.";
    }
}

object! {
    /// The workload that owns the pods.
    WORKLOAD "Workload" Fields {
        kind: Text, "`Deployment`, `DaemonSet`, ...";
        namespace: Text, "Its namespace.";
        name: Text, "Its name.";
        labels: Texts, "The labels of its pod template.";
        match_labels: Texts, "The labels that its own selector demands.";
        selector: Text, "Its own selector as a query writes it, `matchExpressions` included.";
        replicas: Int, "How many pods it wants.";
        ports: PORTS, "The container's ports.";
        container: Int, "The place of metrics-server's container among those of the template, from 0.";
        args: TEXTS, "The `args` of that container.";
        found_by: Text, "`owner` or `image`: how the workload was found.";
        container_name: Text, "The name of that container.";
        node_selector: Texts, "The labels that its template demands of a node.";
        replica_failure: Optional(&Text), "What keeps it from creating pods.";
    }
}

object! {
    /// A line of a log that matters.
    LOG "LogSignal" Fields {
        pod: Text, "The pod that wrote it.";
        previous: Bool, "Whether an earlier container of the pod wrote it.";
        at: Time, "When the line was written.";
        before: Optional(&Time), "When the same was said the time before.";
        signature: Shape::Object(&SIGNATURE), "What it says.";
    }
}

object! {
    /// What a log line says; `has()` tells which of the parts there are.
    SIGNATURE "Signature" Variants {
        kind: Text, "`api_dial`, `auth_config_forbidden`, `informer_forbidden`, `request_header_ca_missing`, \
            `scrape_failed`, `caller_rejected`, `access_review_failed`, `unknown_flag`, `listen_failed`, `serving`, \
            `no_metrics_yet` or `panic`.";
        node: Optional(&Text), "`scrape_failed`: the node.";
        address: Optional(&Text), "`api_dial`, `scrape_failed`, `listen_failed`: the address.";
        failure: Optional(&Shape::Object(&FAILURE)), "`api_dial`, `scrape_failed`, `caller_rejected`: why.";
        user: Optional(&Text), "`auth_config_forbidden`: the user that was refused.";
        resource: Optional(&Text), "`informer_forbidden`: the resource.";
        forbidden: Optional(&Bool), "`access_review_failed`: whether metrics-server may not create access reviews.";
        flag: Optional(&Text), "`unknown_flag`: the flag.";
        reason: Optional(&Text), "`listen_failed`: why.";
    }
}

object! {
    /// Why something failed, as a log says it.
    FAILURE "Failure" Variants {
        kind: Text, "`timeout`, `refused`, `no_route`, `dial`, `deadline`, `name_not_resolved`, `no_ip_sans`, \
            `other_names`, `common_name_only`, `unknown_authority`, `outside_validity`, `wrong_usage`, \
            `no_certificate`, `status`, `no_address`, `name_not_allowed` or `other`.";
        dial: Optional(&Text), "`dial`: `timeout`, `refused` or `no_route`.";
        status: Optional(&Int), "`status`: the HTTP status.";
        other_names: Optional(&Text), "`other_names`: the names that the certificate holds.";
        akid: Optional(&Text), "`unknown_authority` of a caller: the authority key identifier.";
        cn: Optional(&Text), "`name_not_allowed`: the common name.";
    }
}

object! {
    /// What the ServiceAccount of metrics-server may do, as the API server's authorizer says.
    REVIEWS "Reviews" Fields {
        get_node_metrics: Seen(Need::AccessReviews, &Bool), "`get nodes/metrics`.";
        list_nodes: Seen(Need::AccessReviews, &Bool), "`list nodes`.";
        list_pods: Seen(Need::AccessReviews, &Bool), "`list pods`.";
        get_auth_config: Seen(Need::AccessReviews, &Bool), "`get configmaps/extension-apiserver-authentication`.";
        create_access_reviews: Seen(Need::AccessReviews, &Bool), "`create subjectaccessreviews`.";
    }
}

object! {
    /// The aggregation layer's identity.
    FRONT_PROXY "FrontProxy" Fields {
        auth_config: Seen(Need::AuthConfig, &Optional(&Shape::Object(&AUTH_CONFIG))),
            "The ConfigMap `kube-system/extension-apiserver-authentication`.";
        apiserver_flags: Seen(Need::ApiServerFlags, &SomeTexts(Need::ApiServerFlags)), "Flags of kube-apiserver, by name without dashes; not all are kept, so that one that is not there was not seen.";
        anonymous_access: Seen(Need::AnonymousAccess, &Text),
            "What a caller without a credential may do: `everything`, `something`, `nothing`; `off` when turned away.";
        anonymous_bindings: Seen(Need::AnonymousBindings, &List(&Shape::Object(&BINDING))),
            "The bindings that name anonymous callers.";
    }
}

object! {
    /// What kube-apiserver publishes for extension servers.
    AUTH_CONFIG "AuthConfig" Fields {
        client_ca: CERTIFICATES, "`client-ca-file`.";
        requestheader_ca: Optional(&CERTIFICATES), "`requestheader-client-ca-file`.";
        allowed_names: TEXTS, "`requestheader-allowed-names`; empty means that any name will do.";
        username_headers: TEXTS, "`requestheader-username-headers`.";
    }
}

object! {
    /// A binding with anonymous callers among its subjects.
    BINDING "Binding" Fields {
        kind: Text, "`ClusterRoleBinding` or `RoleBinding`.";
        name: Text, "Its name.";
        role: Text, "The role that it grants.";
        subject: Text, "`system:anonymous` or `system:unauthenticated`.";
    }
}

object! {
    /// The Metrics API as the caller sees it.
    METRICS "Metrics" Fields {
        discovery: Seen(Need::MetricsDiscovery, &Shape::Object(&ANSWER)), "`GET /apis/metrics.k8s.io/v1beta1`.";
        nodes_answer: Seen(Need::NodeMetrics, &Shape::Object(&ANSWER)), "`GET /apis/metrics.k8s.io/v1beta1/nodes`.";
        nodes: Seen(Need::NodeMetrics, &List(&Shape::Object(&NODE_METRIC))), "The node metrics of a successful answer.";
    }
}

object! {
    /// An HTTP answer.
    ANSWER "Answer" Fields {
        status: Int, "The status code.";
        message: Text, "The message of the Status object, or the text of the body.";
    }
}

object! {
    /// The usage of a node.
    NODE_METRIC "NodeMetric" Fields {
        node: Text, "The node.";
        timestamp: Time, "When the kubelet took the sample.";
        window_s: Int, "The window that the CPU rate was taken over, in seconds.";
    }
}
