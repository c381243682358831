//! An API server that answers from a recording, keeps pods and namespaces of probes in memory, and can strike at a chosen
//! request.

use std::collections::BTreeMap;
use std::net::{TcpListener, TcpStream};
use std::process::Command;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::{Value, json};

use crate::http;
use crate::tree::root;

/// When it strikes: before a request is carried out, or between that and the answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum When {
    Before,
    After,
}

/// What it does then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Strike {
    /// Sends the program this signal.
    Signal(&'static str),
    /// Gives no answer to this request and to so many that follow.
    Silence(usize),
}

/// What becomes of a pod that is created.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// It ends, and says this.
    Says(String),
    /// Its container waits for this reason.
    Waits(&'static str),
    /// It is refused with this status and message.
    Refused(u16, &'static str),
}

/// What a pod says that looked at a machine; made from facts of `machines-healthy.machines.jsonl`.
const MACHINE: &str = include_str!("machine.txt");

#[derive(Default)]
struct State {
    /// By namespace and name.
    pods: BTreeMap<(String, String), Value>,
    namespaces: BTreeMap<String, Value>,
    /// No namespace goes, because an API does not answer.
    holds_namespaces: bool,
    /// Whether namespaces may not be listed, made or removed.
    refuses_namespaces: bool,
    /// So many pods are refused because a new namespace has no ServiceAccount yet.
    without_account: usize,
    /// The requests that only `probe` makes, in their order.
    seen: Vec<String>,
    plan: Option<(usize, When, Strike)>,
    silent: usize,
    pid: Option<u32>,
}

/// The server. It lives as long as the test.
pub(super) struct Fake {
    port: u16,
    state: Arc<Mutex<State>>,
}

impl Fake {
    /// Starts one that answers from this recording.
    pub(super) fn start(recording: &str, fate: Fate) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let state: Arc<Mutex<State>> = Arc::default();
        let answers = Arc::new(http::recorded(&root().join("tests/recordings").join(recording)));
        let shared = Arc::clone(&state);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (state, answers, fate) = (Arc::clone(&shared), Arc::clone(&answers), fate.clone());
                std::thread::spawn(move || serve(&stream, &state, &answers, &fate));
            }
        });
        Self { port, state }
    }

    /// The kubeconfig of it.
    pub(super) fn kubeconfig(&self) -> String {
        format!(
            "apiVersion: v1\nkind: Config\ncurrent-context: lab\n\
             contexts: [{{name: lab, context: {{cluster: lab, user: lab}}}}]\n\
             clusters: [{{name: lab, cluster: {{server: \"http://127.0.0.1:{}\"}}}}]\n\
             users: [{{name: lab, user: {{}}}}]\n",
            self.port
        )
    }

    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }

    /// Strikes at the request of this number, from 1.
    pub(super) fn strike_at(&self, number: usize, when: When, strike: Strike) {
        self.state().plan = Some((number, when, strike));
    }

    /// The process that signals go to.
    pub(super) fn strikes(&self, pid: u32) {
        self.state().pid = Some(pid);
    }

    /// The names of the pods that are there.
    pub(super) fn pods(&self) -> Vec<String> {
        self.state().pods.keys().map(|(_, name)| name.clone()).collect()
    }

    /// The names of the namespaces that are there.
    pub(super) fn namespaces(&self) -> Vec<String> {
        self.state().namespaces.keys().cloned().collect()
    }

    /// From now on no namespace goes by itself, as where the Metrics API does not answer.
    pub(super) fn hold_namespaces(&self) {
        self.state().holds_namespaces = true;
    }

    /// So many pods are refused because their namespace has no ServiceAccount yet.
    pub(super) fn withhold_account(&self, count: usize) {
        self.state().without_account = count;
    }

    /// Lets nobody list, make or remove a namespace.
    pub(super) fn refuse_namespaces(&self) {
        self.state().refuses_namespaces = true;
    }

    /// Puts a pod there.
    pub(super) fn put(&self, pod: Value) {
        let key = key(&pod);
        self.state().pods.insert(key, pod);
    }

    /// Puts a namespace there.
    pub(super) fn put_namespace(&self, mut namespace: Value) {
        let name = namespace["metadata"]["name"].as_str().expect("a name").to_owned();
        namespace["spec"] = json!({"finalizers": ["kubernetes"]});
        self.state().namespaces.insert(name, namespace);
    }

    /// The requests that only `probe` makes.
    pub(super) fn seen(&self) -> Vec<String> {
        self.state().seen.clone()
    }
}

/// Namespace and name.
fn key(pod: &Value) -> (String, String) {
    let word = |field: &str| pod["metadata"][field].as_str().unwrap_or_default().to_owned();
    (word("namespace"), word("name"))
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

fn serve(
    stream: &TcpStream,
    state: &Mutex<State>,
    answers: &BTreeMap<String, (u64, Value)>,
    fate: &Fate,
) -> Option<()> {
    let (method, path, body) = http::read(stream)?;
    let own = path.contains("metrics-preflight%2Fprobe")
        || method == "DELETE"
        || (method == "POST" && (path.ends_with("/pods") || path == NAMESPACES))
        || path.ends_with("/finalize");
    let strike = own.then(|| reached(state, &method)).flatten();
    if strike == Some((When::Before, Strike::Signal("KILL"))) {
        strike_now(state, "KILL");
        return None;
    }
    if let Some((When::Before, Strike::Signal(signal))) = strike {
        strike_now(state, signal);
    }
    let is_silent = own && {
        let mut state = lock(state);
        let is_silent = state.silent > 0;
        state.silent = state.silent.saturating_sub(1);
        is_silent
    };
    if is_silent && !matches!(strike, Some((When::After, _))) {
        return None;
    }
    let (status, answer) = if own {
        let mut state = lock(state);
        if path.starts_with(NAMESPACES) && !path.contains("/pods") {
            namespaces(&mut state, &method, &path, body)
        } else {
            pods(&mut state, &method, &path, body, fate)
        }
    } else {
        let absent = (404, json!({"kind": "Status", "status": "Failure", "reason": "NotFound", "code": 404}));
        answers
            .get(&format!("{method} {path}"))
            .cloned()
            .or_else(|| listed(&path, answers))
            .or_else(|| pod(&path, answers))
            .unwrap_or(absent)
    };
    if let Some((When::After, Strike::Signal(signal))) = strike {
        strike_now(state, signal);
    }
    if is_silent {
        return None;
    }
    http::answer(stream, status, &answer)
}

/// A pod out of the list in which it was recorded.
fn pod(path: &str, answers: &BTreeMap<String, (u64, Value)>) -> Option<(u64, Value)> {
    let (_, name) = path.rsplit_once("/pods/")?;
    let lists = answers.iter().filter(|(key, _)| key.contains("/pods?"));
    let mut items = lists.flat_map(|(_, (_, list))| list["items"].as_array().into_iter().flatten());
    let mut pod = items.find(|pod| pod["metadata"]["name"] == name)?.clone();
    // The items of a list do not say what they are.
    pod["kind"] = json!("Pod");
    Some((200, pod))
}

/// What `probe` lists besides, which no `check` has recorded.
fn listed(path: &str, answers: &BTreeMap<String, (u64, Value)>) -> Option<(u64, Value)> {
    let (plain, _) = path.split_once('?')?;
    if plain.starts_with("/apis/apps/") || plain.ends_with("/networkpolicies") || plain.ends_with("/services")
    {
        return Some((200, json!({"kind": "List", "metadata": {}, "items": []})));
    }
    let slices = "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices";
    (plain == slices)
        .then(|| (200, json!({"kind": "EndpointSliceList", "metadata": {}, "items": []})))
        .or_else(|| answers.get(&format!("GET {plain}")).cloned())
}

/// Counts a request, and says whether it is the one to strike at.
fn reached(state: &Mutex<State>, method: &str) -> Option<(When, Strike)> {
    let mut state = lock(state);
    state.seen.push(method.to_owned());
    let (number, when, strike) = state.plan?;
    if state.seen.len() != number {
        return None;
    }
    if let Strike::Silence(count) = strike {
        state.silent = count;
    }
    Some((when, strike))
}

fn strike_now(state: &Mutex<State>, signal: &str) {
    // The process is known a moment after it was started.
    for _ in 0..100 {
        if let Some(pid) = lock(state).pid {
            let sent = Command::new("kill").args([format!("-{signal}"), pid.to_string()]).status();
            assert!(sent.is_ok_and(|status| status.success()), "the signal was not sent");
            // The program has to have caught it before it is answered, however busy this machine is.
            std::thread::sleep(std::time::Duration::from_millis(400));
            return;
        }
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
}

const NAMESPACES: &str = "/api/v1/namespaces";

fn absent() -> (u64, Value) {
    (404, json!({"kind": "Status", "status": "Failure", "reason": "NotFound"}))
}

/// Those that carry the mark of the run that the selector names, or of any.
fn marked<'o>(path: &str, objects: impl Iterator<Item = &'o Value>) -> (u64, Value) {
    let run = path.split_once("%3D").map(|(_, run)| run);
    let is_of =
        |it: &&Value| run.is_none_or(|run| it["metadata"]["labels"]["metrics-preflight/probe"] == run);
    let items: Vec<&Value> = objects.filter(is_of).collect();
    (200, json!({"kind": "List", "metadata": {}, "items": items}))
}

fn namespaces(state: &mut State, method: &str, path: &str, mut body: Value) -> (u64, Value) {
    if state.refuses_namespaces {
        return (403, json!({"kind": "Status", "message": "namespaces is forbidden"}));
    }
    let name = path.strip_prefix(NAMESPACES).unwrap_or_default().trim_start_matches('/');
    let name = name.trim_end_matches("/finalize").to_owned();
    match method {
        "POST" => {
            let name = body["metadata"]["name"].as_str().unwrap_or_default().to_owned();
            body["metadata"]["resourceVersion"] = json!("7");
            body["status"] = json!({"phase": "Active"});
            body["spec"] = json!({"finalizers": ["kubernetes"]});
            state.namespaces.insert(name, body.clone());
            (201, body)
        }
        "DELETE" if !state.namespaces.contains_key(&name) => absent(),
        "DELETE" => {
            state.pods.retain(|(namespace, _), _| *namespace != name);
            if !state.holds_namespaces {
                state.namespaces.remove(&name);
            } else if let Some(there) = state.namespaces.get_mut(&name) {
                there["metadata"]["deletionTimestamp"] = json!("2020-01-01T00:00:00Z");
                let condition =
                    |kind: &str, status: &str| json!({"type": kind, "status": status, "message": kind});
                there["status"] = json!({"phase": "Terminating", "conditions": [
                    condition("NamespaceDeletionDiscoveryFailure", "True"),
                    condition("NamespaceDeletionGroupVersionParsingFailure", "False"),
                    condition("NamespaceDeletionContentFailure", "False"),
                    condition("NamespaceContentRemaining", "False"),
                    condition("NamespaceFinalizersRemaining", "False"),
                ]});
            }
            (200, json!({"kind": "Namespace"}))
        }
        "PUT" => match state.namespaces.get(&name) {
            Some(there) if there["metadata"]["deletionTimestamp"].is_string() => {
                state.namespaces.remove(&name);
                (200, json!({"kind": "Namespace"}))
            }
            Some(_) => (409, json!({"kind": "Status", "message": "nobody has asked it to go"})),
            None => absent(),
        },
        _ => marked(path, state.namespaces.values()),
    }
}

/// The states in which the containers of a pod are.
fn containers(pod: &Value, fate: &Fate) -> Vec<Value> {
    let all = pod["spec"]["containers"].as_array().cloned().unwrap_or_default();
    let ended = |message: &str| {
        json!({"terminated": {"reason": "Completed", "exitCode": 0, "message": message,
                              "finishedAt": "2020-01-01T00:00:00Z"}})
    };
    let state = |container: &Value| match (fate, container["args"][0].as_str()) {
        (Fate::Waits(reason), _) => json!({"waiting": {"reason": reason, "message": "no such image"}}),
        (Fate::Says(_), Some("probe-machine")) => ended(MACHINE.trim()),
        (Fate::Says(_), Some("probe-page")) => ended(""),
        (Fate::Says(message), _) => ended(message),
        (Fate::Refused(..), _) => Value::Null,
    };
    all.iter().map(|container| json!({"name": container["name"], "state": state(container)})).collect()
}

fn pods(state: &mut State, method: &str, path: &str, mut body: Value, fate: &Fate) -> (u64, Value) {
    let refused = |status: u16, message: &str| {
        (u64::from(status), json!({"kind": "Status", "status": "Failure", "message": message}))
    };
    match method {
        "POST" => {
            if let Fate::Refused(status, message) = fate {
                return refused(*status, message);
            }
            let key = key(&body);
            let is_own = key.0.starts_with("metrics-preflight-probe-");
            if is_own && !state.namespaces.contains_key(&key.0) {
                return refused(404, "the namespace is not there");
            }
            if is_own && state.without_account > 0 {
                state.without_account -= 1;
                return refused(
                    403,
                    "pods \"x\" is forbidden: error looking up service account x/default: serviceaccount \"default\" not found",
                );
            }
            body["metadata"]["uid"] = json!(format!("uid-of-{}", key.1));
            body["status"] = json!({"phase": "Pending", "containerStatuses": containers(&body, fate)});
            state.pods.insert(key, body.clone());
            (201, body)
        }
        "DELETE" => {
            let mut words = path.rsplit('/');
            let (name, namespace) = (words.next().unwrap_or_default(), words.nth(1).unwrap_or_default());
            match state.pods.remove(&(namespace.to_owned(), name.to_owned())) {
                Some(pod) => (200, pod),
                None => absent(),
            }
        }
        _ => {
            let namespace = path.strip_prefix("/api/v1/namespaces/").and_then(|rest| rest.split('/').next());
            let pods = state.pods.iter();
            let pods = pods.filter(|((own, _), _)| namespace.is_none_or(|namespace| namespace == own));
            marked(path, pods.map(|(_, pod)| pod))
        }
    }
}
