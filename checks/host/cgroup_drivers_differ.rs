//! # No pod starts on the machine: its container runtime takes no cgroups from the kubelet
//!
//! ## What it looks at
//!
//! `cgroupDriver` of the file that the kubelet was told to read (or `--cgroup-driver`), and the driver that the files of
//! containerd or CRI-O set, on the machine to which metrics-server's pod was given. Since Kubernetes 1.31 the kubelet asks a
//! runtime that can answer (containerd from 2.0, CRI-O from 1.28), and its own setting does not count; their versions and the
//! feature gate `KubeletCgroupDriverFromCRI` decide that.
//!
//! ## Why it matters
//!
//! The kubelet names the cgroup of each new pod, as a path or as a slice of systemd. runc takes one form only: with
//! `SystemdCgroup = true` and a kubelet with `cgroupfs` every new pod fails with `expected cgroupsPath to be of format
//! "slice:prefix:name" for systemd cgroups`. CRI-O with `cgroupfs` refuses the slices of a kubelet with systemd as well. Pods that ran before go on, and the node stays Ready, so that it shows when
//! metrics-server is moved or the machine is booted.
//!
//! ## How to fix it
//!
//! Let both use the same: in place give the runtime what the kubelet uses. Change both to `systemd` on a drained machine.
//!
//! ## When it is wrong
//!
//! Files say what the programs were started with; where one was changed since, it is left open or told as a hazard
//! (`cgroup-drivers-hazard`). A kubelet that was started before its program was replaced may be older than that
//! program says.
//!
//! ## References
//!
//! - Kubernetes documentation, "Configuring a cgroup driver"; KEP 4033, `cmd/kubelet/app/server.go`
//! - containerd, `docs/cri/config.md`; containerd/containerd issue 4857

use super::cgroup::{self, Drivers};
use super::place::{self, Place};
use super::role;
use crate::check::{Check, Finding, Hop, Kind, Outcome, Question, Results, Severity, fail, not_applicable};
use crate::evidence::{Evidence, Mode, Need};

pub(crate) const CHECK: Check = Check {
    code: "MP033",
    name: "cgroup-drivers-differ",
    title: "The kubelet and its container runtime use different cgroup drivers, so that no pod starts",
    hop: Hop::Host,
    severity: Severity::Error,
    kind: Kind::Cause,
    modes: role::MODES,
    needs: &[
        Need::Pods,
        Need::Nodes,
        Need::HostIdentity,
        Need::HostKubelet,
        Need::HostControlPlane,
        Need::HostRuntime,
    ],
    explains: super::EXPLAINS,
    question: Question::Listed,
    source: include_str!("cgroup_drivers_differ.rs"),
    run,
    remedies: cgroup::remedies,
};

fn run(evidence: &Evidence, results: &mut Results<'_>) {
    results.about_hosts(Need::HostRuntime, |ctx, host, subject| {
        match place::of(ctx, evidence, host)? {
            Place::Elsewhere => return Ok(not_applicable("no pod of metrics-server is on it")),
            Place::Pod | Place::HostNetwork | Place::Perhaps => {}
        }
        let (drivers, runtime) = cgroup::look(ctx, evidence, host)?;
        Ok(match (drivers, runtime) {
            (Drivers::NotHere(why), _) => not_applicable(why),
            (Drivers::Differ(differ), Some(runtime)) if differ.stops_pods(runtime) => {
                if evidence.mode == Mode::Installed && place::started(ctx, evidence, host)? {
                    return Ok(not_applicable(
                        "metrics-server's pod was started on it: `cgroup-drivers-hazard` answers",
                    ));
                }
                let detail = format!(
                    "the kubelet uses {} and {} uses {} ({}), so that it starts no new pod",
                    differ.kubelet, runtime.name, differ.runtime, runtime.path
                );
                fail(differ.finding(Finding::new(subject, detail), host, runtime))
            }
            (Drivers::Differ(_), _) => {
                not_applicable("new pods start in spite of it: `cgroup-drivers-hazard` answers")
            }
            (Drivers::Agree, _) => Outcome::Pass,
        })
    });
}

#[cfg(test)]
mod tests {
    use super::super::cgroup::machine;
    use super::super::testing::{outcome, seen};
    use super::*;
    use crate::evidence::{Host, Look};

    #[test]
    fn a_runtime_with_systemd_takes_no_paths() {
        for (kubelet, runtime, expected) in [
            ("cgroupfs", Some("systemd"), "fail"),
            ("systemd", Some("systemd"), "pass"),
            ("cgroupfs", Some("cgroupfs"), "pass"),
            ("systemd", Some("cgroupfs"), "not here"),
            ("cgroupfs", None, "open"),
        ] {
            assert_eq!(word(machine(kubelet, runtime, |_| {})), expected, "{kubelet} {runtime:?}");
        }
        // CRI-O takes neither the one nor the other; and only two words are drivers.
        let crio = |seen: &mut crate::evidence::Runtime| {
            (seen.name, seen.version) = ("crio".to_owned(), Some("1.27.1".to_owned()));
        };
        for (kubelet, runtime) in [("systemd", "cgroupfs"), ("cgroupfs", "systemd")] {
            assert_eq!(word(machine(kubelet, Some(runtime), crio)), "fail", "{kubelet} {runtime}");
        }
        assert_eq!(word(machine("cgroupfs'; touch x; '", Some("systemd"), |_| {})), "open");
    }

    #[test]
    fn a_kubelet_that_asks_has_no_setting_of_its_own() {
        let of = |runtime: &'static str, kubelet: &'static str| {
            machine("cgroupfs", Some("systemd"), move |seen| {
                seen.version = (!runtime.is_empty()).then(|| runtime.to_owned());
                seen.kubelet_version = (!kubelet.is_empty()).then(|| kubelet.to_owned());
            })
        };
        assert_eq!(word(of("2.0.0", "1.31.0")), "pass");
        assert_eq!(word(of("2.0.0", "1.30.9")), "fail");
        assert_eq!(word(of("1.7.30", "1.36.2")), "fail");
        assert_eq!(word(of("", "1.36.2")), "open");
        assert_eq!(word(of("2.1.4", "")), "open");
        let gate = |runtime: &'static str, kubelet: &'static str, on: bool| {
            let mut host = of(runtime, kubelet);
            if let Look::Seen(Some(file)) = &mut host.kubelet_file.look {
                file.cgroup_driver_from_cri = Some(on);
            }
            host
        };
        assert_eq!(word(gate("2.0.0", "1.28.0", true)), "pass");
        assert_eq!(word(gate("2.0.0", "1.33.0", false)), "fail");
    }

    #[test]
    fn what_was_changed_since_the_start_is_not_what_runs() {
        let late = |kubelet: &str, runtime: &'static str| {
            machine(kubelet, Some(runtime), |seen| {
                seen.changed = Some("2026-11-21T11:30:00Z".parse().expect("a time"));
            })
        };
        assert_eq!(word(late("cgroupfs", "systemd")), "not here");
        assert_eq!(word(late("cgroupfs", "cgroupfs")), "open");
    }

    #[test]
    fn a_kubelet_that_does_not_run_starts_no_pods_anyway() {
        let stopped =
            Host { kubelet: seen(Need::HostKubelet, None), ..machine("cgroupfs", Some("systemd"), |_| {}) };
        assert_eq!(word(stopped), "not here");
    }

    fn word(host: Host) -> &'static str {
        match outcome(&CHECK, host) {
            Outcome::Pass => "pass",
            Outcome::Fail(_) => "fail",
            Outcome::Undecided(_) => "open",
            Outcome::NotApplicable(_) => "not here",
        }
    }
}
