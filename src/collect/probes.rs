//! What pods saw from metrics-server's place: one fact a node, made by `probe`.

use std::collections::BTreeMap;

use checks::evidence::{KubeletProbe, Look, Need, Obs, PodProbe, RequestId, Why};
use jiff::Timestamp;

use super::ask::{Asker, why};
use crate::probe::report::{FACT, Report, vantage};
use crate::source::{Outcome, Request};

/// What was seen longer ago than this says nothing of now.
const FRESH_S: i64 = 15 * 60;

/// A node from which a pod looked.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct ProbeLook {
    /// The node.
    pub node: String,
}

/// How the arguments of a recording name a node.
const ARGUMENT: &str = "probe ";

impl ProbeLook {
    /// The nodes that a recording speaks of, by its arguments.
    #[must_use]
    pub fn recorded(arguments: &BTreeMap<String, String>) -> Vec<Self> {
        let named = arguments.keys().filter_map(|name| name.strip_prefix(ARGUMENT));
        named.map(|node| Self { node: node.to_owned() }).collect()
    }

    /// This node as an argument of a recording.
    #[must_use]
    pub fn argument(&self) -> (String, String) {
        (format!("{ARGUMENT}{}", self.node), String::new())
    }
}

/// Asks for what the pods saw.
pub(super) async fn collect(asker: &Asker<'_>, looks: &[ProbeLook], now: Timestamp) -> Vec<PodProbe> {
    let mut probes = Vec::new();
    for look in looks {
        let asked = asker.ask(Request::fact(vantage(&look.node), FACT)).await;
        let seen_at = asked.observation.seen_at;
        let report = match &asked.observation.outcome {
            Outcome::Fact { .. } if now.duration_since(seen_at).abs().as_secs() > FRESH_S => {
                Err(Why::Outdated(format!("a pod on {} said so at {seen_at}", look.node)))
            }
            Outcome::Fact { value } => serde_json::from_value::<Report>(value.clone())
                .map_err(|_| Why::Unreadable("not of the form of a probe".to_owned())),
            _ => Err(why(&asked.observation, "look from a pod on", &look.node)),
        };
        probes.push(match report {
            Ok(report) => read(&look.node, asked.id, report),
            Err(why) => unseen(&look.node, asked.id, seen_at, &why),
        });
    }
    probes.sort_by(|one, other| one.node.cmp(&other.node));
    probes
}

fn read(node: &str, id: RequestId, report: Report) -> PodProbe {
    fn obs<T>(id: RequestId, look: Look<T>) -> Obs<T> {
        Obs { need: Need::PodProbe, from: vec![id], look }
    }
    PodProbe {
        node: node.to_owned(),
        namespace: report.namespace,
        taken_at: report.taken_at,
        differs: report.differs,
        policies_differ: report.policies_differ,
        api: obs(id, report.api),
        api_direct: obs(id, report.api_direct),
        service: obs(id, report.service),
        dns: obs(id, report.dns),
        kubelets: report
            .kubelets
            .into_iter()
            .map(|kubelet| KubeletProbe {
                node: kubelet.node,
                address: kubelet.address,
                reach: obs(id, kubelet.reach),
            })
            .collect(),
    }
}

fn unseen(node: &str, id: RequestId, taken_at: Timestamp, why: &Why) -> PodProbe {
    fn obs<T>(id: RequestId, why: &Why) -> Obs<T> {
        Obs::unseen(Need::PodProbe, [id], why.clone())
    }
    PodProbe {
        node: node.to_owned(),
        namespace: String::new(),
        taken_at,
        differs: Vec::new(),
        policies_differ: None,
        api: obs(id, why),
        api_direct: obs(id, why),
        service: obs(id, why),
        dns: obs(id, why),
        kubelets: Vec::new(),
    }
}
