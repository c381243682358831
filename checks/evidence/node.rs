//! Hop 5: a node and its kubelet, as metrics-server meets it.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{LogSignal, Obs};

/// A node.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Node {
    /// Its name.
    pub name: String,
    /// The `Ready` condition is `True`.
    pub ready: bool,
    /// When it was created.
    pub created: Timestamp,
    /// Its addresses, in the order of `status.addresses`.
    pub addresses: Vec<NodeAddress>,
    /// The port that its kubelet announces; 0 when it announces none.
    pub kubelet_port: i64,
    /// `linux` or `windows`.
    pub os: String,
    /// The kubelet's version.
    pub kubelet_version: String,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// The pods' address range on this node.
    pub pod_cidr: Option<String>,
    /// The address and port that metrics-server dials, from its arguments and this node's addresses.
    pub dial: Obs<Option<(String, i64)>>,
    /// What that address answered to a TLS handshake.
    pub handshake: Obs<Handshake>,
    /// The status of `GET /healthz` at that address without a credential.
    pub anonymous: Obs<i64>,
    /// The kubelet's running configuration.
    pub configz: Obs<KubeletConfig>,
    /// The TLS alert that kube-apiserver got when it dialled this kubelet for us, if it got one.
    pub api_server_alert: Obs<Option<String>>,
    /// The kubelet's requests for a serving certificate, newest first.
    pub csrs: Obs<Vec<Csr>>,
    /// What metrics-server last said about this node in its log, if it said anything since it
    /// last scraped.
    pub scrape_log: Obs<Option<LogSignal>>,
}

/// One entry of a node's `status.addresses`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeAddress {
    /// `InternalIP`, `ExternalIP`, `Hostname`, ...
    pub kind: String,
    /// The address.
    pub address: String,
}

/// What a port answered to a TLS handshake that trusts nothing and sends no credential.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Handshake {
    /// It presented these certificates, leaf first, each as base64 of DER.
    Certificates(Vec<String>),
    /// It broke the handshake off with this TLS alert, such as `internal_error`.
    Alert(String),
    /// It does not speak TLS.
    NotTls,
}

/// The fields of a kubelet's `configz` that the pipeline depends on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KubeletConfig {
    /// `authentication.webhook.enabled`.
    pub webhook_authentication: bool,
    /// `authentication.anonymous.enabled`.
    pub anonymous: bool,
    /// `authorization.mode`.
    pub authorization_mode: String,
    /// `serverTLSBootstrap`.
    pub server_tls_bootstrap: bool,
    /// `tlsCertFile`; the kubelet fills in the path of the certificate that it generated itself.
    pub tls_cert_file: String,
    /// `port`.
    pub port: i64,
    /// `readOnlyPort`.
    pub read_only_port: i64,
}

/// A request of a kubelet for a serving certificate.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Csr {
    /// The object's name.
    pub name: String,
    /// When it was made.
    pub created: Timestamp,
    /// What became of it.
    pub state: CsrState,
    /// The reason and message of the condition that decided it.
    pub detail: String,
    /// The issued certificate, as base64 of DER.
    pub certificate: Option<String>,
}

/// What became of a certificate signing request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CsrState {
    /// Nobody has decided.
    Pending,
    /// Approved, and the signer has not delivered.
    Approved,
    /// Approved and signed.
    Issued,
    /// Somebody denied it.
    Denied,
    /// The signer gave up.
    Failed,
}
