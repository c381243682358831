//! What a probe saw, as it stands in a recording: the value of the fact `report` of the vantage `pod on NODE`.

use checks::evidence::{Look, ProbeDial, Reach};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// The name of the fact.
pub const FACT: &str = "report";

/// Who saw it.
#[must_use]
pub fn vantage(node: &str) -> String {
    format!("pod on {node}")
}

/// What a pod in metrics-server's place saw.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Report {
    /// Its namespace.
    pub namespace: String,
    /// When it looked.
    pub taken_at: Timestamp,
    /// In what it differs from metrics-server's pod.
    pub differs: Vec<String>,
    /// Why NetworkPolicies may treat metrics-server's pod in another way than this one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policies_differ: Option<String>,
    /// The API server through its Service address.
    pub api: Look<Reach>,
    /// The API servers behind that Service.
    pub api_direct: Look<Vec<ProbeDial>>,
    /// The Service of metrics-server.
    pub service: Look<Option<ProbeDial>>,
    /// The name server of the pods.
    pub dns: Look<Option<ProbeDial>>,
    /// The kubelets.
    pub kubelets: Vec<Kubelet>,
}

/// A kubelet as the pod met it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Kubelet {
    /// Its node.
    pub node: String,
    /// What was dialled.
    pub address: String,
    /// What came of it.
    pub reach: Look<Reach>,
}

impl Report {
    /// What it saw, in one sentence.
    #[must_use]
    pub fn summary(&self) -> String {
        let api = match &self.api {
            Look::Seen(Reach::Http { status: 200, .. }) => "the API server answers".to_owned(),
            Look::Seen(reach) => format!("the API server's Service address: {}", reach.words()),
            Look::Unseen(why) => format!("the API server: {why}"),
        };
        let all = self.kubelets.len();
        let read = |kubelet: &&Kubelet| matches!(kubelet.reach, Look::Seen(Reach::Http { status: 200, .. }));
        let good = self.kubelets.iter().filter(read).count();
        let first = self.kubelets.iter().find(|kubelet| !read(kubelet));
        let first = first.map_or(String::new(), |kubelet| {
            let words = match &kubelet.reach {
                Look::Seen(reach) => reach.words(),
                Look::Unseen(why) => why.to_string(),
            };
            format!("; {}: {words}", kubelet.node)
        });
        format!("{api}; {good} of {all} kubelets give their metrics{first}")
    }
}

#[cfg(test)]
mod tests {
    use checks::evidence::Why;

    use super::*;

    #[test]
    fn a_summary_names_what_is_wrong() {
        let kubelet = |node: &str, reach| Kubelet {
            node: node.to_owned(),
            address: String::new(),
            reach: Look::Seen(reach),
        };
        let good = Reach::Http { status: 200, message: String::new() };
        let report = Report {
            namespace: "kube-system".to_owned(),
            taken_at: Timestamp::UNIX_EPOCH,
            differs: Vec::new(),
            policies_differ: None,
            api: Look::Seen(Reach::TimedOut),
            api_direct: Look::Seen(Vec::new()),
            service: Look::Seen(None),
            dns: Look::Unseen(Why::NotRecorded),
            kubelets: vec![kubelet("a", good), kubelet("b", Reach::Refused)],
        };
        assert_eq!(
            report.summary(),
            "the API server's Service address: no answer in time; 1 of 2 kubelets give their metrics; b: connection refused"
        );
    }
}
