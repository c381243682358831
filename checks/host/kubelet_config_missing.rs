//! # The kubelet's configuration file cannot be read
//!
//! ## What it looks at
//!
//! The flag `--config` of the kubelet that runs, or else of its systemd unit with all drop-ins and environment files,
//! and the file that it names.
//!
//! ## Why it matters
//!
//! A kubelet that was told of a file ends at once when the file is not there or is no `KubeletConfiguration`. systemd starts
//! it again and again; the node is not Ready, its pods are moved elsewhere, and nobody answers metrics-server.
//!
//! ## How to fix it
//!
//! Where another file is at the usual place, name that one; otherwise write the file anew (`kubeadm upgrade node phase
//! kubelet-config` does, from the cluster's own ConfigMap) and restart the kubelet.
//!
//! ## When it is wrong
//!
//! A machine that was prepared and has not joined a cluster is named as well: kubeadm's unit starts the kubelet before
//! its file is there. Run `kubeadm join` then.
//!
//! It passes while the kubelet has run for a while, because then it has read the file before;
//! [kubelet-config-not-read](kubelet-config-not-read.md) tells what the next start will bring.
//!
//! ## References
//!
//! - `cmd/kubelet/app/server.go`, `loadConfigFile`: `failed to load Kubelet config file`
//! - systemd.unit(5) on drop-ins

use super::role::{self, Role, role};
use crate::check::{
    Check, Finding, Hop, Kind, Outcome, Question, Remedy, Results, Severity, Step, fail, not_applicable,
};
use crate::evidence::{Evidence, Host, KubeletFile, Mode, Need};
use crate::support;

pub(crate) const CHECK: Check = Check {
    code: "MP031",
    name: "kubelet-config-missing",
    title: "The kubelet cannot start: its configuration file is not there or cannot be read",
    hop: Hop::Host,
    severity: Severity::Error,
    kind: Kind::Cause,
    modes: role::MODES,
    needs: &[Need::HostKubelet, Need::HostControlPlane],
    explains: role::KUBELET_EXPLAINS,
    question: Question::Deciding { modes: &[Mode::Host], unless: &[] },
    source: include_str!("kubelet_config_missing.rs"),
    run,
    remedies,
};

/// Where kubeadm puts the file.
const USUAL: &str = "/var/lib/kubelet/config.yaml";
fn run(_: &Evidence, results: &mut Results<'_>) {
    results.about_hosts(Need::HostKubelet, |ctx, host, subject| {
        if role(ctx, host)? == Role::ControlPlane {
            return Ok(not_applicable("this host of the control plane has no kubelet"));
        }
        let Some(file) = ctx.need(&host.kubelet_file)? else {
            return Ok(not_applicable("the kubelet was told of no configuration file"));
        };
        if file.exists && file.error.is_empty() {
            return Ok(Outcome::Pass);
        }
        if role::running(ctx, host)?.is_some() {
            return Ok(Outcome::Pass);
        }
        let detail = format!("{}: {}", file.path, file.error);
        let field = if file.exists { "error" } else { "exists" };
        let value = if file.exists { file.error.as_str() } else { "false" };
        let finding =
            Finding::new(subject, detail).cite(&host.kubelet_file, field, value, "a KubeletConfiguration");
        Ok(fail(finding))
    });
}

fn remedies(evidence: &Evidence, findings: &[&Finding]) -> Vec<Remedy> {
    let machines = findings.iter().filter_map(|finding| {
        let host = evidence.hosts.iter().find(|host| crate::check::Subject::host(host) == finding.subject)?;
        Some((finding, host, host.kubelet_file.peek()?.as_ref()?))
    });
    let steps = machines.map(|(finding, host, file)| {
        let on = role::place(&finding.subject);
        match renamed(host, file) {
            Some(command) => Step::run(on, command),
            None => Step::run(on, anew(file)),
        }
        .verify("systemctl is-active kubelet")
    });
    role::on_each(
        "Give the kubelet a file that it can read",
        "The kubelet restarts; pods go on running.",
        steps.collect(),
    )
}

/// Names the file at the usual place in the unit's files, where one is there.
fn renamed(host: &Host, file: &KubeletFile) -> Option<String> {
    file.decoy.as_ref()?;
    let unit = host.kubelet_unit.peek()?.as_ref()?;
    let mut files = vec![unit.file.clone()];
    files.extend(unit.drop_ins.iter().cloned());
    files.extend(
        ["/var/lib/kubelet/kubeadm-flags.env", "/etc/default/kubelet", "/etc/sysconfig/kubelet"]
            .map(str::to_owned),
    );
    let files: Vec<String> = files.iter().map(|file| support::word(file)).collect();
    let wrong = &file.path;
    if support::word(wrong) != *wrong || wrong.contains('|') {
        return None;
    }
    Some(support::on_host(
        USUAL,
        &format!(
            "for file in {}; do\n  if [ -f \"$file\" ] && grep -qF -e {wrong} \"$file\"; then sed -i 's|{wrong}|{USUAL}|g' \"$file\"; fi\n\
             done\nsystemctl daemon-reload\nsystemctl restart kubelet",
            files.join(" ")
        ),
    ))
}

/// Writes the file anew from the cluster's `ConfigMap` `kubelet-config`.
fn anew(file: &KubeletFile) -> String {
    let path = support::word(&file.path);
    let copy = if file.path == USUAL { String::new() } else { format!("cp {USUAL} {path}\n") };
    support::on_host(
        "/etc/kubernetes/kubelet.conf",
        &format!(
            "if [ -f {path} ]; then cp {path} {path}.broken; fi\nkubeadm upgrade node phase kubelet-config\n{copy}\
             systemctl restart kubelet"
        ),
    )
}

#[cfg(test)]
mod tests {
    use super::super::testing::{file, host, kubelet, outcome, seen, unit};
    use super::*;

    fn broken() -> KubeletFile {
        KubeletFile { exists: false, error: "there is no such file".to_owned(), ..file() }
    }

    fn node(file: KubeletFile) -> Host {
        Host {
            kubelet: seen(Need::HostKubelet, None),
            kubelet_unit: unit(),
            kubelet_file: seen(Need::HostKubelet, Some(file)),
            ..host()
        }
    }

    #[test]
    fn a_kubelet_without_its_file_does_not_start() {
        assert!(matches!(outcome(&CHECK, node(broken())), Outcome::Fail(_)));
        assert!(matches!(outcome(&CHECK, node(file())), Outcome::Pass));
        let error = "it is no YAML: line 3, column 1".to_owned();
        assert!(matches!(outcome(&CHECK, node(KubeletFile { error, ..file() })), Outcome::Fail(_)));
    }

    #[test]
    fn one_that_runs_has_read_it() {
        let runs = Host { kubelet: kubelet(&[("config", "/etc/kubelet.yaml")]), ..node(broken()) };
        assert!(matches!(outcome(&CHECK, runs.clone()), Outcome::Pass));
        // systemd has just started it once more.
        let mut starts = runs;
        if let crate::evidence::Look::Seen(Some(process)) = &mut starts.kubelet.look {
            process.started = Some("2026-11-21T11:59:59Z".parse().expect("a time"));
        }
        assert!(matches!(outcome(&CHECK, starts), Outcome::Fail(_)));
    }

    #[test]
    fn a_machine_of_no_cluster_is_undecided() {
        let none = || seen(Need::HostKubelet, None);
        let other = Host {
            kubelet: seen(Need::HostKubelet, None),
            kubelet_unit: seen(Need::HostKubelet, None),
            kubelet_file: none(),
            ..host()
        };
        assert!(
            matches!(outcome(&CHECK, other.clone()), Outcome::Undecided(_)),
            "the control plane was not seen"
        );
        let none = Host { api_server: seen(Need::HostControlPlane, None), ..other };
        assert!(matches!(outcome(&CHECK, none), Outcome::Undecided(_)));
    }

    #[test]
    fn the_cure_names_the_file_that_is_there() {
        let host = node(KubeletFile { decoy: Some(Vec::new()), ..broken() });
        let mut evidence = crate::evidence::unseen(Mode::Host);
        evidence.hosts = vec![host];
        let finding = Finding::new(crate::check::Subject::host(&evidence.hosts[0]), "x");
        let cures = remedies(&evidence, &[&finding]);
        assert!(cures[0].steps[0].command.contains("10-kubeadm.conf"), "{}", cures[0].steps[0].command);
        assert!(cures[0].steps[0].command.contains("systemctl restart kubelet"));
    }
}
