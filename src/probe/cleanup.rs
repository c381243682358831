//! Removing what was made: on every way out, and what earlier runs could not.

use std::time::Duration;

use futures::future::join_all;
use jiff::Timestamp;
use serde_json::Value;
use tokio::time::{Instant, sleep};

use super::client::{Scope, Trouble, Writer};
use super::labels::MARK;
use super::run::{REMOVE_AFTER, is_name};

/// How long is tried, when the API server does not answer meanwhile.
const PATIENCE: Duration = Duration::from_mins(1);
/// The pause between two tries.
const PAUSE: Duration = Duration::from_millis(500);
/// A pod that ended longer ago than this is read by nobody any more: a run reads within a second.
const UNREAD_S: i64 = 30;

/// Removes the pods of a run by their names, and looks whether any is left. `certain` says that every answer to a
/// creation came; otherwise one may still be made, and it is looked twice.
///
/// # Errors
/// The names that are left, or may be.
pub async fn remove_run(
    writer: &Writer,
    namespace: &str,
    run: &str,
    names: &[String],
    certain: bool,
) -> Result<(), Vec<String>> {
    let until = Instant::now() + PATIENCE;
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
        match writer.list(Scope::Namespace(namespace), Some(run)).await {
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

async fn gone(writer: &Writer, namespace: &str, name: &str) -> bool {
    writer.remove(namespace, name).await.is_ok()
}

/// What earlier runs have left.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Leftovers {
    /// What was removed, as `NAMESPACE/NAME`.
    pub removed: Vec<String>,
    /// What another run may still be using.
    pub kept: Vec<String>,
    /// What could not be removed, and why.
    pub failed: Vec<String>,
}

/// Finds the pods of earlier runs and removes those of dead ones, or all of them. Where the cluster as a whole may not be
/// listed, it looks into `namespace`.
///
/// # Errors
/// When neither may be listed.
pub async fn leftovers(
    writer: &Writer,
    namespace: &str,
    now: Timestamp,
    all: bool,
) -> Result<Leftovers, Trouble> {
    let list = match writer.list(Scope::Cluster, None).await {
        Err(Trouble::Refused(403, _)) => writer.list(Scope::Namespace(namespace), None).await?,
        list => list?,
    };
    let mut found = Leftovers::default();
    for pod in &list {
        let meta = &pod["metadata"];
        let (Some(space), Some(name)) = (meta["namespace"].as_str(), meta["name"].as_str()) else { continue };
        if !is_name(name) || !meta["labels"][MARK].is_string() {
            continue;
        }
        let named = format!("{space}/{name}");
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
    let time = |value: &Value| value.as_str().and_then(|text| text.parse::<Timestamp>().ok());
    let over = time(&pod["metadata"]["annotations"][REMOVE_AFTER]).is_none_or(|end| now > end);
    let ended = &pod["status"]["containerStatuses"][0]["state"]["terminated"]["finishedAt"];
    over || time(ended).is_some_and(|ended| now.duration_since(ended).as_secs() > UNREAD_S)
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
}
