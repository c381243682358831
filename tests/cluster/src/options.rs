//! What a cluster shall be like before its first process starts.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::layout::{CONTROL_PLANE, node_name};

/// How a kubelet gets the certificate that it serves port 10250 with.
#[derive(Clone, Debug, Default)]
pub enum Serving {
    /// The kubelet's own default: a certificate that it signs itself, without IP addresses.
    #[default]
    SelfSigned,
    /// `serverTLSBootstrap: true`; the signing requests are approved while the cluster starts.
    Bootstrapped,
    /// `serverTLSBootstrap: true`; the signing requests are left pending.
    BootstrapPending,
    /// `tlsCertFile` and `tlsPrivateKeyFile` hold this pair (PEM); see [`crate::Ca::issue`].
    Provided {
        /// The certificate, or a chain, in PEM.
        cert: String,
        /// The private key in PEM.
        key: String,
    },
}

/// What kube-proxy writes its rules with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ProxyMode {
    /// Through `iptables`, whichever back end that has on the host.
    #[default]
    Iptables,
    /// Into the tables `kube-proxy` of nftables.
    Nftables,
}

impl ProxyMode {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Iptables => "iptables",
            Self::Nftables => "nftables",
        }
    }
}

/// What `iptables` on a host writes to; the kernel applies both.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum IptablesBackend {
    /// nftables, as is the default of the distributions.
    #[default]
    Nft,
    /// The tables of `ip_tables`.
    Legacy,
}

impl IptablesBackend {
    /// The word in the names of its programs, as in `iptables-nft`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Nft => "nft",
            Self::Legacy => "legacy",
        }
    }
}

/// How the cluster's DNS is installed.
#[derive(Clone, Copy, Debug, Default)]
pub struct Dns {
    /// Answers the names of hosts (`cp`, `node1`, …) too, as a company's own DNS behind the cluster's would.
    pub host_names: bool,
}

/// What [`crate::Cluster::up`] starts.
#[derive(Clone, Debug)]
pub struct Options {
    pub(crate) name: String,
    pub(crate) nodes: Vec<Serving>,
    pub(crate) apiservers: usize,
    pub(crate) apiserver_flags: Vec<String>,
    pub(crate) removed_apiserver_flags: Vec<String>,
    pub(crate) controller_manager_flags: Vec<String>,
    pub(crate) kubelet_patch: Value,
    pub(crate) proxy_mode: ProxyMode,
    pub(crate) iptables: BTreeMap<String, IptablesBackend>,
    pub(crate) keep: bool,
    pub(crate) replace: bool,
}

impl Options {
    /// Two nodes with the kubelets' default certificates. The name goes into every path and
    /// namespace: lowercase letters, digits and dashes, at most 20.
    #[must_use]
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            nodes: vec![Serving::SelfSigned; 2],
            apiservers: 1,
            apiserver_flags: Vec::new(),
            removed_apiserver_flags: Vec::new(),
            controller_manager_flags: Vec::new(),
            kubelet_patch: Value::Null,
            proxy_mode: ProxyMode::default(),
            iptables: BTreeMap::new(),
            keep: false,
            replace: true,
        }
    }

    /// The number of nodes (`node1`, `node2`, …), each with the kubelet's default certificate.
    #[must_use]
    pub fn nodes(mut self, count: usize) -> Self {
        let first = self.nodes.first().cloned().unwrap_or_default();
        self.nodes.resize(count, first);
        self
    }

    /// How many kube-apiservers there are, each on a host of its own (`cp`, `cp2`, …), with one etcd behind them. Nodes
    /// and kubeconfigs know the first alone; the Service `kubernetes` has all of them.
    #[must_use]
    pub fn apiservers(mut self, count: usize) -> Self {
        self.apiservers = count;
        self
    }

    /// The same kind of serving certificate on every node.
    #[must_use]
    pub fn serving(mut self, serving: &Serving) -> Self {
        self.nodes.fill(serving.clone());
        self
    }

    /// The kind of serving certificate of one node; the first is number 1, as in `node1`.
    #[must_use]
    pub fn node_serving(mut self, number: usize, serving: Serving) -> Self {
        if let Some(slot) = number.checked_sub(1).and_then(|i| self.nodes.get_mut(i)) {
            *slot = serving;
        }
        self
    }

    /// Sets a flag of kube-apiserver, `--name=value`, in place of one of the same name.
    #[must_use]
    pub fn apiserver_flag(mut self, flag: impl Into<String>) -> Self {
        self.apiserver_flags.push(flag.into());
        self
    }

    /// Leaves out a flag of kube-apiserver, named without its value: `--requestheader-allowed-names`.
    #[must_use]
    pub fn without_apiserver_flag(mut self, name: impl Into<String>) -> Self {
        self.removed_apiserver_flags.push(name.into());
        self
    }

    /// Sets a flag of kube-controller-manager.
    #[must_use]
    pub fn controller_manager_flag(mut self, flag: impl Into<String>) -> Self {
        self.controller_manager_flags.push(flag.into());
        self
    }

    /// A JSON merge patch over every kubelet's configuration.
    #[must_use]
    pub fn kubelet_patch(mut self, patch: Value) -> Self {
        self.kubelet_patch = patch;
        self
    }

    /// The mode of every kube-proxy.
    #[must_use]
    pub fn proxy_mode(mut self, mode: ProxyMode) -> Self {
        self.proxy_mode = mode;
        self
    }

    /// What `iptables` is on this host (`cp`, `node1`, …), for kube-proxy and everybody else there.
    #[must_use]
    pub fn host_iptables(mut self, host: impl Into<String>, backend: IptablesBackend) -> Self {
        self.iptables.insert(host.into(), backend);
        self
    }

    /// What `iptables` is on the control plane and on every node that there is so far.
    #[must_use]
    pub fn iptables(mut self, backend: IptablesBackend) -> Self {
        self.iptables.insert(CONTROL_PLANE.to_owned(), backend);
        self.iptables.extend((1..=self.nodes.len()).map(|number| (node_name(number), backend)));
        self
    }

    /// Leaves the cluster running when its handle is dropped.
    #[must_use]
    pub fn keep(mut self, keep: bool) -> Self {
        self.keep = keep;
        self
    }

    /// Whether a running cluster of the same name is taken down first (the default) or is an error.
    #[must_use]
    pub fn replace(mut self, replace: bool) -> Self {
        self.replace = replace;
        self
    }
}

/// Who a kubeconfig is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum User {
    /// What kubeadm's `admin.conf` is: group `kubeadm:cluster-admins`, bound to `cluster-admin`.
    Admin,
    /// Group `system:masters`, which no authorizer ever asks about.
    SystemMasters,
    /// Bound to the `ClusterRole` `edit` in this namespace and to nothing else.
    Edit {
        /// The namespace; it is created when absent.
        namespace: String,
    },
    /// Authenticated, bound to nothing.
    Nobody,
}

/// Where a program of the outside runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Vantage {
    /// A machine on the nodes' network: reaches the API server, the nodes and their kubelets.
    Nodes,
    /// Reaches the API server's port 6443 and nothing else; all other packets vanish, so a connection
    /// to a kubelet times out.
    ApiOnly,
    /// As [`Vantage::ApiOnly`], but other addresses fail at once: there is no route.
    ApiOnlyNoRoute,
    /// On a host of the cluster (`cp`, `node1`, …), in its network and its file system.
    Host(String),
}

/// A program of the cluster that can be restarted, and whose log can be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Component {
    Etcd,
    ApiServer,
    ControllerManager,
    Scheduler,
    Containerd,
    Kubelet,
    KubeProxy,
}

impl Component {
    /// The name of its program, its log, its static pod and its unit.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Etcd => "etcd",
            Self::ApiServer => "kube-apiserver",
            Self::ControllerManager => "kube-controller-manager",
            Self::Scheduler => "kube-scheduler",
            Self::Containerd => "containerd",
            Self::Kubelet => "kubelet",
            Self::KubeProxy => "kube-proxy",
        }
    }
}

/// Which APIs the metrics adapter is registered for; both by default.
#[derive(Clone, Debug)]
pub struct Adapter {
    /// `custom.metrics.k8s.io`.
    pub custom: bool,
    /// `external.metrics.k8s.io`.
    pub external: bool,
}

impl Default for Adapter {
    fn default() -> Self {
        Self { custom: true, external: true }
    }
}

/// How metrics-server is installed; the default is the release's own `components.yaml`.
#[derive(Clone, Debug, Default)]
pub struct MetricsServer {
    /// Adds `--kubelet-insecure-tls`.
    pub insecure_tls: bool,
    /// More arguments, after those of the release.
    pub extra_args: Vec<String>,
    /// Arguments of the release to leave out, by the text before `=`.
    pub removed_args: Vec<String>,
}
