//! The cluster's control groups: `mp-NAME/system` for its programs, `mp-NAME/HOST` for a node's pods, in every
//! hierarchy (version 1) or in the one there is (version 2).

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use rustix::process::Signal;

use crate::layout::Layout;
use crate::process::kill;
use crate::run::wait_for;

const ROOT: &str = "/sys/fs/cgroup";
const SYSTEM: &str = "system";

fn is_v2() -> bool {
    Path::new(ROOT).join("cgroup.controllers").exists()
}

/// The root of every hierarchy. Names such as `cpu,cpuacct` have symbolic links beside them.
fn hierarchies() -> Vec<PathBuf> {
    if is_v2() {
        return vec![PathBuf::from(ROOT)];
    }
    let mut found: Vec<PathBuf> = fs::read_dir(ROOT)
        .into_iter()
        .flatten()
        .flatten()
        .filter(|entry| entry.path().join("cgroup.procs").exists())
        .filter_map(|entry| entry.path().canonicalize().ok())
        .collect();
    found.sort();
    found.dedup();
    found
}

/// The kubelet's `cgroupRoot` on a node.
pub(crate) fn node_root(layout: &Layout, node: &str) -> String {
    format!("/{}/{node}", layout.cgroup())
}

pub(crate) fn create(layout: &Layout) -> Result<()> {
    let mut leaves = vec![SYSTEM.to_owned()];
    leaves.extend(layout.node_names());
    for hierarchy in hierarchies() {
        let top = hierarchy.join(layout.cgroup());
        make(&hierarchy, &top)?;
        for leaf in &leaves {
            make(&top, &top.join(leaf))?;
        }
    }
    Ok(())
}

fn make(parent: &Path, group: &Path) -> Result<()> {
    if is_v2() {
        // A controller that the kernel lacks is none that the kubelet could use either.
        for controller in ["cpu", "cpuset", "memory", "pids", "io", "hugetlb"] {
            fs::write(parent.join("cgroup.subtree_control"), format!("+{controller}")).ok();
        }
    }
    fs::create_dir_all(group).with_context(|| format!("cannot create {}", group.display()))?;
    // In version 1 a new cpuset is empty, and no process may enter an empty one.
    for file in ["cpuset.cpus", "cpuset.mems"] {
        if !is_v2()
            && let Ok(text) = fs::read_to_string(parent.join(file))
        {
            fs::write(group.join(file), text)
                .with_context(|| format!("cannot write {file} of {}", group.display()))?;
        }
    }
    Ok(())
}

/// Moves the calling process out of its caller's groups, so that the cluster outlives them.
pub(crate) fn enter(layout: &Layout) -> Result<()> {
    for hierarchy in hierarchies() {
        let file = hierarchy.join(layout.cgroup()).join(SYSTEM).join("cgroup.procs");
        fs::write(&file, "0").with_context(|| format!("cannot write {}", file.display()))?;
    }
    Ok(())
}

/// Kills what is still in the cluster's groups and removes them.
pub(crate) fn remove(name: &str) -> Result<()> {
    let tops: Vec<PathBuf> =
        hierarchies().iter().map(|hierarchy| hierarchy.join(format!("mp-{name}"))).collect();
    wait_for(&format!("the control groups of cluster {name} to go"), Duration::from_secs(20), || {
        for top in &tops {
            remove_tree(top);
        }
        Ok(tops.iter().all(|top| !top.exists()))
    })
}

fn remove_tree(group: &Path) {
    for entry in fs::read_dir(group).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            remove_tree(&entry.path());
        }
    }
    let procs = fs::read_to_string(group.join("cgroup.procs")).unwrap_or_default();
    for pid in procs.lines().filter_map(|line| line.parse().ok()).filter(|pid| *pid > 0) {
        kill(pid, Signal::KILL);
    }
    fs::remove_dir(group).ok();
}
