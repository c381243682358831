//! Hop 0: the API server that was asked, and who asked it.

use serde::{Deserialize, Serialize};

use super::Obs;

/// The API server and the caller.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Cluster {
    /// The API server's version.
    pub version: Obs<ServerVersion>,
    /// Who the API server takes the caller for.
    pub whoami: Obs<Identity>,
    /// The API groups that are served.
    pub groups: Obs<Vec<GroupVersion>>,
    /// What installed the cluster, as far as it can be told.
    pub distribution: Distribution,
    /// The caller's clock minus the API server's, in seconds.
    pub clock_offset_s: i64,
}

/// The API server's version.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServerVersion {
    /// As the server writes it, such as `v1.36.2+k3s1`.
    pub git_version: String,
    /// The minor number, such as 36.
    pub minor: u32,
}

/// A caller as the API server sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// The user name.
    pub name: String,
    /// The groups.
    pub groups: Vec<String>,
}

impl Identity {
    /// Whether every aggregated server lets this caller through without asking.
    #[must_use]
    pub fn is_system_masters(&self) -> bool {
        self.groups.iter().any(|group| group == "system:masters")
    }

    /// Whether this is the caller without a credential.
    #[must_use]
    pub fn is_anonymous(&self) -> bool {
        self.name == "system:anonymous"
    }
}

/// A served API group and one of its versions.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct GroupVersion {
    /// The group, such as `custom.metrics.k8s.io`.
    pub group: String,
    /// The version, such as `v1beta2`.
    pub version: String,
}

/// What installed the cluster; it decides where configuration files are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Distribution {
    /// kubeadm, or something that looks like it (kind, minikube).
    Kubeadm,
    /// k3s.
    K3s,
    /// RKE2.
    Rke2,
    /// Amazon EKS.
    Eks,
    /// Google GKE.
    Gke,
    /// Azure AKS.
    Aks,
    /// Red Hat's.
    OpenShift,
    /// Talos.
    Talos,
    /// It could not be told.
    #[default]
    Unknown,
}

impl Distribution {
    /// The name as JSON and the report write it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Kubeadm => "kubeadm",
            Self::K3s => "k3s",
            Self::Rke2 => "rke2",
            Self::Eks => "eks",
            Self::Gke => "gke",
            Self::Aks => "aks",
            Self::OpenShift => "openshift",
            Self::Talos => "talos",
            Self::Unknown => "unknown",
        }
    }
}
