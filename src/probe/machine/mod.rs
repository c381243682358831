//! Looking at machines from pods: one on each node, with the machine's network and its root file system, read-only.
//!
//! | file       | what it does                                                    |
//! |------------|-----------------------------------------------------------------|
//! | `manifest` | the namespace and the pod                                       |
//! | `guard`    | what of that may leave                                          |
//! | `inside`   | the program in the pod: `host --root`, and the pages it says    |
//! | `pages`    | the facts of a machine in three termination messages            |

pub(super) mod guard;
#[cfg(target_os = "linux")]
pub mod inside;
pub mod manifest;
#[cfg_attr(not(target_os = "linux"), expect(dead_code, reason = "pages are written on Linux alone"))]
pub mod pages;

use std::collections::{BTreeMap, BTreeSet};

use checks::evidence::{Evidence, Node};
use jiff::Timestamp;
use serde_json::Value;

use super::errand::Errand;
use super::message::Unreadable;
use super::run::Run;
use crate::source::Outcome;

/// The most addresses that a machine of the control plane is told to dial.
const DIALS: usize = 16;

/// The pods of a run that look at machines.
#[derive(Clone, Debug, PartialEq)]
pub struct MachinePlan {
    /// The run.
    pub run: Run,
    /// The namespace, which is made for them.
    pub namespace: String,
    /// The image.
    pub image: String,
    /// When the kubelet ends a pod.
    pub deadline_s: u64,
    /// The pods.
    pub pods: Vec<MachinePod>,
}

/// A pod that looks at the machine of its node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MachinePod {
    /// Its name.
    pub name: String,
    /// Its node.
    pub node: String,
    /// `ADDRESS:PORT` to dial from there.
    pub dials: Vec<String>,
}

/// What was seen of a machine: each fact, or why it was not seen.
pub type Facts = BTreeMap<String, Outcome>;

impl MachinePlan {
    /// Plans a pod on each of these nodes.
    #[must_use]
    pub fn make(evidence: &Evidence, run: &Run, nodes: &[String], image: &str, deadline_s: u64) -> Self {
        let pods = nodes.iter().enumerate().map(|(number, node)| MachinePod {
            name: run.name(number),
            node: node.clone(),
            dials: dials(evidence, node),
        });
        Self {
            run: run.clone(),
            namespace: run.namespace(),
            image: image.to_owned(),
            deadline_s,
            pods: pods.collect(),
        }
    }
}

/// Whether a machine of the control plane reaches metrics-server's pods shows when they are dialled from there; from
/// other machines nobody dials them.
fn dials(evidence: &Evidence, node: &str) -> Vec<String> {
    let control = ["node-role.kubernetes.io/control-plane", "node-role.kubernetes.io/master"];
    let nodes = evidence.nodes.peek().map(Vec::as_slice).unwrap_or_default();
    let is_control = |node: &Node| control.iter().any(|key| node.labels.contains_key(*key));
    if !nodes.iter().any(|it| it.name == node && is_control(it)) {
        return Vec::new();
    }
    let endpoints = evidence.backend.endpoints.peek().map(Vec::as_slice).unwrap_or_default();
    let mut all = BTreeSet::new();
    for endpoint in endpoints {
        let Ok(address) = endpoint.address.parse::<std::net::IpAddr>() else { continue };
        if crate::source::live::is_forbidden(address) {
            continue;
        }
        for port in &endpoint.ports {
            if let Ok(port) = u16::try_from(port.port) {
                all.insert(std::net::SocketAddr::new(address, port).to_string());
            }
        }
    }
    all.into_iter().take(DIALS).collect()
}

/// The nodes whose metrics are missing: where a machine is to blame, it is most likely one of them.
#[must_use]
pub fn suspects(evidence: &Evidence) -> Vec<String> {
    let (Some(nodes), Some(metrics)) = (evidence.nodes.peek(), evidence.metrics.nodes.peek()) else {
        return Vec::new();
    };
    let is_read = |node: &&Node| metrics.iter().any(|metric| metric.node == node.name);
    nodes.iter().filter(|node| !is_read(node)).map(|node| node.name.clone()).collect()
}

impl Errand for MachinePlan {
    type Seen = Facts;

    fn run(&self) -> &Run {
        &self.run
    }

    fn namespace(&self) -> &str {
        &self.namespace
    }

    fn own_namespace(&self) -> Option<Value> {
        Some(manifest::namespace(&self.run))
    }

    fn names(&self) -> Vec<String> {
        self.pods.iter().map(|pod| pod.name.clone()).collect()
    }

    fn manifest(&self, place: usize, owner: Option<(&str, &str)>) -> Value {
        manifest::pod(self, &self.pods[place], owner)
    }

    fn image(&self) -> &str {
        &self.image
    }

    fn deadline_s(&self) -> u64 {
        self.deadline_s
    }

    fn containers(&self) -> &'static [&'static str] {
        &manifest::CONTAINERS
    }

    fn read(&self, place: usize, said: &[&str], _now: Timestamp) -> Result<Facts, Unreadable> {
        pages::read(said, &self.pods[place].dials)
    }
}
