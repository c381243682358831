//! The kube-apiservers of a control plane, each at its own address.

use serde::{Deserialize, Serialize};

use super::{Answer, Need, Obs, Why};

/// One kube-apiserver, as the EndpointSlices of `default/kubernetes` name it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ApiServer {
    /// Its address.
    pub address: String,
    /// Its port.
    pub port: i64,
    /// What it answers to discovery of `metrics.k8s.io` when it is asked directly; status 0 where it answers for itself
    /// and gave no answer to this in time.
    pub discovery: Obs<Answer>,
}

impl ApiServer {
    /// One that has not been asked.
    #[must_use]
    pub fn unasked(address: String, port: i64) -> Self {
        let why = Why::NotAsked("it was not asked directly".to_owned());
        Self { address, port, discovery: Obs::unseen(Need::ApiServers, [], why) }
    }
}
