//! # The kubelet and its container runtime use different cgroup drivers, and the pipeline does not depend on it yet
//!
//! ## What it looks at
//!
//! What `cgroup-drivers-differ` looks at, where metrics-server's pod runs elsewhere or was started before, where new pods
//! start in spite of it, and where a file was changed after the program that reads it was started.
//!
//! ## Why it matters
//!
//! With `cgroupfs` in the kubelet and `systemd` in the runtime no new pod starts on the machine, metrics-server's neither when
//! it is moved there. The other way round CRI-O starts none either; with containerd pods start, but their containers are in no cgroup of their pod: the kubelet
//! enforces nothing, takes pods for gone and starts them anew, or shows no usage of theirs.
//!
//! ## How to fix it
//!
//! As for `cgroup-drivers-differ`.
//!
//! ## When it is wrong
//!
//! As for `cgroup-drivers-differ`. What containerd with `cgroupfs` does under a kubelet with `systemd` depends on the version
//! of cgroups; it is documented as unsupported, and not judged further.
//!
//! ## References
//!
//! - Kubernetes documentation, "Container runtimes", section "Cgroup drivers"; KEP 4033

use super::cgroup::{self, Drivers};
use super::place::{self, Place};
use super::role;
use crate::check::{Check, Finding, Hop, Kind, Outcome, Question, Results, Severity, fail, not_applicable};
use crate::evidence::{Evidence, Need};

pub(crate) const CHECK: Check = Check {
    code: "MP042",
    name: "cgroup-drivers-hazard",
    title: "The kubelet and its container runtime use different cgroup drivers, and the pipeline does not depend on it yet",
    hop: Hop::Host,
    severity: Severity::Warning,
    kind: Kind::Hazard,
    modes: role::MODES,
    needs: &[Need::Pods, Need::Nodes, Need::HostKubelet, Need::HostControlPlane, Need::HostRuntime],
    explains: &[],
    question: Question::Listed,
    source: include_str!("cgroup_drivers_hazard.rs"),
    run,
    remedies: cgroup::remedies,
};

fn run(evidence: &Evidence, results: &mut Results<'_>) {
    results.about_hosts(Need::HostRuntime, |ctx, host, subject| {
        let (drivers, runtime) = cgroup::look(ctx, evidence, host)?;
        let (differ, runtime) = match (drivers, runtime) {
            (Drivers::NotHere(why), _) => return Ok(not_applicable(why)),
            (Drivers::Differ(differ), Some(runtime)) => (differ, runtime),
            (Drivers::Agree | Drivers::Differ(_), _) => return Ok(Outcome::Pass),
        };
        let detail = format!(
            "the kubelet uses {} and {} uses {} ({})",
            differ.kubelet, runtime.name, differ.runtime, runtime.path
        );
        let (detail, certain) = match &differ.pending {
            Some(words) => (format!("from the next start on {detail}: {words}"), false),
            None if differ.stops_pods(runtime) => {
                let waits = match place::of(ctx, evidence, host)? {
                    Place::Elsewhere => false,
                    Place::Perhaps => true,
                    Place::Pod | Place::HostNetwork => !place::started(ctx, evidence, host)?,
                };
                if waits {
                    return Ok(not_applicable("`cgroup-drivers-differ` answers"));
                }
                (format!("{detail}, so that it starts no new pod"), true)
            }
            None => (detail, true),
        };
        let finding = differ.finding(Finding::new(subject, detail), host, runtime);
        Ok(fail(if certain { finding } else { finding.likely(&[]) }))
    });
}

#[cfg(test)]
mod tests {
    use super::super::cgroup::machine;
    use super::super::testing::outcome;
    use super::*;

    #[test]
    fn it_tells_what_is_not_a_fault_yet() {
        let late = machine("cgroupfs", Some("systemd"), |seen| {
            seen.changed = Some("2026-11-21T11:30:00Z".parse().expect("a time"));
        });
        let Outcome::Fail(finding) = outcome(&CHECK, late) else { panic!("it is told") };
        assert!(finding.detail.contains("was changed since containerd was started"), "{}", finding.detail);
        assert!(matches!(outcome(&CHECK, machine("systemd", Some("cgroupfs"), |_| {})), Outcome::Fail(_)));
        let now = machine("cgroupfs", Some("systemd"), |_| {});
        assert!(
            matches!(outcome(&CHECK, now), Outcome::NotApplicable(_)),
            "the cause is told by its own check"
        );
        assert!(matches!(outcome(&CHECK, machine("systemd", Some("systemd"), |_| {})), Outcome::Pass));
    }
}
