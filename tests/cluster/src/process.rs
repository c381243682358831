//! The processes of a cluster, found by the mark in their environment: that works whatever became of the
//! program that started them.

use std::fs;
use std::time::Duration;

use anyhow::Result;
use rustix::process::{Pid, Signal, kill_process};

use crate::layout::{CLUSTER_VARIABLE, HOST_VARIABLE, ROLE_VARIABLE};
use crate::run::wait_for;

/// A process that carries a cluster's mark.
#[derive(Debug)]
pub(crate) struct Process {
    pub(crate) pid: i32,
    pub(crate) cluster: String,
    pub(crate) role: Option<String>,
    pub(crate) host: Option<String>,
}

/// All processes of all clusters, but for the calling one.
pub(crate) fn marked() -> Vec<Process> {
    let own = std::process::id();
    let Ok(entries) = fs::read_dir("/proc") else {
        return Vec::new();
    };
    entries
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok())
        .filter(|pid| u32::try_from(*pid).is_ok_and(|pid| pid != own))
        .filter_map(|pid| {
            let environment = fs::read(format!("/proc/{pid}/environ")).ok()?;
            let value = |name: &str| {
                environment.split(|byte| *byte == 0).find_map(|entry| {
                    let entry = std::str::from_utf8(entry).ok()?;
                    Some(entry.strip_prefix(name)?.strip_prefix('=')?.to_owned())
                })
            };
            Some(Process {
                pid,
                cluster: value(CLUSTER_VARIABLE)?,
                role: value(ROLE_VARIABLE),
                host: value(HOST_VARIABLE),
            })
        })
        .collect()
}

/// Those of one cluster.
pub(crate) fn of_cluster(name: &str) -> Vec<Process> {
    let mut found = marked();
    found.retain(|process| process.cluster == name);
    found
}

/// Kills every process of the cluster. The first process of its PID namespace is among them, and the kernel
/// takes the whole namespace, pods included, down with it.
pub(crate) fn kill_cluster(name: &str) -> Result<()> {
    wait_for(&format!("the processes of cluster {name} to end"), Duration::from_secs(20), || {
        let found = of_cluster(name);
        for process in &found {
            kill(process.pid, Signal::KILL);
        }
        Ok(found.is_empty())
    })
}

pub(crate) fn kill(pid: i32, signal: Signal) {
    if let Some(pid) = Pid::from_raw(pid) {
        // It may have ended in the meantime.
        kill_process(pid, signal).ok();
    }
}
