//! A run from its first pod to the last deletion.

use std::sync::Arc;
use std::time::Duration;

use checks::evidence::{Look, Why};
use futures::stream::{self, StreamExt as _};
use jiff::Timestamp;
use serde_json::Value;
use tokio::time::{Instant, sleep};

use super::client::{Scope, Trouble, Writer};
use super::message::{Group, Message};
use super::plan::{Plan, PodPlan};
use super::report::{Kubelet, Report};
use super::{cleanup, manifest};

/// How often the pods are looked at.
const PAUSE: Duration = Duration::from_millis(500);
/// How many pods are made at a time.
const CONCURRENCY: usize = 8;
/// How long a refused pull may still turn out well: a registry that does not answer once.
const PULLING: Duration = Duration::from_secs(10);

/// What came of a pod: what it saw, or why it saw nothing, in one sentence.
pub type Outcome = Result<Report, String>;

/// Whether the user wants to stop.
pub type Stop = tokio::sync::watch::Receiver<bool>;

async fn stopped(mut stop: Stop) {
    if stop.wait_for(|stop| *stop).await.is_err() {
        std::future::pending::<()>().await;
    }
}

/// What came of a run.
#[derive(Debug)]
pub struct Done {
    /// What came of each pod, in the order of the plan.
    pub outcomes: Vec<Outcome>,
    /// The pods that could not be removed, if any.
    pub left: Vec<String>,
    /// The user stopped it.
    pub interrupted: bool,
    /// It panicked: a defect.
    pub panicked: bool,
}

/// Makes the pods, waits for them, reads what they saw, and removes them, also when `stop` comes first. A creation that
/// is under way is waited for, because its object may come into being all the same.
pub async fn out(
    writer: Arc<Writer>,
    plan: Arc<Plan>,
    stop: Stop,
    now: impl Fn() -> Timestamp + Send + Sync + 'static,
) -> Done {
    let state = Arc::new(State::default());
    let stopped_later = stop.clone();
    let work = {
        let (writer, plan, state) = (Arc::clone(&writer), Arc::clone(&plan), Arc::clone(&state));
        // A task of its own: what panics in there ends there, and the pods are removed all the same.
        tokio::spawn(async move { run(&writer, &plan, &state, stop, &now).await })
    };
    let worked = work.await;
    let names: Vec<String> = plan.pods.iter().map(|pod| pod.name.clone()).collect();
    let certain = worked.is_ok() && !state.lost.load(std::sync::atomic::Ordering::Relaxed);
    let begun = state.begun.load(std::sync::atomic::Ordering::Relaxed);
    let removed = if begun {
        cleanup::remove_run(&writer, &plan.place.namespace, &plan.run.id, &names, certain).await
    } else {
        Ok(())
    };
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
    begun: std::sync::atomic::AtomicBool,
    /// The answer to a creation was lost.
    lost: std::sync::atomic::AtomicBool,
}

async fn run(
    writer: &Writer,
    plan: &Plan,
    state: &State,
    stop: Stop,
    now: &impl Fn() -> Timestamp,
) -> (Vec<Outcome>, bool) {
    let deadline = Instant::now() + Duration::from_secs(plan.place.deadline_s);
    let mut outcomes: Vec<Option<Outcome>> = vec![None; plan.pods.len()];
    let is_stopped = || *stop.borrow();
    if is_stopped() {
        return (Vec::new(), true);
    }
    let Some(first) = plan.pods.first() else { return (Vec::new(), false) };
    let owner = create(writer, plan, state, first, None).await;
    outcomes[0] = owner.as_ref().err().cloned().map(Err);
    let owner = owner.ok().filter(|uid| !uid.is_empty());
    let owner = owner.as_deref().map(|uid| (first.name.as_str(), uid));
    // A refusal that is about all of them needs no second one.
    let rest = if outcomes[0].is_some() { &[] } else { &plan.pods[1..] };
    let mut making = Vec::new();
    for pod in rest {
        making.push(create_unless(&stop, writer, plan, state, pod, owner));
    }
    let made = stream::iter(making).buffered(CONCURRENCY).collect::<Vec<_>>().await;
    for (outcome, made) in outcomes[1..].iter_mut().zip(made) {
        *outcome = made.err().map(Err);
    }
    if let Some(Err(why)) = outcomes[0].clone() {
        return (vec![Err(why); plan.pods.len()], is_stopped());
    }
    let watched = async {
        let mut pulling: Vec<Option<Instant>> = vec![None; plan.pods.len()];
        while outcomes.iter().any(Option::is_none) && Instant::now() < deadline {
            // What is lost here is asked again.
            if let Ok(list) = writer.list(Scope::Namespace(&plan.place.namespace), Some(&plan.run.id)).await {
                for (place, pod) in plan.pods.iter().enumerate() {
                    if outcomes[place].is_none() {
                        let seen = list.iter().find(|seen| seen["metadata"]["name"] == pod.name.as_str());
                        outcomes[place] = judge(plan, pod, seen, &mut pulling[place], now());
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
    let late = || Err(format!("the pod had not ended after {} s", plan.place.deadline_s));
    (outcomes.into_iter().map(|outcome| outcome.unwrap_or_else(late)).collect(), interrupted)
}

async fn create_unless(
    stop: &Stop,
    writer: &Writer,
    plan: &Plan,
    state: &State,
    pod: &PodPlan,
    owner: Option<(&str, &str)>,
) -> Result<String, String> {
    let stopped = *stop.borrow();
    if stopped { Err("interrupted".to_owned()) } else { create(writer, plan, state, pod, owner).await }
}

async fn create(
    writer: &Writer,
    plan: &Plan,
    state: &State,
    pod: &PodPlan,
    owner: Option<(&str, &str)>,
) -> Result<String, String> {
    state.begun.store(true, std::sync::atomic::Ordering::Relaxed);
    let manifest = manifest::pod(&plan.place, &plan.run, pod, owner);
    writer.create(&plan.place.namespace, &manifest).await.map_err(|trouble| {
        if matches!(trouble, Trouble::Lost(_)) {
            state.lost.store(true, std::sync::atomic::Ordering::Relaxed);
        }
        format!("the pod could not be created: {trouble}")
    })
}

/// What the state of a pod says; nothing while it is on its way.
fn judge(
    plan: &Plan,
    planned: &PodPlan,
    pod: Option<&Value>,
    pulling: &mut Option<Instant>,
    now: Timestamp,
) -> Option<Outcome> {
    let Some(pod) = pod else { return Some(Err("somebody removed the pod".to_owned())) };
    let (status, state) = (&pod["status"], &pod["status"]["containerStatuses"][0]["state"]);
    let text = |value: &Value| crate::source::redact::message(value.as_str().unwrap_or_default()).0;
    if state["terminated"].is_object() {
        let ended = &state["terminated"];
        return Some(match Message::read(ended["message"].as_str().unwrap_or_default()) {
            Ok(message) => Ok(report(plan, planned, message, now)),
            Err(unreadable) => Err(format!(
                "{unreadable} (it ended with {}, exit code {})",
                ended["reason"].as_str().unwrap_or("no reason"),
                ended["exitCode"]
            )),
        });
    }
    if status["phase"] == "Failed" || status["phase"] == "Succeeded" {
        let words = format!("{} {}", text(&status["reason"]), text(&status["message"]));
        return Some(Err(format!("the node did not run the pod: {}", words.trim())));
    }
    let waiting = &state["waiting"];
    let reason = waiting["reason"].as_str().unwrap_or_default();
    let hint = "load it onto the nodes, or name another with --image";
    match reason {
        "ErrImageNeverPull" | "ImagePullBackOff" | "InvalidImageName" => Some(Err(format!(
            "the image {} is not there ({reason}: {}); {hint}",
            plan.place.image,
            text(&waiting["message"])
        ))),
        "ErrImagePull" => {
            let since = *pulling.get_or_insert_with(Instant::now);
            let words = || {
                format!(
                    "the image {} cannot be pulled ({}); {hint}",
                    plan.place.image,
                    text(&waiting["message"])
                )
            };
            (since.elapsed() > PULLING).then(|| Err(words()))
        }
        "CreateContainerConfigError" | "CreateContainerError" | "RunContainerError" | "StartError" => {
            Some(Err(format!("the container does not start ({reason}: {})", text(&waiting["message"]))))
        }
        _ => None,
    }
}

/// What a pod saw, with the names of what it was told to dial.
fn report(plan: &Plan, planned: &PodPlan, message: Message, now: Timestamp) -> Report {
    let unfit = || Look::Unseen(Why::NotAsked("it did not fit into what a pod can say".to_owned()));
    let reach = |place: usize| {
        let holds = |group: &&Group| group.1.iter().any(|(from, to)| (*from..=*to).contains(&place));
        message.kubelets.iter().find(holds).map_or_else(unfit, |group| group.0.clone())
    };
    let kubelets = planned.task.kubelets.iter().enumerate();
    let address = |host: &str, port: u16| {
        if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
    };
    Report {
        namespace: plan.place.namespace.clone(),
        taken_at: now,
        differs: plan.place.differs.clone(),
        policies_differ: plan.place.policies_differ.clone(),
        kubelets: kubelets
            .map(|(place, kubelet)| Kubelet {
                node: kubelet.node.clone(),
                address: address(&kubelet.address, kubelet.port),
                reach: reach(place),
            })
            .collect(),
        api: message.api,
        api_direct: message.direct,
        service: message.service,
        dns: message.dns,
    }
}
