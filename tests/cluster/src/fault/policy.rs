//! Network policies that forbid metrics-server what it needs, and somebody who enforces them.

use std::fs;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use crate::cluster::Cluster;
use crate::control::Verb;
use crate::options::User;
use crate::policy::{self, APPLIED, PLUGIN};
use crate::run::wait_for;

const CNI: &str = "/etc/cni/net.d/10-pods.conflist";

/// What people write to let metrics-server do just what it does, with one thing forgotten.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NetworkPolicy {
    /// metrics-server may ask the DNS and the kubelets; the API server was forgotten.
    EgressWithoutApi,
    /// Pods may call metrics-server; the control plane was forgotten.
    IngressWithoutControlPlane,
}

impl NetworkPolicy {
    /// The object.
    #[must_use]
    pub fn manifest(self) -> &'static str {
        match self {
            Self::EgressWithoutApi => include_str!("../../manifests/policy-no-api.yaml"),
            Self::IngressWithoutControlPlane => include_str!("../../manifests/policy-no-control-plane.yaml"),
        }
    }
}

impl Cluster {
    /// Has the cluster enforce this policy. Connections that are there already may stay, as with most CNI plugins: to
    /// see the fault surely, restart the pod that it concerns.
    ///
    /// # Errors
    /// When the policy is refused or not enforced in time.
    pub fn forbid(&self, policy: NetworkPolicy) -> Result<()> {
        self.enforce_network_policies()?;
        self.apply(policy.manifest())?;
        self.wait_policies_enforced(Duration::from_secs(30))
    }

    /// Begins to enforce network policies, of which the CNI plugin of these clusters knows nothing. They are enforced
    /// in the pods' own network namespaces, as some CNI plugins do, so that no filter of a host shows anything of them.
    /// Policies that come, change and go later are followed within a second or two. Understood are `matchLabels`,
    /// peers that are an `ipBlock` without `except`, and ports that are numbers.
    ///
    /// # Errors
    /// When a node cannot be set up for it.
    pub fn enforce_network_policies(&self) -> Result<()> {
        self.kubeconfig(&User::SystemMasters)?;
        for node in self.nodes() {
            let link = self.path(&node, &format!("/usr/lib/cni/{PLUGIN}"));
            if !link.is_symlink() {
                std::os::unix::fs::symlink(self.layout.program(), &link)?;
            }
            let file = self.path(&node, CNI);
            let mut chain: Value = serde_json::from_str(&fs::read_to_string(&file)?)?;
            let plugins = chain["plugins"].as_array_mut().context("the CNI configuration has no plugins")?;
            if !plugins.iter().any(|plugin| plugin["type"] == PLUGIN) {
                plugins.push(json!({"type": PLUGIN}));
                fs::write(&file, serde_json::to_string_pretty(&chain)?)?;
            }
            self.ask(Verb::Start, &node, PLUGIN)?;
        }
        Ok(())
    }

    /// Waits until every node enforces the policies as they are now.
    ///
    /// # Errors
    /// When one does not in time, or a policy is of a kind that is not understood.
    pub fn wait_policies_enforced(&self, deadline: Duration) -> Result<()> {
        let wanted = self.get(&["networkpolicies", "--all-namespaces"])?;
        policy::understood(&wanted)?;
        let wanted = policy::versions(&wanted);
        for node in self.nodes() {
            wait_for(&format!("{node} to enforce the policies"), deadline, || {
                let applied: Value = serde_json::from_str(&fs::read_to_string(self.path(&node, APPLIED))?)?;
                ensure!(policy::versions(&applied) == wanted, "it enforces {:?}", policy::versions(&applied));
                Ok(true)
            })?;
        }
        Ok(())
    }
}
