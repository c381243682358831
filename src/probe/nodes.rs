//! On which nodes probes run: where metrics-server's pods are, those whose metrics are missing, and one more of each kind of
//! node.

use std::collections::BTreeSet;

use checks::evidence::Node;

/// So many are looked from, unless `--nodes` or `--all-nodes` says otherwise.
const SAMPLE: usize = 6;
/// The most that `--all-nodes` comes to.
pub const MOST: usize = 100;

/// The labels by which the providers name a group of machines.
const POOLS: &[&str] = &[
    "eks.amazonaws.com/nodegroup",
    "cloud.google.com/gke-nodepool",
    "kubernetes.azure.com/agentpool",
    "karpenter.sh/nodepool",
];

/// Which nodes are wanted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Wanted {
    /// Those of metrics-server's pods, and a sample.
    #[default]
    Sample,
    /// All of them.
    All,
    /// These.
    Named(Vec<String>),
}

/// The nodes, and what is to be said of those that are left out. `own` are those of metrics-server's pods, `suspects` those
/// whose metrics are missing.
///
/// # Errors
/// When a node that was named is not there, or when there is none to run on.
pub fn choose(
    nodes: &[Node],
    own: &[String],
    suspects: &[String],
    wanted: &Wanted,
) -> Result<(Vec<String>, Vec<String>), String> {
    let mut notes = Vec::new();
    let fit = |node: &&Node| node.ready && node.os == "linux";
    let mut chosen: Vec<String> = Vec::new();
    match wanted {
        Wanted::Named(names) => {
            for name in names {
                let Some(node) = nodes.iter().find(|node| node.name == *name) else {
                    return Err(format!("there is no node {name}"));
                };
                if fit(&node) {
                    chosen.push(name.clone());
                } else {
                    notes.push(format!(
                        "{name} is left out: a probe needs a node that is Ready and runs Linux"
                    ));
                }
            }
        }
        Wanted::All => chosen.extend(nodes.iter().filter(fit).map(|node| node.name.clone())),
        Wanted::Sample => {
            let own = nodes.iter().filter(fit).filter(|node| own.contains(&node.name));
            chosen.extend(own.map(|node| node.name.clone()));
            let mut seen: BTreeSet<Vec<&str>> = BTreeSet::new();
            let of_own = nodes.iter().filter(|node| chosen.contains(&node.name));
            seen.extend(of_own.map(kind));
            // Of many that are alike, one may have the fault alone.
            for node in nodes.iter().filter(fit).filter(|node| suspects.contains(&node.name)) {
                if chosen.len() < SAMPLE && !chosen.contains(&node.name) {
                    seen.insert(kind(node));
                    chosen.push(node.name.clone());
                }
            }
            for node in nodes.iter().filter(fit) {
                if chosen.len() < SAMPLE && seen.insert(kind(node)) {
                    chosen.push(node.name.clone());
                }
            }
        }
    }
    chosen.dedup();
    if chosen.len() > MOST {
        notes.push(format!("{} of {} nodes are looked from: no more at a time", MOST, chosen.len()));
        chosen.truncate(MOST);
    }
    if chosen.is_empty() {
        return Err("there is no node that a probe could run on: Ready, and with Linux".to_owned());
    }
    Ok((chosen, notes))
}

/// What makes nodes alike.
fn kind(node: &Node) -> Vec<&str> {
    let label = |key: &str| node.labels.get(key).map_or("", String::as_str);
    let control = ["node-role.kubernetes.io/control-plane", "node-role.kubernetes.io/master"];
    let control = control.iter().any(|key| node.labels.contains_key(*key));
    let mut kind =
        vec![if control { "control plane" } else { "" }, label("kubernetes.io/arch"), node.os.as_str()];
    kind.extend(POOLS.iter().map(|pool| label(pool)));
    kind
}

#[cfg(test)]
mod tests {
    use checks::evidence::{Need, Obs, Why};
    use jiff::Timestamp;

    use super::*;

    fn node(name: &str, ready: bool, labels: &[(&str, &str)]) -> Node {
        fn unseen<T>() -> Obs<T> {
            Obs::unseen(Need::Nodes, [], Why::NotRecorded)
        }
        Node {
            name: name.to_owned(),
            ready,
            created: Timestamp::UNIX_EPOCH,
            addresses: Vec::new(),
            kubelet_port: 10250,
            os: "linux".to_owned(),
            kubelet_version: String::new(),
            labels: labels.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect(),
            pod_cidr: None,
            dial: unseen(),
            handshake: unseen(),
            anonymous: unseen(),
            configz: unseen(),
            api_server_alert: unseen(),
            csrs: unseen(),
            scrape_log: unseen(),
        }
    }

    fn names(nodes: &[Node], own: &[&str], wanted: &Wanted) -> Result<Vec<String>, String> {
        let own: Vec<String> = own.iter().map(|name| (*name).to_owned()).collect();
        choose(nodes, &own, &[], wanted).map(|(names, _)| names)
    }

    #[test]
    fn what_gives_no_metrics_comes_before_what_is_only_of_another_kind() {
        let control = [("node-role.kubernetes.io/control-plane", "")];
        let mut nodes: Vec<Node> = (0..9).map(|number| node(&format!("n{number}"), true, &[])).collect();
        nodes.push(node("control", true, &control));
        let suspects = |names: &[&str]| {
            let suspects: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
            choose(&nodes, &["n0".to_owned()], &suspects, &Wanted::Sample).map(|(names, _)| names)
        };
        assert_eq!(suspects(&["n4", "n0"]), Ok(vec!["n0".into(), "n4".into(), "control".into()]));
        let many = suspects(&["n1", "n2", "n3", "n4", "n5", "n6", "n7"]).expect("nodes");
        assert_eq!(many.len(), SAMPLE, "never more than a sample: {many:?}");
    }

    #[test]
    fn metrics_servers_own_and_one_of_each_kind() {
        let control = [("node-role.kubernetes.io/control-plane", "")];
        let nodes = [
            node("a", true, &[]),
            node("b", true, &[]),
            node("c", true, &control),
            node("d", true, &[("eks.amazonaws.com/nodegroup", "gpu")]),
            node("e", false, &[("eks.amazonaws.com/nodegroup", "old")]),
        ];
        assert_eq!(names(&nodes, &["b"], &Wanted::Sample), Ok(vec!["b".into(), "c".into(), "d".into()]));
        assert_eq!(names(&nodes, &[], &Wanted::All).map(|names| names.len()), Ok(4));
        let named = Wanted::Named(vec!["a".to_owned(), "e".to_owned()]);
        assert_eq!(names(&nodes, &["b"], &named), Ok(vec!["a".into()]));
        assert_eq!(
            names(&nodes, &[], &Wanted::Named(vec!["x".to_owned()])),
            Err("there is no node x".to_owned())
        );
        assert!(names(&nodes[4..], &[], &Wanted::Sample).is_err());
    }
}
