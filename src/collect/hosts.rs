//! Beneath the chain: what machines were seen to be from within.
//!
//! A machine is asked for a fixed list of facts, each of which is one observation, made by `host` on that machine and
//! brought here in a file, or by the same program asking itself. Which machines there are stands in the options, so
//! that hiding what one of them said leaves questions open instead of removing them.

use std::collections::BTreeMap;
use std::net::IpAddr;

use checks::evidence::{Dial, Host, Look, Need, Node, Obs, Why};
use jiff::Timestamp;
use serde::de::DeserializeOwned;

use super::ask::{Asker, why};
use crate::source::{Outcome, Request};

/// What was seen longer ago than this says nothing of now.
const FRESH_S: i64 = 15 * 60;

/// A machine that was looked at, and what it was told to dial.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct HostLook {
    /// What the machine calls itself.
    pub name: String,
    /// `ADDRESS:PORT`, as it was told.
    pub dials: Vec<String>,
}

/// How the arguments of a recording name a machine; the value is what it was told to dial.
const ARGUMENT: &str = "host ";

impl HostLook {
    /// The machines that a recording speaks of, by its arguments.
    #[must_use]
    pub fn recorded(arguments: &BTreeMap<String, String>) -> Vec<Self> {
        let named = arguments.iter().filter_map(|(name, dials)| Some((name.strip_prefix(ARGUMENT)?, dials)));
        named
            .map(|(name, dials)| Self {
                name: name.to_owned(),
                dials: dials.split_whitespace().map(str::to_owned).collect(),
            })
            .collect()
    }

    /// This machine as an argument of a recording.
    #[must_use]
    pub fn argument(&self) -> (String, String) {
        (format!("{ARGUMENT}{}", self.name), self.dials.join(" "))
    }
}

/// Asks the machines; `nodes` are the cluster's, where there is one.
pub(super) async fn collect(
    asker: &Asker<'_>,
    looks: &[HostLook],
    nodes: &Obs<Vec<Node>>,
    now: Timestamp,
) -> Vec<Host> {
    let mut hosts = Vec::new();
    for look in looks {
        let mut host = Machine { asker, name: &look.name, now }.collect(look).await;
        host.node = node_of(&host, nodes);
        hosts.push(host);
    }
    hosts.sort_by(|one, other| one.name.cmp(&other.name));
    hosts
}

/// The Node that a machine is: the one whose internal address it has. A name alone proves nothing.
fn node_of(host: &Host, nodes: &Obs<Vec<Node>>) -> Option<String> {
    let own: Vec<IpAddr> =
        host.identity.peek()?.addresses.iter().filter_map(|address| address.parse().ok()).collect();
    let nodes = nodes.peek()?;
    let is_own = |node: &&Node| {
        let mut internal = node.addresses.iter().filter(|address| address.kind == "InternalIP");
        internal.any(|address| address.address.parse().is_ok_and(|address| own.contains(&address)))
    };
    let mut matching = nodes.iter().filter(is_own);
    let node = matching.next()?;
    // Two Nodes with one address: which of them this is cannot be said.
    matching.next().is_none().then(|| node.name.clone())
}

struct Machine<'a, 's> {
    asker: &'a Asker<'s>,
    name: &'a str,
    now: Timestamp,
}

impl Machine<'_, '_> {
    async fn collect(&self, look: &HostLook) -> Host {
        let identity = self.asker.ask(self.request("identity")).await;
        if let Outcome::Failed { .. } = &identity.observation.outcome {
            let settings = self.asker.ask(self.request("settings")).await;
            if matches!(settings.observation.outcome, Outcome::NotRecorded) {
                // Nobody came to look: one reason for all of it.
                let why = why(&identity.observation, "look at", "identity");
                return Host::unseen(self.name, identity.observation.seen_at, &why);
            }
        }
        let taken_at = identity.observation.seen_at;
        let mut dials = Vec::new();
        for target in &look.dials {
            let Some((address, port)) = target.rsplit_once(':') else { continue };
            dials.push(Dial {
                address: address.trim_start_matches('[').trim_end_matches(']').to_owned(),
                port: port.parse().unwrap_or_default(),
                reach: self.fact(&format!("dial {target}"), Need::HostDials).await,
            });
        }
        Host {
            name: self.name.to_owned(),
            taken_at,
            node: None,
            identity: self.fact("identity", Need::HostIdentity).await,
            settings: self.fact("settings", Need::HostSettings).await,
            filters: self.fact("packet filter", Need::HostFilters).await,
            filter_loaders: self.fact("packet filter at boot", Need::HostFilters).await,
            service_rules: self.fact("rules for Services", Need::HostServiceRules).await,
            kubelet: self.fact("kubelet process", Need::HostKubelet).await,
            kubelet_unit: self.fact("kubelet unit", Need::HostKubelet).await,
            kubelet_file: self.fact("kubelet configuration", Need::HostKubelet).await,
            kubelet_certificates: self.fact("kubelet certificates", Need::HostKubelet).await,
            kube_proxy: self.fact("kube-proxy process", Need::HostKubeProxy).await,
            api_server: self.fact("kube-apiserver", Need::HostControlPlane).await,
            controller_manager: self.fact("kube-controller-manager", Need::HostControlPlane).await,
            commands: self.fact("component flags", Need::HostCommands).await,
            front_proxy: self.fact("front-proxy certificates", Need::HostControlPlane).await,
            runtime: self.fact("container runtime", Need::HostRuntime).await,
            clock: self.fact("clock", Need::HostClock).await,
            resolver: self.fact("resolver", Need::HostResolver).await,
            swap_bytes: self.fact("swap", Need::HostSystem).await,
            swap_at_boot: self.fact("swap at boot", Need::HostSystem).await,
            selinux: self.fact("SELinux", Need::HostSystem).await,
            proxies: self.fact("proxies", Need::HostSystem).await,
            listeners: self.fact("listeners", Need::HostListeners).await,
            routes: self.fact("routes", Need::HostRoutes).await,
            dials,
        }
    }

    fn request(&self, fact: &str) -> Request {
        Request::fact(format!("host {}", self.name), fact)
    }

    /// One fact; undecided where it was not seen, or not lately.
    async fn fact<T: DeserializeOwned>(&self, fact: &str, need: Need) -> Obs<T> {
        let asked = self.asker.ask(self.request(fact)).await;
        let look = match &asked.observation.outcome {
            Outcome::Fact { .. } if self.is_old(asked.observation.seen_at) => {
                Look::Unseen(Why::Outdated(format!(
                    "{} said so at {}, {} before this look",
                    self.name,
                    asked.observation.seen_at,
                    age(self.now.duration_since(asked.observation.seen_at).as_secs())
                )))
            }
            Outcome::Fact { value } => match serde_json::from_value(value.clone()) {
                Ok(value) => Look::Seen(value),
                Err(_) => Look::Unseen(Why::Unreadable(format!("{fact}: not of the form that is read"))),
            },
            _ => Look::Unseen(why(&asked.observation, "look at", fact)),
        };
        Obs { need, from: vec![asked.id], look }
    }

    fn is_old(&self, seen_at: Timestamp) -> bool {
        self.now.duration_since(seen_at).abs().as_secs() > FRESH_S
    }
}

fn age(seconds: i64) -> String {
    match seconds.abs() {
        seconds if seconds < 3600 => format!("{} min", seconds / 60),
        seconds if seconds < 48 * 3600 => format!("{} h", seconds / 3600),
        seconds => format!("{} days", seconds / 86_400),
    }
}
