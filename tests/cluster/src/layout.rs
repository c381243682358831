//! Names and places: everything that a cluster leaves on the machine carries its name.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Result, ensure};
use serde::{Deserialize, Serialize};

/// The host of the control plane.
pub(crate) const CONTROL_PLANE: &str = "cp";
/// The environment variable that marks every process of a cluster.
pub(crate) const CLUSTER_VARIABLE: &str = "METRICS_PREFLIGHT_CLUSTER";
/// The environment variable that says what a process of the cluster is.
pub(crate) const ROLE_VARIABLE: &str = "METRICS_PREFLIGHT_ROLE";
/// The environment variable that says which host a process keeps.
pub(crate) const HOST_VARIABLE: &str = "METRICS_PREFLIGHT_HOST";
/// Written on every host: which cluster and which host this is.
pub(crate) const IDENTITY_FILE: &str = "/run/cluster-host.json";
/// The search path of an operator and of every component on a host.
pub(crate) const HOST_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Not below `/var`: a host covers that with a layer that lies here, and no layer may lie in what it covers.
const STATE: &str = "/srv/metrics-preflight/clusters";

/// Where one cluster lives.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Layout {
    pub(crate) name: String,
    pub(crate) nodes: usize,
}

/// Which host a program runs on, as [`IDENTITY_FILE`] says.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Identity {
    pub(crate) layout: Layout,
    pub(crate) host: String,
}

impl Layout {
    pub(crate) fn new(name: &str, nodes: usize) -> Result<Self> {
        let valid = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        ensure!(
            !name.is_empty() && name.len() <= 20 && name.chars().all(valid),
            "a cluster's name is 1 to 20 lowercase letters, digits and dashes, not {name:?}"
        );
        ensure!((1..=99).contains(&nodes), "a cluster has 1 to 99 nodes, not {nodes}");
        Ok(Self { name: name.to_owned(), nodes })
    }

    /// The layout that a started cluster wrote down.
    pub(crate) fn load(name: &str) -> Result<Self> {
        let file = Self::new(name, 1)?.dir().join("layout.json");
        Ok(serde_json::from_slice(&fs::read(file)?)?)
    }

    pub(crate) fn save(&self) -> Result<()> {
        Ok(fs::write(self.dir().join("layout.json"), serde_json::to_vec(self)?)?)
    }

    pub(crate) fn dir(&self) -> PathBuf {
        Path::new(STATE).join(&self.name)
    }

    /// What belongs to one host and must not lie on an overlay.
    pub(crate) fn host_dir(&self, host: &str) -> PathBuf {
        self.dir().join("hosts").join(host)
    }

    pub(crate) fn log(&self, host: &str, unit: &str) -> PathBuf {
        self.dir().join("logs").join(format!("{host}-{unit}.log"))
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.dir().join("control.sock")
    }

    /// This program, as it was when the cluster started.
    pub(crate) fn program(&self) -> PathBuf {
        self.dir().join("bin/cluster")
    }

    pub(crate) fn lock_file(&self) -> PathBuf {
        Path::new(STATE).join(format!(".{}.lock", self.name))
    }

    pub(crate) fn cgroup(&self) -> String {
        format!("mp-{}", self.name)
    }

    pub(crate) fn netns(&self, host: &str) -> String {
        format!("mp-{}-{host}", self.name)
    }

    pub(crate) fn node_names(&self) -> Vec<String> {
        (1..=self.nodes).map(node_name).collect()
    }

    /// The hosts with a file system of their own: the control plane and the nodes.
    pub(crate) fn hosts(&self) -> Vec<String> {
        let mut hosts = vec![CONTROL_PLANE.to_owned()];
        hosts.extend(self.node_names());
        hosts
    }
}

pub(crate) fn node_name(number: usize) -> String {
    format!("node{number}")
}

/// The number in a node's name.
pub(crate) fn node_number(name: &str) -> Option<usize> {
    name.strip_prefix("node")?.parse().ok().filter(|n| *n > 0)
}

pub(crate) fn state_root() -> &'static Path {
    Path::new(STATE)
}

/// `${XDG_CACHE_HOME:-$HOME/.cache}/metrics-preflight`
pub(crate) fn cache_root() -> PathBuf {
    env::var_os("XDG_CACHE_HOME")
        .map(PathBuf::from)
        .filter(|path| path.is_absolute())
        .unwrap_or_else(|| {
            let home = env::var_os("HOME").map_or_else(|| PathBuf::from("/root"), PathBuf::from);
            home.join(".cache")
        })
        .join("metrics-preflight")
}
