//! Asking a source and keeping count: every answer gets the number by which citations name it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use checks::evidence::{Look, Need, Obs, RequestId, RequestSeen, Why};
use serde_json::Value;

use crate::source::{Body, FailureKind, Observation, Outcome, Request, Source};

/// The most pages that are read of one list: 100,000 objects at 500 a page.
const MAX_PAGES: usize = 200;

/// A source, and the requests that were made of it so far.
pub(super) struct Asker<'s> {
    source: &'s Source,
    seen: Mutex<Numbered>,
}

/// Requests, and the number of each by its text.
#[derive(Default)]
struct Numbered {
    list: Vec<RequestSeen>,
    numbers: HashMap<String, RequestId>,
}

/// An answer and its number.
pub(super) struct Asked {
    /// The number.
    pub(super) id: RequestId,
    /// The answer.
    pub(super) observation: Arc<Observation>,
}

impl<'s> Asker<'s> {
    pub(super) fn new(source: &'s Source) -> Self {
        Self { source, seen: Mutex::default() }
    }

    /// Asks one thing.
    pub(super) async fn ask(&self, request: Request) -> Asked {
        let observation = self.source.ask(request).await;
        self.number(observation)
    }

    /// Asks several things at a time; the numbers follow the order of the requests.
    pub(super) async fn all(&self, requests: Vec<Request>) -> Vec<Asked> {
        let answers =
            futures::future::join_all(requests.into_iter().map(|request| self.source.ask(request))).await;
        answers.into_iter().map(|observation| self.number(observation)).collect()
    }

    /// Reads a list page by page. The numbers of all pages come with it.
    pub(super) async fn list(&self, path: &str, verb_on: &str) -> Listed {
        let join = if path.contains('?') { '&' } else { '?' };
        let mut from = Vec::new();
        let mut items = Vec::new();
        let mut token: Option<String> = None;
        for _ in 0..MAX_PAGES {
            let next = token.as_deref().map(crate::source::guard::query_value);
            let page = next.map_or_else(
                || format!("{path}{join}limit=500"),
                |next| format!("{path}{join}limit=500&continue={next}"),
            );
            let asked = self.ask(Request::get(page)).await;
            from.push(asked.id);
            let Some(body) = asked.observation.json() else {
                return Listed { from, items: Err(why(&asked.observation, "list", verb_on)) };
            };
            items.extend(body["items"].as_array().into_iter().flatten().cloned());
            token =
                body["metadata"]["continue"].as_str().filter(|token| !token.is_empty()).map(str::to_owned);
            if token.is_none() {
                return Listed { from, items: Ok(items) };
            }
        }
        Listed { from, items: Err(Why::Unreadable(format!("more than {MAX_PAGES} pages of {verb_on}"))) }
    }

    fn number(&self, observation: Arc<Observation>) -> Asked {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let request = observation.request.key();
        let known = seen.numbers.get(&request).copied();
        let id = known.unwrap_or_else(|| {
            let id = seen.list.len();
            seen.numbers.insert(request.clone(), id);
            seen.list.push(RequestSeen { request, seen_at: observation.seen_at });
            id
        });
        Asked { id, observation }
    }

    /// The requests that were made, by number.
    pub(super) fn into_requests(self) -> Vec<RequestSeen> {
        self.seen.into_inner().unwrap_or_else(PoisonError::into_inner).list
    }
}

/// A list, or why there is none.
pub(super) struct Listed {
    /// The numbers of its pages.
    pub(super) from: Vec<RequestId>,
    /// Its items.
    pub(super) items: Result<Vec<Value>, Why>,
}

impl Listed {
    /// The items, each read by `read`; what it cannot read is left out.
    pub(super) fn each<T>(self, need: Need, read: impl Fn(&Value) -> Option<T>) -> Obs<Vec<T>> {
        let look = match self.items {
            Ok(items) => Look::Seen(items.iter().filter_map(read).collect()),
            Err(why) => Look::Unseen(why),
        };
        Obs { need, from: self.from, look }
    }
}

impl Asked {
    /// The body of a successful answer, read by `read`.
    pub(super) fn read<T>(
        &self,
        need: Need,
        verb: &str,
        resource: &str,
        read: impl FnOnce(&Value) -> Option<T>,
    ) -> Obs<T> {
        match self.observation.json() {
            Some(body) => match read(body) {
                Some(value) => Obs::seen(need, [self.id], value),
                None => {
                    Obs::unseen(need, [self.id], Why::Unreadable(format!("{resource}: a field is missing")))
                }
            },
            None => Obs::unseen(need, [self.id], why(&self.observation, verb, resource)),
        }
    }

    /// The same, where 404 means that the object is absent.
    pub(super) fn find<T>(
        &self,
        need: Need,
        verb: &str,
        resource: &str,
        read: impl FnOnce(&Value) -> Option<T>,
    ) -> Obs<Option<T>> {
        if self.status() == Some(404) {
            return Obs::seen(need, [self.id], None);
        }
        self.read(need, verb, resource, |body| read(body).map(Some))
    }

    /// The HTTP status, where there was a response.
    pub(super) fn status(&self) -> Option<u16> {
        self.observation.response().map(|(status, _)| status)
    }

    /// Whether a Status object names the object that it is about: `404` of an object that is absent does,
    /// `404` of a path that is not served does not.
    pub(super) fn names_an_object(&self) -> bool {
        let status = self.observation.status_object();
        status.is_some_and(|status| status["details"]["name"].as_str().is_some_and(|name| !name.is_empty()))
    }

    /// The message of a Status object, or the text of the body.
    pub(super) fn message(&self) -> String {
        match self.observation.response() {
            Some((_, Body::Json(value))) => value["message"].as_str().unwrap_or_default().to_owned(),
            Some((_, Body::Text(text))) => text.trim().to_owned(),
            _ => String::new(),
        }
    }
}

/// Why an answer holds no value; `verb` on `resource` is the permission that it takes.
pub(super) fn why(observation: &Observation, verb: &str, resource: &str) -> Why {
    match &observation.outcome {
        Outcome::Response { status: 401, .. } => Why::Unauthorized,
        Outcome::Response { status: 403, .. } => {
            Why::Forbidden { verb: verb.to_owned(), resource: resource.to_owned() }
        }
        Outcome::Response { status: 404, .. } => Why::Unsupported(resource.to_owned()),
        Outcome::Response { status, body, .. } => {
            let message = match body {
                Body::Json(value) => value["message"].as_str().unwrap_or_default(),
                Body::Text(text) => text.trim(),
                Body::None => "",
            };
            let message: String = message.chars().take(300).collect();
            Why::Unreadable(format!("status {status} {message}").trim().to_owned())
        }
        Outcome::Failed { kind: FailureKind::NotPermitted, message } => Why::NotPermitted(message.clone()),
        Outcome::Failed { kind: FailureKind::Lacking, message } => Why::Lacking(message.clone()),
        Outcome::Failed { kind: FailureKind::TimedOut, message } => Why::TimedOut(message.clone()),
        Outcome::Failed { kind: FailureKind::Blocked, message } => Why::NotAsked(message.clone()),
        Outcome::Failed { message, .. } => Why::Unreachable(message.clone()),
        Outcome::NotRecorded => Why::NotRecorded,
        Outcome::Certificates { .. } | Outcome::TlsAlert { .. } | Outcome::NotTls | Outcome::Fact { .. } => {
            Why::Unreadable("not an HTTP answer".to_owned())
        }
    }
}
