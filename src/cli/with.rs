//! `--with FILE`: what machines saw of themselves, joined with the cluster.

use std::collections::BTreeSet;
use std::path::PathBuf;

use clap::Args;

use super::failure::{Failure, Kind};
use crate::collect::{CollectOptions, HostLook, ProbeLook};
use crate::source::recording::RecordingError;
use crate::source::{Observation, Recording, Request};

/// Looks from elsewhere.
#[derive(Debug, Args)]
pub(super) struct WithArgs {
    /// Join what `host -o FILE` or `probe -o FILE` saw; may be given several times
    ///
    /// Each machine is matched with a Node by its addresses. What is older than 15 minutes says nothing of now, and
    /// leaves its questions open.
    #[arg(long, value_name = "FILE", num_args = 1..)]
    with: Vec<PathBuf>,
}

/// What the files hold.
#[derive(Clone, Debug, Default)]
pub(super) struct With {
    observations: Vec<Observation>,
    hosts: Vec<HostLook>,
    probes: Vec<ProbeLook>,
}

impl WithArgs {
    /// The files.
    pub(super) fn files(&self) -> &[PathBuf] {
        &self.with
    }

    /// Reads the files.
    ///
    /// # Errors
    /// When one cannot be read, is of another kind, or speaks of a machine that another has spoken of.
    pub(super) fn load(&self) -> Result<With, Failure> {
        let mut with = With::default();
        let mut machines = BTreeSet::new();
        for path in &self.with {
            let named = || format!("the file is {}", path.display());
            let recording = Recording::read(path).map_err(|error| unreadable(&error).context(named()))?;
            let hosts = HostLook::recorded(&recording.header.arguments);
            let probes = ProbeLook::recorded(&recording.header.arguments);
            if hosts.is_empty() && probes.is_empty() {
                return Err(Failure::new(
                    Kind::Input,
                    "nothing in the file was seen from within a machine or a pod",
                )
                .context(named())
                .hint(
                    "`--with` takes what `metrics-preflight host -o FILE` wrote on a machine, and what \
                         `metrics-preflight probe --record FILE` wrote.",
                ));
            }
            for probe in probes {
                if with.probes.contains(&probe) {
                    let text = format!("two files are about a pod on node {}", probe.node);
                    return Err(Failure::new(Kind::Input, text)
                        .context(named())
                        .hint("Give the newer one only."));
                }
                with.probes.push(probe);
            }
            for host in hosts {
                if !machines.insert(host.name.clone()) {
                    let text = format!("two files are about a machine called {}", host.name);
                    return Err(Failure::new(Kind::Input, text).context(named()).hint(
                        "Give the newer one only; where two machines share a name, look again with `host --name NAME`.",
                    ));
                }
                with.hosts.push(host);
            }
            let seen = recording.observations.into_iter();
            // Of a cluster only the cluster itself speaks.
            with.observations.extend(seen.filter(|seen| matches!(seen.request, Request::Fact { .. })));
        }
        Ok(with)
    }
}

/// What is wrong with a file, and who writes those that are meant.
fn unreadable(error: &RecordingError) -> Failure {
    let writers =
        "Give a file that `metrics-preflight host -o FILE` or `metrics-preflight probe --record FILE` wrote.";
    match error {
        RecordingError::NotARecording { reason } => {
            let words = format!(
                "the file is no look at a machine or from a pod: line 1 is no header of one ({reason})"
            );
            Failure::new(Kind::Input, words).hint(writers)
        }
        RecordingError::TooLarge { line, limit } => {
            Failure::new(Kind::Input, format!("line {line} of the file goes beyond a limit ({limit})"))
                .hint(writers)
        }
        error => Failure::from_sentence(Kind::Input, &error.to_string()),
    }
}

impl With {
    /// The options with these machines among what is looked at.
    pub(super) fn joined(&self, mut options: CollectOptions) -> CollectOptions {
        options.hosts.extend(self.hosts.iter().cloned());
        options.probes.extend(self.probes.iter().cloned());
        options
    }

    /// Adds what pods saw just now.
    pub(super) fn add(
        &mut self,
        probes: Vec<ProbeLook>,
        hosts: Vec<HostLook>,
        observations: Vec<Observation>,
    ) {
        self.probes.extend(probes);
        self.hosts.extend(hosts);
        self.observations.extend(observations);
    }

    /// Whether a machine of this name is among them.
    pub(super) fn has_host(&self, name: &str) -> bool {
        self.hosts.iter().any(|host| host.name == name)
    }

    /// What was seen.
    pub(super) fn observations(&self) -> Vec<Observation> {
        self.observations.clone()
    }
}
