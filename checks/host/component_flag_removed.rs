//! # A component will not know one of its flags at its next start
//!
//! ## What it looks at
//!
//! The same flags as [component-flag-unknown](component-flag-unknown.md), of components that run. With
//! `--target-version 1.NN` they are held against that version, before an upgrade; without it against the program that is on
//! the machine already, which may be newer than the one that runs.
//!
//! ## Why it matters
//!
//! The flag is of a version that was upgraded, or is about to be. Nothing shows until the component starts anew: then it
//! ends with `unknown flag: --NAME`, the node is not Ready or the control plane is gone, and nobody answers for metrics.
//!
//! ## How to fix it
//!
//! Take the flag out in the same step in which the version changes, not before: a flag that does nothing in the new
//! version may still do something in the old one. `--insecure-port=0` closed a port up to 1.19, and `--network-plugin=cni` chose
//! the network of dockershim up to 1.23.
//!
//! ## When it is wrong
//!
//! It knows flags that were taken out up to the release of this program, so a target that is newer may lack more. It
//! passes over feature gates and fields of configuration files.
//!
//! ## References
//!
//! - `CHANGELOG/CHANGELOG-1.NN.md` of kubernetes/kubernetes; the pull request of each flag is in `checks/removed_flags.rs`
//! - <https://kubernetes.io/docs/reference/using-api/deprecation-policy/#deprecating-a-flag-or-cli>

use super::flags::{self, Gone};
use super::role;
use crate::check::{
    Check, Finding, Hop, Kind, Outcome, Question, Remedy, Results, Severity, Step, Undecided, fail,
    not_applicable,
};
use crate::evidence::{Evidence, Host, Need, Why};

pub(crate) const CHECK: Check = Check {
    code: "MP044",
    name: "component-flag-removed",
    title: "A component of Kubernetes has a flag that it will not know at its next start",
    hop: Hop::Host,
    severity: Severity::Warning,
    kind: Kind::Hazard,
    modes: role::MODES,
    needs: &[Need::HostCommands],
    explains: &[],
    question: Question::Listed,
    source: include_str!("component_flag_removed.rs"),
    run,
    remedies,
};

/// The flags that end the next start and have not ended the last one; or why it cannot be told.
fn coming(host: &Host, target: Option<u32>) -> Result<Vec<Gone<'_>>, String> {
    let mut found = Vec::new();
    let mut open = None;
    for command in host.commands.peek().into_iter().flatten() {
        let own = flags::minor(command);
        let Some(gone) = flags::gone(command) else {
            open = Some(format!("{} starts something that may start {}", command.path, command.component));
            continue;
        };
        for one in gone {
            // What does not start now is another cause.
            let stops_now = flags::may_end_it(host, &one) && one.is_unknown().unwrap_or(one.is_long_gone());
            match target.max(own) {
                _ if stops_now => {}
                Some(minor) if one.row.minor <= minor => found.push(one),
                Some(_) => {}
                None => {
                    open = Some(format!(
                        "{} has --{}, which is gone since Kubernetes 1.{}, and which version will start is not known; name \
                         it with --target-version",
                        command.component, one.name, one.row.minor
                    ));
                }
            }
        }
    }
    match open {
        Some(why) if found.is_empty() => Err(why),
        _ => Ok(found),
    }
}

fn run(evidence: &Evidence, results: &mut Results<'_>) {
    let target = evidence.gate.target_minor;
    results.about_hosts(Need::HostCommands, |ctx, host, subject| {
        if ctx.need(&host.commands)?.is_empty() {
            return Ok(not_applicable("no component of Kubernetes is started here"));
        }
        let gone = coming(host, target)
            .map_err(|why| Undecided { need: Need::HostCommands, why: Why::Lacking(why) })?;
        if gone.is_empty() {
            return Ok(Outcome::Pass);
        }
        let version = target.map_or("the version on disk".to_owned(), |minor| format!("1.{minor}"));
        Ok(fail(flags::finding(host, subject, &gone, &version)))
    });
}

fn remedies(evidence: &Evidence, findings: &[&Finding]) -> Vec<Remedy> {
    let mut steps = Vec::new();
    let mut costs = Vec::new();
    for finding in findings {
        let host = flags::host_of(evidence, finding);
        let Some(gone) = host.and_then(|host| coming(host, evidence.gate.target_minor).ok()) else {
            continue;
        };
        for of_one in flags::by_component(&gone) {
            steps.extend(step(role::place(&finding.subject), of_one));
        }
        let instead = flags::instead(&gone);
        if !instead.is_empty() && !costs.contains(&instead) {
            costs.push(instead);
        }
    }
    role::on_each("Take the flags out before the component starts anew", &costs.join(" "), steps)
}

/// Where the next version is on the machine already, its flags can go at once; before that they may do something.
fn step(run_on: String, gone: &[Gone<'_>]) -> Option<Step> {
    if gone.iter().all(|one| one.is_unknown() == Some(true)) {
        return flags::taken_out(run_on, gone);
    }
    let command = gone.first()?.command;
    let files: std::collections::BTreeSet<&str> =
        gone.iter().flat_map(|one| one.files.iter().copied()).collect();
    let place = match (files.is_empty(), command.path.as_str()) {
        (false, _) => files.into_iter().collect::<Vec<_>>().join(" and "),
        (true, "") => "what starts it".to_owned(),
        (true, path) => path.to_owned(),
    };
    let kubeadm = if command.seen_as == "manifest" {
        "; with kubeadm, out of `extraArgs` in the ConfigMap kube-system/kubeadm-config before `kubeadm upgrade`, which \
         writes the manifest anew"
    } else {
        ""
    };
    let what = format!(
        "when {} becomes the new version, and before it starts, take {} out of {place}{kubeadm}",
        command.component,
        flags::listed(gone)
    );
    Some(Step::manual(run_on, what))
}

#[cfg(test)]
mod tests {
    use super::super::testing::{command, host, outcome_in, seen};
    use super::*;
    use crate::evidence::{Command, Mode, Runs, unseen};

    fn running(command: Command) -> Command {
        Command { runs: Some(Runs { pid: 7, started: None, without: Vec::new() }), ..command }
    }

    fn result(target: Option<u32>, command: Command) -> Outcome {
        let mut evidence = unseen(Mode::Host);
        evidence.gate.target_minor = target;
        let host = Host { commands: seen(Need::HostCommands, vec![command]), ..host() };
        outcome_in(&CHECK, evidence, host)
    }

    #[test]
    fn flags_are_held_against_the_target() {
        let kubelet = || running(command("kubelet", Some("1.34.1"), &["pod-infra-container-image"]));
        assert!(matches!(result(Some(35), kubelet()), Outcome::Fail(_)));
        assert!(matches!(result(Some(34), kubelet()), Outcome::Pass));
        assert!(matches!(result(None, kubelet()), Outcome::Pass), "the version on disk has it");
        let unknown = || Command { version: None, ..kubelet() };
        assert!(matches!(result(Some(35), unknown()), Outcome::Fail(_)));
        assert!(matches!(result(None, unknown()), Outcome::Undecided(_)));
        assert!(matches!(result(None, running(command("kubelet", None, &["config"]))), Outcome::Pass));
    }

    #[test]
    fn a_program_that_was_replaced_ends_at_its_next_start() {
        let kubelet = command("kubelet", Some("1.36.2"), &["pod-infra-container-image"]);
        assert!(matches!(result(None, running(kubelet.clone())), Outcome::Fail(_)));
        assert!(
            matches!(result(None, kubelet), Outcome::Pass),
            "it has ended already, which is another cause"
        );
    }

    #[test]
    fn before_an_upgrade_nothing_is_taken_out() {
        let steps = |command: Command| {
            let mut evidence = unseen(Mode::Host);
            evidence.gate.target_minor = Some(36);
            evidence.hosts =
                vec![Host { commands: seen(Need::HostCommands, vec![running(command)]), ..host() }];
            let finding = Finding::new(crate::check::Subject::host(&evidence.hosts[0]), "x");
            remedies(&evidence, &[&finding]).remove(0).steps
        };
        let step = steps(command("kubelet", Some("1.23.1"), &["network-plugin"])).remove(0);
        assert!(step.command.is_empty(), "{step:?}");
        assert!(step.manual.contains("take --network-plugin out of /etc/x.conf"), "{step:?}");
        let step = steps(command("kubelet", Some("1.36.1"), &["network-plugin"])).remove(0);
        assert!(step.command.contains("systemctl restart kubelet"), "{step:?}");
    }
}
