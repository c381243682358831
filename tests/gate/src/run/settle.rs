//! Waiting until the controller has made up its mind.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::Result;
use cluster::Cluster;
use serde_json::Value as Json;

use super::deploy::{self, Refused, items};
use crate::{Case, Hpa, Metric, Outcome, metric_name};

/// An HPA that works is believed when it has said the same for this long, four times the controller's period.
const WORKING: Duration = Duration::from_secs(20);
/// One that does not, when it has said the same for this long...
const FAILING: Duration = Duration::from_secs(40);
/// ...and is so old: pods have become ready and were measured twice meanwhile.
const OLD: Duration = Duration::from_secs(90);
/// When the runner stops looking.
const DEADLINE: Duration = Duration::from_mins(4);

/// What an HPA says, and since when.
struct Opinion {
    hpa: Hpa,
    since: Instant,
}

/// Polls until every HPA has settled; creates the workloads that come later meanwhile.
pub(super) fn settle(
    cluster: &Cluster,
    cases: &[&Case],
    refused: &Refused,
) -> Result<BTreeMap<String, Outcome>> {
    let started = Instant::now();
    let mut late: Vec<&Case> = cases.iter().copied().filter(|case| case.later.is_some()).collect();
    let mut opinions: BTreeMap<(String, String), Opinion> = BTreeMap::new();
    let mut names = Names::default();
    loop {
        let (due, rest) =
            late.into_iter().partition(|case| case.later.is_some_and(|later| started.elapsed() >= later));
        late = rest;
        for case in Vec::<&Case>::from_iter(due) {
            deploy::workload(cluster, case)?;
        }
        names.learn(&cluster.get(&["pods", "-A"])?);
        for object in items(&cluster.get(&["horizontalpodautoscalers.v2.autoscaling", "-A"])?) {
            let word = |key: &str| object["metadata"][key].as_str().unwrap_or_default().to_owned();
            let hpa = Hpa::seen(object, |message| names.without(message));
            let opinion = opinions.entry((word("namespace"), word("name")));
            let opinion = opinion.or_insert_with(|| Opinion { hpa: Hpa::default(), since: Instant::now() });
            if opinion.hpa != hpa {
                *opinion = Opinion { hpa, since: Instant::now() };
            }
        }
        let age = started.elapsed();
        let settled = late.is_empty()
            && opinions.iter().all(|((namespace, _), opinion)| {
                let ours = cases.iter().any(|case| case.namespace() == *namespace);
                !ours || has_settled(opinion, age)
            });
        if settled || age >= DEADLINE {
            return Ok(outcomes(cases, refused, &opinions, age));
        }
        std::thread::sleep(Duration::from_secs(2));
    }
}

fn has_settled(opinion: &Opinion, age: Duration) -> bool {
    let quiet = opinion.since.elapsed();
    if opinion.hpa.conditions.is_empty() {
        return false;
    }
    if opinion.hpa.works() { quiet >= WORKING } else { quiet >= FAILING && age >= OLD }
}

fn outcomes(
    cases: &[&Case],
    refused: &Refused,
    opinions: &BTreeMap<(String, String), Opinion>,
    age: Duration,
) -> BTreeMap<String, Outcome> {
    let one = |case: &Case, object: &Json| {
        let name = object["metadata"]["name"].as_str().unwrap_or_default().to_owned();
        let key = (case.namespace(), name);
        if let Some(text) = refused.get(&key) {
            return Hpa {
                refused: Some(text.clone()),
                metrics: unread(object),
                ..Hpa::seen(object, str::to_owned)
            };
        }
        opinions.get(&key).map_or_else(
            || Hpa { unsettled: true, ..Hpa::seen(object, str::to_owned) },
            |opinion| Hpa { unsettled: !has_settled(opinion, age), ..opinion.hpa.clone() },
        )
    };
    cases
        .iter()
        .map(|case| {
            let hpas = case.hpas().map(|object| one(case, object)).collect();
            (case.name.clone(), Outcome { hpas })
        })
        .collect()
}

/// The metrics of an HPA that nobody reads.
fn unread(object: &Json) -> Vec<Metric> {
    let metrics = object["spec"]["metrics"].as_array().map(Vec::as_slice).unwrap_or_default();
    metrics
        .iter()
        .enumerate()
        .map(|(index, metric)| Metric {
            index,
            kind: metric["type"].as_str().unwrap_or_default().to_owned(),
            name: metric_name(metric),
            filled: false,
        })
        .collect()
}

/// The pods' names, of which the end is random.
#[derive(Default)]
struct Names(BTreeMap<String, String>);

impl Names {
    fn learn(&mut self, pods: &Json) {
        for pod in items(pods) {
            let (name, stem) = (&pod["metadata"]["name"], &pod["metadata"]["generateName"]);
            if let (Some(name), Some(stem)) = (name.as_str(), stem.as_str()) {
                self.0.insert(name.to_owned(), format!("{stem}?"));
            }
        }
    }

    /// The message as it reads in every run: without what is random, and lists in order.
    fn without(&self, message: &str) -> String {
        let mut message = message.to_owned();
        for (name, shown) in &self.0 {
            if message.contains(name.as_str()) {
                message = message.replace(name, shown);
            }
        }
        // The HPAs of an ambiguous selector come in any order.
        if let Some((text, list)) = message.split_once("multiple HPAs: [")
            && let Some((list, rest)) = list.split_once(']')
        {
            let mut keys: Vec<&str> = list.split_whitespace().collect();
            keys.sort_unstable();
            return format!("{text}multiple HPAs: [{}]{rest}", keys.join(" "));
        }
        message
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::Names;

    #[test]
    fn a_message_reads_the_same_in_every_run() {
        let mut names = Names::default();
        names.learn(&json!({"items": [
            {"metadata": {"name": "web-abc-12345", "generateName": "web-abc-"}},
            {"metadata": {"name": "alone"}},
        ]}));
        assert_eq!(
            names.without("missing request for cpu in container app of Pod web-abc-12345"),
            "missing request for cpu in container app of Pod web-abc-?"
        );
        assert_eq!(names.without("in Pod alone"), "in Pod alone");
        assert_eq!(
            names.without("pods by selector a=b are controlled by multiple HPAs: [x/b x/a]"),
            "pods by selector a=b are controlled by multiple HPAs: [x/a x/b]"
        );
    }
}
