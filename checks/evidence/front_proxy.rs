//! Hops 7 and 8: the identity with which kube-apiserver calls metrics-server, and what the
//! parties are allowed.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Obs;

/// The aggregation layer's identity.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FrontProxy {
    /// The ConfigMap `kube-system/extension-apiserver-authentication`; `None` when it is absent.
    pub auth_config: Obs<Option<AuthConfig>>,
    /// The flags of the kube-apiserver that answered.
    pub apiserver_flags: Obs<Flags>,
    /// What a caller without a credential may do.
    pub anonymous_access: Obs<AnonymousAccess>,
    /// The bindings that name anonymous callers.
    pub anonymous_bindings: Obs<Vec<AnonymousBinding>>,
}

/// Flags by name, without the dashes; only catalogued ones.
pub type Flags = BTreeMap<String, String>;

/// What kube-apiserver publishes for extension servers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuthConfig {
    /// `client-ca-file`: certificates as base64 of DER.
    pub client_ca: Vec<String>,
    /// `requestheader-client-ca-file`: certificates as base64 of DER; `None` when the key is absent.
    pub requestheader_ca: Option<Vec<String>>,
    /// `requestheader-allowed-names`; empty means that any name will do.
    pub allowed_names: Vec<String>,
    /// `requestheader-username-headers`.
    pub username_headers: Vec<String>,
}

/// What the API server answered to a caller without a credential who asked
/// whether it may do everything.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AnonymousAccess {
    /// It may do everything.
    Everything,
    /// It may ask what it may do, which nobody without a credential can by default; not everything.
    Something,
    /// It may not even ask.
    Nothing,
    /// Callers without a credential are turned away.
    Off,
}

/// A binding with `system:anonymous` or `system:unauthenticated` among its subjects.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AnonymousBinding {
    /// `ClusterRoleBinding` or `RoleBinding`.
    pub kind: String,
    /// Its name.
    pub name: String,
    /// The role that it grants.
    pub role: String,
    /// The subject.
    pub subject: String,
}

/// What metrics-server's ServiceAccount may do, as the API server's authorizer says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AccessReviews {
    /// The account that was asked about, as `system:serviceaccount:NAMESPACE:NAME`.
    pub account: Option<String>,
    /// `get nodes/metrics`.
    pub get_node_metrics: Obs<bool>,
    /// `list nodes`.
    pub list_nodes: Obs<bool>,
    /// `list pods`.
    pub list_pods: Obs<bool>,
    /// `get configmaps/extension-apiserver-authentication` in kube-system.
    pub get_auth_config: Obs<bool>,
    /// `create subjectaccessreviews.authorization.k8s.io`.
    pub create_access_reviews: Obs<bool>,
}
