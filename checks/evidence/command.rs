//! Beneath the chain: how a component of Kubernetes is started on a machine.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// How a component of Kubernetes is started: by the manifest of a static pod, by a unit of systemd, or as a process of
/// which neither is known.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Command {
    /// Its name, such as `kubelet`.
    pub component: String,
    /// `manifest`, `unit` or `process`: who says the flags.
    pub seen_as: String,
    /// The manifest or the unit's file; empty for a process.
    pub path: String,
    /// The version of Kubernetes that it will start: the tag of its image, or what its program on disk prints; nothing
    /// where neither tells.
    pub version: Option<String>,
    /// The names of its flags, by the file in which they stand; an empty file where that cannot be told. Nothing where
    /// the flags cannot be told, as when a script starts it.
    pub flags: Option<Vec<FlagsIn>>,
    /// Its process; nothing where none runs.
    pub runs: Option<Runs>,
}

/// Flags in a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FlagsIn {
    /// The file.
    pub file: String,
    /// The names of the flags, without their dashes.
    pub names: Vec<String>,
}

/// That a component runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Runs {
    /// The number of its process.
    pub pid: i64,
    /// When it started; nothing where that could not be read.
    pub started: Option<Timestamp>,
    /// The names of the flags that stand in the files and that it was not started with: they were written later.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub without: Vec<String>,
}
