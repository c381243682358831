//! What can be looked at, and the permission that it takes.

use serde::{Deserialize, Serialize};

macro_rules! needs {
    ($($(#[doc = $doc:literal])+ $name:ident => $grant:expr;)+) => {
        /// A kind of observation. A check declares the kinds that it reads.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(rename_all = "kebab-case")]
        pub enum Need { $($(#[doc = $doc])+ $name,)+ }

        impl Need {
            /// All of them, in the order of the chain.
            pub const ALL: &'static [Self] = &[$(Self::$name,)+];

            /// What an operator has to grant for it.
            #[must_use]
            pub fn grant(self) -> Grant {
                match self { $(Self::$name => $grant,)+ }
            }
        }
    };
}

/// What it takes to look.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Grant {
    /// Every authenticated user may (`system:discovery`, `system:basic-user`).
    Everyone,
    /// `verb` on `resource`, cluster-wide.
    Cluster(&'static str, &'static str),
    /// `verb` on `resource` in the namespace of metrics-server, of an HPA, or in kube-system.
    Namespaced(&'static str, &'static str),
    /// `get` on a path of the API server.
    NonResource(&'static str),
    /// No permission, but a network path to the kubelet's port.
    KubeletNetwork,
    /// Nothing: it stands in the files at hand.
    Nothing,
    /// No permission of the cluster: `host` on the machine itself, as root for most of it.
    Host,
    /// What `probe` takes; `rbac --for probe` lists it.
    Probe,
}

needs! {
    /// The caller's own name and groups.
    Whoami => Grant::Everyone;
    /// The API server's version.
    Version => Grant::Everyone;
    /// The API groups that are served.
    Groups => Grant::Everyone;
    /// The APIService object of `metrics.k8s.io`.
    ApiService => Grant::Cluster("get", "apiservices.apiregistration.k8s.io");
    /// The Service that the APIService names.
    Service => Grant::Namespaced("get", "services");
    /// The EndpointSlices of that Service.
    EndpointSlices => Grant::Namespaced("list", "endpointslices.discovery.k8s.io");
    /// The pods behind that Service.
    Pods => Grant::Namespaced("list", "pods");
    /// The workload that owns them.
    Workload => Grant::Namespaced("list", "deployments.apps");
    /// What their logs say, as signatures.
    Logs => Grant::Namespaced("get", "pods/log");
    /// The CA bundle that is mounted into pods.
    RootCa => Grant::Namespaced("get", "configmaps/kube-root-ca.crt");
    /// The published trust of the aggregation layer.
    AuthConfig => Grant::Namespaced("get", "configmaps/extension-apiserver-authentication");
    /// The flags of kube-apiserver.
    ApiServerFlags => Grant::NonResource("/flagz");
    /// What the API server grants to callers without a credential.
    AnonymousAccess => Grant::Everyone;
    /// Which bindings name anonymous callers.
    AnonymousBindings => Grant::Cluster("list", "clusterrolebindings.rbac.authorization.k8s.io");
    /// What the ServiceAccount of metrics-server may do.
    AccessReviews => Grant::Cluster("create", "subjectaccessreviews.authorization.k8s.io");
    /// The nodes.
    Nodes => Grant::Cluster("list", "nodes");
    /// The certificate that a kubelet presents.
    KubeletHandshake => Grant::KubeletNetwork;
    /// What a kubelet answers to a caller without a credential.
    KubeletAnonymous => Grant::KubeletNetwork;
    /// The configuration that a kubelet runs with.
    Configz => Grant::Cluster("get", "nodes/proxy");
    /// The certificate signing requests of kubelets.
    Csrs => Grant::Cluster("list", "certificatesigningrequests.certificates.k8s.io");
    /// The answer to discovery of `metrics.k8s.io`.
    MetricsDiscovery => Grant::Everyone;
    /// The metrics of nodes.
    NodeMetrics => Grant::Cluster("list", "nodes.metrics.k8s.io");
    /// The HorizontalPodAutoscalers.
    Hpas => Grant::Cluster("list", "horizontalpodautoscalers.autoscaling");
    /// The Lease by which kube-controller-manager shows that it runs.
    ControllerLease => Grant::Namespaced("get", "leases.coordination.k8s.io/kube-controller-manager");
    /// The scale of what an HPA targets.
    HpaTarget => Grant::Namespaced("get", "deployments.apps/scale");
    /// The pods of an HPA's target.
    HpaPods => Grant::Namespaced("list", "pods");
    /// The manifests at hand.
    Manifests => Grant::Nothing;
    /// Whether the API serves a kind, and with a scale.
    Kinds => Grant::Everyone;
    /// The template of the pods of an HPA's target.
    Template => Grant::Namespaced("get", "deployments.apps");
    /// Whether the namespace of an autoscaler is there.
    Namespaces => Grant::Namespaced("get", "namespaces");
    /// What the `LimitRanges` of a namespace add to containers.
    LimitRanges => Grant::Namespaced("list", "limitranges");
    /// The quotas of a namespace.
    Quotas => Grant::Namespaced("list", "resourcequotas");
    /// `VerticalPodAutoscalers` and KEDA's `ScaledObjects`.
    OtherAutoscalers => Grant::Namespaced("list", "verticalpodautoscalers.autoscaling.k8s.io");
    /// Whether the HPA controller may read a metric.
    ControllerAccess => Grant::Cluster("create", "subjectaccessreviews.authorization.k8s.io");
    /// The metrics of pods.
    PodMetrics => Grant::Namespaced("list", "pods.metrics.k8s.io");
    /// The value of a custom metric.
    CustomMetrics => Grant::Namespaced("get", "pods.custom.metrics.k8s.io");
    /// The value of an external metric.
    ExternalMetrics => Grant::Namespaced("list", "metrics.external.metrics.k8s.io");
    /// The NetworkPolicies of metrics-server's namespace.
    NetworkPolicies => Grant::Namespaced("list", "networkpolicies.networking.k8s.io");
    /// The kube-apiservers behind the Service `default/kubernetes`.
    ApiServers => Grant::Namespaced("list", "endpointslices.discovery.k8s.io");
    /// Who a machine is.
    HostIdentity => Grant::Host;
    /// The kernel's settings of a machine, and what sets them at boot.
    HostSettings => Grant::Host;
    /// The packet filter of a machine.
    HostFilters => Grant::Host;
    /// The rules for Services on a machine.
    HostServiceRules => Grant::Host;
    /// The kubelet of a machine: its process, its unit, its configuration file, its certificates.
    HostKubelet => Grant::Host;
    /// kube-proxy on a machine.
    HostKubeProxy => Grant::Host;
    /// The control plane on a machine: flags, and the certificates that they name.
    HostControlPlane => Grant::Host;
    /// How the components on a machine are started: the names of their flags, and their versions.
    HostCommands => Grant::Host;
    /// The container runtime of a machine.
    HostRuntime => Grant::Host;
    /// The clock of a machine.
    HostClock => Grant::Host;
    /// The resolver of a machine.
    HostResolver => Grant::Host;
    /// Swap, SELinux and proxies of a machine.
    HostSystem => Grant::Host;
    /// Who listens on a machine.
    HostListeners => Grant::Host;
    /// The routes of a machine.
    HostRoutes => Grant::Host;
    /// What addresses answer to a machine.
    HostDials => Grant::Host;
    /// What a pod in metrics-server's place saw.
    PodProbe => Grant::Probe;
    /// What the API server says of an object in a dry run.
    DryRun => Grant::Namespaced("patch", "the objects of the manifests");
    /// What the HPA controller said of an autoscaler in events.
    Events => Grant::Namespaced("list", "events");
}
