//! # A component is started with a flag that it does not know
//!
//! ## What it looks at
//!
//! How the machine starts its kubelet, kube-proxy, kube-apiserver, kube-controller-manager and kube-scheduler: systemd's
//! unit with its drop-ins and environment files, or the manifest of a static pod. It holds the names of the flags
//! against those that Kubernetes has taken out since 1.12, and against the version that will start: the tag of the
//! image, or what the program on disk prints for `--version`.
//!
//! ## Why it matters
//!
//! A component ends at once with `unknown flag: --NAME`, whatever the flag did, and is started again and again. Guides for old
//! versions are full of such flags (`--enable-swagger-ui`, `--insecure-port`, `--network-plugin`, `--logtostderr`), and an
//! upgrade turns a flag that was harmless into one that stops a node or the control plane.
//!
//! ## How to fix it
//!
//! Take the flag out of the file in which it stands, and start the component. With kubeadm take it out of `extraArgs` in
//! the ConfigMap `kube-system/kubeadm-config` and of `/var/lib/kubelet/kubeadm-flags.env` as well, or the next upgrade
//! writes it again.
//!
//! ## When it is wrong
//!
//! It knows flags that were taken out, and no others: a flag that is misspelt, or newer than the component, is not
//! named. A component that has run for a minute knows all its flags, so it passes;
//! [component-flag-removed](component-flag-removed.md) tells what its next start will bring. Builds of Kubernetes that keep a
//! flag of their own are not known. Where the version cannot be told, flags that no maintained version has make the cause
//! likely, and others leave it open.
//!
//! ## References
//!
//! - `CHANGELOG/CHANGELOG-1.NN.md` of kubernetes/kubernetes; the pull request of each flag is in `checks/removed_flags.rs`
//! - `unknown flag: --NAME`: github.com/spf13/pflag, `errors.go`

use super::flags::{self, Gone};
use super::role;
use crate::check::{
    Check, Finding, Hop, Kind, Outcome, Remedy, Results, Severity, Step, Undecided, fail, not_applicable,
};
use crate::evidence::{Evidence, Host, Need, Why};

pub(crate) const CHECK: Check = Check {
    code: "MP043",
    name: "component-flag-unknown",
    title: "A component of Kubernetes cannot start: it is given a flag that its version does not know",
    hop: Hop::Host,
    severity: Severity::Error,
    kind: Kind::Cause,
    modes: role::MODES,
    needs: &[Need::HostCommands],
    explains: &[
        "metrics-server-crashing",
        "metrics-server-not-ready",
        "apiservice-unavailable",
        "metrics-api-unanswered",
        "node-metrics-missing",
        "hpa-controller-not-running",
        "hpa-metrics-unreadable",
    ],
    question: role::QUESTION,
    source: include_str!("component_flag_unknown.rs"),
    run,
    remedies,
};

/// The flags of components that do not run, which end their start, and whether that is certain; or why it cannot be told.
fn fatal(host: &Host) -> Result<(Vec<Gone<'_>>, bool), String> {
    let mut found = Vec::new();
    let mut certain = false;
    let mut open = None;
    for command in host.commands.peek().into_iter().flatten() {
        let name = &command.component;
        let Some(gone) = flags::gone(command) else {
            if command.runs.is_some() {
                continue;
            }
            open = Some(format!("{name} does not run, and what {} starts may start it", command.path));
            continue;
        };
        for one in gone.into_iter().filter(|one| flags::may_end_it(host, one)) {
            match one.is_unknown() {
                Some(false) => {}
                None if !one.is_long_gone() => {
                    open = Some(format!(
                        "{name} does not run and has --{}, which is gone since Kubernetes 1.{}; its version could not be told",
                        one.name, one.row.minor
                    ));
                }
                told => {
                    certain |= told.is_some();
                    found.push(one);
                }
            }
        }
    }
    match open {
        Some(why) if found.is_empty() => Err(why),
        _ => Ok((found, certain)),
    }
}

fn run(_: &Evidence, results: &mut Results<'_>) {
    results.about_hosts(Need::HostCommands, |ctx, host, subject| {
        if ctx.need(&host.commands)?.is_empty() {
            return Ok(not_applicable("no component of Kubernetes is started here"));
        }
        let (gone, certain) =
            fatal(host).map_err(|why| Undecided { need: Need::HostCommands, why: Why::Lacking(why) })?;
        let Some(first) = gone.first() else { return Ok(Outcome::Pass) };
        let version = first.command.version.as_deref().unwrap_or("every maintained version");
        let decide = Step::run(role::place(&subject), said(&first.command.component, &first.command.seen_as));
        let finding = flags::finding(host, subject, &gone, version);
        Ok(fail(if certain { finding } else { finding.likely(&[]).decided_by(decide) }))
    });
}

/// Shows what a component said when it ended.
fn said(component: &str, seen_as: &str) -> String {
    if seen_as == "unit" {
        return format!("journalctl -u {component} --no-pager | grep 'unknown flag'");
    }
    format!("grep -rh 'unknown flag' /var/log/pods/kube-system_{component}-*")
}

fn remedies(evidence: &Evidence, findings: &[&Finding]) -> Vec<Remedy> {
    let mut steps = Vec::new();
    let mut costs = Vec::new();
    for finding in findings {
        let Some((gone, _)) = flags::host_of(evidence, finding).and_then(|host| fatal(host).ok()) else {
            continue;
        };
        for of_one in flags::by_component(&gone) {
            steps.extend(flags::taken_out(role::place(&finding.subject), of_one));
        }
        let instead = flags::instead(&gone);
        if !instead.is_empty() && !costs.contains(&instead) {
            costs.push(instead);
        }
    }
    role::on_each("Take the flags out, and start the component", &costs.join(" "), steps)
}

#[cfg(test)]
mod tests {
    use super::super::testing::{command, host, outcome, seen};
    use super::*;
    use crate::evidence::{Command, FlagsIn, Runs};

    fn with(command: Command) -> Host {
        Host { commands: seen(Need::HostCommands, vec![command]), ..host() }
    }

    #[test]
    fn a_flag_that_its_version_lacks_ends_a_component() {
        let result = |version, name| outcome(&CHECK, with(command("kubelet", version, &[name])));
        let Outcome::Fail(finding) = result(Some("1.36.2"), "network-plugin") else { panic!("it fails") };
        assert_eq!(
            finding.detail,
            "kubelet has --network-plugin in /etc/x.conf, which is gone since Kubernetes 1.24"
        );
        assert_eq!(finding.certainty, crate::check::Certainty::Certain);
        assert!(matches!(result(Some("1.23.17"), "network-plugin"), Outcome::Pass), "it has it still");
        assert!(matches!(result(Some("1.24.0"), "network-plugin"), Outcome::Fail(_)));
        assert!(matches!(result(Some("1.36.2"), "config"), Outcome::Pass));
        // Of the other components it is not.
        assert!(matches!(result(Some("1.36.2"), "enable-swagger-ui"), Outcome::Pass));
    }

    #[test]
    fn without_a_version_age_decides() {
        let result = |name| outcome(&CHECK, with(command("kubelet", None, &[name])));
        let Outcome::Fail(finding) = result("network-plugin") else { panic!("it fails") };
        assert_eq!(finding.certainty, crate::check::Certainty::Likely);
        assert!(matches!(result("pod-infra-container-image"), Outcome::Undecided(_)), "1.34 has it");
        assert!(matches!(result("config"), Outcome::Pass));
        assert!(matches!(result("made-up"), Outcome::Pass), "no version is known to have had it");
    }

    #[test]
    fn what_runs_knows_its_flags() {
        let started = |time: &str| Some(time.parse().expect("a time"));
        let result = |started| {
            let runs = Some(Runs { pid: 7, started, without: Vec::new() });
            outcome(&CHECK, with(Command { runs, ..command("kubelet", Some("1.36.2"), &["network-plugin"]) }))
        };
        assert!(matches!(result(started("2026-11-21T11:00:00Z")), Outcome::Pass));
        assert!(matches!(result(None), Outcome::Pass));
        let just_now = started("2026-11-21T11:59:59Z");
        assert!(matches!(result(just_now), Outcome::Fail(_)), "started once more");
        // Somebody wrote the flag behind a kubelet that was just started, and works.
        let without = vec!["network-plugin".to_owned()];
        let runs = Some(Runs { pid: 7, started: just_now, without });
        let later = Command { runs, ..command("kubelet", Some("1.36.2"), &["network-plugin"]) };
        assert!(matches!(outcome(&CHECK, with(later)), Outcome::Pass));
    }

    #[test]
    fn flags_that_were_not_seen_leave_it_open() {
        let unread = Command { flags: None, ..command("kubelet", Some("1.36.2"), &[]) };
        assert!(matches!(outcome(&CHECK, with(unread.clone())), Outcome::Undecided(_)));
        let runs = Some(Runs { pid: 7, started: None, without: Vec::new() });
        assert!(matches!(outcome(&CHECK, with(Command { runs, ..unread })), Outcome::Pass));
        assert!(matches!(outcome(&CHECK, host()), Outcome::Undecided(_)));
        let none = Host { commands: seen(Need::HostCommands, Vec::new()), ..host() };
        assert!(matches!(outcome(&CHECK, none), Outcome::NotApplicable(_)));
    }

    fn cure(command: Command) -> Step {
        let mut evidence = crate::evidence::unseen(crate::evidence::Mode::Host);
        evidence.hosts = vec![with(command)];
        let finding = Finding::new(crate::check::Subject::host(&evidence.hosts[0]), "x");
        remedies(&evidence, &[&finding]).remove(0).steps.remove(0)
    }

    #[test]
    fn the_cure_edits_the_files_in_which_the_flags_stand() {
        let unit = cure(command("kubelet", Some("1.36.2"), &["network-plugin", "cni-bin-dir"])).command;
        assert!(unit.contains("for file in /etc/x.conf; do"), "{unit}");
        assert!(unit.contains("--(network[-_]plugin|cni[-_]bin[-_]dir)"), "{unit}");
        assert!(unit.contains("systemctl restart kubelet"), "{unit}");
        let hostile = Command {
            flags: Some(vec![FlagsIn {
                file: "/etc/x y;reboot".to_owned(),
                names: vec!["cadvisor-port".to_owned()],
            }]),
            ..command("kubelet", Some("1.36.2"), &[])
        };
        assert!(cure(hostile).command.contains("for file in '/etc/x y;reboot'; do"));
    }

    #[test]
    fn a_manifests_copies_are_no_manifests() {
        let path = "/etc/kubernetes/manifests/kube-apiserver.yaml";
        let manifest = Command {
            seen_as: "manifest".to_owned(),
            path: path.to_owned(),
            flags: Some(vec![FlagsIn { file: path.to_owned(), names: vec!["enable-swagger-ui".to_owned()] }]),
            ..command("kube-apiserver", Some("1.36.2"), &[])
        };
        let script = cure(manifest.clone()).command;
        assert!(script.contains("cp -p /etc/kubernetes/manifests/kube-apiserver.yaml /etc/kubernetes/kube-apiserver.yaml.before"), "{script}");
        let split = Command {
            flags: Some(vec![FlagsIn { file: String::new(), names: vec!["insecure-port".to_owned()] }]),
            ..manifest
        };
        let step = cure(split);
        assert!(step.command.is_empty() && step.manual.contains("--insecure-port"), "{step:?}");
    }
}
