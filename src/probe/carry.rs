//! A run from its first pod to the last deletion.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures::stream::{self, StreamExt as _};
use jiff::Timestamp;
use serde_json::Value;
use tokio::time::{Instant, sleep};

use super::cleanup::{self, Run};
use super::client::{Scope, Trouble, Writer};
use super::errand::Errand;

/// How often the pods are looked at.
const PAUSE: Duration = Duration::from_millis(500);
/// How many pods are made at a time.
const CONCURRENCY: usize = 8;
/// How long a refused pull may still turn out well: a registry that does not answer once.
const PULLING: Duration = Duration::from_secs(10);
/// How long a new namespace may be without the ServiceAccount that kube-controller-manager makes in each.
const SETTLING: Duration = Duration::from_secs(10);

/// What came of a pod: what it saw, or why it saw nothing, in one sentence.
pub type Outcome<T> = Result<T, String>;

/// Whether the user wants to stop.
pub type Stop = tokio::sync::watch::Receiver<bool>;

async fn stopped(mut stop: Stop) {
    if stop.wait_for(|stop| *stop).await.is_err() {
        std::future::pending::<()>().await;
    }
}

/// What came of a run.
#[derive(Debug)]
pub struct Done<T> {
    /// What came of each pod, in the order of the plan.
    pub outcomes: Vec<Outcome<T>>,
    /// What could not be removed, if anything, as a person would name it.
    pub left: Vec<String>,
    /// The user stopped it.
    pub interrupted: bool,
    /// It panicked: a defect.
    pub panicked: bool,
}

/// Makes the pods, waits for them, reads what they saw, and removes them, also when `stop` comes first. A creation that
/// is under way is waited for, because its object may come into being all the same.
pub async fn out<E: Errand>(
    writer: Arc<Writer>,
    errand: Arc<E>,
    stop: Stop,
    now: impl Fn() -> Timestamp + Send + Sync + 'static,
) -> Done<E::Seen> {
    let state = Arc::new(State::default());
    let stopped_later = stop.clone();
    let work = {
        let (writer, errand, state) = (Arc::clone(&writer), Arc::clone(&errand), Arc::clone(&state));
        // A task of its own: what panics in there ends there, and the pods are removed all the same.
        tokio::spawn(async move {
            Work { writer: &writer, errand: &*errand, state: &state }.run(stop, &now).await
        })
    };
    let worked = work.await;
    let names = errand.names();
    let run = Run {
        namespace: errand.namespace(),
        id: &errand.run().id,
        names: &names,
        owns_namespace: errand.own_namespace().is_some(),
        certain: worked.is_ok() && !state.lost.load(Ordering::Relaxed),
    };
    let removed =
        if state.begun.load(Ordering::Relaxed) { cleanup::remove_run(&writer, &run).await } else { Ok(()) };
    let panicked = worked.is_err();
    let (outcomes, interrupted) = worked.unwrap_or_default();
    // Also while it was removed: the user wants to stop, and everything is gone first.
    let interrupted = interrupted || *stopped_later.borrow();
    Done { outcomes, left: removed.err().unwrap_or_default(), interrupted, panicked }
}

/// What the end has to know of the work.
#[derive(Default)]
struct State {
    /// A creation was sent.
    begun: AtomicBool,
    /// The answer to a creation was lost.
    lost: AtomicBool,
}

struct Work<'w, E> {
    writer: &'w Writer,
    errand: &'w E,
    state: &'w State,
}

impl<E: Errand> Work<'_, E> {
    async fn run(&self, stop: Stop, now: &impl Fn() -> Timestamp) -> (Vec<Outcome<E::Seen>>, bool) {
        let errand = self.errand;
        let names = errand.names();
        let deadline = Instant::now() + Duration::from_secs(errand.deadline_s());
        let mut outcomes: Vec<Option<Outcome<E::Seen>>> = vec![None; names.len()];
        let is_stopped = || *stop.borrow();
        if is_stopped() {
            return (Vec::new(), true);
        }
        if names.is_empty() {
            return (Vec::new(), false);
        }
        if let Err(why) = self.make_namespace().await {
            return (vec![Err(why); names.len()], is_stopped());
        }
        let owner = self.create_unless(&stop, 0, None).await;
        if let Err(why) = owner {
            // A refusal that is about all of them needs no second one.
            return (vec![Err(why); names.len()], is_stopped());
        }
        let owner = owner.ok().filter(|uid| !uid.is_empty());
        let owner = owner.as_deref().map(|uid| (names[0].as_str(), uid));
        let making = (1..names.len()).map(|place| self.create_unless(&stop, place, owner));
        let making: Vec<_> = making.collect();
        let made = stream::iter(making).buffered(CONCURRENCY).collect::<Vec<_>>().await;
        for (outcome, made) in outcomes[1..].iter_mut().zip(made) {
            *outcome = made.err().map(Err);
        }
        let watched = async {
            let mut pulling: Vec<Option<Instant>> = vec![None; names.len()];
            while outcomes.iter().any(Option::is_none) && Instant::now() < deadline {
                // What is lost here is asked again.
                let scope = Scope::Namespace(errand.namespace());
                if let Ok(list) = self.writer.list(scope, Some(&errand.run().id)).await {
                    for (place, name) in names.iter().enumerate() {
                        if outcomes[place].is_none() {
                            let seen = list.iter().find(|seen| seen["metadata"]["name"] == name.as_str());
                            outcomes[place] = judge(errand, place, seen, &mut pulling[place], now());
                        }
                    }
                }
                if outcomes.iter().any(Option::is_none) {
                    sleep(PAUSE).await;
                }
            }
        };
        let interrupted = tokio::select! {
            () = watched => false,
            () = stopped(stop.clone()) => true,
        };
        let late = || Err(format!("the pod had not ended after {} s", errand.deadline_s()));
        (outcomes.into_iter().map(|outcome| outcome.unwrap_or_else(late)).collect(), interrupted)
    }

    async fn make_namespace(&self) -> Result<(), String> {
        let Some(manifest) = self.errand.own_namespace() else { return Ok(()) };
        self.state.begun.store(true, Ordering::Relaxed);
        let made = self.writer.create_namespace(&manifest).await;
        if matches!(made, Err(Trouble::Refused(..))) {
            // Nothing was made, so there is nothing to remove.
            self.state.begun.store(false, Ordering::Relaxed);
        }
        made.map_err(|trouble| self.failed("the namespace", &trouble))
    }

    async fn create_unless(
        &self,
        stop: &Stop,
        place: usize,
        owner: Option<(&str, &str)>,
    ) -> Result<String, String> {
        let manifest = self.errand.manifest(place, owner);
        let settled = Instant::now() + SETTLING;
        loop {
            if *stop.borrow() {
                return Err("interrupted".to_owned());
            }
            self.state.begun.store(true, Ordering::Relaxed);
            match self.writer.create(self.errand.namespace(), &manifest).await {
                Err(trouble) if trouble.lacks_account() && self.is_new() && Instant::now() < settled => {
                    sleep(PAUSE).await;
                }
                made => return made.map_err(|trouble| self.failed("the pod", &trouble)),
            }
        }
    }

    /// Whether the namespace was made a moment ago.
    fn is_new(&self) -> bool {
        self.errand.own_namespace().is_some()
    }

    fn failed(&self, what: &str, trouble: &Trouble) -> String {
        if matches!(trouble, Trouble::Lost(_)) {
            self.state.lost.store(true, Ordering::Relaxed);
        }
        format!("{what} could not be created: {trouble}")
    }
}

/// What the state of a pod says; nothing while it is on its way.
fn judge<E: Errand>(
    errand: &E,
    place: usize,
    pod: Option<&Value>,
    pulling: &mut Option<Instant>,
    now: Timestamp,
) -> Option<Outcome<E::Seen>> {
    let Some(pod) = pod else { return Some(Err("somebody removed the pod".to_owned())) };
    let status = &pod["status"];
    let text = |value: &Value| crate::source::redact::message(value.as_str().unwrap_or_default()).0;
    let of = |container: &&str| {
        let statuses = status["containerStatuses"].as_array().into_iter().flatten();
        statuses.into_iter().find(|status| status["name"] == **container).map(|status| &status["state"])
    };
    let states: Vec<Option<&Value>> = errand.containers().iter().map(of).collect();
    let ended: Vec<&Value> =
        states.iter().flatten().map(|state| &state["terminated"]).filter(|ended| ended.is_object()).collect();
    let first = states.first().copied().flatten().map(|state| &state["terminated"]);
    let has_failed = first.is_some_and(|first| first.is_object() && first["exitCode"] != 0);
    if ended.len() == states.len() || has_failed {
        let said: Vec<&str> =
            ended.iter().map(|ended| ended["message"].as_str().unwrap_or_default()).collect();
        let first = first.unwrap_or(&Value::Null);
        return Some(errand.read(place, &said, now).map_err(|unreadable| {
            format!(
                "{unreadable} (it ended with {}, exit code {})",
                first["reason"].as_str().unwrap_or("no reason"),
                first["exitCode"]
            )
        }));
    }
    if status["phase"] == "Failed" || status["phase"] == "Succeeded" {
        let words = format!("{} {}", text(&status["reason"]), text(&status["message"]));
        return Some(Err(format!("the node did not run the pod: {}", words.trim())));
    }
    let waiting = states.iter().flatten().map(|state| &state["waiting"]);
    let waiting = waiting.clone().find(|waiting| is_stuck(waiting)).unwrap_or(&Value::Null);
    let words = text(&waiting["message"]);
    let reason = waiting["reason"].as_str().unwrap_or_default();
    let (image, hint) = (errand.image(), "load it onto the nodes, or name another with --image");
    match reason {
        "ErrImageNeverPull" | "ImagePullBackOff" | "InvalidImageName" => {
            Some(Err(format!("the image {image} is not there ({reason}: {words}); {hint}")))
        }
        "ErrImagePull" => {
            let since = *pulling.get_or_insert_with(Instant::now);
            let words = || format!("the image {image} cannot be pulled ({words}); {hint}");
            (since.elapsed() > PULLING).then(|| Err(words()))
        }
        "" => None,
        _ => Some(Err(format!("the container does not start ({reason}: {words})"))),
    }
}

/// Whether a container waits for something that does not come by itself.
fn is_stuck(waiting: &Value) -> bool {
    let reason = waiting["reason"].as_str().unwrap_or_default();
    matches!(
        reason,
        "ErrImageNeverPull"
            | "ErrImagePull"
            | "ImagePullBackOff"
            | "InvalidImageName"
            | "CreateContainerConfigError"
            | "CreateContainerError"
            | "RunContainerError"
            | "StartError"
    )
}
