//! The scenarios of the chain, in its order.

use crate::expect::{CLEAN, Cure, Expect, Look, Mode, Scenario};

/// From the nodes' network.
pub(crate) const fn nodes(expect: Expect) -> Look {
    Look {
        name: "nodes",
        mode: Mode::Installed,
        api_only: false,
        user: "admin",
        machines: &[],
        through: "cp",
        probe: None,
        expect,
    }
}

/// From where nothing but the API server is reached.
pub(crate) const fn api(expect: Expect) -> Look {
    Look { name: "api", api_only: true, ..nodes(expect) }
}

const fn as_user(user: &'static str, expect: Expect) -> Look {
    Look {
        name: user,
        mode: Mode::Installed,
        api_only: false,
        user,
        machines: &[],
        through: "cp",
        probe: None,
        expect,
    }
}

const fn before(name: &'static str, api_only: bool, expect: Expect) -> Look {
    Look {
        name,
        mode: Mode::BeforeInstall,
        api_only,
        user: "admin",
        machines: &[],
        through: "cp",
        probe: None,
        expect,
    }
}

const SELF_SIGNED: Expect = Expect::roots(&["kubelet-cert-self-signed"]);
const BLOCKED: Expect = Expect::roots(&["pod-network-to-api-blocked"]).candidates(&[
    "forward-policy-drop",
    "ip-forward-off",
    "kube-proxy-not-programming",
]);

const POLICY_OUT: Expect = Expect::roots(&["network-policy-blocks-egress"]);
const POLICY_IN: Expect = Expect::roots(&["network-policy-blocks-ingress"]);

/// Every scenario of the chain.
pub(crate) const CHAIN: &[Scenario] = &[
    Scenario {
        name: "healthy-signed",
        about: "kubelets with certificates that the cluster signed",
        core: true,
        looks: &[nodes(CLEAN), api(CLEAN), as_user("masters", CLEAN)],
        cure: Cure::None,
    },
    Scenario {
        name: "healthy-insecure",
        about: "metrics-server with --kubelet-insecure-tls",
        core: false,
        looks: &[
            nodes(Expect::roots(&["kubelet-tls-unverified"]).exit(0)),
            api(Expect::roots(&["kubelet-tls-unverified"]).exit(0)),
        ],
        cure: Cure::Production,
    },
    Scenario {
        name: "self-signed-all",
        about: "kubelets with the certificate that they generate themselves",
        core: true,
        looks: &[
            nodes(SELF_SIGNED.on(&["Node node1", "Node node2"])),
            api(SELF_SIGNED.on(&["Node node1", "Node node2"])),
        ],
        cure: Cure::Production,
    },
    Scenario {
        name: "self-signed-lab",
        about: "the same, cured as in a lab",
        core: false,
        looks: &[nodes(SELF_SIGNED)],
        cure: Cure::Lab,
    },
    Scenario {
        name: "self-signed-one",
        about: "one kubelet of two with the certificate that it generates itself",
        core: false,
        looks: &[nodes(SELF_SIGNED.on(&["Node node2"])), api(SELF_SIGNED.on(&["Node node2"]))],
        cure: Cure::Production,
    },
    Scenario {
        name: "csr-pending",
        about: "serverTLSBootstrap with requests that nobody approved",
        core: true,
        looks: &[
            nodes(Expect::roots(&["kubelet-csr-pending"]).on(&["Node node1", "Node node2"])),
            api(Expect::roots(&["kubelet-csr-pending"]).on(&["Node node1", "Node node2"])),
        ],
        cure: Cure::Production,
    },
    Scenario {
        name: "csr-denied",
        about: "serverTLSBootstrap with a request that was denied, on one node of two",
        core: false,
        looks: &[
            nodes(Expect::roots(&["kubelet-csr-denied"]).on(&["Node node2"])),
            api(Expect::roots(&["kubelet-csr-denied"]).on(&["Node node2"])),
        ],
        cure: Cure::Production,
    },
    Scenario {
        name: "cert-unknown-ca",
        about: "kubelet certificates of a CA that nobody trusts",
        core: false,
        looks: &[
            nodes(Expect::roots(&["kubelet-cert-unknown-ca"])),
            api(Expect::roots(&["kubelet-cert-unknown-ca"])),
        ],
        cure: Cure::Production,
    },
    Scenario {
        name: "cert-unknown-ca-lab",
        about: "the same, cured as in a lab",
        core: false,
        looks: &[nodes(Expect::roots(&["kubelet-cert-unknown-ca"]))],
        cure: Cure::Lab,
    },
    Scenario {
        name: "cert-expired",
        about: "kubelet certificates that expired yesterday",
        core: false,
        looks: &[
            nodes(Expect::roots(&["kubelet-cert-expired"])),
            api(Expect::roots(&["kubelet-cert-expired"]).undecided(&["kubelet-cert-unknown-ca"])),
        ],
        cure: Cure::Production,
    },
    Scenario {
        name: "cert-expired-lab",
        about: "the same, cured as in a lab",
        core: false,
        looks: &[nodes(Expect::roots(&["kubelet-cert-expired"]))],
        cure: Cure::Lab,
    },
    Scenario {
        name: "cert-other-address",
        about: "kubelet certificates for another address",
        core: false,
        looks: &[
            nodes(Expect::roots(&["kubelet-cert-lacks-address"])),
            api(Expect::roots(&["kubelet-cert-lacks-address"]).undecided(&["kubelet-cert-unknown-ca"])),
        ],
        cure: Cure::Production,
    },
    Scenario {
        name: "cert-other-address-lab",
        about: "the same, cured as in a lab",
        core: false,
        looks: &[nodes(Expect::roots(&["kubelet-cert-lacks-address"]))],
        cure: Cure::Lab,
    },
    Scenario {
        name: "cert-everything",
        about: "kubelet certificates that are expired, for another address and of an unknown CA",
        core: true,
        looks: &[
            nodes(Expect::roots(&[
                "kubelet-cert-expired",
                "kubelet-cert-lacks-address",
                "kubelet-cert-unknown-ca",
            ])),
            api(Expect::roots(&["kubelet-cert-expired"])
                .undecided(&["kubelet-cert-lacks-address", "kubelet-cert-unknown-ca"])),
        ],
        cure: Cure::Production,
    },
    Scenario {
        name: "forward-drop",
        about: "FORWARD policy DROP on the nodes",
        core: true,
        looks: &[nodes(BLOCKED), api(BLOCKED)],
        cure: Cure::Production,
    },
    Scenario {
        name: "ip-forward-off",
        about: "net.ipv4.ip_forward=0 on the nodes",
        core: false,
        looks: &[nodes(BLOCKED), api(BLOCKED)],
        cure: Cure::Production,
    },
    Scenario {
        name: "kube-proxy-gone",
        about: "no kube-proxy on the nodes, and none of its rules",
        core: false,
        looks: &[nodes(BLOCKED), api(BLOCKED)],
        cure: Cure::Production,
    },
    Scenario {
        name: "scaled-to-zero",
        about: "a metrics-server that somebody scaled to zero",
        core: false,
        looks: &[
            nodes(Expect::roots(&["metrics-server-scaled-to-zero"])),
            api(Expect::roots(&["metrics-server-scaled-to-zero"])),
            as_user("masters", Expect::roots(&["metrics-server-scaled-to-zero"])),
            as_user("edit", UNANSWERED),
        ],
        cure: Cure::Production,
    },
    Scenario {
        name: "flag-not-known",
        about: "a metrics-server with an argument out of a guide for 0.2",
        core: false,
        looks: &[
            nodes(Expect::roots(&["metrics-server-flag-unknown"])),
            api(Expect::roots(&["metrics-server-flag-unknown"])),
        ],
        cure: Cure::Production,
    },
    Scenario {
        name: "image-not-there",
        about: "a tag of metrics-server's image that the registry does not have",
        core: false,
        looks: &[
            nodes(Expect::roots(&["metrics-server-image-missing"])),
            api(Expect::roots(&["metrics-server-image-missing"])),
            as_user("masters", Expect::roots(&["metrics-server-image-missing"])),
        ],
        cure: Cure::Production,
    },
    Scenario {
        name: "image-unreachable",
        about: "an image of metrics-server in a registry that no node reaches",
        core: false,
        looks: &[
            nodes(Expect::roots(&["metrics-server-image-missing"])),
            api(Expect::roots(&["metrics-server-image-missing"])),
        ],
        cure: Cure::None,
    },
    Scenario {
        name: "not-scheduled",
        about: "a metrics-server with a nodeSelector that no node has",
        core: false,
        looks: &[
            nodes(Expect::roots(&["metrics-server-not-scheduled"])),
            api(Expect::roots(&["metrics-server-not-scheduled"])),
        ],
        cure: Cure::Production,
    },
    Scenario {
        name: "pods-refused",
        about: "a ResourceQuota of no pods where metrics-server is to run",
        core: false,
        looks: &[
            nodes(Expect::roots(&["metrics-server-pods-refused"])),
            api(Expect::roots(&["metrics-server-pods-refused"])),
            as_user("edit", UNANSWERED),
        ],
        cure: Cure::Production,
    },
    Scenario {
        name: "no-requestheader-flags",
        about: "kube-apiserver without the --requestheader-* flags",
        core: true,
        looks: &[
            nodes(Expect::roots(&["requestheader-ca-missing"])),
            api(Expect::roots(&["requestheader-ca-missing"])),
        ],
        cure: Cure::Production,
    },
    Scenario {
        name: "no-proxy-client-cert",
        about: "kube-apiserver without --proxy-client-cert-file",
        core: false,
        looks: &[
            nodes(Expect::roots(&["proxy-client-cert-missing"])),
            api(Expect::roots(&["proxy-client-cert-missing"])),
        ],
        cure: Cure::Production,
    },
    Scenario {
        name: "proxy-client-cert-other-ca",
        about: "a proxy client certificate of another CA",
        core: false,
        looks: &[
            nodes(Expect::roots(&["proxy-client-cert-untrusted"])),
            api(Expect::roots(&["proxy-client-cert-untrusted"])),
        ],
        cure: Cure::Production,
    },
    Scenario {
        name: "proxy-client-cert-expired",
        about: "a proxy client certificate that expired yesterday",
        core: false,
        looks: &[
            nodes(Expect::roots(&["proxy-client-cert-expired"])),
            api(Expect::roots(&["proxy-client-cert-expired"])),
        ],
        cure: Cure::Production,
    },
    Scenario {
        name: "allowed-names-without-cn",
        about: "--requestheader-allowed-names without the certificate's common name",
        core: false,
        looks: &[
            nodes(Expect::roots(&["proxy-client-name-not-allowed"])),
            api(Expect::roots(&["proxy-client-name-not-allowed"])),
        ],
        cure: Cure::Production,
    },
    Scenario {
        name: "webhook-authentication-off",
        about: "kubelets that do not accept tokens",
        core: true,
        looks: &[
            nodes(Expect::roots(&["kubelet-webhook-authentication-off"])),
            api(Expect::roots(&["kubelet-webhook-authentication-off"])),
            as_user("masters", Expect::roots(&["kubelet-webhook-authentication-off"])),
            as_user("edit", UNANSWERED),
            as_user("nobody", UNANSWERED),
        ],
        cure: Cure::Production,
    },
    Scenario {
        name: "no-nodes-metrics",
        about: "a ClusterRole of metrics-server without nodes/metrics",
        core: false,
        looks: &[
            nodes(Expect::roots(&["nodes-metrics-not-permitted"])),
            api(Expect::roots(&["nodes-metrics-not-permitted"])),
            as_user("masters", Expect::roots(&["nodes-metrics-not-permitted"])),
            as_user("edit", UNANSWERED),
            as_user("nobody", UNANSWERED),
        ],
        cure: Cure::Production,
    },
    Scenario {
        name: "no-auth-reader",
        about: "the RoleBinding to extension-apiserver-authentication-reader missing",
        core: false,
        looks: &[
            nodes(Expect::roots(&["auth-reader-binding-missing"])),
            api(Expect::roots(&["auth-reader-binding-missing"])),
            as_user("masters", Expect::roots(&["auth-reader-binding-missing"])),
            as_user("edit", UNANSWERED),
            as_user("nobody", UNANSWERED),
        ],
        cure: Cure::Production,
    },
    Scenario {
        name: "no-auth-delegator",
        about: "the ClusterRoleBinding to system:auth-delegator missing; the APIService is Available",
        core: true,
        looks: &[
            nodes(Expect::roots(&["auth-delegator-missing"])),
            api(Expect::roots(&["auth-delegator-missing"])),
            as_user("masters", Expect::roots(&["auth-delegator-missing"])),
            as_user("edit", Expect::roots(&["auth-delegator-missing"])),
            as_user("nobody", Expect::roots(&["auth-delegator-missing"])),
        ],
        cure: Cure::Production,
    },
    Scenario {
        name: "service-missing",
        about: "an APIService that names a Service that is not there",
        core: true,
        looks: &[
            nodes(Expect::roots(&["apiservice-service-missing"])),
            api(Expect::roots(&["apiservice-service-missing"])),
        ],
        cure: Cure::Production,
    },
    Scenario {
        name: "wrong-port",
        about: "an APIService that names a port that its Service does not have",
        core: false,
        looks: &[
            nodes(Expect::roots(&["apiservice-port-mismatch"])),
            api(Expect::roots(&["apiservice-port-mismatch"])),
        ],
        cure: Cure::Production,
    },
    Scenario {
        name: "selector-matches-nothing",
        about: "a Service whose selector matches no pod",
        core: false,
        looks: &[
            nodes(Expect::roots(&["service-selector-matches-nothing"])),
            api(Expect::roots(&["service-selector-matches-nothing"])),
        ],
        cure: Cure::Production,
    },
    Scenario {
        name: "container-port-renamed",
        about: "a container port with another name than the Service's target port",
        core: false,
        looks: &[
            nodes(Expect::roots(&["service-port-name-unresolved"])),
            api(Expect::roots(&["service-port-name-unresolved"])),
        ],
        cure: Cure::Production,
    },
    Scenario {
        name: "anonymous-admin",
        about: "cluster-admin bound to system:anonymous",
        core: true,
        looks: &[
            nodes(Expect::roots(&["anonymous-granted-privileges"])),
            api(Expect::roots(&["anonymous-granted-privileges"])),
            as_user("masters", Expect::roots(&["anonymous-granted-privileges"])),
            as_user("edit", Expect::roots(&["anonymous-granted-privileges"])),
            as_user("nobody", Expect::roots(&["anonymous-granted-privileges"])),
        ],
        cure: Cure::Production,
    },
    Scenario {
        name: "anonymous-admin-hides-front-proxy",
        about: "cluster-admin bound to system:anonymous on top of a missing proxy client certificate",
        core: false,
        looks: &[
            nodes(Expect::roots(&["proxy-client-cert-missing", "anonymous-granted-privileges"])),
            api(Expect::roots(&["proxy-client-cert-missing", "anonymous-granted-privileges"])),
            as_user("masters", Expect::roots(&["proxy-client-cert-missing", "anonymous-granted-privileges"])),
            as_user("edit", HIDDEN),
            as_user("nobody", HIDDEN),
        ],
        cure: Cure::Production,
    },
    Scenario {
        name: "kubelet-open",
        about: "a kubelet with anonymous authentication and AlwaysAllow, on one node of two",
        core: false,
        looks: &[
            nodes(Expect::roots(&["kubelet-open-to-anyone"]).on(&["Node node2"])),
            api(Expect::roots(&["kubelet-open-to-anyone"]).on(&["Node node2"])),
        ],
        cure: Cure::Production,
    },
    Scenario {
        name: "kubelet-port-filtered",
        about: "a firewall on one node of two that drops metrics-server's packets to the kubelet",
        core: false,
        looks: &[
            nodes(
                Expect::roots(&["kubelet-unreachable-from-pods"])
                    .on(&["Node node2"])
                    .candidates(&["kubelet-port-filtered"]),
            ),
            api(Expect::roots(&["kubelet-unreachable-from-pods"])
                .on(&["Node node2"])
                .candidates(&["kubelet-port-filtered"])),
        ],
        cure: Cure::None,
    },
    Scenario {
        name: "control-plane-cut-off",
        about: "a control plane whose packets do not reach the pods",
        core: false,
        looks: &[
            nodes(
                Expect::roots(&["metrics-server-unreachable-from-apiserver"])
                    .candidates(&["control-plane-without-pod-route"]),
            ),
            api(Expect::roots(&["metrics-server-unreachable-from-apiserver"])
                .candidates(&["control-plane-without-pod-route"])),
        ],
        cure: Cure::None,
    },
    Scenario {
        name: "network-policy-egress",
        about: "a default-deny NetworkPolicy in metrics-server's namespace, enforced",
        core: false,
        looks: &[
            nodes(POLICY_OUT.on(&["Service default/kubernetes"]).candidates(&["forward-policy-drop"])),
            api(POLICY_OUT.on(&["Service default/kubernetes"]).candidates(&["forward-policy-drop"])),
        ],
        cure: Cure::None,
    },
    Scenario {
        name: "network-policy-kubelets",
        about: "NetworkPolicies that allow metrics-server the API server and no kubelet, enforced",
        core: false,
        looks: &[
            nodes(POLICY_OUT.on(&["Node node2"]).candidates(&["kubelet-port-filtered"])),
            api(POLICY_OUT.on(&["Node node2"]).candidates(&["kubelet-port-filtered"])),
        ],
        cure: Cure::None,
    },
    Scenario {
        name: "network-policy-ingress",
        about: "a NetworkPolicy that lets pods in to metrics-server and kube-apiserver not, enforced",
        core: false,
        looks: &[
            nodes(POLICY_IN.candidates(&["control-plane-without-pod-route"])),
            api(POLICY_IN.candidates(&["control-plane-without-pod-route"])),
        ],
        cure: Cure::None,
    },
    Scenario {
        name: "network-policy-not-enforced",
        about: "the same default-deny NetworkPolicy in a network that enforces none",
        core: false,
        looks: &[nodes(CLEAN), api(CLEAN)],
        cure: Cure::None,
    },
    Scenario {
        name: "warming-up",
        about: "a metrics-server that has just started",
        core: true,
        looks: &[nodes(Expect::open(&["metrics-server-not-ready"]))],
        cure: Cure::None,
    },
    Scenario {
        name: "not-installed-ready",
        about: "no metrics-server, on a cluster that is ready for it",
        core: true,
        looks: &[
            nodes(Expect::roots(&["metrics-api-not-registered"])),
            api(Expect::roots(&["metrics-api-not-registered"])),
            before("before", false, CLEAN),
            before(
                "before-api",
                true,
                Expect::open(&["kubelet-cert-unknown-ca", "kubelet-cert-lacks-address"]),
            ),
        ],
        cure: Cure::None,
    },
    Scenario {
        name: "not-installed-unready",
        about: "no metrics-server, on kubelets with certificates that they generated themselves",
        core: false,
        looks: &[before("before", false, SELF_SIGNED), before("before-api", true, SELF_SIGNED)],
        cure: Cure::None,
    },
];

/// Without rights nothing but the answer of the Metrics API is seen.
const UNANSWERED: Expect = Expect::roots(&[]).unexplained(&["metrics-api-unanswered"]);

/// Without rights the binding shows, and what it hides does not.
const HIDDEN: Expect =
    Expect::roots(&["anonymous-granted-privileges"]).undecided(&["proxy-client-cert-missing"]);
