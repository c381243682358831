//! Names and places: everything that a cluster leaves on the machine carries its name.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Result, ensure};
use serde::{Deserialize, Serialize};

/// The first host of the control plane: etcd, the controllers and the scheduler run there.
pub(crate) const CONTROL_PLANE: &str = "cp";
/// The most hosts with a kube-apiserver.
const MAX_CONTROL_PLANES: usize = 3;
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

/// While a host has this file, nobody reads its manifests of static pods; what runs goes on.
pub(crate) const UNREAD_MANIFESTS: &str = "/run/manifests-unread";

/// Not below `/var`: a host covers that with a layer that lies here, and no layer may lie in what it covers.
const STATE: &str = "/srv/metrics-preflight/clusters";

/// Where one cluster lives.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Layout {
    pub(crate) name: String,
    pub(crate) nodes: usize,
    /// How many hosts have a kube-apiserver.
    pub(crate) control_planes: usize,
}

/// Which host a program runs on, as [`IDENTITY_FILE`] says.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Identity {
    pub(crate) layout: Layout,
    pub(crate) host: String,
}

impl Layout {
    pub(crate) fn new(name: &str, nodes: usize, control_planes: usize) -> Result<Self> {
        let valid = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        ensure!(
            !name.is_empty() && name.len() <= 20 && name.chars().all(valid),
            "a cluster's name is 1 to 20 lowercase letters, digits and dashes, not {name:?}"
        );
        ensure!((1..=99).contains(&nodes), "a cluster has 1 to 99 nodes, not {nodes}");
        ensure!(
            (1..=MAX_CONTROL_PLANES).contains(&control_planes),
            "a cluster has 1 to {MAX_CONTROL_PLANES} kube-apiservers, not {control_planes}"
        );
        Ok(Self { name: name.to_owned(), nodes, control_planes })
    }

    /// The layout that a started cluster wrote down.
    pub(crate) fn load(name: &str) -> Result<Self> {
        let file = Self::new(name, 1, 1)?.dir().join("layout.json");
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
        let mut hosts = self.control_plane_names();
        hosts.extend(self.node_names());
        hosts
    }

    /// The hosts with a kube-apiserver: `cp`, `cp2`, …
    pub(crate) fn control_plane_names(&self) -> Vec<String> {
        (1..=self.control_planes).map(control_plane_name).collect()
    }
}

fn control_plane_name(number: usize) -> String {
    if number == 1 { CONTROL_PLANE.to_owned() } else { format!("{CONTROL_PLANE}{number}") }
}

/// The number of a host of the control plane: 1 for `cp`, 2 for `cp2`.
pub(crate) fn control_plane_number(name: &str) -> Option<usize> {
    (1..=MAX_CONTROL_PLANES).find(|number| control_plane_name(*number) == name)
}

pub(crate) fn is_control_plane(name: &str) -> bool {
    control_plane_number(name).is_some()
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
