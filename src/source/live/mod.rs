//! The cluster, asked now.

mod any_server;
mod auth;
mod error;
mod exec;
mod instance;
mod kubelet;
#[cfg(target_os = "linux")]
mod prove;
mod proxy;
mod stack;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use http::HeaderMap;
use http::header::{CONTENT_TYPE, DATE, RETRY_AFTER};
use jiff::{SignedDuration, Timestamp, TimestampRound, Unit};
use kube::config::AuthInfo;
use serde_json::Value;
use tokio::sync::{OnceCell, Semaphore};
use tokio_rustls::rustls::crypto::ring;

use super::dry_run;
use super::guard;
use super::observation::{Body, Connection, FailureKind, Observation, Outcome};
use super::recording::LINE_LIMIT;
use super::redact::{self, LogFilter, Redacted};
use super::request::{Host, Method, Request, canonical};
use auth::{Environment, Target};
use instance::Instances;
use stack::{Answer, Failure};

pub use error::ConnectError;
pub(crate) use kubelet::is_forbidden;
#[cfg(target_os = "linux")]
pub use kubelet::recorded_handshake;
#[cfg(target_os = "linux")]
pub use prove::prove;
pub(crate) use stack::{Client, Guard};

/// How often an answer of 429 (the API server's priority and fairness turned the request away) is asked again.
const RETRIES: usize = 2;
/// The longest that is waited between, whatever `Retry-After` says.
const RETRY_WAIT: Duration = Duration::from_secs(2);

/// Is told of each observation as soon as it is made.
#[derive(Clone, Default)]
pub struct Watcher(Option<Arc<Watch>>);

type Watch = dyn Fn(&Observation) + Send + Sync;

impl Watcher {
    /// Calls this with each observation.
    pub fn new(watch: impl Fn(&Observation) + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(watch)))
    }

    fn tell(&self, observation: &Observation) {
        if let Self(Some(watch)) = self {
            watch(observation);
        }
    }
}

impl fmt::Debug for Watcher {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(if self.0.is_some() { "Watcher" } else { "nobody" })
    }
}

/// How to reach the cluster.
#[derive(Clone, Debug)]
pub struct ConnectOptions {
    /// `--kubeconfig`; without it `KUBECONFIG`, then `~/.kube/config`, then the service account of the pod.
    pub kubeconfig: Option<PathBuf>,
    /// `--context`; without it the kubeconfig's current context.
    pub context: Option<String>,
    /// The time limit of each request to the API server, answer included.
    pub timeout: Duration,
    /// How many requests to the API server are under way at a time.
    pub concurrency: usize,
    /// How many kubelets are dialled at a time.
    pub kubelet_concurrency: usize,
    /// What a container log is turned into; the log itself is never kept.
    pub log_filter: LogFilter,
    /// Who is told of each request.
    pub watcher: Watcher,
}

impl Default for ConnectOptions {
    fn default() -> Self {
        Self {
            kubeconfig: None,
            context: None,
            timeout: Duration::from_secs(10),
            concurrency: 8,
            kubelet_concurrency: 64,
            log_filter: redact::no_logs,
            watcher: Watcher::default(),
        }
    }
}

/// A way to the API server of a kubeconfig through which more may leave than what only reads: as much as `guard` lets
/// through. For `src/probe` and `src/config_map.rs` alone; a test looks for other callers.
pub(crate) async fn guarded_client(options: &ConnectOptions, guard: Guard) -> Result<Client, ConnectError> {
    let environment = Environment::of_this_process();
    let target = auth::find(options.kubeconfig.as_deref(), options.context.as_deref(), &environment).await?;
    let Target { server, prefix, config, authorization, proxy, .. } = target;
    Client::new(server, prefix, &config, authorization, proxy.as_ref(), options.timeout, guard)
}

/// A request's observation, once there is one.
type Seen = Arc<OnceCell<Arc<Observation>>>;

/// The API server of a kubeconfig, and its kubelets without credentials.
#[derive(Debug)]
pub struct Live {
    connection: Connection,
    client: Client,
    anonymous: Client,
    instances: Instances,
    api_permits: Semaphore,
    kubelet_permits: Semaphore,
    log_filter: LogFilter,
    watcher: Watcher,
    clock: Mutex<Clock>,
    seen: Mutex<BTreeMap<String, Seen>>,
    masked: AtomicU64,
}

/// What is known of the time.
#[derive(Clone, Copy, Debug)]
struct Clock {
    started: Timestamp,
    /// The first `Date` of the API server, and its clock less ours.
    first: Option<(Timestamp, SignedDuration)>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Nothing that can panic runs under these locks, so a poisoned one holds whole data.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Live {
    /// Finds the cluster and the credential. Runs a credential plugin where the kubeconfig names one; sends nothing.
    ///
    /// # Errors
    /// When the configuration does not lead to a cluster. That the cluster does not answer is no error here: the
    /// first observation says so.
    pub async fn connect(options: ConnectOptions) -> Result<Self, ConnectError> {
        Self::connect_in(options, &Environment::of_this_process()).await
    }

    async fn connect_in(options: ConnectOptions, environment: &Environment) -> Result<Self, ConnectError> {
        // kube takes the process's provider. Where one is installed already this is refused, and that one serves.
        let _ = ring::default_provider().install_default();
        let target =
            auth::find(options.kubeconfig.as_deref(), options.context.as_deref(), environment).await?;
        let Target { server, prefix, config, authorization, proxy, connection } = target;
        let mut anonymous = config.clone();
        anonymous.auth_info = AuthInfo::default();
        let client = |config: &kube::Config, authorization| {
            Client::new(
                server.clone(),
                prefix.clone(),
                config,
                authorization,
                proxy.as_ref(),
                options.timeout,
                stack::read_only,
            )
        };
        let instances =
            Instances::new(&server, &prefix, &config, authorization.clone(), proxy.as_ref(), options.timeout);
        Ok(Self {
            client: client(&config, authorization)?,
            instances,
            anonymous: client(&anonymous, None)?,
            connection,
            api_permits: Semaphore::new(options.concurrency.clamp(1, 64)),
            kubelet_permits: Semaphore::new(options.kubelet_concurrency.clamp(1, 512)),
            log_filter: options.log_filter,
            watcher: options.watcher,
            clock: Mutex::new(Clock { started: milliseconds(Timestamp::now()), first: None }),
            seen: Mutex::default(),
            masked: AtomicU64::new(0),
        })
    }

    pub(super) async fn ask(&self, request: Request) -> Arc<Observation> {
        let seen = Arc::clone(lock(&self.seen).entry(request.key()).or_default());
        let observation = seen.get_or_init(|| async {
            let outcome = self.observe(&request).await;
            let observation = Observation { request, seen_at: self.time(), outcome };
            self.watcher.tell(&observation);
            Arc::new(observation)
        });
        Arc::clone(observation.await)
    }

    /// Adds what was seen elsewhere: a request for it is answered from there.
    pub(super) fn add(&self, observations: Vec<Observation>) {
        for observation in observations {
            let key = observation.request.key();
            lock(&self.seen).insert(key, Arc::new(OnceCell::from(Arc::new(observation))));
        }
    }

    async fn observe(&self, request: &Request) -> Outcome {
        match request {
            Request::Api { method, path, body } => {
                if let Err(refused) = guard::check(method.as_str(), path) {
                    return self.failed(Failure::new(FailureKind::Blocked, refused.to_string()));
                }
                self.api(&self.client, *method, path, body.as_ref()).await
            }
            Request::DryRun { path, object } => self.dry_run(path, object).await,
            Request::AnonymousApi { method, path, body } => {
                if *method != Method::Post || path != guard::ANONYMOUS_REVIEW {
                    let message = format!(
                        "refused before it was sent: without a credential only {} is asked",
                        guard::ANONYMOUS_REVIEW
                    );
                    return self.failed(Failure::new(FailureKind::Blocked, message));
                }
                self.api(&self.anonymous, *method, path, body.as_ref()).await
            }
            Request::ApiServer { address, port, path } => self.api_server(address, *port, path).await,
            Request::KubeletHandshake { address, port } => {
                let _permit = self.kubelet_permits.acquire().await;
                kubelet::handshake(address, *port).await
            }
            // What was seen from within is added, never asked from here.
            Request::Fact { .. } => Outcome::NotRecorded,
            Request::KubeletAnonymousGet { address, port, path } => {
                let _permit = self.kubelet_permits.acquire().await;
                kubelet::anonymous_get(address, *port, path).await
            }
        }
    }

    /// Asks one kube-apiserver of several at its own address.
    async fn api_server(&self, address: &Host, port: u16, path: &str) -> Outcome {
        if !guard::INSTANCE_PATHS.contains(&path) {
            let message = format!("refused before it was sent: no single kube-apiserver is asked for {path}");
            return self.failed(Failure::new(FailureKind::Blocked, message));
        }
        let _permit = self.api_permits.acquire().await;
        match self.instances.get(address, port, path).await {
            Ok(answer) => self.response(path, &answer, date(&answer.headers)),
            Err(failure) => self.failed(failure),
        }
    }

    /// Of an object that would be taken nothing is kept: the API server gives it back with its defaults.
    async fn dry_run(&self, path: &str, object: &Value) -> Outcome {
        let target = match dry_run::Target::of(path) {
            Ok(target) => target,
            Err(refused) => return self.failed(Failure::new(FailureKind::Blocked, refused.to_string())),
        };
        // The semaphore is never closed.
        let _permit = self.api_permits.acquire().await;
        let answer = match self.client.dry_run(&target, &canonical(object)).await {
            Err(failure) => return self.failed(failure),
            Ok(answer) => answer,
        };
        if (200..300).contains(&answer.status) {
            let (content_type, date) = (String::new(), date(&answer.headers));
            return Outcome::Response { status: answer.status, content_type, date, body: Body::None };
        }
        self.response(path, &answer, date(&answer.headers))
    }

    async fn api(&self, client: &Client, method: Method, path: &str, body: Option<&Value>) -> Outcome {
        // The semaphore is never closed.
        let _permit = self.api_permits.acquire().await;
        let body = body.map(canonical);
        let mut retries = 0;
        loop {
            let before = Timestamp::now();
            let answer = match client.send(method.as_str(), path, body.as_deref()).await {
                Err(failure) => return self.failed(failure),
                Ok(answer) => answer,
            };
            let date = date(&answer.headers);
            if let Some(date) = date.filter(|_| is_own_answer(path)) {
                self.set_clock(date, before, Timestamp::now());
            }
            if answer.status == 429 && retries < RETRIES {
                retries += 1;
                tokio::time::sleep(retry_after(&answer.headers)).await;
                continue;
            }
            return self.response(path, &answer, date);
        }
    }

    fn response(&self, path: &str, answer: &Answer, date: Option<Timestamp>) -> Outcome {
        let bytes = self.without_credential(&answer.bytes);
        let Redacted { body, masked } = redact::body(path, answer.status, &bytes, self.log_filter);
        self.masked.fetch_add(masked, Ordering::Relaxed);
        // What could not be read back from a recording is not seen live either.
        if answer.bytes.len() > LINE_LIMIT / 4
            && let Body::Json(value) = &body
            && canonical(value).len() > LINE_LIMIT - (64 << 10)
        {
            let message =
                format!("the answer is larger than {} MiB; ask for smaller pages", LINE_LIMIT >> 20);
            return self.failed(Failure::new(FailureKind::Other, message));
        }
        let content_type = answer
            .headers
            .get(CONTENT_TYPE)
            .map(|value| self.without_credential(value.as_bytes()))
            .and_then(|value| str::from_utf8(&value).ok().map(str::to_owned))
            .map(|value| value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase())
            .unwrap_or_default();
        let (content_type, masked) = redact::message(content_type.get(..100).unwrap_or(&content_type));
        self.masked.fetch_add(masked, Ordering::Relaxed);
        Outcome::Response { status: answer.status, content_type, date, body }
    }

    /// What came without our own credential, which a server may repeat in its answer.
    fn without_credential<'b>(&self, bytes: &'b [u8]) -> Cow<'b, [u8]> {
        let Some(secret) = self.client.secret() else { return Cow::Borrowed(bytes) };
        let mut rest = bytes;
        let mut kept = Vec::new();
        while let Some(at) = find(rest, secret) {
            kept.extend_from_slice(&rest[..at]);
            kept.extend_from_slice(redact::sweep::MASKED.as_bytes());
            rest = &rest[at + secret.len()..];
            self.masked.fetch_add(1, Ordering::Relaxed);
        }
        if kept.is_empty() {
            return Cow::Borrowed(bytes);
        }
        kept.extend_from_slice(rest);
        Cow::Owned(kept)
    }

    fn failed(&self, Failure { kind, message }: Failure) -> Outcome {
        let (message, masked) = redact::message(&message);
        self.masked.fetch_add(masked, Ordering::Relaxed);
        Outcome::Failed { kind, message }
    }

    fn set_clock(&self, date: Timestamp, before: Timestamp, after: Timestamp) {
        let mut clock = lock(&self.clock);
        if clock.first.is_none() {
            clock.first = Some((date, offset(date, before, after)));
        }
    }

    /// The present on the API server's clock as far as it is known.
    fn time(&self) -> Timestamp {
        let offset = self.clock_offset().unwrap_or_default();
        let now = Timestamp::now();
        milliseconds(now.checked_add(offset).unwrap_or(now))
    }

    pub(super) fn observations(&self) -> Vec<Arc<Observation>> {
        lock(&self.seen).values().filter_map(|seen| seen.get().map(Arc::clone)).collect()
    }

    pub(super) fn now(&self) -> Timestamp {
        let clock = *lock(&self.clock);
        clock.first.map_or(clock.started, |(date, _)| date)
    }

    pub(super) fn clock_offset(&self) -> Option<SignedDuration> {
        lock(&self.clock).first.map(|(_, offset)| offset)
    }

    pub(super) fn connection(&self) -> &Connection {
        &self.connection
    }

    pub(super) fn masked(&self) -> u64 {
        self.masked.load(Ordering::Relaxed)
    }
}

/// Where the one text begins in the other.
fn find(text: &[u8], part: &[u8]) -> Option<usize> {
    let first = part.first()?;
    let last = text.len().checked_sub(part.len())?;
    let mut from = 0;
    while from <= last {
        let at = from + text[from..=last].iter().position(|byte| byte == first)?;
        if text[at..].starts_with(part) {
            return Some(at);
        }
        from = at + 1;
    }
    None
}

/// How far a clock that said `date` between these two moments is ahead of ours, in whole seconds.
fn offset(date: Timestamp, before: Timestamp, after: Timestamp) -> SignedDuration {
    // A Date is cut to the second; in the middle it was half a second later than it says.
    let here = i128::midpoint(before.as_nanosecond(), after.as_nanosecond());
    let offset = date.as_nanosecond() + 500_000_000 - here;
    // Timestamps lie within years -9999 to 9999, whose seconds fit.
    let seconds = i64::try_from((offset + offset.signum() * 500_000_000) / 1_000_000_000).unwrap_or_default();
    SignedDuration::from_secs(seconds)
}

fn milliseconds(time: Timestamp) -> Timestamp {
    time.round(TimestampRound::new().smallest(Unit::Millisecond)).unwrap_or(time)
}

fn date(headers: &HeaderMap) -> Option<Timestamp> {
    jiff::fmt::rfc2822::DateTimeParser::new().parse_timestamp(headers.get(DATE)?.as_bytes()).ok()
}

/// Whether the API server wrote the answer itself. One that it only passes on, of an aggregated server or a kubelet,
/// carries that server's `Date`.
fn is_own_answer(path: &str) -> bool {
    let path = path.split('?').next().unwrap_or_default();
    let own_groups =
        ["apiregistration.k8s.io", "authentication.k8s.io", "authorization.k8s.io", "apps", "autoscaling"];
    match path.strip_prefix("/apis/") {
        Some(rest) => own_groups.contains(&rest.split('/').next().unwrap_or_default()),
        None => !path.ends_with("/log") && !path.contains("/proxy/"),
    }
}

/// `Retry-After` in seconds, one second without it, and never more than [`RETRY_WAIT`].
fn retry_after(headers: &HeaderMap) -> Duration {
    let seconds =
        headers.get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.trim().parse().ok()).unwrap_or(1);
    Duration::from_secs(seconds).min(RETRY_WAIT)
}

#[cfg(test)]
mod tests;
