//! # The kubelet runs with another configuration than its files say
//!
//! ## What it looks at
//!
//! The file that the kubelet's `--config` names, when it was changed and when the kubelet started, and whether another
//! file at the usual place says something else. Where the cluster was asked too, the kubelet's running configuration
//! (`configz`) settles whether a change made a difference.
//!
//! ## Why it matters
//!
//! A cure that is written into a file that nobody reads cures nothing: the kubelet goes on as before, and whoever looks
//! into the file believes that it was done. A change that waits for a restart comes at a time that nobody chose.
//!
//! ## How to fix it
//!
//! Edit the file that the kubelet reads, remove the other one, and restart the kubelet.
//!
//! ## When it is wrong
//!
//! A file may be written anew without another word in it. Where `configz` was not seen, that is told as likely only.
//! A change within 2 seconds of the kubelet's start is not told: so exactly no machine knows when a process started.
//!
//! ## References
//!
//! - <https://kubernetes.io/docs/tasks/administer-cluster/kubelet-config-file/>
//! - kubeadm's drop-in `10-kubeadm.conf`

use jiff::SignedDuration;

use super::role::{self, Role, role};
use crate::check::{
    Check, Finding, Hop, Kind, Outcome, Question, Remedy, Results, Severity, Step, fail, not_applicable,
};
use crate::evidence::{Evidence, KubeletFile, Need};
use crate::support;

pub(crate) const CHECK: Check = Check {
    code: "MP032",
    name: "kubelet-config-not-read",
    title: "The kubelet runs with another configuration than its files say",
    hop: Hop::Host,
    severity: Severity::Warning,
    kind: Kind::Hazard,
    modes: role::MODES,
    needs: &[Need::Nodes, Need::Configz, Need::HostKubelet, Need::HostControlPlane],
    explains: &[],
    question: Question::Listed,
    source: include_str!("kubelet_config_not_read.rs"),
    run,
    remedies,
};

/// So much the two times may differ without anybody having done anything: when a process started is known from the time of
/// boot, which the kernel tells in whole seconds and moves with the clock (proc(5), `btime`).
const MEASURED: SignedDuration = SignedDuration::from_secs(2);

fn run(evidence: &Evidence, results: &mut Results<'_>) {
    results.about_hosts(Need::HostKubelet, |ctx, host, subject| {
        if role(ctx, host)? == Role::ControlPlane {
            return Ok(not_applicable("this host of the control plane has no kubelet"));
        }
        let Some(file) = ctx.need(&host.kubelet_file)? else {
            return Ok(not_applicable("the kubelet was told of no configuration file"));
        };
        let Some(role::Running { since: started }) = role::running(ctx, host)? else {
            return Ok(not_applicable("the kubelet does not run"));
        };
        let finding = |detail: String| Finding::new(subject.clone(), detail);
        if !file.exists || !file.error.is_empty() {
            let detail = format!("the next start will fail: {}: {}", file.path, file.error);
            let field = if file.exists { "error" } else { "exists" };
            let value = if file.exists { file.error.as_str() } else { "false" };
            return Ok(fail(finding(detail).cite(
                &host.kubelet_file,
                field,
                value,
                "the file that it runs with",
            )));
        }
        if let Some(fields) = file.decoy.as_ref().filter(|fields| !fields.is_empty()) {
            let detail = format!(
                "it reads {}, and /var/lib/kubelet/config.yaml, which it does not read, says otherwise in {}",
                file.path,
                fields.join(", ")
            );
            return Ok(fail(finding(detail).cite(
                &host.kubelet_file,
                "decoy",
                fields.join(", "),
                "no other file",
            )));
        }
        let (Some(started), Some(changed)) = (started, file.changed) else { return Ok(Outcome::Pass) };
        if changed.duration_since(started) <= MEASURED {
            return Ok(Outcome::Pass);
        }
        // Only a running configuration that was seen tells whether the change made a difference.
        let nodes = ctx.need(&evidence.nodes).ok();
        let node = nodes.and_then(|nodes| nodes.iter().find(|node| Some(&node.name) == host.node.as_ref()));
        let running = node.and_then(|node| ctx.need(&node.configz).ok());
        if running.is_some() && running == file.config.as_ref() {
            return Ok(Outcome::Pass);
        }
        let detail =
            format!("{} was changed at {changed}, and the kubelet has run since {started}", file.path);
        let found = finding(detail).cite(
            &host.kubelet_file,
            "changed",
            changed.to_string(),
            &format!("before {started}"),
        );
        Ok(fail(if running.is_some() { found } else { found.likely(&[]) }))
    });
}

fn remedies(evidence: &Evidence, findings: &[&Finding]) -> Vec<Remedy> {
    let file = |finding: &Finding| -> Option<&KubeletFile> {
        let host = evidence.hosts.iter().find(|host| crate::check::Subject::host(host) == finding.subject)?;
        host.kubelet_file.peek()?.as_ref()
    };
    let steps = findings.iter().filter_map(|finding| {
        let (file, on) = (file(finding)?, role::place(&finding.subject));
        let path = support::word(&file.path);
        Some(if !file.exists || !file.error.is_empty() {
            Step::manual(on, format!("repair {} before the kubelet is started anew", file.path))
        } else if file.decoy.is_some() {
            Step::run(
                on,
                support::on_host(
                    &path,
                    "mv /var/lib/kubelet/config.yaml /var/lib/kubelet/config.yaml.not-read",
                ),
            )
            .verify("[ ! -e /var/lib/kubelet/config.yaml ]")
        } else {
            Step::run(on, support::on_host(&path, "systemctl restart kubelet"))
                .verify(format!(
                    "[ \"$(ps -o etimes= -C kubelet | head -n 1)\" -le \"$(($(date +%s) - $(stat -c %Y {path})))\" ]"
                ))
        })
    });
    role::on_each("Let one file say what the kubelet runs with", "", steps.collect())
}

#[cfg(test)]
mod tests {
    use super::super::testing::{file, host, kubelet, outcome, seen, unit};
    use super::*;
    use crate::evidence::Host;

    fn node(file: KubeletFile) -> Host {
        Host {
            kubelet: kubelet(&[("config", "/etc/kubelet.yaml")]),
            kubelet_unit: unit(),
            kubelet_file: seen(Need::HostKubelet, Some(file)),
            ..host()
        }
    }

    #[test]
    fn what_is_read_and_what_is_there_are_compared() {
        let at = |time: &str| KubeletFile { changed: Some(time.parse().expect("a time")), ..file() };
        assert!(matches!(outcome(&CHECK, node(at("2026-11-21T10:59:00Z"))), Outcome::Pass));
        assert!(matches!(outcome(&CHECK, node(at("2026-11-21T11:01:00Z"))), Outcome::Fail(_)));
        // A file that is written just before the start may seem to be written just after it.
        assert!(matches!(outcome(&CHECK, node(at("2026-11-21T11:00:02Z"))), Outcome::Pass));
        assert!(matches!(outcome(&CHECK, node(at("2026-11-21T11:00:03Z"))), Outcome::Fail(_)));
        let decoy = |fields: &[&str]| KubeletFile {
            decoy: Some(fields.iter().map(|field| (*field).to_owned()).collect()),
            ..file()
        };
        assert!(matches!(outcome(&CHECK, node(decoy(&["port"]))), Outcome::Fail(_)));
        let gone = KubeletFile { exists: false, error: "there is no such file".to_owned(), ..file() };
        assert!(matches!(outcome(&CHECK, node(gone.clone())), Outcome::Fail(_)));
        let stopped = Host { kubelet: seen(Need::HostKubelet, None), ..node(gone) };
        assert!(matches!(outcome(&CHECK, stopped), Outcome::NotApplicable(_)));
    }
}
