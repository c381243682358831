//! A machine of which nothing was seen, for the cases of checks.

#![cfg(test)]

use std::collections::BTreeMap;

use crate::check::{Check, Outcome};
use crate::evidence::{
    Command, Evidence, Flags, FlagsIn, Host, KubeletFile, Mode, Need, Obs, Process, Unit, unseen,
};

/// A machine of which nothing was seen.
pub(super) fn host() -> Host {
    Host::unseen("node1", "2026-11-21T12:00:00Z".parse().expect("a time"), &crate::evidence::Why::NotRecorded)
}

/// Something that was seen.
pub(super) fn seen<T>(need: Need, value: T) -> Obs<T> {
    Obs::seen(need, [], value)
}

/// Flags.
pub(super) fn flags(pairs: &[(&str, &str)]) -> Flags {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect::<BTreeMap<_, _>>()
}

/// A kubelet that has run for an hour.
pub(super) fn kubelet(pairs: &[(&str, &str)]) -> Obs<Option<Process>> {
    let started = Some("2026-11-21T11:00:00Z".parse().expect("a time"));
    seen(Need::HostKubelet, Some(Process { pid: 7, flags: flags(pairs), started }))
}

/// A unit of the kubelet.
pub(super) fn unit() -> Obs<Option<Unit>> {
    let unit = Unit {
        file: "/usr/lib/systemd/system/kubelet.service".to_owned(),
        drop_ins: vec!["/usr/lib/systemd/system/kubelet.service.d/10-kubeadm.conf".to_owned()],
        enabled: true,
        flags: flags(&[("config", "/etc/kubelet.yaml")]),
    };
    seen(Need::HostKubelet, Some(unit))
}

/// A configuration file at `/etc/kubelet.yaml`.
pub(super) fn file() -> KubeletFile {
    KubeletFile {
        path: "/etc/kubelet.yaml".to_owned(),
        named_by: "unit".to_owned(),
        exists: true,
        error: String::new(),
        changed: None,
        config: None,
        cgroup_driver: "systemd".to_owned(),
        cgroup_driver_from_cri: None,
        fail_swap_on: true,
        address: "0.0.0.0".to_owned(),
        cluster_dns: Vec::new(),
        decoy: None,
    }
}

/// A component that does not run and has these flags in `/etc/x.conf`.
pub(super) fn command(component: &str, version: Option<&str>, names: &[&str]) -> Command {
    let names = names.iter().map(|name| (*name).to_owned()).collect();
    Command {
        component: component.to_owned(),
        seen_as: "unit".to_owned(),
        path: format!("/etc/systemd/system/{component}.service"),
        version: version.map(str::to_owned),
        flags: Some(vec![FlagsIn { file: "/etc/x.conf".to_owned(), names }]),
        runs: None,
    }
}

/// What a check makes of one machine.
pub(super) fn outcome(check: &Check, host: Host) -> Outcome {
    outcome_in(check, unseen(Mode::Host), host)
}

/// What a check makes of one machine beside other evidence.
pub(super) fn outcome_in(check: &Check, mut evidence: Evidence, host: Host) -> Outcome {
    evidence.hosts = vec![host];
    let mut outcomes = check.run(&evidence);
    assert_eq!(outcomes.results.len(), 1);
    outcomes.results.remove(0).1
}
