//! # A Ready node has no fresh metrics
//!
//! ## What it looks at
//!
//! Every Ready node against the answer of the Metrics API: whether the node is in it, and how old its sample
//! is.
//!
//! ## Why it matters
//!
//! `kubectl top nodes` shows `<unknown>` for the node, and HPAs do not see the pods that run on it. The
//! APIService stays Available as long as one node can be scraped.
//!
//! ## How to fix it
//!
//! Fix its cause; the checks of the kubelet name it.
//!
//! ## When it is wrong
//!
//! A node that joined within the last 90 seconds, and a metrics-server that started within its first two
//! scrapes, are given time.
//!
//! ## References
//!
//! - Failure catalogue: section 0.2 rule 5 (RM), `apiservice-available-without-data` (AH-A18)

use std::collections::BTreeMap;

use crate::check::{
    Check, Finding, Hop, Kind, Outcome, Question, Results, Severity, Undecided, fail, no_remedies,
    not_applicable,
};
use crate::diagnosis::fresh_s;
use crate::evidence::{Backend, Evidence, Mode, Need, Why};
use crate::support;

pub(crate) const CHECK: Check = Check {
    code: "MP802",
    name: "node-metrics-missing",
    title: "A Ready node has no fresh metrics in the Metrics API",
    hop: Hop::Metrics,
    severity: Severity::Error,
    kind: Kind::Symptom,
    modes: &[Mode::Installed],
    needs: &[Need::Pods, Need::Nodes, Need::NodeMetrics],
    explains: &["hpa-metrics-unreadable"],
    question: Question::Deciding { modes: &[Mode::Installed], unless: &[] },
    source: include_str!("node_metrics_missing.rs"),
    run,
    remedies: no_remedies,
};

/// How long a node may be in the cluster before its metrics are expected.
const NEW_NODE_S: i64 = 90;

/// Whether a label selector picks these labels; `None` for its set-based forms.
fn selected(selector: &str, labels: &BTreeMap<String, String>) -> Option<bool> {
    if selector.contains(['(', ')']) {
        return None;
    }
    let has = |key: &str, value: &str| labels.get(key.trim()).is_some_and(|have| have == value.trim());
    let all = selector.split(',').map(str::trim).filter(|part| !part.is_empty()).all(|part| {
        if let Some((key, value)) = part.split_once("!=") {
            !has(key, value)
        } else if let Some((key, value)) = part.split_once("==").or_else(|| part.split_once('=')) {
            has(key, value)
        } else if let Some(key) = part.strip_prefix('!') {
            !labels.contains_key(key)
        } else {
            labels.contains_key(part)
        }
    });
    Some(all)
}

fn run(evidence: &Evidence, results: &mut Results<'_>) {
    if evidence.nodes.peek().is_some_and(|nodes| !nodes.iter().any(|node| node.ready)) {
        results.about_cluster(|ctx| {
            ctx.need(&evidence.nodes)?;
            let why = Why::NotAsked("no node is Ready, so none has metrics".to_owned());
            Err(Undecided { need: Need::Nodes, why })
        });
    }
    results.about_nodes(|ctx, node, subject| {
        if !node.ready {
            return Ok(not_applicable("the node is not Ready"));
        }
        if node.labels.get("type").is_some_and(|kind| kind == "virtual-kubelet") {
            return Ok(not_applicable("the node is a virtual kubelet"));
        }
        let metrics = ctx.need(&evidence.metrics.nodes)?;
        if let Ok(args) = ctx.need(&evidence.backend.args)
            && let Some(selector) =
                Backend::flag(args, "node-selector").filter(|selector| !selector.is_empty())
        {
            match selected(selector, &node.labels) {
                Some(true) => {}
                Some(false) => {
                    return Ok(not_applicable("metrics-server's --node-selector leaves the node out"));
                }
                None => {
                    let why =
                        Why::Unsupported(format!("--node-selector={selector} cannot be evaluated here"));
                    return Err(Undecided { need: Need::Pods, why });
                }
            }
        }
        let sample = metrics.iter().find(|metric| metric.node == node.name);
        let age = sample.map(|sample| support::age_s(evidence, sample.timestamp));
        if age.is_some_and(|age| age <= fresh_s(evidence)) {
            return Ok(Outcome::Pass);
        }
        if let Err(missing) = support::after_warm_up(ctx, evidence)
            && matches!(missing.why, Why::TooEarly(_))
        {
            return Err(missing);
        }
        let since = support::age_s(evidence, node.created);
        if since < NEW_NODE_S {
            let why = Why::TooEarly(format!("the node joined {since} s ago"));
            return Err(Undecided { need: Need::NodeMetrics, why });
        }
        let detail = match age {
            Some(age) => format!("its last sample is {age} s old"),
            None => "the Metrics API has no sample of it".to_owned(),
        };
        let value = age.map_or("absent".to_owned(), |age| format!("{age} s old"));
        Ok(fail(Finding::new(subject, detail).cite(
            &evidence.metrics.nodes,
            format!("items[{}].timestamp", node.name),
            value,
            "a sample of the last three minutes",
        )))
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn selectors_are_evaluated() {
        let labels = BTreeMap::from([("pool".to_owned(), "web".to_owned())]);
        assert_eq!(selected("pool=web", &labels), Some(true));
        assert_eq!(selected("pool!=web", &labels), Some(false));
        assert_eq!(selected("eks.amazonaws.com/compute-type!=fargate", &labels), Some(true));
        assert_eq!(selected("!pool", &labels), Some(false));
        assert_eq!(selected("pool in (web)", &labels), None);
    }
}
