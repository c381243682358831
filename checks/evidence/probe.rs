//! What a pod saw that `probe` started in metrics-server's place.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Look, Obs, Reach, Why};

/// A pod with metrics-server's identity on one node.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PodProbe {
    /// The node that it ran on.
    pub node: String,
    /// Its namespace.
    pub namespace: String,
    /// When it looked.
    pub taken_at: Timestamp,
    /// In what it differs from metrics-server's pod: labels that it may not carry, another ServiceAccount.
    pub differs: Vec<String>,
    /// Why NetworkPolicies may treat metrics-server's pod in another way than this one, where they may: what it reached
    /// says nothing of metrics-server then.
    pub policies_differ: Option<String>,
    /// The API server through its Service address, `GET /version`.
    pub api: Obs<Reach>,
    /// The API server at the addresses behind that Service.
    pub api_direct: Obs<Vec<ProbeDial>>,
    /// The Service of metrics-server, where there is one.
    pub service: Obs<Option<ProbeDial>>,
    /// The name server of the pods, asked for the API server's name.
    pub dns: Obs<Option<ProbeDial>>,
    /// The kubelets, each asked for `/metrics/resource` as metrics-server would.
    pub kubelets: Vec<KubeletProbe>,
}

impl PodProbe {
    /// Why nothing that it saw counts; nothing where it does.
    #[must_use]
    pub fn left_out(&self) -> Option<&Why> {
        match (&self.api.look, &self.dns.look) {
            (Look::Unseen(why), Look::Unseen(_)) => Some(why),
            _ => None,
        }
    }
}

/// An address and what it answered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProbeDial {
    /// `ADDRESS:PORT`, or a name.
    pub address: String,
    /// What came of it.
    pub reach: Reach,
}

/// A kubelet as metrics-server would meet it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct KubeletProbe {
    /// Its node.
    pub node: String,
    /// What was dialled.
    pub address: String,
    /// What came of it.
    pub reach: Obs<Reach>,
}
