//! What a diagnosis looks like to its reader, one file a format.
//!
//! A format sees the diagnosis and the evidence and nothing else of the world, so that a recording
//! and the cluster that it was taken from give the same report.

pub(crate) mod catalogue;
mod gate;
pub(crate) mod github;
pub(crate) mod gitlab;
#[cfg(test)]
mod golden;
mod hash;
#[cfg(test)]
mod hostile;
pub(crate) mod html;
mod items;
pub(crate) mod json;
pub(crate) mod junit;
pub(crate) mod markdown;
pub(crate) mod patch;
#[cfg(test)]
#[path = "../../tests/it/reading.rs"]
mod reading;
pub(crate) mod sarif;
pub(crate) mod short;
pub(crate) mod terminal;
#[cfg(test)]
pub(crate) mod testing;
mod text;
#[cfg(test)]
#[path = "../../tests/it/xmllint.rs"]
mod xmllint;
pub(crate) mod yaml;

use std::collections::BTreeSet;

use checks::check::{Outcome, Severity, Subject};
use checks::diagnosis::{CheckReport, Diagnosis, OpenQuestion, Policy, RootCause};
use checks::evidence::{Evidence, Gate, Grant, Host, Look, Mode, Need, Why};

pub(crate) use text::clean;

use crate::exit::Exit;

/// What is said of a machine on which all was seen and nothing is broken.
const MACHINE_FIT: &str = "This machine is fit for the metrics pipeline";
/// What is said of one on which not all was seen.
const MACHINE_SEEN: &str = "Nothing of this machine was seen to break the metrics pipeline";

/// Everything that a report is made from.
#[derive(Clone, Debug)]
pub(crate) struct Report {
    /// What is wrong, and what could not be decided.
    pub(crate) diagnosis: Diagnosis,
    /// What the diagnosis rests on.
    pub(crate) evidence: Evidence,
    /// What counted as a failure.
    pub(crate) policy: Policy,
    /// The name of the kubeconfig's context.
    pub(crate) context: Option<String>,
    /// The address of the API server that was asked.
    pub(crate) server: Option<String>,
    /// What the run comes to.
    pub(crate) exit: Exit,
}

impl Report {
    /// The root causes that a report tells of: those that are more than worth knowing.
    fn root_causes(&self) -> impl Iterator<Item = &RootCause> {
        self.diagnosis.root_causes.iter().filter(|cause| cause.severity() > Severity::Info)
    }

    /// The findings that are worth knowing, and no more.
    fn notes(&self) -> impl Iterator<Item = &RootCause> {
        self.diagnosis.root_causes.iter().filter(|cause| cause.severity() == Severity::Info)
    }

    /// The open questions that keep the verdict undecided.
    fn deciding(&self) -> impl Iterator<Item = &OpenQuestion> {
        self.diagnosis.undecided.iter().filter(|open| self.is_deciding(open))
    }

    fn is_deciding(&self, open: &OpenQuestion) -> bool {
        open.deciding || self.policy.strict
    }

    /// The nodes whose machines nobody looked at, where those of others were looked at.
    fn not_sampled(&self) -> Vec<&str> {
        let hosts = &self.evidence.hosts;
        if hosts.is_empty() || self.diagnosis.mode == Mode::Host {
            return Vec::new();
        }
        let nodes = self.evidence.nodes.peek().map(Vec::as_slice).unwrap_or_default();
        // A machine of which nothing was seen bears the name of the node that it was to be.
        let is_there =
            |name: &String| hosts.iter().any(|host| host.node.as_ref().unwrap_or(&host.name) == name);
        nodes.iter().map(|node| &node.name).filter(|name| !is_there(name)).map(String::as_str).collect()
    }

    /// How many kubelets were dialled, and how many of them answered.
    fn kubelets(&self) -> (usize, usize) {
        let nodes = self.evidence.nodes.peek().map(Vec::as_slice).unwrap_or_default();
        let answered = nodes.iter().filter(|node| node.handshake.peek().is_some()).count();
        let silent = |node: &&checks::evidence::Node| {
            matches!(node.handshake.look, Look::Unseen(Why::TimedOut(_) | Why::Unreachable(_)))
        };
        (answered + nodes.iter().filter(silent).count(), answered)
    }
}

/// The state of a link of the chain in words.
fn state_word(state: &str) -> &'static str {
    match state {
        "pass" => "works",
        "fail" => "broken",
        "warn" => "warning",
        "symptom" => "suffers from a fault elsewhere",
        "undecided" => "could not be decided",
        "partly" => "no fault seen, but not all of it was",
        _ => "not seen",
    }
}

/// The state of a link of the chain as a sign that needs no colour.
fn state_mark(state: &str) -> &'static str {
    match state {
        "pass" => "✓",
        "fail" => "✗",
        "warn" => "!",
        "symptom" => "~",
        "undecided" => "?",
        _ => "·",
    }
}

/// Where a step runs, in words.
fn place_name(run_on: &str) -> String {
    match run_on {
        "" | "workstation" => "on your workstation".to_owned(),
        "the manifest" => "in the manifest".to_owned(),
        _ => match run_on.strip_prefix("node ") {
            Some(node) => format!("on {node}"),
            None => format!("on {run_on}"),
        },
    }
}

/// The number of the earlier root cause that has the same cure, which need not be told twice.
fn same_cure(causes: &[json::RootCause<'_>], cause: usize, remedy: &json::Remedy<'_>) -> Option<usize> {
    let same = |earlier: &json::RootCause<'_>| earlier.remedies.iter().any(|it| it.steps == remedy.steps);
    causes.iter().take(cause).position(same).map(|earlier| earlier + 1)
}

/// Adds to the value of a key, keeping the order in which the keys came.
fn push<K: PartialEq, V>(groups: &mut Vec<(K, Vec<V>)>, key: K, value: V) {
    match groups.iter_mut().find(|(known, _)| *known == key) {
        Some((_, values)) => values.push(value),
        None => groups.push((key, vec![value])),
    }
}

/// The subjects of a check that came to the same result for the same reason.
struct Group<'d> {
    /// `pass`, `fail`, `undecided` or `not-applicable`.
    result: &'static str,
    /// Why; nothing for what passed.
    reason: Option<String>,
    /// What it is about.
    subjects: Vec<&'d Subject>,
}

/// The results of a check, those with the same reason together.
fn groups(report: &CheckReport) -> Vec<Group<'_>> {
    let mut groups: Vec<Group<'_>> = Vec::new();
    let mut place = std::collections::HashMap::new();
    for (subject, outcome) in &report.results {
        let (result, reason) = match outcome {
            Outcome::Pass => ("pass", None),
            Outcome::Fail(finding) => ("fail", Some(finding.detail.clone())),
            Outcome::Undecided(missing) => ("undecided", Some(missing.why.to_string())),
            Outcome::NotApplicable(why) => ("not-applicable", Some(why.clone())),
        };
        let index = *place.entry((result, reason.clone())).or_insert_with(|| {
            groups.push(Group { result, reason, subjects: Vec::new() });
            groups.len() - 1
        });
        groups[index].subjects.push(subject);
    }
    groups
}

/// What would decide an open question, as a sentence that begins with a verb.
fn would_decide(open: &OpenQuestion, report: &Report) -> Option<String> {
    let dialled = open.missing.need.grant() == Grant::KubeletNetwork;
    let of_subject = |host: &&Host| Subject::host(host) == open.subject;
    let host = report.evidence.hosts.iter().find(of_subject);
    let blind = host.is_some_and(|host| host.left_out().is_some());
    let rules = !blind && matches!(open.missing.need, Need::HostFilters | Need::HostServiceRules);
    Some(match &open.missing.why {
        Why::Forbidden { verb, resource } => {
            format!("Grant yourself `{verb}` on `{resource}` and run this again.")
        }
        Why::Unauthorized => {
            "Use a context whose credential the API server accepts (`--context`).".to_owned()
        }
        Why::NotRecorded => {
            "Record the cluster again with this version (`metrics-preflight capture`).".to_owned()
        }
        Why::Lacking(_) if blind => {
            "Look on that machine itself (`metrics-preflight host -o FILE`), and join it (`check --with FILE`)."
                .to_owned()
        }
        // `host` has no time to give, and which program is lacking is said.
        Why::Lacking(_) if rules => {
            "Install that program on the machine (iptables or nftables), and look again there.".to_owned()
        }
        Why::Unreadable(_) | Why::TimedOut(_) if rules && report.diagnosis.mode == Mode::Host => {
            "Look at the rules that are named; or join this look with the cluster, which knows the addresses \
             (`host -o FILE` here, `check --with FILE` there)."
                .to_owned()
        }
        Why::TimedOut(_) if open.missing.need.grant() == Grant::Host => {
            "Look again on that machine (`metrics-preflight host`).".to_owned()
        }
        Why::TimedOut(_) | Why::Unreachable(_) if dialled => {
            "Run this from the nodes' network: from a node, or from a host that reaches them.".to_owned()
        }
        Why::TimedOut(_) | Why::Unreachable(_) if open.missing.need == Need::ApiServers => {
            "Run this where every kube-apiserver is reached (on a node, or in a pod), or run `host` on each of their machines and join the files (`--with FILE`).".to_owned()
        }
        Why::TimedOut(_) => "Run this again, with more time for each request (`--timeout 30s`).".to_owned(),
        Why::NotSampled => "Run this again with `--all-nodes`.".to_owned(),
        Why::Masked(by) => format!("Cure {by} first; then this can be seen."),
        Why::TooEarly(_) => "Give it time: run this again with `--wait 5m`.".to_owned(),
        Why::NotAsked(_) if open.missing.need == Need::Version => {
            "Name the version of Kubernetes (`--target-version 1.34`), or leave out `--offline`.".to_owned()
        }
        Why::NotAsked(_) if report.evidence.gate.offline => {
            "Ask the cluster: run this again without `--offline`.".to_owned()
        }
        Why::Deferred(_) => {
            format!("Look again after the deploy: `{}`.", after_deploy(&report.evidence.gate))
        }
        Why::NotPermitted(_) => "Look again on that machine as root.".to_owned(),
        Why::Outdated(_) => "Look again on that machine (`metrics-preflight host`).".to_owned(),
        Why::RuleFailed(_)
        | Why::Lacking(_)
        | Why::Unreachable(_)
        | Why::NotAsked(_)
        | Why::Unsupported(_)
        | Why::Unreadable(_) => {
            return None;
        }
    })
}

/// The command that judges the autoscalers of a gate once they are there.
fn after_deploy(gate: &Gate) -> String {
    let namespaces: BTreeSet<&str> = gate.plans.iter().map(|plan| plan.namespace.as_str()).collect();
    // A name that is none of a namespace came with a stranger's manifest, and nobody is to paste it.
    let is_plain = |name: &&str| {
        name.starts_with(|first: char| first.is_ascii_alphanumeric())
            && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    };
    match namespaces.first().filter(|name| namespaces.len() == 1 && is_plain(name)) {
        Some(one) => format!("metrics-preflight gate --live -n {one} --wait 7m"),
        None => "metrics-preflight gate --live --wait 7m".to_owned(),
    }
}

/// The API permission that an open question lacks: a verb and a resource.
fn lacking(open: &OpenQuestion) -> Option<(&str, &str)> {
    match &open.missing.why {
        Why::Forbidden { verb, resource } => Some((verb, resource)),
        _ => None,
    }
}

/// The word for a mode in what users read and write.
pub(crate) fn mode_name(mode: checks::evidence::Mode) -> &'static str {
    match mode {
        checks::evidence::Mode::Installed => "check",
        checks::evidence::Mode::BeforeInstall => "before-install",
        checks::evidence::Mode::Gate => "gate",
        checks::evidence::Mode::Host => "host",
    }
}

/// The word for a severity.
pub(crate) fn severity_name(severity: Severity) -> &'static str {
    match severity {
        Severity::Info => "info",
        Severity::Warning => "warning",
        Severity::Error => "error",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_name_of_a_namespace_gets_into_a_command() {
        let mut gate = testing::gate().evidence.gate;
        gate.plans.truncate(1);
        for (name, expected) in [
            ("shop", "metrics-preflight gate --live -n shop --wait 7m"),
            ("--record", "metrics-preflight gate --live --wait 7m"),
            ("a;reboot", "metrics-preflight gate --live --wait 7m"),
            ("", "metrics-preflight gate --live --wait 7m"),
        ] {
            gate.plans[0].namespace = name.to_owned();
            assert_eq!(after_deploy(&gate), expected, "{name}");
        }
        let mut other = gate.plans[0].clone();
        gate.plans[0].namespace = "shop".to_owned();
        other.namespace = "team".to_owned();
        gate.plans.push(other);
        assert_eq!(after_deploy(&gate), "metrics-preflight gate --live --wait 7m");
    }
}
