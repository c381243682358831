//! Where observations come from: the live cluster, a recording of one, or the machine that this program runs on.
//!
//! Everything that touches the world passes through [`Source::ask`]. A [`Request`] goes in, an [`Observation`] comes
//! out, always: what could not be asked, was refused by the guard or is missing from a recording is an observation
//! like any other, never an error that a caller could drop. What an observation carries has been redacted by then
//! ([`redact`]), live as well as recorded, so that both give the same bytes to whoever reads them.
//!
//! | file           | what it does                                                        |
//! |----------------|---------------------------------------------------------------------|
//! | `request`      | what can be asked, and the text by which a request is known         |
//! | `observation`  | what came back                                                      |
//! | `guard`        | the read-only rule: what may leave this program at all              |
//! | `dry_run`      | the one request that is no read, and can only be a dry run          |
//! | `live`         | the API server of a kubeconfig, and kubelets without credentials    |
//! | `machine`      | the machine that this program runs on                               |
//! | `recording`    | observations as a file, and a file as a source                      |
//! | `redact`       | the allow-list of fields and flags, and the sweep behind it         |

pub mod dry_run;
pub mod guard;
pub mod live;
#[cfg(target_os = "linux")]
pub mod machine;
pub mod observation;
pub mod recording;
pub mod redact;
pub mod request;

#[cfg(test)]
mod testing;

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};

pub use guard::segment;
pub use live::{ConnectOptions, Live, Watcher};
#[cfg(target_os = "linux")]
pub use machine::{Machine, MachineOptions};
pub use observation::{Body, Connection, FailureKind, Observation, Outcome};
pub use recording::{Header, Recorded, Recording};
pub use request::dial_target;
pub use request::{Host, Request};

/// Where observations come from.
#[derive(Debug)]
pub enum Source {
    /// A cluster, asked now.
    Live(Box<Live>),
    /// A recording, whose time is the recorded time.
    Recorded(Box<Recorded>),
    /// The machine that this program runs on, looked at just now.
    #[cfg(target_os = "linux")]
    Machine(Box<Machine>),
}

#[cfg(target_os = "linux")]
impl From<Machine> for Source {
    fn from(machine: Machine) -> Self {
        Self::Machine(Box::new(machine))
    }
}

impl From<Live> for Source {
    fn from(live: Live) -> Self {
        Self::Live(Box::new(live))
    }
}

impl From<Recorded> for Source {
    fn from(recorded: Recorded) -> Self {
        Self::Recorded(Box::new(recorded))
    }
}

impl From<Recording> for Source {
    fn from(recording: Recording) -> Self {
        Recorded::new(recording).into()
    }
}

impl Source {
    /// Asks once: the same request is answered from that observation for as long as this source lives.
    pub async fn ask(&self, request: Request) -> Arc<Observation> {
        match self {
            Self::Live(live) => live.ask(request).await,
            Self::Recorded(recorded) => recorded.ask(&request),
            #[cfg(target_os = "linux")]
            Self::Machine(machine) => machine.ask(&request),
        }
    }

    /// Adds what was seen from within machines and pods; the same is answered from there from now on.
    pub fn add(&mut self, observations: Vec<Observation>) {
        match self {
            Self::Live(live) => live.add(observations),
            Self::Recorded(recorded) => recorded.add(observations),
            #[cfg(target_os = "linux")]
            Self::Machine(machine) => machine.add(observations),
        }
    }

    /// Every observation that was made, in order of request.
    ///
    /// For a recording these are the observations that were asked for, so that live and replay list the same.
    #[must_use]
    pub fn observations(&self) -> Vec<Arc<Observation>> {
        match self {
            Self::Live(live) => live.observations(),
            Self::Recorded(recorded) => recorded.observations(),
            #[cfg(target_os = "linux")]
            Self::Machine(machine) => machine.observations(),
        }
    }

    /// The time of this run: the `Date` of the API server's first response, and the local clock until there is one.
    /// For a recording, the recorded time. It does not advance.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        match self {
            Self::Live(live) => live.now(),
            Self::Recorded(recorded) => recorded.now(),
            #[cfg(target_os = "linux")]
            Self::Machine(machine) => machine.now(),
        }
    }

    /// The API server's clock less the local one, in whole seconds, once the API server has told its time.
    #[must_use]
    pub fn clock_offset(&self) -> Option<SignedDuration> {
        match self {
            Self::Live(live) => live.clock_offset(),
            Self::Recorded(recorded) => recorded.clock_offset(),
            #[cfg(target_os = "linux")]
            Self::Machine(machine) => machine.clock_offset(),
        }
    }

    /// How the API server is reached: its address, the proxy and why, the kind of credential, the namespace.
    #[must_use]
    pub fn connection(&self) -> &Connection {
        match self {
            Self::Live(live) => live.connection(),
            Self::Recorded(recorded) => recorded.connection(),
            #[cfg(target_os = "linux")]
            Self::Machine(machine) => machine.connection(),
        }
    }

    /// The namespace of the context, where the kubeconfig names one.
    #[must_use]
    pub fn context_namespace(&self) -> Option<&str> {
        self.connection().namespace.as_deref()
    }

    /// How many strings the pattern sweep has masked: each of them had slipped through the allow-list.
    #[must_use]
    pub fn masked(&self) -> u64 {
        match self {
            Self::Live(live) => live.masked(),
            Self::Recorded(recorded) => recorded.masked(),
            #[cfg(target_os = "linux")]
            Self::Machine(machine) => machine.masked(),
        }
    }

    /// All that was observed so far, ready to be written. `arguments` are what a replay needs to take the same path.
    #[must_use]
    pub fn recording(&self, arguments: std::collections::BTreeMap<String, String>) -> Recording {
        Recording {
            header: Header {
                format_version: recording::FORMAT_VERSION,
                tool: recording::TOOL.to_owned(),
                taken_at: self.now(),
                clock_offset_seconds: self.clock_offset().map(|offset| offset.as_secs()),
                masked: self.masked(),
                connection: self.connection().clone(),
                arguments,
            },
            observations: self
                .observations()
                .iter()
                .filter(|observation| !matches!(observation.outcome, Outcome::NotRecorded))
                .map(|observation| Observation::clone(observation))
                .collect(),
        }
    }
}
