//! The machine that this program runs on, or whose root it was given, as a source.
//!
//! `host` asks for the facts by the names of `src/collect/hosts.rs`. They are all looked at once and at the same time, when the
//! source is made, each within its own time, because a machine has no answers that depend on others. What leaves
//! this module is the evidence's own types (`checks/evidence/host.rs`), swept like everything that is observed: no
//! line of a file, no flag but the catalogued ones, no environment but proxies, and of files with keys only their
//! certificates.
//!
//! | file            | what it looks at                                                    |
//! |-----------------|---------------------------------------------------------------------|
//! | `files`         | reading below a root, bounded, and never out of it                  |
//! | `processes`     | who runs, and whose they are                                        |
//! | `units`         | systemd's units and drop-ins, and what they start                   |
//! | `kubelet`       | the kubelet's configuration and certificates                        |
//! | `commands`      | how components are started: the names of their flags, their versions |
//! | `control_plane` | kube-apiserver and kube-controller-manager, front-proxy files       |
//! | `settings`      | the kernel's settings, now and at boot                              |
//! | `packet_filter` | what the kernel's packet filter holds, by the machine's own programs |
//! | `loaders`       | what loads such rules at boot                                       |
//! | `network`       | addresses, routes, listeners                                        |
//! | `clock`         | the clock, against an API server's                                  |
//! | `resolver`      | name servers                                                        |
//! | `runtime`       | the container runtime's cgroup driver                               |
//! | `system`        | who it is, SELinux, proxies                                         |
//! | `swap`          | swap, now and at boot                                               |
//! | `modules`       | modules of the kernel, now and at boot                              |
//! | `at_boot`       | who runs a program at boot                                          |
//! | `dial`          | what an address answers                                             |
//! | `yaml`          | reading YAML, bounded                                               |
//! | `run`           | running a program: fixed directories, no environment, bounded       |

mod at_boot;
mod clock;
mod commands;
mod control_plane;
mod dial;
mod files;
mod kubelet;
mod loaders;
mod modules;
mod network;
mod packet_filter;
mod processes;
mod resolver;
pub(crate) mod run;
mod runtime;
mod settings;
mod swap;
mod system;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
mod units;
mod yaml;

use std::collections::BTreeMap;
use std::future::Future;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use tokio::time::timeout;

use super::observation::{Connection, FailureKind, Observation, Outcome};
use super::redact;
use super::request::Request;
use files::Root;
use processes::Processes;

/// How long files may take: a file system may hang. All of a look stays below 30 seconds.
const FILES: Duration = Duration::from_secs(4);
/// How long all that goes over the network or is asked of programs may take together.
const SLOW: Duration = Duration::from_secs(20);

/// What to look at.
#[derive(Clone, Debug)]
pub struct MachineOptions {
    /// The root file system.
    pub root: PathBuf,
    /// What the machine is called; by default its host name.
    pub name: Option<String>,
    /// `ADDRESS:PORT` to dial.
    pub dials: Vec<String>,
}

/// A machine, and what was seen of it.
#[derive(Debug)]
pub struct Machine {
    name: String,
    taken_at: Timestamp,
    offset: Option<SignedDuration>,
    masked: u64,
    connection: Connection,
    seen: BTreeMap<String, Arc<Observation>>,
    asked: Mutex<BTreeMap<String, Arc<Observation>>>,
}

/// Why something was not seen.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Unseen {
    kind: FailureKind,
    message: String,
}

impl Unseen {
    fn lacking(message: impl Into<String>) -> Self {
        Self { kind: FailureKind::Lacking, message: message.into() }
    }

    fn other(message: impl Into<String>) -> Self {
        Self { kind: FailureKind::Other, message: message.into() }
    }

    /// Why, as a sentence of its own.
    fn words(&self) -> String {
        match self.kind {
            FailureKind::TimedOut => format!("no answer in time from {}", self.message),
            _ => self.message.clone(),
        }
    }
}

/// Something that was looked at.
type Look<T> = Result<T, Unseen>;

/// What all looks share.
#[derive(Debug)]
struct Place {
    root: Root,
    processes: Look<Processes>,
    is_root: bool,
}

impl Place {
    /// Where the network of the machine shows, as files of procfs. `/proc/net` is that of whoever reads.
    fn net(&self, file: &str) -> String {
        if self.root.is_own() { format!("/proc/self/net/{file}") } else { format!("/proc/1/net/{file}") }
    }

    /// Whether this program is in the machine's network, without which settings, rules and dials would be another's.
    fn in_network(&self) -> Look<()> {
        if self.root.is_own() || !self.root.has_procfs() {
            return Ok(());
        }
        let own = std::fs::read_link("/proc/self/ns/net").map(|link| link.to_string_lossy().into_owned());
        match (self.root.link("/proc/1/ns/net"), own) {
            (Ok(theirs), Ok(own)) if theirs == own => Ok(()),
            (Err(files::Unread::Denied(path)), _) => Err(Unseen::denied(&path)),
            _ => Err(Unseen::lacking(
                "this program has a network of its own here, and not the machine's; run it with the host's network \
                 (hostNetwork: true)",
            )),
        }
    }

    /// Whether programs may be asked about the kernel of this root.
    fn has_kernel(&self) -> Look<()> {
        if self.root.is_own() || self.root.has_procfs() {
            return Ok(());
        }
        Err(Unseen::lacking(format!("{} is no running machine: it has no /proc", self.root.shown)))
    }
}

/// The root cannot be opened.
#[derive(Debug, thiserror::Error)]
#[error("cannot open the root {path}: {error}")]
pub struct NoRoot {
    path: String,
    error: std::io::Error,
}

impl Machine {
    /// Looks at a machine.
    ///
    /// # Errors
    /// When its root cannot be opened.
    pub async fn look(options: &MachineOptions) -> Result<Self, NoRoot> {
        let place = open(&options.root).await?;
        let taken_at = milliseconds(Timestamp::now());
        let identity = on_files(&place, system::identity).await;
        let named = options.name.clone().or_else(|| identity.as_ref().ok().map(|seen| seen.hostname.clone()));
        let name =
            named.map(|name| plain(&name)).filter(|name| !name.is_empty()).unwrap_or("machine".to_owned());

        let mut facts = Facts::default();
        facts.keep("identity", identity);
        let (clock, (filters, service_rules), resolver, runtime, commands, dials) = tokio::join!(
            slowly("the clock", clock::look(&place)),
            async {
                if let Ok(seen) = timeout(SLOW, packet_filter::look(&place)).await {
                    seen
                } else {
                    let late = || too_slow("the packet filter", SLOW);
                    (Err(late()), Err(late()))
                }
            },
            slowly("the name servers", resolver::look(&place)),
            slowly("the container runtime", runtime::look(&place)),
            slowly("the command lines", commands::look(&place)),
            dial::all(&place, &options.dials),
        );
        facts.keep("clock", clock);
        facts.keep("packet filter", filters);
        facts.keep("rules for Services", service_rules);
        facts.keep("resolver", resolver);
        facts.keep("container runtime", runtime);
        facts.keep("component flags", commands);
        for (target, dial) in dials {
            facts.keep(&format!("dial {target}"), dial);
        }
        let on_disk = ON_DISK.iter().map(|(fact, look)| {
            let (place, look) = (&place, *look);
            async move { (*fact, on_files(place, move |place| Ok(look(place))).await) }
        });
        for (fact, seen) in futures::future::join_all(on_disk).await {
            match seen {
                Ok((outcome, masked)) => facts.put(fact, outcome, masked),
                Err(unseen) => facts.keep::<()>(fact, Err(unseen)),
            }
        }
        Ok(Self::of(name, taken_at, facts))
    }

    fn of(name: String, taken_at: Timestamp, facts: Facts) -> Self {
        // A clock that somebody untrusted told corrects nothing.
        let clock = facts.outcomes.get("clock").and_then(|outcome| match outcome {
            Outcome::Fact { value } if value["proven"] == true => value["offset_ms"].as_i64(),
            _ => None,
        });
        let offset = clock.map(SignedDuration::from_millis);
        let taken_at = offset.and_then(|offset| taken_at.checked_add(offset).ok()).unwrap_or(taken_at);
        let vantage = format!("host {name}");
        let seen = facts.outcomes.into_iter().map(|(fact, outcome)| {
            let request = Request::fact(vantage.clone(), fact);
            (request.key(), Arc::new(Observation { request, seen_at: taken_at, outcome }))
        });
        Self {
            seen: seen.collect(),
            name,
            taken_at,
            offset: offset.map(|offset| SignedDuration::from_secs(offset.as_secs())),
            masked: facts.masked,
            connection: Connection::default(),
            asked: Mutex::default(),
        }
    }

    /// What the machine is called.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// All that was seen, by the names of the facts.
    #[must_use]
    pub fn facts(&self) -> BTreeMap<String, Outcome> {
        let fact = |seen: &Arc<Observation>| match &seen.request {
            Request::Fact { fact, .. } => Some((fact.clone(), seen.outcome.clone())),
            _ => None,
        };
        self.seen.values().filter_map(fact).collect()
    }

    pub(super) fn ask(&self, request: &Request) -> Arc<Observation> {
        let key = request.key();
        let unknown = || {
            let (request, seen_at) = (request.clone(), self.taken_at);
            Arc::new(Observation { request, seen_at, outcome: Outcome::NotRecorded })
        };
        let seen = self.seen.get(&key).map_or_else(unknown, Arc::clone);
        let mut asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(asked.entry(key).or_insert(seen))
    }

    pub(super) fn add(&mut self, observations: Vec<Observation>) {
        self.seen.extend(observations.into_iter().map(|seen| (seen.request.key(), Arc::new(seen))));
    }

    pub(super) fn observations(&self) -> Vec<Arc<Observation>> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).values().map(Arc::clone).collect()
    }

    pub(super) fn now(&self) -> Timestamp {
        self.taken_at
    }

    pub(super) fn clock_offset(&self) -> Option<SignedDuration> {
        self.offset
    }

    pub(super) fn connection(&self) -> &Connection {
        &self.connection
    }

    pub(super) fn masked(&self) -> u64 {
        self.masked
    }
}

/// What a look comes to, and how many strings the sweep masked in it.
type Swept = (Outcome, u64);

/// A look at files.
type OnDisk = fn(&Place) -> Swept;

/// The facts that files tell.
const ON_DISK: &[(&str, OnDisk)] = &[
    ("settings", |place| outcome(settings::look(place))),
    ("packet filter at boot", |place| outcome(loaders::look(place))),
    ("kubelet process", |place| outcome(kubelet::process(place))),
    ("kubelet unit", |place| outcome(kubelet::unit(place))),
    ("kubelet configuration", |place| outcome(kubelet::file(place))),
    ("kubelet certificates", |place| outcome(kubelet::certificates(place))),
    ("kube-proxy process", |place| outcome(place.process("kube-proxy"))),
    ("kube-apiserver", |place| outcome(control_plane::api_server(place))),
    ("kube-controller-manager", |place| outcome(control_plane::controller_manager(place))),
    ("front-proxy certificates", |place| outcome(control_plane::front_proxy(place))),
    ("swap", |place| outcome(swap::now(place))),
    ("swap at boot", |place| outcome(swap::at_boot(place))),
    ("SELinux", |place| outcome(system::selinux(place))),
    ("proxies", |place| outcome(system::proxies(place))),
    ("listeners", |place| outcome(network::listeners(place))),
    ("routes", |place| outcome(network::routes(place))),
];

/// A look as an outcome.
fn outcome<T: Serialize>(look: Look<T>) -> Swept {
    let mut masked = 0;
    let outcome = match look {
        Ok(value) => {
            let value = serde_json::to_value(value).unwrap_or_default();
            Outcome::Fact { value: redact::sweep::value(value, &mut masked) }
        }
        Err(Unseen { kind, message }) => {
            let (message, count) = redact::message(&message);
            masked += count;
            Outcome::Failed { kind, message }
        }
    };
    (outcome, masked)
}

/// What was seen, by name.
#[derive(Debug, Default)]
struct Facts {
    outcomes: BTreeMap<String, Outcome>,
    masked: u64,
}

impl Facts {
    fn keep<T: Serialize>(&mut self, fact: &str, look: Look<T>) {
        let (outcome, masked) = outcome(look);
        self.put(fact, outcome, masked);
    }

    fn put(&mut self, fact: &str, outcome: Outcome, masked: u64) {
        self.masked += masked;
        self.outcomes.insert(fact.to_owned(), outcome);
    }
}

async fn open(root: &Path) -> Result<Arc<Place>, NoRoot> {
    let path = root.to_path_buf();
    let no_root = |error| NoRoot { path: root.display().to_string(), error };
    let opened = tokio::task::spawn_blocking(move || {
        let root = Root::open(&path)?;
        let processes = Processes::look(&root);
        Ok(Place { root, processes, is_root: rustix::process::geteuid().is_root() })
    });
    let late = || std::io::Error::from(std::io::ErrorKind::TimedOut);
    match timeout(FILES, opened).await {
        Ok(Ok(place)) => place.map(Arc::new).map_err(no_root),
        Ok(Err(_)) | Err(_) => Err(no_root(late())),
    }
}

/// Looks at files, which may lie on a file system that hangs.
async fn on_files<T: Send + 'static>(
    place: &Arc<Place>,
    look: impl FnOnce(&Place) -> Look<T> + Send + 'static,
) -> Look<T> {
    let place = Arc::clone(place);
    match timeout(FILES, tokio::task::spawn_blocking(move || look(&place))).await {
        Ok(Ok(seen)) => seen,
        Ok(Err(error)) => Err(Unseen::other(format!("a defect of this program: {error}"))),
        Err(_) => Err(too_slow("the machine's files", FILES)),
    }
}

async fn slowly<T>(what: &str, look: impl Future<Output = Look<T>>) -> Look<T> {
    timeout(SLOW, look).await.unwrap_or_else(|_| Err(too_slow(what, SLOW)))
}

/// What did not answer in time; the words stand behind "no answer in time from".
fn too_slow(what: &str, limit: Duration) -> Unseen {
    let message = format!("{what}, within {} seconds", limit.as_secs());
    Unseen { kind: FailureKind::TimedOut, message }
}

/// The certificates of PEM blocks, each as base64 of its DER; of anything else in the text nothing is kept.
fn pem_certificates(text: &str) -> Vec<String> {
    let is_base64 = |block: &String| {
        block.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+/=".contains(&byte)) && !block.is_empty()
    };
    crate::collect::pem_certificates(text).into_iter().filter(is_base64).take(32).collect()
}

fn milliseconds(time: Timestamp) -> Timestamp {
    Timestamp::from_millisecond(time.as_millisecond()).unwrap_or(time)
}

/// A name that can stand in a report, a command and a recording.
fn plain(name: &str) -> String {
    let name = name.trim().chars().take(253);
    name.map(|letter| if letter.is_ascii_alphanumeric() || "-._".contains(letter) { letter } else { '-' })
        .collect()
}
