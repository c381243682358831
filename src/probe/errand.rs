//! What pods are sent out for: to look from metrics-server's place, or at the machines beneath. How they are made,
//! awaited, read and removed is the same (`carry`).

use jiff::Timestamp;
use serde_json::Value;

use super::message::Unreadable;
use super::run::Run;

/// Pods of one run in one namespace.
pub trait Errand: Send + Sync + 'static {
    /// What one pod sees.
    type Seen: Clone + Send + 'static;

    /// The run that they are of.
    fn run(&self) -> &Run;

    /// Their namespace.
    fn namespace(&self) -> &str;

    /// The manifest of that namespace, where it is made for this run and goes with it.
    fn own_namespace(&self) -> Option<Value>;

    /// Their names, in order. They are known before anything is made.
    fn names(&self) -> Vec<String>;

    /// The manifest of one of them. The first owns the others, so that they go when it goes.
    fn manifest(&self, place: usize, owner: Option<(&str, &str)>) -> Value;

    /// The image that all of them run.
    fn image(&self) -> &str;

    /// When the kubelet ends them.
    fn deadline_s(&self) -> u64;

    /// The containers, in the order in which what they say belongs together. Without the first there is nothing.
    fn containers(&self) -> &'static [&'static str];

    /// Reads what the containers of one pod said when they ended.
    ///
    /// # Errors
    /// When it is nothing that such a pod says.
    fn read(&self, place: usize, said: &[&str], now: Timestamp) -> Result<Self::Seen, Unreadable>;
}
