//! A value that was looked at: seen, or not seen and why.

use serde::{Deserialize, Serialize};

use super::need::Need;

/// The index of a request in [`super::Evidence::requests`].
pub type RequestId = usize;

/// One thing that the tool set out to look at.
///
/// A check reaches the value only through [`crate::Context::need`], which turns "not seen" into
/// "undecided"; so "could not look" can never become "fine". Something that is absent from the
/// cluster is a value that was seen: `Obs<Option<T>>` with `None`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Obs<T> {
    /// What was looked for; from it follow the permissions that a check needs.
    pub need: Need,
    /// The requests whose answers the value was read from.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub from: Vec<RequestId>,
    /// The value, or why there is none.
    pub look: Look<T>,
}

/// The outcome of looking.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Look<T> {
    /// It was seen, and this is what it is.
    Seen(T),
    /// It was not seen.
    Unseen(Why),
}

impl<T> Obs<T> {
    /// A value read from the answers of `from`.
    pub fn seen(need: Need, from: impl Into<Vec<RequestId>>, value: T) -> Self {
        Self { need, from: from.into(), look: Look::Seen(value) }
    }

    /// A value that could not be seen; `from` names the requests that failed.
    pub fn unseen(need: Need, from: impl Into<Vec<RequestId>>, why: Why) -> Self {
        Self { need, from: from.into(), look: Look::Unseen(why) }
    }

    /// Applies `f` to a seen value; what was not seen stays so.
    pub fn map<U>(self, need: Need, f: impl FnOnce(T) -> U) -> Obs<U> {
        let look = match self.look {
            Look::Seen(value) => Look::Seen(f(value)),
            Look::Unseen(why) => Look::Unseen(why),
        };
        Obs { need, from: self.from, look }
    }

    /// The value for building further evidence. Checks use [`crate::Context::need`] instead.
    #[must_use]
    pub fn peek(&self) -> Option<&T> {
        match &self.look {
            Look::Seen(value) => Some(value),
            Look::Unseen(_) => None,
        }
    }
}

/// Why something was not seen.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Why {
    /// Nobody looked, because it was switched off or because what leads to it is missing.
    NotAsked(String),
    /// The recording holds no answer to the request.
    NotRecorded,
    /// The API server refused; `verb` on `resource` would decide it.
    Forbidden {
        /// The RBAC verb that is lacking.
        verb: String,
        /// The RBAC resource, as `resource.group` or `resource/subresource`.
        resource: String,
    },
    /// The caller's credential was not accepted.
    Unauthorized,
    /// Nothing answered before the deadline.
    TimedOut(String),
    /// The connection was refused or could not be made.
    Unreachable(String),
    /// The cluster or its version does not offer it.
    Unsupported(String),
    /// The answer was not what the API promises.
    Unreadable(String),
    /// Above the limit of what is looked at one by one.
    NotSampled,
    /// Another fault hides it.
    Masked(String),
    /// What is to be seen needs more time.
    TooEarly(String),
    /// Only what runs after the deploy can show it.
    Deferred(String),
    /// The user who looked may not look there; what it takes.
    NotPermitted(String),
    /// What would show it is not on that machine, such as a program.
    Lacking(String),
    /// It was seen too long ago to say what is now.
    Outdated(String),
    /// A rule of the user cannot be evaluated on what was seen.
    RuleFailed(String),
}

impl std::fmt::Display for Why {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::NotAsked(because) => write!(f, "not looked at: {because}"),
            Self::NotRecorded => write!(f, "not in the recording"),
            Self::Forbidden { verb, resource } => write!(f, "not permitted: needs `{verb}` on `{resource}`"),
            Self::Unauthorized => write!(f, "the credential was not accepted"),
            Self::TimedOut(what) => write!(f, "no answer in time from {what}"),
            Self::Unreachable(what) => write!(f, "not reachable from here: {what}"),
            Self::Unsupported(what) => write!(f, "not offered by this cluster: {what}"),
            Self::Unreadable(what) => write!(f, "unreadable answer: {what}"),
            Self::NotSampled => write!(f, "not sampled"),
            Self::Masked(by) => write!(f, "hidden by {by}"),
            Self::Deferred(what) => write!(f, "only the deploy will show: {what}"),
            Self::TooEarly(what) => write!(f, "too early to tell: {what}"),
            Self::NotPermitted(what) => write!(f, "not permitted there: {what}"),
            Self::Lacking(what) => write!(f, "not there to be asked: {what}"),
            Self::Outdated(when) => write!(f, "seen too long ago: {when}"),
            Self::RuleFailed(why) => write!(f, "the rule cannot be evaluated: {why}"),
        }
    }
}
