//! Removing what was made: on every way out, and what earlier runs could not.
//!
//! A namespace goes when the namespace controller has seen that nothing is left in it, and it asks every API for that. While
//! one does not answer, as the Metrics API when it is broken, no namespace goes: it stays in `Terminating`
//! (`NamespaceDeletionDiscoveryFailure`, kubernetes/kubernetes#60807). A probe is wanted just then. So a namespace of a probe
//! is let go by its `finalize` as soon as the controller says that everything else is done and nothing is left.

use std::time::Duration;

use futures::future::join_all;
use jiff::Timestamp;
use serde_json::Value;
use tokio::time::{Instant, sleep};

use super::client::{Scope, Trouble, Writer};
use super::labels::MARK;
use super::run::{REMOVE_AFTER, is_name, is_namespace};

/// How long is tried, when the API server does not answer meanwhile.
const PATIENCE: Duration = Duration::from_mins(1);
/// The pause between two tries.
const PAUSE: Duration = Duration::from_millis(500);
/// A pod that ended longer ago than this is read by nobody any more: a run reads within a second.
const UNREAD_S: i64 = 30;

/// What is to be removed.
#[derive(Clone, Copy, Debug)]
pub struct Run<'r> {
    /// The namespace of the pods.
    pub namespace: &'r str,
    /// The run.
    pub id: &'r str,
    /// The names of the pods.
    pub names: &'r [String],
    /// Whether the namespace goes as well.
    pub owns_namespace: bool,
    /// Whether every answer to a creation came. Otherwise something may still be made, and it is looked twice.
    pub certain: bool,
}

/// Removes the pods of a run by their names, then its namespace where it has one, and looks whether anything is left.
///
/// # Errors
/// What is left, or may be.
pub async fn remove_run(writer: &Writer, run: &Run<'_>) -> Result<(), Vec<String>> {
    let until = Instant::now() + PATIENCE;
    let pods = remove_pods(writer, run, until).await;
    if run.owns_namespace {
        // Whatever became of the pods, they go with it.
        return remove_namespace(writer, run, until).await;
    }
    let named =
        |names: Vec<String>| names.iter().map(|name| format!("pod {}/{name}", run.namespace)).collect();
    pods.map_err(named)
}

async fn remove_pods(writer: &Writer, run: &Run<'_>, until: Instant) -> Result<(), Vec<String>> {
    let (namespace, names, certain) = (run.namespace, run.names, run.certain);
    let mut left: Vec<String> = names.to_vec();
    // How often in a row nothing was there.
    let mut empty = 0;
    loop {
        // The first owns the others: with it, the cluster removes them even if nobody is left to ask for it.
        if let Some(first) = left.first().cloned() {
            if gone(writer, namespace, &first).await {
                left.remove(0);
            }
            let answers = join_all(left.iter().map(|name| gone(writer, namespace, name))).await;
            let mut answers = answers.into_iter();
            left.retain(|_| !answers.next().unwrap_or_default());
        }
        match writer.list(Scope::Namespace(namespace), Some(run.id)).await {
            Ok(list) => {
                let there = list.iter().filter_map(|pod| pod["metadata"]["name"].as_str()).map(str::to_owned);
                let there: Vec<String> = there.collect();
                empty = if there.is_empty() && left.is_empty() { empty + 1 } else { 0 };
                left.extend(there.into_iter().filter(|name| is_name(name)));
                left.sort_unstable();
                left.dedup();
            }
            // Who may not list knows from the deletions themselves.
            Err(Trouble::Refused(403, _)) if left.is_empty() => empty += 1,
            Err(_) => {}
        }
        if empty >= if certain { 1 } else { 2 } {
            return Ok(());
        }
        if Instant::now() >= until {
            return if left.is_empty() { Err(names.to_vec()) } else { Err(left) };
        }
        sleep(if certain || empty == 0 { PAUSE } else { 4 * PAUSE }).await;
    }
}

/// Removes the namespace of a run, and waits until it is gone.
async fn remove_namespace(writer: &Writer, run: &Run<'_>, until: Instant) -> Result<(), Vec<String>> {
    let mut asked = false;
    let mut empty = 0;
    let mut why = String::new();
    loop {
        if !asked {
            match writer.remove_namespace(run.namespace).await {
                Ok(()) => asked = true,
                Err(trouble) => why = trouble.to_string(),
            }
        }
        match writer.namespaces(Some(run.id)).await {
            Ok(list) => match list.iter().find(|there| there["metadata"]["name"] == run.namespace) {
                None => empty += 1,
                Some(there) => {
                    empty = 0;
                    // One that was made after it was asked to go.
                    asked &= there["metadata"]["deletionTimestamp"].is_string();
                    if asked {
                        why = waits_for(there).unwrap_or_else(|| "it is being removed".to_owned());
                    }
                    if asked
                        && is_only_undiscovered(there)
                        && let Some(version) = there["metadata"]["resourceVersion"].as_str()
                        && let Err(trouble) = writer.finalize_namespace(run.namespace, version).await
                    {
                        why = format!("{why}; it could not be let go: {trouble}");
                    }
                }
            },
            Err(trouble) => why = trouble.to_string(),
        }
        if asked && empty >= if run.certain { 1 } else { 2 } {
            return Ok(());
        }
        if Instant::now() >= until {
            return Err(vec![format!("namespace {} ({why})", run.namespace)]);
        }
        sleep(if run.certain || empty == 0 { PAUSE } else { 4 * PAUSE }).await;
    }
}

/// The status of one of the conditions in which the namespace controller says how far it is
/// (`pkg/controller/namespace/deletion/status_condition_utils.go`).
fn condition<'n>(namespace: &'n Value, kind: &str) -> Option<&'n Value> {
    let mut all = namespace["status"]["conditions"].as_array()?.iter();
    all.find(|condition| condition["type"] == kind)
}

/// Whether a namespace would be gone, if every API answered: nothing in it is left, nothing has a finalizer, and nothing else
/// went wrong.
fn is_only_undiscovered(namespace: &Value) -> bool {
    let is = |kind: &str, status: &str| condition(namespace, kind).is_some_and(|it| it["status"] == status);
    namespace["status"]["phase"] == "Terminating"
        && is("NamespaceDeletionDiscoveryFailure", "True")
        && is("NamespaceDeletionGroupVersionParsingFailure", "False")
        && is("NamespaceDeletionContentFailure", "False")
        && is("NamespaceContentRemaining", "False")
        && is("NamespaceFinalizersRemaining", "False")
        // Others that hold it have work of their own to do first.
        && namespace["metadata"]["finalizers"].as_array().is_none_or(Vec::is_empty)
        && namespace["spec"]["finalizers"] == serde_json::json!(["kubernetes"])
}

/// What the controller says that stands in the way.
fn waits_for(namespace: &Value) -> Option<String> {
    let all = namespace["status"]["conditions"].as_array()?.iter();
    let mut bad = all.filter(|condition| condition["status"] == "True");
    let message = bad.next()?["message"].as_str()?;
    Some(format!("it waits: {}", crate::source::redact::message(message).0))
}

async fn gone(writer: &Writer, namespace: &str, name: &str) -> bool {
    writer.remove(namespace, name).await.is_ok()
}

/// What earlier runs have left.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Leftovers {
    /// What was removed, as `pod NAMESPACE/NAME` or `namespace NAME`.
    pub removed: Vec<String>,
    /// What another run may still be using.
    pub kept: Vec<String>,
    /// What could not be removed, and why.
    pub failed: Vec<String>,
    /// Where nobody looked, and why.
    pub unseen: Option<String>,
}

/// Finds the namespaces and pods of earlier runs and removes those of dead ones, or all of them. Where the cluster as a
/// whole may not be listed, it looks for pods in `namespace`.
///
/// # Errors
/// When neither may be listed.
pub async fn leftovers(
    writer: &Writer,
    namespace: &str,
    now: Timestamp,
    all: bool,
) -> Result<Leftovers, Trouble> {
    let mut found = Leftovers::default();
    let namespaces = match writer.namespaces(None).await {
        Ok(namespaces) => namespaces,
        Err(trouble @ Trouble::Refused(..)) => {
            let words = format!("namespaces of `probe --host` were not looked for: {trouble}");
            found.unseen = Some(words);
            Vec::new()
        }
        Err(lost) => return Err(lost),
    };
    let own = namespaces.iter().filter(|namespace| namespace["metadata"]["labels"][MARK].is_string());
    let own = own.filter_map(|namespace| Some((namespace, namespace["metadata"]["name"].as_str()?)));
    let own: Vec<(&Value, &str)> = own.filter(|(_, name)| is_namespace(name)).collect();
    for (it, name) in &own {
        let named = format!("namespace {name}");
        if !all && !is_over(it, now) {
            found.kept.push(named);
            continue;
        }
        let id = it["metadata"]["labels"][MARK].as_str().unwrap_or_default();
        let run = Run { namespace: name, id, names: &[], owns_namespace: true, certain: true };
        match remove_run(writer, &run).await {
            Ok(()) => found.removed.push(named),
            Err(left) => found.failed.extend(left),
        }
    }
    let list = match writer.list(Scope::Cluster, None).await {
        Err(Trouble::Refused(403, _)) => writer.list(Scope::Namespace(namespace), None).await?,
        list => list?,
    };
    for pod in &list {
        let meta = &pod["metadata"];
        let (Some(space), Some(name)) = (meta["namespace"].as_str(), meta["name"].as_str()) else { continue };
        if !is_name(name) || !meta["labels"][MARK].is_string() {
            continue;
        }
        // They go or stay with their namespace.
        if own.iter().any(|(_, own)| *own == space) {
            continue;
        }
        let named = format!("pod {space}/{name}");
        if !all && !is_dead(pod, now) {
            found.kept.push(named);
            continue;
        }
        match writer.remove(space, name).await {
            Ok(()) => found.removed.push(named),
            Err(trouble) => found.failed.push(format!("{named} ({trouble})")),
        }
    }
    Ok(found)
}

/// Whether nobody waits for this pod any more: its time is over, or it has ended and nobody has read it.
fn is_dead(pod: &Value, now: Timestamp) -> bool {
    let ended = &pod["status"]["containerStatuses"][0]["state"]["terminated"]["finishedAt"];
    is_over(pod, now) || time(ended).is_some_and(|ended| now.duration_since(ended).as_secs() > UNREAD_S)
}

/// Whether the time of an object is over, or nobody can say when it is.
fn is_over(object: &Value, now: Timestamp) -> bool {
    time(&object["metadata"]["annotations"][REMOVE_AFTER]).is_none_or(|end| now > end)
}

fn time(value: &Value) -> Option<Timestamp> {
    value.as_str().and_then(|text| text.parse::<Timestamp>().ok())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_run_is_dead_when_its_time_is_over_or_nobody_reads() {
        let now: Timestamp = "2026-01-01T12:00:00Z".parse().expect("a time");
        let pod = |after: &str, finished: Option<&str>| {
            json!({
                "metadata": {"annotations": {REMOVE_AFTER: after}},
                "status": {"containerStatuses": [{"state": {"terminated": {"finishedAt": finished}}}]},
            })
        };
        assert!(!is_dead(&pod("2026-01-01T12:01:00Z", None), now));
        assert!(is_dead(&pod("2026-01-01T11:59:59Z", None), now));
        assert!(!is_dead(&pod("2026-01-01T12:01:00Z", Some("2026-01-01T11:59:45Z")), now));
        assert!(is_dead(&pod("2026-01-01T12:01:00Z", Some("2026-01-01T11:59:15Z")), now));
        assert!(is_dead(&pod("soon", None), now), "without a time that can be read, nobody claims it");
    }

    #[test]
    fn a_namespace_is_let_go_only_when_nothing_but_discovery_stands_in_its_way() {
        let namespace = |changed: &str, phase: &str| {
            let condition = |kind: &str, status: &str| {
                let flip = |status: &str| if status == "True" { "False" } else { "True" };
                json!({"type": kind, "status": if kind == changed { flip(status) } else { status }})
            };
            json!({"spec": {"finalizers": ["kubernetes"]}, "status": {"phase": phase, "conditions": [
                condition("NamespaceDeletionDiscoveryFailure", "True"),
                condition("NamespaceDeletionGroupVersionParsingFailure", "False"),
                condition("NamespaceDeletionContentFailure", "False"),
                condition("NamespaceContentRemaining", "False"),
                condition("NamespaceFinalizersRemaining", "False"),
            ]}})
        };
        assert!(is_only_undiscovered(&namespace("", "Terminating")));
        assert!(!is_only_undiscovered(&namespace("", "Active")));
        for kind in [
            "NamespaceDeletionDiscoveryFailure",
            "NamespaceDeletionGroupVersionParsingFailure",
            "NamespaceDeletionContentFailure",
            "NamespaceContentRemaining",
            "NamespaceFinalizersRemaining",
        ] {
            assert!(!is_only_undiscovered(&namespace(kind, "Terminating")), "{kind}");
        }
        assert!(!is_only_undiscovered(&json!({"status": {"phase": "Terminating"}})));
        // Somebody else has work to do in it first.
        let mut held = namespace("", "Terminating");
        held["metadata"]["finalizers"] = json!(["controller.cattle.io/namespace-auth"]);
        assert!(!is_only_undiscovered(&held));
        let mut held = namespace("", "Terminating");
        held["spec"]["finalizers"] = json!(["kubernetes", "example.com/x"]);
        assert!(!is_only_undiscovered(&held));
    }
}
