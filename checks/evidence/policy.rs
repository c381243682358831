//! NetworkPolicies: what the cluster's owners allow pods to reach, and who may reach them.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A NetworkPolicy.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NetworkPolicy {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// `spec.podSelector`, a label selector as it stands in the object; an empty one selects every pod.
    pub pod_selector: Value,
    /// Whether it restricts what comes in (`spec.policyTypes`, with Kubernetes' default where the field is absent).
    pub ingress: Option<Vec<PolicyRule>>,
    /// Whether it restricts what goes out.
    pub egress: Option<Vec<PolicyRule>>,
}

/// One rule; it allows what matches both lists.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct PolicyRule {
    /// `from` or `to`; empty allows everybody.
    pub peers: Vec<Peer>,
    /// `ports`; empty allows every port.
    pub ports: Vec<PolicyPort>,
}

/// Whom a rule allows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Peer {
    /// `ipBlock`.
    Block {
        /// The range.
        cidr: String,
        /// Ranges within it that are not allowed.
        except: Vec<String>,
    },
    /// `podSelector`, `namespaceSelector` or both: pods, never machines.
    Pods {
        /// The selector of pods; nothing for all of them.
        pods: Option<Value>,
        /// The selector of namespaces; nothing for the policy's own.
        namespaces: Option<Value>,
    },
}

/// Which ports a rule allows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PolicyPort {
    /// `TCP` by default.
    pub protocol: String,
    /// A number or the name of a container's port; nothing for every port.
    pub port: Option<String>,
    /// `endPort`.
    pub end: Option<i64>,
}
